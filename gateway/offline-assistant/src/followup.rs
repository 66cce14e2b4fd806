//! "And ETH?", "same on 4h": a short message that means the one before it, with another market, interval or time.

use crate::intent::{self, Intent};
use crate::markets::markets;
use crate::times;
use crate::turn::Turn;
use crate::words::Words;

/// Words that begin such a message.
const BEGIN: &str = "and|same|now|again|what about|how about|also|the same|repeat|do the same|once more|then|or|try|run it|test it|\
    do it";
/// Words that add nothing to the message before.
const FILLER: [&str; 28] = [
    "and", "same", "now", "again", "what", "about", "how", "also", "the", "repeat", "do", "once", "more", "then", "or",
    "on", "for", "with", "it", "please", "that", "thing", "but", "at", "try", "instead", "run", "test",
];

/// What a short message names anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Changed {
    market: bool,
    interval: bool,
    range: bool,
    /// Numbers such as `20/50`.
    pair: bool,
}

/// Whether it is a pair of numbers.
fn is_pair(word: &str) -> bool {
    let number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    word.split_once('/').is_some_and(|(left, right)| number(left) && number(right))
}

/// The whole message that a short one stands for; `None` if it stands for itself.
pub(crate) fn whole(turn: &Turn<'_>) -> Option<String> {
    let words = &turn.words;
    let changed = Changed {
        market: !markets(words).is_empty(),
        interval: times::interval(words).is_some(),
        range: times::range(words, turn.now).is_some(),
        pair: words.plain().iter().any(|word| is_pair(word)),
    };
    let changes = changed != Changed::default();
    let again = words.begins(&["again", "same", "the same", "repeat", "do the same", "once more"]);
    if !words.opens(BEGIN) || words.len() > 8 || !(changes || again) {
        return None;
    }
    // "Now remove the RSI" says all that it means.
    let own = intent::read(turn);
    let says_all = !matches!(own, Intent::Unknown | Intent::Chart | Intent::Price | Intent::Knowledge)
        || words.any(&["add", "remove", "show", "switch", "price", "compare", "backtest"]);
    if says_all {
        return None;
    }
    // Only a strategy is tried or has a pair of numbers.
    let tries = changed.pair || words.opens("try|run it|test it");
    let before = turn.said_before().find(|said| {
        let intent = intent::read(&turn.had_said(said));
        let fits = intent == Intent::Backtest || (!tries && matches!(intent, Intent::Chart | Intent::Price));
        !Words::new(said).opens(BEGIN) && fits
    })?;
    Some(merged(before, words, changed))
}

fn merged(before: &str, words: &Words, changed: Changed) -> String {
    let old = Words::new(before);
    let new: Vec<&str> = words
        .raw()
        .iter()
        .zip(words.plain())
        .filter(|(_, plain)| !FILLER.contains(&plain.as_str()))
        .map(|(raw, _)| raw.as_str())
        .collect();
    let is_market = |raw: &String| !markets(&Words::new(raw)).is_empty();
    let is_interval = |raw: &String| times::interval(&Words::new(raw)).is_some();
    // What replaces a time stands in its place: the old one goes from its first word on.
    let begins_range =
        |plain: &String| ["last", "past", "since", "over", "from", "between", "during"].contains(&plain.as_str());
    let mut kept = Vec::new();
    let mut in_range = false;
    for (raw, plain) in old.raw().iter().zip(old.plain()) {
        in_range = changed.range && (in_range || begins_range(plain));
        let replaced = in_range
            || (changed.market && (is_market(raw) || ["it", "this"].contains(&plain.as_str())))
            || (changed.interval && is_interval(raw))
            || (changed.pair && is_pair(plain));
        if !replaced {
            kept.push(raw.as_str());
        }
    }
    format!("{} {}", kept.join(" "), new.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_new_takes_the_place_of_the_old() {
        let cross = "Backtest a 20/50 cross on BTC 1h";
        let cases = [
            (cross, "same on ETH", Changed { market: true, ..Changed::default() }, "Backtest a 20/50 cross on 1h ETH"),
            (cross, "and on 4h", Changed { interval: true, ..Changed::default() }, "Backtest a 20/50 cross on BTC 4h"),
            (
                "backtest macd on BTC over the last month",
                "same since 2025-01-01",
                Changed { range: true, ..Changed::default() },
                "backtest macd on BTC since 2025-01-01",
            ),
            (
                cross,
                "try 10/30 instead",
                Changed { pair: true, ..Changed::default() },
                "Backtest a cross on BTC 1h 10/30",
            ),
        ];
        for (before, now, changed, expected) in cases {
            assert_eq!(merged(before, &Words::new(now), changed), expected);
        }
    }
}
