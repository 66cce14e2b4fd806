//! Bollinger bands.

use crate::moments::SlidingMoments;
use crate::sma::Sma;
use proto::Decimal;

/// What [`Bollinger`], [`Keltner`](crate::Keltner) and [`Donchian`](crate::Donchian) show.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bands {
    /// The average, or the middle of the channel.
    pub middle: f64,
    /// The upper band.
    pub upper: f64,
    /// The lower band.
    pub lower: f64,
}

/// Simple average of the last `n` closes, plus and minus `k` population standard deviations of the same closes
/// (J. Bollinger, *Bollinger on Bollinger Bands*, 2001, ch. 7). Warm-up: `None` until `n` closes were seen.
#[derive(Debug, Clone)]
pub struct Bollinger {
    average: Sma,
    moments: SlidingMoments,
    multiplier: f64,
}

impl Bollinger {
    /// Period (at least 1) and number of deviations, usually 20 and 2.
    #[must_use]
    pub fn new(period: usize, multiplier: f64) -> Self {
        Self { average: Sma::new(period), moments: SlidingMoments::new(period.max(1)), multiplier }
    }

    /// Adds a close.
    pub fn update(&mut self, close: Decimal) -> Option<Bands> {
        self.moments.push(close.to_f64());
        let middle = self.average.update(close)?;
        let width = self.multiplier * self.moments.deviation()?;
        Some(Bands { middle, upper: middle + width, lower: middle - width })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn eight_values_by_hand() {
        // The textbook population: mean 5, standard deviation 2.
        let mut bollinger = Bollinger::new(8, 1.5);
        let mut last = None;
        for value in [2, 4, 4, 4, 5, 5, 7, 9] {
            assert_eq!(last, None);
            last = bollinger.update(Decimal::from_int(value));
        }
        let bands = last.unwrap();
        assert!((bands.middle - 5.0).abs() < 1e-12, "{bands:?}");
        assert!((bands.upper - 8.0).abs() < 1e-12, "{bands:?}");
        assert!((bands.lower - 2.0).abs() < 1e-12, "{bands:?}");
    }
}
