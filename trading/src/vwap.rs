//! Volume-weighted average price of the session.

use crate::Bar;
use proto::Interval;

/// Turnover divided by volume since the start of the UTC day (S. Berkowitz, D. Logue, E. Noser, "The Total Cost of
/// Transactions on the NYSE", 1988). Turnover is the candle's exact quote volume; where the venue does not send one it is
/// the typical price (high + low + close) / 3 times the volume. Warm-up: `None` until the session has volume. A series
/// that starts within a day shows the average since its start, so begin it at midnight.
#[derive(Debug, Clone, Default)]
pub struct Vwap {
    session: u64,
    turnover: f64,
    volume: f64,
}

impl Vwap {
    /// An average that has seen nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a candle and returns the average of its day so far.
    pub fn update(&mut self, bar: &Bar) -> Option<f64> {
        let session = Interval::D1.open_time(bar.open_time_ns);
        if session != self.session {
            *self = Self { session, turnover: 0.0, volume: 0.0 };
        }
        let volume = bar.volume.to_f64();
        self.turnover += if bar.quote_volume.is_positive() {
            bar.quote_volume.to_f64()
        } else {
            (bar.high.to_f64() + bar.low.to_f64() + bar.close.to_f64()) / 3.0 * volume
        };
        self.volume += volume;
        (self.volume > 0.0).then(|| self.turnover / self.volume)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proto::Decimal;

    const DAY: u64 = Interval::D1.nanos();

    fn candle(open_time_ns: u64, (high, low, close): (i64, i64, i64), volume: i64, quote_volume: i64) -> Bar {
        let number = Decimal::from_int;
        Bar {
            open_time_ns,
            high: number(high),
            low: number(low),
            close: number(close),
            volume: number(volume),
            quote_volume: number(quote_volume),
        }
    }

    #[test]
    fn two_days_by_hand() {
        let mut vwap = Vwap::new();
        let minute = Interval::M1.nanos();
        assert_eq!(vwap.update(&candle(DAY, (12, 9, 9), 0, 0)), None, "no volume yet");
        assert_eq!(vwap.update(&candle(DAY + minute, (12, 9, 9), 3, 0)), Some(10.0), "typical price");
        assert_eq!(vwap.update(&candle(DAY + 2 * minute, (12, 9, 9), 1, 14)), Some(11.0), "exact turnover");
        assert_eq!(vwap.update(&candle(2 * DAY, (6, 3, 3), 5, 20)), Some(4.0), "a new day starts anew");
    }
}
