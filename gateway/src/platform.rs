//! The platform's own tools: markets, the chart, knowledge, the account. They need no container and wake none.
//!
//! What each takes and answers is said in `offline_assistant::platform_tools`; here it is carried out. A symbol is taken as a
//! person types it ([`resolve`]); a number that is not known is left out, never made up.

mod arguments;
mod chart;
mod market;
mod resolve;

use crate::directory::reader::SharedDirectory;
use crate::error::{ApiError, Code};
use crate::http::App;
use crate::platform::arguments::read;
use crate::series::candles::Candles;
use accounts::Accounts;
use harness::tool::{Invocation, ToolOutcome, ToolSpec};
use offline_assistant::knowledge::Knowledge;
use offline_assistant::platform_tools;
use proto::UserId;
use serde::Serialize;
use serde_json::{Value, json};
use std::sync::Arc;

/// Carries the platform's tools out.
#[derive(Debug, Clone)]
pub(crate) struct PlatformTools {
    pub(crate) app: Arc<App>,
    pub(crate) accounts: Arc<Accounts>,
    pub(crate) knowledge: Arc<Knowledge>,
}

/// Why a tool did not do what was asked.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Refusal {
    code: &'static str,
    field: String,
    message: String,
    candidates: Vec<String>,
}

impl Refusal {
    fn new(code: &'static str, field: &str, message: impl Into<String>) -> Self {
        Self { code, field: field.to_owned(), message: message.into(), candidates: Vec::new() }
    }

    fn value(&self) -> Value {
        let mut error = json!({"code": self.code, "field": self.field, "message": self.message});
        if !self.candidates.is_empty() {
            error["candidates"] = json!(self.candidates);
        }
        error
    }
}

impl From<ApiError> for Refusal {
    fn from(error: ApiError) -> Self {
        let code = match error.code {
            Code::InvalidField | Code::Malformed | Code::TooManyRows => "INVALID_ARGUMENT",
            Code::UnknownSymbol | Code::NotFound | Code::UnknownRequest => "NOT_FOUND",
            Code::LimitExceeded | Code::OverQuota => "QUOTA",
            Code::Overloaded => "BUSY",
            Code::Timeout => "TIMED_OUT",
            Code::NoIngestor | Code::NotAvailable | Code::VenueFailed | Code::SnapshotGone => "NOT_AVAILABLE",
            _ => "FAILED",
        };
        Self::new(code, &error.field, error.message)
    }
}

impl From<Refusal> for ToolOutcome {
    fn from(refusal: Refusal) -> Self {
        let mut outcome = Self::refused(refusal.code, &refusal.field, &refusal.message);
        outcome.content = json!({"error": refusal.value()}).to_string();
        outcome
    }
}

fn done(answer: &impl Serialize, summary: impl Into<String>) -> ToolOutcome {
    match serde_json::to_string(answer) {
        Ok(content) => ToolOutcome::done(content, summary),
        Err(_) => ToolOutcome::refused("FAILED", "", "the answer cannot be written"),
    }
}

impl PlatformTools {
    /// What there is.
    pub(crate) fn specs() -> Vec<ToolSpec> {
        platform_tools::specs()
    }

    fn candles(&self) -> &Arc<Candles> {
        &self.app.candles
    }

    fn directory(&self) -> &SharedDirectory {
        &self.app.directory
    }

    /// Carries a call out; an unknown tool is refused.
    pub(crate) async fn call(&self, call: &Invocation) -> ToolOutcome {
        let arguments = Value::Object(call.arguments.clone());
        let outcome = match call.name.as_str() {
            "get_price" => self.get_price(arguments).await,
            "get_candles" => self.get_candles(arguments).await,
            "list_instruments" => self.list_instruments(arguments),
            "request_history" => self.request_history(arguments),
            "show_chart" => self.show_chart(arguments).await,
            "change_chart" => Self::change_chart(arguments),
            "mark_chart" => Self::mark_chart(arguments),
            "find_breakouts" => self.find_breakouts(arguments).await,
            "find_levels" => self.find_levels(arguments).await,
            "get_account" => self.get_account(call.user).await,
            "search_knowledge" => self.search_knowledge(call.user, arguments).await,
            "platform_health" => Ok(self.platform_health()),
            name => Err(Refusal::new("NOT_FOUND", "", format!("there is no tool {name:.64}"))),
        };
        outcome.unwrap_or_else(Into::into)
    }

    fn platform_health(&self) -> ToolOutcome {
        let health = self.app.health();
        let summary = match health.problems.as_slice() {
            [] => format!("{} feeds, all live", health.feeds.len()),
            problems => problems.join("; "),
        };
        done(&health, summary)
    }

    async fn get_account(&self, user: UserId) -> Result<ToolOutcome, Refusal> {
        let unavailable = || Refusal::new("NOT_AVAILABLE", "", "the account cannot be read now; try again");
        let account = self.accounts.profile_of(user).await.map_err(|_| unavailable())?.ok_or_else(unavailable)?;
        Ok(done(&account, "Your account"))
    }

    async fn search_knowledge(&self, user: UserId, given: Value) -> Result<ToolOutcome, Refusal> {
        let wanted: arguments::Knowledge = read(given)?;
        let found = self.knowledge.search(user, &wanted.query, wanted.limit.unwrap_or(3)).await;
        let snippets = found.map_err(|error| Refusal::new("INVALID_ARGUMENT", "query", error.to_string()))?;
        let summary = format!("{} sections", snippets.len());
        Ok(done(&json!({"snippets": snippets}), summary))
    }
}
