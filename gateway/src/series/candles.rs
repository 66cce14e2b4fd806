//! Candle queries over lake, memory and history on demand.

use crate::config::{HistoryConfig, SeriesConfig};
use crate::directory::Known;
use crate::directory::reader::SharedDirectory;
use crate::error::{ApiError, Code};
use crate::history::client::{Fetched, HistoryDesk};
use crate::live::hub::Hub;
use crate::series::cache::{Cached, Memory};
use crate::series::gaps::{Wanted, missing};
use crate::series::page::{CandleRequest, Page};
use crate::series::window::{Window, merge};
use crate::series::{SeriesKey, ceil};
use async_trait::async_trait;
use lake::{CandleQuery, Lake, LakeError, Limit};
use proto::market::Candle;
use proto::{HistoryRange, Interval};
use serde::Serialize;
use service::clock::Clock;
use std::fmt::Debug;
use std::sync::Arc;
use tokio::sync::watch;
use tokio::time::{Instant, timeout};
use tokio_util::task::TaskTracker;
use utoipa::ToSchema;

/// Windows younger than this may still be on their way and are never missing.
const SETTLE_NS: u64 = 10_000_000_000;
/// No market is older: 2001-09-09, the least time of the wire.
const OLDEST_NS: u64 = 1_000_000_000_000_000_000;
/// Least rows read into memory for a series.
const FIRST_READ: usize = 1000;

/// Where closed candles rest. The lake, or a test's stand-in for it.
#[async_trait]
pub trait CandleStore: Send + Sync + Debug {
    /// Candles of one series, ascending, the highest revision of each.
    ///
    /// # Errors
    /// If the store cannot be read.
    async fn candles(&self, query: &CandleQuery) -> Result<Vec<Candle>, LakeError>;
}

#[async_trait]
impl CandleStore for Lake {
    async fn candles(&self, query: &CandleQuery) -> Result<Vec<Candle>, LakeError> {
        Self::candles(self, query).await
    }
}

/// Whether the range asked for is complete.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum HistoryState {
    /// Nothing is missing that could be had.
    Complete,
    /// More is on its way: ask again.
    Pending,
    /// Some is missing and cannot be had now.
    Unavailable,
}

/// Which rows of a series.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Selection {
    Newest { to: u64, limit: usize },
    Oldest { from: u64, to: u64, limit: usize },
}

impl Selection {
    fn of(request: &CandleRequest) -> Self {
        let to = request.to.unwrap_or(u64::MAX);
        match request.from {
            Some(from) => Self::Oldest { from, to, limit: request.limit },
            None => Self::Newest { to, limit: request.limit },
        }
    }

    fn in_memory(self, window: &Window) -> Option<Vec<Candle>> {
        match self {
            Self::Newest { to, limit } => window.newest(to, limit),
            Self::Oldest { from, to, limit } => window.oldest(from, to, limit),
        }
    }

    fn query(self, key: &SeriesKey) -> CandleQuery {
        let (from, to, limit) = match self {
            Self::Newest { to, limit } => (0, to, Limit::Newest(limit)),
            Self::Oldest { from, to, limit } => (from, to, Limit::Oldest(limit)),
        };
        let (venue, symbol) = (key.venue.clone(), key.symbol.clone());
        CandleQuery { limit, ..CandleQuery::range(venue, symbol, key.interval, from, to) }
    }

    /// The lake's rows of the selection together with what memory has of it.
    fn complete(self, rows: Vec<Candle>, window: &Window) -> Vec<Candle> {
        match self {
            Self::Newest { to, limit } => {
                let all = rows.len() < limit;
                let from = rows.first().filter(|_| !all).map_or(0, |row| row.open_time_ns);
                let mut rows = merge(rows, window.tail(from, to));
                rows.drain(..rows.len().saturating_sub(limit));
                rows
            }
            Self::Oldest { from, to, limit } => {
                let mut rows = merge(rows, window.tail(from, to));
                rows.truncate(limit);
                rows
            }
        }
    }
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Candles {
    pub(crate) store: Arc<dyn CandleStore>,
    pub(crate) memory: Arc<Memory>,
    pub(crate) hub: Arc<Hub>,
    pub(crate) history: Arc<HistoryDesk>,
    pub(crate) directory: Arc<SharedDirectory>,
    pub(crate) clock: Clock,
    pub(crate) connected: watch::Receiver<bool>,
    pub(crate) tracker: TaskTracker,
    pub(crate) series_config: SeriesConfig,
    pub(crate) history_config: HistoryConfig,
}

impl Candles {
    /// A page of candles; fetches missing history, within its time.
    pub(crate) async fn page(self: &Arc<Self>, request: &CandleRequest) -> Result<(Page, HistoryState), ApiError> {
        let (rows, history) = self.rows(request).await?;
        let previous = match (request.fill, request.from) {
            (true, Some(from)) if rows.first().is_none_or(|row| row.open_time_ns > from) => {
                self.read(&request.key, Selection::Newest { to: from, limit: 1 }).await?.pop()
            }
            _ => None,
        };
        Ok((request.page(&rows, previous.as_ref(), self.clock.now_ns()), history))
    }

    /// The rows of a request, at most its limit.
    async fn rows(self: &Arc<Self>, request: &CandleRequest) -> Result<(Vec<Candle>, HistoryState), ApiError> {
        let selection = Selection::of(request);
        let rows = self.read(&request.key, selection).await?;
        let Some(range) = self.missing(request, &rows) else { return Ok((rows, HistoryState::Complete)) };
        let known = self.directory.read().knows(&request.key.venue, &request.key.symbol);
        if known == Known::No {
            let unknown = || {
                let SeriesKey { venue, symbol, .. } = &request.key;
                ApiError::new(Code::UnknownSymbol, format!("symbol: {venue} has no {symbol}")).about("symbol")
            };
            return if rows.is_empty() { Err(unknown()) } else { Ok((rows, HistoryState::Unavailable)) };
        }
        match self.history.fetch(&range).await {
            Fetched::Pending => {
                // What comes until the next request is shown then.
                self.memory.suspect(&request.key);
                Ok((rows, HistoryState::Pending))
            }
            Fetched::Unavailable => Ok((rows, HistoryState::Unavailable)),
            Fetched::Done => {
                self.memory.suspect(&request.key);
                let rows = self.read(&request.key, selection).await?;
                let complete = self.missing(request, &rows).is_none();
                Ok((rows, if complete { HistoryState::Complete } else { HistoryState::Unavailable }))
            }
        }
    }

    /// What history should be asked for.
    fn missing(&self, request: &CandleRequest, rows: &[Candle]) -> Option<HistoryRange> {
        let key = &request.key;
        let interval = key.interval;
        let (from, to) = request.nominal(self.clock.now_ns(), SETTLE_NS);
        let from = from.max(ceil(interval, OLDEST_NS));
        let least =
            if interval == Interval::S1 { self.history_config.hole_of_seconds } else { self.history_config.hole };
        // A range that is shorter than a hole is missing if it is empty.
        let least = least.min(to.saturating_sub(from) / interval.nanos());
        let wanted = Wanted { from, to, step: interval.nanos(), least };
        let open_times = rows.iter().map(|row| row.open_time_ns);
        let (from_ns, to_ns) = missing(wanted, open_times, &self.history.complete(key))?;
        let (venue, symbol) = (key.venue.clone(), key.symbol.clone());
        Some(HistoryRange { venue, symbol, interval: Some(interval), from_ns, to_ns })
    }

    /// Candles for an indicator: `warm_up` ones (or all since the start of the UTC day) before the page, then the page.
    pub(crate) async fn with_warm_up(
        self: &Arc<Self>,
        request: &CandleRequest,
        warm_up: trading::WarmUp,
    ) -> Result<(Vec<Candle>, Vec<Candle>), ApiError> {
        let (rows, _history) = self.rows(request).await?;
        let Some(first) = rows.first().map(|row| row.open_time_ns) else { return Ok((Vec::new(), rows)) };
        let before = match warm_up {
            trading::WarmUp::Candles(0) => return Ok((Vec::new(), rows)),
            trading::WarmUp::Candles(limit) => Selection::Newest { to: first, limit },
            trading::WarmUp::Session => {
                Selection::Oldest { from: Interval::D1.open_time(first), to: first, limit: usize::MAX }
            }
        };
        Ok((self.read(&request.key, before).await?, rows))
    }

    /// Rows from memory if they are all there, else from the lake and memory.
    async fn read(self: &Arc<Self>, key: &SeriesKey, selection: Selection) -> Result<Vec<Candle>, ApiError> {
        let metrics = &self.memory.metrics;
        let (cached, new) = self.open(key);
        if let Some(rows) = self.from_memory(key, &cached, selection) {
            metrics.hits.inc();
            return Ok(rows);
        }
        metrics.misses.inc();
        let newest = match selection {
            Selection::Newest { to: u64::MAX, limit } if limit <= self.memory.rows() => limit.max(FIRST_READ),
            _ => FIRST_READ,
        };
        {
            let _one_reader = cached.loading.lock().await;
            if let Some(rows) = self.from_memory(key, &cached, selection) {
                return Ok(rows);
            }
            let load = self.load(key, &cached, newest.min(self.memory.rows()));
            let (loaded, ()) = tokio::join!(load, self.tail(&cached, new));
            loaded?;
        }
        if let Some(rows) = selection.in_memory(&cached.window()) {
            return Ok(rows);
        }
        let rows = self.query(&selection.query(key)).await?;
        Ok(selection.complete(rows, &cached.window()))
    }

    fn from_memory(
        self: &Arc<Self>,
        key: &SeriesKey,
        cached: &Arc<Cached>,
        selection: Selection,
    ) -> Option<Vec<Candle>> {
        let mut window = cached.window();
        let rows = selection.in_memory(&window)?;
        if window.begin_refresh(Instant::now(), self.series_config.max_age) {
            let (this, key, cached) = (self.clone(), key.clone(), cached.clone());
            let newest = window.len().max(FIRST_READ).min(self.memory.rows());
            self.memory.metrics.refreshes.inc();
            self.tracker.spawn(async move {
                if this.load(&key, &cached, newest).await.is_err() {
                    cached.window().refresh_failed();
                }
            });
        }
        Some(rows)
    }

    /// The series in memory and whether it is new there; a new one is followed upstream.
    fn open(&self, key: &SeriesKey) -> (Arc<Cached>, bool) {
        let (cached, new, evicted) = self.memory.open(key);
        self.release(&evicted);
        (cached, new && self.hub.hold(&key.topic()))
    }

    /// The first answer of a series waits a moment for its live tail. Without it in time the page gets it over its
    /// WebSocket.
    async fn tail(&self, cached: &Cached, new: bool) {
        if new && *self.connected.borrow() {
            _ = timeout(self.series_config.tail_wait, cached.wait_primed()).await;
        }
    }

    async fn load(&self, key: &SeriesKey, cached: &Cached, newest: usize) -> Result<(), ApiError> {
        let rows = self.query(&Selection::Newest { to: u64::MAX, limit: newest }.query(key)).await?;
        cached.window().load(rows, newest, self.memory.rows(), Instant::now());
        self.release(&self.memory.shrink());
        Ok(())
    }

    /// Forgets series that nobody asked for of late.
    pub(crate) fn expire(&self) {
        self.release(&self.memory.expire(self.series_config.idle));
    }

    fn release(&self, series: &[SeriesKey]) {
        for key in series {
            self.hub.release(&key.topic());
        }
    }

    async fn query(&self, query: &CandleQuery) -> Result<Vec<Candle>, ApiError> {
        let started = Instant::now();
        let result = self.store.candles(query).await;
        self.memory.metrics.lake_seconds.observe(started.elapsed().as_secs_f64());
        Ok(result.inspect_err(|_| _ = self.memory.metrics.failed.inc())?)
    }
}

#[cfg(test)]
mod tests;
