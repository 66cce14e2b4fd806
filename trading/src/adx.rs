//! Wilder's directional movement.

use crate::Bar;
use crate::atr::TrueRange;
use crate::wilder::WilderAverage;

/// What [`Adx`] shows, 0 to 100.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Directional {
    /// Strength of the trend, whatever its direction; `None` while it warms up.
    pub adx: Option<f64>,
    /// Upward movement as a share of the true range.
    pub plus: f64,
    /// Downward movement as a share of the true range.
    pub minus: f64,
}

/// Directional movement (J. Welles Wilder, *New Concepts in Technical Trading Systems*, 1978, sec. IV): of the rise of the high
/// and the fall of the low the greater one counts, if above 0. +DI and −DI are 100 times Wilder's averages of them over that
/// of the true range; ADX is Wilder's average of `DX = 100 · |+DI − −DI| / (+DI + −DI)`. Without range or movement 0. Each
/// average is seeded with the simple average of its first `n` values. Warm-up: +DI and −DI are `None` until `n + 1` candles
/// were seen, ADX until `2n`.
#[derive(Debug, Clone)]
pub struct Adx {
    before: Option<[f64; 2]>,
    range: TrueRange,
    averages: [WilderAverage; 3],
    index: WilderAverage,
}

fn share(part: f64, whole: f64) -> f64 {
    if whole > 0.0 { 100.0 * (part / whole) } else { 0.0 }
}

impl Adx {
    /// Averages of `period` movements, at least 1.
    #[must_use]
    pub fn new(period: usize) -> Self {
        let average = || WilderAverage::new(period);
        Self {
            before: None,
            range: TrueRange::default(),
            averages: [average(), average(), average()],
            index: average(),
        }
    }

    /// Adds a candle.
    pub fn update(&mut self, bar: &Bar) -> Option<Directional> {
        let (high, low, close) = (bar.high.to_f64(), bar.low.to_f64(), bar.close.to_f64());
        let range = self.range.next(high, low, close);
        let [last_high, last_low] = self.before.replace([high, low])?;
        let (up, down) = (high - last_high, last_low - low);
        let plus = if up > down { up.max(0.0) } else { 0.0 };
        let minus = if down > up { down.max(0.0) } else { 0.0 };
        let [ranges, pluses, minuses] = &mut self.averages;
        let (range, plus, minus) = (ranges.update(range), pluses.update(plus), minuses.update(minus));
        let (plus, minus) = (share(plus?, range?), share(minus?, range?));
        let adx = self.index.update(share((plus - minus).abs(), plus + minus));
        Some(Directional { adx, plus, minus })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_movements_by_hand() {
        let mut adx = Adx::new(2);
        let rows = [(10, 8, 9), (14, 9, 13), (13, 6, 7), (13, 6, 7), (13, 6, 7)];
        let got: Vec<_> = rows.into_iter().map(|(h, l, c)| adx.update(&Bar::test(h, l, c, 1))).collect();
        // Movements: +4 (range 5), -3 (range 7), none (range 7). Averages: 2, 1.5 of 6; then 1, 0.75 of 6.5.
        let near = |a: f64, b: f64| (a - b).abs() < 1e-12;
        assert_eq!(got[..2], [None, None]);
        let (third, fourth) = (got[2].unwrap(), got[3].unwrap());
        assert!(near(third.plus, 200.0 / 6.0) && near(third.minus, 25.0) && third.adx.is_none(), "{third:?}");
        assert!(near(fourth.plus, 100.0 / 6.5) && near(fourth.minus, 75.0 / 6.5), "{fourth:?}");
        assert!(near(fourth.adx.unwrap(), 100.0 / 7.0), "{fourth:?}");
    }

    #[test]
    fn a_market_without_range_has_no_direction() {
        let mut adx = Adx::new(2);
        let last = (0..9).map(|_| adx.update(&Bar::test(5, 5, 5, 1))).last().unwrap();
        assert_eq!(last, Some(Directional { adx: Some(0.0), plus: 0.0, minus: 0.0 }));
    }
}
