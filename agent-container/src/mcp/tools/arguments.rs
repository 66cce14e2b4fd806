//! Arguments of the tools. Lengths are checked by what takes them; types and names here.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// No arguments.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Nothing {}

/// Who said it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Worded {
    User,
    Assistant,
    System,
    Tool,
}

/// Arguments of `save_message`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Message {
    pub(crate) role: Worded,
    pub(crate) content: String,
    /// Default "main".
    #[serde(default)]
    pub(crate) conversation: Option<String>,
    /// Your own id; the same one saves once.
    #[serde(default)]
    pub(crate) command_id: Option<String>,
}

/// Arguments of `search_conversation`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Search {
    pub(crate) query: String,
    /// Default 5, at most 50.
    #[serde(default)]
    pub(crate) limit: Option<u32>,
}

/// A page of an export.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Page {
    /// `next` of the page before.
    #[serde(default)]
    pub(crate) after: Option<String>,
}

/// Arguments of `erase_conversation`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Erasure {
    /// Must be "erase".
    pub(crate) confirm: String,
    #[serde(default)]
    pub(crate) command_id: Option<String>,
}

/// A file by its name.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NamedFile {
    pub(crate) name: String,
    /// As of this commit.
    #[serde(default)]
    pub(crate) commit: Option<String>,
}

/// A file and its new text.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SourceCode {
    /// Letters, digits, _ and -.
    pub(crate) name: String,
    pub(crate) code: String,
    /// Commit message.
    #[serde(default)]
    pub(crate) why: Option<String>,
    /// Refuse if the file changed after this commit.
    #[serde(default)]
    pub(crate) expected_commit: Option<String>,
    #[serde(default)]
    pub(crate) command_id: Option<String>,
}

/// Arguments of `delete_file`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Deletion {
    /// E.g. strategies/cross.py
    pub(crate) path: String,
    #[serde(default)]
    pub(crate) why: Option<String>,
    #[serde(default)]
    pub(crate) command_id: Option<String>,
}

/// Arguments of `file_history`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PastCommit {
    #[serde(default)]
    pub(crate) path: Option<String>,
    /// Default 20.
    #[serde(default)]
    pub(crate) limit: Option<u32>,
}

/// Arguments of `file_diff`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct DiffRange {
    pub(crate) from: String,
    /// Default: now.
    #[serde(default)]
    pub(crate) to: Option<String>,
}

/// Arguments of `revert_commit`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Revert {
    pub(crate) commit: String,
    #[serde(default)]
    pub(crate) why: Option<String>,
    #[serde(default)]
    pub(crate) command_id: Option<String>,
}

/// Which market data.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Market {
    /// E.g. BINANCE
    pub(crate) venue: String,
    /// E.g. BTC/USDT
    pub(crate) symbol: String,
    /// 1s, 1m, 5m, 15m, 1h, 4h, 1d or "ticks".
    pub(crate) interval: String,
    /// RFC 3339.
    pub(crate) from: String,
    /// RFC 3339.
    pub(crate) to: String,
    /// Data as of this lake snapshot.
    #[serde(default)]
    pub(crate) snapshot: Option<String>,
}

/// Arguments of `run_backtest`.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct BacktestArguments {
    /// Name of a saved strategy.
    pub(crate) strategy: String,
    pub(crate) market: Market,
    /// In place of the strategy's own parameters.
    #[serde(default)]
    pub(crate) params: BTreeMap<String, Value>,
    /// cash (default "10000"), maker_fee, taker_fee, slippage, tick_size, lot_size, leverage, participation: decimals as
    /// strings; latency_ns; shorting: bool.
    #[serde(default)]
    pub(crate) terms: BTreeMap<String, Value>,
    #[serde(default)]
    pub(crate) checks: Option<Checks>,
    #[serde(default)]
    pub(crate) seed: Option<u64>,
    #[serde(default)]
    pub(crate) command_id: Option<String>,
}

/// Arguments of `compute_indicator`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct IndicatorArguments {
    /// Name of a saved indicator.
    pub(crate) indicator: String,
    pub(crate) market: Market,
    #[serde(default)]
    pub(crate) params: BTreeMap<String, Value>,
    /// How many of the last values; default 500, at most 5000.
    #[serde(default)]
    pub(crate) rows: Option<u32>,
}

/// What else to find out.
#[derive(Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Checks {
    /// Default true.
    #[serde(default)]
    pub(crate) look_ahead: Option<bool>,
    #[serde(default)]
    pub(crate) monte_carlo: Option<bool>,
    /// Values to try of each parameter.
    #[serde(default)]
    pub(crate) sweep: Option<BTreeMap<String, Vec<Value>>>,
    /// Walk-forward folds of the sweep.
    #[serde(default)]
    pub(crate) folds: Option<u32>,
}

/// Arguments of `list_backtests`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ListRuns {
    /// Default 20.
    #[serde(default)]
    pub(crate) limit: Option<u32>,
}

/// Arguments of `read_backtest`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ReadRun {
    pub(crate) id: String,
    /// Default summary.
    #[serde(default)]
    pub(crate) part: Option<RunPart>,
}

/// A part of a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum RunPart {
    Summary,
    Json,
    Html,
}

/// Arguments of `get_watchlist`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct WatchlistName {
    /// Default "main".
    #[serde(default)]
    pub(crate) name: Option<String>,
}

/// Arguments of `set_watchlist`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Symbols {
    /// Default "main".
    #[serde(default)]
    pub(crate) name: Option<String>,
    /// E.g. BINANCE:BTC/USDT
    pub(crate) symbols: Vec<String>,
    #[serde(default)]
    pub(crate) command_id: Option<String>,
}

/// A resource that a tool may replace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum ContextKind {
    UserProfile,
    WorkspaceState,
    SystemPrompt,
}

/// Arguments of `set_context`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Annotate {
    pub(crate) resource: ContextKind,
    /// JSON; plain text for system-prompt.
    pub(crate) content: String,
    #[serde(default)]
    pub(crate) command_id: Option<String>,
}

/// Arguments of `journal`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Journal {
    /// Add this.
    #[serde(default)]
    pub(crate) entry: Option<String>,
    #[serde(default)]
    pub(crate) command_id: Option<String>,
}

/// Arguments of `run_python`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PythonCode {
    pub(crate) code: String,
}

/// How much it matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum NoteSeverity {
    /// May be lost.
    Informational,
    /// Delivered for sure.
    Critical,
}

/// Arguments of `notify_user`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Notice {
    pub(crate) text: String,
    /// Default critical.
    #[serde(default)]
    pub(crate) severity: Option<NoteSeverity>,
    #[serde(default)]
    pub(crate) command_id: Option<String>,
}
