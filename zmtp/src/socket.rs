//! Sockets on tokio for processes that talk to the relay.
//!
//! Each socket is a handle: its tasks own the TCP streams, reconnect with jittered back-off and end when the handle is
//! dropped. Reading order: `link` (one connection), `runtime` (who makes connections), then the socket types.

mod counters;
mod endpoint;
mod event;
mod inbox;
mod link;
mod options;
mod outbox;
mod runtime;

mod dealer_socket;
mod pub_socket;
mod router_socket;
mod sub_socket;

pub use counters::{Counters, CountersSnapshot};
pub use dealer_socket::DealerSocket;
pub use endpoint::{Endpoint, EndpointError};
pub use event::{ConnectionEvent, EndReason};
pub use options::{Backoff, DealerOptions, Heartbeat, Overflow, PubOptions, RouterOptions, SocketOptions, SubOptions};
pub use pub_socket::{PubSocket, SendOutcome, SubscriptionEvent};
pub use router_socket::{PeerKey, RouterSocket};
pub use sub_socket::SubSocket;

/// The frames of one message.
pub type Multipart = Vec<bytes::Bytes>;

/// Why a socket could not be made or used.
#[derive(Debug, thiserror::Error)]
pub enum SocketError {
    /// The endpoint is not one.
    #[error(transparent)]
    Endpoint(#[from] EndpointError),
    /// The address could not be bound.
    #[error("cannot bind {endpoint}")]
    Bind {
        /// What was to be bound.
        endpoint: String,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// The prefix is longer than the limit.
    #[error("subscription of {have} bytes, limit {limit}")]
    TopicTooLong {
        /// Its length.
        have: usize,
        /// The limit.
        limit: usize,
    },
    /// The socket has as many subscriptions as it may have.
    #[error("more than {limit} subscriptions")]
    TooManySubscriptions {
        /// The limit.
        limit: usize,
    },
}

/// Why a message was not accepted for sending.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// The message is larger than the whole queue.
    #[error("message of {have} bytes, the send queue holds {limit}")]
    TooLarge {
        /// Bytes of the message on the wire.
        have: usize,
        /// Bytes of the queue.
        limit: usize,
    },
    /// The peer is not connected.
    #[error("the peer is gone")]
    Gone,
    /// The peer's queue is full.
    #[error("the send queue of the peer is full")]
    Full,
}
