//! Wilder's smoothing, the average inside RSI and ATR.

/// `average = (average * (n-1) + value) / n`, seeded with the simple average of the first `n` values (J. Welles Wilder,
/// *New Concepts in Technical Trading Systems*, 1978). `None` until `n` values were seen.
#[derive(Debug, Clone)]
pub(crate) struct WilderAverage {
    period: f64,
    seen: f64,
    state: f64,
}

impl WilderAverage {
    #[allow(clippy::cast_precision_loss, reason = "periods are small")]
    pub(crate) fn new(period: usize) -> Self {
        Self { period: period.max(1) as f64, seen: 0.0, state: 0.0 }
    }

    pub(crate) fn update(&mut self, value: f64) -> Option<f64> {
        if self.seen < self.period {
            self.seen += 1.0;
            self.state += value;
            if self.seen < self.period {
                return None;
            }
            self.state /= self.period;
        } else {
            self.state = (self.state * (self.period - 1.0) + value) / self.period;
        }
        Some(self.state)
    }
}
