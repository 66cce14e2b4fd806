//! The backtest job: one run for the report, more for the checks.

mod checks;

use crate::book::Act;
use crate::candles::PyCandles;
use crate::data::{self, Ticks};
use crate::error::JobError;
use crate::job::{BacktestJob, Form};
use crate::progress::Progress;
use crate::run::{self, Events, Outcome};
use crate::strategy::PyStrategy;
use crate::user_code::{Chosen, Found, Parameters, Source, Wanted, strategy_class};
use crate::{arrays, number};
use proto::Decimal;
use pyo3::prelude::*;
use pyo3::types::PyType;
use std::sync::Arc;
use trading::backtest::document::{Document, ENGINE_VERSION, Inputs};
use trading::backtest::{Candle, Decision, Report, Shorting, Terms};

/// Everything that runs of a job have in common.
pub(crate) struct Runner<'a, 'py> {
    progress: &'a Progress<'py>,
    job: &'a BacktestJob,
    terms: Terms,
    source: Source<'py>,
    base: Bound<'py, PyType>,
    candles: Arc<Vec<Candle>>,
    /// All candles as columns: made once for all runs over them.
    columns: Bound<'py, PyCandles>,
}

pub(crate) fn run(progress: &Progress<'_>, job: &BacktestJob) -> Result<Document, JobError> {
    let py = progress.py();
    let terms = Terms::from(&job.terms);
    terms.validate()?;
    let (source, source_sha256) = job.strategy.compile(py)?;
    let candles = Arc::new(match job.data.form {
        Form::Candles => data::candles(&job.data.path)?,
        Form::Ticks => Vec::new(),
    });
    let columns = Bound::new(py, PyCandles::new(&candles, 0..candles.len()));
    let columns = columns.map_err(|error| source.error(py, &error))?;
    let runner = Runner { progress, job, terms, base: strategy_class(py), candles, columns, source };
    let chosen = runner.chosen(&job.params)?;
    let inputs = Inputs {
        engine_version: ENGINE_VERSION.to_owned(),
        strategy: chosen.name.clone(),
        source_sha256,
        parameters: chosen.parameters().map_err(|error| runner.source.error(py, &error))?,
        terms: job.terms.clone(),
        market: job.data.market.clone(),
        interval_ns: match job.data.form {
            Form::Candles => Some(job.data.interval_ns()?),
            Form::Ticks => None,
        },
        snapshot: job.provenance.snapshot.clone(),
        commit: job.provenance.commit.clone(),
        seed: job.seed,
    };
    checks::check_wanted(job)?;
    let report = match job.data.form {
        Form::Candles => {
            progress.expect(runner.candles.len() as u64);
            runner.over(chosen, &runner.candles, false)?.report
        }
        Form::Ticks => runner.over_ticks(&chosen)?,
    };
    let mut document = Document::new(inputs, &report);
    runner.add_benchmark(&mut document);
    document.checks = checks::run(&runner, &report)?;
    Ok(document)
}

/// How a class wants to be run.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    Callbacks,
    Targets,
}

fn way(class: &Bound<'_, PyType>) -> Result<Way, JobError> {
    let has = |name| class.hasattr(name).unwrap_or(false);
    let name = || class.name().map_or_else(|_| "class".to_owned(), |name| name.to_string());
    match (has("targets"), has("on_candle") || has("on_tick")) {
        (true, false) => Ok(Way::Targets),
        (false, true) => Ok(Way::Callbacks),
        (true, true) => Err(JobError::field(name(), "define either targets or on_candle and on_tick, not both")),
        (false, false) => Err(JobError::field(name(), "must define on_candle, on_tick or targets")),
    }
}

impl<'py> Runner<'_, 'py> {
    /// Loads the code anew and gives it parameters.
    fn chosen(&self, parameters: &Parameters) -> Result<Chosen<'py>, JobError> {
        let name = self.job.strategy.class.as_deref();
        let wanted = Wanted { base: &self.base, function: "targets", name };
        let found = self.source.find(self.progress.py(), self.job.seed, wanted)?;
        Chosen::new(&self.source, found, &self.base, parameters)
    }

    fn user(&self, error: &PyErr) -> JobError {
        self.source.error(self.progress.py(), error)
    }

    fn instance(&self, chosen: &Chosen<'py>, class: &Bound<'py, PyType>) -> Result<Bound<'py, PyStrategy>, JobError> {
        let instance = chosen.instance(class).map_err(|error| self.user(&error))?;
        instance.cast_into::<PyStrategy>().map_err(|error| self.user(&error.into()))
    }

    /// Runs over some of the candles, which must be a part of `self.candles`. With `note`, decisions are kept.
    fn over(&self, chosen: Chosen<'py>, candles: &[Candle], note: bool) -> Result<Outcome, JobError> {
        let interval_ns = self.job.data.interval_ns()?;
        if let Found::Class(class) = &chosen.found
            && way(class)? == Way::Callbacks
        {
            let instance = self.instance(&chosen, class)?;
            let events = Events::Candles { interval_ns, candles };
            return run::callbacks(self.progress, &self.terms, events, &instance, (&self.source.file, note));
        }
        let targets = self.targets(&chosen, candles)?;
        if note {
            // What was decided is all that the check looks at: the engine itself cannot look ahead.
            let decisions = targets.iter().enumerate();
            let decisions = decisions.map(|(candle, target)| Decision { candle, what: Act::Target(*target) }).collect();
            let report = run::targets(self.progress, &self.terms, (interval_ns, &candles[..0]), &[])?;
            return Ok(Outcome { report, decisions });
        }
        let report = run::targets(self.progress, &self.terms, (interval_ns, candles), &targets)?;
        Ok(Outcome { report, decisions: Vec::new() })
    }

    fn over_ticks(&self, chosen: &Chosen<'py>) -> Result<Report, JobError> {
        let Found::Class(class) = &chosen.found else {
            return Err(JobError::field("data.form", "a function of targets runs over candles"));
        };
        if way(class)? == Way::Targets {
            return Err(JobError::field("data.form", "targets are for candles"));
        }
        let instance = self.instance(chosen, class)?;
        self.progress.expect(data::count(&self.job.data.path)?);
        let events = Events::Ticks(Box::new(Ticks::open(&self.job.data.path)?));
        Ok(run::callbacks(self.progress, &self.terms, events, &instance, (&self.source.file, false))?.report)
    }

    /// Where in all candles these are.
    fn place(&self, candles: &[Candle]) -> std::ops::Range<usize> {
        let from = (candles.as_ptr().addr() - self.candles.as_ptr().addr()) / size_of::<Candle>();
        from..from + candles.len()
    }

    /// Asks a vectorised strategy for its targets.
    fn targets(&self, chosen: &Chosen<'py>, candles: &[Candle]) -> Result<Vec<Option<Decimal>>, JobError> {
        let py = self.progress.py();
        let ask = || -> PyResult<Vec<f64>> {
            let columns = if candles.len() == self.candles.len() {
                self.columns.clone()
            } else {
                Bound::new(py, PyCandles::new(&self.candles, self.place(candles)))?
            };
            let answer = match &chosen.found {
                Found::Class(class) => {
                    let instance = chosen.instance(class)?;
                    instance.call_method1("targets", (columns,))?
                }
                Found::Function(function) => function.call((columns,), Some(&chosen.keywords(py)?))?,
            };
            arrays::read(&answer)
        };
        let floats = ask().map_err(|error| self.user(&error))?;
        if floats.len() != candles.len() {
            let rule = format!("one for each of the {} candles is expected, not {}", candles.len(), floats.len());
            return Err(JobError::field("targets", rule));
        }
        floats.into_iter().enumerate().map(|(at, exposure)| self.target(at, exposure)).collect()
    }

    fn target(&self, at: usize, exposure: f64) -> Result<Option<Decimal>, JobError> {
        if exposure.is_nan() {
            return Ok(None);
        }
        let allowed = |target: &Decimal| {
            let shorts = target.is_negative() && self.terms.shorting == Shorting::Refused;
            !shorts && target.abs() <= self.terms.leverage
        };
        match number::from_float(exposure).filter(allowed) {
            Some(target) => Ok(Some(target)),
            None => {
                let rule =
                    format!("{exposure} is not within the leverage of the account, or short where that is refused");
                Err(JobError::field(format!("targets[{at}]"), rule))
            }
        }
    }

    /// What holding would have been worth, by the candle that ended last at each point of the curve.
    fn add_benchmark(&self, document: &mut Document) {
        let (Some(first), Some(interval_ns)) = (self.candles.first(), self.job.data.interval_ns) else { return };
        let mut at = 0;
        document.add_benchmark(number::to_float(first.open), |time_ns| {
            let ended = |candle: &Candle| candle.open_time_ns.saturating_add(interval_ns) <= time_ns;
            at += self.candles[at..].partition_point(ended).saturating_sub(1);
            self.candles.get(at).map(|candle| number::to_float(candle.close))
        });
    }
}
