//! REST of Binance: trades by id, candles, instruments, errors.

use super::{Binance, Market, names};
use crate::market::{CandleRow, TradeRow, candle_rows, checked_tick, trade_rows};
use crate::number::{decimal, millis, millis_text, positive, require, whole};
use crate::rest::{by_status, retry_after};
use crate::scalar::{Row, Scalar, object, raw_object, raw_row, rows, text};
use crate::symbol::listed_symbol;
use crate::{
    Answer, CandlesPage, CandlesQuery, Cursor, Instrument, InstrumentKind, InstrumentStatus, Instruments, Reason,
    Rejection, RestError, RestRequest, TradesPage, TradesQuery,
};
use proto::Decimal;
use proto::market::{Side, Source, Tick};
use serde::Deserialize;
use serde_json::value::RawValue;
use std::borrow::Cow;

/// Rows of a page; the venue's maximum.
const PAGE: usize = 1000;

#[derive(Deserialize)]
struct TradeEntry<'a> {
    id: Option<u64>,
    #[serde(borrow)]
    price: Option<Scalar<'a>>,
    #[serde(borrow)]
    qty: Option<Scalar<'a>>,
    time: Option<u64>,
    #[serde(rename = "isBuyerMaker")]
    buyer_is_maker: Option<bool>,
}

/// An aggregate trade: only used to find the id of the first trade at a time.
#[derive(Deserialize)]
struct AggregateEntry {
    f: Option<u64>,
    #[serde(rename = "T")]
    time: Option<u64>,
}

#[derive(Deserialize)]
struct ExchangeInfo<'a> {
    #[serde(borrow)]
    symbols: Option<Vec<&'a RawValue>>,
}

#[derive(Deserialize)]
struct SymbolEntry<'a> {
    #[serde(borrow)]
    symbol: Option<Cow<'a, str>>,
    #[serde(borrow)]
    status: Option<Cow<'a, str>>,
    #[serde(rename = "baseAsset", borrow)]
    base: Option<Cow<'a, str>>,
    #[serde(rename = "quoteAsset", borrow)]
    quote: Option<Cow<'a, str>>,
    #[serde(rename = "contractType", borrow)]
    contract: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    filters: Vec<Filter<'a>>,
}

#[derive(Deserialize)]
struct Filter<'a> {
    #[serde(rename = "filterType", borrow)]
    kind: Option<Cow<'a, str>>,
    #[serde(rename = "tickSize", borrow)]
    tick_size: Option<Scalar<'a>>,
    #[serde(rename = "stepSize", borrow)]
    step_size: Option<Scalar<'a>>,
    #[serde(rename = "minNotional", borrow)]
    min_notional: Option<Scalar<'a>>,
    #[serde(borrow)]
    notional: Option<Scalar<'a>>,
}

#[derive(Deserialize)]
struct ErrorBody<'a> {
    code: Option<i64>,
    #[serde(borrow)]
    msg: Option<Cow<'a, str>>,
}

/// What an answer means. The venue reports errors as `{"code":-1121,"msg":".."}` with a status of 400 and more.
pub(super) fn check(answer: &Answer<'_>) -> Result<(), RestError> {
    if (200..300).contains(&answer.status) {
        return Ok(());
    }
    let body: Option<ErrorBody<'_>> = serde_json::from_slice(answer.body).ok();
    let message = body.as_ref().and_then(|body| body.msg.as_deref()).unwrap_or_default().to_owned();
    match (answer.status, body.and_then(|body| body.code)) {
        (418, _) => Err(RestError::Banned { retry_after: retry_after(answer) }),
        // 403 is the venue's firewall: too many requests in a short time.
        (403, _) | (_, Some(-1003)) => Err(RestError::RateLimited { retry_after: retry_after(answer) }),
        (451, _) | (_, Some(-2014 | -2015 | -1002)) => Err(RestError::Forbidden { message }),
        (_, Some(-1121)) => Err(RestError::UnknownSymbol),
        (status, Some(-1000 | -1001 | -1006 | -1007 | -1008 | -1016)) => Err(RestError::Retryable { status, message }),
        _ => by_status(answer, &message),
    }
}

impl Binance {
    const fn path(&self) -> &'static str {
        match self.market {
            Market::Spot => "/api/v3",
            Market::Usdm => "/fapi/v1",
        }
    }

    pub(super) fn instruments_request(&self) -> RestRequest {
        let weight = if self.market == Market::Spot { 20 } else { 1 };
        RestRequest::new(format!("{}/exchangeInfo", self.path()), weight)
    }

    pub(super) fn read_instruments(&self, body: &[u8]) -> Result<Instruments, Rejection> {
        let info: ExchangeInfo<'_> = object(body)?;
        let mut result = Instruments::default();
        for entry in require("symbols", info.symbols)? {
            match raw_object(entry).and_then(|entry| self.instrument(&entry)) {
                Ok(instrument) => result.listed.push(instrument),
                Err(rejection) => result.refused.push(rejection),
            }
        }
        Ok(result)
    }

    fn instrument(&self, entry: &SymbolEntry<'_>) -> Result<Instrument, Rejection> {
        let name = require("symbol", entry.symbol.as_deref())?;
        let (base, quote) =
            (require("baseAsset", entry.base.as_deref())?, require("quoteAsset", entry.quote.as_deref())?);
        // `BTCUSDT_240927` is a future of the pair: its expiry goes into the canonical symbol. `BTCUSD_PERP` is of the
        // coin-margined market, where sizes are contracts.
        let symbol = match name.split_once('_') {
            Some((_, expiry)) if names::is_date(expiry) => listed_symbol(base, &format!("{quote}_{expiry}"))?,
            Some(_) => return Err(Rejection::new(Reason::UnknownSymbol, name)),
            None => listed_symbol(base, quote)?,
        };
        let filter = |kind: &str| entry.filters.iter().find(|filter| filter.kind.as_deref() == Some(kind));
        let tick_size = filter("PRICE_FILTER").and_then(|filter| text(filter.tick_size));
        let lot_size = filter("LOT_SIZE").and_then(|filter| text(filter.step_size));
        let notional = filter("NOTIONAL").or_else(|| filter("MIN_NOTIONAL"));
        let notional = notional.and_then(|filter| text(filter.min_notional).or(text(filter.notional)));
        Ok(Instrument {
            venue: self.venue.clone(),
            symbol,
            venue_symbol: name.to_owned(),
            kind: self.kind(entry.contract.as_deref()),
            status: status(entry.status.as_deref()),
            tick_size: positive("PRICE_FILTER.tickSize", tick_size)?,
            lot_size: positive("LOT_SIZE.stepSize", lot_size)?,
            min_notional: notional.map_or(Ok(Decimal::ZERO), |text| decimal("minNotional", Some(text)))?,
        })
    }

    fn kind(&self, contract: Option<&str>) -> InstrumentKind {
        match (self.market, contract) {
            (Market::Spot, _) => InstrumentKind::Spot,
            (Market::Usdm, Some("PERPETUAL" | "TRADIFI_PERPETUAL" | "PERPETUAL_DELIVERING") | None) => {
                InstrumentKind::Perpetual
            }
            (Market::Usdm, Some(_)) => InstrumentKind::Future,
        }
    }

    /// Spot: `historicalTrades` by id, without a key since 2024; a search by time first asks `aggTrades` for the id of
    /// the first trade. Futures: `historicalTrades` wants a key there, so only the newest 1000 trades can be had.
    pub(super) fn trades_request(&self, query: &TradesQuery) -> Option<RestRequest> {
        let (path, name) = (self.path(), self.names.name(&query.symbol).ok()?);
        if self.market == Market::Usdm {
            return Some(RestRequest::new(format!("{path}/trades?symbol={name}&limit={PAGE}"), 5));
        }
        let from_id = match (query.cursor, query.ids) {
            (Some(Cursor::FromId(id)), _) => id,
            (_, Some(ids)) => ids.first,
            (_, None) => {
                let start_ms = query.from_ns / 1_000_000;
                let locate = format!("{path}/aggTrades?symbol={name}&startTime={start_ms}&limit=1");
                return Some(RestRequest::new(locate, 4));
            }
        };
        let limit = query.ids.map_or(PAGE, |ids| {
            usize::try_from(ids.last.saturating_sub(from_id).saturating_add(1)).unwrap_or(PAGE).min(PAGE)
        });
        Some(RestRequest::new(format!("{path}/historicalTrades?symbol={name}&fromId={from_id}&limit={limit}"), 25))
    }

    pub(super) fn read_trades(&self, query: &TradesQuery, body: &[u8], now_ns: u64) -> Result<TradesPage, Rejection> {
        if self.market == Market::Spot && query.ids.is_none() && query.cursor.is_none() {
            return locate(query, body);
        }
        let rows = trade_rows(query, rows(body)?, |entry| self.trade_row(query, &raw_object(entry)?, now_ns));
        let mut page =
            TradesPage { ticks: rows.ticks, void_ids: rows.void_ids, refused: rows.refused, ..TradesPage::default() };
        if self.market == Market::Usdm {
            page.cut_short = match (query.ids, rows.ids, rows.times) {
                (Some(ids), Some((oldest, _)), _) => oldest > ids.first,
                (None, _, Some((oldest, _))) => oldest > query.from_ns && rows.count >= PAGE,
                _ => true,
            };
            return Ok(page);
        }
        let asked = match (query.cursor, query.ids) {
            (Some(Cursor::FromId(id)), _) => id,
            (_, ids) => ids.map_or(0, |ids| ids.first),
        };
        match rows.ids {
            None => page.cut_short = query.ids.is_some(),
            Some((_, last)) => {
                let more = match query.ids {
                    Some(ids) => last < ids.last,
                    None => rows.count >= PAGE && rows.times.is_some_and(|(_, latest)| latest < query.to_ns),
                };
                if more && last >= asked {
                    page.next = Some(TradesQuery { cursor: Some(Cursor::FromId(last + 1)), ..query.clone() });
                }
            }
        }
        Ok(page)
    }

    fn trade_row(&self, query: &TradesQuery, entry: &TradeEntry<'_>, now_ns: u64) -> Result<TradeRow, Rejection> {
        let id = require("id", entry.id)?;
        let (price, size) = (decimal("price", text(entry.price))?, decimal("qty", text(entry.qty))?);
        if self.market == Market::Usdm && (price.is_zero() || size.is_zero()) {
            return Ok(TradeRow::Void(id));
        }
        let tick = Tick {
            venue: self.venue.clone(),
            symbol: query.symbol.clone(),
            trade_id: id.to_string(),
            event_time_ns: millis("time", entry.time)?,
            receive_time_ns: now_ns,
            price,
            size,
            side: if require("isBuyerMaker", entry.buyer_is_maker)? { Side::Sell } else { Side::Buy },
            source: Source::Backfill,
            repaired: false,
        };
        checked_tick(tick).map(TradeRow::Trade)
    }

    /// `klines`, ascending, both ends inclusive. One-second candles exist on spot only.
    pub(super) fn candles_request(&self, query: &CandlesQuery) -> Option<RestRequest> {
        let interval = match query.interval.seconds() {
            1 if self.market == Market::Spot => "1s",
            60 => "1m",
            300 => "5m",
            900 => "15m",
            3600 => "1h",
            14_400 => "4h",
            86_400 => "1d",
            _ => return None,
        };
        let name = self.names.name(&query.symbol).ok()?;
        let (start_ms, end_ms) =
            (query.from_ns.div_ceil(1_000_000), (query.to_ns.div_ceil(1_000_000)).saturating_sub(1));
        let weight = if self.market == Market::Spot { 2 } else { 5 };
        let path = self.path();
        Some(RestRequest::new(
            format!(
                "{path}/klines?symbol={name}&interval={interval}&startTime={start_ms}&endTime={end_ms}&limit={PAGE}"
            ),
            weight,
        ))
    }

    pub(super) fn read_candles(
        &self,
        query: &CandlesQuery,
        body: &[u8],
        now_ns: u64,
    ) -> Result<CandlesPage, Rejection> {
        let rows = candle_rows(&self.venue, query, now_ns, rows(body)?, |entry| candle_row(&raw_row(entry)?));
        let next_from = rows.span.map(|(_, latest)| latest.saturating_add(query.interval.nanos()));
        let next_from = next_from.filter(|next| rows.count >= PAGE && query.from_ns < *next && *next < query.to_ns);
        Ok(CandlesPage {
            candles: rows.candles,
            refused: rows.refused,
            next: next_from.map(|from_ns| CandlesQuery { from_ns, ..query.clone() }),
            cut_short: false,
        })
    }
}

/// Open time, open, high, low, close, volume, close time, quote volume, trades; then columns of no use here.
fn candle_row(row: &Row<'_>) -> Result<CandleRow, Rejection> {
    Ok(CandleRow {
        open_time_ns: millis_text("open time", row.column(0))?,
        open: decimal("open", row.column(1))?,
        high: decimal("high", row.column(2))?,
        low: decimal("low", row.column(3))?,
        close: decimal("close", row.column(4))?,
        volume: decimal("volume", row.column(5))?,
        quote_volume: decimal("quote volume", row.column(7))?,
        trades: whole("trades", row.column(8))?,
    })
}

/// The answer to the search for the first trade at or after `from_ns`.
fn locate(query: &TradesQuery, body: &[u8]) -> Result<TradesPage, Rejection> {
    let mut page = TradesPage::default();
    if let Some(entry) = rows(body)?.first() {
        let entry: AggregateEntry = raw_object(entry)?;
        let (first, time_ns) = (require("f", entry.f)?, millis("T", entry.time)?);
        if time_ns < query.to_ns {
            page.next = Some(TradesQuery { cursor: Some(Cursor::FromId(first)), ..query.clone() });
        }
    }
    Ok(page)
}

fn status(word: Option<&str>) -> InstrumentStatus {
    match word {
        Some("TRADING") => InstrumentStatus::Trading,
        Some("CLOSE" | "SETTLING" | "DELIVERED" | "DELIVERING" | "PENDING_TRADING" | "PRE_SETTLE") => {
            InstrumentStatus::Closed
        }
        _ => InstrumentStatus::Halted,
    }
}
