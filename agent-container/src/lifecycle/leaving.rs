//! The last steps of a process, in the order that makes its exit code true.

use super::marker::{Marker, Reason};
use super::{EXIT_ASLEEP, Ending};
use crate::events::Events;
use service::clock::Clock;
use std::path::PathBuf;
use std::time::Duration;

/// Where and as whom this process leaves its marker, and how long it may take to leave.
#[derive(Debug, Clone)]
pub struct Farewell {
    /// Directory of the marker, shared with the sidecar.
    pub marker_dir: PathBuf,
    /// Uid of the pod, or the start token of a process that is no pod.
    pub uid: String,
    /// Time to have critical events acked; shorter than the pod's grace period.
    pub grace: Duration,
}

/// Exit code of a stop that was asked for.
pub const EXIT_STOPPED: u8 = 0;
/// Exit code when the marker could not be written.
pub const EXIT_NO_MARKER: u8 = 1;

impl Farewell {
    /// Closes the events and says with which code to exit: call it when git and the database are closed, and exit at
    /// once. 42 is returned only when the marker is on disk and no critical event waits; a sleep that cannot be is a plain
    /// stop, after which the container is started again and delivers.
    pub async fn leave(self, ending: Ending, events: &Events, clock: &Clock) -> u8 {
        let left = events.shutdown(self.grace).await;
        match ending {
            Ending::Terminated => {
                tracing::info!(left, "stopped; critical events that are left wait for the next start");
                EXIT_STOPPED
            }
            Ending::Sleep if left > 0 => {
                tracing::error!(left, "critical events came while falling asleep; not asleep");
                EXIT_STOPPED
            }
            Ending::Sleep => self.mark(clock).await,
        }
    }

    async fn mark(self, clock: &Clock) -> u8 {
        let marker = Marker::new(self.uid, Reason::Idle, clock.now_ns());
        let dir = self.marker_dir;
        match tokio::task::spawn_blocking(move || marker.write(&dir)).await {
            Ok(Ok(())) => EXIT_ASLEEP,
            Ok(Err(error)) => {
                tracing::error!(%error, "without its marker this is no sleep");
                EXIT_NO_MARKER
            }
            Err(error) => {
                tracing::error!(%error, "the marker was not written");
                EXIT_NO_MARKER
            }
        }
    }
}
