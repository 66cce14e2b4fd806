//! Candles recomputed from scratch, in the simplest way that can be right.

use crate::recording::Trade;
use proto::market::{Candle, Tick};
use proto::{Decimal, Interval, Symbol, Venue};
use std::collections::BTreeMap;

/// What of a trade makes candles.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Print {
    /// Venue time, ns.
    pub time_ns: u64,
    /// Order among trades of the same time.
    pub id: u64,
    /// Price.
    pub price: Decimal,
    /// Size.
    pub size: Decimal,
}

impl From<&Trade> for Print {
    fn from(trade: &Trade) -> Self {
        let decimal = |mantissa: u64, scale| Decimal::new(mantissa.into(), scale).expect("fits");
        Self {
            time_ns: trade.time_ms * 1_000_000,
            id: trade.id,
            price: decimal(trade.price_cents, 2),
            size: decimal(trade.size_e5, 5),
        }
    }
}

impl From<&Tick> for Print {
    fn from(tick: &Tick) -> Self {
        let id = tick.trade_id.parse().expect("a numeric id");
        Self { time_ns: tick.event_time_ns, id, price: tick.price, size: tick.size }
    }
}

/// All candles of a series by open time, from trades in any order; `closed` and `revision` are left at their defaults.
///
/// # Panics
/// If a sum leaves the range of a decimal.
#[must_use]
pub fn candles(
    venue: &Venue,
    symbol: &Symbol,
    interval: Interval,
    trades: impl IntoIterator<Item = Print>,
) -> BTreeMap<u64, Candle> {
    let mut sorted: Vec<_> = trades.into_iter().collect();
    sorted.sort_by_key(|t| (t.time_ns, t.id));
    let mut candles = BTreeMap::new();
    for Print { time_ns, price, size, .. } in sorted {
        let notional = price.checked_mul(size).expect("fits");
        let open_time_ns = interval.open_time(time_ns);
        let candle = candles.entry(open_time_ns).or_insert_with(|| Candle {
            venue: venue.clone(),
            symbol: symbol.clone(),
            interval,
            open_time_ns,
            open: price,
            high: price,
            low: price,
            close: price,
            volume: Decimal::ZERO,
            quote_volume: Decimal::ZERO,
            trades: 0,
            revision: 0,
            closed: false,
            repaired: false,
        });
        candle.high = candle.high.max(price);
        candle.low = candle.low.min(price);
        candle.close = price;
        candle.volume = candle.volume.checked_add(size).expect("fits");
        candle.quote_volume = candle.quote_volume.checked_add(notional).expect("fits");
        candle.trades += 1;
    }
    candles
}

/// Compares the lake's candles (highest revision each) with the recomputation.
///
/// # Errors
/// The first difference, in words.
pub fn compare_candles(expected: &BTreeMap<u64, Candle>, got: &[Candle]) -> Result<(), String> {
    let got: BTreeMap<u64, &Candle> = got.iter().map(|c| (c.open_time_ns, c)).collect();
    for time in expected.keys().chain(got.keys()) {
        let (Some(want), Some(have)) = (expected.get(time), got.get(time)) else {
            return Err(format!("at {time}: want {:?}, have {:?}", expected.get(time), got.get(time)));
        };
        let comparable = Candle { revision: 0, closed: false, repaired: false, ..(*have).clone() };
        if comparable != *want {
            return Err(format!("at {time}: want {want:?}, have {have:?}"));
        }
    }
    Ok(())
}

/// Checks that each trade is there exactly once and nothing else is.
///
/// # Errors
/// The first difference, in words.
pub fn compare_ticks(expected: &[String], got: &[Tick]) -> Result<(), String> {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for tick in got {
        *counts.entry(&tick.trade_id).or_default() += 1;
    }
    if let Some((id, count)) = counts.iter().find(|(_, count)| **count > 1) {
        return Err(format!("trade {id} is there {count} times"));
    }
    for id in expected {
        if counts.remove(id.as_str()).is_none() {
            return Err(format!("trade {id} is missing"));
        }
    }
    match counts.into_keys().next() {
        Some(id) => Err(format!("trade {id} was never made")),
        None => Ok(()),
    }
}
