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
    /// Messages received from all peers, per second since the last look.
    pub received_per_second: u64,
    /// Messages sent to all peers or waiting for them, per second since the last look.
    pub delivered_per_second: u64,
    /// The peers with the most waiting, then those with the most traffic; at most a hundred.
    pub peers: Vec<PeerStatus>,
}

/// Peers of one engine on the page.
pub(crate) const PEERS: usize = 100;

impl EngineStatus {
    /// Adds what another thread of the same engine says.
    pub(crate) fn absorb(&mut self, other: Self) {
        for (own, others) in self.endpoints.iter_mut().zip(&other.endpoints) {
            own.peers += others.peers;
        }
        self.half_open += other.half_open;
        self.backlog_bytes += other.backlog_bytes;
        self.received_per_second += other.received_per_second;
        self.delivered_per_second += other.delivered_per_second;
        self.peers.extend(other.peers);
        self.shorten();
    }

    /// Leaves the peers that matter most.
    pub(crate) fn shorten(&mut self) {
        let weight = |peer: &PeerStatus| (peer.backlog_bytes, peer.received_per_second + peer.delivered_per_second);
        self.peers.sort_by_key(|peer| std::cmp::Reverse(weight(peer)));
        self.peers.truncate(PEERS);
    }
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
    /// Messages it sent, per second since the last look.
    pub received_per_second: u64,
    /// Messages sent to it or waiting for it, per second since the last look.
    pub delivered_per_second: u64,
    /// Messages dropped because its backlog was full.
    pub dropped: u64,
    /// Bytes waiting for it.
    pub backlog_bytes: usize,
    /// Messages waiting for it.
    pub backlog_messages: usize,
}
