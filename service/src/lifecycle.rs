//! One shutdown token and tracked tasks per process; a drain with a deadline that names who was late.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// The drain did not end in time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not drained after {after:?}: {late:?}")]
pub struct DrainTimeout {
    /// The deadline.
    pub after: Duration,
    /// Names of the tasks that still run.
    pub late: Vec<String>,
}

/// The life of a process: who runs, and the wish to stop.
#[derive(Debug, Clone)]
pub struct Lifecycle {
    token: CancellationToken,
    tracker: TaskTracker,
    running: Arc<Mutex<BTreeMap<u64, String>>>,
}

struct Running {
    id: u64,
    names: Arc<Mutex<BTreeMap<u64, String>>>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.names.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.id);
    }
}

impl Default for Lifecycle {
    fn default() -> Self {
        Self::new()
    }
}

impl Lifecycle {
    /// A process that runs.
    #[must_use]
    pub fn new() -> Self {
        Self { token: CancellationToken::new(), tracker: TaskTracker::new(), running: Arc::default() }
    }

    /// The token that is cancelled when the process shall stop.
    #[must_use]
    pub const fn token(&self) -> &CancellationToken {
        &self.token
    }

    /// Runs a task that the drain waits for.
    pub fn spawn<F>(&self, name: &str, task: F) -> tokio::task::JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        let id = {
            let mut names = self.running.lock().unwrap_or_else(PoisonError::into_inner);
            let id = names.last_key_value().map_or(0, |(id, _)| id + 1);
            names.insert(id, name.to_owned());
            id
        };
        let running = Running { id, names: self.running.clone() };
        self.tracker.spawn(async move {
            let _running = running;
            task.await
        })
    }

    /// Asks everybody to stop and waits for them.
    ///
    /// # Errors
    /// [`DrainTimeout`] names the tasks that still run at the deadline.
    pub async fn drain(&self, deadline: Duration) -> Result<(), DrainTimeout> {
        self.token.cancel();
        self.tracker.close();
        tokio::time::timeout(deadline, self.tracker.wait()).await.map_err(|_| {
            let names = self.running.lock().unwrap_or_else(PoisonError::into_inner);
            DrainTimeout { after: deadline, late: names.values().cloned().collect() }
        })
    }
}

/// Waits for SIGTERM or SIGINT.
///
/// # Errors
/// If the handlers cannot be installed.
pub async fn stop_signal() -> std::io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn work_in_flight_completes_before_the_drain_ends() {
        let life = Lifecycle::new();
        let token = life.token().clone();
        let task = life.spawn("worker", async move {
            token.cancelled().await;
            7
        });
        assert_eq!(life.drain(Duration::from_secs(5)).await, Ok(()));
        assert_eq!(task.await.unwrap(), 7);
    }

    #[tokio::test(start_paused = true)]
    async fn an_overrun_names_who_was_late() {
        let life = Lifecycle::new();
        life.spawn("quick", async {});
        life.spawn("stuck", std::future::pending::<()>());
        let after = Duration::from_secs(5);
        assert_eq!(life.drain(after).await, Err(DrainTimeout { after, late: vec!["stuck".to_owned()] }));
    }

    #[tokio::test]
    async fn a_second_drain_is_harmless() {
        let life = Lifecycle::new();
        assert_eq!(life.drain(Duration::from_secs(1)).await, Ok(()));
        assert_eq!(life.drain(Duration::from_secs(1)).await, Ok(()));
    }
}
