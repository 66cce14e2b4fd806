//! The core: a conversation in, the next step of the answer out. No clock, no socket, the same answer for the same conversation.

use crate::intent::{self, Intent};
use crate::step::Step;
use crate::turn::Turn;
use crate::{backtest, chart, files, followup, lists, memory, platform, prices, python, report, talk};
use harness::model::{Prompt, ToolRequest};
use jiff::Timestamp;
use serde_json::json;

/// Rounds of calls after which a turn ends, whatever is left to do.
pub const ROUNDS_MAX: usize = 5;

/// What the assistant says and calls next. Without calls, the turn has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// Markdown; may be empty beside calls.
    pub text: String,
    /// Of tools that the prompt offers.
    pub calls: Vec<ToolRequest>,
}

impl Reply {
    fn said(text: String) -> Self {
        Self { text, calls: Vec::new() }
    }
}

/// Decides from the conversation alone. `now` places "last month"; it is given by whoever has a clock.
#[must_use]
pub fn answer(prompt: &Prompt, now: Timestamp) -> Reply {
    let Some(turn) = Turn::read(prompt, now) else {
        return Reply::said("Say what you want to see or try. \"what can you do\" shows examples.".to_owned());
    };
    let whole = followup::whole(&turn);
    let meant = whole.as_deref().map(|said| turn.had_said(said));
    let turn = meant.as_ref().unwrap_or(&turn);
    let step = next(intent::read(turn), turn);
    checked(turn, step)
}

fn next(intent: Intent, turn: &Turn<'_>) -> Step {
    match intent {
        Intent::Help => talk::help(turn),
        Intent::Greeting => talk::greeting(),
        Intent::Thanks => talk::thanks(),
        Intent::Chart => chart::step(turn),
        Intent::Price => prices::step(turn),
        Intent::Movers => prices::movers(turn),
        Intent::Backtest => backtest::step(turn),
        Intent::WriteStrategy => backtest::write(turn),
        Intent::ExplainBacktest => report::explain(turn),
        Intent::ListBacktests => report::list(turn),
        Intent::ListFiles => files::list(turn),
        Intent::ShowFile => files::show(turn),
        Intent::FileHistory => files::history(turn),
        Intent::FileDiff => files::diff(turn),
        Intent::Undo => files::undo(turn),
        Intent::DeleteFile => files::delete(turn),
        Intent::SaveCode => files::save(turn),
        Intent::RunPython => python::step(turn),
        Intent::Remember => memory::remember(turn),
        Intent::Recall => memory::recall(turn),
        Intent::Profile => memory::profile(turn),
        Intent::AskErase => Step::say(memory::ERASE_QUESTION),
        Intent::ForgetPart => talk::forget_part(),
        Intent::NoSource => talk::no_source(),
        Intent::Erase => memory::erase(turn),
        Intent::KeepMemory => talk::kept(),
        Intent::Watchlist => lists::watchlist(turn),
        Intent::Journal => lists::journal(turn),
        Intent::Alert => talk::alerts(),
        Intent::Trade => talk::trading(),
        Intent::Positions => talk::positions(),
        Intent::Advice => talk::advice(),
        Intent::LoadHistory => platform::history(turn),
        Intent::Health => platform::health(turn),
        Intent::Account => platform::account(turn),
        Intent::Instruments => platform::instruments(turn),
        Intent::Knowledge => platform::knowledge(turn),
        Intent::Unknown => talk::unknown(turn),
    }
}

/// Only tools that are there, only so many rounds, no tool twice: a step calls what was not called, so a turn ends.
fn checked(turn: &Turn<'_>, step: Step) -> Reply {
    let (lead, calls) = match step {
        Step::Say(text) => return Reply::said(text),
        Step::Call { lead, calls } => (lead, calls),
    };
    if let Some((missing, _)) = calls.iter().find(|(tool, _)| !turn.has_tool(tool)) {
        let why = "Tools of your container are there only while it runs; ask again in a moment, or ask what I can do.";
        return Reply::said(format!(
            "That needs the tool `{missing}`, which is not there right now. {why}{}",
            so_far(turn)
        ));
    }
    if turn.rounds >= ROUNDS_MAX || calls.iter().any(|(tool, _)| turn.last(tool).is_some()) {
        return Reply::said(format!(
            "I stop here: this takes more steps than I may make for one message.{}",
            so_far(turn)
        ));
    }
    let request = |(index, (tool, arguments)): (usize, (&'static str, serde_json::Value))| ToolRequest {
        id: turn.call_id(index),
        name: tool.to_owned(),
        arguments: if arguments.is_null() { json!({}) } else { arguments }.to_string(),
    };
    Reply { text: lead, calls: calls.into_iter().enumerate().map(request).collect() }
}

/// What was carried out, if the turn ends before its end.
fn so_far(turn: &Turn<'_>) -> String {
    let done: Vec<String> =
        turn.done.iter().filter(|done| done.outcome.value().is_some()).map(|done| format!("`{}`", done.name)).collect();
    if done.is_empty() { String::new() } else { format!(" Done so far: {}.", done.join(", ")) }
}
