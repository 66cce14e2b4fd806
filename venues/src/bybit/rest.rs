//! REST v5 of Bybit: the newest trades, candles newest first, instruments, errors in a 200.

use super::Bybit;
use super::frame::side;
use crate::market::{CandleRow, TradeRow, candle_rows, checked_tick, of_symbol, trade_rows};
use crate::number::{decimal, millis_text, positive, require};
use crate::rest::{by_status, retry_after};
use crate::scalar::{Row, Scalar, object, raw_object, raw_row, text};
use crate::symbol::listed_symbol;
use crate::{
    Answer, CandlesPage, CandlesQuery, Instrument, InstrumentKind, InstrumentStatus, Instruments, Reason, Rejection,
    RestError, RestRequest, TradesPage, TradesQuery,
};
use proto::Decimal;
use proto::market::{Source, Tick};
use serde::Deserialize;
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::time::Duration;

/// Trades that the venue gives for a spot symbol.
const TRADES: usize = 60;
/// Candles of a page; the venue's maximum.
const CANDLES: u64 = 1000;
/// How long an address stays banned that asked too fast.
const BAN: Duration = Duration::from_secs(600);

/// Any answer.
#[derive(Deserialize)]
struct Body<'a> {
    #[serde(rename = "retCode")]
    code: Option<i64>,
    #[serde(rename = "retMsg", borrow)]
    message: Option<Cow<'a, str>>,
    #[serde(borrow)]
    result: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct List<'a> {
    #[serde(borrow)]
    list: Option<Vec<&'a RawValue>>,
}

#[derive(Deserialize)]
struct TradeEntry<'a> {
    #[serde(rename = "execId", borrow)]
    id: Option<Scalar<'a>>,
    #[serde(borrow)]
    symbol: Option<&'a str>,
    #[serde(borrow)]
    price: Option<Scalar<'a>>,
    #[serde(borrow)]
    size: Option<Scalar<'a>>,
    #[serde(borrow)]
    side: Option<&'a str>,
    #[serde(borrow)]
    time: Option<Scalar<'a>>,
}

#[derive(Deserialize)]
struct InstrumentEntry<'a> {
    #[serde(borrow)]
    symbol: Option<&'a str>,
    #[serde(rename = "baseCoin", borrow)]
    base: Option<&'a str>,
    #[serde(rename = "quoteCoin", borrow)]
    quote: Option<&'a str>,
    #[serde(borrow)]
    status: Option<&'a str>,
    #[serde(rename = "contractType", borrow)]
    contract: Option<&'a str>,
    #[serde(rename = "optionsType", borrow)]
    option: Option<&'a str>,
    #[serde(rename = "lotSizeFilter", borrow)]
    lot: Option<LotFilter<'a>>,
    #[serde(rename = "priceFilter", borrow)]
    price: Option<PriceFilter<'a>>,
}

#[derive(Deserialize)]
struct LotFilter<'a> {
    #[serde(rename = "basePrecision", borrow)]
    step: Option<Scalar<'a>>,
    #[serde(rename = "minOrderAmt", borrow)]
    min_notional: Option<Scalar<'a>>,
}

#[derive(Deserialize)]
struct PriceFilter<'a> {
    #[serde(rename = "tickSize", borrow)]
    tick_size: Option<Scalar<'a>>,
}

/// What an answer means. Errors carry a `retCode` other than 0, mostly with status 200.
pub(super) fn check(answer: &Answer<'_>) -> Result<(), RestError> {
    let body: Option<Body<'_>> = serde_json::from_slice(answer.body).ok();
    let message = body.as_ref().and_then(|body| body.message.as_deref()).unwrap_or_default();
    let (status, message) = (answer.status, crate::event::shortened(message));
    match (status, body.and_then(|body| body.code)) {
        (_, Some(10_006 | 10_018 | 10_429)) => Err(RestError::RateLimited { retry_after: retry_after(answer) }),
        (403, _) | (_, Some(10_009)) => Err(RestError::Banned { retry_after: retry_after(answer).or(Some(BAN)) }),
        (_, Some(10_003..=10_005 | 10_010 | 10_024)) => Err(RestError::Forbidden { message }),
        (_, Some(10_000 | 10_016)) => Err(RestError::Retryable { status, message }),
        // One code for all wrong parameters; only the text tells which.
        (_, Some(10_001)) if message.to_ascii_lowercase().contains("symbol") => Err(RestError::UnknownSymbol),
        (200..300, Some(code)) if code != 0 => Err(RestError::Fatal { status, message }),
        _ => by_status(answer, &message),
    }
}

/// The rows of an answer.
fn list(body: &[u8]) -> Result<Vec<&RawValue>, Rejection> {
    let body: Body<'_> = object(body)?;
    match body.code {
        Some(0) => require("list", raw_object::<List<'_>>(require("result", body.result)?)?.list),
        code => {
            let code = code.map_or_else(|| "no retCode".to_owned(), |code| code.to_string());
            let message = body.message.as_deref().unwrap_or_default();
            Err(Rejection::new(Reason::VenueError, format!("{code} {message}")))
        }
    }
}

impl Bybit {
    pub(super) fn read_instruments(&self, body: &[u8]) -> Result<Instruments, Rejection> {
        let mut result = Instruments::default();
        for entry in list(body)? {
            match raw_object(entry).and_then(|entry| self.instrument(&entry)) {
                Ok(instrument) => result.listed.push(instrument),
                Err(rejection) => result.refused.push(rejection),
            }
        }
        Ok(result)
    }

    fn instrument(&self, entry: &InstrumentEntry<'_>) -> Result<Instrument, Rejection> {
        let name = require("symbol", entry.symbol)?;
        if entry.contract.is_some() || entry.option.is_some() {
            return Err(Rejection::new(Reason::UnknownSymbol, format!("{name}: a derivative")));
        }
        let lot = require("lotSizeFilter", entry.lot.as_ref())?;
        let price = require("priceFilter", entry.price.as_ref())?;
        Ok(Instrument {
            venue: self.venue.clone(),
            symbol: listed_symbol(require("baseCoin", entry.base)?, require("quoteCoin", entry.quote)?)?,
            venue_symbol: name.to_owned(),
            kind: InstrumentKind::Spot,
            status: match entry.status {
                Some("Trading") => InstrumentStatus::Trading,
                Some("Closed" | "PreLaunch" | "Delivering") => InstrumentStatus::Closed,
                _ => InstrumentStatus::Halted,
            },
            tick_size: positive("tickSize", text(price.tick_size))?,
            lot_size: positive("basePrecision", text(lot.step))?,
            min_notional: text(lot.min_notional)
                .map_or(Ok(Decimal::ZERO), |text| decimal("minOrderAmt", Some(text)))?,
        })
    }

    /// `recent-trade`: the newest trades, no paging and no search by id.
    pub(super) fn trades_request(&self, query: &TradesQuery) -> Option<RestRequest> {
        if query.ids.is_some() {
            return None;
        }
        let name = self.names.name(&query.symbol).ok()?;
        Some(RestRequest::new(format!("/v5/market/recent-trade?category=spot&symbol={name}&limit={TRADES}"), 1))
    }

    pub(super) fn read_trades(&self, query: &TradesQuery, body: &[u8], now_ns: u64) -> Result<TradesPage, Rejection> {
        let rows = trade_rows(query, list(body)?, |entry| {
            of_symbol(query, self.trade_row(&raw_object(entry)?, now_ns)?).map(TradeRow::Trade)
        });
        let cut_short = rows.count >= TRADES && rows.times.is_some_and(|(earliest, _)| earliest > query.from_ns);
        Ok(TradesPage { ticks: rows.ticks, refused: rows.refused, next: None, cut_short, ..TradesPage::default() })
    }

    fn trade_row(&self, entry: &TradeEntry<'_>, now_ns: u64) -> Result<Tick, Rejection> {
        checked_tick(Tick {
            venue: self.venue.clone(),
            symbol: self.names.decode(require("symbol", entry.symbol)?)?,
            trade_id: require("execId", text(entry.id))?.to_owned(),
            event_time_ns: millis_text("time", text(entry.time))?,
            receive_time_ns: now_ns,
            price: decimal("price", text(entry.price))?,
            size: decimal("size", text(entry.size))?,
            side: side(entry.side)?,
            source: Source::Backfill,
            repaired: false,
        })
    }

    /// `kline`, newest first, both ends inclusive; no 1 s candles.
    pub(super) fn candles_request(&self, query: &CandlesQuery) -> Option<RestRequest> {
        let interval = match query.interval.seconds() {
            60 => "1",
            300 => "5",
            900 => "15",
            3600 => "60",
            14_400 => "240",
            86_400 => "D",
            _ => return None,
        };
        let name = self.names.name(&query.symbol).ok()?;
        let start = query.from_ns.div_ceil(1_000_000);
        let end = query.window_end(CANDLES).div_ceil(1_000_000).saturating_sub(1);
        let path = "/v5/market/kline?category=spot";
        Some(RestRequest::new(
            format!("{path}&symbol={name}&interval={interval}&start={start}&end={end}&limit={CANDLES}"),
            1,
        ))
    }

    pub(super) fn read_candles(
        &self,
        query: &CandlesQuery,
        body: &[u8],
        now_ns: u64,
    ) -> Result<CandlesPage, Rejection> {
        let rows = candle_rows(&self.venue, query, now_ns, list(body)?, |entry| candle_row(&raw_row(entry)?));
        Ok(CandlesPage {
            candles: rows.candles,
            refused: rows.refused,
            next: query.after_window(CANDLES),
            cut_short: false,
        })
    }
}

/// `[ms, open, high, low, close, volume, turnover]`.
fn candle_row(row: &Row<'_>) -> Result<CandleRow, Rejection> {
    Ok(CandleRow {
        open_time_ns: millis_text("start", row.column(0))?,
        open: decimal("open", row.column(1))?,
        high: decimal("high", row.column(2))?,
        low: decimal("low", row.column(3))?,
        close: decimal("close", row.column(4))?,
        volume: decimal("volume", row.column(5))?,
        quote_volume: decimal("turnover", row.column(6))?,
        trades: 0,
    })
}
