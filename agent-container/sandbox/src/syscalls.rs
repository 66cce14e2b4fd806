//! Seccomp: the system calls that a sealed process may make. What is not listed here answers EPERM.
//!
//! An allow-list, so that a call that a later kernel brings is refused. Calls that take a process id, a command or flags
//! are allowed for harmless values only. The filter kills a process that calls with another architecture's convention
//! (32-bit); x32 numbers are in no list.
//!
//! Absent, among others: every socket call, execve, fork, vfork, ptrace, process_vm_*, pidfd_*, mount, chroot, setns, unshare,
//! bpf, perf_event_open, io_uring_*, userfaultfd, keyctl, memfd_create, open_by_handle_at, set*id, personality, splice,
//! and what landlock does not cover: chmod, chown, utimensat, setxattr, link, symlink, mknod, shmget, mq_open.

use seccompiler::{
    BackendError, BpfProgram, Error, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, TargetArch, apply_filter_all_threads,
};
use std::collections::BTreeMap;

/// Files: landlock decides which; these act on open files or on paths that landlock checks.
const FILES: &[i64] = &[
    libc::SYS_read,
    libc::SYS_readv,
    libc::SYS_pread64,
    libc::SYS_preadv,
    libc::SYS_preadv2,
    libc::SYS_write,
    libc::SYS_writev,
    libc::SYS_pwrite64,
    libc::SYS_pwritev,
    libc::SYS_pwritev2,
    libc::SYS_openat,
    libc::SYS_openat2,
    libc::SYS_close,
    libc::SYS_close_range,
    libc::SYS_fstat,
    libc::SYS_newfstatat,
    libc::SYS_statx,
    libc::SYS_statfs,
    libc::SYS_fstatfs,
    libc::SYS_faccessat,
    libc::SYS_faccessat2,
    libc::SYS_lseek,
    libc::SYS_getdents64,
    libc::SYS_readlinkat,
    libc::SYS_getcwd,
    libc::SYS_chdir,
    libc::SYS_fchdir,
    libc::SYS_mkdirat,
    libc::SYS_unlinkat,
    libc::SYS_renameat,
    libc::SYS_renameat2,
    libc::SYS_truncate,
    libc::SYS_ftruncate,
    libc::SYS_fallocate,
    libc::SYS_fsync,
    libc::SYS_fdatasync,
    libc::SYS_flock,
    libc::SYS_copy_file_range,
    libc::SYS_dup,
    libc::SYS_dup3,
    libc::SYS_pipe2,
    libc::SYS_umask,
];

/// The older forms of the calls above, which glibc still uses on this architecture.
#[cfg(target_arch = "x86_64")]
const OLDER: &[i64] = &[
    libc::SYS_open,
    libc::SYS_creat,
    libc::SYS_stat,
    libc::SYS_lstat,
    libc::SYS_access,
    libc::SYS_getdents,
    libc::SYS_readlink,
    libc::SYS_mkdir,
    libc::SYS_rmdir,
    libc::SYS_unlink,
    libc::SYS_rename,
    libc::SYS_dup2,
    libc::SYS_pipe,
    libc::SYS_poll,
    libc::SYS_select,
    libc::SYS_epoll_create,
    libc::SYS_epoll_wait,
    libc::SYS_time,
    libc::SYS_alarm,
    libc::SYS_pause,
    libc::SYS_getpgrp,
    libc::SYS_sendfile,
    libc::SYS_fadvise64,
];
/// sendfile and fadvise64 of the generic table (asm-generic/unistd.h), which the libc crate does not name here.
#[cfg(target_arch = "aarch64")]
const OLDER: &[i64] = &[71, 223];

/// Memory, threads, waiting, clocks, and what a process may know of itself.
const ITSELF: &[i64] = &[
    libc::SYS_brk,
    libc::SYS_mmap,
    libc::SYS_munmap,
    libc::SYS_mremap,
    libc::SYS_mprotect,
    libc::SYS_madvise,
    libc::SYS_msync,
    libc::SYS_mincore,
    libc::SYS_membarrier,
    libc::SYS_futex,
    libc::SYS_futex_waitv,
    libc::SYS_set_robust_list,
    libc::SYS_get_robust_list,
    libc::SYS_rseq,
    libc::SYS_set_tid_address,
    libc::SYS_sched_yield,
    libc::SYS_sched_getaffinity,
    libc::SYS_getcpu,
    libc::SYS_exit,
    libc::SYS_exit_group,
    libc::SYS_restart_syscall,
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_rt_sigpending,
    libc::SYS_rt_sigsuspend,
    libc::SYS_rt_sigtimedwait,
    libc::SYS_sigaltstack,
    libc::SYS_setitimer,
    libc::SYS_getitimer,
    libc::SYS_ppoll,
    libc::SYS_pselect6,
    libc::SYS_epoll_create1,
    libc::SYS_epoll_ctl,
    libc::SYS_epoll_pwait,
    libc::SYS_epoll_pwait2,
    libc::SYS_eventfd2,
    libc::SYS_wait4,
    libc::SYS_waitid,
    libc::SYS_nanosleep,
    libc::SYS_clock_nanosleep,
    libc::SYS_clock_gettime,
    libc::SYS_clock_getres,
    libc::SYS_gettimeofday,
    libc::SYS_times,
    libc::SYS_getrandom,
    libc::SYS_getpid,
    libc::SYS_getppid,
    libc::SYS_gettid,
    libc::SYS_getpgid,
    libc::SYS_getsid,
    libc::SYS_getuid,
    libc::SYS_geteuid,
    libc::SYS_getgid,
    libc::SYS_getegid,
    libc::SYS_getresuid,
    libc::SYS_getresgid,
    libc::SYS_getgroups,
    libc::SYS_getrusage,
    libc::SYS_uname,
    libc::SYS_sysinfo,
];

/// Only commands that describe a descriptor: F_SETOWN and F_SETSIG would send signals, leases and notifications call back.
const FCNTL_COMMANDS: &[libc::c_int] = &[
    libc::F_DUPFD,
    libc::F_DUPFD_CLOEXEC,
    libc::F_GETFD,
    libc::F_SETFD,
    libc::F_GETFL,
    libc::F_SETFL,
    libc::F_GETLK,
    libc::F_SETLK,
    libc::F_SETLKW,
    libc::F_OFD_GETLK,
    libc::F_OFD_SETLK,
    libc::F_OFD_SETLKW,
];

/// Only questions and close-on-exec: `isatty`, how much can be read. TIOCSTI and the like are not among them.
const IOCTL_REQUESTS: &[libc::Ioctl] = &[
    libc::TCGETS as libc::Ioctl,
    libc::TIOCGWINSZ as libc::Ioctl,
    libc::FIONREAD as libc::Ioctl,
    libc::FIONBIO as libc::Ioctl,
    libc::FIOCLEX as libc::Ioctl,
    libc::FIONCLEX as libc::Ioctl,
];

/// Flags that make a clone a thread of this process.
const THREAD_FLAGS: libc::c_int = libc::CLONE_VM | libc::CLONE_SIGHAND | libc::CLONE_THREAD;
/// Flags that a thread has no use for: new namespaces, a tracer, a descriptor of a process.
const FOREIGN_FLAGS: libc::c_int = libc::CLONE_NEWNS
    | libc::CLONE_NEWCGROUP
    | libc::CLONE_NEWUTS
    | libc::CLONE_NEWIPC
    | libc::CLONE_NEWUSER
    | libc::CLONE_NEWPID
    | libc::CLONE_NEWNET
    | libc::CLONE_PTRACE
    | libc::CLONE_PIDFD;

/// Filters the system calls of all threads of the process.
pub(crate) fn restrict() -> Result<(), Error> {
    // The list allows clone3 so that this first filter decides on it: glibc falls back to clone, whose flags can be seen,
    // on ENOSYS only. The arguments of clone3 are in memory, where no filter can look.
    let absent = filter(
        BTreeMap::from([(libc::SYS_clone3, vec![])]),
        SeccompAction::Allow,
        SeccompAction::Errno(errno(libc::ENOSYS)),
    )?;
    let list = filter(allowed(std::process::id())?, SeccompAction::Errno(errno(libc::EPERM)), SeccompAction::Allow)?;
    // seccomp itself is not in the list, so the list comes last.
    apply_filter_all_threads(&absent)?;
    apply_filter_all_threads(&list)
}

type Rules = BTreeMap<i64, Vec<SeccompRule>>;

fn filter(rules: Rules, mismatch: SeccompAction, matched: SeccompAction) -> Result<BpfProgram, Error> {
    let arch = TargetArch::try_from(std::env::consts::ARCH)?;
    Ok(SeccompFilter::new(rules, mismatch, matched, arch)?.try_into()?)
}

fn errno(number: libc::c_int) -> u32 {
    number.unsigned_abs()
}

/// The list, for the process `pid`.
fn allowed(pid: u32) -> Result<Rules, BackendError> {
    let mut rules: Rules =
        [FILES, OLDER, ITSELF].iter().flat_map(|list| list.iter().map(|call| (*call, vec![]))).collect();
    rules.insert(libc::SYS_clone3, vec![]);
    rules.insert(libc::SYS_clone, vec![thread_rule()?]);
    // abort() and pthread_kill() signal the own process; no other.
    rules.insert(libc::SYS_kill, vec![rule(&[(0, u64::from(pid))])?]);
    rules.insert(libc::SYS_tgkill, vec![rule(&[(0, u64::from(pid))])?]);
    rules.insert(libc::SYS_fcntl, one_of(1, FCNTL_COMMANDS.iter().map(|command| u64::from(command.unsigned_abs())))?);
    #[allow(clippy::unnecessary_cast, reason = "the type differs between C libraries")]
    rules.insert(libc::SYS_ioctl, one_of(1, IOCTL_REQUESTS.iter().map(|request| *request as u64))?);
    rules.insert(
        libc::SYS_prctl,
        one_of(0, [libc::PR_SET_NAME, libc::PR_GET_NAME].map(|option| u64::from(option.unsigned_abs())))?,
    );
    // Reading the own limits, not setting any: the third argument, the new limit, is absent.
    rules.insert(libc::SYS_prlimit64, vec![SeccompRule::new(vec![equal(0, 0)?, absent(2)?])?]);
    rules.insert(libc::SYS_getrlimit, vec![]);
    Ok(rules)
}

fn thread_rule() -> Result<SeccompRule, BackendError> {
    let mask = u64::from((THREAD_FLAGS | FOREIGN_FLAGS).unsigned_abs());
    let is_thread = SeccompCmpOp::MaskedEq(mask);
    SeccompRule::new(vec![SeccompCondition::new(
        0,
        SeccompCmpArgLen::Dword,
        is_thread,
        u64::from(THREAD_FLAGS.unsigned_abs()),
    )?])
}

/// One rule per allowed value of an argument.
fn one_of(argument: u8, values: impl IntoIterator<Item = u64>) -> Result<Vec<SeccompRule>, BackendError> {
    values.into_iter().map(|value| rule(&[(argument, value)])).collect()
}

fn rule(equals: &[(u8, u64)]) -> Result<SeccompRule, BackendError> {
    SeccompRule::new(equals.iter().map(|(argument, value)| equal(*argument, *value)).collect::<Result<_, _>>()?)
}

/// The kernel reads 32 bits of ids, commands and requests, so the filter compares as many.
fn equal(argument: u8, value: u64) -> Result<SeccompCondition, BackendError> {
    SeccompCondition::new(argument, SeccompCmpArgLen::Dword, SeccompCmpOp::Eq, value)
}

/// A pointer that is null, in all its bits.
fn absent(argument: u8) -> Result<SeccompCondition, BackendError> {
    SeccompCondition::new(argument, SeccompCmpArgLen::Qword, SeccompCmpOp::Eq, 0)
}

#[cfg(test)]
mod tests {
    use super::{FILES, ITSELF, OLDER, allowed};

    /// What gives other rights, another process, another file or the network. The corpus in `agent-container/tests` tries them.
    #[test]
    fn what_reaches_outside_is_in_no_list() {
        let rules = allowed(1).unwrap();
        let forbidden = [
            libc::SYS_socket,
            libc::SYS_connect,
            libc::SYS_sendmsg,
            libc::SYS_recvmsg,
            libc::SYS_execve,
            libc::SYS_execveat,
            libc::SYS_ptrace,
            libc::SYS_process_vm_writev,
            libc::SYS_pidfd_getfd,
            libc::SYS_rt_sigqueueinfo,
            libc::SYS_unshare,
            libc::SYS_setns,
            libc::SYS_mount,
            libc::SYS_bpf,
            libc::SYS_io_uring_setup,
            libc::SYS_seccomp,
            libc::SYS_linkat,
            libc::SYS_symlinkat,
            libc::SYS_fchmodat,
            libc::SYS_fchmod,
            libc::SYS_utimensat,
            libc::SYS_setuid,
            libc::SYS_memfd_create,
        ];
        assert_eq!(forbidden.iter().find(|call| rules.contains_key(call)), None);
    }

    #[test]
    fn calls_with_a_condition_are_in_no_list_without_one() {
        let conditional =
            [libc::SYS_clone, libc::SYS_kill, libc::SYS_tgkill, libc::SYS_fcntl, libc::SYS_ioctl, libc::SYS_prctl];
        let rules = allowed(1).unwrap();
        for call in conditional {
            assert!(!rules[&call].is_empty(), "{call}");
            assert!(![FILES, OLDER, ITSELF].iter().any(|list| list.contains(&call)), "{call}");
        }
    }
}
