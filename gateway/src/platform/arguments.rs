//! What the platform's tools take.

use super::Refusal;
use harness::event::{Level, Marker};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// A series as a person names it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Series {
    #[serde(default)]
    pub(super) venue: Option<String>,
    pub(super) symbol: String,
    pub(super) interval: String,
}

/// `get_price`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Prices {
    pub(super) symbols: Vec<String>,
}

/// `get_candles`, `request_history`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Range {
    #[serde(default)]
    pub(super) venue: Option<String>,
    pub(super) symbol: String,
    pub(super) interval: String,
    #[serde(default)]
    pub(super) from: Option<String>,
    #[serde(default)]
    pub(super) to: Option<String>,
    #[serde(default)]
    pub(super) limit: Option<usize>,
}

/// `list_instruments`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Instruments {
    pub(super) query: String,
    #[serde(default)]
    pub(super) venue: Option<String>,
}

/// An indicator of the chart.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Indicator {
    pub(super) name: String,
    #[serde(default)]
    pub(super) params: Vec<serde_json::Number>,
}

/// `show_chart`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Show {
    #[serde(default)]
    pub(super) venue: Option<String>,
    pub(super) symbol: String,
    pub(super) interval: String,
    #[serde(default)]
    pub(super) indicators: Vec<Indicator>,
}

/// What `change_chart` may take away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Cleared {
    Indicators,
    Drawings,
}

/// `change_chart`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Change {
    #[serde(default)]
    pub(super) add: Vec<Indicator>,
    #[serde(default)]
    pub(super) remove: Vec<String>,
    #[serde(default)]
    pub(super) clear: Vec<Cleared>,
}

/// `mark_chart`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Marks {
    pub(super) group: String,
    #[serde(default)]
    pub(super) markers: Vec<Marker>,
    #[serde(default)]
    pub(super) levels: Vec<Level>,
}

/// `find_breakouts`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Breakouts {
    #[serde(default)]
    pub(super) venue: Option<String>,
    pub(super) symbol: String,
    pub(super) interval: String,
    #[serde(default)]
    pub(super) lookback: Option<usize>,
    #[serde(default)]
    pub(super) count: Option<usize>,
}

/// `search_knowledge`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Knowledge {
    pub(super) query: String,
    #[serde(default)]
    pub(super) limit: Option<usize>,
}

/// Reads the arguments of a tool.
pub(super) fn read<T: DeserializeOwned>(given: Value) -> Result<T, Refusal> {
    serde_path_to_error::deserialize(given).map_err(|error| {
        let field = error.path().to_string();
        let field = if field == "." { String::new() } else { field };
        Refusal::new("INVALID_ARGUMENT", &field, error.inner().to_string())
    })
}

/// A list that is not longer than allowed.
pub(super) fn bounded<T>(field: &str, list: &[T], most: usize) -> Result<(), Refusal> {
    if list.len() <= most {
        return Ok(());
    }
    Err(Refusal::new("INVALID_ARGUMENT", field, format!("{field}: at most {most}, got {}", list.len())))
}
