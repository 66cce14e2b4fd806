//! A finished run as a JSON document: what went in, what came out, what the checks found, and a hash of the first two.
//!
//! Amounts are exact and written as text, ratios are floats, times are ns since the epoch. No clock of the computer that ran it is
//! in it, so equal inputs give an equal document. Lists are cut at [`ROWS`]; the hash covers them whole.

mod checks;
mod inputs;
mod rows;
#[cfg(test)]
pub(super) mod tests;

pub use checks::{Checks, LookAheadCheck, MonteCarloCheck, SweepCheck, SweepRun, WalkForwardCheck, WalkForwardStep};
pub use inputs::{Exact, Inputs, Parameter, TermsDocument};
pub use rows::{CurvePoint, FillRow, OpenOrderRow, RefusalRow, RoundTripRow, StatisticsRow, Summary};

use super::Report;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::io::Write;

/// Changes whenever the engine gives another result for the same inputs; a test holds a run's hash against it.
pub const ENGINE_VERSION: &str = "1";
/// Most fills, and most round trips, of a document.
pub const ROWS: usize = 5_000;

/// A finished run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Document {
    /// SHA-256 of the inputs and results, hexadecimal: see [`hash`].
    pub hash: String,
    /// What went in.
    pub inputs: Inputs,
    /// Totals.
    pub summary: Summary,
    /// Ratios.
    pub statistics: StatisticsRow,
    /// Equity over time, thinned by the engine.
    pub curve: Vec<CurvePoint>,
    /// Returns of UTC days.
    pub daily_returns: Vec<f64>,
    /// The first [`ROWS`]; `summary.fills` counts all.
    pub fills: Vec<FillRow>,
    /// The first [`ROWS`]; `summary.round_trips` counts all.
    pub round_trips: Vec<RoundTripRow>,
    /// The first 1 000; `summary.refused` counts all.
    pub refused: Vec<RefusalRow>,
    /// Orders that were open at the end.
    pub open_orders: Vec<OpenOrderRow>,
    /// What judges the strategy; not hashed.
    pub checks: Checks,
}

impl Document {
    /// The document of a run, without checks.
    #[must_use]
    pub fn new(inputs: Inputs, report: &Report) -> Self {
        Self {
            hash: hash(&inputs, report),
            inputs,
            summary: Summary::from(report),
            statistics: StatisticsRow::from(&report.statistics),
            curve: CurvePoint::of(report),
            daily_returns: report.daily_returns.clone(),
            fills: report.fills.iter().take(ROWS).map(FillRow::from).collect(),
            round_trips: report.round_trips.iter().take(ROWS).map(RoundTripRow::from).collect(),
            refused: report.refused.iter().map(RefusalRow::from).collect(),
            open_orders: report.open_orders.iter().map(OpenOrderRow::from).collect(),
            checks: Checks::default(),
        }
    }

    /// Adds what holding the instrument would have been worth at each point of the curve; `price` gives the price then.
    pub fn add_benchmark(&mut self, first_price: f64, mut price: impl FnMut(u64) -> Option<f64>) {
        let start = self.summary.start_equity.0.to_f64();
        for point in &mut self.curve {
            point.benchmark = price(point.time_ns).map(|price| start * price / first_price).filter(|v| v.is_finite());
        }
    }
}

/// Hashes what is written.
struct Sink(Sha256);

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// SHA-256, hexadecimal, of the canonical form: one line of compact JSON each for the inputs, the totals, the ratios, the daily
/// returns, then for every fill, round trip, kept refusal, order open at the end and point of the curve; keys in the order of
/// their types, parameters by name. Checks are not in it, so a run has the same hash whatever was checked beside it.
///
/// # Panics
/// Never: nothing in the rows can fail to be written, nor can the hasher refuse it.
#[must_use]
pub fn hash(inputs: &Inputs, report: &Report) -> String {
    let mut sink = Sink(Sha256::new());
    sink.line(inputs);
    sink.line(&Summary::from(report));
    sink.line(&StatisticsRow::from(&report.statistics));
    sink.line(&report.daily_returns);
    report.fills.iter().for_each(|fill| sink.line(&FillRow::from(fill)));
    report.round_trips.iter().for_each(|trip| sink.line(&RoundTripRow::from(trip)));
    report.refused.iter().for_each(|refused| sink.line(&RefusalRow::from(refused)));
    report.open_orders.iter().for_each(|order| sink.line(&OpenOrderRow::from(order)));
    CurvePoint::of(report).iter().for_each(|point| sink.line(point));
    hexadecimal(&sink.0.finalize())
}

impl Sink {
    fn line(&mut self, row: &impl Serialize) {
        serde_json::to_writer(&mut *self, row).expect("rows have text keys, and a hasher takes everything");
        self.0.update(b"\n");
    }
}

/// SHA-256 of a text, hexadecimal.
#[must_use]
pub fn sha256(text: &str) -> String {
    hexadecimal(&Sha256::digest(text.as_bytes()))
}

fn hexadecimal(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |nibble: u8| char::from(DIGITS[usize::from(nibble & 15)]);
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(*byte)]).collect()
}
