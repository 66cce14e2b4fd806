//! What a job may use, by tier. Figures of the tiers: docs/operations/sandbox.md.

use crate::tier::Tier;
use std::time::Duration;

const MIB: u64 = 1 << 20;

/// Limits of one run. Passing one ends the run with the [`super::Ended`] of that name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WorkerLimits {
    /// From start to end, the interpreter's own start included.
    pub wall: Duration,
    /// Processor time of all threads.
    pub cpu: Duration,
    /// Memory, bytes, the interpreter's own (about 10 MiB, with numpy and pandas 70) included.
    pub memory_bytes: u64,
    /// Threads.
    pub threads: u64,
    /// Kept of stdout, and of stderr, bytes; the rest is counted and dropped.
    pub output_bytes: usize,
    /// Written to stdout and stderr before the run is ended, bytes.
    pub output_bytes_max: u64,
    /// Size of the result or of a traceback, JSON bytes.
    pub result_bytes: usize,
    /// Content of the scratch directory, bytes of disk, deleted files that are still open included.
    pub scratch_bytes: u64,
    /// Files and directories in it.
    pub scratch_files: usize,
    /// Pictures.
    pub pictures: usize,
    /// Size of one picture, bytes.
    pub picture_bytes: usize,
}

impl WorkerLimits {
    /// For `run_python` and single calculations.
    #[must_use]
    pub fn interactive(tier: Tier) -> Self {
        let (seconds, memory, scratch) = match tier {
            Tier::Anonymous | Tier::Free => (30, 320, 64),
            Tier::Pro => (120, 768, 512),
            Tier::Enterprise => (300, 1024, 1024),
        };
        Self {
            wall: Duration::from_secs(seconds),
            cpu: Duration::from_secs(seconds),
            memory_bytes: memory * MIB,
            threads: 32,
            output_bytes: 256 << 10,
            output_bytes_max: 16 * MIB,
            result_bytes: 1 << 20,
            scratch_bytes: scratch * MIB,
            scratch_files: 10_000,
            pictures: 8,
            picture_bytes: 2 << 20,
        }
    }

    /// For backtests: more time, and a report as the result.
    #[must_use]
    pub fn backtest(tier: Tier) -> Self {
        let minutes = match tier {
            Tier::Anonymous | Tier::Free => 5,
            Tier::Pro => 30,
            Tier::Enterprise => 120,
        };
        let span = Duration::from_secs(minutes * 60);
        Self { wall: span, cpu: span, result_bytes: 32 << 20, ..Self::interactive(tier) }
    }
}
