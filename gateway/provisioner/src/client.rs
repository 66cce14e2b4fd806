//! The client to users' containers: one connection for each user, shared by all who need it, opened when it is needed.
//!
//! It speaks MCP 2026-07-28, which has no sessions: a token is renewed between two requests, a container that was restarted is found again,
//! and nothing is lost with a connection but what was under way. That is sent again only if [`Repeat::Safely`] says so, or if it surely
//! never began.

mod connection;
mod error;
mod failure;
mod http;
mod workspace;

pub use error::{ClientError, TiersError};
pub use workspace::{ContextResources, Erased, FileKind};

use crate::config::ClientConfig;
use crate::metrics::ContainerMetrics;
use crate::provisioner::{Endpoint, Ensured, Provisioner};
use crate::tier::Tier;
use crate::tokens::{ContainerTokens, TokenCache};
use async_trait::async_trait;
use connection::Connection;
use failure::Failure;
use harness::tool::OnProgress;
use http::OwnersHttp;
use proto::UserId;
use rmcp::model::{CallToolRequestParams, CallToolResult, ContentBlock, Tool};
use serde_json::{Map, Value};
use service::clock::Clock;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// How often a request is sent at most.
const TRIES: u32 = 6;
/// The pause before it is sent again; each further one is twice as long.
const PAUSE: Duration = Duration::from_millis(100);

/// Says which tier a user has. Implemented by the accounts.
#[async_trait]
pub trait Tiers: Send + Sync + std::fmt::Debug {
    /// The user's tier now; asked before every request, so it should be quick.
    ///
    /// # Errors
    /// If there is no such user, or nobody can say.
    async fn tier(&self, owner: UserId) -> Result<Tier, TiersError>;
}

/// Whether a call that may have been carried out may be sent again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Repeat {
    /// It changes nothing, or has a `command_id` under which it is carried out once.
    Safely,
    /// Twice would be once too often.
    Never,
}

/// A call of a tool.
#[derive(Debug, Clone)]
pub struct ToolCall {
    /// Whose container.
    pub owner: UserId,
    /// Of the tool.
    pub name: String,
    /// As the tool wants them, `command_id` included.
    pub arguments: Map<String, Value>,
    /// If the container is lost meanwhile.
    pub repeat: Repeat,
    /// W3C trace context.
    pub traceparent: Option<String>,
}

/// A picture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picture {
    /// E.g. `image/png`.
    pub media_type: String,
    /// Base64.
    pub data: String,
}

/// What a tool answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Called {
    /// It did not do what was asked; the text says why.
    pub refused: bool,
    /// JSON.
    pub text: String,
    /// Bounded in number and size.
    pub pictures: Vec<Picture>,
    /// Pictures that were too many or too large.
    pub dropped: usize,
}

/// What is kept of one user.
#[derive(Debug, Default)]
struct Entry {
    /// Held while a connection is opened, so that one is opened.
    connection: tokio::sync::Mutex<Option<Arc<Connection>>>,
    used: AtomicU64,
}

/// How often a request was tried.
#[derive(Debug)]
struct Tries {
    made: u32,
    repeat: Repeat,
}

/// The client. Clones share everything.
#[derive(Debug, Clone)]
pub struct ContainerClient {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    provisioner: Arc<dyn Provisioner>,
    tiers: Arc<dyn Tiers>,
    tokens: Arc<TokenCache>,
    http: reqwest::Client,
    config: ClientConfig,
    metrics: ContainerMetrics,
    entries: Mutex<HashMap<UserId, Arc<Entry>>>,
    uses: AtomicU64,
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl ContainerClient {
    /// A client. The TLS provider of the process must have been chosen.
    ///
    /// # Errors
    /// If there can be no HTTP client.
    pub fn new(
        config: ClientConfig,
        (provisioner, tiers): (Arc<dyn Provisioner>, Arc<dyn Tiers>),
        tokens: Arc<dyn ContainerTokens>,
        clock: Clock,
        metrics: ContainerMetrics,
    ) -> Result<Self, reqwest::Error> {
        let http = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(Duration::from_secs(5))
            .build()?;
        let shared = Shared {
            provisioner,
            tiers,
            tokens: Arc::new(TokenCache::new(tokens, clock)),
            http,
            config,
            metrics,
            entries: Mutex::default(),
            uses: AtomicU64::new(0),
            tasks: TaskTracker::new(),
            stop: CancellationToken::new(),
        };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// What runs containers.
    #[must_use]
    pub fn provisioner(&self) -> &Arc<dyn Provisioner> {
        &self.shared.provisioner
    }

    pub(crate) fn config(&self) -> &ClientConfig {
        &self.shared.config
    }

    pub(crate) fn metrics(&self) -> &ContainerMetrics {
        &self.shared.metrics
    }

    pub(crate) fn tokens(&self) -> &Arc<TokenCache> {
        &self.shared.tokens
    }

    /// Makes the user's container run.
    ///
    /// # Errors
    /// If it cannot be had.
    pub async fn ensure(&self, owner: UserId) -> Result<Ensured, ClientError> {
        let tier = self.shared.tiers.tier(owner).await?;
        Ok(self.shared.provisioner.ensure(owner, tier).await?)
    }

    /// The tools of the user's container.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn tools(&self, owner: UserId) -> Result<Arc<[Tool]>, ClientError> {
        let mut tries = Tries { made: 0, repeat: Repeat::Safely };
        loop {
            let connection = self.connection(owner, &mut tries).await?;
            match connection.tools(self.shared.config.silence).await {
                Ok(tools) => return Ok(tools),
                Err(failure) => self.after(owner, &mut tries, &connection.endpoint, failure).await?,
            }
        }
    }

    pub(crate) async fn resource(&self, owner: UserId, uri: &str) -> Result<Arc<str>, ClientError> {
        let mut tries = Tries { made: 0, repeat: Repeat::Safely };
        loop {
            let connection = self.connection(owner, &mut tries).await?;
            match connection.resource(uri, self.shared.config.silence).await {
                Ok(text) => return Ok(text),
                Err(failure) => self.after(owner, &mut tries, &connection.endpoint, failure).await?,
            }
        }
    }

    /// Calls a tool. When `cancel` is cancelled it returns at once, and the container is told to end the work; dropping the future does
    /// the same.
    ///
    /// # Errors
    /// [`ClientError`]; that the tool refuses is no error.
    pub async fn call(
        &self,
        call: ToolCall,
        on_progress: OnProgress,
        cancel: &CancellationToken,
    ) -> Result<Called, ClientError> {
        let begun = Instant::now();
        let result = tokio::select! {
            biased;
            result = self.call_until_done(call, on_progress, cancel) => result,
            // Also while the container is not there yet.
            () = cancel.cancelled() => Err(ClientError::Cancelled),
        };
        let ended = match &result {
            Ok(called) if called.refused => "refused",
            Ok(_) => "done",
            Err(error) => error.code(),
        };
        self.shared.metrics.called(ended, begun.elapsed());
        result
    }

    async fn call_until_done(
        &self,
        call: ToolCall,
        on_progress: OnProgress,
        cancel: &CancellationToken,
    ) -> Result<Called, ClientError> {
        let config = &self.shared.config;
        let mut tries = Tries { made: 0, repeat: call.repeat };
        loop {
            let connection = self.connection(call.owner, &mut tries).await?;
            let params = CallToolRequestParams::new(call.name.clone()).with_arguments(call.arguments.clone());
            let traceparent = call.traceparent.as_deref();
            let (heard, times) = ((Arc::clone(&on_progress), cancel), (config.silence, config.longest_call));
            match connection.call(params, traceparent, heard, times).await {
                Ok(result) => return Ok(self.bounded(result)),
                Err(failure) => self.after(call.owner, &mut tries, &connection.endpoint, failure).await?,
            }
        }
    }

    /// A connection to the user's container, made to run if need be.
    async fn connection(&self, owner: UserId, tries: &mut Tries) -> Result<Arc<Connection>, ClientError> {
        let entry = self.entry(owner);
        let mut kept = entry.connection.lock().await;
        loop {
            let Ensured { endpoint, .. } = self.ensure(owner).await?;
            if let Some(connection) = kept.as_ref()
                && connection.is_alive()
                && connection.endpoint.instance == endpoint.instance
            {
                return Ok(Arc::clone(connection));
            }
            let http = OwnersHttp {
                http: self.shared.http.clone(),
                tokens: Arc::clone(&self.shared.tokens),
                owner,
                audience: Arc::clone(&endpoint.audience),
            };
            let tasks = (self.shared.tasks.clone(), self.shared.stop.child_token());
            let uris = workspace::URIS;
            match Connection::open(endpoint.clone(), http, &self.shared.config, tasks, &uris).await {
                Ok(connection) => {
                    *kept = Some(Arc::clone(&connection));
                    return Ok(connection);
                }
                Err(failure) => self.after(owner, tries, &endpoint, failure).await?,
            }
        }
    }

    fn entry(&self, owner: UserId) -> Arc<Entry> {
        let used = self.shared.uses.fetch_add(1, Ordering::Relaxed);
        let mut entries = self.shared.entries.lock().unwrap_or_else(PoisonError::into_inner);
        if !entries.contains_key(&owner) && entries.len() >= self.shared.config.connections {
            let idle = entries.iter().filter(|(_, entry)| Arc::strong_count(entry) == 1);
            let oldest = idle.min_by_key(|(_, entry)| entry.used.load(Ordering::Relaxed)).map(|(owner, _)| *owner);
            if let Some(oldest) = oldest {
                entries.remove(&oldest);
                self.shared.metrics.evicted.inc();
            }
        }
        let entry = Arc::clone(entries.entry(owner).or_default());
        entry.used.store(used, Ordering::Relaxed);
        self.shared.metrics.connections.set(i64::try_from(entries.len()).unwrap_or(i64::MAX));
        entry
    }

    /// Decides what a failure means: an error, or that it is worth another try, which may begin when this returns.
    async fn after(
        &self,
        owner: UserId,
        tries: &mut Tries,
        endpoint: &Endpoint,
        failure: Failure,
    ) -> Result<(), ClientError> {
        tries.made += 1;
        let last = tries.made >= TRIES;
        match failure {
            Failure::Cancelled => return Err(ClientError::Cancelled),
            Failure::Silent => {
                self.give_up_connection(owner, endpoint).await;
                return Err(ClientError::Silent { after: self.shared.config.silence });
            }
            Failure::Refused(error) => {
                return Err(ClientError::Malformed { message: error.message.into_owned() });
            }
            Failure::Token => {
                self.shared.tokens.forget(owner, &endpoint.audience);
                // Whoever cannot make one says so itself.
                drop(self.shared.tokens.get(owner, &endpoint.audience)?);
                if tries.made > 1 {
                    return Err(ClientError::Denied);
                }
            }
            Failure::Unknown if tries.repeat == Repeat::Never => {
                self.give_up_connection(owner, endpoint).await;
                return Err(ClientError::Lost);
            }
            Failure::Unknown | Failure::NotBegun => self.give_up_connection(owner, endpoint).await,
        }
        if last {
            return Err(ClientError::Unreachable { tries: tries.made });
        }
        self.shared.metrics.repeated.inc();
        tokio::time::sleep(PAUSE * (1 << (tries.made - 1))).await;
        Ok(())
    }

    async fn give_up_connection(&self, owner: UserId, endpoint: &Endpoint) {
        self.shared.provisioner.suspect(owner, &endpoint.instance);
        let entry = self.shared.entries.lock().unwrap_or_else(PoisonError::into_inner).get(&owner).cloned();
        // Whoever holds it opens another one just now.
        if let Some(entry) = entry
            && let Ok(kept) = entry.connection.try_lock()
            && let Some(connection) = kept.as_ref()
            && connection.endpoint.instance == endpoint.instance
        {
            connection.close();
        }
    }

    fn bounded(&self, result: CallToolResult) -> Called {
        let config = &self.shared.config;
        let mut called =
            Called { refused: result.is_error == Some(true), text: String::new(), pictures: Vec::new(), dropped: 0 };
        for block in result.content {
            match block {
                ContentBlock::Text(text) => called.text.push_str(&text.text),
                ContentBlock::Image(image) => {
                    // Base64 is a third longer than what it holds.
                    if called.pictures.len() < config.pictures && image.data.len() / 4 * 3 <= config.picture_bytes {
                        called.pictures.push(Picture { media_type: image.mime_type, data: image.data });
                    } else {
                        called.dropped += 1;
                        self.shared.metrics.pictures_dropped.inc();
                    }
                }
                _ => {}
            }
        }
        called
    }

    /// Closes everything. Calls under way end with an error.
    pub async fn shutdown(&self) {
        self.shared.stop.cancel();
        self.shared.entries.lock().unwrap_or_else(PoisonError::into_inner).clear();
        self.shared.tasks.close();
        self.shared.tasks.wait().await;
    }
}
