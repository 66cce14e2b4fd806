//! Seals a process: what the code that runs in it from now on may still do to the machine.
//!
//! [`seal()`] is called inside the worker process, by code we trust, as the last thing before the first line of a user's
//! Python. After it the process can compute, read what [`Spec`] names, write its scratch directory and the descriptors it
//! was given. Nothing undoes it, and all threads that it starts later are sealed as well.
//!
//! In this order, because each step needs what the next one takes away:
//! `process`: namespaces, descriptors, resource limits, capabilities, the death signal;
//! `files`: landlock, which knows paths; `syscalls`: seccomp, which knows system calls.
//!
//! **Invariants.**
//! - A step that fails fails the whole seal ([`SealError`]); the caller must not run user code then. Only the namespaces are
//!   best effort, since many hosts forbid them: [`Sealed`] says which there were, and nothing else relies on them.
//! - A process with more than one thread is refused: landlock binds the calling thread only, and a thread left outside would
//!   be a hole.
//! - No rule lets a file be executed, and no rule lets a socket be made.
//!
//! What it does not protect from: a bug of the kernel itself, and learning of names, sizes and times of files (`stat` is
//! not restricted by landlock). See `docs/operations/sandbox.md`.

mod files;
mod process;
mod syscalls;

use serde::{Deserialize, Serialize};
use std::io;
use std::path::PathBuf;
use thiserror::Error;

/// What a sealed process may still use.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Spec {
    /// Files and directories (with all below) that can be read. Each must exist. Libraries and time zones of the system can
    /// be read besides them: imports are lazy.
    pub read: Vec<PathBuf>,
    /// Directories in which files can be made, written, moved and removed. Each must exist.
    pub write: Vec<PathBuf>,
    /// Descriptors that stay open; all others are closed.
    pub keep_fds: Vec<i32>,
    /// What the kernel counts and refuses.
    pub limits: Limits,
    /// The process with which this one dies, by id; `None` lets it live on.
    pub parent: Option<u32>,
    /// Also try to leave the network and IPC namespaces of the host. They are a second wall behind seccomp.
    pub namespaces: bool,
    /// Run on a kernel without landlock. Then every file that the process's user can read can be read: for tests of other
    /// things on old kernels, never for users' code.
    pub without_landlock: bool,
}

/// Limits that the kernel keeps for the process (`setrlimit`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// Private writable memory, bytes (`RLIMIT_DATA`): what Python and numpy allocate.
    pub memory_bytes: u64,
    /// All mapped memory, bytes (`RLIMIT_AS`): bounds shared mappings too. Libraries need some hundred megabytes of it.
    pub address_space_bytes: u64,
    /// Processor time, seconds (`RLIMIT_CPU`).
    pub cpu_seconds: u64,
    /// Size of one file, bytes (`RLIMIT_FSIZE`).
    pub file_bytes: u64,
    /// Open descriptors (`RLIMIT_NOFILE`).
    pub open_files: u64,
    /// Threads of the process's user (`RLIMIT_NPROC`), of all its processes on the machine: only for a user that runs nothing
    /// else, or the process could start none. The kernel does not count them for uid 0.
    pub threads: Option<u64>,
}

/// What a seal consists of on this kernel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sealed {
    /// Version of landlock that is in force; 0 without landlock.
    pub landlock_abi: u32,
    /// Whether TCP is refused by landlock too, besides seccomp (version 4).
    pub landlock_network: bool,
    /// Whether signals and abstract sockets to the outside are refused by landlock too (version 6).
    pub landlock_scope: bool,
    /// Namespaces that the process has for itself.
    pub namespaces: Vec<String>,
    /// User under which it runs.
    pub uid: u32,
}

/// Why a process could not be sealed.
#[derive(Debug, Error)]
pub enum SealError {
    /// The process has several threads.
    #[error("{count} threads run; a process is sealed while it has one")]
    Threads {
        /// How many there are.
        count: usize,
    },
    /// The kernel has no landlock, or one that cannot keep files from being truncated.
    #[error(
        "landlock version {found} of the kernel; {needed} or later is needed (Linux 6.2, landlock in the lsm list)"
    )]
    NoLandlock {
        /// Version of the kernel, 0 for none.
        found: u32,
        /// The oldest version that is enough.
        needed: u32,
    },
    /// A path of the specification cannot be opened.
    #[error("path {path} cannot be opened")]
    Path {
        /// The path.
        path: PathBuf,
        /// What the kernel said.
        #[source]
        source: landlock::PathFdError,
    },
    /// Landlock refused its rules.
    #[error("landlock refused the rules")]
    Landlock(#[from] landlock::RulesetError),
    /// The filter for system calls could not be made or installed.
    #[error("seccomp refused the filter")]
    Seccomp(#[source] seccompiler::Error),
    /// The parent ended before this process could ask to end with it.
    #[error("the parent {expected} is gone; {found} is the parent now")]
    Orphan {
        /// Who started the process.
        expected: u32,
        /// Whose child it is now, 0 for none.
        found: u32,
    },
    /// A call to the kernel failed.
    #[error("{step} failed")]
    Kernel {
        /// What was tried.
        step: &'static str,
        /// What the kernel said.
        #[source]
        source: io::Error,
    },
}

/// Seals the calling process for the rest of its life.
///
/// # Errors
/// Any step that the kernel refuses. The process is then partly sealed at most: end it.
pub fn seal(spec: &Spec) -> Result<Sealed, SealError> {
    process::require_one_thread()?;
    let namespaces = if spec.namespaces { process::leave_namespaces() } else { Vec::new() };
    process::close_fds_except(&spec.keep_fds)?;
    process::limit(&spec.limits)?;
    process::offer_to_the_oom_killer();
    process::drop_capabilities()?;
    if let Some(parent) = spec.parent {
        process::die_with(parent)?;
    }
    process::forbid_new_privileges()?;
    let files = files::restrict(spec)?;
    syscalls::restrict().map_err(SealError::Seccomp)?;
    Ok(Sealed {
        landlock_abi: files.abi,
        landlock_network: files.network,
        landlock_scope: files.scope,
        namespaces,
        uid: rustix::process::getuid().as_raw(),
    })
}
