//! What an indicator looks at.

use crate::backtest;
use proto::Decimal;
use proto::market::Candle;

/// The part of a candle that indicators use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bar {
    /// Start, ns since the epoch.
    pub open_time_ns: u64,
    /// Highest price.
    pub high: Decimal,
    /// Lowest price.
    pub low: Decimal,
    /// Last price.
    pub close: Decimal,
    /// Sum of sizes, base asset.
    pub volume: Decimal,
    /// Sum of price times size, quote asset; 0 if it is not known.
    pub quote_volume: Decimal,
}

impl From<&Candle> for Bar {
    fn from(candle: &Candle) -> Self {
        let Candle { open_time_ns, high, low, close, volume, quote_volume, .. } = *candle;
        Self { open_time_ns, high, low, close, volume, quote_volume }
    }
}

impl From<&backtest::Candle> for Bar {
    fn from(candle: &backtest::Candle) -> Self {
        let backtest::Candle { open_time_ns, high, low, close, volume, .. } = *candle;
        Self { open_time_ns, high, low, close, volume, quote_volume: Decimal::ZERO }
    }
}

#[cfg(test)]
impl Bar {
    /// Whole numbers, at time 0.
    pub(crate) fn test(high: i64, low: i64, close: i64, volume: i64) -> Self {
        let [high, low, close, volume] = [high, low, close, volume].map(Decimal::from_int);
        Self { open_time_ns: 0, high, low, close, volume, quote_volume: Decimal::ZERO }
    }
}
