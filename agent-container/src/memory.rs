//! What was said: conversations in SQLite, found again by words and by meaning.
//!
//! Invariants:
//! - [`Memory::save`] answers after the message is on the disk; the same command id is saved once;
//! - one task writes, on a connection of its own; readers cannot write;
//! - a question is never a syntax error, and a search by words works without any embedder;
//! - every text, answer and table has a limit, and passing it is a typed error.
//!
//! The time is always the caller's. Nothing here talks to a network, except an [`EndpointEmbedder`] if one is given.

mod database;
mod embedder;
mod endpoint;
mod error;
mod export;
mod index;
mod lexicon;
mod model;
mod search;
mod summary;
mod words;
mod writer;

use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::Stream;
use serde_json::Value;
use sqlx::sqlite::SqlitePool;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use ulid::Ulid;

use database::Database;
use index::{Indexer, Progress};
use search::Rank;
use writer::{Command, Save, Writer};

pub use embedder::{EmbedError, Embedder};
pub use endpoint::{EndpointConfig, EndpointEmbedder};
pub use error::{MemoryError, MemoryLimit};
pub use lexicon::LexiconEmbedder;
pub use model::{
    Conversation, Counts, Erased, Hit, MemoryLimits, Message, NewMessage, Role, Saved, SearchAnswer, SearchMode,
    SearchNote, SearchRequest,
};
pub use summary::{ExtractiveSummarizer, Summarizer, SummaryError};

/// Requests that wait for the writer; then callers wait.
const WRITER_QUEUE: usize = 256;
/// How long an endpoint that failed is not asked again by a search.
const ENDPOINT_PAUSE: Duration = Duration::from_secs(15);
/// Messages that one step of a summary takes in.
const SUMMARY_STEP: usize = 200;
/// Conversations of which `context://conversation-summary` tells.
const CONTEXT_CONVERSATIONS: usize = 8;
/// Most messages or conversations of one answer.
pub const PAGE_MAX: usize = 200;

/// One user's memory. Cheap to share behind an [`Arc`].
#[derive(Debug)]
pub struct Memory {
    database: Database,
    limits: MemoryLimits,
    readers: SqlitePool,
    writer: mpsc::Sender<Command>,
    embedder: Arc<dyn Embedder>,
    summarizer: Arc<dyn Summarizer>,
    progress: Arc<Progress>,
    endpoint_down_until: Mutex<Option<(Instant, EmbedError)>>,
    stop: CancellationToken,
    tasks: Mutex<Vec<JoinHandle<()>>>,
}

impl Memory {
    /// Opens the database at `path`, or makes it, and starts the task that writes and the one that embeds.
    ///
    /// # Errors
    /// [`MemoryError::Corrupt`], [`MemoryError::NewerSchema`], or what the volume says.
    pub async fn open(
        path: &Path,
        limits: MemoryLimits,
        embedder: Arc<dyn Embedder>,
        summarizer: Arc<dyn Summarizer>,
    ) -> Result<Self, MemoryError> {
        let database = Database::new(path, limits.database_bytes_max);
        let writer = Writer::open(database.clone(), limits, (embedder.id(), embedder.dimensions())).await?;
        let (sender, receiver) = mpsc::channel(WRITER_QUEUE);
        let readers = database.readers();
        let progress = Arc::new(Progress::default());
        let stop = CancellationToken::new();
        let indexer = Indexer {
            pool: readers.clone(),
            database: database.clone(),
            embedder: embedder.clone(),
            writer: sender.clone(),
            progress: progress.clone(),
        };
        let tasks = vec![tokio::spawn(writer.run(receiver)), tokio::spawn(indexer.run(stop.clone()))];
        Ok(Self {
            database,
            limits,
            readers,
            writer: sender,
            embedder,
            summarizer,
            progress,
            endpoint_down_until: Mutex::new(None),
            stop,
            tasks: Mutex::new(tasks),
        })
    }

    /// Saves a message. It is on the disk when this returns.
    ///
    /// # Errors
    /// [`MemoryError::Quota`], [`MemoryError::Argument`], [`MemoryError::CommandReused`], or what the database says.
    ///
    /// # Cancel safety
    /// If the caller goes away, the message may still be saved; a repetition with the same command id is harmless.
    pub async fn save(&self, message: NewMessage) -> Result<Saved, MemoryError> {
        let metadata = message.metadata.as_ref().map(Value::to_string);
        self.check(&message, metadata.as_deref())?;
        let vector = if self.embedder.is_immediate() {
            let vectors = self.embedder.embed(&[&message.content]).await.unwrap_or_default();
            vectors.first().map(|vector| embedder::pack(vector))
        } else {
            None
        };
        let later = vector.is_none();
        let id = Ulid::from_parts(message.at_ns / 1_000_000, rand::random::<u128>()).to_string();
        let save = Box::new(Save { message, id, metadata, vector });
        let saved = self.ask(|reply| Command::Save(save, reply)).await?;
        if later {
            self.progress.complete.store(false, Ordering::Release);
            self.progress.wake.notify_one();
        }
        Ok(saved)
    }

    fn check(&self, message: &NewMessage, metadata: Option<&str>) -> Result<(), MemoryError> {
        let limits = &self.limits;
        self.check_id("conversation_id", &message.conversation_id)?;
        self.check_id("channel", &message.channel)?;
        if let Some(command_id) = &message.command_id {
            self.check_id("command_id", command_id)?;
        }
        if message.content.trim().is_empty() {
            return Err(MemoryError::Argument { field: "content", problem: "is empty" });
        }
        if i64::try_from(message.at_ns).is_err() {
            return Err(MemoryError::Argument { field: "at_ns", problem: "is after the year 2262" });
        }
        MemoryError::check(MemoryLimit::ContentBytes, message.content.len(), limits.content_bytes_max)?;
        MemoryError::check(MemoryLimit::MetadataBytes, metadata.map_or(0, str::len), limits.metadata_bytes_max)
    }

    fn check_id(&self, field: &'static str, id: &str) -> Result<(), MemoryError> {
        if id.is_empty() {
            return Err(MemoryError::Argument { field, problem: "is empty" });
        }
        if id.chars().any(char::is_control) {
            return Err(MemoryError::Argument { field, problem: "has a control character" });
        }
        MemoryError::check(MemoryLimit::IdBytes, id.len(), self.limits.id_bytes_max)
    }

    async fn ask<T>(&self, command: impl FnOnce(writer::Reply<T>) -> Command) -> Result<T, MemoryError> {
        let (reply, answer) = oneshot::channel();
        self.writer.send(command(reply)).await.map_err(|_| MemoryError::Closed)?;
        answer.await.map_err(|_| MemoryError::Closed)?
    }

    /// Searches. If the embedder fails, the answer is by words only and says so.
    ///
    /// # Errors
    /// [`MemoryError::Quota`] for a question or limit that is too large, or what the database says.
    pub async fn search(&self, request: &SearchRequest) -> Result<SearchAnswer, MemoryError> {
        MemoryError::check(MemoryLimit::QueryBytes, request.query.len(), self.limits.query_bytes_max)?;
        MemoryError::check(MemoryLimit::Results, request.limit, self.limits.results_max)?;
        MemoryError::check(MemoryLimit::Neighbours, request.neighbours, self.limits.neighbours_max)?;
        let conversation = request.conversation_id.as_deref();
        let failed = |error| self.database.error("searching", error);
        let words = match request.mode {
            SearchMode::Meaning => Vec::new(),
            SearchMode::Words | SearchMode::Hybrid => {
                search::by_words(&self.readers, &request.query, conversation).await.map_err(failed)?
            }
        };
        let mut note = None;
        let mut meaning = Vec::new();
        if request.mode != SearchMode::Words {
            match self.embed_query(&request.query).await {
                Ok(vector) => {
                    if !self.progress.complete.load(Ordering::Acquire) {
                        note = Some(SearchNote::MeaningIncomplete);
                    }
                    meaning = search::by_meaning(&self.readers, &vector, self.embedder.floor(), conversation)
                        .await
                        .map_err(failed)?;
                }
                Err(error) => note = Some(SearchNote::WordsOnly(error)),
            }
        }
        let mut hits = Vec::new();
        for rank in search::fuse(&words, &meaning).into_iter().take(request.limit) {
            hits.extend(self.hit(rank, request.neighbours).await.map_err(failed)?);
        }
        Ok(SearchAnswer { hits, note })
    }

    async fn hit(&self, rank: Rank, neighbours: usize) -> Result<Option<Hit>, sqlx::Error> {
        // None if it was erased since it was ranked.
        let Some(message) = search::message(&self.readers, rank.seq).await? else { return Ok(None) };
        let (mut before, mut after) = (Vec::new(), Vec::new());
        if neighbours > 0 {
            before = search::earlier(&self.readers, &message.conversation_id, message.seq, neighbours).await?;
            after = search::later(&self.readers, Some(&message.conversation_id), message.seq, neighbours).await?;
        }
        Ok(Some(Hit {
            message,
            score: rank.score,
            rank_by_words: rank.by_words,
            rank_by_meaning: rank.by_meaning,
            before,
            after,
        }))
    }

    /// The vector of a question. An endpoint that just failed is not asked, so that searches do not wait for it again and again.
    async fn embed_query(&self, query: &str) -> Result<Vec<u8>, EmbedError> {
        let down = || self.endpoint_down_until.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((until, error)) = down().as_ref()
            && Instant::now() < *until
        {
            return Err(error.clone());
        }
        let vectors = self.embedder.embed(&[query]).await;
        let vector = vectors.and_then(|vectors| {
            let vector = vectors.first().filter(|vector| vector.len() == self.embedder.dimensions());
            vector
                .map(|vector| embedder::pack(vector))
                .ok_or(EmbedError::Malformed { problem: "it has no vector of the right length" })
        });
        *down() = vector.as_ref().err().map(|error| (Instant::now() + ENDPOINT_PAUSE, error.clone()));
        vector
    }

    /// The newest conversations, at most [`PAGE_MAX`].
    ///
    /// # Errors
    /// What the database says.
    pub async fn conversations(&self, limit: usize) -> Result<Vec<Conversation>, MemoryError> {
        sqlx::query_as(
            "SELECT id, channel, created_ns, last_ns, messages FROM conversations ORDER BY last_ns DESC, id LIMIT ?",
        )
        .bind(i64::try_from(limit.min(PAGE_MAX)).unwrap_or(i64::MAX))
        .fetch_all(&self.readers)
        .await
        .map_err(|error| self.database.error("listing conversations", error))
    }

    /// The messages of a conversation before the place `before` (or the newest), at most [`PAGE_MAX`], in their order.
    ///
    /// # Errors
    /// What the database says.
    pub async fn messages(
        &self,
        conversation_id: &str,
        before: Option<i64>,
        limit: usize,
    ) -> Result<Vec<Message>, MemoryError> {
        search::earlier(&self.readers, conversation_id, before.unwrap_or(i64::MAX), limit.min(PAGE_MAX))
            .await
            .map_err(|error| self.database.error("reading a conversation", error))
    }

    /// The messages of all conversations after the place `after`, at most [`PAGE_MAX`], in their order.
    ///
    /// # Errors
    /// What the database says.
    pub async fn after(&self, after: i64) -> Result<Vec<Message>, MemoryError> {
        let messages = search::later(&self.readers, None, after, PAGE_MAX).await;
        messages.map_err(|error| self.database.error("reading all conversations", error))
    }

    /// The summary of a conversation, brought up to date. Empty if there is no such conversation. If the summarizer fails, the
    /// last one it made.
    ///
    /// # Errors
    /// What the database says.
    pub async fn summary(&self, conversation_id: &str) -> Result<String, MemoryError> {
        let failed = |error| self.database.error("reading a summary", error);
        let row: Option<(i64, String)> =
            sqlx::query_as("SELECT through_seq, text FROM summaries WHERE conversation_id = ?")
                .bind(conversation_id)
                .fetch_optional(&self.readers)
                .await
                .map_err(failed)?;
        let (stored_through, mut text) = row.unwrap_or_default();
        let mut through = stored_through;
        loop {
            let new =
                search::later(&self.readers, Some(conversation_id), through, SUMMARY_STEP).await.map_err(failed)?;
            let Some(last) = new.last() else { break };
            match self.summarizer.summarize(&text, &new, self.limits.summary_bytes_max).await {
                Ok(next) => {
                    text = next;
                    text.truncate(text.floor_char_boundary(self.limits.summary_bytes_max));
                }
                Err(error) => {
                    tracing::warn!(%error, "the summary is behind");
                    break;
                }
            }
            through = last.seq;
        }
        if through > stored_through {
            let (conversation_id, text) = (conversation_id.to_owned(), text.clone());
            self.ask(|reply| Command::Summary { conversation_id, through_seq: through, text, reply }).await?;
        }
        Ok(text)
    }

    /// The text of `context://conversation-summary`: the newest conversations and their summaries, newest first, at most
    /// `bytes_max` bytes.
    ///
    /// # Errors
    /// What the database says.
    pub async fn context_summary(&self, bytes_max: usize) -> Result<String, MemoryError> {
        let mut text = String::new();
        for conversation in self.conversations(CONTEXT_CONVERSATIONS).await? {
            let summary = self.summary(&conversation.id).await?;
            let block = format!(
                "## {} ({}, {} messages)\n{summary}\n\n",
                conversation.id, conversation.channel, conversation.messages
            );
            let room = bytes_max.saturating_sub(text.len());
            if block.len() > room {
                text.push_str(&block[..block.floor_char_boundary(room)]);
                break;
            }
            text.push_str(&block);
        }
        Ok(text)
    }

    /// How much there is of everything.
    ///
    /// # Errors
    /// What the database says.
    pub async fn counts(&self) -> Result<Counts, MemoryError> {
        let failed = |error| self.database.error("counting", error);
        let mut connection = self.readers.acquire().await.map_err(failed)?;
        writer::counts(&mut connection).await.map_err(failed)
    }

    /// Everything as lines of JSON, some lines an item; the last line has `"type":"end"`.
    pub fn export(&self) -> impl Stream<Item = Result<String, MemoryError>> + Send + use<> {
        export::lines(self.readers.clone(), self.database.clone())
    }

    /// Deletes everything, and rewrites the file so that the text is gone from it.
    ///
    /// # Errors
    /// [`MemoryError::EraseUnfinished`] if a reader was in the way (erase again), or what the database says.
    pub async fn erase(&self) -> Result<Erased, MemoryError> {
        self.ask(Command::Erase).await
    }

    /// Reads every page of the database and says whether it is sound.
    ///
    /// # Errors
    /// [`MemoryError::Corrupt`].
    pub async fn verify(&self) -> Result<(), MemoryError> {
        self.ask(Command::Check).await
    }

    /// Finishes what was asked and closes the file. Later calls answer [`MemoryError::Closed`] or fail.
    ///
    /// # Errors
    /// What the database says.
    pub async fn close(&self) -> Result<(), MemoryError> {
        self.stop.cancel();
        self.readers.close().await;
        let closed = self.ask(Command::Close).await;
        let tasks: Vec<JoinHandle<()>> = self.tasks.lock().unwrap_or_else(PoisonError::into_inner).drain(..).collect();
        for task in tasks {
            if let Err(error) = task.await {
                tracing::error!(%error, "a task of the memory ended badly");
            }
        }
        closed
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}
