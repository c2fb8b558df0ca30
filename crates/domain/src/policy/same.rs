//! Equality of JSON values as a reader of the tool's arguments sees them: numbers are equal if they are the same number,
//! however they are spelt. Rules, denials, and session grants compare with it.

use serde_json::{Number, Value};

/// Whether two JSON values are equal. `1`, `1.0`, and `1e0` are the same number, at any depth; integers are compared exactly
/// and never as doubles. The order of an object's members does not count.
pub(crate) fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => same_number(a, b),
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b)),
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(name, a)| b.get(name).is_some_and(|b| same(a, b)))
        }
        _ => a == b,
    }
}

fn same_number(a: &Number, b: &Number) -> bool {
    match (integer(a), integer(b)) {
        (Some(a), Some(b)) => a == b,
        // Neither is an integer that fits, so both are doubles.
        (None, None) => a.as_f64() == b.as_f64(),
        _ => false,
    }
}

/// The number as an integer, exactly; `None` if it is none, or is beyond 128 bits.
fn integer(number: &Number) -> Option<i128> {
    if let Some(whole) = number.as_i128() {
        return Some(whole);
    }
    let double = number.as_f64().filter(|double| double.fract() == 0.0)?;
    // With a precision, all digits of the double are written and not only those that tell it from its neighbours.
    format!("{double:.0}").parse().ok()
}

/// The first number in this JSON text that the server cannot hold as it is written, such as `0.12345678901234567890`: what
/// runs would be another number. `None` for a text without one, and for a text that is no JSON.
pub fn inexact_number(text: &str) -> Option<&str> {
    let mut rest = text;
    while let Some(start) = rest.find(|c: char| c == '"' || c == '-' || c.is_ascii_digit()) {
        rest = &rest[start..];
        if rest.starts_with('"') {
            rest = after_string(rest);
            continue;
        }
        let is_part = |c: char| c.is_ascii_digit() || matches!(c, '-' | '+' | '.' | 'e' | 'E');
        let end = rest.find(|c| !is_part(c)).unwrap_or(rest.len());
        let (written, after) = rest.split_at(end);
        let held = serde_json::from_str::<Number>(written).ok().map(|number| number.to_string());
        if held.is_none_or(|held| decimal(&held) != decimal(written)) {
            return Some(written);
        }
        rest = after;
    }
    None
}

/// What follows the string that the text begins with.
fn after_string(text: &str) -> &str {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return &text[at + 1..],
            _ => {}
        }
    }
    ""
}

/// A written number as its sign, its digits without zeros at either end, and the power of ten that the last of them has.
/// `None` for an exponent that does not fit.
fn decimal(written: &str) -> Option<(bool, String, i64)> {
    let (negative, written) = written.strip_prefix('-').map_or((false, written), |rest| (true, rest));
    let (mantissa, exponent) = written.split_once(['e', 'E']).unwrap_or((written, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = format!("{whole}{fraction}");
    let significant = digits.trim_end_matches('0');
    let zeros = digits.len() - significant.len();
    let significant = significant.trim_start_matches('0');
    if significant.is_empty() {
        return Some((false, String::new(), 0));
    }
    let exponent = exponent.parse::<i64>().ok()?.checked_add(i64::try_from(zeros).ok()?)?;
    Some((negative, significant.to_owned(), exponent.checked_sub(i64::try_from(fraction.len()).ok()?)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(text: &str) -> Value {
        serde_json::from_str(text).expect("JSON")
    }

    /// Covers: S3 numbers
    #[test]
    fn numbers_are_the_same_by_value_and_not_by_spelling() {
        let same_ones = [
            ("1", "1.0"),
            ("1", "1e0"),
            ("100", "1E+2"),
            ("0", "-0"),
            ("0.0", "-0.0"),
            ("9007199254740992", "9007199254740992.0"),
            ("1000000000000000000", "1e18"),
            ("-5", "-50e-1"),
            (r#"{"a":[1,{"b":2}]}"#, r#"{"a":[1.0,{"b":2e0}]}"#),
            (r#"{"a":1,"b":2}"#, r#"{"b":2,"a":1}"#),
            ("1e300", "1.0e300"),
        ];
        for (a, b) in same_ones {
            assert!(same(&value(a), &value(b)) && same(&value(b), &value(a)), "{a} {b}");
        }
        let others = [
            ("1", "\"1\""),
            ("1", "true"),
            ("0", "null"),
            ("1", "1.5"),
            ("9007199254740993", "9007199254740992"),
            ("9007199254740993", "9007199254740992.0"),
            ("18446744073709551615", "18446744073709551616"),
            ("[1]", "[1,1]"),
            (r#"{"a":1}"#, r#"{"a":1,"b":null}"#),
            ("1e300", "1e301"),
            ("1", "-1"),
        ];
        for (a, b) in others {
            assert!(!same(&value(a), &value(b)) && !same(&value(b), &value(a)), "{a} {b}");
        }
    }

    /// Covers: S3 numbers
    #[test]
    fn numbers_that_cannot_be_held_are_found() {
        let exact = [
            "{}",
            "1",
            "-0",
            "[1.0, 1e5, 12.50, 0.1]",
            r#"{"id":1234567890123456789,"t":"0.12345678901234567890","q":"\"1e999"}"#,
            "18446744073709551615",
            "[0.30000000000000004, 1.4142135623730951, 5e-324, 1.7976931348623157e308]",
            "-9223372036854775808",
        ];
        for text in exact {
            assert_eq!(inexact_number(text), None, "{text}");
        }
        let inexact = [
            (r#"{"a":1e400}"#, "1e400"),
            ("18446744073709551617", "18446744073709551617"),
            ("[0, 0.12345678901234567890]", "0.12345678901234567890"),
            ("[1e-400]", "1e-400"),
            ("9007199254740993.0", "9007199254740993.0"),
        ];
        for (text, number) in inexact {
            assert_eq!(inexact_number(text), Some(number), "{text}");
        }
    }
}
