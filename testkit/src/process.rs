//! The real `dexorder` binary as a child process.

use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

/// A guard, not a measure: a test that waits longer than this has failed.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// A running `dexorder`.
#[derive(Debug)]
pub struct Dexorder {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
    log: PathBuf,
}

/// The binary beside the running test.
///
/// # Panics
/// If it was not built: run the tests with `--workspace`.
#[must_use]
pub fn binary() -> PathBuf {
    built("dexorder")
}

fn built(program: &str) -> PathBuf {
    let test = std::env::current_exe().expect("the test knows its own path");
    let path = test.parent().and_then(Path::parent).expect("tests lie in deps/").join(program);
    assert!(path.is_file(), "{} is missing: run `cargo test --workspace`", path.display());
    path
}

/// Chooses the TLS provider, which an HTTP client of a test needs once per process.
pub fn use_ring() {
    // A second call finds it chosen already.
    let _chosen = rustls::crypto::ring::default_provider().install_default();
}

impl Dexorder {
    /// Starts it; its log goes to a file whose end is shown when something fails.
    ///
    /// # Panics
    /// If it cannot be started.
    pub fn start<S: AsRef<std::ffi::OsStr>>(args: &[S], log: &Path) -> Self {
        Self::run(&binary(), args, log)
    }

    /// Starts a container by its own program, `dexorder-agent`.
    ///
    /// # Panics
    /// If it cannot be started.
    pub fn start_agent<S: AsRef<std::ffi::OsStr>>(args: &[S], log: &Path) -> Self {
        Self::run(&built("dexorder-agent"), args, log)
    }

    fn run<S: AsRef<std::ffi::OsStr>>(program: &Path, args: &[S], log: &Path) -> Self {
        let stderr = std::fs::OpenOptions::new().create(true).append(true).open(log).expect("the log can be written");
        let mut child = Command::new(program)
            .args(args)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(stderr)
            .kill_on_drop(true)
            .spawn()
            .expect("dexorder starts");
        let stdout = child.stdout.take().expect("stdout is piped");
        Self { child, lines: BufReader::new(stdout).lines(), log: log.to_owned() }
    }

    /// Its process id; 0 after its end.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id().unwrap_or(0)
    }

    /// Waits for a line on standard output that starts with `prefix` and returns the rest.
    ///
    /// # Panics
    /// If the process ends or too much time passes before.
    pub async fn line(&mut self, prefix: &str) -> String {
        let search = async {
            loop {
                match self.lines.next_line().await.expect("stdout can be read") {
                    Some(line) => {
                        if let Some(rest) = line.strip_prefix(prefix) {
                            return rest.trim().to_owned();
                        }
                    }
                    None => panic!("ended before it printed {prefix:?}\n{}", self.log_end()),
                }
            }
        };
        match tokio::time::timeout(PATIENCE, search).await {
            Ok(rest) => rest,
            Err(_) => panic!("no {prefix:?} on standard output\n{}", self.log_end()),
        }
    }

    /// Kills it as a crash would: no handler runs.
    ///
    /// # Panics
    /// If it cannot be killed.
    pub async fn kill_9(&mut self) {
        self.child.kill().await.expect("the child can be killed");
    }

    /// Kills it with SIGKILL unless it ends by itself within `moment`.
    ///
    /// # Panics
    /// If it cannot be killed.
    pub async fn kill_9_after(&mut self, moment: Duration) -> Option<ExitStatus> {
        match tokio::time::timeout(moment, self.child.wait()).await {
            Ok(status) => Some(status.expect("the child can be waited for")),
            Err(_) => {
                self.kill_9().await;
                None
            }
        }
    }

    /// Asks it to stop and waits.
    ///
    /// # Panics
    /// If it does not stop in time.
    pub async fn terminate(self) -> ExitStatus {
        let pid = self.child.id().and_then(|id| i32::try_from(id).ok()).and_then(rustix::process::Pid::from_raw);
        if let Some(pid) = pid {
            // A process that ended in between is fine too.
            let _ended = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        }
        self.exit().await
    }

    /// Waits until it ends by itself.
    ///
    /// # Panics
    /// If it does not end in time.
    pub async fn exit(mut self) -> ExitStatus {
        match tokio::time::timeout(PATIENCE, self.child.wait()).await {
            Ok(status) => status.expect("the child can be waited for"),
            Err(_) => panic!("did not end\n{}", self.log_end()),
        }
    }

    /// The end of its log.
    #[must_use]
    pub fn log_end(&self) -> String {
        let text = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<_> = text.lines().collect();
        lines[lines.len().saturating_sub(40)..].join("\n")
    }
}
