//! What belongs to the process as a whole: namespaces, descriptors, limits, capabilities, and with whom it dies.

#![allow(unsafe_code, reason = "unshare and close_range have no safe wrapper")]

use crate::{Limits, SealError};
use rustix::process::{DumpableBehavior, Resource, Rlimit, Signal};
use rustix::thread::{CapabilitySet, CapabilitySets, UnshareFlags};
use std::fs;
use std::io;

fn failed(step: &'static str) -> impl Fn(rustix::io::Errno) -> SealError {
    move |errno| SealError::Kernel { step, source: errno.into() }
}

/// Refuses a process that has more threads than the calling one.
pub(crate) fn require_one_thread() -> Result<(), SealError> {
    let failed = |source| SealError::Kernel { step: "counting threads", source };
    let count = fs::read_dir("/proc/self/task").map_err(failed)?.count();
    if count == 1 { Ok(()) } else { Err(SealError::Threads { count }) }
}

/// Leaves the host's network and IPC namespaces where that is allowed; says which were left.
///
/// There is no namespace for processes: it would hold children only, and a sealed process has none.
pub(crate) fn leave_namespaces() -> Vec<String> {
    let wanted = UnshareFlags::NEWNET | UnshareFlags::NEWIPC;
    let names = ["net".to_owned(), "ipc".to_owned()];
    // SAFETY: no descriptor table is unshared; the process has one thread.
    if unsafe { rustix::thread::unshare_unsafe(wanted) }.is_ok() {
        return names.to_vec();
    }
    let (uid, gid) = (rustix::process::getuid().as_raw(), rustix::process::getgid().as_raw());
    // SAFETY: as above.
    if unsafe { rustix::thread::unshare_unsafe(wanted | UnshareFlags::NEWUSER) }.is_err() {
        return Vec::new();
    }
    // Without a map the process sees itself as the overflow user; that hurts nobody, so a refusal is no failure.
    let maps = [
        ("setgroups", "deny".to_owned()),
        ("uid_map", format!("{uid} {uid} 1")),
        ("gid_map", format!("{gid} {gid} 1")),
    ];
    for (file, text) in maps {
        fs::write(format!("/proc/self/{file}"), text).unwrap_or_default();
    }
    [vec!["user".to_owned()], names.to_vec()].concat()
}

/// Closes every descriptor that is not in `keep`.
pub(crate) fn close_fds_except(keep: &[i32]) -> Result<(), SealError> {
    let mut keep: Vec<u32> = keep.iter().filter_map(|fd| u32::try_from(*fd).ok()).collect();
    keep.sort_unstable();
    let mut first = 0;
    for fd in keep {
        if fd > first {
            close_range(first, fd - 1)?;
        }
        first = first.max(fd + 1);
    }
    close_range(first, u32::MAX)
}

fn close_range(first: u32, last: u32) -> Result<(), SealError> {
    // SAFETY: the descriptors belong to nobody any more: the caller named all that are still in use.
    let answer = unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) };
    if answer == 0 {
        Ok(())
    } else {
        Err(SealError::Kernel { step: "closing descriptors", source: io::Error::last_os_error() })
    }
}

/// Sets the limits, soft and hard, and forbids core dumps.
pub(crate) fn limit(limits: &Limits) -> Result<(), SealError> {
    let cases = [
        (Resource::Data, limits.memory_bytes, "limiting memory"),
        (Resource::As, limits.address_space_bytes, "limiting the address space"),
        (Resource::Fsize, limits.file_bytes, "limiting file sizes"),
        (Resource::Nofile, limits.open_files, "limiting descriptors"),
        (Resource::Core, 0, "forbidding core dumps"),
        (Resource::Msgqueue, 0, "forbidding message queues"),
        (Resource::Memlock, 0, "forbidding locked memory"),
    ];
    for (resource, value, step) in cases {
        set(resource, value, value).map_err(failed(step))?;
    }
    if let Some(threads) = limits.threads {
        set(Resource::Nproc, threads, threads).map_err(failed("limiting threads"))?;
    }
    // At the soft limit comes SIGXCPU, which code can ignore; at the hard one SIGKILL.
    set(Resource::Cpu, limits.cpu_seconds, limits.cpu_seconds + 1).map_err(failed("limiting processor time"))
}

fn set(resource: Resource, soft: u64, hard: u64) -> rustix::io::Result<()> {
    // Never above what the process has already: a caller may live under tighter limits than ours.
    let now = rustix::process::getrlimit(resource);
    let hard = now.maximum.map_or(hard, |maximum| maximum.min(hard));
    rustix::process::setrlimit(resource, Rlimit { current: Some(soft.min(hard)), maximum: Some(hard) })
}

/// Makes this process the first that the kernel ends when memory runs out: it, not the server, is in the wrong.
pub(crate) fn offer_to_the_oom_killer() {
    // Without /proc to write to, the limits on memory still hold.
    fs::write("/proc/self/oom_score_adj", "1000").unwrap_or_default();
}

/// Gives up every capability for good, also as uid 0 and inside an own user namespace.
pub(crate) fn drop_capabilities() -> Result<(), SealError> {
    for bit in 0..64 {
        let capability = CapabilitySet::from_bits_retain(1 << bit);
        // Needs CAP_SETPCAP; without it no_new_privs keeps a process from gaining any. The last bit ends with EINVAL.
        if rustix::thread::remove_capability_from_bounding_set(capability).is_err() {
            break;
        }
    }
    rustix::thread::clear_ambient_capability_set().map_err(failed("clearing ambient capabilities"))?;
    let none = CapabilitySets {
        effective: CapabilitySet::empty(),
        permitted: CapabilitySet::empty(),
        inheritable: CapabilitySet::empty(),
    };
    rustix::thread::set_capabilities(None, none).map_err(failed("dropping capabilities"))
}

/// Asks the kernel to kill this process as soon as `parent`, or the thread of it that started us, ends.
pub(crate) fn die_with(parent: u32) -> Result<(), SealError> {
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))
        .map_err(failed("asking for the death signal"))?;
    // The parent may have ended before the call above.
    let found = rustix::process::getppid().map_or(0, |pid| pid.as_raw_nonzero().get().unsigned_abs());
    if found == parent { Ok(()) } else { Err(SealError::Orphan { expected: parent, found }) }
}

/// No file that is executed can give rights; also lets the supervisor, and nobody in a landlock domain, look at us.
pub(crate) fn forbid_new_privileges() -> Result<(), SealError> {
    rustix::thread::set_no_new_privs(true).map_err(failed("forbidding new privileges"))?;
    // Changing namespaces or capabilities may have made the process undumpable. The supervisor must see its descriptors:
    // deleted files are found there only. Core dumps are off by the limit, ptrace by seccomp and landlock.
    rustix::process::set_dumpable_behavior(DumpableBehavior::Dumpable)
        .map_err(failed("staying visible to the supervisor"))
}
