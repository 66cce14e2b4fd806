//! When trades happen: how many in each minute, and which ids they have.
//!
//! Trade ids must be contiguous and yet each moment must be reachable without counting from the beginning. So the
//! number of trades of a minute depends on the minute *of the week* only: the counts of one week and their running sum
//! are a table of 10 080 entries, and the id of any trade is `weeks * trades per week + running sum + index in the
//! minute + 1`. Prices and sizes do not repeat with the week, only the counts do.

use super::random;

/// Minutes in a week.
pub(crate) const WEEK_MINUTES: u64 = 7 * 24 * 60;
/// How busy a minute can be.
pub(crate) const CLASSES: usize = 8;
/// Trades of each class, as hundredths of the average.
const CLASS_PERCENT: [u64; CLASSES] = [40, 60, 80, 100, 120, 150, 200, 300];
/// Most trades in a minute.
pub(crate) const MINUTE_TRADES_MAX: u64 = 12_000;

/// Where a minute's trades stand in the series of ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct MinuteSlot {
    /// Id of the first trade of the minute.
    pub(crate) first_id: u64,
    /// How busy it is.
    pub(crate) class: usize,
    /// How many trades it has, at least 1.
    pub(crate) trades: u32,
}

/// The counts of a week.
#[derive(Debug)]
pub(crate) struct Calendar {
    /// Class of each minute of the week.
    classes: Vec<u8>,
    /// Trades before each minute of the week, and the total at the end.
    before: Vec<u32>,
    counts: [u32; CLASSES],
}

impl Calendar {
    /// A calendar with about `per_second_milli / 1000` trades a second.
    pub(crate) fn new(seed: u64, per_second_milli: u32) -> Self {
        let counts = CLASS_PERCENT.map(|percent| {
            let trades = u64::from(per_second_milli) * 60 * percent / 100_000;
            u32::try_from(trades.clamp(1, MINUTE_TRADES_MAX)).unwrap_or(1)
        });
        let classes: Vec<u8> = (0..WEEK_MINUTES).map(|minute| class_of(seed, minute)).collect();
        let mut before = Vec::with_capacity(classes.len() + 1);
        let mut sum = 0u32;
        before.push(sum);
        for class in &classes {
            sum += counts[usize::from(*class)];
            before.push(sum);
        }
        Self { classes, before, counts }
    }

    /// Trades in a week.
    pub(crate) fn per_week(&self) -> u64 {
        self.before.last().copied().map_or(1, u64::from)
    }

    /// The slot of a minute since the epoch.
    pub(crate) fn slot(&self, minute: u64) -> MinuteSlot {
        let of_week = usize::try_from(minute % WEEK_MINUTES).unwrap_or(0);
        let class = usize::from(self.classes[of_week]);
        let first_id = minute / WEEK_MINUTES * self.per_week() + u64::from(self.before[of_week]) + 1;
        MinuteSlot { first_id, class, trades: self.counts[class] }
    }

    /// The minute that holds a trade id (ids begin at 1).
    pub(crate) fn minute_of(&self, id: u64) -> u64 {
        let index = id.saturating_sub(1);
        let (week, rest) = (index / self.per_week(), index % self.per_week());
        let of_week = self.before.partition_point(|sum| u64::from(*sum) <= rest) - 1;
        week * WEEK_MINUTES + of_week as u64
    }

    /// Trades of a class.
    pub(crate) const fn count(&self, class: usize) -> u32 {
        self.counts[class]
    }
}

/// Busy afternoons, quiet nights and weekends, and a burst now and then.
fn class_of(seed: u64, minute_of_week: u64) -> u8 {
    let (day, minute) = (minute_of_week / 1440, minute_of_week % 1440);
    let dice = random::at(seed, minute_of_week);
    if dice.is_multiple_of(64) {
        return 7;
    }
    // A triangle wave that peaks at 15:00 UTC: distance 0..=720 minutes from the peak.
    let distance = (minute + 1440 - 900) % 1440;
    let distance = distance.min(1440 - distance);
    let level = 4 - i64::try_from(distance * 3 / 721).unwrap_or(0);
    // The epoch was a Thursday: days 2 and 3 are Saturday and Sunday.
    let weekend = i64::from(day == 2 || day == 3);
    let jitter = i64::try_from(dice >> 8 & 3).unwrap_or(0) - 1;
    u8::try_from((level - weekend + jitter).clamp(0, 6)).unwrap_or(3)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn ids_are_contiguous_from_minute_to_minute_and_over_the_end_of_a_week() {
        let calendar = Calendar::new(5, 10_000);
        for minute in [0, 1, WEEK_MINUTES - 1, WEEK_MINUTES, 28_000_000, WEEK_MINUTES * 2_900 - 1] {
            let (slot, next) = (calendar.slot(minute), calendar.slot(minute + 1));
            assert_eq!(slot.first_id + u64::from(slot.trades), next.first_id, "{minute}");
        }
        assert_eq!(calendar.slot(0).first_id, 1);
    }

    #[test]
    fn the_average_rate_is_near_what_was_asked_for() {
        let per_week = Calendar::new(5, 10_000).per_week();
        let wanted = 10 * 7 * 86_400;
        assert!(per_week > wanted * 7 / 10 && per_week < wanted * 13 / 10, "{per_week} of {wanted}");
    }

    #[test]
    fn a_minute_has_at_least_one_trade_however_slow_the_market() {
        let calendar = Calendar::new(5, 1);
        assert_eq!(calendar.slot(77).trades, 1);
        assert_eq!(calendar.per_week(), WEEK_MINUTES);
    }

    proptest! {
        #[test]
        fn each_id_lies_in_exactly_the_minute_that_is_found_for_it(id in 1u64..50_000_000_000, rate in 1u32..50_000) {
            let calendar = Calendar::new(9, rate);
            let slot = calendar.slot(calendar.minute_of(id));
            prop_assert!(slot.first_id <= id && id < slot.first_id + u64::from(slot.trades));
        }
    }
}
