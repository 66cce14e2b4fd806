//! A connection to one container: requests, their progress and cancellation, and what is known of the container meanwhile.

use super::failure::Failure;
use super::http::OwnersHttp;
use crate::config::ClientConfig;
use crate::provisioner::Endpoint;
use harness::tool::{OnProgress, Progress};
use rmcp::model::{
    CallToolRequest, CallToolRequestParams, CallToolResult, ClientCapabilities, ClientConfig as ClientInfo,
    ClientRequest, Implementation, ProgressNotificationParam, ProgressToken, ProtocolVersion, ReadResourceRequest,
    ReadResourceRequestParams, RequestMetaObject, ResourceContents, ServerNotification, ServerResult,
    SubscriptionFilter, Tool,
};
use rmcp::service::{
    ClientCacheConfig, ClientLifecycleMode, ClientServiceExt, NotificationContext, PeerRequestOptions, RequestHandle,
    RunningService, Subscription,
};
use rmcp::transport::StreamableHttpClientTransport;
use rmcp::transport::streamable_http_client::StreamableHttpClientTransportConfig;
use rmcp::{ClientHandler, Peer, RoleClient};
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Opening a connection may take so long.
const OPEN_WITHIN: Duration = Duration::from_secs(10);

/// Who waits for progress, by token.
type Waiting = Arc<Mutex<HashMap<ProgressToken, (OnProgress, Arc<Notify>)>>>;

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Hears what a container says by itself.
#[derive(Clone, Default)]
struct Ear {
    waiting: Waiting,
}

impl ClientHandler for Ear {
    fn get_info(&self) -> ClientInfo {
        ClientInfo::new(
            ClientCapabilities::default(),
            Implementation::new("dexorder-gateway", env!("CARGO_PKG_VERSION")),
        )
    }

    async fn on_progress(&self, told: ProgressNotificationParam, _context: NotificationContext<RoleClient>) {
        let waiting = lock(&self.waiting).get(&told.progress_token).cloned();
        if let Some((on_progress, alive)) = waiting {
            alive.notify_one();
            let message = told.message.unwrap_or_default();
            on_progress(Progress { progress: told.progress, total: told.total, message });
        }
    }
}

/// Something that was read, and is believed for a while.
#[derive(Debug, Clone)]
struct Believed<T> {
    value: T,
    until: Instant,
}

/// A connection. It is good while [`Self::is_alive`]; then a new one is opened.
pub(crate) struct Connection {
    pub(crate) endpoint: Endpoint,
    service: RunningService<RoleClient, Ear>,
    waiting: Waiting,
    tools: Mutex<Option<Believed<Arc<[Tool]>>>>,
    resources: Mutex<HashMap<String, Believed<Arc<str>>>>,
    /// Counts what was said to have changed, so that what was read before is not believed after.
    changes: AtomicU64,
    alive: AtomicBool,
    /// Whether the container tells of changes.
    followed: AtomicBool,
    tasks: TaskTracker,
    ttl: Duration,
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connection")
            .field("endpoint", &self.endpoint)
            .field("alive", &self.alive)
            .finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Ear {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ear").field("waiting", &lock(&self.waiting).len()).finish()
    }
}

impl Connection {
    /// Opens a connection by revision 2026-07-28, which has no sessions, and follows the resources.
    pub(crate) async fn open(
        endpoint: Endpoint,
        http: OwnersHttp,
        config: &ClientConfig,
        (tasks, stop): (TaskTracker, CancellationToken),
        uris: &[&str],
    ) -> Result<Arc<Self>, Failure> {
        let transport = StreamableHttpClientTransportConfig::with_uri(Arc::clone(&endpoint.mcp_url))
            .max_sse_event_size(config.message_bytes);
        let transport = StreamableHttpClientTransport::with_client(http, transport);
        let lifecycle = ClientLifecycleMode::Discover { preferred_versions: vec![ProtocolVersion::V_2026_07_28] };
        let ear = Ear::default();
        let waiting = Arc::clone(&ear.waiting);
        let open = tokio::time::timeout(OPEN_WITHIN, ear.serve_with_lifecycle(transport, lifecycle));
        let service = open.await.map_err(|_| Failure::NotBegun)??;
        // What is believed, and for how long, is said here and nowhere else.
        service.peer().set_response_cache_config(ClientCacheConfig::disabled()).await;
        let connection = Arc::new(Self {
            endpoint,
            service,
            waiting,
            tools: Mutex::default(),
            resources: Mutex::default(),
            changes: AtomicU64::new(0),
            alive: AtomicBool::new(true),
            followed: AtomicBool::new(false),
            tasks: tasks.clone(),
            ttl: config.context_ttl,
        });
        let filter = SubscriptionFilter::builder().tools_list_changed().resource_subscriptions(uris.iter().copied());
        match tokio::time::timeout(OPEN_WITHIN, connection.peer().listen(filter.build())).await {
            Ok(Ok(subscription)) => {
                connection.followed.store(true, Ordering::Release);
                tasks.spawn(follow(Arc::downgrade(&connection), subscription, stop));
            }
            Ok(Err(error)) => tracing::warn!(%error, "a container does not tell of changes: nothing is believed"),
            Err(_) => tracing::warn!("a container does not tell of changes in time: nothing is believed"),
        }
        Ok(connection)
    }

    fn peer(&self) -> &Peer<RoleClient> {
        self.service.peer()
    }

    /// Whether requests can be sent.
    pub(crate) fn is_alive(&self) -> bool {
        self.alive.load(Ordering::Acquire) && !self.peer().is_transport_closed()
    }

    /// Lets nobody use it any more.
    pub(crate) fn close(&self) {
        self.alive.store(false, Ordering::Release);
    }

    fn believe_until(&self) -> Option<Instant> {
        self.followed.load(Ordering::Acquire).then(|| Instant::now() + self.ttl)
    }

    fn changed(&self, what: Option<&str>) {
        self.changes.fetch_add(1, Ordering::AcqRel);
        match what {
            Some(uri) => drop(lock(&self.resources).remove(uri)),
            None => *lock(&self.tools) = None,
        }
    }

    /// The container's tools.
    pub(crate) async fn tools(&self, within: Duration) -> Result<Arc<[Tool]>, Failure> {
        if let Some(known) = lock(&self.tools).as_ref().filter(|it| Instant::now() < it.until) {
            return Ok(Arc::clone(&known.value));
        }
        let before = self.changes.load(Ordering::Acquire);
        let listed = tokio::time::timeout(within, self.peer().list_all_tools()).await;
        let tools: Arc<[Tool]> = listed.map_err(|_| Failure::Silent)??.into();
        if let Some(until) = self.believe_until().filter(|_| before == self.changes.load(Ordering::Acquire)) {
            *lock(&self.tools) = Some(Believed { value: Arc::clone(&tools), until });
        }
        Ok(tools)
    }

    /// The text of a resource.
    pub(crate) async fn resource(&self, uri: &str, within: Duration) -> Result<Arc<str>, Failure> {
        if let Some(known) = lock(&self.resources).get(uri).filter(|it| Instant::now() < it.until) {
            return Ok(Arc::clone(&known.value));
        }
        let before = self.changes.load(Ordering::Acquire);
        let request = ReadResourceRequest::new(ReadResourceRequestParams::new(uri));
        let result = self.request(ClientRequest::ReadResourceRequest(request), within).await?;
        let ServerResult::ReadResourceResult(result) = result else { return Err(Failure::Unknown) };
        let text = |contents| match contents {
            ResourceContents::TextResourceContents { text, .. } => Some(text),
            _ => None,
        };
        let text: String = result.contents.into_iter().filter_map(text).collect();
        let text: Arc<str> = text.into();
        if let Some(until) = self.believe_until().filter(|_| before == self.changes.load(Ordering::Acquire)) {
            lock(&self.resources).insert(uri.to_owned(), Believed { value: Arc::clone(&text), until });
        }
        Ok(text)
    }

    async fn request(&self, request: ClientRequest, within: Duration) -> Result<ServerResult, Failure> {
        let handle = self.peer().send_request_with_option(request, PeerRequestOptions::default()).await?;
        let mut request = Request { handle: Some(handle), waiting: None, tasks: self.tasks.clone() };
        match tokio::time::timeout(within, request.answer()).await {
            Ok(answer) => answer,
            Err(_) => Err(Failure::Silent),
        }
    }

    /// Calls a tool. Cancelling, like dropping the future, ends the work in the container.
    pub(crate) async fn call(
        &self,
        params: CallToolRequestParams,
        traceparent: Option<&str>,
        (on_progress, cancel): (OnProgress, &CancellationToken),
        (silence, longest): (Duration, Duration),
    ) -> Result<CallToolResult, Failure> {
        let mut options = PeerRequestOptions::default();
        if let Some(traceparent) = traceparent {
            let mut meta = RequestMetaObject::new();
            meta.set_traceparent(traceparent);
            options = options.with_meta(meta);
        }
        let request = ClientRequest::CallToolRequest(CallToolRequest::new(params));
        let handle = self.peer().send_request_with_option(request, options).await?;
        let alive = Arc::new(Notify::new());
        let token = handle.progress_token.clone();
        lock(&self.waiting).insert(token.clone(), (on_progress, Arc::clone(&alive)));
        let waiting = Some((Arc::clone(&self.waiting), token));
        let mut request = Request { handle: Some(handle), waiting, tasks: self.tasks.clone() };
        let end = Instant::now() + longest;
        let mut silent_at = Instant::now() + silence;
        loop {
            tokio::select! {
                biased;
                answer = request.answer() => return match answer? {
                    ServerResult::CallToolResult(result) => Ok(result),
                    _ => Err(Failure::Unknown),
                },
                // What is dropped is cancelled.
                () = cancel.cancelled() => return Err(Failure::Cancelled),
                () = alive.notified() => silent_at = Instant::now() + silence,
                () = tokio::time::sleep_until(silent_at.min(end)) => return Err(Failure::Silent),
            }
        }
    }
}

/// A request under way: dropped before its answer, it is cancelled.
struct Request {
    handle: Option<RequestHandle<RoleClient>>,
    waiting: Option<(Waiting, ProgressToken)>,
    tasks: TaskTracker,
}

impl Request {
    /// Cancel-safe.
    async fn answer(&mut self) -> Result<ServerResult, Failure> {
        let Some(handle) = self.handle.as_mut() else { return Err(Failure::Cancelled) };
        let answer = (&mut handle.rx).await;
        self.handle = None;
        answer.map_err(|_| Failure::Unknown)?.map_err(Into::into)
    }

    /// Tells the container, whatever becomes of the caller meanwhile. A connection that is gone has cancelled it already.
    fn cancel(&mut self) {
        if let Some(handle) = self.handle.take()
            && tokio::runtime::Handle::try_current().is_ok()
        {
            self.tasks.spawn(handle.cancel(Some("the caller went away".to_owned())));
        }
    }
}

impl Drop for Request {
    fn drop(&mut self) {
        if let Some((waiting, token)) = &self.waiting {
            lock(waiting).remove(token);
        }
        self.cancel();
    }
}

/// Forgets what a container says has changed, until the container or the connection ends.
async fn follow(connection: std::sync::Weak<Connection>, mut subscription: Subscription, stop: CancellationToken) {
    loop {
        let next = tokio::select! {
            () = stop.cancelled() => break,
            next = subscription.next() => next,
        };
        let Some(connection) = connection.upgrade() else { return };
        match next {
            Ok(Some(ServerNotification::ResourceUpdatedNotification(updated))) => {
                connection.changed(Some(&updated.params.uri));
            }
            Ok(Some(ServerNotification::ToolListChangedNotification(_))) => connection.changed(None),
            Ok(Some(_)) => {}
            Ok(None) | Err(_) => break,
        }
    }
    if let Some(connection) = connection.upgrade() {
        connection.close();
    }
}
