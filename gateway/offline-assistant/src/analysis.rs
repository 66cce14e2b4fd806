//! Breakouts and price levels of candles. Prices are compared as exact decimals; nothing here looks past the candle it judges.

use jiff::Timestamp;
use proto::Decimal;
use serde::{Deserialize, Serialize};
use trading::backtest::Candle;
use trading::backtest::document::Exact;

/// Fewest and most candles that a breakout is measured against.
pub const LOOKBACK: std::ops::RangeInclusive<usize> = 2..=500;
/// Candles on each side that a pivot must be beyond.
pub const PIVOT_SPAN: usize = 3;
/// Fewest pivots that make a level.
pub const TOUCHES_MIN: usize = 2;

/// Times as text.
mod rfc3339 {
    use jiff::Timestamp;
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(time: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(time)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Timestamp, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

/// Which way a price went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// Above the highest high.
    Up,
    /// Below the lowest low.
    Down,
}

/// A close beyond all candles of the lookback.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Breakout {
    /// Start of the candle that closed there.
    #[serde(with = "rfc3339")]
    pub time: Timestamp,
    /// Which way.
    pub direction: Direction,
    /// Its close.
    pub close: Exact,
    /// The highest high, or lowest low, of the candles before it.
    pub level: Exact,
}

/// Candles that closed above the highest high, or below the lowest low, of the `lookback` candles before them (a Donchian channel that leaves
/// out the candle itself). Of a run of such candles in one direction only the first counts: a breakout begins when the candle before was
/// none in this direction. At most `count`, the newest ones, oldest first. `candles` are closed, ascending in time.
///
/// A lookback outside [`LOOKBACK`] is moved into it.
#[must_use]
pub fn breakouts(candles: &[Candle], lookback: usize, count: usize) -> Vec<Breakout> {
    let lookback = lookback.clamp(*LOOKBACK.start(), *LOOKBACK.end());
    let mut found = Vec::new();
    let mut before = None;
    for at in lookback..candles.len() {
        let window = &candles[at - lookback..at];
        let candle = &candles[at];
        let high = window.iter().map(|it| it.high).max().unwrap_or(candle.high);
        let low = window.iter().map(|it| it.low).min().unwrap_or(candle.low);
        let beyond = if candle.close > high {
            Some((Direction::Up, high))
        } else if candle.close < low {
            Some((Direction::Down, low))
        } else {
            None
        };
        if let Some((direction, level)) = beyond
            && before != Some(direction)
        {
            found.push(Breakout { time: time(candle), direction, close: Exact(candle.close), level: Exact(level) });
        }
        before = beyond.map(|(direction, _)| direction);
    }
    let skip = found.len().saturating_sub(count);
    found.split_off(skip)
}

fn time(candle: &Candle) -> Timestamp {
    Timestamp::from_nanosecond(i128::from(candle.open_time_ns)).unwrap_or(Timestamp::MAX)
}

/// What a level is, seen from the last close.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LevelKind {
    /// Below the last close, or at it.
    Support,
    /// Above it.
    Resistance,
}

/// A price where candles turned more than once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PriceLevel {
    /// Median of its pivots; of two middle ones the lower: always a price that was traded.
    pub price: Exact,
    /// Seen from the last close.
    pub kind: LevelKind,
    /// How many pivots it has.
    pub touches: usize,
    /// Start of its newest pivot's candle.
    #[serde(with = "rfc3339")]
    pub last_touch: Timestamp,
}

/// Support and resistance of closed candles, ascending in time.
///
/// 1. A pivot is a high that is above the highs of the [`PIVOT_SPAN`] candles before it and not below those of as many after it, or a low the other way round. So a
///    plateau has one pivot, its first candle, and the newest candles have none yet.
/// 2. Pivots in order of price belong together as long as the next is no further from the first of its group than the tolerance: the mean range (high less low) of all
///    candles.
/// 3. A group of at least [`TOUCHES_MIN`] pivots is a level.
///
/// At most `count` levels: those with the most pivots, of equals the one touched last; in order of price, the highest first.
#[must_use]
pub fn levels(candles: &[Candle], count: usize) -> Vec<PriceLevel> {
    let Some(last) = candles.last() else { return Vec::new() };
    let mut pivots = pivots(candles);
    pivots.sort_unstable();
    let tolerance = mean_range(candles);
    let mut found: Vec<PriceLevel> = Vec::new();
    let mut rest = pivots.as_slice();
    while let Some((first, _)) = rest.first() {
        let near = |price: &Decimal| price.checked_sub(*first).is_some_and(|away| away <= tolerance);
        let length = rest.iter().take_while(|(price, _)| near(price)).count().max(1);
        let (group, others) = rest.split_at(length);
        rest = others;
        if group.len() >= TOUCHES_MIN {
            let price = group[(group.len() - 1) / 2].0;
            let kind = if price <= last.close { LevelKind::Support } else { LevelKind::Resistance };
            let newest = group.iter().map(|(_, at)| *at).max().unwrap_or(0);
            found.push(PriceLevel {
                price: Exact(price),
                kind,
                touches: group.len(),
                last_touch: time(&candles[newest]),
            });
        }
    }
    found.sort_by_key(|level| std::cmp::Reverse((level.touches, level.last_touch)));
    found.truncate(count);
    found.sort_by_key(|level| std::cmp::Reverse(level.price.0));
    found
}

/// Price and place of each pivot.
fn pivots(candles: &[Candle]) -> Vec<(Decimal, usize)> {
    let mut pivots = Vec::new();
    for at in PIVOT_SPAN..candles.len().saturating_sub(PIVOT_SPAN) {
        let (before, after) = (&candles[at - PIVOT_SPAN..at], &candles[at + 1..=at + PIVOT_SPAN]);
        let (high, low) = (candles[at].high, candles[at].low);
        if before.iter().all(|it| it.high < high) && after.iter().all(|it| it.high <= high) {
            pivots.push((high, at));
        }
        if before.iter().all(|it| it.low > low) && after.iter().all(|it| it.low >= low) {
            pivots.push((low, at));
        }
    }
    pivots
}

fn mean_range(candles: &[Candle]) -> Decimal {
    let sum = candles.iter().try_fold(Decimal::ZERO, |sum, it| sum.checked_add(it.high.checked_sub(it.low)?));
    let count = i64::try_from(candles.len()).unwrap_or(i64::MAX);
    // A sum beyond all decimals belongs to no market: then only equal prices are one level.
    sum.and_then(|sum| sum.checked_div(Decimal::from_int(count))).unwrap_or(Decimal::ZERO)
}

#[cfg(test)]
mod tests;
