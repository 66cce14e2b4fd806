//! Settings of the lake.

use crate::write::commit::Patience;
use serde::Deserialize;
use std::path::PathBuf;
use std::time::Duration;

/// Settings of the lake. Only the directory has no default.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LakeConfig {
    /// Absolute directory of `catalog.sqlite` and `warehouse/`. Created if absent.
    pub dir: PathBuf,
    /// Snapshots kept per table at least.
    #[serde(default = "defaults::snapshots_kept")]
    pub snapshots_kept: usize,
    /// Age in seconds under which no snapshot expires.
    #[serde(default = "defaults::snapshot_age_s")]
    pub snapshot_age_s: u64,
    /// Age in seconds under which no unreferenced file is removed.
    #[serde(default = "defaults::orphan_age_s")]
    pub orphan_age_s: u64,
    /// Queries that read at one time; more wait.
    #[serde(default = "defaults::concurrent_reads")]
    pub concurrent_reads: usize,
    /// Memory for what is known about data files, in bytes; the least used is forgotten.
    #[serde(default = "defaults::plan_cache_bytes")]
    pub plan_cache_bytes: u64,
    /// Rows that a query may return.
    #[serde(default = "defaults::rows_per_query")]
    pub rows_per_query: usize,
    /// Commit attempts before an append fails.
    #[serde(default = "defaults::commit_attempts")]
    pub commit_attempts: u32,
    /// Wait in milliseconds before the second attempt; doubles for each further one.
    #[serde(default = "defaults::commit_backoff_ms")]
    pub commit_backoff_ms: u64,
    /// Commits after which small files and manifests are merged: about as many files as a partition ever has.
    #[serde(default = "defaults::rewrite_files")]
    pub rewrite_files: usize,
    /// Write through to the disk before a commit. False only where losing the lake is harmless, as in tests.
    #[serde(default = "defaults::fsync")]
    pub fsync: bool,
}

impl LakeConfig {
    /// The defaults for a directory.
    #[must_use]
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self {
            dir: dir.into(),
            snapshots_kept: defaults::snapshots_kept(),
            snapshot_age_s: defaults::snapshot_age_s(),
            orphan_age_s: defaults::orphan_age_s(),
            concurrent_reads: defaults::concurrent_reads(),
            plan_cache_bytes: defaults::plan_cache_bytes(),
            rows_per_query: defaults::rows_per_query(),
            commit_attempts: defaults::commit_attempts(),
            commit_backoff_ms: defaults::commit_backoff_ms(),
            rewrite_files: defaults::rewrite_files(),
            fsync: defaults::fsync(),
        }
    }

    pub(crate) const fn snapshot_age(&self) -> Duration {
        Duration::from_secs(self.snapshot_age_s)
    }

    pub(crate) fn patience(&self) -> Patience {
        let backoff = Duration::from_millis(self.commit_backoff_ms);
        Patience { attempts: self.commit_attempts.max(1), backoff }
    }

    pub(crate) const fn orphan_age(&self) -> Duration {
        Duration::from_secs(self.orphan_age_s)
    }
}

mod defaults {
    pub(super) const fn snapshots_kept() -> usize {
        200
    }
    pub(super) const fn snapshot_age_s() -> u64 {
        3600
    }
    pub(super) const fn orphan_age_s() -> u64 {
        86_400
    }
    pub(super) const fn concurrent_reads() -> usize {
        4
    }
    pub(super) const fn plan_cache_bytes() -> u64 {
        64 << 20
    }
    pub(super) const fn rows_per_query() -> usize {
        4_000_000
    }
    pub(super) const fn commit_attempts() -> u32 {
        5
    }
    pub(super) const fn commit_backoff_ms() -> u64 {
        50
    }
    pub(super) const fn rewrite_files() -> usize {
        32
    }
    pub(super) const fn fsync() -> bool {
        true
    }
}
