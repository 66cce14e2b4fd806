//! All that `over_loopback` asserts holds with several threads as well.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "over_loopback/fan_out.rs"]
mod fan_out;
#[path = "over_loopback/harness.rs"]
mod harness;
#[path = "over_loopback/history_client.rs"]
mod history_client;
#[path = "over_loopback/hostile_peers.rs"]
mod hostile_peers;
#[path = "over_loopback/life.rs"]
mod life;
#[path = "over_loopback/model.rs"]
mod model;
#[path = "over_loopback/python_peer.rs"]
mod python_peer;
#[path = "over_loopback/pyzmq.rs"]
mod pyzmq;
#[path = "over_loopback/raw_peer.rs"]
mod raw_peer;
#[path = "over_loopback/requests.rs"]
mod requests;
#[path = "over_loopback/slow_peers.rs"]
mod slow_peers;
#[path = "over_loopback/zeromq_crate.rs"]
mod zeromq_crate;

const FAN_OUT_THREADS: usize = 3;
