//! Relative strength index.

use crate::wilder::WilderAverage;

/// `100 - 100 / (1 + average gain / average loss)` with Wilder's smoothing of the changes of the close (J. Welles Wilder,
/// *New Concepts in Technical Trading Systems*, 1978, sec. VI). Warm-up: `None` until `n + 1` closes (`n` changes) were
/// seen. Without any loss the index is 100; a market that did not move at all is neutral, 50.
#[derive(Debug, Clone)]
pub struct Rsi {
    previous: Option<f64>,
    gains: WilderAverage,
    losses: WilderAverage,
}

impl Rsi {
    /// An index over `period` changes, at least 1.
    #[must_use]
    pub fn new(period: usize) -> Self {
        Self { previous: None, gains: WilderAverage::new(period), losses: WilderAverage::new(period) }
    }

    /// Adds a close and returns the index, 0 to 100.
    pub fn update(&mut self, close: f64) -> Option<f64> {
        let change = close - self.previous.replace(close)?;
        let (gain, loss) = (self.gains.update(change.max(0.0)), self.losses.update((-change).max(0.0)));
        let (gain, loss) = (gain?, loss?);
        let moved = gain + loss;
        // Divided first: without a loss this is exactly 100.
        Some(if moved > 0.0 { 100.0 * (gain / moved) } else { 50.0 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The fourteen-day example of StockCharts ChartSchool, "Relative Strength Index (RSI)".
    #[test]
    fn the_published_fourteen_day_example_is_reproduced() {
        let closes = [
            44.3389, 44.0902, 44.1497, 43.6124, 44.3278, 44.8264, 45.0955, 45.4245, 45.8433, 46.0826, 45.8931, 46.0328,
            45.6140, 46.2820, 46.2820, 46.0028, 46.0328, 46.4116, 46.2222, 45.6439, 46.2122, 46.2521, 45.7137, 46.4515,
            45.7835, 45.3548, 44.0288, 44.1783, 44.2181, 44.5672, 43.4205, 42.6628, 43.1314,
        ];
        let published = [
            70.53, 66.32, 66.55, 69.41, 66.36, 57.97, 62.93, 63.26, 56.06, 62.38, 54.71, 50.42, 39.99, 41.46, 41.87,
            45.46, 37.30, 33.08, 37.77,
        ];
        let mut rsi = Rsi::new(14);
        let got: Vec<_> = closes.into_iter().map(|close| rsi.update(close)).collect();
        assert!(got[..14].iter().all(Option::is_none));
        for (got, published) in got[14..].iter().zip(published) {
            assert!((got.unwrap() - published).abs() < 0.0101, "{got:?} {published}");
        }
    }

    #[test]
    fn only_gains_are_100_only_losses_0_and_no_move_50() {
        for (step, expected) in [(1.0, 100.0), (-1.0, 0.0), (0.0, 50.0)] {
            let mut rsi = Rsi::new(3);
            let mut close = 100.0;
            let mut last = None;
            for _ in 0..6 {
                last = rsi.update(close);
                close += step;
            }
            assert_eq!(last, Some(expected));
        }
    }
}
