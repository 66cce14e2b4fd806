//! Events that tools raise, and commands that are carried out once.

use super::Container;
use super::answer::{Answer, Refusal};
use super::commands::{CommandError, digest};
use crate::events::{NewEvent, OutboxError};
use crate::mcp::tools::{NoteSeverity, Notice};
use proto::EventKind;
use serde_json::{Value, json};
use std::future::Future;
use std::sync::Arc;

/// Bytes of a notice.
const NOTICE_BYTES: usize = 4096;

impl From<CommandError> for Refusal {
    fn from(error: CommandError) -> Self {
        let code = match &error {
            CommandError::Id => "INVALID_ARGUMENT",
            CommandError::Reused => "CONFLICT",
            CommandError::Io(_) => {
                tracing::error!(%error, "commands cannot be written");
                "FAILED"
            }
        };
        Self::new(code, "command_id", error)
    }
}

impl From<OutboxError> for Refusal {
    fn from(error: OutboxError) -> Self {
        let code = if error.is_retryable() { "BUSY" } else { "FAILED" };
        Self::new(code, "", error)
    }
}

impl Container {
    /// Carries a command out unless it was before, and remembers its answer.
    pub(super) async fn once(
        &self,
        command_id: Option<String>,
        request: &[&str],
        work: impl Future<Output = Result<Value, Refusal>>,
    ) -> Result<Answer, Refusal> {
        let Some(id) = command_id else { return Ok(Answer::of(&work.await?)) };
        // One command after the other: the same one may come twice at a time.
        let _turn = self.turn.lock().await;
        let request = digest(request);
        if let Some(text) = self.commands.earlier(&id, &request)? {
            let mut answer: Value = serde_json::from_str(&text).map_err(Refusal::failed)?;
            answer["repeated"] = true.into();
            return Ok(Answer::of(&answer));
        }
        let answer = work.await?;
        let (commands, text) = (Arc::clone(&self.commands), answer.to_string());
        let kept = tokio::task::spawn_blocking(move || commands.done(&id, &request, &text)).await;
        kept.map_err(Refusal::failed)??;
        Ok(Answer::of(&answer))
    }

    pub(super) async fn notify_user(&self, notice: Notice) -> Result<Answer, Refusal> {
        let text = notice.text;
        if text.trim().is_empty() || text.len() > NOTICE_BYTES {
            return Err(Refusal::argument("text", format!("must have 1 to {NOTICE_BYTES} bytes, got {}", text.len())));
        }
        let severity = notice.severity.unwrap_or(NoteSeverity::Critical);
        let kind = match severity {
            NoteSeverity::Critical => EventKind::Alert,
            NoteSeverity::Informational => EventKind::Message,
        };
        let payload = json!({"text": text, "command_id": notice.command_id});
        let event = NewEvent::new(kind, &payload).map_err(|error| Refusal::argument("text", error))?;
        let request = ["notify", kind.name(), &text];
        self.once(notice.command_id, &request, async {
            if severity == NoteSeverity::Critical {
                let published = self.events.critical(event).await?;
                return Ok(json!({"event_id": published.event_id.to_string(), "delivery": "until acknowledged"}));
            }
            self.events.inform(&event);
            Ok(json!({"delivery": "to whoever listens now"}))
        })
        .await
    }
}
