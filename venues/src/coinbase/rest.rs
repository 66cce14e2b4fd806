//! REST of Coinbase Exchange: trades by id downwards, candles, products. Rows of the Advanced Trade API are read too.

use super::Coinbase;
use super::frame::taker_side;
use crate::market::{CandleRow, TradeRow, candle_rows, checked_tick, trade_rows};
use crate::number::{decimal, positive, require, rfc3339, seconds, to_rfc3339};
use crate::rest::by_status;
use crate::scalar::{Row, Scalar, object, raw_object, raw_row, rows, text};
use crate::symbol::listed_symbol;
use crate::{
    Answer, CandlesPage, CandlesQuery, Cursor, Instrument, InstrumentKind, InstrumentStatus, Instruments, Reason,
    Rejection, RestError, RestRequest, TradesPage, TradesQuery,
};
use proto::Decimal;
use proto::market::{Source, Tick};
use serde::Deserialize;
use serde_json::value::RawValue;
use std::borrow::Cow;

/// Trades of a page; the venue's maximum.
const TRADES: u64 = 1000;
/// Lengths of candles that the venue has, in seconds.
const GRANULARITIES: [u32; 5] = [60, 300, 900, 3600, 86_400];
/// Candles of a page; the venue's maximum.
const CANDLES: u64 = 300;

#[derive(Deserialize)]
struct TradeEntry<'a> {
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

/// A product; the second name of each field is the Advanced Trade API's.
#[derive(Deserialize)]
struct ProductEntry<'a> {
    #[serde(borrow, alias = "product_id")]
    id: Option<Cow<'a, str>>,
    #[serde(borrow, alias = "base_currency_id")]
    base_currency: Option<Cow<'a, str>>,
    #[serde(borrow, alias = "quote_currency_id")]
    quote_currency: Option<Cow<'a, str>>,
    #[serde(borrow)]
    quote_increment: Option<Scalar<'a>>,
    #[serde(borrow)]
    base_increment: Option<Scalar<'a>>,
    #[serde(borrow, alias = "quote_min_size")]
    min_market_funds: Option<Scalar<'a>>,
    #[serde(borrow)]
    status: Option<Cow<'a, str>>,
    #[serde(borrow)]
    product_type: Option<Cow<'a, str>>,
    #[serde(default)]
    trading_disabled: bool,
    #[serde(default)]
    is_disabled: bool,
    #[serde(default)]
    cancel_only: bool,
    #[serde(default)]
    post_only: bool,
    #[serde(default)]
    limit_only: bool,
}

/// A candle of the Advanced Trade API.
#[derive(Deserialize)]
struct CandleEntry<'a> {
    #[serde(borrow)]
    start: Option<Scalar<'a>>,
    #[serde(borrow)]
    low: Option<Scalar<'a>>,
    #[serde(borrow)]
    high: Option<Scalar<'a>>,
    #[serde(borrow)]
    open: Option<Scalar<'a>>,
    #[serde(borrow)]
    close: Option<Scalar<'a>>,
    #[serde(borrow)]
    volume: Option<Scalar<'a>>,
}

/// The Advanced Trade API wraps its lists.
#[derive(Deserialize)]
struct Wrapped<'a> {
    #[serde(borrow, alias = "trades", alias = "candles", alias = "products")]
    list: Option<Vec<&'a RawValue>>,
}

#[derive(Deserialize)]
struct ErrorBody<'a> {
    #[serde(borrow)]
    message: Option<Cow<'a, str>>,
}

fn list(body: &[u8]) -> Result<Vec<&RawValue>, Rejection> {
    if body.trim_ascii_start().first() == Some(&b'{') {
        return require("list", object::<Wrapped<'_>>(body)?.list);
    }
    rows(body)
}

/// Errors are `{"message":"NotFound"}` with a status of 400 and more.
pub(super) fn check(answer: &Answer<'_>) -> Result<(), RestError> {
    if answer.status == 404 {
        return Err(RestError::UnknownSymbol);
    }
    let body: Option<ErrorBody<'_>> = serde_json::from_slice(answer.body).ok();
    by_status(answer, body.as_ref().and_then(|body| body.message.as_deref()).unwrap_or_default())
}

impl Coinbase {
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

    fn instrument(&self, entry: &ProductEntry<'_>) -> Result<Instrument, Rejection> {
        let name = require("id", entry.id.as_deref())?;
        if matches!(entry.product_type.as_deref(), Some("FUTURE")) {
            return Err(Rejection::new(Reason::UnknownSymbol, format!("{name}: sizes are contracts")));
        }
        let base = require("base_currency", entry.base_currency.as_deref())?;
        let quote = require("quote_currency", entry.quote_currency.as_deref())?;
        let minimum = text(entry.min_market_funds).filter(|text| !text.is_empty());
        let halted =
            entry.trading_disabled || entry.is_disabled || entry.cancel_only || entry.post_only || entry.limit_only;
        Ok(Instrument {
            venue: self.venue.clone(),
            symbol: listed_symbol(base, quote)?,
            venue_symbol: name.to_owned(),
            kind: InstrumentKind::Spot,
            status: match entry.status.as_deref() {
                Some("online") if !halted => InstrumentStatus::Trading,
                Some("delisted" | "offline") => InstrumentStatus::Closed,
                _ => InstrumentStatus::Halted,
            },
            tick_size: positive("quote_increment", text(entry.quote_increment))?,
            lot_size: positive("base_increment", text(entry.base_increment))?,
            min_notional: minimum.map_or(Ok(Decimal::ZERO), |text| decimal("min_market_funds", Some(text)))?,
        })
    }

    /// `/products/X/trades` pages downwards by id (`after=N`: ids below N). There is no search by time: the first trade
    /// behind the range is found by halving the range of ids.
    pub(super) fn trades_request(&self, query: &TradesQuery) -> Option<RestRequest> {
        let name = self.names.name(&query.symbol).ok()?;
        let below = match (query.cursor, query.ids) {
            (Some(Cursor::BeforeId(id)), _) => Some(id),
            (Some(Cursor::Bisect { low, high }), _) => Some(low.midpoint(high)),
            (_, ids) => ids.map(|ids| ids.last.saturating_add(1)),
        };
        let after = below.map(|id| format!("&after={id}")).unwrap_or_default();
        Some(RestRequest::new(format!("/products/{name}/trades?limit={TRADES}{after}"), 1))
    }

    pub(super) fn read_trades(&self, query: &TradesQuery, body: &[u8], now_ns: u64) -> Result<TradesPage, Rejection> {
        let rows = trade_rows(query, list(body)?, |entry| {
            self.trade_row(query, &raw_object(entry)?, now_ns).map(TradeRow::Trade)
        });
        let (ids, times) = (rows.ids, rows.times);
        let mut page = TradesPage { ticks: rows.ticks, refused: rows.refused, ..TradesPage::default() };
        let (Some((lowest, _)), Some((earliest, latest))) = (ids, times) else {
            // No trades below the middle of a search: what is wanted lies above it. Else history ends here.
            match query.cursor {
                Some(Cursor::Bisect { low, high }) => page.next = search(query, low.midpoint(high), high),
                _ => page.cut_short = query.ids.is_some() || rows.count > 0,
            }
            return Ok(page);
        };
        let downwards = TradesQuery { cursor: Some(Cursor::BeforeId(lowest)), ..query.clone() };
        let more = query.ids.map_or(earliest >= query.from_ns, |ids| lowest > ids.first) && lowest > 1;
        page.next = match (query.cursor, query.ids) {
            // All of it is older than the end of the range. It comes again on the way down.
            (Some(Cursor::Bisect { low, high }), None) if latest < query.to_ns => {
                page.ticks.clear();
                search(query, low.midpoint(high), high)
            }
            (Some(Cursor::Bisect { low, .. }), None) if earliest >= query.to_ns => search(query, low, lowest),
            (None, None) if earliest >= query.to_ns => search(query, 1, lowest),
            (Some(Cursor::BeforeId(id)), _) if lowest >= id => None,
            _ => more.then_some(downwards),
        };
        Ok(page)
    }

    fn trade_row(&self, query: &TradesQuery, entry: &TradeEntry<'_>, now_ns: u64) -> Result<Tick, Rejection> {
        checked_tick(Tick {
            venue: self.venue.clone(),
            symbol: query.symbol.clone(),
            trade_id: require("trade_id", text(entry.trade_id))?.to_owned(),
            event_time_ns: rfc3339("time", text(entry.time))?,
            receive_time_ns: now_ns,
            price: decimal("price", text(entry.price))?,
            size: decimal("size", text(entry.size))?,
            side: taker_side(text(entry.side))?,
            source: Source::Backfill,
            repaired: false,
        })
    }

    /// `/products/X/candles`, newest first, both ends inclusive; no 1 s and no 4 h candles.
    pub(super) fn candles_request(&self, query: &CandlesQuery) -> Option<RestRequest> {
        let granularity = query.interval.seconds();
        if !GRANULARITIES.contains(&granularity) {
            return None;
        }
        let name = self.names.name(&query.symbol).ok()?;
        let start = to_rfc3339(query.from_ns);
        let end = to_rfc3339(query.window_end(CANDLES).saturating_sub(1));
        Some(RestRequest::new(format!("/products/{name}/candles?granularity={granularity}&start={start}&end={end}"), 1))
    }

    pub(super) fn read_candles(
        &self,
        query: &CandlesQuery,
        body: &[u8],
        now_ns: u64,
    ) -> Result<CandlesPage, Rejection> {
        let rows = candle_rows(&self.venue, query, now_ns, list(body)?, |entry| {
            if entry.get().starts_with('[') {
                exchange_row(&raw_row(entry)?)
            } else {
                advanced_row(&raw_object(entry)?)
            }
        });
        Ok(CandlesPage {
            candles: rows.candles,
            refused: rows.refused,
            next: query.after_window(CANDLES),
            cut_short: false,
        })
    }
}

/// The next step of the search for the first id whose time is not before the end of the range: it is one of
/// `low..=high`. One page below `high` settles it once that range is no longer than a page.
fn search(query: &TradesQuery, low: u64, high: u64) -> Option<TradesQuery> {
    let cursor = if high.saturating_sub(low) > TRADES { Cursor::Bisect { low, high } } else { Cursor::BeforeId(high) };
    (high > 1).then(|| TradesQuery { cursor: Some(cursor), ..query.clone() })
}

/// `[time, low, high, open, close, volume]`, bare numbers.
fn exchange_row(row: &Row<'_>) -> Result<CandleRow, Rejection> {
    candle_row([row.column(0), row.column(1), row.column(2), row.column(3), row.column(4), row.column(5)])
}

fn advanced_row(entry: &CandleEntry<'_>) -> Result<CandleRow, Rejection> {
    candle_row([entry.start, entry.low, entry.high, entry.open, entry.close, entry.volume].map(text))
}

fn candle_row([start, low, high, open, close, volume]: [Option<&str>; 6]) -> Result<CandleRow, Rejection> {
    Ok(CandleRow {
        open_time_ns: seconds("start", start)?,
        open: decimal("open", open)?,
        high: decimal("high", high)?,
        low: decimal("low", low)?,
        close: decimal("close", close)?,
        volume: decimal("volume", volume)?,
        quote_volume: Decimal::ZERO,
        trades: 0,
    })
}
