//! A conversation as the harness leads it: ask the model, carry out its calls, ask again, until it calls nothing more.

use crate::world::World;
use futures_util::StreamExt;
use harness::model::{Chunk, Finish, Message, Model, Prompt, ToolRequest};
use harness::tool::{Invocation, Tools};
use offline_assistant::{OfflineAssistant, ROUNDS_MAX};
use proto::UserId;
use service::clock::Clock;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// 2026-03-15T10:20:30Z.
pub(crate) const NOW_NS: u64 = 1_773_570_030_000_000_000;

/// What was said in a turn.
#[derive(Debug, Clone)]
pub(crate) struct Told {
    /// Of all rounds.
    pub(crate) text: String,
    /// Tools in the order of their calls.
    pub(crate) tools: Vec<String>,
    /// Their arguments.
    pub(crate) arguments: Vec<serde_json::Value>,
}

/// A user, their tools and what was said.
#[derive(Debug)]
pub(crate) struct Conversation {
    pub(crate) world: World,
    pub(crate) messages: Vec<Message>,
    model: OfflineAssistant,
}

impl Conversation {
    pub(crate) fn new(world: World) -> Self {
        Self { world, messages: Vec::new(), model: OfflineAssistant::new(Clock::manual(NOW_NS)) }
    }

    /// The prompt of the next round.
    pub(crate) async fn prompt(&self) -> Prompt {
        let tools = self.world.list(user()).await.unwrap();
        Prompt {
            system: self.world.system(),
            messages: self.messages.clone(),
            tools,
            max_output_tokens: 2000,
            temperature: None,
        }
    }

    /// Says something and waits for the end of the turn.
    pub(crate) async fn say(&mut self, text: &str) -> Told {
        self.messages.push(Message::User { text: text.to_owned() });
        let mut told = Told { text: String::new(), tools: Vec::new(), arguments: Vec::new() };
        for round in 0.. {
            assert!(round <= ROUNDS_MAX, "{text}: no end after {round} rounds: {:?}", told.tools);
            let (text, calls) = self.round().await;
            if !text.is_empty() {
                told.text = if told.text.is_empty() { text.clone() } else { format!("{}\n\n{text}", told.text) };
            }
            self.messages.push(Message::Assistant { text, calls: calls.clone() });
            if calls.is_empty() {
                break;
            }
            for call in calls {
                let arguments: serde_json::Value = serde_json::from_str(&call.arguments).unwrap();
                told.tools.push(call.name.clone());
                told.arguments.push(arguments.clone());
                let invocation = Invocation {
                    user: user(),
                    name: call.name,
                    arguments: arguments.as_object().cloned().unwrap(),
                    command_id: call.id.clone(),
                    traceparent: None,
                };
                let outcome = self.world.call(invocation, Arc::new(|_| ()), CancellationToken::new()).await;
                let content = format!("<data source=\"tool\">\n{}\n</data>\n", outcome.content);
                self.messages.push(Message::Tool { call_id: call.id, content });
            }
        }
        told
    }

    async fn round(&self) -> (String, Vec<ToolRequest>) {
        let prompt = self.prompt().await;
        let mut answer = self.model.ask(&prompt).await.unwrap();
        let (mut text, mut calls, mut finish) = (String::new(), Vec::new(), None);
        while let Some(chunk) = answer.next().await {
            assert_eq!(finish, None, "nothing follows the end");
            match chunk.unwrap() {
                Chunk::Text(more) => text.push_str(&more),
                Chunk::Call { index, id, name, arguments } => {
                    assert_eq!(index, calls.len());
                    calls.push(ToolRequest { id: id.unwrap(), name: name.unwrap(), arguments });
                }
                Chunk::Usage(usage) => assert_eq!(usage.output_tokens, 0),
                Chunk::End(end) => finish = Some(end),
            }
        }
        assert_eq!(finish, Some(if calls.is_empty() { Finish::Stop } else { Finish::ToolCalls }));
        assert!(!text.is_empty() || !calls.is_empty());
        (text, calls)
    }
}

pub(crate) fn user() -> UserId {
    UserId::from_bits(7)
}
