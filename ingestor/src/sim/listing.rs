//! What the simulated exchange lists, and how it treats its trades: configuration of the sim.

use super::market::{BASE_TICKS_MIN, Specification};
use super::random;
use proto::{Decimal, Symbol};
use serde::{Deserialize, Serialize};

/// The simulated market.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SimConfig {
    /// Equal seeds give equal markets, on any machine.
    pub seed: u64,
    /// Trades a second of the busiest symbols on average, 1 to 100.
    pub trades_per_second: u32,
    /// Of a million trades, how many are delivered 1 to 5 seconds late.
    pub late_per_million: u32,
    /// Of a million trades, how many are delivered twice.
    pub duplicate_per_million: u32,
    /// Of a million trades, how many are never delivered live, so that they must be fetched.
    pub lost_per_million: u32,
}

impl Default for SimConfig {
    fn default() -> Self {
        Self {
            seed: 1,
            trades_per_second: 10,
            late_per_million: 2_000,
            duplicate_per_million: 2_000,
            lost_per_million: 0,
        }
    }
}

/// Symbol, price step, size step, base price in ticks, common size in lots, volatility %, activity %.
type Row = (&'static str, &'static str, &'static str, i64, u32, u32, u32);

const LISTED: [Row; 12] = [
    ("BTC/USDT", "0.01", "0.00001", 6_000_000, 2_000, 100, 100),
    ("ETH/USDT", "0.01", "0.0001", 260_000, 3_000, 120, 90),
    ("SOL/USDT", "0.001", "0.001", 150_000, 5_000, 150, 70),
    ("XRP/USDT", "0.00001", "0.1", 55_000, 5_000, 130, 60),
    ("BNB/USDT", "0.01", "0.001", 55_000, 900, 100, 50),
    ("DOGE/USDT", "0.000001", "1", 100_000, 5_000, 160, 60),
    ("ADA/USDT", "0.00001", "0.1", 35_000, 9_000, 130, 40),
    ("LTC/USDT", "0.001", "0.001", 65_000, 9_000, 110, 30),
    ("LINK/USDT", "0.0001", "0.01", 110_000, 5_000, 140, 30),
    ("ETH/BTC", "0.000001", "0.0001", 43_000, 3_000, 70, 30),
    ("BTC/USD", "0.01", "0.00001", 6_005_000, 1_500, 100, 50),
    ("ETH/USD", "0.01", "0.0001", 260_200, 2_500, 120, 40),
];

/// The specifications of everything listed, and of each wanted symbol that is not.
pub(crate) fn specifications(config: &SimConfig, wanted: &[Symbol]) -> Vec<Specification> {
    let known = LISTED.iter().filter_map(|row| specification(config, row));
    let mut all: Vec<Specification> = known.collect();
    for symbol in wanted {
        if all.iter().all(|spec| spec.symbol != *symbol) {
            all.extend(invented(config, symbol));
        }
    }
    all
}

fn specification(config: &SimConfig, row: &Row) -> Option<Specification> {
    let (symbol, tick, lot, base_ticks, typical_lots, volatility_percent, activity) = *row;
    Some(Specification {
        symbol: symbol.parse().ok()?,
        tick_size: tick.parse().ok()?,
        lot_size: lot.parse().ok()?,
        base_ticks,
        typical_lots,
        volatility_percent,
        per_second_milli: config.trades_per_second.clamp(1, 100) * activity * 10,
    })
}

/// A symbol that the table does not know gets a price drawn from its name.
fn invented(config: &SimConfig, symbol: &Symbol) -> Option<Specification> {
    let dice = random::seed_of(config.seed, symbol.as_str());
    Some(Specification {
        symbol: symbol.clone(),
        tick_size: Decimal::new(1, 3).ok()?,
        lot_size: Decimal::new(1, 2).ok()?,
        base_ticks: BASE_TICKS_MIN + i64::try_from(dice % 480_000).ok()?,
        typical_lots: 1_000,
        volatility_percent: 130,
        per_second_milli: config.trades_per_second.clamp(1, 100) * 300,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_listed_row_is_a_specification_with_exact_turnover() {
        let specs = specifications(&SimConfig::default(), &["NEW/USDT".parse().unwrap()]);
        assert_eq!(specs.len(), LISTED.len() + 1);
        for spec in specs {
            assert!(spec.base_ticks >= BASE_TICKS_MIN && spec.typical_lots > 0, "{spec:?}");
            let unit = spec.tick_size.checked_mul(spec.lot_size).unwrap();
            assert!(unit.is_positive(), "{spec:?}");
        }
    }
}
