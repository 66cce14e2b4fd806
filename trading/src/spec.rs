//! Which indicator with which parameters, read from text.

use crate::catalog::{IndicatorKind, Param};
use crate::indicator::Indicator;
use proto::Decimal;
use std::fmt;

/// Longest period of any average.
pub const MAX_PERIOD: u32 = 1000;
const MAX_MULTIPLIER: i64 = 100;
/// What is left of the influence of unseen candles when a recursive average counts as settled.
const SETTLED: f64 = 1e-6;
/// Kaufman's slowest weight, squared as it is applied.
const KAMA_SLOWEST: f64 = (2.0 / 31.0) * (2.0 / 31.0);
/// After so many candles two parabolic stops have turned together: at the usual parameters they turn every ten or so.
const PSAR_SETTLED: usize = 500;
/// Most parameters.
const MOST: usize = 4;

/// Why a text is not an indicator.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SpecError {
    /// The name is unknown.
    #[error("indicator: not one of {}", IndicatorKind::names())]
    Kind,
    /// Wrong number of parameters.
    #[error("params: {expected} values expected, separated by commas; {got} given")]
    Count {
        /// How many there are.
        got: usize,
        /// How many there must be.
        expected: usize,
    },
    /// A period is no whole number in its range.
    #[error("params: value {at} must be a whole number from 1 to {MAX_PERIOD}")]
    Period {
        /// Which value, from 1.
        at: usize,
    },
    /// The same for an indicator that needs two values.
    #[error("params: value {at} must be a whole number from 2 to {MAX_PERIOD}")]
    LongPeriod {
        /// Which value, from 1.
        at: usize,
    },
    /// A multiplier is not in its range.
    #[error("params: value {at} must be a number greater than 0, at most {MAX_MULTIPLIER}")]
    Multiplier {
        /// Which value, from 1.
        at: usize,
    },
    /// The fast average of MACD is not faster than the slow one.
    #[error("params: the first value must be less than the second")]
    FastNotFaster,
}

impl SpecError {
    /// The offending field.
    #[must_use]
    pub const fn field(self) -> &'static str {
        match self {
            Self::Kind => "indicator",
            _ => "params",
        }
    }
}

/// How many candles before the first wanted one must be fed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WarmUp {
    /// So many; after them the value differs from that of an endless history by less than a millionth of the spread
    /// between the two at the first value. The level of `obv` and `ad`, which sum from where they start, stays arbitrary.
    Candles(usize),
    /// All since the start of the UTC day of the first wanted candle.
    Session,
}

/// An indicator with valid parameters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IndicatorSpec {
    kind: IndicatorKind,
    values: [Decimal; MOST],
}

fn value(text: &str, param: Param, at: usize) -> Result<Decimal, SpecError> {
    let text = text.trim();
    let (least, error) = match param {
        Param::Period => (1, SpecError::Period { at }),
        Param::LongPeriod => (2, SpecError::LongPeriod { at }),
        Param::Multiplier => {
            let value: Decimal = text.parse().map_err(|_| SpecError::Multiplier { at })?;
            let allowed = value.is_positive() && value <= Decimal::from_int(MAX_MULTIPLIER);
            return if allowed { Ok(value) } else { Err(SpecError::Multiplier { at }) };
        }
    };
    if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) {
        return Err(error);
    }
    let period = text.parse().ok().filter(|n| (least..=MAX_PERIOD).contains(n)).ok_or(error)?;
    Ok(Decimal::from_int(i64::from(period)))
}

impl IndicatorSpec {
    /// Reads parameters such as `12,26,9`; an empty text means the usual ones.
    ///
    /// # Errors
    /// [`SpecError`] names the value.
    pub fn new(kind: IndicatorKind, params: &str) -> Result<Self, SpecError> {
        let entry = kind.entry();
        let params = if params.trim().is_empty() { entry.usual } else { params };
        let texts: Vec<&str> = if params.trim().is_empty() { Vec::new() } else { params.split(',').collect() };
        let expected = entry.params.len();
        if texts.len() != expected {
            return Err(SpecError::Count { got: texts.len(), expected });
        }
        let mut values = [Decimal::ZERO; MOST];
        for (at, (text, param)) in texts.into_iter().zip(entry.params).enumerate() {
            values[at] = value(text, *param, at + 1)?;
        }
        if kind == IndicatorKind::Macd && values[0] >= values[1] {
            return Err(SpecError::FastNotFaster);
        }
        Ok(Self { kind, values })
    }

    /// Which indicator.
    #[must_use]
    pub const fn kind(&self) -> IndicatorKind {
        self.kind
    }

    /// The parameters, in order.
    #[must_use]
    pub fn params(&self) -> &[Decimal] {
        &self.values[..self.kind.entry().params.len()]
    }

    /// A parameter that is a number of candles; 0 for one that there is not.
    pub(crate) fn period(&self, at: usize) -> usize {
        let whole = self.values[at].units() / Decimal::ONE.units();
        usize::try_from(whole).unwrap_or(0)
    }

    /// A parameter that is any number.
    pub(crate) fn number(&self, at: usize) -> f64 {
        self.values[at].to_f64()
    }

    /// Names of the values that [`Indicator::update`] returns, in its order.
    #[must_use]
    pub const fn outputs(&self) -> &'static [&'static str] {
        self.kind.outputs()
    }

    /// How much history a caller feeds before the first candle that it shows.
    #[must_use]
    pub fn warm_up(&self) -> WarmUp {
        use IndicatorKind as Kind;
        let [a, b, c, d] = [0, 1, 2, 3].map(|at| self.period(at));
        WarmUp::Candles(match self.kind {
            Kind::Vwap => return WarmUp::Session,
            Kind::AccumulationDistribution => 0,
            Kind::Obv => 1,
            Kind::Sma
            | Kind::Wma
            | Kind::Bollinger
            | Kind::Donchian
            | Kind::WilliamsR
            | Kind::Cci
            | Kind::StdDev
            | Kind::LinearSlope
            | Kind::Cmf => a - 1,
            Kind::Momentum | Kind::Roc | Kind::Aroon | Kind::Mfi => a,
            Kind::Hma => a + a.isqrt() - 2,
            Kind::Stochastic => a + b + c - 3,
            Kind::Ema => a + settling(exponential(a), 1),
            Kind::Dema => 2 * a + settling(exponential(a), 2),
            Kind::Tema => 3 * a + settling(exponential(a), 3),
            Kind::Kama => a + settling(KAMA_SLOWEST, 1),
            Kind::Macd => b + c + settling(exponential(b), 1) + settling(exponential(c), 1),
            Kind::Rsi | Kind::Atr => a + 1 + settling(wilder(a), 1),
            Kind::StochRsi => a + b + c + d + settling(wilder(a), 1),
            Kind::Adx => 2 * a + settling(wilder(a), 2),
            Kind::Keltner => (a + settling(exponential(a), 1)).max(b + 1 + settling(wilder(b), 1)),
            Kind::Psar => PSAR_SETTLED,
        })
    }

    /// A fresh indicator.
    #[must_use]
    pub fn build(&self) -> Indicator {
        Indicator::new(self)
    }
}

#[allow(clippy::cast_precision_loss, reason = "periods are small")]
fn exponential(period: usize) -> f64 {
    2.0 / (period as f64 + 1.0)
}

#[allow(clippy::cast_precision_loss, reason = "periods are small")]
fn wilder(period: usize) -> f64 {
    1.0 / period as f64
}

/// Updates until recursive averages with this weight, one after the other, have forgotten all but [`SETTLED`] of their start:
/// what `k` updates leave of it is `(1 - weight)^k`, for each further stage times about `k · weight`, so half as many again
/// are enough for two or three.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "at most 21 000 for the longest period")]
fn settling(weight: f64, stages: u32) -> usize {
    let once = if weight >= 1.0 { 0 } else { (SETTLED.ln() / (1.0 - weight).ln()).ceil() as usize };
    if stages > 1 { once + once / 2 } else { once }
}

impl fmt::Display for IndicatorSpec {
    /// The parameters as text, in the form that [`IndicatorSpec::new`] reads.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, value) in self.params().iter().enumerate() {
            write!(f, "{}{value}", if at > 0 { "," } else { "" })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_read_and_shown_in_one_form() {
        for (kind, params, shown) in [
            ("sma", "", "20"),
            ("ema", " 9 ", "9"),
            ("rsi", "", "14"),
            ("atr", "1000", "1000"),
            ("macd", "", "12,26,9"),
            ("bollinger", "20, 2.50", "20,2.5"),
            ("vwap", "", ""),
            ("stoch_rsi", "", "14,14,3,3"),
            ("keltner", "20,10,1.50", "20,10,1.5"),
            ("psar", "", "0.02,0.2"),
            ("obv", " ", ""),
        ] {
            let spec = IndicatorSpec::new(kind.parse().unwrap(), params).unwrap();
            assert_eq!(spec.to_string(), shown, "{kind}");
            assert_eq!(IndicatorSpec::new(spec.kind(), shown), Ok(spec));
        }
    }

    #[test]
    fn bad_parameters_are_refused_by_cause() {
        for (kind, params, error) in [
            ("sma", "0", SpecError::Period { at: 1 }),
            ("sma", "1001", SpecError::Period { at: 1 }),
            ("sma", "+5", SpecError::Period { at: 1 }),
            ("sma", "99999999999999999999", SpecError::Period { at: 1 }),
            ("sma", "20,2", SpecError::Count { got: 2, expected: 1 }),
            ("vwap", "1", SpecError::Count { got: 1, expected: 0 }),
            ("macd", "12,26", SpecError::Count { got: 2, expected: 3 }),
            ("macd", "12,,9", SpecError::Period { at: 2 }),
            ("macd", "26,12,9", SpecError::FastNotFaster),
            ("bollinger", "20,0", SpecError::Multiplier { at: 2 }),
            ("bollinger", "20,101", SpecError::Multiplier { at: 2 }),
            ("bollinger", "20,x", SpecError::Multiplier { at: 2 }),
            ("psar", "0.02,0", SpecError::Multiplier { at: 2 }),
            ("linreg_slope", "1", SpecError::LongPeriod { at: 1 }),
            ("stochastic", "14,0,3", SpecError::Period { at: 2 }),
        ] {
            assert_eq!(IndicatorSpec::new(kind.parse().unwrap(), params), Err(error), "{kind} {params}");
        }
        assert!(SpecError::Kind.to_string().starts_with("indicator: not one of sma, ema, wma, "));
        assert_eq!("SMA".parse::<IndicatorKind>(), Err(SpecError::Kind));
    }

    #[test]
    fn the_longest_warm_up_is_bounded() {
        for kind in IndicatorKind::ALL.iter().copied() {
            let params: Vec<&str> = match kind {
                IndicatorKind::Macd => vec!["999", "1000", "1000"],
                _ => kind.entry().params.iter().map(|p| if *p == Param::Multiplier { "1" } else { "1000" }).collect(),
            };
            let params = params.join(",");
            if let WarmUp::Candles(count) = IndicatorSpec::new(kind, &params).unwrap().warm_up() {
                assert!(count <= 23_000, "{kind:?} {count}");
            }
        }
    }
}
