//! How records get into the event log: built with their envelope, appended until the log takes them.
//!
//! Nothing is dropped because the log refuses. A refusal that may pass (a full disk) is tried again for as long as the
//! process runs, the board says DOWN with the reason, and everything upstream waits: the socket is not read any more. Any
//! other refusal ends the ingestor with the error.

use crate::board::Board;
use bytes::Bytes;
use eventlog::{EventLog, LogError, Record};
use proto::{Envelope, EventType, LogTopic, RawReference, Venue, wire};
use service::clock::Clock;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Longest wait between two tries.
const RETRY_LONGEST: Duration = Duration::from_secs(5);

/// Why a record was not written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WriteError {
    /// The log failed for good.
    #[error("event log: {topic}")]
    Log {
        /// Where to.
        topic: LogTopic,
        /// Why.
        #[source]
        source: LogError,
    },
    /// The process stops while the log still refuses.
    #[error("stopped while the log refused to take records")]
    Stopped,
}

/// What an envelope says beside its payload.
#[derive(Debug)]
pub(crate) struct Header<'a> {
    pub(crate) event_type: EventType,
    pub(crate) venue: &'a Venue,
    pub(crate) key: &'a str,
    pub(crate) observed_at_ns: u64,
    pub(crate) raw: Option<RawReference>,
}

/// Writes for one venue.
#[derive(Debug, Clone)]
pub(crate) struct LogWriter {
    log: Arc<dyn EventLog>,
    board: Arc<Board>,
    clock: Clock,
    ids: Arc<EventIds>,
    retry: Duration,
    stop: CancellationToken,
}

/// Event ids: ULIDs whose random part is a number of this process and a counter, so that they ascend.
#[derive(Debug)]
pub(crate) struct EventIds {
    process: u128,
    counter: AtomicU64,
}

impl EventIds {
    pub(crate) fn new() -> Self {
        Self { process: u128::from(rand::random::<u32>()) << 48, counter: AtomicU64::new(0) }
    }

    fn next(&self, now_ns: u64) -> u128 {
        let count = u128::from(self.counter.fetch_add(1, Ordering::Relaxed) & 0xFFFF_FFFF_FFFF);
        (u128::from(now_ns / 1_000_000) << 80) | self.process | count
    }
}

impl LogWriter {
    pub(crate) fn new(
        log: Arc<dyn EventLog>,
        board: Arc<Board>,
        clock: Clock,
        retry: Duration,
        stop: CancellationToken,
    ) -> Self {
        Self { log, board, clock, ids: Arc::new(EventIds::new()), retry, stop }
    }

    /// Our clock.
    pub(crate) fn now_ns(&self) -> u64 {
        self.clock.now_ns()
    }

    /// The board that shows when the log fails.
    pub(crate) const fn board(&self) -> &Arc<Board> {
        &self.board
    }

    /// A record with its envelope.
    pub(crate) fn record<M: prost::Message>(&self, header: Header<'_>, message: &M) -> Record {
        let now_ns = self.clock.now_ns();
        let envelope = Envelope {
            event_id: self.ids.next(now_ns),
            event_type: header.event_type,
            venue: header.venue.clone(),
            observed_at_ns: header.observed_at_ns,
            ingested_at_ns: now_ns,
            key: header.key.to_owned(),
            trace: Bytes::new(),
            payload: Bytes::from(message.encode_to_vec()),
            raw: header.raw,
        };
        let key = Bytes::copy_from_slice(header.key.as_bytes());
        Record { key, value: envelope.encode(), timestamp_ns: now_ns }
    }

    /// A dead letter for something from `topic` that could not be used.
    pub(crate) fn dead_letter(
        &self,
        topic: LogTopic,
        (reason, detail): (&str, &str),
        payload: &[u8],
        raw: Option<RawReference>,
    ) -> Record {
        // Room for the other fields beside the payload.
        let kept = payload.len().min(proto::limits::RECORD_BYTES - 16_384);
        let venue = self.board.venue();
        let letter = wire::DeadLetter {
            topic: topic.name().to_owned(),
            venue: venue.to_string(),
            reason: reason.to_owned(),
            detail: detail.chars().take(512).collect(),
            payload: payload[..kept].to_vec(),
        };
        let header = Header {
            event_type: EventType::DeadLetter,
            venue,
            key: venue.as_str(),
            observed_at_ns: self.clock.now_ns(),
            raw,
        };
        self.record(header, &letter)
    }

    /// Appends, and waits while the log cannot take the records. Tells where each record is.
    ///
    /// # Errors
    /// If the log failed for good, or the process stops while it refuses.
    ///
    /// # Cancel safety
    /// Not cancel-safe: the records may or may not be written.
    pub(crate) async fn append(&self, topic: LogTopic, records: Vec<Record>) -> Result<Vec<(u32, u64)>, WriteError> {
        if records.is_empty() {
            return Ok(Vec::new());
        }
        let mut wait = self.retry;
        loop {
            match self.log.append(topic.name(), records.clone()).await {
                Ok(places) => {
                    self.board.set_log_failure(None);
                    return Ok(places);
                }
                Err(error) if error.is_retryable() => {
                    self.board.metrics.append_failures.inc();
                    tracing::error!(topic = topic.name(), %error, "log refuses, waiting");
                    self.board.set_log_failure(Some(error.to_string()));
                }
                Err(source) => {
                    self.board.set_log_failure(Some(source.to_string()));
                    return Err(WriteError::Log { topic, source });
                }
            }
            tokio::select! {
                () = tokio::time::sleep(wait) => wait = (wait * 2).min(RETRY_LONGEST),
                () = self.stop.cancelled() => return Err(WriteError::Stopped),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn event_ids_ascend_within_a_millisecond_and_between() {
        let ids = EventIds::new();
        let now = 1_700_000_000_000_000_000;
        let some = [ids.next(now), ids.next(now), ids.next(now + 1_000_000)];
        assert!(some[0] < some[1] && some[1] < some[2]);
        assert_eq!(some[0] >> 80, u128::from(now / 1_000_000));
    }
}
