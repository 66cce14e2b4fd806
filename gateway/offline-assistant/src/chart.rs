//! Answers about the chart: show a market, indicators, breakouts and levels on it, take things away.

use crate::markets::{Market, markets};
use crate::outcome::{Outcome, plain};
use crate::prices::freshness;
use crate::step::{Step, ask, ask_together, given};
use crate::studies::{Study, studies};
use crate::times::{self, Interval};
use crate::turn::Turn;
use crate::words::Words;
use serde_json::{Value, json};

/// Candles whose highest high or lowest low a close must pass, if nobody says.
const LOOKBACK: u32 = 20;
/// Breakouts that are marked, if nobody says, and most.
const BREAKOUTS: u32 = 5;
const BREAKOUTS_MAX: u32 = 50;

/// What a message wants of the chart.
struct Wish {
    market: Market,
    /// Nobody named a market, and none is open.
    assumed: bool,
    interval: Interval,
    /// What was asked for instead, if that is not kept.
    stands_in: bool,
    studies: Vec<Study>,
    breakouts: bool,
    levels: bool,
}

fn wants_breakouts(words: &Words) -> bool {
    words.says("breakout|breakouts|breakdown|breakdowns|break out|break outs|broke out|breaking out|new highs|new high")
}

fn wants_levels(words: &Words) -> bool {
    words.says("support|resistance|levels|level|supports|resistances|key levels")
}

fn takes_away(words: &Words) -> bool {
    words.says("remove|hide|delete|drop|clear|get rid|turn off|take off|take away|reset|clean|no more|without")
        || (words.has("off") && words.says("take|turn|switch"))
}

/// The step for a message about the chart.
pub(crate) fn step(turn: &Turn<'_>) -> Step {
    let words = &turn.words;
    let named = markets(words);
    if takes_away(words) && !words.has("show") {
        return removal(turn).unwrap_or_else(|step| step);
    }
    let added = named.is_empty() && times::interval(words).is_none() && !wants_breakouts(words) && !wants_levels(words);
    let studies = studies(words);
    if added
        && !studies.is_empty()
        && (turn.current_market().is_some() || words.begins(&["add", "put", "also", "and", "now", "overlay", "plus"]))
    {
        return addition(turn, &studies).unwrap_or_else(|step| step);
    }
    let market = named.into_iter().next();
    let current = turn.current_market();
    let assumed = market.is_none() && current.is_none();
    let asked = times::interval(words);
    let wish = Wish {
        market: market.map(|market| on_chart(market, current.as_ref())).or(current).unwrap_or_else(bitcoin),
        assumed,
        interval: asked.map(|asked| asked.interval).or_else(|| turn.current_interval()).unwrap_or(Interval::HOUR),
        stands_in: asked.is_some_and(|asked| !asked.exact),
        studies,
        breakouts: wants_breakouts(words),
        levels: wants_levels(words),
    };
    shown(turn, &wish).unwrap_or_else(|step| step)
}

/// A market that most people mean who name none.
pub(crate) fn bitcoin() -> Market {
    Market { venue: None, symbol: "BTC".to_owned() }
}

/// `BTC`, or `BTC/USDT`, on a chart of `SIM:BTC/USDT` is that market.
pub(crate) fn on_chart(market: Market, current: Option<&Market>) -> Market {
    let same = |current: &&Market| {
        let quote = market.quote().is_none() || market.quote() == current.quote();
        market.venue.is_none() && current.base() == market.base() && quote
    };
    current.filter(same).cloned().unwrap_or(market)
}

fn shown(turn: &Turn<'_>, wish: &Wish) -> Result<Step, Step> {
    let mut show = wish.market.arguments();
    show["interval"] = wish.interval.name().into();
    show["indicators"] = wish.studies.iter().map(Study::arguments).collect();
    let mut calls = vec![("show_chart", show)];
    let mut series = wish.market.arguments();
    series["interval"] = wish.interval.name().into();
    if wish.breakouts {
        let (lookback, count) = breakout_numbers(&turn.words);
        let mut find = series.clone();
        find["lookback"] = lookback.into();
        find["count"] = count.into();
        calls.push(("find_breakouts", find));
    }
    if wish.levels {
        calls.push(("find_levels", series));
    }
    ask_together(turn, calls)?;
    let chart = given(turn, "show_chart")?;
    let mark = marks(turn, wish);
    if let Some(mark) = mark {
        ask_together(turn, vec![("mark_chart", mark)])?;
    }
    let mut parts = vec![chart_line(chart, wish)];
    if wish.breakouts {
        parts.push(breakouts_text(turn));
    }
    if wish.levels {
        parts.push(levels_text(turn));
    }
    if let Some(Outcome::Refused(refused)) = turn.last("mark_chart").map(|done| &done.outcome) {
        parts.push(format!("They are not marked on the chart. {}", refused.explained("mark_chart")));
    }
    Ok(Step::Say(parts.join("\n\n")))
}

/// "the last 3 breakouts", "50 candle breakouts".
fn breakout_numbers(words: &Words) -> (u32, u32) {
    let (mut lookback, mut count) = (LOOKBACK, BREAKOUTS);
    for (at, number) in words.numbers() {
        let next = words.plain().get(at + 1).map_or("", String::as_str);
        let before = at.checked_sub(1).map_or("", |at| words.plain()[at].as_str());
        match next {
            "candle" | "candles" | "bar" | "bars" | "period" | "day" if (2..=500).contains(&number) => {
                lookback = number
            }
            "breakout" | "breakouts" | "breakdowns" | "times" => count = number.clamp(1, BREAKOUTS_MAX),
            _ if ["last", "latest", "lookback"].contains(&before) && before != "lookback" => {
                count = number.clamp(1, BREAKOUTS_MAX)
            }
            _ if before == "lookback" && (2..=500).contains(&number) => lookback = number,
            _ => {}
        }
    }
    (lookback, count)
}

fn items<'v>(value: Option<&'v Value>, key: &str) -> &'v [Value] {
    value.and_then(|value| value[key].as_array()).map(Vec::as_slice).unwrap_or_default()
}

/// What to draw of what was found; `None` if nothing was.
fn marks(turn: &Turn<'_>, wish: &Wish) -> Option<Value> {
    let mut drawn = json!({});
    let marker = |breakout: &Value| {
        let up = breakout["direction"] == "up";
        json!({
            "time": breakout["time"], "place": if up { "below" } else { "above" }, "text": if up { "breakout" } else { "breakdown" },
            "tone": if up { "up" } else { "down" },
        })
    };
    let level = |level: &Value| {
        let kind = level["kind"].as_str().unwrap_or("level");
        let tone = if kind == "support" { "up" } else { "down" };
        let touches = level["touches"].as_u64().map(|touches| format!(" ×{touches}")).unwrap_or_default();
        json!({"price": level["price"], "text": format!("{}{touches}", plain(kind)), "tone": tone})
    };
    let breakouts = items(turn.got("find_breakouts"), "breakouts");
    if wish.breakouts && !breakouts.is_empty() {
        drawn["markers"] = breakouts.iter().take(500).map(marker).collect();
    }
    let levels = items(turn.got("find_levels"), "levels");
    if wish.levels && !levels.is_empty() {
        drawn["levels"] = levels.iter().take(50).map(level).collect();
    }
    if drawn.as_object().is_none_or(serde_json::Map::is_empty) {
        return None;
    }
    drawn["group"] = if wish.breakouts { "breakouts" } else { "levels" }.into();
    Some(drawn)
}

fn text<'v>(value: &'v Value, key: &str) -> &'v str {
    value[key].as_str().unwrap_or_default()
}

fn chart_line(chart: &Value, wish: &Wish) -> String {
    let interval = Interval::parse(text(chart, "interval")).unwrap_or(wish.interval).name();
    let with: Vec<String> = wish.studies.iter().map(Study::shown).collect();
    let with = if with.is_empty() { String::new() } else { format!(", with {}", with.join(" and ")) };
    let mut line = format!(
        "The chart shows **{}** from {}, {interval} candles{with}.",
        plain(text(chart, "symbol")),
        plain(text(chart, "venue"))
    );
    if let Some(price) = chart["last"]["price"].as_str() {
        line += &format!(" It stands at {} {}.", plain(price), freshness(&chart["last"], text(chart, "mode")));
    }
    if wish.assumed {
        line += " You named no market, so I took BTC.";
    }
    if wish.stands_in {
        line += &format!(" Candles of the length you asked for are not kept; {interval} is the nearest.");
    }
    line
}

/// `2026-03-14 09:00 UTC` of an RFC 3339 time.
pub(crate) fn minute(time: &str) -> String {
    let time: Result<jiff::Timestamp, _> = time.parse();
    time.map_or_else(|_| "an unknown time".to_owned(), |time| time.strftime("%Y-%m-%d %H:%M UTC").to_string())
}

fn breakouts_text(turn: &Turn<'_>) -> String {
    let Some(found) = turn.got("find_breakouts") else { return not_found(turn, "find_breakouts") };
    let breakouts = items(Some(found), "breakouts");
    let lookback = found["lookback"].as_u64().unwrap_or(u64::from(LOOKBACK));
    let rule = format!(
        "A breakout is a close beyond the highest high, or below the lowest low, of the {lookback} candles before it"
    );
    if breakouts.is_empty() {
        let candles = found["candles"].as_u64().map(|count| format!(" {count}")).unwrap_or_default();
        return format!("No breakout in the{candles} candles that I looked at. {rule}.");
    }
    let line = |it: &Value| {
        let up = it["direction"] == "up";
        let (way, side) = if up { ("up", "above") } else { ("down", "below") };
        format!(
            "- {}, {way}: closed at {}, {side} {}",
            minute(text(it, "time")),
            plain(text(it, "close")),
            plain(text(it, "level"))
        )
    };
    let rows: Vec<String> = breakouts.iter().take(10).map(line).collect();
    let marked = if turn.got("mark_chart").is_some() { "marked on the chart" } else { "found" };
    let count = breakouts.len();
    let more = if count > rows.len() { "\n- and earlier ones" } else { "" };
    let head = if count == 1 {
        format!("One breakout is {marked}:")
    } else {
        format!("The last {count} breakouts are {marked}:")
    };
    format!("{head}\n\n{}{more}\n\n{rule}. What comes after one is open: many fail.", rows.join("\n"))
}

fn levels_text(turn: &Turn<'_>) -> String {
    let Some(found) = turn.got("find_levels") else { return not_found(turn, "find_levels") };
    let levels = items(Some(found), "levels");
    if levels.is_empty() {
        return "No level was touched at least twice in the candles that I looked at, so there is none to draw."
            .to_owned();
    }
    let line = |it: &Value| {
        let touches = it["touches"].as_u64().map(|touches| format!(", touched {touches} times")).unwrap_or_default();
        let last = it["last_touch"].as_str().map(|time| format!(", last on {}", minute(time))).unwrap_or_default();
        format!("- {} at {}{touches}{last}", plain(text(it, "kind")), plain(text(it, "price")))
    };
    let rows: Vec<String> = levels.iter().take(12).map(line).collect();
    let marked = if turn.got("mark_chart").is_some() { " They are on the chart." } else { "" };
    format!(
        "Levels where the price turned more than once:\n\n{}\n\nThey say where it turned before, not where it will.{marked}",
        rows.join("\n")
    )
}

fn not_found(turn: &Turn<'_>, tool: &str) -> String {
    match given(turn, tool) {
        Err(Step::Say(text)) => text,
        _ => String::new(),
    }
}

fn addition(turn: &Turn<'_>, studies: &[Study]) -> Result<Step, Step> {
    let add: Vec<Value> = studies.iter().map(Study::arguments).collect();
    ask(turn, "change_chart", json!({ "add": add }))?;
    let names: Vec<String> = studies.iter().map(Study::shown).collect();
    Ok(Step::say(format!("Added to the chart: {}.", names.join(", "))))
}

fn removal(turn: &Turn<'_>) -> Result<Step, Step> {
    let words = &turn.words;
    let studies = studies(words);
    let drawings = words.any(&[
        "markers",
        "marker",
        "levels",
        "level",
        "lines",
        "line",
        "drawings",
        "breakouts",
        "support",
        "resistance",
        "marks",
    ]);
    let indicators = words.any(&["indicator", "indicators", "studies", "overlays"]);
    let (change, done) = if studies.is_empty() {
        let clear: Vec<&str> = match (indicators, drawings) {
            (true, false) => vec!["indicators"],
            (false, true) => vec!["drawings"],
            _ => vec!["indicators", "drawings"],
        };
        let done = match clear.as_slice() {
            ["indicators"] => "All indicators are off the chart.",
            ["drawings"] => "Markers and levels are off the chart.",
            _ => "The chart is clear: no indicators, markers or levels.",
        };
        (json!({ "clear": clear }), done.to_owned())
    } else {
        let names: Vec<&str> = studies.iter().map(|study| study.name).collect();
        let shown: Vec<String> = names.iter().map(|name| name.to_uppercase().replace('_', " ")).collect();
        (json!({ "remove": names }), format!("Taken off the chart: {}.", shown.join(", ")))
    };
    ask(turn, "change_chart", change)?;
    Ok(Step::Say(done))
}
