//! Wilder's parabolic stop and reverse.

use crate::Bar;

/// The side of the stop.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Side {
    /// Below the market.
    Long,
    /// Above it.
    Short,
}

#[derive(Debug, Clone, Copy)]
struct Trend {
    side: Side,
    stop: f64,
    extreme: f64,
    factor: f64,
}

/// `stop += af · (extreme − stop)`: the factor starts at `step`, grows by `step` with each new extreme of the trend and ends at
/// `most`; the stop of the next candle is never inside the range of this one and the one before; when the market reaches it,
/// the trend turns and the stop is the old extreme, or beyond it (J. Welles Wilder, *New Concepts in Technical Trading
/// Systems*, 1978, sec. II). Wilder does not say how to begin: the second candle's low below the first's by more than its high
/// is above begins short, else long, with the first candle's extreme as stop. Warm-up: `None` until two candles were seen. Two
/// starts agree for good from the first turn that they share.
#[derive(Debug, Clone)]
pub struct ParabolicSar {
    step: f64,
    most: f64,
    before: Option<[f64; 2]>,
    trend: Option<Trend>,
}

impl ParabolicSar {
    /// Step and maximum of the factor, usually 0.02 and 0.2.
    #[must_use]
    pub fn new(step: f64, most: f64) -> Self {
        Self { step: step.min(most), most, before: None, trend: None }
    }

    /// Adds a candle and returns its stop.
    pub fn update(&mut self, bar: &Bar) -> Option<f64> {
        let now = [bar.high.to_f64(), bar.low.to_f64()];
        let before = self.before.replace(now)?;
        // The first time, Wilder's bound of two candles has only one.
        let (trend, bound) = match self.trend {
            Some(trend) => (trend, before),
            None => (self.begin(before, now), now),
        };
        let (stop, next) = self.advance(trend, bound, now);
        self.trend = Some(next);
        Some(stop)
    }

    fn begin(&self, [last_high, last_low]: [f64; 2], [high, low]: [f64; 2]) -> Trend {
        let (up, down) = (high - last_high, last_low - low);
        let factor = self.step;
        if down > 0.0 && down > up {
            Trend { side: Side::Short, stop: last_high, extreme: low, factor }
        } else {
            Trend { side: Side::Long, stop: last_low, extreme: high, factor }
        }
    }

    /// The stop at this candle and the trend for the next.
    fn advance(&self, trend: Trend, [last_high, last_low]: [f64; 2], [high, low]: [f64; 2]) -> (f64, Trend) {
        let above = |stop: f64| stop.max(last_high).max(high);
        let below = |stop: f64| stop.min(last_low).min(low);
        match trend.side {
            Side::Long if low <= trend.stop => {
                let stop = above(trend.extreme);
                let next = above(stop + self.step * (low - stop));
                (stop, Trend { side: Side::Short, stop: next, extreme: low, factor: self.step })
            }
            Side::Short if high >= trend.stop => {
                let stop = below(trend.extreme);
                let next = below(stop + self.step * (high - stop));
                (stop, Trend { side: Side::Long, stop: next, extreme: high, factor: self.step })
            }
            Side::Long => {
                let (extreme, factor) = self.follow(trend, high, high > trend.extreme);
                let stop = below(trend.stop + factor * (extreme - trend.stop));
                (trend.stop, Trend { stop, extreme, factor, ..trend })
            }
            Side::Short => {
                let (extreme, factor) = self.follow(trend, low, low < trend.extreme);
                let stop = above(trend.stop + factor * (extreme - trend.stop));
                (trend.stop, Trend { stop, extreme, factor, ..trend })
            }
        }
    }

    fn follow(&self, trend: Trend, price: f64, further: bool) -> (f64, f64) {
        if further { (price, (trend.factor + self.step).min(self.most)) } else { (trend.extreme, trend.factor) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rise_and_its_end_by_hand() {
        let mut sar = ParabolicSar::new(0.02, 0.2);
        let rows = [(10, 8), (12, 9), (14, 11), (13, 7), (9, 6)];
        let got: Vec<_> = rows.into_iter().map(|(high, low)| sar.update(&Bar::test(high, low, low, 1))).collect();
        // Long from 8, extreme 12, then 8 + 0.02·4 = 8.08; new extreme 14: 8.08 + 0.04·5.92 = 8.3168. 7 is below: turned, the
        // stop is 14; the next 14 + 0.02·(7 - 14) = 13.86, but not below 14, the high two candles before.
        assert_eq!(got[0], None);
        for (got, expected) in got[1..].iter().zip([8.0, 8.08, 14.0, 14.0]) {
            assert!((got.unwrap() - expected).abs() < 1e-12, "{got:?} {expected}");
        }
    }
}
