//! Where accounts are kept: SQLite or PostgreSQL, with one schema and one set of queries.
//!
//! Several replicas use one store at the same time. Whatever may happen once only is decided by the database: by a conditional
//! `UPDATE` whose row count is the answer, or in a transaction that first updates the row that all parties must pass.

mod api_keys;
mod audit;
mod erase;
mod guesses;
mod sessions;
mod single_use;
mod users;

pub(crate) use api_keys::ApiKeyRecord;
pub(crate) use erase::{Counts, Erased};
pub(crate) use sessions::{Lifetimes, NewSession, Rotation, SessionRecord};
pub(crate) use single_use::NewSecret;
pub(crate) use users::{Changed, UserChange, UserRecord};

use crate::config::StoreConfig;
use secrecy::{ExposeSecret, SecretString};
use sqlx::any::{AnyConnectOptions, AnyPoolOptions, AnyRow};
use sqlx::{Any, AnyConnection, AnyPool, ConnectOptions, Decode, Executor, Row, Transaction, Type};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Once;
use std::time::Duration;

/// Each entry brings the schema one version further; the index of the last one is the version of this program.
const MIGRATIONS: [&str; 1] = [include_str!("store/schema_v1.sql")];
/// Marks our migration lock among others of the same PostgreSQL database: "DxAccnt".
const MIGRATION_LOCK: i64 = 0x44_7841_6363_6e74;
/// Tries of opening a SQLite file while another process makes it.
const OPEN_TRIES: u32 = 40;
const OPEN_PAUSE: Duration = Duration::from_millis(50);

/// Settings of each SQLite connection. `FULL` syncs the log at each commit: a token that was spent stays spent.
const SQLITE_SETTINGS: &str = "PRAGMA busy_timeout = 5000; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; \
    PRAGMA foreign_keys = ON; PRAGMA secure_delete = ON; PRAGMA trusted_schema = OFF; PRAGMA journal_size_limit = 4194304;";
/// Settings of each PostgreSQL connection: a statement waits, and runs, for a bounded time.
const POSTGRES_SETTINGS: &str =
    "SET lock_timeout = '5s'; SET statement_timeout = '15s'; SET idle_in_transaction_session_timeout = '15s';";

/// Why the store failed.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// All connections are taken, and stayed so.
    #[error("no connection to the database within the time allowed")]
    Exhausted,
    /// Another process holds the database.
    #[error("the database is busy")]
    Busy,
    /// The database failed.
    #[error("the database failed while {doing}")]
    Database {
        /// At what.
        doing: &'static str,
        /// The cause, which never holds a bound value.
        source: Box<sqlx::Error>,
    },
    /// The database file cannot be made.
    #[error("{path}: {source}")]
    File {
        /// The file.
        path: std::path::PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// The schema is of a newer program.
    #[error("the schema has version {found}; this program knows up to {known}")]
    NewerSchema {
        /// Version found.
        found: i64,
        /// Newest version known.
        known: i64,
    },
    /// A value is not what we wrote.
    #[error("{column}: what is stored cannot be read")]
    Corrupt {
        /// In which column.
        column: &'static str,
    },
}

impl StoreError {
    /// True if the same operation may succeed later.
    #[must_use]
    pub const fn is_retryable(&self) -> bool {
        matches!(self, Self::Exhausted | Self::Busy)
    }

    /// Names the cause of a database error.
    pub(crate) fn of(doing: &'static str) -> impl Fn(sqlx::Error) -> Self + Copy {
        move |error| match &error {
            sqlx::Error::PoolTimedOut => Self::Exhausted,
            sqlx::Error::Database(database) if is_busy(&database.code().unwrap_or_default()) => Self::Busy,
            _ => Self::Database { doing, source: Box::new(error) },
        }
    }
}

/// SQLite: busy (5) and locked (6) with their extended codes. PostgreSQL: lock timeout, serialization failure, deadlock, too many
/// connections, shutting down or starting up.
fn is_busy(code: &str) -> bool {
    match code {
        "55P03" | "40001" | "40P01" | "53300" | "57P01" | "57P03" => true,
        _ => code.len() < 5 && code.parse::<u32>().is_ok_and(|code| matches!(code & 0xff, 5 | 6)),
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Dialect {
    Sqlite,
    Postgres,
}

/// The store.
#[derive(Debug, Clone)]
pub(crate) struct Store {
    pool: AnyPool,
    dialect: Dialect,
}

pub(crate) type Result<T, E = StoreError> = std::result::Result<T, E>;

impl Store {
    /// Opens the database at `url`, or the SQLite file, and brings the schema up to date.
    pub(crate) async fn open(url: Option<&SecretString>, file: &Path, config: &StoreConfig) -> Result<Self> {
        static DRIVERS: Once = Once::new();
        DRIVERS.call_once(sqlx::any::install_default_drivers);
        let (dialect, url) = match url {
            Some(url) if url.expose_secret().starts_with("postgres") => {
                (Dialect::Postgres, url.expose_secret().to_owned())
            }
            Some(url) => (Dialect::Sqlite, url.expose_secret().to_owned()),
            None => (Dialect::Sqlite, sqlite_url(file)?),
        };
        let options: AnyConnectOptions = url.parse().map_err(StoreError::of("reading its URL"))?;
        let pool = AnyPoolOptions::new()
            .max_connections(config.connections)
            .min_connections(0)
            .acquire_timeout(config.acquire_timeout)
            // With limits of age sqlx 0.8.6 runs an upkeep that can come to run for ever (lake/src/catalog.rs, `load`).
            .idle_timeout(None)
            .max_lifetime(None)
            // A server may have closed the connection since; a file does not.
            .test_before_acquire(dialect == Dialect::Postgres)
            .after_connect(move |connection, _| {
                Box::pin(async move {
                    let settings = match dialect {
                        Dialect::Sqlite => SQLITE_SETTINGS,
                        Dialect::Postgres => POSTGRES_SETTINGS,
                    };
                    for setting in statements(settings) {
                        connection.execute(setting).await?;
                    }
                    Ok(())
                })
            })
            .connect_lazy_with(options.disable_statement_logging());
        let store = Self { pool, dialect };
        store.migrate_patiently().await?;
        Ok(store)
    }

    /// Several processes may make the same SQLite file at once; SQLite then refuses some of them at once, whatever its timeout.
    async fn migrate_patiently(&self) -> Result<()> {
        let mut tries = 0;
        loop {
            match self.migrate().await {
                Err(StoreError::Busy) if tries < OPEN_TRIES => {
                    tries += 1;
                    tokio::time::sleep(OPEN_PAUSE).await;
                }
                result => return result,
            }
        }
    }

    async fn migrate(&self) -> Result<()> {
        let failed = StoreError::of("changing the schema");
        let known = i64::try_from(MIGRATIONS.len()).unwrap_or(i64::MAX);
        let mut transaction = self.begin().await?;
        if self.dialect == Dialect::Postgres {
            let lock = format!("SELECT 1 FROM (SELECT pg_advisory_xact_lock({MIGRATION_LOCK})) AS taken");
            transaction.execute(lock.as_str()).await.map_err(failed)?;
        }
        let create = "CREATE TABLE IF NOT EXISTS accounts_schema (id BIGINT PRIMARY KEY, version BIGINT NOT NULL)";
        transaction.execute(create).await.map_err(failed)?;
        let row = sqlx::query("SELECT version FROM accounts_schema WHERE id = 1");
        let row = row.fetch_optional(&mut *transaction).await.map_err(failed)?;
        let version: i64 = row.map_or(Ok(0), |row| get(&row, "version"))?;
        if version > known {
            return Err(StoreError::NewerSchema { found: version, known });
        }
        for migration in MIGRATIONS.iter().skip(usize::try_from(version).unwrap_or(0)) {
            for statement in statements(migration) {
                transaction.execute(statement).await.map_err(failed)?;
            }
        }
        if version < known {
            let set =
                "INSERT INTO accounts_schema (id, version) VALUES (1, $1) ON CONFLICT (id) DO UPDATE SET version = $1";
            sqlx::query(set).bind(known).execute(&mut *transaction).await.map_err(failed)?;
        }
        transaction.commit().await.map_err(failed)
    }

    /// A transaction that may write. In SQLite it takes the writer's place at once: one that begins reading and then writes is
    /// refused without waiting when another wrote between.
    async fn begin(&self) -> Result<Transaction<'static, Any>> {
        let statement = match self.dialect {
            Dialect::Sqlite => "BEGIN IMMEDIATE",
            Dialect::Postgres => "BEGIN ISOLATION LEVEL READ COMMITTED",
        };
        self.pool.begin_with(statement).await.map_err(StoreError::of("beginning"))
    }

    /// Takes a lock of the whole platform until the transaction ends.
    async fn lock(transaction: &mut AnyConnection, name: &'static str) -> Result<()> {
        let update = sqlx::query("UPDATE accounts_locks SET taken = taken + 1 WHERE name = $1").bind(name);
        update.execute(transaction).await.map(drop).map_err(StoreError::of("taking a lock"))
    }

    /// Asks the database for nothing, to see whether it answers.
    pub(crate) async fn ping(&self) -> Result<()> {
        self.pool.execute("SELECT 1").await.map(drop).map_err(StoreError::of("asking whether it answers"))
    }

    pub(crate) async fn close(&self) {
        self.pool.close().await;
    }

    #[cfg(test)]
    pub(crate) const fn pool(&self) -> &AnyPool {
        &self.pool
    }
}

/// Statements of a script; none of ours has a semicolon inside.
fn statements(script: &str) -> impl Iterator<Item = &str> {
    script.split(';').map(str::trim).filter(|statement| !statement.is_empty())
}

/// The URL of a file, which is made with a mode that keeps others out.
fn sqlite_url(path: &Path) -> Result<String> {
    let file = |source| StoreError::File { path: path.to_owned(), source };
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent).map_err(file)?;
    }
    std::fs::OpenOptions::new().create(true).append(true).mode(0o600).open(path).map_err(file)?;
    let text = path.to_str().ok_or_else(|| file(std::io::ErrorKind::InvalidFilename.into()))?;
    let text = text.replace('%', "%25").replace('?', "%3F").replace('#', "%23");
    Ok(format!("sqlite://{text}?mode=rw"))
}

/// A column of a row.
fn get<'r, T: Decode<'r, Any> + Type<Any>>(row: &'r AnyRow, column: &'static str) -> Result<T> {
    row.try_get(column).map_err(|_| StoreError::Corrupt { column })
}

/// A column that holds no negative number.
fn get_u64(row: &AnyRow, column: &'static str) -> Result<u64> {
    u64::try_from(get::<i64>(row, column)?).map_err(|_| StoreError::Corrupt { column })
}

/// A column that holds no negative number, or nothing.
fn get_optional_u64(row: &AnyRow, column: &'static str) -> Result<Option<u64>> {
    let value: Option<i64> = get(row, column)?;
    value.map(|value| u64::try_from(value).map_err(|_| StoreError::Corrupt { column })).transpose()
}

/// A column that is text of a type of ours.
fn get_parsed<T: std::str::FromStr>(row: &AnyRow, column: &'static str) -> Result<T> {
    get::<String>(row, column)?.parse().map_err(|_| StoreError::Corrupt { column })
}

/// As the database holds it. Times are within i64 until 2262.
fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
