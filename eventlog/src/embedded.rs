//! The embedded backend: segment files under one directory, for one machine.

mod assignment;
mod catalog;
mod chunk;
mod compaction;
mod consumer;
mod cursor;
mod disk;
#[cfg(test)]
mod faults;
mod file_lock;
mod flusher;
mod gathering;
mod group;
mod group_commit;
mod index;
mod offsets;
mod partition;
mod reader;
mod record;
mod registry;
mod retention;
mod segment;
mod tail_watch;
#[cfg(test)]
mod tests;
mod upkeep;
mod writer;

use crate::metrics::Metrics;
use crate::{
    Consumer, Durability, EventLog, KEY_BYTES, LogError, MetricsSnapshot, PartitionReader, Record, Result, Start,
    TopicInfo, TopicSpec, VALUE_BYTES, partition_of,
};
use async_trait::async_trait;
use catalog::{Catalog, Topic};
use consumer::GroupConsumer;
use file_lock::DirectoryLock;
use flusher::Flusher;
use group::Groups;
use group_commit::SyncQueue;
use offsets::Offsets;
use partition::{Partition, Shelf};
use reader::Reader;
use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, UNIX_EPOCH};
use tail_watch::Watchers;
use upkeep::Upkeep;

/// Largest segment: places in it are 32-bit numbers.
const SEGMENT_BYTES_MAX: u64 = 1 << 30;

/// Nanoseconds since the epoch; a test hands in its own.
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> u64 + Send + Sync>);

impl Clock {
    /// A clock that reads `now_ns`.
    pub fn new(now_ns: impl Fn() -> u64 + Send + Sync + 'static) -> Self {
        Self(Arc::new(now_ns))
    }

    /// The wall clock of the machine.
    #[must_use]
    #[allow(clippy::disallowed_methods, reason = "the default of a clock that callers can replace")]
    pub fn system() -> Self {
        Self::new(|| {
            let since = std::time::SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
        })
    }

    fn now_ns(&self) -> u64 {
        (self.0)()
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Clock")
    }
}

/// How the embedded log works. [`EmbeddedConfig::new`] has the defaults.
#[derive(Debug, Clone)]
pub struct EmbeddedConfig {
    /// The log directory itself (`DIR/log`): `<dir>/<topic>/<partition>/<base-offset>.seg`. Created if missing.
    pub dir: PathBuf,
    /// True: other processes may use the directory at the same time (all with `shared`), at the cost of one file lock per
    /// append and a poll for their records. False: the directory is ours alone.
    pub shared: bool,
    /// A segment is closed when it would grow beyond this. Default 64 MiB, at most 1 GiB.
    pub segment_bytes: u64,
    /// The same for compacted topics, which need closed segments soon. Default 1 MiB.
    pub compacted_segment_bytes: u64,
    /// Longest time from write to the start of fdatasync for [`Durability::Interval`]. Default 20 ms.
    pub sync_interval: Duration,
    /// How often waiting readers look for records of other processes. Default 2 ms.
    pub tail_poll: Duration,
    /// How often retention and compaction run. Default 30 s.
    pub upkeep_interval: Duration,
    /// The wall clock, for retention by age only.
    pub clock: Clock,
}

impl EmbeddedConfig {
    /// The defaults for a directory that is ours alone.
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self {
            dir: dir.into(),
            shared: false,
            segment_bytes: 64 << 20,
            compacted_segment_bytes: 1 << 20,
            sync_interval: Duration::from_millis(20),
            tail_poll: Duration::from_millis(2),
            upkeep_interval: Duration::from_secs(30),
            clock: Clock::system(),
        }
    }

    /// The defaults for a directory that several processes use.
    pub fn shared(dir: impl Into<PathBuf>) -> Self {
        Self { shared: true, ..Self::new(dir) }
    }
}

/// The embedded log. Dropping it syncs what is not on disk yet and ends its threads; [`EmbeddedLog::close`] does the same
/// without blocking an async worker.
pub struct EmbeddedLog {
    running: Arc<Running>,
}

impl fmt::Debug for EmbeddedLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Running { dir, shared, .. } = &*self.running;
        f.debug_struct("EmbeddedLog").field("dir", dir).field("shared", shared).finish_non_exhaustive()
    }
}

/// The parts of an open log.
struct Running {
    dir: PathBuf,
    shared: bool,
    catalog: Arc<Catalog>,
    offsets: Arc<Offsets>,
    groups: Groups,
    metrics: Arc<Metrics>,
    syncs: Arc<SyncQueue>,
    flusher: Arc<Flusher>,
    watchers: Arc<Watchers>,
    upkeep: Arc<Upkeep>,
    /// Empty once the log is closed.
    threads: Mutex<Vec<JoinHandle<()>>>,
    /// Given back when the log is closed.
    directory: Mutex<Option<DirectoryLock>>,
}

impl EmbeddedLog {
    /// Opens or creates the log in `config.dir`: cuts torn tails, checks that no segment is missing, starts the threads.
    /// Blocks for file reads.
    ///
    /// # Errors
    /// If the directory is in use, cannot be read, or a file is damaged before its tail.
    pub fn open(config: EmbeddedConfig) -> Result<Arc<Self>> {
        let EmbeddedConfig { dir, shared, .. } = &config;
        disk::create_dir(dir.parent().unwrap_or_else(|| Path::new("/")), dir)?;
        let directory = DirectoryLock::take(dir, *shared)?;
        let metrics = Arc::<Metrics>::default();
        let syncs = Arc::<SyncQueue>::default();
        let watchers = Arc::<Watchers>::default();
        let flusher = Arc::<Flusher>::default();
        let shelf = Shelf {
            shared: *shared,
            metrics: Arc::clone(&metrics),
            syncs: Arc::clone(&syncs),
            watchers: Arc::clone(&watchers),
        };
        let [segment_bytes, compacted_segment_bytes] =
            [config.segment_bytes, config.compacted_segment_bytes].map(|bytes| bytes.min(SEGMENT_BYTES_MAX));
        let catalog = Arc::new(Catalog::open(dir, shelf, segment_bytes, compacted_segment_bytes)?);
        let upkeep = Arc::new(Upkeep::new(Arc::clone(&catalog), config.clock.clone()));
        let mut threads = syncs.start()?;
        threads.push(flusher.start(config.sync_interval)?);
        threads.push(upkeep.start(config.upkeep_interval)?);
        if *shared {
            threads.push(watchers.start(config.tail_poll)?);
        }
        let offsets = Arc::new(Offsets::new(dir, Arc::clone(&metrics)));
        let running = Running {
            dir: dir.clone(),
            shared: *shared,
            catalog,
            groups: Groups::new(Arc::clone(&offsets)),
            offsets,
            metrics,
            syncs,
            flusher,
            watchers,
            upkeep,
            threads: Mutex::new(threads),
            directory: Mutex::new(Some(directory)),
        };
        Ok(Arc::new(Self { running: Arc::new(running) }))
    }

    /// Counters of this process since the log was opened.
    #[must_use]
    pub fn metrics(&self) -> MetricsSnapshot {
        self.running.metrics.snapshot()
    }

    /// Runs retention and compaction now instead of at the next interval.
    ///
    /// # Errors
    /// The first failure, when all partitions are done.
    pub async fn upkeep(&self) -> Result<()> {
        let upkeep = Arc::clone(&self.running.upkeep);
        blocking(move || upkeep.run()).await
    }

    /// Puts everything on disk, ends the threads and gives the directory back. Readers and consumers get
    /// [`LogError::Closed`] at the end of what they can read. Later calls do nothing.
    pub async fn close(&self) {
        let running = Arc::clone(&self.running);
        // A runtime that refuses is shutting down; then dropping the log closes it.
        drop(tokio::task::spawn_blocking(move || running.close()).await);
    }

    async fn topic(&self, name: &str) -> Result<Arc<Topic>> {
        if let Some(topic) = self.running.catalog.get(name) {
            return Ok(topic);
        }
        if !self.running.shared {
            return Err(LogError::UnknownTopic { topic: name.to_owned() });
        }
        // Another process may have created it.
        let (catalog, name) = (Arc::clone(&self.running.catalog), name.to_owned());
        blocking(move || catalog.find(&name)).await
    }

    /// Appends to one partition; for [`Durability::Interval`] the flusher hears of it whatever the outcome.
    async fn append_to(&self, partition: &Arc<Partition>, records: Vec<Record>, durability: Durability) -> Result<u64> {
        let first = partition.append(records).await;
        if durability == Durability::Interval {
            self.running.flusher.mark(partition);
        }
        first
    }
}

impl Running {
    fn close(&self) {
        let threads = std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner));
        if threads.is_empty() {
            return;
        }
        self.upkeep.close();
        self.flusher.close();
        self.watchers.close();
        for topic in self.catalog.all() {
            topic.partitions.iter().for_each(|partition| partition.close());
        }
        self.groups.close();
        self.syncs.close();
        for thread in threads {
            if thread.join().is_err() {
                tracing::error!("a thread of the log panicked");
            }
        }
        drop(self.directory.lock().unwrap_or_else(PoisonError::into_inner).take());
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.close();
    }
}

#[async_trait]
impl EventLog for EmbeddedLog {
    async fn create_topic(&self, spec: TopicSpec) -> Result<()> {
        let catalog = Arc::clone(&self.running.catalog);
        blocking(move || catalog.create(&spec)).await
    }

    async fn topics(&self) -> Result<Vec<TopicInfo>> {
        let catalog = Arc::clone(&self.running.catalog);
        blocking(move || catalog.infos()).await
    }

    async fn append(&self, topic: &str, records: Vec<Record>) -> Result<Vec<(u32, u64)>> {
        let topic = self.topic(topic).await?;
        check_lengths(&records)?;
        let durability = topic.durability();
        let mut places = vec![(0, 0); records.len()];
        let mut ends = Vec::new();
        for (number, (indexes, records)) in by_partition(records, topic.partitions.len()) {
            let partition = topic.partition(number)?;
            let first = self.append_to(partition, records, durability).await?;
            ends.push((partition, first + indexes.len() as u64));
            for (offset, index) in (first..).zip(indexes) {
                places[index] = (number, offset);
            }
        }
        if durability == Durability::Fsync {
            for (partition, end) in &ends {
                partition.request_sync_to_wait(*end);
            }
            for (partition, end) in ends {
                partition.durable_to(end).await?;
            }
        }
        Ok(places)
    }

    async fn sync(&self, topic: &str) -> Result<()> {
        let topic = self.topic(topic).await?;
        let catch_up = Arc::clone(&topic);
        if self.running.shared {
            blocking(move || catch_up.partitions.iter().try_for_each(|p| p.refresh())).await?;
        }
        let ends: Vec<u64> = topic.partitions.iter().map(|p| p.tail().offset).collect();
        for (partition, end) in topic.partitions.iter().zip(&ends) {
            partition.request_sync_to_wait(*end);
        }
        for (partition, end) in topic.partitions.iter().zip(ends) {
            partition.durable_to(end).await?;
        }
        Ok(())
    }

    async fn subscribe(&self, group: &str, topics: &[&str], member: &str) -> Result<Box<dyn Consumer>> {
        crate::model::check_name(group)?;
        let mut found = Vec::with_capacity(topics.len());
        for topic in topics {
            found.push(self.topic(topic).await?);
        }
        let group = self.running.groups.get(group);
        let signal = group.join(member, &found)?;
        Ok(Box::new(GroupConsumer::new(group, member, signal)))
    }

    async fn reader(&self, topic: &str, partition: u32, start: Start) -> Result<Box<dyn PartitionReader>> {
        let partition = Arc::clone(self.topic(topic).await?.partition(partition)?);
        let reader = blocking(move || Reader::open(partition, start)).await?;
        Ok(Box::new(reader))
    }

    async fn commit(&self, group: &str, topic: &str, partition: u32, next_offset: u64) -> Result<()> {
        self.topic(topic).await?.partition(partition)?;
        let (offsets, group, topic) = (Arc::clone(&self.running.offsets), group.to_owned(), topic.to_owned());
        blocking(move || offsets.write(&group, &topic, partition, next_offset)).await
    }

    async fn committed(&self, group: &str, topic: &str, partition: u32) -> Result<Option<u64>> {
        self.topic(topic).await?.partition(partition)?;
        let (offsets, group, topic) = (Arc::clone(&self.running.offsets), group.to_owned(), topic.to_owned());
        blocking(move || offsets.read(&group, &topic, partition)).await
    }
}

/// Records of each partition in their order, with the index each had in the call.
fn by_partition(records: Vec<Record>, partitions: usize) -> BTreeMap<u32, (Vec<usize>, Vec<Record>)> {
    let partitions = u32::try_from(partitions).unwrap_or(u32::MAX);
    let mut by_partition: BTreeMap<u32, (Vec<usize>, Vec<Record>)> = BTreeMap::new();
    for (index, record) in records.into_iter().enumerate() {
        let (indexes, records) = by_partition.entry(partition_of(&record.key, partitions)).or_default();
        indexes.push(index);
        records.push(record);
    }
    by_partition
}

fn check_lengths(records: &[Record]) -> Result<()> {
    for record in records {
        for (part, bytes, limit) in [("key", record.key.len(), KEY_BYTES), ("value", record.value.len(), VALUE_BYTES)] {
            if bytes > limit {
                return Err(LogError::TooLong { part, bytes, limit });
            }
        }
    }
    Ok(())
}

/// Runs what may wait for a disk or another process on a thread that may.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(|_| LogError::Closed)?
}

/// A named thread.
fn spawn_thread(name: &str, run: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>> {
    let spawned = std::thread::Builder::new().name(name.to_owned()).spawn(run);
    spawned.map_err(|e| LogError::io("start thread", Path::new(name), e))
}
