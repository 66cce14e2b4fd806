//! The task that takes in history requests and hands jobs to workers.

use crate::history::answer::Answer;
use crate::history::fetch::{HistoryFetcher, JobError};
use crate::history::jobs::{Accepted, JobBook};
use crate::log_writer::{Header, LogWriter, WriteError};
use crate::members::Members;
use bytes::Bytes;
use eventlog::{EventLog, PartitionReader, Start, Stored};
use proto::{
    Envelope, ErrorCode, EventType, Frame, HistoryRange, HistoryRequest, Kind, LogTopic, RequestId, TopicPrefix, Venue,
    wire,
};
use service::clock::Clock;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use zmtp::{Overflow, SubOptions, SubSocket};

/// Records of `evt.*` read at a time.
const CHUNK: usize = 1_024;

/// What the desk needs of a venue.
#[derive(Debug)]
pub(crate) struct VenueDesk {
    pub(crate) fetcher: HistoryFetcher,
    pub(crate) writer: LogWriter,
    pub(crate) members: Members,
    pub(crate) book: Arc<Mutex<JobBook>>,
    pub(crate) workers: usize,
    pub(crate) running: usize,
}

/// Times of the desk.
#[derive(Debug, Clone)]
pub(crate) struct DeskRules {
    pub(crate) ingestor_id: String,
    pub(crate) relay_work: String,
    pub(crate) lease: Duration,
}

/// The history work of one ingestor.
#[derive(Debug)]
pub(crate) struct HistoryDesk {
    rules: DeskRules,
    venues: BTreeMap<Venue, VenueDesk>,
    log: Arc<dyn EventLog>,
    clock: Clock,
    stop: CancellationToken,
    workers: JoinSet<(Venue, Result<(), WriteError>)>,
}

/// Why the desk stopped.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DeskError {
    /// Writing failed.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// Reading failed.
    #[error("event log")]
    Read(#[from] eventlog::LogError),
    /// The relay's address is none.
    #[error("relay_work")]
    Relay(#[from] zmtp::EndpointError),
    /// The subscription was refused by our own socket.
    #[error("relay_work")]
    Subscribe(#[from] zmtp::SocketError),
}

impl HistoryDesk {
    pub(crate) fn new(
        rules: DeskRules,
        venues: BTreeMap<Venue, VenueDesk>,
        log: Arc<dyn EventLog>,
        clock: Clock,
        stop: CancellationToken,
    ) -> Self {
        Self { rules, venues, log, clock, stop, workers: JoinSet::new() }
    }

    /// Runs until stopped. Jobs in work are then dropped: the status `leaving` lets another ingestor take them over.
    ///
    /// # Errors
    /// [`DeskError`].
    pub(crate) async fn run(mut self) -> Result<(), DeskError> {
        let recent_ns = self.clock.now_ns().saturating_sub(nanos(self.rules.lease));
        let mut feeds = self.log.reader(LogTopic::EvtFeed.name(), 0, Start::Timestamp(recent_ns)).await?;
        let mut jobs = self.log.reader(LogTopic::EvtJob.name(), 0, Start::Latest).await?;
        // Work that comes faster than it can be looked at is refused by dropping the newest: the requester times out.
        let options =
            SubOptions { receive_queue_messages: 4_096, overflow: Overflow::DropNewest, ..SubOptions::default() };
        let socket = SubSocket::connect(&self.rules.relay_work, options)?;
        // Who is there must be known before work comes, or two would do the same.
        let known = feeds.try_next(CHUNK, 1 << 20)?;
        self.feed_statuses(&known);
        for venue in self.venues.keys() {
            socket.subscribe(TopicPrefix::Venue(venue.clone()).to_string().as_bytes()).await?;
        }
        let mut lease_check = tokio::time::interval((self.rules.lease / 6).max(Duration::from_millis(10)));
        lease_check.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = self.stop.cancelled() => break,
                message = socket.recv() => self.work(&message).await?,
                records = next(&mut feeds) => self.feed_statuses(&records?),
                records = next(&mut jobs) => self.job_statuses(&records?),
                _ = lease_check.tick() => self.check_leases(),
                Some(ended) = self.workers.join_next() => self.ended(ended)?,
            }
            self.start_workers();
        }
        socket.close().await;
        Ok(())
    }

    /// A message from the work port.
    async fn work(&mut self, message: &[Bytes]) -> Result<(), DeskError> {
        let request = match work_item(message) {
            Ok(request) => request,
            Err(reason) => {
                tracing::warn!(reason, "malformed work item");
                if let Some(desk) = self.venues.values().next() {
                    desk.writer.board().metrics.work_malformed.inc();
                }
                return Ok(());
            }
        };
        let now_ns = self.clock.now_ns();
        let Some(desk) = self.venues.get_mut(&request.range.venue) else { return Ok(()) };
        let accepted = desk.book().accept(&request, &desk.members, now_ns);
        tracing::debug!(request = %request.request_id, ?accepted, "history request");
        if accepted == Accepted::Refused {
            desk.writer.board().metrics.requests_refused.inc();
            desk.refuse(&request).await?;
        }
        Ok(())
    }

    fn feed_statuses(&mut self, records: &[Stored]) {
        let now_ns = self.clock.now_ns();
        for status in messages::<wire::FeedStatus>(records, EventType::FeedStatus) {
            let Ok(venue) = status.venue.parse::<Venue>() else { continue };
            let Some(desk) = self.venues.get_mut(&venue) else { continue };
            if desk.members.seen(&status, now_ns) {
                desk.reassign(now_ns);
            }
        }
    }

    fn job_statuses(&mut self, records: &[Stored]) {
        for status in messages::<wire::JobStatus>(records, EventType::JobStatus) {
            if status.done
                && status.ingestor_id != self.rules.ingestor_id
                && let Ok(id) = status.request_id.parse::<RequestId>()
            {
                self.venues.values().for_each(|desk| desk.book().done_elsewhere(id));
            }
        }
    }

    fn check_leases(&mut self) {
        let now_ns = self.clock.now_ns();
        for desk in self.venues.values_mut() {
            desk.members.expire(now_ns);
            desk.reassign(now_ns);
        }
    }

    fn start_workers(&mut self) {
        for (venue, desk) in &mut self.venues {
            while desk.running < desk.workers {
                let Some((job, range)) = desk.book().start() else { break };
                desk.running += 1;
                let worker = Worker {
                    ingestor_id: self.rules.ingestor_id.clone(),
                    fetcher: desk.fetcher.clone(),
                    writer: desk.writer.clone(),
                    book: Arc::clone(&desk.book),
                };
                let venue = venue.clone();
                self.workers.spawn(async move { (venue, worker.run(job, range).await) });
            }
            let queued = desk.book().queued();
            desk.writer.board().metrics.history_queued.set(i64::try_from(queued).unwrap_or(i64::MAX));
        }
    }

    fn ended(
        &mut self,
        ended: Result<(Venue, Result<(), WriteError>), tokio::task::JoinError>,
    ) -> Result<(), DeskError> {
        match ended {
            Ok((venue, result)) => {
                if let Some(desk) = self.venues.get_mut(&venue) {
                    desk.running = desk.running.saturating_sub(1);
                }
                // A stop is no failure; the loop sees the token.
                match result {
                    Err(WriteError::Stopped) | Ok(()) => Ok(()),
                    Err(error) => Err(error.into()),
                }
            }
            Err(error) => {
                tracing::error!(%error, "a history worker broke off");
                Ok(())
            }
        }
    }
}

impl VenueDesk {
    fn book(&self) -> std::sync::MutexGuard<'_, JobBook> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn reassign(&self, now_ns: u64) {
        let mut book = self.book();
        let before = book.forgotten();
        let taken = book.reassign(&self.members, now_ns);
        let metrics = &self.writer.board().metrics;
        metrics.jobs_taken_over.inc_by(taken as u64);
        metrics.jobs_forgotten.inc_by(book.forgotten() - before);
    }

    /// Answers a request that there is no room for, at once.
    async fn refuse(&self, request: &HistoryRequest) -> Result<(), WriteError> {
        // A book of its own with this one request: the answer then names nobody else.
        let mut book =
            JobBook::new(crate::history::jobs::JobLimits { queued: 1, watched: 1, requests: 1, watch: Duration::ZERO });
        let alone = Members::new(self.members.me(), Duration::ZERO);
        book.accept(request, &alone, 0);
        let Some((job, range)) = book.start() else { return Ok(()) };
        let answer = Answer::new(job, range, Arc::new(Mutex::new(book)), self.writer.clone());
        let error = ErrorCode::OverQuota.detail("", "too many history requests wait; ask again later");
        answer.finish(Some(error)).await.map(drop)
    }
}

/// Fetches one job and says that it is done.
struct Worker {
    ingestor_id: String,
    fetcher: HistoryFetcher,
    writer: LogWriter,
    book: Arc<Mutex<JobBook>>,
}

impl Worker {
    async fn run(self, job: String, range: HistoryRange) -> Result<(), WriteError> {
        let mut answer = Answer::new(job, range.clone(), Arc::clone(&self.book), self.writer.clone());
        let result = self.fetcher.fetch(&range, &mut answer).await;
        let metrics = &self.writer.board().metrics;
        let error = match result {
            Ok(()) => {
                metrics.history_job("ok");
                None
            }
            Err(error) => {
                metrics.history_job(error.label());
                tracing::warn!(venue = %range.venue, symbol = %range.symbol, %error, "history job incomplete");
                match (error.detail(), error) {
                    (Some(detail), _) => Some(detail),
                    (None, JobError::Log(error)) => return Err(error),
                    (None, _) => return Err(WriteError::Stopped),
                }
            }
        };
        let done = answer.finish(error).await?;
        let record = |id: &RequestId| {
            let message =
                wire::JobStatus { request_id: id.to_string(), ingestor_id: self.ingestor_id.clone(), done: true };
            let key = LogTopic::key(&range.venue, &range.symbol);
            let header = Header {
                event_type: EventType::JobStatus,
                venue: &range.venue,
                key: &key,
                observed_at_ns: self.writer.now_ns(),
                raw: None,
            };
            self.writer.record(header, &message)
        };
        self.writer.append(LogTopic::EvtJob, done.iter().map(record).collect()).await.map(drop)
    }
}

async fn next(reader: &mut Box<dyn PartitionReader>) -> Result<Vec<Stored>, eventlog::LogError> {
    reader.next(CHUNK, 1 << 20).await
}

/// The valid messages of a type among records.
fn messages<M: prost::Message + Default>(records: &[Stored], event_type: EventType) -> Vec<M> {
    let message = |stored: &Stored| Envelope::decode(&stored.value).ok()?.message(event_type).ok();
    records.iter().filter_map(message).collect()
}

/// The request in a message `[VENUE:][work item]`.
fn work_item(message: &[Bytes]) -> Result<HistoryRequest, &'static str> {
    let [topic, body] = message else { return Err("not two frames") };
    let venue = TopicPrefix::parse_work(topic).map_err(|_| "not a work topic")?;
    let frame = Frame::decode(body).map_err(|_| "not a frame")?;
    let item = frame.message::<wire::WorkItem>(Kind::WorkItem).map_err(|_| "not a work item")?;
    let request = item.request.as_ref().ok_or("no request")?;
    let request = HistoryRequest::try_from(request).map_err(|_| "not a valid request")?;
    if request.range.venue == venue { Ok(request) } else { Err("request of another venue") }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
