//! How far the close has come in `n` candles, and the line through it.

use crate::weighted::WeightedWindow;
use proto::Decimal;
use std::collections::VecDeque;

/// `close − close n candles before` (J. J. Murphy, *Technical Analysis of the Financial Markets*, 1999, ch. 10). Warm-up: `None`
/// until `n + 1` closes were seen.
#[derive(Debug, Clone)]
pub struct Momentum {
    period: usize,
    closes: VecDeque<Decimal>,
}

impl Momentum {
    /// The change over `period` candles, at least 1.
    #[must_use]
    pub fn new(period: usize) -> Self {
        let period = period.max(1);
        Self { period, closes: VecDeque::with_capacity(period) }
    }

    /// Adds a close.
    pub fn update(&mut self, close: Decimal) -> Option<f64> {
        self.change(close).map(|(change, _)| change)
    }

    /// The change and what it started from.
    fn change(&mut self, close: Decimal) -> Option<(f64, f64)> {
        let oldest = if self.closes.len() == self.period { self.closes.pop_front() } else { None };
        self.closes.push_back(close);
        let oldest = oldest?;
        // Exact where the difference fits, which it does for all prices.
        let change = close.checked_sub(oldest).map_or_else(|| close.to_f64() - oldest.to_f64(), Decimal::to_f64);
        Some((change, oldest.to_f64()))
    }
}

/// The change over `n` candles as a percentage of the close before it (J. J. Murphy, as [`Momentum`]). From a close of 0 it is
/// 0. Warm-up: `None` until `n + 1` closes were seen.
#[derive(Debug, Clone)]
pub struct Roc(Momentum);

impl Roc {
    /// The change over `period` candles, at least 1.
    #[must_use]
    pub fn new(period: usize) -> Self {
        Self(Momentum::new(period))
    }

    /// Adds a close.
    pub fn update(&mut self, close: Decimal) -> Option<f64> {
        let (change, from) = self.0.change(close)?;
        Some(if from == 0.0 { 0.0 } else { 100.0 * (change / from) })
    }
}

/// Slope, per candle, of the least-squares line through the last `n` closes (C. F. Gauss, 1809), computed from exact sums.
/// Warm-up: `None` until `n` closes were seen.
#[derive(Debug, Clone)]
pub struct LinearSlope(WeightedWindow);

impl LinearSlope {
    /// A line through `period` closes, at least 2.
    #[must_use]
    pub fn new(period: usize) -> Self {
        Self(WeightedWindow::new(period.max(2)))
    }

    /// Adds a close.
    pub fn update(&mut self, close: Decimal) -> Option<f64> {
        self.0.push(close).then(|| self.0.slope())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_and_slopes_by_hand() {
        let closes = [4, 8, 5, 0, 7].map(Decimal::from_int);
        let (mut momentum, mut roc, mut slope) = (Momentum::new(2), Roc::new(1), LinearSlope::new(3));
        let got = closes.map(|close| (momentum.update(close), roc.update(close), slope.update(close)));
        assert_eq!(got.map(|row| row.0), [None, None, Some(1.0), Some(-8.0), Some(2.0)]);
        assert_eq!(got.map(|row| row.1), [None, Some(100.0), Some(-37.5), Some(-100.0), Some(0.0)]);
        // Through three points the slope is (last - first) / 2.
        assert_eq!(got.map(|row| row.2), [None, None, Some(0.5), Some(-4.0), Some(1.0)]);
    }
}
