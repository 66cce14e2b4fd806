//! Reads of the lake that a flush needs, in pieces that the lake allows.

use crate::dedup::SAME_TRADE_NS;
use crate::recompute::{Recompute, Span};
use crate::update::Ticker;
use lake::{CandleQuery, Lake, LakeError, TickQuery};
use proto::market::{Candle, Tick};
use std::collections::{BTreeMap, HashMap, HashSet};

/// Calls `each` with the ticks of a range, in pieces; a piece that is too long for one query is halved.
///
/// # Errors
/// If the lake cannot be read.
pub(crate) async fn ticks(lake: &Lake, span: &Span, mut each: impl FnMut(Vec<Tick>)) -> Result<(), LakeError> {
    let mut ranges = vec![(span.from_ns, span.to_ns)];
    while let Some((from_ns, to_ns)) = ranges.pop() {
        let Ticker { venue, symbol } = span.ticker.clone();
        match lake.ticks(&TickQuery::range(venue, symbol, from_ns, to_ns)).await {
            Ok(ticks) => each(ticks),
            Err(LakeError::TooManyRows { .. }) if to_ns - from_ns > 2000 => {
                let middle = from_ns + (to_ns - from_ns) / 2;
                ranges.extend([(middle, to_ns), (from_ns, middle)]);
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Candles made anew from the ticks in the lake.
///
/// # Errors
/// If the lake cannot be read.
pub(crate) async fn recompute(lake: &Lake, mut windows: Recompute) -> Result<Vec<Candle>, LakeError> {
    for span in windows.spans() {
        let mut pieces = Vec::new();
        ticks(lake, &span, |piece| pieces.push(piece)).await?;
        for piece in pieces {
            windows.learn(&span.ticker, &piece);
        }
    }
    Ok(windows.finish())
}

/// Those of the doubtful ticks that neither the lake nor the flush itself has, each once.
///
/// # Errors
/// If the lake cannot be read.
pub(crate) async fn unknown_ticks(lake: &Lake, doubtful: &[Tick], new: &[Tick]) -> Result<Vec<Tick>, LakeError> {
    let mut by_ticker: BTreeMap<Ticker, Vec<&Tick>> = BTreeMap::new();
    for tick in doubtful {
        let ticker = Ticker { venue: tick.venue.clone(), symbol: tick.symbol.clone() };
        by_ticker.entry(ticker).or_default().push(tick);
    }
    let mut seen: HashMap<Ticker, HashSet<String>> = HashMap::new();
    for (ticker, ticks_of) in &mut by_ticker {
        ticks_of.sort_by_key(|tick| tick.event_time_ns);
        let ids = seen.entry(ticker.clone()).or_default();
        for span in spans(ticker, ticks_of) {
            ticks(lake, &span, |piece| ids.extend(piece.into_iter().map(|tick| tick.trade_id))).await?;
        }
    }
    for tick in new {
        let ticker = Ticker { venue: tick.venue.clone(), symbol: tick.symbol.clone() };
        if let Some(ids) = seen.get_mut(&ticker) {
            ids.insert(tick.trade_id.clone());
        }
    }
    let mut unknown = Vec::new();
    for tick in doubtful {
        let ticker = Ticker { venue: tick.venue.clone(), symbol: tick.symbol.clone() };
        if seen.entry(ticker).or_default().insert(tick.trade_id.clone()) {
            unknown.push(tick.clone());
        }
    }
    Ok(unknown)
}

/// Ranges around the ticks, joined where they touch.
fn spans(ticker: &Ticker, sorted: &[&Tick]) -> Vec<Span> {
    let mut spans: Vec<Span> = Vec::new();
    for tick in sorted {
        let from_ns = tick.event_time_ns.saturating_sub(SAME_TRADE_NS);
        let to_ns = tick.event_time_ns.saturating_add(SAME_TRADE_NS);
        match spans.last_mut() {
            Some(span) if from_ns <= span.to_ns => span.to_ns = to_ns,
            _ => spans.push(Span { ticker: ticker.clone(), from_ns, to_ns }),
        }
    }
    spans
}

/// The lake's rows that a book asked for.
///
/// # Errors
/// If the lake cannot be read.
pub(crate) async fn candles(lake: &Lake, lookup: &crate::candle_book::Lookup) -> Result<Vec<Candle>, LakeError> {
    let Ticker { venue, symbol } = lookup.series.ticker.clone();
    lake.candles(&CandleQuery::range(venue, symbol, lookup.series.interval, lookup.from_ns, lookup.to_ns)).await
}
