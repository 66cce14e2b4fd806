//! What workers did, counted.

use super::outcome::Outcome;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use service::metrics::ModuleMetrics;

/// How a run ended: a closed set, the names of [`super::Ended::name`].
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct EndedLabel {
    /// The name.
    pub ended: &'static str,
}

/// Counters of all workers of this server.
#[derive(Debug)]
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
    /// Registers all in a module's place.
    #[must_use]
    pub fn new(module: &ModuleMetrics) -> Self {
        Self {
            started: module.counter("started_total", "Workers started"),
            alive: module.gauge("alive", "Workers not reaped yet"),
            ended: module.counter_vec("ended_total", "Runs of user code by how they ended"),
            busy: module.counter("busy_total", "Jobs refused because slots and queue were full"),
            scratch_left: module.counter("scratch_left_total", "Scratch directories that could not be removed"),
            cpu_ms: module.counter("cpu_milliseconds_total", "Processor time of ended workers"),
            output_dropped_bytes: module.counter("output_dropped_bytes_total", "Printed bytes that were dropped"),
        }
    }

    pub(super) fn count(&self, outcome: &Outcome) {
        self.ended.get_or_create(&EndedLabel { ended: outcome.ended.name() }).inc();
        self.cpu_ms.inc_by(u64::try_from(outcome.cpu.as_millis()).unwrap_or(u64::MAX));
        let kept = outcome.stdout.len() + outcome.stderr.len();
        let kept = u64::try_from(kept).unwrap_or(u64::MAX);
        self.output_dropped_bytes.inc_by((outcome.stdout_bytes + outcome.stderr_bytes).saturating_sub(kept));
    }
}
