//! Why the stream stops.

use crate::checkpoint::CheckpointError;
use crate::state_dir::StateDirError;
use eventlog::LogError;
use lake::LakeError;
use proto::LogTopic;

/// Why the stream cannot start or go on.
#[derive(Debug, thiserror::Error)]
pub enum StreamError {
    /// Settings that contradict each other, each with its key.
    #[error("{}", .0.join("; "))]
    Config(Vec<String>),
    /// The state directory.
    #[error(transparent)]
    StateDir(#[from] StateDirError),
    /// The event log.
    #[error("event log: {0}")]
    Log(#[from] LogError),
    /// The lake.
    #[error("lake: {0}")]
    Lake(#[from] LakeError),
    /// A checkpoint cannot be written.
    #[error("checkpoint: {0}")]
    Checkpoint(#[from] CheckpointError),
    /// The relay's address.
    #[error("publish_endpoint: {0}")]
    Endpoint(#[from] zmtp::EndpointError),
    /// The log ends before what the checkpoint or the lake has of it: it is not the log they were made from.
    #[error("{topic}/{partition}: the log ends at {high}, but offset {known} was already processed; it is another log")]
    LogBehind {
        /// Topic.
        topic: LogTopic,
        /// Partition.
        partition: u32,
        /// End of the partition.
        high: u64,
        /// Last offset processed.
        known: u64,
    },
    /// A topic has another number of partitions than the checkpoint.
    #[error("{topic}: has {got} partitions, the checkpoint has {expected}")]
    Partitions {
        /// Topic.
        topic: LogTopic,
        /// In the log.
        got: usize,
        /// In the checkpoint.
        expected: usize,
    },
    /// A task of ours ended without a word.
    #[error("{0} ended unexpectedly")]
    TaskEnded(&'static str),
}

impl StreamError {
    /// True if trying again cannot help: another writer took over, or the tables or the log are not ours.
    #[must_use]
    pub const fn is_fatal(&self) -> bool {
        match self {
            Self::Lake(error) => matches!(
                error,
                LakeError::Fenced { .. }
                    | LakeError::Overlap { .. }
                    | LakeError::Incompatible { .. }
                    | LakeError::Config { .. }
            ),
            Self::Log(error) => error.is_damage() || matches!(error, LogError::Closed),
            Self::Checkpoint(_) => false,
            _ => true,
        }
    }
}
