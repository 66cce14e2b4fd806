//! A container's life: open what is on the volume, serve, and end so that everybody knows why.

use crate::config::{Config, EmbeddingsConfig, PythonConfig, Secrets};
use crate::container::{Commands, Container, FETCHED, Runs, RunsError, new_id};
use crate::events::{Events, EventsError, OutboxLimits};
use crate::lifecycle::marker::{self, MarkerError, Start};
use crate::lifecycle::{Activity, EXIT_STOPPED, Ending, Farewell, Supervisor};
use crate::market_data::{CacheConfig, MarketData, MarketDataConfig, MarketDataError};
use crate::mcp::Handler;
use crate::mcp::auth::{Guard, KeyError};
use crate::mcp::http::{Parts, router};
use crate::mcp::metrics::{CallMetrics, Refused};
use crate::mcp::sessions::Sessions;
use crate::mcp::updates::Updates;
use crate::memory::{
    Embedder, EndpointConfig, EndpointEmbedder, ExtractiveSummarizer, LexiconEmbedder, Memory, MemoryError,
    MemoryLimits,
};
use crate::worker::{WorkerConfig, WorkerMetrics, Workers};
use crate::workspace::{Limits, Workspace, WorkspaceError};
use proto::UserId;
use rand::RngCore;
use secrecy::{ExposeSecret, SecretString};
use service::admin::Readiness;
use service::clock::Clock;
use service::metrics::Metrics;
use sha2::{Digest, Sha256};
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use user_events::MacKey;

/// An embeddings endpoint may take so long.
const EMBEDDING_TIMEOUT: Duration = Duration::from_secs(10);
/// Bytes of a text that an endpoint is given.
const EMBEDDED_BYTES: usize = 8 << 10;
/// Jobs of user code that may wait.
const WAITING: usize = 8;

/// Why a container does not start or does not end well.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "each passes on what its part says")]
pub enum AgentError {
    #[error("{path}: {source}")]
    Volume { path: PathBuf, source: std::io::Error },
    #[error(transparent)]
    Key(#[from] KeyError),
    #[error("secrets: event_key: {0}")]
    EventKey(#[from] user_events::KeyError),
    #[error("user_id: not a ULID")]
    UserId,
    #[error("workspace: {0}")]
    Workspace(#[from] WorkspaceError),
    #[error("memory: {0}")]
    Memory(#[from] MemoryError),
    #[error("backtests: {0}")]
    Runs(String),
    #[error("events: {0}")]
    Events(#[from] EventsError),
    #[error("market data: {0}")]
    Market(#[from] MarketDataError),
    #[error("embeddings: {0}")]
    Embeddings(#[from] reqwest::Error),
    #[error("lifecycle: {0}")]
    Marker(#[from] MarkerError),
    #[error("http: {0}")]
    Http(std::io::Error),
    #[error("a task ended badly: {0}")]
    Task(#[from] tokio::task::JoinError),
}

impl From<RunsError> for AgentError {
    fn from(error: RunsError) -> Self {
        Self::Runs(error.to_string())
    }
}

/// What a container shares with the process it runs in.
#[derive(Debug, Clone)]
pub struct Surroundings {
    /// Where its metrics go.
    pub metrics: Metrics,
    /// True while it serves.
    pub readiness: Readiness,
    /// The wall clock.
    pub clock: Clock,
    /// Cancelled when it shall stop.
    pub stop: CancellationToken,
    /// Where it publishes informational events; set before it is ready.
    pub events: Arc<OnceLock<SocketAddr>>,
}

/// Runs a container until it is stopped or falls asleep; returns the exit code of the process: 0 after a stop,
/// [`crate::lifecycle::EXIT_ASLEEP`] when it sleeps and its marker is on disk.
///
/// # Errors
/// If something on the volume cannot be used, or the end cannot be recorded.
pub async fn run(
    config: Config,
    secrets: Secrets,
    listener: TcpListener,
    around: Surroundings,
) -> Result<u8, AgentError> {
    let lifecycle_dir = config.lifecycle.dir.clone().unwrap_or_else(|| config.data_dir.join("lifecycle"));
    make_dir(&lifecycle_dir)?;
    let instance = config.lifecycle.instance.clone().unwrap_or_else(|| new_id(around.clock.now_ns()));
    match marker::judge(&marker::find(&lifecycle_dir)?, &instance) {
        Start::Serve => {}
        Start::RemoveAndServe => marker::remove(&lifecycle_dir)?,
        Start::Asleep => {
            tracing::info!("this instance went to sleep: it serves nothing");
            tokio::select! {
                () = around.stop.cancelled() => return Ok(EXIT_STOPPED),
                refused = refuse_all(&listener) => refused?,
                woken = marker::until_woken(&lifecycle_dir, &instance) => woken?,
            }
        }
    }
    let farewell = Farewell { marker_dir: lifecycle_dir, uid: instance, grace: config.lifecycle.grace };
    let (ending, container) = serve(config, secrets, listener, &around).await?;
    container.memory.close().await?;
    Ok(farewell.leave(ending, &container.events, &around.clock).await)
}

/// Answers everybody that there is nothing here.
async fn refuse_all(listener: &TcpListener) -> Result<(), AgentError> {
    const ASLEEP: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nContent-Length: 7\r\n\r\nasleep\n";
    loop {
        let (mut stream, _peer) = listener.accept().await.map_err(AgentError::Http)?;
        let answer = async {
            // Whoever is answered before having asked is cut off in the middle of the question.
            let mut question = [0; 8 << 10];
            let asked = stream.read(&mut question).await?;
            if asked > 0 {
                stream.write_all(ASLEEP).await?;
                stream.shutdown().await?;
                while stream.read(&mut question).await? > 0 {}
            }
            Ok::<_, std::io::Error>(())
        };
        // One after the other, each for a short time: there is nothing to be had here.
        let _answered = tokio::time::timeout(Duration::from_secs(1), answer).await;
    }
}

/// Serves until it shall end, and lets what is in flight end.
async fn serve(
    config: Config,
    secrets: Secrets,
    listener: TcpListener,
    around: &Surroundings,
) -> Result<(Ending, Arc<Container>), AgentError> {
    let guard = Arc::new(Guard::new(&config.auth, &config.owner)?);
    let sessions = config.data_dir.join("sessions");
    let sessions = Sessions::open(sessions.clone(), config.mcp.sessions)
        .map_err(|source| AgentError::Volume { path: sessions, source })?;
    let (grace, sleeps) = (config.lifecycle.grace, config.lifecycle.sleep);
    let container = Arc::new(open(config, &secrets, sleeps, around).await?);
    let (stop_http, module) = (CancellationToken::new(), around.metrics.module("agent_http"));
    let refused = Refused::new(&module);
    let parts = Parts {
        config: container.config.mcp.clone(),
        guard,
        sessions,
        refused: refused.clone(),
        resource: container.config.auth.audience.clone(),
        issuer: container.config.auth.issuer.clone(),
        loopback: listener.local_addr().map_err(AgentError::Http)?.ip().is_loopback(),
        stop: stop_http.clone(),
    };
    let limits = service::http::Limits {
        connections: container.config.mcp.connections,
        header_timeout: container.config.mcp.header_timeout,
        open: module.gauge("connections", "Open connections"),
        refused: Box::new(move || refused.reason("connections")),
    };
    let metrics = CallMetrics::new(&around.metrics.module("agent_tool"));
    let shared = Arc::clone(&container);
    let router = router(parts, move || Handler::new(Arc::clone(&shared), metrics.clone()));
    let tasks = container.tasks.clone();
    let server = tokio::spawn(service::http::serve(listener, router, limits, (tasks.clone(), stop_http.clone())));
    around.readiness.set(true);
    let mut supervisor = Supervisor::new(container.activity.clone(), container.events.outbox().watch_unacked());
    let ending = supervisor.ending(&around.stop).await;
    around.readiness.set(false);
    stop_http.cancel();
    server.await?;
    tasks.close();
    if tokio::time::timeout(grace, tasks.wait()).await.is_err() {
        tracing::warn!(?grace, "requests were still in flight");
    }
    Ok((ending, container))
}

/// Opens everything that is on the volume and starts what works in the background.
async fn open(config: Config, secrets: &Secrets, sleeps: bool, around: &Surroundings) -> Result<Container, AgentError> {
    let data = config.data_dir.clone();
    make_dir(&data)?;
    // Workers of another user pass through to the workspace; nobody else has anything to look for here.
    let mode = if config.python.worker_id.is_some() { 0o711 } else { 0o700 };
    std::fs::set_permissions(&data, std::fs::Permissions::from_mode(mode))
        .map_err(|source| AgentError::Volume { path: data.clone(), source })?;
    let now_ns = around.clock.now_ns();
    let limits =
        Limits { file_bytes_max: 256 << 10, files_per_kind_max: 500, total_bytes_max: config.tier.storage() / 4 };
    let volume = data.clone();
    let workspace = tokio::task::spawn_blocking(move || Workspace::open(&volume, limits, now_ns)).await??;
    let embedder = embedder(config.embeddings.as_ref(), secrets)?;
    let summarizer = Arc::new(ExtractiveSummarizer);
    let memory_limits = MemoryLimits { database_bytes_max: config.tier.storage() / 2, ..MemoryLimits::default() };
    let memory = Memory::open(&data.join("memory.sqlite"), memory_limits, embedder, summarizer).await?;
    let runs = Runs::open(data.join("backtests"))?;
    let commands = data.join("commands.jsonl");
    let commands = Commands::open(commands.clone()).map_err(|source| AgentError::Volume { path: commands, source })?;
    // What a killed process had fetched for a run of which nobody waits any more.
    let fetched = data.join(FETCHED);
    match std::fs::remove_dir_all(&fetched) {
        Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
            return Err(AgentError::Volume { path: fetched, source });
        }
        _ => make_dir(&fetched)?,
    }
    let market = config.gateway.as_deref().map(|url| market_data(url, &data)).transpose()?;
    let user_id = user_id(&config)?;
    let key = event_key(&config, secrets)?;
    let events = crate::events::EventsConfig {
        outbox_dir: data.join("outbox"),
        gateway: config.events.gateway.clone(),
        bind: format!("tcp://{}", config.events.publish),
        limits: OutboxLimits::default(),
    };
    let events = Events::start(&events, user_id, key, around.clock.clone(), &around.metrics).await?;
    if let Some(bound) = events.informer().local_addr() {
        around.events.get_or_init(|| bound);
    }
    let idle = config.lifecycle.idle_timeout.or_else(|| config.tier.idle_timeout()).filter(|_| sleeps);
    let workers = workers(&config, &around.metrics);
    if let Err(reason) = &workers {
        tracing::warn!(%reason, "no Python: run_python and run_backtest refuse");
    }
    Ok(Container {
        clock: around.clock.clone(),
        workspace: Arc::new(workspace),
        memory,
        workers,
        market,
        events,
        runs: Arc::new(runs),
        commands: Arc::new(commands),
        turn: tokio::sync::Mutex::default(),
        activity: Activity::new(idle),
        updates: Updates::default(),
        seen: Mutex::default(),
        tasks: TaskTracker::new(),
        config,
    })
}

fn make_dir(path: &Path) -> Result<(), AgentError> {
    std::fs::create_dir_all(path).map_err(|source| AgentError::Volume { path: path.to_owned(), source })
}

fn embedder(config: Option<&EmbeddingsConfig>, secrets: &Secrets) -> Result<Arc<dyn Embedder>, AgentError> {
    let Some(config) = config else { return Ok(Arc::new(LexiconEmbedder)) };
    let endpoint = EndpointConfig {
        url: config.url.clone(),
        model: config.model.clone(),
        dimensions: config.dimensions,
        api_key: secrets.embeddings_key.clone(),
        timeout: EMBEDDING_TIMEOUT,
        text_bytes_max: EMBEDDED_BYTES,
    };
    Ok(Arc::new(EndpointEmbedder::new(endpoint)?))
}

fn market_data(url: &str, data: &Path) -> Result<MarketData, AgentError> {
    let mut config = MarketDataConfig::new(url);
    config.cache = Some(CacheConfig { dir: data.join("market"), max_bytes: 256 << 20 });
    Ok(MarketData::new(config)?)
}

fn user_id(config: &Config) -> Result<UserId, AgentError> {
    let text = match &config.user_id {
        Some(text) => text.clone(),
        None => {
            let digest: [u8; 32] = Sha256::digest(config.owner.as_bytes()).into();
            let (head, _) = digest.split_at(16);
            ulid::Ulid::from_bytes(head.try_into().map_err(|_| AgentError::UserId)?).to_string()
        }
    };
    text.parse().map_err(|_| AgentError::UserId)
}

/// The configured key, or one that is made and kept beside the data.
fn event_key(config: &Config, secrets: &Secrets) -> Result<MacKey, AgentError> {
    if let Some(key) = &secrets.event_key {
        return Ok(MacKey::from_hex(config.events.key_id, key)?);
    }
    let path = config.data_dir.join("event.key");
    let volume = |source| AgentError::Volume { path: path.clone(), source };
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => SecretString::from(text),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let mut bytes = [0; 32];
            rand::rng().fill_bytes(&mut bytes);
            let text: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            let text = SecretString::from(text);
            let mut file =
                std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path).map_err(volume)?;
            std::io::Write::write_all(&mut file, text.expose_secret().as_bytes()).map_err(volume)?;
            file.sync_all().map_err(volume)?;
            text
        }
        Err(error) => return Err(volume(error)),
    };
    Ok(MacKey::from_hex(config.events.key_id, &text)?)
}

/// The native module: as configured, or beside this program.
fn module(config: &PythonConfig) -> Result<PathBuf, String> {
    if let Some(module) = &config.module {
        return if module.is_file() { Ok(module.clone()) } else { Err(format!("{}: no such file", module.display())) };
    }
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let dirs = program.ancestors().skip(1).take(2);
    let mut candidates = dirs.map(|dir| dir.join("libagent_python.so"));
    candidates.find(|path| path.is_file()).ok_or_else(|| "libagent_python.so is not beside this program".to_owned())
}

fn workers(config: &Config, metrics: &Metrics) -> Result<Workers, String> {
    let root = rustix::process::geteuid().is_root();
    let metrics = WorkerMetrics::new(&metrics.module("agent_worker"));
    let config = WorkerConfig {
        python: config.python.interpreter.clone(),
        module: module(&config.python)?,
        scratch_root: config.data_dir.join("scratch"),
        running_max: NonZeroUsize::new(config.tier.workers()).unwrap_or(NonZeroUsize::MIN),
        waiting_max: WAITING,
        first_uid: config.python.worker_id.filter(|_| root),
        without_landlock: false,
    };
    Workers::new(config, metrics).map_err(|error| error.to_string())
}

/// What `dexorder agent` tells about itself.
#[must_use]
pub fn mcp_url(listen: SocketAddr) -> String {
    format!("http://{listen}/mcp")
}
