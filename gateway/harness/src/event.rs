//! What a turn tells those who watch it (docs/protocol/12-chat.md §4).

use crate::model::Usage;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// An event with its place in the turn.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Numbered {
    /// From 1, without gaps.
    pub sequence: u64,
    /// When, ns since the epoch.
    pub at_ns: u64,
    /// What.
    #[serde(flatten)]
    pub event: TurnEvent,
}

/// What happens in a turn. Applying all events in order gives what the page shows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum TurnEvent {
    /// The first one.
    TurnStarted {
        /// Conversation of the user.
        conversation_id: String,
        /// The client's id of the message.
        message_id: String,
        /// What the user said.
        text: String,
        /// Where they said it: `web`, `telegram`, `mcp`.
        channel: String,
    },
    /// Something that a waiting person should know: the container wakes, the model is switched, the turn is carried on elsewhere.
    Notice {
        /// `CONTAINER_WAKING`, `MODEL_FALLBACK`, `RESUMED`, `QUEUED`, `SUMMARISED`, `CONTEXT_MISSING`, `TOOLS_MISSING`.
        code: String,
        /// In words.
        text: String,
    },
    /// Which model answers, and why that one.
    ModelChosen {
        /// Name in the configuration.
        model: String,
        /// In words.
        reason: String,
    },
    /// More text of the round.
    TextDelta {
        /// From 0; a round is one answer of the model.
        round: u32,
        /// To be appended.
        text: String,
    },
    /// Forget the text of this round: it is asked again.
    TextReset {
        /// The round.
        round: u32,
    },
    /// A tool was called.
    ToolStarted {
        /// Unique in the turn.
        call_id: String,
        /// Its round.
        round: u32,
        /// Name.
        tool: String,
        /// For a person: "Backtest cross on BTC/USDT 1h".
        title: String,
        /// As checked; secrets never occur.
        arguments: Value,
    },
    /// It is under way.
    ToolProgress {
        /// Of the call.
        call_id: String,
        /// Done so far.
        progress: f64,
        /// Of how much, if known.
        total: Option<f64>,
        /// In words.
        message: String,
    },
    /// It ended.
    ToolEnded {
        /// Of the call.
        call_id: String,
        /// Did what was asked.
        ok: bool,
        /// How long it took, ms.
        duration_ms: u64,
        /// One line.
        summary: String,
        /// What the page shows.
        #[serde(default)]
        cards: Vec<Card>,
        /// What the chart does.
        #[serde(default)]
        chart: Vec<ChartAction>,
    },
    /// The last one.
    TurnEnded {
        /// How.
        outcome: Outcome,
        /// The whole answer: the text of all rounds.
        text: String,
        /// Which calls the numbers in `text` are from.
        citations: Vec<Citation>,
        /// Tokens of all rounds.
        usage: Usage,
        /// Money of all rounds, millionths of a US dollar.
        cost_micro_usd: u64,
        /// If the outcome is not `complete`: what happened and what to do.
        #[serde(default)]
        problem: Option<Problem>,
    },
}

/// How a turn ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Answered.
    Complete,
    /// The user stopped it.
    Stopped,
    /// A bound was reached: rounds, time, tokens or money.
    Limited,
    /// The model would not answer.
    Refused,
    /// It could not be answered.
    Failed,
}

/// Why a turn did not end with an answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// For programs: `MODEL_UNAVAILABLE`, `MALFORMED_CALLS`, `ROUNDS`, `REPEATED`, `TIME`, `TOKENS`, `TEXT`, `MONEY`, `STOPPED`, `REFUSED`, `INTERNAL`.
    pub code: String,
    /// What happened.
    pub message: String,
    /// What to do next.
    pub next: String,
    /// True if the same message may succeed later.
    pub retryable: bool,
}

/// Where a number in an answer comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Citation {
    /// The number as it stands in the text.
    pub number: String,
    /// First byte of it in the text.
    pub at: usize,
    /// The call in whose outcome it stands; none if in no outcome.
    pub call_id: Option<String>,
}

/// What the page shows beside the text.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Card {
    /// A backtest.
    Backtest {
        /// Id of the run, for `read_backtest`.
        id: String,
        /// Name of the strategy.
        strategy: String,
        /// What the report's summary says; decimals as strings.
        summary: Value,
    },
    /// A file that was written.
    Code {
        /// E.g. `strategies/cross.py`.
        path: String,
        /// Its text.
        code: String,
        /// The commit that holds it.
        commit: String,
        /// What changed, unified.
        diff: String,
    },
    /// A picture.
    Picture {
        /// `image/png`.
        media_type: String,
        /// Base64.
        data: String,
        /// What it shows.
        alt: String,
    },
    /// Rows and columns.
    Table {
        /// What it shows.
        title: String,
        /// Column names.
        columns: Vec<String>,
        /// Texts.
        rows: Vec<Vec<String>>,
    },
}

/// What the assistant does to the chart.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "action", rename_all = "snake_case")]
pub enum ChartAction {
    /// Shows an instrument.
    Show {
        /// E.g. `BINANCE`.
        venue: String,
        /// E.g. `BTC/USDT`.
        symbol: String,
        /// `1s` `60s` `300s` `900s` `3600s` `14400s` `86400s`.
        interval: String,
    },
    /// Adds an indicator, or replaces one of the same name and parameters.
    AddIndicator {
        /// E.g. `rsi`.
        name: String,
        /// By name.
        params: Value,
    },
    /// Takes an indicator away; all of them if there is no name.
    RemoveIndicator {
        /// E.g. `rsi`.
        name: Option<String>,
    },
    /// Marks points of time.
    Markers {
        /// Replaces the markers of the same group.
        group: String,
        /// At most 500.
        markers: Vec<Marker>,
    },
    /// Draws horizontal lines.
    Levels {
        /// Replaces the levels of the same group.
        group: String,
        /// At most 50.
        levels: Vec<Level>,
    },
    /// Takes markers and levels away.
    Clear,
}

/// A mark on the chart.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Marker {
    /// RFC 3339.
    pub time: String,
    /// `above` or `below` the candle.
    pub place: Place,
    /// A few letters.
    pub text: String,
    /// `up`, `down` or `neutral`.
    pub tone: Tone,
}

/// Where a marker stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs, reason = "said above")]
pub enum Place {
    Above,
    Below,
}

/// What a marker or a level means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs, reason = "said above")]
pub enum Tone {
    Up,
    Down,
    Neutral,
}

/// A horizontal line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Level {
    /// Decimal.
    pub price: String,
    /// A few words.
    pub text: String,
    /// Its colour.
    pub tone: Tone,
}
