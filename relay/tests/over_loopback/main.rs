//! The relay over loopback: with peers that speak raw bytes, with our own sockets, and with libzmq through pyzmq.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod fan_out;
mod harness;
mod history_client;
mod hostile_peers;
mod life;
mod model;
mod python_peer;
mod pyzmq;
mod raw_peer;
mod requests;
mod slow_peers;
mod zeromq_crate;

/// `over_shards` runs the same with several.
const FAN_OUT_THREADS: usize = 1;
