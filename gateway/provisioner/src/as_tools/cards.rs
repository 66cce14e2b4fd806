//! What the page shows beside an answer: cards made of what tools said.

use super::ContainerTools;
use crate::client::{FileKind, Picture};
use harness::event::Card;
use harness::tool::Invocation;
use serde_json::{Map, Value};

/// Rows of a table of backtests.
const ROWS: usize = 20;
/// Commits in which the one before a change is looked for.
const COMMITS: u32 = 2;

impl ContainerTools {
    /// The card of a run; one that was repeated tells less, and is read again.
    pub(super) async fn backtest_card(&self, call: &Invocation, answer: &Value) -> Option<Card> {
        let id = answer["id"].as_str()?;
        let strategy = call.arguments.get("strategy").and_then(Value::as_str).unwrap_or_default();
        let market = call.arguments.get("market").cloned().unwrap_or_default();
        let read =
            if answer["summary"].is_object() { None } else { self.client.read_backtest(call.user, id).await.ok() };
        let report = read.as_ref().unwrap_or(answer);
        let mut summary = figures(&answer["statistics"], &report["summary"], &report["checks"]);
        for key in ["venue", "symbol", "interval", "from", "to"] {
            summary.insert(key.to_owned(), market[key].clone());
        }
        for key in ["hash", "snapshot", "commit"] {
            if let Some(value) = answer[key].as_str() {
                summary.insert(key.to_owned(), value.into());
            }
        }
        Some(Card::Backtest { id: id.to_owned(), strategy: strategy.to_owned(), summary: summary.into() })
    }

    /// The card of a file that was written, with what changed since the commit before.
    pub(super) async fn code_card(&self, call: &Invocation, answer: &Value) -> Option<Card> {
        let commit = answer["commit"].as_str()?;
        let name = call.arguments.get("name").and_then(Value::as_str)?;
        let code = call.arguments.get("code").and_then(Value::as_str)?;
        let kind = if call.name == "write_strategy" { FileKind::Strategies } else { FileKind::Indicators };
        let diff = self.change(call, kind, name, commit).await.unwrap_or_default();
        let diff = match diff.char_indices().nth(self.client.config().diff_chars) {
            None => diff,
            Some((at, _)) => format!("{}\n… (cut)\n", &diff[..at]),
        };
        let path = format!("{}/{name}.py", kind.name());
        Some(Card::Code { path, code: code.to_owned(), commit: commit.to_owned(), diff })
    }

    /// What this commit changed; `None` if it is the file's first one, or nobody can say.
    async fn change(&self, call: &Invocation, kind: FileKind, name: &str, commit: &str) -> Option<String> {
        let history = self.client.file_history(call.user, Some((kind, name)), Some(COMMITS)).await.ok()?;
        let commits = history["commits"].as_array()?;
        let at = commits.iter().position(|it| it["id"] == commit)?;
        let before = commits.get(at + 1)?["id"].as_str()?;
        let diff = self.client.file_diff(call.user, before, Some(commit)).await.ok()?;
        diff["diff"].as_str().map(str::to_owned)
    }
}

/// One flat object: ratios and totals, decimals as strings, and the checks.
fn figures(statistics: &Value, summary: &Value, checks: &Value) -> Map<String, Value> {
    let mut figures = Map::new();
    for part in [summary, statistics] {
        for (name, value) in part.as_object().into_iter().flatten() {
            let value = match value {
                // A count stays a number; what may have a fraction is text.
                Value::Number(number) if number.is_f64() => Value::String(number.to_string()),
                other => other.clone(),
            };
            figures.insert(name.clone(), value);
        }
    }
    if !checks.is_null() {
        figures.insert("checks".to_owned(), checks.clone());
    }
    figures
}

/// The card of a run that was read.
pub(super) fn read_backtest(answer: &Value) -> Option<Card> {
    let run = &answer["run"];
    let (id, strategy) = (run["id"].as_str()?, run["strategy"].as_str()?);
    let mut summary = figures(&run["statistics"], &answer["summary"], &answer["checks"]);
    for key in ["market", "interval", "hash", "snapshot", "commit"] {
        summary.insert(key.to_owned(), run[key].clone());
    }
    Some(Card::Backtest { id: id.to_owned(), strategy: strategy.to_owned(), summary: summary.into() })
}

/// A table of runs.
pub(super) fn backtests(answer: &Value) -> Option<Card> {
    let runs = answer["backtests"].as_array().filter(|runs| !runs.is_empty())?;
    let text = |value: &Value| match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    };
    let row = |run: &Value| {
        let total = super::summary::percent(&run["statistics"]["total_return"]).unwrap_or_default();
        vec![text(&run["strategy"]), text(&run["market"]), text(&run["interval"]), total, text(&run["id"])]
    };
    Some(Card::Table {
        title: "Backtests".to_owned(),
        columns: ["Strategy", "Market", "Interval", "Return", "Id"].map(str::to_owned).into(),
        rows: runs.iter().take(ROWS).map(row).collect(),
    })
}

/// Cards of pictures.
pub(super) fn pictures(tool: &str, pictures: Vec<Picture>) -> Vec<Card> {
    let numbered = pictures.into_iter().enumerate();
    let card = |(at, picture): (usize, Picture)| Card::Picture {
        media_type: picture.media_type,
        data: picture.data,
        alt: format!("Figure {} of {tool}", at + 1),
    };
    numbered.map(card).collect()
}
