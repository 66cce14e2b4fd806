//! The four resources that say what a model should know before it answers.

use super::answer::Refusal;
use super::{Container, files};
use crate::workspace::{FilePath, Kind};
use serde_json::{Value, json};

/// Style, risk tolerance, preferences.
pub(crate) const USER_PROFILE: &str = "context://user-profile";
/// What was talked about.
pub(crate) const CONVERSATION_SUMMARY: &str = "context://conversation-summary";
/// Chart, watch list, files, backtests.
pub(crate) const WORKSPACE_STATE: &str = "context://workspace-state";
/// What the user wants the assistant to be told.
pub(crate) const SYSTEM_PROMPT: &str = "context://system-prompt";

/// URI, name, description and type of each.
pub(crate) const ALL: [(&str, &str, &str, &str); 4] = [
    (USER_PROFILE, "user-profile", "The user's trading style, risk tolerance and preferences", "application/json"),
    (
        CONVERSATION_SUMMARY,
        "conversation-summary",
        "Summary of the conversation and its last messages",
        "text/markdown",
    ),
    (WORKSPACE_STATE, "workspace-state", "Chart, watch list, strategies, indicators and backtests", "application/json"),
    (SYSTEM_PROMPT, "system-prompt", "The user's own instructions; they never override limits", "text/markdown"),
];

/// Bytes of a resource that is sent with every question.
pub(crate) const RESOURCE_BYTES: usize = 16 << 10;
/// Names of a kind that the state lists.
const LISTED: usize = 50;

impl Container {
    /// The text of a resource.
    ///
    /// # Errors
    /// If the volume or the memory fails.
    pub(crate) async fn read_resource(&self, uri: &str) -> Result<String, Refusal> {
        match uri {
            USER_PROFILE => Ok(self.only(Kind::Preferences).await?.unwrap_or_else(|| "{}".to_owned())),
            SYSTEM_PROMPT => Ok(self.only(Kind::SystemPrompt).await?.unwrap_or_default()),
            WORKSPACE_STATE => self.workspace_state().await,
            _ => self.conversation_summary().await,
        }
    }

    /// The one file of a kind that has one; `None` if it was never written.
    pub(super) async fn only(&self, kind: Kind) -> Result<Option<String>, Refusal> {
        let Some(path) = FilePath::only(kind) else { return Ok(None) };
        match self.files(move |workspace, now_ns| workspace.read(&path, None, now_ns)).await {
            Ok(version) => Ok(Some(version.content)),
            Err(refusal) if refusal.code == files::NOT_FOUND => Ok(None),
            Err(refusal) => Err(refusal),
        }
    }

    async fn workspace_state(&self) -> Result<String, Refusal> {
        let saved = self.only(Kind::State).await?.unwrap_or_else(|| "{}".to_owned());
        let mut state: Value = serde_json::from_str(&saved).map_err(Refusal::failed)?;
        if !state.is_object() {
            state = json!({ "state": state });
        }
        let watchlist = self.watchlist("main").await?;
        let names = |kind| async move {
            let files = self.files(move |workspace, now_ns| workspace.list(kind, now_ns)).await?;
            Ok::<_, Refusal>(files.into_iter().take(LISTED).map(|file| file.name).collect::<Vec<_>>())
        };
        state["watchlist"] = json!(watchlist);
        state["strategies"] = json!(names(Kind::Strategy).await?);
        state["indicators"] = json!(names(Kind::Indicator).await?);
        state["backtests"] = json!(self.runs.latest(5));
        Ok(state.to_string())
    }
}
