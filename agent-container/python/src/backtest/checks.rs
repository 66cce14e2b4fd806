//! The checks of a strategy: the same code run again on less data or with other parameters.

use super::Runner;
use crate::book::Act;
use crate::error::JobError;
use crate::job::{BacktestJob, Form, Score};
use crate::user_code::Parameters;
use std::cell::{Cell, OnceCell};
use std::collections::BTreeMap;
use trading::backtest::document::{
    Checks, LookAheadCheck, MonteCarloCheck, Parameter, SweepCheck, SweepRun, WalkForwardCheck, WalkForwardStep,
};
use trading::backtest::{
    Candle, Decision, LookAhead, PERCENTILES, Report, Step, look_ahead, monte_carlo, sweep, walk_forward,
};

/// Most combinations of a sweep.
const COMBINATIONS: usize = 10_000;
const FOLDS: usize = 100;
/// Candles to choose on for each one to try on.
const TRAIN: usize = 3;
/// Cuts after decisions among the first candles, where running again costs little, and over all of them.
const EARLY_CUTS: usize = 24;
const EARLY: usize = 50_000;
const LATE_CUTS: usize = 4;

/// Refuses checks that cannot be made, before anything is run.
pub(super) fn check_wanted(job: &BacktestJob) -> Result<(), JobError> {
    let wanted = &job.checks;
    if let Some(wanted) = &wanted.sweep {
        let count = wanted.parameters.values().try_fold(1usize, |count, values| count.checked_mul(values.len()));
        if !count.is_some_and(|count| (1..=COMBINATIONS).contains(&count)) {
            let rule = format!("there must be 1 to {COMBINATIONS} combinations of values");
            return Err(JobError::field("checks.sweep.parameters", rule));
        }
        if job.data.form == Form::Ticks {
            return Err(JobError::field("checks.sweep", "needs candles"));
        }
    }
    match &wanted.walk_forward {
        Some(_) if wanted.sweep.is_none() => Err(JobError::field("checks.walk_forward", "needs a sweep")),
        Some(wanted) if !(1..=FOLDS).contains(&wanted.folds) => {
            Err(JobError::field("checks.walk_forward.folds", format!("must be between 1 and {FOLDS}")))
        }
        _ => Ok(()),
    }
}

pub(super) fn run(runner: &Runner<'_, '_>, report: &Report) -> Result<Checks, JobError> {
    let wanted = &runner.job.checks;
    let mut checks = Checks::default();
    if wanted.look_ahead {
        checks.look_ahead = Some(match runner.job.data.form {
            Form::Candles => check_look_ahead(runner)?,
            Form::Ticks => LookAheadCheck::NotPossible { reason: "it is made over candles".to_owned() },
        });
    }
    if let Some(wanted) = &wanted.monte_carlo {
        let drawn = monte_carlo(report.start_equity, &report.round_trips, wanted.runs, runner.job.seed);
        checks.monte_carlo = Some(match drawn {
            Ok(outcomes) => MonteCarloCheck::Done {
                runs: wanted.runs,
                percentiles: PERCENTILES,
                end_equity: outcomes.end_equity,
                max_drawdown: outcomes.max_drawdown,
                ruined: outcomes.ruined,
            },
            Err(error) => MonteCarloCheck::NotPossible { reason: error.to_string() },
        });
    }
    if let Some(wanted) = &wanted.sweep {
        let combinations = combinations(&wanted.parameters);
        checks.sweep = Some(check_sweep(runner, &combinations, wanted.score)?);
        if let Some(walk) = &runner.job.checks.walk_forward {
            checks.walk_forward = Some(check_walk_forward(runner, &combinations, (wanted.score, walk.folds))?);
        }
    }
    Ok(checks)
}

/// Every choice of one value each, the last parameter changing fastest.
fn combinations(values: &BTreeMap<String, Vec<Parameter>>) -> Vec<Parameters> {
    values.iter().fold(vec![Parameters::new()], |combinations, (name, values)| {
        let with = |before: &Parameters, value: &Parameter| {
            let mut combination = before.clone();
            combination.insert(name.clone(), value.clone());
            combination
        };
        combinations.iter().flat_map(|before| values.iter().map(move |value| with(before, value))).collect()
    })
}

impl Runner<'_, '_> {
    /// A run with other parameters.
    fn report_with(&self, combination: &Parameters, candles: &[Candle]) -> Result<Report, JobError> {
        let mut parameters = self.job.params.clone();
        parameters.extend(combination.clone());
        Ok(self.over(self.chosen(&parameters)?, candles, false)?.report)
    }
}

fn check_sweep(runner: &Runner<'_, '_>, all: &[Parameters], score: Score) -> Result<SweepCheck, JobError> {
    runner.progress.expect((all.len() * runner.candles.len()) as u64);
    let mut runs = Vec::with_capacity(all.len());
    let scores = sweep(&runner.candles, all, |combination, candles| {
        let report = runner.report_with(combination, candles)?;
        runs.push(SweepRun {
            parameters: combination.clone(),
            score: None,
            total_return: report.statistics.total_return,
            max_drawdown: report.statistics.max_drawdown,
            round_trips: report.round_trips.len(),
        });
        Ok::<_, JobError>(score.of(&report.statistics))
    })?;
    runs.iter_mut().zip(&scores).for_each(|(run, score)| run.score = *score);
    let scored = scores.into_iter().enumerate().filter_map(|(at, score)| Some((at, score?)));
    let best = scored.reduce(|best, other| if other.1 > best.1 { other } else { best }).map(|(at, _)| at);
    Ok(SweepCheck { score: score.name().to_owned(), best, runs })
}

fn check_walk_forward(
    runner: &Runner<'_, '_>,
    all: &[Parameters],
    (score, folds): (Score, usize),
) -> Result<WalkForwardCheck, JobError> {
    let test = runner.candles.len() / (folds + TRAIN);
    let train = TRAIN * test;
    runner.progress.expect((folds * (all.len() * train + test)) as u64);
    let steps = walk_forward(&runner.candles, [train, test], all, |combination, candles| {
        Ok::<_, JobError>(score.of(&runner.report_with(combination, candles)?.statistics))
    })?;
    let begin = |at: usize| runner.candles.get(at).map_or(0, |candle| candle.open_time_ns);
    let step = |step: &Step| WalkForwardStep {
        train_begin_ns: begin(step.train.start),
        test_begin_ns: begin(step.test.start),
        parameters: step.best.map(|(at, _)| all[at].clone()),
        train_score: step.best.map(|(_, score)| score),
        test_score: step.score,
    };
    // The rounding of the lengths can leave a few candles for one more, shorter trial.
    let steps: Vec<_> = steps.iter().take(folds).map(step).collect();
    let both: Vec<_> = steps.iter().filter_map(|step| Some((step.train_score?, step.test_score?))).collect();
    #[allow(clippy::cast_precision_loss, reason = "at most 100")]
    let mean =
        |of: fn(&(f64, f64)) -> f64| (!both.is_empty()).then(|| both.iter().map(of).sum::<f64>() / both.len() as f64);
    let (mean_train_score, mean_test_score) = (mean(|both| both.0), mean(|both| both.1));
    Ok(WalkForwardCheck { score: score.name().to_owned(), train, test, steps, mean_train_score, mean_test_score })
}

fn check_look_ahead(runner: &Runner<'_, '_>) -> Result<LookAheadCheck, JobError> {
    let candles: &[Candle] = &runner.candles;
    let decide = |candles: &[Candle]| {
        runner.progress.expect(candles.len() as u64);
        Ok::<_, JobError>(runner.over(runner.chosen(&runner.job.params)?, candles, true)?.decisions)
    };
    let first: OnceCell<Vec<Decision<Act>>> = OnceCell::new();
    let (judged, unable) = (Cell::new(0), OnceCell::new());
    // The first call is over all candles; where to cut depends on what was decided then.
    let cuts = std::iter::once_with(|| cuts(first.get().map_or(&[], Vec::as_slice), candles.len())).flatten();
    let found = look_ahead(candles, cuts, |part| {
        let Some(all) = first.get() else {
            let decisions = decide(part)?;
            return Ok(first.get_or_init(|| decisions).clone());
        };
        match decide(part) {
            Ok(decisions) => {
                judged.set(judged.get() + 1);
                Ok(decisions)
            }
            // Too few candles for the code to work at all say nothing about its decisions.
            Err(error @ (JobError::User(_) | JobError::Field { .. })) => {
                unable.get_or_init(|| error.to_string());
                Ok(all[..all.partition_point(|decision| decision.candle < part.len())].to_vec())
            }
            Err(error) => Err(error),
        }
    })?;
    let Some(found) = found else {
        return Ok(match unable.into_inner().filter(|_| judged.get() == 0) {
            Some(reason) => LookAheadCheck::NotPossible { reason },
            None => LookAheadCheck::Clean { cuts: judged.get() },
        });
    };
    // Code that decides by chance differs from itself; that is another fault than looking ahead.
    let first = first.into_inner().unwrap_or_default();
    let again = decide(candles)?;
    Ok(match first.iter().zip(&again).position(|(one, other)| one != other) {
        Some(at) => LookAheadCheck::NotDeterministic { candle: first[at].candle },
        None if first.len() != again.len() => LookAheadCheck::NotDeterministic { candle: first.len().min(again.len()) },
        None => named(found, candles),
    })
}

fn named(found: LookAhead<Act>, candles: &[Candle]) -> LookAheadCheck {
    LookAheadCheck::Found {
        candle: found.candle,
        open_time_ns: candles.get(found.candle).map_or(0, |candle| candle.open_time_ns),
        candles: found.candles,
        with_future: found.with_future.map(|act| act.to_string()),
        without: found.without.map(|act| act.to_string()),
    }
}

/// How many candles to leave: up to and with a candle at which something was decided anew, since only what came after it can
/// betray a strategy that looked just one candle ahead.
fn cuts(decisions: &[Decision<Act>], candles: usize) -> Vec<usize> {
    let mut decided: Vec<usize> = Vec::new();
    let mut last = None;
    for decision in decisions {
        // A vectorised strategy has a target at each candle; those that change count.
        let is_new = !matches!(decision.what, Act::Target(_)) || last != Some(&decision.what);
        last = Some(&decision.what);
        if is_new && decided.last() != Some(&decision.candle) {
            decided.push(decision.candle);
        }
    }
    let early = &decided[..decided.partition_point(|candle| *candle < EARLY)];
    let evenly = |at: usize| early.get(early.len() * at / EARLY_CUTS).map(|candle| candle + 1);
    let late = |at: usize| {
        let wanted = candles * at / (LATE_CUTS + 1);
        decided.get(decided.partition_point(|candle| *candle < wanted)).map_or(wanted, |candle| candle + 1)
    };
    let mut cuts: Vec<usize> = (0..EARLY_CUTS).filter_map(evenly).chain((1..=LATE_CUTS).map(late)).collect();
    cuts.retain(|cut| (1..candles).contains(cut));
    cuts.sort_unstable();
    cuts.dedup();
    cuts
}
