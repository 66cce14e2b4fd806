//! `GET /api/v1/history/candles` and `/api/v1/history/ticks`: whole series as Arrow streams, pinned to a snapshot
//! (docs/protocol/11-history-http.md).

pub(crate) mod download;
pub(crate) mod requests;

use crate::config::BulkConfig;
use crate::error::{ApiError, Code, ErrorBody};
use crate::history::backfill::Backfills;
use crate::http::App;
use crate::http::query::Params;
use crate::metrics::{BulkMetrics, Refusal};
use axum::body::Body;
use axum::extract::{Extension, RawQuery, State};
use axum::http::{HeaderValue, header};
use axum::response::Response;
use download::{Download, Opened};
use lake::{Bulk, BulkQuery, Coverage, Lake};
use proto::Interval;
use service::http::Cut;
use std::collections::HashMap;
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Parameters of candles.
pub(crate) const CANDLE_PARAMS: &[&str] = &["venue", "symbol", "interval", "from", "to", "snapshot"];
/// Parameters of trades.
pub(crate) const TICK_PARAMS: &[&str] = &["venue", "symbol", "from", "to", "snapshot"];
/// The media type of an Arrow stream.
pub(crate) const ARROW_STREAM: &str = "application/vnd.apache.arrow.stream";

/// What the routes of whole series share.
#[derive(Debug)]
pub(crate) struct BulkDesk {
    pub(crate) lake: Lake,
    pub(crate) config: BulkConfig,
    pub(crate) streams: Arc<Semaphore>,
    pub(crate) metrics: BulkMetrics,
    pub(crate) backfills: Arc<Backfills>,
    pub(crate) tracker: TaskTracker,
    /// Set when the drain starts: a stream may take longer than a drain.
    pub(crate) stopping: CancellationToken,
}

/// All closed candles of a range, as an Arrow IPC stream.
///
/// Ascending by open time, the highest revision of each. With `snapshot` the answer is the same, byte for byte, as long as
/// the snapshot exists. A body without the end-of-stream marker is not whole. Range and rows are limited; see the headers.
#[utoipa::path(
    get, path = "/api/v1/history/candles", tag = "history",
    params(
        ("venue" = String, Query, description = "Venue, e.g. `SIM`"),
        ("symbol" = String, Query, description = "Canonical symbol, e.g. `BTC/USDT`"),
        ("interval" = String, Query, description = "`1s 60s 300s 900s 3600s 14400s 86400s` or `1s 1m 5m 15m 1h 4h 1d`"),
        ("from" = String, Query, description = "First open time, RFC 3339 or epoch milliseconds"),
        ("to" = String, Query, description = "End of open times, not included"),
        ("snapshot" = Option<i64>, Query, description = "Iceberg snapshot of the candles table; the newest if absent"),
    ),
    responses(
        (status = 200, description = "Columns open_time, open, high, low, close, volume, quote_volume, trades, repaired",
            body = Vec<u8>, content_type = "application/vnd.apache.arrow.stream",
            headers(
                ("x-dexorder-snapshot" = i64, description = "The snapshot that was read"),
                ("x-dexorder-rows" = u64, description = "Rows of the whole answer"),
                ("x-dexorder-rows-limit" = u64, description = "Most rows of an answer"),
                ("x-dexorder-missing" = u64, description = "Windows of the range without a row"),
                ("x-dexorder-unasked" = u64, description = "Of these, windows worth asking the venue for"),
            )),
        (status = 400, description = "A parameter is not valid, or the range is too long", body = ErrorBody),
        (status = 410, description = "The snapshot is unknown or has expired", body = ErrorBody),
        (status = 503, description = "Too many streams at one time; see Retry-After", body = ErrorBody),
        (status = 504, description = "Counting the rows took too long", body = ErrorBody),
    )
)]
pub(crate) async fn candles(
    State(app): State<Arc<App>>,
    Extension(cut): Extension<Cut>,
    RawQuery(query): RawQuery,
) -> Result<Response, ApiError> {
    let params = Params::read(query.as_deref(), CANDLE_PARAMS)?;
    let interval = params.interval()?;
    answer(&app, &read(&params, Some(interval))?, cut).await
}

/// All trades of a range, as an Arrow IPC stream.
///
/// Ascending by event time, each trade once. Missing windows are whole minutes without a trade.
#[utoipa::path(
    get, path = "/api/v1/history/ticks", tag = "history",
    params(
        ("venue" = String, Query, description = "Venue, e.g. `SIM`"),
        ("symbol" = String, Query, description = "Canonical symbol, e.g. `BTC/USDT`"),
        ("from" = String, Query, description = "First event time, RFC 3339 or epoch milliseconds"),
        ("to" = String, Query, description = "End of event times, not included"),
        ("snapshot" = Option<i64>, Query, description = "Iceberg snapshot of the ticks table; the newest if absent"),
    ),
    responses(
        (status = 200, description = "Columns event_time, price, size, side, trade_id; headers as of the candles",
            body = Vec<u8>, content_type = "application/vnd.apache.arrow.stream"),
        (status = 400, description = "A parameter is not valid, or the range has too many trades", body = ErrorBody),
        (status = 410, description = "The snapshot is unknown or has expired", body = ErrorBody),
        (status = 503, description = "Too many streams at one time; see Retry-After", body = ErrorBody),
        (status = 504, description = "Counting the rows took too long", body = ErrorBody),
    )
)]
pub(crate) async fn ticks(
    State(app): State<Arc<App>>,
    Extension(cut): Extension<Cut>,
    RawQuery(query): RawQuery,
) -> Result<Response, ApiError> {
    let params = Params::read(query.as_deref(), TICK_PARAMS)?;
    answer(&app, &read(&params, None)?, cut).await
}

fn read(params: &Params, interval: Option<Interval>) -> Result<BulkQuery, ApiError> {
    let (venue, symbol) = params.market()?;
    let (from, to) = params.whole_range()?;
    let snapshot = params.text("snapshot").map(|text| {
        let rule = "snapshot: must be a whole number, as in x-dexorder-snapshot";
        text.parse().map_err(|_| ApiError::field("snapshot", rule))
    });
    Ok(BulkQuery { venue, symbol, interval, from_ns: from, to_ns: to, snapshot: snapshot.transpose()? })
}

async fn answer(app: &App, query: &BulkQuery, cut: Cut) -> Result<Response, ApiError> {
    let desk = &app.bulk;
    let most = match query.interval {
        Some(interval) => {
            refuse_long(query, interval, desk.config.candles)?;
            desk.config.candles
        }
        None => desk.config.ticks,
    };
    let Ok(permit) = desk.streams.clone().try_acquire_owned() else {
        desk.metrics.refused.inc();
        app.metrics.refuse(Refusal::Overload);
        let most = desk.config.streams;
        return Err(ApiError::new(Code::Overloaded, format!("{most} series are being sent; try again")));
    };
    let (bulk, coverage, permit) = prepare(desk, query, most, permit).await?;
    let unasked = desk.backfills.unasked(query, &coverage);
    let unasked: u64 = unasked.iter().map(|(from, to)| (to - from) / coverage.window_ns.max(1)).sum();
    let numbers = [
        ("x-dexorder-snapshot", bulk.snapshot_id().to_string()),
        ("x-dexorder-rows", coverage.rows.to_string()),
        ("x-dexorder-rows-limit", most.to_string()),
        ("x-dexorder-missing", coverage.missing.to_string()),
        ("x-dexorder-unasked", unasked.to_string()),
    ];
    let opened = Opened { metadata: metadata(query, bulk.snapshot_id(), &coverage), rows: coverage.rows, bulk, permit };
    let mut response = Response::new(Body::from_stream(Download::start(desk, opened, cut)?.into_stream()));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(ARROW_STREAM));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    for (name, number) in numbers {
        headers.insert(name, HeaderValue::from_str(&number).unwrap_or(HeaderValue::from_static("")));
    }
    Ok(response)
}

/// Refuses by the length of the range alone: a client can know beforehand.
fn refuse_long(query: &BulkQuery, interval: Interval, most: usize) -> Result<(), ApiError> {
    let windows = query.to_ns.saturating_sub(query.from_ns).div_ceil(interval.nanos());
    if windows > most as u64 {
        let message = format!("to: {windows} candles of {interval} from `from` on, limit {most}");
        return Err(ApiError::new(Code::TooManyRows, message).about("to"));
    }
    Ok(())
}

async fn prepare(
    desk: &BulkDesk,
    query: &BulkQuery,
    most: usize,
    permit: OwnedSemaphorePermit,
) -> Result<(Bulk, Coverage, OwnedSemaphorePermit), ApiError> {
    let started = Instant::now();
    let count = async {
        let bulk = desk.lake.bulk(query.clone()).await?;
        let coverage = bulk.coverage(most).await?;
        Ok::<_, lake::LakeError>((bulk, coverage))
    };
    let counted = timeout(desk.config.prepare, count).await;
    desk.metrics.prepare_seconds.observe(started.elapsed().as_secs_f64());
    let Ok(counted) = counted else {
        return Err(ApiError::new(Code::Timeout, "counting the rows took too long; ask for a shorter range"));
    };
    let (bulk, coverage) = counted?;
    Ok((bulk, coverage, permit))
}

/// What the Arrow schema says: a function of query and snapshot alone, so that equal ones give equal bytes.
fn metadata(query: &BulkQuery, snapshot: i64, coverage: &Coverage) -> HashMap<String, String> {
    let holes: Vec<[u64; 2]> = coverage.holes.iter().map(|hole| [hole.from_ns, hole.to_ns]).collect();
    let time = |time: Option<u64>| time.map_or_else(String::new, |time| time.to_string());
    let entries = [
        ("venue", query.venue.to_string()),
        ("symbol", query.symbol.to_string()),
        ("interval_s", query.interval.map_or(0, Interval::seconds).to_string()),
        ("snapshot", snapshot.to_string()),
        ("from_ns", query.from_ns.to_string()),
        ("to_ns", query.to_ns.to_string()),
        ("rows", coverage.rows.to_string()),
        ("first_time_ns", time(coverage.first_ns)),
        ("last_time_ns", time(coverage.last_ns)),
        ("window_ns", coverage.window_ns.to_string()),
        ("windows", coverage.windows.to_string()),
        ("missing", coverage.missing.to_string()),
        ("complete", (coverage.missing == 0).to_string()),
        ("holes_ns", serde_json::to_string(&holes).unwrap_or_default()),
    ];
    entries.into_iter().map(|(name, value)| (format!("dexorder.{name}"), value)).collect()
}
