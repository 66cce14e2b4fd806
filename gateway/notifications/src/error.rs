//! Why the store cannot do what it was asked for.

use std::path::PathBuf;

/// Why the store failed.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The directory of the SQLite file cannot be made.
    #[error("{path}: {source}")]
    Directory {
        /// The directory.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// The database refused, or was not reached.
    #[error("{doing}: {source}")]
    Database {
        /// What was being done.
        doing: &'static str,
        /// The cause.
        source: sqlx::Error,
    },
    /// A newer program wrote the database.
    #[error("the schema has version {found}, this program knows {known}")]
    NewerSchema {
        /// In the database.
        found: i64,
        /// Of this program.
        known: i64,
    },
    /// What is stored cannot be: somebody else wrote it.
    #[error("stored {field} of user {user_id} cannot be read")]
    Stored {
        /// The column.
        field: &'static str,
        /// Whose.
        user_id: String,
    },
    /// The writer has stopped, because the process stops.
    #[error("the store is closed")]
    Closed,
}

impl StoreError {
    /// Wraps an error of the database.
    pub(crate) fn database(doing: &'static str) -> impl FnOnce(sqlx::Error) -> Self {
        move |source| Self::Database { doing, source }
    }

    /// True if the same call may succeed later.
    #[must_use]
    pub const fn is_retryable(&self) -> bool {
        matches!(self, Self::Database { .. })
    }
}
