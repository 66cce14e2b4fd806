//! What belongs to a message: the user's own earlier messages and the platform's pages.

use crate::people::context::part_error;
use async_trait::async_trait;
use harness::parts::{PartError, Retriever, Snippet};
use offline_assistant::knowledge::{Knowledge, QUERY_BYTES_MAX, SNIPPETS_MAX};
use proto::UserId;
use provisioner::ContainerClient;
use serde_json::Value;
use std::sync::Arc;

/// Of the user's own messages, so many of the snippets at most.
const OWN: usize = 3;
/// Bytes of a message that a model is told.
const MESSAGE_BYTES: usize = 600;

/// The user's memory, in the container, and the platform's, here. Another user's is never asked for: both are asked with the user's id.
#[derive(Debug)]
pub(super) struct Memories {
    pub(super) client: ContainerClient,
    pub(super) knowledge: Arc<Knowledge>,
}

fn cut(text: &str, most: usize) -> &str {
    let mut end = text.len().min(most);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

fn own(found: &Value, most: usize) -> Vec<Snippet> {
    let messages = found["messages"].as_array().map(Vec::as_slice).unwrap_or_default();
    let snippet = |message: &Value| {
        let content = message["content"].as_str()?;
        let role = message["role"].as_str().unwrap_or("user");
        let source = format!("conversation ({role})");
        Some(Snippet { source, text: cut(content, MESSAGE_BYTES).to_owned() })
    };
    messages.iter().filter_map(snippet).take(most).collect()
}

#[async_trait]
impl Retriever for Memories {
    async fn retrieve(&self, user: UserId, query: &str, most: usize) -> Result<Vec<Snippet>, PartError> {
        let query = cut(query.trim(), QUERY_BYTES_MAX);
        if query.is_empty() || most == 0 {
            return Ok(Vec::new());
        }
        let limit = u32::try_from(most.min(OWN)).unwrap_or(1);
        let of_platform = self.knowledge.search(user, query, most.min(SNIPPETS_MAX));
        let (remembered, known) = tokio::join!(self.client.search_memory(user, query, Some(limit)), of_platform);
        let mut snippets = match remembered {
            Ok(found) => own(&found, most.min(OWN)),
            // The platform's pages help all the same.
            Err(error) if known.is_ok() => {
                tracing::debug!(%user, %error, "the user's memory cannot be searched");
                Vec::new()
            }
            Err(error) => return Err(part_error(&error)),
        };
        let known = known.map_err(|error| PartError { message: error.to_string(), retryable: false })?;
        let page = |it: offline_assistant::knowledge::Snippet| Snippet {
            source: format!("knowledge/{} ({})", it.source, it.heading),
            text: it.text,
        };
        let room = most.saturating_sub(snippets.len());
        snippets.extend(known.into_iter().take(room).map(page));
        Ok(snippets)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn own_messages_are_cut_at_a_character() {
        let long = "ü".repeat(MESSAGE_BYTES);
        let found = json!({"messages": [{"role": "assistant", "content": long}, {"content": 7}, {"content": "b"}, {"content": "c"}]});
        let snippets = own(&found, 2);
        assert_eq!(snippets.len(), 2);
        assert_eq!(snippets[0].text.chars().count(), MESSAGE_BYTES / 2);
        assert_eq!((snippets[0].source.as_str(), snippets[1].text.as_str()), ("conversation (assistant)", "b"));
        assert!(own(&json!({}), 2).is_empty());
    }
}
