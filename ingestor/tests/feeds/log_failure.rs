//! A log that refuses: nothing is lost that was taken in, and everybody can see it.

use crate::rig::{LogView, Place, Running, TestLog, until};
use async_trait::async_trait;
use eventlog::{Consumer, EventLog, LogError, PartitionReader, Record, Result, Start, TopicInfo, TopicSpec};
use ingestor::IngestorError;
use proto::LogTopic;
use proto::wire::FeedState;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

const WORKS: u8 = 0;
const FULL: u8 = 1;
const BROKEN: u8 = 2;

/// A log whose appends fail on command.
#[derive(Debug)]
struct Failing {
    inner: Arc<dyn EventLog>,
    mode: AtomicU8,
}

#[async_trait]
impl EventLog for Failing {
    async fn create_topic(&self, spec: TopicSpec) -> Result<()> {
        self.inner.create_topic(spec).await
    }
    async fn topics(&self) -> Result<Vec<TopicInfo>> {
        self.inner.topics().await
    }
    async fn append(&self, topic: &str, records: Vec<Record>) -> Result<Vec<(u32, u64)>> {
        match self.mode.load(Ordering::Acquire) {
            WORKS => self.inner.append(topic, records).await,
            FULL => Err(LogError::NoSpace { path: topic.into() }),
            _ => Err(LogError::Poisoned { path: topic.into() }),
        }
    }
    async fn sync(&self, topic: &str) -> Result<()> {
        self.inner.sync(topic).await
    }
    async fn subscribe(&self, group: &str, topics: &[&str], member: &str) -> Result<Box<dyn Consumer>> {
        self.inner.subscribe(group, topics, member).await
    }
    async fn reader(&self, topic: &str, partition: u32, start: Start) -> Result<Box<dyn PartitionReader>> {
        self.inner.reader(topic, partition, start).await
    }
    async fn commit(&self, group: &str, topic: &str, partition: u32, next_offset: u64) -> Result<()> {
        self.inner.commit(group, topic, partition, next_offset).await
    }
    async fn committed(&self, group: &str, topic: &str, partition: u32) -> Result<Option<u64>> {
        self.inner.committed(group, topic, partition).await
    }
}

async fn started(place: &Place, log: &TestLog) -> (Arc<Failing>, Running) {
    let failing = Arc::new(Failing { inner: log.log.clone(), mode: AtomicU8::new(WORKS) });
    let shared: Arc<dyn EventLog> = failing.clone();
    let running = Running::start(place.config(), &shared).await;
    place.subscribed().await;
    (failing, running)
}

#[tokio::test]
async fn a_full_disk_is_shown_as_down_and_delays_trades_without_losing_one() {
    let (place, log) = (Place::open("BYBIT").await, TestLog::open());
    let (failing, running) = started(&place, &log).await;
    place.server.trade(&place.symbol, 3);
    let mut ticks = LogView::of(&log.log, LogTopic::NormTick).await;
    ticks.until_ids("before", &place.key(), &place.all_ids()).await;
    failing.mode.store(FULL, Ordering::Release);
    place.server.trade(&place.symbol, 50);
    until("the failure is shown", || running.feed().state() == FeedState::Down).await;
    assert!(running.feed().detail.contains("no space left"), "{}", running.feed().detail);
    failing.mode.store(WORKS, Ordering::Release);
    ticks.until_ids("after", &place.key(), &place.all_ids()).await;
    until("the feed is live again", || running.feed().state() == FeedState::Live).await;
    running.stop().await;
}

#[tokio::test]
async fn a_broken_log_stops_the_ingestor_with_the_error() {
    let (place, log) = (Place::open("BYBIT").await, TestLog::open());
    let (failing, running) = started(&place, &log).await;
    failing.mode.store(BROKEN, Ordering::Release);
    place.server.trade(&place.symbol, 1);
    let error = running.ended().await.unwrap_err();
    assert!(matches!(error, IngestorError::Write(_)), "{error}");
    assert!(error.to_string().contains("fdatasync"), "{error}");
}

#[tokio::test]
async fn an_ingestor_can_be_stopped_while_the_log_refuses() {
    let (place, log) = (Place::open("BYBIT").await, TestLog::open());
    let (failing, running) = started(&place, &log).await;
    failing.mode.store(FULL, Ordering::Release);
    place.server.trade(&place.symbol, 1);
    until("the failure is shown", || running.feed().state() == FeedState::Down).await;
    running.stop().await;
}
