//! The thread that looks for records of other processes, while readers wait for them.
//!
//! A poll of an idle partition is one fstat. The alternative, inotify, wakes once per write of any process, our own
//! included, which costs most when the log is busiest; a poll costs the same at any rate.

use super::partition::Partition;
use crate::Result;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

/// Partitions with waiting readers. Each is in it at most once.
#[derive(Debug, Default)]
pub(crate) struct Watchers {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    watched: Vec<Arc<Partition>>,
    closed: bool,
}

impl Watchers {
    /// Starts the thread.
    pub(crate) fn start(self: &Arc<Self>, poll: Duration) -> Result<JoinHandle<()>> {
        let watchers = Arc::clone(self);
        super::spawn_thread("log-tail", move || watchers.run(poll))
    }

    /// Ends the thread.
    pub(crate) fn close(&self) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).closed = true;
        self.changed.notify_all();
    }

    fn add(&self, partition: &Arc<Partition>) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if !state.watched.iter().any(|p| Arc::ptr_eq(p, partition)) {
            state.watched.push(Arc::clone(partition));
            self.changed.notify_one();
        }
    }

    fn run(&self, poll: Duration) {
        loop {
            let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            let busy = self.changed.wait_while(state, |s| s.watched.is_empty() && !s.closed);
            let state = busy.unwrap_or_else(PoisonError::into_inner);
            let (mut state, _timeout) =
                self.changed.wait_timeout_while(state, poll, |s| !s.closed).unwrap_or_else(PoisonError::into_inner);
            if state.closed {
                return;
            }
            state.watched.retain(|p| p.waiting.load(Ordering::SeqCst) > 0);
            let watched = state.watched.clone();
            drop(state);
            for partition in watched {
                if partition.refresh().is_err() {
                    partition.wake();
                }
            }
        }
    }
}

/// A reader waits at the end of a partition until this is dropped.
#[derive(Debug)]
pub(crate) struct Waiting<'a>(&'a Arc<Partition>);

impl<'a> Waiting<'a> {
    /// From now on other processes' records are looked for.
    pub(crate) fn new(partition: &'a Arc<Partition>) -> Self {
        partition.waiting.fetch_add(1, Ordering::SeqCst);
        if partition.shelf.shared {
            partition.shelf.watchers.add(partition);
        }
        Self(partition)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::SeqCst);
    }
}
