//! Counters of the MCP server.

use super::auth::AuthError;
use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use service::metrics::ModuleMetrics;
use std::time::Duration;

/// Name of a tool that this server has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct ToolName(pub(crate) &'static str);

impl EncodeLabelValue for ToolName {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> Result<(), std::fmt::Error> {
        EncodeLabelValue::encode(&self.0, encoder)
    }
}

/// How a call ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelValue)]
pub(crate) enum Ended {
    /// It did what was asked.
    Done,
    /// The tool says why not.
    Refused,
    /// The caller went away or cancelled.
    Cancelled,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CallLabels {
    tool: ToolName,
    ended: Ended,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ToolLabels {
    tool: ToolName,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReasonLabels {
    reason: ToolName,
}

fn seconds() -> Histogram {
    Histogram::new(exponential_buckets(0.000_25, 4.0, 10))
}

/// Calls of tools.
#[derive(Debug, Clone)]
pub(crate) struct CallMetrics {
    calls: Family<CallLabels, Counter>,
    seconds: Family<ToolLabels, Histogram, fn() -> Histogram>,
}

impl CallMetrics {
    pub(crate) fn new(module: &ModuleMetrics) -> Self {
        Self {
            calls: module.counter_vec("calls_total", "Tool calls by how they ended"),
            seconds: module.histogram_vec("call_seconds", "Time of a tool call", seconds as fn() -> Histogram),
        }
    }

    pub(crate) fn count(&self, tool: &'static str, ended: Ended, took: Duration) {
        let tool = ToolName(tool);
        self.calls.get_or_create(&CallLabels { tool, ended }).inc();
        self.seconds.get_or_create(&ToolLabels { tool }).observe(took.as_secs_f64());
    }
}

/// Requests that were not let in.
#[derive(Debug, Clone)]
pub(crate) struct Refused(Family<ReasonLabels, Counter>);

impl Refused {
    pub(crate) fn new(module: &ModuleMetrics) -> Self {
        Self(module.counter_vec("refused_total", "Requests refused before they were read, by reason"))
    }

    pub(crate) fn count(&self, error: AuthError) {
        self.reason(error.name());
    }

    pub(crate) fn reason(&self, reason: &'static str) {
        self.0.get_or_create(&ReasonLabels { reason: ToolName(reason) }).inc();
    }
}
