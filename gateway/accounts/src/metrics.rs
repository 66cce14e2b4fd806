//! Counters of accounts. Labels are closed sets: never a name, an address or an id.

use crate::audit::{Event, Outcome};
use crate::issuer::TokenError;
use crate::tier::Quota;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::family::Family;
use service::metrics::{Counter, EncodeLabelValue, LabelValueEncoder, ModuleMetrics};

/// Counters of accounts.
#[derive(Debug, Clone)]
pub struct AccountsMetrics {
    attempts: Family<AttemptLabels, Counter>,
    tokens_refused: Family<TokenLabels, Counter>,
    over_quota: Family<QuotaLabels, Counter>,
    pub(crate) hashes: Counter,
    pub(crate) hashing_refused: Counter,
    pub(crate) hot_store_failures: Counter,
    pub(crate) store_failures: Counter,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct AttemptLabels {
    event: Name,
    outcome: Name,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct TokenLabels {
    reason: Name,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct QuotaLabels {
    quota: Name,
}

/// A name of a closed set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Name(&'static str);

impl EncodeLabelValue for Name {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> Result<(), std::fmt::Error> {
        EncodeLabelValue::encode(&self.0, encoder)
    }
}

impl AccountsMetrics {
    /// Registers them.
    #[must_use]
    pub fn new(module: &ModuleMetrics) -> Self {
        Self {
            attempts: module.counter_vec("attempts_total", "Access attempts that the audit trail holds, by outcome"),
            tokens_refused: module.counter_vec("tokens_refused_total", "Access tokens and API keys refused, by reason"),
            over_quota: module.counter_vec("over_quota_total", "Requests over a quota, by quota"),
            hashes: module.counter("hashes_total", "Passwords hashed"),
            hashing_refused: module.counter("hashing_refused_total", "Passwords not looked at: too many at one time"),
            hot_store_failures: module
                .counter("hot_store_failures_total", "Limits counted in this process as the hot store did not answer"),
            store_failures: module.counter("store_failures_total", "Operations that the store failed"),
        }
    }

    pub(crate) fn attempt(&self, event: Event, outcome: Outcome) {
        let labels = AttemptLabels { event: Name(event.name()), outcome: Name(outcome.name()) };
        self.attempts.get_or_create(&labels).inc();
    }

    pub(crate) fn token_refused(&self, error: TokenError) {
        self.tokens_refused.get_or_create(&TokenLabels { reason: Name(error.name()) }).inc();
    }

    pub(crate) fn over_quota(&self, quota: Quota) {
        self.over_quota.get_or_create(&QuotaLabels { quota: Name(quota.name()) }).inc();
    }

    pub(crate) fn over_address_quota(&self) {
        self.over_quota.get_or_create(&QuotaLabels { quota: Name("sign_ins_of_address") }).inc();
    }
}
