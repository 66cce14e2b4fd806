//! The counters on the process's metrics page.

use crate::counters::{EngineCounters, RequestCounters, Value, ValueKind};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use service::metrics::collector::Collector;
use service::metrics::encoding::{DescriptorEncoder, EncodeMetric};
use std::fmt;
use std::sync::Arc;

/// Reads the counters whenever the page is asked for.
#[derive(Debug)]
pub(crate) struct RelayCollector {
    pub(crate) fan_out: Arc<EngineCounters>,
    pub(crate) requests: Arc<EngineCounters>,
    pub(crate) outcomes: Arc<RequestCounters>,
}

impl RelayCollector {
    /// All values with the prefix of their module.
    pub(crate) fn modules(&self) -> [(&'static str, Vec<Value>); 3] {
        [
            ("relay_fanout", self.fan_out.values()),
            ("relay_requests", self.requests.values()),
            ("relay_history", self.outcomes.values()),
        ]
    }
}

impl Collector for RelayCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        for (prefix, values) in self.modules() {
            for Value { name, help, kind, value } in values {
                // The text format adds `_total` to counters by itself.
                let name = format!("{prefix}_{}", name.strip_suffix("_total").unwrap_or(name));
                match kind {
                    ValueKind::Counter => {
                        let metric = ConstCounter::new(value);
                        metric.encode(encoder.encode_descriptor(&name, help, None, metric.metric_type())?)?;
                    }
                    ValueKind::Gauge => {
                        let metric = ConstGauge::new(i64::try_from(value).unwrap_or(i64::MAX));
                        metric.encode(encoder.encode_descriptor(&name, help, None, metric.metric_type())?)?;
                    }
                }
            }
        }
        Ok(())
    }
}
