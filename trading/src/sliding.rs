//! Totals of a sliding window without subtraction: sums that do not drift, extremes, moments.

/// Something that can be totalled over neighbouring values.
pub(crate) trait Total: Copy {
    /// The total of both; `newer` follows `self`.
    fn merge(self, newer: Self) -> Self;
}

/// A plain sum.
impl Total for f64 {
    fn merge(self, newer: Self) -> Self {
        self + newer
    }
}

/// Several sums at once.
impl Total for [f64; 2] {
    fn merge(self, newer: Self) -> Self {
        [self[0] + newer[0], self[1] + newer[1]]
    }
}

/// The total of the last `length` values. Two stacks: values enter at the back, whose total is kept; when the front is used
/// up the back is turned over into suffix totals. Values are only ever merged, never subtracted, so nothing of a value
/// stays when it has left the window, and an update costs O(1) amortised.
#[derive(Debug, Clone)]
pub(crate) struct Sliding<T> {
    length: usize,
    /// Totals of the suffixes of the older part: the last one covers its newest value only.
    front: Vec<T>,
    back: Vec<T>,
    back_total: Option<T>,
}

impl<T: Total> Sliding<T> {
    pub(crate) fn new(length: usize) -> Self {
        let length = length.max(1);
        Self { length, front: Vec::with_capacity(length), back: Vec::with_capacity(length), back_total: None }
    }

    /// Adds a value and returns the total; `None` until the window is full.
    pub(crate) fn push(&mut self, value: T) -> Option<T> {
        if self.front.len() + self.back.len() == self.length {
            self.drop_oldest();
        }
        self.back.push(value);
        self.back_total = Some(self.back_total.map_or(value, |total| total.merge(value)));
        self.total()
    }

    fn drop_oldest(&mut self) {
        if self.front.is_empty() {
            while let Some(value) = self.back.pop() {
                let total = self.front.last().map_or(value, |newer| value.merge(*newer));
                self.front.push(total);
            }
            self.back_total = None;
        }
        self.front.pop();
    }

    /// The total; `None` until the window is full.
    pub(crate) fn total(&self) -> Option<T> {
        if self.front.len() + self.back.len() < self.length {
            return None;
        }
        match (self.front.last().copied(), self.back_total) {
            (Some(older), Some(newer)) => Some(older.merge(newer)),
            (older, newer) => older.or(newer),
        }
    }
}

impl Sliding<f64> {
    /// Adds a value and returns the mean; `None` until the window is full.
    #[allow(clippy::cast_precision_loss, reason = "periods are small")]
    pub(crate) fn mean(&mut self, value: f64) -> Option<f64> {
        self.push(value).map(|sum| sum / self.length as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_large_value_leaves_nothing_behind_and_a_million_values_do_not_drift() {
        let mut sliding = Sliding::new(7);
        assert_eq!(sliding.push(1e300), None);
        for _ in 0..7 {
            sliding.push(0.1);
        }
        let once = sliding.total();
        for step in 0..1_000_000 {
            sliding.push(f64::from(step) * 1e7 + 0.3);
        }
        for _ in 0..7 {
            sliding.push(0.1);
        }
        assert!((sliding.total().unwrap() - once.unwrap()).abs() < 1e-15);
        assert!((once.unwrap() - 0.7).abs() < 1e-15);
    }
}
