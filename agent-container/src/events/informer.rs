//! Informational events: sent to whoever subscribed, lost otherwise.

use super::new_event::Stamp;
use super::{EventMetrics, NewEvent};
use proto::{EventKind, Severity, Topic, UserId};
use service::clock::Clock;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};
use tokio::task::JoinHandle;
use zmtp::{PubSocket, SendOutcome, SubscriptionEvent};

/// What became of an informational event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Informed {
    /// On its way to at least one subscriber.
    Sent,
    /// Nobody subscribed to it: it was not even encoded.
    Unheard,
    /// Each subscriber's queue was full.
    Dropped,
}

/// The informational channel: a socket that binds and sees who subscribes.
#[derive(Debug)]
pub struct Informer {
    socket: PubSocket,
    user_id: UserId,
    clock: Clock,
    metrics: EventMetrics,
    publisher_id: u64,
    /// Messages sent of each kind; a topic has one kind.
    sequences: Mutex<BTreeMap<EventKind, u64>>,
    watcher: JoinHandle<()>,
}

impl Informer {
    pub(crate) fn new(socket: PubSocket, user_id: UserId, clock: Clock, metrics: EventMetrics) -> Self {
        let (mut events, gauge) = (socket.events(), metrics.subscriptions.clone());
        let watcher = tokio::spawn(async move {
            let mut prefixes = std::collections::BTreeSet::new();
            while let Some(event) = events.recv().await {
                match event {
                    SubscriptionEvent::Subscribed(prefix) => prefixes.insert(prefix),
                    SubscriptionEvent::Unsubscribed(prefix) => prefixes.remove(&prefix),
                };
                gauge.set(i64::try_from(prefixes.len()).unwrap_or(i64::MAX));
            }
        });
        let (publisher_id, sequences) = (rand::random(), Mutex::default());
        Self { socket, user_id, clock, metrics, publisher_id, sequences, watcher }
    }

    /// Sends the event if somebody subscribed to it. Never waits.
    pub fn inform(&self, event: &NewEvent) -> Informed {
        let topic = Topic::UserEvent(self.user_id, event.kind()).to_string();
        if !self.socket.has_subscriber(&topic) {
            self.metrics.unheard.inc();
            return Informed::Unheard;
        }
        // Held while sending, so that the messages of a topic leave in the order of their sequences.
        let mut sequences = self.sequences.lock().unwrap_or_else(PoisonError::into_inner);
        let sequence = sequences.entry(event.kind()).or_default();
        let stamp = Stamp { publisher_id: self.publisher_id, sequence: *sequence + 1, now_ns: self.clock.now_ns() };
        let (_, frame) = event.clone().encode(self.user_id, Severity::Informational, stamp);
        match self.socket.send(&topic, &frame) {
            SendOutcome::NoSubscriber => {
                self.metrics.unheard.inc();
                Informed::Unheard
            }
            SendOutcome::Sent => {
                *sequence += 1;
                self.metrics.informed.inc();
                Informed::Sent
            }
            SendOutcome::Dropped => {
                // Counted in the sequence, so that the subscriber sees the gap.
                *sequence += 1;
                self.metrics.dropped.inc();
                Informed::Dropped
            }
        }
    }

    /// The bound address.
    #[must_use]
    pub const fn local_addr(&self) -> Option<SocketAddr> {
        self.socket.local_addr()
    }
}

impl Drop for Informer {
    fn drop(&mut self) {
        // The socket ends its own tasks.
        self.watcher.abort();
    }
}
