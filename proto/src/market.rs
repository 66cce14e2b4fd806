//! Market events as domain values, converted from and to the wire once, at the edge of a process.

use crate::limits::{BATCH_ROWS, TRADE_ID_BYTES};
use crate::{Decimal, DecimalError, IdError, Interval, IntervalError, Symbol, Venue, wire};

/// Why a wire message is not a valid market event; names the field.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MarketError {
    /// Venue or symbol.
    #[error(transparent)]
    Id(#[from] IdError),
    /// Interval.
    #[error(transparent)]
    Interval(#[from] IntervalError),
    /// A number.
    #[error("{field}: {source}")]
    Number {
        /// Which field.
        field: &'static str,
        /// Why.
        source: DecimalError,
    },
    /// A field is missing.
    #[error("{0}: missing")]
    Missing(&'static str),
    /// A field is out of its range.
    #[error("{field}: {rule}")]
    Range {
        /// Which field.
        field: &'static str,
        /// What must hold.
        rule: &'static str,
    },
}

/// The taker's side.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Side {
    /// The venue did not say.
    #[default]
    Unknown,
    /// The taker bought.
    Buy,
    /// The taker sold.
    Sell,
}

/// How a tick reached us.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Source {
    /// A live feed.
    Live,
    /// Fetched over REST.
    Backfill,
    /// A replayed recording.
    Replay,
}

/// One trade.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tick {
    /// Venue.
    pub venue: Venue,
    /// Symbol.
    pub symbol: Symbol,
    /// The venue's id of the trade.
    pub trade_id: String,
    /// Venue clock, ns since the epoch.
    pub event_time_ns: u64,
    /// Our clock, ns since the epoch.
    pub receive_time_ns: u64,
    /// Price in the quote asset, > 0.
    pub price: Decimal,
    /// Size in the base asset, > 0.
    pub size: Decimal,
    /// The taker's side.
    pub side: Side,
    /// How it reached us.
    pub source: Source,
    /// True if it was fetched to fill a gap.
    pub repaired: bool,
}

/// Best bid and ask.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quote {
    /// Venue.
    pub venue: Venue,
    /// Symbol.
    pub symbol: Symbol,
    /// Venue clock; the receive time if the venue sends none.
    pub event_time_ns: u64,
    /// Our clock.
    pub receive_time_ns: u64,
    /// Highest bid.
    pub bid_price: Decimal,
    /// Size at the bid.
    pub bid_size: Decimal,
    /// Lowest ask, not below the bid.
    pub ask_price: Decimal,
    /// Size at the ask.
    pub ask_size: Decimal,
}

/// One candle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candle {
    /// Venue.
    pub venue: Venue,
    /// Symbol.
    pub symbol: Symbol,
    /// Length.
    pub interval: Interval,
    /// Start, ns since the epoch, a multiple of the interval.
    pub open_time_ns: u64,
    /// First price.
    pub open: Decimal,
    /// Highest price.
    pub high: Decimal,
    /// Lowest price.
    pub low: Decimal,
    /// Last price.
    pub close: Decimal,
    /// Sum of sizes, base asset.
    pub volume: Decimal,
    /// Sum of price times size, quote asset.
    pub quote_volume: Decimal,
    /// Number of trades; 0 if the venue does not say.
    pub trades: u64,
    /// 0 for the first closed value; higher after each correction.
    pub revision: u32,
    /// True once the interval is over.
    pub closed: bool,
    /// True if a fetched trade or a venue candle changed it.
    pub repaired: bool,
}

impl Candle {
    /// True if prices, volumes and flags are equal whatever the revision.
    #[must_use]
    pub fn same_content(&self, other: &Self) -> bool {
        Self { revision: other.revision, ..self.clone() } == *other
    }
}

fn number(field: &'static str, value: Option<&wire::Decimal>) -> Result<Decimal, MarketError> {
    value.ok_or(MarketError::Missing(field))?.try_into().map_err(|source| MarketError::Number { field, source })
}

fn positive(field: &'static str, value: Option<&wire::Decimal>) -> Result<Decimal, MarketError> {
    let value = number(field, value)?;
    if value.is_positive() { Ok(value) } else { Err(MarketError::Range { field, rule: "must be greater than 0" }) }
}

fn not_negative(field: &'static str, value: Option<&wire::Decimal>) -> Result<Decimal, MarketError> {
    let value = number(field, value)?;
    if value.is_negative() { Err(MarketError::Range { field, rule: "must not be negative" }) } else { Ok(value) }
}

impl Tick {
    /// Checks the ranges that every tick must satisfy.
    ///
    /// # Errors
    /// Names the field.
    pub fn validate(&self) -> Result<(), MarketError> {
        let rule = |field, rule, ok: bool| if ok { Ok(()) } else { Err(MarketError::Range { field, rule }) };
        rule("trade_id", "must be 1 to 64 bytes", (1..=TRADE_ID_BYTES).contains(&self.trade_id.len()))?;
        rule("event_time_ns", "must be between 2001 and 2262", valid_time(self.event_time_ns))?;
        rule("price", "must be greater than 0", self.price.is_positive())?;
        rule("size", "must be greater than 0", self.size.is_positive())
    }
}

/// Between 2001-09-09 and 2262-04-11: what fits signed 64-bit nanoseconds and is no unit mix-up.
#[must_use]
pub const fn valid_time(time_ns: u64) -> bool {
    time_ns >= 1_000_000_000_000_000_000 && time_ns <= i64::MAX as u64
}

impl Quote {
    /// Checks the ranges that every quote must satisfy.
    ///
    /// # Errors
    /// Names the field.
    pub fn validate(&self) -> Result<(), MarketError> {
        let rule = |field, rule, ok: bool| if ok { Ok(()) } else { Err(MarketError::Range { field, rule }) };
        rule("event_time_ns", "must be between 2001 and 2262", valid_time(self.event_time_ns))?;
        rule("bid_price", "must be greater than 0", self.bid_price.is_positive())?;
        rule("ask_price", "must not be below the bid", self.ask_price >= self.bid_price)?;
        rule("bid_size", "must not be negative", !self.bid_size.is_negative())?;
        rule("ask_size", "must not be negative", !self.ask_size.is_negative())
    }
}

impl TryFrom<&wire::Tick> for Tick {
    type Error = MarketError;

    fn try_from(message: &wire::Tick) -> Result<Self, MarketError> {
        let tick = Self {
            venue: message.venue.parse()?,
            symbol: message.symbol.parse()?,
            trade_id: message.trade_id.clone(),
            event_time_ns: message.event_time_ns,
            receive_time_ns: message.receive_time_ns,
            price: number("price", message.price.as_ref())?,
            size: number("size", message.size.as_ref())?,
            side: match message.side() {
                wire::Side::Unknown => Side::Unknown,
                wire::Side::Buy => Side::Buy,
                wire::Side::Sell => Side::Sell,
            },
            source: match message.source() {
                wire::Source::Unspecified => return Err(MarketError::Missing("source")),
                wire::Source::Live => Source::Live,
                wire::Source::Backfill => Source::Backfill,
                wire::Source::Replay => Source::Replay,
            },
            repaired: message.repaired,
        };
        tick.validate()?;
        Ok(tick)
    }
}

impl From<&Tick> for wire::Tick {
    fn from(tick: &Tick) -> Self {
        Self {
            venue: tick.venue.to_string(),
            symbol: tick.symbol.to_string(),
            trade_id: tick.trade_id.clone(),
            event_time_ns: tick.event_time_ns,
            receive_time_ns: tick.receive_time_ns,
            price: Some(tick.price.into()),
            size: Some(tick.size.into()),
            side: match tick.side {
                Side::Unknown => wire::Side::Unknown,
                Side::Buy => wire::Side::Buy,
                Side::Sell => wire::Side::Sell,
            } as i32,
            source: match tick.source {
                Source::Live => wire::Source::Live,
                Source::Backfill => wire::Source::Backfill,
                Source::Replay => wire::Source::Replay,
            } as i32,
            repaired: tick.repaired,
        }
    }
}

impl TryFrom<&wire::Quote> for Quote {
    type Error = MarketError;

    fn try_from(message: &wire::Quote) -> Result<Self, MarketError> {
        let quote = Self {
            venue: message.venue.parse()?,
            symbol: message.symbol.parse()?,
            event_time_ns: message.event_time_ns,
            receive_time_ns: message.receive_time_ns,
            bid_price: number("bid_price", message.bid_price.as_ref())?,
            bid_size: number("bid_size", message.bid_size.as_ref())?,
            ask_price: number("ask_price", message.ask_price.as_ref())?,
            ask_size: number("ask_size", message.ask_size.as_ref())?,
        };
        quote.validate()?;
        Ok(quote)
    }
}

impl From<&Quote> for wire::Quote {
    fn from(quote: &Quote) -> Self {
        Self {
            venue: quote.venue.to_string(),
            symbol: quote.symbol.to_string(),
            event_time_ns: quote.event_time_ns,
            receive_time_ns: quote.receive_time_ns,
            bid_price: Some(quote.bid_price.into()),
            bid_size: Some(quote.bid_size.into()),
            ask_price: Some(quote.ask_price.into()),
            ask_size: Some(quote.ask_size.into()),
        }
    }
}

impl TryFrom<&wire::Candle> for Candle {
    type Error = MarketError;

    fn try_from(message: &wire::Candle) -> Result<Self, MarketError> {
        let candle = Self {
            venue: message.venue.parse()?,
            symbol: message.symbol.parse()?,
            interval: Interval::from_seconds(message.interval_s)?,
            open_time_ns: message.open_time_ns,
            open: positive("open", message.open.as_ref())?,
            high: positive("high", message.high.as_ref())?,
            low: positive("low", message.low.as_ref())?,
            close: positive("close", message.close.as_ref())?,
            volume: not_negative("volume", message.volume.as_ref())?,
            quote_volume: not_negative("quote_volume", message.quote_volume.as_ref())?,
            trades: message.trades,
            revision: message.revision,
            closed: message.closed,
            repaired: message.repaired,
        };
        let range = |field, rule, ok: bool| if ok { Ok(()) } else { Err(MarketError::Range { field, rule }) };
        range(
            "open_time_ns",
            "must be a multiple of the interval",
            candle.open_time_ns.is_multiple_of(candle.interval.nanos()),
        )?;
        range("open_time_ns", "must be at most 2262", candle.open_time_ns <= i64::MAX.unsigned_abs())?;
        range(
            "high",
            "must not be below open, close or low",
            candle.high >= candle.open.max(candle.close).max(candle.low),
        )?;
        range("low", "must not be above open or close", candle.low <= candle.open.min(candle.close))?;
        Ok(candle)
    }
}

impl From<&Candle> for wire::Candle {
    fn from(candle: &Candle) -> Self {
        Self {
            venue: candle.venue.to_string(),
            symbol: candle.symbol.to_string(),
            interval_s: candle.interval.seconds(),
            open_time_ns: candle.open_time_ns,
            open: Some(candle.open.into()),
            high: Some(candle.high.into()),
            low: Some(candle.low.into()),
            close: Some(candle.close.into()),
            volume: Some(candle.volume.into()),
            quote_volume: Some(candle.quote_volume.into()),
            trades: candle.trades,
            revision: candle.revision,
            closed: candle.closed,
            repaired: candle.repaired,
        }
    }
}

/// Converts the candles of a batch.
///
/// # Errors
/// If the batch is over the limit or a candle is not valid.
pub fn candles_of(batch: &wire::OhlcBatch) -> Result<Vec<Candle>, MarketError> {
    if batch.candles.len() > BATCH_ROWS {
        return Err(MarketError::Range { field: "candles", rule: "must be at most 1000" });
    }
    batch.candles.iter().map(Candle::try_from).collect()
}
