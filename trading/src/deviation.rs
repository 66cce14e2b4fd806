//! Standard deviation of the close.

use crate::moments::SlidingMoments;

/// Population standard deviation of the last `n` closes: the root of the mean squared distance from their mean (K. Pearson,
/// 1894). Warm-up: `None` until `n` closes were seen.
#[derive(Debug, Clone)]
pub struct StandardDeviation(SlidingMoments);

impl StandardDeviation {
    /// The deviation of `period` closes, at least 1.
    #[must_use]
    pub fn new(period: usize) -> Self {
        Self(SlidingMoments::new(period))
    }

    /// Adds a close.
    pub fn update(&mut self, close: f64) -> Option<f64> {
        self.0.push(close);
        self.0.deviation()
    }
}
