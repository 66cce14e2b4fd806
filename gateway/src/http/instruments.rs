//! `GET /api/v1/instruments`.

use crate::error::{ApiError, ErrorBody};
use crate::http::App;
use crate::http::query::Params;
use crate::view::InstrumentView;
use axum::Json;
use axum::extract::{RawQuery, State};
use serde::Serialize;
use std::sync::Arc;
use utoipa::ToSchema;

/// Parameters of the request.
pub(crate) const PARAMS: &[&str] = &["venue", "q", "limit"];
const USUAL: usize = 100;
const MOST: usize = 5000;
const TEXT: usize = 48;

/// Instruments found.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct InstrumentsBody {
    /// Streamed ones first, then by likeness to the text, venue and symbol.
    instruments: Vec<InstrumentView>,
}

/// Instruments by venue and text.
#[utoipa::path(
    get, path = "/api/v1/instruments", tag = "market",
    params(
        ("venue" = Option<String>, Query, description = "Only this venue, e.g. `SIM`"),
        ("q" = Option<String>, Query, description = "Part of the symbol, case and punctuation do not matter; at most 48 characters"),
        ("limit" = Option<usize>, Query, description = "1 to 5000, usually 100"),
    ),
    responses((status = 200, description = "Instruments", body = InstrumentsBody), (status = 400, description = "A parameter is not valid", body = ErrorBody))
)]
pub(crate) async fn get(
    State(app): State<Arc<App>>,
    RawQuery(query): RawQuery,
) -> Result<Json<InstrumentsBody>, ApiError> {
    let params = Params::read(query.as_deref(), PARAMS)?;
    let (venue, text) = (params.venue()?, params.short_text("q", TEXT)?);
    let limit = params.number("limit", USUAL, MOST)?;
    let instruments = app.directory.read().search(venue.as_ref(), text, limit);
    Ok(Json(InstrumentsBody { instruments }))
}
