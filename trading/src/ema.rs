//! Exponential moving average.

/// `ema = ema + 2/(n+1) * (value - ema)`, seeded with the simple average of the first `n` values (StockCharts ChartSchool,
/// "Moving Averages"; TA-Lib's default). Warm-up: `None` until `n` values were seen.
#[derive(Debug, Clone)]
pub struct Ema {
    period: f64,
    weight: f64,
    seen: f64,
    /// Sum of the values during warm-up, the average after it.
    state: f64,
}

impl Ema {
    /// An average with the weight `2/(period+1)`; `period` is at least 1.
    #[must_use]
    #[allow(clippy::cast_precision_loss, reason = "periods are small")]
    pub fn new(period: usize) -> Self {
        let period = period.max(1) as f64;
        Self { period, weight: 2.0 / (period + 1.0), seen: 0.0, state: 0.0 }
    }

    /// Adds a value and returns the average.
    pub fn update(&mut self, value: f64) -> Option<f64> {
        if self.seen < self.period {
            self.seen += 1.0;
            self.state += value;
            if self.seen < self.period {
                return None;
            }
            self.state /= self.period;
        } else {
            self.state += self.weight * (value - self.state);
        }
        Some(self.state)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The ten-day example of StockCharts ChartSchool, "Moving Averages", with its published, rounded results.
    #[test]
    fn the_published_ten_day_example_is_reproduced() {
        let closes = [
            22.27, 22.19, 22.08, 22.17, 22.18, 22.13, 22.23, 22.43, 22.24, 22.29, 22.15, 22.39, 22.38, 22.61, 23.36,
            24.05, 23.75, 23.83, 23.95, 23.63, 23.82, 23.87, 23.65, 23.19, 23.10, 23.33, 22.68, 23.10, 22.40, 22.17,
        ];
        let published = [
            22.22, 22.21, 22.24, 22.27, 22.33, 22.52, 22.80, 22.97, 23.13, 23.28, 23.34, 23.43, 23.51, 23.53, 23.47,
            23.40, 23.39, 23.26, 23.23, 23.08, 22.92,
        ];
        let mut ema = Ema::new(10);
        let got: Vec<_> = closes.into_iter().map(|close| ema.update(close)).collect();
        assert!(got[..9].iter().all(Option::is_none));
        for (got, published) in got[9..].iter().zip(published) {
            assert!((got.unwrap() - published).abs() < 0.0101, "{got:?} {published}");
        }
    }

    #[test]
    fn three_values_by_hand() {
        let mut ema = Ema::new(3);
        let got: Vec<_> = [2.0, 4.0, 6.0, 8.0, 1.0].into_iter().map(|x| ema.update(x)).collect();
        assert_eq!(got, [None, None, Some(4.0), Some(6.0), Some(3.5)]);
    }
}
