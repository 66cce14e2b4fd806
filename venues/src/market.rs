//! The last step of each adapter: events that satisfy the platform's own rules, or a refusal by reason.

use crate::{CandlesQuery, Event, Ignored, Reason, Rejection, TradesQuery};
use proto::Decimal;
use proto::market::{Candle, MarketError, Quote, Tick};

/// A venue candle is final this long after its end. Our clock may be ahead of the venue's by less than that.
const CLOSE_MARGIN_NS: u64 = 2_000_000_000;

fn rejection(error: &MarketError) -> Rejection {
    let reason = match error {
        MarketError::Range { field: "event_time_ns", .. } => Reason::BadTime,
        MarketError::Range { field: "ask_price", .. } => Reason::CrossedQuote,
        _ => Reason::OutOfRange,
    };
    Rejection::new(reason, error.to_string())
}

/// A tick that holds the rules.
pub(crate) fn checked_tick(tick: Tick) -> Result<Tick, Rejection> {
    match tick.validate() {
        Ok(()) => Ok(tick),
        Err(error) => Err(rejection(&error)),
    }
}

/// A quote that holds the rules; one with an empty side is named as ignored.
pub(crate) fn quote_event(quote: Quote) -> Result<Event, Rejection> {
    if quote.bid_price.is_zero() || quote.ask_price.is_zero() {
        return Ok(Event::Ignored(Ignored::OneSidedBook));
    }
    match quote.validate() {
        Ok(()) => Ok(Event::Quote(quote)),
        Err(error) => Err(rejection(&error)),
    }
}

/// Prices, volumes and count of a candle as the venue's row has them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CandleRow {
    /// Start, ns.
    pub(crate) open_time_ns: u64,
    /// First price.
    pub(crate) open: Decimal,
    /// Highest price.
    pub(crate) high: Decimal,
    /// Lowest price.
    pub(crate) low: Decimal,
    /// Last price.
    pub(crate) close: Decimal,
    /// Base volume.
    pub(crate) volume: Decimal,
    /// Quote volume, zero if unknown.
    pub(crate) quote_volume: Decimal,
    /// Trades, zero if unknown.
    pub(crate) trades: u64,
}

/// The candle of a row: `None` if it is outside the range, still open at `now_ns`, or an interval without trades
/// (such intervals are absent at rest).
pub(crate) fn candle(
    venue: &proto::Venue,
    query: &CandlesQuery,
    row: CandleRow,
    now_ns: u64,
) -> Result<Option<Candle>, Rejection> {
    let wrong = |what: &str| Err(Rejection::new(Reason::BadCandle, format!("{what} at {}", row.open_time_ns)));
    if !row.open_time_ns.is_multiple_of(query.interval.nanos()) {
        return wrong("open time is no multiple of the interval");
    }
    if row.volume.is_negative() || row.quote_volume.is_negative() {
        return Err(Rejection::new(Reason::OutOfRange, format!("negative volume at {}", row.open_time_ns)));
    }
    let end_ns = row.open_time_ns.saturating_add(query.interval.nanos());
    let wanted = query.from_ns <= row.open_time_ns && row.open_time_ns < query.to_ns;
    if !wanted || end_ns.saturating_add(CLOSE_MARGIN_NS) > now_ns || row.volume.is_zero() {
        return Ok(None);
    }
    if [row.open, row.high, row.low, row.close].iter().any(|price| !price.is_positive()) {
        return Err(Rejection::new(Reason::OutOfRange, format!("price not positive at {}", row.open_time_ns)));
    }
    if row.high < row.open.max(row.close) || row.low > row.open.min(row.close) {
        return wrong("high or low does not enclose open and close");
    }
    Ok(Some(Candle {
        venue: venue.clone(),
        symbol: query.symbol.clone(),
        interval: query.interval,
        open_time_ns: row.open_time_ns,
        open: row.open,
        high: row.high,
        low: row.low,
        close: row.close,
        volume: row.volume,
        quote_volume: row.quote_volume,
        trades: row.trades,
        revision: 0,
        closed: true,
        repaired: false,
    }))
}

/// What became of the rows of a candle page.
#[derive(Debug, Default)]
pub(crate) struct CandleRows {
    /// Closed candles of the range, ascending.
    pub(crate) candles: Vec<Candle>,
    /// Refused rows.
    pub(crate) refused: Vec<Rejection>,
    /// Earliest and latest open time of all readable rows, in or out of the range.
    pub(crate) span: Option<(u64, u64)>,
    /// How many rows there were.
    pub(crate) count: usize,
}

/// Reads the rows of a candle page in any order.
pub(crate) fn candle_rows<R>(
    venue: &proto::Venue,
    query: &CandlesQuery,
    now_ns: u64,
    rows: impl IntoIterator<Item = R>,
    read: impl Fn(R) -> Result<CandleRow, Rejection>,
) -> CandleRows {
    let mut result = CandleRows::default();
    for row in rows {
        result.count += 1;
        let outcome = read(row).and_then(|row| {
            let (first, last) = result.span.unwrap_or((row.open_time_ns, row.open_time_ns));
            result.span = Some((first.min(row.open_time_ns), last.max(row.open_time_ns)));
            candle(venue, query, row, now_ns)
        });
        match outcome {
            Ok(Some(candle)) => result.candles.push(candle),
            Ok(None) => {}
            Err(rejection) => result.refused.push(rejection),
        }
    }
    result.candles.sort_by_key(|candle| candle.open_time_ns);
    result.candles.dedup_by_key(|candle| candle.open_time_ns);
    result
}

/// What became of the rows of a trade page.
#[derive(Debug, Default)]
pub(crate) struct TradeRows {
    /// Trades that the query wants, ascending.
    pub(crate) ticks: Vec<Tick>,
    /// Ids that are no market prints.
    pub(crate) void_ids: Vec<u64>,
    /// Refused rows.
    pub(crate) refused: Vec<Rejection>,
    /// Lowest and highest id of all rows that have a numeric one.
    pub(crate) ids: Option<(u64, u64)>,
    /// Earliest and latest time of all readable rows.
    pub(crate) times: Option<(u64, u64)>,
    /// How many rows there were.
    pub(crate) count: usize,
}

/// A row of a trade page.
#[derive(Debug)]
pub(crate) enum TradeRow {
    /// A trade.
    Trade(Tick),
    /// An id of the series that is no market print.
    Void(u64),
}

/// Reads the rows of a trade page in any order.
pub(crate) fn trade_rows<R>(
    query: &TradesQuery,
    rows: impl IntoIterator<Item = R>,
    read: impl Fn(R) -> Result<TradeRow, Rejection>,
) -> TradeRows {
    let mut result = TradeRows::default();
    let widen = |span: &mut Option<(u64, u64)>, value: u64| {
        let (low, high) = span.unwrap_or((value, value));
        *span = Some((low.min(value), high.max(value)));
    };
    for row in rows {
        result.count += 1;
        match read(row) {
            Ok(TradeRow::Trade(tick)) => {
                let id = tick.trade_id.parse().ok();
                if let Some(id) = id {
                    widen(&mut result.ids, id);
                }
                widen(&mut result.times, tick.event_time_ns);
                if query.wants(id, tick.event_time_ns) {
                    result.ticks.push(tick);
                }
            }
            Ok(TradeRow::Void(id)) => {
                widen(&mut result.ids, id);
                result.void_ids.push(id);
            }
            Err(rejection) => result.refused.push(rejection),
        }
    }
    ascending(&mut result.ticks);
    result
}

/// The tick, if it is of the symbol that was asked for.
pub(crate) fn of_symbol(query: &TradesQuery, tick: Tick) -> Result<Tick, Rejection> {
    if tick.symbol == query.symbol {
        return Ok(tick);
    }
    Err(Rejection::new(Reason::UnknownSymbol, format!("a row of {} in an answer about {}", tick.symbol, query.symbol)))
}

/// Orders ticks by time, then by numeric id.
pub(crate) fn ascending(ticks: &mut [Tick]) {
    ticks.sort_by(|a, b| {
        let id = |tick: &Tick| tick.trade_id.parse::<u64>().ok();
        a.event_time_ns.cmp(&b.event_time_ns).then_with(|| id(a).cmp(&id(b)))
    });
}
