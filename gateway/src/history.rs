//! History on demand: which ranges were asked for, which are in flight, which are known to be complete or refused.
//!
//! [`Book`] decides; `client` owns the sockets; `backfill` fills whole ranges for backtests. Equal or contained wishes join the request in flight. A range that was
//! answered is complete; one that could not be had is not asked for again for a while.

pub(crate) mod backfill;
pub(crate) mod client;

use crate::config::HistoryConfig;
use crate::metrics::HistoryResult;
use crate::series::SeriesKey;
use crate::series::gaps::RangeSet;
use ahash::AHashMap;
use proto::wire::{AckStatus, ErrorDetail, HistoryReadyNotification, HistoryStatus, RequestAck};
use proto::{ErrorCode, HistoryRange, Interval, RequestId, Symbol, Venue};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;

/// Series whose complete ranges are remembered.
const SERIES: usize = 1024;
/// Refusals remembered.
const REFUSALS: usize = 1024;

/// Why rows are not to be had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Reason {
    /// Who said so.
    pub(crate) result: HistoryResult,
    /// What they said, if they did.
    pub(crate) code: Option<ErrorCode>,
}

impl Reason {
    fn of(result: HistoryResult, error: Option<&ErrorDetail>) -> Self {
        Self { result, code: error.and_then(|error| ErrorCode::from_code(error.code)) }
    }
}

/// How a request in flight ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Not yet.
    Open,
    /// The rows are in the lake.
    Done,
    /// Some of the rows are in the lake; the rest is not to be had now.
    Partial(Reason),
    /// Not to be had now.
    Refused(Reason),
}

/// Answer to a wish for history.
#[derive(Debug)]
pub(crate) enum Decision {
    /// A request for the range or a larger one is in flight.
    Join(watch::Receiver<Outcome>),
    /// Send this request, then wait.
    Submit(RequestId, watch::Receiver<Outcome>),
    /// Not to be had now.
    Refused(Reason),
}

/// What the client must do after an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Step {
    /// Nothing.
    None,
    /// Send the request again.
    Resubmit(RequestId, HistoryRange),
    /// The request is over: no notification is wanted any more.
    Over(RequestId),
}

#[derive(Debug)]
struct Job {
    range: HistoryRange,
    outcome: watch::Sender<Outcome>,
    queued: bool,
    /// Set while the relay asked us to wait.
    resend_at: Option<Instant>,
    resends: u32,
    deadline: Instant,
}

#[derive(Debug, Clone)]
struct Refusal {
    venue: Venue,
    /// The whole venue if `None`.
    range: Option<HistoryRange>,
    until: Instant,
    reason: Reason,
}

/// A series, or the trades of a symbol.
type Market = (Venue, Symbol, Option<Interval>);

fn market(range: &HistoryRange) -> Market {
    (range.venue.clone(), range.symbol.clone(), range.interval)
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Book {
    config: HistoryConfig,
    jobs: AHashMap<RequestId, Job>,
    complete: AHashMap<Market, RangeSet>,
    refusals: Vec<Refusal>,
}

/// The series of a range of candles; `None` for ticks.
pub(crate) fn series_of(range: &HistoryRange) -> Option<SeriesKey> {
    Some(SeriesKey { venue: range.venue.clone(), symbol: range.symbol.clone(), interval: range.interval? })
}

fn holds(outer: &HistoryRange, inner: &HistoryRange) -> bool {
    outer.venue == inner.venue
        && outer.symbol == inner.symbol
        && outer.interval == inner.interval
        && outer.from_ns <= inner.from_ns
        && outer.to_ns >= inner.to_ns
}

impl Book {
    /// A venue without an ingestor may get one any second.
    const NO_INGESTOR_FOR: Duration = Duration::from_secs(5);
    /// So may a relay that is silent come back.
    const SILENCE_FOR: Duration = Duration::from_secs(5);
    /// Times that a request is sent again when the relay said that there are too many.
    const RESENDS: u32 = 3;
    const LONGEST_WAIT: Duration = Duration::from_secs(10);

    pub(crate) fn new(config: HistoryConfig) -> Self {
        Self { config, jobs: AHashMap::new(), complete: AHashMap::new(), refusals: Vec::new() }
    }

    /// Ranges of a series known to be complete.
    pub(crate) fn complete(&self, series: &SeriesKey) -> RangeSet {
        self.complete_of(&(series.venue.clone(), series.symbol.clone(), Some(series.interval)))
    }

    fn complete_of(&self, market: &Market) -> RangeSet {
        self.complete.get(market).cloned().unwrap_or_default()
    }

    /// Gives up a request that could not be sent.
    pub(crate) fn abandon(&mut self, id: RequestId) {
        // The step is of no use: nothing was subscribed or sent.
        _ = self.end(id, Outcome::Refused(Reason { result: HistoryResult::OverQuota, code: None }));
    }

    /// Number of requests in flight.
    pub(crate) fn in_flight(&self) -> usize {
        self.jobs.len()
    }

    /// The range of a request in flight.
    pub(crate) fn range(&self, id: RequestId) -> Option<&HistoryRange> {
        self.jobs.get(&id).map(|job| &job.range)
    }

    /// Decides about a wish; `id` is used if it becomes a request.
    pub(crate) fn ask(&mut self, range: &HistoryRange, id: RequestId, now: Instant) -> Decision {
        if let Some(job) = self.jobs.values().find(|job| holds(&job.range, range)) {
            return Decision::Join(job.outcome.subscribe());
        }
        self.refusals.retain(|refusal| refusal.until > now);
        let refused = |refusal: &Refusal| {
            refusal.venue == range.venue && refusal.range.as_ref().is_none_or(|refused| holds(refused, range))
        };
        if let Some(refusal) = self.refusals.iter().find(|refusal| refused(refusal)) {
            return Decision::Refused(refusal.reason);
        }
        if self.jobs.len() >= self.config.in_flight {
            return Decision::Refused(Reason { result: HistoryResult::OverQuota, code: None });
        }
        let (outcome, receiver) = watch::channel(Outcome::Open);
        let deadline = now + self.config.ack_timeout;
        let job = Job { range: range.clone(), outcome, queued: false, resend_at: None, resends: 0, deadline };
        self.jobs.insert(id, job);
        Decision::Submit(id, receiver)
    }

    /// Takes the relay's answer. An answer that comes twice or late changes nothing.
    pub(crate) fn on_ack(&mut self, ack: &RequestAck, now: Instant) -> (Step, Option<HistoryResult>) {
        let Ok(id) = ack.request_id.parse::<RequestId>() else { return (Step::None, None) };
        let Some(job) = self.jobs.get_mut(&id).filter(|job| !job.queued) else { return (Step::None, None) };
        let reason = |result| Reason::of(result, ack.error.as_ref());
        match ack.status() {
            AckStatus::Queued => {
                job.queued = true;
                job.deadline = now + self.config.ready_timeout;
                (Step::None, None)
            }
            AckStatus::OverQuota if job.resends < Self::RESENDS => {
                let wait = Duration::from_millis(u64::from(ack.retry_after_ms.max(1))).min(Self::LONGEST_WAIT);
                job.resends += 1;
                job.resend_at = Some(now + wait);
                job.deadline = now + wait + self.config.ack_timeout;
                (Step::None, Some(HistoryResult::OverQuota))
            }
            AckStatus::NoIngestor => {
                let venue = job.range.venue.clone();
                let reason = reason(HistoryResult::NoIngestor);
                self.refuse((venue, None), reason, now + Self::NO_INGESTOR_FOR);
                (self.end(id, Outcome::Refused(reason)), Some(HistoryResult::NoIngestor))
            }
            AckStatus::OverQuota => self.refused(id, reason(HistoryResult::OverQuota), now + self.config.refused_for),
            AckStatus::Invalid | AckStatus::Unspecified => {
                self.refused(id, reason(HistoryResult::Invalid), now + self.config.refused_for)
            }
        }
    }

    /// Takes the word that the rows are in the lake, or never will be.
    pub(crate) fn on_ready(&mut self, note: &HistoryReadyNotification, now: Instant) -> (Step, Option<HistoryResult>) {
        let Ok(id) = note.request_id.parse::<RequestId>() else { return (Step::None, None) };
        let Some(job) = self.jobs.get(&id) else { return (Step::None, None) };
        let range = job.range.clone();
        let reason = |result| Reason::of(result, note.error.as_ref());
        match note.status() {
            HistoryStatus::Ok => {
                self.note_complete(market(&range), range.from_ns, range.to_ns);
                (self.end(id, Outcome::Done), Some(HistoryResult::Ok))
            }
            HistoryStatus::Partial => {
                // What came is worth reading; the rest is not asked for again for a while.
                let reason = reason(HistoryResult::Partial);
                self.refuse((range.venue.clone(), Some(range)), reason, now + self.config.refused_for);
                (self.end(id, Outcome::Partial(reason)), Some(HistoryResult::Partial))
            }
            HistoryStatus::Failed | HistoryStatus::Unspecified => {
                self.refused(id, reason(HistoryResult::Failed), now + self.config.refused_for)
            }
        }
    }

    /// Ends what took too long and tells what must be sent again.
    pub(crate) fn expire(&mut self, now: Instant) -> Vec<(Step, Option<HistoryResult>)> {
        let mut steps = Vec::new();
        for (id, job) in &mut self.jobs {
            if job.resend_at.is_some_and(|at| at <= now) {
                job.resend_at = None;
                steps.push((Step::Resubmit(*id, job.range.clone()), None));
            }
        }
        let late = self.jobs.iter().filter(|(_, job)| job.deadline <= now).map(|(id, job)| (*id, job.queued));
        for (id, queued) in late.collect::<Vec<_>>() {
            let result = if queued { HistoryResult::ReadyTimeout } else { HistoryResult::AckTimeout };
            steps.push(self.refused(id, Reason { result, code: None }, now + Self::SILENCE_FOR));
        }
        steps
    }

    fn refused(&mut self, id: RequestId, reason: Reason, until: Instant) -> (Step, Option<HistoryResult>) {
        if let Some(range) = self.jobs.get(&id).map(|job| job.range.clone()) {
            self.refuse((range.venue.clone(), Some(range)), reason, until);
        }
        (self.end(id, Outcome::Refused(reason)), Some(reason.result))
    }

    fn refuse(&mut self, (venue, range): (Venue, Option<HistoryRange>), reason: Reason, until: Instant) {
        if self.refusals.len() >= REFUSALS {
            // Forgetting one costs a request, never a wrong answer.
            self.refusals.remove(0);
        }
        self.refusals.push(Refusal { venue, range, until, reason });
    }

    fn end(&mut self, id: RequestId, outcome: Outcome) -> Step {
        match self.jobs.remove(&id) {
            Some(job) => {
                // Nobody may be waiting any more; the outcome is in the book all the same.
                job.outcome.send_replace(outcome);
                Step::Over(id)
            }
            None => Step::None,
        }
    }

    fn note_complete(&mut self, series: Market, from: u64, to: u64) {
        if !self.complete.contains_key(&series)
            && self.complete.len() >= SERIES
            && let Some(any) = self.complete.keys().next().cloned()
        {
            self.complete.remove(&any);
        }
        self.complete.entry(series).or_default().insert(from, to);
    }
}

#[cfg(test)]
mod tests;
