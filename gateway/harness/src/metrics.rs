//! Counters of the harness.

use crate::event::Outcome;
use crate::model::ModelError;
use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue};
use prometheus_client::metrics::family::Family;
use service::metrics::{Counter, Gauge, Histogram, Metrics, exponential_buckets};

/// How a turn ended, as a label.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelValue)]
enum OutcomeValue {
    Complete,
    Stopped,
    Limited,
    Refused,
    Failed,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OutcomeLabel {
    outcome: OutcomeValue,
}

/// Why a request to a model failed, as a label.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelValue)]
enum Cause {
    Busy,
    Failed,
    Refused,
    Unreachable,
    Silent,
    Cut,
    Malformed,
    TooLong,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CauseLabel {
    cause: Cause,
}

/// The metrics under `gateway_harness_`.
#[derive(Debug, Clone)]
pub struct HarnessMetrics {
    pub(crate) turns_started: Counter,
    turns_ended: Family<OutcomeLabel, Counter>,
    pub(crate) turns_running: Gauge,
    pub(crate) turns_refused: Counter,
    pub(crate) turns_taken_over: Counter,
    pub(crate) turns_given_up: Counter,
    pub(crate) leases_lost: Counter,
    model_failures: Family<CauseLabel, Counter>,
    pub(crate) breakers_opened: Counter,
    pub(crate) calls_started: Counter,
    pub(crate) calls_malformed: Counter,
    pub(crate) calls_left_behind: Counter,
    pub(crate) progress_dropped: Counter,
    pub(crate) context_missing: Counter,
    pub(crate) saves_failed: Counter,
    pub(crate) tokens_input: Counter,
    pub(crate) tokens_output: Counter,
    pub(crate) cost_micro_usd: Counter,
    pub(crate) store_groups: Counter,
    pub(crate) store_writes: Counter,
    pub(crate) store_retries: Counter,
    pub(crate) watchers: Gauge,
    pub(crate) turn_seconds: Histogram,
    pub(crate) first_text_seconds: Histogram,
}

impl HarnessMetrics {
    /// Registers all of them.
    #[must_use]
    pub fn new(metrics: &Metrics) -> Self {
        let module = metrics.module("gateway_harness");
        let seconds = || exponential_buckets(0.001, 2.0, 20);
        Self {
            turns_started: module.counter("turns_started_total", "Turns that began here"),
            turns_ended: module.counter_vec("turns_ended_total", "Turns that ended here, by outcome"),
            turns_running: module.gauge("turns_running", "Turns that run here"),
            turns_refused: module.counter("turns_refused_total", "Messages refused because too many run or wait"),
            turns_taken_over: module.counter("turns_taken_over_total", "Turns carried on from a replica that died"),
            turns_given_up: module.counter("turns_given_up_total", "Turns left to others: no lease, or no turn log"),
            leases_lost: module.counter("leases_lost_total", "Times that this replica was declared dead"),
            model_failures: module.counter_vec("model_failures_total", "Failed requests to models, by cause"),
            breakers_opened: module
                .counter("breakers_opened_total", "Times that a model was left alone after failures"),
            calls_started: module.counter("calls_started_total", "Calls of tools"),
            calls_malformed: module.counter("calls_malformed_total", "Calls that could not be read"),
            calls_left_behind: module.counter("calls_left_behind_total", "Calls that did not end in time after a stop"),
            progress_dropped: module
                .counter("progress_dropped_total", "Reports of progress dropped because the turn was behind"),
            context_missing: module.counter("context_missing_total", "Turns without context or memories"),
            saves_failed: module.counter("saves_failed_total", "Messages that could not be saved at once"),
            tokens_input: module.counter("tokens_input_total", "Tokens of prompts"),
            tokens_output: module.counter("tokens_output_total", "Tokens of answers"),
            cost_micro_usd: module.counter("cost_micro_usd_total", "Money spent on models, millionths of a US dollar"),
            store_groups: module.counter("store_groups_total", "Transactions of the turn log"),
            store_writes: module.counter("store_writes_total", "Writes grouped into them"),
            store_retries: module.counter("store_retries_total", "Transactions tried again"),
            watchers: module.gauge("watchers", "Streams of events that are read"),
            turn_seconds: module.histogram("turn_seconds", "From the message to the end of its answer", seconds()),
            first_text_seconds: module.histogram("first_text_seconds", "From the message to the first text", seconds()),
        }
    }

    pub(crate) fn ended(&self, outcome: Outcome) {
        let outcome = match outcome {
            Outcome::Complete => OutcomeValue::Complete,
            Outcome::Stopped => OutcomeValue::Stopped,
            Outcome::Limited => OutcomeValue::Limited,
            Outcome::Refused => OutcomeValue::Refused,
            Outcome::Failed => OutcomeValue::Failed,
        };
        self.turns_ended.get_or_create(&OutcomeLabel { outcome }).inc();
    }

    pub(crate) fn model_failed(&self, error: &ModelError) {
        let cause = match error {
            ModelError::Busy { .. } => Cause::Busy,
            ModelError::Failed { .. } => Cause::Failed,
            ModelError::Refused { .. } => Cause::Refused,
            ModelError::Unreachable => Cause::Unreachable,
            ModelError::Silent { .. } => Cause::Silent,
            ModelError::Cut => Cause::Cut,
            ModelError::Malformed(_) => Cause::Malformed,
            ModelError::TooLong { .. } => Cause::TooLong,
        };
        self.model_failures.get_or_create(&CauseLabel { cause }).inc();
    }
}
