//! What a candle holds while trades are added to it: exact sums and the order of first and last trade.

use crate::encoding::{CorruptState, Reader, Writer};
use crate::trade::Trade;
use proto::Decimal;
use proto::market::Candle;

/// Largest size and notional value of one trade, in units of 10^-18: 10^15. A day of the largest trades then still fits
/// 128 bits, so no sum here can overflow.
pub const TRADE_LIMIT: i128 = 1_000_000_000_000_000_000_000_000_000_000_000;

/// Place of a trade in the order that decides open and close: event time, then trade id. Whole microseconds, because
/// that is what the lake keeps: a candle made from the lake must equal one made from the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Place {
    /// Event time in µs since the epoch.
    pub time_us: u64,
    /// [`crate::trade::TradeId::rank`].
    pub rank: u64,
}

/// A trade reduced to what a candle needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Print {
    place: Place,
    price: i128,
    size: i128,
    notional: i128,
    repaired: bool,
}

impl Print {
    /// Reduces a trade; `None` if its size or notional value is over [`TRADE_LIMIT`].
    #[must_use]
    #[inline]
    pub fn of(trade: &Trade) -> Option<Self> {
        let notional = notional(trade.price, trade.size)?;
        if notional > TRADE_LIMIT || trade.size > TRADE_LIMIT {
            return None;
        }
        Some(Self {
            place: Place { time_us: trade.event_time_ns / 1000, rank: trade.id.rank() },
            price: trade.price,
            size: trade.size,
            notional,
            repaired: trade.repaired,
        })
    }
}

/// Price times size, rounded half to even at 18 digits.
///
/// Prices and sizes of venues have at most nine digits behind the point, so the product is nearly always exact and fits
/// 128 bits. Whether 10^9 divides a number is found by multiplying with the inverse of 5^9 modulo 2^128: 128-bit
/// division costs more than all the rest of a tick.
#[inline]
fn notional(price: i128, size: i128) -> Option<i128> {
    if let (Some(p), Some(s)) = (exact_billionth(price.unsigned_abs()), exact_billionth(size.unsigned_abs()))
        && let Some(product) = p.checked_mul(s)
    {
        return i128::try_from(product).ok();
    }
    let (price, size) = (Decimal::from_units(price).ok()?, Decimal::from_units(size).ok()?);
    Some(price.checked_mul(size)?.units())
}

/// `value / 10^9` if that is exact.
#[inline]
const fn exact_billionth(value: u128) -> Option<u128> {
    const FIVES: u128 = 1_953_125; // 5^9
    const INVERSE: u128 = inverse(FIVES);
    const LARGEST: u128 = u128::MAX / FIVES;
    if value & 511 != 0 {
        return None;
    }
    let quotient = (value >> 9).wrapping_mul(INVERSE);
    if quotient <= LARGEST { Some(quotient) } else { None }
}

/// Inverse of an odd number modulo 2^128 by Newton's iteration; each step doubles the number of right bits.
const fn inverse(odd: u128) -> u128 {
    let mut x: u128 = odd; // right in the lowest three bits
    let mut step = 0;
    while step < 6 {
        x = x.wrapping_mul(2u128.wrapping_sub(odd.wrapping_mul(x)));
        step += 1;
    }
    x
}

/// The sums of a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Content {
    /// Place of the first trade.
    pub first: Place,
    /// Place of the last trade.
    pub last: Place,
    /// Price of the first trade.
    pub open: i128,
    /// Highest price.
    pub high: i128,
    /// Lowest price.
    pub low: i128,
    /// Price of the last trade.
    pub close: i128,
    /// Sum of sizes.
    pub volume: i128,
    /// Sum of price times size.
    pub quote_volume: i128,
    /// Number of trades; 0 means there is nothing here and the other fields are 0.
    pub trades: u64,
    /// True if any of the trades was fetched.
    pub repaired: bool,
    /// True if a venue's candle without a number of trades is in here: `trades` then only says that there is something.
    pub uncounted: bool,
    /// True if a venue's candle without a quote volume is in here.
    pub unvalued: bool,
}

impl Content {
    /// Bytes of [`Content::encode`].
    pub(crate) const BYTES: usize = 4 * 8 + 6 * 16 + 8 + 3;

    /// What a venue's closed candle says about its window; nothing if nothing was traded.
    #[must_use]
    pub fn of_candle(candle: &Candle) -> Self {
        if candle.volume <= Decimal::ZERO {
            return Self::default();
        }
        let end_us = (candle.open_time_ns + candle.interval.nanos()) / 1000 - 1;
        Self {
            first: Place { time_us: candle.open_time_ns / 1000, rank: 0 },
            last: Place { time_us: end_us, rank: u64::MAX },
            open: candle.open.units(),
            high: candle.high.units(),
            low: candle.low.units(),
            close: candle.close.units(),
            volume: candle.volume.units(),
            quote_volume: candle.quote_volume.units(),
            trades: candle.trades.max(1),
            repaired: true,
            uncounted: candle.trades == 0,
            unvalued: candle.quote_volume == Decimal::ZERO,
        }
    }

    /// Nothing yet.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.trades == 0
    }

    /// Adds one trade.
    #[inline]
    pub fn add(&mut self, print: &Print) {
        self.merge(&Self {
            first: print.place,
            last: print.place,
            open: print.price,
            high: print.price,
            low: print.price,
            close: print.price,
            volume: print.size,
            quote_volume: print.notional,
            trades: 1,
            repaired: print.repaired,
            uncounted: false,
            unvalued: false,
        });
    }

    /// Adds all trades of another window. The order of merging does not matter.
    #[inline]
    pub fn merge(&mut self, other: &Self) {
        if other.trades == 0 {
            return;
        }
        if self.trades == 0 {
            *self = *other;
            return;
        }
        if other.first < self.first {
            self.first = other.first;
            self.open = other.open;
        }
        if other.last > self.last {
            self.last = other.last;
            self.close = other.close;
        }
        self.high = self.high.max(other.high);
        self.low = self.low.min(other.low);
        self.volume = self.volume.saturating_add(other.volume);
        self.quote_volume = self.quote_volume.saturating_add(other.quote_volume);
        self.trades += other.trades;
        self.repaired |= other.repaired;
        self.uncounted |= other.uncounted;
        self.unvalued |= other.unvalued;
    }

    pub(crate) fn encode(&self, out: &mut Writer) {
        for place in [self.first, self.last] {
            out.u64(place.time_us);
            out.u64(place.rank);
        }
        for units in [self.open, self.high, self.low, self.close, self.volume, self.quote_volume] {
            out.i128(units);
        }
        out.u64(self.trades);
        out.bool(self.repaired);
        out.bool(self.uncounted);
        out.bool(self.unvalued);
    }

    pub(crate) fn decode(input: &mut Reader<'_>) -> Result<Self, CorruptState> {
        Ok(Self {
            first: Place { time_us: input.u64()?, rank: input.u64()? },
            last: Place { time_us: input.u64()?, rank: input.u64()? },
            open: input.i128()?,
            high: input.i128()?,
            low: input.i128()?,
            close: input.i128()?,
            volume: input.i128()?,
            quote_volume: input.i128()?,
            trades: input.u64()?,
            repaired: input.bool()?,
            uncounted: input.bool()?,
            unvalued: input.bool()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trade::TradeId;
    use proptest::prelude::*;

    fn units(text: &str) -> i128 {
        text.parse::<Decimal>().unwrap().units()
    }

    fn print(time_ns: u64, id: u64, price: &str, size: &str) -> Print {
        let trade = Trade {
            id: TradeId::Numeric(id),
            event_time_ns: time_ns,
            receive_time_ns: 0,
            price: units(price),
            size: units(size),
            repaired: false,
        };
        Print::of(&trade).unwrap()
    }

    #[test]
    fn open_and_close_follow_event_time_then_trade_id_not_arrival() {
        let mut content = Content::default();
        for (time_ns, id, price) in [(2_000, 7, "7"), (2_000, 6, "6"), (1_000, 9, "9"), (2_000, 8, "8")] {
            content.add(&print(time_ns, id, price, "1"));
        }
        assert_eq!((content.open, content.close), (units("9"), units("8")));
        assert_eq!((content.high, content.low, content.trades), (units("9"), units("6"), 4));
    }

    #[test]
    fn trades_within_one_microsecond_are_ordered_by_id_as_in_the_lake() {
        let mut content = Content::default();
        content.add(&print(1_999, 1, "1", "1"));
        content.add(&print(1_001, 2, "2", "1"));
        assert_eq!((content.open, content.close), (units("1"), units("2")));
    }

    #[test]
    fn a_trade_that_no_candle_could_sum_is_refused() {
        let trade = |price: &str, size: &str| Trade {
            id: TradeId::Numeric(1),
            event_time_ns: 0,
            receive_time_ns: 0,
            price: units(price),
            size: units(size),
            repaired: false,
        };
        assert!(Print::of(&trade("1", "1000000000000000")).is_some());
        assert!(Print::of(&trade("0.1", "1000000000000000.1")).is_none());
        assert!(Print::of(&trade("10", "100000000000000.1")).is_none());
        assert!(Print::of(&trade("99999999999999999999", "99999999999999999999")).is_none());
    }

    proptest! {
        #[test]
        fn the_quick_product_equals_the_exact_one(
            price in 1i128..10_i128.pow(13), price_scale in 0u32..19,
            size in 1i128..10_i128.pow(13), size_scale in 0u32..19,
        ) {
            let (p, s) = (Decimal::new(price, price_scale).unwrap(), Decimal::new(size, size_scale).unwrap());
            // Beyond 38 digits the quick way may still give a number; the limit of a trade is far below.
            let quick = notional(p.units(), s.units()).filter(|units| *units < 10_i128.pow(38));
            prop_assert_eq!(quick, p.checked_mul(s).map(Decimal::units));
        }

        #[test]
        fn divisibility_by_a_billion_is_found_exactly(value in 0u128..=u128::MAX) {
            let expected = (value % 1_000_000_000 == 0).then_some(value / 1_000_000_000);
            prop_assert_eq!(exact_billionth(value), expected);
            let multiple = value / 1_000_000_000 * 1_000_000_000;
            prop_assert_eq!(exact_billionth(multiple), Some(value / 1_000_000_000));
        }

        #[test]
        fn merging_parts_in_any_order_equals_adding_all_trades(
            trades in proptest::collection::vec((0u64..5_000, 1i64..100, 1i64..100), 1..40), cut in 0usize..40,
        ) {
            let prints: Vec<Print> = trades.iter().enumerate().map(|(id, (time, price, size))| {
                print(*time * 1000, id as u64, &price.to_string(), &size.to_string())
            }).collect();
            let sum = |prints: &[Print]| prints.iter().fold(Content::default(), |mut c, p| { c.add(p); c });
            let (left, right) = prints.split_at(cut.min(prints.len()));
            let (left, right, all) = (sum(left), sum(right), sum(&prints));
            for (mut a, b) in [(left, right), (right, left)] {
                a.merge(&b);
                prop_assert_eq!(a, all);
            }
        }
    }
}
