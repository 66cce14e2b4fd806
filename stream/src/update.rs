//! What the aggregator says about a window: a row to write, or that only the lake knows the row.

use crate::content::Content;
use proto::market::Candle;
use proto::{Decimal, Interval, Symbol, Venue};

/// Index of a key within one partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeyId(pub(crate) u32);

/// Venue and symbol; cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Ticker {
    /// Venue.
    pub venue: Venue,
    /// Symbol.
    pub symbol: Symbol,
}

/// How far an update may be written as it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Trust {
    /// Content and revision are exact.
    Exact,
    /// The content is exact, but the lake may hold rows of the window that the aggregator does not know.
    Verify,
    /// The window is not, or not wholly, in memory: its content comes from the ticks in the lake.
    Recompute,
}

/// One change of one window. A function of the records of a partition up to the one that caused it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Update {
    /// The key.
    pub key: KeyId,
    /// The interval.
    pub interval: Interval,
    /// Start of the window, ns since the epoch.
    pub open_time_ns: u64,
    /// False for a window that was still open when its stream ended.
    pub closed: bool,
    /// Trades from before the live feed began are missing.
    pub partial: bool,
    /// Counts the updates of the window from 0.
    pub revision: u32,
    /// How far this may be written as it stands.
    pub trust: Trust,
    /// The sums; nothing with [`Trust::Recompute`].
    pub content: Content,
}

impl Update {
    /// The candle.
    #[must_use]
    pub fn candle(&self, ticker: &Ticker) -> Candle {
        let mut candle = candle(ticker, self.interval, self.open_time_ns, &self.content);
        candle.revision = self.revision;
        // Over, but not whole: what comes later may complete it.
        candle.closed = self.closed && !self.partial;
        candle
    }
}

/// The candle of a content, open and of revision 0.
#[must_use]
pub fn candle(ticker: &Ticker, interval: Interval, open_time_ns: u64, content: &Content) -> Candle {
    Candle {
        venue: ticker.venue.clone(),
        symbol: ticker.symbol.clone(),
        interval,
        open_time_ns,
        open: decimal(content.open),
        high: decimal(content.high),
        low: decimal(content.low),
        close: decimal(content.close),
        volume: decimal(content.volume),
        quote_volume: if content.unvalued { Decimal::ZERO } else { decimal(content.quote_volume) },
        trades: if content.uncounted { 0 } else { content.trades },
        revision: 0,
        closed: false,
        repaired: content.repaired,
    }
}

/// Prices came from decimals, and [`crate::content::TRADE_LIMIT`] keeps the sums of 10^5 of the largest trades within
/// decimal(38,18); beyond that a volume stays at the greatest number that the lake can hold.
fn decimal(units: i128) -> Decimal {
    const GREATEST: i128 = 99_999_999_999_999_999_999_999_999_999_999_999_999;
    Decimal::from_units(units.clamp(-GREATEST, GREATEST)).unwrap_or_default()
}
