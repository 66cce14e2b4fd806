//! The parts of the page that are text and tables.

use super::{Duration, Escaped, TRIPS, Time};
use crate::backtest::document::{
    Checks, Document, Exact, LookAheadCheck, MonteCarloCheck, Parameter, SweepCheck, WalkForwardCheck,
};
use std::collections::BTreeMap;
use std::fmt::{self, Display, Write as _};

/// Runs of a sweep that are shown, the best first.
const SWEEP_ROWS: usize = 25;

fn percent(value: Option<f64>) -> String {
    value.map_or_else(|| "–".to_owned(), |value| format!("{:.2} %", value * 100.0))
}

fn ratio(value: Option<f64>) -> String {
    value.map_or_else(|| "–".to_owned(), |value| format!("{value:.2}"))
}

fn money(value: Exact) -> String {
    format!("{:.2}", value.0)
}

const fn colour(value: f64) -> &'static str {
    if value > 0.0 {
        "good"
    } else if value < 0.0 {
        "bad"
    } else {
        ""
    }
}

pub(super) fn statistics(page: &mut String, document: &Document) -> fmt::Result {
    let (s, summary) = (&document.statistics, &document.summary);
    let tiles = [
        ("Return", percent(Some(s.total_return)), colour(s.total_return)),
        ("Holding", percent(Some(s.benchmark_return)), colour(s.benchmark_return)),
        ("End equity", money(summary.end_equity), ""),
        ("CAGR", percent(s.cagr), ""),
        ("Sharpe", ratio(s.sharpe), ""),
        ("Sortino", ratio(s.sortino), ""),
        ("Calmar", ratio(s.calmar), ""),
        ("Max. drawdown", percent(Some(s.max_drawdown)), ""),
        ("Longest drawdown", Duration(s.longest_drawdown_ns).to_string(), ""),
        ("Round trips", summary.round_trips.to_string(), ""),
        ("Win rate", percent(s.win_rate), ""),
        ("Profit factor", ratio(s.profit_factor), ""),
        ("Expectancy", ratio(s.expectancy), ""),
        ("Time in the market", percent(s.exposure), ""),
        ("Fees", money(summary.fees), ""),
        ("Refused orders", summary.refused.to_string(), if summary.refused > 0 { "bad" } else { "" }),
    ];
    writeln!(page, "<section>")?;
    if let Some(time_ns) = summary.ruined_ns {
        writeln!(page, "<p class=\"bad\">The account was ruined at {} UTC.</p>", Time(time_ns))?;
    }
    writeln!(page, "<dl class=\"tiles\">")?;
    for (name, value, class) in tiles {
        writeln!(page, "<div><dt>{name}</dt><dd class=\"{class}\">{value}</dd></div>")?;
    }
    writeln!(page, "</dl></section>")
}

pub(super) fn checks(page: &mut String, checks: &Checks) -> fmt::Result {
    if *checks == Checks::default() {
        return Ok(());
    }
    writeln!(page, "<section><h2>Checks</h2>")?;
    if let Some(check) = &checks.look_ahead {
        look_ahead(page, check)?;
    }
    if let Some(check) = &checks.monte_carlo {
        monte_carlo(page, check)?;
    }
    if let Some(check) = &checks.walk_forward {
        walk_forward(page, check)?;
    }
    if let Some(check) = &checks.sweep {
        sweep(page, check)?;
    }
    writeln!(page, "</section>")
}

fn look_ahead(page: &mut String, check: &LookAheadCheck) -> fmt::Result {
    match check {
        LookAheadCheck::Clean { cuts } => {
            writeln!(page, "<p><span class=\"good\">No look-ahead found:</span> made again {cuts} times without")?;
            writeln!(page, "what came after, the decisions stayed the same.</p>")
        }
        LookAheadCheck::Found { open_time_ns, candle, candles, with_future, without } => {
            let shown = |what: &Option<String>| what.clone().unwrap_or_else(|| "nothing".to_owned());
            let (with, without) = (shown(with_future), shown(without));
            writeln!(
                page,
                "<p><span class=\"bad\">Look-ahead:</span> at candle {candle} ({} UTC) ",
                Time(*open_time_ns)
            )?;
            writeln!(page, "it decided <code>{}</code> with all candles,", Escaped(&with))?;
            writeln!(page, "but <code>{}</code> with the first {candles}.</p>", Escaped(&without))
        }
        LookAheadCheck::NotDeterministic { candle } => {
            writeln!(page, "<p><span class=\"bad\">Not deterministic:</span> two runs on the same data differ from")?;
            writeln!(page, "candle {candle} on, so look-ahead cannot be judged.</p>")
        }
        LookAheadCheck::NotPossible { reason } => {
            writeln!(page, "<p class=\"note\">Look-ahead was not checked: {}.</p>", Escaped(reason))
        }
    }
}

fn monte_carlo(page: &mut String, check: &MonteCarloCheck) -> fmt::Result {
    match check {
        MonteCarloCheck::NotPossible { reason } => {
            writeln!(page, "<p class=\"note\">Monte Carlo was not possible: {}.</p>", Escaped(reason))
        }
        MonteCarloCheck::Done { runs, percentiles, end_equity, max_drawdown, ruined } => {
            writeln!(page, "<h2>Monte Carlo, {runs} draws of the round trips</h2>")?;
            let head = percentiles.map(|part| format!("{:.0} %", part * 100.0));
            let equity = end_equity.map(|equity| format!("{equity:.2}"));
            let falls = max_drawdown.map(|fall| percent(Some(fall)));
            let with =
                |name: &str, cells: [String; 5]| std::iter::once(name.to_owned()).chain(cells).collect::<Vec<_>>();
            table(page, &with("percentile", head), [with("end equity", equity), with("max. drawdown", falls)])?;
            writeln!(page, "<p class=\"note\">Ruined in {} of the draws.</p>", percent(Some(*ruined)))
        }
    }
}

fn named(parameters: &BTreeMap<String, Parameter>) -> String {
    let pairs: Vec<String> = parameters.iter().map(|(name, value)| format!("{name}={value}")).collect();
    pairs.join(" ")
}

fn walk_forward(page: &mut String, check: &WalkForwardCheck) -> fmt::Result {
    writeln!(page, "<h2>Walk-forward, {} candles of choice, {} of trial</h2>", check.train, check.test)?;
    let score = |name: &str| format!("{name} {}", check.score);
    let head = vec![
        "chosen from".to_owned(),
        "tried from".to_owned(),
        "parameters".to_owned(),
        score("chosen"),
        score("tried"),
    ];
    let rows = check.steps.iter().map(|step| {
        let parameters = step.parameters.as_ref().map_or_else(|| "–".to_owned(), named);
        let (train, test) = (Time(step.train_begin_ns).to_string(), Time(step.test_begin_ns).to_string());
        vec![train, test, parameters, ratio(step.train_score), ratio(step.test_score)]
    });
    table(page, &head, rows)?;
    let (train, test) = (ratio(check.mean_train_score), ratio(check.mean_test_score));
    writeln!(page, "<p class=\"note\">Mean {train} where chosen, {test} where tried.</p>")
}

fn sweep(page: &mut String, check: &SweepCheck) -> fmt::Result {
    writeln!(page, "<h2>Sweep of {} choices, the best first</h2>", check.runs.len())?;
    let mut runs: Vec<_> = check.runs.iter().collect();
    let order = |score: Option<f64>| score.unwrap_or(f64::NEG_INFINITY);
    runs.sort_by(|a, b| order(b.score).total_cmp(&order(a.score)));
    let head = ["parameters", &check.score, "return", "max. drawdown", "round trips"].map(str::to_owned).to_vec();
    let rows = runs.into_iter().take(SWEEP_ROWS).map(|run| {
        let (gain, fall) = (percent(Some(run.total_return)), percent(Some(run.max_drawdown)));
        vec![named(&run.parameters), ratio(run.score), gain, fall, run.round_trips.to_string()]
    });
    table(page, &head, rows)
}

pub(super) fn round_trips(page: &mut String, document: &Document) -> fmt::Result {
    let all = document.summary.round_trips;
    writeln!(page, "<section><h2>Round trips</h2>")?;
    if all == 0 {
        return writeln!(page, "<p class=\"note\">none has ended</p></section>");
    }
    let head = ["opened", "closed", "side", "size", "entry", "exit", "fees", "profit"].map(str::to_owned).to_vec();
    let rows = document.round_trips.iter().take(TRIPS).map(|trip| {
        let side = if trip.direction == "buy" { "long" } else { "short" };
        let prices = [trip.size, trip.entry_price, trip.exit_price, trip.fees, trip.profit];
        let mut row = vec![Time(trip.opened_ns).to_string(), Time(trip.closed_ns).to_string(), side.to_owned()];
        row.extend(prices.map(short));
        row
    });
    table(page, &head, rows)?;
    if all > TRIPS {
        writeln!(page, "<p class=\"note\">The first {TRIPS} of {all}; the JSON document has more.</p>")?;
    }
    writeln!(page, "</section>")
}

/// At most 8 digits after the point.
fn short(value: Exact) -> String {
    let text = format!("{:.8}", value.0);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// Rows of cells; each is escaped.
fn table(page: &mut String, head: &[String], rows: impl IntoIterator<Item = Vec<String>>) -> fmt::Result {
    writeln!(page, "<div class=\"scroll\"><table><thead><tr>")?;
    head.iter().try_for_each(|cell| write!(page, "<th>{}</th>", Escaped(cell)))?;
    writeln!(page, "</tr></thead><tbody>")?;
    for row in rows {
        write!(page, "<tr>")?;
        row.iter().try_for_each(|cell| write!(page, "<td>{}</td>", Escaped(cell)))?;
        writeln!(page, "</tr>")?;
    }
    writeln!(page, "</tbody></table></div>")
}

pub(super) fn inputs(page: &mut String, document: &Document) -> fmt::Result {
    let (inputs, terms) = (&document.inputs, &document.inputs.terms);
    writeln!(page, "<section><h2>What was run</h2><dl class=\"facts\">")?;
    let none = || "–".to_owned();
    let parameters = if inputs.parameters.is_empty() { none() } else { named(&inputs.parameters) };
    let latency = if terms.latency_ns == 0 { "none".to_owned() } else { Duration(terms.latency_ns).to_string() };
    let limit = if terms.limit_fill == crate::backtest::LimitFill::Touch { "at a touch" } else { "when passed" };
    let facts: [(&str, &dyn Display); 16] = [
        ("Parameters", &parameters),
        ("Cash", &terms.cash.0),
        ("Fees", &format!("maker {}, taker {}", terms.maker_fee.0, terms.taker_fee.0)),
        ("Slippage", &terms.slippage.0),
        ("Latency", &latency),
        ("Tick and lot", &format!("{}, {}", terms.tick_size.0, terms.lot_size.0)),
        ("Participation", &terms.participation.map_or_else(none, |part| part.0.to_string())),
        ("Leverage", &terms.leverage.0),
        ("Short positions", &if terms.shorting { "allowed" } else { "refused" }),
        ("Limit orders", &format!("filled {limit}")),
        ("Data snapshot", &inputs.snapshot.clone().unwrap_or_else(none)),
        ("Commit", &inputs.commit.clone().unwrap_or_else(none)),
        ("Source, SHA-256", &inputs.source_sha256),
        ("Seed", &inputs.seed),
        ("Engine", &inputs.engine_version),
        ("Hash", &document.hash),
    ];
    for (name, value) in facts {
        writeln!(page, "<dt>{name}</dt><dd>{}</dd>", Escaped(&value.to_string()))?;
    }
    writeln!(page, "</dl></section>")
}
