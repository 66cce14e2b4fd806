//! The JSON shapes of market data and feed health, the same over REST and WebSocket.

use crate::rfc3339::Rfc3339;
use proto::Decimal;
use proto::market::{Candle, Quote, Side, Tick};
use serde::{Serialize, Serializer};
use utoipa::ToSchema;

#[allow(clippy::trivially_copy_pass_by_ref, reason = "the signature that serde wants")]
fn time<S: Serializer>(ns: &u64, serializer: S) -> Result<S::Ok, S::Error> {
    Rfc3339(*ns).serialize(serializer)
}

#[allow(clippy::ref_option, clippy::trivially_copy_pass_by_ref, reason = "the signature that serde wants")]
fn maybe_time<S: Serializer>(ns: &Option<u64>, serializer: S) -> Result<S::Ok, S::Error> {
    ns.map(Rfc3339).serialize(serializer)
}

fn text<S: Serializer>(value: &Decimal, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}

/// One candle. Numbers are exact decimals as strings.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct CandleView {
    /// Start, RFC 3339.
    #[serde(serialize_with = "time")]
    #[schema(value_type = String, format = DateTime)]
    pub(crate) open_time: u64,
    /// First price.
    #[serde(serialize_with = "text")]
    #[schema(value_type = String)]
    pub(crate) open: Decimal,
    /// Highest price.
    #[serde(serialize_with = "text")]
    #[schema(value_type = String)]
    pub(crate) high: Decimal,
    /// Lowest price.
    #[serde(serialize_with = "text")]
    #[schema(value_type = String)]
    pub(crate) low: Decimal,
    /// Last price.
    #[serde(serialize_with = "text")]
    #[schema(value_type = String)]
    pub(crate) close: Decimal,
    /// Sum of sizes, base asset.
    #[serde(serialize_with = "text")]
    #[schema(value_type = String)]
    pub(crate) volume: Decimal,
    /// Sum of price times size, quote asset.
    #[serde(serialize_with = "text")]
    #[schema(value_type = String)]
    pub(crate) quote_volume: Decimal,
    /// Number of trades; 0 if the venue does not say, or nothing was traded.
    pub(crate) trades: u64,
    /// 0 for the first closed value; higher after each correction.
    pub(crate) revision: u32,
    /// True once the interval is over.
    pub(crate) closed: bool,
    /// True if a fetched trade or a venue candle changed it.
    pub(crate) repaired: bool,
}

impl From<&Candle> for CandleView {
    fn from(candle: &Candle) -> Self {
        Self {
            open_time: candle.open_time_ns,
            open: candle.open,
            high: candle.high,
            low: candle.low,
            close: candle.close,
            volume: candle.volume,
            quote_volume: candle.quote_volume,
            trades: candle.trades,
            revision: candle.revision,
            closed: candle.closed,
            repaired: candle.repaired,
        }
    }
}

/// One trade.
#[derive(Debug, Serialize)]
pub(crate) struct TickView<'a> {
    venue: &'a str,
    symbol: &'a str,
    trade_id: &'a str,
    #[serde(serialize_with = "time")]
    event_time: u64,
    #[serde(serialize_with = "time")]
    receive_time: u64,
    #[serde(serialize_with = "text")]
    price: Decimal,
    #[serde(serialize_with = "text")]
    size: Decimal,
    side: &'static str,
}

impl<'a> From<&'a Tick> for TickView<'a> {
    fn from(tick: &'a Tick) -> Self {
        Self {
            venue: tick.venue.as_str(),
            symbol: tick.symbol.as_str(),
            trade_id: &tick.trade_id,
            event_time: tick.event_time_ns,
            receive_time: tick.receive_time_ns,
            price: tick.price,
            size: tick.size,
            side: match tick.side {
                Side::Buy => "buy",
                Side::Sell => "sell",
                Side::Unknown => "unknown",
            },
        }
    }
}

/// Best bid and ask.
#[derive(Debug, Serialize)]
pub(crate) struct QuoteView {
    #[serde(serialize_with = "text")]
    bid_price: Decimal,
    #[serde(serialize_with = "text")]
    bid_size: Decimal,
    #[serde(serialize_with = "text")]
    ask_price: Decimal,
    #[serde(serialize_with = "text")]
    ask_size: Decimal,
    #[serde(serialize_with = "time")]
    event_time: u64,
    #[serde(serialize_with = "time")]
    receive_time: u64,
}

impl From<&Quote> for QuoteView {
    fn from(quote: &Quote) -> Self {
        Self {
            bid_price: quote.bid_price,
            bid_size: quote.bid_size,
            ask_price: quote.ask_price,
            ask_size: quote.ask_size,
            event_time: quote.event_time_ns,
            receive_time: quote.receive_time_ns,
        }
    }
}

/// Whether the platform shows live, simulated or replayed markets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "UPPERCASE")]
#[allow(missing_docs, reason = "the words say it")]
pub(crate) enum Mode {
    Sim,
    Live,
    Replay,
    /// Feeds of more than one mode.
    Mixed,
    /// No feed.
    None,
}

/// State of a feed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs, reason = "the words say it")]
pub(crate) enum FeedState {
    Connecting,
    Live,
    /// Connected but silent for longer than the venue's limit.
    Stale,
    /// Not connected, or its ingestor is gone.
    Down,
    /// A replay that came to its end.
    Ended,
}

/// Overall health.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum HealthStatus {
    /// All feeds are live (or ended) and everything the gateway needs answers.
    Ok,
    /// Something is missing; what is shown may be old.
    Degraded,
    /// No live data at all.
    Down,
}

/// One venue's feed in one ingestor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct FeedView {
    /// Venue.
    pub(crate) venue: String,
    /// Id of the ingestor.
    pub(crate) ingestor: String,
    /// Mode.
    pub(crate) mode: Mode,
    /// State.
    pub(crate) state: FeedState,
    /// Symbols streamed.
    pub(crate) symbols: u32,
    /// Trades since its start.
    pub(crate) ticks: u64,
    /// Quotes since its start.
    pub(crate) quotes: u64,
    /// Frames refused since its start.
    pub(crate) rejected: u64,
    /// Reconnects since its start.
    pub(crate) reconnects: u64,
    /// Gaps found since its start.
    pub(crate) gaps: u64,
    /// Trades fetched to fill gaps.
    pub(crate) repaired_trades: u64,
    /// Venue time of the last event; null if there was none.
    #[serde(serialize_with = "maybe_time")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub(crate) last_event_time: Option<u64>,
    /// Our time of the last event; null if there was none.
    #[serde(serialize_with = "maybe_time")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub(crate) last_receive_time: Option<u64>,
    /// Age of the last event in milliseconds; null if there was none.
    pub(crate) age_ms: Option<u64>,
    /// For people.
    pub(crate) detail: String,
}

/// Answer of `GET /api/v1/health` and `data` of the `health` message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct HealthView {
    /// Overall.
    pub(crate) status: HealthStatus,
    /// What the markets shown are.
    pub(crate) mode: Mode,
    /// Version of the gateway.
    #[schema(value_type = String)]
    pub(crate) version: &'static str,
    /// The gateway's clock.
    #[serde(serialize_with = "time")]
    #[schema(value_type = String, format = DateTime)]
    pub(crate) server_time: u64,
    /// What is missing, for people; empty if nothing is.
    #[schema(value_type = Vec<String>)]
    pub(crate) problems: Vec<&'static str>,
    /// All feeds, by venue and ingestor.
    pub(crate) feeds: Vec<FeedView>,
}

/// One instrument.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct InstrumentView {
    /// Venue.
    pub(crate) venue: String,
    /// Canonical symbol `BASE/QUOTE`.
    pub(crate) symbol: String,
    /// The venue's own name.
    pub(crate) venue_symbol: String,
    /// Base asset.
    pub(crate) base: String,
    /// Quote asset.
    pub(crate) quote: String,
    /// `spot`, `perpetual` or `future`.
    #[schema(value_type = String)]
    pub(crate) kind: &'static str,
    /// `trading`, `halted` or `closed`.
    #[schema(value_type = String)]
    pub(crate) status: &'static str,
    /// Least price step; null if the venue does not say.
    #[schema(value_type = Option<String>)]
    pub(crate) tick_size: Option<String>,
    /// Least size step; null if the venue does not say.
    #[schema(value_type = Option<String>)]
    pub(crate) lot_size: Option<String>,
    /// Least value of an order; null if the venue does not say.
    #[schema(value_type = Option<String>)]
    pub(crate) min_notional: Option<String>,
    /// True if an ingestor streams it.
    pub(crate) live: bool,
}
