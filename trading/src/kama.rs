//! Kaufman's adaptive moving average.

use crate::exact_sum::ExactSum;
use proto::Decimal;
use std::collections::VecDeque;

const FAST: f64 = 2.0 / 3.0;
const SLOW: f64 = 2.0 / 31.0;

/// `kama += sc² · (close − kama)` with `sc = er · (2/3 − 2/31) + 2/31`, where the efficiency ratio `er` is the change over `n`
/// closes, without its sign, over the sum of the single changes (P. Kaufman, *Smarter Trading*, 1995). A market that did not
/// move at all has the ratio 1. Seeded with the close before the first value. Warm-up: `None` until `n + 1` closes were seen.
#[derive(Debug, Clone)]
pub struct Kama {
    period: usize,
    closes: VecDeque<Decimal>,
    path: ExactSum,
    state: Option<f64>,
}

/// |a − b| as a sum, which cannot overflow.
fn distance(a: Decimal, b: Decimal) -> ExactSum {
    let mut sum = ExactSum::default();
    sum.add(a.max(b));
    sum.subtract(a.min(b));
    sum
}

impl Kama {
    /// An average whose ratio looks back over `period` changes, at least 1.
    #[must_use]
    pub fn new(period: usize) -> Self {
        let period = period.max(1);
        Self { period, closes: VecDeque::with_capacity(period + 1), path: ExactSum::default(), state: None }
    }

    /// Adds a close and returns the average.
    pub fn update(&mut self, close: Decimal) -> Option<f64> {
        let before = self.closes.back().copied();
        if let Some(before) = before {
            self.path = self.path.plus(distance(close, before));
        }
        if self.closes.len() == self.period + 1
            && let Some(oldest) = self.closes.pop_front()
        {
            self.path = self.path.plus(distance(oldest, self.closes[0]).times(-1));
        }
        self.closes.push_back(close);
        if self.closes.len() <= self.period {
            return None;
        }
        let ratio =
            if self.path.is_zero() { 1.0 } else { distance(close, self.closes[0]).to_f64() / self.path.to_f64() };
        let constant = ratio * (FAST - SLOW) + SLOW;
        let state = self.state.unwrap_or_else(|| before.map_or(0.0, Decimal::to_f64));
        let next = state + constant * constant * (close.to_f64() - state);
        self.state = Some(next);
        self.state
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_changes_by_hand() {
        let mut kama = Kama::new(2);
        let got: Vec<_> = [10, 12, 11, 11, 11].into_iter().map(|close| kama.update(Decimal::from_int(close))).collect();
        let step = |from: f64, ratio: f64| from + (ratio * (FAST - SLOW) + SLOW).powi(2) * (11.0 - from);
        let first = step(12.0, 1.0 / 3.0);
        let second = step(first, 1.0);
        let third = step(second, 1.0);
        assert_eq!(got[..2], [None, None]);
        for (got, expected) in got[2..].iter().zip([first, second, third]) {
            assert!((got.unwrap() - expected).abs() < 1e-12, "{got:?} {expected}");
        }
    }
}
