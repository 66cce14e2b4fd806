//! What the gateway itself asks containers for: context, files, memory, backtests, watch lists.

use super::{ClientError, ContainerClient, Repeat, ToolCall};
use proto::UserId;
use serde::Serialize;
use serde_json::{Map, Value, json};
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

const USER_PROFILE: &str = "context://user-profile";
const CONVERSATION_SUMMARY: &str = "context://conversation-summary";
const WORKSPACE_STATE: &str = "context://workspace-state";
const SYSTEM_PROMPT: &str = "context://system-prompt";

/// The resources that are followed.
pub(super) const URIS: [&str; 4] = [USER_PROFILE, CONVERSATION_SUMMARY, WORKSPACE_STATE, SYSTEM_PROMPT];

/// What a model should know before it answers. Written by the user or by models: data, never instructions of the platform.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContextResources {
    /// Style, risk tolerance, preferences; JSON.
    pub user_profile: Arc<str>,
    /// What was talked about; Markdown.
    pub conversation_summary: Arc<str>,
    /// Chart, watch list, files, backtests; JSON.
    pub workspace_state: Arc<str>,
    /// What the user wants the assistant to be told; Markdown.
    pub system_prompt: Arc<str>,
}

/// Kinds of files of the workspace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FileKind {
    /// `strategies/`
    Strategies,
    /// `indicators/`
    Indicators,
}

impl FileKind {
    /// The kind with this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "strategies" => Some(Self::Strategies),
            "indicators" => Some(Self::Indicators),
            _ => None,
        }
    }

    /// Its directory.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Strategies => "strategies",
            Self::Indicators => "indicators",
        }
    }
}

/// Messages that were erased, as the container counted them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Erased {
    /// Before.
    pub before: u64,
    /// After: 0, or it is not erased.
    pub after: u64,
}

impl ContainerClient {
    /// The four context resources, believed for some minutes unless the container says that one has changed.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn context(&self, owner: UserId) -> Result<ContextResources, ClientError> {
        let (user_profile, conversation_summary, workspace_state, system_prompt) = tokio::try_join!(
            self.resource(owner, USER_PROFILE),
            self.resource(owner, CONVERSATION_SUMMARY),
            self.resource(owner, WORKSPACE_STATE),
            self.resource(owner, SYSTEM_PROMPT),
        )?;
        Ok(ContextResources { user_profile, conversation_summary, workspace_state, system_prompt })
    }

    /// Calls a tool whose answer is JSON.
    ///
    /// # Errors
    /// [`ClientError`]; [`ClientError::Refused`] if the tool refuses.
    pub async fn ask(&self, owner: UserId, tool: &str, arguments: Value, repeat: Repeat) -> Result<Value, ClientError> {
        let arguments = match arguments {
            // What is not given is not there.
            Value::Object(arguments) => arguments.into_iter().filter(|(_, value)| !value.is_null()).collect(),
            _ => Map::new(),
        };
        let call = ToolCall { owner, name: tool.to_owned(), arguments, repeat, traceparent: None };
        let called = self.call(call, Arc::new(|_| {}), &CancellationToken::new()).await?;
        let malformed = |error: serde_json::Error| ClientError::Malformed { message: error.to_string() };
        let answer: Value = serde_json::from_str(&called.text).map_err(malformed)?;
        if !called.refused {
            return Ok(answer);
        }
        let text = |key: &str| answer["error"][key].as_str().unwrap_or_default().to_owned();
        Err(ClientError::Refused { code: text("code"), field: text("field"), message: text("message") })
    }

    async fn read(&self, owner: UserId, tool: &str, arguments: Value) -> Result<Value, ClientError> {
        self.ask(owner, tool, arguments, Repeat::Safely).await
    }

    /// Keeps a message: `role` is `user`, `assistant`, `system` or `tool`. The same `command_id` keeps it once.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn save_message(
        &self,
        owner: UserId,
        conversation: &str,
        role: &str,
        content: &str,
        command_id: &str,
    ) -> Result<Value, ClientError> {
        let message = json!({"conversation": conversation, "role": role, "content": content, "command_id": command_id});
        self.read(owner, "save_message", message).await
    }

    /// `{messages, note?}`: earlier messages by words and by meaning.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn search_memory(&self, owner: UserId, query: &str, limit: Option<u32>) -> Result<Value, ClientError> {
        self.read(owner, "search_conversation", json!({"query": query, "limit": limit})).await
    }

    /// `{messages, next}`: a page of all messages, oldest first; `after` is `next` of the page before.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn export_memory(&self, owner: UserId, after: Option<&str>) -> Result<Value, ClientError> {
        self.read(owner, "export_conversation", json!({ "after": after })).await
    }

    /// Deletes every message, once for each `command_id`.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn erase_memory(&self, owner: UserId, command_id: &str) -> Result<Erased, ClientError> {
        let arguments = json!({"confirm": "erase", "command_id": command_id});
        let told = self.read(owner, "erase_conversation", arguments).await?;
        let count = |key: &str| {
            let missing = || ClientError::Malformed { message: format!("{key} is missing") };
            told[key].as_u64().ok_or_else(missing)
        };
        Ok(Erased { before: count("erased")?, after: count("left")? })
    }

    /// `{files: [...]}`
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn list_files(&self, owner: UserId, kind: FileKind) -> Result<Value, ClientError> {
        let tool = match kind {
            FileKind::Strategies => "list_strategies",
            FileKind::Indicators => "list_indicators",
        };
        self.read(owner, tool, json!({})).await
    }

    /// `{code, commit}`, now or as of a commit.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn read_file(
        &self,
        owner: UserId,
        kind: FileKind,
        name: &str,
        commit: Option<&str>,
    ) -> Result<Value, ClientError> {
        let tool = match kind {
            FileKind::Strategies => "read_strategy",
            FileKind::Indicators => "read_indicator",
        };
        self.read(owner, tool, json!({"name": name, "commit": commit})).await
    }

    /// `{commits: [...]}`, newest first, of one file or of all.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn file_history(
        &self,
        owner: UserId,
        file: Option<(FileKind, &str)>,
        limit: Option<u32>,
    ) -> Result<Value, ClientError> {
        let path = file.map(|(kind, name)| format!("{}/{name}.py", kind.name()));
        self.read(owner, "file_history", json!({"path": path, "limit": limit})).await
    }

    /// `{diff, truncated}` between two commits; without `to`, up to now.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn file_diff(&self, owner: UserId, from: &str, to: Option<&str>) -> Result<Value, ClientError> {
        self.read(owner, "file_diff", json!({"from": from, "to": to})).await
    }

    /// `{backtests: [...]}`, newest first.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn list_backtests(&self, owner: UserId, limit: Option<u32>) -> Result<Value, ClientError> {
        self.read(owner, "list_backtests", json!({ "limit": limit })).await
    }

    /// `{run, summary, checks}` of a backtest.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn read_backtest(&self, owner: UserId, id: &str) -> Result<Value, ClientError> {
        self.read(owner, "read_backtest", json!({ "id": id })).await
    }

    /// The whole report of a backtest as JSON: curves, fills, round trips.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn backtest_document(&self, owner: UserId, id: &str) -> Result<Value, ClientError> {
        self.read(owner, "read_backtest", json!({"id": id, "part": "json"})).await
    }

    /// The page of a backtest. It was written by user code: show it only where it can do nothing (a sandboxed frame).
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn backtest_page(&self, owner: UserId, id: &str) -> Result<String, ClientError> {
        match self.read(owner, "read_backtest", json!({"id": id, "part": "html"})).await?["html"].take() {
            Value::String(html) => Ok(html),
            _ => Err(ClientError::Malformed { message: "html is missing".to_owned() }),
        }
    }

    /// `{name, symbols}`
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn watch_list(&self, owner: UserId, name: Option<&str>) -> Result<Value, ClientError> {
        self.read(owner, "get_watchlist", json!({ "name": name })).await
    }

    /// Replaces the symbols of a watch list, once for each `command_id`.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn set_watch_list(
        &self,
        owner: UserId,
        name: Option<&str>,
        symbols: &[String],
        command_id: &str,
    ) -> Result<Value, ClientError> {
        let arguments = json!({"name": name, "symbols": symbols, "command_id": command_id});
        self.read(owner, "set_watchlist", arguments).await
    }
}
