//! Why market data could not be fetched, by cause.

use super::framing::FramingError;
use std::path::PathBuf;
use std::time::Duration;

/// Why market data could not be fetched.
#[derive(Debug, thiserror::Error)]
pub enum MarketDataError {
    /// A setting or a query is not valid.
    #[error("{field}: {rule}")]
    Invalid {
        /// Which one.
        field: &'static str,
        /// What must hold.
        rule: &'static str,
    },
    /// The gateway refused the request.
    #[error("the gateway refused ({status} {code}): {message}")]
    Refused {
        /// HTTP status.
        status: u16,
        /// The gateway's word for it, e.g. `INVALID_FIELD`.
        code: String,
        /// The offending parameter; empty if none.
        field: String,
        /// For people.
        message: String,
        /// True if the same request may succeed later.
        retryable: bool,
    },
    /// The range holds more rows than the gateway sends.
    #[error("too many rows: {message}")]
    TooManyRows {
        /// The gateway's words, with the limit.
        message: String,
    },
    /// The snapshot is unknown or has expired.
    #[error("snapshot {snapshot} is unknown or has expired")]
    SnapshotGone {
        /// The one asked for.
        snapshot: i64,
    },
    /// The gateway had no room, each time.
    #[error("the gateway is busy, asked {attempts} times")]
    Busy {
        /// How often it was asked.
        attempts: u32,
    },
    /// The lake does not have the range and it is not to be had now.
    #[error("history is not to be had ({code}): {message}")]
    NoHistory {
        /// The gateway's word for it, e.g. `NO_INGESTOR`.
        code: String,
        /// For people.
        message: String,
        /// True if it may be had later.
        retryable: bool,
    },
    /// The answer ended before its end-of-stream marker.
    #[error("the answer was cut after {bytes} bytes")]
    Truncated {
        /// Bytes that came.
        bytes: u64,
    },
    /// The answer is not an Arrow stream.
    #[error("the answer is not an Arrow stream: {0}")]
    NotArrow(#[source] FramingError),
    /// The answer contradicts itself or the query.
    #[error("{what}: expected {expected}, got {got}")]
    Mismatch {
        /// What differs.
        what: &'static str,
        /// What was asked for or announced.
        expected: String,
        /// What came.
        got: String,
    },
    /// The answer is larger than allowed.
    #[error("the answer is over {limit} bytes")]
    TooLarge {
        /// The limit.
        limit: u64,
    },
    /// Something took too long.
    #[error("{what} took over {after:?}")]
    Timeout {
        /// What.
        what: &'static str,
        /// The limit.
        after: Duration,
    },
    /// The gateway cannot be reached.
    #[error("the gateway cannot be reached: {0}")]
    Transport(#[source] reqwest::Error),
    /// A file cannot be written or read.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

impl MarketDataError {
    /// True if the same call may succeed later without any other step in between.
    #[must_use]
    pub const fn is_retryable(&self) -> bool {
        match self {
            Self::Refused { retryable, .. } | Self::NoHistory { retryable, .. } => *retryable,
            Self::Busy { .. } | Self::Truncated { .. } | Self::Timeout { .. } | Self::Transport(_) => true,
            _ => false,
        }
    }

    pub(super) fn io(path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        move |source| Self::Io { path: path.into(), source }
    }
}
