//! Answers about the user's files: list, show, history, what changed, undo, delete, save.

use crate::backtest::{is_file_name, named_strategy, short};
use crate::outcome::{Outcome, fenced, plain};
use crate::step::{Step, ask, given};
use crate::turn::Turn;
use serde_json::{Value, json};

/// Files and commits that are shown.
const SHOWN: usize = 20;

/// A kind of file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Strategy,
    Indicator,
}

impl Kind {
    fn asked(turn: &Turn<'_>) -> Self {
        if turn.words.any(&["indicator", "indicators"]) && !turn.words.any(&["strategy", "strategies"]) {
            Self::Indicator
        } else {
            Self::Strategy
        }
    }

    const fn words(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Self::Strategy => ("strategy", "strategies", "strategies"),
            Self::Indicator => ("indicator", "indicators", "indicators"),
        }
    }
}

/// The file that the message names.
pub(crate) fn named_file(turn: &Turn<'_>) -> Option<String> {
    let of = |list: &str| {
        let known = turn.names(list).unwrap_or_default();
        turn.words.plain().iter().find(|word| known.contains(&word.as_str())).cloned()
    };
    let path = || {
        let stem = |word: &String| {
            let name = word.rsplit('/').next()?.strip_suffix(".py")?.to_owned();
            is_file_name(&name).then_some(name)
        };
        turn.words.plain().iter().find_map(stem)
    };
    of("strategies").or_else(|| of("indicators")).or_else(path).or_else(|| named_strategy(turn)).or_else(|| {
        let at = turn.words.behind(&["indicator"])?;
        turn.words.plain().get(at).filter(|word| is_file_name(word) && !crate::words::is_known(word)).cloned()
    })
}

fn kind_of(turn: &Turn<'_>, name: &str) -> Kind {
    let indicators = turn.names("indicators").unwrap_or_default();
    let strategies = turn.names("strategies").unwrap_or_default();
    if indicators.contains(&name) && !strategies.contains(&name) { Kind::Indicator } else { Kind::asked(turn) }
}

fn rows<'v>(value: &'v Value, key: &str) -> &'v [Value] {
    value[key].as_array().map(Vec::as_slice).unwrap_or_default()
}

fn text(value: &Value, key: &str) -> String {
    value[key].as_str().map(plain).unwrap_or_default()
}

/// The step for "show my strategies".
pub(crate) fn list(turn: &Turn<'_>) -> Step {
    let (one, many, _) = Kind::asked(turn).words();
    let tool = if one == "indicator" { "list_indicators" } else { "list_strategies" };
    let listed = ask(turn, tool, json!({}));
    listed.map_or_else(
        |step| step,
        |listed| {
            let files = rows(listed, "files");
            if files.is_empty() {
                let next = if one == "strategy" {
                    "\"backtest a 20/50 cross on BTC 1h\" writes and tests one."
                } else {
                    "Send Python in a code block with \"save this as indicator my_idea\"."
                };
                return Step::say(format!("You have no {many} yet. {next}"));
            }
            let line = |file: &Value| {
                let about = file["about"].as_str().map(|about| format!(": {}", plain(about))).unwrap_or_default();
                format!("- `{}`{about}", text(file, "name"))
            };
            let shown: Vec<String> = files.iter().take(SHOWN).map(line).collect();
            let more =
                if files.len() > SHOWN { format!("\n- and {} more", files.len() - SHOWN) } else { String::new() };
            let count = files.len();
            let head = if count == 1 { format!("You have 1 {one}:") } else { format!("You have {count} {many}:") };
            let first = files.first().map(|file| text(file, "name")).unwrap_or_default();
            let next = if one == "strategy" {
                format!("\"show strategy {first}\", \"backtest {first} on ETH\", \"history of strategy {first}\".")
            } else {
                format!("\"show indicator {first}\".")
            };
            Step::say(format!("{head}\n\n{}{more}\n\nNext: {next}", shown.join("\n")))
        },
    )
}

/// The step for "show strategy x".
pub(crate) fn show(turn: &Turn<'_>) -> Step {
    let Some(name) = named_file(turn) else { return list(turn) };
    let kind = kind_of(turn, &name);
    let tool = if kind == Kind::Indicator { "read_indicator" } else { "read_strategy" };
    let read = ask(turn, tool, json!({ "name": name }));
    read.map_or_else(
        |step| step,
        |file| match file["code"].as_str() {
            Some(code) => {
                let commit = file["commit"]
                    .as_str()
                    .map(|commit| format!(" (commit `{}`)", plain(short(commit))))
                    .unwrap_or_default();
                Step::say(format!("`{}/{name}.py`{commit}:\n\n{}", kind.words().2, fenced("python", code)))
            }
            None => Step::say(format!("`{tool}` gave no code that I can show.")),
        },
    )
}

fn path(turn: &Turn<'_>) -> Option<String> {
    named_file(turn).map(|name| format!("{}/{name}.py", kind_of(turn, &name).words().2))
}

fn history_of(path: Option<&str>, limit: usize) -> Value {
    path.map_or_else(|| json!({ "limit": limit }), |path| json!({"path": path, "limit": limit}))
}

fn commit_line(commit: &Value) -> String {
    let time = commit["at_s"].as_i64().and_then(|seconds| jiff::Timestamp::from_second(seconds).ok());
    let time = time.map(|time| time.strftime("%Y-%m-%d %H:%M UTC").to_string()).unwrap_or_default();
    let paths: Vec<String> = rows(commit, "paths").iter().filter_map(Value::as_str).take(5).map(plain).collect();
    format!(
        "`{}` {time}, by the {}: {} ({})",
        plain(short(commit["id"].as_str().unwrap_or("?"))),
        text(commit, "author"),
        text(commit, "why"),
        paths.join(", ")
    )
}

/// The step for "history of x".
pub(crate) fn history(turn: &Turn<'_>) -> Step {
    let path = path(turn);
    let found = ask(turn, "file_history", history_of(path.as_deref(), SHOWN));
    found.map_or_else(
        |step| step,
        |found| {
            let commits = rows(found, "commits");
            let of = path.map_or_else(|| "your workspace".to_owned(), |path| format!("`{path}`"));
            if commits.is_empty() {
                return Step::say(format!("There is no history of {of} yet."));
            }
            let lines: Vec<String> = commits.iter().take(SHOWN).map(|commit| format!("- {}", commit_line(commit))).collect();
            Step::say(format!("History of {of}, newest first:\n\n{}\n\n\"what changed in …\" shows the last difference, \"undo the last change\" takes it back.", lines.join("\n")))
        },
    )
}

/// The step for "what changed in x".
pub(crate) fn diff(turn: &Turn<'_>) -> Step {
    changed(turn).unwrap_or_else(|step| step)
}

fn changed(turn: &Turn<'_>) -> Result<Step, Step> {
    let path = path(turn);
    let found = ask(turn, "file_history", history_of(path.as_deref(), 2))?;
    let ids: Vec<&str> = rows(found, "commits").iter().filter_map(|commit| commit["id"].as_str()).collect();
    let [newest, before, ..] = ids.as_slice() else {
        return Ok(Step::say("There is only one version, or none, so there is nothing to compare."));
    };
    let diff = ask(turn, "file_diff", json!({"from": before, "to": newest}))?;
    let cut = if diff["truncated"] == true { "\n\nIt was too long to show whole." } else { "" };
    let head = rows(found, "commits").first().map(commit_line).unwrap_or_default();
    Ok(match diff["diff"].as_str() {
        Some(text) if !text.trim().is_empty() => {
            Step::say(format!("The last change: {head}\n\n{}{cut}", fenced("diff", text)))
        }
        _ => Step::say(format!("The last change left the text as it was: {head}")),
    })
}

/// The step for "undo the last change".
pub(crate) fn undo(turn: &Turn<'_>) -> Step {
    undone(turn).unwrap_or_else(|step| step)
}

fn undone(turn: &Turn<'_>) -> Result<Step, Step> {
    let path = path(turn);
    let found = ask(turn, "file_history", history_of(path.as_deref(), 1))?;
    let Some(commit) = rows(found, "commits").first() else {
        return Ok(Step::say("There is no change that could be undone."));
    };
    let Some(id) = commit["id"].as_str() else {
        return Ok(Step::say("The history names no commit that I could undo."));
    };
    let line = commit_line(commit);
    let reverted = ask(turn, "revert_commit", json!({"commit": id, "why": "Undo, as the user asked"}))?;
    let new = reverted["commit"]
        .as_str()
        .map(|commit| format!(" The new commit is `{}`.", plain(short(commit))))
        .unwrap_or_default();
    Ok(Step::say(format!("Undone: {line}.{new} Undoing once more brings it back.")))
}

/// The step for "delete strategy x".
pub(crate) fn delete(turn: &Turn<'_>) -> Step {
    let Some(path) = path(turn) else { return list(turn) };
    let deleted = ask(turn, "delete_file", json!({"path": path, "why": "Delete, as the user asked"}));
    deleted.map_or_else(
        |step| step,
        |done| {
            let commit = done["commit"]
                .as_str()
                .map(|commit| format!(" with commit `{}`", plain(short(commit))))
                .unwrap_or_default();
            Step::say(format!(
                "`{path}` is deleted{commit}. Its history stays: \"undo the last change\" brings it back."
            ))
        },
    )
}

/// The step for a block of code with "save this as strategy x".
pub(crate) fn save(turn: &Turn<'_>) -> Step {
    let kind = Kind::asked(turn);
    let (one, _, directory) = kind.words();
    let Some(code) = crate::python::fenced_code(turn.said) else {
        return Step::say("Send the code in a code block, please.");
    };
    let outside = turn.said.replace(code, " ");
    let words = crate::words::Words::new(&outside);
    let fillers = [
        "as",
        "called",
        "named",
        "strategy",
        "indicator",
        "this",
        "my",
        "a",
        "the",
        "python",
        "code",
        "save",
        "store",
        "keep",
        "write",
        "please",
        "it",
        "py",
        "new",
    ];
    let name = words
        .plain()
        .iter()
        .map(|word| word.trim_end_matches(".py"))
        .find(|word| is_file_name(word) && !fillers.contains(word));
    let Some(name) = name else {
        return Step::say(format!(
            "Under which name? For example: \"save this as {one} my_idea\", with the code in the same message."
        ));
    };
    let tool = if kind == Kind::Indicator { "write_indicator" } else { "write_strategy" };
    let arguments = json!({"name": name, "code": code, "why": "Save the user's code"});
    if let Err(step) = ask(turn, tool, arguments) {
        return step;
    }
    let commit = given(turn, tool)
        .ok()
        .and_then(|done| done["commit"].as_str())
        .map(|commit| format!(", commit `{}`", plain(short(commit))))
        .unwrap_or_default();
    let next = if kind == Kind::Strategy { format!(" \"backtest {name} on BTC 1h\" tries it.") } else { String::new() };
    let repeated =
        matches!(turn.last(tool).map(|done| &done.outcome), Some(Outcome::Value(done)) if done["repeated"] == true);
    let again = if repeated { " (it was saved before)" } else { "" };
    Step::say(format!("Saved as `{directory}/{name}.py`{commit}{again}.{next}"))
}
