//! The other boundaries of the harness: context, retrieval, saving, budget. Others implement them.

use crate::model::Model;
use crate::router::Tier;
use crate::store::TurnStore;
use crate::tool::Tools;
use crate::{ConversationId, metrics::HarnessMetrics};
use async_trait::async_trait;
use proto::UserId;
use serde::{Deserialize, Serialize};
use service::clock::Clock;
use std::sync::Arc;

/// What the harness stands on.
#[derive(Debug, Clone)]
pub struct HarnessParts {
    /// The turn log.
    pub store: TurnStore,
    /// The models by name; a model of the configuration that is not among them is never asked.
    pub models: Vec<Arc<dyn Model>>,
    /// The tools.
    pub tools: Arc<dyn Tools>,
    /// The four resources of a container.
    pub context: Arc<dyn Context>,
    /// Memories.
    pub retriever: Arc<dyn Retriever>,
    /// Keeps what was said.
    pub saver: Arc<dyn Saver>,
    /// What a user may spend.
    pub budget: Arc<dyn Budget>,
    /// The clock.
    pub clock: Clock,
    /// Counters.
    pub metrics: HarnessMetrics,
}

/// The four resources of the user's container, as text; empty if there is nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ContextTexts {
    /// `context://user-profile`.
    pub profile: String,
    /// `context://conversation-summary`.
    pub summary: String,
    /// `context://workspace-state`.
    pub workspace: String,
    /// `context://system-prompt`: the user's own wishes, below the rules.
    pub custom: String,
}

/// Takes a code and words for the person that waits, e.g. `CONTAINER_WAKING`; never blocks.
pub type OnNotice = Arc<dyn Fn(&str, &str) + Send + Sync>;

/// Why something that another part holds cannot be had.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct PartError {
    /// For a person, with what to do next.
    pub message: String,
    /// True if it may be there later.
    pub retryable: bool,
}

/// Reads the context of a user. Caches.
#[async_trait]
pub trait Context: Send + Sync + std::fmt::Debug {
    /// The four resources.
    ///
    /// # Errors
    /// If the container cannot be had; the turn goes on without.
    async fn read(&self, user: UserId, on_notice: OnNotice) -> Result<ContextTexts, PartError>;
}

/// Something remembered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snippet {
    /// Where it is from: `conversation`, `knowledge/indicators.md`.
    pub source: String,
    /// Its text.
    pub text: String,
}

/// Finds what belongs to a message: the user's own and the platform's, never another user's.
#[async_trait]
pub trait Retriever: Send + Sync + std::fmt::Debug {
    /// The best first.
    ///
    /// # Errors
    /// If it cannot be searched; the turn goes on without.
    async fn retrieve(&self, user: UserId, query: &str, most: usize) -> Result<Vec<Snippet>, PartError>;
}

/// Who said something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs, reason = "said above")]
pub enum Role {
    User,
    Assistant,
}

/// A message for the container's memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SavedMessage {
    /// Of the user.
    pub conversation: ConversationId,
    /// Who said it.
    pub role: Role,
    /// Markdown.
    pub text: String,
    /// Where it was said.
    pub channel: String,
    /// The same for the same message, whoever saves it.
    pub command_id: String,
}

/// Keeps what was said where its truth is.
#[async_trait]
pub trait Saver: Send + Sync + std::fmt::Debug {
    /// Saves a message once for each command id.
    ///
    /// # Errors
    /// If it could not be saved; a retryable one is tried again.
    async fn save(&self, user: UserId, message: SavedMessage) -> Result<(), PartError>;
}

/// What a user may spend on models.
#[async_trait]
pub trait Budget: Send + Sync + std::fmt::Debug {
    /// What is left for today, millionths of a US dollar; none if there is no bound.
    ///
    /// # Errors
    /// If it cannot be known; the turn then fails, because money is never guessed.
    async fn left(&self, user: UserId, tier: Tier) -> Result<Option<u64>, PartError>;

    /// Takes money that was spent, once for each `charge_id`.
    ///
    /// # Errors
    /// If it could not be recorded.
    async fn charge(&self, user: UserId, charge_id: &str, micro_usd: u64) -> Result<(), PartError>;
}
