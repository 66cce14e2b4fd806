//! Critical events between real processes over real sockets: a hundred kills of either side, forgers, and pyzmq as the
//! gateway.
//!
//! The children are this test binary again, told by an environment variable to run one of the `child_…` tests.

#![allow(clippy::unwrap_used, reason = "a test stops at the first thing that fails")]

#[path = "events/chaos.rs"]
mod chaos;
#[path = "events/forgers.rs"]
mod forgers;
#[path = "events/gateway.rs"]
mod gateway;
#[path = "events/pyzmq.rs"]
mod pyzmq;

use agent_container::events::{Events, EventsConfig, NewEvent};
use proto::{EventKind, UserId};
use service::clock::Clock;
use service::metrics::Metrics;
use std::path::Path;
use user_events::{Keyring, MacKey};

const USER: UserId = UserId::from_bits(0x0192_7f73_6d13_eeb8_3268_be2f_8c74_2d2c);

fn key() -> MacKey {
    MacKey::new(7, &std::array::from_fn(|i| u8::try_from(i).unwrap())).unwrap()
}

fn ring() -> Keyring {
    let mut ring = Keyring::default();
    ring.insert(USER, key());
    ring
}

/// A container's events, below `dir`, for the gateway on this port.
async fn container(dir: &Path, port: u16, metrics: &Metrics) -> Events {
    let config = EventsConfig {
        bind: "tcp://127.0.0.1:0".to_owned(),
        ..EventsConfig::new(dir.join("outbox"), format!("tcp://127.0.0.1:{port}"))
    };
    Events::start(&config, USER, key(), Clock::System, metrics).await.unwrap()
}

fn alert(payload: &serde_json::Value) -> NewEvent {
    NewEvent::new(EventKind::Alert, payload).unwrap()
}

/// Waits until the gateway has acked everything.
async fn drained(events: &Events) {
    let mut unacked = events.outbox().watch_unacked();
    let all = unacked.wait_for(|unacked| *unacked == 0);
    tokio::time::timeout(std::time::Duration::from_secs(60), all).await.expect("acked in time").unwrap();
}
