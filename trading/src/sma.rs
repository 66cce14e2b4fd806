//! Simple moving average.

use crate::exact_sum::ExactSum;
use proto::Decimal;
use std::collections::VecDeque;

/// Arithmetic mean of the last `n` values (J. J. Murphy, *Technical Analysis of the Financial Markets*, 1999, ch. 9).
/// Warm-up: `None` until `n` values were seen.
#[derive(Debug, Clone)]
pub struct Sma {
    period: usize,
    window: VecDeque<Decimal>,
    sum: ExactSum,
}

impl Sma {
    /// An average of `period` values, at least 1.
    #[must_use]
    pub fn new(period: usize) -> Self {
        let period = period.max(1);
        Self { period, window: VecDeque::with_capacity(period), sum: ExactSum::default() }
    }

    /// Adds a value and returns the average.
    pub fn update(&mut self, value: Decimal) -> Option<f64> {
        if self.window.len() == self.period
            && let Some(oldest) = self.window.pop_front()
        {
            self.sum.subtract(oldest);
        }
        self.window.push_back(value);
        self.sum.add(value);
        (self.window.len() == self.period).then(|| self.sum.mean(self.period))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn averages_the_last_n_values_exactly() {
        let mut sma = Sma::new(3);
        let got: Vec<_> =
            ["1", "2", "6", "0.1", "0.1", "0.1"].into_iter().map(|text| sma.update(text.parse().unwrap())).collect();
        assert_eq!(got, [None, None, Some(3.0), Some(2.7), Some(6.2 / 3.0), Some(0.1)]);
    }
}
