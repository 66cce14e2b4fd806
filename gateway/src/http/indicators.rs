//! `GET /api/v1/indicators`.

use crate::error::{ApiError, ErrorBody};
use crate::http::App;
use crate::http::candles::request;
use crate::http::query::Params;
use crate::rfc3339::Rfc3339;
use axum::Json;
use axum::extract::{RawQuery, State};
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::Arc;
use trading::{IndicatorKind, IndicatorSpec, SpecError};
use utoipa::ToSchema;

/// Parameters of the request.
pub(crate) const PARAMS: &[&str] = &["venue", "symbol", "interval", "indicator", "params", "from", "to", "limit"];
const TEXT: usize = 64;

/// A value at a candle.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PointView {
    /// Open time of the candle.
    #[schema(value_type = String, format = DateTime)]
    open_time: Rfc3339,
    /// The value; null while the indicator warms up.
    value: Option<f64>,
}

/// An indicator along a page of candles.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct IndicatorBody {
    /// Venue.
    venue: String,
    /// Symbol.
    symbol: String,
    /// Interval.
    interval: String,
    /// Which indicator.
    #[schema(value_type = String)]
    indicator: &'static str,
    /// Its parameters, e.g. `12,26,9`.
    params: String,
    /// Values by the name of the output: the indicator's own name, or `macd`, `signal`, `histogram` (macd); `middle`, `upper`,
    /// `lower` (bollinger, keltner, donchian); `k`, `d` (stochastic, stoch_rsi); `adx`, `plus_di`, `minus_di` (adx); `up`,
    /// `down`, `oscillator` (aroon). One for each candle of the page; the last one may still be open.
    #[schema(value_type = BTreeMap<String, Vec<PointView>>)]
    outputs: BTreeMap<&'static str, Vec<PointView>>,
}

fn refused(error: SpecError) -> ApiError {
    ApiError::field(error.field(), error.to_string())
}

/// An indicator, computed by the platform.
///
/// Candles before the page warm it up, so values do not depend on where a page starts; only `obv` and `ad` sum from there, so
/// their level is arbitrary. Definitions: `docs/indicators.md`.
#[utoipa::path(
    get, path = "/api/v1/indicators", tag = "market",
    params(
        ("venue" = String, Query, description = "Venue, e.g. `SIM`"),
        ("symbol" = String, Query, description = "Canonical symbol, e.g. `BTC/USDT`"),
        ("interval" = String, Query, description = "As for candles"),
        ("indicator" = String, Query, description = "`sma ema wma dema tema hma kama vwap psar bollinger keltner donchian rsi macd stochastic stoch_rsi williams_r cci momentum roc adx aroon atr stddev linreg_slope obv ad cmf mfi`"),
        ("params" = Option<String>, Query, description = "Separated by commas, e.g. `12,26,9` (macd), `20,2` (bollinger); without them the usual ones of the indicator; none for vwap, obv and ad"),
        ("from" = Option<String>, Query, description = "As for candles"),
        ("to" = Option<String>, Query, description = "As for candles"),
        ("limit" = Option<usize>, Query, description = "1 to 5000, usually 500"),
    ),
    responses(
        (status = 200, description = "Values", body = IndicatorBody),
        (status = 400, description = "A parameter is not valid", body = ErrorBody),
        (status = 404, description = "The venue has no such symbol", body = ErrorBody),
        (status = 503, description = "Too many requests at one time", body = ErrorBody),
        (status = 504, description = "It took too long", body = ErrorBody),
    )
)]
pub(crate) async fn get(
    State(app): State<Arc<App>>,
    RawQuery(query): RawQuery,
) -> Result<Json<IndicatorBody>, ApiError> {
    let params = Params::read(query.as_deref(), PARAMS)?;
    let kind: IndicatorKind = params.short_text("indicator", TEXT)?.parse().map_err(refused)?;
    let spec = IndicatorSpec::new(kind, params.short_text("params", TEXT)?).map_err(refused)?;
    let request = request(&params, false)?;
    let (before, rows) = app.candles.with_warm_up(&request, spec.warm_up()).await?;
    let mut indicator = spec.build();
    for candle in &before {
        // Only its effect on what follows is wanted.
        _ = indicator.update(candle);
    }
    let mut outputs: Vec<Vec<PointView>> = spec.outputs().iter().map(|_| Vec::with_capacity(rows.len())).collect();
    for candle in &rows {
        for (output, value) in outputs.iter_mut().zip(indicator.update(candle).iter()) {
            output.push(PointView { open_time: Rfc3339(candle.open_time_ns), value: *value });
        }
    }
    Ok(Json(IndicatorBody {
        venue: request.key.venue.to_string(),
        symbol: request.key.symbol.to_string(),
        interval: request.key.interval.to_string(),
        indicator: kind.name(),
        params: spec.to_string(),
        outputs: spec.outputs().iter().copied().zip(outputs).collect(),
    }))
}
