//! Paged history: queries, pages and the cursor that leads from one page to the next.
//!
//! The caller's loop is the same for each venue: request `trades_page(&query)`, read it with `parse_trades(&query, ..)`,
//! go on with `page.next` until it is `None`. Which way the venue pages is the adapter's business.

use crate::Rejection;
use proto::market::{Candle, Tick};
use proto::{Interval, Symbol};

/// Ask for the trades of `[from_ns, to_ns)`, or of a range of ids.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TradesQuery {
    /// Symbol.
    pub symbol: Symbol,
    /// Start, inclusive. With `ids`, the time of the last known trade before the hole: where to search.
    pub from_ns: u64,
    /// End, exclusive. With `ids`, a time after the first known trade behind the hole.
    pub to_ns: u64,
    /// If set, the trades with these ids and no others, whatever their time.
    pub ids: Option<IdRange>,
    /// Where to go on. `None` in a new query; otherwise as the previous page gave it.
    pub cursor: Option<Cursor>,
}

impl TradesQuery {
    /// All trades of `[from_ns, to_ns)`.
    #[must_use]
    pub const fn by_time(symbol: Symbol, from_ns: u64, to_ns: u64) -> Self {
        Self { symbol, from_ns, to_ns, ids: None, cursor: None }
    }

    /// The trades `first..=last`, which happened inside `[from_ns, to_ns]`.
    #[must_use]
    pub const fn by_id(symbol: Symbol, first: u64, last: u64, from_ns: u64, to_ns: u64) -> Self {
        Self { symbol, from_ns, to_ns, ids: Some(IdRange { first, last }), cursor: None }
    }

    /// True if the answer to this query contains a trade of this id and time.
    #[must_use]
    pub fn wants(&self, id: Option<u64>, event_time_ns: u64) -> bool {
        match self.ids {
            Some(range) => id.is_some_and(|id| range.first <= id && id <= range.last),
            None => self.from_ns <= event_time_ns && event_time_ns < self.to_ns,
        }
    }
}

/// Ids from `first` to `last`, both included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IdRange {
    /// First id.
    pub first: u64,
    /// Last id.
    pub last: u64,
}

/// The adapter's note to itself between two pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cursor {
    /// Trades from this id on, upwards.
    FromId(u64),
    /// Trades before this id, downwards.
    BeforeId(u64),
    /// The last wanted trade has an id from `low` to `high`: halve.
    Bisect {
        /// Lowest possible id.
        low: u64,
        /// Highest possible id.
        high: u64,
    },
    /// Trades from this time on, ns.
    FromTime(u64),
}

/// A page of trades.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TradesPage {
    /// The trades, ascending.
    pub ticks: Vec<Tick>,
    /// Ids of the series that are no market prints: no ticks, and no holes either.
    pub void_ids: Vec<u64>,
    /// Rows that were refused.
    pub refused: Vec<Rejection>,
    /// The next query, `None` if this was the last page.
    pub next: Option<TradesQuery>,
    /// True if the venue no longer has (part of) what was asked for: `next` is `None` and the answer is incomplete.
    pub cut_short: bool,
}

/// Ask for the candles that open in `[from_ns, to_ns)`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CandlesQuery {
    /// Symbol.
    pub symbol: Symbol,
    /// Length of the candles.
    pub interval: Interval,
    /// Start, inclusive.
    pub from_ns: u64,
    /// End, exclusive.
    pub to_ns: u64,
}

impl CandlesQuery {
    /// End of the first `rows` intervals of the range, or of the range.
    pub(crate) fn window_end(&self, rows: u64) -> u64 {
        self.from_ns.saturating_add(rows.saturating_mul(self.interval.nanos())).min(self.to_ns)
    }

    /// The query for what lies behind the first `rows` intervals.
    pub(crate) fn after_window(&self, rows: u64) -> Option<Self> {
        let from_ns = self.window_end(rows);
        (self.from_ns < from_ns && from_ns < self.to_ns).then(|| Self { from_ns, ..self.clone() })
    }
}

/// A page of candles.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CandlesPage {
    /// Closed candles with revision 0, ascending.
    pub candles: Vec<Candle>,
    /// Rows that were refused.
    pub refused: Vec<Rejection>,
    /// The next query, `None` if this was the last page.
    pub next: Option<CandlesQuery>,
    /// True if the venue no longer has (part of) what was asked for.
    pub cut_short: bool,
}
