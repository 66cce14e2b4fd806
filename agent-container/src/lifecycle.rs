//! When the container may go to sleep, and how it does so that nobody has to guess.
//!
//! [`decide`] is pure: facts and a monotonic clock in, a decision out. [`Activity`] holds the facts; whoever works holds
//! a [`Busy`] guard. [`Supervisor`] waits for the decision. [`marker`] is what is left behind.
//!
//! The order of a sleep: the decision; [`Activity::close_if_idle`], after which no work begins; the outbox, git and the
//! database are closed; the marker is fsynced; exit 42. The order is what makes 42 mean "intended": an exit without
//! marker, or with another code, is a crash. A process that finds the marker of its own pod at its start serves nothing
//! until the marker is taken away ([`marker::judge`]).
//!
//! Invariants: the container never sleeps while anything in [`BusyReason`] holds; after the gate is closed nothing begins
//! until [`Activity::reopen`]; the wall clock decides nothing.

mod activity;
mod leaving;
pub mod marker;
mod supervisor;

pub use activity::{Activity, Asleep, Busy};
pub use leaving::{EXIT_NO_MARKER, EXIT_STOPPED, Farewell};
pub use supervisor::{Ending, Supervisor};

use std::time::Duration;

/// Exit code of an intended stop; anything else but 0 is a crash.
pub const EXIT_ASLEEP: u8 = 42;

/// What forbids sleep. In the order in which it is reported when several hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum BusyReason {
    /// A critical event is not acked.
    UnackedEvents,
    /// An order waits for approval.
    PendingApproval,
    /// A strategy of this container is connected and live.
    LiveStrategy,
    /// A backtest, a Python run or another job.
    RunningJob,
    /// A trigger that lives in this container. (Those of the platform wake a container and need not keep it awake.)
    ActiveTrigger,
    /// An MCP request is being answered.
    Request,
}

impl BusyReason {
    /// All reasons, in their order.
    pub const ALL: [Self; 6] = [
        Self::UnackedEvents,
        Self::PendingApproval,
        Self::LiveStrategy,
        Self::RunningJob,
        Self::ActiveTrigger,
        Self::Request,
    ];

    /// Its name in logs and on `/status`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::UnackedEvents => "unacked_events",
            Self::PendingApproval => "pending_approval",
            Self::LiveStrategy => "live_strategy",
            Self::RunningJob => "running_job",
            Self::ActiveTrigger => "active_trigger",
            Self::Request => "request",
        }
    }
}

/// How many hold of each reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct BusyCounts([u64; BusyReason::ALL.len()]);

impl BusyCounts {
    /// How many hold.
    #[must_use]
    pub const fn get(&self, reason: BusyReason) -> u64 {
        self.0[reason as usize]
    }

    /// Sets how many hold.
    pub const fn set(&mut self, reason: BusyReason, count: u64) {
        self.0[reason as usize] = count;
    }

    /// The first reason that holds.
    #[must_use]
    pub fn first(&self) -> Option<BusyReason> {
        BusyReason::ALL.into_iter().find(|reason| self.get(*reason) > 0)
    }
}

/// Everything that the decision needs. Times are since any fixed moment of a monotonic clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Facts {
    /// Now.
    pub now: Duration,
    /// The last MCP call began, or the last reason to be busy ended.
    pub last_activity: Duration,
    /// What holds now.
    pub busy: BusyCounts,
    /// Idle time after which to sleep; `None` = never.
    pub idle_timeout: Option<Duration>,
}

/// What to do now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// Stay, whatever happens: this container never sleeps.
    Never,
    /// Stay as long as this holds.
    Busy(BusyReason),
    /// Stay, and ask again at this time unless something happens before.
    Wait {
        /// When the idle time would be over.
        until: Duration,
    },
    /// Go to sleep.
    Sleep,
}

/// Whether to sleep.
#[must_use]
pub fn decide(facts: &Facts) -> Decision {
    let Some(timeout) = facts.idle_timeout else { return Decision::Never };
    if let Some(reason) = facts.busy.first() {
        return Decision::Busy(reason);
    }
    let until = facts.last_activity.saturating_add(timeout);
    if facts.now >= until { Decision::Sleep } else { Decision::Wait { until } }
}

#[cfg(test)]
mod tests;
