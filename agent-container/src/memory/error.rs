//! What can go wrong with the memory, and what the caller can do about it.

use std::path::PathBuf;

/// A limit of the memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MemoryLimit {
    /// Bytes of a message.
    ContentBytes,
    /// Bytes of a message's metadata as JSON.
    MetadataBytes,
    /// Bytes of an id or a channel.
    IdBytes,
    /// Bytes of a question.
    QueryBytes,
    /// Results of one search.
    Results,
    /// Messages before and after a result.
    Neighbours,
    /// Messages in all.
    Messages,
    /// Conversations in all.
    Conversations,
    /// Bytes of the database.
    DatabaseBytes,
}

impl MemoryLimit {
    /// The argument or setting that the limit is about.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::ContentBytes => "content_bytes_max",
            Self::MetadataBytes => "metadata_bytes_max",
            Self::IdBytes => "id_bytes_max",
            Self::QueryBytes => "query_bytes_max",
            Self::Results => "results_max",
            Self::Neighbours => "neighbours_max",
            Self::Messages => "messages_max",
            Self::Conversations => "conversations_max",
            Self::DatabaseBytes => "database_bytes_max",
        }
    }
}

/// Why something about the memory was refused or failed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum MemoryError {
    /// A limit would be passed.
    #[error("{} would be {value}: the limit is {max}", limit.name())]
    Quota {
        /// Which limit.
        limit: MemoryLimit,
        /// What it would be.
        value: u64,
        /// The limit.
        max: u64,
    },
    /// An argument is empty or has a character that it may not have.
    #[error("{field} {problem}")]
    Argument {
        /// The argument.
        field: &'static str,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// The command id was used before, for another message.
    #[error("command_id was used before for another message")]
    CommandReused,
    /// The file is not a sound database.
    #[error("{} is damaged: {detail}; restore it from a backup, or move it away to start with an empty memory", path.display())]
    Corrupt {
        /// The database.
        path: PathBuf,
        /// What SQLite said.
        detail: String,
    },
    /// A newer version of the platform wrote the database.
    #[error("the memory has schema {found}: this version knows {known}; run the version that wrote it")]
    NewerSchema {
        /// The schema of the file.
        found: i64,
        /// The newest one known here.
        known: i64,
    },
    /// Everything is deleted, but a reader kept the old log from being emptied.
    #[error("everything is deleted, but the old log is still in use by a reader: erase again")]
    EraseUnfinished,
    /// The memory is shutting down.
    #[error("the memory is closed")]
    Closed,
    /// The database failed.
    #[error("the memory failed while {doing}: {source}")]
    Database {
        /// What was being done.
        doing: &'static str,
        /// What SQLite said.
        source: std::sync::Arc<sqlx::Error>,
    },
}

impl MemoryError {
    /// Whether the same call may succeed later without a change by the caller.
    #[must_use]
    pub const fn is_retryable(&self) -> bool {
        matches!(self, Self::Closed | Self::EraseUnfinished | Self::Database { .. })
    }

    pub(super) fn check(limit: MemoryLimit, value: usize, max: usize) -> Result<(), Self> {
        if value <= max {
            return Ok(());
        }
        Err(Self::Quota {
            limit,
            value: u64::try_from(value).unwrap_or(u64::MAX),
            max: u64::try_from(max).unwrap_or(u64::MAX),
        })
    }
}
