//! The price level of a minute: value noise over ten time scales, from one minute to half a year.
//!
//! All integer arithmetic, so that each machine draws the same market. Each scale is four times longer than the one
//! before and moves the price twice as far, which is how far a random walk gets. The sum is bounded: a price never
//! leaves 59 % to 141 % of its base (times the volatility), so it is always positive.

use super::random;

/// Time scales.
const OCTAVES: u32 = 10;
/// What the shortest scale moves, in quanta.
const FIRST_AMPLITUDE: i64 = 2;

/// The level of one instrument, counted in quanta of its price around the base price.
#[derive(Debug, Clone)]
pub(crate) struct Level {
    seed: u64,
    volatility_percent: i64,
}

impl Level {
    pub(crate) const fn new(seed: u64, volatility_percent: u32) -> Self {
        Self { seed, volatility_percent: volatility_percent as i64 }
    }

    /// The farthest that a level can be from zero.
    #[cfg(test)]
    const fn bound(&self) -> i64 {
        FIRST_AMPLITUDE * ((1 << OCTAVES) - 1) * self.volatility_percent / 100 + 1
    }

    /// The level at the start of a minute since the epoch.
    #[allow(clippy::cast_possible_wrap, reason = "a fraction of 16 bits")]
    pub(crate) fn at(&self, minute: u64) -> i64 {
        let mut sum = 0i64;
        for octave in 0..OCTAVES {
            let seed = self.seed.wrapping_add(u64::from(octave));
            let (cell, inside) = (minute >> (2 * octave), minute & ((1 << (2 * octave)) - 1));
            let amplitude = FIRST_AMPLITUDE << octave;
            let left = random::signed17(seed, cell);
            let value = if inside == 0 {
                left
            } else {
                let fraction = ((inside << 16) >> (2 * octave)) as i64;
                left + (((random::signed17(seed, cell + 1) - left) * smooth(fraction)) >> 16)
            };
            sum += amplitude * value;
        }
        // Halves round away from zero at most by one quantum; the bound allows for it.
        ((sum * self.volatility_percent / 100) + (1 << 15)) >> 16
    }
}

/// `3t² - 2t³` for `t` in 1/65536.
const fn smooth(t: i64) -> i64 {
    (t * t * (3 * 65_536 - 2 * t)) >> 32
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_curve_between_two_lattice_points_is_monotonic_and_meets_both() {
        assert_eq!(smooth(0), 0);
        assert!(smooth(65_536) == 65_536);
        assert!((0..65_536).all(|t| smooth(t) <= smooth(t + 1)));
    }

    #[test]
    fn a_day_moves_the_price_by_some_percent_and_a_minute_by_some_basis_points() {
        let level = Level::new(11, 100);
        let start = 28_000_000;
        let (mut day, mut minute) = (0, 0);
        for i in 0..200u64 {
            day += (level.at(start + (i + 1) * 1440) - level.at(start + i * 1440)).abs();
            minute += (level.at(start + i + 1) - level.at(start + i)).abs();
        }
        // A quantum is 2 basis points.
        let (day_bp, minute_bp) = (day * 2 / 200, minute * 2 / 200);
        assert!((50..1_000).contains(&day_bp), "{day_bp} basis points a day");
        assert!((1..12).contains(&minute_bp), "{minute_bp} basis points a minute");
    }

    proptest! {
        #[test]
        fn the_level_stays_inside_its_bound(minute in 0u64..200_000_000, seed in any::<u64>(), volatility in 1u32..200) {
            let level = Level::new(seed, volatility);
            prop_assert!(level.at(minute).abs() <= level.bound());
        }
    }
}
