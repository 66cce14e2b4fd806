//! What the harness is told at its start. Money is in millionths of a US dollar, and an integer.

use crate::router::{ModelConfig, RoutingConfig};
use serde::Deserialize;
use service::config::duration;
use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::time::Duration;

/// The section `harness` of the gateway's configuration.
#[derive(Debug, Clone, Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub struct HarnessConfig {
    /// The turn log.
    pub store: StoreConfig,
    /// Turns of this replica.
    pub turns: TurnsConfig,
    /// Bounds of one turn.
    pub limits: Limits,
    /// Sizes of what a model is told.
    pub prompt: PromptConfig,
    /// How a model is asked again.
    pub retry: RetryConfig,
    /// Which model is asked.
    pub routing: RoutingConfig,
    /// Providers by name.
    pub providers: BTreeMap<String, ProviderConfig>,
    /// Models of these providers, in order of preference where nothing else decides.
    pub models: Vec<ModelConfig>,
}

/// The turn log.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct StoreConfig {
    /// Connections that read.
    pub readers: u32,
    /// Writes that may wait; one more waits to be let in.
    pub queue: NonZeroUsize,
    /// Most writes of one transaction.
    pub group: NonZeroUsize,
}

impl Default for StoreConfig {
    fn default() -> Self {
        let size = |size| NonZeroUsize::new(size).expect("written here as not zero");
        Self { readers: 4, queue: size(4096), group: size(512) }
    }
}

/// Turns of this replica.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TurnsConfig {
    /// Most that run at once; one more message is refused as overloaded.
    pub running_most: usize,
    /// Most that wait in a conversation.
    pub queued_most: usize,
    /// Most of one user that run or wait, over all conversations.
    pub user_most: usize,
    /// Ended turns are forgotten after this long.
    #[serde(with = "duration")]
    pub ttl: Duration,
    /// A replica silent for this long has lost its turns to the others.
    #[serde(with = "duration")]
    pub lease: Duration,
    /// How often other replicas' writes are looked for.
    #[serde(with = "duration")]
    pub poll: Duration,
    /// Text is recorded at most this often.
    #[serde(with = "duration")]
    pub coalesce: Duration,
    /// How long running turns may go on after the wish to stop.
    #[serde(with = "duration")]
    pub drain: Duration,
}

impl Default for TurnsConfig {
    fn default() -> Self {
        Self {
            running_most: 10_000,
            queued_most: 8,
            user_most: 32,
            ttl: Duration::from_hours(7 * 24),
            lease: Duration::from_secs(6),
            poll: Duration::from_millis(150),
            coalesce: Duration::from_millis(10),
            drain: Duration::from_secs(5),
        }
    }
}

/// Bounds of one turn; reaching one is a clear end, never an abort.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Answers of the model.
    pub rounds: u32,
    /// Time from the first event to the last.
    #[serde(with = "duration")]
    pub wall: Duration,
    /// Tokens of all rounds, in and out.
    pub tokens: u64,
    /// Money of all rounds.
    pub money_micro_usd: u64,
    /// Bytes of text of all rounds.
    pub text_bytes: usize,
    /// Bytes of the arguments of one call.
    pub argument_bytes: usize,
    /// Calls of one round.
    pub calls_per_round: usize,
    /// Calls that run at once.
    pub calls_parallel: usize,
    /// Times that the same call with the same arguments is carried out.
    pub same_call: u32,
    /// Rounds in a row in which no call could be read.
    pub malformed_rounds: u32,
    /// Bytes of a call's outcome that the model is told.
    pub outcome_bytes: usize,
    /// Bytes of cards and chart actions of one call.
    pub card_bytes: usize,
    /// Time that a stopped tool has to end before it is left behind.
    #[serde(with = "duration")]
    pub stop: Duration,
    /// Most tokens of one answer.
    pub output_tokens: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            rounds: 12,
            wall: Duration::from_mins(10),
            tokens: 400_000,
            money_micro_usd: 1_000_000,
            text_bytes: 256 << 10,
            argument_bytes: 256 << 10,
            calls_per_round: 16,
            calls_parallel: 4,
            same_call: 4,
            malformed_rounds: 3,
            outcome_bytes: 32 << 10,
            card_bytes: 2 << 20,
            stop: Duration::from_millis(1500),
            output_tokens: 4096,
        }
    }
}

/// Sizes of what a model is told.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PromptConfig {
    /// Bytes of the system prompt.
    pub system_bytes: usize,
    /// Tokens of earlier messages, as estimated.
    pub history_tokens: usize,
    /// Earlier turns that are looked at.
    pub history_turns: u32,
    /// Memories that are looked for.
    pub snippets: usize,
    /// Time for context and memories together; then the turn goes on without them.
    #[serde(with = "duration")]
    pub context_timeout: Duration,
}

impl Default for PromptConfig {
    fn default() -> Self {
        Self {
            system_bytes: 24 << 10,
            history_tokens: 8_000,
            history_turns: 40,
            snippets: 6,
            context_timeout: Duration::from_secs(20),
        }
    }
}

/// How a model is asked again.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RetryConfig {
    /// Times that one model is asked in a round.
    pub attempts: u32,
    /// Pause before the second time; it doubles.
    #[serde(with = "duration")]
    pub backoff: Duration,
    /// Longest pause, also if the provider asks for more.
    #[serde(with = "duration")]
    pub backoff_most: Duration,
    /// Failures in a row that open the breaker of a model.
    pub breaker_failures: u32,
    /// How long it stays open before one request tries again.
    #[serde(with = "duration")]
    pub breaker_open: Duration,
}

impl Default for RetryConfig {
    fn default() -> Self {
        Self {
            attempts: 3,
            backoff: Duration::from_millis(250),
            backoff_most: Duration::from_secs(8),
            breaker_failures: 5,
            breaker_open: Duration::from_secs(30),
        }
    }
}

/// A provider of models with an OpenAI-compatible interface. Its key is a secret of the same name.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProviderConfig {
    /// E.g. `https://api.openai.com/v1`; `/chat/completions` is appended.
    pub base_url: String,
    /// Further headers.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// For a connection.
    #[serde(with = "duration", default = "connect_timeout")]
    pub connect_timeout: Duration,
    /// For the first byte of an answer.
    #[serde(with = "duration", default = "first_byte_timeout")]
    pub first_byte_timeout: Duration,
    /// Between two bytes of an answer.
    #[serde(with = "duration", default = "silence_timeout")]
    pub silence_timeout: Duration,
    /// Most bytes of an answer on the wire.
    #[serde(default = "answer_bytes")]
    pub answer_bytes: usize,
}

const fn connect_timeout() -> Duration {
    Duration::from_secs(5)
}

const fn first_byte_timeout() -> Duration {
    Duration::from_mins(1)
}

const fn silence_timeout() -> Duration {
    Duration::from_secs(30)
}

const fn answer_bytes() -> usize {
    8 << 20
}

#[cfg(test)]
mod tests {
    use super::*;
    use service::config::{Content, parse};
    use std::path::Path;

    #[test]
    fn a_configuration_is_read_and_unknown_keys_are_refused() {
        let text = "limits: {rounds: 5, wall: 2m}\nturns: {lease: 10s}\nrouting: {strategy: cost}\n\
             providers: {openai: {base_url: \"https://api.openai.com/v1\"}}\n\
             models: [{name: large, provider: openai, tiers: [pro, enterprise], quality: 9, input_micro_usd: 2500000}]\n";
        let config: HarnessConfig = parse(Path::new("config.yaml"), text, Content::Public).unwrap();
        assert_eq!((config.limits.rounds, config.limits.wall), (5, Duration::from_mins(2)));
        assert_eq!(config.models[0].tiers.len(), 2);
        assert_eq!(config.providers["openai"].silence_timeout, Duration::from_secs(30));
        for wrong in ["limits: {round: 5}", "limits: {wall: 5}", "modles: []", "models: [{name: x, price: 1.5}]"] {
            assert!(parse::<HarnessConfig>(Path::new("config.yaml"), wrong, Content::Public).is_err(), "{wrong}");
        }
    }
}
