//! What is counted, under `gateway_notifications`. Every message that is refused, dropped, repeated or given up is here.

use crate::ChannelKind;
use crate::notification::State;
use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue};
use prometheus_client::metrics::family::Family;
use service::metrics::{Counter, Gauge, Histogram, Metrics, exponential_buckets};

/// Why a message to the receiver changed nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelValue)]
#[allow(missing_docs, reason = "each is a line of docs/protocol/07-user-events.md")]
pub enum RefusalReason {
    Frames,
    Route,
    Seal,
    UnknownKey,
    Mac,
    Wire,
    Content,
    Mismatch,
    Informational,
    Replayed,
    Conflict,
    TooOld,
    OutOfRange,
    /// The user has more outboxes than anybody needs.
    Outboxes,
    /// Nobody could say in time whether the key is known.
    KeyLookup,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct RefusalLabel {
    pub(crate) reason: RefusalReason,
}

/// What a channel did with a notification.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelValue)]
#[allow(missing_docs, reason = "the outcomes of a channel")]
pub enum AttemptOutcome {
    Delivered,
    TryLater,
    Gone,
    Timeout,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct AttemptLabel {
    pub(crate) channel: ChannelKind,
    pub(crate) outcome: AttemptOutcome,
}

/// Why a notification is dead.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelValue)]
#[allow(missing_docs, reason = "the bounds of delivery")]
pub enum DeathReason {
    Attempts,
    Age,
    Overflow,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct DeathLabel {
    pub(crate) reason: DeathReason,
}

/// The counters; cloned handles count together.
#[derive(Debug, Clone)]
pub(crate) struct NotificationMetrics {
    pub(crate) received: Counter,
    pub(crate) refused: Family<RefusalLabel, Counter>,
    pub(crate) recorded: Counter,
    pub(crate) duplicate: Counter,
    pub(crate) repeated: Counter,
    pub(crate) filled: Counter,
    pub(crate) invalid: Counter,
    pub(crate) resend: Counter,
    pub(crate) acks: Counter,
    pub(crate) acks_dropped: Counter,
    pub(crate) batches: Counter,
    pub(crate) batch_conflicts: Counter,
    pub(crate) batch_failures: Counter,
    pub(crate) abandoned: Counter,
    pub(crate) commit_seconds: Histogram,
    pub(crate) attempts: Family<AttemptLabel, Counter>,
    pub(crate) session_confirmed: Counter,
    pub(crate) retried: Counter,
    pub(crate) kept: Counter,
    pub(crate) expired: Counter,
    pub(crate) dead: Family<DeathLabel, Counter>,
    pub(crate) pending: Gauge,
    pub(crate) dead_letters: Gauge,
    pub(crate) store_failures: Counter,
    pub(crate) sessions: Gauge,
    pub(crate) session_refused: Counter,
    pub(crate) session_dropped: Counter,
    pub(crate) informational: Counter,
    pub(crate) informational_refused: Counter,
    pub(crate) informational_missed: Counter,
    pub(crate) watches: Gauge,
    pub(crate) watch_refused: Counter,
}

impl NotificationMetrics {
    pub(crate) fn new(metrics: &Metrics) -> Self {
        let m = metrics.module("gateway_notifications");
        let seconds = exponential_buckets(0.0005, 2.0, 16);
        Self {
            received: m.counter("received_total", "Messages that came to the receiver of critical events"),
            refused: m.counter_vec("refused_total", "Messages to the receiver that changed nothing, by reason"),
            recorded: m.counter("recorded_total", "Events recorded, durable"),
            duplicate: m.counter("duplicate_total", "Messages that were there already and were acked again"),
            repeated: m.counter("repeated_total", "Events recorded before under the same id, from another outbox"),
            filled: m.counter("filled_total", "Events that expired at the sender, by its gap fills"),
            invalid: m.counter("invalid_total", "Authentic messages that are not valid, recorded as refused"),
            resend: m.counter("resend_total", "Messages before which something is missing"),
            acks: m.counter("acks_total", "Acks sent; one may answer several messages"),
            acks_dropped: m.counter("acks_dropped_total", "Acks whose peer had gone or did not read"),
            batches: m.counter("batches_total", "Transactions of the writer"),
            batch_conflicts: m.counter("batch_conflicts_total", "Transactions decided anew: another replica was first"),
            batch_failures: m.counter("batch_failures_total", "Transactions that the database did not take"),
            abandoned: m.counter("abandoned_total", "Messages not recorded and not acked; the sender repeats them"),
            commit_seconds: m.histogram("commit_seconds", "Time of one transaction of the writer", seconds),
            attempts: m.counter_vec("attempts_total", "Notifications handed to a channel, by channel and outcome"),
            session_confirmed: m.counter("session_confirmed_total", "Notifications that an open page confirmed"),
            retried: m.counter("retried_total", "Notifications that no channel took this time"),
            kept: m.counter("kept_total", "Notifications that no channel can push: they are in the list"),
            expired: m.counter("expired_total", "Notifications that expired before a channel took them"),
            dead: m.counter_vec("dead_total", "Notifications given up, by reason"),
            pending: m.gauge("pending", "Notifications that wait for a channel, of all users and replicas"),
            dead_letters: m.gauge("dead_letters", "Notifications given up and still there: alarm if not 0"),
            store_failures: m.counter("store_failures_total", "Calls of the store that failed, outside the writer"),
            sessions: m.gauge("sessions", "Open sessions at this replica"),
            session_refused: m.counter("session_refused_total", "Sessions beyond the limit"),
            session_dropped: m.counter("session_dropped_total", "Events dropped because a session did not read"),
            informational: m.counter("informational_total", "Informational events passed on to sessions"),
            informational_refused: m.counter(
                "informational_refused_total",
                "Messages of a watched container that are not its user's events",
            ),
            informational_missed: m
                .counter("informational_missed_total", "Informational events lost on the way, by their sequences"),
            watches: m.gauge("watches", "Containers listened to"),
            watch_refused: m.counter("watch_refused_total", "Containers not listened to because of the limit"),
        }
    }

    /// Counts a refusal; returns how many there were of its reason before.
    pub(crate) fn refuse(&self, reason: RefusalReason) -> u64 {
        self.refused.get_or_create(&RefusalLabel { reason }).inc()
    }

    pub(crate) fn attempt(&self, channel: ChannelKind, outcome: AttemptOutcome) {
        self.attempts.get_or_create(&AttemptLabel { channel, outcome }).inc();
    }

    pub(crate) fn died(&self, reason: DeathReason, count: u64) {
        self.dead.get_or_create(&DeathLabel { reason }).inc_by(count);
    }

    /// Counts what a notification became, other than delivered, which is counted by channel.
    pub(crate) fn settled(&self, state: State) {
        match state {
            State::Kept => self.kept.inc(),
            State::Expired => self.expired.inc(),
            State::Pending => self.retried.inc(),
            State::Delivered | State::Dead => 0,
        };
    }
}
