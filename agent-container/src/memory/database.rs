//! The SQLite file: how it is opened, which schema it has, and what its errors mean.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{ConnectOptions, Connection, Executor, Row, SqliteConnection};

use super::error::{MemoryError, MemoryLimit};

/// Each entry brings the schema one version further; the index of the last one is the version of this program.
const MIGRATIONS: [&str; 1] = [include_str!("schema_v1.sql")];
/// Marks the file as ours: "DxMm".
const APPLICATION_ID: i64 = 0x4478_4d6d;
const PAGE_BYTES: u64 = 4096;
/// Connections that only read.
const READERS_MAX: u32 = 2;
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// Where the database is and how much it may take.
#[derive(Debug, Clone)]
pub(super) struct Database {
    path: PathBuf,
    bytes_max: u64,
}

impl Database {
    pub(super) fn new(path: &Path, bytes_max: u64) -> Self {
        Self { path: path.to_owned(), bytes_max }
    }

    fn options(&self) -> SqliteConnectOptions {
        SqliteConnectOptions::new()
            .filename(&self.path)
            .journal_mode(SqliteJournalMode::Wal)
            // FULL syncs the log at each commit: what was acknowledged survives a loss of power.
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .busy_timeout(BUSY_TIMEOUT)
            .statement_cache_capacity(32)
            .pragma("cache_size", "-1024")
            .pragma("secure_delete", "ON")
            .pragma("trusted_schema", "OFF")
            .pragma("journal_size_limit", "4194304")
            .pragma("max_page_count", (self.bytes_max / PAGE_BYTES).max(64).to_string())
            .disable_statement_logging()
    }

    /// Opens the connection that writes, and brings the schema up to date.
    pub(super) async fn writer(&self) -> Result<SqliteConnection, MemoryError> {
        if let Some(parent) = self.path.parent() {
            std::fs::create_dir_all(parent).map_err(|error| self.error("making its directory", error.into()))?;
        }
        let failed = |error| self.error("opening", error);
        let mut connection = self.options().create_if_missing(true).connect().await.map_err(failed)?;
        self.migrate(&mut connection).await?;
        Ok(connection)
    }

    async fn migrate(&self, connection: &mut SqliteConnection) -> Result<(), MemoryError> {
        let failed = |error| self.error("reading the schema", error);
        let known = i64::try_from(MIGRATIONS.len()).unwrap_or(i64::MAX);
        let version: i64 =
            sqlx::query_scalar("PRAGMA user_version").fetch_one(&mut *connection).await.map_err(failed)?;
        let application: i64 =
            sqlx::query_scalar("PRAGMA application_id").fetch_one(&mut *connection).await.map_err(failed)?;
        let tables: i64 = sqlx::query_scalar("SELECT count(*) FROM sqlite_schema")
            .fetch_one(&mut *connection)
            .await
            .map_err(failed)?;
        if application != APPLICATION_ID && tables > 0 {
            return Err(MemoryError::Corrupt {
                path: self.path.clone(),
                detail: "it is the database of another program".to_owned(),
            });
        }
        if version > known {
            return Err(MemoryError::NewerSchema { found: version, known });
        }
        let applied = usize::try_from(version).unwrap_or(0);
        for (index, migration) in MIGRATIONS.iter().enumerate().skip(applied) {
            let steps = format!(
                "BEGIN IMMEDIATE; {migration} PRAGMA user_version = {}; PRAGMA application_id = {APPLICATION_ID}; COMMIT;",
                index + 1
            );
            script(connection, &steps).await.map_err(|error| self.error("changing the schema", error))?;
        }
        Ok(())
    }

    /// A pool of connections that only read, none of them open yet.
    pub(super) fn readers(&self) -> SqlitePool {
        SqlitePoolOptions::new()
            .max_connections(READERS_MAX)
            .min_connections(0)
            // With limits of age sqlx 0.8.6 runs an upkeep that can come to run for ever (lake/src/catalog.rs, `load`).
            .idle_timeout(None)
            .max_lifetime(None)
            .test_before_acquire(false)
            .connect_lazy_with(self.options().create_if_missing(false).read_only(true).row_buffer_size(1024))
    }

    /// Reads every page and says whether the file is sound. For a diagnosis, not for each start.
    pub(super) async fn check(&self, connection: &mut SqliteConnection) -> Result<(), MemoryError> {
        let failed = |error| self.error("checking", error);
        let row = sqlx::query("PRAGMA integrity_check(1)").fetch_one(connection).await.map_err(failed)?;
        let verdict: String = row.try_get(0).map_err(failed)?;
        if verdict == "ok" { Ok(()) } else { Err(MemoryError::Corrupt { path: self.path.clone(), detail: verdict }) }
    }

    /// Names the cause of a database error.
    pub(super) fn error(&self, doing: &'static str, error: sqlx::Error) -> MemoryError {
        let code = match &error {
            sqlx::Error::Database(database) => database.code().and_then(|code| code.parse::<u32>().ok()).unwrap_or(0),
            _ => 0,
        };
        // The low byte of SQLite's extended code is the kind: 11 corrupt, 26 not a database, 13 full.
        match code & 0xff {
            11 | 26 => MemoryError::Corrupt { path: self.path.clone(), detail: error.to_string() },
            13 => MemoryError::Quota { limit: MemoryLimit::DatabaseBytes, value: self.bytes_max, max: self.bytes_max },
            _ => MemoryError::Database { doing, source: Arc::new(error) },
        }
    }

    /// Closes the writer in good order, which moves the log into the file.
    pub(super) async fn close(&self, connection: SqliteConnection) -> Result<(), MemoryError> {
        connection.close().await.map_err(|error| self.error("closing", error))
    }
}

/// Runs several statements that bind nothing.
pub(super) async fn script(connection: &mut SqliteConnection, statements: &str) -> Result<(), sqlx::Error> {
    // Not `RawSql::execute`: its future cannot be spawned, as the compiler cannot see that it is `Send`.
    connection.execute(sqlx::raw_sql(statements)).await.map(drop)
}
