//! The one task that writes: while one batch goes to disk, the next one gathers.

use super::{OutboxError, Published, Shared, TOPIC};
use crate::events::new_event::Stamp;
use crate::events::{NewEvent, OutboxLimits};
use bytes::Bytes;
use eventlog::{EventLog, LogError, Record};
use proto::{OutboxId, Position, Severity, UserId};
use service::clock::Clock;
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot};

/// Most events of one write.
const BATCH_EVENTS: usize = 4096;
/// And about their bytes: below the size up to which the log writes a batch as one unit, all or nothing.
const BATCH_BYTES: usize = 512 << 10;

type Reply = oneshot::Sender<Result<Published, OutboxError>>;

/// A producer that waits.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) event: NewEvent,
    pub(super) reply: Reply,
}

/// Events that are written together, and who waits for each.
#[derive(Debug, Default)]
struct Batch {
    records: Vec<Record>,
    bytes: usize,
    waiting: Vec<(Published, Reply)>,
}

#[derive(Debug)]
pub(super) struct Writer {
    shared: Arc<Shared>,
    limits: OutboxLimits,
    user_id: UserId,
    outbox_id: OutboxId,
    clock: Clock,
    publisher_id: u64,
    /// Bytes written since retention ran.
    unswept: u64,
    /// Why nothing is written any more.
    broken: Option<OutboxError>,
}

impl Writer {
    pub(super) fn new(
        shared: Arc<Shared>,
        limits: OutboxLimits,
        (user_id, outbox_id): (UserId, OutboxId),
        clock: Clock,
    ) -> Self {
        let publisher_id = rand::random();
        Self { shared, limits, user_id, outbox_id, clock, publisher_id, unswept: 0, broken: None }
    }

    /// Ends when the queue is closed and empty.
    pub(super) async fn run(mut self, mut queue: mpsc::Receiver<Request>) {
        let mut requests = Vec::new();
        while queue.recv_many(&mut requests, BATCH_EVENTS).await > 0 {
            let mut batch = Batch::default();
            for request in requests.drain(..) {
                self.add(&mut batch, request);
                if batch.bytes >= BATCH_BYTES {
                    self.write(std::mem::take(&mut batch)).await;
                }
            }
            self.write(batch).await;
            self.shared.show();
            self.sweep().await;
        }
    }

    /// Gives the event the next sequence, or its producer the reason why not.
    fn add(&self, batch: &mut Batch, Request { event, reply }: Request) {
        if let Some(broken) = &self.broken {
            return answer(reply, Err(broken.clone()));
        }
        let sequence = *self.shared.end.borrow() + batch.records.len() as u64;
        let position = Position { outbox_id: self.outbox_id, sequence };
        let now_ns = self.clock.now_ns();
        let stamp = Stamp { publisher_id: self.publisher_id, sequence, now_ns };
        let (event_id, value) = event.encode(self.user_id, Severity::Critical(position), stamp);
        if let Err(full) = self.shared.ledger().admit(value.len()) {
            self.shared.metrics.full.inc();
            let OutboxLimits { events: events_max, bytes: bytes_max } = self.limits;
            return answer(
                reply,
                Err(OutboxError::Full { events: full.events, bytes: full.bytes, events_max, bytes_max }),
            );
        }
        batch.bytes += value.len();
        batch.records.push(Record { key: Bytes::new(), value, timestamp_ns: now_ns });
        batch.waiting.push((Published { event_id, position }, reply));
    }

    async fn write(&mut self, batch: Batch) {
        let Batch { records, bytes, waiting } = batch;
        if records.is_empty() {
            return;
        }
        let first = *self.shared.end.borrow();
        let count = records.len() as u64;
        if let Err(error) = self.append(records, first).await {
            self.shared.metrics.failed.inc_by(count);
            if !error.is_retryable() {
                tracing::error!(%error, "the outbox of critical events takes no more until a restart");
                self.broken = Some(error.clone());
            }
            for (_, reply) in waiting {
                self.shared.ledger().withdraw();
                answer(reply, Err(error.clone()));
            }
            return;
        }
        self.unswept += bytes as u64;
        self.shared.metrics.published.inc_by(count);
        self.shared.metrics.batches.inc();
        self.shared.end.send_replace(first + count);
        for (published, reply) in waiting {
            answer(reply, Ok(published));
        }
    }

    /// Returns after fdatasync. The log counts as we do, or nothing more is written.
    async fn append(&self, records: Vec<Record>, first: u64) -> Result<(), OutboxError> {
        let places = self.shared.log.append(TOPIC, records).await?;
        match places.first() {
            Some((0, offset)) if offset + 1 == first => Ok(()),
            _ => Err(LogError::Corrupt {
                file: TOPIC.into(),
                byte: 0,
                reason: "the log gave another offset than the next one",
            }
            .into()),
        }
    }

    /// Lets retention run once in a while, so that what is acked leaves the disk also at high rates.
    async fn sweep(&mut self) {
        if self.unswept < self.limits.bytes {
            return;
        }
        self.unswept = 0;
        if let Err(error) = self.shared.log.upkeep().await {
            tracing::warn!(%error, "retention of the outbox failed");
        }
    }
}

fn answer(reply: Reply, result: Result<Published, OutboxError>) {
    // A producer that has gone does not care.
    drop(reply.send(result));
}
