//! What a user was told: the list behind the page's activity panel.

use crate::error::{ApiError, Code, ErrorBody};
use crate::http::chat::Refused;
use crate::people::People;
use accounts::{Caller, Scope};
use axum::Json;
use axum::extract::rejection::{JsonRejection, QueryRejection};
use axum::extract::{Query, State};
use axum::http::StatusCode;
use notifications::StoreError;
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

/// Notifications when nobody says how many.
const USUAL: u64 = 50;

pub(crate) fn unavailable(error: &StoreError) -> ApiError {
    tracing::error!(%error, "the notifications could not be read or written");
    ApiError::new(Code::Overloaded, "the notifications cannot be reached; try again in a moment")
}

/// Which page.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PageQuery {
    #[serde(default)]
    before: Option<u64>,
    #[serde(default)]
    limit: Option<u64>,
}

/// What the caller was told.
#[utoipa::path(
    get, path = "/api/v1/notifications", tag = "chat",
    params(
        ("before" = Option<u64>, Query, description = "Older than this number"),
        ("limit" = Option<u64>, Query, description = "1 to 200, usually 50"),
    ),
    responses(
        (status = 200, description = "`{notifications: […], unread}`, newest first", body = Object),
        (status = 400, description = "A parameter is not valid", body = ErrorBody),
        (status = 401, description = "Not signed in", body = ErrorBody),
    )
)]
pub(crate) async fn list(
    State(people): State<People>,
    caller: Caller,
    query: Result<Query<PageQuery>, QueryRejection>,
) -> Result<Json<Value>, Refused> {
    caller.require(Scope::Chat)?;
    let Query(query) = query.map_err(|error| ApiError::field("query", error.body_text()))?;
    let limit = query.limit.unwrap_or(USUAL);
    let listed =
        people.notifications.list(caller.user, query.before, limit).await.map_err(|error| unavailable(&error))?;
    let unread = people.notifications.unread(caller.user).await.map_err(|error| unavailable(&error))?;
    let notifications: Vec<Value> = listed.iter().map(notifications::Listed::to_json).collect();
    Ok(Json(json!({"notifications": notifications, "unread": unread})))
}

/// Up to where it was read.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ReadBody {
    /// The number of the newest one that was read.
    through: u64,
}

/// Marks notifications as read.
#[utoipa::path(
    post, path = "/api/v1/notifications/read", tag = "chat", request_body = ReadBody,
    responses(
        (status = 204, description = "Marked"),
        (status = 400, description = "A member is not valid", body = ErrorBody),
        (status = 401, description = "Not signed in", body = ErrorBody),
    )
)]
pub(crate) async fn read(
    State(people): State<People>,
    caller: Caller,
    body: Result<Json<ReadBody>, JsonRejection>,
) -> Result<StatusCode, Refused> {
    caller.require(Scope::Chat)?;
    let Json(body) = body.map_err(|error| ApiError::new(Code::Malformed, error.body_text()))?;
    people.notifications.mark_read(caller.user, body.through).await.map_err(|error| unavailable(&error))?;
    Ok(StatusCode::NO_CONTENT)
}
