//! The thread that puts appends of [`crate::Durability::Interval`] on disk within the sync interval.

use super::partition::Partition;
use crate::Result;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

/// Partitions with appends that no sync was asked for yet. Each is in it at most once.
#[derive(Debug, Default)]
pub(crate) struct Flusher {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    dirty: Vec<Arc<Partition>>,
    closed: bool,
}

impl Flusher {
    /// Starts the thread.
    pub(crate) fn start(self: &Arc<Self>, interval: Duration) -> Result<JoinHandle<()>> {
        let flusher = Arc::clone(self);
        super::spawn_thread("log-flush", move || flusher.run(interval))
    }

    /// The partition has new records that need no ack from the disk.
    pub(crate) fn mark(&self, partition: &Arc<Partition>) {
        if partition.dirty.swap(true, Ordering::SeqCst) {
            return;
        }
        self.state.lock().unwrap_or_else(PoisonError::into_inner).dirty.push(Arc::clone(partition));
        self.changed.notify_one();
    }

    /// Ends the thread. What is dirty is synced by [`Partition::close`].
    pub(crate) fn close(&self) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).closed = true;
        self.changed.notify_all();
    }

    fn run(&self, interval: Duration) {
        loop {
            let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            let idle = self.changed.wait_while(state, |s| s.dirty.is_empty() && !s.closed);
            // From the first dirty partition on, collect for one interval.
            let state = idle.unwrap_or_else(PoisonError::into_inner);
            let (mut state, _timeout) =
                self.changed.wait_timeout_while(state, interval, |s| !s.closed).unwrap_or_else(PoisonError::into_inner);
            if state.closed {
                return;
            }
            let dirty = std::mem::take(&mut state.dirty);
            drop(state);
            for partition in dirty {
                partition.dirty.store(false, Ordering::SeqCst);
                partition.request_sync(partition.tail().offset);
            }
        }
    }
}
