//! Bands around the price: Donchian and Keltner.

use crate::extremes::SlidingExtremes;
use crate::{Atr, Bands, Bar, Ema};

/// Highest high, lowest low and their middle, of the last `n` candles, the newest included (R. Donchian's four-week rule, 1960;
/// StockCharts ChartSchool, "Price Channels", leaves the newest out). Warm-up: `None` until `n` candles were seen.
#[derive(Debug, Clone)]
pub struct Donchian(SlidingExtremes);

impl Donchian {
    /// A channel of `period` candles, at least 1.
    #[must_use]
    pub fn new(period: usize) -> Self {
        Self(SlidingExtremes::new(period))
    }

    /// Adds a candle.
    pub fn update(&mut self, bar: &Bar) -> Option<Bands> {
        let range = self.0.update(bar)?;
        Some(Bands { middle: f64::midpoint(range.high, range.low), upper: range.high, lower: range.low })
    }
}

/// EMA of the close, plus and minus a multiple of the average true range (C. Keltner, 1960, in the form of L. Raschke;
/// StockCharts ChartSchool, "Keltner Channels"). Warm-up: `None` until `max(ema, atr)` candles were seen.
#[derive(Debug, Clone)]
pub struct Keltner {
    middle: Ema,
    range: Atr,
    multiplier: f64,
}

impl Keltner {
    /// Periods of the EMA and the ATR and the number of ranges, usually 20, 10 and 2.
    #[must_use]
    pub fn new(ema: usize, atr: usize, multiplier: f64) -> Self {
        Self { middle: Ema::new(ema), range: Atr::new(atr), multiplier }
    }

    /// Adds a candle.
    pub fn update(&mut self, bar: &Bar) -> Option<Bands> {
        let (middle, range) = (self.middle.update(bar.close.to_f64()), self.range.update(bar));
        let (middle, width) = (middle?, self.multiplier * range?);
        Some(Bands { middle, upper: middle + width, lower: middle - width })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_channels_by_hand() {
        let bars = [(5, 1, 3), (9, 2, 7), (6, 4, 5)].map(|(high, low, close)| Bar::test(high, low, close, 1));
        let mut donchian = Donchian::new(2);
        let got = bars.map(|bar| donchian.update(&bar).map(|b| (b.upper, b.middle, b.lower)));
        assert_eq!(got, [None, Some((9.0, 5.0, 1.0)), Some((9.0, 5.5, 2.0))]);
        // EMA(2) of 3, 7, 5: 5, 5. ATR(2) of 4, 7, 3: 5.5, 4.25.
        let mut keltner = Keltner::new(2, 2, 2.0);
        let got = bars.map(|bar| keltner.update(&bar).map(|b| (b.upper, b.middle, b.lower)));
        assert_eq!(got, [None, Some((16.0, 5.0, -6.0)), Some((13.5, 5.0, -3.5))]);
    }
}
