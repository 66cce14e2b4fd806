//! What a turn has done, and what follows from it. Pure: the same steps give the same decision on every replica.

use crate::config::Limits;
use crate::event::{Outcome, Problem};
use crate::model::{Finish, Message, ToolRequest, Usage};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;

/// A thing done, as it is recorded. A turn is carried on from its steps alone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "step", rename_all = "snake_case")]
pub enum Step {
    /// The model has answered.
    Answered(Round),
    /// A call ended.
    Called {
        /// Of the call.
        call_id: String,
        /// What the model is told.
        content: String,
        /// It could not be carried out because of how it was asked.
        malformed: Malformed,
    },
    /// A failed try that cost money.
    Wasted {
        /// Tokens.
        usage: Usage,
        /// Money.
        cost_micro_usd: u64,
    },
}

/// Whether a call could be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Malformed {
    /// It was carried out, or refused by its tool.
    No,
    /// Unknown name, broken JSON or arguments that do not fit the schema.
    Yes,
}

/// One answer of a model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Round {
    /// Which model.
    pub model: String,
    /// What it said.
    pub text: String,
    /// What it called; ids are unique in the turn.
    pub calls: Vec<ToolRequest>,
    /// Why it stopped.
    pub finish: Finish,
    /// Tokens.
    pub usage: Usage,
    /// Money.
    pub cost_micro_usd: u64,
}

/// Everything that is known of a turn.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Progress {
    /// In order.
    pub rounds: Vec<Round>,
    /// What calls gave back, by call.
    pub outcomes: HashMap<String, String>,
    malformed: HashSet<String>,
    /// Tokens of all rounds and tries.
    pub usage: Usage,
    /// Money of all rounds and tries.
    pub cost_micro_usd: u64,
    /// Tries that cost money and gave nothing.
    pub wasted: u32,
}

/// What comes next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    /// Ask the model.
    Ask {
        /// Number of the round.
        round: u32,
    },
    /// Carry out calls of the last round.
    Call {
        /// Number of the round.
        round: u32,
        /// Places in the round of those without outcome.
        pending: Vec<usize>,
    },
    /// It is over.
    End {
        /// How.
        outcome: Outcome,
        /// Why, if there is more to say.
        problem: Option<Problem>,
    },
}

impl Progress {
    /// Takes a step.
    pub fn apply(&mut self, step: Step) {
        match step {
            Step::Answered(round) => {
                self.spend(round.usage, round.cost_micro_usd);
                self.rounds.push(round);
            }
            Step::Called { call_id, content, malformed } => {
                if malformed == Malformed::Yes {
                    self.malformed.insert(call_id.clone());
                }
                self.outcomes.entry(call_id).or_insert(content);
            }
            Step::Wasted { usage, cost_micro_usd } => {
                self.wasted += 1;
                self.spend(usage, cost_micro_usd);
            }
        }
    }

    const fn spend(&mut self, usage: Usage, cost_micro_usd: u64) {
        self.usage.input_tokens = self.usage.input_tokens.saturating_add(usage.input_tokens);
        self.usage.cached_tokens = self.usage.cached_tokens.saturating_add(usage.cached_tokens);
        self.usage.output_tokens = self.usage.output_tokens.saturating_add(usage.output_tokens);
        self.cost_micro_usd = self.cost_micro_usd.saturating_add(cost_micro_usd);
    }

    /// The text of all rounds, a blank line between two that are not empty.
    #[must_use]
    pub fn text(&self) -> String {
        let texts: Vec<&str> =
            self.rounds.iter().map(|round| round.text.as_str()).filter(|it| !it.is_empty()).collect();
        texts.join("\n\n")
    }

    /// What the model is told of this turn, behind the user's message.
    #[must_use]
    pub fn messages(&self) -> Vec<Message> {
        let mut messages = Vec::new();
        for round in &self.rounds {
            messages.push(Message::Assistant { text: round.text.clone(), calls: round.calls.clone() });
            for call in &round.calls {
                if let Some(content) = self.outcomes.get(&call.id) {
                    messages.push(Message::Tool { call_id: call.id.clone(), content: content.clone() });
                }
            }
        }
        messages
    }

    /// How often this call was asked for in earlier rounds and before it in its own.
    #[must_use]
    pub fn same_before(&self, round: usize, index: usize) -> u32 {
        let Some(call) = self.rounds.get(round).and_then(|it| it.calls.get(index)) else { return 0 };
        let same = |other: &&ToolRequest| other.name == call.name && same_json(&other.arguments, &call.arguments);
        let earlier = self.rounds[..round].iter().flat_map(|it| &it.calls).filter(same).count();
        let own = self.rounds[round].calls[..index].iter().filter(same).count();
        u32::try_from(earlier + own).unwrap_or(u32::MAX)
    }

    /// Decides what comes next, `elapsed` after the turn began.
    #[must_use]
    pub fn next(&self, limits: &Limits, elapsed: Duration) -> Next {
        let rounds = u32::try_from(self.rounds.len()).unwrap_or(u32::MAX);
        if let Some(last) = self.rounds.last() {
            if last.finish == Finish::Refused {
                return end(Outcome::Refused, refused());
            }
            let pending: Vec<usize> =
                last.calls.iter().enumerate().filter(|(_, call)| self.is_open(call)).map(|(i, _)| i).collect();
            if !pending.is_empty() && elapsed < limits.wall {
                return Next::Call { round: rounds - 1, pending };
            }
            if last.calls.is_empty() {
                return match last.finish {
                    Finish::Length => end(
                        Outcome::Limited,
                        limit(
                            "TOKENS",
                            "The answer reached its greatest length.",
                            "Ask for the rest, or for a shorter answer.",
                        ),
                    ),
                    _ => Next::End { outcome: Outcome::Complete, problem: None },
                };
            }
        }
        match self.over(limits, rounds, elapsed) {
            Some((outcome, problem)) => end(outcome, problem),
            None => Next::Ask { round: rounds },
        }
    }

    fn is_open(&self, call: &ToolRequest) -> bool {
        !self.outcomes.contains_key(&call.id)
    }

    /// Bounds that forbid another round.
    fn over(&self, limits: &Limits, rounds: u32, elapsed: Duration) -> Option<(Outcome, Problem)> {
        let tokens = self.usage.input_tokens.saturating_add(self.usage.output_tokens);
        if elapsed >= limits.wall {
            return Some((Outcome::Limited, time()));
        }
        if self.text_bytes() >= limits.text_bytes {
            return Some((Outcome::Limited, text()));
        }
        if tokens >= limits.tokens {
            let message = format!("This answer used {tokens} tokens, of {} at most.", limits.tokens);
            return Some((Outcome::Limited, limit("TOKENS", &message, "Ask for less at once.")));
        }
        if self.cost_micro_usd > 0 && self.cost_micro_usd >= limits.money_micro_usd {
            let message = "This answer reached the most money that one answer may cost.";
            return Some((Outcome::Limited, limit("MONEY", message, "Ask for less at once.")));
        }
        if self.malformed_rounds() >= limits.malformed_rounds {
            let message = "The model asked for tools in a form that cannot be read, again and again.";
            let problem = Problem {
                retryable: true,
                ..limit("MALFORMED_CALLS", message, "Send the message again, or in other words.")
            };
            return Some((Outcome::Failed, problem));
        }
        if self.repeats() > 2 * limits.same_call {
            let message = "The model asked for the same again and again.";
            return Some((Outcome::Limited, limit("REPEATED", message, "Ask in other words.")));
        }
        if rounds >= limits.rounds {
            let message = format!("The model took {rounds} steps without an answer.");
            return Some((Outcome::Limited, limit("ROUNDS", &message, "Send \"continue\" to go on from here.")));
        }
        None
    }

    /// Bytes of all text.
    #[must_use]
    pub fn text_bytes(&self) -> usize {
        self.rounds.iter().map(|round| round.text.len()).sum()
    }

    /// Rounds at the end in which no call could be read.
    fn malformed_rounds(&self) -> u32 {
        let all_malformed = |round: &&Round| {
            !round.calls.is_empty() && round.calls.iter().all(|call| self.malformed.contains(&call.id))
        };
        u32::try_from(self.rounds.iter().rev().take_while(all_malformed).count()).unwrap_or(u32::MAX)
    }

    /// The most often that one call was asked for.
    fn repeats(&self) -> u32 {
        let mut counts: BTreeMap<(&str, String), u32> = BTreeMap::new();
        for call in self.rounds.iter().flat_map(|round| &round.calls) {
            *counts.entry((&call.name, canonical(&call.arguments))).or_default() += 1;
        }
        counts.into_values().max().unwrap_or(0)
    }
}

/// One text for arguments that mean the same; `serde_json` sorts keys.
fn canonical(arguments: &str) -> String {
    serde_json::from_str::<serde_json::Value>(arguments)
        .map_or_else(|_| arguments.to_owned(), |value| value.to_string())
}

fn same_json(a: &str, b: &str) -> bool {
    a == b || canonical(a) == canonical(b)
}

const fn end(outcome: Outcome, problem: Problem) -> Next {
    Next::End { outcome, problem: Some(problem) }
}

fn limit(code: &str, message: &str, next: &str) -> Problem {
    Problem { code: code.to_owned(), message: message.to_owned(), next: next.to_owned(), retryable: false }
}

/// The model will not answer.
pub(crate) fn refused() -> Problem {
    limit("REFUSED", "The model declined to answer this.", "Ask in other words, or for something else.")
}

/// The time is up.
pub(crate) fn time() -> Problem {
    let next = "Send \"continue\" to go on from here, or ask for less at once.";
    limit("TIME", "This answer took as long as one answer may take.", next)
}

/// The text is too long.
pub(crate) fn text() -> Problem {
    limit("TEXT", "The answer reached its greatest length.", "Ask for the rest, or for a shorter answer.")
}

/// The user stopped it.
pub(crate) fn stopped() -> Problem {
    limit("STOPPED", "You stopped this answer.", "Send another message whenever you like.")
}

/// Nothing is left to spend.
pub(crate) fn no_money() -> Problem {
    limit(
        "MONEY",
        "Today's budget for the assistant is used up.",
        "It begins anew at 00:00 UTC; charts and files work meanwhile.",
    )
}

/// Calls that may run at the same time, in the order of the model: what changes something runs alone, behind all before it and
/// before all behind it, so that a call sees what the calls before it did.
#[must_use]
pub fn batches(calls: impl IntoIterator<Item = (usize, crate::tool::Effect)>, parallel: usize) -> Vec<Vec<usize>> {
    let mut batches: Vec<Vec<usize>> = Vec::new();
    let mut open = false;
    for (index, effect) in calls {
        let alone = effect == crate::tool::Effect::Commands;
        match batches.last_mut() {
            Some(batch) if open && !alone && batch.len() < parallel.max(1) => batch.push(index),
            _ => batches.push(vec![index]),
        }
        open = !alone;
    }
    batches
}

#[cfg(test)]
#[path = "progress/tests.rs"]
mod tests;
