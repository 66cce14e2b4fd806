//! Frames of the Binance feeds: combined (`{"stream":..,"data":..}`) or raw.

use super::{Binance, Market};
use crate::event::shortened;
use crate::market::{checked_tick, quote_event};
use crate::number::{decimal, millis, require};
use crate::scalar::{object, raw_rows, rows, trimmed};
use crate::{Event, Ignored, Reason, Rejection};
use proto::market::{Quote, Side, Source, Tick};
use serde::Deserialize;
use serde_json::value::RawValue;
use std::borrow::Cow;

/// `<symbol>@trade`: one trade, with the id of the series that REST `trades` uses too.
#[derive(Deserialize)]
struct TradeFrame<'a> {
    #[serde(borrow)]
    s: Option<&'a str>,
    t: Option<u64>,
    #[serde(borrow)]
    p: Option<&'a str>,
    #[serde(borrow)]
    q: Option<&'a str>,
    #[serde(rename = "T")]
    time: Option<u64>,
    /// True if the buyer was the maker.
    m: Option<bool>,
    /// Futures only: what made the trade (`MARKET`, `INSURANCE_FUND`, `ADL`, `NA`).
    #[serde(rename = "X", borrow)]
    cause: Option<&'a str>,
}

/// `<symbol>@bookTicker`. The spot feed sends no time.
#[derive(Deserialize)]
struct BookTickerFrame<'a> {
    #[serde(borrow)]
    s: Option<&'a str>,
    #[serde(borrow)]
    b: Option<&'a str>,
    #[serde(rename = "B", borrow)]
    bid_size: Option<&'a str>,
    #[serde(borrow)]
    a: Option<&'a str>,
    #[serde(rename = "A", borrow)]
    ask_size: Option<&'a str>,
    #[serde(rename = "T")]
    time: Option<u64>,
}

/// A frame of a combined stream whose stream name was read already.
#[derive(Deserialize)]
struct Combined<T> {
    data: Option<T>,
}

/// What tells kinds of frames apart when the stream name does not.
#[derive(Deserialize)]
struct Probe<'a> {
    #[serde(borrow)]
    stream: Option<Cow<'a, str>>,
    #[serde(borrow)]
    data: Option<&'a RawValue>,
    /// What the WebSocket API wraps user data in.
    #[serde(borrow)]
    event: Option<&'a RawValue>,
    #[serde(borrow)]
    e: Option<Cow<'a, str>>,
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    #[serde(borrow)]
    status: Option<&'a RawValue>,
    /// Of a plain `Option` a present `null` could not be told from an absent field, and `{"result":null,"id":1}` is
    /// what acknowledges a subscription.
    #[serde(default, deserialize_with = "present")]
    result: bool,
    error: Option<FeedError<'a>>,
    #[serde(borrow)]
    code: Option<&'a RawValue>,
    #[serde(borrow)]
    msg: Option<Cow<'a, str>>,
    #[serde(rename = "lastUpdateId")]
    last_update_id: Option<u64>,
    #[serde(borrow)]
    b: Option<&'a RawValue>,
    #[serde(borrow)]
    a: Option<&'a RawValue>,
    #[serde(borrow)]
    s: Option<&'a RawValue>,
}

impl<'a> Probe<'a> {
    /// What is inside, if the frame is a wrapper.
    fn wrapped(&self) -> Option<&'a RawValue> {
        self.stream.as_ref().and(self.data).or(self.event)
    }
}

/// Whether a frame may be a wrapper. One inside another is refused, so that no frame can make us recurse.
#[derive(Clone, Copy)]
enum Wrapper {
    Allowed,
    Seen,
}

#[derive(Deserialize)]
struct FeedError<'a> {
    code: Option<i64>,
    #[serde(borrow)]
    msg: Option<Cow<'a, str>>,
}

fn present<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    serde::de::IgnoredAny::deserialize(deserializer).map(|_| true)
}

/// What a stream or event name stands for.
enum Kind {
    Trade,
    BookTicker,
    Ignored(Ignored),
}

/// By the part of a stream name behind the `@`, or by an event type: `trade`, `depth@100ms`, `kline_1m`.
fn kind(word: &str) -> Option<Kind> {
    Some(match word {
        "trade" => Kind::Trade,
        "bookTicker" => Kind::BookTicker,
        "aggTrade" => Kind::Ignored(Ignored::AggregateTrade),
        "depthUpdate" => Kind::Ignored(Ignored::Depth),
        "kline" | "continuous_kline" | "indexPrice_kline" | "markPrice_kline" => Kind::Ignored(Ignored::Candle),
        "24hrTicker" | "24hrMiniTicker" | "1hTicker" | "4hTicker" | "1dTicker" | "avgPrice" | "ticker"
        | "miniTicker" => Kind::Ignored(Ignored::Statistics),
        "markPriceUpdate" | "forceOrder" | "compositeIndex" | "assetIndexUpdate" | "indexPriceUpdate" => {
            Kind::Ignored(Ignored::Derivatives)
        }
        "contractInfo" | "tradingSession" | "referencePrice" | "serverShutdown" => Kind::Ignored(Ignored::Status),
        "executionReport"
        | "outboundAccountPosition"
        | "outboundAccountInfo"
        | "balanceUpdate"
        | "listStatus"
        | "listenKeyExpired"
        | "externalLockUpdate"
        | "eventStreamTerminated"
        | "ORDER_TRADE_UPDATE"
        | "ACCOUNT_UPDATE"
        | "MARGIN_CALL"
        | "ACCOUNT_CONFIG_UPDATE"
        | "TRADE_LITE"
        | "STRATEGY_UPDATE"
        | "GRID_UPDATE"
        | "ALGO_UPDATE"
        | "CONDITIONAL_ORDER_TRIGGER_REJECT"
        | "userLiabilityChange"
        | "riskLevelChange"
        | "openOrderLoss"
        | "USER_LIABILITY_CHANGE"
        | "MARGIN_LEVEL_STATUS_CHANGE" => Kind::Ignored(Ignored::Account),
        _ => return stream_kind(word),
    })
}

/// Stream names with parameters.
fn stream_kind(word: &str) -> Option<Kind> {
    const BEGINNINGS: [(&str, Ignored); 7] = [
        ("depth", Ignored::Depth),
        ("rpiDepth", Ignored::Depth),
        ("kline_", Ignored::Candle),
        ("continuousKline_", Ignored::Candle),
        ("ticker_", Ignored::Statistics),
        ("markPrice", Ignored::Derivatives),
        ("assetIndex", Ignored::Derivatives),
    ];
    let (_, ignored) = BEGINNINGS.iter().find(|(beginning, _)| word.starts_with(beginning))?;
    Some(Kind::Ignored(*ignored))
}

/// True if a frame is of the futures market by a field that the spot feed has not.
pub(crate) fn is_usdm(frame: &[u8]) -> bool {
    const MARKS: [&[u8]; 3] = [br#""X":""#, br#""pu":"#, br#""e":"bookTicker""#];
    MARKS.iter().any(|mark| memchr::memmem::find(frame, mark).is_some())
}

/// The stream name of a frame that begins as the venue's combined frames do.
fn stream_name(frame: &[u8]) -> Option<&str> {
    let rest = frame.strip_prefix(br#"{"stream":""#)?;
    std::str::from_utf8(&rest[..memchr::memchr(b'"', rest)?]).ok()
}

impl Binance {
    /// Reads a frame. Depth and other frames that are ignored by their stream name are not parsed further.
    pub(super) fn decode_frame(&self, frame: &[u8], now_ns: u64, out: &mut Vec<Event>) -> Result<(), Rejection> {
        let by_name = stream_name(frame).and_then(|name| kind(name.split_once('@')?.1));
        let event = match by_name {
            Some(Kind::Trade) => self.trade(&require("data", object::<Combined<_>>(frame)?.data)?, now_ns)?,
            Some(Kind::BookTicker) => {
                self.book_ticker(&require("data", object::<Combined<_>>(frame)?.data)?, now_ns)?
            }
            Some(Kind::Ignored(ignored)) => Event::Ignored(ignored),
            None if trimmed(frame).first() == Some(&b'[') => return self.array(frame, now_ns, out),
            None => self.probed(frame, now_ns, Wrapper::Allowed)?,
        };
        out.push(event);
        Ok(())
    }

    /// `!ticker@arr` and its like: an array of events. An array of anything else is no frame of the feed.
    fn array(&self, frame: &[u8], now_ns: u64, out: &mut Vec<Event>) -> Result<(), Rejection> {
        let items = rows(frame)?;
        let events: Result<Vec<Event>, Rejection> =
            items.iter().map(|item| self.probed(item.get().as_bytes(), now_ns, Wrapper::Seen)).collect();
        out.append(&mut events?);
        Ok(())
    }

    /// A frame of which only the content tells what it is.
    fn probed(&self, frame: &[u8], now_ns: u64, wrapper: Wrapper) -> Result<Event, Rejection> {
        let probe: Probe<'_> = object(frame)?;
        if let (Wrapper::Allowed, Some(data)) = (wrapper, probe.wrapped()) {
            return self.inner(data, now_ns);
        }
        let unknown = || Rejection::new(Reason::UnknownChannel, "no event type");
        if let Some(word) = &probe.e {
            return self.of_kind(word, frame, now_ns);
        }
        if let Some(error) = probe.error {
            let code = error.code.map(|code| code.to_string()).unwrap_or_default();
            return Ok(Event::VenueError { code, message: shortened(&error.msg.unwrap_or_default()) });
        }
        match probe {
            Probe { status: Some(_), id: Some(_), .. } => Ok(Event::Ignored(Ignored::Control)),
            Probe { result: true, id, .. } => Ok(Event::Subscribed(shortened(id.map_or("", RawValue::get)))),
            Probe { code: Some(code), msg: Some(message), .. } => {
                Ok(Event::VenueError { code: shortened(code.get()), message: shortened(&message) })
            }
            Probe { last_update_id: Some(_), .. } => Ok(Event::Ignored(Ignored::Depth)),
            Probe { s: Some(_), b: Some(_), a: Some(_), .. } => self.book_ticker(&object(frame)?, now_ns),
            _ => Err(unknown()),
        }
    }

    /// The `data` of a combined frame with an unusual stream name: a user data stream, an array of events.
    fn inner(&self, data: &RawValue, now_ns: u64) -> Result<Event, Rejection> {
        if !data.get().starts_with('[') {
            return self.probed(data.get().as_bytes(), now_ns, Wrapper::Seen);
        }
        let items = raw_rows(data)?;
        let first = items.first().ok_or_else(|| Rejection::new(Reason::UnknownChannel, "empty array"))?;
        // Arrays come only on all-market streams, none of which carries trades or quotes of interest here.
        match self.probed(first.get().as_bytes(), now_ns, Wrapper::Seen)? {
            Event::Ignored(ignored) => Ok(Event::Ignored(ignored)),
            _ => Err(Rejection::new(Reason::UnknownChannel, "array of trades or quotes")),
        }
    }

    fn of_kind(&self, word: &str, frame: &[u8], now_ns: u64) -> Result<Event, Rejection> {
        match kind(word) {
            Some(Kind::Trade) => self.trade(&object(frame)?, now_ns),
            Some(Kind::BookTicker) => self.book_ticker(&object(frame)?, now_ns),
            Some(Kind::Ignored(ignored)) => Ok(Event::Ignored(ignored)),
            None => Err(Rejection::new(Reason::UnknownChannel, word)),
        }
    }

    fn trade(&self, frame: &TradeFrame<'_>, now_ns: u64) -> Result<Event, Rejection> {
        let symbol = self.names.decode(require("s", frame.s)?)?;
        let trade_id = require("t", frame.t)?;
        // Insurance fund and deleveraging entries take an id of the series but are no market prints: without a price.
        let printed = frame.cause.is_none_or(|cause| cause == "MARKET");
        let (price, size) = (decimal("p", frame.p)?, decimal("q", frame.q)?);
        if !printed && (price.is_zero() || size.is_zero()) {
            return Ok(Event::VoidTrade { symbol, trade_id });
        }
        let tick = Tick {
            venue: self.venue.clone(),
            symbol,
            trade_id: trade_id.to_string(),
            event_time_ns: millis("T", frame.time)?,
            receive_time_ns: now_ns,
            price,
            size,
            side: if require("m", frame.m)? { Side::Sell } else { Side::Buy },
            source: Source::Live,
            repaired: false,
        };
        checked_tick(tick).map(Event::Tick)
    }

    fn book_ticker(&self, frame: &BookTickerFrame<'_>, now_ns: u64) -> Result<Event, Rejection> {
        let event_time_ns = match (self.market, frame.time) {
            (Market::Spot, None) => now_ns,
            (_, time) => millis("T", time)?,
        };
        quote_event(Quote {
            venue: self.venue.clone(),
            symbol: self.names.decode(require("s", frame.s)?)?,
            event_time_ns,
            receive_time_ns: now_ns,
            bid_price: decimal("b", frame.b)?,
            bid_size: decimal("B", frame.bid_size)?,
            ask_price: decimal("a", frame.a)?,
            ask_size: decimal("A", frame.ask_size)?,
        })
    }
}
