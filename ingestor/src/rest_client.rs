//! REST requests to one venue: within its budget, tried again when that helps, every answer kept on `raw.rest`.

use crate::backoff::Backoff;
use crate::log_writer::{Header, LogWriter, WriteError};
use crate::rate_limit::{Purpose, RateLimiter};
use crate::transport::{RawAnswer, Transport};
use bytes::Bytes;
use eventlog::Record;
use proto::{EventType, LogTopic, RawReference, wire};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use venues::{Adapter, Answer, RestError, RestRequest};

/// Tries of one request that fails in a way that may pass.
const TRIES: u32 = 4;
/// Times that a venue may ask for patience before one request is given up.
const REFUSALS: u32 = 10;
/// Largest part of an answer in one record.
const RAW_PART_BYTES: usize = 3 << 20;

/// Why a request brought nothing.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FetchError {
    /// The venue does not know the symbol.
    #[error("the venue does not know the symbol")]
    UnknownSymbol,
    /// The venue refuses for longer than the caller may wait.
    #[error("the venue takes no requests for {0:?}")]
    Blocked(Duration),
    /// The venue failed, tried again in vain.
    #[error("{0}")]
    Failed(String),
    /// The venue refuses this request for good.
    #[error("refused: {0}")]
    Refused(String),
    /// The log failed.
    #[error(transparent)]
    Log(#[from] WriteError),
    /// The process stops.
    #[error("stopped")]
    Stopped,
}

impl FetchError {
    /// True if the venue was not able to answer now, so that a later try may succeed.
    pub(crate) const fn is_passing(&self) -> bool {
        matches!(self, Self::Blocked(_) | Self::Failed(_) | Self::Stopped)
    }
}

/// A good answer.
#[derive(Debug)]
pub(crate) struct Fetched {
    pub(crate) body: Bytes,
    pub(crate) receive_time_ns: u64,
    /// Where its bytes are; the first part if there are several.
    pub(crate) raw: Option<RawReference>,
}

/// What a request is for and how long it may wait.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Terms {
    pub(crate) purpose: Purpose,
    /// Name on `raw.rest`, e.g. `rest:trades`.
    pub(crate) channel: &'static str,
    /// Longest wait for the venue's limits.
    pub(crate) longest_wait: Duration,
}

/// The REST side of one venue.
#[derive(Debug, Clone)]
pub(crate) struct RestClient {
    adapter: watch::Receiver<Arc<dyn Adapter>>,
    transport: Transport,
    limiter: Arc<Mutex<RateLimiter>>,
    writer: LogWriter,
    stop: CancellationToken,
}

impl RestClient {
    pub(crate) fn new(
        adapter: watch::Receiver<Arc<dyn Adapter>>,
        transport: Transport,
        writer: LogWriter,
        stop: CancellationToken,
    ) -> Self {
        let limits = adapter.borrow().profile().rest;
        let limiter = Arc::new(Mutex::new(RateLimiter::new(&limits, writer.now_ns())));
        Self { adapter, transport, limiter, writer, stop }
    }

    /// The venue's adapter as it is now.
    pub(crate) fn adapter(&self) -> Arc<dyn Adapter> {
        Arc::clone(&self.adapter.borrow())
    }

    /// Where records go.
    pub(crate) const fn writer(&self) -> &LogWriter {
        &self.writer
    }

    fn limiter<T>(&self, use_it: impl FnOnce(&mut RateLimiter, u64) -> T) -> T {
        let now_ns = self.writer.now_ns();
        use_it(&mut self.limiter.lock().unwrap_or_else(PoisonError::into_inner), now_ns)
    }

    /// Fetches an answer.
    ///
    /// # Errors
    /// [`FetchError`].
    pub(crate) async fn fetch(&self, request: &RestRequest, terms: Terms) -> Result<Fetched, FetchError> {
        let mut backoff = Backoff::new(Duration::from_millis(200), Duration::from_secs(5));
        let mut tries = 0;
        let mut refusals = 0;
        loop {
            self.wait_turn(request.weight, terms).await?;
            let failure = match self.try_once(request, terms).await? {
                Ok(fetched) => return Ok(fetched),
                Err(failure) => failure,
            };
            tracing::debug!(venue = %self.writer.board().venue(), path = request.path_and_query, %failure, "REST request failed");
            match failure {
                // The limiter holds the next try back.
                RestError::RateLimited { .. } | RestError::Banned { .. } if refusals < REFUSALS => refusals += 1,
                RestError::RateLimited { .. } | RestError::Banned { .. } => {
                    return Err(FetchError::Failed(failure.to_string()));
                }
                RestError::UnknownSymbol => return Err(FetchError::UnknownSymbol),
                RestError::Forbidden { message } | RestError::Fatal { message, .. } => {
                    return Err(FetchError::Refused(message));
                }
                RestError::Retryable { message, status } if tries + 1 >= TRIES => {
                    return Err(FetchError::Failed(format!("status {status}: {message}")));
                }
                RestError::Retryable { .. } => {
                    tries += 1;
                    let wait = backoff.next_wait(&mut rand::rng());
                    self.sleep(wait).await?;
                }
            }
        }
    }

    async fn sleep(&self, wait: Duration) -> Result<(), FetchError> {
        tokio::select! {
            () = tokio::time::sleep(wait) => Ok(()),
            () = self.stop.cancelled() => Err(FetchError::Stopped),
        }
    }

    /// Waits until the budget allows a request of this weight.
    async fn wait_turn(&self, weight: u32, terms: Terms) -> Result<(), FetchError> {
        let started = tokio::time::Instant::now();
        let mut waited = false;
        loop {
            let (until_ns, now_ns) = match self.limiter(|l, now_ns| (l.acquire(weight, terms.purpose, now_ns), now_ns))
            {
                (Ok(()), _) => return Ok(()),
                (Err(until_ns), now_ns) => (until_ns, now_ns),
            };
            let wait = Duration::from_nanos(until_ns.saturating_sub(now_ns));
            if started.elapsed() + wait > terms.longest_wait {
                return Err(FetchError::Blocked(wait));
            }
            if !waited {
                self.writer.board().metrics.waits.inc();
                waited = true;
            }
            self.sleep(wait).await?;
        }
    }

    /// One try; the outer error ends the request, the inner one is the venue's.
    async fn try_once(&self, request: &RestRequest, terms: Terms) -> Result<Result<Fetched, RestError>, FetchError> {
        let adapter = self.adapter();
        let metrics = &self.writer.board().metrics;
        metrics.requests.inc();
        let header = adapter.profile().rest.used_weight_header;
        let sent = tokio::select! {
            sent = self.transport.get(&request.path_and_query, header) => sent,
            () = self.stop.cancelled() => return Err(FetchError::Stopped),
        };
        let answer = match sent {
            Ok(answer) => answer,
            Err(error) => {
                metrics.rest_answer("no_answer");
                return Ok(Err(RestError::Retryable { status: 0, message: error.to_string() }));
            }
        };
        let receive_time_ns = self.writer.now_ns();
        let raw = self.keep(&answer, terms.channel, receive_time_ns).await?;
        if let Some(used) = answer.used_weight {
            self.limiter(|limiter, now_ns| limiter.used_weight(used, now_ns));
        }
        let meaning = adapter.check(&Answer {
            status: answer.status,
            retry_after: answer.retry_after.as_deref(),
            body: &answer.body,
        });
        metrics.rest_answer(outcome(&meaning));
        match meaning {
            Ok(()) => {
                self.limiter(|limiter, _| limiter.answered());
                Ok(Ok(Fetched { body: answer.body, receive_time_ns, raw }))
            }
            Err(error) => {
                self.slow_down(&error);
                Ok(Err(error))
            }
        }
    }

    fn slow_down(&self, error: &RestError) {
        let board = self.writer.board();
        let wait = match error {
            RestError::RateLimited { retry_after } => self.limiter(|l, now_ns| l.limited(*retry_after, now_ns)),
            RestError::Banned { retry_after } => {
                let wait = self.limiter(|l, now_ns| l.banned(*retry_after, now_ns));
                board.note(format!("REST: banned for {} s", wait.as_secs()));
                wait
            }
            _ => return,
        };
        tracing::warn!(venue = %board.venue(), ?wait, %error, "the venue wants fewer requests");
    }

    /// Keeps the exact bytes of an answer, in parts if it is large.
    async fn keep(
        &self,
        answer: &RawAnswer,
        channel: &str,
        receive_time_ns: u64,
    ) -> Result<Option<RawReference>, WriteError> {
        let venue = self.writer.board().venue();
        let parts = answer.body.len().div_ceil(RAW_PART_BYTES).max(1);
        let record = |part: usize| -> Record {
            let end = ((part + 1) * RAW_PART_BYTES).min(answer.body.len());
            let name = if parts == 1 { channel.to_owned() } else { format!("{channel}#{}/{parts}", part + 1) };
            let message = wire::RawFrame {
                venue: venue.to_string(),
                channel: format!("{name} {}", answer.status),
                receive_time_ns,
                payload: answer.body[part * RAW_PART_BYTES..end].to_vec(),
            };
            let header = Header {
                event_type: EventType::RawFrame,
                venue,
                key: venue.as_str(),
                observed_at_ns: receive_time_ns,
                raw: None,
            };
            self.writer.record(header, &message)
        };
        let places = self.writer.append(LogTopic::RawRest, (0..parts).map(record).collect()).await?;
        let topic = || LogTopic::RawRest.name().to_owned();
        Ok(places.first().map(|(partition, offset)| RawReference {
            topic: topic(),
            partition: *partition,
            offset: *offset,
        }))
    }
}

/// A closed word for what an answer meant.
const fn outcome(meaning: &Result<(), RestError>) -> &'static str {
    match meaning {
        Ok(()) => "ok",
        Err(RestError::RateLimited { .. }) => "rate_limited",
        Err(RestError::Banned { .. }) => "banned",
        Err(RestError::Forbidden { .. }) => "forbidden",
        Err(RestError::UnknownSymbol) => "unknown_symbol",
        Err(RestError::Retryable { .. }) => "retryable",
        Err(RestError::Fatal { .. }) => "fatal",
    }
}
