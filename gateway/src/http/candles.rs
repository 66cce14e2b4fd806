//! `GET /api/v1/candles`.

use crate::error::{ApiError, ErrorBody};
use crate::http::App;
use crate::http::query::Params;
use crate::rfc3339::Rfc3339;
use crate::series::candles::HistoryState;
use crate::series::page::CandleRequest;
use crate::view::CandleView;
use axum::Json;
use axum::extract::{RawQuery, State};
use serde::Serialize;
use std::sync::Arc;
use utoipa::ToSchema;

/// Parameters of the request.
pub(crate) const PARAMS: &[&str] = &["venue", "symbol", "interval", "from", "to", "limit", "fill"];
const USUAL: usize = 500;
/// Most candles of one answer.
pub(crate) const MOST: usize = 5000;

/// A page of candles.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CandlesBody {
    /// Venue.
    venue: String,
    /// Symbol.
    symbol: String,
    /// Interval, e.g. `60s`.
    interval: String,
    /// Ascending by open time, the highest revision of each; the last one may be open.
    candles: Vec<CandleView>,
    /// Whether the range is complete.
    history: HistoryState,
    /// With `from`: the `from` of the next page. Without: the `to` of the next older page; a page
    /// with fewer candles than `limit` is not the end (windows without a trade have none), an empty one is. Null at the end.
    #[schema(value_type = Option<String>, format = DateTime)]
    next: Option<Rfc3339>,
}

/// Reads what candles and indicators have in common.
pub(crate) fn request(params: &Params, fill: bool) -> Result<CandleRequest, ApiError> {
    let key = params.series()?;
    let (from, to) = params.range()?;
    let limit = params.number("limit", USUAL, MOST)?;
    Ok(CandleRequest { key, from, to, limit, fill })
}

/// Candles of one series: the lake's rows with the live tail.
///
/// Missing history is fetched from the venue; if that takes longer than 2 s the answer says `pending`: ask again.
#[utoipa::path(
    get, path = "/api/v1/candles", tag = "market",
    params(
        ("venue" = String, Query, description = "Venue, e.g. `SIM`"),
        ("symbol" = String, Query, description = "Canonical symbol, e.g. `BTC/USDT`"),
        ("interval" = String, Query, description = "`1s 60s 300s 900s 3600s 14400s 86400s` or `1s 1m 5m 15m 1h 4h 1d`"),
        ("from" = Option<String>, Query, description = "First open time, RFC 3339 or epoch milliseconds; without it the newest candles before `to`"),
        ("to" = Option<String>, Query, description = "End of open times, not included; usually now"),
        ("limit" = Option<usize>, Query, description = "1 to 5000, usually 500"),
        ("fill" = Option<bool>, Query, description = "True: windows without a trade are filled with the close before them"),
    ),
    responses(
        (status = 200, description = "Candles", body = CandlesBody),
        (status = 400, description = "A parameter is not valid", body = ErrorBody),
        (status = 404, description = "The venue has no such symbol", body = ErrorBody),
        (status = 503, description = "Too many requests at one time", body = ErrorBody),
        (status = 504, description = "It took too long", body = ErrorBody),
    )
)]
pub(crate) async fn get(State(app): State<Arc<App>>, RawQuery(query): RawQuery) -> Result<Json<CandlesBody>, ApiError> {
    let params = Params::read(query.as_deref(), PARAMS)?;
    let request = request(&params, params.flag("fill")?)?;
    let (page, history) = app.candles.page(&request).await?;
    Ok(Json(CandlesBody {
        venue: request.key.venue.to_string(),
        symbol: request.key.symbol.to_string(),
        interval: request.key.interval.to_string(),
        candles: page.candles,
        history,
        next: page.next.map(Rfc3339),
    }))
}
