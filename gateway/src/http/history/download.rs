//! The body of a whole series: one batch in memory at a time, read only when the client took the one before.
//!
//! Whatever goes wrong ends the body without the end-of-stream marker and the connection without the last chunk, so that a
//! part can never be taken for the whole.

use super::BulkDesk;
use crate::error::{ApiError, Code};
use crate::metrics::{BulkMetrics, StreamEnd, StreamEndLabel};
use arrow_ipc::writer::StreamWriter;
use bytes::Bytes;
use futures_util::Stream;
use lake::{Batches, Bulk, LakeError};
use service::http::Cut;
use std::collections::HashMap;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

/// Bytes handed to the connection at once: a client must take these within `bulk.stall`.
const CHUNK_BYTES: usize = 256 << 10;

/// Why a body ended early. The client sees only that it did.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StreamError {
    /// A file could not be read.
    #[error(transparent)]
    Lake(#[from] LakeError),
    /// A batch could not be encoded.
    #[error(transparent)]
    Arrow(#[from] arrow_schema::ArrowError),
    /// Other rows came than were counted.
    #[error("{got} rows, but {expected} were counted")]
    Rows {
        /// Counted before the answer.
        expected: u64,
        /// Read.
        got: u64,
    },
}

/// A series that was found and counted.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) bulk: Bulk,
    pub(crate) metadata: HashMap<String, String>,
    pub(crate) rows: u64,
    pub(crate) permit: OwnedSemaphorePermit,
}

/// Who must act next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Turn {
    Ours,
    /// The client's, since then.
    Client(Instant),
}

/// See the module.
pub(crate) struct Download {
    batches: Batches,
    writer: StreamWriter<Vec<u8>>,
    pending: Bytes,
    rows: u64,
    expected: u64,
    finished: bool,
    turn: watch::Sender<Turn>,
    end: End,
}

/// Counts the end of a stream, however it comes.
#[derive(Debug)]
struct End {
    reason: Arc<OnceLock<StreamEnd>>,
    metrics: BulkMetrics,
    _permit: OwnedSemaphorePermit,
}

impl Drop for End {
    fn drop(&mut self) {
        // Without a reason it was the connection that ended.
        let reason = *self.reason.get_or_init(|| StreamEnd::Client);
        self.metrics.ended.get_or_create(&StreamEndLabel { reason }).inc();
        self.metrics.streams.dec();
    }
}

impl Download {
    /// Starts the answer and the watch over its client.
    pub(crate) fn start(desk: &BulkDesk, opened: Opened, cut: Cut) -> Result<Self, ApiError> {
        let Opened { bulk, metadata, rows: expected, permit } = opened;
        desk.metrics.streams.inc();
        let reason = Arc::new(OnceLock::new());
        let end = End { reason: reason.clone(), metrics: desk.metrics.clone(), _permit: permit };
        let schema = bulk.schema().as_ref().clone().with_metadata(metadata);
        let mut writer = StreamWriter::try_new(Vec::new(), &schema).map_err(|error| {
            tracing::error!(%error, "cannot encode a schema");
            ApiError::new(Code::Internal, "the answer could not be encoded")
        })?;
        let pending = Bytes::from(std::mem::take(writer.get_mut()));
        let (turn, turns) = watch::channel(Turn::Client(Instant::now()));
        let watch = Watch {
            turns,
            stall: desk.config.stall,
            deadline: Instant::now() + desk.config.longest,
            stopping: desk.stopping.clone(),
            reason,
            cut,
        };
        desk.tracker.spawn(watch.run());
        Ok(Self { batches: bulk.batches(), writer, pending, rows: 0, expected, finished: false, turn, end })
    }

    /// The chunks of the body; an error is the last item.
    pub(crate) fn into_stream(self) -> impl Stream<Item = Result<Bytes, StreamError>> {
        futures_util::stream::unfold(Some(self), |download| async {
            let mut download = download?;
            match download.next().await {
                Ok(Some(chunk)) => Some((Ok(chunk), Some(download))),
                Ok(None) => {
                    download.ended(StreamEnd::Complete);
                    None
                }
                Err(error) => {
                    tracing::error!(%error, "a series could not be sent to its end");
                    download.ended(StreamEnd::Failed);
                    Some((Err(error), None))
                }
            }
        })
    }

    fn ended(&self, end: StreamEnd) {
        // The watch may have been faster; the first reason is the cause.
        self.end.reason.get_or_init(|| end);
    }

    async fn next(&mut self) -> Result<Option<Bytes>, StreamError> {
        self.turn.send_replace(Turn::Ours);
        while self.pending.is_empty() {
            if self.finished {
                return Ok(None);
            }
            self.fill().await?;
        }
        let chunk = self.pending.split_to(self.pending.len().min(CHUNK_BYTES));
        self.end.metrics.bytes.inc_by(chunk.len() as u64);
        self.turn.send_replace(Turn::Client(Instant::now()));
        Ok(Some(chunk))
    }

    async fn fill(&mut self) -> Result<(), StreamError> {
        match self.batches.next().await? {
            Some(batch) => {
                self.writer.write(&batch)?;
                self.rows += batch.num_rows() as u64;
                self.end.metrics.rows.inc_by(batch.num_rows() as u64);
            }
            None if self.rows == self.expected => {
                self.writer.finish()?;
                self.finished = true;
            }
            None => return Err(StreamError::Rows { expected: self.expected, got: self.rows }),
        }
        self.pending = Bytes::from(std::mem::take(self.writer.get_mut()));
        Ok(())
    }
}

/// Cuts the connection of a client that takes nothing, or takes too long. The body cannot do that: it is not asked for more
/// while the connection is full.
struct Watch {
    turns: watch::Receiver<Turn>,
    stall: Duration,
    deadline: Instant,
    stopping: CancellationToken,
    reason: Arc<OnceLock<StreamEnd>>,
    cut: Cut,
}

impl Watch {
    async fn run(mut self) {
        loop {
            let stalled = match *self.turns.borrow_and_update() {
                Turn::Ours => None,
                Turn::Client(since) => Some(since + self.stall).filter(|stalled| *stalled < self.deadline),
            };
            let end = tokio::select! {
                changed = self.turns.changed() => match changed {
                    Ok(()) => continue,
                    // The body is gone.
                    Err(_) => return,
                },
                () = sleep_until(stalled.unwrap_or(self.deadline)) => match stalled {
                    Some(_) => StreamEnd::Stalled,
                    None => StreamEnd::TooLong,
                },
                () = self.stopping.cancelled() => StreamEnd::Shutdown,
            };
            self.reason.get_or_init(|| end);
            self.cut.now();
            return;
        }
    }
}
