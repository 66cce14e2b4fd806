//! Why bytes from a peer are not ZMTP.

use crate::SocketType;

/// Why the bytes after the handshake are not frames we accept. Each ends the connection.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// A flag that ZMTP 3.1 does not define.
    #[error("frame flags {0:#04x} are reserved")]
    Flags(u8),
    /// A command with the MORE flag.
    #[error("a command must not announce more frames")]
    CommandMore,
    /// A frame longer than allowed. `have` is what the peer claimed; no byte of it was read.
    #[error("frame of {have} bytes, limit {limit}")]
    FrameTooLong {
        /// Claimed length.
        have: u64,
        /// The limit.
        limit: usize,
    },
    /// A command longer than allowed.
    #[error("command of {have} bytes, limit {limit}")]
    CommandTooLong {
        /// Claimed length.
        have: u64,
        /// The limit.
        limit: usize,
    },
    /// More frames in one message than allowed.
    #[error("more than {limit} frames in one message")]
    TooManyParts {
        /// The limit.
        limit: usize,
    },
    /// A message longer than allowed.
    #[error("message of at least {have} bytes, limit {limit}")]
    MessageTooLong {
        /// Bytes with the frame that was one too many.
        have: usize,
        /// The limit.
        limit: usize,
    },
    /// More commands between two frames of a message than allowed.
    #[error("more than {limit} commands between the frames of one message")]
    TooManyCommands {
        /// The limit.
        limit: usize,
    },
    /// A command whose body is not of its form.
    #[error("malformed {0} command")]
    Command(&'static str),
    /// READY after the handshake.
    #[error("READY after the handshake")]
    UnexpectedReady,
    /// The peer sent ERROR.
    #[error("the peer reported an error")]
    Peer,
}

/// Why a handshake failed. Each ends the connection.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HandshakeError {
    /// The first bytes are not a ZMTP signature.
    #[error("byte {at} is not of a ZMTP signature")]
    Signature {
        /// Index of the first wrong byte.
        at: usize,
    },
    /// Older than ZMTP 3.0.
    #[error("ZMTP {major}.x is not supported")]
    Version {
        /// Announced major version.
        major: u8,
    },
    /// Another mechanism than NULL.
    #[error("the security mechanism is not NULL")]
    Mechanism,
    /// Something else than READY came first.
    #[error("expected READY")]
    NotReady,
    /// READY has broken metadata.
    #[error("malformed metadata in READY")]
    Metadata,
    /// READY names no socket type, or one that does not exist.
    #[error("READY has no known Socket-Type")]
    SocketType,
    /// The two socket types cannot talk.
    #[error("a {peer} cannot connect to a {local}")]
    Incompatible {
        /// Our type.
        local: SocketType,
        /// The peer's.
        peer: SocketType,
    },
    /// The peer refused us.
    #[error("the peer refused the handshake")]
    Refused,
    /// A frame error in the handshake.
    #[error(transparent)]
    Frame(#[from] FrameError),
}
