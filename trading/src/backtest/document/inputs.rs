//! What went into a run: everything that a repetition needs.

use crate::backtest::{LimitFill, Shorting, Terms};
use proto::Decimal;
use serde::de::{Unexpected, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::collections::BTreeMap;
use std::fmt;

/// A decimal that is written as text. Read from text or a whole number; a float is refused, as it is not exact.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exact(pub Decimal);

impl Serialize for Exact {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Exact {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Read;
        impl Visitor<'_> for Read {
            type Value = Exact;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an exact number as text, such as \"0.001\"")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Exact, E> {
                text.parse().map(Exact).map_err(|_| E::invalid_value(Unexpected::Str(text), &self))
            }

            fn visit_i64<E: serde::de::Error>(self, number: i64) -> Result<Exact, E> {
                Ok(Exact(Decimal::from_int(number)))
            }

            fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<Exact, E> {
                let number = i64::try_from(number).map_err(|_| E::custom("number: at most 2^63"))?;
                self.visit_i64(number)
            }
        }
        deserializer.deserialize_any(Read)
    }
}

/// The value of a parameter.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
#[allow(missing_docs, reason = "each is what its name says")]
pub enum Parameter {
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(String),
}

impl fmt::Display for Parameter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bool(value) => write!(f, "{value}"),
            Self::Int(value) => write!(f, "{value}"),
            Self::Float(value) => write!(f, "{value}"),
            Self::Text(value) => f.write_str(value),
        }
    }
}

/// What a run was given.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Inputs {
    /// [`super::ENGINE_VERSION`].
    pub engine_version: String,
    /// Name of the strategy.
    pub strategy: String,
    /// SHA-256 of its source, hexadecimal.
    pub source_sha256: String,
    /// Its parameters, all of them.
    pub parameters: BTreeMap<String, Parameter>,
    /// Account and venue.
    pub terms: TermsDocument,
    /// Which instrument, for people; empty if it was not said.
    pub market: String,
    /// Length of a candle; `None` for ticks.
    pub interval_ns: Option<u64>,
    /// Snapshot of the lake that the data is of.
    pub snapshot: Option<String>,
    /// Commit of the user's workspace.
    pub commit: Option<String>,
    /// Of everything that is random.
    pub seed: u64,
}

/// [`Terms`] in JSON; what is left out is as in [`Terms::with_cash`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TermsDocument {
    /// See [`Terms`], here and below.
    pub cash: Exact,
    #[serde(default = "zero")]
    #[allow(missing_docs, reason = "as in Terms")]
    pub tick_size: Exact,
    #[serde(default = "zero")]
    #[allow(missing_docs, reason = "as in Terms")]
    pub lot_size: Exact,
    #[serde(default = "zero")]
    #[allow(missing_docs, reason = "as in Terms")]
    pub maker_fee: Exact,
    #[serde(default = "zero")]
    #[allow(missing_docs, reason = "as in Terms")]
    pub taker_fee: Exact,
    #[serde(default = "zero")]
    #[allow(missing_docs, reason = "as in Terms")]
    pub slippage: Exact,
    #[serde(default)]
    #[allow(missing_docs, reason = "as in Terms")]
    pub latency_ns: u64,
    #[serde(default)]
    #[allow(missing_docs, reason = "as in Terms")]
    pub participation: Option<Exact>,
    #[serde(default = "one")]
    #[allow(missing_docs, reason = "as in Terms")]
    pub leverage: Exact,
    /// Whether it is allowed.
    #[serde(default)]
    pub shorting: bool,
    /// `touch` or `through`.
    #[serde(default = "touch", with = "limit_fill")]
    pub limit_fill: LimitFill,
}

const fn zero() -> Exact {
    Exact(Decimal::ZERO)
}

const fn one() -> Exact {
    Exact(Decimal::ONE)
}

const fn touch() -> LimitFill {
    LimitFill::Touch
}

mod limit_fill {
    use super::{Deserialize, Deserializer, LimitFill, Serializer};
    use serde::de::Error as _;

    const NAMES: [&str; 2] = ["touch", "through"];

    pub(super) fn serialize<S: Serializer>(fill: &LimitFill, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(match fill {
            LimitFill::Touch => NAMES[0],
            LimitFill::Through => NAMES[1],
        })
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<LimitFill, D::Error> {
        match String::deserialize(deserializer)?.as_str() {
            "touch" => Ok(LimitFill::Touch),
            "through" => Ok(LimitFill::Through),
            other => Err(D::Error::unknown_variant(other, &NAMES)),
        }
    }
}

impl From<&Terms> for TermsDocument {
    fn from(terms: &Terms) -> Self {
        Self {
            cash: Exact(terms.cash),
            tick_size: Exact(terms.tick_size),
            lot_size: Exact(terms.lot_size),
            maker_fee: Exact(terms.maker_fee),
            taker_fee: Exact(terms.taker_fee),
            slippage: Exact(terms.slippage),
            latency_ns: terms.latency_ns,
            participation: terms.participation.map(Exact),
            leverage: Exact(terms.leverage),
            shorting: terms.shorting == Shorting::Allowed,
            limit_fill: terms.limit_fill,
        }
    }
}

impl From<&TermsDocument> for Terms {
    fn from(terms: &TermsDocument) -> Self {
        Self {
            cash: terms.cash.0,
            tick_size: terms.tick_size.0,
            lot_size: terms.lot_size.0,
            maker_fee: terms.maker_fee.0,
            taker_fee: terms.taker_fee.0,
            slippage: terms.slippage.0,
            latency_ns: terms.latency_ns,
            participation: terms.participation.map(|part| part.0),
            leverage: terms.leverage.0,
            shorting: if terms.shorting { Shorting::Allowed } else { Shorting::Refused },
            limit_fill: terms.limit_fill,
        }
    }
}
