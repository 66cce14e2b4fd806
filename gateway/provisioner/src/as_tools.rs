//! A user's container as tools of the assistant.
//!
//! The model never sees `command_id`: it is taken out of the schemas, and the harness's own is put in, so that a call that is carried on
//! elsewhere, or sent again because the container was lost, is carried out once.

mod cards;
mod summary;

use crate::client::{Called, ClientError, ContainerClient, Repeat, ToolCall};
use async_trait::async_trait;
use harness::tool::{Effect, Home, Invocation, OnProgress, ToolOutcome, ToolSpec, Tools, ToolsError};
use proto::UserId;
use rmcp::model::Tool;
use serde_json::{Value, json};
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// The argument that the harness sets.
const COMMAND_ID: &str = "command_id";

/// What a model gets of one answer, characters; the whole of it is a card or a file.
const CONTENT_CHARS: usize = 48_000;

/// The tools of users' containers.
#[derive(Debug, Clone)]
pub struct ContainerTools {
    client: ContainerClient,
}

impl ContainerTools {
    /// Over a client.
    #[must_use]
    pub const fn new(client: ContainerClient) -> Self {
        Self { client }
    }

    /// The client.
    #[must_use]
    pub const fn client(&self) -> &ContainerClient {
        &self.client
    }

    /// The tool with this name, and whether it takes a command id.
    async fn tool(&self, owner: UserId, name: &str) -> Result<Option<(Effect, bool)>, ClientError> {
        let tools = self.client.tools(owner).await?;
        let tool = tools.iter().find(|tool| tool.name == name);
        Ok(tool.map(|tool| (effect(tool), takes_command_id(tool))))
    }

    async fn call_tool(
        &self,
        call: &Invocation,
        on_progress: OnProgress,
        cancel: &CancellationToken,
    ) -> Result<ToolOutcome, ClientError> {
        let known = tokio::select! {
            known = self.tool(call.user, &call.name) => known?,
            () = cancel.cancelled() => return Err(ClientError::Cancelled),
        };
        let Some((effect, takes_command_id)) = known else {
            return Ok(ToolOutcome::refused("UNKNOWN_TOOL", "", &format!("there is no tool {:.64}", call.name)));
        };
        let mut arguments = call.arguments.clone();
        arguments.remove(COMMAND_ID);
        // What reads needs none, and one tool reads or adds as it is asked: its id does no harm.
        if takes_command_id {
            arguments.insert(COMMAND_ID.to_owned(), call.command_id.clone().into());
        }
        let repeat = if effect == Effect::Reads || takes_command_id { Repeat::Safely } else { Repeat::Never };
        let request = ToolCall {
            owner: call.user,
            name: call.name.clone(),
            arguments,
            repeat,
            traceparent: call.traceparent.clone(),
        };
        let called = self.client.call(request, on_progress, cancel).await?;
        Ok(self.outcome(call, called).await)
    }

    async fn outcome(&self, call: &Invocation, called: Called) -> ToolOutcome {
        let answer: Value = serde_json::from_str(&called.text).unwrap_or(Value::Null);
        let mut content = bounded(called.text);
        if called.dropped > 0 {
            let note = format!("\n({} pictures were too many or too large to be shown)", called.dropped);
            content.push_str(&note);
        }
        let pictures = cards::pictures(&call.name, called.pictures);
        if called.refused {
            let message = answer["error"]["message"].as_str().unwrap_or("the tool refused");
            let summary = summary::first_line(message);
            return ToolOutcome { ok: false, content, summary, cards: pictures, chart: Vec::new() };
        }
        let mut cards = match call.name.as_str() {
            "run_backtest" => self.backtest_card(call, &answer).await.into_iter().collect(),
            "read_backtest" => cards::read_backtest(&answer).into_iter().collect(),
            "write_strategy" | "write_indicator" => self.code_card(call, &answer).await.into_iter().collect(),
            "list_backtests" => cards::backtests(&answer).into_iter().collect(),
            _ => Vec::new(),
        };
        cards.extend(pictures);
        let summary = summary::of(&call.name, &answer);
        ToolOutcome { ok: true, content, summary, cards, chart: Vec::new() }
    }
}

/// Cuts at a character; JSON that is cut says so.
fn bounded(text: String) -> String {
    match text.char_indices().nth(CONTENT_CHARS) {
        None => text,
        Some((at, _)) => format!("{}… (cut: {} bytes in all)", &text[..at], text.len()),
    }
}

fn takes_command_id(tool: &Tool) -> bool {
    tool.input_schema.get("properties").is_some_and(|properties| properties.get(COMMAND_ID).is_some())
}

fn effect(tool: &Tool) -> Effect {
    let hints = tool.annotations.as_ref();
    if hints.and_then(|hints| hints.read_only_hint) == Some(true) {
        Effect::Reads
    } else if takes_command_id(tool) {
        Effect::Commands
    } else {
        Effect::Runs
    }
}

/// A tool as the model sees it.
fn spec(tool: &Tool) -> ToolSpec {
    let mut schema = Value::Object(tool.input_schema.as_ref().clone());
    if let Some(properties) = schema.get_mut("properties").and_then(Value::as_object_mut) {
        properties.remove(COMMAND_ID);
    }
    if let Some(required) = schema.get_mut("required").and_then(Value::as_array_mut) {
        required.retain(|name| name != COMMAND_ID);
    }
    ToolSpec {
        name: tool.name.to_string(),
        description: tool.description.as_deref().unwrap_or_default().to_owned(),
        schema,
        effect: effect(tool),
        home: Home::Container,
    }
}

#[async_trait]
impl Tools for ContainerTools {
    async fn list(&self, user: UserId) -> Result<Arc<[ToolSpec]>, ToolsError> {
        let tools = self.client.tools(user).await;
        let tools = tools.map_err(|error| ToolsError { message: error.for_user(), retryable: error.is_retryable() })?;
        Ok(tools.iter().map(spec).collect())
    }

    async fn call(&self, call: Invocation, on_progress: OnProgress, cancel: CancellationToken) -> ToolOutcome {
        match self.call_tool(&call, on_progress, &cancel).await {
            Ok(outcome) => outcome,
            Err(error) => {
                tracing::warn!(user = %call.user, tool = %call.name, %error, "a call failed");
                let message = error.for_user();
                let told = json!({"error": {
                    "code": error.code(), "field": "", "message": message, "retryable": error.is_retryable(),
                }});
                ToolOutcome { ok: false, summary: message, ..ToolOutcome::done(told.to_string(), "") }
            }
        }
    }
}

#[cfg(test)]
mod tests;
