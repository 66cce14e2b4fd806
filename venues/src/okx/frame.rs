//! Frames of the v5 feed.

use super::Okx;
use crate::event::shortened;
use crate::market::{ascending, checked_tick, quote_event};
use crate::number::{decimal, millis_text, require};
use crate::scalar::{Scalar, object, raw_object, raw_rows, text, trimmed};
use crate::{Event, Ignored, Reason, Rejection};
use proto::Decimal;
use proto::market::{Quote, Side, Source, Tick};
use serde::Deserialize;
use serde_json::value::RawValue;
use std::borrow::Cow;

#[derive(Deserialize)]
struct Outer<'a> {
    #[serde(borrow)]
    arg: Option<Argument<'a>>,
    #[serde(borrow)]
    data: Option<&'a RawValue>,
    #[serde(borrow)]
    event: Option<&'a str>,
    #[serde(borrow)]
    op: Option<&'a str>,
    #[serde(borrow)]
    code: Option<Scalar<'a>>,
    #[serde(borrow)]
    msg: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
struct Argument<'a> {
    #[serde(borrow)]
    channel: Option<&'a str>,
    #[serde(rename = "instId", borrow)]
    name: Option<&'a str>,
}

/// A trade of the feed or of REST.
#[derive(Deserialize)]
pub(super) struct TradeItem<'a> {
    #[serde(rename = "instId", borrow)]
    pub(super) name: Option<&'a str>,
    #[serde(rename = "tradeId", borrow)]
    trade_id: Option<Scalar<'a>>,
    #[serde(borrow)]
    px: Option<Scalar<'a>>,
    #[serde(borrow)]
    sz: Option<Scalar<'a>>,
    #[serde(borrow)]
    side: Option<&'a str>,
    #[serde(borrow)]
    ts: Option<Scalar<'a>>,
}

/// Price and size, then counts of no use here.
type Level<'a> = Vec<Scalar<'a>>;

#[derive(Deserialize)]
struct BookItem<'a> {
    #[serde(borrow)]
    asks: Option<Vec<Level<'a>>>,
    #[serde(borrow)]
    bids: Option<Vec<Level<'a>>>,
    #[serde(borrow)]
    ts: Option<Scalar<'a>>,
}

#[derive(Deserialize)]
struct TickerItem<'a> {
    #[serde(rename = "instId", borrow)]
    name: Option<&'a str>,
    #[serde(rename = "bidPx", borrow)]
    bid_price: Option<Scalar<'a>>,
    #[serde(rename = "bidSz", borrow)]
    bid_size: Option<Scalar<'a>>,
    #[serde(rename = "askPx", borrow)]
    ask_price: Option<Scalar<'a>>,
    #[serde(rename = "askSz", borrow)]
    ask_size: Option<Scalar<'a>>,
    #[serde(borrow)]
    ts: Option<Scalar<'a>>,
}

/// Channels that are known and carry nothing for us.
fn ignored(channel: &str) -> Option<Ignored> {
    Some(match channel {
        "books" | "books5" | "books-l2-tbt" | "books50-l2-tbt" | "books-rpi" | "books-elp" | "sprd-bbo-tbt"
        | "sprd-books5" | "sprd-books-l2-tbt" => Ignored::Depth,
        "funding-rate"
        | "mark-price"
        | "index-tickers"
        | "open-interest"
        | "price-limit"
        | "estimated-price"
        | "opt-summary"
        | "liquidation-orders"
        | "adl-warning"
        | "option-trades"
        | "economic-calendar"
        | "call-auction-details" => Ignored::Derivatives,
        "instruments" | "status" => Ignored::Status,
        "sprd-tickers" | "block-tickers" => Ignored::Statistics,
        "sprd-public-trades" | "public-struc-block-trades" | "public-block-trades" => Ignored::AggregateTrade,
        "account"
        | "positions"
        | "orders"
        | "orders-algo"
        | "algo-advance"
        | "balance_and_position"
        | "fills"
        | "greeks"
        | "account-greeks"
        | "liquidation-warning"
        | "deposit-info"
        | "withdrawal-info"
        | "rfqs"
        | "quotes"
        | "struc-block-trades"
        | "grid-positions"
        | "grid-sub-orders"
        | "grid-orders-spot"
        | "grid-orders-contract"
        | "algo-recurring-buy"
        | "copytrading-lead-notification"
        | "sprd-orders"
        | "sprd-trades" => Ignored::Account,
        _ if channel.starts_with("candle")
            || channel.starts_with("mark-price-candle")
            || channel.starts_with("index-candle")
            || channel.starts_with("sprd-candle") =>
        {
            Ignored::Candle
        }
        _ => return None,
    })
}

impl Okx {
    pub(super) fn decode_frame(&self, frame: &[u8], now_ns: u64, out: &mut Vec<Event>) -> Result<(), Rejection> {
        if trimmed(frame) == b"pong" {
            out.push(Event::Heartbeat);
            return Ok(());
        }
        let outer: Outer<'_> = object(frame)?;
        let channel = outer.arg.as_ref().and_then(|argument| argument.channel);
        if let Some(word) = outer.event {
            out.push(self.control(word, &outer)?);
            return Ok(());
        }
        let Some(channel) = channel else {
            return match outer.op {
                // Answers to orders and other requests: the adapter sends none but subscribe.
                Some(_) => {
                    out.push(Event::Ignored(Ignored::Account));
                    Ok(())
                }
                None => Err(Rejection::new(Reason::UnknownChannel, "no channel")),
            };
        };
        match channel {
            "trades" | "trades-all" => self.trades(require("data", outer.data)?, now_ns, out),
            "bbo-tbt" => {
                let name = require("instId", outer.arg.and_then(|argument| argument.name))?;
                self.books(name, require("data", outer.data)?, now_ns, out)
            }
            "tickers" => self.tickers(require("data", outer.data)?, now_ns, out),
            _ => {
                let kind = ignored(channel).ok_or_else(|| Rejection::new(Reason::UnknownChannel, channel))?;
                out.push(Event::Ignored(kind));
                Ok(())
            }
        }
    }

    fn control(&self, word: &str, outer: &Outer<'_>) -> Result<Event, Rejection> {
        let code = || text(outer.code).unwrap_or_default().to_owned();
        let message = shortened(outer.msg.as_deref().unwrap_or_default());
        Ok(match word {
            "subscribe" => {
                let argument = outer.arg.as_ref();
                let channel = argument.and_then(|argument| argument.channel).unwrap_or_default();
                let name = argument.and_then(|argument| argument.name).unwrap_or_default();
                Event::Subscribed(shortened(&format!("{channel} {name}")))
            }
            "error" | "notice" => Event::VenueError { code: code(), message },
            "unsubscribe" | "login" | "channel-conn-count" => Event::Ignored(Ignored::Control),
            "channel-conn-count-error" => Event::VenueError { code: word.to_owned(), message },
            _ => return Err(Rejection::new(Reason::UnknownChannel, word)),
        })
    }

    fn trades(&self, data: &RawValue, now_ns: u64, out: &mut Vec<Event>) -> Result<(), Rejection> {
        let items = raw_rows(data)?;
        let (mut ticks, mut refused) = (Vec::with_capacity(items.len()), Vec::new());
        for item in items {
            match raw_object(item).and_then(|item| self.trade(&item, now_ns, Source::Live)) {
                Ok(tick) => ticks.push(tick),
                Err(rejection) => refused.push(rejection),
            }
        }
        ascending(&mut ticks);
        out.extend(ticks.into_iter().map(Event::Tick));
        out.extend(refused.into_iter().map(Event::Refused));
        Ok(())
    }

    pub(super) fn trade(&self, item: &TradeItem<'_>, now_ns: u64, source: Source) -> Result<Tick, Rejection> {
        checked_tick(Tick {
            venue: self.venue.clone(),
            symbol: self.names.decode(require("instId", item.name)?)?,
            trade_id: require("tradeId", text(item.trade_id))?.to_owned(),
            event_time_ns: millis_text("ts", text(item.ts))?,
            receive_time_ns: now_ns,
            price: decimal("px", text(item.px))?,
            size: decimal("sz", text(item.sz))?,
            side: match require("side", item.side)? {
                "buy" => Side::Buy,
                "sell" => Side::Sell,
                other => return Err(Rejection::new(Reason::OutOfRange, format!("side {other:?}"))),
            },
            source,
            repaired: false,
        })
    }

    fn books(&self, name: &str, data: &RawValue, now_ns: u64, out: &mut Vec<Event>) -> Result<(), Rejection> {
        let items = raw_rows(data)?;
        for item in items {
            let event = raw_object(item).and_then(|item| self.book(name, &item, now_ns));
            out.push(event.unwrap_or_else(Event::Refused));
        }
        Ok(())
    }

    fn book(&self, name: &str, item: &BookItem<'_>, now_ns: u64) -> Result<Event, Rejection> {
        let (asks, bids) = (require("asks", item.asks.as_ref())?, require("bids", item.bids.as_ref())?);
        let (ask_price, ask_size) = best("asks", asks)?;
        let (bid_price, bid_size) = best("bids", bids)?;
        quote_event(Quote {
            venue: self.venue.clone(),
            symbol: self.names.decode(name)?,
            event_time_ns: millis_text("ts", text(item.ts))?,
            receive_time_ns: now_ns,
            bid_price,
            bid_size,
            ask_price,
            ask_size,
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
        // An empty side is an empty text.
        let number = |field, scalar: Option<Scalar<'_>>| match text(scalar) {
            Some("") => Ok(Decimal::ZERO),
            other => decimal(field, other),
        };
        quote_event(Quote {
            venue: self.venue.clone(),
            symbol: self.names.decode(require("instId", item.name)?)?,
            event_time_ns: millis_text("ts", text(item.ts))?,
            receive_time_ns: now_ns,
            bid_price: number("bidPx", item.bid_price)?,
            bid_size: number("bidSz", item.bid_size)?,
            ask_price: number("askPx", item.ask_price)?,
            ask_size: number("askSz", item.ask_size)?,
        })
    }
}

/// Price and size of the first level; zeros if the side is empty.
fn best(field: &'static str, levels: &[Level<'_>]) -> Result<(Decimal, Decimal), Rejection> {
    let Some(level) = levels.first() else {
        return Ok((Decimal::ZERO, Decimal::ZERO));
    };
    Ok((decimal(field, text(level.first().copied()))?, decimal(field, text(level.get(1).copied()))?))
}
