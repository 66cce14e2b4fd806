//! The one task that writes: it owns the writing connection, and answers after the commit is on the disk.

use sqlx::{Row, SqliteConnection};
use tokio::sync::{mpsc, oneshot};

use super::database::{Database, script};
use super::error::{MemoryError, MemoryLimit};
use super::{Counts, Erased, MemoryLimits, NewMessage, Saved};

/// Saves that share one commit, and so one sync of the disk.
const BATCH_MAX: usize = 64;

pub(super) type Reply<T> = oneshot::Sender<Result<T, MemoryError>>;

/// A message that was checked, with its id and its vector.
#[derive(Debug)]
pub(super) struct Save {
    pub(super) message: NewMessage,
    pub(super) id: String,
    pub(super) metadata: Option<String>,
    pub(super) vector: Option<Vec<u8>>,
}

/// What the writer is asked to do.
#[derive(Debug)]
pub(super) enum Command {
    Save(Box<Save>, Reply<Saved>),
    Vectors(Vec<(i64, Vec<u8>)>, Reply<()>),
    Summary { conversation_id: String, through_seq: i64, text: String, reply: Reply<()> },
    Erase(Reply<Erased>),
    Check(Reply<()>),
    Close(Reply<()>),
}

/// Owns the writing connection.
#[derive(Debug)]
pub(super) struct Writer {
    database: Database,
    connection: SqliteConnection,
    limits: MemoryLimits,
    messages: u64,
    conversations: u64,
}

/// What one save did.
struct Done {
    saved: Saved,
    new_messages: u64,
    new_conversations: u64,
}

impl Writer {
    /// Opens the database, and drops the vectors of another embedder.
    pub(super) async fn open(
        database: Database,
        limits: MemoryLimits,
        embedder: (&str, usize),
    ) -> Result<Self, MemoryError> {
        let mut connection = database.writer().await?;
        let counts = counts(&mut connection).await.map_err(|error| database.error("counting", error))?;
        let (messages, conversations) = (counts.messages, counts.conversations);
        let mut writer = Self { database, connection, limits, messages, conversations };
        writer
            .use_embedder(embedder.0, embedder.1)
            .await
            .map_err(|error| writer.database.error("choosing the embedder", error))?;
        Ok(writer)
    }

    async fn use_embedder(&mut self, id: &str, dimensions: usize) -> Result<(), sqlx::Error> {
        let dimensions = i64::try_from(dimensions).unwrap_or(i64::MAX);
        let row = sqlx::query("SELECT id, dimensions FROM embedder").fetch_optional(&mut self.connection).await?;
        if let Some(row) = row
            && row.try_get::<String, _>(0)? == id
            && row.try_get::<i64, _>(1)? == dimensions
        {
            return Ok(());
        }
        script(&mut self.connection, "BEGIN IMMEDIATE; DELETE FROM embeddings; DELETE FROM embedder;").await?;
        sqlx::query("INSERT INTO embedder (one, id, dimensions) VALUES (1, ?, ?)")
            .bind(id)
            .bind(dimensions)
            .execute(&mut self.connection)
            .await?;
        script(&mut self.connection, "COMMIT").await?;
        Ok(())
    }

    /// Serves until it is closed or nobody can ask any more.
    pub(super) async fn run(mut self, mut commands: mpsc::Receiver<Command>) {
        let mut next = None;
        loop {
            let command = match next.take() {
                Some(command) => command,
                None => match commands.recv().await {
                    Some(command) => command,
                    None => break,
                },
            };
            match command {
                Command::Save(save, reply) => {
                    let mut batch = vec![(save, reply)];
                    while batch.len() < BATCH_MAX {
                        match commands.try_recv() {
                            Ok(Command::Save(save, reply)) => batch.push((save, reply)),
                            Ok(other) => {
                                next = Some(other);
                                break;
                            }
                            Err(_) => break,
                        }
                    }
                    self.save(batch).await;
                }
                Command::Vectors(rows, reply) => answer(
                    reply,
                    self.vectors(rows).await.map_err(|error| self.database.error("saving vectors", error)),
                ),
                Command::Summary { conversation_id, through_seq, text, reply } => {
                    let done = self.summary(&conversation_id, through_seq, &text).await;
                    answer(reply, done.map_err(|error| self.database.error("saving a summary", error)));
                }
                Command::Erase(reply) => answer(reply, self.erase().await),
                Command::Check(reply) => answer(reply, self.database.check(&mut self.connection).await),
                Command::Close(reply) => return answer(reply, self.database.close(self.connection).await),
            }
        }
        if let Err(error) = self.database.close(self.connection).await {
            tracing::warn!(%error, "the memory was not closed in good order");
        }
    }

    /// Saves a batch in one commit; if the database refuses, each by itself, so that one bad message does not fail the others.
    async fn save(&mut self, batch: Vec<(Box<Save>, Reply<Saved>)>) {
        let saves: Vec<&Save> = batch.iter().map(|(save, _)| &**save).collect();
        let mut results = match self.commit(&saves).await {
            Ok(results) => results,
            Err(error) if saves.len() == 1 => vec![Err(error)],
            Err(_) => {
                let mut results = Vec::with_capacity(saves.len());
                for save in &saves {
                    results.extend(self.commit(&[save]).await.unwrap_or_else(|error| vec![Err(error)]));
                }
                results
            }
        };
        for ((_, reply), result) in batch.into_iter().zip(results.drain(..)) {
            answer(reply, result);
        }
    }

    async fn commit(&mut self, saves: &[&Save]) -> Result<Vec<Result<Saved, MemoryError>>, MemoryError> {
        let (messages, conversations) = (self.messages, self.conversations);
        let done = self.commit_steps(saves).await;
        if done.is_err() {
            (self.messages, self.conversations) = (messages, conversations);
            // After some errors SQLite has rolled back by itself, and says so.
            if let Err(error) = script(&mut self.connection, "ROLLBACK").await {
                tracing::debug!(%error, "nothing to roll back");
            }
        }
        done.map_err(|error| self.database.error("saving a message", error))
    }

    async fn commit_steps(&mut self, saves: &[&Save]) -> Result<Vec<Result<Saved, MemoryError>>, sqlx::Error> {
        script(&mut self.connection, "BEGIN IMMEDIATE").await?;
        let mut results = Vec::with_capacity(saves.len());
        for save in saves {
            let done = self.save_one(save).await?;
            results.push(done.map(|done| {
                self.messages += done.new_messages;
                self.conversations += done.new_conversations;
                done.saved
            }));
        }
        script(&mut self.connection, "COMMIT").await?;
        Ok(results)
    }

    async fn save_one(&mut self, save: &Save) -> Result<Result<Done, MemoryError>, sqlx::Error> {
        let message = &save.message;
        if let Some(done) = self.known(save).await? {
            return Ok(done);
        }
        let quota = |limit, value: u64, max: u64| {
            if value > max { Err(MemoryError::Quota { limit, value, max }) } else { Ok(()) }
        };
        if let Err(error) = quota(MemoryLimit::Messages, self.messages + 1, self.limits.messages_max) {
            return Ok(Err(error));
        }
        let at_ns = i64::try_from(message.at_ns).unwrap_or(i64::MAX);
        let updated =
            sqlx::query("UPDATE conversations SET last_ns = max(last_ns, ?), messages = messages + 1 WHERE id = ?")
                .bind(at_ns)
                .bind(&message.conversation_id)
                .execute(&mut self.connection)
                .await?;
        let is_new = updated.rows_affected() == 0;
        if is_new {
            if let Err(error) = quota(MemoryLimit::Conversations, self.conversations + 1, self.limits.conversations_max)
            {
                return Ok(Err(error));
            }
            sqlx::query(
                "INSERT INTO conversations (id, channel, created_ns, last_ns, messages) VALUES (?, ?, ?, ?, 1)",
            )
            .bind(&message.conversation_id)
            .bind(&message.channel)
            .bind(at_ns)
            .bind(at_ns)
            .execute(&mut self.connection)
            .await?;
        }
        let inserted = sqlx::query(
            "INSERT INTO messages (id, conversation_id, role, content, channel, at_ns, metadata, command_id) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        )
        .bind(&save.id)
        .bind(&message.conversation_id)
        .bind(message.role.name())
        .bind(&message.content)
        .bind(&message.channel)
        .bind(at_ns)
        .bind(&save.metadata)
        .bind(&message.command_id)
        .execute(&mut self.connection)
        .await?;
        let seq = inserted.last_insert_rowid();
        if let Some(vector) = &save.vector {
            sqlx::query("INSERT INTO embeddings (seq, vector) VALUES (?, ?)")
                .bind(seq)
                .bind(vector)
                .execute(&mut self.connection)
                .await?;
        }
        let saved = Saved { id: save.id.clone(), seq, replayed: false };
        Ok(Ok(Done { saved, new_messages: 1, new_conversations: u64::from(is_new) }))
    }

    /// What an earlier save with the same command id answered.
    async fn known(&mut self, save: &Save) -> Result<Option<Result<Done, MemoryError>>, sqlx::Error> {
        let Some(command_id) = &save.message.command_id else { return Ok(None) };
        let row = sqlx::query("SELECT id, seq, conversation_id, role, content FROM messages WHERE command_id = ?")
            .bind(command_id)
            .fetch_optional(&mut self.connection)
            .await?;
        let Some(row) = row else { return Ok(None) };
        let same = row.try_get::<String, _>(2)? == save.message.conversation_id
            && row.try_get::<String, _>(3)? == save.message.role.name()
            && row.try_get::<String, _>(4)? == save.message.content;
        if !same {
            return Ok(Some(Err(MemoryError::CommandReused)));
        }
        let saved = Saved { id: row.try_get(0)?, seq: row.try_get(1)?, replayed: true };
        Ok(Some(Ok(Done { saved, new_messages: 0, new_conversations: 0 })))
    }

    async fn vectors(&mut self, rows: Vec<(i64, Vec<u8>)>) -> Result<(), sqlx::Error> {
        let mut transaction = sqlx::Connection::begin(&mut self.connection).await?;
        for (seq, vector) in rows {
            // A message may have been erased while it was embedded.
            sqlx::query("INSERT OR REPLACE INTO embeddings (seq, vector) SELECT seq, ? FROM messages WHERE seq = ?")
                .bind(vector)
                .bind(seq)
                .execute(&mut *transaction)
                .await?;
        }
        transaction.commit().await
    }

    async fn summary(&mut self, conversation_id: &str, through_seq: i64, text: &str) -> Result<(), sqlx::Error> {
        sqlx::query(
            "INSERT OR REPLACE INTO summaries (conversation_id, through_seq, text) SELECT id, ?, ? FROM conversations WHERE id = ?",
        )
        .bind(through_seq)
        .bind(text)
        .bind(conversation_id)
        .execute(&mut self.connection)
        .await
        .map(drop)
    }

    /// Deletes everything and rewrites the file, so that the text is in neither the file nor its log.
    async fn erase(&mut self) -> Result<Erased, MemoryError> {
        let database = self.database.clone();
        let failed = |error| database.error("erasing", error);
        let before = counts(&mut self.connection).await.map_err(failed)?;
        let delete = "BEGIN IMMEDIATE; DELETE FROM embeddings; DELETE FROM summaries; \
            INSERT INTO messages_words (messages_words) VALUES ('delete-all'); \
            DELETE FROM messages; DELETE FROM conversations; COMMIT;";
        if let Err(error) = script(&mut self.connection, delete).await {
            if let Err(error) = script(&mut self.connection, "ROLLBACK").await {
                tracing::debug!(%error, "nothing to roll back");
            }
            return Err(failed(error));
        }
        (self.messages, self.conversations) = (0, 0);
        // The first checkpoint empties the log of the deleted text, the second one puts the rewritten file in place.
        self.checkpoint().await?;
        script(&mut self.connection, "VACUUM").await.map_err(failed)?;
        self.checkpoint().await?;
        let after = counts(&mut self.connection).await.map_err(failed)?;
        Ok(Erased { before, after })
    }

    async fn checkpoint(&mut self) -> Result<(), MemoryError> {
        let failed = |error| self.database.error("emptying the log", error);
        let row =
            sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)").fetch_one(&mut self.connection).await.map_err(failed)?;
        let busy: i64 = row.try_get(0).map_err(failed)?;
        if busy == 0 { Ok(()) } else { Err(MemoryError::EraseUnfinished) }
    }
}

/// How much there is of everything.
pub(super) async fn counts(connection: &mut SqliteConnection) -> Result<Counts, sqlx::Error> {
    let row = sqlx::query(
        "SELECT (SELECT count(*) FROM messages), (SELECT count(*) FROM conversations), (SELECT count(*) FROM embeddings), \
         (SELECT count(*) FROM summaries), (SELECT count(*) FROM messages_words_docsize)",
    )
    .fetch_one(connection)
    .await?;
    let count = |index: usize| row.try_get::<i64, _>(index).map(|count| u64::try_from(count).unwrap_or(0));
    Ok(Counts {
        messages: count(0)?,
        conversations: count(1)?,
        embeddings: count(2)?,
        summaries: count(3)?,
        indexed: count(4)?,
    })
}

fn answer<T>(reply: Reply<T>, result: Result<T, MemoryError>) {
    if reply.send(result).is_err() {
        tracing::debug!("nobody waits for the answer of the memory");
    }
}
