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

    /// The sum divided by `count`, cut at 10^-18 and rounded once to a float.
    #[allow(clippy::cast_precision_loss, reason = "the one intended rounding")]
    pub(crate) fn mean(self, count: usize) -> f64 {
        let count = count.max(1) as i128;
        let (high, low) = (self.high + (self.low >> LOW_BITS), self.low & LOW_MASK);
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
