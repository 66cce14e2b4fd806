//! Frames of the Hyperliquid feed.

use super::Hyperliquid;
use crate::event::shortened;
use crate::market::{ascending, checked_tick, quote_event};
use crate::number::{decimal, millis, require};
use crate::scalar::{Scalar, object, raw_object, raw_rows, text};
use crate::{Event, Ignored, Reason, Rejection};
use proto::Decimal;
use proto::market::{Quote, Side, Source, Tick};
use serde::Deserialize;
use serde_json::value::RawValue;
use std::borrow::Cow;

#[derive(Deserialize)]
struct Outer<'a> {
    #[serde(borrow)]
    channel: Option<Cow<'a, str>>,
    #[serde(borrow)]
    data: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct TradeItem<'a> {
    #[serde(borrow)]
    coin: Option<&'a str>,
    #[serde(borrow)]
    side: Option<&'a str>,
    #[serde(borrow)]
    px: Option<Scalar<'a>>,
    #[serde(borrow)]
    sz: Option<Scalar<'a>>,
    time: Option<u64>,
    tid: Option<u64>,
}

#[derive(Deserialize)]
struct Level<'a> {
    #[serde(borrow)]
    px: Option<Scalar<'a>>,
    #[serde(borrow)]
    sz: Option<Scalar<'a>>,
}

/// Bid and ask; a side without orders is `null`.
#[derive(Deserialize)]
struct BestData<'a> {
    #[serde(borrow)]
    coin: Option<&'a str>,
    time: Option<u64>,
    #[serde(borrow)]
    bbo: Option<(Option<Level<'a>>, Option<Level<'a>>)>,
}

fn level(field: &'static str, level: Option<&Level<'_>>) -> Result<(Decimal, Decimal), Rejection> {
    match level {
        Some(level) => Ok((decimal(field, text(level.px))?, decimal(field, text(level.sz))?)),
        None => Ok((Decimal::ZERO, Decimal::ZERO)),
    }
}

impl Hyperliquid {
    pub(super) fn decode_frame(&self, frame: &[u8], now_ns: u64, out: &mut Vec<Event>) -> Result<(), Rejection> {
        let outer: Outer<'_> = object(frame)?;
        let channel = outer.channel.ok_or_else(|| Rejection::new(Reason::UnknownChannel, "no channel"))?;
        let event = match channel.as_ref() {
            "trades" => return self.trades(require("data", outer.data)?, now_ns, out),
            "bbo" => self.best(&raw_object(require("data", outer.data)?)?, now_ns)?,
            "pong" => Event::Heartbeat,
            "subscriptionResponse" => Event::Subscribed(shortened(outer.data.map_or("", RawValue::get))),
            "error" => {
                Event::VenueError { code: String::new(), message: shortened(outer.data.map_or("", RawValue::get)) }
            }
            "l2Book" => Event::Ignored(Ignored::Depth),
            "candle" => Event::Ignored(Ignored::Candle),
            "allMids" => Event::Ignored(Ignored::Statistics),
            "activeAssetCtx" | "activeSpotAssetCtx" | "allDexsAssetCtxs" => Event::Ignored(Ignored::Derivatives),
            "user"
            | "userEvents"
            | "userFills"
            | "userFundings"
            | "orderUpdates"
            | "notification"
            | "webData2"
            | "webData3"
            | "userNonFundingLedgerUpdates"
            | "activeAssetData"
            | "clearinghouseState"
            | "openOrders" => Event::Ignored(Ignored::Account),
            other => return Err(Rejection::new(Reason::UnknownChannel, other)),
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
            symbol: self.names.decode(require("coin", item.coin)?)?,
            trade_id: require("tid", item.tid)?.to_string(),
            event_time_ns: millis("time", item.time)?,
            receive_time_ns: now_ns,
            price: decimal("px", text(item.px))?,
            size: decimal("sz", text(item.sz))?,
            side: match require("side", item.side)? {
                "B" => Side::Buy,
                "A" => Side::Sell,
                other => return Err(Rejection::new(Reason::OutOfRange, format!("side {other:?}"))),
            },
            source: Source::Live,
            repaired: false,
        })
    }

    fn best(&self, data: &BestData<'_>, now_ns: u64) -> Result<Event, Rejection> {
        let (bid, ask) = require("bbo", data.bbo.as_ref())?;
        let (bid_price, bid_size) = level("bid", bid.as_ref())?;
        let (ask_price, ask_size) = level("ask", ask.as_ref())?;
        quote_event(Quote {
            venue: self.venue.clone(),
            symbol: self.names.decode(require("coin", data.coin)?)?,
            event_time_ns: millis("time", data.time)?,
            receive_time_ns: now_ns,
            bid_price,
            bid_size,
            ask_price,
            ask_size,
        })
    }
}
