//! The loop that owns the state: records in, flushes out, live messages on time. It never waits for the lake; when too
//! many rows wait for it, it stops taking records and goes on with everything else.

use crate::committer::Done;
use crate::dead_letter::DeadLetter;
use crate::engine::Engine;
use crate::error::StreamError;
use crate::flush::{Flush, Trigger};
use crate::input::Batch;
use crate::metrics::StreamMetrics;
use crate::status::Status;
use eventlog::{EventLog, Record};
use proto::LogTopic;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};
use tokio_util::sync::CancellationToken;
use tracing::{debug, error};
use zmtp::SubscriptionEvent;

/// How often the status is renewed.
const REPORT_INTERVAL: Duration = Duration::from_secs(1);

/// The loop before it runs.
#[derive(Debug)]
pub(crate) struct MainLoop {
    pub(crate) log: Arc<dyn EventLog>,
    pub(crate) engine: Engine,
    pub(crate) inputs: mpsc::Receiver<Batch>,
    pub(crate) quotes: mpsc::Receiver<Batch>,
    pub(crate) subscriptions: mpsc::Receiver<SubscriptionEvent>,
    pub(crate) flushes: mpsc::Sender<Flush>,
    pub(crate) done: mpsc::Receiver<Done>,
    pub(crate) metrics: StreamMetrics,
    pub(crate) status: Status,
    pub(crate) open_candles: Duration,
    pub(crate) stop: CancellationToken,
    /// A flush is at the committer.
    pub(crate) in_flight: bool,
    /// Reading is paused.
    pub(crate) paused: bool,
}

impl MainLoop {
    /// Runs until stopped, then flushes everything. `tasks` are those that feed the loop.
    pub(crate) async fn run(mut self, tasks: &mut JoinSet<Result<(), StreamError>>) -> Result<(), StreamError> {
        let mut open_candles = interval(self.open_candles);
        open_candles.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut report = interval(REPORT_INTERVAL);
        report.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let deadline = self.flush_if_due()?;
            let full = self.pause_if_full();
            tokio::select! {
                () = self.stop.cancelled() => break,
                Some(ended) = tasks.join_next() => match ended {
                    Ok(ended) => ended?,
                    Err(_) => return Err(StreamError::TaskEnded("reader")),
                },
                done = self.done.recv() => self.flushed(done.ok_or(StreamError::TaskEnded("committer"))?),
                Some(event) = self.subscriptions.recv() => {
                    if let SubscriptionEvent::Subscribed(prefix) = event {
                        self.engine.subscribed(&prefix);
                    }
                }
                Some(batch) = self.inputs.recv(), if !full => self.take(batch).await,
                Some(batch) = self.quotes.recv() => self.take_quotes(batch).await,
                _ = open_candles.tick() => self.engine.send_open_candles(),
                _ = report.tick() => self.report(),
                () = sleep_until(deadline.unwrap_or_else(Instant::now)), if deadline.is_some() => {}
            }
        }
        self.last_flush().await
    }

    /// Starts a flush if one is due and none is under way; else says when to look again.
    fn flush_if_due(&mut self) -> Result<Option<Instant>, StreamError> {
        if self.in_flight {
            return Ok(None);
        }
        let now = Instant::now();
        match self.engine.pending.due(now) {
            Some(trigger) => {
                self.flush(trigger, now)?;
                Ok(None)
            }
            None => Ok(self.engine.pending.deadline()),
        }
    }

    fn flush(&mut self, trigger: Trigger, now: Instant) -> Result<(), StreamError> {
        let flush = self.engine.take_flush(trigger, now);
        debug!(id = flush.id, ?trigger, rows = flush.rows.count(), "flush");
        // There is room: the queue holds one and nothing is under way.
        self.flushes.try_send(flush).map_err(|_| StreamError::TaskEnded("committer"))?;
        self.in_flight = true;
        Ok(())
    }

    fn pause_if_full(&mut self) -> bool {
        let full = self.engine.pending.is_full();
        if full && !self.paused {
            self.metrics.pauses.inc();
        }
        self.paused = full;
        full
    }

    fn flushed(&mut self, done: Done) {
        self.in_flight = false;
        self.engine.live.committed(done.id);
        for candle in &done.corrections {
            self.engine.live.corrected(candle);
        }
        for (topic, notice) in done.notices {
            self.engine.live.notify(&topic, notice);
        }
        self.status.flushed(done.id);
    }

    async fn take(&mut self, batch: Batch) {
        if let Some(first) = batch.first() {
            self.metrics.records(first.source.topic, batch.len());
        }
        for record in batch {
            self.engine.record(record);
        }
        self.engine.pending.touched(Instant::now());
        self.engine.report();
        let dead = self.engine.take_dead_letters();
        self.bury(dead).await;
    }

    async fn take_quotes(&mut self, batch: Batch) {
        self.metrics.records(LogTopic::NormQuote, batch.len());
        for record in batch {
            self.engine.quote(record);
        }
        let dead = self.engine.take_dead_letters();
        self.bury(dead).await;
    }

    /// Dead letters are at least once: a record read again after a crash is refused again.
    async fn bury(&self, dead: Vec<DeadLetter>) {
        if dead.is_empty() {
            return;
        }
        let now_ns = service::clock::now_ns();
        let records: Vec<Record> = dead.iter().filter_map(|letter| letter.record(now_ns)).collect();
        if let Err(error) = self.log.append(LogTopic::DlqNorm.name(), records).await {
            self.metrics.dead_letters_lost.inc_by(dead.len() as u64);
            error!(%error, count = dead.len(), "dead letters lost");
        }
    }

    fn report(&mut self) {
        let keys = self.engine.key_count();
        let waiting = self.engine.pending.rows.count();
        self.status.report(self.engine.positions(), keys, waiting, self.paused);
    }

    async fn last_flush(mut self) -> Result<(), StreamError> {
        let ended = || StreamError::TaskEnded("committer");
        if self.in_flight {
            let done = self.done.recv().await.ok_or_else(ended)?;
            self.flushed(done);
        }
        self.flush(Trigger::Shutdown, Instant::now())?;
        let done = self.done.recv().await.ok_or_else(ended)?;
        self.flushed(done);
        self.report();
        Ok(())
    }
}
