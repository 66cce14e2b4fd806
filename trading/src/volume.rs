//! Indicators of price and volume: on-balance volume, accumulation/distribution, Chaikin and Quong/Soudack money flow.

use crate::Bar;
use crate::exact_sum::ExactSum;
use crate::sliding::Sliding;
use proto::Decimal;

/// The volume of candles that closed higher, less that of those that closed lower (J. Granville, *New Key to Stock Market
/// Profits*, 1963); exact. It starts at 0 at the first candle, so its level is arbitrary and only its course means something.
/// Warm-up: none.
#[derive(Debug, Clone, Default)]
pub struct Obv {
    previous: Option<Decimal>,
    sum: ExactSum,
}

impl Obv {
    /// A line that has seen nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a candle.
    pub fn update(&mut self, bar: &Bar) -> Option<f64> {
        if let Some(previous) = self.previous.replace(bar.close) {
            self.sum.add_times(bar.volume, bar.close.cmp(&previous) as i128);
        }
        Some(self.sum.to_f64())
    }
}

/// Where the close lies in its candle, −1 at the low to 1 at the high; 0 without a range.
fn location(bar: &Bar) -> f64 {
    let (high, low, close) = (bar.high.to_f64(), bar.low.to_f64(), bar.close.to_f64());
    let range = high - low;
    if range > 0.0 { ((close - low) - (high - close)) / range } else { 0.0 }
}

/// Sum of `volume · ((close − low) − (high − close)) / (high − low)` (M. Chaikin; StockCharts ChartSchool,
/// "Accumulation/Distribution Line"). It starts at 0 before the first candle, so its level is arbitrary. What rounding takes
/// from a step is kept for the next one (A. Neumaier, 1974), so a long sum does not drift. Warm-up: none.
#[derive(Debug, Clone, Default)]
pub struct AccumulationDistribution {
    sum: f64,
    rest: f64,
}

impl AccumulationDistribution {
    /// A line that has seen nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a candle.
    pub fn update(&mut self, bar: &Bar) -> Option<f64> {
        let flow = location(bar) * bar.volume.to_f64();
        let sum = self.sum + flow;
        self.rest += if self.sum.abs() >= flow.abs() { (self.sum - sum) + flow } else { (flow - sum) + self.sum };
        self.sum = sum;
        Some(self.sum + self.rest)
    }
}

/// Chaikin money flow: the flow of [`AccumulationDistribution`] over `n` candles by their volume, −1 to 1 (M. Chaikin;
/// StockCharts ChartSchool, "Chaikin Money Flow"). Without volume 0. Warm-up: `None` until `n` candles were seen.
#[derive(Debug, Clone)]
pub struct Cmf(Sliding<[f64; 2]>);

impl Cmf {
    /// The flow of `period` candles, at least 1.
    #[must_use]
    pub fn new(period: usize) -> Self {
        Self(Sliding::new(period))
    }

    /// Adds a candle.
    pub fn update(&mut self, bar: &Bar) -> Option<f64> {
        let volume = bar.volume.to_f64();
        let [flow, volume] = self.0.push([location(bar) * volume, volume])?;
        Some(if volume > 0.0 { (flow / volume).clamp(-1.0, 1.0) } else { 0.0 })
    }
}

/// Money flow index: `100 · rising / (rising + falling)`, the typical price (high + low + close) / 3 times the volume of those
/// of the last `n` candles whose typical price rose or fell (G. Quong, A. Soudack, "Volume-Weighted RSI: Money Flow",
/// *Technical Analysis of Stocks & Commodities*, March 1989). Without any flow 50. Warm-up: `None` until `n + 1` candles were
/// seen.
#[derive(Debug, Clone)]
pub struct Mfi {
    previous: Option<ExactSum>,
    flows: Sliding<[f64; 2]>,
}

impl Mfi {
    /// The flow of `period` candles, at least 1.
    #[must_use]
    pub fn new(period: usize) -> Self {
        Self { previous: None, flows: Sliding::new(period) }
    }

    /// Adds a candle.
    pub fn update(&mut self, bar: &Bar) -> Option<f64> {
        let mut typical = ExactSum::default();
        [bar.high, bar.low, bar.close].into_iter().for_each(|price| typical.add(price));
        let previous = self.previous.replace(typical)?;
        let flow = typical.to_f64() / 3.0 * bar.volume.to_f64();
        let flows = match typical.compare(previous) {
            std::cmp::Ordering::Greater => [flow, 0.0],
            std::cmp::Ordering::Less => [0.0, flow],
            std::cmp::Ordering::Equal => [0.0, 0.0],
        };
        let [rising, falling] = self.flows.push(flows)?;
        let all = rising + falling;
        Some(if all > 0.0 { 100.0 * (rising / all) } else { 50.0 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn five_candles_by_hand() {
        let rows = [(6, 2, 4, 1), (8, 4, 7, 10), (8, 4, 4, 20), (8, 4, 4, 5), (4, 4, 4, 7)];
        let bars = rows.map(|(high, low, close, volume)| Bar::test(high, low, close, volume));
        let (mut obv, mut ad, mut cmf, mut mfi) =
            (Obv::new(), AccumulationDistribution::new(), Cmf::new(2), Mfi::new(2));
        assert_eq!(bars.map(|bar| obv.update(&bar)), [0.0, 10.0, -10.0, -10.0, -10.0].map(Some));
        // Flows: 0, 10/2, -20, -5, 0.
        assert_eq!(bars.map(|bar| ad.update(&bar)), [0.0, 5.0, -15.0, -20.0, -20.0].map(Some));
        let got = bars.map(|bar| cmf.update(&bar));
        assert_eq!(got, [None, Some(5.0 / 11.0), Some(-0.5), Some(-1.0), Some(-5.0 / 12.0)]);
        // Typical 4, 19/3, 16/3, 16/3, 4: flows +190/3, -320/3, none, -28.
        let got = bars.map(|bar| mfi.update(&bar));
        assert_eq!(got[..2], [None, None]);
        assert!((got[2].unwrap() - 100.0 * 190.0 / 510.0).abs() < 1e-9, "{got:?}");
        assert_eq!(got[3..], [Some(0.0), Some(0.0)]);
    }

    #[test]
    fn a_million_candles_do_not_drift() {
        let mut ad = AccumulationDistribution::new();
        // A tenth cannot be written as a float, and neither can the place of 4 between 1 and 6.
        let bar = Bar { volume: "0.1".parse().unwrap(), ..Bar::test(6, 1, 4, 0) };
        let huge = Bar::test(6, 1, 6, 1_000_000_000);
        ad.update(&huge);
        let last = (0..1_000_000).map(|_| ad.update(&bar)).last().unwrap().unwrap();
        assert!((last - 1_000_020_000.0).abs() < 1e-6, "{last}");
    }
}
