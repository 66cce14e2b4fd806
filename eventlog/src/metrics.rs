//! Plain counters of the embedded log; the process that runs it turns them into metrics.

use std::sync::atomic::{AtomicU64, Ordering};

/// Counts since the log was opened, of this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct MetricsSnapshot {
    /// Records appended.
    pub appended_records: u64,
    /// Bytes appended, with headers.
    pub appended_bytes: u64,
    /// Calls of fdatasync on segments.
    pub fsyncs: u64,
    /// Partitions stopped because fdatasync failed.
    pub poisoned: u64,
    /// Records read.
    pub read_records: u64,
    /// Segments deleted by retention.
    pub retention_segments: u64,
    /// Bytes deleted by retention.
    pub retention_bytes: u64,
    /// Records dropped by compaction.
    pub compacted_records: u64,
    /// Torn tails cut, of this process and of writers that died.
    pub torn_tails: u64,
    /// Bytes of those tails.
    pub torn_bytes: u64,
    /// Writes undone because they were not complete (disk full).
    pub writes_undone: u64,
    /// Damaged places met.
    pub corruptions: u64,
    /// Sparse indexes rebuilt because the file was missing or damaged.
    pub indexes_rebuilt: u64,
    /// Offsets a group had to skip because retention had deleted them.
    pub group_offsets_skipped: u64,
    /// Committed offsets read from the older slot because the newer one was damaged.
    pub commits_recovered: u64,
    /// Upkeep runs (retention, compaction) of a partition that failed.
    pub upkeep_failures: u64,
}

macro_rules! counters {
    ($($name:ident),+ $(,)?) => {
        /// The live counters.
        #[derive(Debug, Default)]
        pub(crate) struct Metrics { $(pub(crate) $name: Counter),+ }

        impl Metrics {
            /// Reads all counters.
            pub(crate) fn snapshot(&self) -> MetricsSnapshot {
                MetricsSnapshot { $($name: self.$name.get()),+ }
            }
        }
    };
}

counters!(
    appended_records,
    appended_bytes,
    fsyncs,
    poisoned,
    read_records,
    retention_segments,
    retention_bytes,
    compacted_records,
    torn_tails,
    torn_bytes,
    writes_undone,
    corruptions,
    indexes_rebuilt,
    group_offsets_skipped,
    commits_recovered,
    upkeep_failures,
);

/// A counter that only grows.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    /// Adds.
    pub(crate) fn add(&self, n: u64) {
        self.0.fetch_add(n, Ordering::Relaxed);
    }

    /// Reads.
    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}
