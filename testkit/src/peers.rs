//! Python peers of the tests (pyzmq, pyiceberg, DuckDB), run as child processes.

use std::path::{Path, PathBuf};
use std::process::Command;

/// The root of the workspace, for a test of any of its crates. Asked for when the test runs: one build may serve several
/// clones.
#[must_use]
pub fn workspace() -> PathBuf {
    let package = std::env::var_os("CARGO_MANIFEST_DIR").map_or_else(|| ".".into(), PathBuf::from);
    package.join("..")
}

/// The Python with the peers' packages: `DEXORDER_PYTHON`, else `.venv/bin/python` of the workspace.
///
/// # Panics
/// If there is none: `make test` sets it up.
#[must_use]
pub fn python() -> PathBuf {
    let path = std::env::var_os("DEXORDER_PYTHON").map_or_else(|| workspace().join(".venv/bin/python"), PathBuf::from);
    assert!(path.exists(), "{} is missing: run `make .venv/.ready`", path.display());
    path
}

/// The folder with recorded market data that is not part of the project, if it is there.
#[must_use]
pub fn shared_data() -> Option<PathBuf> {
    let root = std::env::var_os("DEXORDER_SHARED").map_or_else(|| workspace().join("../shared"), PathBuf::from);
    let data = root.join("data");
    if data.is_dir() {
        return Some(data);
    }
    eprintln!("left out: ../shared/data is not here");
    None
}

/// Runs a script and returns what it printed.
///
/// # Panics
/// With the script's output if it fails.
pub fn run_python<S: AsRef<std::ffi::OsStr>>(script: &Path, args: &[S]) -> String {
    let output = Command::new(python()).arg(script).args(args).output().expect("python starts");
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{}:\n{out}{err}", script.display());
    out.into_owned()
}
