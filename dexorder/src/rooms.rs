//! How each room becomes a part of a running [`Platform`]: configuration first, then ports, then the part itself. `up`, `replay`
//! and the single processes all start the rooms here.

use crate::config::{ConfigFile, LogSection, Section};
use crate::platform::{Platform, Stage};
use anyhow::Context;
use eventlog::{EmbeddedLog, EventLog};
use ingestor::{Ingestor, IngestorParts};
use lake::{Lake, LakeConfig};
use relay::{Addresses, Relay};
use serde_json::json;
use service::clock::Clock;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The sections of all rooms of one machine, checked before anything is bound or written.
pub(crate) struct Rooms {
    pub(crate) relay: relay::config::Config,
    pub(crate) stream: stream::config::Config,
    pub(crate) gateway: gateway::Config,
    pub(crate) lake: LakeConfig,
}

/// The relay's ports that the others connect to.
#[derive(Debug, Clone)]
pub(crate) struct Endpoints {
    pub(crate) requests: String,
    pub(crate) work: String,
    pub(crate) publishers: String,
    pub(crate) subscribers: String,
}

impl From<Addresses> for Endpoints {
    fn from(bound: Addresses) -> Self {
        let tcp = |address: SocketAddr| format!("tcp://{address}");
        Self {
            requests: tcp(bound.requests),
            work: tcp(bound.work),
            publishers: tcp(bound.publishers),
            subscribers: tcp(bound.subscribers),
        }
    }
}

/// Where the gateway is before it is bound.
const UNBOUND: &str = "http://127.0.0.1:0";

/// Where containers bring their critical events.
const EVENTS: &str = "tcp://127.0.0.1:5571";

/// The section `people` of a gateway that has this machine for itself: the offline assistant, containers as child processes of this program.
pub(crate) fn people(data_dir: &Path, python: &Path) -> anyhow::Result<serde_json::Value> {
    let dir = std::path::absolute(data_dir)?;
    Ok(json!({
        "dir": dir,
        "accounts": {"cookie": "loopback"},
        "containers": {
            "program": std::env::current_exe()?, "dir": dir.join("agents"), "gateway_url": UNBOUND, "events": EVENTS,
            "python": python,
        },
        "notifications": {"database": {"sqlite": dir.join("platform.sqlite")}, "receiver": {"bind": EVENTS}},
        "mcp": {"resource": format!("{UNBOUND}/mcp"), "authorization_server": UNBOUND},
    }))
}

/// Reads the sections of the rooms that share one machine. The relay's addresses are filled in when it is bound.
pub(crate) fn read(
    file: &ConfigFile,
    data_dir: &Path,
    listen: SocketAddr,
    people: &serde_json::Value,
) -> anyhow::Result<Rooms> {
    let dir = std::path::absolute(data_dir)?;
    let unbound = "tcp://127.0.0.1:0";
    let gateway = json!({"listen": listen, "fanout_endpoint": unbound, "request_endpoint": unbound, "people": people});
    let rooms = Rooms {
        relay: file.section(Section::Relay, json!({}))?,
        stream: file.section(Section::Stream, json!({"state_dir": dir.join("stream"), "publish_endpoint": unbound}))?,
        gateway: file.section(Section::Gateway, gateway)?,
        lake: file.section(Section::Lake, json!({"dir": dir.join("lake")}))?,
    };
    if let Err(relay::config::ConfigProblems(problems)) = rooms.relay.check() {
        file.refuse(Section::Relay, &problems)?;
    }
    file.refuse(Section::Stream, &rooms.stream.problems())?;
    file.refuse(Section::Gateway, &rooms.gateway.problems())?;
    Ok(rooms)
}

impl Rooms {
    /// Tells the rooms where the relay is.
    pub(crate) fn connect(&mut self, endpoints: &Endpoints) {
        self.stream.publish_endpoint.clone_from(&endpoints.publishers);
        self.gateway.fanout_endpoint.clone_from(&endpoints.subscribers);
        self.gateway.request_endpoint.clone_from(&endpoints.requests);
    }

    /// Tells people where the gateway is, as far as the file names no address.
    pub(crate) fn bound(&mut self, address: SocketAddr) {
        let Some(people) = &mut self.gateway.people else { return };
        let host = if address.ip().is_unspecified() { "127.0.0.1".to_owned() } else { address.ip().to_string() };
        let here = format!("http://{host}:{}", address.port());
        for url in [&mut people.containers.gateway_url, &mut people.mcp.resource, &mut people.mcp.authorization_server]
        {
            if let Some(path) = url.strip_prefix(UNBOUND) {
                *url = format!("{here}{path}");
            }
        }
    }
}

/// Opens the event log of a data directory.
pub(crate) fn open_log(platform: &Platform, log: &LogSection, data_dir: &Path) -> anyhow::Result<Arc<dyn EventLog>> {
    let dir = data_dir.join("log");
    let log = EmbeddedLog::open(log.embedded(data_dir)).with_context(|| format!("event log {}", dir.display()))?;
    let counters = log.clone();
    platform.status("log", move || json!(format!("{:?}", counters.metrics())));
    Ok(log)
}

/// Opens the lake.
pub(crate) async fn open_lake(config: LakeConfig) -> anyhow::Result<Lake> {
    let dir: PathBuf = config.dir.clone();
    Lake::open(config).await.with_context(|| format!("lake {}", dir.display()))
}

/// Binds and starts the relay.
pub(crate) fn start_relay(platform: &Platform, config: &relay::config::Config) -> anyhow::Result<Endpoints> {
    let relay = Relay::bind(config)?;
    let (endpoints, observer) = (relay.addresses().into(), relay.observer());
    observer.register(&platform.metrics);
    platform.status("relay", move || serde_json::to_value(observer.status()).unwrap_or_default());
    platform.spawn(Stage::Relay, "relay", relay.run(platform.token(Stage::Relay)));
    Ok(endpoints)
}

/// Starts the stream.
pub(crate) async fn start_stream(
    platform: &mut Platform,
    config: stream::config::Config,
    log: Arc<dyn EventLog>,
    lake: Lake,
) -> anyhow::Result<stream::Status> {
    let environment = stream::Environment { log, lake, metrics: platform.metrics.clone() };
    let handle = stream::start(config, environment, platform.token(Stage::Stream)).await?;
    platform.include("stream", handle.readiness());
    let (status, page) = (handle.status(), handle.status());
    platform.status("stream", move || page.json());
    platform.spawn(Stage::Stream, "stream", handle.wait());
    Ok(status)
}

/// What a gateway stands on.
pub(crate) struct Ground {
    pub(crate) log: Arc<dyn EventLog>,
    pub(crate) lake: Lake,
    pub(crate) secrets: gateway::PeopleSecrets,
}

/// Puts a gateway together for a bound listener.
pub(crate) async fn open_gateway(
    platform: &mut Platform,
    listener: &tokio::net::TcpListener,
    config: gateway::Config,
    ground: Ground,
) -> anyhow::Result<gateway::Gateway> {
    let resources = gateway::Resources {
        log: ground.log,
        store: Arc::new(ground.lake.clone()),
        lake: ground.lake,
        metrics: platform.metrics.clone(),
        readiness: platform.readiness("gateway"),
        clock: Clock::System,
    };
    let loopback = listener.local_addr()?.ip().is_loopback();
    Ok(gateway::Gateway::new(config, resources, loopback)?.with_people(ground.secrets).await?)
}

/// Starts a gateway.
pub(crate) fn start_gateway(platform: &Platform, listener: tokio::net::TcpListener, gateway: gateway::Gateway) {
    platform.status("gateway", gateway.status());
    platform.spawn(Stage::Gateway, "gateway", gateway.serve(listener, platform.token(Stage::Gateway)));
}

/// Reads the gateway's secrets.
pub(crate) fn secrets(path: Option<&Path>) -> anyhow::Result<gateway::PeopleSecrets> {
    Ok(path.map(service::config::load_secrets).transpose()?.unwrap_or_default())
}

/// Starts an ingestor.
pub(crate) async fn start_ingestor(
    platform: &mut Platform,
    config: ingestor::Config,
    log: Arc<dyn EventLog>,
) -> anyhow::Result<()> {
    let parts = IngestorParts {
        log,
        metrics: platform.metrics.clone(),
        clock: Clock::System,
        stop: platform.token(Stage::Intake),
    };
    let ingestor = Ingestor::start(config, parts).await?;
    let feeds = ingestor.status_view();
    platform.status("ingestor", move || json!(feeds().iter().map(|feed| format!("{feed:?}")).collect::<Vec<_>>()));
    platform.spawn(Stage::Intake, "ingestor", async { ingestor.wait().await.map(drop) });
    Ok(())
}
