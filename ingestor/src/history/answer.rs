//! The parts of an answer to a history job, on `norm.ohlc` or `norm.tick`: at most 1000 rows each, each with the ids of
//! all requests that wait for it at that moment, the last one marked, with the error if there is one.

use crate::history::jobs::JobBook;
use crate::log_writer::{Header, LogWriter, WriteError};
use eventlog::Record;
use proto::limits::BATCH_ROWS;
use proto::market::{Candle, Tick};
use proto::{EventType, HistoryRange, LogTopic, RawReference, RequestId, wire};
use std::sync::{Arc, Mutex, PoisonError};

/// Collects rows and writes parts.
#[derive(Debug)]
pub(crate) struct Answer {
    range: HistoryRange,
    key: String,
    book: Arc<Mutex<JobBook>>,
    job: String,
    writer: LogWriter,
    rows: Rows,
    part: u32,
    raw: Option<RawReference>,
}

#[derive(Debug)]
enum Rows {
    Candles(Vec<Candle>),
    Ticks(Vec<Tick>),
}

impl Answer {
    /// An empty answer to a job.
    pub(crate) fn new(job: String, range: HistoryRange, book: Arc<Mutex<JobBook>>, writer: LogWriter) -> Self {
        let rows = if range.interval.is_some() { Rows::Candles(Vec::new()) } else { Rows::Ticks(Vec::new()) };
        let key = LogTopic::key(&range.venue, &range.symbol);
        Self { range, key, book, job, writer, rows, part: 0, raw: None }
    }

    /// Adds candles; writes whole parts.
    ///
    /// # Errors
    /// [`WriteError`].
    pub(crate) async fn candles(&mut self, new: Vec<Candle>, raw: Option<RawReference>) -> Result<(), WriteError> {
        if let Rows::Candles(rows) = &mut self.rows {
            rows.extend(new);
        }
        self.write_whole_parts(raw).await
    }

    /// Adds ticks; writes whole parts.
    ///
    /// # Errors
    /// [`WriteError`].
    pub(crate) async fn ticks(&mut self, new: Vec<Tick>, raw: Option<RawReference>) -> Result<(), WriteError> {
        if let Rows::Ticks(rows) = &mut self.rows {
            rows.extend(new);
        }
        self.write_whole_parts(raw).await
    }

    /// Writes parts while more than one part is there, so that the last one is always left for [`Self::finish`].
    async fn write_whole_parts(&mut self, raw: Option<RawReference>) -> Result<(), WriteError> {
        self.raw = raw;
        let mut records = Vec::new();
        while self.waiting() > BATCH_ROWS {
            let ids = self.with_book(|book, job| book.requests(job));
            records.push(self.take_part(&ids, false, None));
        }
        self.writer.append(self.topic(), records).await.map(drop)
    }

    /// Writes the last part. From now on requests for the same range are a new job. Returns who waited.
    ///
    /// # Errors
    /// [`WriteError`].
    pub(crate) async fn finish(mut self, error: Option<wire::ErrorDetail>) -> Result<Vec<RequestId>, WriteError> {
        let ids = self.with_book(|book, job| book.finish(job));
        let record = self.take_part(&ids, true, error);
        self.writer.append(self.topic(), vec![record]).await?;
        Ok(ids)
    }

    fn with_book<T>(&self, use_it: impl FnOnce(&mut JobBook, &str) -> T) -> T {
        use_it(&mut self.book.lock().unwrap_or_else(PoisonError::into_inner), &self.job)
    }

    const fn topic(&self) -> LogTopic {
        if self.range.interval.is_some() { LogTopic::NormOhlc } else { LogTopic::NormTick }
    }

    const fn waiting(&self) -> usize {
        match &self.rows {
            Rows::Candles(rows) => rows.len(),
            Rows::Ticks(rows) => rows.len(),
        }
    }

    fn take_part(&mut self, ids: &[RequestId], last: bool, error: Option<wire::ErrorDetail>) -> Record {
        let count = self.waiting().min(BATCH_ROWS);
        let part = self.part;
        self.part += 1;
        let request_ids = ids.iter().map(ToString::to_string).collect();
        let (venue, symbol) = (self.range.venue.to_string(), self.range.symbol.to_string());
        let (from_ns, to_ns) = (self.range.from_ns, self.range.to_ns);
        match &mut self.rows {
            Rows::Candles(rows) => {
                let candles = rows.drain(..count).map(|candle| wire::Candle::from(&candle)).collect();
                let interval_s = self.range.interval.map_or(0, proto::Interval::seconds);
                let batch = wire::OhlcBatch {
                    venue,
                    symbol,
                    interval_s,
                    candles,
                    request_ids,
                    part,
                    last,
                    from_ns,
                    to_ns,
                    error,
                };
                self.record(EventType::OhlcBatch, &batch)
            }
            Rows::Ticks(rows) => {
                let ticks = rows.drain(..count).map(|tick| wire::Tick::from(&tick)).collect();
                let batch = wire::TickBatch { venue, symbol, ticks, request_ids, part, last, from_ns, to_ns, error };
                self.record(EventType::TickBatch, &batch)
            }
        }
    }

    fn record<M: prost::Message>(&self, event_type: EventType, message: &M) -> Record {
        let header = Header {
            event_type,
            venue: &self.range.venue,
            key: &self.key,
            observed_at_ns: self.writer.now_ns(),
            raw: self.raw.clone(),
        };
        self.writer.record(header, message)
    }
}
