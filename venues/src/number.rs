//! Exact numbers and times out of text: no float on the way, each failure names its field.

use crate::{Reason, Rejection};
use proto::Decimal;
use proto::market::valid_time;

/// The value of a field that must be there.
pub(crate) fn require<T>(field: &'static str, value: Option<T>) -> Result<T, Rejection> {
    value.ok_or_else(|| Rejection::new(Reason::MissingField, field))
}

/// A decimal number.
pub(crate) fn decimal(field: &'static str, text: Option<&str>) -> Result<Decimal, Rejection> {
    let text = require(field, text)?;
    Decimal::parse(text.as_bytes())
        .map_err(|error| Rejection::new(Reason::BadNumber, format!("{field} {text:?}: {error}")))
}

/// A decimal number greater than zero.
pub(crate) fn positive(field: &'static str, text: Option<&str>) -> Result<Decimal, Rejection> {
    let value = decimal(field, text)?;
    if value.is_positive() { Ok(value) } else { Err(Rejection::new(Reason::OutOfRange, format!("{field} {value}"))) }
}

/// An unsigned whole number.
pub(crate) fn whole(field: &'static str, text: Option<&str>) -> Result<u64, Rejection> {
    let text = require(field, text)?;
    digits(text.as_bytes()).ok_or_else(|| Rejection::new(Reason::BadNumber, format!("{field} {text:?}")))
}

fn digits(text: &[u8]) -> Option<u64> {
    if text.is_empty() {
        return None;
    }
    text.iter().try_fold(0u64, |value, byte| match byte {
        b'0'..=b'9' => value.checked_mul(10)?.checked_add(u64::from(byte - b'0')),
        _ => None,
    })
}

fn bad_time(field: &'static str, shown: impl std::fmt::Display) -> Rejection {
    Rejection::new(Reason::BadTime, format!("{field} {shown}"))
}

fn checked_time(field: &'static str, shown: impl std::fmt::Display, time_ns: Option<u64>) -> Result<u64, Rejection> {
    match time_ns {
        Some(time_ns) if valid_time(time_ns) => Ok(time_ns),
        _ => Err(bad_time(field, shown)),
    }
}

/// Milliseconds since the epoch, as ns.
pub(crate) fn millis(field: &'static str, value: Option<u64>) -> Result<u64, Rejection> {
    let value = require(field, value)?;
    checked_time(field, value, value.checked_mul(1_000_000))
}

/// Milliseconds since the epoch in text, as ns.
pub(crate) fn millis_text(field: &'static str, text: Option<&str>) -> Result<u64, Rejection> {
    let text = require(field, text)?;
    let time_ns = digits(text.as_bytes()).and_then(|value| value.checked_mul(1_000_000));
    checked_time(field, format_args!("{text:?}"), time_ns)
}

/// Seconds since the epoch with or without a fraction (`1688669597.8277369`), as ns. Digits beyond ns are cut.
pub(crate) fn seconds(field: &'static str, text: Option<&str>) -> Result<u64, Rejection> {
    let text = require(field, text)?;
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let time_ns = digits(whole.as_bytes())
        .and_then(|seconds| seconds.checked_mul(1_000_000_000))
        .zip(fraction_ns(fraction))
        .and_then(|(seconds, fraction)| seconds.checked_add(fraction));
    checked_time(field, format_args!("{text:?}"), time_ns)
}

/// Digits after the point of a second, as ns.
fn fraction_ns(text: &str) -> Option<u64> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let mut value = 0;
    for index in 0..9 {
        value = value * 10 + text.as_bytes().get(index).map_or(0, |byte| u64::from(byte - b'0'));
    }
    Some(value)
}

/// An RFC 3339 time (`2023-09-25T07:48:36.925533Z`), as ns. Digits beyond ns are cut.
pub(crate) fn rfc3339(field: &'static str, text: Option<&str>) -> Result<u64, Rejection> {
    let text = require(field, text)?;
    checked_time(field, format_args!("{text:?}"), parse_rfc3339(text))
}

fn parse_rfc3339(text: &str) -> Option<u64> {
    let bytes = text.as_bytes();
    let number = |from: usize, to: usize| digits(bytes.get(from..to)?);
    let punctuation = [(4, b'-'), (7, b'-'), (13, b':'), (16, b':')];
    if !punctuation.iter().all(|(at, byte)| bytes.get(*at) == Some(byte))
        || !matches!(bytes.get(10), Some(b'T' | b't' | b' '))
    {
        return None;
    }
    let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
    let (hour, minute, second) = (number(11, 13)?, number(14, 16)?, number(17, 19)?);
    if year < 1970
        || !(1..=12).contains(&month)
        || !(1..=days_in_month(year, month)).contains(&day)
        || hour > 23
        || minute > 59
        || second > 59
    {
        return None;
    }
    let rest = text.get(19..)?;
    let (fraction, zone) = match rest.strip_prefix('.') {
        Some(rest) => rest.split_at(rest.find(|c: char| !c.is_ascii_digit())?),
        None => ("0", rest),
    };
    let local = ((days_since_epoch(year, month, day) * 24 + hour) * 60 + minute) * 60 + second;
    let utc = i64::try_from(local).ok()?.checked_sub(offset_seconds(zone)?)?;
    u64::try_from(utc).ok()?.checked_mul(1_000_000_000)?.checked_add(fraction_ns(fraction)?)
}

/// `Z`, `+hh:mm` or `-hh:mm` in seconds.
fn offset_seconds(zone: &str) -> Option<i64> {
    let bytes = zone.as_bytes();
    match bytes {
        b"Z" | b"z" => Some(0),
        [sign @ (b'+' | b'-'), _, _, b':', _, _] => {
            let hours = digits(&bytes[1..3]).filter(|hours| *hours < 24)?;
            let minutes = digits(&bytes[4..6]).filter(|minutes| *minutes < 60)?;
            let seconds = i64::try_from(hours * 3600 + minutes * 60).ok()?;
            Some(if *sign == b'+' { seconds } else { -seconds })
        }
        _ => None,
    }
}

const fn is_leap(year: u64) -> bool {
    (year.is_multiple_of(4) && !year.is_multiple_of(100)) || year.is_multiple_of(400)
}

const fn days_in_month(year: u64, month: u64) -> u64 {
    match month {
        2 if is_leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days from 1970-01-01 to a date of the Gregorian calendar, for years from 1970 (H. Hinnant, `days_from_civil`).
const fn days_since_epoch(year: u64, month: u64, day: u64) -> u64 {
    let year = if month <= 2 { year - 1 } else { year };
    let shifted_month = if month > 2 { month - 3 } else { month + 9 };
    let day_of_year = (153 * shifted_month + 2) / 5 + day - 1;
    let (era, year_of_era) = (year / 400, year % 400);
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

/// A time as `2024-08-08T23:54:00Z`, for requests; the fraction is cut.
pub(crate) fn to_rfc3339(time_ns: u64) -> String {
    let seconds = time_ns / 1_000_000_000;
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    let (year, month, day) = civil(days);
    format!("{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}Z", rest / 3600, rest / 60 % 60, rest % 60)
}

/// The date of a day counted from 1970-01-01 (H. Hinnant, `civil_from_days`).
const fn civil(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era + era * 400 + if month <= 2 { 1 } else { 0 };
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn times_of_all_venues_read_exactly() {
        let cases = [
            ("2023-09-25T07:48:36.925533Z", 1_695_628_116_925_533_000),
            ("2024-10-04T07:13:31.158696693Z", 1_728_026_011_158_696_693),
            ("2024-02-29T00:00:00Z", 1_709_164_800_000_000_000),
            ("2021-05-31T09:59:59+00:00", 1_622_455_199_000_000_000),
            ("2021-05-31T11:59:59.5+02:00", 1_622_455_199_500_000_000),
            ("2021-05-31 05:29:59-04:30", 1_622_455_199_000_000_000),
        ];
        for (text, time_ns) in cases {
            assert_eq!(rfc3339("t", Some(text)), Ok(time_ns), "{text}");
        }
        assert_eq!(seconds("t", Some("1688669597.8277369")), Ok(1_688_669_597_827_736_900));
        assert_eq!(seconds("t", Some("1688671200")), Ok(1_688_671_200_000_000_000));
        assert_eq!(millis("t", Some(1_723_161_255_342)), Ok(1_723_161_255_342_000_000));
        assert_eq!(millis_text("t", Some("1630048897897")), Ok(1_630_048_897_897_000_000));
    }

    #[test]
    fn times_that_are_none_are_refused() {
        let bad = [
            "",
            "2023-09-25",
            "2023-02-30T00:00:00Z",
            "2023-13-01T00:00:00Z",
            "2023-01-01T24:00:00Z",
            "2023-01-01T00:00:00",
            "2023-01-01T00:00:00.Z",
            "0001-01-01T00:00:00Z",
            "1999-01-01T00:00:00Z",
            "9999-01-01T00:00:00Z",
            "2023-01-01T00:00:00.5",
            "2023-01-01T00:00:00+0100",
            "2023-01-01T00:00:00é",
        ];
        for text in bad {
            assert_eq!(rfc3339("t", Some(text)).unwrap_err().reason, Reason::BadTime, "{text}");
        }
        for text in ["", "x", "1.2.3", "-1", "123456789", "99999999999999999999", "1688669597.", "1688669597.x"] {
            assert_eq!(seconds("t", Some(text)).unwrap_err().reason, Reason::BadTime, "{text}");
        }
        assert_eq!(millis("t", Some(u64::MAX)).unwrap_err().reason, Reason::BadTime);
        assert_eq!(millis("t", None).unwrap_err().reason, Reason::MissingField);
    }

    proptest! {
        #[test]
        fn dates_round_trip(seconds in 1_000_000_000u64..9_000_000_000) {
            let time_ns = seconds * 1_000_000_000;
            prop_assert_eq!(parse_rfc3339(&to_rfc3339(time_ns)), Some(time_ns));
        }

        #[test]
        fn arbitrary_text_never_panics(text in ".{0,40}") {
            std::hint::black_box(rfc3339("t", Some(&text)).is_ok());
            std::hint::black_box(seconds("t", Some(&text)).is_ok());
            std::hint::black_box(millis_text("t", Some(&text)).is_ok());
            std::hint::black_box(decimal("n", Some(&text)).is_ok());
        }
    }
}
