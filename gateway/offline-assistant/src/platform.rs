//! Answers of the platform: health, account, instruments, history, knowledge.

use crate::chart::{bitcoin, minute, on_chart};
use crate::instrument::resolved;
use crate::markets::markets;
use crate::outcome::{plain, quoted};
use crate::step::{Step, ask};
use crate::times::{self, Interval, Range};
use crate::turn::Turn;
use serde_json::{Value, json};

fn rows<'v>(value: &'v Value, key: &str) -> &'v [Value] {
    value[key].as_array().map(Vec::as_slice).unwrap_or_default()
}

fn text(value: &Value, key: &str) -> String {
    value[key].as_str().map(plain).unwrap_or_default()
}

/// The step for "is the feed live".
pub(crate) fn health(turn: &Turn<'_>) -> Step {
    let told = ask(turn, "platform_health", json!({}));
    told.map_or_else(
        |step| step,
        |health| {
            let feed = |feed: &Value| {
                let age = feed["age_ms"]
                    .as_u64()
                    .map(|age| format!(", last event {}.{} s ago", age / 1000, age % 1000 / 100))
                    .unwrap_or_default();
                format!("- {}: {} ({}){age}", text(feed, "venue"), text(feed, "state"), text(feed, "mode"))
            };
            let feeds: Vec<String> = rows(health, "feeds").iter().take(20).map(feed).collect();
            let problems: Vec<String> = rows(health, "problems")
                .iter()
                .filter_map(Value::as_str)
                .take(10)
                .map(|it| format!("- {}", plain(it)))
                .collect();
            let feeds = if feeds.is_empty() { "No feed is connected.".to_owned() } else { feeds.join("\n") };
            let problems = if problems.is_empty() {
                "Nothing is reported missing.".to_owned()
            } else {
                format!("Missing:\n\n{}", problems.join("\n"))
            };
            Step::say(format!(
                "The platform says **{}** at {}; markets are {}.\n\n{feeds}\n\n{problems}",
                text(health, "status"),
                minute(health["server_time"].as_str().unwrap_or_default()),
                text(health, "mode")
            ))
        },
    )
}

/// The step for "which tier am I on".
pub(crate) fn account(turn: &Turn<'_>) -> Step {
    let told = ask(turn, "get_account", json!({}));
    told.map_or_else(
        |step| step,
        |account| {
            let shown = |value: &Value| value.as_str().map_or_else(|| plain(&value.to_string()), plain);
            let line = |(key, value): (&String, &Value)| format!("- {}: {}", plain(key).replace('_', " "), shown(value));
            let simple = account.as_object().into_iter().flatten().filter(|(_, value)| !value.is_object() && !value.is_array() && !value.is_null());
            let limits = account["limits"].as_object().into_iter().flatten();
            let lines: Vec<String> = simple.map(line).chain(limits.map(line)).take(40).collect();
            Step::say(format!("Your account:\n\n{}\n\nAnswers of this assistant cost nothing: it is made of rules, not of a language model.", lines.join("\n")))
        },
    )
}

/// The step for "find instruments BTC".
pub(crate) fn instruments(turn: &Turn<'_>) -> Step {
    let query = markets(&turn.words).first().map(|market| market.symbol.clone()).unwrap_or_default();
    let venue = crate::markets::venue(&turn.words);
    let mut arguments = json!({ "query": query });
    if let Some(venue) = venue {
        arguments["venue"] = venue.into();
    }
    let told = ask(turn, "list_instruments", arguments);
    told.map_or_else(
        |step| step,
        |told| {
            let found = rows(told, "instruments");
            if found.is_empty() {
                return Step::say("No instrument fits. Try a part of its name: \"find instruments BTC\".");
            }
            let line = |it: &Value| {
                let status = text(it, "status");
                let halted =
                    if status.is_empty() || status == "trading" { String::new() } else { format!(", {status}") };
                format!("- {}:{} ({}{halted})", text(it, "venue"), text(it, "symbol"), text(it, "kind"))
            };
            let lines: Vec<String> = found.iter().take(25).map(line).collect();
            let more = if found.len() > lines.len() { "\n- and more; name a part of the symbol" } else { "" };
            Step::say(format!("Instruments:\n\n{}{more}\n\n\"show BTC 1h\" puts one on the chart.", lines.join("\n")))
        },
    )
}

/// The step for "load history of BTC 1h since 2025".
pub(crate) fn history(turn: &Turn<'_>) -> Step {
    requested(turn).unwrap_or_else(|step| step)
}

fn requested(turn: &Turn<'_>) -> Result<Step, Step> {
    let current = turn.current_market();
    let named = markets(&turn.words).into_iter().next();
    let market = named.map(|market| on_chart(market, current.as_ref())).or(current).unwrap_or_else(bitcoin);
    let (venue, symbol) = resolved(turn, &market)?;
    let asked = times::interval(&turn.words).map(|asked| asked.interval);
    let interval = asked.or_else(|| turn.current_interval()).unwrap_or(Interval::HOUR);
    let range =
        times::range(&turn.words, turn.now).unwrap_or_else(|| Range::days_before(turn.now, interval.usual_days()));
    let (from, to) = range.texts();
    let arguments = json!({"venue": venue, "symbol": symbol, "interval": interval.name(), "from": from, "to": to});
    let told = ask(turn, "request_history", arguments)?;
    let state = match text(told, "state").as_str() {
        "" => "The platform took the request; it does not say how far it is.".to_owned(),
        state => format!("The platform says: **{state}**."),
    };
    let message = told["message"].as_str().map(|message| format!("\n\n{}", quoted(message))).unwrap_or_default();
    let id = told["request_id"].as_str().map(|id| format!(" Request `{}`.", plain(id))).unwrap_or_default();
    Ok(Step::say(format!(
        "I asked for {venue} {symbol}, {} candles, {}. {state}{id}{message}\n\nCharts and backtests use it as soon as it is in.",
        interval.name(),
        range.shown()
    )))
}

/// The step for "what is look-ahead".
pub(crate) fn knowledge(turn: &Turn<'_>) -> Step {
    let query: String = turn.said.chars().filter(|letter| !letter.is_control()).take(300).collect();
    let told = ask(turn, "search_knowledge", json!({"query": query, "limit": 2}));
    told.map_or_else(
        |step| step,
        |told| {
            let found = rows(told, "snippets");
            if found.is_empty() {
                return Step::say("The platform's knowledge has nothing on that, and without a language model I do not make it up. Ask about indicators, backtests, risk, look-ahead, over-fitting or the strategy API.");
            }
            let part = |it: &Value| {
                let body: String = it["text"].as_str().unwrap_or_default().chars().filter(|letter| *letter == '\n' || !letter.is_control()).take(1600).collect();
                format!("**{}** ({})\n\n{}", text(it, "heading"), text(it, "source"), quoted(&body))
            };
            let parts: Vec<String> = found.iter().take(2).map(part).collect();
            Step::say(format!("From the platform's own pages:\n\n{}", parts.join("\n\n")))
        },
    )
}
