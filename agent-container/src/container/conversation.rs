//! Tools over the conversation memory.

use super::Container;
use super::answer::{Answer, Refusal};
use super::resources::{self, RESOURCE_BYTES};
use crate::mcp::tools::{Erasure, Message, Page, Search, Worded};
use crate::memory::{MemoryError, NewMessage, Role, SearchMode, SearchRequest};
use serde_json::{Value, json};

/// Results when nobody says how many.
const RESULTS: u32 = 5;
/// Messages around each result.
const NEIGHBOURS: usize = 1;
/// Bytes of one page of an export.
const PAGE_BYTES: usize = 256 << 10;

impl From<MemoryError> for Refusal {
    fn from(error: MemoryError) -> Self {
        let (code, field) = match &error {
            MemoryError::Quota { limit, .. } => ("QUOTA", limit.name()),
            MemoryError::Argument { field, .. } => ("INVALID_ARGUMENT", *field),
            MemoryError::CommandReused => ("CONFLICT", "command_id"),
            _ => {
                tracing::error!(%error, "the memory failed");
                ("FAILED", "")
            }
        };
        Self::new(code, field, error)
    }
}

const fn role(role: Worded) -> Role {
    match role {
        Worded::User => Role::User,
        Worded::Assistant => Role::Assistant,
        Worded::System => Role::System,
        Worded::Tool => Role::Tool,
    }
}

impl Container {
    pub(super) async fn save_message(&self, message: Message) -> Result<Answer, Refusal> {
        let message = NewMessage {
            conversation_id: message.conversation.unwrap_or_else(|| "main".to_owned()),
            role: role(message.role),
            content: message.content,
            channel: "mcp".to_owned(),
            at_ns: self.clock.now_ns(),
            metadata: None,
            command_id: message.command_id,
        };
        let saved = self.memory.save(message).await?;
        self.updates.changed(resources::CONVERSATION_SUMMARY);
        Ok(Answer::of(&json!({"id": saved.id, "repeated": saved.replayed})))
    }

    pub(super) async fn search_conversation(&self, wanted: Search) -> Result<Answer, Refusal> {
        let request = SearchRequest {
            query: wanted.query,
            mode: SearchMode::Hybrid,
            conversation_id: None,
            limit: usize::try_from(wanted.limit.unwrap_or(RESULTS)).unwrap_or(usize::MAX),
            neighbours: NEIGHBOURS,
        };
        let found = self.memory.search(&request).await?;
        let near = |messages: &[crate::memory::Message]| -> Vec<Value> {
            messages.iter().map(|it| json!({"role": it.role, "content": it.content})).collect()
        };
        let hit = |hit: &crate::memory::Hit| {
            let it = &hit.message;
            json!({
                "id": it.id, "conversation": it.conversation_id, "role": it.role, "content": it.content,
                "at_ns": it.at_ns, "before": near(&hit.before), "after": near(&hit.after),
            })
        };
        let messages: Vec<Value> = found.hits.iter().map(hit).collect();
        let mut told = json!({ "messages": messages });
        if let Some(note) = found.note {
            told["note"] = note.to_string().into();
        }
        Ok(Answer::of(&told))
    }

    /// A page begins behind the place that the page before names.
    pub(super) async fn export_conversation(&self, wanted: Page) -> Result<Answer, Refusal> {
        let after = wanted.after.as_deref().map(str::parse::<i64>).transpose();
        let mut after =
            after.map_err(|_| Refusal::argument("after", "must be `next` of an earlier page"))?.unwrap_or(0);
        let (mut messages, mut bytes, mut more) = (Vec::new(), 0, false);
        'pages: loop {
            let page = self.memory.after(after).await?;
            if page.is_empty() {
                break;
            }
            for message in page {
                bytes += message.content.len();
                if bytes > PAGE_BYTES && !messages.is_empty() {
                    more = true;
                    break 'pages;
                }
                after = message.seq;
                messages.push(message);
            }
        }
        Ok(Answer::of(&json!({"messages": messages, "next": more.then(|| after.to_string())})))
    }

    pub(super) async fn erase_conversation(&self, wanted: Erasure) -> Result<Answer, Refusal> {
        if wanted.confirm != "erase" {
            return Err(Refusal::argument("confirm", "must be \"erase\""));
        }
        // Doing it again erases what was said since: the command is remembered.
        self.once(wanted.command_id, &["erase"], async {
            let erased = self.memory.erase().await?;
            self.updates.changed(resources::CONVERSATION_SUMMARY);
            Ok(json!({"erased": erased.before.messages, "left": erased.after.messages}))
        })
        .await
    }

    pub(super) async fn conversation_summary(&self) -> Result<String, Refusal> {
        Ok(self.memory.context_summary(RESOURCE_BYTES).await?)
    }
}
