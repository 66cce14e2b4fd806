//! The thread that runs retention and compaction, one partition after the other.

use super::catalog::Catalog;
use super::file_lock::FileLock;
use super::partition::Partition;
use super::{Clock, compaction, retention};
use crate::{Result, TopicSpec};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

/// Upkeep of all partitions.
#[derive(Debug)]
pub(crate) struct Upkeep {
    catalog: Arc<Catalog>,
    clock: Clock,
    closed: Mutex<bool>,
    changed: Condvar,
}

impl Upkeep {
    /// Upkeep of a catalog's partitions.
    pub(crate) fn new(catalog: Arc<Catalog>, clock: Clock) -> Self {
        Self { catalog, clock, closed: Mutex::new(false), changed: Condvar::new() }
    }

    /// Starts the thread.
    pub(crate) fn start(self: &Arc<Self>, interval: Duration) -> Result<JoinHandle<()>> {
        let upkeep = Arc::clone(self);
        super::spawn_thread("log-upkeep", move || upkeep.wait_and_run(interval))
    }

    /// Ends the thread after the partition it is at.
    pub(crate) fn close(&self) {
        *self.closed.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.changed.notify_all();
    }

    fn is_closed(&self) -> bool {
        *self.closed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait_and_run(&self, interval: Duration) {
        loop {
            let closed = self.closed.lock().unwrap_or_else(PoisonError::into_inner);
            let (closed, _timeout) =
                self.changed.wait_timeout_while(closed, interval, |c| !*c).unwrap_or_else(PoisonError::into_inner);
            if *closed {
                return;
            }
            drop(closed);
            // A failure was counted and logged; the other partitions were kept up all the same.
            drop(self.run());
        }
    }

    /// Runs retention and compaction of all partitions now; the first failure is returned when all are done. Blocks.
    pub(crate) fn run(&self) -> Result<()> {
        let mut outcome = Ok(());
        for topic in self.catalog.all() {
            let spec = topic.spec();
            for partition in &topic.partitions {
                if self.is_closed() {
                    return outcome;
                }
                let done = self.keep(partition, &spec);
                if let Err(error) = &done {
                    partition.shelf.metrics.upkeep_failures.add(1);
                    tracing::warn!(%error, topic = %topic.name, partition = partition.number, "upkeep failed");
                }
                outcome = outcome.and(done);
            }
        }
        outcome
    }

    fn keep(&self, partition: &Arc<Partition>, spec: &TopicSpec) -> Result<()> {
        let lock = FileLock::open(&partition.dir.join("upkeep.lock"))?;
        // Another process is at it: that is enough.
        let Some(_held) = lock.try_exclusive()? else { return Ok(()) };
        if spec.retention != crate::Retention::default() {
            retention::run(partition, spec.retention, self.clock.now_ns())?;
        }
        if spec.compacted {
            compaction::run(partition, self.catalog.segment_bytes(spec))?;
        }
        Ok(())
    }
}
