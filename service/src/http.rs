//! Accepts HTTP connections: bounded in number, in size of headers and in the time these may take.

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use prometheus_client::metrics::gauge::Gauge;
use std::fmt;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt;

/// Most bytes of a request head.
const HEAD_BYTES: usize = 16 << 10;
/// Most headers of a request.
const HEADERS: usize = 64;
/// Pause after a failed accept, e.g. for want of file descriptors.
const RETRY: Duration = Duration::from_millis(100);

/// What a server may hold, and who hears of it.
pub struct Limits {
    /// Open connections; more are closed at once.
    pub connections: usize,
    /// Headers that take longer end the connection.
    pub header_timeout: Duration,
    /// Shows the open connections.
    pub open: Gauge,
    /// Told of each connection that was one too many.
    pub refused: Box<dyn Fn() + Send + Sync>,
}

impl fmt::Debug for Limits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Limits").field("connections", &self.connections).finish_non_exhaustive()
    }
}

/// Serves until `stop`; then connections end after the request that they are at. Tasks run in `tracker`.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    limits: Limits,
    (tracker, stop): (TaskTracker, CancellationToken),
) {
    let places = Arc::new(Semaphore::new(limits.connections));
    let most = limits.connections;
    let count = move |places: &Semaphore| i64::try_from(most - places.available_permits()).unwrap_or(i64::MAX);
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(RETRY).await;
                continue;
            }
        };
        let Ok(place) = places.clone().try_acquire_owned() else {
            // Dropping the stream closes it; an answer would cost what there is not enough of.
            (limits.refused)();
            continue;
        };
        limits.open.set(count(&places));
        let header_timeout = limits.header_timeout;
        let connection = Connection { router: router.clone(), header_timeout, place, peer: Peer(peer) };
        let (stop, gauge, places) = (stop.clone(), limits.open.clone(), places.clone());
        tracker.spawn(async move {
            connection.run(stream, stop).await;
            gauge.set(count(&places));
        });
    }
}

/// Ends the connection that a request came by, in the middle of its answer if need be. An extension of each request.
#[derive(Debug, Clone)]
pub struct Cut(CancellationToken);

impl Cut {
    /// Ends it now; what was not sent is lost.
    pub fn now(&self) {
        self.0.cancel();
    }
}

/// Who is at the other end of the connection that a request came by: a client, or a proxy. An extension of each request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer(pub SocketAddr);

struct Connection {
    router: Router,
    header_timeout: Duration,
    place: OwnedSemaphorePermit,
    peer: Peer,
}

impl Connection {
    async fn run(self, stream: TcpStream, stop: CancellationToken) {
        // Ticks are small and must not wait for an acknowledgement of the one before.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "cannot set TCP_NODELAY");
        }
        let cut = Cut(CancellationToken::new());
        let (inserted, peer) = (cut.clone(), self.peer);
        let service = TowerToHyperService::new(self.router.map_request(move |mut request: Request<Incoming>| {
            request.extensions_mut().insert(inserted.clone());
            request.extensions_mut().insert(peer);
            request.map(Body::new)
        }));
        let mut builder = http1::Builder::new();
        builder
            .timer(TokioTimer::new())
            .header_read_timeout(self.header_timeout)
            .max_headers(HEADERS)
            .max_buf_size(HEAD_BYTES);
        let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), service).with_upgrades());
        let serve = async {
            tokio::select! {
                served = connection.as_mut() => served,
                () = stop.cancelled() => {
                    connection.as_mut().graceful_shutdown();
                    connection.await
                }
            }
        };
        let served = tokio::select! {
            served = serve => served,
            () = cut.0.cancelled() => Ok(()),
        };
        if let Err(error) = served {
            tracing::debug!(%error, "connection ended");
        }
        drop(self.place);
    }
}
