//! Diagnostics for the `/status` page of the process: what is connected, and what waits for whom.

use serde::Serialize;
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

/// The relay, at most half a second old.
#[derive(Debug, Clone, Serialize)]
pub struct Status {
    /// The fan-out ports and the request ports.
    pub engines: Vec<EngineStatus>,
    /// All counters by their metric names.
    pub counters: BTreeMap<String, u64>,
}

/// The connections of one engine.
#[derive(Debug, Clone, Default, Serialize)]
pub struct EngineStatus {
    /// `fanout` or `requests`.
    pub name: &'static str,
    /// Its ports.
    pub endpoints: Vec<EndpointStatus>,
    /// Connections that have not shaken hands.
    pub half_open: usize,
    /// Different prefixes subscribed to.
    pub prefixes: usize,
    /// Bytes waiting for all peers.
    pub backlog_bytes: usize,
    /// The peers with the most waiting, at most a hundred.
    pub peers: Vec<PeerStatus>,
}

/// One port.
#[derive(Debug, Clone, Serialize)]
pub struct EndpointStatus {
    /// Its name in the configuration.
    pub name: &'static str,
    /// Where it is bound.
    pub address: SocketAddr,
    /// Its socket type.
    pub socket: &'static str,
    /// Peers connected.
    pub peers: usize,
}

/// One peer.
#[derive(Debug, Clone, Serialize)]
pub struct PeerStatus {
    /// The port it is connected to.
    pub endpoint: &'static str,
    /// Its address.
    pub address: IpAddr,
    /// Its socket type.
    pub socket: &'static str,
    /// It speaks ZMTP 3 with this minor version.
    pub zmtp_minor: u8,
    /// Since it connected.
    pub connected_seconds: u64,
    /// Since it last sent anything.
    pub silent_seconds: u64,
    /// Prefixes it subscribed to.
    pub subscriptions: usize,
    /// Messages it sent.
    pub received: u64,
    /// Messages sent to it or waiting for it.
    pub delivered: u64,
    /// Messages dropped because its backlog was full.
    pub dropped: u64,
    /// Bytes waiting for it.
    pub backlog_bytes: usize,
}
