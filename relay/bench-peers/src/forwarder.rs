//! The forwarders that are compared: child processes on free ports of loopback, and what they cost.

use anyhow::Context;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Kind {
    Relay,
    Libzmq,
    Zeromq,
    Nats,
}

impl Kind {
    pub fn name(self) -> &'static str {
        match self {
            Self::Relay => "relay",
            Self::Libzmq => "zmq_proxy",
            Self::Zeromq => "zeromq crate",
            Self::Nats => "nats-server",
        }
    }
}

pub struct Forwarder {
    child: Child,
    pub kind: Kind,
    pub publishers: SocketAddr,
    pub subscribers: SocketAddr,
}

/// A port that is free now.
fn free_port() -> anyhow::Result<SocketAddr> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?)
}

/// Whether somebody listens there. Not found out by connecting: one closed connection ends the `zeromq` crate's proxy.
fn listens(address: SocketAddr) -> anyhow::Result<bool> {
    let port = format!(":{:04X}", address.port());
    let is_it = |line: &str| {
        let mut words = line.split_whitespace().skip(1);
        words.next().is_some_and(|local| local.ends_with(&port)) && words.nth(1) == Some("0A")
    };
    Ok(std::fs::read_to_string("/proc/net/tcp")?.lines().any(is_it))
}

impl Forwarder {
    /// Starts one and waits until it accepts connections.
    pub fn start(kind: Kind, options: &[String]) -> anyhow::Result<Self> {
        let (publishers, mut subscribers) = (free_port()?, free_port()?);
        let mut command = if kind == Kind::Nats {
            subscribers = publishers;
            let mut command = Command::new("nats-server");
            command.args(["-a", "127.0.0.1", "-p", &publishers.port().to_string(), "-l", "/dev/null"]);
            command
        } else {
            let binary = match kind {
                Kind::Relay => "forward-relay",
                Kind::Libzmq => "forward-libzmq",
                _ => "forward-zeromq",
            };
            let mut command = Command::new(std::env::current_exe()?.with_file_name(binary));
            command.args([publishers.to_string(), subscribers.to_string()]);
            if kind == Kind::Relay {
                command.args(options);
            }
            command
        };
        let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let child = child.with_context(|| format!("cannot start {}", kind.name()))?;
        let mut forwarder = Self { child, kind, publishers, subscribers };
        for address in [publishers, subscribers] {
            let begin = Instant::now();
            while !listens(address)? {
                anyhow::ensure!(begin.elapsed() < Duration::from_secs(10), "{} does not listen", kind.name());
                anyhow::ensure!(forwarder.child.try_wait()?.is_none(), "{} ended", kind.name());
                std::thread::sleep(Duration::from_millis(5));
            }
        }
        Ok(forwarder)
    }

    /// CPU time of all its threads so far, in nanoseconds.
    pub fn cpu_ns(&self) -> u64 {
        let tasks = std::fs::read_dir(format!("/proc/{}/task", self.child.id())).into_iter().flatten().flatten();
        let on_cpu = |path: std::path::PathBuf| -> Option<u64> {
            std::fs::read_to_string(path).ok()?.split(' ').next()?.parse().ok()
        };
        tasks.filter_map(|task| on_cpu(task.path().join("schedstat"))).sum()
    }

    /// Resident memory now and at its highest, in MiB.
    pub fn memory_mib(&self) -> (u64, u64) {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap_or_default();
        let kib = |key: &str| {
            let line = status.lines().find(|line| line.starts_with(key))?;
            line.split_whitespace().nth(1)?.parse::<u64>().ok()
        };
        (kib("VmRSS:").unwrap_or(0) / 1024, kib("VmHWM:").unwrap_or(0) / 1024)
    }
}

impl Drop for Forwarder {
    fn drop(&mut self) {
        let ended = self.child.kill().and_then(|()| self.child.wait());
        if let Err(error) = ended {
            eprintln!("cannot end {}: {error}", self.kind.name());
        }
    }
}
