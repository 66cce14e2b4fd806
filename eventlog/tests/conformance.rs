//! The embedded log keeps what the contract promises, alone and with a shared directory.

#![allow(clippy::unwrap_used, reason = "a test stops at the first thing that fails")]

use eventlog::{EmbeddedConfig, EmbeddedLog, EventLog, conformance};
use std::sync::Arc;

async fn failures(shared: bool, segment_bytes: u64) -> Vec<(&'static str, conformance::Failure)> {
    let root = tempfile::tempdir().unwrap();
    let mut logs = 0;
    let open = || {
        logs += 1;
        let dir = root.path().join(format!("log{logs}"));
        async move {
            let config = EmbeddedConfig { shared, segment_bytes, ..EmbeddedConfig::new(dir) };
            EmbeddedLog::open(config).unwrap() as Arc<dyn EventLog>
        }
    };
    conformance::run_all("conformance", open).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_embedded_log_passes_every_check() {
    assert_eq!(failures(false, 64 << 20).await, []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_embedded_log_passes_every_check_with_a_shared_directory() {
    assert_eq!(failures(true, 64 << 20).await, []);
}

#[tokio::test]
async fn the_embedded_log_passes_every_check_with_tiny_segments_on_one_thread() {
    assert_eq!(failures(true, 300).await, []);
}
