//! Settings of a container. Who it belongs to and where it keeps its data have no default; limits do.

use crate::tier::Tier;
use secrecy::SecretString;
use serde::Deserialize;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// Settings of one user's container.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Whose container it is: the subject of every token it accepts.
    pub owner: String,
    /// The user in events, a ULID; by default made of a digest of the owner.
    #[serde(default)]
    pub user_id: Option<String>,
    /// Where everything of the user is kept.
    pub data_dir: PathBuf,
    /// What the user may use.
    #[serde(default)]
    pub tier: Tier,
    /// Where MCP is served.
    #[serde(default = "defaults::listen")]
    pub listen: SocketAddr,
    /// Who may call.
    pub auth: AuthConfig,
    /// Limits of the MCP server.
    #[serde(default)]
    pub mcp: McpConfig,
    /// Where the gateway's REST API is, e.g. `http://127.0.0.1:3000`; without it there is no market data to test on.
    #[serde(default)]
    pub gateway: Option<String>,
    /// Where events go.
    #[serde(default)]
    pub events: EventsConfig,
    /// User code.
    #[serde(default)]
    pub python: PythonConfig,
    /// Finds messages by meaning through an endpoint instead of the built-in table.
    #[serde(default)]
    pub embeddings: Option<EmbeddingsConfig>,
    /// When it sleeps.
    #[serde(default)]
    pub lifecycle: LifecycleConfig,
}

/// `secrets.yaml` of a container.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Secrets {
    /// The key under which this container signs its critical events, 64 hexadecimal digits.
    pub event_key: Option<SecretString>,
    /// The bearer key of the embeddings endpoint.
    pub embeddings_key: Option<SecretString>,
}

/// Whose tokens are good.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AuthConfig {
    /// The `iss` of every token.
    pub issuer: String,
    /// The `aud` of every token: the URL under which clients know this server.
    pub audience: String,
    /// Ed25519 public keys of the issuer, PEM (SubjectPublicKeyInfo), by key id.
    pub keys: std::collections::BTreeMap<String, String>,
}

/// Limits of the MCP server.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct McpConfig {
    /// Hosts accepted besides those of loopback.
    pub allowed_hosts: Vec<String>,
    /// Origins of web pages that may call; none by default.
    pub allowed_origins: Vec<String>,
    /// Most bytes of a request.
    pub request_bytes: usize,
    /// Requests worked on at one time; more get 503.
    pub requests_in_flight: usize,
    /// Open connections; more are closed at once.
    pub connections: usize,
    /// Headers that take longer end the connection.
    #[serde(with = "service::config::duration")]
    pub header_timeout: Duration,
    /// Most sessions of the older protocol revision; the least recently created is forgotten.
    pub sessions: usize,
    /// A session nobody uses is put away so long after; it comes back when it is used again.
    #[serde(with = "service::config::duration")]
    pub session_idle: Duration,
}

impl Default for McpConfig {
    fn default() -> Self {
        Self {
            allowed_hosts: Vec::new(),
            allowed_origins: Vec::new(),
            request_bytes: 1 << 20,
            requests_in_flight: 256,
            connections: 512,
            header_timeout: Duration::from_secs(10),
            sessions: 64,
            session_idle: Duration::from_secs(300),
        }
    }
}

/// Where events go.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EventsConfig {
    /// Where informational events are published.
    pub publish: SocketAddr,
    /// The gateway's event port; while nobody is there, critical events wait in the outbox.
    pub gateway: String,
    /// Number under which the gateway knows this container's event key.
    pub key_id: u32,
}

impl Default for EventsConfig {
    fn default() -> Self {
        Self { publish: defaults::publish(), gateway: "tcp://127.0.0.1:5571".to_owned(), key_id: 1 }
    }
}

/// User code.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PythonConfig {
    /// CPython 3.11 or later with numpy and pandas.
    pub interpreter: PathBuf,
    /// The native module `dexorder`; by default beside this program.
    pub module: Option<PathBuf>,
    /// First user and group id of the workers where this program runs as root; interpreter and workspace must be readable
    /// for them. By default they have this program's own.
    pub worker_id: Option<u32>,
}

impl Default for PythonConfig {
    fn default() -> Self {
        Self { interpreter: PathBuf::from("python3"), module: None, worker_id: None }
    }
}

/// An OpenAI-compatible embeddings endpoint.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EmbeddingsConfig {
    /// The whole URL, e.g. `http://127.0.0.1:11434/v1/embeddings`.
    pub url: String,
    /// Model name.
    pub model: String,
    /// Length of its vectors.
    pub dimensions: usize,
}

/// When the container sleeps.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LifecycleConfig {
    /// Where the shutdown marker is written; by default `lifecycle/` in the data directory.
    pub dir: Option<PathBuf>,
    /// Names this instance (the pod's uid); a marker of another one does not count.
    pub instance: Option<String>,
    /// Sleep when idle; a container started by hand does not.
    pub sleep: bool,
    /// In place of the tier's idle timeout.
    #[serde(with = "optional_duration")]
    pub idle_timeout: Option<Duration>,
    /// SIGTERM: what is in flight may take so long.
    #[serde(with = "service::config::duration")]
    pub grace: Duration,
}

impl Default for LifecycleConfig {
    fn default() -> Self {
        Self { dir: None, instance: None, sleep: true, idle_timeout: None, grace: Duration::from_secs(10) }
    }
}

mod optional_duration {
    use serde::{Deserialize, Deserializer, de::Error};
    use std::time::Duration;

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
        let Some(text) = Option::<String>::deserialize(deserializer)? else { return Ok(None) };
        let duration = service::config::duration::parse(&text);
        duration.map(Some).ok_or_else(|| D::Error::custom("not a duration such as 250ms, 5s, 2m, 1h or 7d"))
    }
}

mod defaults {
    use std::net::{Ipv4Addr, SocketAddr};

    pub(super) fn listen() -> SocketAddr {
        (Ipv4Addr::LOCALHOST, 8100).into()
    }

    pub(super) fn publish() -> SocketAddr {
        (Ipv4Addr::LOCALHOST, 5570).into()
    }
}

/// Most bytes of a user id.
const OWNER_BYTES: usize = 128;

impl Config {
    /// Checks the rules that hold between settings; each problem with the path of its key.
    #[must_use]
    pub fn problems(&self) -> Vec<String> {
        let (mcp, auth) = (&self.mcp, &self.auth);
        let url = |text: &str| text.starts_with("http://") || text.starts_with("https://");
        let rules = [
            (!self.owner.is_empty() && self.owner.len() <= OWNER_BYTES, "owner: must have 1 to 128 bytes"),
            (!auth.issuer.is_empty(), "auth.issuer: must not be empty"),
            (url(&auth.audience), "auth.audience: must be an http or https URL"),
            (!auth.keys.is_empty(), "auth.keys: must hold a key"),
            (mcp.request_bytes >= 64 << 10, "mcp.request_bytes: must be at least 65536"),
            (mcp.requests_in_flight > 0, "mcp.requests_in_flight: must be greater than 0"),
            (mcp.connections > 0, "mcp.connections: must be greater than 0"),
            (mcp.sessions > 0, "mcp.sessions: must be greater than 0"),
            (self.gateway.as_deref().is_none_or(url), "gateway: must be an http or https URL"),
            (self.events.gateway.starts_with("tcp://"), "events.gateway: must start with tcp://"),
            (self.embeddings.as_ref().is_none_or(|it| url(&it.url)), "embeddings.url: must be an http or https URL"),
        ];
        rules.into_iter().filter(|(holds, _)| !holds).map(|(_, problem)| problem.to_owned()).collect()
    }
}
