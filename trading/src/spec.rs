//! Which indicator with which parameters, read from text.

use crate::indicator::Indicator;
use proto::Decimal;
use std::fmt;
use std::str::FromStr;

/// Longest period of any average.
pub const MAX_PERIOD: u32 = 1000;
const MAX_MULTIPLIER: i64 = 100;
/// What is left of the influence of unseen candles when a recursive average counts as settled.
const SETTLED: f64 = 1e-6;

/// The indicators of this crate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "each names its module")]
pub enum IndicatorKind {
    Sma,
    Ema,
    Rsi,
    Macd,
    Bollinger,
    Vwap,
    Atr,
}

impl IndicatorKind {
    /// All kinds.
    pub const ALL: [Self; 7] = [Self::Sma, Self::Ema, Self::Rsi, Self::Macd, Self::Bollinger, Self::Vwap, Self::Atr];

    /// The name in the API.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sma => "sma",
            Self::Ema => "ema",
            Self::Rsi => "rsi",
            Self::Macd => "macd",
            Self::Bollinger => "bollinger",
            Self::Vwap => "vwap",
            Self::Atr => "atr",
        }
    }

    /// Usual parameters, as text.
    #[must_use]
    pub const fn usual_params(self) -> &'static str {
        match self {
            Self::Sma | Self::Ema => "20",
            Self::Rsi | Self::Atr => "14",
            Self::Macd => "12,26,9",
            Self::Bollinger => "20,2",
            Self::Vwap => "",
        }
    }
}

impl FromStr for IndicatorKind {
    type Err = SpecError;

    fn from_str(text: &str) -> Result<Self, SpecError> {
        Self::ALL.into_iter().find(|kind| kind.name() == text).ok_or(SpecError::Kind)
    }
}

/// Why a text is not an indicator.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SpecError {
    /// The name is unknown.
    #[error("indicator: not one of sma, ema, rsi, macd, bollinger, vwap, atr")]
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
    /// The band multiplier is not in its range.
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
            Self::Count { .. } | Self::Period { .. } | Self::Multiplier { .. } | Self::FastNotFaster => "params",
        }
    }
}

/// How many candles before the first wanted one must be fed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WarmUp {
    /// So many; after them the value differs from that of an endless history by less than a millionth of the spread
    /// between the two at the first value.
    Candles(usize),
    /// All since the start of the UTC day of the first wanted candle.
    Session,
}

/// An indicator with valid parameters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "each names its module; the fields are its parameters")]
pub enum IndicatorSpec {
    Sma { period: u32 },
    Ema { period: u32 },
    Rsi { period: u32 },
    Macd { fast: u32, slow: u32, signal: u32 },
    Bollinger { period: u32, multiplier: Decimal },
    Vwap,
    Atr { period: u32 },
}

fn period(values: &[&str], at: usize) -> Result<u32, SpecError> {
    let error = SpecError::Period { at: at + 1 };
    let text = values[at].trim();
    if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) {
        return Err(error);
    }
    text.parse().ok().filter(|n| (1..=MAX_PERIOD).contains(n)).ok_or(error)
}

fn multiplier(values: &[&str], at: usize) -> Result<Decimal, SpecError> {
    let value: Decimal = values[at].trim().parse().map_err(|_| SpecError::Multiplier { at: at + 1 })?;
    if value.is_positive() && value <= Decimal::from_int(MAX_MULTIPLIER) {
        Ok(value)
    } else {
        Err(SpecError::Multiplier { at: at + 1 })
    }
}

impl IndicatorSpec {
    /// Reads parameters such as `12,26,9`; an empty text means the usual ones.
    ///
    /// # Errors
    /// [`SpecError`] names the value.
    pub fn new(kind: IndicatorKind, params: &str) -> Result<Self, SpecError> {
        let params = if params.trim().is_empty() { kind.usual_params() } else { params };
        let values: Vec<&str> = if params.trim().is_empty() { Vec::new() } else { params.split(',').collect() };
        let expected = match kind {
            IndicatorKind::Vwap => 0,
            IndicatorKind::Sma | IndicatorKind::Ema | IndicatorKind::Rsi | IndicatorKind::Atr => 1,
            IndicatorKind::Bollinger => 2,
            IndicatorKind::Macd => 3,
        };
        if values.len() != expected {
            return Err(SpecError::Count { got: values.len(), expected });
        }
        Ok(match kind {
            IndicatorKind::Sma => Self::Sma { period: period(&values, 0)? },
            IndicatorKind::Ema => Self::Ema { period: period(&values, 0)? },
            IndicatorKind::Rsi => Self::Rsi { period: period(&values, 0)? },
            IndicatorKind::Atr => Self::Atr { period: period(&values, 0)? },
            IndicatorKind::Vwap => Self::Vwap,
            IndicatorKind::Bollinger => {
                Self::Bollinger { period: period(&values, 0)?, multiplier: multiplier(&values, 1)? }
            }
            IndicatorKind::Macd => {
                let (fast, slow) = (period(&values, 0)?, period(&values, 1)?);
                if fast >= slow {
                    return Err(SpecError::FastNotFaster);
                }
                Self::Macd { fast, slow, signal: period(&values, 2)? }
            }
        })
    }

    /// Which indicator.
    #[must_use]
    pub const fn kind(&self) -> IndicatorKind {
        match self {
            Self::Sma { .. } => IndicatorKind::Sma,
            Self::Ema { .. } => IndicatorKind::Ema,
            Self::Rsi { .. } => IndicatorKind::Rsi,
            Self::Macd { .. } => IndicatorKind::Macd,
            Self::Bollinger { .. } => IndicatorKind::Bollinger,
            Self::Vwap => IndicatorKind::Vwap,
            Self::Atr { .. } => IndicatorKind::Atr,
        }
    }

    /// Names of the values that [`Indicator::update`] returns, in its order.
    #[must_use]
    pub const fn outputs(&self) -> &'static [&'static str] {
        match self {
            Self::Sma { .. } => &["sma"],
            Self::Ema { .. } => &["ema"],
            Self::Rsi { .. } => &["rsi"],
            Self::Macd { .. } => &["macd", "signal", "histogram"],
            Self::Bollinger { .. } => &["middle", "upper", "lower"],
            Self::Vwap => &["vwap"],
            Self::Atr { .. } => &["atr"],
        }
    }

    /// How much history a caller feeds before the first candle that it shows.
    #[must_use]
    pub fn warm_up(&self) -> WarmUp {
        let exponential = |period: u32| 2.0 / (f64::from(period) + 1.0);
        let wilder = |period: u32| 1.0 / f64::from(period);
        WarmUp::Candles(match *self {
            Self::Sma { period } | Self::Bollinger { period, .. } => period as usize - 1,
            Self::Ema { period } => period as usize + settling(exponential(period)),
            Self::Macd { slow, signal, .. } => {
                (slow + signal) as usize + settling(exponential(slow)) + settling(exponential(signal))
            }
            Self::Rsi { period } | Self::Atr { period } => period as usize + 1 + settling(wilder(period)),
            Self::Vwap => return WarmUp::Session,
        })
    }

    /// A fresh indicator.
    #[must_use]
    pub fn build(&self) -> Indicator {
        Indicator::new(self)
    }
}

/// Updates until a recursive average with this weight has forgotten all but [`SETTLED`] of its start.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "at most 14 000 for the longest period")]
fn settling(weight: f64) -> usize {
    if weight >= 1.0 { 0 } else { (SETTLED.ln() / (1.0 - weight).ln()).ceil() as usize }
}

impl fmt::Display for IndicatorSpec {
    /// The parameters as text, in the form that [`IndicatorSpec::new`] reads.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sma { period } | Self::Ema { period } | Self::Rsi { period } | Self::Atr { period } => {
                write!(f, "{period}")
            }
            Self::Macd { fast, slow, signal } => write!(f, "{fast},{slow},{signal}"),
            Self::Bollinger { period, multiplier } => write!(f, "{period},{multiplier}"),
            Self::Vwap => Ok(()),
        }
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
        ] {
            assert_eq!(IndicatorSpec::new(kind.parse().unwrap(), params), Err(error), "{kind} {params}");
        }
        assert_eq!("SMA".parse::<IndicatorKind>(), Err(SpecError::Kind));
    }

    #[test]
    fn the_longest_warm_up_is_bounded() {
        for kind in IndicatorKind::ALL {
            let params = match kind {
                IndicatorKind::Macd => "999,1000,1000",
                IndicatorKind::Bollinger => "1000,2",
                IndicatorKind::Vwap => "",
                _ => "1000",
            };
            if let WarmUp::Candles(count) = IndicatorSpec::new(kind, params).unwrap().warm_up() {
                assert!(count <= 16_000, "{kind:?} {count}");
            }
        }
    }
}
