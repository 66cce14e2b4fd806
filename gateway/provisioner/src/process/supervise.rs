//! One task for each child: hears what it says, ends it when told, and knows how it ended.

use super::identity::{Identity, pid};
use super::lines::Lines;
use super::log_file;
use super::spawn::watch;
use rustix::process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open};
use std::future::Future;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::unix::AsyncFd;
use tokio::process::{Child, ChildStdout};
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Longest line that a container is listened to for.
const LINE_BYTES: usize = 4096;
/// Exit code of an intended sleep.
const ASLEEP: i32 = 42;

/// What a container said about itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Announced {
    pub(crate) mcp_url: Option<Arc<str>>,
    pub(crate) events: Option<String>,
    pub(crate) admin: Option<String>,
    pub(crate) ready: bool,
}

impl Announced {
    fn hear(&mut self, line: &str) -> bool {
        let Some((word, rest)) = line.split_once(':') else { return false };
        let rest = rest.trim();
        match word {
            "mcp" => self.mcp_url = Some(rest.into()),
            "events" => self.events = Some(rest.to_owned()),
            "admin" => self.admin = Some(rest.to_owned()),
            "ready" => self.ready = true,
            _ => return false,
        }
        true
    }
}

/// How a child ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// By itself, with this code.
    Code(i32),
    /// By a signal.
    Signal(i32),
    /// After it was told to.
    Told,
}

impl Exit {
    /// With the code of an intended sleep; whether it is one says its marker.
    pub(crate) const fn is_sleep(self) -> bool {
        matches!(self, Self::Code(ASLEEP))
    }

    /// As it should, without a sleep.
    pub(crate) const fn is_stop(self) -> bool {
        matches!(self, Self::Told | Self::Code(0))
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Order {
    Stop,
    Kill,
}

/// A child under supervision.
#[derive(Debug, Clone)]
pub(crate) struct Running {
    pub(crate) identity: Identity,
    pub(crate) announced: watch::Receiver<Announced>,
    exit: watch::Receiver<Option<Exit>>,
    orders: mpsc::Sender<Order>,
}

impl Running {
    /// Tells it to end; it is killed if it does not end in time.
    pub(crate) fn stop(&self) {
        // A full queue holds orders to end already.
        let _told = self.orders.try_send(Order::Stop);
    }

    /// Kills it.
    pub(crate) fn kill(&self) {
        let _told = self.orders.try_send(Order::Kill);
    }

    /// Waits until it has ended.
    pub(crate) async fn ended(&self) -> Exit {
        let mut exit = self.exit.clone();
        // The task that knows is gone only if the process is going, too.
        exit.wait_for(Option::is_some).await.ok().and_then(|exit| *exit).unwrap_or(Exit::Told)
    }
}

/// What a supervision needs.
#[derive(Debug)]
pub(crate) struct Care {
    pub(crate) log: PathBuf,
    pub(crate) stop_within: Duration,
    pub(crate) tasks: TaskTracker,
}

/// Supervises a child; `on_end` runs before anybody is told that it has ended.
///
/// # Errors
/// If the child has no pipes, or is gone already.
pub(crate) fn supervise<F, E>(mut child: Child, care: Care, on_end: F) -> io::Result<Running>
where
    F: FnOnce(Exit) -> E + Send + 'static,
    E: Future<Output = ()> + Send + 'static,
{
    let gone = || io::Error::from(io::ErrorKind::NotFound);
    let id = child.id().ok_or_else(gone)?;
    let identity = Identity::of(id).ok_or_else(gone)?;
    let group = pid(id).ok_or_else(gone)?;
    let handle = watch(pidfd_open(group, PidfdFlags::empty())?)?;
    let stdout = child.stdout.take().ok_or_else(gone)?;
    let stderr = child.stderr.take().ok_or_else(gone)?;
    let (orders, received) = mpsc::channel(4);
    let (announce, announced) = watch::channel(Announced::default());
    let (tell, exit) = watch::channel(None);
    let ended = CancellationToken::new();
    care.tasks.spawn(log_file::copy(stderr, care.log, ended.clone()));
    let owner = Owner { child, handle, group, stop_within: care.stop_within };
    care.tasks.spawn(async move {
        let exit = owner.run(stdout, received, announce).await;
        ended.cancel();
        on_end(exit).await;
        tell.send_replace(Some(exit));
    });
    Ok(Running { identity, announced, exit, orders })
}

/// Owns a child: the only one that sends it signals or waits for it.
struct Owner {
    child: Child,
    handle: AsyncFd<OwnedFd>,
    group: Pid,
    stop_within: Duration,
}

impl Owner {
    async fn run(
        mut self,
        stdout: ChildStdout,
        mut orders: mpsc::Receiver<Order>,
        announce: watch::Sender<Announced>,
    ) -> Exit {
        let mut lines = Lines::new(stdout, LINE_BYTES);
        let (mut speaks, mut ordered, mut told, mut kill_at) = (true, true, false, None::<Instant>);
        loop {
            tokio::select! {
                // Nothing is reaped yet, so the id of the group cannot mean anybody else.
                _ended = self.handle.readable() => break,
                line = lines.next(), if speaks => match line {
                    Some(line) => {
                        announce.send_if_modified(|announced| announced.hear(&line));
                    }
                    None => speaks = false,
                },
                order = orders.recv(), if ordered => {
                    // Nobody is left who could order anything: nobody is left who needs it.
                    ordered = order.is_some();
                    told = true;
                    if order == Some(Order::Kill) {
                        self.signal(Signal::KILL);
                    } else if kill_at.is_none() {
                        self.signal_leader(Signal::TERM);
                        kill_at = Some(Instant::now() + self.stop_within);
                    }
                }
                () = tokio::time::sleep_until(kill_at.unwrap_or_else(Instant::now)), if kill_at.is_some() => {
                    tracing::warn!(pid = self.group.as_raw_nonzero().get(), "a container does not end; it is killed");
                    self.signal(Signal::KILL);
                    kill_at = Some(Instant::now() + self.stop_within);
                }
            }
        }
        // What it started and left behind ends with it.
        self.signal(Signal::KILL);
        match self.child.wait().await {
            _ if told => Exit::Told,
            Ok(status) => match (status.code(), status.signal()) {
                (Some(code), _) => Exit::Code(code),
                (None, signal) => Exit::Signal(signal.unwrap_or_default()),
            },
            Err(error) => {
                tracing::error!(%error, "how a container ended is not known");
                Exit::Code(-1)
            }
        }
    }

    fn signal(&self, signal: Signal) {
        // An empty group is fine.
        let _none = kill_process_group(self.group, signal);
    }

    /// The container ends its workers by itself, in its own order.
    fn signal_leader(&self, signal: Signal) {
        let _none = rustix::process::pidfd_send_signal(self.handle.get_ref(), signal);
    }
}
