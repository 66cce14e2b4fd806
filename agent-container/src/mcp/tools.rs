//! The tools: what each is called, what it takes, and what it does to the user's data. Few and coarse, with short
//! descriptions: a client sends all of them with every question (a test counts their tokens).

mod arguments;

pub(crate) use arguments::{
    Annotate, BacktestArguments, ContextKind, Deletion, DiffRange, Erasure, IndicatorArguments, Journal, ListRuns,
    Market, Message, NamedFile, NoteSeverity, Notice, Page, PastCommit, PythonCode, ReadRun, Revert, RunPart, Search,
    SourceCode, Symbols, WatchlistName, Worded,
};

use super::schema::{self, ArgumentError};
use rmcp::model::{JsonObject, Tool, ToolAnnotations};
use std::sync::OnceLock;

/// What a tool does to the user's data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Effect {
    /// Nothing.
    Reads,
    /// Adds to it; with the same `command_id` only once.
    Adds,
    /// Replaces or removes something; with the same `command_id` only once.
    Changes,
    /// Runs code of the user that can change nothing.
    Runs,
}

impl Effect {
    fn annotations(self) -> ToolAnnotations {
        let closed = ToolAnnotations::new().open_world(false);
        match self {
            Self::Reads => closed.read_only(true),
            Self::Adds => closed.read_only(false).destructive(false).idempotent(true),
            Self::Changes => closed.read_only(false).destructive(true).idempotent(true),
            Self::Runs => closed.read_only(false).destructive(false).idempotent(false),
        }
    }
}

macro_rules! tools {
    ($($(#[doc = $doc:literal])* $variant:ident($arguments:ty) = $name:literal, $effect:ident;)*) => {
        /// A call whose arguments fit.
        #[derive(Debug)]
        pub(crate) enum Call {
            $($(#[doc = $doc])* $variant($arguments),)*
        }

        /// Name and effect of each tool, with what makes its description and schema.
        fn table() -> Vec<Tool> {
            vec![$(tool::<$arguments>($name, concat!($($doc),*), Effect::$effect)),*]
        }

        impl Call {
            /// Reads the arguments of a tool; `None` if there is no such tool.
            pub(crate) fn read(name: &str, given: Option<JsonObject>) -> Option<(&'static str, Result<Self, ArgumentError>)> {
                match name {
                    $($name => Some(($name, schema::read::<$arguments>(given).map(Self::$variant))),)*
                    _ => None,
                }
            }
        }
    };
}

tools! {
    /// Keep a message of the conversation.
    SaveMessage(Message) = "save_message", Adds;
    /// Find earlier messages by words and by meaning.
    SearchConversation(Search) = "search_conversation", Reads;
    /// All saved messages, oldest first, page by page.
    ExportConversation(Page) = "export_conversation", Reads;
    /// Delete every saved message for good.
    EraseConversation(Erasure) = "erase_conversation", Changes;
    /// Names of the user's strategies.
    ListStrategies(arguments::Nothing) = "list_strategies", Reads;
    /// Code of a strategy.
    ReadStrategy(NamedFile) = "read_strategy", Reads;
    /// Save a strategy: a Python class derived from dexorder.Strategy, or a function targets(candles).
    WriteStrategy(SourceCode) = "write_strategy", Changes;
    /// Names of the user's indicators.
    ListIndicators(arguments::Nothing) = "list_indicators", Reads;
    /// Code of an indicator.
    ReadIndicator(NamedFile) = "read_indicator", Reads;
    /// Save an indicator written in Python.
    WriteIndicator(SourceCode) = "write_indicator", Changes;
    /// Delete a file of the workspace; its history stays.
    DeleteFile(Deletion) = "delete_file", Changes;
    /// Commits of the workspace, newest first.
    FileHistory(PastCommit) = "file_history", Reads;
    /// What changed between two commits.
    FileDiff(DiffRange) = "file_diff", Reads;
    /// Undo one commit with a new one.
    Revert(Revert) = "revert_commit", Changes;
    /// Test a strategy on recorded market data. Orders decided on a candle fill after it.
    RunBacktest(BacktestArguments) = "run_backtest", Adds;
    /// Values of a saved indicator on recorded candles.
    ComputeIndicator(IndicatorArguments) = "compute_indicator", Reads;
    /// Earlier backtests, newest first.
    ListBacktests(ListRuns) = "list_backtests", Reads;
    /// The report of a backtest.
    ReadBacktest(ReadRun) = "read_backtest", Reads;
    /// Symbols of a watch list.
    GetWatchlist(WatchlistName) = "get_watchlist", Reads;
    /// Replace the symbols of a watch list.
    SetWatchlist(Symbols) = "set_watchlist", Changes;
    /// Replace the user's profile, workspace state or own system prompt (the context:// resources).
    SetContext(Annotate) = "set_context", Changes;
    /// Read the trading journal, or add an entry to it.
    TradingJournal(Journal) = "journal", Adds;
    /// Run Python with numpy, pandas and matplotlib, without network. Returns output, the last expression and open figures.
    RunPython(PythonCode) = "run_python", Runs;
    /// Tell the user something on all channels.
    NotifyUser(Notice) = "notify_user", Adds;
}

fn tool<T: schemars::JsonSchema>(name: &'static str, description: &'static str, effect: Effect) -> Tool {
    Tool::new(name, description.trim(), schema::of::<T>()).with_annotations(effect.annotations())
}

/// All tools, made once.
pub(crate) fn all() -> &'static [Tool] {
    static TOOLS: OnceLock<Vec<Tool>> = OnceLock::new();
    TOOLS.get_or_init(table)
}

impl Call {
    /// True for work that its caller may cancel: it changes nothing until its end. Everything else is carried out whole.
    pub(crate) const fn is_long(&self) -> bool {
        matches!(self, Self::RunBacktest(_) | Self::ComputeIndicator(_) | Self::RunPython(_))
    }
}

/// A tool by its name.
pub(crate) fn get(name: &str) -> Option<Tool> {
    all().iter().find(|tool| tool.name == name).cloned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn each_tool_is_annotated_and_takes_only_what_it_names() {
        for tool in all() {
            let annotations = tool.annotations.as_ref().unwrap();
            assert!(
                annotations.read_only_hint.is_some() && annotations.open_world_hint == Some(false),
                "{}",
                tool.name
            );
            assert_eq!(tool.input_schema["additionalProperties"], json!(false), "{}", tool.name);
            let changes = annotations.read_only_hint == Some(false) && tool.name != "run_python";
            let command = tool.input_schema["properties"].get("command_id").is_some();
            assert_eq!(changes, command, "{}: what changes something takes a command_id", tool.name);
            let (_, unknown) = Call::read(&tool.name, json!({"no_such": 1}).as_object().cloned()).unwrap();
            assert_eq!(unknown.unwrap_err().field, "no_such", "{}", tool.name);
        }
        assert!(Call::read("execute_trade", None).is_none());
    }

    #[test]
    fn descriptions_are_short() {
        let shown: usize = all()
            .iter()
            .map(|tool| json!({"name": tool.name, "description": tool.description, "inputSchema": tool.input_schema}))
            .map(|shown| shown.to_string().len())
            .sum();
        // The exact count is taken by `make test-mcp` with a tokenizer: about 4 bytes a token.
        assert!(shown < 4 * 3_000, "{shown} bytes");
    }
}
