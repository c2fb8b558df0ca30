//! Sizes and times as people write them: `512MiB`, `15m`. The settings themselves are whole numbers of the unit that their
//! names end with.

/// The value of the setting `key` that `text` stands for, in the setting's own unit. `None` where it is no such text, or no
/// whole number of that unit.
pub(super) fn value(key: &str, text: &str) -> Option<u64> {
    let unit = key.rsplit_once('_')?.1;
    let (number, suffix) = split(text)?;
    match unit {
        "bytes" => number.checked_mul(bytes(suffix)?),
        "secs" => in_units(number, suffix, 1_000),
        "ms" | "millis" => in_units(number, suffix, 1),
        "minutes" | "mins" => in_units(number, suffix, 60_000),
        "hours" => in_units(number, suffix, 3_600_000),
        "days" => in_units(number, suffix, 86_400_000),
        _ => None,
    }
}

/// What to write for the setting `key`, for people; `None` of one that has no unit.
pub(super) fn hint(key: &str) -> Option<&'static str> {
    match key.rsplit_once('_')?.1 {
        "bytes" => Some("write a whole number of bytes, or a size as \"512MiB\" (KiB, MiB, GiB, or kB, MB, GB)"),
        "secs" => Some("write a whole number of seconds, or a time as \"15m\" (s, m, h, d)"),
        "ms" | "millis" => Some("write a whole number of milliseconds, or a time as \"2s\" (ms, s, m, h)"),
        _ => None,
    }
}

fn split(text: &str) -> Option<(u64, &str)> {
    let text = text.trim();
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '_').filter(|end| *end > 0)?;
    let (digits, suffix) = text.split_at(end);
    Some((digits.replace('_', "").parse().ok()?, suffix.trim()))
}

fn bytes(suffix: &str) -> Option<u64> {
    Some(match suffix.to_ascii_lowercase().as_str() {
        "b" | "byte" | "bytes" => 1,
        "kb" => 1_000,
        "mb" => 1_000_000,
        "gb" => 1_000_000_000,
        "tb" => 1_000_000_000_000,
        // Engines and orchestrators take these for powers of two.
        "k" | "ki" | "kib" => 1 << 10,
        "m" | "mi" | "mib" => 1 << 20,
        "g" | "gi" | "gib" => 1 << 30,
        "t" | "ti" | "tib" => 1 << 40,
        _ => return None,
    })
}

/// A time in units of so many milliseconds.
fn in_units(number: u64, suffix: &str, unit: u64) -> Option<u64> {
    let millis = match suffix.to_ascii_lowercase().as_str() {
        "ms" | "millis" | "milliseconds" => 1,
        "s" | "sec" | "secs" | "second" | "seconds" => 1_000,
        "m" | "min" | "mins" | "minute" | "minutes" => 60_000,
        "h" | "hour" | "hours" => 3_600_000,
        "d" | "day" | "days" => 86_400_000,
        _ => return None,
    };
    let all = number.checked_mul(millis)?;
    (all % unit == 0).then_some(all / unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_times_are_read_in_the_unit_of_their_setting() {
        for (key, text, expected) in [
            ("memory_bytes", "512MiB", Some(512 << 20)),
            ("memory_bytes", " 2 GiB ", Some(2 << 30)),
            ("memory_bytes", "64k", Some(64 << 10)),
            ("memory_bytes", "10MB", Some(10_000_000)),
            ("memory_bytes", "1_000B", Some(1_000)),
            ("memory_bytes", "15m", Some(15 << 20)),
            ("idle_secs", "15m", Some(900)),
            ("idle_secs", "2h", Some(7_200)),
            ("idle_secs", "1d", Some(86_400)),
            ("idle_secs", "5000ms", Some(5)),
            ("idle_secs", "1500ms", None),
            ("poll_ms", "2s", Some(2_000)),
            ("idle_secs", "512MiB", None),
            ("memory_bytes", "1.5GiB", None),
            ("memory_bytes", "99999999999999GiB", None),
            ("memory_bytes", "MiB", None),
            ("port", "15m", None),
        ] {
            assert_eq!(value(key, text), expected, "{key} = {text}");
        }
    }
}
