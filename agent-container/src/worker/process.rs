//! The interpreter as a process: started, watched from outside, killed, always reaped.
//!
//! Each worker has a thread here, its minder: it starts the process, waits until it ends, cleans up behind it and only then gives
//! the slot back. The death signal is sent when the *thread* that started a process ends, so that thread must live as
//! long as the worker; the threads of an async runtime promise no such thing.

use super::metrics::WorkerMetrics;
use super::scratch::Scratch;
use super::{Job, Work, WorkerConfig};
use rustix::process::{Pid, PidfdFlags, Signal, WaitId, WaitIdOptions};
use sandbox::{Limits, Spec};
use serde_json::json;
use std::fs;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::net::unix::pipe;
use tokio::sync::{OwnedSemaphorePermit, oneshot};
use tokio::time::Instant;

/// The program of every worker.
const BOOTSTRAP: &str = include_str!("bootstrap.py");
/// Descriptors the worker keeps: 0 to 2, and 3 for what it says to us.
const KEPT_FDS: [i32; 4] = [0, 1, 2, 3];
/// Mapped beside allocated memory: the shared libraries of numpy, pandas and matplotlib, read-only files.
const LIBRARIES_BYTES: u64 = 1 << 30;
const OPEN_FILES: u64 = 256;
/// What the kernel shows times of processes in (USER_HZ, part of its ABI).
const TICKS_PER_SECOND: u64 = 100;

/// Numbers from 0, one per worker that runs; with them go the user ids.
#[derive(Debug)]
pub(super) struct Slots {
    free: Mutex<Vec<u32>>,
}

impl Slots {
    pub(super) fn new(count: usize) -> Self {
        Self { free: Mutex::new((0..u32::try_from(count).unwrap_or(u32::MAX)).rev().collect()) }
    }

    /// Takes a number; there is one for each permit.
    pub(super) fn take(slots: &Arc<Self>, permit: OwnedSemaphorePermit) -> Slot {
        let number = slots.free.lock().unwrap_or_else(PoisonError::into_inner).pop().expect("one slot per permit");
        Slot { slots: Arc::clone(slots), number, _permit: permit }
    }
}

/// The right to run one worker.
#[derive(Debug)]
pub(super) struct Slot {
    slots: Arc<Slots>,
    number: u32,
    /// Given back after the number.
    _permit: OwnedSemaphorePermit,
}

impl Slot {
    /// The user of this slot, where the server may change users.
    pub(super) fn uid(&self, first: Option<u32>) -> Option<u32> {
        first.filter(|_| rustix::process::geteuid().is_root()).map(|first| first + self.number)
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.slots.free.lock().unwrap_or_else(PoisonError::into_inner).push(self.number);
    }
}

/// All that a minder needs to start a worker.
#[derive(Debug)]
pub(super) struct Launch {
    command: Command,
    job: Vec<u8>,
}

impl Launch {
    pub(super) fn new(config: &WorkerConfig, job: &Job, scratch: &Scratch, slot: &Slot) -> Self {
        let mut command = Command::new(&config.python);
        // Not -I, which would ignore PYTHONHASHSEED: the environment is ours anyway. -s -P keep the user's site directory
        // and the working directory out of the path, -B writes no bytecode.
        command.args(["-s", "-P", "-B", "-c", BOOTSTRAP]).current_dir(scratch.path()).process_group(0);
        command.env_clear().envs(environment(scratch.path()));
        let uid = slot.uid(config.first_uid);
        if let Some(uid) = uid {
            // std drops the supplementary groups with it.
            command.uid(uid).gid(uid);
        }
        Self { command, job: message(config, job, scratch.path(), uid) }
    }
}

/// The whole environment of a worker. One thread per library: the limits count threads, and results do not depend on them.
fn environment(scratch: &Path) -> Vec<(&'static str, std::ffi::OsString)> {
    let mut environment: Vec<_> =
        ["HOME", "TMPDIR", "MPLCONFIGDIR"].map(|name| (name, scratch.as_os_str().to_owned())).into();
    let fixed = [
        ("OPENBLAS_NUM_THREADS", "1"),
        ("OMP_NUM_THREADS", "1"),
        ("MKL_NUM_THREADS", "1"),
        ("NUMEXPR_NUM_THREADS", "1"),
        ("MALLOC_ARENA_MAX", "2"),
        ("MPLBACKEND", "Agg"),
        // Equal runs iterate over sets in equal order.
        ("PYTHONHASHSEED", "0"),
        ("PYTHONUTF8", "1"),
        ("LC_ALL", "C.UTF-8"),
        ("TZ", "UTC"),
    ];
    environment.extend(fixed.map(|(name, value)| (name, value.into())));
    environment
}

/// The first and only message to the worker: its length in 4 bytes, little endian, and JSON.
fn message(config: &WorkerConfig, job: &Job, scratch: &Path, uid: Option<u32>) -> Vec<u8> {
    let limits = &job.limits;
    let spec = Spec {
        read: job.import_from.iter().chain(&job.read).cloned().collect(),
        write: vec![scratch.to_path_buf()],
        keep_fds: KEPT_FDS.to_vec(),
        limits: Limits {
            memory_bytes: limits.memory_bytes,
            address_space_bytes: limits.memory_bytes + LIBRARIES_BYTES,
            // Rounded up, and one more: the supervisor ends a run to the millisecond, the kernel if we are late.
            cpu_seconds: limits.cpu.as_secs() + 2,
            file_bytes: limits.scratch_bytes,
            open_files: OPEN_FILES,
            threads: uid.map(|_own| limits.threads + 1),
        },
        parent: Some(std::process::id()),
        namespaces: true,
        without_landlock: config.without_landlock,
    };
    let (kind, text) = match &job.work {
        Work::Python { code } => ("python", code),
        Work::Module { job_json } => ("module", job_json),
    };
    let message = json!({
        "kind": kind,
        "text": text,
        "module": config.module,
        "import_from": job.import_from,
        "seal": spec,
        "result_bytes": limits.result_bytes,
        "pictures": limits.pictures,
        "picture_bytes": limits.picture_bytes,
    });
    let body = message.to_string();
    let length = u32::try_from(body.len()).unwrap_or(u32::MAX);
    [&length.to_le_bytes(), body.as_bytes()].concat()
}

/// How a process ended.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Reaped {
    /// The signal that ended it.
    pub(super) signal: Option<i32>,
    /// Its processor time.
    pub(super) cpu: Duration,
}

/// A worker that runs. Dropping it kills the process.
#[derive(Debug)]
pub(super) struct Process {
    pub(super) pid: Pid,
    pub(super) started_at: Instant,
    pub(super) scratch: std::path::PathBuf,
    /// The message that is still to be sent.
    pub(super) job: Vec<u8>,
    pub(super) control: Option<tokio::net::UnixStream>,
    pub(super) stdout: Option<pipe::Receiver>,
    pub(super) stderr: Option<pipe::Receiver>,
    pub(super) reaped: oneshot::Receiver<Reaped>,
    killer: Killer,
}

impl Process {
    /// Ends the process, unless it has ended.
    pub(super) fn kill(&self) {
        self.killer.kill();
    }
}

/// Kills the process it stands for when it is dropped.
#[derive(Debug)]
struct Killer(OwnedFd);

impl Killer {
    fn kill(&self) {
        // A descriptor of the process, not its id: after it was reaped the id may be another's. Then this fails, as it should.
        rustix::process::pidfd_send_signal(self.0.as_fd(), Signal::KILL).unwrap_or_default();
    }
}

impl Drop for Killer {
    fn drop(&mut self) {
        self.kill();
    }
}

/// What the minder hands over when the process runs.
struct Started {
    pid: Pid,
    killer: Killer,
    stdout: OwnedFd,
    stderr: OwnedFd,
}

/// Starts a worker under a minder of its own, which also takes the scratch directory and the slot.
pub(super) async fn start(
    launch: Launch,
    scratch: Scratch,
    slot: Slot,
    metrics: Arc<WorkerMetrics>,
) -> io::Result<Process> {
    let (ours, theirs) = UnixStream::pair()?;
    ours.set_nonblocking(true)?;
    let control = tokio::net::UnixStream::from_std(ours)?;
    let (started, running) = oneshot::channel();
    let (ended, reaped) = oneshot::channel();
    let Launch { mut command, job } = launch;
    let path = scratch.path().to_path_buf();
    let started_at = Instant::now();
    let mind = move || {
        // The control channel comes in as stdin: the one descriptor that can be given without unsafe code. The bootstrap moves it to 3.
        command.stdin(Stdio::from(OwnedFd::from(theirs))).stdout(Stdio::piped()).stderr(Stdio::piped());
        let reaped = mind(command, started, &metrics);
        // Nobody waits when the run was dropped. Removing may take a while (ten thousand directories on a slow disk), and the
        // answer does not wait for it; the slot does, so that no user piles up work for the disk.
        ended.send(reaped).unwrap_or_default();
        if scratch.remove().is_err() {
            metrics.scratch_left.inc();
            tracing::warn!("a worker's scratch directory could not be removed");
        }
        drop(slot);
    };
    std::thread::Builder::new().name("worker-minder".into()).spawn(mind)?;
    let Started { pid, killer, stdout, stderr } =
        running.await.unwrap_or_else(|_gone| Err(io::Error::other("the minder ended")))?;
    Ok(Process {
        pid,
        started_at,
        scratch: path,
        job,
        control: Some(control),
        stdout: Some(pipe::Receiver::from_owned_fd(stdout)?),
        stderr: Some(pipe::Receiver::from_owned_fd(stderr)?),
        reaped,
        killer,
    })
}

/// Starts the process, says so, and returns when it is reaped.
fn mind(mut command: Command, started: oneshot::Sender<io::Result<Started>>, metrics: &WorkerMetrics) -> Reaped {
    let spawned = command.spawn();
    // Our copy of the worker's end: with it open, the channel would never end.
    drop(command);
    let mut child = match spawned {
        Ok(child) => child,
        Err(error) => {
            started.send(Err(error)).unwrap_or_default();
            return Reaped::default();
        }
    };
    metrics.started.inc();
    metrics.alive.inc();
    let pid = Pid::from_child(&child);
    let handed = rustix::process::pidfd_open(pid, PidfdFlags::empty()).map_err(io::Error::from).and_then(|pidfd| {
        let gone = || io::Error::other("a pipe is missing");
        let (stdout, stderr) = (child.stdout.take().ok_or_else(gone)?, child.stderr.take().ok_or_else(gone)?);
        Ok(Started { pid, killer: Killer(pidfd), stdout: stdout.into(), stderr: stderr.into() })
    });
    if handed.is_err() {
        child.kill().unwrap_or_default();
    }
    // When the run was dropped meanwhile, the value comes back and is dropped: that kills.
    drop(started.send(handed));
    // Wait, but leave the zombie: its id keeps the group's id from being given away, and its times are final.
    while let Err(rustix::io::Errno::INTR) =
        rustix::process::waitid(WaitId::Pid(pid), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT)
    {}
    let cpu = times(pid).map_or(Duration::ZERO, |times| times.cpu);
    // Nobody else is in the group (no fork), but nobody must be.
    rustix::process::kill_process_group(pid, Signal::KILL).unwrap_or_default();
    let status = child.wait();
    metrics.alive.dec();
    Reaped { signal: status.ok().and_then(|status| status.signal()), cpu }
}

/// What `/proc/<pid>/stat` tells.
#[derive(Debug, Clone, Copy)]
pub(super) struct Times {
    pub(super) cpu: Duration,
    pub(super) threads: u64,
}

/// Times and threads of a process; `None` when it is gone.
pub(super) fn times(pid: Pid) -> Option<Times> {
    let text = fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero())).ok()?;
    // The name in parentheses may hold anything; numbers follow the last one. Fields as in proc(5), state is 3.
    let fields: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
    let field = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
    let ticks = field(14)? + field(15)?;
    Some(Times { cpu: Duration::from_millis(ticks * 1000 / TICKS_PER_SECOND), threads: field(20)? })
}

/// Memory of a process now and at most so far, bytes; `None` when it has ended.
pub(super) fn memory(pid: Pid) -> Option<(u64, u64)> {
    let text = fs::read_to_string(format!("/proc/{}/status", pid.as_raw_nonzero())).ok()?;
    let field = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name))?;
        line.trim().strip_suffix(" kB")?.parse::<u64>().ok().map(|kib| kib * 1024)
    };
    Some((field("VmRSS:")?, field("VmHWM:")?))
}
