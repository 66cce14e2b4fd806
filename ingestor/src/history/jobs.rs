//! The book of history jobs of one venue: what is fetched here, what others fetch and we watch. Pure.
//!
//! All ingestors of a venue see each request. The owner by rendezvous hash fetches; the others remember the job until the
//! owner reports it done, and the new owner takes over when the old one's lease ends. Requests for a range that is
//! already queued or being fetched join it: one fetch, one answer with all their ids.

use crate::members::Members;
use crate::rendezvous;
use proto::{HistoryRange, HistoryRequest, RequestId};
use std::collections::{HashMap, VecDeque};
use std::time::Duration;

/// Bounds of the book.
#[derive(Debug, Clone, Copy)]
pub(crate) struct JobLimits {
    /// Jobs that wait for a worker here; more are refused at once.
    pub(crate) queued: usize,
    /// Jobs of others that are remembered; of more the oldest is forgotten.
    pub(crate) watched: usize,
    /// Requests that may share one job; more are refused.
    pub(crate) requests: usize,
    /// How long a job of another is remembered.
    pub(crate) watch: Duration,
}

/// What became of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Accepted {
    /// It waits for a worker here.
    Queued,
    /// It joined a job that is queued or being fetched here.
    Shared,
    /// Another ingestor owns it.
    Watched,
    /// This very request is known already.
    Repeated,
    /// Too much work here: to be answered with an error.
    Refused,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Queued,
    Fetching,
    Watched { since_ns: u64 },
}

#[derive(Debug)]
struct Job {
    range: HistoryRange,
    requests: Vec<RequestId>,
    state: State,
}

/// The jobs of one venue in one ingestor.
#[derive(Debug)]
pub(crate) struct JobBook {
    limits: JobLimits,
    jobs: HashMap<String, Job>,
    /// Keys of queued jobs, first come first served.
    queue: VecDeque<String>,
    /// Keys of watched jobs, oldest first.
    watched: VecDeque<String>,
    forgotten: u64,
}

impl JobBook {
    pub(crate) fn new(limits: JobLimits) -> Self {
        Self { limits, jobs: HashMap::new(), queue: VecDeque::new(), watched: VecDeque::new(), forgotten: 0 }
    }

    /// Takes in a request.
    pub(crate) fn accept(&mut self, request: &HistoryRequest, members: &Members, now_ns: u64) -> Accepted {
        let key = rendezvous::range_key(&request.range);
        let shared = self.limits.requests;
        if let Some(job) = self.jobs.get_mut(&key) {
            if job.requests.contains(&request.request_id) {
                return Accepted::Repeated;
            }
            if job.requests.len() >= shared {
                return Accepted::Refused;
            }
            job.requests.push(request.request_id);
            return if matches!(job.state, State::Watched { .. }) { Accepted::Watched } else { Accepted::Shared };
        }
        let mine = rendezvous::owner(members.live(), &key) == Some(members.me());
        let state = if mine { State::Queued } else { State::Watched { since_ns: now_ns } };
        if mine && self.queue.len() >= self.limits.queued {
            return Accepted::Refused;
        }
        let line = if mine { &mut self.queue } else { &mut self.watched };
        line.push_back(key.clone());
        self.jobs.insert(key, Job { range: request.range.clone(), requests: vec![request.request_id], state });
        self.forget_oldest();
        if mine { Accepted::Queued } else { Accepted::Watched }
    }

    /// Keeps the number of watched jobs within its bound.
    fn forget_oldest(&mut self) {
        while self.watched.len() > self.limits.watched {
            let Some(key) = self.watched.pop_front() else { return };
            if self.jobs.get(&key).is_some_and(|job| matches!(job.state, State::Watched { .. })) {
                self.jobs.remove(&key);
                self.forgotten += 1;
            }
        }
    }

    /// The next job to fetch, and its key.
    pub(crate) fn start(&mut self) -> Option<(String, HistoryRange)> {
        let key = self.queue.pop_front()?;
        let job = self.jobs.get_mut(&key)?;
        job.state = State::Fetching;
        Some((key, job.range.clone()))
    }

    /// Everybody who waits for a job now.
    pub(crate) fn requests(&self, key: &str) -> Vec<RequestId> {
        self.jobs.get(key).map_or_else(Vec::new, |job| job.requests.clone())
    }

    /// The last part of a job's answer is being written: later requests for the range are new jobs.
    pub(crate) fn finish(&mut self, key: &str) -> Vec<RequestId> {
        self.jobs.remove(key).map_or_else(Vec::new, |job| job.requests)
    }

    /// Another ingestor reported a request done.
    pub(crate) fn done_elsewhere(&mut self, request_id: RequestId) {
        self.jobs.retain(|_, job| {
            if matches!(job.state, State::Watched { .. }) {
                job.requests.retain(|id| *id != request_id);
            }
            !job.requests.is_empty()
        });
        self.watched.retain(|key| self.jobs.contains_key(key));
    }

    /// Takes over jobs whose owner is gone and forgets those watched for too long. Returns how many were taken over.
    pub(crate) fn reassign(&mut self, members: &Members, now_ns: u64) -> usize {
        let watch_ns = u64::try_from(self.limits.watch.as_nanos()).unwrap_or(u64::MAX);
        let mut taken = 0;
        for key in std::mem::take(&mut self.watched) {
            let Some(job) = self.jobs.get_mut(&key) else { continue };
            let State::Watched { since_ns } = job.state else { continue };
            if now_ns.saturating_sub(since_ns) > watch_ns {
                self.jobs.remove(&key);
                self.forgotten += 1;
            } else if rendezvous::owner(members.live(), &key) == Some(members.me())
                && self.queue.len() < self.limits.queued
            {
                job.state = State::Queued;
                self.queue.push_back(key);
                taken += 1;
            } else {
                self.watched.push_back(key);
            }
        }
        taken
    }

    /// Jobs that wait for a worker.
    pub(crate) fn queued(&self) -> usize {
        self.queue.len()
    }

    /// Watched jobs that were dropped unfinished.
    pub(crate) const fn forgotten(&self) -> u64 {
        self.forgotten
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proto::{ClientId, Interval, wire};

    const S: u64 = 1_000_000_000;

    fn limits() -> JobLimits {
        JobLimits { queued: 4, watched: 4, requests: 3, watch: Duration::from_secs(600) }
    }

    fn request(id: u128, minute: u64) -> HistoryRequest {
        HistoryRequest {
            request_id: RequestId::from_bits(id),
            client_id: ClientId::from_bits(1),
            range: HistoryRange {
                venue: "SIM".parse().unwrap(),
                symbol: "BTC/USDT".parse().unwrap(),
                interval: Some(Interval::M1),
                from_ns: minute * 60 * S,
                to_ns: (minute + 1) * 60 * S,
            },
        }
    }

    fn alone() -> Members {
        Members::new("me", Duration::from_secs(3))
    }

    /// A member beside us, and a minute whose range it owns.
    fn with_other() -> (Members, u64) {
        let mut members = alone();
        members.seen(&wire::FeedStatus { ingestor_id: "other".into(), ..Default::default() }, 0);
        let owned = (0..).find(|m| {
            rendezvous::owner(members.live(), &rendezvous::range_key(&request(1, *m).range)) == Some("other")
        });
        (members, owned.unwrap())
    }

    #[test]
    fn requests_for_one_range_share_one_fetch_until_its_end() {
        let mut book = JobBook::new(limits());
        assert_eq!(book.accept(&request(1, 5), &alone(), 0), Accepted::Queued);
        assert_eq!(book.accept(&request(2, 5), &alone(), 0), Accepted::Shared);
        let (key, range) = book.start().unwrap();
        assert_eq!(range, request(1, 5).range);
        assert_eq!(book.accept(&request(3, 5), &alone(), 0), Accepted::Shared);
        assert_eq!(book.accept(&request(3, 5), &alone(), 0), Accepted::Repeated);
        assert_eq!(book.finish(&key), [1, 2, 3].map(RequestId::from_bits));
        assert_eq!(book.accept(&request(4, 5), &alone(), 0), Accepted::Queued);
    }

    #[test]
    fn a_full_queue_refuses_and_keeps_what_it_has() {
        let mut book = JobBook::new(limits());
        for minute in 0..4 {
            assert_eq!(book.accept(&request(u128::from(minute), minute), &alone(), 0), Accepted::Queued);
        }
        assert_eq!(book.accept(&request(9, 9), &alone(), 0), Accepted::Refused);
        assert_eq!(book.queued(), 4);
        for id in 10..12 {
            assert_eq!(book.accept(&request(id, 0), &alone(), 0), Accepted::Shared);
        }
        assert_eq!(book.accept(&request(12, 0), &alone(), 0), Accepted::Refused);
    }

    #[test]
    fn what_another_owns_is_watched_until_it_is_done() {
        let (members, minute) = with_other();
        let mut book = JobBook::new(limits());
        assert_eq!(book.accept(&request(1, minute), &members, 0), Accepted::Watched);
        assert!(book.start().is_none());
        book.done_elsewhere(RequestId::from_bits(1));
        let mut members = members;
        members.expire(10 * S);
        assert_eq!(book.reassign(&members, 10 * S), 0);
    }

    #[test]
    fn when_the_owner_is_gone_its_job_is_taken_over_once() {
        let (mut members, minute) = with_other();
        let mut book = JobBook::new(limits());
        book.accept(&request(1, minute), &members, 0);
        assert_eq!(book.reassign(&members, S), 0);
        members.expire(3 * S);
        assert_eq!(book.reassign(&members, 3 * S), 1);
        assert_eq!(book.reassign(&members, 3 * S), 0);
        assert_eq!(book.start().unwrap().1, request(1, minute).range);
    }

    #[test]
    fn watched_jobs_are_bounded_in_number_and_time() {
        let (members, minute) = with_other();
        let mut book = JobBook::new(limits());
        let owned: Vec<u64> = (minute..)
            .filter(|m| {
                rendezvous::owner(members.live(), &rendezvous::range_key(&request(1, *m).range)) == Some("other")
            })
            .take(6)
            .collect();
        for (id, minute) in owned.iter().enumerate() {
            book.accept(&request(id as u128, *minute), &members, 0);
        }
        assert_eq!(book.forgotten(), 2);
        assert_eq!(book.reassign(&members, 601 * S), 0);
        assert_eq!(book.forgotten(), 6);
        assert!(book.jobs.is_empty() && book.watched.is_empty());
    }

    #[test]
    fn a_job_being_fetched_here_is_not_ended_by_a_report_of_another() {
        let mut book = JobBook::new(limits());
        book.accept(&request(1, 5), &alone(), 0);
        let (key, _) = book.start().unwrap();
        book.done_elsewhere(RequestId::from_bits(1));
        assert_eq!(book.finish(&key), [RequestId::from_bits(1)]);
    }
}
