//! How a run ended and what came out of it.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::time::Duration;

/// What the seal consists of, as the worker reported before user code ran.
pub use sandbox::Sealed;

/// How far a job is.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    /// Units that are done.
    pub done: u64,
    /// Units in all; 0 when unknown.
    #[serde(default)]
    pub total: u64,
    /// What is being done, for a person.
    #[serde(default)]
    pub text: String,
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ended {
    /// The code ran to its end.
    Finished,
    /// The code raised an exception that nobody caught.
    Raised {
        /// Python's account of it, the user's frames only.
        traceback: String,
    },
    /// The wall time was over.
    TimedOut,
    /// The processor time was over.
    CpuExceeded,
    /// More memory was asked for, or used, than allowed.
    OutOfMemory,
    /// More threads ran than allowed.
    TooManyThreads,
    /// A signal ended it, as a crash in native code does.
    Killed(i32),
    /// The scratch directory was over its limit.
    ScratchFull,
    /// Too much was printed, or the result or a picture was too large.
    OutputFull,
    /// The caller did not want it any more.
    Cancelled,
    /// The process ended without a reply, or with one that cannot be read.
    BadReply,
}

impl Ended {
    /// One word for a metric or a message.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Finished => "finished",
            Self::Raised { .. } => "raised",
            Self::TimedOut => "timed_out",
            Self::CpuExceeded => "cpu_exceeded",
            Self::OutOfMemory => "out_of_memory",
            Self::TooManyThreads => "too_many_threads",
            Self::Killed(_) => "killed",
            Self::ScratchFull => "scratch_full",
            Self::OutputFull => "output_full",
            Self::Cancelled => "cancelled",
            Self::BadReply => "bad_reply",
        }
    }
}

/// What came out of a run, however it ended.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// What was printed, invalid UTF-8 replaced, up to the limit.
    pub stdout: String,
    /// The same of stderr.
    pub stderr: String,
    /// Bytes written to stdout, those that were dropped included.
    pub stdout_bytes: u64,
    /// The same of stderr.
    pub stderr_bytes: u64,
    /// Whether any of the two was cut.
    pub truncated: bool,
    /// Python: `{"repr": …, "json": …}` of the last expression, unless it is None. Module: what it returned.
    pub result: Option<Value>,
    /// PNG files, one per matplotlib figure that was left open.
    pub pictures: Vec<Vec<u8>>,
    /// From start to the answer.
    pub wall: Duration,
    /// Processor time, to 10 ms.
    pub cpu: Duration,
    /// Most memory at a time, bytes.
    pub peak_rss: u64,
    /// How it ended.
    pub ended: Ended,
    /// The walls that were around it; `None` when it was cancelled before it started.
    pub sealed: Option<Sealed>,
}

impl Outcome {
    /// Of a job that was cancelled while it waited.
    pub(super) fn not_started() -> Self {
        Self {
            stdout: String::new(),
            stderr: String::new(),
            stdout_bytes: 0,
            stderr_bytes: 0,
            truncated: false,
            result: None,
            pictures: Vec::new(),
            wall: Duration::ZERO,
            cpu: Duration::ZERO,
            peak_rss: 0,
            ended: Ended::Cancelled,
            sealed: None,
        }
    }
}
