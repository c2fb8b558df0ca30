//! Bodies that something happened to on their way.

use proptest::{
    prelude::*,
    sample::Index,
    test_runner::{Config, TestCaseResult, TestRunner},
};
use std::time::{Duration, Instant};

/// Harms `bodies` in ever new ways and hands each to `law`, with what belongs to it and the size of the pieces in which it
/// arrives. For `LOCKKEEPER_FUZZ_SECS` seconds, one by default.
///
/// # Panics
/// With the smallest harm under which `law` does not hold.
pub(crate) fn fuzz<T>(bodies: &[(T, Vec<u8>)], law: impl Fn(&T, &[u8], usize) -> TestCaseResult) {
    #[expect(clippy::disallowed_methods, reason = "a test's only way to learn how long it may take")]
    let seconds = std::env::var("LOCKKEEPER_FUZZ_SECS").ok().and_then(|text| text.parse().ok()).unwrap_or(1);
    let until = Instant::now() + Duration::from_secs(seconds);
    let harms = prop::collection::vec(harm(), 1..6);
    let config = Config { cases: 32, failure_persistence: None, ..Config::default() };
    let mut cases = 0;
    while cases == 0 || Instant::now() < until {
        let mut runner = TestRunner::new(config.clone());
        let outcome = runner.run(&(any::<Index>(), &harms, 1..200_usize), |(which, harms, size)| {
            let (of, body) = &bodies[which.index(bodies.len())];
            law(of, &harmed(body, &harms), size)
        });
        outcome.unwrap_or_else(|failure| panic!("after {cases} cases: {failure}"));
        cases += config.cases;
    }
    println!("{cases} cases in {seconds} s");
}

/// What servers might send in the place of something.
const SWAPS: &[(&str, &str)] = &[
    ("0", "-1"),
    ("0", "18446744073709551616"),
    ("1", "1e400"),
    ("\"text\"", "null"),
    ("{\"type\"", "[\"type\""),
    ("\"index\":", "\"indeks\":"),
    ("{}", "[]"),
    ("\"tool_use\"", "{\"a\":[]}"),
    ("\"end_turn\"", "\"pause_turn\""),
    ("\"tool_use\"}", "\"refusal\"}"),
    ("content_block_stop", "content_block_start"),
    ("\"STOP\"", "7"),
    ("\"functionCall\"", "\"text\""),
    ("\"parts\":[", "\"parts\":[null,7,[],"),
    ("\"args\"", "\"partialArgs\""),
    ("step.stop", "step.start"),
    ("\n\n", "\n"),
    ("\n", "\r\n"),
    ("data: ", "data"),
];

/// What happens to a body.
#[derive(Clone, Debug)]
enum Harm {
    Replace(Index, u8),
    Remove(Index, usize),
    Repeat(Index, usize),
    Swap(&'static str, &'static str),
    /// Something else takes the place of a JSON value.
    Value(Index, &'static str),
}

fn harm() -> impl Strategy<Value = Harm> {
    let place = any::<Index>;
    let values = vec!["null", "-1", "18446744073709551616", "1e400", "{}", "[[]]", "\"\\u0000\"", "\"STOP\"", "true"];
    prop_oneof![
        (place(), any::<u8>()).prop_map(|(at, byte)| Harm::Replace(at, byte)),
        (place(), 1..200_usize).prop_map(|(at, len)| Harm::Remove(at, len)),
        (place(), 1..200_usize).prop_map(|(at, len)| Harm::Repeat(at, len)),
        prop::sample::select(SWAPS).prop_map(|(from, to)| Harm::Swap(from, to)),
        (place(), prop::sample::select(values)).prop_map(|(at, value)| Harm::Value(at, value)),
    ]
}

fn harmed(body: &[u8], harms: &[Harm]) -> Vec<u8> {
    let mut body = body.to_vec();
    for harm in harms {
        if body.is_empty() {
            break;
        }
        match harm {
            Harm::Replace(at, byte) => {
                let at = at.index(body.len());
                body[at] = *byte;
            }
            Harm::Remove(at, len) => {
                let at = at.index(body.len());
                let end = body.len().min(at + len);
                body.drain(at..end);
            }
            Harm::Repeat(at, len) => {
                let at = at.index(body.len());
                let piece = body[at..body.len().min(at + len)].to_vec();
                body.splice(at..at, piece);
            }
            Harm::Swap(from, to) => body = String::from_utf8_lossy(&body).replace(from, to).into_bytes(),
            Harm::Value(at, value) => put(&mut body, at.index(usize::MAX), value),
        }
    }
    body
}

/// Puts `value` in the place of the value after one of the colons.
fn put(body: &mut Vec<u8>, which: usize, value: &str) {
    let colons: Vec<usize> =
        body.windows(2).enumerate().filter(|(_, pair)| pair == b"\":").map(|(at, _)| at + 2).collect();
    let Some(start) = which.checked_rem(colons.len()).and_then(|index| colons.get(index)).copied() else { return };
    let (mut depth, mut quoted, mut end) = (0_usize, false, start);
    while let Some(byte) = body.get(end) {
        match byte {
            b'"' if body[end - 1] != b'\\' => quoted = !quoted,
            b'\n' => break,
            _ if quoted => {}
            b'{' | b'[' => depth += 1,
            b',' | b'}' | b']' if depth == 0 => break,
            b'}' | b']' => depth -= 1,
            _ => {}
        }
        end += 1;
    }
    body.splice(start..end, value.bytes());
}
