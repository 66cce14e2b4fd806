//! The user's container as the assistant's context and memory.

use async_trait::async_trait;
use harness::parts::{Context, ContextTexts, OnNotice, PartError, Role, SavedMessage, Saver};
use proto::UserId;
use provisioner::{ClientError, ContainerClient, Phase};

/// Reads context from, and saves messages in, the user's container.
#[derive(Debug)]
pub(super) struct ContainerContext(pub(super) ContainerClient);

/// The same for the assistant.
pub(super) fn part_error(error: &ClientError) -> PartError {
    PartError { message: error.for_user(), retryable: error.is_retryable() }
}

#[async_trait]
impl Context for ContainerContext {
    async fn read(&self, user: UserId, on_notice: OnNotice) -> Result<ContextTexts, PartError> {
        match self.0.provisioner().state(user).await.state {
            Phase::Asleep => on_notice("CONTAINER_WAKING", "Your workspace was asleep; it is waking up."),
            Phase::Absent => on_notice("CONTAINER_STARTING", "Your workspace is being set up."),
            Phase::Starting => on_notice("CONTAINER_STARTING", "Your workspace is starting."),
            Phase::Ready | Phase::Failed => {}
        }
        let context = self.0.context(user).await.map_err(|error| part_error(&error))?;
        Ok(ContextTexts {
            profile: context.user_profile.to_string(),
            summary: context.conversation_summary.to_string(),
            workspace: context.workspace_state.to_string(),
            custom: context.system_prompt.to_string(),
        })
    }
}

#[async_trait]
impl Saver for ContainerContext {
    async fn save(&self, user: UserId, message: SavedMessage) -> Result<(), PartError> {
        let role = match message.role {
            Role::User => "user",
            Role::Assistant => "assistant",
        };
        let conversation = message.conversation.as_str();
        let saved = self.0.save_message(user, conversation, role, &message.text, &message.command_id).await;
        saved.map(drop).map_err(|error| part_error(&error))
    }
}
