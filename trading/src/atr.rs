//! Average true range.

use crate::Bar;
use crate::wilder::WilderAverage;

/// Wilder's average of the true range: the greatest of high - low, |high - previous close| and |low - previous close|
/// (J. Welles Wilder, *New Concepts in Technical Trading Systems*, 1978, sec. III). The first candle has no previous close;
/// its true range is high - low. Warm-up: `None` until `n` candles were seen.
#[derive(Debug, Clone)]
pub struct Atr {
    range: TrueRange,
    average: WilderAverage,
}

impl Atr {
    /// An average of `period` ranges, at least 1.
    #[must_use]
    pub fn new(period: usize) -> Self {
        Self { range: TrueRange::default(), average: WilderAverage::new(period) }
    }

    /// Adds a bar.
    pub fn update(&mut self, bar: &Bar) -> Option<f64> {
        self.add(bar.high.to_f64(), bar.low.to_f64(), bar.close.to_f64())
    }

    fn add(&mut self, high: f64, low: f64, close: f64) -> Option<f64> {
        let range = self.range.next(high, low, close);
        self.average.update(range)
    }
}

/// How far the price went since the close before.
#[derive(Debug, Clone, Default)]
pub(crate) struct TrueRange {
    previous_close: Option<f64>,
}

impl TrueRange {
    pub(crate) fn next(&mut self, high: f64, low: f64, close: f64) -> f64 {
        match self.previous_close.replace(close) {
            Some(previous) => (high - low).max((high - previous).abs()).max((low - previous).abs()),
            None => high - low,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_candles_and_both_kinds_of_gap_by_hand() {
        let mut atr = Atr::new(3);
        // True ranges: 2; 15-10=5 (gap up: high - previous close); 14-8=6 (gap down: previous close - low); 1.
        let got: Vec<_> = [(11.0, 9.0, 10.0), (15.0, 13.0, 14.0), (9.0, 8.0, 8.5), (9.0, 8.0, 8.5)]
            .into_iter()
            .map(|(high, low, close)| atr.add(high, low, close))
            .collect();
        let last = got[3].unwrap();
        assert_eq!(got[..3], [None, None, Some(13.0 / 3.0)]);
        assert!((last - (13.0 / 3.0 * 2.0 + 1.0) / 3.0).abs() < 1e-12, "{last}");
    }
}
