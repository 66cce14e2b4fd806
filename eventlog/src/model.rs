//! The nouns of the log: records, topics and where to start reading.

use crate::{LogError, Result};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::time::Duration;

/// Longest key of a record, in bytes.
pub const KEY_BYTES: usize = 4096;
/// Longest value of a record, in bytes.
pub const VALUE_BYTES: usize = proto::limits::RECORD_BYTES;
/// Most partitions of a topic.
const PARTITIONS_MAX: u32 = 1024;
/// Longest name of a topic or group, in bytes.
const NAME_BYTES: usize = 128;

/// What is appended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Decides the partition; records of one key keep their order. May be empty.
    pub key: Bytes,
    /// The content, usually the bytes of a `proto::Envelope`.
    pub value: Bytes,
    /// Nanoseconds since the epoch, chosen by the writer; [`Start::Timestamp`] looks for it. Retention does not use it.
    pub timestamp_ns: u64,
}

/// What is read. Key and value share one buffer per batch: copy them out to keep a single record for long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// Topic.
    pub topic: Arc<str>,
    /// Partition, from 0.
    pub partition: u32,
    /// Position in the partition, from 0.
    pub offset: u64,
    /// The key as appended.
    pub key: Bytes,
    /// The value as appended.
    pub value: Bytes,
    /// The writer's time stamp.
    pub timestamp_ns: u64,
}

/// Where a reader starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// The first record still there.
    Earliest,
    /// Behind the last record: only what is appended from now on.
    Latest,
    /// What the group committed, else [`Start::Earliest`]. Refused by a reader without a group.
    Committed,
    /// Exactly this offset; may be the end, not beyond it.
    Offset(u64),
    /// The first record whose time stamp is this one or later; the end if there is none.
    Timestamp(u64),
}

/// When an append returns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Durability {
    /// After fdatasync (group commit: appenders share one).
    Fsync,
    /// After write(2): survives a crash of the process; the disk follows within the sync interval or by a sync.
    Interval,
}

/// What may be deleted: whole closed segments, oldest first. `None` = without limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Retention {
    /// Delete a segment whose last append is older than this.
    pub age: Option<Duration>,
    /// Delete while a partition is larger than this.
    pub bytes: Option<u64>,
}

/// A topic as asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TopicSpec {
    /// `[a-z0-9._-]`, starting with a letter or digit.
    pub name: String,
    /// Number of partitions; can never change, because keys would move.
    pub partitions: u32,
    /// What may be deleted.
    pub retention: Retention,
    /// Keep only the last record of each key (in closed segments); offsets stay, so there are holes.
    pub compacted: bool,
    /// When an append returns.
    pub durability: Durability,
}

impl TopicSpec {
    /// Checks name and number of partitions.
    ///
    /// # Errors
    /// [`LogError::InvalidName`] or [`LogError::InvalidPartitions`].
    pub fn validate(&self) -> Result<()> {
        check_name(&self.name)?;
        if self.partitions == 0 || self.partitions > PARTITIONS_MAX {
            return Err(LogError::InvalidPartitions { topic: self.name.clone(), partitions: self.partitions });
        }
        Ok(())
    }
}

/// A name becomes a directory, so its letters are restricted; the first cannot be a dot.
pub(crate) fn check_name(name: &str) -> Result<()> {
    let letter = |b: u8| b.is_ascii_alphanumeric();
    let rest = |b: u8| letter(b) || matches!(b, b'.' | b'_' | b'-');
    let valid = name.len() <= NAME_BYTES && name.bytes().next().is_some_and(letter) && name.bytes().all(rest);
    if valid { Ok(()) } else { Err(LogError::InvalidName { name: name.to_owned() }) }
}

/// One partition as it is now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PartitionInfo {
    /// Offset of the first record still there.
    pub low: u64,
    /// Offset the next record will get.
    pub high: u64,
    /// All records below are known to be on disk; never above `high`.
    pub durable: u64,
    /// Bytes on disk.
    pub bytes: u64,
}

/// A topic as it is now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicInfo {
    /// How it was created.
    pub spec: TopicSpec,
    /// Its partitions, by number.
    pub partitions: Vec<PartitionInfo>,
}

/// One partition of one topic.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicPartition {
    /// Topic.
    pub topic: Arc<str>,
    /// Partition, from 0.
    pub partition: u32,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_could_leave_the_directory_are_refused() {
        for bad in ["", ".", "..", ".groups", "a/b", "a\0b", "-x", "é", &"x".repeat(129)] {
            assert!(check_name(bad).is_err(), "{bad}");
        }
        for good in ["norm.tick", "evt.user", "a", "9-x_y", "dlq.norm"] {
            assert!(check_name(good).is_ok(), "{good}");
        }
    }
}
