//! REST of the fake venue: answers from the table, or a fault that was ordered.

use super::Shared;
use super::dialect::Request;
use axum::body::Body;
use axum::http::{Response as HttpResponse, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// How a REST request goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// 429, with `Retry-After` in seconds if given.
    RateLimited(Option<u64>),
    /// 418 with `Retry-After` in seconds.
    Banned(u64),
    /// 500.
    ServerError,
    /// The right answer, but only after this time.
    Slow(Duration),
    /// The right answer, but at most so many rows.
    AtMost(usize),
    /// 200 with a body that is no JSON.
    Garbage,
    /// The connection breaks in the middle of the body.
    CutOff,
}

/// A request that was served.
#[derive(Debug, Clone)]
pub struct Served {
    /// When it came.
    pub at: Instant,
    /// Path and query.
    pub path_and_query: String,
    /// The status it got.
    pub status: u16,
}

/// Answers a request.
pub(super) async fn answer(shared: &Arc<Shared>, uri: &Uri) -> Response {
    let at = Instant::now();
    let path_and_query = uri.path_and_query().map_or_else(|| uri.path().to_owned(), ToString::to_string);
    // The sender lives as long as the server.
    let _released = shared.hold.subscribe().wait_for(|hold| !*hold).await.is_ok();
    let fault = shared.faults().pop_front();
    let response = respond(shared, &path_and_query, fault).await;
    let status = response.status().as_u16();
    shared.served.send_modify(|served| served.push(Served { at, path_and_query, status }));
    response
}

async fn respond(shared: &Arc<Shared>, path_and_query: &str, fault: Option<Fault>) -> Response {
    let mut rows = usize::MAX;
    match fault {
        None => {}
        Some(Fault::RateLimited(retry_after)) => return refusal(StatusCode::TOO_MANY_REQUESTS, retry_after),
        Some(Fault::Banned(retry_after)) => return refusal(StatusCode::IM_A_TEAPOT, Some(retry_after)),
        Some(Fault::ServerError) => return refusal(StatusCode::INTERNAL_SERVER_ERROR, None),
        Some(Fault::Slow(wait)) => tokio::time::sleep(wait).await,
        Some(Fault::AtMost(limit)) => rows = limit,
        Some(Fault::Garbage) => return "<html>not today</html>".into_response(),
        Some(Fault::CutOff) => return cut_off(),
    }
    let body = shared.dialect.rest(&Request::parse(path_and_query), &shared.table(), rows);
    match body {
        Some(body) => ([(header::CONTENT_TYPE, "application/json")], body).into_response(),
        None => (StatusCode::NOT_FOUND, r#"{"message":"NotFound"}"#).into_response(),
    }
}

fn refusal(status: StatusCode, retry_after: Option<u64>) -> Response {
    let mut response = (status, "{}").into_response();
    if let Some(seconds) = retry_after {
        response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
    }
    response
}

/// A body that ends with an error after its first bytes.
fn cut_off() -> Response {
    let parts = futures_util::stream::iter([
        Ok(bytes::Bytes::from_static(b"{\"trades\":[")),
        Err(std::io::Error::other("cut off")),
    ]);
    HttpResponse::new(Body::from_stream(parts))
}
