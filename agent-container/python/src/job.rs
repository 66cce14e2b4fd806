//! A job as JSON, and its answer.

use crate::backtest;
use crate::error::JobError;
use crate::indicator;
use crate::progress::Progress;
use crate::user_code::{Parameters, Source};
use pyo3::prelude::*;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use trading::backtest::document::{Document, Parameter, TermsDocument};

/// What to do.
#[derive(Debug, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum Job {
    Backtest(Box<BacktestJob>),
    Indicator(IndicatorJob),
}

/// Runs a strategy.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct BacktestJob {
    pub(crate) strategy: Code,
    #[serde(default)]
    pub(crate) params: Parameters,
    pub(crate) data: Data,
    pub(crate) terms: TermsDocument,
    #[serde(default)]
    pub(crate) seed: u64,
    #[serde(default)]
    pub(crate) checks: ChecksWanted,
    #[serde(default)]
    pub(crate) provenance: Provenance,
}

/// Computes a user's indicator.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct IndicatorJob {
    pub(crate) indicator: Code,
    #[serde(default)]
    pub(crate) params: Parameters,
    pub(crate) data: Data,
    #[serde(default)]
    pub(crate) seed: u64,
    /// The last so many rows are given back.
    #[serde(default = "rows")]
    pub(crate) rows: usize,
}

const fn rows() -> usize {
    5_000
}

/// User code: its text, or a file to read.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Code {
    source: Option<String>,
    path: Option<PathBuf>,
    /// Which class of it (or function), if there are several.
    pub(crate) class: Option<String>,
}

impl Code {
    /// The text and its name.
    pub(crate) fn read(&self) -> Result<(String, String), JobError> {
        let name = |path: &PathBuf| path.display().to_string();
        match (&self.source, &self.path) {
            (Some(text), path) => Ok((text.clone(), path.as_ref().map_or_else(|| "<strategy>".to_owned(), name))),
            (None, Some(path)) => Ok((std::fs::read_to_string(path)?, name(path))),
            (None, None) => Err(JobError::field("source", "source or path is needed")),
        }
    }

    pub(crate) fn compile<'py>(&self, py: Python<'py>) -> Result<(Source<'py>, String), JobError> {
        let (text, file) = self.read()?;
        Ok((Source::compile(py, &text, &file)?, trading::backtest::document::sha256(&text)))
    }
}

/// Which market data.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Data {
    /// An Arrow IPC stream.
    pub(crate) path: PathBuf,
    #[serde(default)]
    pub(crate) form: Form,
    /// Length of a candle.
    pub(crate) interval_ns: Option<u64>,
    /// Which instrument, for people.
    #[serde(default)]
    pub(crate) market: String,
}

impl Data {
    pub(crate) fn interval_ns(&self) -> Result<u64, JobError> {
        let rule = || JobError::field("data.interval_ns", "must be greater than 0");
        self.interval_ns.filter(|interval_ns| *interval_ns > 0).ok_or_else(rule)
    }
}

/// What a row of the data is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Form {
    #[default]
    Candles,
    Ticks,
}

/// Where the data and the code are from.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Provenance {
    pub(crate) snapshot: Option<String>,
    pub(crate) commit: Option<String>,
}

/// What to check beside the run.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ChecksWanted {
    pub(crate) look_ahead: bool,
    pub(crate) monte_carlo: Option<MonteCarloWanted>,
    pub(crate) sweep: Option<SweepWanted>,
    pub(crate) walk_forward: Option<WalkForwardWanted>,
}

/// A bootstrap of the round trips.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct MonteCarloWanted {
    pub(crate) runs: usize,
}

/// Values to try for parameters.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SweepWanted {
    pub(crate) parameters: std::collections::BTreeMap<String, Vec<Parameter>>,
    #[serde(default)]
    pub(crate) score: Score,
}

/// Windows over the parameters of the sweep: as many trials, each after three times as many candles to choose on.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct WalkForwardWanted {
    pub(crate) folds: usize,
}

/// The ratio that judges parameters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Score {
    #[default]
    Sharpe,
    Sortino,
    Calmar,
    TotalReturn,
    ProfitFactor,
}

impl Score {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Sharpe => "sharpe",
            Self::Sortino => "sortino",
            Self::Calmar => "calmar",
            Self::TotalReturn => "total_return",
            Self::ProfitFactor => "profit_factor",
        }
    }

    pub(crate) const fn of(self, statistics: &trading::backtest::Statistics) -> Option<f64> {
        match self {
            Self::Sharpe => statistics.sharpe,
            Self::Sortino => statistics.sortino,
            Self::Calmar => statistics.calmar,
            Self::TotalReturn => Some(statistics.total_return),
            Self::ProfitFactor => statistics.profit_factor,
        }
    }
}

/// The answer to a backtest.
#[derive(Debug, Serialize)]
struct Done<'a> {
    kind: &'static str,
    document: &'a Document,
}

/// Does a job. Whatever is wrong with it or with user code is in the answer; only what the progress callback raises is
/// raised.
pub(crate) fn run(py: Python<'_>, text: &str, progress: Option<Bound<'_, PyAny>>) -> PyResult<String> {
    let progress = Progress::new(py, progress);
    let done = serde_json::from_str(text).map_err(JobError::from).and_then(|job| match job {
        Job::Backtest(job) => {
            let document = backtest::run(&progress, &job)?;
            Ok(serde_json::to_string(&Done { kind: "backtest", document: &document })?)
        }
        Job::Indicator(job) => Ok(serde_json::to_string(&indicator::run(&progress, &job)?)?),
    });
    match done {
        Ok(answer) => Ok(answer),
        Err(JobError::Progress(raised)) => Err(raised),
        Err(error) => Ok(error.to_json().to_string()),
    }
}
