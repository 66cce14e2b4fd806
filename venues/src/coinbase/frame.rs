//! Frames of the Advanced Trade feed (`channel`) and of the older Exchange feed (`type`).

use super::Coinbase;
use crate::event::shortened;
use crate::market::{ascending, checked_tick, quote_event};
use crate::number::{decimal, require, rfc3339};
use crate::scalar::{Scalar, object, raw_object, text};
use crate::{Event, Ignored, Reason, Rejection};
use proto::market::{Quote, Side, Source, Tick};
use serde::Deserialize;
use serde_json::value::RawValue;
use std::borrow::Cow;

/// The outside of any frame.
#[derive(Deserialize)]
struct Outer<'a> {
    #[serde(borrow)]
    channel: Option<Cow<'a, str>>,
    #[serde(borrow)]
    timestamp: Option<Scalar<'a>>,
    #[serde(borrow)]
    events: Option<Vec<&'a RawValue>>,
    #[serde(rename = "type", borrow)]
    kind: Option<Cow<'a, str>>,
    #[serde(borrow)]
    message: Option<Cow<'a, str>>,
    #[serde(borrow)]
    reason: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
struct TradesEvent<'a> {
    #[serde(borrow)]
    trades: Option<Vec<&'a RawValue>>,
}

#[derive(Deserialize)]
struct TickersEvent<'a> {
    #[serde(borrow)]
    tickers: Option<Vec<&'a RawValue>>,
}

/// A trade of either feed. `side` is the maker's in both.
#[derive(Deserialize)]
struct TradeItem<'a> {
    #[serde(borrow)]
    product_id: Option<&'a str>,
    #[serde(borrow)]
    trade_id: Option<Scalar<'a>>,
    #[serde(borrow)]
    price: Option<Scalar<'a>>,
    #[serde(borrow)]
    size: Option<Scalar<'a>>,
    #[serde(borrow)]
    time: Option<Scalar<'a>>,
    #[serde(borrow)]
    side: Option<Scalar<'a>>,
}

/// A ticker of either feed; the Exchange feed calls the sizes `best_bid_size` and has a time of its own.
#[derive(Deserialize)]
struct TickerItem<'a> {
    #[serde(borrow)]
    product_id: Option<&'a str>,
    #[serde(borrow)]
    best_bid: Option<Scalar<'a>>,
    #[serde(borrow, alias = "best_bid_size")]
    best_bid_quantity: Option<Scalar<'a>>,
    #[serde(borrow)]
    best_ask: Option<Scalar<'a>>,
    #[serde(borrow, alias = "best_ask_size")]
    best_ask_quantity: Option<Scalar<'a>>,
    #[serde(borrow)]
    time: Option<Scalar<'a>>,
}

/// The taker's side from the maker's: a maker who sold was bought from.
pub(super) fn taker_side(maker: Option<&str>) -> Result<Side, Rejection> {
    match require("side", maker)? {
        "SELL" | "sell" => Ok(Side::Buy),
        "BUY" | "buy" => Ok(Side::Sell),
        "" | "UNKNOWN_ORDER_SIDE" => Ok(Side::Unknown),
        other => Err(Rejection::new(Reason::OutOfRange, format!("side {other:?}"))),
    }
}

impl Coinbase {
    pub(super) fn decode_frame(&self, frame: &[u8], now_ns: u64, out: &mut Vec<Event>) -> Result<(), Rejection> {
        let outer: Outer<'_> = object(frame)?;
        let event = match (outer.channel.as_deref(), outer.kind.as_deref()) {
            (Some("market_trades"), _) => return self.trades(&require("events", outer.events)?, now_ns, out),
            (Some("ticker" | "ticker_batch"), _) => {
                let time_ns = rfc3339("timestamp", text(outer.timestamp))?;
                return self.tickers(&require("events", outer.events)?, time_ns, now_ns, out);
            }
            (Some("heartbeats"), _) | (None, Some("heartbeat")) => Event::Heartbeat,
            (Some("subscriptions"), _) => {
                Event::Subscribed(shortened(outer.events.iter().flatten().next().map_or("", |event| event.get())))
            }
            (None, Some("subscriptions")) => Event::Subscribed(String::new()),
            (Some("l2_data" | "level2"), _) | (None, Some("snapshot" | "l2update")) => Event::Ignored(Ignored::Depth),
            (Some("candles"), _) => Event::Ignored(Ignored::Candle),
            (Some("status"), _) | (None, Some("status")) => Event::Ignored(Ignored::Status),
            (Some("user" | "futures_balance_summary"), _)
            | (None, Some("received" | "open" | "done" | "change" | "activate")) => Event::Ignored(Ignored::Account),
            (None, Some("match" | "last_match")) => Event::Tick(self.trade(&object(frame)?, now_ns)?),
            (None, Some("ticker")) => self.exchange_ticker(&object(frame)?, now_ns)?,
            (_, Some("error")) => Event::VenueError {
                code: String::new(),
                message: shortened(&outer.message.or(outer.reason).unwrap_or_default()),
            },
            (channel, kind) => {
                let word = channel.or(kind).unwrap_or("no channel");
                return Err(Rejection::new(Reason::UnknownChannel, word));
            }
        };
        out.push(event);
        Ok(())
    }

    /// Updates and snapshots name the newest trade first: they leave in ascending order.
    fn trades(&self, events: &[&RawValue], now_ns: u64, out: &mut Vec<Event>) -> Result<(), Rejection> {
        let (mut ticks, mut refused) = (Vec::new(), Vec::new());
        for event in events {
            let event: TradesEvent<'_> = raw_object(event)?;
            for item in require("trades", event.trades)? {
                match raw_object(item).and_then(|item| self.trade(&item, now_ns)) {
                    Ok(tick) => ticks.push(tick),
                    Err(rejection) => refused.push(rejection),
                }
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
            symbol: self.names.decode(require("product_id", item.product_id)?)?,
            trade_id: require("trade_id", text(item.trade_id))?.to_owned(),
            event_time_ns: rfc3339("time", text(item.time))?,
            receive_time_ns: now_ns,
            price: decimal("price", text(item.price))?,
            size: decimal("size", text(item.size))?,
            side: taker_side(text(item.side))?,
            source: Source::Live,
            repaired: false,
        })
    }

    fn tickers(&self, events: &[&RawValue], time_ns: u64, now_ns: u64, out: &mut Vec<Event>) -> Result<(), Rejection> {
        let mut read_events = Vec::new();
        for event in events {
            let event: TickersEvent<'_> = raw_object(event)?;
            for item in require("tickers", event.tickers)? {
                let event = raw_object(item).and_then(|item| self.ticker(&item, time_ns, now_ns));
                read_events.push(event.unwrap_or_else(Event::Refused));
            }
        }
        out.append(&mut read_events);
        Ok(())
    }

    /// `ticker_batch` and the Exchange feed before 2022 name no sizes: such a ticker is no quote.
    fn ticker(&self, item: &TickerItem<'_>, time_ns: u64, now_ns: u64) -> Result<Event, Rejection> {
        if item.best_bid_quantity.is_none() && item.best_ask_quantity.is_none() {
            return Ok(Event::Ignored(Ignored::Statistics));
        }
        quote_event(Quote {
            venue: self.venue.clone(),
            symbol: self.names.decode(require("product_id", item.product_id)?)?,
            event_time_ns: time_ns,
            receive_time_ns: now_ns,
            bid_price: decimal("best_bid", text(item.best_bid))?,
            bid_size: decimal("best_bid_quantity", text(item.best_bid_quantity))?,
            ask_price: decimal("best_ask", text(item.best_ask))?,
            ask_size: decimal("best_ask_quantity", text(item.best_ask_quantity))?,
        })
    }

    fn exchange_ticker(&self, item: &TickerItem<'_>, now_ns: u64) -> Result<Event, Rejection> {
        self.ticker(item, rfc3339("time", text(item.time))?, now_ns)
    }
}
