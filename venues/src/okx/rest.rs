//! REST v5 of OKX: trades downwards by id or time (three months), candles newest first, instruments, errors in a 200.

use super::Okx;
use super::frame::TradeItem;
use crate::market::{CandleRow, TradeRow, candle_rows, of_symbol, trade_rows};
use crate::number::{decimal, millis_text, positive, require};
use crate::rest::{by_status, retry_after};
use crate::scalar::{Row, Scalar, object, raw_object, raw_row, raw_rows, text};
use crate::symbol::listed_symbol;
use crate::{
    Answer, CandlesPage, CandlesQuery, Cursor, Instrument, InstrumentKind, InstrumentStatus, Instruments, Reason,
    Rejection, RestError, RestRequest, TradesPage, TradesQuery,
};
use proto::Decimal;
use proto::market::Source;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::borrow::Cow;

/// Trades of a page; the venue's maximum.
const TRADES: usize = 100;
/// Candles of a page; the venue's maximum.
const CANDLES: u64 = 100;

/// Any answer.
#[derive(Deserialize)]
struct Body<'a> {
    #[serde(borrow)]
    code: Option<Scalar<'a>>,
    #[serde(borrow)]
    msg: Option<Cow<'a, str>>,
    #[serde(borrow)]
    data: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct InstrumentEntry<'a> {
    #[serde(rename = "instType", borrow)]
    kind: Option<&'a str>,
    #[serde(rename = "instId", borrow)]
    name: Option<&'a str>,
    #[serde(rename = "baseCcy", borrow)]
    base: Option<&'a str>,
    #[serde(rename = "quoteCcy", borrow)]
    quote: Option<&'a str>,
    #[serde(rename = "tickSz", borrow)]
    tick_size: Option<Scalar<'a>>,
    #[serde(rename = "lotSz", borrow)]
    lot_size: Option<Scalar<'a>>,
    #[serde(borrow)]
    state: Option<&'a str>,
}

/// What an answer means. Errors carry a `code` other than `0`, mostly with status 200.
pub(super) fn check(answer: &Answer<'_>) -> Result<(), RestError> {
    let body: Option<Body<'_>> = serde_json::from_slice(answer.body).ok();
    let code = body.as_ref().and_then(|body| text(body.code)).unwrap_or_default();
    let message = body.as_ref().and_then(|body| body.msg.as_deref()).unwrap_or_default();
    let (status, message) = (answer.status, crate::event::shortened(message));
    match code.parse::<u32>() {
        Ok(50_011 | 50_040 | 50_061) => Err(RestError::RateLimited { retry_after: retry_after(answer) }),
        Ok(51_001) => Err(RestError::UnknownSymbol),
        Ok(50_001 | 50_004 | 50_013 | 50_026) => Err(RestError::Retryable { status, message }),
        // 501xx are refusals of the key.
        Ok(50_030 | 50_100..50_200) => Err(RestError::Forbidden { message }),
        Ok(code) if code != 0 && (200..300).contains(&status) => Err(RestError::Fatal { status, message }),
        _ => by_status(answer, &message),
    }
}

/// The rows of an answer.
fn data(body: &[u8]) -> Result<Vec<&RawValue>, Rejection> {
    let body: Body<'_> = object(body)?;
    match text(body.code) {
        Some("0") => raw_rows(require("data", body.data)?),
        code => {
            let message = body.msg.as_deref().unwrap_or_default();
            Err(Rejection::new(Reason::VenueError, format!("{} {message}", code.unwrap_or("no code"))))
        }
    }
}

impl Okx {
    pub(super) fn read_instruments(&self, body: &[u8]) -> Result<Instruments, Rejection> {
        let mut result = Instruments::default();
        for entry in data(body)? {
            match raw_object(entry).and_then(|entry| self.instrument(&entry)) {
                Ok(instrument) => result.listed.push(instrument),
                Err(rejection) => result.refused.push(rejection),
            }
        }
        Ok(result)
    }

    fn instrument(&self, entry: &InstrumentEntry<'_>) -> Result<Instrument, Rejection> {
        let name = require("instId", entry.name)?;
        if entry.kind != Some("SPOT") {
            return Err(Rejection::new(Reason::UnknownSymbol, format!("{name}: not a spot instrument")));
        }
        Ok(Instrument {
            venue: self.venue.clone(),
            symbol: listed_symbol(require("baseCcy", entry.base)?, require("quoteCcy", entry.quote)?)?,
            venue_symbol: name.to_owned(),
            kind: InstrumentKind::Spot,
            status: match entry.state {
                Some("live") => InstrumentStatus::Trading,
                Some("expired" | "preopen" | "settling") => InstrumentStatus::Closed,
                _ => InstrumentStatus::Halted,
            },
            tick_size: positive("tickSz", text(entry.tick_size))?,
            lot_size: positive("lotSz", text(entry.lot_size))?,
            // The venue states a least size (`minSz`), no least notional.
            min_notional: Decimal::ZERO,
        })
    }

    /// `history-trades`: `type=1&after=ID` gives ids below, `type=2&after=MS` times before; newest first.
    pub(super) fn trades_request(&self, query: &TradesQuery) -> Option<RestRequest> {
        let name = self.names.name(&query.symbol).ok()?;
        let below = match (query.cursor, query.ids) {
            (Some(Cursor::BeforeId(id)), _) => Some(id),
            (_, ids) => ids.map(|ids| ids.last.saturating_add(1)),
        };
        let (kind, after) = match below {
            Some(id) => (1, id),
            None => (2, query.to_ns.div_ceil(1_000_000)),
        };
        let path = "/api/v5/market/history-trades";
        Some(RestRequest::new(format!("{path}?instId={name}&type={kind}&after={after}&limit={TRADES}"), 1))
    }

    pub(super) fn read_trades(&self, query: &TradesQuery, body: &[u8], now_ns: u64) -> Result<TradesPage, Rejection> {
        let rows = trade_rows(query, data(body)?, |entry| {
            let tick = self.trade(&raw_object::<TradeItem<'_>>(entry)?, now_ns, Source::Backfill)?;
            of_symbol(query, tick).map(TradeRow::Trade)
        });
        let mut page = TradesPage { ticks: rows.ticks, refused: rows.refused, ..TradesPage::default() };
        let (Some((lowest, _)), Some((earliest, _))) = (rows.ids, rows.times) else {
            // The venue keeps three months: an empty page before the start was reached means that there is no more.
            page.cut_short = true;
            return Ok(page);
        };
        let progress = if let Some(Cursor::BeforeId(id)) = query.cursor { lowest < id } else { true };
        let more = query.ids.map_or(earliest >= query.from_ns, |ids| lowest > ids.first);
        page.next = (more && progress && lowest > 0)
            .then(|| TradesQuery { cursor: Some(Cursor::BeforeId(lowest)), ..query.clone() });
        Ok(page)
    }

    /// `history-candles`, newest first, both ends exclusive.
    pub(super) fn candles_request(&self, query: &CandlesQuery) -> Option<RestRequest> {
        let bar = match query.interval.seconds() {
            1 => "1s",
            60 => "1m",
            300 => "5m",
            900 => "15m",
            3600 => "1H",
            14_400 => "4H",
            // `1D` begins at 16:00 UTC.
            86_400 => "1Dutc",
            _ => return None,
        };
        let name = self.names.name(&query.symbol).ok()?;
        let before = (query.from_ns.div_ceil(1_000_000)).saturating_sub(1);
        let after = query.window_end(CANDLES).div_ceil(1_000_000);
        let path = "/api/v5/market/history-candles";
        Some(RestRequest::new(
            format!("{path}?instId={name}&bar={bar}&before={before}&after={after}&limit={CANDLES}"),
            1,
        ))
    }

    pub(super) fn read_candles(
        &self,
        query: &CandlesQuery,
        body: &[u8],
        now_ns: u64,
    ) -> Result<CandlesPage, Rejection> {
        let entries: Result<Vec<Row<'_>>, Rejection> = data(body)?.into_iter().map(raw_row).collect();
        // The last column says `0` while a candle is open.
        let closed = entries?.into_iter().filter(|row| row.column(8) != Some("0"));
        let rows = candle_rows(&self.venue, query, now_ns, closed, |row| candle_row(&row));
        Ok(CandlesPage {
            candles: rows.candles,
            refused: rows.refused,
            next: query.after_window(CANDLES),
            cut_short: false,
        })
    }
}

/// `[ms, open, high, low, close, volume, .., quote volume, confirm]`.
fn candle_row(row: &Row<'_>) -> Result<CandleRow, Rejection> {
    Ok(CandleRow {
        open_time_ns: millis_text("ts", row.column(0))?,
        open: decimal("open", row.column(1))?,
        high: decimal("high", row.column(2))?,
        low: decimal("low", row.column(3))?,
        close: decimal("close", row.column(4))?,
        volume: decimal("vol", row.column(5))?,
        quote_volume: decimal("volCcyQuote", row.column(7))?,
        trades: 0,
    })
}
