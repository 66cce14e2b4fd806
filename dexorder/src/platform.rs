//! The running parts of one process, in the order in which they stop: what takes in first, what others lean on last.

use crate::config::ConfigFile;
use crate::listener::bind;
use service::admin::{AdminState, Readiness};
use service::lifecycle::{DrainTimeout, Lifecycle, stop_signal};
use service::metrics::Metrics;
use std::collections::BTreeMap;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// The stages of a stop; a lower one ends before a higher one is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Stage {
    /// Takes data in.
    Intake,
    /// Turns it into rows.
    Stream,
    /// Shows it.
    Gateway,
    /// Connects all.
    Relay,
    /// Tells about all.
    Admin,
}

const STAGES: [Stage; 5] = [Stage::Intake, Stage::Stream, Stage::Gateway, Stage::Relay, Stage::Admin];

type StatusPage = Box<dyn Fn() -> serde_json::Value + Send + Sync>;

/// A process under way.
pub(crate) struct Platform {
    pub(crate) metrics: Metrics,
    stages: BTreeMap<Stage, Lifecycle>,
    ended: (mpsc::Sender<Ended>, mpsc::Receiver<Ended>),
    status: Arc<Mutex<BTreeMap<&'static str, StatusPage>>>,
    readiness: BTreeMap<&'static str, Readiness>,
    drain_timeout: Duration,
}

/// A part that ended.
struct Ended {
    name: &'static str,
    result: anyhow::Result<()>,
}

impl Platform {
    pub(crate) fn new(file: &ConfigFile) -> Self {
        Self {
            metrics: Metrics::new(),
            stages: STAGES.into_iter().map(|stage| (stage, Lifecycle::new())).collect(),
            // One slot for each part: nobody waits to say that it ended.
            ended: mpsc::channel(16),
            status: Arc::default(),
            readiness: BTreeMap::new(),
            drain_timeout: file.drain_timeout,
        }
    }

    /// The token that asks a stage to stop.
    pub(crate) fn token(&self, stage: Stage) -> CancellationToken {
        self.stages[&stage].token().clone()
    }

    /// Runs a part until its stage stops.
    pub(crate) fn spawn<F, E>(&self, stage: Stage, name: &'static str, part: F)
    where
        F: Future<Output = Result<(), E>> + Send + 'static,
        E: Into<anyhow::Error>,
    {
        let ended = self.ended.0.clone();
        self.stages[&stage].spawn(name, async move {
            let result = part.await.map_err(Into::into);
            // The receiver is gone only when the process is.
            let _told = ended.send(Ended { name, result }).await;
        });
    }

    /// A page of `/status`.
    pub(crate) fn status(&self, name: &'static str, page: impl Fn() -> serde_json::Value + Send + Sync + 'static) {
        self.status.lock().unwrap_or_else(PoisonError::into_inner).insert(name, Box::new(page));
    }

    /// A readiness that `/readyz` includes.
    pub(crate) fn readiness(&mut self, name: &'static str) -> Readiness {
        self.readiness.entry(name).or_default().clone()
    }

    /// Includes a readiness that a part made.
    pub(crate) fn include(&mut self, name: &'static str, readiness: Readiness) {
        self.readiness.insert(name, readiness);
    }

    /// Serves the admin port.
    pub(crate) async fn serve_admin(&self, address: SocketAddr) -> anyhow::Result<SocketAddr> {
        let listener = bind("admin port", address).await?;
        let address = listener.local_addr()?;
        let (pages, all) = (self.status.clone(), Readiness::default());
        let state = AdminState::new(all.clone(), self.metrics.clone(), move || {
            let pages = pages.lock().unwrap_or_else(PoisonError::into_inner);
            pages.iter().map(|(name, page)| ((*name).to_owned(), page())).collect()
        });
        let state = state.ready_when(self.readiness.values().cloned().collect());
        self.spawn(Stage::Admin, "admin", service::admin::serve(listener, state, self.token(Stage::Admin)));
        Ok(address)
    }

    /// Waits until every part that says so is ready.
    pub(crate) async fn ready(&mut self) -> anyhow::Result<()> {
        let parts: Vec<_> = self.readiness.values().cloned().collect();
        let all_ready = async {
            for part in parts {
                part.wait().await;
            }
        };
        let failure = tokio::select! {
            () = all_ready => return Ok(()),
            signal = stop_signal() => signal.err().map_or_else(|| anyhow::anyhow!("stopped while starting"), Into::into),
            ended = self.ended.1.recv() => ended.map_or_else(|| anyhow::anyhow!("nothing runs"), early),
        };
        // The failure is what the person must see; a slow stop after it is logged.
        let _logged = self.stop().await;
        Err(failure)
    }

    /// Waits until a person, the system or a failed part ends the process, then stops stage by stage.
    pub(crate) async fn run_until_stopped(mut self) -> anyhow::Result<()> {
        let failure = tokio::select! {
            signal = stop_signal() => signal.err().map(anyhow::Error::from),
            ended = self.ended.1.recv() => ended.map(early),
        };
        if failure.is_none() {
            tracing::info!("stopping");
        }
        let drained = self.stop().await;
        match (failure, drained) {
            (Some(failure), _) => Err(failure),
            (None, drained) => drained,
        }
    }

    /// Waits until the named part has ended by itself; another part that ends before is a failure.
    pub(crate) async fn wait_for(&mut self, name: &'static str) -> anyhow::Result<()> {
        tokio::select! {
            signal = stop_signal() => {
                signal?;
                anyhow::bail!("stopped before the end");
            }
            ended = self.ended.1.recv() => match ended {
                Some(ended) if ended.name == name => ended.result,
                Some(ended) => Err(early(ended)),
                None => anyhow::bail!("{name} is gone"),
            },
        }
    }

    /// Stops stage by stage within the drain time.
    pub(crate) async fn stop(&mut self) -> anyhow::Result<()> {
        let deadline = tokio::time::Instant::now() + self.drain_timeout;
        let mut late: Option<DrainTimeout> = None;
        for stage in STAGES {
            let left = deadline.saturating_duration_since(tokio::time::Instant::now());
            if let Err(timeout) = self.stages[&stage].drain(left).await {
                tracing::error!(late = ?timeout.late, "not drained in time");
                late.get_or_insert(timeout);
            }
        }
        // What failed while it stopped: a flush that did not succeed must not look like a clean end.
        let mut failure = None;
        while let Ok(ended) = self.ended.1.try_recv() {
            if let Err(error) = ended.result {
                failure.get_or_insert(error.context(format!("{} failed while stopping", ended.name)));
            }
        }
        match (failure, late) {
            (Some(error), _) => Err(error),
            (None, Some(late)) => Err(late.into()),
            (None, None) => Ok(()),
        }
    }
}

fn early(ended: Ended) -> anyhow::Error {
    match ended.result {
        Ok(()) => anyhow::anyhow!("{} ended by itself", ended.name),
        Err(error) => error.context(format!("{} failed", ended.name)),
    }
}
