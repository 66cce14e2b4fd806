//! Frames of the v5 public feed.

use super::Bybit;
use crate::event::shortened;
use crate::market::{checked_tick, quote_event};
use crate::number::{decimal, millis, require};
use crate::scalar::{Scalar, object, raw_object, raw_rows, text};
use crate::{Event, Ignored, QuoteChange, Reason, Rejection};
use proto::Decimal;
use proto::market::{Quote, Side, Source, Tick};
use serde::Deserialize;
use serde_json::value::RawValue;
use std::borrow::Cow;

#[derive(Deserialize)]
struct Outer<'a> {
    #[serde(borrow)]
    topic: Option<Cow<'a, str>>,
    ts: Option<u64>,
    #[serde(borrow)]
    data: Option<&'a RawValue>,
    #[serde(borrow)]
    op: Option<&'a str>,
    success: Option<bool>,
    #[serde(borrow, alias = "retMsg")]
    ret_msg: Option<Cow<'a, str>>,
    #[serde(borrow, alias = "retCode")]
    ret_code: Option<Scalar<'a>>,
    #[serde(borrow)]
    req_id: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
struct TradeItem<'a> {
    #[serde(rename = "T")]
    time: Option<u64>,
    #[serde(borrow)]
    s: Option<&'a str>,
    #[serde(rename = "S", borrow)]
    side: Option<&'a str>,
    #[serde(borrow)]
    v: Option<Scalar<'a>>,
    #[serde(borrow)]
    p: Option<Scalar<'a>>,
    #[serde(borrow)]
    i: Option<Scalar<'a>>,
}

/// `orderbook.1`: a snapshot, or the sides that changed.
#[derive(Deserialize)]
struct BookData<'a> {
    #[serde(borrow)]
    s: Option<&'a str>,
    #[serde(borrow, default)]
    b: Vec<(Scalar<'a>, Scalar<'a>)>,
    #[serde(borrow, default)]
    a: Vec<(Scalar<'a>, Scalar<'a>)>,
}

/// The best level of a side: the first that was not deleted (size zero).
fn best(field: &'static str, levels: &[(Scalar<'_>, Scalar<'_>)]) -> Result<Option<(Decimal, Decimal)>, Rejection> {
    for (price, size) in levels {
        let size = decimal(field, Some(size.0))?;
        if !size.is_zero() {
            return Ok(Some((decimal(field, Some(price.0))?, size)));
        }
    }
    Ok(None)
}

/// Topics that are known and carry nothing for us, by what stands before the first dot.
fn ignored(word: &str) -> Option<Ignored> {
    Some(match word {
        "orderbook" | "orderBookL2_25" | "orderBook_200" => Ignored::Depth,
        "kline" | "kline_lt" | "klineV2" => Ignored::Candle,
        "tickers" | "tickers_lt" | "instrument_info" => Ignored::Statistics,
        "liquidation" | "allLiquidation" | "lt" | "insurance" | "adlAlert" => Ignored::Derivatives,
        "system" | "priceLimit" => Ignored::Status,
        "order" | "execution" | "position" | "wallet" | "greeks" | "dcp" | "spread" => Ignored::Account,
        _ => return None,
    })
}

impl Bybit {
    pub(super) fn decode_frame(&self, frame: &[u8], now_ns: u64, out: &mut Vec<Event>) -> Result<(), Rejection> {
        let outer: Outer<'_> = object(frame)?;
        let Some(topic) = outer.topic.as_deref() else {
            out.push(control(&outer)?);
            return Ok(());
        };
        let (word, rest) = topic.split_once('.').unwrap_or((topic, ""));
        match word {
            "publicTrade" => self.trades(require("data", outer.data)?, now_ns, out),
            "orderbook" if rest.starts_with("1.") => {
                let time_ns = millis("ts", outer.ts)?;
                out.push(self.book(&raw_object(require("data", outer.data)?)?, time_ns, now_ns)?);
                Ok(())
            }
            _ => {
                let kind = ignored(word).or_else(|| word.split_once('_').and_then(|(word, _)| ignored(word)));
                out.push(Event::Ignored(kind.ok_or_else(|| Rejection::new(Reason::UnknownChannel, topic))?));
                Ok(())
            }
        }
    }

    fn trades(&self, data: &RawValue, now_ns: u64, out: &mut Vec<Event>) -> Result<(), Rejection> {
        let items = raw_rows(data)?;
        for item in items {
            let tick = raw_object(item).and_then(|item| self.trade(&item, now_ns));
            out.push(tick.map_or_else(Event::Refused, Event::Tick));
        }
        Ok(())
    }

    fn trade(&self, item: &TradeItem<'_>, now_ns: u64) -> Result<Tick, Rejection> {
        checked_tick(Tick {
            venue: self.venue.clone(),
            symbol: self.names.decode(require("s", item.s)?)?,
            trade_id: require("i", text(item.i))?.to_owned(),
            event_time_ns: millis("T", item.time)?,
            receive_time_ns: now_ns,
            price: decimal("p", text(item.p))?,
            size: decimal("v", text(item.v))?,
            side: side(item.side)?,
            source: Source::Live,
            repaired: false,
        })
    }

    fn book(&self, book: &BookData<'_>, event_time_ns: u64, now_ns: u64) -> Result<Event, Rejection> {
        let symbol = self.names.decode(require("s", book.s)?)?;
        let venue = self.venue.clone();
        match (best("b", &book.b)?, best("a", &book.a)?) {
            (Some((bid_price, bid_size)), Some((ask_price, ask_size))) => quote_event(Quote {
                venue,
                symbol,
                event_time_ns,
                receive_time_ns: now_ns,
                bid_price,
                bid_size,
                ask_price,
                ask_size,
            }),
            (None, None) => Ok(Event::Ignored(Ignored::OneSidedBook)),
            (bid, ask) => {
                Ok(Event::QuoteChange(QuoteChange { venue, symbol, event_time_ns, receive_time_ns: now_ns, bid, ask }))
            }
        }
    }
}

/// The taker's side.
pub(super) fn side(word: Option<&str>) -> Result<Side, Rejection> {
    match require("side", word)? {
        "Buy" => Ok(Side::Buy),
        "Sell" => Ok(Side::Sell),
        other => Err(Rejection::new(Reason::OutOfRange, format!("side {other:?}"))),
    }
}

/// A frame without a topic.
fn control(outer: &Outer<'_>) -> Result<Event, Rejection> {
    let message = shortened(outer.ret_msg.as_deref().unwrap_or_default());
    let refused = outer.success == Some(false) || text(outer.ret_code).is_some_and(|code| code != "0");
    match outer.op {
        _ if refused => Ok(Event::VenueError { code: text(outer.ret_code).unwrap_or_default().to_owned(), message }),
        Some("subscribe") => Ok(Event::Subscribed(shortened(outer.req_id.as_deref().unwrap_or_default()))),
        Some("ping" | "pong") => Ok(Event::Heartbeat),
        Some("auth" | "unsubscribe") => Ok(Event::Ignored(Ignored::Control)),
        // `order.create` and its like: answers of the order entry feed.
        Some(op) if op.starts_with("order.") => Ok(Event::Ignored(Ignored::Account)),
        Some(op) => Err(Rejection::new(Reason::UnknownChannel, op)),
        None if outer.success == Some(true) => Ok(Event::Ignored(Ignored::Control)),
        None => Err(Rejection::new(Reason::UnknownChannel, "no topic")),
    }
}
