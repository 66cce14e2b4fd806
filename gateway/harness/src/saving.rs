//! Saves both messages of a turn in the user's container, where the truth of the conversation is. What cannot be saved is tried again,
//! by this replica or the next one; command ids make each message once.

use crate::metrics::HarnessMetrics;
use crate::parts::{Role, SavedMessage, Saver};
use crate::store::{Turn, TurnStore};
use crate::turn::Ended;
use std::sync::Arc;
use std::time::Duration;

/// Times that a message is tried before the next look at what is unsaved.
const TRIES: u32 = 4;
const PAUSE: Duration = Duration::from_millis(500);

#[derive(Debug, Clone)]
pub(crate) struct Saving {
    pub(crate) saver: Arc<dyn Saver>,
    pub(crate) store: TurnStore,
    pub(crate) metrics: HarnessMetrics,
}

impl Saving {
    /// What the user said, at the start of the turn; true if it is saved.
    pub(crate) async fn user(&self, turn: &Turn) -> bool {
        self.save(turn, Role::User, turn.text.clone(), "user").await
    }

    /// What the assistant said, behind what the user said.
    pub(crate) async fn assistant(&self, turn: &Turn, ended: &Ended) {
        let text = match (&ended.problem, ended.text.is_empty()) {
            (Some(problem), true) => format!("({})", problem.message),
            (Some(problem), false) => format!("{}\n\n({})", ended.text, problem.message),
            (None, _) => ended.text.clone(),
        };
        // A container takes no empty message.
        let text = if text.is_empty() { "(no answer)".to_owned() } else { text };
        if self.save(turn, Role::Assistant, text, "assistant").await
            && let Err(error) = self.store.saved(turn.id).await
        {
            tracing::warn!(%error, turn = %turn.id, "saved messages are not noted as saved; they are saved again");
        }
    }

    async fn save(&self, turn: &Turn, role: Role, text: String, part: &str) -> bool {
        let message = SavedMessage {
            conversation: turn.conversation.clone(),
            role,
            text,
            channel: turn.channel.clone(),
            command_id: format!("{}-{part}", turn.id),
        };
        for attempt in 0..TRIES {
            match self.saver.save(turn.user, message.clone()).await {
                Ok(()) => return true,
                Err(error) => {
                    self.metrics.saves_failed.inc();
                    tracing::warn!(%error, turn = %turn.id, attempt, "a message could not be saved");
                    if !error.retryable || attempt + 1 == TRIES {
                        return false;
                    }
                    tokio::time::sleep(PAUSE * (1 << attempt)).await;
                }
            }
        }
        false
    }
}
