//! The trait that each venue implements, and the facts about a venue that the ingestor needs to behave well there.

use crate::{
    Answer, CandlesPage, CandlesQuery, Event, Instrument, Instruments, Rejection, RestError, RestLimits, RestRequest,
    SymbolError, TradesPage, TradesQuery,
};
use proto::{Symbol, Venue};
use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

/// One venue: names, subscriptions, frames, history. Pure: the same input always gives the same output.
pub trait Adapter: Send + Sync + Debug {
    /// The venue.
    fn venue(&self) -> &Venue;

    /// What to know before connecting.
    fn profile(&self) -> &Profile;

    /// The venue's own name of a symbol on its WebSocket feed.
    ///
    /// # Errors
    /// If the venue cannot have such a symbol.
    fn venue_symbol(&self, symbol: &Symbol) -> Result<String, SymbolError>;

    /// The canonical symbol of any name that the venue uses for it.
    ///
    /// # Errors
    /// If the name is not one of this venue's.
    fn canonical(&self, venue_symbol: &str) -> Result<Symbol, SymbolError>;

    /// The same adapter, with names looked up in these instruments first and guessed by rule only after that.
    /// Instruments of other venues are passed over.
    fn refined(&self, instruments: &[Instrument]) -> Arc<dyn Adapter>;

    /// The connections that together carry trades and best bid/ask of `symbols`. `base` is `ws_url` of the profile or
    /// of the configuration, without a slash at the end.
    ///
    /// # Errors
    /// If a symbol has no name at the venue.
    fn connections(&self, base: &str, symbols: &[Symbol]) -> Result<Vec<Connection>, SymbolError>;

    /// Appends what a received frame says to `out`. Ticks have source `Live`; quotes without a venue clock carry
    /// `receive_time_ns` as event time. Text and binary frames alike.
    ///
    /// # Errors
    /// If the frame as a whole is refused; then nothing was appended. A refused item of a frame with several is an
    /// [`Event::Refused`] beside the good ones.
    fn decode(&self, frame: &[u8], receive_time_ns: u64, out: &mut Vec<Event>) -> Result<(), Rejection>;

    /// The request for all instruments; `None` if the venue has no such GET request.
    fn instruments(&self) -> Option<RestRequest>;

    /// Reads its answer.
    ///
    /// # Errors
    /// If the answer as a whole cannot be read.
    fn parse_instruments(&self, body: &[u8]) -> Result<Instruments, Rejection>;

    /// The request for a page of trades; `None` if the venue has no such history or the symbol no name there.
    fn trades_page(&self, query: &TradesQuery) -> Option<RestRequest>;

    /// Reads its answer: ticks with source `Backfill` and `repaired: false`, ascending by time and id, only such as the
    /// query asks for.
    ///
    /// # Errors
    /// If the answer as a whole cannot be read.
    fn parse_trades(&self, query: &TradesQuery, body: &[u8], receive_time_ns: u64) -> Result<TradesPage, Rejection>;

    /// The request for a page of candles; `None` if the venue has not that interval or the symbol no name there.
    fn candles_page(&self, query: &CandlesQuery) -> Option<RestRequest>;

    /// Reads its answer: closed candles, ascending, inside the query's range. A candle that may still change at
    /// `receive_time_ns` is left out.
    ///
    /// # Errors
    /// If the answer as a whole cannot be read.
    fn parse_candles(&self, query: &CandlesQuery, body: &[u8], receive_time_ns: u64) -> Result<CandlesPage, Rejection>;

    /// What a REST answer means before its body is parsed. Call it for each answer, status 200 included: some venues
    /// report errors inside a 200.
    ///
    /// # Errors
    /// The failure by what to do about it.
    fn check(&self, answer: &Answer<'_>) -> Result<(), RestError>;
}

/// One WebSocket connection to open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Connection {
    /// Where to.
    pub url: String,
    /// Text frames to send after it opened, in order, paced by [`Profile::subscribe_pacing`].
    pub subscribe: Vec<String>,
    /// The symbols that it carries.
    pub symbols: Vec<Symbol>,
    /// True if it carries the trades of these symbols.
    pub trades: bool,
    /// True if it carries the best bid and ask of these symbols.
    pub quotes: bool,
}

/// Facts about a venue. Each default URL can be replaced by configuration.
#[derive(Debug, Clone, Copy)]
pub struct Profile {
    /// WebSocket base, no slash at the end.
    pub ws_url: &'static str,
    /// REST base, no slash at the end.
    pub rest_url: &'static str,
    /// A connection without any frame for this long is dead. WebSocket ping and pong count as frames: send a ping
    /// after half of it.
    pub mute_timeout: Duration,
    /// A text frame that keeps the connection alive, if the venue wants one beyond WebSocket pings.
    pub ping: Option<Ping>,
    /// Most symbols on one connection.
    pub symbols_per_connection: usize,
    /// How fast subscribe frames may follow one another.
    pub subscribe_pacing: Pacing,
    /// How fast new connections may be opened.
    pub connect_pacing: Pacing,
    /// What can be concluded from trade ids.
    pub trade_ids: TradeIds,
    /// REST budget.
    pub rest: RestLimits,
    /// True if frames may carry one side of the best bid and ask only: keep a [`crate::PartialQuotes`] for each
    /// connection and pass each event through it.
    pub partial_quotes: bool,
    /// True if venue candles carry the exact quote volume; else it is zero or an approximation.
    pub candle_quote_volume: bool,
    /// True if venue candles carry the number of trades; else it is zero.
    pub candle_trades: bool,
}

/// A message of the application that keeps a connection open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ping {
    /// How often.
    pub every: Duration,
    /// The text frame.
    pub text: &'static str,
}

/// At most `count` in `per`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pacing {
    /// How many.
    pub count: u32,
    /// In what time.
    pub per: Duration,
}

/// What trade ids of one symbol tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TradeIds {
    /// Each id is the one before plus one: a missing id is a missing trade.
    Contiguous,
    /// Ids only tell trades apart.
    Opaque,
}
