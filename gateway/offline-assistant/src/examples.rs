//! What the page offers as buttons. Each works to its end without a language model (tested).

use serde::Serialize;

/// A prompt that a button sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct ExamplePrompt {
    /// For programs.
    pub id: &'static str,
    /// On the button.
    pub label: &'static str,
    /// What is sent.
    pub text: &'static str,
}

/// The prompts, in the order of the page.
#[must_use]
pub fn example_prompts() -> Vec<ExamplePrompt> {
    [
        ("chart", "Chart with breakouts", "Show BTC 1h with RSI and mark the last breakouts"),
        ("backtest", "Backtest a cross", "Backtest a 20/50 cross on it"),
        ("explain", "Explain the backtest", "Explain the last backtest"),
        ("compare", "Compare BTC and ETH", "Compare BTC and ETH today"),
        ("levels", "Support and resistance", "Support and resistance levels"),
        ("strategies", "My strategies", "Show my strategies"),
        ("remember", "Remember something", "Remember that I prefer the 4h chart and risk at most 1 % on a trade"),
        ("help", "What can you do?", "What can you do?"),
    ]
    .map(|(id, label, text)| ExamplePrompt { id, label, text })
    .to_vec()
}
