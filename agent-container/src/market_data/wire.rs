//! What the gateway says and is told: parameters, headers, JSON, the schema's metadata.

use super::framing::Summary;
use super::{Fetched, MarketDataError, NS_PER_MS, Query};
use proto::Interval;
use reqwest::Response;
use serde::Deserialize;
use std::fmt;
use std::path::Path;
use std::str::FromStr;
use std::time::Duration;
use tokio::time::timeout;

/// Bytes of a JSON answer.
const JSON_BYTES: usize = 64 << 10;

/// The headers of a series.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) snapshot: i64,
    pub(super) rows: u64,
    /// Missing windows that are worth asking the venue for.
    pub(super) unasked: u64,
}

impl Head {
    pub(super) fn read(response: &Response) -> Result<Self, MarketDataError> {
        Ok(Self {
            snapshot: header(response, "x-dexorder-snapshot")?,
            rows: header(response, "x-dexorder-rows")?,
            unasked: header(response, "x-dexorder-unasked")?,
        })
    }
}

fn header<T: FromStr>(response: &Response, name: &'static str) -> Result<T, MarketDataError> {
    let text = response.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    text.parse().map_err(|_| mismatch(name, "a number", text))
}

fn mismatch(what: &'static str, expected: impl ToString, got: impl ToString) -> MarketDataError {
    MarketDataError::Mismatch { what, expected: expected.to_string(), got: got.to_string() }
}

/// Fails unless both are equal.
pub(super) fn same<T: PartialEq + ToString>(what: &'static str, expected: T, got: T) -> Result<(), MarketDataError> {
    if expected == got { Ok(()) } else { Err(mismatch(what, expected, got)) }
}

/// The parameters of a query.
pub(super) fn parameters(query: &Query, url: &mut reqwest::Url) {
    let mut pairs = url.query_pairs_mut();
    pairs.append_pair("venue", query.venue.as_str()).append_pair("symbol", query.symbol.as_str());
    if let Some(interval) = query.interval {
        pairs.append_pair("interval", &interval.to_string());
    }
    pairs.append_pair("from", &(query.from_ns / NS_PER_MS).to_string());
    pairs.append_pair("to", &(query.to_ns / NS_PER_MS).to_string());
    if let Some(snapshot) = query.snapshot {
        pairs.append_pair("snapshot", &snapshot.to_string());
    }
}

/// The wish for missing history.
pub(super) fn body(query: &Query) -> serde_json::Value {
    serde_json::json!({
        "venue": query.venue.as_str(),
        "symbol": query.symbol.as_str(),
        "interval": query.interval.map(|interval| interval.to_string()),
        "from": (query.from_ns / NS_PER_MS).to_string(),
        "to": (query.to_ns / NS_PER_MS).to_string(),
    })
}

/// An error in the gateway's words.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct GatewayError {
    code: String,
    #[serde(default)]
    field: String,
    #[serde(default)]
    message: String,
    #[serde(default)]
    retryable: bool,
}

impl fmt::Display for GatewayError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.message)
    }
}

#[derive(Debug, Deserialize)]
struct ErrorBody {
    error: GatewayError,
}

/// How far a history request is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum RequestState {
    Queued,
    Working,
    Ready,
    Refused,
}

/// A history request.
#[derive(Debug, Deserialize)]
pub(super) struct RequestView {
    pub(super) id: String,
    pub(super) state: RequestState,
    pub(super) done: usize,
    pub(super) parts: usize,
    snapshot: Option<String>,
    pub(super) error: Option<GatewayError>,
}

impl RequestView {
    pub(super) async fn read(response: Response, after: Duration) -> Result<Self, MarketDataError> {
        if !response.status().is_success() {
            return Err(refusal(response, after, None).await);
        }
        let bytes = small_body(response, after).await?;
        let view: Self = serde_json::from_slice(&bytes).map_err(|error| mismatch("history request", "JSON", error))?;
        // It becomes a part of a path.
        let plain = !view.id.is_empty() && view.id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        if plain { Ok(view) } else { Err(mismatch("history request id", "letters and digits", &view.id)) }
    }

    pub(super) fn snapshot(&self) -> Result<i64, MarketDataError> {
        let text = self.snapshot.as_deref().unwrap_or_default();
        text.parse().map_err(|_| mismatch("snapshot of the history request", "a number", text))
    }

    pub(super) fn refused(self) -> MarketDataError {
        let (code, message, retryable) = match self.error {
            Some(error) => (error.code, error.message, error.retryable),
            None => ("INTERNAL".to_owned(), "no reason given".to_owned(), false),
        };
        MarketDataError::NoHistory { code, message, retryable }
    }
}

async fn small_body(mut response: Response, after: Duration) -> Result<Vec<u8>, MarketDataError> {
    let read = async {
        let mut bytes = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(MarketDataError::Transport)? {
            if bytes.len() + chunk.len() > JSON_BYTES {
                return Err(MarketDataError::TooLarge { limit: JSON_BYTES as u64 });
            }
            bytes.extend_from_slice(&chunk);
        }
        Ok(bytes)
    };
    timeout(after, read).await.unwrap_or(Err(MarketDataError::Timeout { what: "a JSON answer", after }))
}

/// The error of an answer that is not a success.
pub(super) async fn refusal(response: Response, after: Duration, snapshot: Option<i64>) -> MarketDataError {
    let status = response.status().as_u16();
    let bytes = match small_body(response, after).await {
        Ok(bytes) => bytes,
        Err(error) => return error,
    };
    let Ok(ErrorBody { error }) = serde_json::from_slice(&bytes) else {
        // Something else than our gateway answers, or a proxy before it.
        let (code, message) = ("UNKNOWN".to_owned(), "an answer without the gateway's error".to_owned());
        return MarketDataError::Refused { status, code, field: String::new(), message, retryable: status >= 500 };
    };
    match (error.code.as_str(), snapshot) {
        ("SNAPSHOT_GONE", Some(snapshot)) => MarketDataError::SnapshotGone { snapshot },
        ("TOO_MANY_ROWS", _) => MarketDataError::TooManyRows { message: error.message },
        _ => {
            let GatewayError { code, field, message, retryable } = error;
            MarketDataError::Refused { status, code, field, message, retryable }
        }
    }
}

/// What a whole answer says of itself, if it is the one that was asked for.
pub(super) fn fetched(
    query: &Query,
    snapshot: i64,
    summary: &Summary,
    path: &Path,
) -> Result<Fetched, MarketDataError> {
    let text = |name: &str| summary.schema.metadata.get(&format!("dexorder.{name}")).map_or("", String::as_str);
    let number = |name: &'static str| text(name).parse::<u64>().map_err(|_| mismatch(name, "a number", text(name)));
    let time = |name| if text(name).is_empty() { Ok(None) } else { number(name).map(Some) };
    same("venue", query.venue.as_str(), text("venue"))?;
    same("symbol", query.symbol.as_str(), text("symbol"))?;
    same("interval_s", u64::from(query.interval.map_or(0, Interval::seconds)), number("interval_s")?)?;
    same("from_ns", query.from_ns, number("from_ns")?)?;
    same("to_ns", query.to_ns, number("to_ns")?)?;
    same("snapshot", snapshot.to_string().as_str(), text("snapshot"))?;
    same("rows", summary.rows, number("rows")?)?;
    let time_column = if query.interval.is_some() { "open_time" } else { "event_time" };
    let first_column = summary.schema.fields().first().map_or("", |field| field.name().as_str());
    same("first column", time_column, first_column)?;
    let holes = serde_json::from_str(text("holes_ns")).map_err(|error| mismatch("holes_ns", "JSON", error))?;
    Ok(Fetched {
        path: path.to_owned(),
        bytes: summary.bytes,
        snapshot,
        rows: summary.rows,
        first_time_ns: time("first_time_ns")?,
        last_time_ns: time("last_time_ns")?,
        missing: number("missing")?,
        holes,
        cached: false,
        shortfall: None,
    })
}
