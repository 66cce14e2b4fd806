//! Which process it is: its id alone may belong to another one by now.

use super::spawn::watch;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use serde::{Deserialize, Serialize};
use std::os::fd::OwnedFd;
use std::time::Duration;
use tokio::io::unix::AsyncFd;

/// A process of this machine, for ever.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Identity {
    pub(crate) pid: u32,
    /// When it was started, in clock ticks since the boot.
    pub(crate) ticks: u64,
    /// Which boot.
    pub(crate) boot: String,
}

impl Identity {
    /// The process that has this id now; `None` if there is none, or it has ended and nobody has asked how.
    pub(crate) fn of(pid: u32) -> Option<Self> {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The name of the program may hold anything; fields begin behind its last parenthesis.
        let mut fields = stat[stat.rfind(')')? + 1..].split_ascii_whitespace();
        let state = fields.next()?;
        if matches!(state, "Z" | "X") {
            return None;
        }
        let ticks = fields.nth(18)?.parse().ok()?;
        let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?.trim().to_owned();
        Some(Self { pid, ticks, boot })
    }

    /// Whether it runs.
    pub(crate) fn runs(&self) -> bool {
        Self::of(self.pid).is_some_and(|now| now == *self)
    }

    /// Tells it to end, kills it after `patience`, and waits. False if it does not end even then.
    pub(crate) async fn end(&self, patience: Duration) -> bool {
        let Some(handle) = self.open() else { return true };
        for signal in [Signal::TERM, Signal::KILL] {
            // One that ended in between is fine too.
            let _ended = pidfd_send_signal(handle.get_ref(), signal);
            if matches!(tokio::time::timeout(patience, handle.readable()).await, Ok(Ok(_))) {
                return true;
            }
        }
        !self.runs()
    }

    fn open(&self) -> Option<AsyncFd<OwnedFd>> {
        let handle = pidfd_open(pid(self.pid)?, PidfdFlags::empty()).ok()?;
        // Looked at after it was opened: from here on the handle means this process or none.
        if self.runs() { watch(handle).ok() } else { None }
    }
}

/// An id as the system calls want it.
pub(crate) fn pid(id: u32) -> Option<Pid> {
    i32::try_from(id).ok().and_then(Pid::from_raw)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_process_is_known_by_more_than_its_id_and_ends_when_told() {
        let mut child = tokio::process::Command::new("sleep").arg("1000").spawn().unwrap();
        let known = Identity::of(child.id().unwrap()).unwrap();
        assert!(known.runs());
        let another = Identity { ticks: known.ticks + 1, ..known.clone() };
        assert!(!another.runs());
        assert!(another.end(Duration::from_secs(5)).await, "there is no such process");
        assert!(known.runs());
        assert!(known.end(Duration::from_secs(30)).await);
        assert!(!known.runs(), "it waits to be reaped, which is no running");
        child.wait().await.unwrap();
        assert_eq!(Identity::of(0), None);
    }

    #[tokio::test]
    async fn one_that_ignores_it_is_killed() {
        let mut child = tokio::process::Command::new("sh")
            .args(["-c", "trap '' TERM; echo on; while :; do sleep 1000; done"])
            .stdout(std::process::Stdio::piped())
            .process_group(0)
            .spawn()
            .unwrap();
        let mut word = [0; 2];
        tokio::io::AsyncReadExt::read_exact(&mut child.stdout.take().unwrap(), &mut word).await.unwrap();
        let known = Identity::of(child.id().unwrap()).unwrap();
        assert!(known.end(Duration::from_millis(100)).await);
        rustix::process::kill_process_group(pid(known.pid).unwrap(), Signal::KILL).unwrap();
        child.wait().await.unwrap();
    }
}
