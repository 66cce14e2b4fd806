//! What goes into the memory and what comes out of it.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::embedder::EmbedError;

/// How much the memory may hold and be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MemoryLimits {
    /// Bytes of a message.
    pub content_bytes_max: usize,
    /// Bytes of a message's metadata as JSON.
    pub metadata_bytes_max: usize,
    /// Bytes of a conversation id, channel or command id.
    pub id_bytes_max: usize,
    /// Bytes of a question.
    pub query_bytes_max: usize,
    /// Results of one search.
    pub results_max: usize,
    /// Messages before and after each result.
    pub neighbours_max: usize,
    /// Bytes of the summary of one conversation.
    pub summary_bytes_max: usize,
    /// Messages in all.
    pub messages_max: u64,
    /// Conversations in all.
    pub conversations_max: u64,
    /// Bytes of the database, without its log (at most 4 MiB when idle).
    pub database_bytes_max: u64,
}

impl Default for MemoryLimits {
    fn default() -> Self {
        Self {
            content_bytes_max: 64 * 1024,
            metadata_bytes_max: 8 * 1024,
            id_bytes_max: 128,
            query_bytes_max: 2 * 1024,
            results_max: 50,
            neighbours_max: 5,
            summary_bytes_max: 2_000,
            messages_max: 1_000_000,
            conversations_max: 20_000,
            database_bytes_max: 512 * 1024 * 1024,
        }
    }
}

/// Who said something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// The person.
    User,
    /// The assistant.
    Assistant,
    /// The platform.
    System,
    /// A tool that the assistant called.
    Tool,
}

impl Role {
    /// The name that is stored.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Assistant => "assistant",
            Self::System => "system",
            Self::Tool => "tool",
        }
    }

    /// The role of a name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        [Self::User, Self::Assistant, Self::System, Self::Tool].into_iter().find(|role| role.name() == name)
    }
}

/// A message to save.
#[derive(Debug, Clone, PartialEq)]
pub struct NewMessage {
    /// The conversation; it begins with its first message.
    pub conversation_id: String,
    /// Who said it.
    pub role: Role,
    /// What was said.
    pub content: String,
    /// Where it was said: `web`, `telegram`, ….
    pub channel: String,
    /// When, in nanoseconds since the Unix epoch.
    pub at_ns: u64,
    /// What else the caller wants back with it.
    pub metadata: Option<Value>,
    /// The caller's id of this save: the same id with the same message is saved once.
    pub command_id: Option<String>,
}

/// A message that is on the disk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Saved {
    /// Its id, a ULID.
    pub id: String,
    /// Its place: later messages have larger ones.
    pub seq: i64,
    /// Whether it was saved by an earlier call with the same command id.
    pub replayed: bool,
}

/// A message as it was said.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Message {
    /// Its place: later messages have larger ones.
    pub seq: i64,
    /// Its id, a ULID.
    pub id: String,
    /// Its conversation.
    pub conversation_id: String,
    /// Who said it.
    pub role: Role,
    /// What was said.
    pub content: String,
    /// Where it was said.
    pub channel: String,
    /// When, in nanoseconds since the Unix epoch.
    pub at_ns: u64,
    /// What the caller stored with it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metadata: Option<Value>,
}

/// How a search looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SearchMode {
    /// By words only.
    Words,
    /// By meaning only.
    Meaning,
    /// By both.
    #[default]
    Hybrid,
}

/// A question to the memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SearchRequest {
    /// What is looked for, in plain words; a phrase in double quotes, a beginning with `*`.
    pub query: String,
    /// How to look.
    pub mode: SearchMode,
    /// Only in this conversation.
    pub conversation_id: Option<String>,
    /// Most results.
    pub limit: usize,
    /// Messages of the conversation before and after each result.
    pub neighbours: usize,
}

/// One result.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Hit {
    /// What was found.
    pub message: Message,
    /// Its worth by reciprocal rank fusion; only good for comparing results of one answer.
    pub score: f64,
    /// Its place by words, from 1.
    pub rank_by_words: Option<usize>,
    /// Its place by meaning, from 1.
    pub rank_by_meaning: Option<usize>,
    /// What was said before it.
    pub before: Vec<Message>,
    /// What was said after it.
    pub after: Vec<Message>,
}

/// Why an answer may lack something.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SearchNote {
    /// The embedder failed: only words were looked for.
    #[error("searched by words only: {0}")]
    WordsOnly(EmbedError),
    /// Some messages have no vector yet: they were looked for by words only.
    #[error("some messages are not yet searched by meaning")]
    MeaningIncomplete,
}

/// The answer to a question.
#[derive(Debug, Clone, PartialEq)]
pub struct SearchAnswer {
    /// Best first.
    pub hits: Vec<Hit>,
    /// What the answer may lack.
    pub note: Option<SearchNote>,
}

/// How much there is of everything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Messages.
    pub messages: u64,
    /// Conversations.
    pub conversations: u64,
    /// Messages with a vector.
    pub embeddings: u64,
    /// Stored summaries.
    pub summaries: u64,
    /// Messages in the index of words.
    pub indexed: u64,
}

/// What an erasure did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Erased {
    /// What there was.
    pub before: Counts,
    /// What there is: all zero.
    pub after: Counts,
}

/// One conversation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, sqlx::FromRow)]
pub struct Conversation {
    /// Its id.
    pub id: String,
    /// Where it began.
    pub channel: String,
    /// When it began, in nanoseconds since the Unix epoch.
    pub created_ns: i64,
    /// When something was last said in it.
    pub last_ns: i64,
    /// How many messages it has.
    pub messages: i64,
}
