//! Critical events on disk: one task writes, all producers that wait share its fdatasync.
//!
//! The records are frames 1 of the wire in one partition of an embedded log; the offset of an event is its sequence
//! less one, so the count has no holes by construction.

mod opening;
mod writer;

use super::ledger::Ledger;
use super::{EventMetrics, EventsConfig, NewEvent};
use eventlog::{EmbeddedLog, EventLog, LogError, PartitionReader, Start};
use opening::Opening;
use proto::{EventId, OutboxId, Position, UserId};
use service::clock::Clock;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use writer::{Request, Writer};

const TOPIC: &str = "user-events";
const GROUP: &str = "gateway";
/// Producers that may wait for the writer; one more waits to be let in.
const QUEUE: usize = 8192;

/// An event that is on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Published {
    /// Its id.
    pub event_id: EventId,
    /// Its place.
    pub position: Position,
}

/// Why a critical event was not taken.
#[derive(Debug, Clone, thiserror::Error)]
pub enum OutboxError {
    /// Too much waits for its ack.
    #[error("outbox full: {events} events and {bytes} bytes wait for their ack, limits {events_max} and {bytes_max}")]
    Full {
        /// Events that wait.
        events: u64,
        /// Their bytes.
        bytes: u64,
        /// The limit.
        events_max: u64,
        /// The limit.
        bytes_max: u64,
    },
    /// The disk did not take it. If the error is not retryable, nobody knows whether the event is in the outbox, and
    /// the outbox takes no more until a restart.
    #[error("outbox: {0}")]
    Disk(#[from] Arc<LogError>),
    /// The outbox belongs to another user.
    #[error("outbox: of user {found}, not of {expected}")]
    OtherUser {
        /// Who is in the outbox.
        found: UserId,
        /// Who was asked for.
        expected: UserId,
    },
    /// A record is no event although its checksum fits.
    #[error("outbox: record {offset} is no critical event")]
    Foreign {
        /// Where.
        offset: u64,
    },
    /// The container is stopping.
    #[error("outbox: closed")]
    Closed,
}

impl From<LogError> for OutboxError {
    fn from(error: LogError) -> Self {
        Self::Disk(Arc::new(error))
    }
}

impl OutboxError {
    /// True if the same call may succeed later.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Full { .. } => true,
            Self::Disk(error) => error.is_retryable(),
            _ => false,
        }
    }
}

/// The parts that producers, writer and delivery share.
#[derive(Debug)]
struct Shared {
    log: Arc<EmbeddedLog>,
    ledger: Mutex<Ledger>,
    metrics: EventMetrics,
    /// Behind the last event on disk.
    end: watch::Sender<u64>,
    /// Events that wait for their ack.
    unacked: watch::Sender<u64>,
}

/// The durable queue of critical events of one container.
#[derive(Debug)]
pub struct Outbox {
    user_id: UserId,
    outbox_id: OutboxId,
    shared: Arc<Shared>,
    queue: Mutex<Option<mpsc::Sender<Request>>>,
    writer: Mutex<Option<JoinHandle<()>>>,
}

impl Outbox {
    /// Opens or creates the outbox; must be called in a runtime.
    ///
    /// # Errors
    /// If the directory is in use, damaged, or another user's.
    pub async fn open(
        config: &EventsConfig,
        user_id: UserId,
        clock: Clock,
        metrics: EventMetrics,
    ) -> Result<Arc<Self>, OutboxError> {
        let Opening { log, ledger, outbox_id, end } = opening::open(config, user_id, &clock).await?;
        let shared = Arc::new(Shared {
            log,
            metrics,
            end: watch::Sender::new(end),
            unacked: watch::Sender::new(ledger.events()),
            ledger: Mutex::new(ledger),
        });
        shared.show();
        let (sender, receiver) = mpsc::channel(QUEUE);
        let writer = Writer::new(Arc::clone(&shared), config.limits, (user_id, outbox_id), clock);
        let writer = tokio::spawn(writer.run(receiver));
        let (queue, writer) = (Mutex::new(Some(sender)), Mutex::new(Some(writer)));
        Ok(Arc::new(Self { user_id, outbox_id, shared, queue, writer }))
    }

    /// Returns when the event is on disk. Events of one caller get rising sequences.
    ///
    /// # Errors
    /// [`OutboxError`]. Only after a disk error that is not retryable may the event be in the outbox nevertheless.
    ///
    /// # Cancel safety
    /// Not cancel-safe: the event of a dropped call may be delivered all the same.
    pub async fn publish(&self, event: NewEvent) -> Result<Published, OutboxError> {
        let queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner).clone().ok_or(OutboxError::Closed)?;
        let (reply, answer) = oneshot::channel();
        queue.send(Request { event, reply }).await.map_err(|_| OutboxError::Closed)?;
        // The queue must be able to end while this call waits.
        drop(queue);
        answer.await.map_err(|_| OutboxError::Closed)?
    }

    /// Events that the gateway has not acked.
    #[must_use]
    pub fn unacked(&self) -> u64 {
        *self.shared.unacked.borrow()
    }

    /// Changes with [`Self::unacked`].
    #[must_use]
    pub fn watch_unacked(&self) -> watch::Receiver<u64> {
        self.shared.unacked.subscribe()
    }

    /// Who counts the sequences.
    #[must_use]
    pub const fn outbox_id(&self) -> OutboxId {
        self.outbox_id
    }

    /// Whose events.
    #[must_use]
    pub const fn user_id(&self) -> UserId {
        self.user_id
    }

    /// Waits until everything is acked.
    pub(crate) async fn emptied(&self) {
        let mut unacked = self.shared.unacked.subscribe();
        // The sender lives in `self`.
        drop(unacked.wait_for(|unacked| *unacked == 0).await);
    }

    /// Writes what producers wait for, and refuses everything that comes later.
    pub(crate) async fn refuse_from_now_on(&self) {
        drop(self.queue.lock().unwrap_or_else(PoisonError::into_inner).take());
        let writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(writer) = writer
            && let Err(error) = writer.await
        {
            tracing::error!(%error, "the writer of the outbox ended by itself");
        }
    }

    /// Refuses producers, stores what was acked and gives the directory back.
    pub async fn close(&self) {
        self.refuse_from_now_on().await;
        if let Err(error) = self.store_acked().await {
            // Costs repetitions after the next start, nothing else.
            tracing::warn!(%error, "what was acked could not be stored");
        }
        self.shared.log.close().await;
    }

    /// Behind the last event on disk; changes with each write.
    pub(crate) fn watch_end(&self) -> watch::Receiver<u64> {
        self.shared.end.subscribe()
    }

    /// Sequence of the oldest event that is not acked.
    pub(crate) fn acked_next(&self) -> u64 {
        self.shared.ledger().acked_next()
    }

    /// A reader that stands at a sequence.
    pub(crate) async fn reader(&self, sequence: u64) -> Result<Box<dyn PartitionReader>, OutboxError> {
        Ok(self.shared.log.reader(TOPIC, 0, Start::Offset(sequence - 1)).await?)
    }

    /// Everything below `next` is acked. In memory; see [`Self::store_acked`].
    pub(crate) fn acked(&self, next: u64) {
        let news = self.shared.ledger().acked(next);
        self.shared.metrics.acked.inc_by(news);
        self.shared.show();
    }

    /// Makes durable what is acked. It may lag: what is sent again is recognised as such.
    pub(crate) async fn store_acked(&self) -> Result<(), OutboxError> {
        let next = self.acked_next();
        Ok(self.shared.log.commit(GROUP, TOPIC, 0, next - 1).await?)
    }
}

impl Shared {
    fn ledger(&self) -> std::sync::MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Shows how full the outbox is.
    fn show(&self) {
        let (events, bytes, alarming) = {
            let ledger = self.ledger();
            (ledger.events(), ledger.bytes(), ledger.is_alarming())
        };
        let gauge = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
        self.metrics.unacked.set(gauge(events));
        self.metrics.unacked_bytes.set(gauge(bytes));
        let was = self.metrics.alarm.set(i64::from(alarming));
        if alarming && was == 0 {
            tracing::warn!(events, bytes, "the outbox of critical events is nearly full");
        }
        self.unacked.send_if_modified(|unacked| std::mem::replace(unacked, events) != events);
    }
}

#[cfg(test)]
mod tests;
