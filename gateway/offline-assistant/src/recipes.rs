//! Strategies that the rules can write: which one a message means, with which parameters, and its commented Python.

use crate::words::Words;

/// Largest parameter that a period may be.
const PERIOD_MAX: u32 = 1000;

/// Whether a strategy also goes short.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sides {
    /// In the market or out of it.
    Long,
    /// Long or short.
    Both,
}

/// A strategy with its parameters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Recipe {
    /// Two averages; `sma` or `ema`.
    Cross { average: &'static str, fast: u32, slow: u32, sides: Sides },
    /// Buys low RSI, sells high RSI.
    Rsi { period: u32, low: u32, high: u32, sides: Sides },
    /// Buys below the lower band, leaves at the middle.
    Bollinger { period: u32, sides: Sides },
    /// New highs and lows of a channel.
    Breakout { entry: u32, exit: u32, sides: Sides },
    /// The histogram's sign.
    Macd { fast: u32, slow: u32, signal: u32, sides: Sides },
    /// Buys once.
    Hold,
}

/// Whether the message names one of them.
pub(crate) fn is_named(words: &Words) -> bool {
    read(words).is_some()
}

/// The recipe that the message names.
pub(crate) fn read(words: &Words) -> Option<Recipe> {
    let sides = sides(words);
    let numbers = periods(words);
    if words.any(&[
        "buy and hold",
        "buy & hold",
        "hodl",
        "buy hold",
        "just hold",
        "bought and held",
        "buying and holding",
    ]) {
        return Some(Recipe::Hold);
    }
    let crosses =
        words.any(&["cross", "crossover", "crossing", "crosses", "crossed", "golden", "golden cross", "death cross"]);
    let averages = words.any(&["sma", "ema", "ma", "moving average", "moving averages", "averages"]);
    if words.has("macd") {
        let (fast, slow, signal) = match numbers.as_slice() {
            [fast, slow, signal, ..] if fast < slow => (*fast, *slow, *signal),
            _ => (12, 26, 9),
        };
        return Some(Recipe::Macd { fast, slow, signal, sides });
    }
    if words.has("rsi")
        || (words.any(&["oversold", "overbought", "mean reversion", "reversion"])
            && !words.any(&["bollinger", "bands"]))
    {
        return Some(rsi(words, sides));
    }
    if words.any(&["bollinger", "bands", "bollinger bands", "band"]) {
        let period = numbers.first().copied().filter(|period| *period >= 5).unwrap_or(20);
        return Some(Recipe::Bollinger { period, sides });
    }
    if words.any(&["donchian", "turtle", "channel"]) || (words.any(&["breakout", "breakouts"]) && !words.has("mark")) {
        let entry = numbers.first().copied().filter(|entry| *entry >= 2).unwrap_or(20);
        let exit = numbers.get(1).copied().filter(|exit| (2..=entry).contains(exit)).unwrap_or((entry / 2).max(2));
        return Some(Recipe::Breakout { entry, exit, sides });
    }
    // "Backtest 20/50": nothing else is tested by two numbers alone.
    let pair = words.has("backtest") && numbers.len() == 2 && words.plain().iter().any(|word| word.contains('/'));
    if crosses || averages || pair {
        return Some(cross(words, &numbers, sides));
    }
    None
}

fn cross(words: &Words, numbers: &[u32], sides: Sides) -> Recipe {
    let usual = if words.any(&["golden", "golden cross", "death cross"]) { (50, 200) } else { (20, 50) };
    let (fast, slow) = match numbers {
        [a, b, ..] if a != b => (*a.min(b), *a.max(b)),
        _ => usual,
    };
    let average = if words.any(&["ema", "exponential", "emas"]) { "ema" } else { "sma" };
    Recipe::Cross { average, fast, slow, sides }
}

fn rsi(words: &Words, sides: Sides) -> Recipe {
    let plain = words.plain();
    let number_after = |marks: &[&str], least: u32, most: u32| {
        plain.iter().enumerate().filter(|(_, word)| marks.contains(&word.as_str())).find_map(|(at, _)| {
            plain
                .iter()
                .skip(at + 1)
                .take(3)
                .find_map(|word| word.parse::<u32>().ok())
                .filter(|number| (least..=most).contains(number))
        })
    };
    let pair = plain.iter().find_map(|word| {
        let (low, high) = word.split_once('/')?;
        Some((low.parse::<u32>().ok()?, high.parse::<u32>().ok()?))
            .filter(|(low, high)| 0 < *low && low < high && *high < 100)
    });
    let low = pair.map(|(low, _)| low).or_else(|| number_after(&["below", "under", "oversold"], 1, 50)).unwrap_or(30);
    let high =
        pair.map(|(_, high)| high).or_else(|| number_after(&["above", "over", "overbought"], 50, 99)).unwrap_or(70);
    let period =
        number_after(&["rsi", "period"], 2, 50).filter(|period| *period != low && *period != high).unwrap_or(14);
    Recipe::Rsi { period, low, high: high.max(low + 1), sides }
}

fn sides(words: &Words) -> Sides {
    let both =
        words.any(&["short", "shorts", "shorting", "long/short", "both sides", "both directions", "long and short"]);
    if both && !words.any(&["no short", "no shorts", "without shorting", "without shorts", "no shorting", "not short"])
    {
        Sides::Both
    } else {
        Sides::Long
    }
}

/// Numbers that can be periods: alone or as `20/50`, not those of a time, of money or of percent.
fn periods(words: &Words) -> Vec<u32> {
    let plain = words.plain();
    let mut found = Vec::new();
    for (at, word) in plain.iter().enumerate() {
        let after = plain.get(at + 1).map_or("", String::as_str);
        let before = at.checked_sub(1).map_or("", |at| plain[at].as_str());
        let unit = [
            "days", "weeks", "months", "month", "week", "years", "year", "min", "mins", "minutes", "minute", "hours",
            "hour", "usd", "usdt", "dollars", "percent", "%", "fee", "fees",
        ];
        let other = ["last", "past", "since", "with", "in", "for", "over", "fee", "fees"].contains(&before)
            && unit.contains(&after);
        if other || unit.contains(&after) || ["cash", "starting", "capital", "since", "in"].contains(&before) {
            continue;
        }
        let parts: Vec<Option<u32>> = word
            .split(['/', 'x', '&'])
            .map(|part| part.parse().ok().filter(|n| (1..=PERIOD_MAX).contains(n)))
            .collect();
        if !parts.is_empty() && parts.iter().all(Option::is_some) {
            found.extend(parts.into_iter().flatten());
        }
    }
    found
}

impl Recipe {
    /// Its name as a file of the workspace.
    pub(crate) fn name(&self) -> String {
        let both = |sides: Sides| if sides == Sides::Both { "_long_short" } else { "" };
        match *self {
            Self::Cross { average, fast, slow, sides } => format!("{average}_cross_{fast}_{slow}{}", both(sides)),
            Self::Rsi { period, low, high, sides } => format!("rsi_reversion_{period}_{low}_{high}{}", both(sides)),
            Self::Bollinger { period, sides } => format!("bollinger_reversion_{period}{}", both(sides)),
            Self::Breakout { entry, exit, sides } => format!("breakout_{entry}_{exit}{}", both(sides)),
            Self::Macd { fast, slow, signal, sides } => format!("macd_{fast}_{slow}_{signal}{}", both(sides)),
            Self::Hold => "buy_and_hold".to_owned(),
        }
    }

    /// In words.
    pub(crate) fn shown(&self) -> String {
        let side = |sides: Sides| if sides == Sides::Both { "long or short" } else { "long or out" };
        match *self {
            Self::Cross { average, fast, slow, sides } => {
                format!("{} {fast}/{slow} cross, {}", average.to_uppercase(), side(sides))
            }
            Self::Rsi { period, low, high, sides } => {
                format!("RSI {period} reversion at {low} and {high}, {}", side(sides))
            }
            Self::Bollinger { period, sides } => format!("Bollinger {period} reversion, {}", side(sides)),
            Self::Breakout { entry, exit, sides } => {
                format!("breakout of {entry} candles, exit at {exit}, {}", side(sides))
            }
            Self::Macd { fast, slow, signal, sides } => {
                format!("MACD {fast}, {slow}, {signal} histogram, {}", side(sides))
            }
            Self::Hold => "buy and hold".to_owned(),
        }
    }

    /// Whether it sells what it does not hold.
    pub(crate) const fn goes_short(&self) -> bool {
        match self {
            Self::Hold => false,
            Self::Cross { sides, .. } | Self::Rsi { sides, .. } | Self::Bollinger { sides, .. } => {
                matches!(sides, Sides::Both)
            }
            Self::Breakout { sides, .. } | Self::Macd { sides, .. } => matches!(sides, Sides::Both),
        }
    }

    /// Its Python.
    pub(crate) fn code(&self) -> String {
        let short = if self.goes_short() { "-self.exposure" } else { "0" };
        let fill = |template: &str, values: &[(&str, String)]| {
            values
                .iter()
                .fold(template.replace("@SHORT@", short).replace("@ABOUT@", &self.about()), |code, (name, value)| {
                    code.replace(&format!("@{name}@"), value)
                })
        };
        match *self {
            Self::Cross { average, fast, slow, .. } => {
                let class = if average == "ema" { "Ema" } else { "Sma" };
                fill(
                    include_str!("templates/cross.py"),
                    &[("AVERAGE", class.to_owned()), ("FAST", fast.to_string()), ("SLOW", slow.to_string())],
                )
            }
            Self::Rsi { period, low, high, .. } => {
                let values = [("PERIOD", period.to_string()), ("LOW", low.to_string()), ("HIGH", high.to_string())];
                fill(include_str!("templates/rsi.py"), &values)
            }
            Self::Bollinger { period, .. } => {
                fill(include_str!("templates/bollinger.py"), &[("PERIOD", period.to_string())])
            }
            Self::Breakout { entry, exit, .. } => {
                fill(include_str!("templates/breakout.py"), &[("ENTRY", entry.to_string()), ("EXIT", exit.to_string())])
            }
            Self::Macd { fast, slow, signal, .. } => {
                let values = [("FAST", fast.to_string()), ("SLOW", slow.to_string()), ("SIGNAL", signal.to_string())];
                fill(include_str!("templates/macd.py"), &values)
            }
            Self::Hold => fill(include_str!("templates/hold.py"), &[]),
        }
    }

    /// The first line of its documentation.
    fn about(&self) -> String {
        let shown = self.shown();
        let mut letters = shown.chars();
        let first = letters.next().map(|letter| letter.to_ascii_uppercase()).into_iter();
        format!("{}.", first.chain(letters).collect::<String>())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strategies_are_read_with_their_parameters() {
        for (text, expected) in [
            ("Backtest a 20/50 cross on it", "sma_cross_20_50"),
            ("backtest 50 200 sma crossover", "sma_cross_50_200"),
            ("golden cross", "sma_cross_50_200"),
            ("ema cross 9/21 over the last 3 months", "ema_cross_9_21"),
            ("moving average crossover, fast 10 slow 30", "sma_cross_10_30"),
            ("20/50 cross with shorts", "sma_cross_20_50_long_short"),
            ("rsi mean reversion", "rsi_reversion_14_30_70"),
            ("buy when rsi is below 25 and sell above 75", "rsi_reversion_14_25_75"),
            ("RSI(7) 20/80", "rsi_reversion_7_20_80"),
            ("bollinger mean reversion", "bollinger_reversion_20"),
            ("donchian 55", "breakout_55_27"),
            ("breakout 20/10", "breakout_20_10"),
            ("macd", "macd_12_26_9"),
            ("macd 5 35 5 for 7 days", "macd_5_35_5"),
            ("buy and hold", "buy_and_hold"),
            ("rsi below 90", "rsi_reversion_14_30_70"),
        ] {
            assert_eq!(read(&Words::new(text)).unwrap().name(), expected, "{text}");
        }
        assert_eq!(read(&Words::new("nothing of the kind")), None);
    }

    #[test]
    fn nothing_is_left_to_fill_in_and_names_are_those_of_files() {
        for text in ["20/50 ema cross short", "rsi", "bollinger", "donchian", "macd", "hodl"] {
            let recipe = read(&Words::new(text)).unwrap();
            assert!(!recipe.code().contains('@'), "{}", recipe.code());
            assert!(recipe.code().starts_with("\"\"\""), "its first line tells what it is");
            let name = recipe.name();
            assert!(
                name.len() <= 64
                    && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
            );
        }
    }
}
