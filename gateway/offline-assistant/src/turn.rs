//! What the rules decide from: what was said last, what the calls since then gave back, and what the user has open.

use crate::markets::Market;
use crate::outcome::Outcome;
use crate::times::Interval;
use crate::words::Words;
use harness::model::{Message, Prompt};
use jiff::Timestamp;
use serde_json::Value;

/// JSON values that are looked for in the system prompt.
const VALUES_MAX: usize = 64;
/// Messages that are looked back for a market.
const BACK_MAX: usize = 40;

/// A call since the user's message, with what it gave back.
#[derive(Debug, Clone)]
pub(crate) struct Done {
    pub(crate) name: String,
    pub(crate) outcome: Outcome,
}

/// A turn as far as it is.
#[derive(Debug)]
pub(crate) struct Turn<'a> {
    prompt: &'a Prompt,
    /// The user's message.
    pub(crate) said: &'a str,
    /// Its words.
    pub(crate) words: Words,
    /// Place of the user's message.
    at: usize,
    /// Calls since then, in order.
    pub(crate) done: Vec<Done>,
    /// How often the model was asked since then.
    pub(crate) rounds: usize,
    /// What the user has open and keeps; null if the prompt does not say.
    pub(crate) workspace: Value,
    /// The user's preferences; null if the prompt does not say, or not whole.
    pub(crate) profile: Value,
    /// The time.
    pub(crate) now: Timestamp,
}

impl<'a> Turn<'a> {
    /// `None` if the user said nothing.
    pub(crate) fn read(prompt: &'a Prompt, now: Timestamp) -> Option<Self> {
        let user = |message: &'a Message| match message {
            Message::User { text } => Some(text.as_str()),
            _ => None,
        };
        let (at, said) =
            prompt.messages.iter().enumerate().rev().find_map(|(at, it)| user(it).map(|text| (at, text)))?;
        let since = &prompt.messages[at + 1..];
        let rounds = since.iter().filter(|message| matches!(message, Message::Assistant { .. })).count();
        Some(Self {
            prompt,
            said,
            words: Words::new(said),
            at,
            done: done(since),
            rounds,
            workspace: resource(
                &prompt.system,
                &["source=\"workspace\"", "workspace-state"],
                &["chart", "watchlist", "strategies"],
            ),
            profile: resource(&prompt.system, &["source=\"user-profile\"", "user-profile"], &[]),
            now,
        })
    }

    /// The same turn, had the user said this.
    pub(crate) fn had_said<'b>(&'b self, said: &'b str) -> Turn<'b> {
        Turn {
            prompt: self.prompt,
            said,
            words: Words::new(said),
            at: self.at,
            done: self.done.clone(),
            rounds: self.rounds,
            workspace: self.workspace.clone(),
            profile: self.profile.clone(),
            now: self.now,
        }
    }

    /// Whether a tool may be called.
    pub(crate) fn has_tool(&self, name: &str) -> bool {
        self.prompt.tools.iter().any(|tool| tool.name == name)
    }

    /// A name that no call of this conversation has.
    pub(crate) fn call_id(&self, index: usize) -> String {
        format!("rule_{}_{index}", self.prompt.messages.len())
    }

    /// The newest call of a tool.
    pub(crate) fn last(&self, name: &str) -> Option<&Done> {
        self.done.iter().rev().find(|done| done.name == name)
    }

    /// What the newest call of a tool gave, if it did what was asked.
    pub(crate) fn got(&self, name: &str) -> Option<&Value> {
        self.last(name).and_then(|done| done.outcome.value())
    }

    /// What the user said before, newest first.
    pub(crate) fn said_before(&self) -> impl Iterator<Item = &'a str> + '_ {
        self.prompt.messages[..self.at].iter().rev().take(BACK_MAX).filter_map(|message| match message {
            Message::User { text } => Some(text.as_str()),
            _ => None,
        })
    }

    /// What the assistant said just before the user's message.
    pub(crate) fn answered_before(&self) -> Option<&'a str> {
        self.prompt.messages[..self.at].iter().rev().find_map(|message| match message {
            Message::Assistant { text, .. } if !text.is_empty() => Some(text.as_str()),
            _ => None,
        })
    }

    /// The market that "it" means: the one on the chart, else the newest one of the conversation.
    pub(crate) fn current_market(&self) -> Option<Market> {
        let chart = &self.workspace["chart"];
        let text = |key: &str| chart[key].as_str().unwrap_or_default();
        let shown = Market::parse(text("symbol")).map(|market| Market {
            venue: Market::parse(&format!("{}:X", text("venue"))).and_then(|named| named.venue).or(market.venue),
            symbol: market.symbol,
        });
        // What was said after the page last told its state is newer, but the page tells it with each message.
        shown.or_else(|| self.market_before())
    }

    fn market_before(&self) -> Option<Market> {
        let before = self.prompt.messages[..self.at].iter().rev().take(BACK_MAX);
        before
            .filter_map(|message| match message {
                Message::User { text } => crate::markets::markets(&Words::new(text)).into_iter().next(),
                Message::Assistant { calls, .. } => calls.iter().rev().find_map(|call| {
                    let arguments: Value = serde_json::from_str(&call.arguments).ok()?;
                    let market = arguments.get("market").unwrap_or(&arguments);
                    let name = market["symbol"].as_str()?;
                    let venue = market["venue"].as_str().map(|venue| format!("{venue}:")).unwrap_or_default();
                    Market::parse(&format!("{venue}{name}"))
                }),
                Message::Tool { .. } => None,
            })
            .next()
    }

    /// The interval on the chart.
    pub(crate) fn current_interval(&self) -> Option<Interval> {
        self.workspace["chart"]["interval"].as_str().and_then(Interval::parse)
    }

    /// Names of a list of the workspace; `None` if the prompt does not tell, or may have cut it.
    pub(crate) fn names(&self, list: &str) -> Option<Vec<&str>> {
        const LISTED: usize = 50;
        let names: Vec<&str> = self.workspace[list].as_array()?.iter().filter_map(Value::as_str).collect();
        (names.len() < LISTED).then_some(names)
    }
}

fn done(since: &[Message]) -> Vec<Done> {
    let mut done = Vec::new();
    for message in since {
        let Message::Tool { call_id, content } = message else { continue };
        let call = since.iter().find_map(|message| match message {
            Message::Assistant { calls, .. } => calls.iter().find(|call| call.id == *call_id),
            _ => None,
        });
        if let Some(call) = call {
            done.push(Done { name: call.name.clone(), outcome: Outcome::read(content) });
        }
    }
    done
}

/// The JSON object that a resource of the user's container is, just behind one of its names in the system prompt; without a name, one that
/// has one of the keys. Null if there is none, or if it was cut to fit.
fn resource(system: &str, names: &[&str], keys: &[&str]) -> Value {
    let places = names.iter().flat_map(|name| system.match_indices(name).take(VALUES_MAX));
    let named = places.into_iter().find_map(|(at, name)| {
        let rest = &system[at + name.len()..];
        let open = rest.find('{')?;
        // Its name, then a mark, then the object: anything longer in between is another section.
        let near = open <= 160 && !rest[..open].contains("context://") && !rest[..open].contains("\n\n");
        if near { first_object(&rest[open..]) } else { None }
    });
    let keyed = || {
        let mut rest = system;
        for _ in 0..VALUES_MAX {
            let open = rest.find('{')?;
            rest = &rest[open..];
            if let Some(object) = first_object(rest).filter(|object| keys.iter().any(|key| object.get(key).is_some())) {
                return Some(object);
            }
            rest = &rest[1..];
        }
        None
    };
    named.or_else(keyed).unwrap_or(Value::Null)
}

fn first_object(text: &str) -> Option<Value> {
    serde_json::Deserializer::from_str(text).into_iter::<Value>().next()?.ok().filter(Value::is_object)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resources_are_found_in_any_frame() {
        let state = r#"{"chart":{"venue":"SIM","symbol":"BTC/USDT","interval":"3600s"},"strategies":["a"]}"#;
        for system in [
            format!("Rules.\n<context uri=\"context://workspace-state\">\n{state}\n</context>"),
            format!("Rules {{x}}.\n## context://workspace-state\n{state}"),
            format!("```json\n{state}\n```"),
        ] {
            let read = resource(&system, &["workspace-state"], &["chart"]);
            assert_eq!(read["chart"]["symbol"], "BTC/USDT", "{system}");
        }
        let profile = r#"context://user-profile {"notes":["{x}"]} context://workspace-state {}"#;
        assert_eq!(resource(profile, &["user-profile"], &[])["notes"][0], "{x}");
        for none in
            ["", "{", "user-profile", "user-profile {", "user-profile (too long)\ncontext://workspace-state {\"a\":1}"]
        {
            assert_eq!(resource(none, &["user-profile"], &[]), Value::Null, "{none}");
        }
    }
}
