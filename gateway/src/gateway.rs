//! Puts the parts together and runs them until the shutdown.

use crate::config::Config;
use crate::directory::reader::{SharedDirectory, follow};
use crate::history::backfill::{Backfills, Orders};
use crate::history::client::{HistoryClient, HistoryDesk, Submissions};
use crate::http::App;
use crate::http::history::BulkDesk;
use crate::http::router::router;
use crate::live::hub::{Hub, HubLimits};
use crate::live::outbound;
use crate::live::session::{SessionContext, close};
use crate::live::upstream::{self, Feed};
use crate::metrics::{BulkMetrics, DirectoryMetrics, HistoryMetrics, HttpMetrics, LiveMetrics, Refusal, SeriesMetrics};
use crate::people::{People, PeopleError, PeopleSecrets};
use crate::series::cache::Memory;
use crate::series::candles::{CandleStore, Candles};
use eventlog::EventLog;
use lake::Lake;
use proto::LogTopic;
use secrecy::{ExposeSecret, SecretString};
use service::admin::Readiness;
use service::clock::Clock;
use service::metrics::Metrics;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use zmtp::{DealerOptions, DealerSocket, EndpointError, SubOptions, SubSocket};

/// How often health goes to every WebSocket.
const SECOND: Duration = Duration::from_secs(1);

/// What the gateway is given by its process.
#[derive(Debug, Clone)]
pub struct Resources {
    /// The event log, for feeds and instruments.
    pub log: Arc<dyn EventLog>,
    /// Closed candles; usually a [`lake::Lake`].
    pub store: Arc<dyn CandleStore>,
    /// The lake, for whole series.
    pub lake: Lake,
    /// The process's metrics.
    pub metrics: Metrics,
    /// Set once feeds and instruments are known, unset when the drain starts.
    pub readiness: Readiness,
    /// The clock.
    pub clock: Clock,
}

/// Why the gateway did not start or did not stop cleanly.
#[derive(Debug, thiserror::Error)]
pub enum GatewayError {
    /// Settings contradict each other.
    #[error("configuration: {}", .0.join("; "))]
    Config(Vec<String>),
    /// An endpoint is not one.
    #[error(transparent)]
    Endpoint(#[from] EndpointError),
    /// The listener is broken.
    #[error("listener: {0}")]
    Listener(#[from] std::io::Error),
    /// Accounts, containers or the assistant do not start.
    #[error(transparent)]
    People(#[from] PeopleError),
    /// Requests or sockets were still open at the deadline of the drain.
    #[error("{open} tasks not drained after {after:?}")]
    Drain {
        /// How many.
        open: usize,
        /// The deadline.
        after: Duration,
    },
}

/// A gateway that is put together but does not serve yet.
#[derive(Debug)]
pub struct Gateway {
    app: Arc<App>,
    resources: Resources,
    memory: Arc<Memory>,
    live: LiveMetrics,
    fanout: Arc<SubSocket>,
    requests: Arc<DealerSocket>,
    notifications: Arc<SubSocket>,
    submissions: Submissions,
    people: Option<People>,
}

/// Runs a gateway on a bound listener until `shutdown`.
///
/// # Errors
/// See [`GatewayError`].
pub async fn run(
    listener: TcpListener,
    config: Config,
    secrets: PeopleSecrets,
    resources: Resources,
    shutdown: CancellationToken,
) -> Result<(), GatewayError> {
    let loopback = listener.local_addr()?.ip().is_loopback();
    Gateway::new(config, resources, loopback)?.with_people(secrets).await?.serve(listener, shutdown).await
}

impl Gateway {
    /// Connects to the relay in the background; must be called in a runtime. `loopback` tells whether only this machine can
    /// connect, so that foreign host names are refused.
    ///
    /// # Errors
    /// If the configuration is not valid.
    pub fn new(config: Config, resources: Resources, loopback: bool) -> Result<Self, GatewayError> {
        let problems = config.problems();
        if !problems.is_empty() {
            return Err(GatewayError::Config(problems));
        }
        let metrics = &resources.metrics;
        let live = LiveMetrics::new(metrics);
        let fanout = Arc::new(SubSocket::connect(&config.fanout_endpoint, SubOptions::default())?);
        let notifications = Arc::new(SubSocket::connect(&config.fanout_endpoint, SubOptions::default())?);
        let requests = Arc::new(DealerSocket::connect(&config.request_endpoint, DealerOptions::default())?);
        let hub = Arc::new(Hub::new(hub_limits(&config), live.clone()));
        let (rows, cached, total) = (config.series.rows, config.series.cached, config.series.total_rows);
        let memory = Arc::new(Memory::new(cached, rows, total, SeriesMetrics::new(metrics)));
        let (history, submissions) = HistoryDesk::new(config.history.clone(), HistoryMetrics::new(metrics));
        let directory = Arc::new(SharedDirectory::new(DirectoryMetrics::new(metrics)));
        let tracker = TaskTracker::new();
        let bulk = bulk_desk(&config, &resources, history.clone(), &tracker);
        let candles = Arc::new(Candles {
            store: resources.store.clone(),
            memory: memory.clone(),
            hub: hub.clone(),
            history,
            directory: directory.clone(),
            clock: resources.clock.clone(),
            connected: fanout.connected(),
            tracker: tracker.clone(),
            series_config: config.series.clone(),
            history_config: config.history.clone(),
        });
        let sessions =
            Arc::new(SessionContext { hub: hub.clone(), metrics: live.clone(), config: config.live.clone() });
        let app = Arc::new(App {
            candles,
            bulk,
            directory,
            hub,
            sessions,
            metrics: HttpMetrics::new(metrics),
            clock: resources.clock.clone(),
            connected: fanout.connected(),
            requests: Arc::new(Semaphore::new(config.http.requests_in_flight)),
            tracker,
            loopback,
            config,
        });
        Ok(Self { app, resources, memory, live, fanout, requests, notifications, submissions, people: None })
    }

    /// Opens accounts and assistant, if the configuration has people.
    ///
    /// # Errors
    /// If a store, a key or a directory cannot be used.
    pub async fn with_people(self, secrets: PeopleSecrets) -> Result<Self, GatewayError> {
        let Some(config) = self.app.config.people.clone() else { return Ok(self) };
        let people = People::open(config, secrets, self.app.clone(), &self.resources.metrics).await?;
        Ok(Self { people: Some(people), ..self })
    }

    /// A link that signs the first admin in, once, relative to the gateway's address; none without people.
    ///
    /// # Errors
    /// If the accounts cannot be reached.
    pub async fn login_link(&self) -> Result<Option<SecretString>, GatewayError> {
        let Some(people) = &self.people else { return Ok(None) };
        let link = people.admin_link().await.map_err(PeopleError::from)?;
        Ok(Some(SecretString::from(format!("/login?link={}", link.secret.expose_secret()))))
    }

    /// Diagnostics for `/status`; does not block.
    pub fn status(&self) -> impl Fn() -> serde_json::Value + Send + Sync + use<> {
        let app = self.app.clone();
        let live = self.live.clone();
        move || {
            serde_json::json!({
                "health": app.health(),
                "relay_connected": *app.connected.borrow(),
                "sockets": live.sockets.get(),
                "topics": live.topics.get(),
                "series": app.candles.memory.metrics.cached.get(),
                "messages": { "received": live.received.get(), "encoded": live.encoded.get(), "delivered": live.delivered.get(),
                    "conflated": live.conflated.get(), "dropped": live.dropped.get(), "missed": live.missed.get() },
            })
        }
    }

    /// Serves until `shutdown`, then drains: no new connections, requests in flight are answered, WebSockets are closed with
    /// 1012.
    ///
    /// # Errors
    /// [`GatewayError::Drain`] if something is still open at the deadline.
    pub async fn serve(self, listener: TcpListener, shutdown: CancellationToken) -> Result<(), GatewayError> {
        let app = self.app.clone();
        let background = TaskTracker::new();
        let stop = CancellationToken::new();
        let readiness = self.resources.readiness.clone();
        let people = self.people.clone();
        if let Some(people) = &people {
            people.start(&background, &stop);
        }
        self.start(&background, &stop);
        let announce = {
            let (readiness, directory) = (readiness.clone(), app.directory.clone());
            async move {
                directory.loaded().await;
                readiness.set(true);
            }
        };
        let ready = background.spawn(announce);
        let http = (app.tracker.clone(), shutdown.clone());
        let refused = app.metrics.clone();
        let limits = service::http::Limits {
            connections: app.config.http.connections,
            header_timeout: app.config.http.header_timeout,
            open: app.metrics.connections.clone(),
            refused: Box::new(move || refused.refuse(Refusal::Connections)),
        };
        service::http::serve(listener, router(app.clone(), people.clone()), limits, http).await;
        ready.abort();
        readiness.set(false);
        app.bulk.stopping.cancel();
        app.hub.close_all(close::RESTART);
        if let Some(people) = &people {
            people.shutdown().await;
        }
        app.tracker.close();
        let after = app.config.http.drain_timeout;
        let drained = tokio::time::timeout(after, app.tracker.wait()).await;
        stop.cancel();
        background.close();
        let stopped = tokio::time::timeout(after, background.wait()).await;
        match (drained, stopped) {
            (Ok(()), Ok(())) => Ok(()),
            _ => Err(GatewayError::Drain { open: app.tracker.len() + background.len(), after }),
        }
    }

    /// Starts what runs beside the server.
    fn start(self, background: &TaskTracker, stop: &CancellationToken) {
        let Self { app, resources, memory, live, fanout, requests, notifications, submissions, people: _ } = self;
        for topic in [LogTopic::EvtFeed, LogTopic::EvtInstrument] {
            let (log, clock) = (resources.log.clone(), resources.clock.clone());
            background.spawn(follow(app.directory.clone(), log, topic, clock, stop.clone()));
        }
        background.spawn(upstream::subscribe(app.hub.clone(), fanout.clone(), stop.clone()));
        background.spawn(upstream::watch(memory.clone(), live.clone(), fanout.connected(), stop.clone()));
        let feed = Feed::new(app.hub.clone(), memory.clone(), live);
        background.spawn(upstream::receive(feed, fanout, stop.clone()));
        let desk = app.candles.history.clone();
        let tracker = background.clone();
        let client = HistoryClient { desk, memory, requests, notifications, tracker };
        background.spawn(client.run(submissions, stop.clone()));
        background.spawn(every_second(app, stop.clone()));
    }
}

fn bulk_desk(config: &Config, resources: &Resources, desk: Arc<HistoryDesk>, tracker: &TaskTracker) -> BulkDesk {
    let (metrics, stopping) = (BulkMetrics::new(&resources.metrics), CancellationToken::new());
    let backfills = Arc::new(Backfills {
        desk,
        lake: resources.lake.clone(),
        config: config.bulk.clone(),
        history: config.history.clone(),
        clock: resources.clock.clone(),
        metrics: metrics.clone(),
        tracker: tracker.clone(),
        stopping: stopping.clone(),
        turns: Arc::new(Semaphore::new(config.bulk.working)),
        orders: Orders::default(),
    });
    BulkDesk {
        lake: resources.lake.clone(),
        streams: Arc::new(Semaphore::new(config.bulk.streams)),
        config: config.bulk.clone(),
        metrics,
        backfills,
        tracker: tracker.clone(),
        stopping,
    }
}

fn hub_limits(config: &Config) -> HubLimits {
    HubLimits {
        clients: config.live.max_sockets,
        topics: config.live.max_topics,
        client_topics: config.live.client_topics,
        client_events: config.live.client_events,
        linger: config.live.linger,
    }
}

/// Sends health to all WebSockets and forgets what is no longer wanted.
async fn every_second(app: Arc<App>, stop: CancellationToken) {
    let mut tick = interval(SECOND);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = tick.tick() => {
                app.directory.sweep(app.clock.now_ns());
                app.candles.expire();
                app.hub.publish_health(&outbound::health(&app.health()));
            }
        }
    }
}
