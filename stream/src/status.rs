//! What `/status` shows, and how far the stream is behind the log.

use crate::checkpoint::Positions;
use crate::metrics::StreamMetrics;
use eventlog::EventLog;
use lake::Rewrite;
use proto::LogTopic;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use tracing::warn;

const LAG_INTERVAL: Duration = Duration::from_secs(1);

#[derive(Debug, Default)]
struct Facts {
    positions: Positions,
    lag: BTreeMap<(LogTopic, u32), u64>,
    keys: i64,
    rows_waiting: usize,
    reading_paused: bool,
    last_flush: u64,
    rewrites: u64,
    rewritten_files: u64,
    rewritten_rows: u64,
}

/// Diagnostics of a running stream; clones share it.
#[derive(Debug, Clone, Default)]
pub struct Status(Arc<Mutex<Facts>>);

impl Status {
    fn facts(&self) -> MutexGuard<'_, Facts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn report(&self, positions: &Positions, keys: i64, rows_waiting: usize, reading_paused: bool) {
        let mut facts = self.facts();
        facts.positions.clone_from(positions);
        facts.keys = keys;
        facts.rows_waiting = rows_waiting;
        facts.reading_paused = reading_paused;
    }

    pub(crate) fn flushed(&self, id: u64) {
        self.facts().last_flush = id;
    }

    pub(crate) fn rewritten(&self, rewrite: &Rewrite) {
        let mut facts = self.facts();
        facts.rewrites += 1;
        facts.rewritten_files += rewrite.files_removed as u64;
        facts.rewritten_rows += rewrite.rows;
    }

    /// The next offset wanted of each input partition that was read from.
    #[must_use]
    pub fn positions(&self) -> Positions {
        self.facts().positions.clone()
    }

    /// The diagnostics as JSON.
    #[must_use]
    pub fn json(&self) -> serde_json::Value {
        let facts = self.facts();
        let partitions: Vec<_> = facts
            .positions
            .iter()
            .map(|((topic, partition), next)| {
                serde_json::json!({
                    "topic": topic.name(),
                    "partition": partition,
                    "next_offset": next,
                    "lag_records": facts.lag.get(&(*topic, *partition)),
                })
            })
            .collect();
        serde_json::json!({
            "partitions": partitions,
            "keys": facts.keys,
            "rows_waiting": facts.rows_waiting,
            "reading_paused": facts.reading_paused,
            "last_flush": facts.last_flush,
            "lake_upkeep": {
                "rewrites": facts.rewrites,
                "rewritten_files": facts.rewritten_files,
                "rewritten_rows": facts.rewritten_rows,
            },
        })
    }
}

/// Compares the positions with the ends of the log once a second, until stopped.
pub(crate) async fn watch_lag(log: Arc<dyn EventLog>, status: Status, metrics: StreamMetrics, stop: CancellationToken) {
    let mut tick = tokio::time::interval(LAG_INTERVAL);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = tick.tick() => {}
        }
        let topics = match log.topics().await {
            Ok(topics) => topics,
            Err(error) => {
                warn!(%error, "lag not known");
                continue;
            }
        };
        let mut facts = status.facts();
        for info in topics {
            let Some(topic) = crate::recovery::SOURCES.into_iter().find(|topic| topic.name() == info.spec.name) else {
                continue;
            };
            for (partition, info) in (0u32..).zip(&info.partitions) {
                let Some(next) = facts.positions.get(&(topic, partition)) else { continue };
                let lag = info.high.saturating_sub(*next);
                facts.lag.insert((topic, partition), lag);
                metrics.lag(topic, partition, lag);
            }
        }
    }
}
