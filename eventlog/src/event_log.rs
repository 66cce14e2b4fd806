//! The contract of a log: what the embedded and the Kafka backend both do ([`crate::conformance`] checks it).

use crate::{Record, Result, Start, Stored, TopicInfo, TopicPartition, TopicSpec};
use async_trait::async_trait;
use std::fmt::Debug;

/// A durable log with topics, partitions, groups and offsets.
#[async_trait]
pub trait EventLog: Send + Sync + Debug {
    /// Creates the topic, or adopts the given retention, compaction and durability if it exists.
    ///
    /// # Errors
    /// If the spec is not valid or the topic exists with another number of partitions.
    async fn create_topic(&self, spec: TopicSpec) -> Result<()>;

    /// All topics with the state of their partitions, by name.
    ///
    /// # Errors
    /// If the log cannot be read.
    async fn topics(&self) -> Result<Vec<TopicInfo>>;

    /// Appends in the given order and tells (partition, offset) of each record, in the same order.
    ///
    /// The records of one call and one partition are written as one unit (per MiB); there is no unit over partitions.
    ///
    /// # Errors
    /// After an error each partition's records are either all there or all absent; the caller may append again and must
    /// expect duplicates.
    ///
    /// # Cancel safety
    /// Not cancel-safe: a dropped append may still be written.
    async fn append(&self, topic: &str, records: Vec<Record>) -> Result<Vec<(u32, u64)>>;

    /// Waits until everything visible in the topic at the time of the call, by whomever it was written, is on disk.
    ///
    /// # Errors
    /// If the disk refuses; the partition then is stopped.
    async fn sync(&self, topic: &str) -> Result<()>;

    /// Joins a group. Partitions of the topics are shared among its members and move when members come and go. Each
    /// partition starts at the group's committed offset, else at the earliest record.
    ///
    /// # Errors
    /// If a topic is unknown, or the group has a member of this name.
    async fn subscribe(&self, group: &str, topics: &[&str], member: &str) -> Result<Box<dyn Consumer>>;

    /// A reader of one partition, without a group.
    ///
    /// # Errors
    /// If the partition is unknown or the offset is out of range.
    async fn reader(&self, topic: &str, partition: u32, start: Start) -> Result<Box<dyn PartitionReader>>;

    /// Sets the group's offset: the next record it wants. Not fenced; [`Consumer::commit`] is. Durable on return.
    ///
    /// # Errors
    /// If the partition is unknown or the offset cannot be stored.
    async fn commit(&self, group: &str, topic: &str, partition: u32, next_offset: u64) -> Result<()>;

    /// The group's offset, if it ever committed one.
    ///
    /// # Errors
    /// If the partition is unknown or the offset cannot be read.
    async fn committed(&self, group: &str, topic: &str, partition: u32) -> Result<Option<u64>>;
}

/// Reads one partition in order. Offsets may have holes (compaction), never go back.
#[async_trait]
pub trait PartitionReader: Send + Debug {
    /// Waits for at least one record and returns what is there, at most `max_records` and about `max_bytes` of keys and
    /// values; a single record may be larger than that.
    ///
    /// # Errors
    /// [`crate::LogError::OffsetOutOfRange`] if retention overtook the reader (then [`PartitionReader::seek`]);
    /// [`crate::LogError::Corrupt`] at damaged bytes, again at every call.
    ///
    /// # Cancel safety
    /// Cancel-safe: a dropped call loses no record.
    async fn next(&mut self, max_records: usize, max_bytes: usize) -> Result<Vec<Stored>>;

    /// Like [`PartitionReader::next`] without waiting: empty at the end. May read from disk.
    ///
    /// # Errors
    /// As [`PartitionReader::next`].
    fn try_next(&mut self, max_records: usize, max_bytes: usize) -> Result<Vec<Stored>>;

    /// Offset of the next record wanted (at a hole, the next one there has a higher one).
    fn position(&self) -> u64;

    /// Continues elsewhere.
    ///
    /// # Errors
    /// If the offset is out of range.
    async fn seek(&mut self, start: Start) -> Result<()>;
}

/// A member of a group. Dropping it leaves the group.
///
/// A partition moves to another member only when the old one lets go: at its next call of [`Consumer::next`] or
/// [`Consumer::try_next`], or by leaving. What it took before that call and did not commit is read again by the new one.
#[async_trait]
pub trait Consumer: Send + Debug {
    /// Waits for at least one record of any partition held. All records of one call are of one partition.
    ///
    /// # Errors
    /// As [`PartitionReader::next`]; where retention overtook the group it goes on at the first record there.
    ///
    /// # Cancel safety
    /// Cancel-safe: a dropped call loses no record.
    async fn next(&mut self, max_records: usize, max_bytes: usize) -> Result<Vec<Stored>>;

    /// Like [`Consumer::next`] without waiting: empty if nothing is there.
    ///
    /// # Errors
    /// As [`Consumer::next`].
    fn try_next(&mut self, max_records: usize, max_bytes: usize) -> Result<Vec<Stored>>;

    /// The partitions held after the last call of `next` or `try_next`, in order.
    fn assignment(&self) -> Vec<TopicPartition>;

    /// Sets the group's offset for a partition held by this member. Durable on return.
    ///
    /// # Errors
    /// [`crate::LogError::NotAssigned`] if the member does not hold the partition (any more).
    async fn commit(&mut self, topic: &str, partition: u32, next_offset: u64) -> Result<()>;
}
