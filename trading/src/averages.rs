//! Moving averages that are made of others: weighted, double and triple exponential, Hull.

use crate::Ema;
use crate::sliding::{Sliding, Total};
use crate::weighted::WeightedWindow;
use proto::Decimal;

/// Weights 1 for the oldest of `n` values to `n` for the newest (J. J. Murphy, *Technical Analysis of the Financial
/// Markets*, 1999, ch. 9), computed from exact sums. Warm-up: `None` until `n` values were seen.
#[derive(Debug, Clone)]
pub struct Wma(WeightedWindow);

impl Wma {
    /// An average of `period` values, at least 1.
    #[must_use]
    pub fn new(period: usize) -> Self {
        Self(WeightedWindow::new(period))
    }

    /// Adds a value and returns the average.
    pub fn update(&mut self, value: Decimal) -> Option<f64> {
        self.0.push(value).then(|| self.0.mean())
    }
}

/// `2·EMA − EMA(EMA)` (P. Mulloy, "Smoothing Data with Faster Moving Averages", *Technical Analysis of Stocks &
/// Commodities*, January 1994). Each EMA is seeded with the simple average of its first `n` inputs. Warm-up: `None` until
/// `2n − 1` values were seen.
#[derive(Debug, Clone)]
pub struct Dema([Ema; 2]);

impl Dema {
    /// An average with the weight `2/(period+1)` in both stages.
    #[must_use]
    pub fn new(period: usize) -> Self {
        Self([Ema::new(period), Ema::new(period)])
    }

    /// Adds a value and returns the average.
    pub fn update(&mut self, value: f64) -> Option<f64> {
        let once = self.0[0].update(value)?;
        let twice = self.0[1].update(once)?;
        Some(2.0 * once - twice)
    }
}

/// `3·EMA − 3·EMA(EMA) + EMA(EMA(EMA))` (P. Mulloy, "Smoothing Data with Less Lag", *Technical Analysis of Stocks &
/// Commodities*, February 1994). Seeded as [`Dema`]. Warm-up: `None` until `3n − 2` values were seen.
#[derive(Debug, Clone)]
pub struct Tema([Ema; 3]);

impl Tema {
    /// An average with the weight `2/(period+1)` in all three stages.
    #[must_use]
    pub fn new(period: usize) -> Self {
        Self([Ema::new(period), Ema::new(period), Ema::new(period)])
    }

    /// Adds a value and returns the average.
    pub fn update(&mut self, value: f64) -> Option<f64> {
        let once = self.0[0].update(value)?;
        let twice = self.0[1].update(once)?;
        let thrice = self.0[2].update(twice)?;
        Some(3.0 * once - 3.0 * twice + thrice)
    }
}

/// Count, sum and sum weighted 1 for the oldest upwards.
#[derive(Debug, Clone, Copy)]
struct Ranked([f64; 3]);

impl Total for Ranked {
    fn merge(self, newer: Self) -> Self {
        let ([count, sum, weighted], [more, newer_sum, newer_weighted]) = (self.0, newer.0);
        Self([count + more, sum + newer_sum, weighted + newer_weighted + count * newer_sum])
    }
}

/// `WMA(√n)` of `2·WMA(n/2) − WMA(n)`, both periods cut to whole numbers, at least 1 (A. Hull, "How to reduce lag in a moving
/// average", 2005). Warm-up: `None` until `n + √n − 1` values were seen.
#[derive(Debug, Clone)]
pub struct Hma {
    half: Wma,
    full: Wma,
    last: Sliding<Ranked>,
}

impl Hma {
    /// An average over `period` values, at least 1.
    #[must_use]
    pub fn new(period: usize) -> Self {
        let root = period.isqrt();
        Self { half: Wma::new(period / 2), full: Wma::new(period), last: Sliding::new(root) }
    }

    /// Adds a value and returns the average.
    pub fn update(&mut self, value: Decimal) -> Option<f64> {
        let (half, full) = (self.half.update(value), self.full.update(value));
        let raw = 2.0 * half? - full?;
        let Ranked([count, _, weighted]) = self.last.push(Ranked([1.0, raw, raw]))?;
        Some(weighted / (count * (count + 1.0) / 2.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole(values: &[i64]) -> impl Iterator<Item = Decimal> {
        values.iter().map(|value| Decimal::from_int(*value))
    }

    #[test]
    fn weighted_and_hull_by_hand() {
        let mut wma = Wma::new(3);
        let got: Vec<_> = whole(&[1, 2, 6, 0]).map(|value| wma.update(value)).collect();
        // (1 + 2·2 + 3·6) / 6 = 23/6; (2 + 2·6 + 0) / 6 = 14/6.
        assert_eq!(got, [None, None, Some(23.0 / 6.0), Some(14.0 / 6.0)]);
        let mut hma = Hma::new(4);
        let got: Vec<_> = whole(&[10, 20, 30, 40, 10]).map(|value| hma.update(value)).collect();
        // WMA(2): 110/3, 20; WMA(4): 30, (20+60+120+40)/10 = 24; raw: 130/3, 16; WMA(2) of them: (130/3 + 32)/3.
        assert_eq!(got[..4], [None; 4]);
        assert!((got[4].unwrap() - (130.0 / 3.0 + 32.0) / 3.0).abs() < 1e-12, "{got:?}");
    }

    #[test]
    fn double_and_triple_averages_follow_a_straight_line_without_lag() {
        let (mut dema, mut tema) = (Dema::new(4), Tema::new(4));
        let rows: Vec<_> = (0..40).map(f64::from).map(|x| (x, dema.update(x), tema.update(x))).collect();
        assert!(rows[5].1.is_none() && rows[6].1.is_some() && rows[8].2.is_none() && rows[9].2.is_some());
        for (x, double, triple) in &rows[10..] {
            assert!(
                (double.unwrap() - x).abs() < 1e-9 && (triple.unwrap() - x).abs() < 1e-9,
                "{x} {double:?} {triple:?}"
            );
        }
    }
}
