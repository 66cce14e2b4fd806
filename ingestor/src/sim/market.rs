//! One simulated instrument: its trades, quotes and candles as a pure function of seed and time.
//!
//! Everything comes from three layers: [`Level`] gives the price at the start of each minute, [`Calendar`] how many
//! trades a minute has and their ids, [`Shapes`] what happens inside the minute. Live trades, trades from history,
//! candles from history and candles added up from trades are therefore the same to the last digit, and none needs state.

use super::calendar::Calendar;
use super::level::Level;
use super::random;
use super::shape::{ShapeKey, Shapes, VARIANTS};
use proto::{Decimal, Interval, Symbol};

const MINUTE_MS: u64 = 60_000;
/// The exchange opened on 2020-01-01T00:00:00Z; before that there is nothing.
pub(crate) const OPENED_MS: u64 = 1_577_836_800_000;

/// What makes an instrument.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Specification {
    /// Symbol.
    pub(crate) symbol: Symbol,
    /// Price step.
    pub(crate) tick_size: Decimal,
    /// Size step.
    pub(crate) lot_size: Decimal,
    /// The price around which the market moves, in ticks; at least [`BASE_TICKS_MIN`].
    pub(crate) base_ticks: i64,
    /// How large a common trade is, in lots.
    pub(crate) typical_lots: u32,
    /// 100 moves about 60 % a year.
    pub(crate) volatility_percent: u32,
    /// Trades in 1000 seconds.
    pub(crate) per_second_milli: u32,
}

/// Below this a basis point is less than a tick and the price could not move.
pub(crate) const BASE_TICKS_MIN: i64 = 20_000;

/// A simulated trade.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SimTrade {
    pub(crate) id: u64,
    pub(crate) time_ms: u64,
    /// Price in ticks.
    pub(crate) price: i64,
    /// Middle of bid and ask right after it, in ticks.
    pub(crate) mid: i64,
    /// Size in lots.
    pub(crate) lots: u64,
    /// True if the taker bought.
    pub(crate) buy: bool,
}

/// A simulated candle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SimCandle {
    pub(crate) open_ms: u64,
    /// Prices in ticks.
    pub(crate) open: i64,
    pub(crate) high: i64,
    pub(crate) low: i64,
    pub(crate) close: i64,
    pub(crate) lots: u64,
    /// Sum of price times size, in ticks times lots.
    pub(crate) turnover: i128,
    pub(crate) trades: u64,
}

/// One instrument of the simulated exchange.
#[derive(Debug)]
pub(crate) struct SimMarket {
    spec: Specification,
    quantum: i64,
    half_spread: i32,
    calendar: Calendar,
    level: Level,
    shapes: Shapes,
    variant_seed: u64,
    activity_seed: u64,
}

/// A minute with everything that depends on it.
#[derive(Debug, Clone, Copy)]
struct Minute {
    base: i64,
    key: ShapeKey,
    multiplier: u64,
    first_id: u64,
}

impl SimMarket {
    /// The market of a specification; equal seeds give equal markets.
    pub(crate) fn new(seed: u64, spec: Specification) -> Self {
        let seed = random::seed_of(seed, spec.symbol.as_str());
        // A quantum is two basis points, half the spread a 64th of that.
        let quantum = (spec.base_ticks / 5_000).max(1);
        let half_spread = i32::try_from(quantum / 64).unwrap_or(i32::MAX).max(1);
        Self {
            quantum,
            half_spread,
            calendar: Calendar::new(random::seed_of(seed, "calendar"), spec.per_second_milli),
            level: Level::new(random::seed_of(seed, "level"), spec.volatility_percent),
            shapes: Shapes::new(random::seed_of(seed, "shapes"), quantum, half_spread, spec.typical_lots),
            variant_seed: random::seed_of(seed, "variant"),
            activity_seed: random::seed_of(seed, "activity"),
            spec,
        }
    }

    pub(crate) const fn spec(&self) -> &Specification {
        &self.spec
    }

    /// A price in ticks as a decimal.
    pub(crate) fn price(&self, ticks: i64) -> Decimal {
        Decimal::from_units(self.spec.tick_size.units() * i128::from(ticks)).unwrap_or_default()
    }

    /// A size in lots as a decimal.
    pub(crate) fn size(&self, lots: u64) -> Decimal {
        Decimal::from_units(self.spec.lot_size.units() * i128::from(lots)).unwrap_or_default()
    }

    /// Ticks times lots as a decimal; exact, as the specification's steps have at most 18 digits together.
    pub(crate) fn turnover(&self, tick_lots: i128) -> Decimal {
        let unit = self.spec.tick_size.checked_mul(self.spec.lot_size).map_or(0, Decimal::units);
        Decimal::from_units(unit.saturating_mul(tick_lots)).unwrap_or_default()
    }

    /// Bid and ask in ticks after a trade, and the sizes there in lots.
    pub(crate) fn quote(&self, trade: &SimTrade) -> (i64, u64, i64, u64) {
        let dice = random::at(self.variant_seed, trade.id);
        let lots = |bits: u64| u64::from(self.spec.typical_lots) * ((bits & 63) + 1) / 8 + 1;
        let half = i64::from(self.half_spread);
        (trade.mid - half, lots(dice), trade.mid + half, lots(dice >> 8))
    }

    fn minute(&self, minute: u64, levels: (i64, i64)) -> Minute {
        let slot = self.calendar.slot(minute);
        let variant = usize::try_from(random::at(self.variant_seed, minute) % VARIANTS as u64).unwrap_or(0);
        Minute {
            base: self.spec.base_ticks + levels.0 * self.quantum,
            key: ShapeKey { change: levels.1 - levels.0, variant, class: slot.class },
            multiplier: 1 + random::at(self.activity_seed, minute / 60) % 4,
            first_id: slot.first_id,
        }
    }

    /// All trades of a minute since the epoch, ascending by id and time.
    pub(crate) fn trades_of_minute(&self, minute: u64) -> Vec<SimTrade> {
        let at = self.minute(minute, (self.level.at(minute), self.level.at(minute + 1)));
        let trades = self.shapes.trades(at.key, &self.calendar);
        let whole = |(trade, id): (super::shape::ShapeTrade, u64)| SimTrade {
            id,
            time_ms: minute * MINUTE_MS + u64::from(trade.ms),
            price: at.base + i64::from(trade.offset),
            mid: at.base + i64::from(trade.mid),
            lots: u64::from(trade.lots) * at.multiplier,
            buy: trade.buy,
        };
        trades.into_iter().zip(at.first_id..).map(whole).collect()
    }

    /// Up to `limit` trades of `[from_ms, to_ms)`, ascending.
    pub(crate) fn trades(&self, from_ms: u64, to_ms: u64, limit: usize) -> Vec<SimTrade> {
        let mut out = Vec::new();
        let from_ms = from_ms.max(OPENED_MS);
        let mut minute = from_ms / MINUTE_MS;
        while minute * MINUTE_MS < to_ms && out.len() < limit {
            let trades = self.trades_of_minute(minute);
            out.extend(trades.into_iter().filter(|t| from_ms <= t.time_ms && t.time_ms < to_ms));
            minute += 1;
        }
        out.truncate(limit);
        out
    }

    /// Up to `limit` trades with ids from `first_id` on that happened before `to_ms`.
    pub(crate) fn trades_from(&self, first_id: u64, to_ms: u64, limit: usize) -> Vec<SimTrade> {
        let mut out = Vec::new();
        let mut minute = self.calendar.minute_of(first_id).max(OPENED_MS / MINUTE_MS);
        while minute * MINUTE_MS < to_ms && out.len() < limit {
            let trades = self.trades_of_minute(minute);
            out.extend(trades.into_iter().filter(|t| t.id >= first_id && t.time_ms < to_ms));
            minute += 1;
        }
        out.truncate(limit);
        out
    }

    /// Up to `limit` candles that open in `[from_ms, to_ms)` and hold a trade, ascending. Both must be multiples of the
    /// interval.
    pub(crate) fn candles(&self, interval: Interval, from_ms: u64, to_ms: u64, limit: usize) -> Vec<SimCandle> {
        let from_ms = from_ms.max(OPENED_MS);
        if interval == Interval::S1 {
            self.seconds(from_ms, to_ms, limit)
        } else {
            self.minutes(interval, from_ms, to_ms, limit)
        }
    }

    fn seconds(&self, from_ms: u64, to_ms: u64, limit: usize) -> Vec<SimCandle> {
        let mut out: Vec<SimCandle> = Vec::new();
        let mut minute = from_ms / MINUTE_MS;
        while minute * MINUTE_MS < to_ms && out.len() <= limit {
            for trade in self.trades_of_minute(minute).iter().filter(|t| from_ms <= t.time_ms && t.time_ms < to_ms) {
                let open_ms = trade.time_ms - trade.time_ms % 1000;
                match out.last_mut() {
                    Some(candle) if candle.open_ms == open_ms => candle.add(trade),
                    _ => out.push(SimCandle::of(open_ms, trade)),
                }
            }
            minute += 1;
        }
        out.truncate(limit);
        out
    }

    fn minutes(&self, interval: Interval, from_ms: u64, to_ms: u64, limit: usize) -> Vec<SimCandle> {
        let per_candle = u64::from(interval.seconds()) / 60;
        let count =
            usize::try_from(to_ms.saturating_sub(from_ms) / (per_candle * MINUTE_MS)).unwrap_or(limit).min(limit);
        let mut out = Vec::with_capacity(count);
        let mut minute = from_ms / MINUTE_MS;
        let mut level = self.level.at(minute);
        for _ in 0..count {
            let mut candle: Option<SimCandle> = None;
            let open_ms = minute * MINUTE_MS;
            for _ in 0..per_candle {
                let next = self.level.at(minute + 1);
                let part = self.candle_of_minute(minute, (level, next));
                match &mut candle {
                    Some(candle) => candle.append(&part),
                    None => candle = Some(SimCandle { open_ms, ..part }),
                }
                (minute, level) = (minute + 1, next);
            }
            out.extend(candle);
        }
        out
    }

    fn candle_of_minute(&self, minute: u64, levels: (i64, i64)) -> SimCandle {
        let at = self.minute(minute, levels);
        let shape = self.shapes.candle(at.key, &self.calendar);
        let lots = shape.lots * at.multiplier;
        SimCandle {
            open_ms: minute * MINUTE_MS,
            open: at.base + i64::from(shape.open),
            high: at.base + i64::from(shape.high),
            low: at.base + i64::from(shape.low),
            close: at.base + i64::from(shape.close),
            lots,
            turnover: i128::from(at.base) * i128::from(lots) + i128::from(shape.turnover) * i128::from(at.multiplier),
            trades: u64::from(shape.trades),
        }
    }
}

impl SimCandle {
    fn of(open_ms: u64, trade: &SimTrade) -> Self {
        let price = trade.price;
        let turnover = i128::from(price) * i128::from(trade.lots);
        Self { open_ms, open: price, high: price, low: price, close: price, lots: trade.lots, turnover, trades: 1 }
    }

    fn add(&mut self, trade: &SimTrade) {
        self.append(&Self::of(self.open_ms, trade));
    }

    /// Adds what happened after this candle.
    fn append(&mut self, later: &Self) {
        self.high = self.high.max(later.high);
        self.low = self.low.min(later.low);
        self.close = later.close;
        self.lots += later.lots;
        self.turnover += later.turnover;
        self.trades += later.trades;
    }
}

#[cfg(test)]
#[path = "market/tests.rs"]
mod tests;
