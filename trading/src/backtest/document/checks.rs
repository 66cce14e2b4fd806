//! What the checks of a strategy found.

use super::Parameter;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The checks that were asked for.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Checks {
    /// Whether decisions used the future.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub look_ahead: Option<LookAheadCheck>,
    /// What the round trips might have come to.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub monte_carlo: Option<MonteCarloCheck>,
    /// Other parameters.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub sweep: Option<SweepCheck>,
    /// Parameters chosen on the past and tried on what followed.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub walk_forward: Option<WalkForwardCheck>,
}

/// Decisions made again on shorter data.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "verdict", rename_all = "snake_case")]
pub enum LookAheadCheck {
    /// None changed.
    Clean {
        /// How often they were made again.
        cuts: usize,
    },
    /// One changed: the strategy used what came after it.
    Found {
        /// Candle of the first one, from 0.
        candle: usize,
        /// When that candle began.
        open_time_ns: u64,
        /// How many candles were left when it changed.
        candles: usize,
        /// The decision with all candles.
        with_future: Option<String>,
        /// The decision with `candles` candles.
        without: Option<String>,
    },
    /// Decisions differ between two runs on the same data, so nothing can be said.
    NotDeterministic {
        /// First candle at which they differ.
        candle: usize,
    },
    /// It is not made for ticks.
    NotPossible {
        /// Why not.
        reason: String,
    },
}

/// The bootstrap of the round trips.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "verdict", rename_all = "snake_case")]
pub enum MonteCarloCheck {
    /// It was made.
    Done {
        /// How many draws of all trips.
        runs: usize,
        /// Where the percentiles lie.
        percentiles: [f64; 5],
        /// Equity at the end.
        end_equity: [f64; 5],
        /// Largest drawdown.
        max_drawdown: [f64; 5],
        /// Part of the runs in which the equity reached 0.
        ruined: f64,
    },
    /// There is nothing to draw from, or too much.
    NotPossible {
        /// Why not.
        reason: String,
    },
}

/// The same strategy with each choice of parameters.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SweepCheck {
    /// Which ratio judges.
    pub score: String,
    /// Number of the best run; the first of equals.
    pub best: Option<usize>,
    /// In the order of the parameters, the last one changing fastest.
    pub runs: Vec<SweepRun>,
}

/// One choice of parameters.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SweepRun {
    /// Those that were swept.
    pub parameters: BTreeMap<String, Parameter>,
    /// The ratio; `None` if it is not defined.
    pub score: Option<f64>,
    /// End over start, less 1.
    pub total_return: f64,
    /// As a fraction of the peak.
    pub max_drawdown: f64,
    /// How many ended.
    pub round_trips: usize,
}

/// Parameters chosen on `train` candles and tried on the next `test`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WalkForwardCheck {
    /// Which ratio judges.
    pub score: String,
    /// Candles of each choice.
    pub train: usize,
    /// Candles of each trial.
    pub test: usize,
    /// In time order.
    pub steps: Vec<WalkForwardStep>,
    /// Mean score of the choices, of steps with both scores.
    pub mean_train_score: Option<f64>,
    /// Mean score of the trials; far below the other one is what over-fitting looks like.
    pub mean_test_score: Option<f64>,
}

/// One window.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WalkForwardStep {
    /// Start of the first candle of the choice.
    pub train_begin_ns: u64,
    /// Start of the first candle of the trial.
    pub test_begin_ns: u64,
    /// The chosen parameters; `None` if none had a score.
    pub parameters: Option<BTreeMap<String, Parameter>>,
    /// Their score on the choice.
    pub train_score: Option<f64>,
    /// Their score on the trial.
    pub test_score: Option<f64>,
}
