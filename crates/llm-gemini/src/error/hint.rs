//! How long a response asks to be left alone.

use reqwest::header::HeaderMap;
use std::time::{Duration, SystemTime};

/// The hint in `retry-after-ms` or in `retry-after`, which is a number of seconds or a date
/// (<https://www.rfc-editor.org/rfc/rfc9110#field.retry-after>).
pub(super) fn of(headers: &HeaderMap) -> Option<Duration> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim);
    let number = |name| text(name).and_then(|text| text.parse::<f64>().ok());
    let seconds = number("retry-after-ms").map(|ms| ms / 1_000.0).or_else(|| number("retry-after"));
    if let Some(seconds) = seconds {
        return Duration::try_from_secs_f64(seconds).ok();
    }
    let date = |name| text(name).and_then(|text| httpdate::parse_http_date(text).ok());
    let until = date("retry-after")?;
    // The sender's clock counts, where it says what that shows.
    let now = date("date").unwrap_or_else(here);
    Some(until.duration_since(now).unwrap_or_default())
}

#[expect(clippy::disallowed_methods, reason = "a date of the vendor's means nothing but by the clock on the wall")]
fn here() -> SystemTime {
    SystemTime::now()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(headers: &[(&'static str, &str)], expected: Option<u64>) {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.insert(*name, value.parse().expect("a header"));
        }
        assert_eq!(of(&map), expected.map(Duration::from_millis), "{headers:?}");
    }

    #[test]
    fn seconds_milliseconds_and_dates_are_understood() {
        check(&[], None);
        check(&[("retry-after", "12")], Some(12_000));
        check(&[("retry-after", " 1.5 ")], Some(1_500));
        check(&[("retry-after", "12"), ("retry-after-ms", "250")], Some(250));
        let date = ("date", "Wed, 21 Oct 2026 07:28:00 GMT");
        check(&[("retry-after", "Wed, 21 Oct 2026 07:28:30 GMT"), date], Some(30_000));
        check(&[("retry-after", "Wed, 21 Oct 2026 07:27:00 GMT"), date], Some(0));
        check(&[("retry-after", "Wed, 21 Oct 2015 07:28:00 GMT")], Some(0));
    }

    #[test]
    fn a_date_without_another_counts_by_our_clock() {
        let until = httpdate::fmt_http_date(here() + Duration::from_mins(10));
        let headers = HeaderMap::from_iter([(reqwest::header::RETRY_AFTER, until.parse().expect("a header"))]);
        let hint = of(&headers).expect("a hint");
        assert!((Duration::from_mins(5)..=Duration::from_mins(10)).contains(&hint), "{hint:?}");
    }

    #[test]
    fn nonsense_is_no_hint() {
        for nonsense in ["-1", "NaN", "1e300", "soon", "", "Wed, 99 Oct 2026 07:28:00 GMT"] {
            check(&[("retry-after", nonsense)], None);
        }
    }
}
