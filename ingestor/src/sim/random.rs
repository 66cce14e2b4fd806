//! Counter-based randomness: a value is a pure function of its coordinates, so any point can be reached directly.

/// The finaliser of SplitMix64: each input bit changes about half of the output bits.
pub(crate) const fn mix(value: u64) -> u64 {
    let mut z = value.wrapping_add(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// The random value at `(seed, coordinate)`.
pub(crate) const fn at(seed: u64, coordinate: u64) -> u64 {
    mix(seed ^ mix(coordinate))
}

/// A seed of its own for a named part of the market, so that parts do not move together.
pub(crate) fn seed_of(seed: u64, name: &str) -> u64 {
    name.bytes().fold(mix(seed), |hash, byte| mix(hash ^ u64::from(byte)))
}

/// A signed lattice value in `-65536..=65535`.
#[allow(clippy::cast_possible_wrap, reason = "17 bits fit")]
pub(crate) const fn signed17(seed: u64, coordinate: u64) -> i64 {
    (at(seed, coordinate) >> 47) as i64 - 65_536
}

/// A sequence that starts at a seed.
#[derive(Debug, Clone)]
pub(crate) struct Sequence(u64);

impl Sequence {
    pub(crate) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        mix(self.0)
    }

    /// A value in `0..bound`, by multiplication: no division, a bias below 2^-32 for small bounds.
    #[allow(clippy::cast_possible_truncation, reason = "the product of two 32-bit numbers, shifted by 32")]
    pub(crate) const fn below(&mut self, bound: u32) -> u32 {
        (((self.next() >> 32) * bound as u64) >> 32) as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_point_is_always_the_same_and_names_give_different_seeds() {
        assert_eq!(at(7, 1_000_000), at(7, 1_000_000));
        assert_ne!(at(7, 1), at(7, 2));
        assert_ne!(at(7, 1), at(8, 1));
        assert_ne!(seed_of(7, "BTC/USDT"), seed_of(7, "ETH/USDT"));
    }

    #[test]
    fn lattice_values_fill_their_range_evenly() {
        let values: Vec<i64> = (0..100_000).map(|i| signed17(3, i)).collect();
        assert!(values.iter().all(|v| (-65_536..=65_535).contains(v)));
        let mean = values.iter().sum::<i64>() / 100_000;
        assert!(mean.abs() < 1_000, "{mean}");
        assert!(values.iter().any(|v| *v > 65_000) && values.iter().any(|v| *v < -65_000));
    }

    #[test]
    fn bounded_draws_stay_below_their_bound_and_reach_both_ends() {
        let mut sequence = Sequence::new(1);
        let draws: Vec<u32> = (0..10_000).map(|_| sequence.below(7)).collect();
        assert!(draws.iter().all(|d| *d < 7));
        assert!((0..7).all(|value| draws.contains(&value)));
    }
}
