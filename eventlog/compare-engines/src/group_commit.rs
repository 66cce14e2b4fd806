//! One durable write at a time; what arrives meanwhile shares the next.

use anyhow::{Result, anyhow};
use std::sync::{Condvar, Mutex, PoisonError};

/// Counts of records that wait, are being written, and are durable.
#[derive(Default)]
struct State {
    queued: u64,
    durable: u64,
    writing: bool,
    failed: bool,
}

/// Group commit over a function that writes so many records durably.
#[derive(Default)]
pub struct GroupCommit {
    state: Mutex<State>,
    changed: Condvar,
}

impl GroupCommit {
    /// Returns when the records are durable. The first waiter writes for all.
    pub fn append(&self, records: u64, write: impl Fn(u64, u64) -> Result<()>) -> Result<()> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.queued += records;
        let mine = state.queued;
        while state.durable < mine {
            if state.failed {
                return Err(anyhow!("an earlier write failed"));
            }
            if state.writing {
                state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            state.writing = true;
            let (from, to) = (state.durable, state.queued);
            drop(state);
            let written = write(from, to);
            state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            state.writing = false;
            state.failed = written.is_err();
            self.changed.notify_all();
            written?;
            state.durable = to;
        }
        Ok(())
    }
}
