//! Who works, when something last happened, and the gate that keeps work out while the container falls asleep.

use super::{BusyCounts, BusyReason, Decision, Facts, decide};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;

/// The container is falling asleep: the caller is to be told to try again later.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the container is going to sleep; try again in a moment")]
pub struct Asleep;

#[derive(Debug)]
struct State {
    last_activity: Duration,
    busy: BusyCounts,
    closed: bool,
}

/// The facts of the decision; cloned handles are one.
#[derive(Debug, Clone)]
pub struct Activity {
    state: Arc<Mutex<State>>,
    /// Counts changes.
    changed: watch::Sender<u64>,
    started: Instant,
    idle_timeout: Option<Duration>,
}

/// Keeps the container awake until it is dropped, which counts as activity.
#[derive(Debug)]
#[must_use = "dropping it at once keeps nothing awake"]
pub struct Busy {
    activity: Activity,
    reason: BusyReason,
}

impl Drop for Busy {
    fn drop(&mut self) {
        let mut state = self.activity.lock();
        let count = state.busy.get(self.reason);
        state.busy.set(self.reason, count.saturating_sub(1));
        state.last_activity = self.activity.started.elapsed();
        drop(state);
        self.activity.tell();
    }
}

impl Activity {
    /// A container that began this moment and sleeps after so much idle time; `None` = never.
    #[must_use]
    pub fn new(idle_timeout: Option<Duration>) -> Self {
        let state = State { last_activity: Duration::ZERO, busy: BusyCounts::default(), closed: false };
        let (state, changed) = (Arc::new(Mutex::new(state)), watch::Sender::new(0));
        Self { state, changed, started: Instant::now(), idle_timeout }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self) {
        self.changed.send_modify(|changes| *changes += 1);
    }

    /// An MCP call or another sign of the user.
    ///
    /// # Errors
    /// [`Asleep`] if it comes too late.
    pub fn touch(&self) -> Result<(), Asleep> {
        let mut state = self.lock();
        if state.closed {
            return Err(Asleep);
        }
        state.last_activity = self.started.elapsed();
        drop(state);
        self.tell();
        Ok(())
    }

    /// Begins something that keeps the container awake until the guard is dropped. It also is activity.
    ///
    /// # Errors
    /// [`Asleep`] if it comes too late.
    pub fn begin(&self, reason: BusyReason) -> Result<Busy, Asleep> {
        let mut state = self.lock();
        if state.closed {
            return Err(Asleep);
        }
        let count = state.busy.get(reason);
        state.busy.set(reason, count + 1);
        state.last_activity = self.started.elapsed();
        drop(state);
        self.tell();
        Ok(Busy { activity: self.clone(), reason })
    }

    /// What holds now; `unacked` is not counted here but by the outbox.
    #[must_use]
    pub fn facts(&self, unacked: u64) -> Facts {
        self.facts_of(&self.lock(), unacked)
    }

    fn facts_of(&self, state: &State, unacked: u64) -> Facts {
        let mut busy = state.busy;
        busy.set(BusyReason::UnackedEvents, busy.get(BusyReason::UnackedEvents) + unacked);
        let (now, last_activity) = (self.started.elapsed(), state.last_activity);
        Facts { now, last_activity, busy, idle_timeout: self.idle_timeout }
    }

    /// Closes the gate if the container may sleep this very moment: from then on nothing begins. True if it is closed.
    #[must_use]
    pub fn close_if_idle(&self, unacked: u64) -> bool {
        let mut state = self.lock();
        if decide(&self.facts_of(&state, unacked)) == Decision::Sleep {
            state.closed = true;
        }
        state.closed
    }

    /// Opens the gate again, when the sleep was given up. Counts as activity.
    pub fn reopen(&self) {
        let mut state = self.lock();
        state.closed = false;
        state.last_activity = self.started.elapsed();
        drop(state);
        self.tell();
    }

    /// Changes whenever something begins, ends or happens.
    pub(super) fn changes(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    /// A moment of the facts as one of tokio's clock.
    pub(super) fn instant(&self, at: Duration) -> Instant {
        self.started + at
    }
}
