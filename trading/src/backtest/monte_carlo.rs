//! What the same round trips might have come to in another order and choice.

use super::RoundTrip;
use proto::Decimal;

/// Most runs.
pub const MONTE_CARLO_RUNS: usize = 100_000;
/// Most draws, runs times round trips.
pub const MONTE_CARLO_DRAWS: usize = 1_000_000_000;

/// Why there is nothing to draw from, or too much.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MonteCarloError {
    /// No round trip has ended.
    #[error("round_trips: there must be at least one")]
    NoTrips,
    /// Too few or too many runs.
    #[error("runs: must be between 1 and {MONTE_CARLO_RUNS}")]
    Runs,
    /// Runs times round trips.
    #[error("runs: at most {most} for so many round trips")]
    Draws {
        /// How many runs are allowed.
        most: usize,
    },
}

/// At which part of the runs the percentiles of [`Outcomes`] lie.
pub const PERCENTILES: [f64; 5] = [0.05, 0.25, 0.5, 0.75, 0.95];

/// Percentiles over all runs ([`PERCENTILES`], nearest rank).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Outcomes {
    /// Equity after the last round trip, quote asset.
    pub end_equity: [f64; 5],
    /// Largest fall from a peak between round trips, as a fraction of the peak; 1 and more is ruin.
    pub max_drawdown: [f64; 5],
    /// Part of the runs in which the equity reached 0.
    pub ruined: f64,
}

/// Draws as many round trips as there were, with replacement (B. Efron, *Bootstrap methods*, 1979), and adds up their
/// profits, `runs` times. The same seed gives the same outcomes. Profits are added as they were: sizes do not grow with the
/// equity, and that one trip may depend on the one before is lost.
///
/// # Errors
/// See [`MonteCarloError`].
pub fn monte_carlo(
    start_equity: Decimal,
    round_trips: &[RoundTrip],
    runs: usize,
    seed: u64,
) -> Result<Outcomes, MonteCarloError> {
    if round_trips.is_empty() {
        return Err(MonteCarloError::NoTrips);
    }
    if !(1..=MONTE_CARLO_RUNS).contains(&runs) {
        return Err(MonteCarloError::Runs);
    }
    if runs.saturating_mul(round_trips.len()) > MONTE_CARLO_DRAWS {
        return Err(MonteCarloError::Draws { most: MONTE_CARLO_DRAWS / round_trips.len() });
    }
    let profits: Vec<f64> = round_trips.iter().map(|trip| trip.profit.to_f64()).collect();
    let mut random = SplitMix(seed);
    let mut ends = Vec::with_capacity(runs);
    let mut falls = Vec::with_capacity(runs);
    let mut ruined = 0usize;
    for _ in 0..runs {
        let mut equity = start_equity.to_f64();
        let (mut peak, mut fall, mut lowest) = (equity, 0f64, equity);
        for _ in 0..profits.len() {
            equity += profits[random.below(profits.len())];
            peak = peak.max(equity);
            lowest = lowest.min(equity);
            fall = fall.max((peak - equity) / peak);
        }
        ruined += usize::from(lowest <= 0.0);
        ends.push(equity);
        falls.push(fall);
    }
    #[allow(clippy::cast_precision_loss, reason = "at most 100 000")]
    let ruined = ruined as f64 / runs as f64;
    Ok(Outcomes { end_equity: percentiles(ends), max_drawdown: percentiles(falls), ruined })
}

#[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a rank")]
fn percentiles(mut values: Vec<f64>) -> [f64; 5] {
    values.sort_by(f64::total_cmp);
    PERCENTILES.map(|part| {
        let rank = (part * values.len() as f64).ceil() as usize;
        values[rank.clamp(1, values.len()) - 1]
    })
}

/// SplitMix64 (G. L. Steele, D. Lea, C. H. Flood, *Fast splittable pseudorandom number generators*, 2014).
struct SplitMix(u64);

impl SplitMix {
    /// Below `n`, by the high word of a product; the bias is below n / 2^64.
    #[allow(clippy::cast_possible_truncation, reason = "below n, which is a usize")]
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^= z >> 31;
        ((u128::from(z) * n as u128) >> 64) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backtest::Direction;

    fn trips(profits: &[i64]) -> Vec<RoundTrip> {
        let zero = Decimal::ZERO;
        let trip = |profit: &i64| RoundTrip {
            direction: Direction::Buy,
            size: Decimal::ONE,
            opened_ns: 0,
            closed_ns: 1,
            entry_price: zero,
            exit_price: zero,
            fees: zero,
            profit: Decimal::from_int(*profit),
        };
        profits.iter().map(trip).collect()
    }

    #[test]
    fn the_generator_is_the_published_one() {
        // First outputs of SplitMix64 with seed 1234567, of its reference implementation, halved to 32 bits.
        let mut random = SplitMix(1_234_567);
        let outputs = [6_457_827_717_110_365_317u64, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423];
        for output in outputs {
            assert_eq!(random.below(1 << 32), usize::try_from(output >> 32).unwrap());
        }
    }

    #[test]
    fn equal_trips_leave_nothing_to_chance() {
        let outcomes = monte_carlo(Decimal::from_int(100), &trips(&[-10; 4]), 50, 1).unwrap();
        assert_eq!(outcomes, Outcomes { end_equity: [60.0; 5], max_drawdown: [0.4; 5], ruined: 0.0 });
        let outcomes = monte_carlo(Decimal::from_int(40), &trips(&[-10; 4]), 50, 1).unwrap();
        assert_eq!((outcomes.ruined, outcomes.max_drawdown[0]), (1.0, 1.0));
    }

    #[test]
    fn a_fair_coin_ends_where_it_should_and_a_seed_repeats_it() {
        let half: Vec<i64> = (0..100).map(|at| if at % 2 == 0 { 1 } else { -1 }).collect();
        let run = |seed| monte_carlo(Decimal::from_int(1000), &trips(&half), 20_000, seed).unwrap();
        let outcomes = run(7);
        // The sum of 100 fair steps has a standard deviation of 10: the 5th percentile lies at -16.4, the quartile at -6.7.
        let expected = [-16.4, -6.7, 0.0, 6.7, 16.4];
        for (end, expected) in outcomes.end_equity.into_iter().zip(expected) {
            assert!((end - 1000.0 - expected).abs() <= 2.0, "{end}");
        }
        assert_eq!(outcomes, run(7));
        assert_ne!(outcomes, run(8));
    }

    #[test]
    fn what_cannot_be_drawn_is_refused() {
        let run = |trips: &[RoundTrip], runs| monte_carlo(Decimal::ONE, trips, runs, 0);
        assert_eq!(run(&[], 1), Err(MonteCarloError::NoTrips));
        assert_eq!(run(&trips(&[1]), 0), Err(MonteCarloError::Runs));
        assert_eq!(run(&trips(&[1]), MONTE_CARLO_RUNS + 1), Err(MonteCarloError::Runs));
        assert_eq!(run(&trips(&[1; 20_000]), MONTE_CARLO_RUNS), Err(MonteCarloError::Draws { most: 50_000 }));
    }
}
