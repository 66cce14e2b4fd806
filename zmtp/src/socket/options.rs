//! Options of the sockets; each bound has a default that fits one process among many at the relay.

use crate::Limits;
use bytes::Bytes;
use std::time::Duration;

/// Time between two attempts to connect: doubles from `min` to `max`, and each wait is a random half to whole of it, so
/// that many peers of a restarted relay do not come back at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    /// After the first failure.
    pub min: Duration,
    /// After many.
    pub max: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self { min: Duration::from_millis(50), max: Duration::from_secs(1) }
    }
}

impl Backoff {
    /// The wait after `failures` failures in a row.
    #[must_use]
    pub fn delay(&self, failures: u32) -> Duration {
        let doubled = self.min.saturating_mul(1 << failures.min(20));
        doubled.min(self.max).mul_f64(rand::random_range(0.5..=1.0))
    }
}

/// Our own PINGs, sent to peers that speak ZMTP 3.1. PINGs of the peer are always answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Heartbeat {
    /// Time between two PINGs.
    pub interval: Duration,
    /// Silence after which the connection is given up. Any traffic counts as life.
    pub timeout: Duration,
}

impl Default for Heartbeat {
    fn default() -> Self {
        Self { interval: Duration::from_secs(5), timeout: Duration::from_secs(15) }
    }
}

/// Options that all sockets have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SocketOptions {
    /// What a peer may send.
    pub limits: Limits,
    /// Time to connect, and again to shake hands.
    pub handshake_timeout: Duration,
    /// Our own PINGs; `None` sends none.
    pub heartbeat: Option<Heartbeat>,
    /// Bytes waiting to be written to one peer. When full, PUB and ROUTER drop the newest message and DEALER waits.
    pub send_queue_bytes: usize,
    /// The same in messages.
    pub send_queue_messages: usize,
    /// Between attempts to connect.
    pub backoff: Backoff,
    /// Bound sockets: most connections at a time.
    pub max_peers: usize,
}

impl Default for SocketOptions {
    fn default() -> Self {
        Self {
            limits: Limits::default(),
            handshake_timeout: Duration::from_secs(5),
            heartbeat: Some(Heartbeat::default()),
            send_queue_bytes: 16 << 20,
            send_queue_messages: 1 << 20,
            backoff: Backoff::default(),
            max_peers: 1024,
        }
    }
}

/// What happens to a message when the receive queue is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Overflow {
    /// Stop reading: the sender's queue fills and the sender decides.
    Block,
    /// Drop the oldest message of the queue.
    DropOldest,
    /// Drop the message that came.
    DropNewest,
    /// Keep the newest message of each topic (frame 0): one that comes takes the place of the one that waits, also before
    /// the queue is full. If there are more topics than places, the oldest message is dropped.
    Conflate,
}

/// Options of a [`crate::PubSocket`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PubOptions {
    /// Common options.
    pub socket: SocketOptions,
    /// Subscription events waiting to be taken; when full, no more subscriptions are read until they are.
    pub event_queue: usize,
    /// Topics whose subscribers are remembered.
    pub topic_cache: usize,
}

impl Default for PubOptions {
    fn default() -> Self {
        Self { socket: SocketOptions::default(), event_queue: 4096, topic_cache: 16_384 }
    }
}

/// Options of a [`crate::SubSocket`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubOptions {
    /// Common options.
    pub socket: SocketOptions,
    /// Received messages waiting to be taken.
    pub receive_queue_messages: usize,
    /// Their bytes.
    pub receive_queue_bytes: usize,
    /// What happens when either is full.
    pub overflow: Overflow,
    /// Most prefixes.
    pub max_subscriptions: usize,
}

impl Default for SubOptions {
    fn default() -> Self {
        Self {
            socket: SocketOptions::default(),
            receive_queue_messages: 16_384,
            receive_queue_bytes: 16 << 20,
            overflow: Overflow::Block,
            max_subscriptions: 65_536,
        }
    }
}

/// Options of a [`crate::DealerSocket`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DealerOptions {
    /// Common options.
    pub socket: SocketOptions,
    /// Announced in READY, at most 255 bytes.
    pub identity: Bytes,
    /// Received messages waiting to be taken; when full, reading stops.
    pub receive_queue_messages: usize,
    /// Their bytes.
    pub receive_queue_bytes: usize,
}

impl Default for DealerOptions {
    fn default() -> Self {
        Self {
            socket: SocketOptions::default(),
            identity: Bytes::new(),
            receive_queue_messages: 4096,
            receive_queue_bytes: 16 << 20,
        }
    }
}

/// Options of a [`crate::RouterSocket`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouterOptions {
    /// Common options.
    pub socket: SocketOptions,
    /// Received messages of all peers waiting to be taken; when full, reading stops.
    pub receive_queue_messages: usize,
    /// Their bytes.
    pub receive_queue_bytes: usize,
}

impl Default for RouterOptions {
    fn default() -> Self {
        Self { socket: SocketOptions::default(), receive_queue_messages: 4096, receive_queue_bytes: 16 << 20 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wait_doubles_up_to_its_maximum_and_is_jittered() {
        let backoff = Backoff { min: Duration::from_millis(100), max: Duration::from_secs(1) };
        for (failures, whole) in [(0, 100), (1, 200), (3, 800), (4, 1000), (u32::MAX, 1000)] {
            let whole = Duration::from_millis(whole);
            let delays: Vec<_> = (0..50).map(|_| backoff.delay(failures)).collect();
            assert!(delays.iter().all(|d| *d >= whole / 2 && *d <= whole), "{failures}: {delays:?}");
            assert!(delays.iter().any(|d| *d != delays[0]), "no jitter");
        }
    }
}
