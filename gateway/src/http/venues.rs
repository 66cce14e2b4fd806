//! `GET /api/v1/venues`.

use crate::error::{ApiError, ErrorBody};
use crate::http::App;
use crate::http::query::Params;
use crate::view::{FeedState, Mode};
use axum::Json;
use axum::extract::{RawQuery, State};
use proto::Interval;
use serde::Serialize;
use std::sync::Arc;
use utoipa::ToSchema;

/// A venue.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct VenueView {
    /// Venue.
    venue: String,
    /// Mode of its best feed; `NONE` without one.
    mode: Mode,
    /// State of its best feed; `down` without one.
    state: FeedState,
    /// Symbols that the feed streams.
    symbols: u32,
    /// Candle intervals, shortest first.
    intervals: Vec<String>,
}

/// All venues.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct VenuesBody {
    /// By name.
    venues: Vec<VenueView>,
}

/// All venues that have a feed or known instruments.
#[utoipa::path(
    get, path = "/api/v1/venues", tag = "market",
    responses((status = 200, description = "Venues", body = VenuesBody), (status = 400, description = "Unknown parameter", body = ErrorBody))
)]
pub(crate) async fn get(State(app): State<Arc<App>>, RawQuery(query): RawQuery) -> Result<Json<VenuesBody>, ApiError> {
    Params::read(query.as_deref(), &[])?;
    let view = |summary: crate::directory::VenueSummary| VenueView {
        venue: summary.venue,
        mode: summary.mode,
        state: summary.state,
        symbols: summary.symbols,
        intervals: Interval::ALL.iter().map(ToString::to_string).collect(),
    };
    let venues = app.directory.read().venues(app.clock.now_ns());
    Ok(Json(VenuesBody { venues: venues.into_iter().map(view).collect() }))
}
