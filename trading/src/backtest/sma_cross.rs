//! The usual first strategy, also the yardstick of the bench.

use super::vector::{Change, Series};
use super::{Candle, Desk, Order, Strategy};
use crate::exact_sum::ExactSum;
use proto::Decimal;
use std::cmp::Ordering;
use std::collections::VecDeque;

/// Long while the fast simple moving average of the closes is above the slow one, else short or flat.
///
/// The two averages are compared exactly, as sums of decimals multiplied by the other's period; no rounding can make or hide a
/// tie. A tie, the two being equal, changes nothing: the position of the candle before stays. Other engines treat a tie as
/// below, or compare with the candle before, or miss it because their floats differ in the last digit; on a million candles
/// there are some, and they are where results differ by a candle (`make bench-backtest` counts them).
#[derive(Debug, Clone)]
pub struct SmaCross {
    fast: usize,
    slow: usize,
    above: Decimal,
    below: Decimal,
    last: Option<Decimal>,
    closes: VecDeque<Decimal>,
    fast_sum: ExactSum,
    slow_sum: ExactSum,
}

/// A period as a factor.
const fn factor(period: usize) -> i128 {
    period as i128
}

impl SmaCross {
    /// Periods in candles, at least 1; exposures, as fractions of the equity, while the fast average is above and below the
    /// slow one.
    #[must_use]
    pub fn new(fast: usize, slow: usize, above: Decimal, below: Decimal) -> Self {
        let (fast, slow) = (fast.max(1), slow.max(1));
        let closes = VecDeque::with_capacity(fast.max(slow) + 1);
        let (fast_sum, slow_sum) = (ExactSum::default(), ExactSum::default());
        Self { fast, slow, above, below, last: None, closes, fast_sum, slow_sum }
    }

    /// How the fast average stands to the slow one after a close; `None` while warming up.
    pub fn compare(&mut self, close: Decimal) -> Option<Ordering> {
        self.closes.push_back(close);
        let count = self.closes.len();
        for (period, sum) in [(self.fast, &mut self.fast_sum), (self.slow, &mut self.slow_sum)] {
            sum.add(close);
            if count > period {
                sum.subtract(self.closes[count - 1 - period]);
            }
        }
        let longest = self.fast.max(self.slow);
        if count > longest {
            self.closes.pop_front();
        }
        let compare = || self.fast_sum.times(factor(self.slow)).compare(self.slow_sum.times(factor(self.fast)));
        (count >= longest).then(compare)
    }

    /// The exposure after a close; `None` while warming up and at a tie.
    pub fn target(&mut self, close: Decimal) -> Option<Decimal> {
        match self.compare(close)? {
            Ordering::Greater => Some(self.above),
            Ordering::Less => Some(self.below),
            Ordering::Equal => None,
        }
    }

    /// All orders that it gives on a series, for [`Backtest::changes`](super::Backtest::changes): the same as candle by candle,
    /// in a fraction of the time, because every window's sum is the difference of two running totals.
    #[must_use]
    pub fn changes(self, series: &Series<'_>) -> Vec<Change> {
        let (mut changes, mut this, mut last) = (Vec::new(), self, None);
        let mut note = |at: usize, exposure: Decimal| {
            if last != Some(exposure) {
                last = Some(exposure);
                changes.push(Change { at, exposure });
            }
        };
        let Some(totals) = series.totals(this.fast, this.slow) else {
            for (at, candle) in series.candles().iter().enumerate() {
                if let Some(exposure) = this.target(candle.close) {
                    note(at, exposure);
                }
            }
            return changes;
        };
        let (fast, slow) = (this.fast, this.slow);
        let longest = fast.max(slow);
        let ends = totals.get(longest..).unwrap_or_default();
        let fasts = totals.get(longest - fast..).unwrap_or_default();
        let slows = totals.get(longest - slow..).unwrap_or_default();
        #[allow(clippy::cast_possible_wrap, reason = "periods that totals() has found small enough")]
        let (fast, slow) = (fast as i64, slow as i64);
        let mut before = Ordering::Equal;
        for (at, ((end, of_fast), of_slow)) in ends.iter().zip(fasts).zip(slows).enumerate() {
            // Totals may have wrapped round; their differences have not.
            let sign = (end.wrapping_sub(*of_fast) * slow).cmp(&(end.wrapping_sub(*of_slow) * fast));
            if sign != before && sign != Ordering::Equal {
                before = sign;
                note(at + longest - 1, if sign == Ordering::Greater { this.above } else { this.below });
            }
        }
        changes
    }
}

impl Strategy for SmaCross {
    fn on_candle(&mut self, candle: &Candle, desk: &mut Desk<'_>) {
        let target = self.target(candle.close);
        if let Some(exposure) = target.filter(|_| target != self.last) {
            self.last = target;
            desk.cancel_all();
            // Refused only if the terms do not allow the exposure, at every candle then.
            let _refused = desk.submit(Order::Target { exposure });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn compare(fast: usize, slow: usize, closes: &[&str]) -> Vec<Option<Ordering>> {
        let mut cross = SmaCross::new(fast, slow, Decimal::ONE, Decimal::ZERO);
        closes.iter().map(|close| cross.compare(close.parse().unwrap())).collect()
    }

    #[test]
    fn a_tie_is_a_tie_where_floats_see_a_difference() {
        // 0.1 + 0.2 + 0.3 over 3 is 0.2, in floats 0.20000000000000004.
        let closes = ["0.3", "0.1", "0.2"];
        assert_eq!(compare(1, 3, &closes), [None, None, Some(Ordering::Equal)]);
        // Averages that differ by less than a float can hold are no tie.
        let closes = ["60000", "60000.000000000000000003", "60000.000000000000000001"];
        assert_eq!(compare(1, 3, &closes), [None, None, Some(Ordering::Less)]);
    }

    #[test]
    fn a_tie_keeps_the_position_of_the_candle_before() {
        let mut cross = SmaCross::new(1, 2, Decimal::ONE, Decimal::ZERO);
        let targets = [5, 6, 6, 4, 4, 4, 5].map(|close| cross.target(Decimal::from_int(close)));
        let (long, flat) = (Some(Decimal::ONE), Some(Decimal::ZERO));
        assert_eq!(targets, [None, long, None, flat, None, None, long]);
    }
}
