//! Upkeep of the lake in the background: small files are merged after commits, superfluous ones are removed.
//!
//! A task of its own, so that no flush waits for a merge: an append and a rewrite of this process exclude each other only
//! while one of them changes the catalog. Stopping it at any moment is as safe as a kill: a rewrite is in the table as a
//! whole or not at all, and what it wrote in vain is swept later.

use crate::metrics::StreamMetrics;
use crate::status::Status;
use lake::{Lake, LakeError, Rewrite, Sweep, Table};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

/// When superfluous files are looked for: not during the rush of a start, then hourly.
const FIRST_SWEEP: Duration = Duration::from_secs(600);
const SWEEP_INTERVAL: Duration = Duration::from_secs(3600);
/// Wait after a failed rewrite; doubles up to the greatest.
const RETRY: Duration = Duration::from_secs(60);
const RETRY_MOST: Duration = Duration::from_secs(3600);

#[cfg(test)]
pub(crate) type Probe = Arc<dyn Fn() + Send + Sync>;

/// The task before it runs.
pub(crate) struct Upkeep {
    pub(crate) lake: Lake,
    pub(crate) epoch: u64,
    /// A flush has been committed. One notice waits at most.
    pub(crate) committed: Arc<Notify>,
    pub(crate) metrics: StreamMetrics,
    pub(crate) status: Status,
    pub(crate) stop: CancellationToken,
    #[cfg(test)]
    pub(crate) probe: Option<Probe>,
}

impl Upkeep {
    /// Works until stopped, or until a newer writer is at work.
    pub(crate) async fn run(self) {
        let stop = self.stop.clone();
        tokio::select! {
            () = stop.cancelled() => {}
            () = self.work() => {}
        }
    }

    async fn work(self) {
        let (mut wait, mut not_before) = (RETRY, Instant::now());
        let mut sweep_at = Instant::now() + FIRST_SWEEP;
        loop {
            tokio::select! {
                () = sleep_until(sweep_at) => {
                    self.sweep().await;
                    sweep_at = Instant::now() + SWEEP_INTERVAL;
                    continue;
                }
                () = self.committed.notified() => {}
            }
            if Instant::now() < not_before {
                continue;
            }
            match self.rewrite().await {
                Ok(()) => wait = RETRY,
                // The next flush of the committer finds out too, and ends the process.
                Err(LakeError::Fenced { .. }) => return,
                Err(error) => {
                    self.metrics.rewrite_failures.inc();
                    warn!(%error, wait_s = wait.as_secs(), "small files not merged");
                    not_before = Instant::now() + wait;
                    wait = (wait * 2).min(RETRY_MOST);
                }
            }
        }
    }

    async fn rewrite(&self) -> Result<(), LakeError> {
        #[cfg(test)]
        if let Some(probe) = &self.probe {
            probe();
        }
        let started = Instant::now();
        let done: BTreeMap<Table, Rewrite> = self.lake.rewrite(self.epoch, service::clock::now_ns()).await?;
        for (table, rewrite) in done.iter().filter(|(_, rewrite)| rewrite.snapshot_id.is_some()) {
            self.metrics.rewritten(table.name(), rewrite);
            self.metrics.rewrite_seconds.observe(started.elapsed().as_secs_f64());
            self.status.rewritten(rewrite);
            debug!(%table, ?rewrite, "small files merged");
        }
        Ok(())
    }

    /// A failure concerns nobody: it is tried again an hour later.
    async fn sweep(&self) {
        match self.lake.sweep_orphans(service::clock::now_ns()).await {
            Ok(tables) => {
                for Sweep { removed, removed_bytes, .. } in tables.values() {
                    self.metrics.swept_files.inc_by(*removed as u64);
                    self.metrics.swept_bytes.inc_by(*removed_bytes);
                }
                debug!(?tables, "superfluous files removed");
            }
            Err(error) => {
                self.metrics.sweep_failures.inc();
                warn!(%error, "superfluous files not removed");
            }
        }
    }
}
