//! Runs the tests that are written in Python (tests/python) against the module as it was just built.
//!
//! The module is the cdylib of this package's own library target, which Cargo builds for any of its integration tests and puts
//! beside them, in `target/<profile>/deps`; nothing else has to be built first, and it cannot be an old one.

use std::path::Path;
use std::process::Command;

#[test]
fn the_module_does_what_its_python_tests_say() {
    let test = std::env::current_exe().expect("a test has a path");
    let module = test.parent().expect("it lies in a directory").join("libagent_python.so");
    assert!(module.is_file(), "{} is not there", module.display());
    let python = std::env::var("DEXORDER_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/python");
    let output = Command::new(&python)
        .args(["-B", "-m", "unittest", "discover", "-s"])
        .arg(&tests)
        .env("DEXORDER_MODULE", &module)
        .env("DEXORDER_DOCS", Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/strategies.md"))
        .output()
        .unwrap_or_else(|error| panic!("{python}: {error}"));
    let (out, told) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{python}:\n{out}{told}");
    assert!(told.contains("\nOK"), "{told}");
}
