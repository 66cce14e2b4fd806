//! What workers did, counted.

use super::outcome::Outcome;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// How a run ended: a closed set, the names of [`super::Ended::name`].
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct EndedLabel {
    /// The name.
    pub ended: &'static str,
}

/// Counters of all workers of this server.
#[derive(Debug, Default)]
pub struct WorkerMetrics {
    /// Processes that were started.
    pub started: Counter,
    /// Processes that have not been reaped yet.
    pub alive: Gauge,
    /// Runs by how they ended.
    pub ended: Family<EndedLabel, Counter>,
    /// Jobs refused because slots and queue were full.
    pub busy: Counter,
    /// Scratch directories that could not be removed.
    pub scratch_left: Counter,
    /// Processor time of ended workers, milliseconds.
    pub cpu_ms: Counter,
    /// Printed bytes that were dropped.
    pub output_dropped_bytes: Counter,
}

impl WorkerMetrics {
    /// Registers all under the prefix that `registry` carries.
    pub fn register(&self, registry: &mut Registry) {
        registry.register("started", "Workers started", self.started.clone());
        registry.register("alive", "Workers not reaped yet", self.alive.clone());
        registry.register("ended", "Runs by how they ended", self.ended.clone());
        registry.register("busy", "Jobs refused because slots and queue were full", self.busy.clone());
        registry.register("scratch_left", "Scratch directories that could not be removed", self.scratch_left.clone());
        registry.register("cpu_milliseconds", "Processor time of ended workers", self.cpu_ms.clone());
        registry.register("output_dropped_bytes", "Printed bytes that were dropped", self.output_dropped_bytes.clone());
    }

    pub(super) fn count(&self, outcome: &Outcome) {
        self.ended.get_or_create(&EndedLabel { ended: outcome.ended.name() }).inc();
        self.cpu_ms.inc_by(u64::try_from(outcome.cpu.as_millis()).unwrap_or(u64::MAX));
        let kept = outcome.stdout.len() + outcome.stderr.len();
        let kept = u64::try_from(kept).unwrap_or(u64::MAX);
        self.output_dropped_bytes.inc_by((outcome.stdout_bytes + outcome.stderr_bytes).saturating_sub(kept));
    }
}
