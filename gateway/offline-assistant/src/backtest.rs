//! Backtests: from words to a saved strategy, a run with the look-ahead check, and its report.

use crate::chart::{bitcoin, on_chart};
use crate::instrument::resolved;
use crate::markets::markets;
use crate::outcome::{Outcome, fenced, plain};
use crate::recipes::{self, Recipe};
use crate::report;
use crate::step::{Step, ask, ask_together, given, refusal};
use crate::times::{self, Interval, Range};
use crate::turn::Turn;
use crate::words::Words;
use serde_json::{Value, json};

/// What a trade costs if nobody says: 0.1 % of its value, a usual fee of spot venues.
const FEE: &str = "0.001";

/// What is tested.
enum Subject {
    /// A strategy that the rules write.
    Recipe(Recipe),
    /// One of the user's.
    Named(String),
}

/// Words that are no name of a strategy though they stand where one could.
const NO_NAME: &str = "the a an my it this that strategy strategies backtest test on with for and cross named called again please same one your in of over to is";

/// The strategy of the user that the message names.
pub(crate) fn named_strategy(turn: &Turn<'_>) -> Option<String> {
    let words = turn.words.plain();
    let known = turn.names("strategies").unwrap_or_default();
    let listed = words.iter().find(|word| known.contains(&word.as_str()));
    let spelled = || words.iter().find(|word| word.contains('_') && is_file_name(word));
    let called = || {
        let at = turn.words.behind(&["called", "named", "strategy"])?;
        words.get(at).filter(|word| {
            is_file_name(word)
                && !NO_NAME.split_whitespace().any(|no| no == word.as_str())
                && !crate::words::is_known(word)
        })
    };
    listed.or_else(spelled).or_else(|| called().filter(|_| !recipes::is_named(&turn.words))).cloned()
}

/// `[a-z][a-z0-9_]{0,63}`.
pub(crate) fn is_file_name(word: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    word.len() <= 64 && word.as_bytes().first().is_some_and(u8::is_ascii_lowercase) && word.bytes().all(inner)
}

/// The step for "backtest …".
pub(crate) fn step(turn: &Turn<'_>) -> Step {
    run(turn).unwrap_or_else(|step| step)
}

/// The step for "write a strategy …" without a run.
pub(crate) fn write(turn: &Turn<'_>) -> Step {
    let Some(recipe) = recipes::read(&turn.words) else { return Step::say(no_recipe("I can write these strategies")) };
    let saved = saved(turn, &recipe);
    saved.map_or_else(
        |step| step,
        |own| {
            let (name, shown) = (recipe.name(), recipe.shown());
            if own {
                return Step::say(format!("There is a strategy `{name}` already, with code of its own, and I do not overwrite it. \"show strategy {name}\" shows it."));
            }
            let code = fenced("python", &recipe.code());
            let commit = turn.got("write_strategy").and_then(|it| it["commit"].as_str()).map(|commit| format!(", commit `{}`", plain(short(commit))));
            let commit = commit.unwrap_or_default();
            Step::say(format!("Saved as `strategies/{name}.py` ({shown}{commit}).\n\n{code}\n\n\"backtest {name}\" tries it on recorded data."))
        },
    )
}

/// The first letters of a commit.
pub(crate) fn short(commit: &str) -> &str {
    commit.get(..10).unwrap_or(commit)
}

fn no_recipe(begin: &str) -> String {
    format!(
        "{begin}: a cross of two averages (\"20/50 cross\", \"ema cross 9/21\"), RSI reversion (\"buy when RSI is below 30 and sell above 70\"), Bollinger reversion, \
         breakouts (\"donchian 20\"), MACD, buy and hold. Other ideas need a language model, or your own Python: send it in a code block with \"save this as strategy my_idea\"."
    )
}

/// Saves the strategy unless a file of its name is there. True if that one has other code: the user's, which stays.
fn saved(turn: &Turn<'_>, recipe: &Recipe) -> Result<bool, Step> {
    let (name, code) = (recipe.name(), recipe.code());
    let absent = turn.names("strategies").is_some_and(|names| !names.contains(&name.as_str()));
    if !absent && turn.last("write_strategy").is_none() {
        ask_together(turn, vec![("read_strategy", json!({ "name": name }))])?;
        if let Some(found) = turn.got("read_strategy") {
            return Ok(found["code"].as_str().map(str::trim) != Some(code.trim()));
        }
        if refusal(turn, "read_strategy") != Some("NOT_FOUND") {
            given(turn, "read_strategy")?;
        }
    }
    let why = format!("Write {}", recipe.shown());
    ask(turn, "write_strategy", json!({"name": name, "code": code, "why": why}))?;
    Ok(false)
}

fn run(turn: &Turn<'_>) -> Result<Step, Step> {
    let named = named_strategy(turn);
    let recipe = recipes::read(&turn.words);
    let subject = match (named, recipe) {
        (Some(name), _) => Subject::Named(name),
        (None, Some(recipe)) => Subject::Recipe(recipe),
        (None, None) => match latest_strategy(turn) {
            Some(name) => Subject::Named(name),
            None => return which(turn),
        },
    };
    let current = turn.current_market();
    let named_market = markets(&turn.words).into_iter().next();
    let assumed = named_market.is_none() && current.is_none();
    let market = named_market.map(|market| on_chart(market, current.as_ref())).or(current).unwrap_or_else(bitcoin);
    let (venue, symbol) = resolved(turn, &market)?;
    let asked = times::interval(&turn.words);
    let interval = asked.map(|asked| asked.interval).or_else(|| turn.current_interval()).unwrap_or(Interval::HOUR);
    let range =
        times::range(&turn.words, turn.now).unwrap_or_else(|| Range::days_before(turn.now, interval.usual_days()));
    let (name, shown, own) = match &subject {
        Subject::Named(name) => (name.clone(), format!("your strategy `{name}`"), false),
        Subject::Recipe(recipe) => {
            let lead = format!(
                "Testing on {venue} {symbol}: {}; {} candles, {}.",
                recipe.shown(),
                interval.name(),
                range.shown()
            );
            (recipe.name(), recipe.shown(), saved(turn, recipe).map_err(|step| step.led(&lead, turn))?)
        }
    };
    let short = matches!(&subject, Subject::Recipe(recipe) if recipe.goes_short())
        || turn.words.any(&["short", "shorts", "shorting"]);
    let (from, to) = range.texts();
    let terms = terms(&turn.words, short);
    let arguments = json!({
        "strategy": name,
        "market": {"venue": venue, "symbol": symbol, "interval": interval.name(), "from": from, "to": to},
        "terms": terms,
        "checks": checks(&turn.words, &subject),
    });
    ask_together(turn, vec![("run_backtest", arguments)])?;
    let setting = report::Setting {
        strategy: name,
        shown,
        venue,
        symbol,
        interval: interval.name(),
        range: range.shown(),
        fee: terms["taker_fee"].as_str().map(str::to_owned),
    };
    let mut said = told(turn, &setting, &range)?;
    if own {
        said = format!(
            "`strategies/{}.py` was there already with code of its own, so I tested it as it is and overwrote nothing.\n\n{said}",
            setting.strategy
        );
    }
    if assumed {
        said += "\n\nYou named no market, so I took BTC.";
    }
    if asked.is_some_and(|asked| !asked.exact) {
        said += &format!("\n\nCandles of the length you asked for are not kept; {} is the nearest.", interval.name());
    }
    Ok(Step::Say(said))
}

/// The report of the run, or why there is none and what to try instead.
fn told(turn: &Turn<'_>, setting: &report::Setting, range: &Range) -> Result<String, Step> {
    if let Some(Outcome::Refused(refused)) = turn.last("run_backtest").map(|done| &done.outcome) {
        return Ok(format!("{}{}", refused.explained("run_backtest"), other_try(&refused.code, setting, range)));
    }
    given(turn, "run_backtest").map(|result| report::finished(setting, result))
}

/// What to try instead, in words that the rules understand.
fn other_try(code: &str, setting: &report::Setting, range: &Range) -> String {
    let report::Setting { strategy, symbol, interval, .. } = setting;
    match code {
        "NO_DATA" | "QUOTA" | "TIMED_OUT" | "OUT_OF_MEMORY" => {
            format!(
                "\n\nFor example: \"backtest {strategy} on {symbol} {interval} last {} days\".",
                range.shorter_days()
            )
        }
        "NOT_FOUND" => "\n\nOr let me write one: \"backtest a 20/50 cross on BTC 1h\".".to_owned(),
        _ => String::new(),
    }
}

/// "it", "my strategy": the one that was tested last, or the only one.
fn latest_strategy(turn: &Turn<'_>) -> Option<String> {
    let tested = turn.workspace["backtests"][0]["strategy"].as_str();
    let only = turn.names("strategies").filter(|names| names.len() == 1).and_then(|names| names.first().copied());
    tested.or(only).filter(|name| is_file_name(name)).map(str::to_owned)
}

fn which(turn: &Turn<'_>) -> Result<Step, Step> {
    let listed = ask(turn, "list_strategies", json!({}))?;
    let files = listed["files"].as_array().map(Vec::as_slice).unwrap_or_default();
    let names: Vec<String> = files
        .iter()
        .filter_map(|file| file["name"].as_str())
        .take(20)
        .map(|name| format!("`{}`", plain(name)))
        .collect();
    let mine = if names.is_empty() {
        "You have no strategy yet.".to_owned()
    } else {
        format!("Which one? You have {}.", names.join(", "))
    };
    Ok(Step::Say(format!(
        "{mine}\n\n{}\n\nFor example: \"backtest a 20/50 cross on BTC 1h\".",
        no_recipe("I can also write one")
    )))
}

fn terms(words: &Words, short: bool) -> Value {
    let mut terms = json!({"cash": cash(words), "taker_fee": fee(words), "maker_fee": fee(words)});
    if short {
        terms["shorting"] = true.into();
    }
    terms
}

/// "with 0.05% fees", "no fees".
fn fee(words: &Words) -> String {
    if words.any(&["no fees", "without fees", "zero fees", "no fee", "zero fee", "fee free"]) {
        return "0".to_owned();
    }
    let percent =
        |word: &str| word.trim_end_matches('%').parse::<proto::Decimal>().ok().filter(|percent| !percent.is_negative());
    let plain = words.plain();
    let named =
        plain.iter().enumerate().filter(|(_, word)| ["fee", "fees", "commission"].contains(&word.as_str())).find_map(
            |(at, _)| {
                let near = at.saturating_sub(3)..(at + 4).min(plain.len());
                plain[near].iter().find_map(|word| percent(word).filter(|_| word.ends_with('%') || word.contains('.')))
            },
        );
    let hundred = proto::Decimal::from_int(100);
    let five = proto::Decimal::from_int(5);
    named
        .filter(|percent| *percent <= five)
        .and_then(|percent| percent.checked_div(hundred))
        .map_or_else(|| FEE.to_owned(), |fee| fee.to_string())
}

/// "with 5000 usd", "starting with 10k".
fn cash(words: &Words) -> String {
    let plain = words.plain();
    let amount = |word: &str| {
        let (digits, thousands) = word.strip_suffix('k').map_or((word, 1), |digits| (digits, 1000));
        digits
            .parse::<u64>()
            .ok()
            .and_then(|amount| amount.checked_mul(thousands))
            .filter(|amount| (1..=1_000_000_000).contains(amount))
    };
    let named = plain.iter().enumerate().find_map(|(at, word)| {
        let next = plain.get(at + 1).map_or("", String::as_str);
        let before = at.checked_sub(1).map_or("", |at| plain[at].as_str());
        let money = ["usd", "usdt", "usdc", "dollars", "dollar", "eur", "euro", "euros"].contains(&next)
            || ["cash", "capital"].contains(&before)
            || ["cash", "capital"].contains(&next);
        amount(word).filter(|_| money)
    });
    named.unwrap_or(10_000).to_string()
}

fn checks(words: &Words, subject: &Subject) -> Value {
    let mut checks = json!({"look_ahead": true});
    if words.any(&["monte carlo", "monte", "bootstrap"]) {
        checks["monte_carlo"] = true.into();
    }
    if words.any(&["walk forward", "sweep", "optimise", "optimize", "other parameters", "grid"])
        && let Subject::Recipe(Recipe::Cross { fast, slow, .. }) = subject
    {
        let around = |n: u32| -> Vec<u32> { vec![(n / 2).max(2), n, n * 2] };
        checks["sweep"] = json!({"fast": around(*fast), "slow": around(*slow)});
        checks["folds"] = 5.into();
    }
    checks
}
