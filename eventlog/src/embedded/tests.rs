//! Tests of the embedded log that need its inside, or a disk that fails.

mod compaction;
mod damage;
mod failing_disk;
mod model;
mod retention;
mod segments;
mod shared;

use super::{EmbeddedConfig, EmbeddedLog};
use crate::{Durability, EventLog, Record, Result, Retention, Start, Stored, TopicSpec};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;

const TOPIC: &str = "test";
/// A test that waits longer hangs.
const GUARD: Duration = Duration::from_secs(30);

fn spec() -> TopicSpec {
    TopicSpec {
        name: TOPIC.to_owned(),
        partitions: 1,
        retention: Retention::default(),
        compacted: false,
        durability: Durability::Interval,
    }
}

fn record(key: &str, number: u64) -> Record {
    Record { key: key.to_owned().into(), value: format!("value {number}").into(), timestamp_ns: number }
}

fn numbers(records: &[Stored]) -> Vec<u64> {
    records.iter().map(|r| r.timestamp_ns).collect()
}

/// A log in a directory of its own with small segments and no upkeep unless a test asks for it.
struct Bench {
    dir: TempDir,
    config: EmbeddedConfig,
}

impl Bench {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let config = EmbeddedConfig { upkeep_interval: GUARD * 1000, ..EmbeddedConfig::new(dir.path().join("log")) };
        Self { dir, config }
    }

    fn segment_bytes(mut self, bytes: u64) -> Self {
        self.config.segment_bytes = bytes;
        self.config.compacted_segment_bytes = bytes;
        self
    }

    fn shared(mut self) -> Self {
        self.config.shared = true;
        self
    }

    fn try_open(&self) -> Result<Arc<EmbeddedLog>> {
        EmbeddedLog::open(self.config.clone())
    }

    fn open(&self) -> Arc<EmbeddedLog> {
        self.try_open().unwrap()
    }

    /// A log with the topic of [`spec`].
    async fn with_topic(&self) -> Arc<EmbeddedLog> {
        let log = self.open();
        log.create_topic(spec()).await.unwrap();
        log
    }

    fn partition_dir(&self) -> PathBuf {
        self.config.dir.join(TOPIC).join("0")
    }

    /// Files with an ending, sorted.
    fn files(&self, ending: &str) -> Vec<PathBuf> {
        files(&self.partition_dir(), ending)
    }

    /// The state on disk as a kill -9 now would leave it, as a bench of its own.
    fn killed(&self) -> Self {
        let copy = Self::new();
        copy_tree(&self.config.dir, &copy.config.dir);
        let dir = copy.config.dir.clone();
        Self { dir: copy.dir, config: EmbeddedConfig { dir, ..self.config.clone() } }
    }

    /// Its temporary directory.
    fn root(&self) -> &Path {
        self.dir.path()
    }
}

fn files(dir: &Path, ending: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(dir).unwrap().map(|e| e.unwrap().path());
    let mut files: Vec<PathBuf> = entries.filter(|p| p.extension().is_some_and(|e| e == ending)).collect();
    files.sort();
    files
}

fn copy_tree(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy_tree(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// Appends batches of records with these numbers; their values and time stamps are the numbers.
async fn append(log: &EmbeddedLog, batches: &[&[u64]]) {
    for batch in batches {
        log.append(TOPIC, batch.iter().map(|n| record("k", *n)).collect()).await.unwrap();
    }
}

/// Everything that can be read now, or the error met on the way and what came before it.
async fn read_all(log: &EmbeddedLog) -> (Vec<Stored>, Option<crate::LogError>) {
    let mut reader = log.reader(TOPIC, 0, Start::Earliest).await.unwrap();
    let mut records = Vec::new();
    loop {
        match reader.try_next(3, 1 << 20) {
            Ok(batch) if batch.is_empty() => return (records, None),
            Ok(batch) => records.extend(batch),
            Err(error) => return (records, Some(error)),
        }
    }
}
