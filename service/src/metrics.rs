//! One metrics registry per process; each module registers under the prefix it is handed.
//!
//! Names are `<process>_<module>_<thing>_<unit|total>`, all listed in docs/metrics.md (a test compares). Labels come from
//! closed enums only.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::family::{Family, MetricConstructor};
use prometheus_client::registry::{Metric, Registry};
use std::fmt::Debug;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};

pub use prometheus_client::encoding::{EncodeLabelValue, LabelValueEncoder};
pub use prometheus_client::metrics::counter::Counter;
pub use prometheus_client::metrics::gauge::Gauge;
pub use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
pub use prometheus_client::{collector, encoding, registry};

/// The registry of a process.
#[derive(Debug, Clone, Default)]
pub struct Metrics {
    registry: Arc<Mutex<Registry>>,
}

/// A module's place in the registry.
#[derive(Debug, Clone)]
pub struct ModuleMetrics {
    metrics: Metrics,
    prefix: String,
}

impl Metrics {
    /// An empty registry.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The place of a module; `prefix` is `<process>_<module>`.
    #[must_use]
    pub fn module(&self, prefix: &str) -> ModuleMetrics {
        ModuleMetrics { metrics: self.clone(), prefix: prefix.to_owned() }
    }

    /// All metrics in the OpenMetrics text format.
    #[must_use]
    pub fn render(&self) -> String {
        let mut text = String::new();
        let registry = self.registry.lock().unwrap_or_else(PoisonError::into_inner);
        // Writing to a String cannot fail; a broken collector would show as a cut page.
        if encode(&mut text, &registry).is_err() {
            text.push_str("# a collector failed\n");
        }
        text
    }

    /// Adds a collector, for values that live elsewhere (atomics of an engine).
    pub fn collector(&self, collector: Box<dyn collector::Collector>) {
        self.registry.lock().unwrap_or_else(PoisonError::into_inner).register_collector(collector);
    }
}

impl ModuleMetrics {
    fn register<M: Metric + Clone>(&self, name: &str, help: &str, metric: M) -> M {
        // The text format adds `_total` to counters by itself.
        let name = format!("{}_{}", self.prefix, name.strip_suffix("_total").unwrap_or(name));
        self.metrics.registry.lock().unwrap_or_else(PoisonError::into_inner).register(name, help, metric.clone());
        metric
    }

    /// A counter.
    #[must_use]
    pub fn counter(&self, name: &str, help: &str) -> Counter {
        self.register(name, help, Counter::default())
    }

    /// A gauge.
    #[must_use]
    pub fn gauge(&self, name: &str, help: &str) -> Gauge {
        self.register(name, help, Gauge::default())
    }

    /// A histogram in base units (seconds, bytes).
    #[must_use]
    pub fn histogram(&self, name: &str, help: &str, buckets: impl Iterator<Item = f64>) -> Histogram {
        self.register(name, help, Histogram::new(buckets))
    }

    /// A counter per label set; the labels are a struct of closed enums.
    #[must_use]
    pub fn counter_vec<L>(&self, name: &str, help: &str) -> Family<L, Counter>
    where
        L: Clone + Hash + Eq + EncodeLabelSet + Debug + Send + Sync + 'static,
    {
        self.register(name, help, Family::default())
    }

    /// A gauge per label set.
    #[must_use]
    pub fn gauge_vec<L>(&self, name: &str, help: &str) -> Family<L, Gauge>
    where
        L: Clone + Hash + Eq + EncodeLabelSet + Debug + Send + Sync + 'static,
    {
        self.register(name, help, Family::default())
    }

    /// A histogram per label set.
    #[must_use]
    pub fn histogram_vec<L, C>(&self, name: &str, help: &str, constructor: C) -> Family<L, Histogram, C>
    where
        L: Clone + Hash + Eq + EncodeLabelSet + Debug + Send + Sync + 'static,
        C: MetricConstructor<Histogram> + Clone + Send + Sync + Debug + 'static,
    {
        self.register(name, help, Family::new_with_constructor(constructor))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_counter_is_rendered_under_its_module_with_total() {
        let metrics = Metrics::new();
        let dropped = metrics.module("relay_fanout").counter("dropped_total", "Messages dropped");
        dropped.inc_by(3);
        assert!(metrics.render().contains("relay_fanout_dropped_total 3\n"), "{}", metrics.render());
    }
}
