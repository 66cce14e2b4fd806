//! The indicators by name: their parameters and what they show.

use crate::spec::SpecError;
use std::str::FromStr;

/// What a parameter may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Param {
    /// A whole number of candles from 1.
    Period,
    /// A whole number of candles from 2.
    LongPeriod,
    /// A number above 0.
    Multiplier,
}

use Param::{LongPeriod, Multiplier, Period};

/// An indicator's row of the catalogue.
pub(crate) struct Entry {
    pub(crate) name: &'static str,
    pub(crate) params: &'static [Param],
    /// Usual parameters, as text.
    pub(crate) usual: &'static str,
    pub(crate) outputs: &'static [&'static str],
}

const BANDS: &[&str] = &["middle", "upper", "lower"];
const ONE: &[Param] = &[Period];

macro_rules! catalog {
    ($($kind:ident $name:literal $params:expr, $usual:literal, $outputs:expr;)*) => {
        /// The indicators of this crate.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[allow(missing_docs, reason = "each names its type, which says what it is")]
        pub enum IndicatorKind {
            $($kind,)*
        }

        impl IndicatorKind {
            /// All kinds.
            pub const ALL: &[Self] = &[$(Self::$kind,)*];

            pub(crate) const fn entry(self) -> Entry {
                match self {
                    $(Self::$kind => Entry { name: $name, params: $params, usual: $usual, outputs: $outputs },)*
                }
            }
        }
    };
}

catalog! {
    Sma "sma" ONE, "20", &["sma"];
    Ema "ema" ONE, "20", &["ema"];
    Wma "wma" ONE, "20", &["wma"];
    Dema "dema" ONE, "20", &["dema"];
    Tema "tema" ONE, "20", &["tema"];
    Hma "hma" ONE, "20", &["hma"];
    Kama "kama" ONE, "10", &["kama"];
    Vwap "vwap" &[], "", &["vwap"];
    Psar "psar" &[Multiplier, Multiplier], "0.02,0.2", &["psar"];
    Bollinger "bollinger" &[Period, Multiplier], "20,2", BANDS;
    Keltner "keltner" &[Period, Period, Multiplier], "20,10,2", BANDS;
    Donchian "donchian" ONE, "20", BANDS;
    Rsi "rsi" ONE, "14", &["rsi"];
    Macd "macd" &[Period, Period, Period], "12,26,9", &["macd", "signal", "histogram"];
    Stochastic "stochastic" &[Period, Period, Period], "14,3,3", &["k", "d"];
    StochRsi "stoch_rsi" &[Period, Period, Period, Period], "14,14,3,3", &["k", "d"];
    WilliamsR "williams_r" ONE, "14", &["williams_r"];
    Cci "cci" ONE, "20", &["cci"];
    Momentum "momentum" ONE, "10", &["momentum"];
    Roc "roc" ONE, "10", &["roc"];
    Adx "adx" ONE, "14", &["adx", "plus_di", "minus_di"];
    Aroon "aroon" ONE, "25", &["up", "down", "oscillator"];
    Atr "atr" ONE, "14", &["atr"];
    StdDev "stddev" ONE, "20", &["stddev"];
    LinearSlope "linreg_slope" &[LongPeriod], "14", &["linreg_slope"];
    Obv "obv" &[], "", &["obv"];
    AccumulationDistribution "ad" &[], "", &["ad"];
    Cmf "cmf" ONE, "20", &["cmf"];
    Mfi "mfi" ONE, "14", &["mfi"];
}

impl IndicatorKind {
    /// The name in the API.
    #[must_use]
    pub const fn name(self) -> &'static str {
        self.entry().name
    }

    /// Usual parameters, as text.
    #[must_use]
    pub const fn usual_params(self) -> &'static str {
        self.entry().usual
    }

    /// Names of the values that [`Indicator::update`](crate::Indicator::update) returns, in its order.
    #[must_use]
    pub const fn outputs(self) -> &'static [&'static str] {
        self.entry().outputs
    }

    /// All names, separated by commas.
    #[must_use]
    pub fn names() -> String {
        Self::ALL.iter().map(|kind| kind.name()).collect::<Vec<_>>().join(", ")
    }
}

impl FromStr for IndicatorKind {
    type Err = SpecError;

    fn from_str(text: &str) -> Result<Self, SpecError> {
        Self::ALL.iter().copied().find(|kind| kind.name() == text).ok_or(SpecError::Kind)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The page has its own list, with labels and colours; one that it lacks could not be chosen there.
    #[test]
    fn the_page_lists_every_indicator_with_as_many_parameters() {
        let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../gateway/web/src/indicators/catalog.ts");
        let text = std::fs::read_to_string(page).unwrap();
        for kind in IndicatorKind::ALL {
            let entry = kind.entry();
            let start = text.find(&format!("kind: '{}',", entry.name));
            let start = start.unwrap_or_else(|| panic!("{} is not in {page}", entry.name));
            let row = &text[start..text[start + 1..].find("kind: '").map_or(text.len(), |end| start + 1 + end)];
            let row = &row[row.find("params:").unwrap()..row.find("placement:").unwrap()];
            let params = row.matches("length(").count() + row.matches("number(").count();
            assert_eq!(params, entry.params.len(), "{}", entry.name);
        }
    }
}
