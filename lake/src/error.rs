//! What can go wrong in the lake, by cause.

use crate::offsets::OffsetRange;
use crate::schema::Table;
use std::path::PathBuf;

/// Result of a lake call.
pub type Result<T, E = LakeError> = std::result::Result<T, E>;

/// Why a lake call failed.
#[derive(Debug, thiserror::Error)]
pub enum LakeError {
    /// The directory or a setting cannot be used.
    #[error("lake at {dir}: {reason}")]
    Config {
        /// The lake's directory.
        dir: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A table in the catalog is not the table this version writes.
    #[error("table {table}: {reason}")]
    Incompatible {
        /// Which table.
        table: Table,
        /// The difference.
        reason: String,
    },
    /// A writer with a higher epoch has taken over. This writer must stop.
    #[error("table {table}: writer epoch {ours} is fenced by epoch {current}")]
    Fenced {
        /// Which table.
        table: Table,
        /// The epoch of the call.
        ours: u64,
        /// The epoch in the table.
        current: u64,
    },
    /// Offsets of the call are already in the table. Nothing was written; read `committed()` and go on after it.
    #[error("table {table}: {topic}/{partition} offsets {range} overlap committed offset {committed}")]
    Overlap {
        /// Which table.
        table: Table,
        /// Source topic.
        topic: String,
        /// Source partition.
        partition: u32,
        /// The range of the call.
        range: OffsetRange,
        /// The last committed offset.
        committed: u64,
    },
    /// The commit certainly did not happen: another writer was faster each time, or the catalog refused. May be retried.
    #[error("table {table}: not committed after {attempts} attempts")]
    NotCommitted {
        /// Which table.
        table: Table,
        /// Attempts made.
        attempts: u32,
        /// The last refusal.
        #[source]
        source: Box<iceberg::Error>,
    },
    /// The commit may or may not have happened and the table cannot be read to find out. Its files are kept. Read
    /// `committed()` before anything else is written.
    #[error("table {table}: outcome of commit {commit_id} is unknown after {attempts} attempts")]
    Unknown {
        /// Which table.
        table: Table,
        /// The commit's id.
        commit_id: String,
        /// Attempts made.
        attempts: u32,
        /// The last failure.
        #[source]
        source: Box<iceberg::Error>,
    },
    /// A row does not fit the table.
    #[error("row {row}: {field}: {rule}")]
    Row {
        /// Index in the call.
        row: usize,
        /// Which field.
        field: &'static str,
        /// What must hold.
        rule: &'static str,
    },
    /// The snapshot does not exist or has expired.
    #[error("table {table}: no snapshot {snapshot}")]
    NoSnapshot {
        /// Which table.
        table: Table,
        /// The id asked for.
        snapshot: i64,
    },
    /// The answer would have more rows than a query may return.
    #[error("over {most} rows; ask for a shorter range or set a limit")]
    TooManyRows {
        /// The limit.
        most: usize,
    },
    /// A file of the table is damaged or holds what the table cannot hold.
    #[error("{path}: {detail}")]
    Damaged {
        /// The file.
        path: String,
        /// What is wrong.
        detail: String,
    },
    /// A parquet file cannot be written or read.
    #[error("{path}: {source}")]
    Parquet {
        /// The file.
        path: String,
        /// Why.
        #[source]
        source: parquet::errors::ParquetError,
    },
    /// The file system refused.
    #[error("{path}: {source}")]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The catalog or a metadata file cannot be read or written.
    #[error("{action}: {source}")]
    Iceberg {
        /// What was tried.
        action: &'static str,
        /// Why.
        #[source]
        source: Box<iceberg::Error>,
    },
    /// The catalog database cannot be read.
    #[error("catalog: {0}")]
    Catalog(#[from] sqlx::Error),
    /// A worker thread died or the runtime is going down.
    #[error("{0} was interrupted")]
    Interrupted(&'static str),
}

impl LakeError {
    /// True if the same call may succeed later without any other step in between.
    #[must_use]
    pub const fn is_retryable(&self) -> bool {
        matches!(self, Self::NotCommitted { .. } | Self::Io { .. } | Self::Catalog(_) | Self::Interrupted(_))
    }

    /// True if the caller must read `committed()` before it writes again.
    #[must_use]
    pub const fn is_unknown(&self) -> bool {
        matches!(self, Self::Unknown { .. })
    }

    /// True if a file that the metadata names was not there.
    pub(crate) fn is_missing_file(&self) -> bool {
        matches!(self, Self::Io { source, .. } if source.kind() == std::io::ErrorKind::NotFound)
    }

    pub(crate) fn iceberg(action: &'static str) -> impl FnOnce(iceberg::Error) -> Self {
        move |source| Self::Iceberg { action, source: Box::new(source) }
    }

    pub(crate) fn io(path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        move |source| Self::Io { path: path.into(), source }
    }

    pub(crate) fn parquet(path: &str) -> impl FnOnce(parquet::errors::ParquetError) -> Self {
        let path = path.to_owned();
        move |source| Self::Parquet { path, source }
    }
}
