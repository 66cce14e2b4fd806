//! Which indicators a message names, with their parameters: "RSI", "EMA 50", "20 and 50 SMA", "bollinger bands 20 2".

use crate::words::Words;
use proto::Decimal;
use serde_json::{Value, json};
use std::str::FromStr;
use trading::{IndicatorKind, IndicatorSpec};

/// Most indicators of one message.
const STUDIES_MAX: usize = 8;

/// Words for each indicator, longer ones first where one begins another.
const NAMES: [(&str, &[&str]); 30] = [
    ("stoch_rsi", &["stochastic rsi", "stoch rsi", "stochrsi", "stoch_rsi"]),
    ("sma", &["simple moving average", "simple moving averages", "sma", "smas"]),
    ("ema", &["exponential moving average", "exponential moving averages", "ema", "emas"]),
    ("wma", &["weighted moving average", "wma"]),
    ("dema", &["dema"]),
    ("tema", &["tema"]),
    ("hma", &["hull moving average", "hull", "hma"]),
    ("kama", &["kaufman", "kama"]),
    ("vwap", &["vwap"]),
    ("psar", &["parabolic sar", "parabolic", "psar", "sar"]),
    ("bollinger", &["bollinger bands", "bollinger band", "bollinger", "bbands", "bb"]),
    ("keltner", &["keltner channels", "keltner channel", "keltner"]),
    ("donchian", &["donchian channels", "donchian channel", "donchian"]),
    ("rsi", &["relative strength index", "relative strength", "rsi"]),
    ("macd", &["macd"]),
    ("stochastic", &["stochastic oscillator", "stochastics", "stochastic", "stoch"]),
    ("williams_r", &["williams %r", "williams r", "williams"]),
    ("cci", &["commodity channel index", "cci"]),
    ("momentum", &["momentum"]),
    ("roc", &["rate of change", "roc"]),
    ("adx", &["average directional index", "adx"]),
    ("aroon", &["aroon"]),
    ("atr", &["average true range", "atr"]),
    ("stddev", &["standard deviation", "stddev"]),
    ("linreg_slope", &["linear regression", "linreg_slope", "linreg", "regression slope"]),
    ("obv", &["on balance volume", "obv"]),
    ("ad", &["accumulation distribution"]),
    ("cmf", &["chaikin money flow", "chaikin", "cmf"]),
    ("mfi", &["money flow index", "mfi"]),
    ("sma", &["moving average", "moving averages", "ma", "mas"]),
];

/// An indicator of the chart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Study {
    /// As in the API.
    pub(crate) name: &'static str,
    /// Decimals in the order of the API; empty means the usual ones.
    pub(crate) params: Vec<String>,
}

impl Study {
    /// As tools take it.
    pub(crate) fn arguments(&self) -> Value {
        // A period is a whole number, a multiplier any decimal: both are JSON numbers for the chart.
        let number =
            |text: &String| serde_json::from_str::<serde_json::Number>(text).map_or(Value::Null, Value::Number);
        json!({"name": self.name, "params": self.params.iter().map(number).collect::<Vec<_>>()})
    }

    /// For people: `RSI 14`.
    pub(crate) fn shown(&self) -> String {
        let usual = || {
            IndicatorKind::from_str(self.name).map(|kind| kind.usual_params().replace(',', ", ")).unwrap_or_default()
        };
        let params = if self.params.is_empty() { usual() } else { self.params.join(", ") };
        format!("{} {params}", self.name.to_uppercase().replace('_', " ")).trim_end().to_owned()
    }
}

/// The indicators that are named.
pub(crate) fn studies(words: &Words) -> Vec<Study> {
    let plain = words.plain();
    let mut found: Vec<Study> = Vec::new();
    let mut at = 0;
    while at < plain.len() && found.len() < STUDIES_MAX {
        let Some((name, length)) = named(&plain[at..]) else {
            at += 1;
            continue;
        };
        for params in params(name, plain, at, at + length) {
            let study = Study { name, params };
            if !found.contains(&study) && found.len() < STUDIES_MAX {
                found.push(study);
            }
        }
        at += length;
    }
    found
}

/// The indicator that these words begin with, and how many words it takes.
fn named(words: &[String]) -> Option<(&'static str, usize)> {
    NAMES.iter().find_map(|(name, spellings)| {
        let fits = |spelling: &&&str| {
            spelling.split(' ').count() <= words.len() && spelling.split(' ').zip(words).all(|(a, b)| a == b)
        };
        spellings.iter().find(fits).map(|spelling| (*name, spelling.split(' ').count()))
    })
}

/// One list of parameters for each indicator that is meant: "20 and 50 SMA" are two.
fn params(name: &'static str, words: &[String], from: usize, to: usize) -> Vec<Vec<String>> {
    let kind = IndicatorKind::from_str(name).ok();
    let valid = |params: &[String]| kind.is_some_and(|kind| IndicatorSpec::new(kind, &params.join(",")).is_ok());
    let wanted = kind.map_or(0, |kind| kind.usual_params().split(',').filter(|text| !text.is_empty()).count());
    let number = |word: &str| word.parse::<Decimal>().is_ok_and(|number| number.is_positive() && word.len() <= 8);
    let filler = |word: &str| ["and", "day", "period", "periods", "length", "of", "with", "bar"].contains(&word);
    // Behind the name: "RSI 14", "MACD 12 26 9", "EMA 20 and 50", "SMA 20/50".
    let mut behind: Vec<String> = Vec::new();
    for (step, word) in words[to..].iter().enumerate() {
        let parts: Vec<&str> = word.split('/').collect();
        if parts.iter().all(|part| number(part)) {
            let next_is_unit = words.get(to + step + 1).is_some_and(|next| is_unit(next));
            if next_is_unit {
                break;
            }
            behind.extend(parts.iter().map(|part| (*part).to_owned()));
        } else if !filler(word) {
            break;
        }
    }
    if wanted > 1 && behind.len() >= wanted && valid(&behind[..wanted]) {
        return vec![behind[..wanted].to_vec()];
    }
    // "bollinger 50" means its period.
    if wanted > 1 && !behind.is_empty() {
        let usual = kind.map(IndicatorKind::usual_params).unwrap_or_default();
        let params: Vec<String> =
            std::iter::once(behind[0].clone()).chain(usual.split(',').skip(1).map(str::to_owned)).collect();
        return vec![if valid(&params) { params } else { Vec::new() }];
    }
    let single = |list: Vec<String>| -> Vec<Vec<String>> {
        list.into_iter().map(|one| vec![one]).filter(|one| valid(one)).collect()
    };
    if wanted == 1 {
        let mut before: Vec<String> = Vec::new();
        for word in words[..from].iter().rev() {
            let parts: Vec<&str> = word.split('/').collect();
            if parts.iter().all(|part| number(part)) {
                before.splice(0..0, parts.iter().map(|part| (*part).to_owned()));
            } else if !["and", "day", "period"].contains(&word.as_str()) {
                break;
            }
        }
        // "50 EMA" names it before, "EMA 50" behind; behind wins, as "RSI 14 EMA 50" would read twice otherwise.
        let lists = if behind.is_empty() { single(before) } else { single(behind) };
        if !lists.is_empty() {
            return lists;
        }
    }
    vec![Vec::new()]
}

fn is_unit(word: &str) -> bool {
    ["min", "mins", "minute", "minutes", "hour", "hours", "h", "days", "weeks", "months", "breakouts"].contains(&word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn indicators_are_read_with_their_parameters() {
        for (text, expected) in [
            ("with RSI", "RSI 14"),
            ("RSI(7)", "RSI 7"),
            ("rsi 14 and ema 50", "RSI 14|EMA 50"),
            ("the 200 EMA", "EMA 200"),
            ("20 and 50 day moving averages", "SMA 20|SMA 50"),
            ("SMA 20/50", "SMA 20|SMA 50"),
            ("EMA 9, 21", "EMA 9|EMA 21"),
            ("bollinger bands", "BOLLINGER 20, 2"),
            ("bollinger 50", "BOLLINGER 50, 2"),
            ("Bollinger (20, 2.5)", "BOLLINGER 20, 2.5"),
            ("MACD 5 35 5", "MACD 5, 35, 5"),
            ("macd 26 12 9", "MACD 12, 26, 9"),
            ("stochastic rsi", "STOCH RSI 14, 14, 3, 3"),
            ("vwap and volume", "VWAP"),
            ("relative strength index", "RSI 14"),
            ("rsi 5 min", "RSI 14"),
            ("rsi 0", "RSI 14"),
            ("rsi 99999", "RSI 14"),
            ("nothing", ""),
        ] {
            let read: Vec<String> = studies(&Words::new(text)).iter().map(Study::shown).collect();
            assert_eq!(read.join("|"), expected, "{text}");
        }
    }
}
