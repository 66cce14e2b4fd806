//! What is said without a tool: who this is, what it can do, what is not there yet.

use crate::step::Step;
use crate::turn::Turn;

/// Who answers, said wherever somebody could take it for more.
const WHO: &str = "I am the offline assistant: rules without a language model, because none is configured.";

/// The step for "what can you do".
pub(crate) fn help(turn: &Turn<'_>) -> Step {
    let container = turn.has_tool("run_backtest");
    let asleep = if container {
        ""
    } else {
        "\n\nYour container is not at hand right now: strategies, backtests, memory and Python need it."
    };
    Step::say(format!(
        "{WHO} I understand plain requests in English, use the same tools as a model would, and tell only what they gave.\n\n\
         - **Chart**: \"show BTC 1h with RSI and mark the last breakouts\", \"switch to 5m\", \"add bollinger bands\", \"support and resistance levels\"\n\
         - **Prices**: \"price of ETH\", \"compare BTC and ETH today\", \"biggest mover on my watch list\"\n\
         - **Backtests**: \"backtest a 20/50 cross on it\", \"buy when RSI is below 30 on ETH 4h over the last year\", \"explain the last backtest\"\n\
         - **Files**: \"show my strategies\", \"show strategy …\", \"what changed\", \"undo the last change\"\n\
         - **Memory**: \"remember that I prefer the 4h chart\", \"what did I say about risk\", \"forget everything\"\n\
         - **Lists**: \"add SOL to my watch list\", \"add to my journal: …\"\n\
         - **Python**: send a code block\n\
         - **Knowledge**: \"what is look-ahead\", \"how do I read a backtest\"\n\n\
         Not there yet: alerts, orders, positions. For free conversation and new ideas the operator configures a language model.{asleep}"
    ))
}

/// The step for "hello".
pub(crate) fn greeting() -> Step {
    Step::say(format!(
        "Hello. {WHO} Try \"show BTC 1h with RSI\", \"backtest a 20/50 cross on BTC 1h\" or \"what can you do\"."
    ))
}

/// The step for "thanks".
pub(crate) fn thanks() -> Step {
    Step::say("You are welcome. \"what can you do\" shows what else there is.")
}

/// The step for "no" to the question whether to erase.
pub(crate) fn kept() -> Step {
    Step::say("Nothing was deleted.")
}

/// The step for "forget what I said about …".
pub(crate) fn forget_part() -> Step {
    Step::say(
        "I cannot delete single messages. \"forget everything\" deletes all of them, after a question. A note in your profile stays until you change the profile.",
    )
}

/// The step for "what news are there".
pub(crate) fn no_source() -> Step {
    Step::say(
        "There is no source of news, sentiment or on-chain data here, so I know nothing about them. Prices I can show: \"price of BTC\", \"show BTC 1h and mark the last breakouts\".",
    )
}

/// The step for "tell me when".
pub(crate) fn alerts() -> Step {
    Step::say(
        "Alerts are not there yet, so I cannot watch a price for you, and I will not pretend to. What there is: \"show BTC 1h and mark the last breakouts\", \
         \"support and resistance levels\", \"biggest mover on my watch list\".",
    )
}

/// The step for "buy".
pub(crate) fn trading() -> Step {
    Step::say(
        "I cannot place orders: trading, paper or live, is not there yet. Nothing was bought or sold. What there is: try the idea on the past first, for example \
         \"backtest a 20/50 cross on BTC 1h\" or \"backtest buy and hold on ETH since 2025-01-01\".",
    )
}

/// The step for "my positions".
pub(crate) fn positions() -> Step {
    Step::say(
        "There are no positions, orders or balances: trading is not there yet. \"list my backtests\" shows what was tried on recorded data, \"show my watch list\" what you follow.",
    )
}

/// The step for "should I buy".
pub(crate) fn advice() -> Step {
    Step::say(
        "I do not know where a price goes, and neither does anybody who says so. I give no advice to buy or sell. What I can do: the facts (\"price of BTC\", \"support and resistance levels\") and \
         an idea tried on the past (\"backtest rsi reversion on BTC 4h\").",
    )
}

/// The step for everything else.
pub(crate) fn unknown(turn: &Turn<'_>) -> Step {
    let words = &turn.words;
    let examples = if words.any(&["strategy", "test", "idea", "signal", "profit", "return"]) {
        "\"backtest a 20/50 cross on BTC 1h\", \"show my strategies\", \"explain the last backtest\""
    } else if words.any(&["you", "me", "i", "my"]) {
        "\"what can you do\", \"what do you know about me\", \"show BTC 1h with RSI\""
    } else {
        "\"show BTC 1h with RSI and mark the last breakouts\", \"compare BTC and ETH today\", \"what can you do\""
    };
    Step::say(format!(
        "I did not understand that. {WHO} Charts, prices, backtests, files, memory and lists I can do; free questions I cannot. For example: {examples}."
    ))
}
