//! libzmq (pyzmq) as the container: a DEALER written from docs/protocol/07-user-events.md alone.

use super::world::{ALICE, Setup};
use std::path::PathBuf;
use std::process::{Command, Stdio};

fn package() -> PathBuf {
    std::env::var_os("CARGO_MANIFEST_DIR").map_or_else(|| ".".into(), PathBuf::from)
}

/// The Python with the peers' packages, as `testkit` finds it.
fn python() -> PathBuf {
    let path =
        std::env::var_os("DEXORDER_PYTHON").map_or_else(|| package().join("../../.venv/bin/python"), PathBuf::from);
    assert!(path.exists(), "{} is missing: run `make .venv/.ready`", path.display());
    path
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pyzmq_dealer_sends_and_repeats_and_believes_our_acks() {
    let dir = tempfile::tempdir().unwrap();
    let world = Setup::sqlite(dir.path()).start().await;
    let mut key = [0; 32];
    key[..16].copy_from_slice(&ALICE.bits().to_be_bytes());
    key[16..20].copy_from_slice(&7u32.to_be_bytes());
    let key: String = key.iter().map(|byte| format!("{byte:02x}")).collect();
    let mut command = Command::new(python());
    command.arg(package().join("tests/service/container_peer.py"));
    command.args([world.port().to_string(), ALICE.to_string(), key, "50".to_owned()]).stdout(Stdio::piped());
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{said}");
    assert_eq!(said, "acked 50\n");
    let payloads: Vec<_> = world.all(ALICE).await.into_iter().map(|listed| listed.notification.payload).collect();
    let expected: Vec<String> = (1..=50).map(|number| format!("{{\"number\":{number}}}")).collect();
    assert_eq!(payloads, expected);
    // Each was sent twice, the second time as a possible duplicate.
    assert_eq!((world.metric("recorded_total"), world.metric("duplicate_total")), (50, 50));
    world.stop().await;
}
