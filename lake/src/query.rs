//! What a reader asks for.

use proto::{Interval, Symbol, Venue};

/// How many rows at most, and from which end of the range.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Limit {
    /// All rows of the range.
    #[default]
    None,
    /// The first `n` by time.
    Oldest(usize),
    /// The last `n` by time; quick, as it looks back from the end of the range only as far as needed.
    Newest(usize),
}

/// A series of candles.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CandleQuery {
    /// Venue.
    pub venue: Venue,
    /// Symbol.
    pub symbol: Symbol,
    /// Length of the candles.
    pub interval: Interval,
    /// Least open time, ns since the epoch, included.
    pub from_ns: u64,
    /// Greatest open time, not included; `u64::MAX` for no end.
    pub to_ns: u64,
    /// How many; the answer is ascending in any case.
    pub limit: Limit,
    /// A snapshot of the candles table, for a repeatable answer; the newest if none.
    pub snapshot: Option<i64>,
}

impl CandleQuery {
    /// All candles that open in `[from_ns, to_ns)`.
    #[must_use]
    pub const fn range(venue: Venue, symbol: Symbol, interval: Interval, from_ns: u64, to_ns: u64) -> Self {
        Self { venue, symbol, interval, from_ns, to_ns, limit: Limit::None, snapshot: None }
    }

    /// The newest `count` candles that open before `to_ns`.
    #[must_use]
    pub const fn newest(venue: Venue, symbol: Symbol, interval: Interval, to_ns: u64, count: usize) -> Self {
        Self { venue, symbol, interval, from_ns: 0, to_ns, limit: Limit::Newest(count), snapshot: None }
    }
}

/// The trades of a symbol.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TickQuery {
    /// Venue.
    pub venue: Venue,
    /// Symbol.
    pub symbol: Symbol,
    /// Least event time, ns since the epoch, included. The lake keeps whole microseconds.
    pub from_ns: u64,
    /// Greatest event time, not included; `u64::MAX` for no end.
    pub to_ns: u64,
    /// How many; the answer is ascending by (event time, numeric trade id, trade id) in any case.
    pub limit: Limit,
    /// A snapshot of the ticks table, for a repeatable answer; the newest if none.
    pub snapshot: Option<i64>,
}

impl TickQuery {
    /// All trades in `[from_ns, to_ns)`.
    #[must_use]
    pub const fn range(venue: Venue, symbol: Symbol, from_ns: u64, to_ns: u64) -> Self {
        Self { venue, symbol, from_ns, to_ns, limit: Limit::None, snapshot: None }
    }
}
