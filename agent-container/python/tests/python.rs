//! Runs the tests that are written in Python (tests/python) against the module as it was just built.
//!
//! The module is the cdylib of this package's own library target, which Cargo builds for any of its integration tests and puts
//! beside them, in `target/<profile>/deps`; nothing else has to be built first, and it cannot be an old one.

use std::path::{Path, PathBuf};
use std::process::Command;

/// The Python with the packages of testkit/requirements.txt: `DEXORDER_PYTHON`, else the workspace's, else the system's.
fn python() -> PathBuf {
    let ours = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.venv/bin/python");
    let default = if ours.is_file() { ours } else { PathBuf::from("python3") };
    std::env::var_os("DEXORDER_PYTHON").map_or(default, PathBuf::from)
}

#[test]
fn the_module_does_what_its_python_tests_say() {
    let test = std::env::current_exe().expect("a test has a path");
    let module = test.parent().expect("it lies in a directory").join("libagent_python.so");
    assert!(module.is_file(), "{} is not there", module.display());
    let python = python();
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/python");
    let output = Command::new(&python)
        .args(["-B", "-m", "unittest", "discover", "-s"])
        .arg(&tests)
        .env("DEXORDER_MODULE", &module)
        .env("DEXORDER_DOCS", Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/strategies.md"))
        .output()
        .unwrap_or_else(|error| panic!("{}: {error}", python.display()));
    let (out, told) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{}:\n{out}{told}", python.display());
    assert!(told.contains("\nOK"), "{told}");
}
