//! The routes and the layers around them, outermost first: count, security headers, host, compression, limits.

use crate::error::{ApiError, Code};
use crate::http::guard::{authority, host_is_ours, origin_is_ours};
use crate::http::{
    App, assets, candles, chat, health, history, indicators, instruments, mcp, notifications, openapi, person, venues,
    websocket, workspace,
};
use crate::metrics::{Refusal, RequestLabels, Route, RouteLabel, Status};
use crate::people::People;
use accounts::ClientAddress;
use accounts::http::Origins;
use axum::Extension;
use axum::Router;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, any, delete, get, post};
use service::http::Peer;
use std::net::IpAddr;
use std::sync::Arc;
use tokio::time::{Instant, timeout};
use tower_http::CompressionLevel;
use tower_http::compression::CompressionLayer;

type MakeRoute = fn() -> MethodRouter<Arc<App>>;
type MakePeopleRoute = fn() -> MethodRouter<People>;

/// The API besides [`STREAM_ROUTES`]. The OpenAPI document describes exactly these and those.
pub(crate) const API_ROUTES: [(&str, MakeRoute); 7] = [
    ("/api/v1/health", || get(health::get)),
    ("/api/v1/venues", || get(venues::get)),
    ("/api/v1/instruments", || get(instruments::get)),
    ("/api/v1/candles", || get(candles::get)),
    ("/api/v1/indicators", || get(indicators::get)),
    ("/api/v1/history/requests", || post(history::requests::post)),
    ("/api/v1/history/requests/{id}", || get(history::requests::get)),
];

/// Answers that may take long and be large. They have limits of their own, and are not compressed.
pub(crate) const STREAM_ROUTES: [(&str, MakeRoute); 2] =
    [("/api/v1/history/candles", || get(history::candles)), ("/api/v1/history/ticks", || get(history::ticks))];

/// What people do. Only a gateway with people has these.
pub(crate) const PEOPLE_ROUTES: [(&str, MakePeopleRoute); 19] = [
    ("/api/v1/chat/messages", || post(chat::post_message)),
    ("/api/v1/chat/conversations", || get(chat::conversations)),
    ("/api/v1/chat/conversations/{id}/turns", || get(chat::turns)),
    ("/api/v1/chat/turns/{id}/events", || get(chat::events)),
    ("/api/v1/chat/turns/{id}/stop", || post(chat::stop)),
    ("/api/v1/prompts", || get(chat::prompts)),
    ("/api/v1/files", || get(workspace::files)),
    ("/api/v1/files/{kind}/{name}", || get(workspace::file)),
    ("/api/v1/files/{kind}/{name}/history", || get(workspace::file_history)),
    ("/api/v1/file-diff", || get(workspace::file_diff)),
    ("/api/v1/memory", || get(workspace::memory).delete(workspace::erase_memory)),
    ("/api/v1/memory/export", || get(workspace::export_memory)),
    ("/api/v1/backtests", || get(workspace::backtests)),
    ("/api/v1/backtests/{id}", || get(workspace::backtest)),
    ("/api/v1/backtests/{id}/report.html", || get(workspace::backtest_page)),
    ("/api/v1/container", || get(workspace::container)),
    ("/api/v1/container/wake", || post(workspace::wake)),
    ("/api/v1/notifications", || get(notifications::list)),
    ("/api/v1/notifications/read", || post(notifications::read)),
];

/// Two more, which belong to the paths of the accounts.
pub(crate) const PERSON_ROUTES: [(&str, MakePeopleRoute); 2] =
    [("/api/v1/account", || delete(person::erase)), ("/api/v1/account/export", || get(person::export))];

/// No request of the markets needs a larger body.
const BODY_BYTES: usize = 1 << 10;
/// A message of 32 KiB, each character of it escaped.
const MESSAGE_BYTES: usize = 256 << 10;

/// The page runs its own scripts only and talks to us only. Styles may be inline: charts set them from scripts.
const CONTENT_SECURITY_POLICY: &str = "default-src 'self'; script-src 'self'; style-src 'self' 'unsafe-inline'; \
    img-src 'self' data: blob:; font-src 'self' data:; connect-src 'self'; worker-src 'self' blob:; object-src 'none'; \
    base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

const SECURITY_HEADERS: [(HeaderName, &str); 6] = [
    (header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
];

/// All routes.
pub(crate) fn router(app: Arc<App>, people: Option<People>) -> Router {
    let api = API_ROUTES
        .into_iter()
        .fold(Router::new(), |router, (path, make)| router.route(path, make().fallback(method_not_allowed)))
        .layer(DefaultBodyLimit::max(BODY_BYTES))
        .layer(from_fn_with_state(app.clone(), limit));
    let streams = STREAM_ROUTES
        .into_iter()
        .fold(Router::new(), |router, (path, make)| router.route(path, make().fallback(method_not_allowed)));
    let openapi = get(openapi::get).fallback(method_not_allowed);
    // The fastest level: these answers are made anew each time, and most clients are near.
    let answers = api
        .route("/openapi.json", openapi)
        .layer(CompressionLayer::new().gzip(true).quality(CompressionLevel::Fastest));
    // The usual level: browsers keep these files.
    let page = Router::new().fallback(assets::get).layer(CompressionLayer::new().gzip(true));
    let markets = Router::new()
        .route("/ws", any(websocket::get))
        .merge(answers)
        .merge(streams)
        .merge(page)
        .layer(from_fn(refuse_body))
        .with_state(app.clone());
    let all = match people {
        Some(people) => markets.merge(people_router(people)),
        None => markets,
    };
    all.layer(from_fn_with_state(app.clone(), check_host))
        .layer(from_fn(secure))
        .layer(from_fn_with_state(app.clone(), measure))
}

/// The routes of people: accounts, conversation, workspace, MCP. Each says for itself who may call.
fn people_router(people: People) -> Router {
    let origins = {
        let allowed = people.app.config.http.allowed_origins.clone();
        Origins::new(move |origin, headers, uri| {
            authority(headers, uri).is_some_and(|authority| origin_is_ours(origin, authority, &allowed))
        })
    };
    let fold = |router: Router<People>, (path, make): (&'static str, MakePeopleRoute)| {
        router.route(path, make().fallback(method_not_allowed))
    };
    // A turn, a backtest or a start may take long; the rooms behind have bounds of their own.
    let api = PEOPLE_ROUTES.into_iter().fold(Router::new(), fold).layer(DefaultBodyLimit::max(MESSAGE_BYTES));
    // Merged, so that a path may have methods of two rooms.
    let person = PERSON_ROUTES
        .into_iter()
        .fold(Router::new(), |router, (path, make)| router.route(path, make()))
        .layer(DefaultBodyLimit::max(BODY_BYTES));
    let metadata = provisioner::metadata_path(people.mcp.config());
    let trusted: Arc<[IpAddr]> = people.accounts.config().trusted_proxies.clone().into();
    api.merge(person)
        .route("/ws/chat", any(chat::socket::get))
        .route("/mcp", any(mcp::any).layer(DefaultBodyLimit::disable()))
        .route(&metadata, get(mcp::metadata))
        .with_state(people.clone())
        .merge(accounts::http::router(people.accounts.clone(), origins))
        .layer(Extension(people.accounts))
        .layer(from_fn_with_state(trusted, name_client))
}

/// Says where a request comes from, behind trusted proxies.
async fn name_client(State(trusted): State<Arc<[IpAddr]>>, mut request: Request, next: Next) -> Response {
    if let Some(Peer(peer)) = request.extensions().get::<Peer>().copied() {
        let client = ClientAddress::find(peer.ip(), request.headers(), &trusted);
        request.extensions_mut().insert(client);
    }
    next.run(request).await
}

async fn method_not_allowed() -> ApiError {
    ApiError::new(Code::MethodNotAllowed, "this method is not allowed here; most routes take GET and HEAD")
}

async fn check_host(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let ours = authority(request.headers(), request.uri())
        .is_some_and(|authority| host_is_ours(authority, app.loopback, &app.config.http.allowed_hosts));
    if ours {
        return next.run(request).await;
    }
    app.metrics.refuse(Refusal::Host);
    ApiError::new(Code::ForbiddenHost, "this host name is not ours; see http.allowed_hosts").into_response()
}

async fn refuse_body(request: Request, next: Next) -> Response {
    let length = request.headers().get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    if length.is_some_and(|length: usize| length > BODY_BYTES) {
        return ApiError::new(Code::PayloadTooLarge, "this body is too large").into_response();
    }
    next.run(request).await
}

async fn secure(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    for (name, value) in SECURITY_HEADERS {
        // A stricter policy of the route stays.
        response.headers_mut().entry(name).or_insert(HeaderValue::from_static(value));
    }
    response
}

/// Bounds the number of requests and the time of each.
async fn limit(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let Ok(_permit) = app.requests.try_acquire() else {
        app.metrics.refuse(Refusal::Overload);
        return ApiError::new(Code::Overloaded, "too many requests at one time; try again").into_response();
    };
    match timeout(app.config.http.request_timeout, next.run(request)).await {
        Ok(mut response) => {
            response.headers_mut().entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
            response
        }
        Err(_) => {
            app.metrics.refuse(Refusal::Timeout);
            ApiError::new(Code::Timeout, "the answer took too long; try again").into_response()
        }
    }
}

async fn measure(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let route = route_of(request.uri().path());
    let started = Instant::now();
    let response = next.run(request).await;
    let labels = RequestLabels { route, status: status_of(response.status()) };
    app.metrics.requests.get_or_create(&labels).inc();
    app.metrics.seconds.get_or_create(&RouteLabel { route }).observe(started.elapsed().as_secs_f64());
    response
}

const ACCOUNT_PATHS: [&str; 5] =
    ["/api/v1/account", "/api/v1/sessions", "/api/v1/api-keys", "/api/v1/ws-tickets", "/api/v1/admin/"];
const WORKSPACE_PATHS: [&str; 7] = [
    "/api/v1/notifications",
    "/api/v1/files",
    "/api/v1/file-diff",
    "/api/v1/memory",
    "/api/v1/backtests",
    "/api/v1/container",
    "/api/v1/prompts",
];

fn route_of(path: &str) -> Route {
    match path {
        "/api/v1/health" => Route::Health,
        "/api/v1/venues" => Route::Venues,
        "/api/v1/instruments" => Route::Instruments,
        "/api/v1/candles" => Route::Candles,
        "/api/v1/indicators" => Route::Indicators,
        "/api/v1/history/candles" | "/api/v1/history/ticks" => Route::History,
        "/openapi.json" => Route::Openapi,
        "/ws" => Route::Ws,
        "/ws/chat" => Route::WsChat,
        "/mcp" => Route::Mcp,
        path if path.starts_with("/api/v1/history/requests") => Route::HistoryRequests,
        path if path.starts_with("/api/v1/chat/") => Route::Chat,
        path if path.starts_with("/api/v1/auth/") => Route::Auth,
        path if ACCOUNT_PATHS.iter().any(|prefix| path.starts_with(prefix)) => Route::Account,
        path if WORKSPACE_PATHS.iter().any(|prefix| path.starts_with(prefix)) => Route::Workspace,
        _ => Route::Page,
    }
}

fn status_of(status: StatusCode) -> Status {
    match status.as_u16() {
        0..300 => Status::Success,
        300..400 => Status::Redirect,
        400..500 => Status::ClientError,
        _ => Status::ServerError,
    }
}
