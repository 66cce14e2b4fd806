//! Aroon: how long ago the extremes were.

use crate::Bar;
use crate::extremes::SlidingExtremes;

/// What [`Aroon`] shows.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AroonValue {
    /// 100 when the highest high is now, 0 when it was `n` candles ago.
    pub up: f64,
    /// The same of the lowest low.
    pub down: f64,
    /// Up minus down.
    pub oscillator: f64,
}

/// `100 · (n − candles since the highest high) / n` of the last `n + 1` candles, and the same of the lowest low; of equal ones
/// the newest (T. Chande, "The Time Price Oscillator", *Technical Analysis of Stocks & Commodities*, September 1995). Warm-up:
/// `None` until `n + 1` candles were seen.
#[derive(Debug, Clone)]
pub struct Aroon {
    period: f64,
    range: SlidingExtremes,
}

impl Aroon {
    /// Looks back `period` candles, at least 1.
    #[must_use]
    #[allow(clippy::cast_precision_loss, reason = "periods are small")]
    pub fn new(period: usize) -> Self {
        let period = period.max(1);
        Self { period: period as f64, range: SlidingExtremes::new(period + 1) }
    }

    /// Adds a candle.
    #[allow(clippy::cast_precision_loss, reason = "periods are small")]
    pub fn update(&mut self, bar: &Bar) -> Option<AroonValue> {
        let range = self.range.update(bar)?;
        let newest = self.range.newest();
        let share = |at: u64| 100.0 * (self.period - (newest - at) as f64) / self.period;
        let (up, down) = (share(range.high_at), share(range.low_at));
        Some(AroonValue { up, down, oscillator: up - down })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn four_candles_back_by_hand_and_the_newest_of_equals() {
        let mut aroon = Aroon::new(4);
        let rows = [(9, 5), (7, 3), (8, 4), (9, 3), (6, 4), (5, 4)];
        let got: Vec<_> = rows.into_iter().map(|(high, low)| aroon.update(&Bar::test(high, low, low, 1))).collect();
        let of = |up, down| Some(AroonValue { up, down, oscillator: up - down });
        assert_eq!(got[..4], [None; 4]);
        assert_eq!(got[4..], [of(75.0, 75.0), of(50.0, 50.0)]);
    }
}
