//! The boundary to tools: what there is, a call, and its outcome. The gateway joins the platform's tools and those of the
//! user's container behind it.

use crate::event::{Card, ChartAction};
use async_trait::async_trait;
use proto::UserId;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// A tool as a model sees it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ToolSpec {
    /// Letters, digits and `_`.
    pub name: String,
    /// One or two sentences.
    pub description: String,
    /// JSON Schema of its arguments, an object.
    pub schema: Value,
    /// What it does to data.
    pub effect: Effect,
    /// Who carries it out.
    pub home: Home,
}

/// What a tool does to data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Effect {
    /// Nothing; may be repeated at will.
    Reads,
    /// Adds or changes something, once for each `command_id`, which the harness sets: the model never sees that argument.
    Commands,
    /// Runs user code that changes nothing; repeating it costs time only.
    Runs,
}

/// Who carries a tool out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Home {
    /// The gateway: the container is neither needed nor woken.
    Platform,
    /// The user's container.
    Container,
    /// The harness: skills, subagents, workflows.
    Harness,
}

/// A call whose arguments are a JSON object.
#[derive(Debug, Clone, PartialEq)]
pub struct Invocation {
    /// For whom; the only place where an identity comes from.
    pub user: UserId,
    /// Of which tool.
    pub name: String,
    /// Without `command_id`.
    pub arguments: serde_json::Map<String, Value>,
    /// The same for the same call of the same turn, whoever carries the turn on.
    pub command_id: String,
    /// W3C trace context, if the turn is traced.
    pub traceparent: Option<String>,
}

/// What a call gave back.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ToolOutcome {
    /// False if it did not do what was asked; `content` then says why.
    pub ok: bool,
    /// JSON or text for the model.
    pub content: String,
    /// One line for a person: "31 trades, +4.2 %".
    pub summary: String,
    /// What the page shows.
    #[serde(default)]
    pub cards: Vec<Card>,
    /// What the chart does.
    #[serde(default)]
    pub chart: Vec<ChartAction>,
}

impl ToolOutcome {
    /// A result.
    #[must_use]
    pub fn done(content: String, summary: impl Into<String>) -> Self {
        Self { ok: true, content, summary: summary.into(), cards: Vec::new(), chart: Vec::new() }
    }

    /// A refusal: a code for programs, a message for the model, the argument it is about ("" if none).
    #[must_use]
    pub fn refused(code: &str, field: &str, message: &str) -> Self {
        let content = serde_json::json!({"error": {"code": code, "field": field, "message": message}}).to_string();
        Self { ok: false, content, summary: message.to_owned(), cards: Vec::new(), chart: Vec::new() }
    }
}

/// How far a call is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    /// Done so far.
    pub progress: f64,
    /// Of how much, if that is known.
    pub total: Option<f64>,
    /// In words.
    pub message: String,
}

/// Takes the progress of a call; never blocks.
pub type OnProgress = Arc<dyn Fn(Progress) + Send + Sync>;

/// Why there are no tools.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ToolsError {
    /// For a person, with what to do next.
    pub message: String,
    /// True if it may be there later.
    pub retryable: bool,
}

/// The tools of a user.
#[async_trait]
pub trait Tools: Send + Sync + std::fmt::Debug {
    /// What the user's assistant may call. Those of the platform are there even if the container is not.
    ///
    /// # Errors
    /// If the container cannot be had.
    async fn list(&self, user: UserId) -> Result<Arc<[ToolSpec]>, ToolsError>;

    /// Carries a call out. A failure is an outcome that is not `ok`. When `cancel` is cancelled it returns soon, and what ran on behalf of
    /// the call has ended.
    async fn call(&self, call: Invocation, on_progress: OnProgress, cancel: CancellationToken) -> ToolOutcome;
}
