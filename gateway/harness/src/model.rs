//! The boundary to a language model: a prompt in, a stream of chunks out. The offline assistant is one, too.

use crate::tool::ToolSpec;
use async_trait::async_trait;
use futures_util::stream::BoxStream;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::time::Duration;

/// What a model is asked.
#[derive(Debug, Clone)]
pub struct Prompt {
    /// Rules, profile, workspace, memories; assembled within a budget.
    pub system: String,
    /// The conversation, oldest first.
    pub messages: Vec<Message>,
    /// What it may call.
    pub tools: Arc<[ToolSpec]>,
    /// Most tokens of the answer.
    pub max_output_tokens: u32,
    /// Sampling temperature; the model's own if none.
    pub temperature: Option<f32>,
}

/// A part of a conversation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "role", rename_all = "snake_case")]
pub enum Message {
    /// What the user said.
    User {
        /// Markdown.
        text: String,
    },
    /// What the model said, and what it called.
    Assistant {
        /// Markdown; may be empty beside calls.
        text: String,
        /// In the order of the model.
        #[serde(default)]
        calls: Vec<ToolRequest>,
    },
    /// What a call gave back.
    Tool {
        /// [`ToolRequest::id`].
        call_id: String,
        /// JSON or text, delimited as data by the harness.
        content: String,
    },
}

/// A call as a model asks for it; nothing in it is checked yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToolRequest {
    /// The model's own id, or one made by the harness if it gave none.
    pub id: String,
    /// Name of the tool.
    pub name: String,
    /// JSON, as far as the model writes JSON.
    pub arguments: String,
}

/// A piece of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Chunk {
    /// More text.
    Text(String),
    /// More of the call at this place; `id` and `name` come with its first piece, if the model gives them at all.
    Call {
        /// Place among the calls of this answer.
        index: usize,
        /// The model's id.
        id: Option<String>,
        /// Name of the tool.
        name: Option<String>,
        /// The next bytes of the arguments.
        arguments: String,
    },
    /// What it cost so far; replaces an earlier one.
    Usage(Usage),
    /// The last chunk.
    End(Finish),
}

/// Tokens.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Of the prompt.
    pub input_tokens: u64,
    /// Of those, read from the provider's cache.
    pub cached_tokens: u64,
    /// Of the answer.
    pub output_tokens: u64,
}

/// Why a model stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Finish {
    /// It has said everything.
    Stop,
    /// It waits for its calls.
    ToolCalls,
    /// Its answer became too long.
    Length,
    /// It, or a filter of its provider, will not answer.
    Refused,
}

/// Why there is no answer, or no more of it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ModelError {
    /// Too many requests or tokens.
    #[error("the model's provider is over its limit (HTTP {status})")]
    Busy {
        /// HTTP status.
        status: u16,
        /// When to ask again, as it said.
        retry_after: Option<Duration>,
    },
    /// The provider failed.
    #[error("the model's provider failed (HTTP {status})")]
    Failed {
        /// HTTP status.
        status: u16,
    },
    /// The request was refused: wrong key, unknown model, too long a prompt.
    #[error("the model's provider refused the request (HTTP {status}): {message}")]
    Refused {
        /// HTTP status.
        status: u16,
        /// What it said, shortened, without the key.
        message: String,
    },
    /// No connection.
    #[error("the model's provider cannot be reached")]
    Unreachable,
    /// No next byte for too long.
    #[error("the model was silent for {after:?}")]
    Silent {
        /// How long.
        after: Duration,
    },
    /// The stream ended before its end.
    #[error("the answer broke off")]
    Cut,
    /// What came is not the protocol.
    #[error("the model's answer cannot be read: {0}")]
    Malformed(String),
    /// Over a bound of ours.
    #[error("the model's answer is over {most} bytes")]
    TooLong {
        /// The bound.
        most: usize,
    },
}

impl ModelError {
    /// True if the same request may succeed later, or elsewhere.
    #[must_use]
    pub const fn is_retryable(&self) -> bool {
        !matches!(self, Self::Refused { .. } | Self::TooLong { .. })
    }
}

/// The chunks of an answer. Dropping it ends the request.
pub type Answer = BoxStream<'static, Result<Chunk, ModelError>>;

/// A model that can be asked.
#[async_trait]
pub trait Model: Send + Sync + std::fmt::Debug {
    /// Its name in the configuration.
    fn name(&self) -> &str;

    /// Asks it.
    ///
    /// # Errors
    /// See [`ModelError`].
    ///
    /// # Cancel safety
    /// Dropping the future ends the request.
    async fn ask(&self, prompt: &Prompt) -> Result<Answer, ModelError>;
}
