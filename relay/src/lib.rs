//! The relay: four ZeroMQ endpoints that everybody else connects to (docs/protocol/04-relay.md).
//!
//! Publishers connect to 5557 and subscribers to 5558: messages are forwarded by frame 0 alone, unchanged, and
//! subscriptions travel upstream. Clients ask on 5559 and ingestors hear of it on 5555: a request is checked, answered at
//! once, and forgotten. The two pairs have an engine of their own, each on one thread, so neither waits for the other.
//!
//! Invariants:
//!
//! - socket state only: a restart loses what is in flight and nothing else;
//! - no peer can stop, starve or grow the relay: each thing a peer can make it hold has a limit in [`config::Limits`], a
//!   policy when the limit is reached, and a counter;
//! - frame 1 of what is fanned out is never looked at, and no message is ever cut or reordered;
//! - an answer goes to the connection that asked, whatever identity it announced.
//!
//! Reading order: [`config`], `access`, `request`, `fan_out`, `requests`, `engine`.

pub mod config;
pub mod counters;
pub mod status;

mod access;
mod engine;
mod fan_out;
mod metrics;
mod quota;
mod request;
mod requests;
mod subscriptions;

pub use engine::PortError;

use config::{Config, ConfigProblems};
use counters::{EngineCounters, RequestCounters};
use engine::{Engine, Port, Settings, Stopper};
use fan_out::FanOut;
use metrics::RelayCollector;
use requests::Requests;
use service::metrics::Metrics;
use status::{EngineStatus, Status};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;
use zmtp::SocketType;

/// Where the relay is bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Addresses {
    /// ROUTER for history requests.
    pub requests: SocketAddr,
    /// XPUB for work.
    pub work: SocketAddr,
    /// XSUB for publishers.
    pub publishers: SocketAddr,
    /// XPUB for subscribers.
    pub subscribers: SocketAddr,
}

/// Why the relay could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// The configuration is not valid.
    #[error(transparent)]
    Config(#[from] ConfigProblems),
    /// A port could not be bound.
    #[error(transparent)]
    Port(#[from] PortError),
}

/// Why the relay ended without being told to.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The system refused a thread.
    #[error("cannot start the {engine} thread")]
    Thread {
        /// Which engine.
        engine: &'static str,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// The system's poll failed.
    #[error("the {engine} engine failed")]
    Poll {
        /// Which engine.
        engine: &'static str,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A thread ended without a result, by a panic.
    #[error("the {engine} thread is gone")]
    Gone {
        /// Which engine.
        engine: &'static str,
    },
}

/// Looks at a relay from outside its threads; never blocks them. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Observer {
    collector: Arc<RelayCollector>,
    engines: [Arc<Mutex<EngineStatus>>; 2],
}

impl Observer {
    /// Diagnostics for the `/status` page.
    #[must_use]
    pub fn status(&self) -> Status {
        let engines =
            self.engines.iter().map(|status| status.lock().unwrap_or_else(PoisonError::into_inner).clone()).collect();
        let counters = self.collector.modules().into_iter().flat_map(|(prefix, values)| {
            values.into_iter().map(move |value| (format!("{prefix}_{}", value.name), value.value))
        });
        Status { engines, counters: counters.collect() }
    }

    /// The counters of the fan-out ports.
    #[must_use]
    pub fn fan_out(&self) -> &EngineCounters {
        &self.collector.fan_out
    }

    /// The counters of the request ports.
    #[must_use]
    pub fn requests(&self) -> &EngineCounters {
        &self.collector.requests
    }

    /// The outcomes of requests.
    #[must_use]
    pub fn outcomes(&self) -> &RequestCounters {
        &self.collector.outcomes
    }

    /// Puts all counters on the metrics page.
    pub fn register(&self, metrics: &Metrics) {
        let RelayCollector { fan_out, requests, outcomes } = &*self.collector;
        let (fan_out, requests, outcomes) = (Arc::clone(fan_out), Arc::clone(requests), Arc::clone(outcomes));
        metrics.collector(Box::new(RelayCollector { fan_out, requests, outcomes }));
    }
}

/// A relay whose ports are bound. It serves nobody before [`Self::run`].
pub struct Relay {
    fan_out: Engine<FanOut>,
    requests: Engine<Requests>,
    addresses: Addresses,
    observer: Observer,
    drain_timeout: Duration,
}

impl std::fmt::Debug for Relay {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Relay").field("addresses", &self.addresses).finish_non_exhaustive()
    }
}

impl Relay {
    /// Checks the configuration and binds all ports.
    ///
    /// # Errors
    /// If the configuration is not valid or a port is taken.
    pub fn bind(config: &Config) -> Result<Self, BindError> {
        config.check()?;
        let settings = Settings::from(config);
        let port = |name, address, socket_type, codec| Port { name, address, socket_type, codec };
        let counters = Arc::new(EngineCounters::default());
        let codec = config.fan_out_codec();
        let ports = vec![
            port("publishers", config.publishers, SocketType::Xsub, codec),
            port("subscribers", config.subscribers, SocketType::Xpub, codec),
        ];
        let switch = FanOut::new(config, Arc::clone(&counters));
        let fan_out = Engine::bind("fanout", ports, settings.clone(), switch, Arc::clone(&counters))?;

        let (request_counters, outcomes) = (Arc::new(EngineCounters::default()), Arc::new(RequestCounters::default()));
        let codec = config.request_codec();
        let ports = vec![
            port("requests", config.requests, SocketType::Router, codec),
            port("work", config.work, SocketType::Xpub, codec),
        ];
        let wall_clock = service::clock::now_ns;
        let switch = Requests::new(config, wall_clock, Arc::clone(&request_counters), Arc::clone(&outcomes));
        let requests = Engine::bind("requests", ports, settings, switch, Arc::clone(&request_counters))?;

        let (front, back) = (fan_out.addresses(), requests.addresses());
        let addresses = Addresses { publishers: front[0], subscribers: front[1], requests: back[0], work: back[1] };
        let collector = Arc::new(RelayCollector { fan_out: counters, requests: request_counters, outcomes });
        let observer = Observer { collector, engines: [fan_out.status(), requests.status()] };
        Ok(Self { fan_out, requests, addresses, observer, drain_timeout: config.drain_timeout })
    }

    /// Where it is bound.
    #[must_use]
    pub const fn addresses(&self) -> Addresses {
        self.addresses
    }

    /// For status and metrics.
    #[must_use]
    pub fn observer(&self) -> Observer {
        self.observer.clone()
    }

    /// Serves until the token is cancelled, then writes what waits for at most the drain timeout.
    ///
    /// # Errors
    /// If a thread cannot be started or ends by itself; the other one is then stopped as well.
    pub async fn run(self, stop: CancellationToken) -> Result<(), RunError> {
        let Addresses { requests, work, publishers, subscribers } = self.addresses;
        tracing::info!(%requests, %work, %publishers, %subscribers, "relay serves");
        // Also when this future is dropped or a thread could not be started.
        let threads =
            StopOnDrop { stoppers: [self.fan_out.stopper(), self.requests.stopper()], drain: self.drain_timeout };
        let mut front = spawn("fanout", move || self.fan_out.run())?;
        let mut back = spawn("requests", move || self.requests.run())?;
        let early = tokio::select! {
            () = stop.cancelled() => None,
            ended = &mut front => Some((true, ended)),
            ended = &mut back => Some((false, ended)),
        };
        drop(threads);
        let (front, back) = match early {
            None => (front.await, back.await),
            Some((true, ended)) => (ended, back.await),
            Some((false, ended)) => (front.await, ended),
        };
        let result = ended("fanout", front).and(ended("requests", back));
        tracing::info!("relay stopped");
        result
    }
}

struct StopOnDrop {
    stoppers: [Stopper; 2],
    drain: Duration,
}

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.stoppers.iter().for_each(|stopper| stopper.stop(self.drain));
    }
}

type Ended = Result<std::io::Result<()>, oneshot::error::RecvError>;

fn ended(engine: &'static str, result: Ended) -> Result<(), RunError> {
    match result {
        Ok(Ok(())) => Ok(()),
        Ok(Err(source)) => Err(RunError::Poll { engine, source }),
        Err(_) => Err(RunError::Gone { engine }),
    }
}

/// Runs an engine on a thread of its own: it waits in the system's poll, which an async worker must not.
fn spawn(
    engine: &'static str,
    run: impl FnOnce() -> std::io::Result<()> + Send + 'static,
) -> Result<oneshot::Receiver<std::io::Result<()>>, RunError> {
    let (sender, receiver) = oneshot::channel();
    std::thread::Builder::new()
        .name(format!("relay-{engine}"))
        .spawn(move || {
            let result = run();
            // Nobody waits any more only if the whole relay was dropped.
            drop(sender.send(result));
        })
        .map_err(|source| RunError::Thread { engine, source })?;
    Ok(receiver)
}

/// Binds and serves until the token is cancelled.
///
/// # Errors
/// Those of [`Relay::bind`] and [`Relay::run`].
pub async fn run(config: Config, metrics: &Metrics, stop: CancellationToken) -> anyhow::Result<()> {
    let relay = Relay::bind(&config)?;
    relay.observer().register(metrics);
    Ok(relay.run(stop).await?)
}
