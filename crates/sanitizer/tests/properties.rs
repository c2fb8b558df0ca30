//! What holds of every text.

use lockkeeper_sanitizer::{Config, Sanitizer};
use proptest::prelude::*;
use secrecy::SecretString;
use serde_json::json;

const SECRET: &str = "correct-horse-battery";

fn sanitizer(max_bytes: usize) -> Sanitizer {
    Sanitizer::new(Config { max_bytes, ..Config::default() }, &[SecretString::from(SECRET)])
}

/// Texts with much of what is to be removed.
fn text() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        "\\PC{0,20}",
        Just("\u{1b}[31m".to_owned()),
        Just("\u{1b}]0;t".to_owned()),
        Just("\u{1b}".to_owned()),
        Just("\u{7}".to_owned()),
        Just("\u{202e}".to_owned()),
        Just("\u{200b}".to_owned()),
        Just("\u{e0041}".to_owned()),
        Just("\n".to_owned()),
        Just(SECRET.to_owned()),
        Just("correct-horse".to_owned()),
        Just("-battery".to_owned()),
        Just("AKIAIOSFODNN7EXAMPLE".to_owned()),
        any::<char>().prop_map(String::from),
    ];
    prop::collection::vec(piece, 0..200).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn cleaning_twice_is_cleaning_once(text in text()) {
        let sanitizer = sanitizer(2048);
        let once = sanitizer.clean(&text);
        prop_assert_eq!(sanitizer.clean(&once), once);
    }

    #[test]
    fn nothing_forbidden_is_left(text in text()) {
        let clean = sanitizer(1 << 20).clean(&text);
        prop_assert!(!clean.contains(SECRET) && !clean.contains("AKIAIOSFODNN7EXAMPLE"));
        for c in clean.chars() {
            prop_assert!(matches!(c, '\n' | '\t') || !c.is_control(), "{:?}", c);
            let hides = matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{e0000}'..='\u{e007f}');
            prop_assert!(!hides, "{:?}", c);
        }
        prop_assert!(clean.len() <= 6 * text.len(), "{} from {}", clean.len(), text.len());
    }

    #[test]
    fn no_text_is_longer_than_allowed(text in text(), max in 1024_usize..4096) {
        prop_assert!(sanitizer(max).clean(&text).len() <= max);
    }

    #[test]
    fn ordinary_text_stays_as_it_is(text in "[ -~\n\tà-öø-ÿ]{0,200}") {
        prop_assume!(sanitizer(4096).find_in(&json!(text)).is_none());
        prop_assert_eq!(sanitizer(4096).clean(&text), text);
    }
}

#[test]
fn a_secret_in_a_value_is_found_and_replaced() {
    let sanitizer = sanitizer(4096);
    let value = json!({"a": ["x", {SECRET: 1}], "b": format!("Bearer {SECRET}")});
    assert_eq!(sanitizer.find_in(&value).map(|found| found.kind), Some("secret"));
    let clean = sanitizer.clean_json(value).to_string();
    assert!(!clean.contains(SECRET) && clean.contains("Bearer [REDACTED:secret:"), "{clean}");
    let large = sanitizer.clean_json(json!(vec!["x".repeat(100); 100]));
    assert!(large.as_str().is_some_and(|said| said.starts_with("[left out: ")), "{large}");
    assert_eq!(sanitizer.find_in(&json!({"plain": [1, null, "text"]})), None);
}
