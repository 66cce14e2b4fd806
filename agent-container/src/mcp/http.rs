//! The HTTP side: `/mcp` behind the token, the metadata that tells clients where to get one, and `/healthz`.

use super::auth::{self, Guard};
use super::metrics::Refused;
use super::sessions::Sessions;
use crate::config::McpConfig;
use axum::Router;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use rmcp::ServerHandler;
use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;
use rmcp::transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

/// A comment on a silent stream, so that proxies keep it open.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// What the HTTP side needs.
pub(crate) struct Parts {
    pub(crate) config: McpConfig,
    pub(crate) guard: Arc<Guard>,
    pub(crate) sessions: Sessions,
    pub(crate) refused: Refused,
    /// The URL of this server, as clients know it, and who issues its tokens.
    pub(crate) resource: String,
    pub(crate) issuer: String,
    /// Whether only this machine can connect.
    pub(crate) loopback: bool,
    pub(crate) stop: CancellationToken,
}

/// The routes; `handler` is asked anew for each request and must be cheap to make.
pub(crate) fn router<H, F>(parts: Parts, handler: F) -> Router
where
    H: ServerHandler,
    F: Fn() -> H + Send + Sync + 'static,
{
    let Parts { config, guard, sessions, refused, resource, issuer, loopback, stop } = parts;
    let mut hosts: Vec<String> = ["localhost", "127.0.0.1", "::1"].map(str::to_owned).into();
    hosts.extend(config.allowed_hosts.iter().cloned());
    let mut origins = config.allowed_origins.clone();
    if loopback {
        // A page of this machine; it needs the token as everybody does.
        origins.extend(["http://localhost:*", "http://127.0.0.1:*", "http://[::1]:*"].map(str::to_owned));
    }
    let mut http = StreamableHttpServerConfig::default()
        .with_allowed_hosts(hosts)
        .with_allowed_origins(origins)
        .enforce_origin_validation()
        .with_json_response(true)
        .with_sse_keep_alive(Some(KEEP_ALIVE))
        .with_max_request_body_bytes(config.request_bytes)
        .with_cancellation_token(stop);
    http.session_store = Some(Arc::new(sessions));
    let mut manager = LocalSessionManager::default();
    manager.session_config.keep_alive = Some(config.session_idle);
    manager.session_config.sse_retry = None;
    let mcp = StreamableHttpService::new(move || Ok(handler()), Arc::new(manager), http);
    let places = Arc::new(Semaphore::new(config.requests_in_flight));
    let metadata = metadata(&resource, &issuer);
    let well_known = get(move || async move { axum::Json(metadata) });
    Router::new()
        .route_service("/mcp", mcp)
        .layer(middleware::from_fn_with_state((guard, refused.clone()), auth::require))
        .layer(middleware::from_fn_with_state((places, refused), admit))
        .route("/.well-known/oauth-protected-resource", well_known.clone())
        .route("/.well-known/oauth-protected-resource/{*path}", well_known)
        .route("/healthz", get(|| async { "ok\n" }))
}

/// RFC 9728 §2.
fn metadata(resource: &str, issuer: &str) -> serde_json::Value {
    serde_json::json!({
        "resource": resource,
        "authorization_servers": [issuer],
        "bearer_methods_supported": ["header"],
        "resource_name": "DexOrder agent container",
    })
}

/// Bounds what is worked on at one time. Streams that stay open count only until they begin.
async fn admit(State((places, refused)): State<(Arc<Semaphore>, Refused)>, request: Request, next: Next) -> Response {
    let Ok(_place) = places.try_acquire() else {
        refused.reason("busy");
        let again = [(axum::http::header::RETRY_AFTER, "1")];
        return (StatusCode::SERVICE_UNAVAILABLE, again, "too many requests in flight\n").into_response();
    };
    next.run(request).await
}
