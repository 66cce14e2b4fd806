//! Mean and squared deviations of a sliding window, without cancellation.

use std::collections::VecDeque;

/// Count, mean and sum of squared deviations from the mean; merged by Chan, Golub, LeVeque, "Updating Formulae and a
/// Pairwise Algorithm for Computing Sample Variances" (1979).
#[derive(Debug, Clone, Copy, Default)]
struct Moments {
    count: f64,
    mean: f64,
    squares: f64,
}

impl Moments {
    const fn of(value: f64) -> Self {
        Self { count: 1.0, mean: value, squares: 0.0 }
    }

    fn merge(self, other: Self) -> Self {
        let count = self.count + other.count;
        if count <= 0.0 {
            return self;
        }
        let delta = other.mean - self.mean;
        let share = other.count / count;
        Self {
            count,
            mean: self.mean + delta * share,
            squares: self.squares + other.squares + delta * delta * self.count * share,
        }
    }
}

/// Moments of the last `length` values. Two stacks: values enter at the back, whose total is kept; when the front is used
/// up the back is turned over into suffix totals. Values are only ever merged, never subtracted, so a flat window has
/// exactly zero deviation whatever came before it, and an update costs O(1) amortised.
#[derive(Debug, Clone)]
pub(crate) struct SlidingMoments {
    length: usize,
    /// Totals of the suffixes of the older part: the last one covers its newest value only.
    front: Vec<Moments>,
    back: VecDeque<f64>,
    back_total: Moments,
}

impl SlidingMoments {
    pub(crate) fn new(length: usize) -> Self {
        Self {
            length,
            front: Vec::with_capacity(length),
            back: VecDeque::with_capacity(length),
            back_total: Moments::default(),
        }
    }

    pub(crate) fn push(&mut self, value: f64) {
        if self.front.len() + self.back.len() == self.length {
            self.drop_oldest();
        }
        self.back.push_back(value);
        self.back_total = self.back_total.merge(Moments::of(value));
    }

    fn drop_oldest(&mut self) {
        if self.front.is_empty() {
            let mut total = Moments::default();
            while let Some(value) = self.back.pop_back() {
                total = Moments::of(value).merge(total);
                self.front.push(total);
            }
            self.back_total = Moments::default();
        }
        self.front.pop();
    }

    /// Population standard deviation; `None` until the window is full.
    pub(crate) fn deviation(&self) -> Option<f64> {
        if self.front.len() + self.back.len() < self.length {
            return None;
        }
        let older = self.front.last().copied().unwrap_or_default();
        let all = older.merge(self.back_total);
        Some((all.squares / all.count).sqrt())
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
