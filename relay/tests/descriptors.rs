//! When the process has no descriptor left, who has not shaken hands makes room for who means it. Alone in its process,
//! because it takes all descriptors.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(dead_code, reason = "shares its harness with other tests")]

#[path = "over_loopback/harness.rs"]
mod harness;
#[path = "over_loopback/raw_peer.rs"]
mod raw_peer;

use harness::{TestRelay, config, reaches, soon};
use raw_peer::{Raw, greeting, ready};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::fs::File;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::net::{TcpSocket, TcpStream};
use zmtp::SocketType::Sub;

const FAN_OUT_THREADS: usize = 1;
const HALF_OPEN: usize = 20;

#[tokio::test]
async fn a_peer_comes_in_when_half_open_connections_hold_the_last_descriptors() {
    let mut config = config();
    config.limits.handshake_timeout = Duration::from_secs(3600);
    let relay = TestRelay::with(config);
    let counters = relay.observer.fan_out();
    let mut half_open = Vec::new();
    for _ in 0..HALF_OPEN {
        half_open.push(soon(TcpStream::connect(relay.addresses.subscribers)).await.unwrap());
    }
    reaches(&counters.accepted_total, HALF_OPEN as u64).await;
    let socket = TcpSocket::new_v4().unwrap();
    let before = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: Some(200), ..before }).unwrap();
    let rest: Vec<File> = std::iter::from_fn(|| File::open("/dev/null").ok()).collect();

    let mut peer = Raw::over(soon(socket.connect(relay.addresses.subscribers)).await.unwrap(), 1);
    peer.send(&[greeting(1), ready(Sub, b"")].concat()).await;
    peer.shaken().await;
    peer.subscribe(b"X").await;
    peer.sync().await;

    drop(rest);
    setrlimit(Resource::Nofile, before).unwrap();
    // One for the peer, and one more because the system fails before it looks whether anybody waits; the others stay.
    let evicted = counters.handshake_evicted_total.load(Ordering::Relaxed);
    assert!((1..=2).contains(&evicted), "{evicted} evicted");
    assert_eq!(counters.accept_failures_total.load(Ordering::Relaxed), evicted);
}
