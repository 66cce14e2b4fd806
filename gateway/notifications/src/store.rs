//! The database: one schema for SQLite and PostgreSQL, and how each is opened.
//!
//! SQL here is what both understand. What differs stands in this file: the statement that begins a writing transaction,
//! the type of bytes, and the clause that locks rows.

mod commit;
mod erase;
mod inbox;
mod lanes;
mod preference;
mod presence;
mod rows;
mod streams;

pub(crate) use commit::{Advance, Committed, NewGap, NewRecord, Plan, Release, Settlement};
pub use erase::{Counts, Erased, Export};
pub(crate) use lanes::Pending;
pub(crate) use preference::StoredPreferences;
use rows::signed;

use crate::error::StoreError;
use secrecy::{ExposeSecret, SecretString};
use sqlx::any::{AnyPoolOptions, install_default_drivers};
use sqlx::{Any, AnyPool, Executor, Row, Transaction};
use std::path::{Path, PathBuf};
use std::sync::Once;
use std::time::Duration;

/// Each entry brings the schema one version further.
const MIGRATIONS: [&str; 1] = [include_str!("store/schema.sql")];
/// Names the lock under which one replica at a time changes a PostgreSQL schema: "DxNotify".
const MIGRATION_LOCK: i64 = 0x4478_4e6f_7469_6679;
const READERS: u32 = 4;
const POSTGRES_CONNECTIONS: u32 = 8;
/// How long a call waits for a connection.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(10);

/// Where notifications are kept.
#[derive(Debug, Clone)]
pub(crate) enum Database {
    /// A file; its directory is made.
    Sqlite(PathBuf),
    /// `postgres://user:password@host/database`.
    Postgres(SecretString),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Engine {
    Sqlite,
    Postgres,
}

/// The open database.
#[derive(Debug, Clone)]
pub(crate) struct Store {
    engine: Engine,
    /// SQLite has one writer: one connection, so that those who write wait in a queue instead of polling for a lock.
    write: AnyPool,
    read: AnyPool,
    /// How many of the newest notifications a user keeps.
    keep: u64,
}

fn pool(connections: u32) -> AnyPoolOptions {
    AnyPoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        // With limits of age sqlx 0.8.6 runs an upkeep that can come to run for ever (lake/src/catalog.rs, `load`).
        .idle_timeout(None)
        .max_lifetime(None)
}

/// The path as sqlx wants it: it decodes `%` and ends the path at `?`.
fn sqlite_url(path: &Path) -> String {
    let path = path.to_string_lossy().replace('%', "%25").replace('?', "%3f").replace('#', "%23");
    format!("sqlite://{path}?mode=rwc")
}

impl Store {
    /// Opens the database and brings its schema up to date.
    pub(crate) async fn open(database: &Database, keep: u64) -> Result<Self, StoreError> {
        static DRIVERS: Once = Once::new();
        DRIVERS.call_once(install_default_drivers);
        let failed = || StoreError::database("opening");
        let store = match database {
            Database::Sqlite(path) => {
                if let Some(parent) = path.parent() {
                    let failed = |source| StoreError::Directory { path: parent.to_owned(), source };
                    std::fs::create_dir_all(parent).map_err(failed)?;
                }
                let url = sqlite_url(path);
                let open = |connections| {
                    pool(connections).after_connect(|connection, _| {
                        Box::pin(async move {
                            // FULL syncs the log at each commit: what was acked survives a loss of power.
                            let pragmas = "PRAGMA busy_timeout = 10000; PRAGMA journal_mode = WAL; \
                                           PRAGMA synchronous = FULL; PRAGMA secure_delete = ON; \
                                           PRAGMA trusted_schema = OFF; PRAGMA journal_size_limit = 67108864; \
                                           PRAGMA cache_size = -16384; PRAGMA wal_autocheckpoint = 8192;";
                            connection.execute(pragmas).await.map(drop)
                        })
                    })
                };
                let write = open(1).connect(&url).await.map_err(failed())?;
                let read = open(READERS).connect(&url).await.map_err(failed())?;
                Self { engine: Engine::Sqlite, write, read, keep }
            }
            Database::Postgres(url) => {
                let write = pool(POSTGRES_CONNECTIONS).connect(url.expose_secret()).await.map_err(failed())?;
                Self { engine: Engine::Postgres, read: write.clone(), write, keep }
            }
        };
        store.migrate().await?;
        Ok(store)
    }

    /// Begins a transaction that writes.
    async fn begin(&self) -> Result<Transaction<'static, Any>, sqlx::Error> {
        match self.engine {
            // IMMEDIATE: what it reads cannot change before it writes.
            Engine::Sqlite => self.write.begin_with("BEGIN IMMEDIATE").await,
            Engine::Postgres => self.write.begin().await,
        }
    }

    /// Locks the rows that a SELECT finds, where others may write at the same time.
    const fn for_update(&self) -> &'static str {
        match self.engine {
            Engine::Sqlite => "",
            Engine::Postgres => " FOR UPDATE",
        }
    }

    async fn migrate(&self) -> Result<(), StoreError> {
        let failed = || StoreError::database("changing the schema");
        let mut transaction = self.begin().await.map_err(failed())?;
        if self.engine == Engine::Postgres {
            let lock = sqlx::query("SELECT pg_advisory_xact_lock($1)").bind(MIGRATION_LOCK);
            lock.execute(&mut *transaction).await.map_err(failed())?;
        }
        let versions = "CREATE TABLE IF NOT EXISTS notifications_schema (version BIGINT NOT NULL PRIMARY KEY)";
        transaction.execute(versions).await.map_err(failed())?;
        let query = "SELECT COALESCE(MAX(version), 0) FROM notifications_schema";
        let row = transaction.fetch_one(query).await.map_err(failed())?;
        let (found, known): (i64, i64) = (row.try_get(0).map_err(failed())?, signed(MIGRATIONS.len() as u64));
        if found > known {
            return Err(StoreError::NewerSchema { found, known });
        }
        for (migration, version) in MIGRATIONS.iter().zip(1i64..).filter(|(_, version)| *version > found) {
            let bytes = if self.engine == Engine::Sqlite { "BLOB" } else { "BYTEA" };
            // Not `raw_sql`: PostgreSQL takes several statements only without arguments, which this is.
            let script = migration.replace("BYTEA NOT NULL", &format!("{bytes} NOT NULL"));
            transaction.execute(&*script).await.map_err(failed())?;
            let applied = sqlx::query("INSERT INTO notifications_schema (version) VALUES ($1)").bind(version);
            applied.execute(&mut *transaction).await.map_err(failed())?;
        }
        transaction.commit().await.map_err(failed())
    }

    /// Closes the connections in good order.
    pub(crate) async fn close(&self) {
        self.read.close().await;
        self.write.close().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_with_marks_of_a_url_is_still_a_path() {
        assert_eq!(sqlite_url(Path::new("/a/b?c#d%20")), "sqlite:///a/b%3fc%23d%2520?mode=rwc");
    }
}
