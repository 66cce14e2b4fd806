//! What the tests stand on: an interpreter, the native module, a server's directories with secrets in them.

use agent_container::tier::Tier;
use agent_container::worker::{
    Follow, Job, Outcome, Work, WorkerConfig, WorkerError, WorkerLimits, WorkerMetrics, Workers,
};
use std::fs;
use std::net::TcpListener;
use std::num::NonZeroUsize;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// The interpreter itself, not a shim: `$DEXORDER_PYTHON`, or `python3` on the path.
pub(crate) fn python() -> PathBuf {
    static PYTHON: OnceLock<PathBuf> = OnceLock::new();
    let find = || {
        let name = std::env::var("DEXORDER_PYTHON").unwrap_or_else(|_unset| "python3".into());
        let program = "import sys, numpy, pandas, matplotlib; print(sys.executable)";
        let found = Command::new(&name).args(["-c", program]).output().unwrap();
        assert!(found.status.success(), "{name} needs testkit/requirements.txt: {}", text(&found.stderr));
        PathBuf::from(text(&found.stdout).trim())
    };
    PYTHON.get_or_init(find).clone()
}

/// The native module, built from this tree: `$DEXORDER_MODULE` names another one.
pub(crate) fn module() -> PathBuf {
    static MODULE: OnceLock<PathBuf> = OnceLock::new();
    let build = || {
        if let Ok(path) = std::env::var("DEXORDER_MODULE") {
            return PathBuf::from(path);
        }
        let test = std::env::current_exe().unwrap();
        // <target>/<profile>/deps/<test>
        let profile = test.parent().unwrap().parent().unwrap();
        let mut cargo = Command::new(env!("CARGO"));
        cargo.args(["build", "--quiet", "-p", "agent-python", "--target-dir"]).arg(profile.parent().unwrap());
        if profile.ends_with("release") {
            cargo.arg("--release");
        }
        assert!(cargo.current_dir(env!("CARGO_MANIFEST_DIR")).status().unwrap().success());
        profile.join("libagent_python.so")
    };
    MODULE.get_or_init(build).clone()
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A server with one user's things, another user's things, and workers.
pub(crate) struct World {
    pub(crate) root: TempDir,
    pub(crate) workers: Workers,
    tcp: TcpListener,
    _unix: UnixListener,
}

impl World {
    pub(crate) fn new() -> Self {
        Self::with(1, 4, None)
    }

    pub(crate) fn with(running_max: usize, waiting_max: usize, first_uid: Option<u32>) -> Self {
        let root = tempfile::tempdir().unwrap();
        let at = |path: &str| root.path().join(path);
        for directory in ["data", "other", "workspace/strategies"] {
            fs::create_dir_all(at(directory)).unwrap();
        }
        fs::write(at("data/outbox.log"), "the server's outbox").unwrap();
        fs::write(at("data/memory.sqlite"), "the server's memory").unwrap();
        fs::write(at("other/secret"), "another user's secret").unwrap();
        fs::write(at("workspace/my_indicator.py"), "def double(x):\n    return 2 * x\n").unwrap();
        symlink(at("data/outbox.log"), at("workspace/way_out")).unwrap();
        let config = WorkerConfig {
            python: python(),
            module: module(),
            scratch_root: at("scratch"),
            running_max: NonZeroUsize::new(running_max).unwrap(),
            waiting_max,
            first_uid,
            without_landlock: false,
        };
        let unix = UnixListener::bind(at("data/socket")).unwrap();
        let workers = Workers::new(config, metrics()).unwrap();
        Self { workers, tcp: TcpListener::bind("127.0.0.1:0").unwrap(), _unix: unix, root }
    }

    pub(crate) fn at(&self, path: &str) -> PathBuf {
        self.root.path().join(path)
    }

    /// The argument of the probes.
    pub(crate) fn facts(&self, scratch: &Path) -> serde_json::Value {
        serde_json::json!({
            "tcp_port": self.tcp.local_addr().unwrap().port(),
            "unix_socket": self.at("data/socket"),
            "server": std::process::id(),
            "other_user": self.at("other/secret"),
            "outbox": self.at("data/outbox.log"),
            "memory_db": self.at("data/memory.sqlite"),
            "data": self.at("data"),
            "workspace": self.at("workspace"),
            "scratch": scratch,
        })
    }

    pub(crate) async fn python(&self, code: &str) -> Outcome {
        self.run(self.job(code), Follow::default()).await.unwrap()
    }

    pub(crate) async fn run(&self, job: Job, follow: Follow) -> Result<Outcome, WorkerError> {
        tokio::time::timeout(Duration::from_secs(120), self.workers.run(job, follow)).await.expect("the server answers")
    }

    pub(crate) fn job(&self, code: &str) -> Job {
        let limits = WorkerLimits { wall: Duration::from_secs(60), ..WorkerLimits::interactive(Tier::Free) };
        Job { work: Work::Python { code: code.into() }, import_from: vec![self.at("workspace")], read: vec![], limits }
    }

    /// The server answers, no process is left, no secret was touched.
    pub(crate) async fn is_well(&self, after: &str) {
        let next = self.python("6 * 7").await;
        assert_eq!(next.result.unwrap()["json"], 42, "after {after}");
        assert_eq!(self.workers.metrics().alive.get(), 0, "a process is left after {after}");
        assert_eq!(self.workers.metrics().scratch_left.get(), 0, "scratch is left after {after}");
        let since = Instant::now();
        while fs::read_dir(self.at("scratch")).unwrap().count() > 0 {
            assert!(since.elapsed() < Duration::from_secs(60), "scratch is left after {after}");
            tokio::task::yield_now().await;
        }
        assert_eq!(fs::read_to_string(self.at("data/outbox.log")).unwrap(), "the server's outbox", "after {after}");
    }
}

/// Counters that nobody reads.
pub(crate) fn metrics() -> WorkerMetrics {
    WorkerMetrics::new(&service::metrics::Metrics::new().module("agent_worker"))
}
