//! Starts children that end when this process does, however it ends, and that are held to what a process can be held to.
//!
//! The kernel ends a child when the *thread* that started it ends (`PR_SET_PDEATHSIG`), and threads of the runtime come and go. So one
//! thread that lives as long as the [`Spawner`] starts all of them; dropping the spawner ends them, too.
#![allow(
    unsafe_code,
    reason = "the kernel is told between fork and exec whom the child ends with; descriptors are watched"
)]

use rustix::fs::{Mode, OFlags};
use rustix::process::{Pid, Resource, Rlimit, Signal};
use std::io;
use std::os::fd::OwnedFd;
use std::sync::mpsc;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::process::{Child, Command};
use tokio::sync::oneshot;

/// Starts that may wait for the thread.
const WAITING: usize = 1024;
/// Descriptors of a container: connections, files, pipes of workers.
const OPEN_FILES: u64 = 4096;
/// How much more a container gives way to others than the platform does.
const NICENESS: i32 = 5;
/// Of those who may be killed for want of memory, containers come before the platform.
const OOM_SCORE: &[u8] = b"500";

struct Job {
    command: Command,
    started: oneshot::Sender<io::Result<Child>>,
}

/// The thread that starts children. They end with it.
#[derive(Debug, Clone)]
pub(crate) struct Spawner {
    jobs: mpsc::SyncSender<Job>,
}

impl std::fmt::Debug for Job {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Job").finish_non_exhaustive()
    }
}

impl Spawner {
    /// Starts the thread. Call it within the runtime that waits for the children.
    pub(crate) fn new() -> io::Result<Self> {
        let (jobs, waiting) = mpsc::sync_channel::<Job>(WAITING);
        let runtime = tokio::runtime::Handle::current();
        std::thread::Builder::new().name("containers".to_owned()).spawn(move || {
            let _entered = runtime.enter();
            while let Ok(Job { mut command, started }) = waiting.recv() {
                // Whoever no longer waits drops the child, which kills it.
                let _gone = started.send(command.spawn());
            }
        })?;
        Ok(Self { jobs })
    }

    /// Starts a child.
    pub(crate) async fn spawn(&self, mut command: Command, memory_bytes: u64) -> io::Result<Child> {
        confine(&mut command, memory_bytes);
        let (started, child) = oneshot::channel();
        self.jobs.try_send(Job { command, started }).map_err(|_| io::Error::from(io::ErrorKind::WouldBlock))?;
        child.await.map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))?
    }
}

/// Becomes readable when the process of this handle (`pidfd_open`) has ended. Call it within the runtime.
pub(crate) fn watch(process: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: an `OwnedFd` is open until it is dropped, is always the same descriptor, and goes with what is returned.
    let watched = unsafe { AsyncFd::register_with_interest(process, Interest::READABLE) };
    watched.map_err(Into::into)
}

/// Ties a child to this process, puts it into a group of its own and limits it.
fn confine(command: &mut Command, memory_bytes: u64) {
    let parent = rustix::process::getpid();
    command.kill_on_drop(true).process_group(0);
    // SAFETY: the closure runs in the child between fork and exec; it makes system calls only, and allocates nothing.
    unsafe {
        command.pre_exec(move || between(parent, memory_bytes));
    }
}

fn between(parent: Pid, memory_bytes: u64) -> io::Result<()> {
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
    // The parent may have ended before it could be told.
    if rustix::process::getppid() != Some(parent) {
        return Err(io::Error::from(rustix::io::Errno::SRCH));
    }
    limit(Resource::Core, 0)?;
    limit(Resource::Nofile, OPEN_FILES)?;
    // What a process maps is more than what it uses, hence the double; workers have limits of their own below it.
    limit(Resource::Data, memory_bytes.saturating_mul(2))?;
    // Neither is worth to fail for.
    let _nicer = rustix::process::nice(NICENESS);
    if let Ok(file) = rustix::fs::open(c"/proc/self/oom_score_adj", OFlags::WRONLY, Mode::empty()) {
        let _scored = rustix::io::write(&file, OOM_SCORE);
    }
    Ok(())
}

fn limit(resource: Resource, most: u64) -> io::Result<()> {
    let now = rustix::process::getrlimit(resource);
    let most = now.maximum.map_or(most, |hard| hard.min(most));
    rustix::process::setrlimit(resource, Rlimit { current: Some(most), maximum: Some(most) })?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Stdio;
    use tokio::io::AsyncReadExt;

    #[tokio::test]
    async fn a_child_has_its_limits_and_its_own_group() {
        let mut command = Command::new("sh");
        command
            .args(["-c", "ulimit -c; ulimit -n; ulimit -d; ps -o pgid= -p $$; echo $$; cat /proc/self/oom_score_adj"]);
        command.stdout(Stdio::piped());
        let spawner = Spawner::new().unwrap();
        let mut child = spawner.spawn(command, 512 << 20).await.unwrap();
        let mut told = String::new();
        child.stdout.take().unwrap().read_to_string(&mut told).await.unwrap();
        assert!(child.wait().await.unwrap().success());
        let told: Vec<_> = told.lines().map(str::trim).collect();
        assert_eq!(told[..3], ["0", "4096", "1048576"], "core, files, KiB of data");
        assert_eq!(told[3], told[4]);
        assert_eq!(told[5], "500");
    }

    #[tokio::test]
    async fn children_end_with_their_spawner() {
        let spawner = Spawner::new().unwrap();
        let mut command = Command::new("sleep");
        command.arg("1000");
        let mut child = spawner.spawn(command, 512 << 20).await.unwrap();
        assert!(child.try_wait().unwrap().is_none());
        drop(spawner);
        let status = tokio::time::timeout(std::time::Duration::from_secs(30), child.wait()).await.unwrap().unwrap();
        assert_eq!(std::os::unix::process::ExitStatusExt::signal(&status), Some(9));
    }
}
