//! How long a server wants to be left alone.

use http::{HeaderMap, header};
use jiff::fmt::rfc2822::DateTimeParser;
use std::time::Duration;

/// What the headers say: `retry-after-ms`, else `retry-after` in seconds or as a date.
pub(crate) fn in_headers(headers: &HeaderMap) -> Option<Duration> {
    let read = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim);
    let number = |name: &str| read(name).and_then(|text| text.parse::<f64>().ok());
    if let Some(millis) = number("retry-after-ms") {
        return seconds(millis / 1_000.0);
    }
    if let Some(secs) = number(header::RETRY_AFTER.as_str()) {
        return seconds(secs);
    }
    // Against the server's own clock, so that a wrong one here does no harm.
    let date = |name: &str| read(name).and_then(|text| DateTimeParser::new().parse_timestamp(text).ok());
    let (until, now) = (date(header::RETRY_AFTER.as_str())?, date(header::DATE.as_str())?);
    u64::try_from(until.as_second() - now.as_second()).ok().map(Duration::from_secs)
}

/// What `x-should-retry` says.
pub(crate) fn should_retry(headers: &HeaderMap) -> Option<bool> {
    match headers.get("x-should-retry")?.as_bytes() {
        b"true" => Some(true),
        b"false" => Some(false),
        _ => None,
    }
}

/// What a message says, as in "Please try again in 1m4.656s."
pub(crate) fn in_words(message: &str) -> Option<Duration> {
    let (_, rest) = message.split_once("try again in ")?;
    let mut total = 0.0;
    let mut rest = rest;
    let mut found = false;
    loop {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let (number, tail) = rest.split_at(digits);
        let Ok(number) = number.parse::<f64>() else { break };
        let units = [("ms", 0.001), ("s", 1.0), ("m", 60.0), ("h", 3_600.0)];
        let Some((unit, factor)) = units.iter().find(|(unit, _)| tail.starts_with(unit)) else { break };
        total += number * factor;
        found = true;
        rest = tail.get(unit.len()..).unwrap_or_default();
    }
    if found { seconds(total) } else { None }
}

fn seconds(secs: f64) -> Option<Duration> {
    Duration::try_from_secs_f64(secs).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(headers: &[(&'static str, &'static str)], expected: Option<u64>) {
        let headers: HeaderMap =
            headers.iter().map(|(k, v)| (k.parse().expect("a name"), v.parse().expect("a value"))).collect();
        assert_eq!(in_headers(&headers), expected.map(Duration::from_millis), "{headers:?}");
    }

    #[test]
    fn headers_are_read_in_their_order_of_precision() {
        check(&[], None);
        check(&[("retry-after", "5")], Some(5_000));
        check(&[("retry-after", "0.25")], Some(250));
        check(&[("retry-after", "5"), ("retry-after-ms", "4656")], Some(4_656));
        check(&[("retry-after", "-1")], None);
        check(&[("retry-after", "NaN")], None);
        check(&[("retry-after", "1e300")], None);
        check(&[("retry-after", "Wed, 21 Oct 2026 07:28:09 GMT")], None);
        let now = ("date", "Wed, 21 Oct 2026 07:28:00 GMT");
        check(&[("retry-after", "Wed, 21 Oct 2026 07:28:09 GMT"), now], Some(9_000));
        check(&[("retry-after", "Wed, 21 Oct 2026 07:27:00 GMT"), now], None);
    }

    #[test]
    fn words_are_read_with_their_units() {
        let read = |text: &str| in_words(&format!("Limit reached. Please try again in {text}")).map(|d| d.as_millis());
        assert_eq!(read("4.656s. Visit us."), Some(4_656));
        assert_eq!(read("250ms."), Some(250));
        assert_eq!(read("1m4.5s"), Some(64_500));
        assert_eq!(read("1h2m"), Some(3_720_000));
        assert_eq!(read("a while"), None);
        assert_eq!(read("..s"), None);
        assert_eq!(read(""), None);
        assert_eq!(in_words("nothing"), None);
    }
}
