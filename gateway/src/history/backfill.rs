//! Missing history of a whole range, as a request that a client looks after: which parts are missing, fetched one after the
//! other through the [`HistoryDesk`].

use crate::config::{BulkConfig, HistoryConfig};
use crate::error::{ApiError, Code};
use crate::history::client::HistoryDesk;
use crate::history::{Outcome, Reason};
use crate::live::hub::count;
use crate::metrics::{BackfillEnd, BackfillEndLabel, BulkMetrics, HistoryResult};
use crate::series::ceil;
use crate::series::gaps::RangeSet;
use lake::{BulkQuery, Coverage, Lake, LakeError, Table};
use proto::{ErrorCode, HistoryRange, Interval, RequestId};
use service::clock::Clock;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Candles of one request to a venue; the wire allows 100 000, but they must be there within `history.ready_timeout`.
const PART_CANDLES: u64 = 20_000;
/// Trades of one request to a venue are of this time at most.
const PART_TICKS_NS: u64 = 3_600_000_000_000;
/// Holes so much closer than a part is long are fetched together.
const NEAR: u64 = 10;
/// Windows younger than this may still be on their way and are never missing.
const SETTLE_NS: u64 = 10_000_000_000;
/// No market is older: 2001-09-09, the least time of the wire.
const OLDEST_NS: u64 = 1_000_000_000_000_000_000;
/// Times that a part is asked for when the venue is slow: what it sends late is in the lake the next time.
const ATTEMPTS: u32 = 4;
/// A silent request is not asked for again for 5 s.
const PAUSE: Duration = Duration::from_secs(6);

/// How far a request is.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Progress {
    /// Waits for its turn.
    Queued,
    /// Parts that are there, of how many.
    Working { done: usize, parts: usize },
    /// What can be had is in this snapshot; with an error if some cannot.
    Ready { snapshot: i64, error: Option<ApiError> },
    /// Nothing more is to be had now.
    Refused(ApiError),
}

impl Progress {
    const fn is_over(&self) -> bool {
        matches!(self, Self::Ready { .. } | Self::Refused(_))
    }
}

#[derive(Debug)]
struct Order {
    id: RequestId,
    range: HistoryRange,
    progress: Progress,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Backfills {
    pub(crate) desk: Arc<HistoryDesk>,
    pub(crate) lake: Lake,
    pub(crate) config: BulkConfig,
    pub(crate) history: HistoryConfig,
    pub(crate) clock: Clock,
    pub(crate) metrics: BulkMetrics,
    pub(crate) tracker: TaskTracker,
    pub(crate) stopping: CancellationToken,
    pub(crate) turns: Arc<Semaphore>,
    pub(crate) orders: Orders,
}

/// Requests, the newest last; those that are over until newer ones need their place.
#[derive(Debug, Default)]
pub(crate) struct Orders(Mutex<VecDeque<Order>>);

impl Orders {
    fn lock(&self) -> MutexGuard<'_, VecDeque<Order>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The request for the range that is not over, or a new one; true if it is new. `None` if there are `most` already.
    fn take(&self, range: &HistoryRange, most: usize) -> Option<(RequestId, bool)> {
        let mut orders = self.lock();
        let open = |order: &&Order| !order.progress.is_over();
        if let Some(order) = orders.iter().filter(open).find(|order| order.range == *range) {
            return Some((order.id, false));
        }
        let working = orders.iter().filter(open).count();
        if working >= most {
            return None;
        }
        if orders.len() - working >= most
            && let Some(oldest) = orders.iter().position(|order| order.progress.is_over())
        {
            orders.remove(oldest);
        }
        let id = RequestId::from_bits(ulid::Ulid::generate().0);
        orders.push_back(Order { id, range: range.clone(), progress: Progress::Queued });
        Some((id, true))
    }

    fn get(&self, id: RequestId) -> Option<(HistoryRange, Progress)> {
        self.lock().iter().find(|order| order.id == id).map(|order| (order.range.clone(), order.progress.clone()))
    }

    fn set(&self, id: RequestId, progress: Progress) -> usize {
        let mut orders = self.lock();
        if let Some(order) = orders.iter_mut().find(|order| order.id == id) {
            order.progress = progress;
        }
        orders.iter().filter(|order| !order.progress.is_over()).count()
    }
}

impl Backfills {
    /// Takes a request; an equal one in flight is joined.
    pub(crate) fn submit(self: &Arc<Self>, range: &HistoryRange) -> Result<RequestId, ApiError> {
        let Some((id, new)) = self.orders.take(range, self.config.requests) else {
            let most = self.config.requests;
            return Err(ApiError::new(Code::Overloaded, format!("{most} history requests are in flight; try again")));
        };
        if new {
            self.metrics.backfills.inc();
            let (this, range) = (self.clone(), range.clone());
            self.tracker.spawn(async move {
                let progress = tokio::select! {
                    progress = this.work(id, &range) => progress,
                    () = this.stopping.cancelled() => {
                        Progress::Refused(ApiError::new(Code::Overloaded, "the gateway is stopping; ask again"))
                    }
                };
                this.finish(id, progress);
            });
        }
        Ok(id)
    }

    /// What a request is for and how far it is.
    pub(crate) fn look(&self, id: RequestId) -> Option<(HistoryRange, Progress)> {
        self.orders.get(id)
    }

    fn finish(&self, id: RequestId, progress: Progress) {
        let state = match &progress {
            Progress::Ready { error: None, .. } => BackfillEnd::Ready,
            Progress::Ready { .. } => BackfillEnd::Partial,
            _ => BackfillEnd::Refused,
        };
        self.metrics.backfills_ended.get_or_create(&BackfillEndLabel { state }).inc();
        self.metrics.backfills.set(count(self.orders.set(id, progress)));
    }

    async fn work(&self, id: RequestId, range: &HistoryRange) -> Progress {
        let Ok(_turn) = self.turns.acquire().await else { return Progress::Queued };
        let mut error = None;
        let parts = match self.parts(range).await {
            Ok(parts) => parts,
            Err(error) => return Progress::Refused(error.into()),
        };
        let mut refused = 0;
        for (done, (from_ns, to_ns)) in parts.iter().copied().enumerate() {
            self.orders.set(id, Progress::Working { done, parts: parts.len() });
            match self.part(&HistoryRange { from_ns, to_ns, ..range.clone() }).await {
                Outcome::Done | Outcome::Open => {}
                Outcome::Partial(reason) => error = Some(explain(reason)),
                // The venue has nothing for this part, e.g. before the symbol was listed; it may for the others.
                Outcome::Refused(reason) if reason.code == Some(ErrorCode::NotAvailable) => {
                    refused += 1;
                    error = Some(explain(reason));
                }
                Outcome::Refused(reason) => return Progress::Refused(explain(reason)),
            }
        }
        if let Some(error) = error.take_if(|_| refused > 0 && refused == parts.len()) {
            return Progress::Refused(error);
        }
        let table = if range.interval.is_some() { Table::Candles } else { Table::Ticks };
        match self.lake.snapshot(table).await {
            Ok(snapshot) => Progress::Ready { snapshot: snapshot.unwrap_or(0), error },
            Err(error) => Progress::Refused(error.into()),
        }
    }

    /// The parts of a range that are worth a request.
    async fn parts(&self, range: &HistoryRange) -> Result<Vec<(u64, u64)>, LakeError> {
        let query = BulkQuery {
            venue: range.venue.clone(),
            symbol: range.symbol.clone(),
            interval: range.interval,
            from_ns: range.from_ns,
            to_ns: range.to_ns,
            snapshot: None,
        };
        let coverage = self.lake.bulk(query.clone()).await?.coverage(usize::MAX).await?;
        let most = range.interval.map_or(PART_TICKS_NS, |interval| PART_CANDLES.saturating_mul(interval.nanos()));
        Ok(parts(&self.unasked(&query, &coverage), most))
    }

    /// Holes that no answer of a venue covers, as far as this gateway knows, and that are worth a request.
    pub(crate) fn unasked(&self, query: &BulkQuery, coverage: &Coverage) -> Vec<(u64, u64)> {
        let window = coverage.window_ns.max(1);
        let settled = self.clock.now_ns().saturating_sub(SETTLE_NS) / window * window;
        let oldest = query.interval.map_or(OLDEST_NS, |interval| ceil(interval, OLDEST_NS));
        let least = match query.interval {
            None => 1,
            Some(Interval::S1) => self.history.hole_of_seconds,
            Some(_) => self.history.hole,
        };
        // A range that is shorter than a hole is missing if it is empty.
        let least = least.min(coverage.windows).max(1);
        let known = self.desk.complete_of(&query.venue, &query.symbol, query.interval);
        unasked(coverage, (oldest, settled), least, &known)
    }

    async fn part(&self, range: &HistoryRange) -> Outcome {
        let mut attempt = 1;
        loop {
            match self.desk.obtain(range).await {
                Outcome::Refused(Reason { result: HistoryResult::ReadyTimeout, .. }) if attempt < ATTEMPTS => {
                    attempt += 1;
                    tokio::time::sleep(PAUSE).await;
                }
                outcome => return outcome,
            }
        }
    }
}

fn unasked(coverage: &Coverage, (oldest, settled): (u64, u64), least: u64, known: &RangeSet) -> Vec<(u64, u64)> {
    let clipped = coverage.holes.iter().map(|hole| (hole.from_ns.max(oldest), hole.to_ns.min(settled)));
    let rest = clipped.filter(|(from, to)| from < to).flat_map(|(from, to)| known.without(from, to));
    rest.filter(|(from, to)| (to - from) / coverage.window_ns.max(1) >= least).collect()
}

/// Ranges of at most `most` that hold all holes; holes that are near each other come together.
fn parts(holes: &[(u64, u64)], most: u64) -> Vec<(u64, u64)> {
    let most = most.max(1);
    let mut parts: Vec<(u64, u64)> = Vec::new();
    for (mut from, to) in holes.iter().copied() {
        if let Some(last) = parts.last_mut()
            && from.saturating_sub(last.1) <= most / NEAR
            && to - last.0 <= most
        {
            last.1 = to;
            continue;
        }
        while from < to {
            let end = to.min(from.saturating_add(most));
            parts.push((from, end));
            from = end;
        }
    }
    parts
}

/// A refusal as clients of the API see it.
fn explain(reason: Reason) -> ApiError {
    match (reason.code, reason.result) {
        (Some(ErrorCode::UnknownSymbol), _) => {
            ApiError::new(Code::UnknownSymbol, "symbol: the venue does not know it").about("symbol")
        }
        (Some(ErrorCode::NotAvailable), _) => {
            ApiError::new(Code::NotAvailable, "from: the venue cannot give this range or interval").about("from")
        }
        (Some(ErrorCode::NoIngestor), _) | (_, HistoryResult::NoIngestor) => {
            ApiError::new(Code::NoIngestor, "venue: nobody serves it now").about("venue")
        }
        (Some(ErrorCode::OverQuota), _) | (_, HistoryResult::OverQuota) => {
            ApiError::new(Code::OverQuota, "too many history requests at one time; try again later")
        }
        (_, HistoryResult::AckTimeout | HistoryResult::ReadyTimeout) => {
            ApiError::new(Code::Timeout, "the venue's history took too long; try again")
        }
        (Some(ErrorCode::InvalidField), _) | (_, HistoryResult::Invalid) => {
            ApiError::field("from", "from: the ingestor does not take this range")
        }
        _ => ApiError::new(Code::VenueFailed, "the venue refused or failed; try again later"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lake::Hole;

    #[test]
    fn near_holes_come_together_and_long_ones_are_cut() {
        assert_eq!(parts(&[], 100), []);
        assert_eq!(parts(&[(0, 10), (15, 30)], 100), [(0, 30)]);
        assert_eq!(parts(&[(0, 10), (50, 60)], 100), [(0, 10), (50, 60)]);
        assert_eq!(parts(&[(0, 250)], 100), [(0, 100), (100, 200), (200, 250)]);
        assert_eq!(parts(&[(0, 98), (99, 110)], 100), [(0, 98), (99, 110)]);
    }

    #[test]
    fn holes_that_are_young_short_or_answered_are_not_asked_for() {
        let hole = |from_ns, to_ns| Hole { from_ns, to_ns };
        let holes = vec![hole(0, 100), hole(200, 210), hole(300, 340), hole(900, 2000)];
        let coverage = Coverage { window_ns: 10, windows: 200, holes, ..Coverage::default() };
        let mut known = RangeSet::default();
        known.insert(300, 350);
        assert_eq!(unasked(&coverage, (50, 1000), 3, &known), [(50, 100), (900, 1000)]);
    }

    fn range(from_ns: u64) -> HistoryRange {
        let (venue, symbol) = ("SIM".parse().unwrap(), "BTC/USDT".parse().unwrap());
        HistoryRange { venue, symbol, interval: Some(Interval::M1), from_ns, to_ns: u64::MAX }
    }

    #[test]
    fn equal_requests_are_one_while_in_flight_and_their_number_is_bounded() {
        let orders = Orders::default();
        let (first, new) = orders.take(&range(1), 2).unwrap();
        assert!(new);
        assert_eq!(orders.take(&range(1), 2), Some((first, false)));
        let (second, _) = orders.take(&range(2), 2).unwrap();
        assert_eq!(orders.take(&range(3), 2), None);
        let ready = Progress::Ready { snapshot: 7, error: None };
        assert_eq!(orders.set(first, ready.clone()), 1);
        assert_ne!(orders.take(&range(1), 2).map(|(id, _)| id), Some(first), "it is over");
        assert_eq!(orders.get(first).map(|(_, progress)| progress), Some(ready.clone()));
        orders.set(second, ready.clone());
        orders.take(&range(4), 2).unwrap();
        assert_eq!(orders.get(first), None, "the oldest that is over makes room");
        assert!(orders.get(second).is_some());
    }
}
