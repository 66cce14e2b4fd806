//! libzmq (pyzmq) as the gateway: a ROUTER written from docs/protocol/07-user-events.md alone.

use super::{USER, alert, container, drained};
use service::metrics::Metrics;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

fn package() -> PathBuf {
    std::env::var_os("CARGO_MANIFEST_DIR").map_or_else(|| ".".into(), PathBuf::from)
}

/// The Python with the peers' packages, as `testkit` finds it.
fn python() -> PathBuf {
    let path = std::env::var_os("DEXORDER_PYTHON").map_or_else(|| package().join("../.venv/bin/python"), PathBuf::from);
    assert!(path.exists(), "{} is missing: run `make .venv/.ready`", path.display());
    path
}

struct Peer(Child);

impl Drop for Peer {
    fn drop(&mut self) {
        // It may have ended by itself.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pyzmq_router_takes_events_in_order_and_its_acks_are_believed() {
    let script = std::env::var_os("AGENT_EVENTS_PEER")
        .map_or_else(|| package().join("tests/events/gateway_peer.py"), PathBuf::from);
    let key: String = (0..32u8).map(|byte| format!("{byte:02x}")).collect();
    let mut command = Command::new(python());
    command.arg(script).args([USER.to_string(), key, "50".to_owned()]).stdout(Stdio::piped());
    let mut peer = Peer(command.spawn().unwrap());
    let mut lines = BufReader::new(peer.0.stdout.take().unwrap()).lines().map(Result::unwrap);
    let port: u16 = lines.next().unwrap().strip_prefix("port ").unwrap().parse().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let events = container(dir.path(), port, &Metrics::new()).await;
    for number in 0..50 {
        events.critical(alert(&serde_json::json!({ "number": number }))).await.unwrap();
    }
    drained(&events).await;
    let taken: Vec<String> = lines.collect();
    let expected: Vec<String> = (0..50).map(|number| format!("{} {{\"number\":{number}}}", number + 1)).collect();
    assert_eq!(taken, expected);
    assert_eq!(events.shutdown(std::time::Duration::from_secs(5)).await, 0);
}
