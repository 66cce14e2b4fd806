//! Market data for backtests, from the gateway's history API (docs/protocol/11-history-http.md): the container never reaches
//! the lake.
//!
//! An answer is a file with an Arrow IPC stream, pinned to a snapshot. The file appears only when it is whole: framing,
//! end-of-stream marker, number of rows, series and snapshot are checked while it comes. Nothing is decoded here.
//!
//! Reading order: `framing` (pure), `partial`, `cache`, `wire` (what the gateway says), this file.

mod cache;
mod error;
mod framing;
mod partial;
mod wire;

pub use cache::CacheConfig;
pub use error::MarketDataError;
pub use framing::FramingError;

use framing::{Framing, Summary};
use partial::Partial;
use proto::{Interval, Symbol, Venue};
use reqwest::{Client, Response, StatusCode, Url};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::fs::File;
use tokio::io::AsyncWriteExt;
use tokio::time::{sleep, timeout};
use wire::{Head, RequestState, RequestView};

const NS_PER_MS: u64 = 1_000_000;

/// What to fetch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query {
    /// Venue.
    pub venue: Venue,
    /// Symbol.
    pub symbol: Symbol,
    /// Length of the candles; trades if `None`.
    pub interval: Option<Interval>,
    /// Start, ns since the epoch, a whole millisecond.
    pub from_ns: u64,
    /// End, not included, a whole millisecond.
    pub to_ns: u64,
    /// The snapshot to read; the newest if none.
    pub snapshot: Option<i64>,
    /// Whether history that the lake does not have is asked for first. A given snapshot is read as it is.
    pub backfill: Backfill,
}

/// Whether missing history is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Backfill {
    /// Read what is there.
    Never,
    /// Ask the venue for what is worth asking for, and wait.
    Missing,
}

impl Query {
    /// The series and the range, as a key of the cache.
    fn identity(&self) -> String {
        let seconds = self.interval.map_or(0, Interval::seconds);
        format!("{}|{}|{seconds}|{}|{}", self.venue, self.symbol, self.from_ns, self.to_ns)
    }

    fn check(&self) -> Result<(), MarketDataError> {
        for (field, time) in [("from_ns", self.from_ns), ("to_ns", self.to_ns)] {
            if !time.is_multiple_of(NS_PER_MS) {
                return Err(MarketDataError::Invalid { field, rule: "must be a whole millisecond" });
            }
        }
        if self.from_ns >= self.to_ns {
            return Err(MarketDataError::Invalid { field: "to_ns", rule: "must be after from_ns" });
        }
        Ok(())
    }
}

/// A whole answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetched {
    /// The file: an Arrow IPC stream.
    pub path: PathBuf,
    /// Its bytes.
    pub bytes: u64,
    /// The snapshot it is of: the same query with it gives the same file.
    pub snapshot: i64,
    /// Rows.
    pub rows: u64,
    /// Time of the first row, ns since the epoch.
    pub first_time_ns: Option<u64>,
    /// Time of the last row.
    pub last_time_ns: Option<u64>,
    /// Windows of the range without a row (of trades: minutes).
    pub missing: u64,
    /// The longest holes, `[from_ns, to_ns)`, ascending.
    pub holes: Vec<(u64, u64)>,
    /// True if nothing was transferred.
    pub cached: bool,
    /// Why a part of what was missing could not be had, in the gateway's words.
    pub shortfall: Option<String>,
}

/// How far a fetch is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// Missing history is being fetched from the venue; `parts` is 0 until known.
    History {
        /// Parts that are there.
        done: usize,
        /// Of how many.
        parts: usize,
    },
    /// Rows are coming.
    Transfer {
        /// Bytes that came.
        bytes: u64,
        /// Rows of the whole answer.
        rows: u64,
    },
}

/// Limits. All have defaults but the address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MarketDataConfig {
    /// Where the gateway is, e.g. `http://gateway:3000`.
    pub base_url: String,
    /// Bytes of one answer.
    pub max_bytes: u64,
    /// Connecting may take so long.
    pub connect_timeout: Duration,
    /// The head of an answer may take so long: the gateway counts the rows before it.
    pub head_timeout: Duration,
    /// So long may no byte come.
    pub stall_timeout: Duration,
    /// Missing history may take so long.
    pub history_timeout: Duration,
    /// Times that a busy gateway, or one whose answer was cut, is asked again.
    pub retries: u32,
    /// First pause before asking again; doubles up to 16 times of it. Also between looks at a history request.
    pub pause: Duration,
    /// Answers kept on disk.
    pub cache: Option<CacheConfig>,
}

impl MarketDataConfig {
    /// The defaults for an address.
    #[must_use]
    pub fn new(base_url: &str) -> Self {
        Self {
            base_url: base_url.to_owned(),
            max_bytes: 4 << 30,
            connect_timeout: Duration::from_secs(5),
            head_timeout: Duration::from_secs(90),
            stall_timeout: Duration::from_secs(30),
            history_timeout: Duration::from_secs(1800),
            retries: 5,
            pause: Duration::from_millis(250),
            cache: None,
        }
    }
}

/// How much longer the longest pause is than the first.
const LONGEST_PAUSE: u32 = 16;

/// A client of the gateway's history API.
#[derive(Debug)]
pub struct MarketData {
    client: Client,
    base: Url,
    config: MarketDataConfig,
}

impl MarketData {
    /// A client; nothing is connected yet.
    ///
    /// # Errors
    /// If the address is not valid.
    ///
    /// # Panics
    /// If the process has installed no rustls provider: reqwest wants one even for `http`.
    pub fn new(config: MarketDataConfig) -> Result<Self, MarketDataError> {
        let invalid = MarketDataError::Invalid { field: "base_url", rule: "must be an http or https address" };
        let base = Url::parse(&config.base_url).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
        let Some(base) = base.filter(|url| !url.cannot_be_a_base()) else { return Err(invalid) };
        // The gateway is near and known: no proxy of the environment and no redirect may stand in its place.
        let client = Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none());
        let client = client.connect_timeout(config.connect_timeout).build().map_err(MarketDataError::Transport)?;
        Ok(Self { client, base, config })
    }

    /// Fetches a series into `target`, which is replaced.
    ///
    /// # Errors
    /// See [`MarketDataError`]; `target` is as before then.
    ///
    /// # Cancel safety
    /// Dropping the future stops the transfer and removes the partial file. History that was asked for still comes.
    pub async fn fetch(
        &self,
        query: &Query,
        target: &Path,
        progress: &(dyn Fn(Progress) + Send + Sync),
    ) -> Result<Fetched, MarketDataError> {
        query.check()?;
        let mut query = query.clone();
        let (mut shortfall, mut cuts) = (None, 0);
        if let Some(snapshot) = query.snapshot {
            query.backfill = Backfill::Never;
            if let Some(fetched) = self.cached(&query, snapshot, target).await? {
                return Ok(fetched);
            }
        }
        loop {
            let response = self.open(&query).await?;
            let head = Head::read(&response)?;
            if query.backfill == Backfill::Missing && head.unasked > 0 {
                drop(response);
                (query.snapshot, shortfall) = self.ask_history(&query, progress).await?;
                query.backfill = Backfill::Never;
                continue;
            }
            if let Some(fetched) = self.cached(&query, head.snapshot, target).await? {
                return Ok(Fetched { shortfall, ..fetched });
            }
            match self.transfer((&query, &head), response, target, progress).await {
                Ok(fetched) => {
                    if let Some(cache) = &self.config.cache {
                        cache.put((&query, head.snapshot), target).await;
                    }
                    return Ok(Fetched { shortfall, ..fetched });
                }
                Err(MarketDataError::Truncated { .. }) if cuts < self.config.retries => {
                    self.rest(cuts).await;
                    cuts += 1;
                    query.snapshot = Some(head.snapshot);
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// [`Self::fetch`] for candles.
    ///
    /// # Errors
    /// If the query has no interval; else see [`Self::fetch`].
    ///
    /// # Cancel safety
    /// See [`Self::fetch`].
    pub async fn fetch_candles(
        &self,
        query: &Query,
        target: &Path,
        progress: &(dyn Fn(Progress) + Send + Sync),
    ) -> Result<Fetched, MarketDataError> {
        if query.interval.is_none() {
            return Err(MarketDataError::Invalid { field: "interval", rule: "candles have one" });
        }
        self.fetch(query, target, progress).await
    }

    async fn cached(&self, query: &Query, snapshot: i64, target: &Path) -> Result<Option<Fetched>, MarketDataError> {
        let Some(cache) = &self.config.cache else { return Ok(None) };
        let Some(summary) = cache.take((query, snapshot), target).await? else { return Ok(None) };
        let fetched = wire::fetched(query, snapshot, &summary, target)?;
        Ok(Some(Fetched { cached: true, ..fetched }))
    }

    /// Opens an answer; a busy gateway is asked again.
    async fn open(&self, query: &Query) -> Result<Response, MarketDataError> {
        let mut url = self.url(if query.interval.is_some() { "candles" } else { "ticks" })?;
        wire::parameters(query, &mut url);
        let mut tries = 0;
        loop {
            let response = self.send(self.client.get(url.clone())).await?;
            if response.status().is_success() {
                return Ok(response);
            }
            let busy = matches!(response.status(), StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE);
            let error = wire::refusal(response, self.config.head_timeout, query.snapshot).await;
            if !(busy && error.is_retryable()) {
                return Err(error);
            }
            if tries >= self.config.retries {
                return Err(MarketDataError::Busy { attempts: tries + 1 });
            }
            self.rest(tries).await;
            tries += 1;
        }
    }

    fn url(&self, path: &str) -> Result<Url, MarketDataError> {
        let joined = self.base.join(&format!("/api/v1/history/{path}"));
        joined.map_err(|_| MarketDataError::Invalid { field: "base_url", rule: "must take a path" })
    }

    async fn send(&self, request: reqwest::RequestBuilder) -> Result<Response, MarketDataError> {
        let after = self.config.head_timeout;
        match timeout(after, request.send()).await {
            Ok(sent) => sent.map_err(MarketDataError::Transport),
            Err(_) => Err(MarketDataError::Timeout { what: "the head of the answer", after }),
        }
    }

    async fn rest(&self, tries: u32) {
        sleep(self.config.pause * 2u32.saturating_pow(tries).min(LONGEST_PAUSE)).await;
    }

    /// Asks for missing history and waits until it is in a snapshot.
    async fn ask_history(
        &self,
        query: &Query,
        progress: &(dyn Fn(Progress) + Send + Sync),
    ) -> Result<(Option<i64>, Option<String>), MarketDataError> {
        let after = self.config.history_timeout;
        let asked = timeout(after, self.poll_history(query, progress)).await;
        asked.unwrap_or(Err(MarketDataError::Timeout { what: "missing history", after }))
    }

    async fn poll_history(
        &self,
        query: &Query,
        progress: &(dyn Fn(Progress) + Send + Sync),
    ) -> Result<(Option<i64>, Option<String>), MarketDataError> {
        let requests = self.url("requests")?;
        let mut view = self.submit(&requests, query).await?;
        let mut looks = 0;
        loop {
            match view.state {
                RequestState::Ready => {
                    return Ok((Some(view.snapshot()?), view.error.map(|error| error.to_string())));
                }
                RequestState::Refused => return Err(view.refused()),
                RequestState::Queued | RequestState::Working => {
                    progress(Progress::History { done: view.done, parts: view.parts });
                }
            }
            self.rest(looks).await;
            looks += 1;
            let response = self.send(self.client.get(self.url(&format!("requests/{}", view.id))?)).await?;
            // The gateway has started again and knows nothing; asking again is asking for the rest.
            view = if response.status() == StatusCode::NOT_FOUND {
                self.submit(&requests, query).await?
            } else {
                RequestView::read(response, self.config.head_timeout).await?
            };
        }
    }

    async fn submit(&self, url: &Url, query: &Query) -> Result<RequestView, MarketDataError> {
        let mut tries = 0;
        loop {
            let response = self.send(self.client.post(url.clone()).json(&wire::body(query))).await?;
            match RequestView::read(response, self.config.head_timeout).await {
                Err(MarketDataError::Refused { status: 429 | 503, retryable: true, .. })
                    if tries < self.config.retries =>
                {
                    self.rest(tries).await;
                    tries += 1;
                }
                view => return view,
            }
        }
    }

    async fn transfer(
        &self,
        (query, head): (&Query, &Head),
        response: Response,
        target: &Path,
        progress: &(dyn Fn(Progress) + Send + Sync),
    ) -> Result<Fetched, MarketDataError> {
        let limit = self.config.max_bytes;
        if response.content_length().is_some_and(|length| length > limit) {
            return Err(MarketDataError::TooLarge { limit });
        }
        let (partial, file) = Partial::create(target).await?;
        let summary = self.receive(response, file, &partial, |bytes| {
            progress(Progress::Transfer { bytes, rows: head.rows });
        });
        let summary = summary.await?;
        wire::same("x-dexorder-rows", head.rows, summary.rows)?;
        let fetched = wire::fetched(query, head.snapshot, &summary, target)?;
        partial.keep(target)?;
        Ok(fetched)
    }

    /// Writes the body to the file, checking it on the way.
    async fn receive(
        &self,
        mut response: Response,
        mut file: File,
        partial: &Partial,
        progress: impl Fn(u64),
    ) -> Result<Summary, MarketDataError> {
        let (limit, after) = (self.config.max_bytes, self.config.stall_timeout);
        let mut framing = Framing::new();
        loop {
            let chunk = match timeout(after, response.chunk()).await {
                Ok(Ok(Some(chunk))) => chunk,
                Ok(Ok(None)) => break,
                // A body that ends early, one way or another.
                Ok(Err(_)) => return Err(MarketDataError::Truncated { bytes: framing.bytes() }),
                Err(_) => return Err(MarketDataError::Timeout { what: "the next bytes of the answer", after }),
            };
            if framing.bytes() + chunk.len() as u64 > limit {
                return Err(MarketDataError::TooLarge { limit });
            }
            framing.feed(&chunk).map_err(MarketDataError::NotArrow)?;
            file.write_all(&chunk).await.map_err(MarketDataError::io(partial.path()))?;
            progress(framing.bytes());
        }
        // A write that failed late shows here.
        file.flush().await.map_err(MarketDataError::io(partial.path()))?;
        framing.finish().map_err(|error| match error {
            FramingError::Truncated { bytes } => MarketDataError::Truncated { bytes },
            error => MarketDataError::NotArrow(error),
        })
    }
}

#[cfg(test)]
mod tests;
