//! `GET /api/v1/health`.

use crate::error::{ApiError, ErrorBody};
use crate::http::App;
use crate::http::query::Params;
use crate::view::HealthView;
use axum::Json;
use axum::extract::{RawQuery, State};
use std::sync::Arc;

/// Health of the platform as the gateway sees it.
///
/// What the markets shown are (`mode`), and each feed with the age of its last event. Always 200: read `status`.
#[utoipa::path(
    get, path = "/api/v1/health", tag = "platform",
    responses((status = 200, description = "Health", body = HealthView), (status = 400, description = "Unknown parameter", body = ErrorBody))
)]
pub(crate) async fn get(State(app): State<Arc<App>>, RawQuery(query): RawQuery) -> Result<Json<HealthView>, ApiError> {
    Params::read(query.as_deref(), &[])?;
    Ok(Json(app.health()))
}
