//! Follows feeds and instruments on the event log.

use crate::directory::{Directory, FORGET};
use crate::live::hub::count;
use crate::metrics::DirectoryMetrics;
use eventlog::{EventLog, LogError, PartitionReader, Start, Stored};
use proto::{Envelope, EventType, LogTopic};
use service::clock::Clock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// Records and bytes of one read.
const BATCH: (usize, usize) = (1000, 1 << 20);
/// Pause after a failed read.
const RETRY: Duration = Duration::from_secs(1);

/// The directory as its users share it.
#[derive(Debug)]
pub(crate) struct SharedDirectory {
    directory: RwLock<Directory>,
    unreadable: AtomicBool,
    /// Topics whose existing records were all read: 2 when ready.
    loaded: watch::Sender<usize>,
    metrics: DirectoryMetrics,
}

impl SharedDirectory {
    pub(crate) fn new(metrics: DirectoryMetrics) -> Self {
        let unreadable = AtomicBool::new(false);
        Self { directory: RwLock::default(), unreadable, loaded: watch::Sender::new(0), metrics }
    }

    pub(crate) fn read(&self) -> RwLockReadGuard<'_, Directory> {
        self.directory.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Directory> {
        self.directory.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// True while the event log cannot be read.
    pub(crate) fn is_unreadable(&self) -> bool {
        self.unreadable.load(Ordering::Acquire)
    }

    /// Waits until everything that was on the log at the start is known.
    pub(crate) async fn loaded(&self) {
        let mut loaded = self.loaded.subscribe();
        // The sender is `self`: the channel cannot close.
        _ = loaded.wait_for(|topics| *topics >= 2).await;
    }

    /// Forgets what has been gone for long.
    pub(crate) fn sweep(&self, now_ns: u64) {
        let mut directory = self.write();
        directory.sweep(now_ns);
        let (feeds, instruments) = directory.counts();
        self.metrics.feeds.set(count(feeds));
        self.metrics.instruments.set(count(instruments));
    }

    #[cfg(test)]
    pub(crate) fn add_instrument_for_test(&self, venue: &str, symbol: &str) {
        let instrument = proto::wire::Instrument {
            venue: venue.into(),
            symbol: symbol.into(),
            kind: proto::wire::InstrumentKind::Spot as i32,
            status: proto::wire::InstrumentStatus::Trading as i32,
            ..Default::default()
        };
        self.write().apply_instrument(&instrument).unwrap();
    }

    fn apply(&self, records: &[Stored]) {
        let mut directory = self.write();
        for record in records {
            if let Err(reason) = apply(&mut directory, record) {
                self.metrics.rejected.inc();
                tracing::debug!(topic = %record.topic, offset = record.offset, reason, "record not used");
            }
        }
    }
}

fn apply(directory: &mut Directory, record: &Stored) -> Result<(), String> {
    let envelope = Envelope::decode(&record.value).map_err(|error| error.to_string())?;
    match envelope.event_type {
        EventType::FeedStatus => {
            let status = envelope.message(EventType::FeedStatus).map_err(|error| error.to_string())?;
            directory.apply_feed(status).map(|_newer| ()).map_err(|error| error.to_string())
        }
        EventType::Instrument => {
            let instrument = envelope.message(EventType::Instrument).map_err(|error| error.to_string())?;
            directory.apply_instrument(&instrument).map_err(|error| error.to_string())
        }
        other => Err(format!("{} does not belong here", other.name())),
    }
}

/// Follows one topic of one partition until `stop`, from `start`; goes on after errors.
pub(crate) async fn follow(
    directory: Arc<SharedDirectory>,
    log: Arc<dyn EventLog>,
    topic: LogTopic,
    clock: Clock,
    stop: CancellationToken,
) {
    let mut loaded = false;
    // Where to go on after an error; until the first record the topic's own start.
    let mut position = None;
    loop {
        let start = position.unwrap_or_else(|| first(topic, &clock));
        let result = tokio::select! {
            () = stop.cancelled() => return,
            result = read(&directory, log.as_ref(), topic, start, (&mut position, &mut loaded)) => result,
        };
        let Err(error) = result;
        directory.metrics.read_errors.inc();
        directory.unreadable.store(true, Ordering::Release);
        tracing::warn!(topic = topic.name(), %error, "the event log cannot be read; trying again");
        if matches!(error, LogError::OffsetOutOfRange { .. }) {
            position = Some(Start::Earliest);
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(RETRY) => {}
        }
    }
}

/// Feeds report every second, so older statuses say nothing; instruments are written once.
fn first(topic: LogTopic, clock: &Clock) -> Start {
    match topic {
        LogTopic::EvtFeed => {
            let age = u64::try_from(FORGET.as_nanos()).unwrap_or(u64::MAX);
            Start::Timestamp(clock.now_ns().saturating_sub(age))
        }
        _ => Start::Earliest,
    }
}

async fn read(
    directory: &SharedDirectory,
    log: &dyn EventLog,
    topic: LogTopic,
    start: Start,
    (position, loaded): (&mut Option<Start>, &mut bool),
) -> Result<std::convert::Infallible, LogError> {
    log.create_topic(eventlog::topics::spec(topic)).await?;
    let mut reader: Box<dyn PartitionReader> = log.reader(topic.name(), 0, start).await?;
    loop {
        let ready = reader.try_next(BATCH.0, BATCH.1)?;
        let records = if ready.is_empty() {
            if !std::mem::replace(loaded, true) {
                directory.loaded.send_modify(|topics| *topics += 1);
            }
            directory.unreadable.store(false, Ordering::Release);
            reader.next(BATCH.0, BATCH.1).await?
        } else {
            ready
        };
        directory.apply(&records);
        *position = Some(Start::Offset(reader.position()));
    }
}
