//! Candle intervals and spans of time in a message: `1h`, "hourly", "5 min", "last month", "since 2026-01-01", "7 days".

use crate::words::Words;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan, Zoned};

/// A candle interval of the platform.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Interval(u32);

const SECONDS: [(u32, &str); 7] =
    [(1, "1s"), (60, "1m"), (300, "5m"), (900, "15m"), (3600, "1h"), (14_400, "4h"), (86_400, "1d")];

impl Interval {
    pub(crate) const HOUR: Self = Self(3600);

    /// The nearest one that the platform keeps, the shorter of two.
    fn nearest(seconds: u64) -> Self {
        let nearest = SECONDS.iter().min_by_key(|(known, _)| ratio(u64::from(*known), seconds.max(1)));
        Self(nearest.map_or(3600, |(known, _)| *known))
    }

    /// `1h` and the like.
    pub(crate) fn name(self) -> &'static str {
        SECONDS.iter().find(|(seconds, _)| *seconds == self.0).map_or("1h", |(_, name)| name)
    }

    /// Reads `1h` or `3600s`; only intervals of the platform.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let seconds = length(text)?;
        SECONDS.iter().find(|(known, _)| u64::from(*known) == seconds).map(|(known, _)| Self(*known))
    }

    /// How far back a backtest goes if nobody says: enough candles to see something, few enough to fetch at once.
    pub(crate) const fn usual_days(self) -> i64 {
        match self.0 {
            1 => 1,
            60 => 7,
            300 => 30,
            900 => 60,
            3600 => 90,
            14_400 => 365,
            _ => 1095,
        }
    }
}

/// How far two lengths are apart, in thousandths.
fn ratio(left: u64, right: u64) -> u64 {
    left.max(right).saturating_mul(1000) / left.min(right).max(1)
}

/// Seconds of a length such as `90m`; only the letters that are used for candles.
fn length(text: &str) -> Option<u64> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().ok().filter(|number| (1..=100_000).contains(number))?;
    unit_seconds(unit).map(|seconds| seconds * number)
}

fn unit_seconds(unit: &str) -> Option<u64> {
    Some(match unit {
        "s" | "sec" | "secs" | "second" | "seconds" => 1,
        "m" | "min" | "mins" | "minute" | "minutes" => 60,
        "h" | "hr" | "hrs" | "hour" | "hours" => 3600,
        "d" | "day" | "days" => 86_400,
        "w" | "wk" | "week" | "weeks" => 7 * 86_400,
        _ => return None,
    })
}

/// What a message says about candles.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Asked {
    /// What it gets.
    pub(crate) interval: Interval,
    /// False if what it said is not kept, and the nearest one stands in.
    pub(crate) exact: bool,
}

/// The interval that is named, if one is.
pub(crate) fn interval(words: &Words) -> Option<Asked> {
    let plain = words.plain();
    for (at, word) in plain.iter().enumerate() {
        let named = match word.as_str() {
            "hourly" => Some(3600),
            "daily" => Some(86_400),
            "weekly" => Some(7 * 86_400),
            "minutely" => Some(60),
            _ => None,
        };
        let before = |back: usize| at.checked_sub(back).map_or("", |at| plain[at].as_str());
        let spelled = || {
            let next = plain.get(at + 1).map_or("", String::as_str);
            let number = number(word)?;
            unit_seconds(next)
                .map(|seconds| (seconds.saturating_mul(number), next.ends_with('s') && next.len() > 1, number))
        };
        let span = is_span(before(1)) || is_span(before(2));
        let seconds = named.or_else(|| {
            let joined = length(word).filter(|seconds| !span && *seconds <= 7 * 86_400 && word != "24h");
            // "7 days" is a time, "1 day" a candle.
            let long = before(1) == "for";
            let apart = || {
                spelled()
                    .filter(|(seconds, plural, _)| !(span || *plural || long && *seconds >= 86_400))
                    .map(|(seconds, ..)| seconds)
            };
            let few = || {
                spelled()
                    .filter(|(seconds, _, number)| !span && *seconds <= 14_400 && *number > 1)
                    .map(|(seconds, ..)| seconds)
            };
            joined.filter(|seconds| !word.ends_with('d') || *seconds == 86_400).or_else(apart).or_else(few)
        });
        if let Some(seconds) = seconds {
            let interval = Interval::nearest(seconds);
            return Some(Asked { interval, exact: u64::from(interval.0) == seconds });
        }
    }
    let candles = ["candle", "candles", "chart", "timeframe", "bars"];
    let beside = |unit: &str| plain.windows(2).any(|pair| pair[0] == unit && candles.contains(&pair[1].as_str()));
    let seconds = [("minute", 60), ("hour", 3600), ("day", 86_400)].into_iter().find(|(unit, _)| beside(unit));
    seconds.map(|(_, seconds)| Asked { interval: Interval::nearest(seconds), exact: true })
}

fn number(word: &str) -> Option<u64> {
    let spelled = ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"];
    let spelled = spelled.iter().position(|name| *name == word).and_then(|at| u64::try_from(at + 1).ok());
    spelled.or_else(|| word.parse().ok()).filter(|number| (1..=100_000).contains(number))
}

/// Words before a length that make it a span of time.
fn is_span(word: &str) -> bool {
    ["last", "past", "previous", "over", "recent", "within", "during"].contains(&word)
}

/// A span of time, the end not included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Range {
    pub(crate) from: Timestamp,
    pub(crate) to: Timestamp,
}

impl Range {
    /// The days before now, ending with the last whole hour: the same question within an hour gets the same answer.
    pub(crate) fn days_before(now: Timestamp, days: i64) -> Self {
        let to = whole_hour(now);
        let from = to.checked_sub((days.clamp(1, 20_000) * 24).hours()).unwrap_or(Timestamp::UNIX_EPOCH);
        Self { from: from.max(Timestamp::UNIX_EPOCH), to }
    }

    /// RFC 3339.
    pub(crate) fn texts(&self) -> (String, String) {
        (self.from.to_string(), self.to.to_string())
    }

    /// A tenth of it, at least a day, at its end: what to try when there is no data for all of it.
    pub(crate) fn shorter_days(&self) -> i64 {
        ((self.to.as_second() - self.from.as_second()) / 86_400 / 4).max(1)
    }

    /// `2026-01-01 to 2026-02-01`.
    pub(crate) fn shown(&self) -> String {
        format!("{} to {}", day(self.from), day(self.to))
    }
}

/// The UTC day of a time.
pub(crate) fn day(time: Timestamp) -> String {
    time.strftime("%Y-%m-%d").to_string()
}

fn whole_hour(time: Timestamp) -> Timestamp {
    let seconds = time.as_second().div_euclid(3600) * 3600;
    Timestamp::from_second(seconds).unwrap_or(Timestamp::UNIX_EPOCH)
}

/// The span of time that is named, if one is.
pub(crate) fn range(words: &Words, now: Timestamp) -> Option<Range> {
    let here = now.to_zoned(TimeZone::UTC);
    let (range, end) =
        (between(words, &here).or_else(|| counted(words, now)).or_else(|| named(words, &here)), whole_hour(now));
    let range = range.map(|range| Range { from: range.from.max(Timestamp::UNIX_EPOCH), to: range.to.min(end) });
    range.filter(|range| range.from < range.to)
}

fn start(date: Date) -> Option<Timestamp> {
    date.to_zoned(TimeZone::UTC).ok().map(|zoned| zoned.timestamp())
}

/// A date, the first of a month (`2026-01`, "March 2025"), or of a year.
fn date(word: &str, next: &str, now: &Zoned) -> Option<(Date, Date)> {
    const MONTHS: [&str; 12] = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
    let year = |text: &str| text.parse::<i16>().ok().filter(|year| (2009..=2100).contains(year));
    if let Ok(date) = word.parse::<Date>() {
        return Some((date, date.tomorrow().ok()?));
    }
    let whole_month = |year: i16, month: i8| {
        let first = Date::new(year, month, 1).ok()?;
        Some((first, first.checked_add(1.month()).ok()?))
    };
    if let Some((first, second)) = word.split_once('-') {
        return whole_month(year(first)?, second.parse().ok()?);
    }
    let is_month = word.len() >= 3 && word != "mark" && word != "market" && word != "markets";
    let month = MONTHS.iter().position(|month| is_month && word.starts_with(month) && is_month_name(word));
    if let Some(month) = month.and_then(|month| i8::try_from(month + 1).ok()) {
        let this = if month > now.month() { now.year() - 1 } else { now.year() };
        return whole_month(year(next).unwrap_or(this), month);
    }
    let year = year(word)?;
    Some((Date::new(year, 1, 1).ok()?, Date::new(year + 1, 1, 1).ok()?))
}

fn is_month_name(word: &str) -> bool {
    const NAMES: &str = "january february march april may june july august september october november december \
        jan feb mar apr jun jul aug sep sept oct nov dec";
    NAMES.split_whitespace().any(|name| name == word)
}

/// "since D", "from D to D", "between D and D", "in January".
fn between(words: &Words, now: &Zoned) -> Option<Range> {
    let plain = words.plain();
    let at = |at: usize| plain.get(at).map_or("", String::as_str);
    for (place, word) in plain.iter().enumerate() {
        let open = matches!(word.as_str(), "since" | "from" | "after" | "between");
        if !open && !matches!(word.as_str(), "in" | "during" | "for") {
            continue;
        }
        let Some((from, after)) = date(at(place + 1), at(place + 2), now) else { continue };
        let ends = (place + 2..(place + 6).min(plain.len()))
            .filter(|i| matches!(at(*i), "to" | "until" | "till" | "and" | "through"));
        let end = ends.filter_map(|i| date(at(i + 1), at(i + 2), now)).next();
        let to = match end {
            // A day ends it, a month or a year is part of it.
            Some((first, last)) if open && first.tomorrow().ok() == Some(last) => first,
            Some((_, last)) if open => last,
            _ if open => return Some(Range { from: start(from)?, to: whole_hour(now.timestamp()) }),
            _ => after,
        };
        return Some(Range { from: start(from)?, to: start(to)? });
    }
    None
}

/// "last 7 days", "past month", "3 weeks", "30d".
fn counted(words: &Words, now: Timestamp) -> Option<Range> {
    let plain = words.plain();
    let days_of = |unit: &str| {
        Some(match unit {
            "day" | "days" | "d" => 1,
            "week" | "weeks" | "w" => 7,
            "month" | "months" | "mo" => 30,
            "quarter" | "quarters" => 91,
            "year" | "years" | "y" => 365,
            _ => return None,
        })
    };
    for (at, word) in plain.iter().enumerate() {
        let next = plain.get(at + 1).map_or("", String::as_str);
        let span = at.checked_sub(1).is_some_and(|before| is_span(&plain[before]) || plain[before] == "for");
        let count = number(word).and_then(|count| i64::try_from(count).ok());
        if let (Some(count), Some(days)) = (count, days_of(next))
            && (span || count > 1 || days > 7)
        {
            return Some(Range::days_before(now, count.saturating_mul(days)));
        }
        if let (true, Some(days)) = (is_span(word) || word == "this", days_of(next)) {
            return (word != "this" || days > 1).then(|| Range::days_before(now, days));
        }
        let hours = |text: &str, unit: &str| {
            number(text).filter(|_| unit_seconds(unit) == Some(3600)).and_then(|hours| i64::try_from(hours).ok())
        };
        if let Some(hours) = hours(word, next).filter(|hours| span && *hours >= 24) {
            return Some(Range::days_before(now, hours / 24));
        }
        let digits = word.bytes().take_while(u8::is_ascii_digit).count();
        if let (Some(count), Some(days)) = (number(&word[..digits]), days_of(&word[digits..]))
            && (span || count > 1)
        {
            return Some(Range::days_before(now, i64::try_from(count).ok()?.saturating_mul(days)));
        }
    }
    None
}

fn named(words: &Words, now: &Zoned) -> Option<Range> {
    let (today, end) = (now.date(), whole_hour(now.timestamp()));
    let since = |first: Date| Some(Range { from: start(first)?, to: end });
    if words.any(&["yesterday"]) {
        return Some(Range { from: start(today.yesterday().ok()?)?, to: start(today)? });
    }
    if words.any(&["year to date", "ytd"]) {
        return since(Date::new(today.year(), 1, 1).ok()?);
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> Timestamp {
        "2026-03-15T10:20:30Z".parse().unwrap()
    }

    #[test]
    fn intervals_are_read_in_every_usual_spelling() {
        for (text, expected) in [
            ("BTC 1h", Some(("1h", true))),
            ("hourly chart", Some(("1h", true))),
            ("60m", Some(("1h", true))),
            ("3600s", Some(("1h", true))),
            ("switch to 5m", Some(("5m", true))),
            ("5 min", Some(("5m", true))),
            ("5-minute candles", Some(("5m", true))),
            ("15 minutes", Some(("15m", true))),
            ("4 hours", Some(("4h", true))),
            ("four hour candles", Some(("4h", true))),
            ("daily", Some(("1d", true))),
            ("1 day", Some(("1d", true))),
            ("the day chart", Some(("1d", true))),
            ("minute candles", Some(("1m", true))),
            ("1s", Some(("1s", true))),
            ("30m", Some(("15m", false))),
            ("weekly", Some(("1d", false))),
            ("last 7 days", None),
            ("7 days", None),
            ("30d", None),
            ("past 24 hours", None),
            ("20/50 cross", None),
            ("", None),
        ] {
            let read = interval(&Words::new(text)).map(|asked| (asked.interval.name(), asked.exact));
            assert_eq!(read, expected, "{text}");
        }
    }

    #[test]
    fn spans_are_read_in_every_usual_spelling() {
        for (text, expected) in [
            ("last month", "2026-02-13 to 2026-03-15"),
            ("over the past 7 days", "2026-03-08 to 2026-03-15"),
            ("7 days", "2026-03-08 to 2026-03-15"),
            ("for 30d", "2026-02-13 to 2026-03-15"),
            ("two weeks", "2026-03-01 to 2026-03-15"),
            ("last year", "2025-03-15 to 2026-03-15"),
            ("since 2026-01-01", "2026-01-01 to 2026-03-15"),
            ("from 2026-01-01 to 2026-02-01", "2026-01-01 to 2026-02-01"),
            ("between 2025-06-01 and 2025-07-01", "2025-06-01 to 2025-07-01"),
            ("in January", "2026-01-01 to 2026-02-01"),
            ("in November", "2025-11-01 to 2025-12-01"),
            ("in march 2025", "2025-03-01 to 2025-04-01"),
            ("in 2025", "2025-01-01 to 2026-01-01"),
            ("since 2024", "2024-01-01 to 2026-03-15"),
            ("yesterday", "2026-03-14 to 2026-03-15"),
            ("year to date", "2026-01-01 to 2026-03-15"),
            ("last 48 hours", "2026-03-13 to 2026-03-15"),
        ] {
            let read = range(&Words::new(text), now()).map(|range| range.shown());
            assert_eq!(read.as_deref(), Some(expected), "{text}");
        }
        for text in [
            "mark the last 3 breakouts",
            "1h",
            "1 day",
            "since 2027-01-01",
            "from 2026-02-01 to 2026-01-01",
            "may I",
            "in 99999",
        ] {
            assert_eq!(range(&Words::new(text), now()), None, "{text}");
        }
    }
}
