//! What happens inside a minute: a shape is laid between the price levels of two minutes.
//!
//! A shape is drawn from a seed and says when each trade happens, how far its price is from the level at the start of
//! the minute, and how large it is. There are few shapes per instrument (level change x variant x how busy), so the
//! candle of a shape is worked out once and kept: open, high, low, close and volume relative to the level. The candle of
//! any minute is then a few additions, and it is *exactly* the candle of the minute's trades, because both come from the
//! same shape. A test compares them trade by trade.

use super::calendar::{CLASSES, Calendar};
use super::random::{self, Sequence};
use std::sync::OnceLock;

/// Shapes per level change and class.
pub(crate) const VARIANTS: usize = 8;
/// Level changes up to this many quanta are kept; larger ones are drawn each time.
const CACHED_CHANGE: i64 = 16;
const CACHED_CHANGES: usize = 33;
const MINUTE_MS: u32 = 60_000;
/// Noise inside the minute: cells, and how far each scale moves the price in percent of a quantum.
const SCALES: [(u32, i64); 4] = [(4, 100), (12, 60), (36, 35), (120, 20)];

/// A trade of a shape.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ShapeTrade {
    /// Milliseconds since the start of the minute.
    pub(crate) ms: u16,
    /// Price, in ticks above the level at the start of the minute.
    pub(crate) offset: i32,
    /// Middle of bid and ask after the trade, likewise.
    pub(crate) mid: i32,
    /// Size before the multiplier of the hour.
    pub(crate) lots: u32,
    /// True if the taker bought.
    pub(crate) buy: bool,
}

/// The candle of a shape, relative to the level at the start of the minute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ShapeCandle {
    pub(crate) open: i32,
    pub(crate) high: i32,
    pub(crate) low: i32,
    pub(crate) close: i32,
    pub(crate) lots: u64,
    /// Sum of offset times size.
    pub(crate) turnover: i64,
    pub(crate) trades: u32,
}

/// Which shape.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ShapeKey {
    /// Change of the level over the minute, in quanta.
    pub(crate) change: i64,
    pub(crate) variant: usize,
    pub(crate) class: usize,
}

/// The shapes of one instrument.
#[derive(Debug)]
pub(crate) struct Shapes {
    seed: u64,
    quantum: i64,
    half_spread: i32,
    typical_lots: u32,
    candles: Vec<OnceLock<ShapeCandle>>,
}

impl Shapes {
    pub(crate) fn new(seed: u64, quantum: i64, half_spread: i32, typical_lots: u32) -> Self {
        let candles = std::iter::repeat_with(OnceLock::new).take(CACHED_CHANGES * VARIANTS * CLASSES).collect();
        Self { seed, quantum, half_spread, typical_lots, candles }
    }

    /// The candle of a shape.
    pub(crate) fn candle(&self, key: ShapeKey, calendar: &Calendar) -> ShapeCandle {
        let draw = || candle_of(&self.trades(key, calendar));
        let cell = usize::try_from(key.change + CACHED_CHANGE)
            .ok()
            .filter(|change| *change < CACHED_CHANGES)
            .and_then(|change| self.candles.get((change * VARIANTS + key.variant) * CLASSES + key.class));
        cell.map_or_else(draw, |cell| *cell.get_or_init(draw))
    }

    /// The trades of a shape in the order of their ids, which is also the order of time.
    pub(crate) fn trades(&self, key: ShapeKey, calendar: &Calendar) -> Vec<ShapeTrade> {
        let coordinate = key.change.unsigned_abs() << 16
            | u64::from(key.change < 0) << 8
            | (key.variant * CLASSES + key.class) as u64;
        let mut dice = Sequence::new(random::at(self.seed, coordinate));
        let lattices = SCALES.map(|(cells, percent)| lattice(&mut dice, cells, self.quantum * percent / 100));
        let count = calendar.count(key.class);
        let mut times: Vec<u16> =
            (0..count).map(|_| u16::try_from(dice.below(MINUTE_MS)).unwrap_or(u16::MAX)).collect();
        times.sort_unstable();
        let rise = key.change * self.quantum;
        let trades = times.into_iter().map(|ms| {
            let trend = (rise * i64::from(ms)).div_euclid(i64::from(MINUTE_MS));
            let noise: i64 = lattices.iter().map(|lattice| value_at(lattice, u32::from(ms))).sum();
            let mid = i32::try_from(trend + noise).unwrap_or(0);
            let bits = dice.next();
            let buy = bits & 1 == 1;
            let offset = if buy { mid + self.half_spread } else { mid - self.half_spread };
            ShapeTrade { ms, offset, mid, lots: lots(self.typical_lots, bits >> 1), buy }
        });
        trades.collect()
    }
}

/// Random values at the borders of cells; zero at both ends, so that neighbouring minutes meet.
fn lattice(dice: &mut Sequence, cells: u32, amplitude: i64) -> Vec<i64> {
    let mut values = vec![0i64; cells as usize + 1];
    for value in values.iter_mut().take(cells as usize).skip(1) {
        *value = amplitude * (i64::from(dice.below(131_072)) - 65_536) / 65_536;
    }
    values
}

/// The lattice at a time, interpolated on a straight line.
fn value_at(lattice: &[i64], ms: u32) -> i64 {
    let cells = u32::try_from(lattice.len() - 1).unwrap_or(1);
    let width = MINUTE_MS / cells;
    let (cell, inside) = ((ms / width).min(cells - 1), i64::from(ms % width));
    let (left, right) = (lattice[cell as usize], lattice[cell as usize + 1]);
    left + ((right - left) * inside).div_euclid(i64::from(width))
}

/// Mostly small sizes, rarely large ones: each doubling is half as likely.
fn lots(typical: u32, bits: u64) -> u32 {
    let doublings = (bits & 0xFFFF | 1 << 6).trailing_zeros();
    let part = u32::try_from(bits >> 16 & 0xFF).unwrap_or(0) + 1;
    ((u64::from(typical) * u64::from(part)) >> 7).max(1).saturating_mul(1 << doublings).try_into().unwrap_or(u32::MAX)
}

fn candle_of(trades: &[ShapeTrade]) -> ShapeCandle {
    let (first, last) = (trades.first().map_or(0, |t| t.offset), trades.last().map_or(0, |t| t.offset));
    let mut candle = ShapeCandle { open: first, high: first, low: first, close: last, lots: 0, turnover: 0, trades: 0 };
    for trade in trades {
        candle.high = candle.high.max(trade.offset);
        candle.low = candle.low.min(trade.offset);
        candle.lots += u64::from(trade.lots);
        candle.turnover += i64::from(trade.offset) * i64::from(trade.lots);
        candle.trades += 1;
    }
    candle
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shapes() -> (Shapes, Calendar) {
        (Shapes::new(3, 1_200, 18, 500), Calendar::new(4, 10_000))
    }

    #[test]
    fn a_shape_begins_at_the_level_and_ends_at_the_next_one() {
        let (shapes, calendar) = shapes();
        for change in [-40, -3, 0, 5, 16, 17] {
            let trades = shapes.trades(ShapeKey { change, variant: 2, class: 7 }, &calendar);
            let (first, last) = (trades[0], trades[trades.len() - 1]);
            // The nearest trade is within a few milliseconds of the border, so a fraction of a quantum from the level.
            assert!(i64::from(first.mid).abs() < 400, "{change}: starts at {}", first.mid);
            assert!((i64::from(last.mid) - change * 1_200).abs() < 400, "{change}: ends at {}", last.mid);
        }
    }

    #[test]
    fn trades_of_a_shape_are_in_order_of_time_with_positive_sizes() {
        let (shapes, calendar) = shapes();
        let trades = shapes.trades(ShapeKey { change: 1, variant: 0, class: 3 }, &calendar);
        assert_eq!(trades.len(), 600);
        assert!(trades.windows(2).all(|pair| pair[0].ms <= pair[1].ms));
        assert!(trades.iter().all(|t| t.ms < 60_000 && t.lots > 0 && (t.offset - t.mid).abs() == 18));
        assert!(trades.iter().any(|t| t.buy) && trades.iter().any(|t| !t.buy));
    }

    #[test]
    fn the_kept_candle_is_the_candle_of_the_trades() {
        let (shapes, calendar) = shapes();
        for change in [-17, -2, 0, 16] {
            for (variant, class) in [(0, 0), (5, 3), (7, 7)] {
                let key = ShapeKey { change, variant, class };
                let trades = shapes.trades(key, &calendar);
                let candle = shapes.candle(key, &calendar);
                assert_eq!(shapes.candle(key, &calendar), candle);
                assert_eq!(i64::from(candle.high), trades.iter().map(|t| i64::from(t.offset)).max().unwrap());
                assert_eq!(i64::from(candle.low), trades.iter().map(|t| i64::from(t.offset)).min().unwrap());
                assert_eq!(candle.lots, trades.iter().map(|t| u64::from(t.lots)).sum::<u64>());
                assert_eq!((candle.open, candle.close), (trades[0].offset, trades[trades.len() - 1].offset));
            }
        }
    }
}
