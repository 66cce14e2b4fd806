//! Answers about the watch list and the journal.

use crate::instrument::resolved;
use crate::markets::{Market, markets};
use crate::outcome::{plain, quoted};
use crate::step::{Step, ask, ask_together};
use crate::turn::Turn;
use crate::words::text_behind;
use serde_json::{Value, json};

/// The step for the watch list.
pub(crate) fn watchlist(turn: &Turn<'_>) -> Step {
    changed(turn).unwrap_or_else(|step| step)
}

fn symbols(list: &Value) -> Vec<String> {
    let symbols = list["symbols"].as_array().map(Vec::as_slice).unwrap_or_default();
    symbols.iter().filter_map(Value::as_str).map(str::to_owned).collect()
}

fn shown(symbols: &[String]) -> String {
    if symbols.is_empty() {
        "It is empty now.".to_owned()
    } else {
        symbols.iter().map(|symbol| format!("- {}\n", plain(symbol))).collect::<String>().trim_end().to_owned()
    }
}

fn changed(turn: &Turn<'_>) -> Result<Step, Step> {
    let words = &turn.words;
    let removes = words.any(&["remove", "delete", "drop", "unwatch", "stop watching", "take off", "take", "without"]);
    let adds = !removes
        && (words.any(&["add", "put", "include", "append", "track"])
            || (words.begins(&["watch"]) && !words.begins(&["watch list", "watch lists"])))
        && !words.begins(&["show", "list", "what"]);
    let empties = words.any(&["clear", "empty", "reset"]) && !words.has("is");
    let mut wanted = markets(words);
    if wanted.is_empty() && (adds || removes) && words.any(&["it", "this"]) {
        wanted.extend(turn.current_market());
    }
    if (adds || removes) && wanted.is_empty() && !words.begins(&["watch list", "watchlist"]) {
        return Ok(Step::say("Which market? For example: \"add SOL to my watch list\"."));
    }
    if !(adds || removes || empties) {
        let list = symbols(ask(turn, "get_watchlist", json!({}))?);
        return Ok(Step::say(if list.is_empty() {
            "Your watch list is empty. \"add BTC and ETH to my watch list\" fills it.".to_owned()
        } else {
            format!("On your watch list:\n\n{}\n\n\"biggest mover on my watch list\" compares them.", shown(&list))
        }));
    }
    let is_open = |market: &&Market| adds && (market.venue.is_none() || market.quote().is_none());
    let open: Vec<&str> = wanted.iter().filter(is_open).map(|market| market.symbol.as_str()).collect();
    let mut calls = vec![("get_watchlist", json!({}))];
    if !open.is_empty() {
        calls.push(("list_instruments", json!({ "query": open.join(",") })));
    }
    ask_together(turn, calls)?;
    let list = symbols(ask(turn, "get_watchlist", json!({}))?);
    let (new, done) = if empties {
        (Vec::new(), "Your watch list is cleared.".to_owned())
    } else if removes {
        without(&list, &wanted)
    } else {
        with(turn, &list, &wanted)?
    };
    if new == list {
        return Ok(Step::say(format!("{done}\n\n{}", shown(&list))));
    }
    ask(turn, "set_watchlist", json!({ "symbols": new }))?;
    Ok(Step::say(format!("{done} Your watch list:\n\n{}", shown(&new))))
}

fn without(list: &[String], wanted: &[Market]) -> (Vec<String>, String) {
    let meant = |symbol: &String| {
        Market::parse(symbol).is_some_and(|entry| {
            wanted.iter().any(|market| {
                entry.base() == market.base()
                    && market.quote().is_none_or(|quote| entry.quote() == Some(quote))
                    && market.venue.as_ref().is_none_or(|venue| entry.venue.as_ref() == Some(venue))
            })
        })
    };
    let gone: Vec<String> = list.iter().filter(|symbol| meant(symbol)).map(|symbol| plain(symbol)).collect();
    let left = list.iter().filter(|symbol| !meant(symbol)).cloned().collect();
    let said = if gone.is_empty() {
        "None of these is on your watch list, so nothing changed.".to_owned()
    } else {
        format!("Removed {}.", gone.join(", "))
    };
    (left, said)
}

fn with(turn: &Turn<'_>, list: &[String], wanted: &[Market]) -> Result<(Vec<String>, String), Step> {
    let mut new = list.to_vec();
    let mut added = Vec::new();
    for market in wanted {
        let (venue, symbol) = resolved(turn, market)?;
        let name = format!("{venue}:{symbol}");
        if !new.contains(&name) {
            added.push(plain(&name));
            new.push(name);
        }
    }
    let said = if added.is_empty() {
        "That is on your watch list already.".to_owned()
    } else {
        format!("Added {}.", added.join(", "))
    };
    Ok((new, said))
}

/// The step for the journal.
pub(crate) fn journal(turn: &Turn<'_>) -> Step {
    let marks = [
        "to my journal: ",
        "to my journal that ",
        "to the journal: ",
        "in my journal: ",
        "in my journal that ",
        "in the journal: ",
        "journal entry: ",
        "journal: ",
        "diary: ",
        "journal that ",
        "journal entry ",
        "my journal, ",
    ];
    let adds = turn.words.any(&["add", "write", "log", "put", "note", "record", "save", "entry"])
        && !turn.words.begins(&["show", "read", "open", "what", "list"]);
    let begins = turn.words.begins(&["journal", "diary"]) && turn.said.contains(':');
    let entry = text_behind(turn.said, &marks)
        .or_else(|| written_before(turn.said))
        .map(|entry| entry.trim_matches(['"', '“', '”']));
    if !(adds || begins) {
        return ask(turn, "journal", json!({})).map_or_else(|step| step, read);
    }
    let Some(entry) = entry.filter(|entry| !entry.is_empty()) else {
        return Step::say("What shall I write? For example: \"add to my journal: closed too early, fear\".");
    };
    let done = ask(turn, "journal", json!({ "entry": entry }));
    done.map_or_else(|step| step, |_| Step::say(format!("Written to your journal:\n\n{}", quoted(entry))))
}

/// The entry of "add X to my journal".
fn written_before(said: &str) -> Option<&str> {
    let lower = said.to_ascii_lowercase();
    let end = [" to my journal", " to the journal", " in my journal", " into my journal", " to my diary"]
        .iter()
        .find_map(|mark| lower.find(mark))?;
    let begin = ["add ", "write ", "log ", "put ", "record ", "note ", "save "]
        .iter()
        .find_map(|mark| lower.find(mark).map(|at| at + mark.len()))
        .filter(|at| *at < end)?;
    let entry = said.get(begin..end)?.trim();
    let nothing = ["an entry", "a note", "entry", "note", "something", "this", "a line"];
    (!entry.is_empty() && !nothing.contains(&entry.to_ascii_lowercase().as_str())).then_some(entry)
}

fn read(journal: &Value) -> Step {
    match journal["text"].as_str().map(str::trim) {
        Some("") => Step::say("Your journal is empty. \"add to my journal: waited for the breakout\" begins it."),
        Some(text) => {
            // The newest entries stand last.
            let from = text.len().saturating_sub(1400);
            let tail = &text[text.ceil_char_boundary(from)..];
            let cut = if from > 0 { "The end of your journal:" } else { "Your journal:" };
            Step::say(format!("{cut}\n\n{}", quoted(tail)))
        }
        None => Step::say("`journal` gave no text that I can read."),
    }
}
