//! ZMTP 3.1 with the NULL mechanism: how this platform speaks ZeroMQ without libzmq.
//!
//! Two halves. The pure half decides everything about bytes and subscriptions and owns no socket: [`codec`],
//! [`SubscriptionIndex`], [`TopicCache`]. The other half is sockets on tokio for the processes that connect to the relay:
//! [`PubSocket`], [`SubSocket`], [`DealerSocket`], [`RouterSocket`]. The relay has its own engine over the pure half.
//!
//! Invariants:
//!
//! - no length from a peer is trusted: each limit of [`Limits`] is checked before memory is taken for it;
//! - no input panics; a peer that breaks the protocol loses its connection and nothing else;
//! - each queue has a bound in bytes or messages, a policy when it is full, and a counter;
//! - a peer that announced ZMTP 3.0 is never sent a command other than READY.
//!
//! What is absent: CURVE and PLAIN (see docs/protocol/04-relay.md), inproc and ipc, and everything about trading.

mod limits;

pub mod codec;
mod socket_type;
mod subscription;
mod topic_cache;

mod socket;

pub use limits::Limits;
pub use socket::{
    Backoff, ConnectionEvent, Counters, CountersSnapshot, DealerOptions, DealerSocket, EndReason, Endpoint,
    EndpointError, Heartbeat, Multipart, Overflow, PeerKey, PubOptions, PubSocket, RouterOptions, RouterSocket,
    SendError, SendOutcome, SocketError, SocketOptions, SubOptions, SubSocket, SubscriptionEvent,
};
pub use socket_type::SocketType;
pub use subscription::{Added, Removed, SubscriptionIndex};
pub use topic_cache::TopicCache;
