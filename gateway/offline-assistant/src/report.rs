//! A backtest in words: what came out, what it means, and what speaks against it. Every number is one of the tool's.

use crate::outcome::plain;
use crate::step::{Step, ask};
use crate::turn::Turn;
use proto::Decimal;
use serde_json::{Value, json};

/// Round trips below which chance explains nearly everything.
const TRIPS_FEW: u64 = 30;

/// What was tested.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Setting {
    /// Name of the file.
    pub(crate) strategy: String,
    /// In words.
    pub(crate) shown: String,
    pub(crate) venue: String,
    pub(crate) symbol: String,
    pub(crate) interval: &'static str,
    pub(crate) range: String,
    /// Part of a trade's value, as text; `None` if it is not known.
    pub(crate) fee: Option<String>,
}

fn percent(value: &Value) -> Option<String> {
    value.as_f64().map(|part| format!("{:+.2} %", part * 100.0))
}

fn unsigned(value: &Value) -> Option<String> {
    value.as_f64().map(|part| format!("{:.2} %", part * 100.0))
}

fn ratio(value: &Value) -> Option<String> {
    value.as_f64().map(|value| format!("{value:.2}"))
}

/// A part of 1 as an exact percentage.
fn in_percent(part: &str) -> String {
    let percent = part.parse::<Decimal>().ok().and_then(|part| part.checked_mul(Decimal::from_int(100)));
    percent.map_or_else(|| plain(part), |percent| format!("{percent} %"))
}

fn text(value: &Value) -> Option<String> {
    value.as_str().map(plain)
}

fn days(ns: &Value) -> Option<String> {
    let hours = ns.as_u64()? / 3_600_000_000_000;
    Some(if hours < 48 { format!("{hours} hours") } else { format!("{} days", hours / 24) })
}

/// The answer to a run that just ended.
pub(crate) fn finished(setting: &Setting, result: &Value) -> String {
    let statistics = &result["statistics"];
    if statistics["total_return"].as_f64().is_none() {
        return format!(
            "The run of `{}` ended, but its answer has no result that I can read. Look at its card, or ask \"explain the last backtest\".",
            setting.strategy
        );
    }
    let Setting { strategy, shown, venue, symbol, interval, range, .. } = setting;
    let head = format!("**{strategy}** ({shown}) on {} {}, {interval} candles, {range}:", plain(venue), plain(symbol));
    let repeated = if result["repeated"] == true {
        "\n\nThis run was made before with the same command; its result stands."
    } else {
        ""
    };
    let id = text(&result["id"])
        .map(|id| format!("\n\nThe whole report with curves and trades is kept as backtest `{id}`."))
        .unwrap_or_default();
    let against = against(result, Some(setting));
    format!(
        "{head}\n\n{}\n\n{}\n\n**What speaks against it**\n\n{}{repeated}{id}",
        table(result),
        checks(result),
        against.join("\n")
    )
}

/// The answer to "explain the last backtest".
pub(crate) fn explained(report: &Value) -> String {
    let run = &report["run"];
    let whole =
        json!({"run": run, "statistics": run["statistics"], "summary": report["summary"], "checks": report["checks"]});
    if whole["statistics"]["total_return"].as_f64().is_none() {
        return "The report is there, but I cannot read its result. Its card shows all of it.".to_owned();
    }
    let name = |key: &str| text(&run[key]).unwrap_or_else(|| "?".to_owned());
    let head =
        format!("The last backtest: **{}** on {}, {} candles.", name("strategy"), name("market"), name("interval"));
    let id = text(&run["id"])
        .map(|id| format!("\n\nBacktest `{id}`; its card has the curves and every trade."))
        .unwrap_or_default();
    let meaning = meaning(&whole).join("\n");
    let against = against(&whole, None).join("\n");
    format!(
        "{head}\n\n{}\n\n**What the numbers mean**\n\n{meaning}\n\n{}\n\n**What speaks against it**\n\n{against}{id}",
        table(&whole),
        checks(&whole)
    )
}

fn table(result: &Value) -> String {
    let (statistics, summary) = (&result["statistics"], &result["summary"]);
    let none = || Some("not defined".to_owned());
    let rows = [
        ("return", percent(&statistics["total_return"])),
        ("holding instead", percent(&statistics["benchmark_return"])),
        ("largest drawdown", unsigned(&statistics["max_drawdown"])),
        ("Sharpe, a year", ratio(&statistics["sharpe"]).or_else(none)),
        ("round trips", summary["round_trips"].as_u64().map(|trips| trips.to_string())),
        ("won", unsigned(&statistics["win_rate"])),
        ("fees", text(&summary["fees"])),
        (
            "equity",
            Some(format!(
                "{} → {}",
                text(&summary["start_equity"]).unwrap_or_default(),
                text(&summary["end_equity"]).unwrap_or_default()
            ))
            .filter(|_| summary["end_equity"].is_string()),
        ),
        ("time in the market", unsigned(&statistics["exposure"])),
    ];
    let rows: Vec<String> =
        rows.into_iter().filter_map(|(name, value)| value.map(|value| format!("| {name} | {value} |"))).collect();
    format!("| | |\n|---|---|\n{}", rows.join("\n"))
}

fn meaning(result: &Value) -> Vec<String> {
    let (statistics, summary) = (&result["statistics"], &result["summary"]);
    let mut said = Vec::new();
    if let (Some(own), Some(held)) = (statistics["total_return"].as_f64(), statistics["benchmark_return"].as_f64()) {
        let verdict = if own > held { "did better than" } else { "did worse than" };
        said.push(format!(
            "- **Return** {} after fees: it {verdict} holding the instrument, {}.",
            percent(&statistics["total_return"]).unwrap_or_default(),
            percent(&statistics["benchmark_return"]).unwrap_or_default()
        ));
    }
    if let Some(fall) = unsigned(&statistics["max_drawdown"]) {
        let time = days(&statistics["longest_drawdown_ns"])
            .map(|time| format!("; the longest wait for a new high was {time}"))
            .unwrap_or_default();
        said.push(format!("- **Largest drawdown** {fall}: so much of the best equity so far was lost at worst{time}. Expect more than that in the future."));
    }
    match ratio(&statistics["sharpe"]) {
        Some(sharpe) => said.push(format!("- **Sharpe** {sharpe}: mean daily return over its spread, for a year. Around 1 is decent, above 3 on few trades is more often an error than a gift.")),
        None => said.push("- **Sharpe** is not defined: too few days, or no movement.".to_owned()),
    }
    if let (Some(won), Some(factor)) = (unsigned(&statistics["win_rate"]), ratio(&statistics["profit_factor"])) {
        said.push(format!("- **Won** {won} of its round trips; gains are {factor} times the losses. A strategy that follows trends wins rarely and much, one of reversion often and little."));
    }
    if let (Some(trips), Some(fees)) = (summary["round_trips"].as_u64(), text(&summary["fees"])) {
        said.push(format!("- **Costs**: {fees} of fees for {trips} round trips."));
    }
    said
}

fn checks(result: &Value) -> String {
    let checks = &result["checks"];
    let look_ahead = &checks["look_ahead"];
    let mut said = vec![match look_ahead["verdict"].as_str() {
        Some("clean") => {
            let cuts = look_ahead["cuts"].as_u64().map(|cuts| format!(" in {cuts} repetitions on shortened data")).unwrap_or_default();
            format!("**Look-ahead check**: clean. No decision changed{cuts}. It cannot find parameters that were chosen by looking at the same data.")
        }
        Some("found") => "**Look-ahead check: found.** A decision changed when the future was taken away: the strategy used what it could not have known. The result above is worthless until that is repaired.".to_owned(),
        Some("not_deterministic") => "**Look-ahead check**: the strategy decides differently on the same data, so the check can say nothing, and neither can the result.".to_owned(),
        Some("not_possible") => format!("**Look-ahead check**: not possible here. {}", text(&look_ahead["reason"]).unwrap_or_default()),
        _ => "**Look-ahead check**: this answer does not say what it found.".to_owned(),
    }];
    let carlo = &checks["monte_carlo"];
    if let (Some(worst), Some(median)) = (ratio(&carlo["end_equity"][0]), ratio(&carlo["end_equity"][2])) {
        said.push(format!("**Monte Carlo**: drawing its round trips again, the equity at the end is {median} in the middle and {worst} in a bad case."));
    }
    let forward = &checks["walk_forward"];
    if let (Some(train), Some(test)) = (ratio(&forward["mean_train_score"]), ratio(&forward["mean_test_score"])) {
        said.push(format!("**Walk-forward**: parameters scored {train} where they were chosen and {test} on what followed. Far lower means over-fitting."));
    }
    said.join("\n\n")
}

/// Reasons not to believe the result, the gravest first.
fn against(result: &Value, setting: Option<&Setting>) -> Vec<String> {
    let (statistics, summary) = (&result["statistics"], &result["summary"]);
    let number = |key: &str| statistics[key].as_f64();
    let mut said: Vec<String> = Vec::new();
    let mut say = |text: String| said.push(format!("- {text}"));
    if result["checks"]["look_ahead"]["verdict"] == "found" {
        say("It used the future.".to_owned());
    }
    let market =
        setting.map_or_else(|| result["run"]["market"].as_str().unwrap_or_default(), |setting| setting.venue.as_str());
    if market == "SIM" || market.starts_with("SIM:") {
        say("The market is simulated: its prices are made up, so this says nothing about a real one.".to_owned());
    }
    if summary["ruined_ns"].is_u64() {
        say("The account was ruined and the run ended there.".to_owned());
    }
    match summary["round_trips"].as_u64() {
        Some(0) if number("exposure").is_some_and(|exposure| exposure > 0.0) => {
            say("Its position was never closed: the result is that of one open trade.".to_owned());
        }
        Some(0) => say("It made no trade at all: nothing was tested.".to_owned()),
        Some(trips) if trips < TRIPS_FEW => say(format!("Only {trips} round trips: too few to tell skill from luck.")),
        _ => {}
    }
    if let (Some(own), Some(held)) = (number("total_return"), number("benchmark_return"))
        && own <= held
    {
        say("Holding the instrument did as well or better, without any work.".to_owned());
    }
    if let Some(fall) = number("max_drawdown").filter(|fall| *fall > 0.2) {
        say(format!("It lost {:.2} % from its best point; few people sit through that.", fall * 100.0));
    }
    if number("sharpe").is_some_and(|sharpe| sharpe > 3.0) {
        say("A Sharpe ratio above 3 is rare in real trading; look for an error before you rejoice.".to_owned());
    }
    if let Some(refused) = summary["refused"].as_u64().filter(|refused| *refused > 0) {
        say(format!("{refused} orders were refused by the account, so it is not what the code wanted."));
    }
    if let Some(missing) = result["data"]["missing"].as_u64().filter(|missing| *missing > 0) {
        say(format!("{missing} candles of the range are missing in the data (a quiet market has none for some)."));
    }
    if let Some(shortfall) = text(&result["data"]["shortfall"]) {
        say(format!("Part of the history could not be had: {shortfall}"));
    }
    match setting.and_then(|setting| setting.fee.as_deref()) {
        Some("0") => say("It paid no fees; a real venue takes them.".to_owned()),
        Some(fee) => {
            say(format!("Fees are {} of each trade's value and slippage is 0; real fills are worse.", in_percent(fee)))
        }
        None => {}
    }
    say("One market and one stretch of time. Try others (\"same on ETH\", \"same over last year\") before you believe it.".to_owned());
    said
}

/// The step for "explain the last backtest", or one by its id.
pub(crate) fn explain(turn: &Turn<'_>) -> Step {
    explanation(turn).unwrap_or_else(|step| step)
}

fn explanation(turn: &Turn<'_>) -> Result<Step, Step> {
    let named =
        turn.words.raw().iter().find(|word| word.len() == 26 && word.bytes().all(|byte| byte.is_ascii_alphanumeric()));
    let id = match named {
        Some(id) => id.to_uppercase(),
        None => {
            let listed = ask(turn, "list_backtests", json!({"limit": 1}))?;
            let Some(id) = listed["backtests"][0]["id"].as_str() else {
                return Ok(Step::say("There is no backtest yet. \"backtest a 20/50 cross on BTC 1h\" makes one."));
            };
            id.to_owned()
        }
    };
    let report = ask(turn, "read_backtest", json!({ "id": id }))?;
    Ok(Step::Say(explained(report)))
}

/// The step for "list my backtests".
pub(crate) fn list(turn: &Turn<'_>) -> Step {
    let listed = ask(turn, "list_backtests", json!({"limit": 10}));
    listed.map_or_else(
        |step| step,
        |listed| {
            let runs = listed["backtests"].as_array().map(Vec::as_slice).unwrap_or_default();
            if runs.is_empty() {
                return Step::say("There is no backtest yet. \"backtest a 20/50 cross on BTC 1h\" makes one.");
            }
            let row = |run: &Value| {
                let cell = |key: &str| text(&run[key]).unwrap_or_default();
                let statistics = &run["statistics"];
                let fall = unsigned(&statistics["max_drawdown"]).unwrap_or_default();
                let gain = percent(&statistics["total_return"]).unwrap_or_default();
                format!("| {} | {} | {} | {gain} | {fall} | `{}` |", cell("strategy"), cell("market"), cell("interval"), cell("id"))
            };
            let rows: Vec<String> = runs.iter().take(10).map(row).collect();
            Step::say(format!(
                "Your backtests, newest first:\n\n| strategy | market | candles | return | drawdown | id |\n|---|---|---|---|---|---|\n{}\n\n\"explain the last backtest\" says what they mean.",
                rows.join("\n")
            ))
        },
    )
}
