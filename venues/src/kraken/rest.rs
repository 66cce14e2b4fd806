//! REST v0 of Kraken: public trades (upwards by time), candles (the newest 720 only), pairs, errors inside a 200.

use super::{Kraken, names};
use crate::market::{CandleRow, TradeRow, candle_rows, checked_tick, trade_rows};
use crate::number::{decimal, positive, require, seconds, whole};
use crate::rest::by_status;
use crate::scalar::{Row, Scalar, object, raw_object, raw_row, raw_rows, raw_scalar, text};
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
use std::collections::BTreeMap;

/// Trades of a page; the venue's maximum.
const TRADES: usize = 1000;
/// The candles that the venue keeps for each interval; the last of them is still open.
const CANDLES: u64 = 720;

/// Any answer: errors, or a result that holds one list under the pair's legacy name and `last`.
#[derive(Deserialize)]
struct Body<'a, T> {
    #[serde(borrow, default)]
    error: Vec<Cow<'a, str>>,
    result: Option<T>,
}

#[derive(Deserialize)]
struct PairEntry<'a> {
    #[serde(borrow)]
    wsname: Option<Cow<'a, str>>,
    #[serde(borrow)]
    base: Option<Cow<'a, str>>,
    #[serde(borrow)]
    quote: Option<Cow<'a, str>>,
    #[serde(borrow)]
    tick_size: Option<Scalar<'a>>,
    pair_decimals: Option<u32>,
    lot_decimals: Option<u32>,
    #[serde(borrow)]
    costmin: Option<Scalar<'a>>,
    #[serde(borrow)]
    status: Option<Cow<'a, str>>,
}

/// What an answer means. Errors are texts such as `EQuery:Unknown asset pair`, mostly with status 200.
pub(super) fn check(answer: &Answer<'_>) -> Result<(), RestError> {
    let body: Option<Body<'_, serde::de::IgnoredAny>> = serde_json::from_slice(answer.body).ok();
    let error = body.and_then(|body| body.error.into_iter().next()).unwrap_or_default();
    let message = || crate::event::shortened(&error);
    match error.split_once(':') {
        Some(("EQuery", "Unknown asset pair")) => Err(RestError::UnknownSymbol),
        Some(("EAPI" | "EGeneral" | "EOrder", "Rate limit exceeded" | "Too many requests")) => {
            Err(RestError::RateLimited { retry_after: None })
        }
        // `EService:Throttled: 1700000000` and `EGeneral:Temporary lockout` stop all requests of the address.
        Some((_, text)) if text.starts_with("Throttled") || text == "Temporary lockout" => {
            Err(RestError::Banned { retry_after: None })
        }
        Some(("EService" | "EGeneral", "Unavailable" | "Busy" | "Timeout" | "Internal error" | "Deadline elapsed")) => {
            Err(RestError::Retryable { status: answer.status, message: message() })
        }
        Some(("EAPI", _)) => Err(RestError::Forbidden { message: message() }),
        Some(_) => Err(RestError::Fatal { status: answer.status, message: message() }),
        None => by_status(answer, &error),
    }
}

/// The result of an answer.
fn result<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, Rejection> {
    let body: Body<'a, T> = object(body)?;
    if let Some(error) = body.error.first() {
        return Err(Rejection::new(Reason::VenueError, error));
    }
    require("result", body.result)
}

/// The rows of a result and its `last`.
fn rows(body: &[u8]) -> Result<(Vec<&RawValue>, Option<Scalar<'_>>), Rejection> {
    let mut list = None;
    let mut last = None;
    for (key, value) in result::<BTreeMap<Cow<'_, str>, &RawValue>>(body)? {
        if key == "last" {
            last = Some(raw_scalar(value)?);
        } else {
            list = Some(raw_rows(value)?);
        }
    }
    Ok((require("rows", list)?, last))
}

/// `10^-decimals`.
fn step(field: &'static str, decimals: Option<u32>) -> Result<Decimal, Rejection> {
    Decimal::new(1, require(field, decimals)?)
        .map_err(|error| Rejection::new(Reason::BadNumber, format!("{field}: {error}")))
}

impl Kraken {
    pub(super) fn read_instruments(&self, body: &[u8]) -> Result<Instruments, Rejection> {
        let pairs: BTreeMap<Cow<'_, str>, &RawValue> = result(body)?;
        let mut instruments = Instruments::default();
        for (name, entry) in pairs {
            // `XXBTZUSD.d` is a dark pool of the pair.
            if name.ends_with(".d") {
                instruments.refused.push(Rejection::new(Reason::UnknownSymbol, format!("{name}: dark pool")));
                continue;
            }
            match raw_object(entry).and_then(|entry| self.instrument(&entry)) {
                Ok(instrument) => instruments.listed.push(instrument),
                Err(rejection) => instruments.refused.push(rejection),
            }
        }
        Ok(instruments)
    }

    fn instrument(&self, entry: &PairEntry<'_>) -> Result<Instrument, Rejection> {
        let (base, quote) = match entry.wsname.as_deref().and_then(|name| name.split_once('/')) {
            Some(parts) => parts,
            None => (require("base", entry.base.as_deref())?, require("quote", entry.quote.as_deref())?),
        };
        let (base, quote) = (names::asset(base), names::asset(quote));
        let tick_size = match text(entry.tick_size) {
            Some(text) => positive("tick_size", Some(text))?,
            None => step("pair_decimals", entry.pair_decimals)?,
        };
        Ok(Instrument {
            venue: self.venue.clone(),
            symbol: listed_symbol(base, quote)?,
            venue_symbol: format!("{base}/{quote}"),
            kind: InstrumentKind::Spot,
            // Answers before 2022 have no status and list only pairs that trade.
            status: match entry.status.as_deref() {
                Some("online") | None => InstrumentStatus::Trading,
                Some("delisted") => InstrumentStatus::Closed,
                Some(_) => InstrumentStatus::Halted,
            },
            tick_size,
            lot_size: step("lot_decimals", entry.lot_decimals)?,
            min_notional: text(entry.costmin).map_or(Ok(Decimal::ZERO), |text| decimal("costmin", Some(text)))?,
        })
    }

    /// `Trades` begins behind `since` (ns) and goes up. A range of ids is searched by its times.
    pub(super) fn trades_request(&self, query: &TradesQuery) -> Option<RestRequest> {
        let pair = names::rest_pair(&self.names.name(&query.symbol).ok()?);
        let since =
            if let Some(Cursor::FromTime(time_ns)) = query.cursor { time_ns } else { query.from_ns.saturating_sub(1) };
        Some(RestRequest::new(format!("/0/public/Trades?pair={pair}&since={since}&count={TRADES}"), 1))
    }

    pub(super) fn read_trades(&self, query: &TradesQuery, body: &[u8], now_ns: u64) -> Result<TradesPage, Rejection> {
        let (entries, last) = rows(body)?;
        let rows =
            trade_rows(query, entries, |entry| self.trade_row(query, &raw_row(entry)?, now_ns).map(TradeRow::Trade));
        let since =
            if let Some(Cursor::FromTime(time_ns)) = query.cursor { time_ns } else { query.from_ns.saturating_sub(1) };
        // One less than `last`: trades of that very time may go on behind the page. They come twice, with the same ids.
        let last = whole("last", text(last)).unwrap_or(0).saturating_sub(1);
        let reached = match (query.ids, rows.ids, rows.times) {
            (Some(ids), Some((_, highest)), _) if highest >= ids.last => true,
            (_, _, Some((_, latest))) => latest > query.to_ns,
            _ => true,
        };
        let more = !reached && rows.count >= TRADES && last > since;
        Ok(TradesPage {
            ticks: rows.ticks,
            refused: rows.refused,
            void_ids: rows.void_ids,
            next: more.then(|| TradesQuery { cursor: Some(Cursor::FromTime(last)), ..query.clone() }),
            cut_short: false,
        })
    }

    /// `[price, volume, time, "b"|"s", "m"|"l", misc, id]`; rows before 2022 have no id.
    fn trade_row(&self, query: &TradesQuery, row: &Row<'_>, now_ns: u64) -> Result<Tick, Rejection> {
        checked_tick(Tick {
            venue: self.venue.clone(),
            symbol: query.symbol.clone(),
            trade_id: whole("trade id", row.column(6))?.to_string(),
            event_time_ns: seconds("time", row.column(2))?,
            receive_time_ns: now_ns,
            price: decimal("price", row.column(0))?,
            size: decimal("volume", row.column(1))?,
            side: match require("side", row.column(3))? {
                "b" => Side::Buy,
                "s" => Side::Sell,
                other => return Err(Rejection::new(Reason::OutOfRange, format!("side {other:?}"))),
            },
            source: Source::Backfill,
            repaired: false,
        })
    }

    /// `OHLC` gives the newest 720 candles whatever `since`; no 1 s candles.
    pub(super) fn candles_request(&self, query: &CandlesQuery) -> Option<RestRequest> {
        let minutes = match query.interval.seconds() {
            seconds @ (60 | 300 | 900 | 3600 | 14_400 | 86_400) => seconds / 60,
            _ => return None,
        };
        let pair = names::rest_pair(&self.names.name(&query.symbol).ok()?);
        let since = query.from_ns.saturating_sub(query.interval.nanos()) / 1_000_000_000;
        Some(RestRequest::new(format!("/0/public/OHLC?pair={pair}&interval={minutes}&since={since}"), 1))
    }

    pub(super) fn read_candles(
        &self,
        query: &CandlesQuery,
        body: &[u8],
        now_ns: u64,
    ) -> Result<CandlesPage, Rejection> {
        let (entries, _) = rows(body)?;
        let rows = candle_rows(&self.venue, query, now_ns, entries, |entry| candle_row(&raw_row(entry)?));
        // Without intervals that had no trades, the rows may reach further back than their number says.
        let kept_from = now_ns.saturating_sub(CANDLES * query.interval.nanos());
        let cut_short = query.from_ns < kept_from && rows.span.is_none_or(|(earliest, _)| earliest > query.from_ns);
        Ok(CandlesPage { candles: rows.candles, refused: rows.refused, next: None, cut_short })
    }
}

/// `[time, open, high, low, close, vwap, volume, count]`. The quote volume is vwap times volume, as exact as the vwap.
fn candle_row(row: &Row<'_>) -> Result<CandleRow, Rejection> {
    let volume = decimal("volume", row.column(6))?;
    let average = decimal("vwap", row.column(5))?;
    Ok(CandleRow {
        open_time_ns: seconds("time", row.column(0))?,
        open: decimal("open", row.column(1))?,
        high: decimal("high", row.column(2))?,
        low: decimal("low", row.column(3))?,
        close: decimal("close", row.column(4))?,
        volume,
        quote_volume: average
            .checked_mul(volume)
            .ok_or_else(|| Rejection::new(Reason::BadNumber, "vwap times volume is over 10^20"))?,
        trades: whole("count", row.column(7))?,
    })
}
