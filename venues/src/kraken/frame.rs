//! Frames of WebSocket v2.

use super::Kraken;
use crate::event::shortened;
use crate::market::{ascending, checked_tick, quote_event};
use crate::number::{decimal, require, rfc3339};
use crate::scalar::{Scalar, object, raw_object, raw_rows, rows, text, trimmed};
use crate::{Event, Ignored, Reason, Rejection};
use proto::market::{Quote, Side, Source, Tick};
use serde::Deserialize;
use serde_json::value::RawValue;
use std::borrow::Cow;

#[derive(Deserialize)]
struct Outer<'a> {
    #[serde(borrow)]
    channel: Option<Cow<'a, str>>,
    #[serde(borrow)]
    method: Option<Cow<'a, str>>,
    #[serde(borrow)]
    data: Option<&'a RawValue>,
    success: Option<bool>,
    #[serde(borrow)]
    error: Option<Cow<'a, str>>,
    #[serde(borrow)]
    result: Option<&'a RawValue>,
    /// Only the feeds before v2 and the futures feed have it.
    #[serde(borrow)]
    event: Option<Cow<'a, str>>,
    /// Only the futures feed has it.
    #[serde(borrow)]
    feed: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
struct TradeItem<'a> {
    #[serde(borrow)]
    symbol: Option<Cow<'a, str>>,
    #[serde(borrow)]
    side: Option<&'a str>,
    #[serde(borrow)]
    price: Option<Scalar<'a>>,
    #[serde(borrow)]
    qty: Option<Scalar<'a>>,
    trade_id: Option<u64>,
    #[serde(borrow)]
    timestamp: Option<&'a str>,
}

/// Tickers carry a time since 2025; before that the receive time must do.
#[derive(Deserialize)]
struct TickerItem<'a> {
    #[serde(borrow)]
    symbol: Option<Cow<'a, str>>,
    #[serde(borrow)]
    bid: Option<Scalar<'a>>,
    #[serde(borrow)]
    bid_qty: Option<Scalar<'a>>,
    #[serde(borrow)]
    ask: Option<Scalar<'a>>,
    #[serde(borrow)]
    ask_qty: Option<Scalar<'a>>,
    #[serde(borrow)]
    timestamp: Option<&'a str>,
}

impl Kraken {
    pub(super) fn decode_frame(&self, frame: &[u8], now_ns: u64, out: &mut Vec<Event>) -> Result<(), Rejection> {
        if trimmed(frame).first() == Some(&b'[') {
            // The v1 feed writes arrays; its trades have no ids.
            rows(frame)?;
            return Err(Rejection::new(Reason::UnknownChannel, "array of the v1 feed"));
        }
        let outer: Outer<'_> = object(frame)?;
        let event = match (outer.channel.as_deref(), outer.method.as_deref()) {
            (Some("trade"), _) => return self.trades(require("data", outer.data)?, now_ns, out),
            (Some("ticker"), _) => return self.tickers(require("data", outer.data)?, now_ns, out),
            (Some("heartbeat"), _) | (None, Some("pong")) => Event::Heartbeat,
            (Some("book" | "level3"), _) => Event::Ignored(Ignored::Depth),
            (Some("ohlc"), _) => Event::Ignored(Ignored::Candle),
            (Some("status" | "instrument"), _) => Event::Ignored(Ignored::Status),
            (Some("executions" | "balances"), _) => Event::Ignored(Ignored::Account),
            (None, Some("subscribe")) if outer.success == Some(true) => {
                Event::Subscribed(shortened(outer.result.map_or("", RawValue::get)))
            }
            (None, Some(method)) => match outer.error {
                Some(error) => Event::VenueError { code: method.to_owned(), message: shortened(&error) },
                None => Event::Ignored(control(method)),
            },
            (channel, None) => {
                let word = channel.or(outer.event.as_deref()).or(outer.feed.as_deref()).unwrap_or("no channel");
                return Err(Rejection::new(Reason::UnknownChannel, word));
            }
            (Some(channel), Some(_)) => return Err(Rejection::new(Reason::UnknownChannel, channel)),
        };
        out.push(event);
        Ok(())
    }

    fn trades(&self, data: &RawValue, now_ns: u64, out: &mut Vec<Event>) -> Result<(), Rejection> {
        let items = raw_rows(data)?;
        let (mut ticks, mut refused) = (Vec::with_capacity(items.len()), Vec::new());
        for item in items {
            match raw_object(item).and_then(|item| self.trade(&item, now_ns)) {
                Ok(tick) => ticks.push(tick),
                Err(rejection) => refused.push(rejection),
            }
        }
        ascending(&mut ticks);
        out.extend(ticks.into_iter().map(Event::Tick));
        out.extend(refused.into_iter().map(Event::Refused));
        Ok(())
    }

    fn trade(&self, item: &TradeItem<'_>, now_ns: u64) -> Result<Tick, Rejection> {
        checked_tick(Tick {
            venue: self.venue.clone(),
            symbol: self.names.decode(require("symbol", item.symbol.as_deref())?)?,
            trade_id: require("trade_id", item.trade_id)?.to_string(),
            event_time_ns: rfc3339("timestamp", item.timestamp)?,
            receive_time_ns: now_ns,
            price: decimal("price", text(item.price))?,
            size: decimal("qty", text(item.qty))?,
            side: match require("side", item.side)? {
                "buy" => Side::Buy,
                "sell" => Side::Sell,
                other => return Err(Rejection::new(Reason::OutOfRange, format!("side {other:?}"))),
            },
            source: Source::Live,
            repaired: false,
        })
    }

    fn tickers(&self, data: &RawValue, now_ns: u64, out: &mut Vec<Event>) -> Result<(), Rejection> {
        let items = raw_rows(data)?;
        for item in items {
            let event = raw_object(item).and_then(|item| self.ticker(&item, now_ns));
            out.push(event.unwrap_or_else(Event::Refused));
        }
        Ok(())
    }

    fn ticker(&self, item: &TickerItem<'_>, now_ns: u64) -> Result<Event, Rejection> {
        quote_event(Quote {
            venue: self.venue.clone(),
            symbol: self.names.decode(require("symbol", item.symbol.as_deref())?)?,
            event_time_ns: match item.timestamp {
                Some(timestamp) => rfc3339("timestamp", Some(timestamp))?,
                None => now_ns,
            },
            receive_time_ns: now_ns,
            bid_price: decimal("bid", text(item.bid))?,
            bid_size: decimal("bid_qty", text(item.bid_qty))?,
            ask_price: decimal("ask", text(item.ask))?,
            ask_size: decimal("ask_qty", text(item.ask_qty))?,
        })
    }
}

/// Answers to requests that this adapter does not send are those of an account's orders.
fn control(method: &str) -> Ignored {
    match method {
        "subscribe" | "unsubscribe" | "ping" => Ignored::Control,
        _ => Ignored::Account,
    }
}
