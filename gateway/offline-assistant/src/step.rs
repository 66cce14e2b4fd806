//! What the assistant does next: say something, which ends the turn, or call tools and be asked again with their outcomes.

use crate::outcome::Outcome;
use crate::turn::Turn;
use serde_json::Value;

/// The next step of a turn.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Step {
    /// The answer.
    Say(String),
    /// Calls, with what is said beside them.
    Call {
        /// May be empty.
        lead: String,
        /// Tool and arguments.
        calls: Vec<(&'static str, Value)>,
    },
}

impl Step {
    pub(crate) fn say(text: impl Into<String>) -> Self {
        Self::Say(text.into())
    }

    /// Says this beside the calls, if they are the first ones.
    pub(crate) fn led(self, text: &str, turn: &Turn<'_>) -> Self {
        match self {
            Self::Call { lead, calls } if lead.is_empty() && turn.rounds == 0 => {
                Self::Call { lead: text.to_owned(), calls }
            }
            other => other,
        }
    }
}

/// The value that a tool gave; the step that gets it there if it was not called; why not if it was refused.
pub(crate) fn ask<'t>(turn: &'t Turn<'_>, tool: &'static str, arguments: Value) -> Result<&'t Value, Step> {
    ask_together(turn, vec![(tool, arguments)])?;
    given(turn, tool)
}

/// Calls those tools together that were not called yet.
pub(crate) fn ask_together(turn: &Turn<'_>, wanted: Vec<(&'static str, Value)>) -> Result<(), Step> {
    let calls: Vec<_> = wanted.into_iter().filter(|(tool, _)| turn.last(tool).is_none()).collect();
    if calls.is_empty() { Ok(()) } else { Err(Step::Call { lead: String::new(), calls }) }
}

/// What a tool that was called gave.
pub(crate) fn given<'t>(turn: &'t Turn<'_>, tool: &str) -> Result<&'t Value, Step> {
    match turn.last(tool).map(|done| &done.outcome) {
        Some(Outcome::Value(value)) => Ok(value),
        Some(Outcome::Refused(refused)) => Err(Step::Say(refused.explained(tool))),
        Some(Outcome::Unreadable) | None => Err(Step::Say(unreadable(tool))),
    }
}

/// The code of a refusal, if a tool was refused.
pub(crate) fn refusal<'t>(turn: &'t Turn<'_>, tool: &str) -> Option<&'t str> {
    match turn.last(tool).map(|done| &done.outcome) {
        Some(Outcome::Refused(refused)) => Some(refused.code.as_str()),
        _ => None,
    }
}

fn unreadable(tool: &str) -> String {
    format!(
        "`{tool}` gave an answer that I cannot read, so I do not know whether it did what you asked. Look at its row above, or ask again."
    )
}
