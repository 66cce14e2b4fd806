//! The ingestor as a whole: starts everything that the configuration asks for, and stops it in the right order.

use crate::config::{Config, ConfigProblems, Mode};
use crate::history::{DeskRules, HistoryDesk};
use crate::log_writer::{LogWriter, WriteError};
use crate::metrics::IngestorMetrics;
use crate::replay::{self, ReplayError, ReplayParts, ReplaySummary};
use crate::status::StatusPublisher;
use crate::transport::TransportError;
use crate::venue_task::VenueTask;
use eventlog::{EventLog, LogError, TopicSpec};
use proto::{LogTopic, Venue, wire};
use service::clock::Clock;
use service::metrics::Metrics;
use std::collections::BTreeMap;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// Why an ingestor cannot start or go on.
#[derive(Debug, thiserror::Error)]
pub enum IngestorError {
    /// The configuration contradicts itself.
    #[error("configuration: {0}")]
    Config(#[from] ConfigProblems),
    /// No adapter for a venue.
    #[error("no adapter for venue {0}")]
    NoAdapter(Venue),
    /// The event log failed.
    #[error("event log")]
    Log(#[from] LogError),
    /// The event log refused to take records.
    #[error("{0}")]
    Write(String),
    /// The relay cannot be used.
    #[error("history work: {0}")]
    History(String),
    /// No HTTP client.
    #[error("REST: {0}")]
    Rest(String),
    /// A replay broke off.
    #[error("replay")]
    Replay(#[from] ReplayError),
    /// A task broke off; a bug.
    #[error("task {0} broke off")]
    Task(String),
}

impl From<WriteError> for IngestorError {
    fn from(error: WriteError) -> Self {
        Self::Write(with_causes(&error))
    }
}

impl From<crate::history::DeskError> for IngestorError {
    fn from(error: crate::history::DeskError) -> Self {
        Self::History(with_causes(&error))
    }
}

impl From<TransportError> for IngestorError {
    fn from(error: TransportError) -> Self {
        Self::Rest(with_causes(&error))
    }
}

fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text = format!("{text}: {inner}");
        cause = inner.source();
    }
    text
}

/// What an ingestor works with.
#[derive(Debug, Clone)]
pub struct IngestorParts {
    /// The event log.
    pub log: Arc<dyn EventLog>,
    /// Where it counts.
    pub metrics: Metrics,
    /// The wall clock.
    pub clock: Clock,
    /// Stops it.
    pub stop: CancellationToken,
}

/// The tasks of an ingestor by name; the first failure stops all.
#[derive(Debug)]
pub(crate) struct Tasks {
    set: JoinSet<(&'static str, Result<(), IngestorError>)>,
}

impl Tasks {
    /// Runs a task.
    pub(crate) fn spawn<E: Into<IngestorError>>(
        &mut self,
        name: &'static str,
        task: impl Future<Output = Result<(), E>> + Send + 'static,
    ) {
        self.set.spawn(async move { (name, task.await.map_err(Into::into)) });
    }
}

/// A running ingestor.
#[derive(Debug)]
pub struct Ingestor {
    id: String,
    tasks: Tasks,
    publisher: StatusPublisher,
    writers: Vec<LogWriter>,
    replays: Arc<Mutex<Vec<ReplaySummary>>>,
    stop: CancellationToken,
}

impl Ingestor {
    /// Checks the configuration, creates the topics and starts all venues.
    ///
    /// # Errors
    /// [`IngestorError`].
    pub async fn start(config: Config, parts: IngestorParts) -> Result<Self, IngestorError> {
        config.validate()?;
        create_topics(parts.log.as_ref()).await?;
        let id = config.ingestor_id.clone().unwrap_or_else(|| format!("ing-{:08x}", rand::random::<u32>()));
        // One's own token: a failure of a part stops the others without stopping the whole process.
        let parts = IngestorParts { stop: parts.stop.child_token(), ..parts };
        let metrics = IngestorMetrics::new(&parts.metrics);
        let mut venues = Vec::new();
        for entry in config.venues.iter().filter(|entry| entry.mode != Mode::Replay) {
            venues.push(VenueTask::new(entry, &config, &id, &metrics, &parts)?);
        }
        let writers: Vec<LogWriter> = venues.iter().map(|venue| venue.writer().clone()).collect();
        let publisher = StatusPublisher::start(writers.clone(), config.timing.status_every);
        let mut tasks = Tasks { set: JoinSet::new() };
        if let (Some(relay_work), false) = (&config.relay_work, venues.is_empty()) {
            let desks = venues.iter().map(|venue| (venue.writer().board().venue().clone(), venue.desk()));
            let rules =
                DeskRules { ingestor_id: id.clone(), relay_work: relay_work.clone(), lease: config.timing.lease };
            let (log, clock, stop) = (parts.log.clone(), parts.clock.clone(), parts.stop.clone());
            let desk = HistoryDesk::new(rules, desks.collect::<BTreeMap<_, _>>(), log, clock, stop);
            tasks.spawn("history", desk.run());
        }
        for venue in venues {
            venue.start(&mut tasks).await?;
        }
        let replays = Arc::default();
        start_replays(&config, &id, &parts, &replays, &mut tasks);
        Ok(Self { id, tasks, publisher, writers, replays, stop: parts.stop })
    }

    /// Its name among the ingestors of its venues.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The feed statuses as they are now.
    #[must_use]
    pub fn status(&self) -> Vec<wire::FeedStatus> {
        self.writers.iter().map(|writer| writer.board().status(writer.now_ns(), false)).collect()
    }

    /// A view of the feed statuses that outlives this handle, for the admin port.
    pub fn status_view(&self) -> impl Fn() -> Vec<wire::FeedStatus> + Send + Sync + 'static {
        let writers = self.writers.clone();
        move || writers.iter().map(|writer| writer.board().status(writer.now_ns(), false)).collect()
    }

    /// Waits until it was stopped and everything it took in is written, or until all its replays are done and nothing
    /// else runs. Returns what the replays did.
    ///
    /// # Errors
    /// The first failure; then everything else was stopped.
    pub async fn wait(mut self) -> Result<Vec<ReplaySummary>, IngestorError> {
        let mut result = Ok(());
        loop {
            let ended = tokio::select! {
                ended = self.tasks.set.join_next() => ended,
                error = self.publisher.failed(), if result.is_ok() => {
                    self.fail(&mut result, "status", error.into());
                    continue;
                }
            };
            match ended {
                None => break,
                Some(Ok((_, Ok(())))) => {}
                Some(Ok((name, Err(error)))) => self.fail(&mut result, name, error),
                Some(Err(error)) => self.fail(&mut result, "task", IngestorError::Task(error.to_string())),
            }
        }
        // The last status says `leaving` only after the last record is written.
        self.publisher.stop().await;
        result?;
        Ok(std::mem::take(&mut *self.replays.lock().unwrap_or_else(PoisonError::into_inner)))
    }

    fn fail(&self, result: &mut Result<(), IngestorError>, name: &str, error: IngestorError) {
        // What fails because the process stops is no failure.
        if self.stop.is_cancelled() {
            tracing::debug!(name, %error, "task ended while stopping");
            return;
        }
        tracing::error!(name, error = with_causes(&error), "ingestor stops");
        self.stop.cancel();
        *result = Err(error);
    }
}

fn start_replays(
    config: &Config,
    id: &str,
    parts: &IngestorParts,
    summaries: &Arc<Mutex<Vec<ReplaySummary>>>,
    tasks: &mut Tasks,
) {
    for entry in config.venues.iter().filter(|entry| entry.mode == Mode::Replay) {
        let mut replay = entry.replay();
        replay.ingestor_id = Some(id.to_owned());
        replay.status_every = config.timing.status_every;
        let (log, metrics) = (parts.log.clone(), parts.metrics.clone());
        let parts = ReplayParts { log, metrics, clock: parts.clock.clone(), stop: parts.stop.clone() };
        let summaries = Arc::clone(summaries);
        tasks.spawn("replay", async move {
            let summary = replay::play(&replay, parts).await?;
            tracing::info!("replay done\n{summary}");
            summaries.lock().unwrap_or_else(PoisonError::into_inner).push(summary);
            Ok::<(), IngestorError>(())
        });
    }
}

/// The topics that an ingestor writes or reads.
const TOPICS: [LogTopic; 10] = [
    LogTopic::RawWs,
    LogTopic::RawRest,
    LogTopic::NormTick,
    LogTopic::NormQuote,
    LogTopic::NormOhlc,
    LogTopic::EvtInstrument,
    LogTopic::EvtFeed,
    LogTopic::EvtJob,
    LogTopic::DlqRaw,
    LogTopic::DlqNorm,
];

/// Creates the topics that an ingestor needs.
pub(crate) async fn create_topics(log: &dyn EventLog) -> Result<(), LogError> {
    for topic in TOPICS {
        let spec: TopicSpec = eventlog::topics::spec(topic);
        log.create_topic(spec).await?;
    }
    Ok(())
}

/// Runs an ingestor until it is stopped.
///
/// # Errors
/// [`IngestorError`].
pub async fn run(config: Config, parts: IngestorParts) -> Result<Vec<ReplaySummary>, IngestorError> {
    Ingestor::start(config, parts).await?.wait().await
}
