//! What happened at a fake venue: the trades of each symbol, in order, and the candles they make.

use proto::{Decimal, Symbol};
use std::collections::BTreeMap;

/// A trade in the table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableTrade {
    /// Counts up by one per symbol.
    pub id: u64,
    /// Milliseconds since the epoch.
    pub time_ms: u64,
    /// Price.
    pub price: Decimal,
    /// Size.
    pub size: Decimal,
    /// True if the taker bought.
    pub buy: bool,
}

/// A candle made of the trades in the table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableCandle {
    /// Milliseconds since the epoch.
    pub open_ms: u64,
    /// First price.
    pub open: Decimal,
    /// Highest price.
    pub high: Decimal,
    /// Lowest price.
    pub low: Decimal,
    /// Last price.
    pub close: Decimal,
    /// Sum of sizes.
    pub volume: Decimal,
    /// Sum of price times size.
    pub quote_volume: Decimal,
    /// Number of trades.
    pub trades: u64,
}

/// All trades of a fake venue.
#[derive(Debug, Clone, Default)]
pub struct Table {
    symbols: BTreeMap<Symbol, Vec<TableTrade>>,
}

/// Id of the first trade of each symbol.
const FIRST_ID: u64 = 1_000;

impl Table {
    /// A venue that lists these symbols; nothing has happened yet.
    #[must_use]
    pub fn new(symbols: &[Symbol]) -> Self {
        Self { symbols: symbols.iter().map(|symbol| (symbol.clone(), Vec::new())).collect() }
    }

    /// Adds a trade at a time that is not before the last one's; price and size follow from the id. Returns its id.
    ///
    /// # Panics
    /// If the symbol is not listed.
    pub fn add(&mut self, symbol: &Symbol, time_ms: u64) -> u64 {
        let trades = self.symbols.get_mut(symbol).expect("a listed symbol");
        let id = trades.last().map_or(FIRST_ID, |last| last.id + 1);
        let time_ms = trades.last().map_or(time_ms, |last| last.time_ms.max(time_ms));
        let wave = i128::from((id * 7_919) % 2_000) - 1_000;
        trades.push(TableTrade {
            id,
            time_ms,
            price: Decimal::new(6_000_000 + wave, 2).unwrap_or_default(),
            size: Decimal::new(i128::from(id % 97) + 1, 4).unwrap_or_default(),
            buy: !id.is_multiple_of(3),
        });
        id
    }

    /// The listed symbols.
    pub fn symbols(&self) -> impl Iterator<Item = &Symbol> {
        self.symbols.keys()
    }

    /// The trades of a symbol; empty if it is not listed.
    #[must_use]
    pub fn trades(&self, symbol: &Symbol) -> &[TableTrade] {
        self.symbols.get(symbol).map_or(&[], Vec::as_slice)
    }

    /// True if the symbol is listed.
    #[must_use]
    pub fn lists(&self, symbol: &Symbol) -> bool {
        self.symbols.contains_key(symbol)
    }

    /// Candles that open in `[from_ms, to_ms)`, ascending.
    #[must_use]
    pub fn candles(&self, symbol: &Symbol, seconds: u64, from_ms: u64, to_ms: u64) -> Vec<TableCandle> {
        let mut out: Vec<TableCandle> = Vec::new();
        for trade in self.trades(symbol) {
            let open_ms = trade.time_ms - trade.time_ms % (seconds * 1000);
            if open_ms < from_ms || open_ms >= to_ms {
                continue;
            }
            let quote = trade.price.checked_mul(trade.size).unwrap_or_default();
            match out.last_mut() {
                Some(candle) if candle.open_ms == open_ms => {
                    candle.high = candle.high.max(trade.price);
                    candle.low = candle.low.min(trade.price);
                    candle.close = trade.price;
                    candle.volume = candle.volume.checked_add(trade.size).unwrap_or_default();
                    candle.quote_volume = candle.quote_volume.checked_add(quote).unwrap_or_default();
                    candle.trades += 1;
                }
                _ => out.push(TableCandle {
                    open_ms,
                    open: trade.price,
                    high: trade.price,
                    low: trade.price,
                    close: trade.price,
                    volume: trade.size,
                    quote_volume: quote,
                    trades: 1,
                }),
            }
        }
        out
    }
}
