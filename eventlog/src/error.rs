//! What can go wrong with the log, named by cause.

use std::io;
use std::path::{Path, PathBuf};

/// Result of a log operation.
pub type Result<T> = std::result::Result<T, LogError>;

/// Why a log operation failed.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// No such topic: it was never created.
    #[error("topic {topic}: unknown")]
    UnknownTopic {
        /// The topic asked for.
        topic: String,
    },
    /// The topic has fewer partitions.
    #[error("topic {topic}: no partition {partition}")]
    UnknownPartition {
        /// Topic.
        topic: String,
        /// The partition asked for.
        partition: u32,
    },
    /// Not a name of a topic or group.
    #[error("name {name:?}: only letters, digits, dot, dash and underscore, starting with a letter or digit")]
    InvalidName {
        /// The name.
        name: String,
    },
    /// A topic needs 1 to 1024 partitions.
    #[error("topic {topic}: {partitions} partitions, allowed are 1 to 1024")]
    InvalidPartitions {
        /// Topic.
        topic: String,
        /// Asked for.
        partitions: u32,
    },
    /// The topic exists with another number of partitions, which can never change.
    #[error("topic {topic}: has {existing} partitions, {wanted} asked for")]
    PartitionsDiffer {
        /// Topic.
        topic: String,
        /// On disk.
        existing: u32,
        /// Asked for.
        wanted: u32,
    },
    /// A key or value over its limit; nothing of the append was written.
    #[error("{part} of {bytes} bytes, limit {limit}")]
    TooLong {
        /// `key` or `value`.
        part: &'static str,
        /// Its length.
        bytes: usize,
        /// The limit.
        limit: usize,
    },
    /// The offset is not there: deleted by retention (below `low`) or never written (above `high`).
    #[error("{topic}/{partition}: offset {offset} is outside {low}..={high}")]
    OffsetOutOfRange {
        /// Topic.
        topic: String,
        /// Partition.
        partition: u32,
        /// Asked for.
        offset: u64,
        /// First offset there.
        low: u64,
        /// End of the partition.
        high: u64,
    },
    /// [`crate::Start::Committed`] was asked of a reader that belongs to no group.
    #[error("a reader without a group has no committed offset")]
    NoGroup,
    /// The member does not hold the partition (any more), so it may not commit for it.
    #[error("group {group}: member {member} does not hold {topic}/{partition}")]
    NotAssigned {
        /// Group.
        group: String,
        /// Member.
        member: String,
        /// Topic.
        topic: String,
        /// Partition.
        partition: u32,
    },
    /// Two members of one group may not have the same name.
    #[error("group {group}: member {member} is already there")]
    MemberExists {
        /// Group.
        group: String,
        /// Member.
        member: String,
    },
    /// A file of the log is damaged before its tail. Nothing was changed.
    #[error("{}: damaged at byte {byte}: {reason}", file.display())]
    Corrupt {
        /// The file.
        file: PathBuf,
        /// Where, from the start of the file.
        byte: u64,
        /// What is wrong there.
        reason: &'static str,
    },
    /// The disk is full. Nothing of the batch for this partition was kept.
    #[error("{}: no space left", path.display())]
    NoSpace {
        /// What was to be written.
        path: PathBuf,
    },
    /// An earlier fdatasync failed, so nobody knows what is on disk: the partition takes no more appends.
    #[error("{}: stopped after a failed fdatasync; restart to recover", path.display())]
    Poisoned {
        /// The partition's directory.
        path: PathBuf,
    },
    /// Another process uses the directory and does not share it.
    #[error("{}: used by another process", dir.display())]
    InUse {
        /// The log directory.
        dir: PathBuf,
    },
    /// The log was shut down.
    #[error("the log is closed")]
    Closed,
    /// The operating system refused.
    #[error("{action} {}: {source}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
}

impl LogError {
    /// True if the same call may succeed later without anybody repairing the log.
    #[must_use]
    pub const fn is_retryable(&self) -> bool {
        matches!(self, Self::NoSpace { .. })
    }

    /// True if files of the log are damaged or may be: a human has to look.
    #[must_use]
    pub const fn is_damage(&self) -> bool {
        matches!(self, Self::Corrupt { .. } | Self::Poisoned { .. })
    }

    /// Names what was tried on which path; a full disk gets its own variant.
    pub(crate) fn io(action: &'static str, path: &Path, source: io::Error) -> Self {
        if matches!(source.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) {
            return Self::NoSpace { path: path.to_owned() };
        }
        Self::Io { action, path: path.to_owned(), source }
    }
}
