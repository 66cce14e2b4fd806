//! The process: one loop that owns the state, readers that feed it, one committer that writes. No lock, no shared state.

use crate::checkpoint::{CheckpointStore, Positions};
use crate::committer::Committer;
use crate::config::Config;
use crate::engine::{Cuts, Engine};
use crate::error::StreamError;
use crate::flush::Pending;
use crate::input::{self, Batch, BatchLimits};
use crate::live::Live;
use crate::main_loop::MainLoop;
use crate::metrics::StreamMetrics;
use crate::recovery::{self, Committed, Readers};
use crate::state_dir::StateDir;
use crate::status::{self, Status};
use crate::upkeep::Upkeep;
use eventlog::{EventLog, Start};
use lake::Lake;
use proto::LogTopic;
use service::admin::Readiness;
use service::metrics::Metrics;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, mpsc};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};
use zmtp::{PubOptions, PubSocket};

/// How long the last messages may take to leave at the end.
const LINGER: Duration = Duration::from_secs(1);

/// Everything that a stream works on.
#[derive(Debug, Clone)]
pub struct Environment {
    /// The event log; its topics are created if absent.
    pub log: Arc<dyn EventLog>,
    /// The lake; this stream becomes its writer.
    pub lake: Lake,
    /// Where metrics are registered.
    pub metrics: Metrics,
}

/// A running stream.
#[derive(Debug)]
pub struct StreamHandle {
    readiness: Readiness,
    status: Status,
    task: JoinHandle<Result<(), StreamError>>,
}

impl StreamHandle {
    /// True once the state is recovered and while records are taken.
    #[must_use]
    pub fn readiness(&self) -> Readiness {
        self.readiness.clone()
    }

    /// What `/status` shows.
    #[must_use]
    pub fn status(&self) -> Status {
        self.status.clone()
    }

    /// Waits for the end: after the token was cancelled, when everything is flushed.
    ///
    /// # Errors
    /// [`StreamError`], if the stream had to stop by itself or could not flush.
    pub async fn wait(self) -> Result<(), StreamError> {
        self.task.await.map_err(|_| StreamError::TaskEnded("stream"))?
    }
}

/// Starts a stream: takes the state directory and the lake at once, recovers in the background.
///
/// # Errors
/// If the settings contradict each other, another stream uses the state directory, or log or lake cannot be used.
pub async fn start(
    config: Config,
    environment: Environment,
    stop: CancellationToken,
) -> Result<StreamHandle, StreamError> {
    Ok(Process::open(config, environment, stop).await?.spawn())
}

/// Runs a stream until the token is cancelled and everything is flushed.
///
/// # Errors
/// As [`start`] and [`StreamHandle::wait`].
pub async fn run(config: Config, environment: Environment, stop: CancellationToken) -> Result<(), StreamError> {
    start(config, environment, stop).await?.wait().await
}

/// What a stream is made of before it runs.
struct Process {
    config: Config,
    environment: Environment,
    state_dir: StateDir,
    socket: Arc<PubSocket>,
    epoch: u64,
    readiness: Readiness,
    status: Status,
    stop: CancellationToken,
    #[cfg(test)]
    probe: Option<crate::committer::Probe>,
    #[cfg(test)]
    rewrite_probe: Option<crate::upkeep::Probe>,
}

impl Process {
    async fn open(config: Config, environment: Environment, stop: CancellationToken) -> Result<Self, StreamError> {
        let problems = config.problems();
        if !problems.is_empty() {
            return Err(StreamError::Config(problems));
        }
        let state_dir = StateDir::lock(&config.state_dir)?;
        let socket = Arc::new(PubSocket::connect(&config.publish_endpoint, PubOptions::default())?);
        let topics =
            [LogTopic::NormTick, LogTopic::NormOhlc, LogTopic::NormQuote, LogTopic::NotifHistory, LogTopic::DlqNorm];
        for topic in topics {
            environment.log.create_topic(eventlog::topics::spec(topic)).await?;
        }
        let epoch = environment.lake.claim_writer_epoch().await?;
        info!(epoch, state_dir = %config.state_dir.display(), "stream starts");
        Ok(Self {
            config,
            environment,
            state_dir,
            socket,
            epoch,
            readiness: Readiness::default(),
            status: Status::default(),
            // Cancelled with the caller's; ours alone when we stop by ourselves.
            stop: stop.child_token(),
            #[cfg(test)]
            probe: None,
            #[cfg(test)]
            rewrite_probe: None,
        })
    }

    fn spawn(self) -> StreamHandle {
        let (readiness, status) = (self.readiness.clone(), self.status.clone());
        StreamHandle { readiness, status, task: tokio::spawn(self.run()) }
    }

    async fn run(self) -> Result<(), StreamError> {
        let metrics = StreamMetrics::new(&self.environment.metrics);
        let (engine, committer, readers) = self.recover(&metrics).await?;
        let mut tasks = JoinSet::new();
        let (inputs, quotes) = self.spawn_readers(readers, &metrics, &mut tasks).await?;
        let upkeep = self.upkeep(&committer, &metrics);
        tasks.spawn(async move {
            upkeep.run().await;
            Ok(())
        });
        let (flushes, flush_queue) = mpsc::channel(1);
        let (done_sender, done) = mpsc::channel(1);
        let committer = tokio::spawn(committer.run(flush_queue, done_sender));
        let main = MainLoop {
            log: self.environment.log.clone(),
            engine,
            inputs,
            quotes,
            subscriptions: self.socket.events(),
            flushes,
            done,
            in_flight: false,
            paused: false,
            metrics,
            status: self.status.clone(),
            open_candles: self.config.live.open_candle_interval,
            stop: self.stop.clone(),
        };
        self.readiness.set(true);
        let ended = main.run(&mut tasks).await;
        self.readiness.set(false);
        if ended.is_err() {
            // The committer ends its flush but does not try failed steps for ever.
            self.stop.cancel();
        }
        tasks.shutdown().await;
        let committed = committer.await.map_err(|_| StreamError::TaskEnded("committer"))?;
        if tokio::time::timeout(LINGER, self.socket.flush()).await.is_err() {
            warn!("messages to the relay were left unsent");
        }
        drop(self.state_dir);
        // The committer's reason is the cause when both failed.
        committed.and(ended).inspect_err(|error| error!(%error, "stream stopped"))
    }

    async fn recover(&self, metrics: &StreamMetrics) -> Result<(Engine, Committer, Readers), StreamError> {
        let Environment { log, lake, .. } = &self.environment;
        let aggregate = &self.config.aggregate;
        let committed = Committed::read(lake).await?;
        let cuts = committed.cuts();
        let store = CheckpointStore::new(self.state_dir.path(), aggregate.venue_marks);
        let params = aggregate.params();
        let settings = (params, aggregate.venue_marks);
        let restored = recovery::restore(log.as_ref(), &store, settings, &cuts, metrics).await?;
        let rebuilt = restored.rebuilt;
        let mut engine = self.engine(restored, cuts.clone(), metrics);
        let readers = recovery::replay(log.as_ref(), &mut engine, &cuts, self.limits()).await?;
        engine.recovered(params, rebuilt);
        for (topic, notice) in recovery::notices(log.as_ref(), self.config.live.notifications).await? {
            engine.live.remember(&topic, notice);
        }
        let committer = Committer {
            log: log.clone(),
            lake: lake.clone(),
            store,
            epoch: self.epoch,
            ticks: committed.ticks,
            candles: committed.candles,
            metrics: metrics.clone(),
            stop: self.stop.clone(),
            group: Positions::new(),
            committed: Arc::new(Notify::new()),
            #[cfg(test)]
            probe: self.probe.clone(),
        };
        Ok((engine, committer, readers))
    }

    fn upkeep(&self, committer: &Committer, metrics: &StreamMetrics) -> Upkeep {
        Upkeep {
            lake: self.environment.lake.clone(),
            epoch: self.epoch,
            committed: committer.committed.clone(),
            metrics: metrics.clone(),
            status: self.status.clone(),
            stop: self.stop.clone(),
            #[cfg(test)]
            probe: self.rewrite_probe.clone(),
        }
    }

    fn engine(&self, restored: recovery::Restored, cuts: Cuts, metrics: &StreamMetrics) -> Engine {
        let outlet = Box::new(self.socket.clone());
        let live = Live::new(outlet, rand::random(), self.config.live.clone(), metrics.clone());
        let pending = Pending::new(self.config.flush.clone(), Instant::now());
        Engine::new(restored.state, cuts, pending, live, metrics.clone())
    }

    const fn limits(&self) -> BatchLimits {
        BatchLimits { records: self.config.read.batch_records, bytes: self.config.read.batch_bytes }
    }

    async fn spawn_readers(
        &self,
        readers: Readers,
        metrics: &StreamMetrics,
        tasks: &mut JoinSet<Result<(), StreamError>>,
    ) -> Result<(mpsc::Receiver<Batch>, mpsc::Receiver<Batch>), StreamError> {
        let log = &self.environment.log;
        let (input_sender, inputs) = mpsc::channel(self.config.read.queue_batches);
        let (quote_sender, quotes) = mpsc::channel(self.config.read.queue_batches);
        for (topic, reader) in readers {
            let reading = input::read(reader, topic, self.limits(), input_sender.clone(), self.stop.clone());
            tasks.spawn(async move { Ok(reading.await?) });
        }
        let topic = LogTopic::NormQuote;
        for partition in 0..eventlog::topics::spec(topic).partitions {
            let reader = log.reader(topic.name(), partition, Start::Latest).await?;
            let reading = input::read(reader, topic, self.limits(), quote_sender.clone(), self.stop.clone());
            tasks.spawn(async move { Ok(reading.await?) });
        }
        let lag = status::watch_lag(log.clone(), self.status.clone(), metrics.clone(), self.stop.clone());
        tasks.spawn(async move {
            lag.await;
            Ok(())
        });
        Ok((inputs, quotes))
    }
}

#[cfg(test)]
mod tests;
