//! Counters of both channels, under `agent_events`.

use service::metrics::{Counter, Gauge, Metrics};

/// The counters; cloned handles count together.
#[derive(Debug, Clone)]
pub struct EventMetrics {
    /// Critical events put on disk.
    pub published: Counter,
    /// Writes of the outbox; each holds all events that came while the one before was written.
    pub batches: Counter,
    /// Critical events refused because the outbox is full.
    pub full: Counter,
    /// Critical events that failed because of the disk.
    pub failed: Counter,
    /// Critical events sent for the first time.
    pub sent: Counter,
    /// Critical events sent again.
    pub resent: Counter,
    /// Times that the wait for an ack was over.
    pub timeouts: Counter,
    /// Critical events acked by the gateway.
    pub acked: Counter,
    /// Critical events that the gateway recorded as refused.
    pub refused: Counter,
    /// Critical events that expired before they were sent.
    pub expired: Counter,
    /// Answers that say that our count and the gateway's differ: an operator has to look.
    pub conflicts: Counter,
    /// Messages from the gateway's port that are no valid ack.
    pub rejected: Counter,
    /// Critical events not acked.
    pub unacked: Gauge,
    /// Their bytes.
    pub unacked_bytes: Gauge,
    /// 1 while the outbox is at least 80 % full.
    pub alarm: Gauge,
    /// 1 while connected to the gateway.
    pub connected: Gauge,
    /// Informational events sent.
    pub informed: Counter,
    /// Informational events that nobody had subscribed to.
    pub unheard: Counter,
    /// Informational events dropped because each subscriber's queue was full.
    pub dropped: Counter,
    /// Prefixes subscribed to.
    pub subscriptions: Gauge,
}

impl EventMetrics {
    /// Registers them.
    #[must_use]
    pub fn new(metrics: &Metrics) -> Self {
        let module = metrics.module("agent_events");
        Self {
            published: module.counter("published_total", "Critical events put on disk"),
            batches: module.counter("batches_total", "Writes of the outbox"),
            full: module.counter("full_total", "Critical events refused because the outbox is full"),
            failed: module.counter("failed_total", "Critical events that the disk did not take"),
            sent: module.counter("sent_total", "Critical events sent for the first time"),
            resent: module.counter("resent_total", "Critical events sent again"),
            timeouts: module.counter("timeouts_total", "Waits for an ack that were over"),
            acked: module.counter("acked_total", "Critical events acked by the gateway"),
            refused: module.counter("refused_total", "Critical events that the gateway recorded as refused"),
            expired: module.counter("expired_total", "Critical events that expired before they were sent"),
            conflicts: module.counter("conflicts_total", "Answers by which our count and the gateway's differ"),
            rejected: module.counter("rejected_total", "Messages from the gateway's port that are no valid ack"),
            unacked: module.gauge("unacked", "Critical events not acked"),
            unacked_bytes: module.gauge("unacked_bytes", "Bytes of critical events not acked"),
            alarm: module.gauge("alarm", "1 while the outbox is at least 80 % full"),
            connected: module.gauge("connected", "1 while connected to the gateway"),
            informed: module.counter("informed_total", "Informational events sent"),
            unheard: module.counter("unheard_total", "Informational events that nobody had subscribed to"),
            dropped: module.counter("dropped_total", "Informational events dropped because subscribers were slow"),
            subscriptions: module.gauge("subscriptions", "Prefixes of informational events subscribed to"),
        }
    }
}
