//! The one task that records: everything that waits shares one transaction, and nothing is answered before it is durable.

use crate::error::StoreError;
use crate::ledger::{Answer, Answers, Incoming, take};
use crate::metrics::{DeathReason, NotificationMetrics, RefusalReason};
use crate::sessions::Sessions;
use crate::store::{Committed, NewRecord, Plan, Release, Settlement, Store};
use proto::{EventId, FrameHeader, Kind, OutboxId, UserId};
use service::clock::Clock;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use user_events::{Decision, Refusal, Stream, seal_ack};
use zmtp::RouterSocket;

/// Times that a batch is tried: another replica may be first, the database may be away for a moment.
const TRIES: u32 = 6;
/// Wait after the first failure of the database; doubles.
const RETRY_MIN: Duration = Duration::from_millis(50);

/// Where the answer to a call goes.
pub(crate) type Reply = oneshot::Sender<Result<(), StoreError>>;

/// Something to write.
#[derive(Debug)]
pub(crate) enum Job {
    /// A message of a container; it is answered with an ack.
    Received(Box<Incoming>),
    /// An event of the platform.
    Own(NewRecord, Reply),
    /// What became of deliveries.
    Settle(Vec<Settlement>, Reply),
    /// A lane is done.
    Release(Release, Reply),
}

/// What the writer works with.
#[derive(Debug)]
pub(crate) struct WriterParts {
    pub(crate) store: Store,
    pub(crate) socket: Arc<RouterSocket>,
    pub(crate) sessions: Arc<Sessions>,
    /// Rung when there is something to deliver.
    pub(crate) due: Arc<Notify>,
    pub(crate) clock: Clock,
    pub(crate) metrics: NotificationMetrics,
    pub(crate) streams_cached: usize,
}

/// A stream in memory.
#[derive(Debug)]
struct Known {
    stream: Stream,
    /// The batch that read it from the store.
    read: u64,
    /// The batch that used it last.
    used: u64,
}

/// Owns the streams and the order of writes.
#[derive(Debug)]
pub(crate) struct Writer {
    parts: WriterParts,
    streams: HashMap<(UserId, OutboxId), Known>,
    /// Counts batches: how recently a stream was used.
    batch: u64,
    publisher_id: u64,
    acks: u64,
}

/// What a batch decided.
#[derive(Debug, Default)]
struct Decided {
    plan: Plan,
    answers: Answers,
    decisions: Vec<Decision>,
    /// Messages of outboxes beyond what a user may have; not answered.
    beyond: u64,
}

impl Writer {
    pub(crate) fn new(parts: WriterParts) -> Self {
        Self { parts, streams: HashMap::new(), batch: 0, publisher_id: rand::random(), acks: 0 }
    }

    /// Writes until it is stopped. What waits then is not acked, and will be sent again.
    pub(crate) async fn run(mut self, mut jobs: mpsc::Receiver<Job>, most: usize, stop: CancellationToken) {
        let mut batch = Vec::with_capacity(most);
        loop {
            let taken = tokio::select! {
                biased;
                () = stop.cancelled() => break,
                taken = jobs.recv_many(&mut batch, most) => taken,
            };
            if taken == 0 {
                break;
            }
            self.write(std::mem::take(&mut batch)).await;
        }
    }

    async fn write(&mut self, batch: Vec<Job>) {
        self.batch += 1;
        for tried in 0..TRIES {
            let decided = match self.decide(&batch).await {
                Ok(decided) => decided,
                Err(error) => {
                    self.failed(&batch, &error);
                    sleep(RETRY_MIN * (1 << tried)).await;
                    continue;
                }
            };
            let start = Instant::now();
            let committed = self.parts.store.commit(&decided.plan).await;
            self.parts.metrics.commit_seconds.observe(start.elapsed().as_secs_f64());
            self.parts.metrics.batches.inc();
            match committed {
                Committed::Done { repeated, overflowed } => {
                    self.parts.metrics.repeated.inc_by(repeated);
                    self.parts.metrics.died(DeathReason::Overflow, overflowed);
                    return self.done(batch, decided);
                }
                Committed::Conflict => {
                    self.parts.metrics.batch_conflicts.inc();
                    self.forget(&batch);
                }
                Committed::NotWritten(error) => {
                    self.failed(&batch, &error);
                    sleep(RETRY_MIN * (1 << tried)).await;
                }
                Committed::Unknown(error) => {
                    // It may be durable. Sent again, the messages say that they may be repetitions, and then the store
                    // tells; judged here a second time, they would look like replays.
                    self.failed(&batch, &error);
                    break;
                }
            }
        }
        self.parts.metrics.abandoned.inc_by(batch.len() as u64);
        for job in batch {
            if let Job::Own(_, reply) | Job::Settle(_, reply) | Job::Release(_, reply) = job {
                answer(reply, Err(StoreError::Closed));
            }
        }
    }

    fn failed(&mut self, batch: &[Job], error: &(dyn std::error::Error + Sync)) {
        self.parts.metrics.batch_failures.inc();
        tracing::error!(error = %error, messages = batch.len(), "events were not recorded");
        self.forget(batch);
    }

    /// The streams of a batch that did not become durable have moved on too far.
    fn forget(&mut self, batch: &[Job]) {
        for job in batch {
            if let Job::Received(incoming) = job {
                self.streams.remove(&incoming.stream());
            }
        }
    }

    async fn decide(&mut self, batch: &[Job]) -> Result<Decided, StoreError> {
        let mut decided = Decided::default();
        decided.plan.now_ns = self.parts.clock.now_ns();
        for job in batch {
            match job {
                Job::Received(incoming) => {
                    self.doubt(incoming, &decided.plan);
                    let Some(stream) = self.stream(incoming.stream()).await? else {
                        decided.beyond += 1;
                        continue;
                    };
                    let (decision, ack) = take(stream, incoming, &mut decided.plan);
                    decided.answers.push(incoming, ack);
                    decided.decisions.push(decision);
                }
                Job::Own(record, _) => decided.plan.records.push(record.clone()),
                Job::Settle(settlements, _) => decided.plan.settlements.extend(settlements),
                Job::Release(release, _) => decided.plan.releases.push(release.clone()),
            }
        }
        Ok(decided)
    }

    async fn stream(&mut self, of: (UserId, OutboxId)) -> Result<Option<&mut Stream>, StoreError> {
        if !self.streams.contains_key(&of) {
            self.make_room();
            let Some(stream) = self.parts.store.stream(of.0, of.1).await? else { return Ok(None) };
            self.streams.insert(of, Known { stream, read: self.batch, used: self.batch });
        }
        let known = self.streams.get_mut(&of).expect("it was just put there");
        known.used = self.batch;
        Ok(Some(&mut known.stream))
    }

    /// Something seems to be missing before this message: another replica may have recorded it, so that what is in memory
    /// is not believed. What this batch has moved on is checked by the commit.
    fn doubt(&mut self, incoming: &Incoming, plan: &Plan) {
        let of = incoming.stream();
        let batch = self.batch;
        let stale = |known: &Known| known.read != batch && incoming.position.sequence > known.stream.next_sequence();
        if !plan.advances.contains_key(&of) && self.streams.get(&of).is_some_and(stale) {
            self.streams.remove(&of);
        }
    }

    /// Forgets the half of the streams that was used longest ago, but none that this batch has decided on.
    fn make_room(&mut self) {
        if self.streams.len() < self.parts.streams_cached {
            return;
        }
        let mut used: Vec<u64> = self.streams.values().map(|known| known.used).collect();
        let middle = used.len() / 2;
        let (_, median, _) = used.select_nth_unstable(middle);
        let (median, batch) = (*median, self.batch);
        self.streams.retain(|_, known| known.used > median || known.used == batch);
    }

    fn done(&mut self, batch: Vec<Job>, decided: Decided) {
        for decision in &decided.decisions {
            self.count(decision);
        }
        for _ in 0..decided.beyond {
            self.parts.metrics.refuse(RefusalReason::Outboxes);
        }
        let own = batch.iter().filter(|job| matches!(job, Job::Own(..))).count() as u64;
        self.parts.metrics.recorded.inc_by(own);
        let users: BTreeSet<UserId> = decided.plan.records.iter().map(|record| record.user_id).collect();
        for answer in decided.answers.into_list() {
            self.ack(&answer);
        }
        for job in batch {
            if let Job::Own(_, reply) | Job::Settle(_, reply) | Job::Release(_, reply) = job {
                answer(reply, Ok(()));
            }
        }
        if !users.is_empty() {
            self.parts.sessions.recorded(&users);
            self.parts.due.notify_one();
        }
    }

    fn count(&self, decision: &Decision) {
        let metrics = &self.parts.metrics;
        match decision {
            Decision::Accept => metrics.recorded.inc(),
            Decision::Fill { .. } => metrics.filled.inc(),
            Decision::DeadLetter(_) => metrics.invalid.inc(),
            Decision::Duplicate => metrics.duplicate.inc(),
            Decision::ResendFrom => metrics.resend.inc(),
            Decision::Refuse(refusal) => {
                let reason = match refusal {
                    Refusal::OtherStream { .. } => RefusalReason::Mismatch,
                    Refusal::Informational => RefusalReason::Informational,
                    Refusal::Replayed { .. } => RefusalReason::Replayed,
                    Refusal::Conflict { .. } => RefusalReason::Conflict,
                    Refusal::TooOld { .. } => RefusalReason::TooOld,
                };
                tracing::error!(%refusal, "an authentic event was refused: an operator has to look");
                metrics.refuse(reason)
            }
        };
    }

    fn ack(&mut self, answer: &Answer) {
        self.acks += 1;
        let header = FrameHeader::new(Kind::EventAck, self.publisher_id, self.acks, self.parts.clock.now_ns());
        let frames = seal_ack(&answer.key, header, &answer.ack).expect("no ack of a stream is too long");
        match self.parts.socket.send(answer.peer, &frames) {
            Ok(()) => self.parts.metrics.acks.inc(),
            // Who has gone asks again.
            Err(_) => self.parts.metrics.acks_dropped.inc(),
        };
    }
}

fn answer(reply: Reply, result: Result<(), StoreError>) {
    // Nobody waits any more: what was done stays done.
    drop(reply.send(result));
}

/// Hands jobs to the writer.
#[derive(Debug, Clone)]
pub(crate) struct WriterHandle {
    jobs: mpsc::Sender<Job>,
}

impl WriterHandle {
    pub(crate) const fn new(jobs: mpsc::Sender<Job>) -> Self {
        Self { jobs }
    }

    /// Queues a message, waiting for room; false if the writer has stopped.
    pub(crate) async fn received(&self, incoming: Incoming) -> bool {
        self.jobs.send(Job::Received(Box::new(incoming))).await.is_ok()
    }

    async fn call(&self, job: impl FnOnce(Reply) -> Job) -> Result<(), StoreError> {
        let (reply, answer) = oneshot::channel();
        self.jobs.send(job(reply)).await.map_err(|_| StoreError::Closed)?;
        answer.await.map_err(|_| StoreError::Closed)?
    }

    /// Records an event of the platform; once, however often it is called with the same id.
    pub(crate) async fn record(&self, record: NewRecord) -> Result<EventId, StoreError> {
        let event_id = record.event_id;
        self.call(|reply| Job::Own(record, reply)).await?;
        Ok(event_id)
    }

    pub(crate) async fn settle(&self, settlements: Vec<Settlement>) -> Result<(), StoreError> {
        self.call(|reply| Job::Settle(settlements, reply)).await
    }

    pub(crate) async fn release(&self, release: Release) -> Result<(), StoreError> {
        self.call(|reply| Job::Release(release, reply)).await
    }
}
