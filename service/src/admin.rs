//! The admin port: `/livez`, `/readyz`, `/metrics`, `/status`, and `PUT /log-filter` to change the log filter.

use crate::metrics::Metrics;
use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, put};
use std::fmt;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// Whether the process can do its work; false while it starts and while it drains.
#[derive(Debug, Clone, Default)]
pub struct Readiness(Arc<watch::Sender<bool>>);

impl Readiness {
    /// Says whether the process is ready.
    pub fn set(&self, ready: bool) {
        self.0.send_replace(ready);
    }

    /// True if ready.
    #[must_use]
    pub fn get(&self) -> bool {
        *self.0.borrow()
    }

    /// Waits until it is ready.
    pub async fn wait(&self) {
        // The sender lives in `self`, so the channel cannot close while this waits.
        let mut changes = self.0.subscribe();
        let _ready = changes.wait_for(|ready| *ready).await.is_ok();
    }
}

type Diagnostics = Arc<dyn Fn() -> serde_json::Value + Send + Sync>;

/// What the admin port shows.
#[derive(Clone)]
pub struct AdminState {
    /// Answers `/readyz`, with [`Self::ready_when`].
    pub readiness: Readiness,
    parts: Arc<[Readiness]>,
    /// Answers `/metrics`.
    pub metrics: Metrics,
    status: Diagnostics,
}

impl fmt::Debug for AdminState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AdminState").field("readiness", &self.readiness).finish_non_exhaustive()
    }
}

impl AdminState {
    /// State with a function that answers `/status`; it must not block.
    pub fn new(
        readiness: Readiness,
        metrics: Metrics,
        status: impl Fn() -> serde_json::Value + Send + Sync + 'static,
    ) -> Self {
        Self { readiness, parts: Arc::default(), metrics, status: Arc::new(status) }
    }

    /// Ready when each of these is, instead of the one.
    #[must_use]
    pub fn ready_when(self, parts: Vec<Readiness>) -> Self {
        Self { parts: parts.into(), ..self }
    }

    fn is_ready(&self) -> bool {
        if self.parts.is_empty() { self.readiness.get() } else { self.parts.iter().all(Readiness::get) }
    }
}

async fn ready(State(state): State<AdminState>) -> Response {
    if state.is_ready() {
        "ready\n".into_response()
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "not ready\n").into_response()
    }
}

async fn metrics(State(state): State<AdminState>) -> Response {
    const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(header::CONTENT_TYPE, OPEN_METRICS)], state.metrics.render()).into_response()
}

async fn status(State(state): State<AdminState>) -> Response {
    axum::Json((state.status)()).into_response()
}

async fn log_filter(filter: String) -> Response {
    match crate::telemetry::set_filter(filter.trim()) {
        Ok(()) => StatusCode::NO_CONTENT.into_response(),
        Err(error) => (StatusCode::BAD_REQUEST, format!("{error}\n")).into_response(),
    }
}

/// Serves the admin port until the token is cancelled. It stays up while the process drains: give it a token that is
/// cancelled last.
///
/// # Errors
/// If the listener fails.
pub async fn serve(listener: TcpListener, state: AdminState, stop: CancellationToken) -> std::io::Result<()> {
    let router = Router::new()
        .route("/livez", get(|| async { "alive\n" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .route("/status", get(status))
        .route("/log-filter", put(log_filter))
        .layer(axum::extract::DefaultBodyLimit::max(4096))
        .with_state(state);
    axum::serve(listener, router).with_graceful_shutdown(stop.cancelled_owned()).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    async fn request(address: std::net::SocketAddr, path: &str) -> String {
        let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
        let text = format!("GET {path} HTTP/1.1\r\nHost: admin\r\nConnection: close\r\n\r\n");
        stream.write_all(text.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    #[tokio::test]
    async fn the_four_pages_answer_and_readiness_follows_the_process() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (readiness, stop, metrics) = (Readiness::default(), CancellationToken::new(), Metrics::new());
        metrics.module("demo_page").counter("views_total", "Views").inc();
        let state = AdminState::new(readiness.clone(), metrics, || serde_json::json!({"peers": 3}));
        let server = tokio::spawn(serve(listener, state, stop.clone()));
        assert!(request(address, "/livez").await.starts_with("HTTP/1.1 200"));
        assert!(request(address, "/readyz").await.starts_with("HTTP/1.1 503"));
        readiness.set(true);
        assert!(request(address, "/readyz").await.starts_with("HTTP/1.1 200"));
        assert!(request(address, "/metrics").await.contains("demo_page_views_total 1"));
        assert!(request(address, "/status").await.contains(r#"{"peers":3}"#));
        stop.cancel();
        server.await.unwrap().unwrap();
    }
}
