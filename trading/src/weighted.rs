//! Exact sums of a window and of its values by their rank.

use crate::exact_sum::ExactSum;
use proto::Decimal;
use std::collections::VecDeque;

/// The last `length` values, oldest first, with their sum and the sum of rank times value, the oldest having rank 0.
#[derive(Debug, Clone)]
pub(crate) struct WeightedWindow {
    length: usize,
    values: VecDeque<Decimal>,
    sum: ExactSum,
    ranked: ExactSum,
}

impl WeightedWindow {
    pub(crate) fn new(length: usize) -> Self {
        let length = length.max(1);
        Self { length, values: VecDeque::with_capacity(length), sum: ExactSum::default(), ranked: ExactSum::default() }
    }

    /// Adds a value; true if the window is full.
    pub(crate) fn push(&mut self, value: Decimal) -> bool {
        if self.values.len() == self.length
            && let Some(oldest) = self.values.pop_front()
        {
            self.sum.subtract(oldest);
            // Those that stay move one rank down.
            self.ranked = self.ranked.plus(self.sum.times(-1));
        }
        self.ranked.add_times(value, self.values.len() as i128);
        self.sum.add(value);
        self.values.push_back(value);
        self.values.len() == self.length
    }

    /// Mean with the weights 1 for the oldest to `length` for the newest.
    pub(crate) fn mean(&self) -> f64 {
        self.ranked.plus(self.sum).mean(self.length * (self.length + 1) / 2)
    }

    /// Slope of the least-squares line through the values, per step; for at least two values.
    #[allow(clippy::cast_precision_loss, reason = "periods are small")]
    pub(crate) fn slope(&self) -> f64 {
        let n = self.length as i128;
        let numerator = self.ranked.times(12).plus(self.sum.times(-6 * (n - 1)));
        numerator.to_f64() / (n * (n * n - 1)).max(1) as f64
    }
}
