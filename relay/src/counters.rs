//! What the relay counts: plain atomics that an engine adds to and anyone may read.

use std::sync::atomic::{AtomicU64, Ordering};

/// Whether a value only grows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ValueKind {
    /// Only grows; its name ends in `_total`.
    Counter,
    /// Goes up and down.
    Gauge,
}

/// One value with its name and meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Value {
    /// Name without the prefix of its module.
    pub name: &'static str,
    /// Meaning.
    pub help: &'static str,
    /// Counter or gauge.
    pub kind: ValueKind,
    /// The value.
    pub value: u64,
}

macro_rules! values {
    ($(#[$doc:meta])* $type:ident { $($kind:ident $name:ident: $help:literal,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Default)]
        pub struct $type {
            $(#[doc = $help] pub $name: AtomicU64,)*
        }

        impl $type {
            /// All values now.
            #[must_use]
            pub fn values(&self) -> Vec<Value> {
                vec![$(Value {
                    name: stringify!($name),
                    help: $help,
                    kind: ValueKind::$kind,
                    value: self.$name.load(Ordering::Relaxed),
                },)*]
            }
        }
    };
}

values! {
    /// Of one engine: connections, subscriptions, messages.
    EngineCounters {
        Counter accepted_total: "Connections accepted",
        Counter refused_total: "Connections refused because there were too many, in all or of one address",
        Counter accept_failures_total: "Failures of accept other than a connection that was gone already",
        Counter handshake_evicted_total: "Connections ended before their handshake to make room for newer ones",
        Counter handshake_timeout_total: "Connections ended because their handshake took too long",
        Counter handshake_failed_total: "Connections ended because they do not speak ZMTP 3 with NULL or have the wrong socket type",
        Counter protocol_errors_total: "Peers dropped because they broke the protocol or a limit of it",
        Counter stuck_total: "Peers dropped because they did not take what waited for them",
        Counter overrun_total: "Peers dropped because the backlog of all peers was full, or theirs with commands that cannot be dropped",
        Counter silent_total: "Peers dropped because they gave no sign of life",
        Counter disconnected_total: "Peers that closed or reset their connection",
        Gauge peers: "Peers after their handshake",
        Gauge half_open: "Connections before their handshake",
        Gauge backlog_bytes: "Bytes waiting to be written to all peers",
        Gauge subscriptions: "Subscriptions of all peers",
        Counter subscriptions_refused_total: "Subscriptions refused: not allowed, too long, or too many",
        Counter received_total: "Messages received",
        Counter received_bytes_total: "Bytes of messages received",
        Counter delivered_total: "Messages written or queued to a peer",
        Counter dropped_total: "Messages dropped because a peer's backlog was full",
        Counter unmatched_total: "Messages received that nobody subscribed to",
        Counter ignored_total: "Messages received that have no meaning on their port",
    }
}

values! {
    /// Of the request path.
    RequestCounters {
        Counter queued_total: "Requests handed to an ingestor",
        Counter no_ingestor_total: "Requests refused because nobody serves the venue",
        Counter invalid_total: "Requests refused because they are not valid",
        Counter over_quota_total: "Requests refused because the client asked too often",
    }
}

pub(crate) fn add(counter: &AtomicU64, n: u64) {
    if n > 0 {
        counter.fetch_add(n, Ordering::Relaxed);
    }
}

/// What one thread has put into a gauge that several share.
#[derive(Debug, Default)]
pub(crate) struct Share(u64);

impl Share {
    pub(crate) fn show(&mut self, gauge: &AtomicU64, n: usize) {
        let before = std::mem::replace(&mut self.0, n as u64);
        if before != self.0 {
            // Wraps around when it shrinks, and so does the sum.
            gauge.fetch_add(self.0.wrapping_sub(before), Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gauge_that_threads_share_is_their_sum() {
        let (gauge, mut a, mut b) = (AtomicU64::new(0), Share::default(), Share::default());
        a.show(&gauge, 5);
        b.show(&gauge, 7);
        a.show(&gauge, 2);
        assert_eq!(gauge.load(Ordering::Relaxed), 9);
    }

    #[test]
    fn names_of_counters_end_in_total_and_those_of_gauges_do_not() {
        let all = [EngineCounters::default().values(), RequestCounters::default().values()].concat();
        for value in all {
            assert_eq!(value.name.ends_with("_total"), value.kind == ValueKind::Counter, "{}", value.name);
        }
    }
}
