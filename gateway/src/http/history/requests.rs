//! `POST /api/v1/history/requests` and `GET /api/v1/history/requests/{id}`: history that the lake does not have yet.

use crate::error::{ApiError, Code, ErrorBody};
use crate::history::backfill::Progress;
use crate::http::guard::{authority, origin_is_ours};
use crate::http::{App, query};
use crate::metrics::Refusal;
use crate::rfc3339::{self, Rfc3339};
use crate::series::ceil;
use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use proto::{HistoryRange, Interval, RequestId};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use utoipa::ToSchema;

/// A wish for history.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RequestBody {
    /// Venue, e.g. `SIM`.
    venue: String,
    /// Canonical symbol, e.g. `BTC/USDT`.
    symbol: String,
    /// Interval of candles, e.g. `60s`; trades if absent.
    #[serde(default)]
    interval: Option<String>,
    /// Start, RFC 3339 or epoch milliseconds as a string.
    from: String,
    /// End, not included.
    to: String,
}

/// How far a request is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum RequestState {
    /// Waits for its turn.
    Queued,
    /// Is being fetched.
    Working,
    /// What can be had is in the snapshot.
    Ready,
    /// Not to be had now; `error` says why.
    Refused,
}

/// A request for history.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RequestView {
    /// Its id.
    id: String,
    /// Venue.
    venue: String,
    /// Symbol.
    symbol: String,
    /// Interval of candles; null for trades.
    interval: Option<String>,
    /// Start.
    #[schema(value_type = String, format = DateTime)]
    from: Rfc3339,
    /// End, not included.
    #[schema(value_type = String, format = DateTime)]
    to: Rfc3339,
    /// How far it is.
    state: RequestState,
    /// Parts that are there.
    done: usize,
    /// Parts to be fetched; 0 until known.
    parts: usize,
    /// When `ready`: the snapshot to read, as text since it may exceed what a JSON number holds.
    snapshot: Option<String>,
    /// When `refused`: why. When `ready`: why a part of it cannot be had.
    error: Option<ApiError>,
}

impl RequestView {
    fn new(id: RequestId, range: &HistoryRange, progress: Progress) -> Self {
        let mut view = Self {
            id: id.to_string(),
            venue: range.venue.to_string(),
            symbol: range.symbol.to_string(),
            interval: range.interval.map(|interval| interval.to_string()),
            from: Rfc3339(range.from_ns),
            to: Rfc3339(range.to_ns),
            state: RequestState::Queued,
            done: 0,
            parts: 0,
            snapshot: None,
            error: None,
        };
        match progress {
            Progress::Queued => {}
            Progress::Working { done, parts } => {
                (view.state, view.done, view.parts) = (RequestState::Working, done, parts)
            }
            Progress::Ready { snapshot, error } => {
                (view.state, view.snapshot, view.error) = (RequestState::Ready, Some(snapshot.to_string()), error);
            }
            Progress::Refused(error) => (view.state, view.error) = (RequestState::Refused, Some(error)),
        }
        view
    }
}

impl RequestBody {
    fn range(&self, most: usize) -> Result<HistoryRange, ApiError> {
        let venue = self.venue.parse().map_err(|error: proto::IdError| ApiError::field("venue", error.to_string()))?;
        let symbol =
            self.symbol.parse().map_err(|error: proto::IdError| ApiError::field("symbol", error.to_string()))?;
        let interval = self.interval.as_deref().map(str::parse::<Interval>).transpose();
        let interval = interval.map_err(|error| ApiError::field("interval", error.to_string()))?;
        let time = |field, text: &str| rfc3339::parse(text).ok_or_else(|| query::bad_time(field));
        let (mut from_ns, mut to_ns) = (time("from", &self.from)?, time("to", &self.to)?);
        if let Some(interval) = interval {
            (from_ns, to_ns) = (ceil(interval, from_ns), ceil(interval, to_ns));
        }
        bounded_range(HistoryRange { venue, symbol, interval, from_ns, to_ns }, most)
    }
}

/// A range that is one, of at most so many candles.
pub(crate) fn bounded_range(range: HistoryRange, most: usize) -> Result<HistoryRange, ApiError> {
    let HistoryRange { interval, from_ns, to_ns, .. } = range;
    if from_ns >= to_ns {
        return Err(ApiError::field("to", "to: must be after from"));
    }
    let windows = interval.map_or(0, |interval| (to_ns - from_ns) / interval.nanos());
    if windows > most as u64 {
        let message = format!("to: {windows} candles from `from` on, limit {most}");
        return Err(ApiError::new(Code::TooManyRows, message).about("to"));
    }
    Ok(range)
}

/// Asks for history that the lake does not have yet.
///
/// What is there already is not fetched again. An equal request in flight is joined: the answer has its id.
#[utoipa::path(
    post, path = "/api/v1/history/requests", tag = "history",
    request_body = RequestBody,
    responses(
        (status = 202, description = "Accepted; `Location` is where to look", body = RequestView),
        (status = 400, description = "A member is not valid", body = ErrorBody),
        (status = 403, description = "A page of another origin", body = ErrorBody),
        (status = 404, description = "The venue has no such symbol", body = ErrorBody),
        (status = 503, description = "Too many requests in flight; see Retry-After", body = ErrorBody),
    )
)]
pub(crate) async fn post(
    State(app): State<Arc<App>>,
    uri: Uri,
    headers: HeaderMap,
    body: Result<Json<RequestBody>, JsonRejection>,
) -> Result<Response, ApiError> {
    check_origin(&app, &headers, &uri)?;
    let Json(body) = body.map_err(|error| ApiError::new(Code::Malformed, error.body_text()))?;
    let range = body.range(app.bulk.config.candles)?;
    if app.directory.read().knows(&range.venue, &range.symbol) == crate::directory::Known::No {
        let message = format!("symbol: {} has no {}", range.venue, range.symbol);
        return Err(ApiError::new(Code::UnknownSymbol, message).about("symbol"));
    }
    let id = app.bulk.backfills.submit(&range)?;
    let (range, progress) = app.bulk.backfills.look(id).unwrap_or((range, Progress::Queued));
    let location = (header::LOCATION, format!("/api/v1/history/requests/{id}"));
    Ok((StatusCode::ACCEPTED, [location], Json(RequestView::new(id, &range, progress))).into_response())
}

/// A browser names the page that a `POST` comes from; programs name none.
fn check_origin(app: &App, headers: &HeaderMap, uri: &Uri) -> Result<(), ApiError> {
    let Some(origin) = headers.get(header::ORIGIN) else { return Ok(()) };
    let ours = origin.to_str().ok().zip(authority(headers, uri));
    if ours.is_some_and(|(origin, authority)| origin_is_ours(origin, authority, &app.config.http.allowed_origins)) {
        return Ok(());
    }
    app.metrics.refuse(Refusal::Origin);
    Err(ApiError::new(Code::ForbiddenOrigin, "this origin is not ours; see http.allowed_origins"))
}

/// How far a request is.
///
/// Requests live in the memory of one gateway: after its restart they are unknown, and asking again costs nothing that is
/// there already.
#[utoipa::path(
    get, path = "/api/v1/history/requests/{id}", tag = "history",
    params(("id" = String, Path, description = "The id of the request")),
    responses(
        (status = 200, description = "The request", body = RequestView),
        (status = 404, description = "Unknown, or over for long", body = ErrorBody),
    )
)]
pub(crate) async fn get(State(app): State<Arc<App>>, Path(id): Path<String>) -> Result<Json<RequestView>, ApiError> {
    let unknown = || ApiError::new(Code::UnknownRequest, "id: no such request; ask again").about("id");
    let id: RequestId = id.parse().map_err(|_| unknown())?;
    let (range, progress) = app.bulk.backfills.look(id).ok_or_else(unknown)?;
    Ok(Json(RequestView::new(id, &range, progress)))
}
