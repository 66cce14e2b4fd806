//! Answers about prices: one market, several beside each other, the watch list. Every number is one that a tool gave, with its age.

use crate::chart::{bitcoin, minute, on_chart};
use crate::markets::{Market, markets};
use crate::outcome::{plain, quoted};
use crate::step::{Step, ask};
use crate::turn::Turn;
use proto::Decimal;
use serde_json::{Value, json};

/// From this age on a price is called old.
const OLD_MS: u64 = 60_000;
/// Symbols of a watch list that are asked for at a time.
const SYMBOLS_MAX: usize = 50;

/// "(as of 2026-03-14 09:00 UTC, 0.4 s old, simulated market)".
pub(crate) fn freshness(price: &Value, mode: &str) -> String {
    let time = price["time"].as_str().map(|time| format!("as of {}", minute(time)));
    let age = price["age_ms"].as_u64().map(|age| match age {
        0..10_000 => format!("{}.{} s old", age / 1000, age % 1000 / 100),
        10_000..120_000 => format!("{} s old", age / 1000),
        _ => format!("{} min old", age / 60_000),
    });
    let old = price["age_ms"].as_u64().is_some_and(|age| age >= OLD_MS).then(|| "not fresh".to_owned());
    let market = match mode {
        "SIM" => Some("simulated market".to_owned()),
        "REPLAY" => Some("replayed market".to_owned()),
        _ => None,
    };
    let known: Vec<String> = [time, age, old, market].into_iter().flatten().collect();
    if known.is_empty() { "(its time is not known)".to_owned() } else { format!("({})", known.join(", ")) }
}

fn text<'v>(value: &'v Value, key: &str) -> Option<&'v str> {
    value[key].as_str().filter(|text| !text.is_empty())
}

fn name(price: &Value) -> String {
    plain(text(price, "symbol").unwrap_or("?"))
}

fn venue(price: &Value) -> String {
    plain(text(price, "venue").unwrap_or("?"))
}

/// The change as the tool gave it, with its sign.
fn change(price: &Value) -> Option<String> {
    let percent = text(price, "change_24h_percent")?;
    let sign = if percent.starts_with(['-', '+']) { "" } else { "+" };
    Some(format!("{sign}{} %", plain(percent)))
}

fn change_value(price: &Value) -> Option<Decimal> {
    text(price, "change_24h_percent")?.parse().ok()
}

fn list<'v>(value: &'v Value, key: &str) -> &'v [Value] {
    value[key].as_array().map(Vec::as_slice).unwrap_or_default()
}

/// The step for a question about prices.
pub(crate) fn step(turn: &Turn<'_>) -> Step {
    answer(turn).unwrap_or_else(|step| step)
}

fn answer(turn: &Turn<'_>) -> Result<Step, Step> {
    let current = turn.current_market();
    let mut wanted: Vec<Market> =
        markets(&turn.words).into_iter().map(|market| on_chart(market, current.as_ref())).collect();
    let compares = turn.words.any(&["compare", "versus", "vs", "against", "comparison"]);
    if wanted.is_empty() || (compares && wanted.len() == 1) {
        let other = current.filter(|market| !wanted.contains(market));
        wanted.insert(0, other.unwrap_or_else(bitcoin));
        wanted.dedup();
    }
    let names: Vec<String> = wanted.iter().map(Market::name).collect();
    let given = ask(turn, "get_price", json!({ "symbols": names }))?;
    let (prices, missing) = (list(given, "prices"), missing(given));
    if prices.is_empty() {
        let missing = if missing.is_empty() { "No price came back.".to_owned() } else { missing };
        return Ok(Step::say(format!(
            "{missing}\n\nI do not guess a price. \"find instruments {}\" shows what is there.",
            wanted[0].base()
        )));
    }
    let said = if prices.len() > 1 { table(prices) } else { prices.iter().map(one).collect::<Vec<_>>().join("\n\n") };
    Ok(Step::Say(if missing.is_empty() { said } else { format!("{said}\n\n{missing}") }))
}

/// Symbols without a price, with the reason and what else there is.
fn missing(given: &Value) -> String {
    let line = |error: &Value| {
        let candidates: Vec<String> =
            list(error, "candidates").iter().filter_map(Value::as_str).take(8).map(plain).collect();
        let choice =
            if candidates.is_empty() { String::new() } else { format!("\nTo choose from: {}.", candidates.join(", ")) };
        let reason = text(error, "message").map(quoted).unwrap_or_default();
        format!("No price for {}:\n\n{reason}{choice}", plain(text(error, "symbol").unwrap_or("one of them")))
    };
    list(given, "errors").iter().take(5).map(line).collect::<Vec<_>>().join("\n\n")
}

fn one(price: &Value) -> String {
    let Some(last) = text(price, "price") else { return format!("{} has no price yet.", name(price)) };
    let mode = text(price, "mode").unwrap_or_default();
    let mut said =
        format!("**{}** on {} stands at {} {}.", name(price), venue(price), plain(last), freshness(price, mode));
    if let Some(change) = change(price) {
        said += &format!(" Over 24 hours: {change}");
        if let (Some(low), Some(high)) = (text(price, "low_24h"), text(price, "high_24h")) {
            said += &format!(", between {} and {}", plain(low), plain(high));
        }
        said += ".";
    }
    if let (Some(bid), Some(ask)) = (text(price, "bid"), text(price, "ask")) {
        said += &format!(" Best bid {}, best ask {}.", plain(bid), plain(ask));
    }
    said
}

fn table(prices: &[Value]) -> String {
    let cell = |price: &Value, key: &str| text(price, key).map_or_else(|| "–".to_owned(), plain);
    let row = |price: &Value| {
        let mode = text(price, "mode").unwrap_or_default();
        let age = freshness(price, mode);
        let age = age.trim_matches(['(', ')']);
        let change = change(price).unwrap_or_else(|| "–".to_owned());
        format!(
            "| {} | {} | {} | {change} | {} | {} | {age} |",
            name(price),
            venue(price),
            cell(price, "price"),
            cell(price, "low_24h"),
            cell(price, "high_24h")
        )
    };
    let rows: Vec<String> = prices.iter().map(row).collect();
    let mut said = format!(
        "| market | venue | price | 24 h | low | high | as of |\n|---|---|---|---|---|---|---|\n{}",
        rows.join("\n")
    );
    let mut changed: Vec<&Value> = prices.iter().filter(|price| change_value(price).is_some()).collect();
    changed.sort_by_key(|price| std::cmp::Reverse(change_value(price)));
    if let (Some(first), Some(last)) = (changed.first(), changed.last())
        && changed.len() > 1
        && change_value(first) != change_value(last)
    {
        let of = |price: &Value| format!("{} ({})", name(price), change(price).unwrap_or_default());
        said += &format!("\n\nOver 24 hours {} did better than {}.", of(first), of(last));
    }
    said
}

/// The step for "the biggest mover on my watch list".
pub(crate) fn movers(turn: &Turn<'_>) -> Step {
    moved(turn).unwrap_or_else(|step| step)
}

fn moved(turn: &Turn<'_>) -> Result<Step, Step> {
    let watched = ask(turn, "get_watchlist", json!({}))?;
    let symbols: Vec<&str> = list(watched, "symbols").iter().filter_map(Value::as_str).take(SYMBOLS_MAX).collect();
    if symbols.is_empty() {
        return Ok(Step::say(
            "Your watch list is empty. Say \"add BTC and ETH to my watch list\", then I can compare them.",
        ));
    }
    let given = ask(turn, "get_price", json!({ "symbols": symbols }))?;
    let mut prices: Vec<&Value> = list(given, "prices").iter().filter(|price| change_value(price).is_some()).collect();
    let (up, down) = (
        turn.words.any(&["gainer", "gainers", "best", "strongest"]),
        turn.words.any(&["loser", "losers", "worst", "weakest"]),
    );
    // Largest first; of equals the order of the list.
    prices.sort_by_key(|price| {
        let change = change_value(price).unwrap_or(Decimal::ZERO);
        std::cmp::Reverse(if up {
            change.units()
        } else if down {
            -change.units()
        } else {
            change.units().abs()
        })
    });
    let Some(first) = prices.first() else {
        return Ok(Step::say(
            format!("No change over 24 hours is known for what is on your watch list.\n\n{}", missing(given))
                .trim_end()
                .to_owned(),
        ));
    };
    let kind = if up {
        "strongest"
    } else if down {
        "weakest"
    } else {
        "biggest mover"
    };
    let head = format!(
        "The {kind} of your watch list over 24 hours is **{}**: {}, now {} {}.",
        name(first),
        change(first).unwrap_or_default(),
        plain(text(first, "price").unwrap_or("without a price")),
        freshness(first, text(first, "mode").unwrap_or_default())
    );
    let all: Vec<Value> = prices.iter().map(|price| (*price).clone()).collect();
    let missing = missing(given);
    let rest = if all.len() > 1 {
        format!("\n\n{}", table(&all).split("\n\n").next().unwrap_or_default())
    } else {
        String::new()
    };
    let missing = if missing.is_empty() { missing } else { format!("\n\n{missing}") };
    Ok(Step::say(format!("{head}{rest}{missing}")))
}
