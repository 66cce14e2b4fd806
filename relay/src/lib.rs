//! The relay: four ZeroMQ endpoints that everybody else connects to (docs/protocol/04-relay.md).
//!
//! Publishers connect to 5557 and subscribers to 5558: messages are forwarded by frame 0 alone, unchanged, and
//! subscriptions travel upstream. Clients ask on 5559 and ingestors hear of it on 5555: a request is checked, answered at
//! once, and forgotten. The two pairs have engines of their own, so neither waits for the other: one thread for requests,
//! one or more for the fan-out.
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

use config::{Config, ConfigProblems, MAX_SHARDS};
use counters::{EngineCounters, RequestCounters};
use engine::{Engine, Mailbox, Port, Settings, Stopper};
use fan_out::{FanOut, Front, FrontPort, ShardPort, Side};
use metrics::RelayCollector;
use requests::Requests;
use service::metrics::Metrics;
use status::{EngineStatus, Status};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::mpsc;
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
    /// The system refused a poll.
    #[error("cannot watch connections")]
    System(#[source] std::io::Error),
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
    engines: Arc<[Arc<Mutex<EngineStatus>>]>,
}

impl Observer {
    /// Diagnostics for the `/status` page.
    #[must_use]
    pub fn status(&self) -> Status {
        let mut engines: Vec<EngineStatus> = Vec::new();
        for status in self.engines.iter() {
            let status = status.lock().unwrap_or_else(PoisonError::into_inner).clone();
            match engines.last_mut().filter(|last| last.name == status.name) {
                Some(front) => front.absorb(status),
                None => engines.push(status),
            }
        }
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
    /// The front first, then the shards.
    fan_out: Vec<Engine<FanOut>>,
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
        let port = |name, address, socket_type, codec| Port { name, address, socket_type, codec };
        let counters = Arc::new(EngineCounters::default());
        let codec = config.fan_out_codec();
        let ports = vec![
            port("publishers", config.publishers, SocketType::Xsub, codec),
            port("subscribers", config.subscribers, SocketType::Xpub, codec),
        ];
        let fan_out = bind_fan_out(config, ports, &counters)?;

        let (request_counters, outcomes) = (Arc::new(EngineCounters::default()), Arc::new(RequestCounters::default()));
        let codec = config.request_codec();
        let ports = vec![
            port("requests", config.requests, SocketType::Router, codec),
            port("work", config.work, SocketType::Xpub, codec),
        ];
        let wall_clock = service::clock::now_ns;
        let switch = Requests::new(config, wall_clock, Arc::clone(&request_counters), Arc::clone(&outcomes));
        let settings = Settings::new(config, &config.limits);
        let mailbox = Mailbox::open().map_err(BindError::System)?;
        let requests = Engine::bind("requests", mailbox, ports, settings, switch, Arc::clone(&request_counters))?;

        let (front, back) = (fan_out[0].addresses(), requests.addresses());
        let addresses = Addresses { publishers: front[0], subscribers: front[1], requests: back[0], work: back[1] };
        let collector = Arc::new(RelayCollector { fan_out: counters, requests: request_counters, outcomes });
        let engines = fan_out.iter().map(Engine::status).chain([requests.status()]).collect();
        let observer = Observer { collector, engines };
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
        let (sender, mut reports) = mpsc::channel(MAX_SHARDS + 1);
        // Dropped also when this future is dropped or a thread could not be started.
        let stopper = || StopOnDrop { stoppers: Vec::new(), drain: self.drain_timeout };
        let (mut ports, mut shards) = (stopper(), stopper());
        let mut threads = 1;
        ports.stoppers.push(self.requests.stopper());
        spawn(Report::gone("requests", false), &sender, move || self.requests.run())?;
        for (number, engine) in self.fan_out.into_iter().enumerate() {
            let is_front = number == 0;
            let stoppers = if is_front { &mut ports } else { &mut shards };
            stoppers.stoppers.push(engine.stopper());
            spawn(Report::gone("fanout", is_front), &sender, move || engine.run())?;
            threads += 1;
        }
        let (mut ports, mut shards, mut result) = (Some(ports), Some(shards), Ok(()));
        while threads > 0 {
            let report = tokio::select! {
                () = stop.cancelled(), if ports.is_some() => {
                    drop(ports.take());
                    continue;
                }
                report = reports.recv() => report,
            };
            let Some(report) = report else { break };
            threads -= 1;
            drop(ports.take());
            // The shards end after the front: what it has sent them is then in their mail. If one fails, all end.
            if report.is_front || report.result.is_err() {
                drop(shards.take());
            }
            result = result.and(report.result);
        }
        tracing::info!("relay stopped");
        result
    }
}

/// Binds the front and makes the shards.
fn bind_fan_out(
    config: &Config,
    ports: Vec<Port>,
    counters: &Arc<EngineCounters>,
) -> Result<Vec<Engine<FanOut>>, BindError> {
    let settings = Settings::new(config, &config.share());
    let front = Mailbox::open().map_err(BindError::System)?;
    let (mut shards, mut switches) = (Vec::new(), Vec::new());
    for shard in 0..config.fan_out_threads - 1 {
        let (mailbox, handled) = (Mailbox::open().map_err(BindError::System)?, Arc::default());
        shards.push(ShardPort::new(mailbox.post(), Arc::clone(&handled)));
        let upstream = Side::Shard(FrontPort::new(shard, front.post(), handled));
        switches.push((mailbox, FanOut::new(config, upstream, Arc::clone(counters))));
    }
    let switch = FanOut::new(config, Side::Front(Front::new(shards)), Arc::clone(counters));
    let front = Engine::bind("fanout", front, ports, settings.clone(), switch, Arc::clone(counters))?;
    let (endpoints, settings) = (front.endpoints(), settings.of_shard());
    let shard = |(mailbox, switch)| {
        Engine::of_shard("fanout", mailbox, endpoints.clone(), settings.clone(), switch, Arc::clone(counters))
    };
    let shards: Vec<_> = switches.into_iter().map(shard).collect();
    Ok([front].into_iter().chain(shards).collect())
}

struct StopOnDrop {
    stoppers: Vec<Stopper>,
    drain: Duration,
}

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.stoppers.iter().for_each(|stopper| stopper.stop(self.drain));
    }
}

/// How a thread ended.
struct Report {
    is_front: bool,
    engine: &'static str,
    result: Result<(), RunError>,
}

impl Report {
    /// What holds until the thread says something else.
    const fn gone(engine: &'static str, is_front: bool) -> Self {
        Self { is_front, engine, result: Err(RunError::Gone { engine }) }
    }
}

/// Sends the report when its thread ends, also by a panic.
struct Reporter {
    report: Option<Report>,
    sender: mpsc::Sender<Report>,
}

impl Drop for Reporter {
    fn drop(&mut self) {
        // Nobody waits any more only if the whole relay was dropped.
        drop(self.report.take().map(|report| self.sender.try_send(report)));
    }
}

/// Runs an engine on a thread of its own: it waits in the system's poll, which an async worker must not.
fn spawn(
    report: Report,
    sender: &mpsc::Sender<Report>,
    run: impl FnOnce() -> std::io::Result<()> + Send + 'static,
) -> Result<(), RunError> {
    let engine = report.engine;
    let mut reporter = Reporter { report: Some(report), sender: sender.clone() };
    let thread = std::thread::Builder::new().name(format!("relay-{engine}")).spawn(move || {
        let result = run().map_err(|source| RunError::Poll { engine, source });
        if let Some(report) = &mut reporter.report {
            report.result = result;
        }
    });
    thread.map(drop).map_err(|source| RunError::Thread { engine, source })
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
