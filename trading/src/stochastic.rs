//! Where the close lies in its recent range: the stochastic oscillator, the one of RSI, Williams %R.

use crate::extremes::{Extremes, SlidingExtremes};
use crate::sliding::Sliding;
use crate::{Bar, Rsi};

/// A range of the RSI below this is rounding.
const FLAT_RSI: f64 = 1e-9;

/// What [`Stochastic`] and [`StochRsi`] show, 0 to 100.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StochasticValue {
    /// The smoothed place in the range.
    pub k: f64,
    /// Simple average of `k`; `None` while it warms up.
    pub d: Option<f64>,
}

/// Smooths %K and its average %D.
#[derive(Debug, Clone)]
struct Smoothed {
    k: Sliding<f64>,
    d: Sliding<f64>,
}

impl Smoothed {
    fn new(k: usize, d: usize) -> Self {
        Self { k: Sliding::new(k), d: Sliding::new(d) }
    }

    fn update(&mut self, place: f64) -> Option<StochasticValue> {
        let k = self.k.mean(place)?;
        Some(StochasticValue { k, d: self.d.mean(k) })
    }
}

/// `%K = 100 · (close − lowest low) / (highest high − lowest low)` of `n` candles, smoothed by a simple average of `slowing`
/// values, and %D, the simple average of `d` values of %K (G. Lane, "Lane's Stochastics", *Technical Analysis of Stocks &
/// Commodities*, 1984). `slowing` 1 is the fast stochastic, 3 the slow one. Without any range the place is 50. Warm-up: %K is
/// `None` until `n + slowing − 1` candles were seen, %D until `d − 1` more.
#[derive(Debug, Clone)]
pub struct Stochastic {
    range: SlidingExtremes,
    smoothed: Smoothed,
}

impl Stochastic {
    /// Periods of the range, of the smoothing of %K and of %D, usually 14, 3 and 3.
    #[must_use]
    pub fn new(period: usize, slowing: usize, d: usize) -> Self {
        Self { range: SlidingExtremes::new(period), smoothed: Smoothed::new(slowing, d) }
    }

    /// Adds a candle.
    pub fn update(&mut self, bar: &Bar) -> Option<StochasticValue> {
        let range = self.range.update(bar)?;
        self.smoothed.update(100.0 * range.place(bar.close.to_f64(), 0.0))
    }
}

/// The stochastic of the RSI: where the RSI lies between its lowest and highest value of `n`, 0 to 100, smoothed like
/// [`Stochastic`] (T. Chande, S. Kroll, *The New Technical Trader*, 1994). An RSI that stands still, its range being below
/// 10⁻⁹, is in the middle. Warm-up: %K is `None` until `rsi + n + k − 1` closes were seen, %D until `d − 1` more.
#[derive(Debug, Clone)]
pub struct StochRsi {
    rsi: Rsi,
    range: SlidingExtremes,
    smoothed: Smoothed,
}

impl StochRsi {
    /// Periods of the RSI, of the range, of the smoothing of %K and of %D, usually 14, 14, 3 and 3.
    #[must_use]
    pub fn new(rsi: usize, period: usize, k: usize, d: usize) -> Self {
        Self { rsi: Rsi::new(rsi), range: SlidingExtremes::new(period), smoothed: Smoothed::new(k, d) }
    }

    /// Adds a close.
    pub fn update(&mut self, close: f64) -> Option<StochasticValue> {
        let rsi = self.rsi.update(close)?;
        let range = self.range.push(rsi, rsi)?;
        self.smoothed.update(100.0 * range.place(rsi, FLAT_RSI))
    }
}

/// `−100 · (highest high − close) / (highest high − lowest low)` of `n` candles, −100 to 0 (L. Williams, *How I Made One
/// Million Dollars Last Year Trading Commodities*, 1973). Without any range −50. Warm-up: `None` until `n` candles were seen.
#[derive(Debug, Clone)]
pub struct WilliamsR(SlidingExtremes);

impl WilliamsR {
    /// The range of `period` candles, at least 1.
    #[must_use]
    pub fn new(period: usize) -> Self {
        Self(SlidingExtremes::new(period))
    }

    /// Adds a candle.
    pub fn update(&mut self, bar: &Bar) -> Option<f64> {
        let range: Extremes = self.0.update(bar)?;
        Some(100.0 * range.place(bar.close.to_f64(), 0.0) - 100.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Bar;

    fn bars(rows: &[(i64, i64, i64)]) -> Vec<Bar> {
        rows.iter().map(|(high, low, close)| Bar::test(*high, *low, *close, 1)).collect()
    }

    #[test]
    fn slow_stochastic_and_williams_by_hand() {
        let bars = bars(&[(10, 0, 5), (20, 10, 15), (20, 4, 12), (12, 8, 8), (8, 8, 8), (8, 8, 8)]);
        let mut stochastic = Stochastic::new(2, 2, 2);
        let got: Vec<_> = bars.iter().map(|bar| stochastic.update(bar)).collect();
        // Places: 15/20 = 75, (12-4)/16 = 50, (8-4)/16 = 25, 0, flat 50. Two each: 62.5, 37.5, 12.5, 25.
        let of = |k, d| Some(StochasticValue { k, d });
        assert_eq!(got[..2], [None, None]);
        assert_eq!(got[2..], [of(62.5, None), of(37.5, Some(50.0)), of(12.5, Some(25.0)), of(25.0, Some(18.75))]);
        let mut williams = WilliamsR::new(2);
        let got: Vec<_> = bars.iter().map(|bar| williams.update(bar)).collect();
        assert_eq!(got, [None, Some(-25.0), Some(-50.0), Some(-75.0), Some(-100.0), Some(-50.0)]);
    }

    #[test]
    fn the_stochastic_of_an_rsi_that_stands_still_is_in_the_middle() {
        for step in [0.0, 0.1] {
            let mut stochastic = StochRsi::new(3, 3, 1, 1);
            let last = (0..20).map(|at| stochastic.update(100.0 + step * f64::from(at))).last().unwrap();
            assert_eq!(last, Some(StochasticValue { k: 50.0, d: Some(50.0) }));
        }
        // RSI(1) is 100 after a rise, 0 after a fall.
        let mut stochastic = StochRsi::new(1, 2, 1, 2);
        let got: Vec<_> = [1.0, 2.0, 1.0, 2.0].into_iter().map(|close| stochastic.update(close)).collect();
        assert_eq!(got[..2], [None, None]);
        assert_eq!(got[2], Some(StochasticValue { k: 0.0, d: None }));
        assert_eq!(got[3], Some(StochasticValue { k: 100.0, d: Some(50.0) }));
    }
}
