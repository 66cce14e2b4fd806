//! What a lake has done since it was opened, for metrics and for tests.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

/// Work done since a lake was opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LakeStats {
    /// Queries.
    pub queries: u64,
    /// Manifests read from the disk.
    pub manifests_read: u64,
    /// Data files read.
    pub files_read: u64,
    /// Bytes of those files.
    pub bytes_read: u64,
    /// Memory used for what is known about data files.
    pub plan_cache_bytes: u64,
    /// Commits that landed.
    pub commits: u64,
    /// Commit attempts beyond the first of a commit.
    pub commit_retries: u64,
    /// Small files that rewrites took away.
    pub rewritten_files: u64,
    /// Rows that rewrites wrote again.
    pub rewritten_rows: u64,
    /// Times that expiry, removal of old metadata or the version hint failed after a commit.
    pub housekeeping_failures: u64,
}

/// The counters behind [`LakeStats`].
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) queries: AtomicU64,
    pub(crate) manifests: AtomicU64,
    pub(crate) files: AtomicU64,
    pub(crate) bytes: AtomicU64,
    pub(crate) commits: AtomicU64,
    pub(crate) retries: AtomicU64,
    pub(crate) rewritten_files: AtomicU64,
    pub(crate) rewritten_rows: AtomicU64,
    pub(crate) housekeeping_failures: AtomicU64,
}

pub(crate) fn count(counter: &AtomicU64, by: u64) {
    counter.fetch_add(by, Relaxed);
}

impl Counters {
    pub(crate) fn stats(&self, plan_cache_bytes: u64) -> LakeStats {
        LakeStats {
            queries: self.queries.load(Relaxed),
            manifests_read: self.manifests.load(Relaxed),
            files_read: self.files.load(Relaxed),
            bytes_read: self.bytes.load(Relaxed),
            plan_cache_bytes,
            commits: self.commits.load(Relaxed),
            commit_retries: self.retries.load(Relaxed),
            rewritten_files: self.rewritten_files.load(Relaxed),
            rewritten_rows: self.rewritten_rows.load(Relaxed),
            housekeeping_failures: self.housekeeping_failures.load(Relaxed),
        }
    }
}
