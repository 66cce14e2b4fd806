//! The checks that every backend must pass: what the contract of [`crate::EventLog`] promises, by name.
//!
//! A backend's test calls [`run_all`] with a factory of logs and expects no [`Failure`]. Checks use only the traits, take
//! topics of their own, and never assume that a record is there before [`crate::PartitionReader::next`] returned it.

mod append;
mod group;
mod read;

use crate::{Durability, EventLog, LogError, PartitionReader, Record, Retention, Start, Stored, TopicSpec};
use bytes::Bytes;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

/// A check hangs if it takes longer.
const GUARD: Duration = Duration::from_secs(60);

/// Why a check failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure(String);

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<LogError> for Failure {
    fn from(error: LogError) -> Self {
        Self(error.to_string())
    }
}

/// Outcome of a check.
pub type Outcome = Result<(), Failure>;

type Running = Pin<Box<dyn Future<Output = Outcome> + Send>>;

/// A named check.
#[derive(Debug, Clone, Copy)]
pub struct Check {
    /// The promise, as a sentence.
    pub name: &'static str,
    run: fn(Subject) -> Running,
}

/// Fails the check unless the condition holds.
macro_rules! ensure {
    ($condition:expr, $($text:tt)+) => {
        if !$condition {
            return Err($crate::conformance::Failure(format!($($text)+)));
        }
    };
}

/// Lists checks by the names of their functions.
macro_rules! named {
    ($($check:ident),+ $(,)?) => {
        &[$($crate::conformance::Check { name: stringify!($check), run: |subject| Box::pin($check(subject)) }),+]
    };
}

use {ensure, named};

/// All checks.
#[must_use]
pub fn checks() -> Vec<Check> {
    [append::CHECKS, read::CHECKS, group::CHECKS].concat()
}

/// Runs all checks, each on a log of its own, and tells which failed. `namespace` starts the name of each topic and group,
/// for backends whose topics outlive a run.
pub async fn run_all<F, L>(namespace: &str, mut open: F) -> Vec<(&'static str, Failure)>
where
    F: FnMut() -> L,
    L: Future<Output = Arc<dyn EventLog>>,
{
    let mut failures = Vec::new();
    for check in checks() {
        let subject = Subject { log: open().await, namespace: format!("{namespace}.{}", check.name) };
        let outcome = tokio::time::timeout(GUARD, (check.run)(subject)).await;
        match outcome {
            Ok(Ok(())) => {}
            Ok(Err(failure)) => failures.push((check.name, failure)),
            Err(_) => failures.push((check.name, Failure(format!("not done after {GUARD:?}")))),
        }
    }
    failures
}

/// The log under test.
#[derive(Debug, Clone)]
struct Subject {
    log: Arc<dyn EventLog>,
    namespace: String,
}

impl Subject {
    /// A topic of this check.
    async fn topic(&self, partitions: u32) -> Result<String, Failure> {
        let spec = self.spec(partitions);
        let name = spec.name.clone();
        self.log.create_topic(spec).await?;
        Ok(name)
    }

    fn spec(&self, partitions: u32) -> TopicSpec {
        TopicSpec {
            name: format!("{}.{partitions}", self.namespace),
            partitions,
            retention: Retention::default(),
            compacted: false,
            durability: Durability::Interval,
        }
    }

    /// A group of this check.
    fn group(&self) -> String {
        format!("{}.group", self.namespace)
    }

    /// All records of a partition up to an offset.
    async fn read_to(&self, topic: &str, partition: u32, end: u64) -> Result<Vec<Stored>, Failure> {
        let mut reader = self.log.reader(topic, partition, Start::Earliest).await?;
        take_to(reader.as_mut(), end).await
    }
}

/// Reads up to an offset.
async fn take_to(reader: &mut dyn PartitionReader, end: u64) -> Result<Vec<Stored>, Failure> {
    let mut records = Vec::new();
    while reader.position() < end {
        records.extend(reader.next(100, 1 << 20).await?);
    }
    Ok(records)
}

/// A record with numbers for content.
fn record(key: &str, number: u64) -> Record {
    Record {
        key: Bytes::copy_from_slice(key.as_bytes()),
        value: number.to_string().into(),
        timestamp_ns: 1000 + number,
    }
}

/// The number of a record.
fn number(stored: &Stored) -> Option<u64> {
    std::str::from_utf8(&stored.value).ok()?.parse().ok()
}

/// The numbers of records.
fn numbers(records: &[Stored]) -> Vec<u64> {
    records.iter().filter_map(number).collect()
}
