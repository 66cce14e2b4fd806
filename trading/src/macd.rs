//! Moving average convergence divergence.

use crate::ema::Ema;

/// What [`Macd`] shows.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MacdValue {
    /// Fast minus slow average.
    pub line: f64,
    /// Average of the line; `None` while it warms up.
    pub signal: Option<f64>,
    /// Line minus signal.
    pub histogram: Option<f64>,
}

/// Fast minus slow EMA of the close, and the EMA of that line as signal (G. Appel, *Technical Analysis: Power Tools for
/// Active Investors*, 2005, ch. 8). Each average is seeded with the simple average of its own first values. Warm-up: the
/// line is `None` until `slow` closes were seen, the signal until `slow + signal - 1`.
#[derive(Debug, Clone)]
pub struct Macd {
    fast: Ema,
    slow: Ema,
    signal: Ema,
}

impl Macd {
    /// Periods of the three averages, usually 12, 26 and 9.
    #[must_use]
    pub fn new(fast: usize, slow: usize, signal: usize) -> Self {
        Self { fast: Ema::new(fast), slow: Ema::new(slow), signal: Ema::new(signal) }
    }

    /// Adds a close.
    pub fn update(&mut self, close: f64) -> Option<MacdValue> {
        let (fast, slow) = (self.fast.update(close), self.slow.update(close));
        let line = fast? - slow?;
        let signal = self.signal.update(line);
        Some(MacdValue { line, signal, histogram: signal.map(|signal| line - signal) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_three_two_by_hand() {
        let mut macd = Macd::new(2, 3, 2);
        // Fast (2): -, 3, 5, 7, 3 (weight 2/3: 5 = 3 + 2/3*3, 7 = 5 + 2/3*3, 3 = 7 + 2/3*(1-7)).
        // Slow (3): -, -, 4, 6, 3.5. Line: 1, 1, -0.5. Signal (2): -, 1, 1 + 2/3*(-1.5) = 0.
        let got: Vec<_> = [2.0, 4.0, 6.0, 8.0, 1.0].into_iter().map(|close| macd.update(close)).collect();
        assert_eq!(got[..2], [None, None]);
        let expected = [(1.0, None, None), (1.0, Some(1.0), Some(0.0)), (-0.5, Some(0.0), Some(-0.5))];
        for (got, (line, signal, histogram)) in got[2..].iter().zip(expected) {
            let got = got.unwrap();
            let near = |a: Option<f64>, b: Option<f64>| match (a, b) {
                (Some(a), Some(b)) => (a - b).abs() < 1e-12,
                (a, b) => a.is_none() && b.is_none(),
            };
            assert!(near(Some(got.line), Some(line)), "{got:?}");
            assert!(near(got.signal, signal), "{got:?}");
            assert!(near(got.histogram, histogram), "{got:?}");
        }
    }
}
