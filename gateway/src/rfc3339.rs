//! Times of the API: RFC 3339 out; RFC 3339 or epoch milliseconds in. Inside everything is nanoseconds since the epoch.

use jiff::Timestamp;
use std::fmt;

const NS_PER_MS: u64 = 1_000_000;

/// Shows nanoseconds since the epoch as `2024-08-08T23:54:00.5Z`: UTC, no superfluous digits.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rfc3339(pub(crate) u64);

impl fmt::Display for Rfc3339 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Every u64 of nanoseconds (until 2554) is a valid timestamp.
        match Timestamp::from_nanosecond(i128::from(self.0)) {
            Ok(time) => fmt::Display::fmt(&time, f),
            Err(_) => f.write_str("1970-01-01T00:00:00Z"),
        }
    }
}

impl serde::Serialize for Rfc3339 {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Reads RFC 3339 with an offset, or whole milliseconds since the epoch. `None` if it is neither, or before 1970 or
/// after 2262.
pub(crate) fn parse(text: &str) -> Option<u64> {
    let ns = if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) {
        text.parse::<u64>().ok()?.checked_mul(NS_PER_MS)?
    } else {
        u64::try_from(text.parse::<Timestamp>().ok()?.as_nanosecond()).ok()?
    };
    (ns <= i64::MAX.unsigned_abs()).then_some(ns)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_shown_without_superfluous_digits() {
        for (ns, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (1_723_161_240_000_000_000, "2024-08-08T23:54:00Z"),
            (1_723_161_240_500_000_000, "2024-08-08T23:54:00.5Z"),
            (1_723_161_240_000_000_001, "2024-08-08T23:54:00.000000001Z"),
        ] {
            assert_eq!(Rfc3339(ns).to_string(), text);
            assert_eq!(parse(text), Some(ns));
        }
        assert!(Rfc3339(u64::MAX).to_string().starts_with("2554-"));
    }

    #[test]
    fn milliseconds_and_offsets_are_read_and_the_rest_is_refused() {
        assert_eq!(parse("1723161240000"), Some(1_723_161_240_000_000_000));
        assert_eq!(parse("2024-08-09T01:54:00+02:00"), Some(1_723_161_240_000_000_000));
        let bad = [
            "",
            "-5",
            "1e3",
            "2024-08-08",
            "2024-08-08T23:54:00",
            "1969-12-31T23:59:59Z",
            "99999999999999999999",
            "9999999999999999",
            "2300-01-01T00:00:00Z",
            "now",
        ];
        for text in bad {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
