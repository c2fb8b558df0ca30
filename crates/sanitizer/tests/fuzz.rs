//! Fuzzes the cleaning step with pieces of what it removes, for `LOCKKEEPER_FUZZ_SECS` seconds, one by default.

use lockkeeper_sanitizer::{Config, Sanitizer, Stream, clean_schema, visible};
use secrecy::SecretString;
use serde_json::json;
use std::{
    sync::Arc,
    time::{Duration, Instant},
};

const SECRET: &str = "correct-horse battery";
const KEY: &str = "AKIAIOSFODNN7EXAMPLE";
const PIECES: &[&str] = &[
    "\u{1b}[31m",
    "\u{1b}]52;c;",
    "\u{1b}",
    "\u{7}",
    "\u{9b}",
    "\u{202e}",
    "\u{200b}",
    "\u{2800}",
    "\u{a0}",
    "\u{fe0f}",
    "\u{e0041}",
    "\u{1f44d}",
    "\n",
    " ",
    "\\n",
    "-----BEGIN PRIVATE KEY-----",
    "-----END PRIVATE KEY-----",
    "-----",
    "QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVphYmNkZWZnaGlqa2xtbm9wcXJzdHV2",
    "correct-",
    "horse",
    " battery",
    SECRET,
    KEY,
    "AKIA",
    "sk-ant-",
    "ghp_",
    "://u:",
    "pw",
    "@",
    "word",
    "%20",
    "\\u0020",
    "Y29ycmVjdC1ob3Jz",
    "ZSBiYXR0ZXJ5",
    "636f72726563742d",
    "686f7273652062617474657279",
    ":",
    "%6",
    "é",
];

/// A linear congruential generator: the same texts on each run, as far as time allows.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap_or(0) % limit
    }
}

/// Covers: S2-4, S2-5, S2-6
#[test]
fn no_text_gets_through_unclean() {
    #[expect(clippy::disallowed_methods, reason = "a test reads how long it may go on")]
    let seconds = std::env::var("LOCKKEEPER_FUZZ_SECS").ok().and_then(|text| text.parse().ok()).unwrap_or(1);
    let end = Instant::now() + Duration::from_secs(seconds);
    let sanitizer = Arc::new(Sanitizer::new(Config::default(), &[SecretString::from(SECRET)]));
    let mut random = Random(42);
    while Instant::now() < end {
        let pieces: Vec<_> = (0..random.below(40)).map(|_| PIECES[random.below(PIECES.len())]).collect();
        let text = pieces.concat();
        let clean = sanitizer.clean(&text);
        check(&clean, &text);
        assert_eq!(sanitizer.clean(&clean), clean, "{text:?}");
        let mut stream = Stream::new(Arc::clone(&sanitizer));
        let mut said: String = pieces.iter().map(|piece| stream.push(piece)).collect();
        said += &stream.finish();
        check(&said, &text);
        let schema = json!({"properties": {"a": {"description": text, "enum": [text]}}});
        let kept = clean_schema(&schema, &visible, &|text| sanitizer.clean(text));
        assert_eq!(kept.is_some(), visible(&text) == text, "{text:?}");
    }
}

fn check(clean: &str, text: &str) {
    assert!(!clean.contains("Y29ycmVjdC1ob3JzZSBiYXR0ZXJ5"), "{text:?} became {clean:?}");
    assert!(!clean.contains(SECRET) && !clean.contains(KEY), "{text:?} became {clean:?}");
    let is_forbidden = |c: char| {
        (c.is_control() && !matches!(c, '\n' | '\t'))
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2800}' | '\u{a0}' | '\u{e0041}')
    };
    assert!(!clean.contains(is_forbidden), "{text:?} became {clean:?}");
    assert!(clean.len() <= 12 * text.len(), "{} from {}", clean.len(), text.len());
}
