//! User Python: a process that cannot hurt anyone, and what came out of it.
//!
//! [`Workers::run`] starts a Python interpreter, gives it one [`Job`], and answers with an [`Outcome`] however it went: a script
//! that loops, crashes, eats memory or forges its answer is an outcome, never an error of the server.
//!
//! - [`limits`]: what a job may use, by tier; [`outcome`]: how it ended and what it said;
//! - `process`: the interpreter as a process: started, watched, killed, always reaped;
//! - `channel`: what the worker says on its control descriptor; `capture`: what it prints;
//! - `scratch`: the only directory it can write; `supervise`: the loop over all of these;
//! - [`metrics`]: what happened, counted.
//!
//! **Who keeps what.** Before the first line of user code runs, `bootstrap.py` seals the process (crate `sandbox`): no network, no
//! exec, no new process, no file but those named here. The supervisor, outside, keeps wall and processor time, memory, threads,
//! scratch and output, by looking and by SIGKILL. Neither believes anything the worker says after it was sealed, except as
//! the user's own result.
//!
//! **Invariants.** A worker never outlives its run, nor the server (death signal). A dropped future kills the worker at once.
//! A slot is given back when the process is reaped and its scratch directory is gone.

mod capture;
mod channel;
pub mod limits;
pub mod metrics;
pub mod outcome;
mod process;
mod scratch;
mod supervise;

pub use limits::WorkerLimits;
pub use metrics::WorkerMetrics;
pub use outcome::{Ended, Outcome, Progress, Sealed};

use process::{Launch, Slots};
use std::io;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use thiserror::Error;
use tokio::sync::{Semaphore, watch};
use tokio_util::sync::CancellationToken;

/// How workers are started on this machine.
#[derive(Debug, Clone)]
pub struct WorkerConfig {
    /// The interpreter, 3.11 or later, with numpy, pandas and matplotlib.
    pub python: PathBuf,
    /// The native module `dexorder`: it seals the process and runs backtests.
    pub module: PathBuf,
    /// Directory of the server in which each run gets a directory of its own. What earlier servers left in it is removed.
    pub scratch_root: PathBuf,
    /// Workers that run at the same time.
    pub running_max: NonZeroUsize,
    /// Jobs that wait for a slot; one more is refused as [`WorkerError::Busy`].
    pub waiting_max: usize,
    /// The first of `running_max` user ids (and group ids) that workers run under, one per slot, where the server is root;
    /// `None`: the server's own user. Interpreter, module and directories of jobs must be readable for them.
    pub first_uid: Option<u32>,
    /// Run without landlock where the kernel has none ([`sandbox::Spec::without_landlock`]). Not for users' code.
    pub without_landlock: bool,
}

/// What to run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Work {
    /// Python in a fresh namespace, like a cell of a notebook: the value of a last expression is the result.
    Python {
        /// The source.
        code: String,
    },
    /// `dexorder._run_job(job_json, progress)` of the native module; its JSON is the result.
    Module {
        /// Passed on as it is.
        job_json: String,
    },
}

/// One run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Job {
    /// What to run.
    pub work: Work,
    /// Directories that can be read and imported from, first first: the user's strategies and indicators.
    pub import_from: Vec<PathBuf>,
    /// Further files and directories that can be read.
    pub read: Vec<PathBuf>,
    /// What it may use.
    pub limits: WorkerLimits,
}

/// How a caller follows a run.
#[derive(Debug, Clone, Default)]
pub struct Follow {
    /// Cancels the run: the process is killed at once.
    pub cancel: CancellationToken,
    /// Receives the latest progress.
    pub progress: Option<watch::Sender<Progress>>,
}

/// Why a job was not run. No user code has run then.
#[derive(Debug, Error)]
pub enum WorkerError {
    /// All slots and all places in the queue are taken.
    #[error("{running} workers run and {waiting} jobs wait, the most that may")]
    Busy {
        /// Workers at the same time.
        running: usize,
        /// Places in the queue.
        waiting: usize,
    },
    /// The interpreter could not be started.
    #[error("cannot start {python}")]
    Start {
        /// The interpreter.
        python: PathBuf,
        /// What the kernel said.
        #[source]
        source: io::Error,
    },
    /// There is no scratch directory for the run.
    #[error("cannot make a scratch directory in {root}")]
    Scratch {
        /// Where it was tried.
        root: PathBuf,
        /// What the kernel said.
        #[source]
        source: io::Error,
    },
    /// The process could not be sealed: the module does not load, or the kernel lacks what the seal needs.
    #[error("the worker was not sealed: {reason}")]
    NotSealed {
        /// What it said before it ended.
        reason: String,
    },
}

impl WorkerError {
    /// Whether the same job may run a little later.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Busy { .. })
    }
}

/// Starts workers, a bounded number at a time.
#[derive(Debug)]
pub struct Workers {
    config: WorkerConfig,
    slots: Arc<Slots>,
    permits: Arc<Semaphore>,
    waiting: AtomicUsize,
    metrics: Arc<WorkerMetrics>,
}

impl Workers {
    /// Prepares the scratch root and the slots; starts nothing.
    ///
    /// # Errors
    /// The scratch root cannot be made, or holds what cannot be removed.
    pub fn new(config: WorkerConfig, metrics: WorkerMetrics) -> Result<Self, WorkerError> {
        scratch::prepare_root(&config.scratch_root)
            .map_err(|source| WorkerError::Scratch { root: config.scratch_root.clone(), source })?;
        Ok(Self {
            slots: Arc::new(Slots::new(config.running_max.get())),
            permits: Arc::new(Semaphore::new(config.running_max.get())),
            waiting: AtomicUsize::new(0),
            metrics: Arc::new(metrics),
            config,
        })
    }

    /// What happened so far.
    #[must_use]
    pub fn metrics(&self) -> &Arc<WorkerMetrics> {
        &self.metrics
    }

    /// Runs one job, or waits for a slot first.
    ///
    /// # Errors
    /// The job was not run ([`WorkerError`]). What user code does is never an error.
    ///
    /// # Panics
    /// Never: the semaphore is private and stays open.
    ///
    /// # Cancel safety
    /// Dropping the future kills the process with SIGKILL; its slot comes back when it is reaped.
    pub async fn run(&self, job: Job, follow: Follow) -> Result<Outcome, WorkerError> {
        let queued = self.queue()?;
        let permit = tokio::select! {
            biased;
            () = follow.cancel.cancelled() => return Ok(self.count(Outcome::not_started())),
            permit = Arc::clone(&self.permits).acquire_owned() => permit.expect("the semaphore is never closed"),
        };
        drop(queued);
        let slot = Slots::take(&self.slots, permit);
        let scratch = scratch::Scratch::make(&self.config.scratch_root, slot.uid(self.config.first_uid))
            .map_err(|source| WorkerError::Scratch { root: self.config.scratch_root.clone(), source })?;
        let launch = Launch::new(&self.config, &job, &scratch, &slot);
        let process = process::start(launch, scratch, slot, Arc::clone(&self.metrics))
            .await
            .map_err(|source| WorkerError::Start { python: self.config.python.clone(), source })?;
        supervise::supervise(process, &job, follow).await.map(|outcome| self.count(outcome))
    }

    /// Takes a place in the queue, which is given back with the returned value.
    fn queue(&self) -> Result<Queued<'_>, WorkerError> {
        let waiting = self.waiting.fetch_add(1, Ordering::Relaxed);
        let queued = Queued(&self.waiting);
        // Whoever finds a free slot does not wait, so the queue is full only when no slot is free as well.
        if waiting >= self.config.waiting_max + self.permits.available_permits() {
            self.metrics.busy.inc();
            return Err(WorkerError::Busy { running: self.config.running_max.get(), waiting: self.config.waiting_max });
        }
        Ok(queued)
    }

    fn count(&self, outcome: Outcome) -> Outcome {
        self.metrics.count(&outcome);
        outcome
    }
}

/// A place in the queue.
struct Queued<'a>(&'a AtomicUsize);

impl Drop for Queued<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
