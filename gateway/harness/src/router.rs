//! Which model is asked: by tier, by how hard the message is, by strategy and by what is left to spend. Pure.

use serde::{Deserialize, Serialize};

/// Tier of a user (accounts say which).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs, reason = "the names of the table of tiers")]
pub enum Tier {
    Anonymous,
    Free,
    Pro,
    Enterprise,
}

impl Tier {
    /// As it is written.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Anonymous => "anonymous",
            Self::Free => "free",
            Self::Pro => "pro",
            Self::Enterprise => "enterprise",
        }
    }

    /// From its name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        [Self::Anonymous, Self::Free, Self::Pro, Self::Enterprise].into_iter().find(|tier| tier.name() == name)
    }
}

/// A model of the catalogue.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelConfig {
    /// Name here, shown to users.
    pub name: String,
    /// Of `providers`; none for a model that is built in.
    #[serde(default)]
    pub provider: Option<String>,
    /// Name at the provider; `name` if none.
    #[serde(default)]
    pub model: Option<String>,
    /// Who may use it; everybody if empty.
    #[serde(default)]
    pub tiers: Vec<Tier>,
    /// 1 is poor, 10 the best.
    #[serde(default = "middle")]
    pub quality: u8,
    /// 1 is slow, 10 the fastest.
    #[serde(default = "middle")]
    pub speed: u8,
    /// Millionths of a US dollar for a million tokens of the prompt.
    #[serde(default)]
    pub input_micro_usd: u64,
    /// The same for tokens that the provider had cached; `input_micro_usd` if none.
    #[serde(default)]
    pub cached_micro_usd: Option<u64>,
    /// The same for tokens of the answer.
    #[serde(default)]
    pub output_micro_usd: u64,
    /// Sampling temperature; the model's own if none.
    #[serde(default)]
    pub temperature: Option<f32>,
}

const fn middle() -> u8 {
    5
}

impl ModelConfig {
    /// A model that costs nothing and is there for all.
    #[must_use]
    pub fn built_in(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            provider: None,
            model: None,
            tiers: Vec::new(),
            quality: 1,
            speed: 10,
            input_micro_usd: 0,
            cached_micro_usd: None,
            output_micro_usd: 0,
            temperature: None,
        }
    }

    fn allows(&self, tier: Tier) -> bool {
        self.tiers.is_empty() || self.tiers.contains(&tier)
    }

    /// True if asking it costs nothing.
    #[must_use]
    pub const fn is_free(&self) -> bool {
        self.input_micro_usd == 0 && self.output_micro_usd == 0
    }

    /// What tokens cost, rounded up: the budget is never undercut by fractions.
    #[must_use]
    pub fn cost_micro_usd(&self, usage: crate::model::Usage) -> u64 {
        let cached = usage.cached_tokens.min(usage.input_tokens);
        let cost = u128::from(usage.input_tokens - cached) * u128::from(self.input_micro_usd)
            + u128::from(cached) * u128::from(self.cached_micro_usd.unwrap_or(self.input_micro_usd))
            + u128::from(usage.output_tokens) * u128::from(self.output_micro_usd);
        u64::try_from(cost.div_ceil(1_000_000)).unwrap_or(u64::MAX)
    }

    const fn price(&self) -> u128 {
        // A prompt is about four times as long as an answer.
        4 * self.input_micro_usd as u128 + self.output_micro_usd as u128
    }
}

/// What counts most.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Strategy {
    /// The cheapest that is good enough.
    Cost,
    /// The fastest that is good enough.
    Speed,
    /// The best.
    #[default]
    Quality,
}

/// Which model is asked.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RoutingConfig {
    /// What counts most.
    pub strategy: Strategy,
    /// Quality that a hard message needs at least.
    pub hard_quality: u8,
    /// Quality that any other message needs at least.
    pub plain_quality: u8,
    /// Below this much left for the day only the cheapest is asked.
    pub thrift_micro_usd: u64,
}

impl Default for RoutingConfig {
    fn default() -> Self {
        Self { strategy: Strategy::Quality, hard_quality: 7, plain_quality: 1, thrift_micro_usd: 20_000 }
    }
}

/// How hard a message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Complexity {
    /// A greeting, a single look-up.
    Easy,
    /// A question.
    Plain,
    /// Code, several steps, comparisons.
    Hard,
}

/// Words of work that takes several steps.
const HARD_WORDS: [&str; 20] = [
    "backtest",
    "strategy",
    "strategies",
    "optimise",
    "optimize",
    "portfolio",
    "python",
    "code",
    "implement",
    "analyse",
    "analyze",
    "compare",
    "correlation",
    "why",
    "explain",
    "debug",
    "fix",
    "risk",
    "hedge",
    "walk-forward",
];

/// Guesses how hard a message is, from its words alone.
#[must_use]
pub fn complexity(text: &str) -> Complexity {
    let lower = text.to_lowercase();
    let words = lower.split(|c: char| !(c.is_alphanumeric() || c == '-')).filter(|word| !word.is_empty());
    let (mut count, mut hard, mut joins) = (0_usize, 0_usize, 0_usize);
    for word in words {
        count += 1;
        hard += usize::from(HARD_WORDS.contains(&word));
        joins += usize::from(matches!(word, "then" | "and" | "after" | "while" | "but"));
    }
    if text.contains("```") || hard >= 2 || count > 120 || (hard == 1 && joins >= 1) {
        Complexity::Hard
    } else if hard == 1 || count > 12 || joins >= 2 {
        Complexity::Plain
    } else {
        Complexity::Easy
    }
}

/// A model to ask, and why it stands at its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice {
    /// Place in the catalogue.
    pub index: usize,
    /// In words.
    pub reason: String,
}

/// The models that may be asked, the first choice first; empty if the user's tier has none or nothing is left to spend.
#[must_use]
pub fn route(
    config: &RoutingConfig,
    catalogue: &[ModelConfig],
    tier: Tier,
    complexity: Complexity,
    left_micro_usd: Option<u64>,
) -> Vec<Choice> {
    let needed = if complexity == Complexity::Hard { config.hard_quality } else { config.plain_quality };
    let allowed = |model: &ModelConfig| model.allows(tier) && (model.is_free() || left_micro_usd != Some(0));
    let mut order: Vec<usize> = (0..catalogue.len()).filter(|&index| allowed(&catalogue[index])).collect();
    let thrift = left_micro_usd.is_some_and(|left| left < config.thrift_micro_usd);
    let strategy = if thrift { Strategy::Cost } else { config.strategy };
    let weak = |index: usize| !thrift && catalogue[index].quality < needed;
    order.sort_by_key(|&index| {
        let model = &catalogue[index];
        let rank = match strategy {
            Strategy::Cost => (model.price(), 10 - model.quality.min(10)),
            Strategy::Speed => (u128::from(10 - model.speed.min(10)), 10 - model.quality.min(10)),
            // For an easy message the best is a waste if a cheaper one answers it as well.
            Strategy::Quality => (u128::from(10 - model.quality.min(10)), 10 - model.speed.min(10)),
        };
        (weak(index), rank, index)
    });
    let only = order.len() == 1;
    let reason = |index: usize| {
        let model = &catalogue[index];
        if only {
            return "the only model there is for you".to_owned();
        }
        let kind = match complexity {
            Complexity::Easy => "easy",
            Complexity::Plain => "plain",
            Complexity::Hard => "hard",
        };
        if thrift {
            return format!("the cheapest: little of the day's budget is left ({kind} message)");
        }
        let weak = if weak(index) { ", none better is free" } else { "" };
        match strategy {
            Strategy::Cost => format!("the cheapest for a {kind} message{weak}"),
            Strategy::Speed => format!("the fastest for a {kind} message{weak}"),
            Strategy::Quality => format!("quality {} for a {kind} message{weak}", model.quality),
        }
    };
    order.into_iter().map(|index| Choice { index, reason: reason(index) }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Usage;

    fn model(name: &str, quality: u8, speed: u8, price: u64, tiers: &[Tier]) -> ModelConfig {
        ModelConfig {
            quality,
            speed,
            input_micro_usd: price,
            output_micro_usd: 4 * price,
            tiers: tiers.to_vec(),
            ..ModelConfig::built_in(name)
        }
    }

    fn catalogue() -> Vec<ModelConfig> {
        vec![
            model("large", 10, 2, 5_000_000, &[Tier::Pro, Tier::Enterprise]),
            model("middle", 7, 6, 500_000, &[]),
            model("small", 4, 9, 100_000, &[]),
            ModelConfig::built_in("offline"),
        ]
    }

    fn names(strategy: Strategy, tier: Tier, complexity: Complexity, left: Option<u64>) -> Vec<String> {
        let config = RoutingConfig { strategy, ..RoutingConfig::default() };
        let catalogue = catalogue();
        let chosen = route(&config, &catalogue, tier, complexity, left);
        chosen.iter().map(|choice| catalogue[choice.index].name.clone()).collect()
    }

    #[test]
    fn each_strategy_picks_its_model() {
        for (row, strategy, tier, complexity, left, expected) in [
            ("best", Strategy::Quality, Tier::Pro, Complexity::Hard, None, "large middle small offline"),
            ("free never gets premium", Strategy::Quality, Tier::Free, Complexity::Hard, None, "middle small offline"),
            ("cheap but able", Strategy::Cost, Tier::Pro, Complexity::Hard, None, "middle large offline small"),
            ("cheap and easy", Strategy::Cost, Tier::Pro, Complexity::Easy, None, "offline small middle large"),
            ("fast but able", Strategy::Speed, Tier::Pro, Complexity::Hard, None, "middle large offline small"),
            ("nothing left", Strategy::Quality, Tier::Pro, Complexity::Hard, Some(0), "offline"),
            ("little left", Strategy::Quality, Tier::Free, Complexity::Hard, Some(9_000), "offline small middle"),
        ] {
            assert_eq!(names(strategy, tier, complexity, left).join(" "), expected, "{row}");
        }
    }

    #[test]
    fn complexity_follows_the_words() {
        for (text, expected) in [
            ("hi", Complexity::Easy),
            ("Show BTC 1h", Complexity::Easy),
            ("Show BTC 1h with RSI and mark the last breakouts, then tell me what you see", Complexity::Plain),
            ("Backtest a 20/50 cross", Complexity::Plain),
            ("Backtest a 20/50 cross and compare it with buy and hold", Complexity::Hard),
            ("```python\nprint(1)\n```", Complexity::Hard),
            ("Write a strategy, then backtest it", Complexity::Hard),
            ("", Complexity::Easy),
        ] {
            assert_eq!(complexity(text), expected, "{text}");
        }
    }

    #[test]
    fn cost_is_rounded_up_and_counts_cached_tokens_at_their_price() {
        let mut model = model("m", 5, 5, 1_000_000, &[]);
        model.cached_micro_usd = Some(100_000);
        let usage = Usage { input_tokens: 1_000, cached_tokens: 400, output_tokens: 10 };
        assert_eq!(model.cost_micro_usd(usage), 600 + 40 + 40);
        let one = Usage { input_tokens: 0, cached_tokens: 1, output_tokens: 0 };
        assert_eq!(model.cost_micro_usd(one), 0, "more cached than there were");
        let one = Usage { input_tokens: 1, cached_tokens: 1, output_tokens: 0 };
        assert_eq!(model.cost_micro_usd(one), 1);
    }
}
