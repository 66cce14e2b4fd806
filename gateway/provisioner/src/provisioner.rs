//! The boundary to whatever runs containers: who needs one asks for it and gets its endpoint.

use crate::tier::Tier;
use async_trait::async_trait;
use proto::UserId;
use secrecy::SecretString;
use serde::Serialize;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// Where a running container is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// Its MCP server, e.g. `http://127.0.0.1:40123/mcp`; another one after each start.
    pub mcp_url: Arc<str>,
    /// Its informational events, e.g. `tcp://127.0.0.1:40124` (ZeroMQ XPUB), if it says where.
    pub events: Option<String>,
    /// Its admin port, e.g. `http://127.0.0.1:40125`.
    pub admin: Option<String>,
    /// Names this start; another start has another one.
    pub instance: Arc<str>,
    /// `aud` of the tokens that it accepts; the same after each start.
    pub audience: Arc<str>,
    /// The tier that it was started for.
    pub tier: Tier,
}

/// What [`Provisioner::ensure`] had to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum How {
    /// It ran.
    Reused,
    /// There was none.
    Created,
    /// It slept.
    Woken,
    /// It had ended, or hung.
    Restarted,
    /// It ran for another tier or by another template.
    Replaced,
}

/// A container that runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ensured {
    /// Where it is.
    pub endpoint: Endpoint,
    /// What it took.
    pub how: How,
}

/// How a container is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// The user has none.
    Absent,
    /// It will be ready soon.
    Starting,
    /// It answers.
    Ready,
    /// It has ended, with everything kept, and starts when it is needed.
    Asleep,
    /// It does not start.
    Failed,
}

/// What is known of a user's container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ContainerState {
    /// Whose.
    #[serde(serialize_with = "as_text")]
    pub owner: UserId,
    /// How it is.
    pub state: Phase,
    /// Of its last start.
    pub tier: Option<Tier>,
    /// Since when, ns since the epoch; 0 if that is not known.
    pub since_ns: u64,
    /// For a person.
    pub message: String,
}

fn as_text<S: serde::Serializer>(owner: &UserId, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(owner)
}

/// What was erased, as counted before and after.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Erased {
    /// Files before.
    pub files_before: u64,
    /// Their bytes.
    pub bytes_before: u64,
    /// Files after: 0, or it is not erased.
    pub files_after: u64,
}

/// The key under which a container seals its critical events.
#[derive(Debug, Clone)]
pub struct EventKey {
    /// Number by which both ends name it.
    pub id: u32,
    /// 64 hexadecimal digits.
    pub hex: SecretString,
}

/// Why there is no container.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ProvisionError {
    /// As many run as may. None is ended for another.
    #[error("{most} containers run already, which is the most that may (containers.most)")]
    Full {
        /// The bound.
        most: usize,
    },
    /// It was not ready in time.
    #[error("the container was not ready within {after:?} (containers.ready_within)")]
    NotReady {
        /// The deadline.
        after: Duration,
    },
    /// It ended again and again.
    #[error("the container ended {crashes} times within {window:?}; it is tried again in {retry_after:?} (see {log})")]
    CrashLoop {
        /// How often.
        crashes: u32,
        /// Within what time.
        window: Duration,
        /// When it is tried again.
        retry_after: Duration,
        /// Its log.
        log: PathBuf,
    },
    /// The program cannot be started.
    #[error("{program}: cannot be started: {source}")]
    Spawn {
        /// The program.
        program: PathBuf,
        /// The cause.
        source: Arc<std::io::Error>,
    },
    /// A file of the user cannot be used.
    #[error("{path}: {source}")]
    Volume {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: Arc<std::io::Error>,
    },
    /// What ran could not be ended.
    #[error("process {pid} does not end")]
    Undying {
        /// Its id.
        pid: u32,
    },
    /// The platform stops.
    #[error("the platform is stopping")]
    Stopping,
}

impl ProvisionError {
    /// True if the same request may succeed later without anybody doing anything.
    #[must_use]
    pub const fn is_retryable(&self) -> bool {
        !matches!(self, Self::Spawn { .. } | Self::Volume { .. } | Self::Undying { .. })
    }

    /// Its name for programs and metrics.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Full { .. } => "full",
            Self::NotReady { .. } => "not_ready",
            Self::CrashLoop { .. } => "crash_loop",
            Self::Spawn { .. } => "spawn",
            Self::Volume { .. } => "volume",
            Self::Undying { .. } => "undying",
            Self::Stopping => "stopping",
        }
    }

    /// What a user is told: nothing of paths and numbers of this machine.
    #[must_use]
    pub const fn for_user(&self) -> &'static str {
        match self {
            Self::Full { .. } => "all workspaces are in use; try again in some minutes",
            Self::NotReady { .. } => "your workspace did not start in time; try again",
            Self::CrashLoop { .. } => "your workspace fails to start; try again in some minutes, or ask the operator",
            Self::Stopping => "the platform is restarting; try again in a moment",
            Self::Spawn { .. } | Self::Volume { .. } | Self::Undying { .. } => {
                "your workspace cannot be started; ask the operator"
            }
        }
    }
}

/// Runs containers.
#[async_trait]
pub trait Provisioner: Send + Sync + std::fmt::Debug {
    /// The user's container, started if it does not run. All who ask at a time get the same one.
    ///
    /// # Errors
    /// If it is not ready within the deadline, or may not be started.
    ///
    /// # Cancel safety
    /// A start that has begun goes on without its caller.
    async fn ensure(&self, owner: UserId, tier: Tier) -> Result<Ensured, ProvisionError>;

    /// How the user's container is; starts nothing.
    async fn state(&self, owner: UserId) -> ContainerState;

    /// Says that this instance did not answer: before it is given out again it is asked, and replaced if it stays silent.
    fn suspect(&self, owner: UserId, instance: &str);

    /// Ends the user's container; what it keeps stays.
    ///
    /// # Errors
    /// If it does not end.
    async fn stop(&self, owner: UserId) -> Result<(), ProvisionError>;

    /// Ends the user's container and removes everything it kept.
    ///
    /// # Errors
    /// If something of it is left.
    async fn erase(&self, owner: UserId) -> Result<Erased, ProvisionError>;

    /// All containers that there are.
    ///
    /// # Errors
    /// If they cannot be listed.
    async fn list(&self) -> Result<Vec<ContainerState>, ProvisionError>;

    /// The key under which the user's container seals critical events; `None` if the user never had one.
    ///
    /// # Errors
    /// If it cannot be read.
    async fn event_key(&self, owner: UserId) -> Result<Option<EventKey>, ProvisionError>;

    /// Ends everything that it started, and starts nothing any more.
    async fn shutdown(&self);
}
