//! A straightforward aggregator for comparison: a set of ids and an ordered map of candles, each tick added to all seven.

use proto::{Decimal, Interval};
use std::collections::{BTreeMap, HashSet};
use stream::trade::{Trade, TradeId};

#[derive(Debug)]
struct Candle {
    first: (u64, u64),
    last: (u64, u64),
    open: Decimal,
    high: Decimal,
    low: Decimal,
    close: Decimal,
    volume: Decimal,
    quote_volume: Decimal,
    trades: u64,
}

/// All ids and all candles, for ever.
#[derive(Debug, Default)]
pub(crate) struct Naive {
    seen: HashSet<(usize, TradeId)>,
    candles: BTreeMap<(usize, Interval, u64), Candle>,
}

impl Naive {
    pub(crate) fn windows(&self) -> usize {
        self.candles.len()
    }

    pub(crate) fn trade(&mut self, key: usize, trade: &Trade) {
        if !self.seen.insert((key, trade.id)) {
            return;
        }
        let decimal = |units| Decimal::from_units(units).unwrap_or_default();
        let (price, size) = (decimal(trade.price), decimal(trade.size));
        let value = price.checked_mul(size).unwrap_or_default();
        let place = (trade.event_time_ns, trade.id.rank());
        for interval in Interval::ALL {
            let candle =
                self.candles.entry((key, interval, interval.open_time(trade.event_time_ns))).or_insert(Candle {
                    first: place,
                    last: place,
                    open: price,
                    high: price,
                    low: price,
                    close: price,
                    volume: Decimal::ZERO,
                    quote_volume: Decimal::ZERO,
                    trades: 0,
                });
            if place < candle.first {
                (candle.first, candle.open) = (place, price);
            }
            if place > candle.last {
                (candle.last, candle.close) = (place, price);
            }
            candle.high = candle.high.max(price);
            candle.low = candle.low.min(price);
            candle.volume = candle.volume.checked_add(size).unwrap_or_default();
            candle.quote_volume = candle.quote_volume.checked_add(value).unwrap_or_default();
            candle.trades += 1;
        }
    }
}
