//! What happens to the connections of a socket, for whoever wants to log it or to wait for it.

use super::link::LinkError;
use crate::SocketType;
use crate::codec::Peer;

/// What happened to a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ConnectionEvent {
    /// The handshake succeeded.
    Connected {
        /// What the peer is.
        socket_type: SocketType,
        /// It speaks ZMTP 3 with this minor version.
        minor: u8,
    },
    /// A connection ended after its handshake.
    Disconnected(EndReason),
    /// An attempt ended before its handshake was complete.
    Failed(EndReason),
}

/// Why a connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndReason {
    /// The peer closed it.
    Closed,
    /// The system says that it is broken, or that nobody listens.
    Broken,
    /// Connecting or shaking hands took too long.
    Timeout,
    /// The peer does not speak ZMTP 3 with NULL, or has the wrong socket type.
    Handshake,
    /// The peer broke the protocol or a limit.
    Protocol,
    /// The peer gave no sign of life for the time of our heartbeat, or for the TTL that it announced.
    Silent,
}

impl From<&LinkError> for EndReason {
    fn from(error: &LinkError) -> Self {
        match error {
            LinkError::Io(_) => Self::Broken,
            LinkError::Handshake(_) => Self::Handshake,
            LinkError::Frame(_) => Self::Protocol,
            LinkError::Timeout(_) => Self::Timeout,
            LinkError::Silent(_) => Self::Silent,
            LinkError::Closed => Self::Closed,
        }
    }
}

impl From<&Peer> for ConnectionEvent {
    fn from(peer: &Peer) -> Self {
        Self::Connected { socket_type: peer.socket_type, minor: peer.minor }
    }
}
