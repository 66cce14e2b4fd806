//! Answers about what the user said and prefers: remember, look up, forget.

use crate::outcome::{plain, quoted};
use crate::step::{Step, ask};
use crate::turn::Turn;
use crate::words::text_behind;
use serde_json::{Value, json};

/// Asked before everything that was said is deleted; "yes" counts only right after it.
pub(crate) const ERASE_QUESTION: &str = "This deletes every saved message of all your conversations for good: nobody can bring them back. Your files, watch lists, journal and \
    backtests stay. Answer **yes** to delete, anything else to keep them.";

/// Notes that a profile keeps, and bytes of one.
const NOTES: usize = 50;
const NOTE_BYTES: usize = 500;
/// Bytes of a whole profile, as the user's container takes them.
const PROFILE_BYTES: usize = 16 << 10;

const MARKS: [&str; 15] = [
    "please remember that ",
    "please remember ",
    "remember that ",
    "remember: ",
    "remember ",
    "keep in mind that ",
    "keep in mind ",
    "note that ",
    "dont forget that ",
    "don't forget that ",
    "don't forget ",
    "do not forget that ",
    "memorize that ",
    "memorize ",
    "note: ",
];

/// The step for "remember that …".
pub(crate) fn remember(turn: &Turn<'_>) -> Step {
    let note = text_behind(turn.said, &MARKS).unwrap_or_else(|| turn.said.trim());
    let note: String = cut(note, NOTE_BYTES).to_owned();
    if note.is_empty() || turn.words.len() < 2 {
        return Step::say("What shall I remember? For example: \"remember that I prefer the 4h chart\".");
    }
    let profile = turn.has_tool("set_context").then(|| profile_with(&turn.profile, &note)).flatten();
    if let Some(profile) = profile {
        let done = ask(turn, "set_context", json!({"resource": "user-profile", "content": profile}));
        return done.map_or_else(
            |step| step,
            |_| Step::say(format!("Noted in your profile:\n\n{}\n\nIt is told with each of your messages. \"what do you know about me\" shows all of it.", quoted(&note))),
        );
    }
    let content = format!("Please remember: {note}");
    let saved = ask(turn, "save_message", json!({"role": "user", "content": content}));
    saved.map_or_else(
        |step| step,
        |_| {
            Step::say(format!(
                "Saved in your conversation memory:\n\n{}\n\n\"what did I say about …\" finds it again.",
                quoted(&note)
            ))
        },
    )
}

fn cut(text: &str, bytes: usize) -> &str {
    &text[..text.floor_char_boundary(bytes.min(text.len()))]
}

/// The profile with one more note; `None` if it is not known whole, as writing it would lose the rest, or is full.
fn profile_with(profile: &Value, note: &str) -> Option<String> {
    let mut profile = profile.as_object()?.clone();
    let notes = profile.entry("notes").or_insert_with(|| json!([])).as_array_mut()?;
    notes.retain(|known| known.as_str() != Some(note));
    notes.push(note.into());
    if notes.len() > NOTES {
        notes.remove(0);
    }
    let text = serde_json::to_string_pretty(&profile).ok()?;
    (text.len() <= PROFILE_BYTES).then_some(text)
}

/// The step for "what do you know about me".
pub(crate) fn profile(turn: &Turn<'_>) -> Step {
    let Some(profile) = turn.profile.as_object() else {
        return Step::say("I am not shown your profile here. \"what did I say about …\" searches what you said.");
    };
    if profile.is_empty() {
        return Step::say("Your profile is empty. \"remember that I prefer the 4h chart\" begins it.");
    }
    let mut lines = Vec::new();
    for (key, value) in profile.iter().take(40) {
        match value {
            Value::Array(items) => {
                lines.extend(items.iter().take(NOTES).map(|item| format!("{}: {}", plain(key), shown(item))))
            }
            other => lines.push(format!("{}: {}", plain(key), shown(other))),
        }
    }
    Step::say(format!(
        "Your profile says:\n\n{}\n\nWhat you said in conversations is beside it: \"what did I say about …\" searches there.",
        quoted(&lines.join("\n"))
    ))
}

fn shown(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// The step for "what did I say about …".
pub(crate) fn recall(turn: &Turn<'_>) -> Step {
    let marks = [
        "say about ",
        "tell you about ",
        "said about ",
        "told you about ",
        "mention about ",
        "mention ",
        "talk about ",
        "discuss about ",
        "discuss ",
        "remember about ",
        "remember what i said about ",
        "messages for ",
        "conversation for ",
        "conversation about ",
        "messages about ",
        "remember ",
        "prefer ",
    ];
    let query = text_behind(turn.said, &marks).unwrap_or(turn.said).trim_end_matches(['?', '.', '!', ' ']);
    let query = cut(query, NOTE_BYTES);
    if query.trim().is_empty() {
        return Step::say("About what? For example: \"what did I say about risk\".");
    }
    let found = ask(turn, "search_conversation", json!({"query": query, "limit": 8}));
    found.map_or_else(|step| step, |found| hits(turn, query, found))
}

fn hits(turn: &Turn<'_>, query: &str, found: &Value) -> Step {
    let messages = found["messages"].as_array().map(Vec::as_slice).unwrap_or_default();
    // The question itself is saved already, and answers that quote are no memories.
    let told = messages.iter().filter(|it| {
        it["role"] == "user" && it["content"].as_str().is_some_and(|text| text.trim() != turn.said.trim())
    });
    let line = |it: &Value| {
        let seconds = it["at_ns"].as_u64().and_then(|ns| i64::try_from(ns / 1_000_000_000).ok());
        let time = seconds
            .and_then(|seconds| jiff::Timestamp::from_second(seconds).ok())
            .map(|time| time.strftime("%Y-%m-%d %H:%M UTC").to_string());
        let content = cut(it["content"].as_str().unwrap_or_default(), NOTE_BYTES);
        format!("{}:\n\n{}", time.unwrap_or_else(|| "At an unknown time".to_owned()), quoted(content))
    };
    let lines: Vec<String> = told.take(5).map(line).collect();
    if lines.is_empty() {
        return Step::say(format!("I find nothing that you said about {}.", plain(query)));
    }
    let note = found["note"].as_str().map(|note| format!("\n\n({})", plain(note))).unwrap_or_default();
    Step::say(format!("You said:\n\n{}{note}", lines.join("\n\n")))
}

/// The step for "yes" to the question.
pub(crate) fn erase(turn: &Turn<'_>) -> Step {
    let erased = ask(turn, "erase_conversation", json!({"confirm": "erase"}));
    erased.map_or_else(
        |step| step,
        |done| match (done["erased"].as_u64(), done["left"].as_u64()) {
            (Some(erased), Some(0)) => Step::say(format!(
                "Erased: {erased} messages, 0 are left. Your files and backtests are untouched, and so is your profile."
            )),
            (Some(erased), Some(left)) => {
                Step::say(format!("{erased} messages are erased, but {left} are left. Ask again to erase those."))
            }
            _ => Step::say(
                "`erase_conversation` does not say how many messages are left, so I do not know whether all are gone.",
            ),
        },
    )
}
