//! The usual first strategy, also the yardstick of the bench.

use super::{Candle, Desk, Order, Strategy};
use crate::Sma;
use proto::Decimal;

/// Long while the fast simple moving average of the closes is above the slow one, else short or flat.
///
/// A tie, the two being equal, changes nothing: the position of the candle before stays. Other engines treat a tie as below,
/// or compare with the candle before; on a million candles there are some, and they are where results differ by a candle.
#[derive(Debug, Clone)]
pub struct SmaCross {
    fast: Sma,
    slow: Sma,
    above: Decimal,
    below: Decimal,
    last: Option<Decimal>,
}

impl SmaCross {
    /// Periods in candles; exposures, as fractions of the equity, while the fast average is above and below the slow one.
    #[must_use]
    pub fn new(fast: usize, slow: usize, above: Decimal, below: Decimal) -> Self {
        Self { fast: Sma::new(fast), slow: Sma::new(slow), above, below, last: None }
    }

    /// The exposure after a close; `None` while warming up and at a tie.
    pub fn target(&mut self, close: Decimal) -> Option<Decimal> {
        let (fast, slow) = (self.fast.update(close), self.slow.update(close));
        match fast?.partial_cmp(&slow?)? {
            std::cmp::Ordering::Greater => Some(self.above),
            std::cmp::Ordering::Less => Some(self.below),
            std::cmp::Ordering::Equal => None,
        }
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
