//! Metrics of containers, of calls to them, and of the proxy.

use crate::provisioner::{How, Phase, ProvisionError};
use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use service::metrics::Metrics;
use std::time::Duration;

/// A name out of a closed set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Word(&'static str);

impl EncodeLabelValue for Word {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> Result<(), std::fmt::Error> {
        EncodeLabelValue::encode(&self.0, encoder)
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StateLabels {
    state: Word,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct HowLabels {
    how: Word,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReasonLabels {
    reason: Word,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct EndedLabels {
    ended: Word,
}

/// All metrics of this crate.
#[derive(Debug, Clone)]
pub struct ContainerMetrics {
    containers: Family<StateLabels, Gauge>,
    starts: Family<HowLabels, Counter>,
    start_seconds: Histogram,
    pub(crate) crashes: Counter,
    refused: Family<ReasonLabels, Counter>,
    calls: Family<EndedLabels, Counter>,
    pub(crate) call_seconds: Histogram,
    pub(crate) repeated: Counter,
    pub(crate) connections: Gauge,
    pub(crate) evicted: Counter,
    pub(crate) pictures_dropped: Counter,
    proxied: Family<EndedLabels, Counter>,
    pub(crate) streams: Gauge,
    proxy_refused: Family<ReasonLabels, Counter>,
}

impl ContainerMetrics {
    /// Registers them; once per process.
    #[must_use]
    pub fn new(metrics: &Metrics) -> Self {
        let (containers, calls, proxy) = (
            metrics.module("gateway_container"),
            metrics.module("gateway_container_call"),
            metrics.module("gateway_mcp_proxy"),
        );
        let seconds = || exponential_buckets(0.001, 3.0, 12);
        Self {
            containers: containers.gauge_vec("count", "Containers of this replica by state"),
            starts: containers.counter_vec("starts_total", "Containers started, by what made it necessary"),
            start_seconds: containers.histogram(
                "start_seconds",
                "From the wish to a container that answers",
                seconds(),
            ),
            crashes: containers.counter("crashes_total", "Containers that ended by themselves, and not to sleep"),
            refused: containers.counter_vec("refused_total", "Containers that could not be had, by reason"),
            calls: calls.counter_vec("ended_total", "Calls of tools in containers by how they ended"),
            call_seconds: calls.histogram("seconds", "Time of a call of a tool in a container", seconds()),
            repeated: calls.counter("repeated_total", "Calls that were sent again after a container was lost"),
            connections: calls.gauge("connections", "Users whose connection is kept"),
            evicted: calls.counter("evicted_total", "Connections closed to make room for another user's"),
            pictures_dropped: calls.counter("pictures_dropped_total", "Pictures that were too many or too large"),
            proxied: proxy.counter_vec("requests_total", "Requests of external MCP clients by how they ended"),
            streams: proxy.gauge("streams", "Requests and streams of external MCP clients under way"),
            proxy_refused: proxy.counter_vec("refused_total", "Requests of external MCP clients refused, by reason"),
        }
    }

    pub(crate) fn count(&self, phase: Phase, containers: usize) {
        let state = Word(match phase {
            Phase::Absent => "absent",
            Phase::Starting => "starting",
            Phase::Ready => "ready",
            Phase::Asleep => "asleep",
            Phase::Failed => "failed",
        });
        let gauge = self.containers.get_or_create(&StateLabels { state });
        gauge.set(i64::try_from(containers).unwrap_or(i64::MAX));
    }

    pub(crate) fn started(&self, how: How, took: Duration) {
        let how = Word(match how {
            How::Reused => return,
            How::Created => "created",
            How::Woken => "woken",
            How::Restarted => "restarted",
            How::Replaced => "replaced",
        });
        self.starts.get_or_create(&HowLabels { how }).inc();
        self.start_seconds.observe(took.as_secs_f64());
    }

    pub(crate) fn refused(&self, error: &ProvisionError) {
        self.refused.get_or_create(&ReasonLabels { reason: Word(error.code()) }).inc();
    }

    pub(crate) fn called(&self, ended: &'static str, took: Duration) {
        self.calls.get_or_create(&EndedLabels { ended: Word(ended) }).inc();
        self.call_seconds.observe(took.as_secs_f64());
    }

    pub(crate) fn proxied(&self, ended: &'static str) {
        self.proxied.get_or_create(&EndedLabels { ended: Word(ended) }).inc();
    }

    pub(crate) fn proxy_refused(&self, reason: &'static str) {
        self.proxy_refused.get_or_create(&ReasonLabels { reason: Word(reason) }).inc();
    }
}
