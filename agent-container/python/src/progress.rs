//! Tells the caller how far a job is, twice a second.

use crate::error::JobError;
use pyo3::prelude::*;
use std::cell::{Cell, RefCell};
use std::time::{Duration, Instant};

const PERIOD: Duration = Duration::from_millis(500);

/// Counts the events of all runs of a job and calls back with `(done, total)`.
pub(crate) struct Progress<'py> {
    py: Python<'py>,
    callback: Option<Bound<'py, PyAny>>,
    last: Cell<Instant>,
    done: Cell<u64>,
    total: Cell<u64>,
    failure: RefCell<Option<PyErr>>,
}

impl<'py> Progress<'py> {
    pub(crate) fn new(py: Python<'py>, callback: Option<Bound<'py, PyAny>>) -> Self {
        let [done, total] = [Cell::new(0), Cell::new(0)];
        Self { py, callback, last: Cell::new(Instant::now()), done, total, failure: RefCell::new(None) }
    }

    pub(crate) const fn py(&self) -> Python<'py> {
        self.py
    }

    /// More events are to come.
    pub(crate) fn expect(&self, events: u64) {
        self.total.set(self.total.get().saturating_add(events));
    }

    /// One event is done; looks at the clock at every `stride`th, a power of two. False if the caller wants no more.
    #[inline]
    pub(crate) fn advance(&self, stride: u64) -> bool {
        let done = self.done.get() + 1;
        self.done.set(done);
        if done & (stride - 1) != 0 {
            return true;
        }
        self.look()
    }

    fn look(&self) -> bool {
        if self.last.get().elapsed() < PERIOD {
            return true;
        }
        self.last.set(Instant::now());
        let done = self.done.get();
        let told = match &self.callback {
            Some(callback) => callback.call1((done, self.total.get().max(done))).map(drop),
            // Nobody counts, but Ctrl-C must be heard in runs that call no Python code.
            None => self.py.check_signals(),
        };
        match told {
            Ok(()) => true,
            Err(failure) => {
                *self.failure.borrow_mut() = Some(failure);
                false
            }
        }
    }

    /// Why the caller wants no more.
    pub(crate) fn check(&self) -> Result<(), JobError> {
        match self.failure.borrow_mut().take() {
            Some(failure) => Err(JobError::Progress(failure)),
            None => Ok(()),
        }
    }
}
