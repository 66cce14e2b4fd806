//! Who makes connections: a task that connects again and again, or one that accepts.

use super::link::{Link, LinkError, Pattern, serve};
use super::{ConnectionEvent, Counters, EndReason, Endpoint, SocketError, SocketOptions};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{broadcast, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// What every socket type keeps: its options, counters, and the connection that is up.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) options: SocketOptions,
    pub(crate) counters: Arc<Counters>,
    current: watch::Sender<Option<Arc<Link>>>,
    connected: watch::Sender<bool>,
    events: broadcast::Sender<ConnectionEvent>,
}

/// Events waiting for one who watches; who is further behind misses the oldest, and is told so.
const EVENTS: usize = 256;

impl Shared {
    pub(crate) fn new(options: SocketOptions) -> Self {
        let (current, connected) = (watch::Sender::new(None), watch::Sender::new(false));
        Self { options, counters: Arc::default(), current, connected, events: broadcast::Sender::new(EVENTS) }
    }

    pub(crate) fn monitor(&self) -> broadcast::Receiver<ConnectionEvent> {
        self.events.subscribe()
    }

    fn tell(&self, event: ConnectionEvent) {
        // It is no matter that nobody watches.
        drop(self.events.send(event));
    }

    fn ended(&self, attached: bool, error: &LinkError) {
        let reason = EndReason::from(error);
        self.tell(if attached { ConnectionEvent::Disconnected(reason) } else { ConnectionEvent::Failed(reason) });
    }

    pub(crate) fn attached(&self, link: &Arc<Link>) {
        self.current.send_replace(Some(Arc::clone(link)));
        self.connected.send_replace(true);
        self.tell(ConnectionEvent::from(&link.peer));
    }

    pub(crate) fn detached(&self, link: &Arc<Link>) {
        let was_current = self.current.send_if_modified(|current| match current {
            Some(other) if Arc::ptr_eq(other, link) => current.take().is_some(),
            _ => false,
        });
        if was_current {
            self.connected.send_replace(false);
        }
    }

    pub(crate) fn connected(&self) -> watch::Receiver<bool> {
        self.connected.subscribe()
    }

    /// The connection that is up, waiting for one if there is none.
    pub(crate) async fn link(&self) -> Arc<Link> {
        let mut current = self.current.subscribe();
        loop {
            if let Ok(found) = current.wait_for(Option::is_some).await
                && let Some(link) = found.as_ref()
            {
                return Arc::clone(link);
            }
        }
    }

    /// Waits until a peer has handled everything that was sent before the call.
    pub(crate) async fn confirmed(&self) {
        while !self.link().await.confirmed().await {}
    }

    /// Waits until what is queued for the connection that is up is written, or the connection ends.
    pub(crate) async fn flushed(&self) {
        let link = self.current.borrow().clone();
        if let Some(link) = link {
            link.outbox.flushed(link.outbox.position()).await;
        }
    }
}

/// The tasks of a socket; they end when it is dropped.
#[derive(Debug)]
pub(crate) struct Runtime {
    token: CancellationToken,
    tracker: TaskTracker,
    local_addr: Option<SocketAddr>,
}

impl Drop for Runtime {
    fn drop(&mut self) {
        self.token.cancel();
    }
}

impl Runtime {
    fn new(local_addr: Option<SocketAddr>) -> Self {
        Self { token: CancellationToken::new(), tracker: TaskTracker::new(), local_addr }
    }

    pub(crate) const fn local_addr(&self) -> Option<SocketAddr> {
        self.local_addr
    }

    /// Ends the tasks and waits for them.
    pub(crate) async fn close(&self) {
        self.token.cancel();
        self.tracker.close();
        self.tracker.wait().await;
    }

    pub(crate) fn connect<P: Pattern>(endpoint: Endpoint, pattern: Arc<P>, shared: Arc<Shared>) -> Self {
        let runtime = Self::new(None);
        let token = runtime.token.clone();
        runtime.tracker.spawn(async move {
            tokio::select! {
                () = token.cancelled() => {}
                () = connect_for_ever(&endpoint, &*pattern, &shared) => {}
            }
        });
        runtime
    }

    pub(crate) async fn bind<P: Pattern>(
        endpoint: &Endpoint,
        pattern: Arc<P>,
        shared: Arc<Shared>,
    ) -> Result<Self, SocketError> {
        let error = |source| SocketError::Bind { endpoint: endpoint.to_string(), source };
        let listener = TcpListener::bind((endpoint.host(), endpoint.port())).await.map_err(error)?;
        let runtime = Self::new(Some(listener.local_addr().map_err(error)?));
        let token = runtime.token.clone();
        runtime.tracker.spawn(async move {
            tokio::select! {
                () = token.cancelled() => {}
                () = accept_for_ever(&listener, &pattern, &shared) => {}
            }
        });
        Ok(runtime)
    }
}

async fn connect(endpoint: &Endpoint) -> io::Result<TcpStream> {
    let stream = TcpStream::connect((endpoint.host(), endpoint.port())).await?;
    // On loopback, a port of the ephemeral range that nobody listens on can be connected to itself. Such a connection
    // would keep the real peer from binding.
    if stream.local_addr()? == stream.peer_addr()? {
        return Err(io::Error::new(io::ErrorKind::ConnectionRefused, "connected to itself"));
    }
    Ok(stream)
}

async fn connect_for_ever<P: Pattern>(endpoint: &Endpoint, pattern: &P, shared: &Shared) {
    let options = &shared.options;
    let (mut failures, mut key) = (0u32, 0);
    loop {
        key += 1;
        let (attached, error) = match timeout(options.handshake_timeout, connect(endpoint)).await {
            Ok(Ok(stream)) => serve(key, stream, pattern, options, &shared.counters).await,
            failed => {
                Counters::add(&shared.counters.failed, 1);
                let timeout = LinkError::Timeout(options.handshake_timeout);
                (false, failed.ok().and_then(Result::err).map_or(timeout, LinkError::Io))
            }
        };
        failures = if attached { 0 } else { failures.saturating_add(1) };
        tracing::debug!(%endpoint, attached, %error, "connection ended");
        shared.ended(attached, &error);
        sleep(options.backoff.delay(failures)).await;
    }
}

async fn accept_for_ever<P: Pattern>(listener: &TcpListener, pattern: &Arc<P>, shared: &Arc<Shared>) {
    let mut links = JoinSet::new();
    let keys = AtomicU64::new(1);
    loop {
        let stream = tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => stream,
                Err(error) => {
                    // Out of descriptors, most likely: try again later instead of spinning.
                    tracing::warn!(%error, "cannot accept");
                    sleep(shared.options.backoff.max).await;
                    continue;
                }
            },
            Some(_) = links.join_next() => continue,
        };
        if links.len() >= shared.options.max_peers {
            Counters::add(&shared.counters.refused, 1);
            continue;
        }
        let (pattern, shared) = (Arc::clone(pattern), Arc::clone(shared));
        let key = keys.fetch_add(1, Ordering::Relaxed);
        links.spawn(async move {
            let (attached, error) = serve(key, stream, &*pattern, &shared.options, &shared.counters).await;
            tracing::debug!(key, attached, %error, "connection ended");
            shared.ended(attached, &error);
        });
    }
}
