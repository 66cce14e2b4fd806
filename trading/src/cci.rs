//! Commodity channel index.

use crate::Bar;
use crate::exact_sum::ExactSum;
use std::collections::VecDeque;

/// Lambert's constant, which keeps most values between −100 and 100.
const SCALE: f64 = 0.015;

/// `(typical − mean) / (0.015 · mean deviation)` of `n` typical prices (high + low + close) / 3; the mean deviation is the mean
/// of the distances from the mean (D. Lambert, "Commodity Channel Index", *Commodities*, October 1980). Without any deviation
/// it is 0. Warm-up: `None` until `n` candles were seen. The one indicator that costs O(n): the distances are from a mean that
/// moves.
#[derive(Debug, Clone)]
pub struct Cci {
    period: usize,
    /// Three times the typical prices.
    window: VecDeque<ExactSum>,
    sum: ExactSum,
}

impl Cci {
    /// An index of `period` candles, at least 1.
    #[must_use]
    pub fn new(period: usize) -> Self {
        let period = period.max(1);
        Self { period, window: VecDeque::with_capacity(period), sum: ExactSum::default() }
    }

    /// Adds a candle.
    #[allow(clippy::cast_precision_loss, reason = "periods are small")]
    pub fn update(&mut self, bar: &Bar) -> Option<f64> {
        if self.window.len() == self.period
            && let Some(oldest) = self.window.pop_front()
        {
            self.sum = self.sum.plus(oldest.times(-1));
        }
        let mut typical = ExactSum::default();
        [bar.high, bar.low, bar.close].into_iter().for_each(|price| typical.add(price));
        self.sum = self.sum.plus(typical);
        self.window.push_back(typical);
        if self.window.len() < self.period {
            return None;
        }
        // `n` times the distance from the mean is exact, so that equal prices have none.
        let count = self.period as i128;
        let distance = |price: &ExactSum| price.times(count).plus(self.sum.times(-1)).to_f64();
        let total: f64 = self.window.iter().map(|price| distance(price).abs()).sum();
        if total > 0.0 { Some(distance(&typical) / (SCALE * total / count as f64)) } else { Some(0.0) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_candles_by_hand_and_a_flat_market() {
        let mut cci = Cci::new(3);
        let rows = [(4, 2, 3), (7, 5, 6), (14, 10, 12), (12, 12, 12), (12, 12, 12)];
        let got: Vec<_> = rows.into_iter().map(|(h, l, c)| cci.update(&Bar::test(h, l, c, 1))).collect();
        assert_eq!(got[..2], [None, None]);
        // Typical 3, 6, 12: mean 7, deviation (4 + 1 + 5) / 3.
        assert!((got[2].unwrap() - 5.0 / (0.015 * 10.0 / 3.0)).abs() < 1e-9, "{got:?}");
        assert_eq!(got[4], Some(0.0));
    }
}
