//! Group commit: a few threads call fdatasync; all appends that were written before one starts share it.

use super::partition::Partition;
use super::writer;
use crate::{LogError, Result};
use std::collections::VecDeque;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;

/// Threads that call fdatasync: partitions wait for the disk at the same time, and file systems join their journals.
const THREADS: usize = 4;

/// What is known to be on disk.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Durable {
    /// All records below this offset.
    pub(crate) offset: u64,
    /// An fdatasync failed: this will never grow again.
    pub(crate) poisoned: bool,
}

/// Partitions that want an fdatasync. Each is in it at most once, so it is bounded by their number.
#[derive(Debug, Default)]
pub(crate) struct SyncQueue {
    state: Mutex<State>,
    ready: Condvar,
}

#[derive(Debug, Default)]
struct State {
    partitions: VecDeque<Arc<Partition>>,
    closed: bool,
}

impl SyncQueue {
    /// Starts the threads.
    pub(crate) fn start(self: &Arc<Self>) -> Result<Vec<JoinHandle<()>>> {
        (0..THREADS)
            .map(|n| {
                let queue = Arc::clone(self);
                super::spawn_thread(&format!("log-sync-{n}"), move || queue.run())
            })
            .collect()
    }

    /// The threads finish what is queued and end.
    pub(crate) fn close(&self) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).closed = true;
        self.ready.notify_all();
    }

    fn push(&self, partition: Arc<Partition>) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).partitions.push_back(partition);
        self.ready.notify_one();
    }

    fn pop(&self) -> Option<Arc<Partition>> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if let Some(partition) = state.partitions.pop_front() {
                return Some(partition);
            }
            if state.closed {
                return None;
            }
            state = self.ready.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn run(&self) {
        while let Some(partition) = self.pop() {
            partition.sync_while_wanted();
        }
    }
}

impl Partition {
    /// Asks for everything below the offset to be put on disk, soon and by another thread.
    pub(crate) fn request_sync(self: &Arc<Self>, offset: u64) {
        self.wanted.fetch_max(offset, Ordering::SeqCst);
        if !self.scheduled.swap(true, Ordering::SeqCst) {
            self.shelf.syncs.push(Arc::clone(self));
        }
    }

    /// Like [`Partition::request_sync`] for an appender that is going to wait.
    pub(crate) fn request_sync_to_wait(self: &Arc<Self>, offset: u64) {
        if self.durable.borrow().offset < offset {
            self.gathering.arrive();
            self.request_sync(offset);
        }
    }

    /// Waits until everything below the offset, for which a sync was requested, is on disk.
    pub(crate) async fn durable_to(&self, offset: u64) -> Result<()> {
        let mut durable = self.durable.subscribe();
        let state = durable.wait_for(|d| d.offset >= offset || d.poisoned).await.map_err(|_| LogError::Closed)?;
        if state.offset >= offset { Ok(()) } else { Err(self.poisoned()) }
    }

    /// One fdatasync after the other while somebody waits for more than is on disk.
    fn sync_while_wanted(&self) {
        loop {
            self.gathering.sync_together(|| self.sync_now());
            self.scheduled.store(false, Ordering::SeqCst);
            let durable = *self.durable.borrow();
            let satisfied = durable.poisoned || self.wanted.load(Ordering::SeqCst) <= durable.offset;
            // Whoever wants more from here on finds the flag down and queues the partition itself.
            if satisfied || self.scheduled.swap(true, Ordering::SeqCst) {
                return;
            }
        }
    }

    /// One fdatasync of the active segment. Older segments were synced when they were closed.
    pub(crate) fn sync_now(&self) {
        if self.durable.borrow().poisoned {
            return;
        }
        let tail = self.tail();
        self.shelf.metrics.fsyncs.add(1);
        match tail.segment.file.sync() {
            Ok(()) => self.durable.send_if_modified(|durable| {
                let grew = !durable.poisoned && tail.offset > durable.offset;
                if grew {
                    durable.offset = tail.offset;
                }
                grew
            }),
            Err(error) => {
                writer::poisoned_by(&self.dir, &error);
                self.poison();
                true
            }
        };
    }
}
