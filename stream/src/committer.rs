//! The flush cycle: log synced → ticks → candles → notifications → checkpoint → group offsets.
//!
//! Each step may fail and is then tried again by itself; a crash between any two of them leaves what the next start needs
//! (docs/adr/0009-exactly-once-by-determinism.md). Nothing here decides about content: that was decided by the records.

use crate::candle_book::{BookRows, CandleBook, lookups};
use crate::checkpoint::{CheckpointStore, Positions};
use crate::dead_letter::{DeadLetter, record};
use crate::error::StreamError;
use crate::flush::{Flush, Trigger};
use crate::metrics::StreamMetrics;
use crate::record::Rejected;
use crate::{history, lake_reads};
use bytes::Bytes;
use eventlog::{EventLog, Record};
use lake::{CommitInfo, Lake, LakeError, OffsetRange, SourceOffsets, SourcePartition, Table};
use prost::Message;
use proto::market::{Candle, Tick};
use proto::{EventType, LogTopic, Topic, wire};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, mpsc};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

/// The group whose committed offsets show how far the stream is; the checkpoint is what it starts from.
pub const GROUP: &str = "stream";

/// The steps of a flush, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Stage {
    Sync,
    Ticks,
    Book,
    Candles,
    Notify,
    Checkpoint,
    Group,
    Done,
}

/// What a flush did, for the live feed.
#[derive(Debug, Default)]
pub(crate) struct Done {
    pub(crate) id: u64,
    pub(crate) corrections: Vec<Candle>,
    pub(crate) notices: Vec<(Topic, wire::HistoryReadyNotification)>,
}

/// A flush under way.
#[derive(Debug)]
struct Work {
    flush: Flush,
    stage: Stage,
    /// An append failed: whether it happened all the same must be read from the table first.
    unclear: bool,
    doubts_settled: bool,
    rows: BookRows,
    notices: Vec<(Topic, wire::HistoryReadyNotification)>,
}

#[cfg(test)]
pub(crate) type Probe = Arc<dyn Fn(Stage) -> std::pin::Pin<Box<dyn Future<Output = ()> + Send>> + Send + Sync>;

/// Owns all writing to the lake.
pub(crate) struct Committer {
    pub(crate) log: Arc<dyn EventLog>,
    pub(crate) lake: Lake,
    pub(crate) store: CheckpointStore,
    pub(crate) epoch: u64,
    /// By table: the last offset it has of each partition.
    pub(crate) ticks: BTreeMap<SourcePartition, u64>,
    pub(crate) candles: BTreeMap<SourcePartition, u64>,
    pub(crate) metrics: StreamMetrics,
    pub(crate) stop: CancellationToken,
    pub(crate) group: Positions,
    /// Tells the upkeep of the lake that there may be something to merge.
    pub(crate) committed: Arc<Notify>,
    #[cfg(test)]
    pub(crate) probe: Option<Probe>,
}

/// A row of a table.
trait TableRow: Sized + Send + Sync {
    const TABLE: Table;
    const NAME: &'static str;
    fn append(
        lake: &Lake,
        rows: &[Self],
        offsets: &SourceOffsets,
        epoch: u64,
    ) -> impl Future<Output = Result<CommitInfo, LakeError>> + Send;
    /// Topic of its source, key and bytes.
    fn dead_letter(&self) -> (LogTopic, String, Bytes);
}

impl TableRow for Tick {
    const TABLE: Table = Table::Ticks;
    const NAME: &'static str = "ticks";

    async fn append(lake: &Lake, rows: &[Self], offsets: &SourceOffsets, epoch: u64) -> Result<CommitInfo, LakeError> {
        lake.append_ticks(rows, offsets, epoch).await
    }

    fn dead_letter(&self) -> (LogTopic, String, Bytes) {
        let key = LogTopic::key(&self.venue, &self.symbol);
        (LogTopic::NormTick, key, wire::Tick::from(self).encode_to_vec().into())
    }
}

impl TableRow for Candle {
    const TABLE: Table = Table::Candles;
    const NAME: &'static str = "candles";

    async fn append(lake: &Lake, rows: &[Self], offsets: &SourceOffsets, epoch: u64) -> Result<CommitInfo, LakeError> {
        lake.append_candles(rows, offsets, epoch).await
    }

    fn dead_letter(&self) -> (LogTopic, String, Bytes) {
        let key = LogTopic::key(&self.venue, &self.symbol);
        (LogTopic::NormOhlc, key, wire::Candle::from(self).encode_to_vec().into())
    }
}

impl Committer {
    /// Takes flushes until the sender is dropped.
    ///
    /// # Errors
    /// If a flush can never succeed, or does not while the process stops.
    pub(crate) async fn run(
        mut self,
        mut flushes: mpsc::Receiver<Flush>,
        done: mpsc::Sender<Done>,
    ) -> Result<(), StreamError> {
        while let Some(flush) = flushes.recv().await {
            let started = Instant::now();
            self.metrics.flush(flush.trigger);
            let result = self.commit(flush).await?;
            self.metrics.commit_seconds.observe(started.elapsed().as_secs_f64());
            self.committed.notify_one();
            if done.send(result).await.is_err() {
                break;
            }
        }
        Ok(())
    }

    async fn commit(&mut self, flush: Flush) -> Result<Done, StreamError> {
        let id = flush.id;
        let mut work = Work {
            flush,
            stage: Stage::Sync,
            unclear: false,
            doubts_settled: false,
            rows: BookRows::default(),
            notices: Vec::new(),
        };
        let mut wait = Duration::from_millis(100);
        while work.stage < Stage::Done {
            #[cfg(test)]
            if let Some(probe) = &self.probe {
                probe(work.stage).await;
            }
            match self.step(&mut work).await {
                Ok(next) => {
                    work.stage = next;
                    work.unclear = false;
                    wait = Duration::from_millis(100);
                }
                Err(error) if error.is_fatal() || self.stop.is_cancelled() => return Err(error),
                Err(error) => {
                    self.metrics.retries.inc();
                    warn!(stage = ?work.stage, %error, wait_ms = wait.as_millis(), "flush step failed, trying again");
                    work.unclear = true;
                    tokio::select! {
                        () = tokio::time::sleep(wait) => {}
                        () = self.stop.cancelled() => {}
                    }
                    wait = (wait * 2).min(Duration::from_secs(10));
                }
            }
        }
        Ok(Done { id, corrections: work.rows.corrections, notices: work.notices })
    }

    async fn step(&mut self, work: &mut Work) -> Result<Stage, StreamError> {
        match work.stage {
            Stage::Sync => self.sync(work).await,
            Stage::Ticks => {
                if !work.doubts_settled {
                    self.settle_doubts(work).await?;
                }
                self.append(&mut work.flush.rows.ticks, &work.flush.positions, work.unclear).await?;
                Ok(Stage::Book)
            }
            Stage::Book => {
                work.rows = self.book(work).await?;
                Ok(Stage::Candles)
            }
            Stage::Candles => {
                self.append(&mut work.rows.rows, &work.flush.positions, work.unclear).await?;
                Ok(Stage::Notify)
            }
            Stage::Notify => {
                work.notices = self.notify(work).await?;
                Ok(Stage::Checkpoint)
            }
            Stage::Checkpoint => self.checkpoint(work).await,
            Stage::Group | Stage::Done => self.commit_group(&work.flush.positions).await,
        }
    }

    /// The lake must never hold what the log could lose.
    async fn sync(&self, work: &Work) -> Result<Stage, StreamError> {
        let Work { flush: Flush { rows, trigger, .. }, .. } = work;
        if !rows.is_empty() || *trigger == Trigger::Shutdown {
            self.log.sync(LogTopic::NormTick.name()).await?;
            self.log.sync(LogTopic::NormOhlc.name()).await?;
        }
        Ok(Stage::Ticks)
    }

    async fn settle_doubts(&self, work: &mut Work) -> Result<(), StreamError> {
        let rows = &mut work.flush.rows;
        if !rows.doubtful.is_empty() {
            let unknown = lake_reads::unknown_ticks(&self.lake, &rows.doubtful, &rows.ticks).await?;
            self.metrics.doubtful_known.inc_by((rows.doubtful.len() - unknown.len()) as u64);
            rows.ticks.extend(unknown);
        }
        work.doubts_settled = true;
        Ok(())
    }

    /// Appends the rows together with the offsets they came from. A row that the table cannot hold is dead-lettered.
    async fn append<R: TableRow>(
        &mut self,
        rows: &mut Vec<R>,
        positions: &Positions,
        unclear: bool,
    ) -> Result<(), StreamError> {
        if rows.is_empty() {
            return Ok(());
        }
        let offsets = self.offsets(R::TABLE, positions);
        if unclear {
            let now = self.lake.committed(R::TABLE).await?;
            if offsets.iter().all(|(source, range)| now.get(source).is_some_and(|last| *last >= range.last)) {
                warn!(table = %R::TABLE, "an append that seemed to fail is in the table");
                self.appended::<R>(&offsets, rows.len());
                return Ok(());
            }
        }
        loop {
            match R::append(&self.lake, rows, &offsets, self.epoch).await {
                Ok(info) => {
                    debug!(table = %R::TABLE, rows = info.rows, files = info.files, "committed");
                    self.appended::<R>(&offsets, rows.len());
                    return Ok(());
                }
                Err(LakeError::Row { row, field, rule }) if row < rows.len() => {
                    self.refuse(&rows.remove(row), field, rule).await?;
                    if rows.is_empty() {
                        return Ok(());
                    }
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn appended<R: TableRow>(&mut self, offsets: &SourceOffsets, rows: usize) {
        self.metrics.rows(R::NAME, rows);
        let committed = match R::TABLE {
            Table::Ticks => &mut self.ticks,
            Table::Candles => &mut self.candles,
        };
        committed.extend(offsets.iter().map(|(source, range)| (source.clone(), range.last)));
    }

    /// From behind the last committed offset to the end of this flush, so that the ranges of a table have no holes.
    fn offsets(&self, table: Table, positions: &Positions) -> SourceOffsets {
        let committed = match table {
            Table::Ticks => &self.ticks,
            Table::Candles => &self.candles,
        };
        let from_ticks = |topic: LogTopic| topic == LogTopic::NormTick || table == Table::Candles;
        let mut offsets = SourceOffsets::new();
        for ((topic, partition), next) in positions.iter().filter(|((topic, _), _)| from_ticks(*topic)) {
            let first = committed.get(&(topic.name().to_owned(), *partition)).map_or(0, |last| last + 1);
            if *next > first {
                offsets.add_range(topic.name(), *partition, OffsetRange { first, last: next - 1 });
            }
        }
        offsets
    }

    async fn refuse<R: TableRow>(&self, row: &R, field: &str, rule: &str) -> Result<(), StreamError> {
        self.metrics.rows_refused.inc();
        let (topic, key, payload) = row.dead_letter();
        let rejected = Rejected { reason: "out_of_range", detail: format!("{field}: {rule}"), row: None };
        let letter = DeadLetter { topic, key: key.into(), rejected, payload };
        let letters: Vec<Record> = letter.record(service::clock::now_ns()).into_iter().collect();
        self.log.append(LogTopic::DlqNorm.name(), letters).await?;
        Ok(())
    }

    /// Decides the candle rows: facts from the lake first, then the book.
    async fn book(&self, work: &Work) -> Result<BookRows, StreamError> {
        let rows = &work.flush.rows;
        self.metrics.recomputed.inc_by(rows.recompute.len() as u64);
        let recomputed = lake_reads::recompute(&self.lake, rows.recompute.clone()).await?;
        let mut book = CandleBook::default();
        for lookup in lookups(&rows.events, recomputed.iter()) {
            book.learn(lake_reads::candles(&self.lake, &lookup).await?);
        }
        book.apply(&rows.events);
        for candle in recomputed {
            book.recomputed(candle);
        }
        Ok(book.finish())
    }

    /// Tells everybody who asked for history that it is there. Again after a crash before the next checkpoint.
    async fn notify(&self, work: &Work) -> Result<Vec<(Topic, wire::HistoryReadyNotification)>, StreamError> {
        let (mut notices, mut records) = (Vec::new(), Vec::new());
        for end in &work.flush.rows.histories {
            let rows = history::rows_in_lake(&self.lake, end).await?;
            let table = if end.interval.is_some() { Table::Candles } else { Table::Ticks };
            let snapshot = self.lake.snapshot(table).await?.unwrap_or(0);
            for request_id in &end.request_ids {
                let notice = history::notification(*request_id, end, rows, snapshot);
                let (venue, key) = (&end.ticker.venue, request_id.to_string());
                let now_ns = service::clock::now_ns();
                records.push(record(EventType::HistoryReadyNotification, venue, &key, &notice, now_ns));
                self.metrics.notification(history::status(end, rows).1);
                notices.push((Topic::HistoryReady(*request_id), notice));
            }
        }
        if !records.is_empty() {
            self.log.append(LogTopic::NotifHistory.name(), records).await?;
        }
        Ok(notices)
    }

    async fn checkpoint(&self, work: &mut Work) -> Result<Stage, StreamError> {
        let Some(body) = work.flush.checkpoint.clone() else { return Ok(Stage::Done) };
        let (store, started) = (self.store.clone(), Instant::now());
        let saved = tokio::task::spawn_blocking(move || store.save(&body)).await;
        let bytes = saved.map_err(|_| StreamError::TaskEnded("checkpoint writer"))??;
        self.metrics.checkpoint_seconds.observe(started.elapsed().as_secs_f64());
        self.metrics.checkpoint_bytes.set(i64::try_from(bytes).unwrap_or(i64::MAX));
        Ok(Stage::Group)
    }

    async fn commit_group(&mut self, positions: &Positions) -> Result<Stage, StreamError> {
        for ((topic, partition), next) in positions {
            if self.group.get(&(*topic, *partition)) != Some(next) {
                self.log.commit(GROUP, topic.name(), *partition, *next).await?;
                self.group.insert((*topic, *partition), *next);
            }
        }
        Ok(Stage::Done)
    }
}
