//! Python scripts as child processes, driven and watched by lines.

use crate::harness::soon;
use std::path::PathBuf;
use std::process::Stdio;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

fn root() -> PathBuf {
    // Asked for when the test runs: one build may serve several clones.
    let package = std::env::var_os("CARGO_MANIFEST_DIR").map_or_else(|| ".".into(), PathBuf::from);
    package.join("..")
}

fn python() -> PathBuf {
    let path = std::env::var_os("DEXORDER_PYTHON").map_or_else(|| root().join(".venv/bin/python"), PathBuf::from);
    assert!(
        path.exists(),
        "no Python with the test peers at {}: run `make test`, which makes it from testkit/requirements.txt, or set DEXORDER_PYTHON",
        path.display()
    );
    path
}

#[derive(Debug)]
pub(crate) struct Python {
    // Killed when the peer is dropped.
    child: Child,
    stdin: ChildStdin,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Python {
    /// Runs a script, given relative to the workspace.
    pub(crate) fn run(script: &str, arguments: &[&str]) -> Self {
        let mut child = Command::new(python())
            .arg(root().join(script))
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let (stdin, stdout) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        Self { child, stdin, lines: BufReader::new(stdout).lines() }
    }

    /// A libzmq socket that is connected.
    pub(crate) async fn zmq(socket: &str, endpoint: &str, options: &[&str]) -> Self {
        let arguments: Vec<&str> = [socket, endpoint].into_iter().chain(options.iter().copied()).collect();
        let mut peer = Self::run("relay/tests/peers/zmq_peer.py", &arguments);
        peer.expect("up").await;
        peer
    }

    pub(crate) async fn tell(&mut self, line: &str) {
        soon(self.stdin.write_all(format!("{line}\n").as_bytes())).await.unwrap();
        soon(self.stdin.flush()).await.unwrap();
    }

    /// The next line it prints.
    pub(crate) async fn line(&mut self) -> String {
        soon(self.lines.next_line()).await.unwrap().expect("the Python peer ended")
    }

    pub(crate) async fn expect(&mut self, expected: &str) {
        assert_eq!(self.line().await, expected);
    }

    /// Returns when it printed the line; what it printed before is passed over.
    pub(crate) async fn until(&mut self, expected: &str) {
        while self.line().await != expected {}
    }

    /// Sends a message.
    pub(crate) async fn send(&mut self, frames: &[&[u8]]) {
        let frames: Vec<String> = frames.iter().map(|frame| hex(frame)).collect();
        self.tell(&format!("send {}", frames.join(" "))).await;
    }

    pub(crate) async fn subscribe(&mut self, topic: &[u8]) {
        self.tell(&format!("subscribe {}", hex(topic))).await;
    }

    pub(crate) async fn unsubscribe(&mut self, topic: &[u8]) {
        self.tell(&format!("unsubscribe {}", hex(topic))).await;
    }

    pub(crate) async fn expect_message(&mut self, frames: &[&[u8]]) {
        let frames: Vec<String> = frames.iter().map(|frame| hex(frame)).collect();
        self.expect(&format!("message {}", frames.join(" "))).await;
    }

    /// The frames of the next message.
    pub(crate) async fn message(&mut self) -> Vec<Vec<u8>> {
        let line = self.line().await;
        let frames = line.strip_prefix("message ").unwrap_or_else(|| panic!("expected a message, got {line:?}"));
        frames.split(' ').map(unhex).collect()
    }

    /// Waits until it ends by itself and succeeded; returns what it printed.
    pub(crate) async fn finish(mut self) -> Vec<String> {
        let mut lines = Vec::new();
        while let Some(line) = soon(self.lines.next_line()).await.unwrap() {
            lines.push(line);
        }
        let status = soon(self.child.wait()).await.unwrap();
        assert!(status.success(), "{status}: {lines:?}");
        lines
    }
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    if bytes.is_empty() {
        return "-".to_owned();
    }
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Vec<u8> {
    if text == "-" {
        return Vec::new();
    }
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}
