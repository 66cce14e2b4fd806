//! The answer to a history request: how many rows the lake now holds, and the notification that says so.

use crate::lake_reads;
use crate::recompute::Span;
use crate::record::HistoryEnd;
use lake::{CandleQuery, Lake, LakeError};
use proto::market::valid_time;
use proto::{Interval, RequestId, wire};

/// Windows counted at once.
const CANDLES_AT_ONCE: u64 = 20_000;
/// Range of ticks counted at once, ns.
const TICKS_AT_ONCE_NS: u64 = 3_600_000_000_000;

/// Rows of the range of an answer that the lake holds.
///
/// # Errors
/// If the lake cannot be read.
pub(crate) async fn rows_in_lake(lake: &Lake, end: &HistoryEnd) -> Result<u64, LakeError> {
    // An ingestor never sends another range; a broken one must not make us read for ever.
    if !valid_time(end.from_ns) || !valid_time(end.to_ns) {
        return Ok(0);
    }
    let step_ns = end.interval.map_or(TICKS_AT_ONCE_NS, |interval| interval.nanos() * CANDLES_AT_ONCE);
    let (mut rows, mut from_ns) = (0, end.from_ns);
    while from_ns < end.to_ns {
        let to_ns = end.to_ns.min(from_ns.saturating_add(step_ns));
        rows += match end.interval {
            Some(interval) => candles(lake, end, interval, from_ns, to_ns).await?,
            None => {
                let mut count = 0;
                let span = Span { ticker: end.ticker.clone(), from_ns, to_ns };
                lake_reads::ticks(lake, &span, |piece| count += piece.len()).await?;
                count
            }
        } as u64;
        from_ns = to_ns;
    }
    Ok(rows)
}

async fn candles(
    lake: &Lake,
    end: &HistoryEnd,
    interval: Interval,
    from_ns: u64,
    to_ns: u64,
) -> Result<usize, LakeError> {
    let (venue, symbol) = (end.ticker.venue.clone(), end.ticker.symbol.clone());
    Ok(lake.candles(&CandleQuery::range(venue, symbol, interval, from_ns, to_ns)).await?.len())
}

/// The status of an answer and its name for a metric.
pub(crate) const fn status(end: &HistoryEnd, rows: u64) -> (wire::HistoryStatus, &'static str) {
    match (&end.error, rows) {
        (None, _) => (wire::HistoryStatus::Ok, "ok"),
        (Some(_), 0) => (wire::HistoryStatus::Failed, "failed"),
        (Some(_), _) => (wire::HistoryStatus::Partial, "partial"),
    }
}

/// The notification for one request.
pub(crate) fn notification(
    request_id: RequestId,
    end: &HistoryEnd,
    rows: u64,
    snapshot_id: i64,
) -> wire::HistoryReadyNotification {
    wire::HistoryReadyNotification {
        request_id: request_id.to_string(),
        status: status(end, rows).0 as i32,
        rows,
        from_ns: end.from_ns,
        to_ns: end.to_ns,
        snapshot_id,
        error: end.error.clone(),
    }
}
