//! The turn log over SQLite or PostgreSQL: one schema for both, shared by all replicas.
//!
//! **Lease.** A replica holds one lease for all its turns: a row that each of its writes renews. A replica whose lease has expired is
//! declared dead once and for all, and its turns are carried on by others. Each transaction begins with `UPDATE … WHERE dead = 0` on the
//! writer's own row, so a replica that was declared dead, however late it learns of it, can write nothing more.
//!
//! **One writer** per replica groups the appends of all turns into one transaction. SQLite runs with `synchronous=NORMAL`: a kill of the
//! process loses nothing; a power cut may lose the last moments of turns, whose truth is in the containers anyway.

mod lease;
mod read;
mod sql;
mod writer;

pub use read::{ConversationRow, Erased, ExportedTurn, TurnPage, TurnRow};

pub(crate) use lease::{StopNoted, Takeover, TakeoverKind};
pub(crate) use read::LogTail;
pub(crate) use writer::{Accepted, Append, Closing, Writer};

use crate::config::StoreConfig;
use crate::metrics::HarnessMetrics;
use crate::{ConversationId, MessageId, Tier, TurnId};
use proto::UserId;
use secrecy::{ExposeSecret, SecretString};
use service::clock::Clock;
use sqlx::any::{AnyConnectOptions, AnyPoolOptions};
use sqlx::{AnyPool, Executor};
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Where the turn log is.
#[derive(Debug, Clone)]
pub enum Database {
    /// A file; several processes of one machine may share it.
    Sqlite(PathBuf),
    /// `postgres://user:password@host/database`.
    Postgres(SecretString),
}

/// Why the turn log cannot be read or written.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// The database failed.
    #[error("turn log: {0}")]
    Database(#[source] Arc<sqlx::Error>),
    /// What stands in it is not ours, or damaged.
    #[error("turn log: {field} of turn {turn_id} cannot be read")]
    Damaged {
        /// Which column.
        field: &'static str,
        /// Of which turn.
        turn_id: String,
    },
    /// This replica was declared dead; others carry its turns on.
    #[error("turn log: the lease of this replica was lost")]
    LeaseLost,
    /// The harness is stopping.
    #[error("turn log: closed")]
    Closed,
}

impl StoreError {
    /// True if the same may succeed later.
    #[must_use]
    pub const fn is_retryable(&self) -> bool {
        !matches!(self, Self::Damaged { .. } | Self::Closed)
    }
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        Self::Database(Arc::new(error))
    }
}

/// A turn as it is accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Turn {
    pub(crate) id: TurnId,
    pub(crate) user: UserId,
    pub(crate) conversation: ConversationId,
    pub(crate) message_id: MessageId,
    pub(crate) text: String,
    pub(crate) channel: String,
    pub(crate) tier: Tier,
    pub(crate) started_at_ns: u64,
}

/// States of a turn in the table.
pub(crate) mod state {
    pub(crate) const QUEUED: i64 = 0;
    pub(crate) const RUNNING: i64 = 1;
    pub(crate) const ENDED: i64 = 2;
}

/// The turn log. Clones share one writer.
#[derive(Debug, Clone)]
pub struct TurnStore {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    readers: AnyPool,
    direct: AnyPool,
    /// Taken by the writer at its start.
    writer: Mutex<Option<Writer>>,
    queue: mpsc::Sender<writer::Request>,
    /// Who we are; a new name after a lost lease.
    replica: watch::Sender<String>,
    clock: Clock,
    lease: Duration,
    begin: &'static str,
}

impl TurnStore {
    /// Opens the turn log, makes its tables if they are absent, and takes a lease.
    ///
    /// # Errors
    /// If the database cannot be opened.
    pub async fn open(
        database: &Database,
        config: &StoreConfig,
        lease: Duration,
        clock: Clock,
        metrics: HarnessMetrics,
    ) -> Result<Self, StoreError> {
        sqlx::any::install_default_drivers();
        let (writing, direct, readers) =
            (pool(database, 1).await?, pool(database, 2).await?, pool(database, config.readers.max(1)).await?);
        migrate(&direct).await?;
        let (queue, requests) = mpsc::channel(config.queue.get());
        let replica = watch::Sender::new(String::new());
        // SQLite would else find out in the middle of a transaction that another process writes.
        let begin = if matches!(database, Database::Sqlite(_)) { "BEGIN IMMEDIATE" } else { "BEGIN" };
        let writer = Writer::new(writing, requests, config.group.get(), (clock.clone(), lease, begin), metrics);
        let inner = Inner { readers, direct, writer: Mutex::new(Some(writer)), queue, replica, clock, lease, begin };
        let store = Self { inner: Arc::new(inner) };
        store.register().await?;
        Ok(store)
    }

    /// Runs the writer on `tasks` until `stop`; the first call only.
    pub(crate) fn start(&self, tasks: &TaskTracker, stop: CancellationToken) {
        let writer = self.inner.writer.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(writer) = writer {
            tasks.spawn(writer.run(self.inner.replica.subscribe(), stop));
        }
    }

    /// Our name among the replicas.
    pub(crate) fn replica(&self) -> String {
        self.inner.replica.borrow().clone()
    }

    /// Returns when we have another name than `old`, or after `patience`.
    pub(crate) async fn renamed(&self, old: &str, patience: Duration) {
        let mut names = self.inner.replica.subscribe();
        // Without a new name the next write says again that the lease is lost.
        drop(tokio::time::timeout(patience, names.wait_for(|name| name != old)).await);
    }

    pub(crate) fn clock(&self) -> &Clock {
        &self.inner.clock
    }

    async fn send<T>(
        &self,
        make: impl FnOnce(oneshot::Sender<Result<T, StoreError>>) -> writer::Request,
    ) -> Result<T, StoreError> {
        let (ack, acked) = oneshot::channel();
        self.inner.queue.send(make(ack)).await.map_err(|_| StoreError::Closed)?;
        acked.await.map_err(|_| StoreError::Closed)?
    }

    /// Takes a message: once for each id, in order within its conversation.
    pub(crate) async fn accept(
        &self,
        turn: Turn,
        events: String,
        queued_events: String,
        bounds: (usize, usize),
    ) -> Result<Accepted, StoreError> {
        self.send(|ack| writer::Request::Accept { turn: Box::new(turn), events, queued_events, bounds, ack }).await
    }

    /// Appends to a turn's log. Returns the turn of the conversation that runs next if this ended the turn.
    pub(crate) async fn append(&self, append: Append) -> Result<Option<Turn>, StoreError> {
        self.send(|ack| writer::Request::Append { append, ack }).await
    }

    /// Notes that both messages of a turn are in the container.
    pub(crate) async fn saved(&self, turn: TurnId) -> Result<(), StoreError> {
        self.send(|ack| writer::Request::Saved { turn, ack }).await
    }
}

async fn pool(database: &Database, connections: u32) -> Result<AnyPool, StoreError> {
    let url = match database {
        Database::Sqlite(path) => {
            let path = path.to_str().ok_or_else(|| sqlx::Error::Configuration("the path is not UTF-8".into()))?;
            format!("sqlite://{path}?mode=rwc")
        }
        Database::Postgres(url) => url.expose_secret().to_owned(),
    };
    let sqlite = matches!(database, Database::Sqlite(_));
    // Without limits of age the pool has no upkeep task, which in sqlx 0.8.6 can run for ever (see lake/src/catalog.rs).
    let options = AnyPoolOptions::new().max_connections(connections).idle_timeout(None).max_lifetime(None);
    let options = options.test_before_acquire(false).acquire_timeout(Duration::from_secs(30));
    let options = options.after_connect(move |connection, _| {
        Box::pin(async move {
            if sqlite {
                let pragmas = "PRAGMA busy_timeout = 10000; PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; \
                     PRAGMA temp_store = MEMORY; PRAGMA cache_size = -16384";
                connection.execute(pragmas).await?;
            }
            Ok(())
        })
    });
    Ok(options.connect_with(AnyConnectOptions::from_str(&url)?).await?)
}

async fn migrate(pool: &AnyPool) -> Result<(), StoreError> {
    for statement in include_str!("store/schema.sql").split(';').map(str::trim).filter(|it| !it.is_empty()) {
        let mut tries = 0;
        // PostgreSQL may refuse one of two replicas that make the same table at the same moment; the second try finds it.
        while let Err(error) = sqlx::query(statement).execute(pool).await {
            tries += 1;
            if tries == 5 {
                return Err(error.into());
            }
            tokio::time::sleep(Duration::from_millis(20 << tries)).await;
        }
    }
    Ok(())
}
