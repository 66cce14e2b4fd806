//! A sum of decimals that neither rounds nor overflows.

use proto::Decimal;

const LOW_BITS: u32 = 64;
const LOW_MASK: i128 = (1 << LOW_BITS) - 1;
/// 10^18: units per one.
const UNITS: f64 = 1e18;

/// Sum of any 2^63 decimals, kept in two words: a single `i128` could overflow at the second summand.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct ExactSum {
    high: i128,
    low: i128,
}

impl ExactSum {
    pub(crate) fn add(&mut self, value: Decimal) {
        self.high += value.units() >> LOW_BITS;
        self.low += value.units() & LOW_MASK;
    }

    pub(crate) fn subtract(&mut self, value: Decimal) {
        self.high -= value.units() >> LOW_BITS;
        self.low -= value.units() & LOW_MASK;
    }

    /// Adds `count` times a value.
    pub(crate) fn add_times(&mut self, value: Decimal, count: i128) {
        self.high += (value.units() >> LOW_BITS) * count;
        self.low += (value.units() & LOW_MASK) * count;
    }

    pub(crate) fn plus(self, other: Self) -> Self {
        Self { high: self.high + other.high, low: self.low + other.low }
    }

    pub(crate) fn times(self, count: i128) -> Self {
        Self { high: self.high * count, low: self.low * count }
    }

    pub(crate) fn is_zero(self) -> bool {
        let (high, low) = self.words();
        high == 0 && low == 0
    }

    /// Which of two sums is greater.
    pub(crate) fn compare(self, other: Self) -> std::cmp::Ordering {
        self.words().cmp(&other.words())
    }

    /// The low word between 0 and 2^64.
    const fn words(self) -> (i128, i128) {
        (self.high + (self.low >> LOW_BITS), self.low & LOW_MASK)
    }

    /// The nearest float while the sum is below 2^127 units, one of the two nearest beyond.
    #[allow(clippy::cast_precision_loss, reason = "the one intended rounding")]
    pub(crate) fn to_f64(self) -> f64 {
        let (high, low) = self.words();
        let units = if i64::try_from(high).is_ok() {
            ((high << LOW_BITS) | low) as f64
        } else {
            // So large that the low word does not cancel it.
            high as f64 * 2f64.powi(64) + low as f64
        };
        units / UNITS
    }

    /// The sum divided by `count`, cut at 10^-18 and rounded once to a float.
    #[allow(clippy::cast_precision_loss, reason = "the one intended rounding")]
    pub(crate) fn mean(self, count: usize) -> f64 {
        let count = count.max(1) as i128;
        let (high, low) = self.words();
        // Long division by words: the quotient is a mean of decimals and fits, the sum may not.
        let rest = (high.rem_euclid(count) << LOW_BITS) | low;
        let units = (high.div_euclid(count) << LOW_BITS) + rest / count;
        units as f64 / UNITS
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MAX: i128 = 99_999_999_999_999_999_999_999_999_999_999_999_999;

    #[test]
    fn the_largest_decimals_add_up_and_cancel() {
        for largest in [MAX, -MAX] {
            let largest = Decimal::from_units(largest).unwrap();
            let mut sum = ExactSum::default();
            for _ in 0..1000 {
                sum.add(largest);
            }
            assert_eq!(sum.mean(1000).to_bits(), largest.to_f64().to_bits());
            for _ in 0..1000 {
                sum.subtract(largest);
            }
            assert_eq!(sum.mean(1000).to_bits(), 0f64.to_bits());
        }
    }

    #[test]
    fn products_of_sums_compare_and_round_as_integers_do() {
        for (value, count) in [(3i128, 1000i128), (-3, 1000), (MAX, 1), (-MAX, 1), (1 << 64, 7), (-(1 << 64) - 1, 7)] {
            let mut sum = ExactSum::default();
            sum.add_times(Decimal::from_units(value).unwrap(), count);
            let product = value.checked_mul(count).unwrap();
            #[allow(clippy::cast_precision_loss)]
            let expected = product as f64 / UNITS;
            assert_eq!(sum.to_f64().to_bits(), expected.to_bits(), "{value} {count}");
            let other = sum.times(2).plus(sum.times(-1));
            assert_eq!(other.compare(sum), std::cmp::Ordering::Equal);
            assert_eq!(sum.times(2).compare(sum), product.cmp(&0));
            assert!(sum.plus(sum.times(-1)).is_zero());
        }
        let mut far = ExactSum::default();
        far.add_times(Decimal::from_units(MAX).unwrap(), 1_000_000);
        assert!((far.to_f64() / 1e26 - 1.0).abs() < 1e-15);
        assert!((far.times(-1).to_f64() / -1e26 - 1.0).abs() < 1e-15);
    }

    proptest! {
        #[test]
        fn equals_the_integer_mean_while_that_fits(units in proptest::collection::vec(-MAX / 200..MAX / 200, 1..100)) {
            let mut sum = ExactSum::default();
            for value in &units {
                sum.add(Decimal::from_units(*value).unwrap());
            }
            let total: i128 = units.iter().sum();
            let expected = Decimal::from_units(total.div_euclid(units.len() as i128)).unwrap();
            prop_assert_eq!(sum.mean(units.len()).to_bits(), expected.to_f64().to_bits());
        }
    }
}
