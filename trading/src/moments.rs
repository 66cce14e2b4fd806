//! Mean and squared deviations of a sliding window, without cancellation.

use crate::sliding::{Sliding, Total};

/// Count, mean and sum of squared deviations from the mean; merged by Chan, Golub, LeVeque, "Updating Formulae and a
/// Pairwise Algorithm for Computing Sample Variances" (1979).
#[derive(Debug, Clone, Copy)]
struct Moments {
    count: f64,
    mean: f64,
    squares: f64,
}

impl Moments {
    const fn of(value: f64) -> Self {
        Self { count: 1.0, mean: value, squares: 0.0 }
    }
}

impl Total for Moments {
    fn merge(self, other: Self) -> Self {
        let count = self.count + other.count;
        let delta = other.mean - self.mean;
        let share = other.count / count;
        Self {
            count,
            mean: self.mean + delta * share,
            squares: self.squares + other.squares + delta * delta * self.count * share,
        }
    }
}

/// Moments of the last `length` values.
#[derive(Debug, Clone)]
pub(crate) struct SlidingMoments(Sliding<Moments>);

impl SlidingMoments {
    pub(crate) fn new(length: usize) -> Self {
        Self(Sliding::new(length))
    }

    pub(crate) fn push(&mut self, value: f64) {
        self.0.push(Moments::of(value));
    }

    /// Population standard deviation; `None` until the window is full.
    pub(crate) fn deviation(&self) -> Option<f64> {
        self.0.total().map(|all| (all.squares / all.count).sqrt())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn naive(window: &[f64]) -> f64 {
        #[allow(clippy::cast_precision_loss)]
        let n = window.len() as f64;
        let mean = window.iter().sum::<f64>() / n;
        (window.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>() / n).sqrt()
    }

    #[test]
    fn a_flat_window_has_zero_deviation_after_a_jump() {
        let mut moments = SlidingMoments::new(5);
        for value in [1e-6, 1e9, 3.0, 0.1, 0.1, 0.1, 0.1, 0.1] {
            moments.push(value);
        }
        assert_eq!(moments.deviation().map(f64::to_bits), Some(0f64.to_bits()));
    }

    proptest! {
        #[test]
        fn equals_the_naive_deviation(values in proptest::collection::vec(0.0001f64..1e6, 1..200), length in 1usize..30) {
            let mut moments = SlidingMoments::new(length);
            for (index, value) in values.iter().enumerate() {
                moments.push(*value);
                match moments.deviation() {
                    None => prop_assert!(index + 1 < length),
                    Some(got) => {
                        let expected = naive(&values[index + 1 - length..=index]);
                        prop_assert!((got - expected).abs() <= 1e-9 * expected.max(1e-3), "{} {}", got, expected);
                    }
                }
            }
        }
    }
}
