//! Waits until the container is to end, and says why.

use super::{Activity, Decision, decide};
use tokio::sync::watch;
use tokio::time::sleep_until;
use tokio_util::sync::CancellationToken;

/// Why the container ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// Nobody needs it: the gate is closed; close everything, write the marker, exit 42.
    Sleep,
    /// SIGTERM: persist, try to deliver within the grace period, exit 0.
    Terminated,
}

/// Watches activity and the outbox.
#[derive(Debug)]
pub struct Supervisor {
    activity: Activity,
    unacked: watch::Receiver<u64>,
}

impl Supervisor {
    /// `unacked` is [`crate::events::Outbox::watch_unacked`].
    #[must_use]
    pub const fn new(activity: Activity, unacked: watch::Receiver<u64>) -> Self {
        Self { activity, unacked }
    }

    /// Returns when the container may sleep, with the gate closed, or when it is told to stop.
    pub async fn ending(&mut self, stop: &CancellationToken) -> Ending {
        let mut changes = self.activity.changes();
        loop {
            // Looked at before the decision, so that a change during it is not missed.
            changes.borrow_and_update();
            let before = *self.unacked.borrow_and_update();
            let decision = decide(&self.activity.facts(before));
            if decision == Decision::Sleep && self.activity.close_if_idle(*self.unacked.borrow()) {
                return Ending::Sleep;
            }
            let wake = match decision {
                Decision::Wait { until } => Some(self.activity.instant(until)),
                // Refused at the gate: something began this moment.
                Decision::Sleep => Some(self.activity.instant(self.activity.facts(before).now)),
                Decision::Never | Decision::Busy(_) => None,
            };
            tokio::select! {
                biased;
                () = stop.cancelled() => return Ending::Terminated,
                Ok(()) = changes.changed() => {}
                changed = self.unacked.changed() => if changed.is_ok() {
                    // The gateway just took what kept us awake; the user may answer it.
                    self.noted_delivery(before);
                },
                () = sleep_until(wake.unwrap_or_else(|| self.activity.instant(std::time::Duration::ZERO))),
                    if wake.is_some() => {}
            }
        }
    }

    fn noted_delivery(&self, before: u64) {
        if before > 0 && *self.unacked.borrow() == 0 && self.activity.touch().is_err() {
            tracing::debug!("delivered while falling asleep");
        }
    }
}
