//! The background task that embeds what has no vector yet: after a change of embedder, or when the endpoint was away.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use sqlx::sqlite::SqlitePool;
use tokio::sync::{Notify, mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::database::Database;
use super::embedder::{Embedder, pack};
use super::error::MemoryError;
use super::writer::Command;

/// Messages of one request.
const BATCH: i64 = 32;
const RETRY_FIRST: Duration = Duration::from_secs(1);
const RETRY_MAX: Duration = Duration::from_secs(60);

/// What the task shares with the searches.
#[derive(Debug, Default)]
pub(super) struct Progress {
    /// Wakes the task: there is a message without vector.
    pub(super) wake: Notify,
    /// Whether every message has a vector, as far as the task knows.
    pub(super) complete: AtomicBool,
}

/// Embeds what is missing, newest first.
#[derive(Debug)]
pub(super) struct Indexer {
    pub(super) pool: SqlitePool,
    pub(super) database: Database,
    pub(super) embedder: Arc<dyn Embedder>,
    pub(super) writer: mpsc::Sender<Command>,
    pub(super) progress: Arc<Progress>,
}

impl Indexer {
    /// Runs until `stop`; what it was doing then is done again at the next start.
    pub(super) async fn run(self, stop: CancellationToken) {
        stop.run_until_cancelled(async {
            let mut pause = RETRY_FIRST;
            // Every message up to here has a vector.
            let mut done_through = 0;
            loop {
                self.progress.complete.store(false, Ordering::Release);
                match self.pass(done_through).await {
                    Ok(newest) => {
                        done_through = newest;
                        pause = RETRY_FIRST;
                        self.progress.complete.store(true, Ordering::Release);
                        self.progress.wake.notified().await;
                    }
                    Err(reason) => {
                        tracing::warn!(reason, retry_s = pause.as_secs(), "messages wait for their vectors");
                        tokio::time::sleep(pause).await;
                        pause = (pause * 2).min(RETRY_MAX);
                    }
                }
            }
        })
        .await;
    }

    /// Embeds everything after `done_through`, and returns the newest message that there was.
    async fn pass(&self, done_through: i64) -> Result<i64, String> {
        let failed = |error: sqlx::Error| self.database.error("looking for messages without vector", error).to_string();
        let newest: i64 = sqlx::query_scalar("SELECT coalesce(max(seq), 0) FROM messages")
            .fetch_one(&self.pool)
            .await
            .map_err(failed)?;
        let mut below = newest + 1;
        loop {
            let rows: Vec<(i64, String)> = sqlx::query_as(
                "SELECT m.seq, m.content FROM messages m LEFT JOIN embeddings e ON e.seq = m.seq \
                 WHERE m.seq > ? AND m.seq < ? AND e.seq IS NULL ORDER BY m.seq DESC LIMIT ?",
            )
            .bind(done_through)
            .bind(below)
            .bind(BATCH)
            .fetch_all(&self.pool)
            .await
            .map_err(failed)?;
            let Some((last, _)) = rows.last() else { return Ok(newest) };
            below = *last;
            let texts: Vec<&str> = rows.iter().map(|(_, content)| content.as_str()).collect();
            let vectors = self.embedder.embed(&texts).await.map_err(|error| error.to_string())?;
            let packed = rows.iter().map(|(seq, _)| *seq).zip(vectors.iter().map(|vector| pack(vector))).collect();
            let (reply, answer) = oneshot::channel();
            self.writer.send(Command::Vectors(packed, reply)).await.map_err(|_| MemoryError::Closed.to_string())?;
            answer.await.map_err(|_| MemoryError::Closed.to_string())?.map_err(|error| error.to_string())?;
        }
    }
}
