//! The durable event log: one trait with Kafka semantics ([`EventLog`]) and an embedded backend ([`EmbeddedLog`]).
//!
//! A topic has partitions; a partition is a sequence of records with dense offsets from 0; a key always goes to the same
//! partition ([`partition_of`]). The log looks into no record: keys and values are bytes, schemas belong to `proto`.
//!
//! Invariants:
//!
//! - with [`Durability::Fsync`] an append returns after fdatasync; with [`Durability::Interval`] after write(2), and
//!   [`EventLog::sync`] is the barrier;
//! - a reader sees a record as soon as it is written, and never a half-written or altered one (CRC32C of every record);
//! - a torn tail left by a crash is cut; damage before the tail is an error that names file and byte, never a silent loss;
//! - a failed fdatasync stops the partition for good (fail-stop); it is never tried again;
//! - several processes may use one directory; a group of consumers lives inside one process.
//!
//! Absent on purpose: transactions, headers, replication, a network protocol (docs/adr/0007-embedded-log-engine.md).

#[cfg(feature = "conformance")]
pub mod conformance;
mod embedded;
mod error;
mod event_log;
mod metrics;
mod model;
mod partitioner;
pub mod topics;

pub use embedded::{Clock, EmbeddedConfig, EmbeddedLog};
pub use error::{LogError, Result};
pub use event_log::{Consumer, EventLog, PartitionReader};
pub use metrics::MetricsSnapshot;
pub use model::{
    Durability, KEY_BYTES, PartitionInfo, Record, Retention, Start, Stored, TopicInfo, TopicPartition, TopicSpec,
    VALUE_BYTES,
};
pub use partitioner::partition_of;
