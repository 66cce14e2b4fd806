//! What time does: handshakes that take too long, silent peers, stuck peers, the status page.

use super::link::End;
use super::{Engine, Key, Settings, Switch};
use crate::config::Config;
use crate::counters::set;
use crate::status::{EndpointStatus, EngineStatus, PeerStatus};
use std::time::{Duration, Instant};
use zmtp::codec::Command;

/// Peers on the status page: those with the most waiting.
const STATUS_PEERS: usize = 100;
const STATUS_INTERVAL: Duration = Duration::from_millis(500);
const TICK: Duration = Duration::from_millis(250);

impl From<&Config> for Settings {
    fn from(config: &Config) -> Self {
        let limits = &config.limits;
        Self {
            connections: limits.connections,
            connections_per_address: limits.connections_per_address,
            half_open: limits.half_open,
            handshake_timeout: limits.handshake_timeout,
            backlog_bytes: limits.backlog_bytes,
            backlog_total_bytes: limits.backlog_total_bytes,
            stuck_timeout: limits.stuck_timeout,
            stuck_bytes: limits.stuck_bytes,
            heartbeat_interval: config.heartbeat.interval,
            heartbeat_timeout: config.heartbeat.timeout,
        }
    }
}

impl Settings {
    /// How often time is looked at: often enough for the shortest of the time limits.
    fn tick(&self) -> Duration {
        let shortest = self.handshake_timeout.min(self.stuck_timeout).min(self.heartbeat_interval);
        TICK.min(shortest / 4).max(Duration::from_millis(1))
    }
}

impl<S: Switch> Engine<S> {
    pub(super) fn tick(&mut self) {
        self.next_tick = self.now + self.settings.tick();
        // After a failure of accept nobody says when the listener is worth another try.
        for listener in &mut self.listeners {
            listener.ready = true;
        }
        while let Some(key) = self.links.oldest_half_open() {
            let late = |born| self.now.duration_since(born) >= self.settings.handshake_timeout;
            if !self.links.get(key).is_some_and(|link| late(link.born)) {
                break;
            }
            self.links.doom(key, End::HandshakeTimeout);
        }
        let keys: Vec<Key> = self.links.alive().filter(|(_, link)| link.is_open()).map(|(key, _)| key).collect();
        for key in keys {
            self.check(key);
        }
        self.settle();
        set(&self.counters.peers, self.admission.open());
        set(&self.counters.half_open, self.admission.half_open());
        if self.now >= self.next_status {
            self.next_status = self.now + STATUS_INTERVAL;
            self.publish_status();
        }
    }

    fn check(&mut self, key: Key) {
        let (now, settings) = (self.now, &self.settings);
        let Some(link) = self.links.get_mut(key) else { return };
        if link.lag.is_some() && !std::mem::replace(&mut link.output.writable, true) {
            // The system says that a socket is writable only when a third of its buffer is free. Who reads slowly would
            // look stuck until then, so it is tried.
            self.links.touch(key);
        }
        let Some(link) = self.links.get_mut(key) else { return };
        if let Some(lag) = &mut link.lag
            && now.duration_since(lag.period) >= settings.stuck_timeout
        {
            if lag.taken < settings.stuck_bytes {
                return self.links.doom(key, End::Stuck);
            }
            lag.period = now;
            lag.taken = 0;
        }
        let silence = now.duration_since(link.last_input);
        // A TTL counts from the traffic, of which the PING itself was the last.
        if link.ttl.is_some_and(|ttl| silence > ttl) {
            return self.links.doom(key, End::Silent);
        }
        // Who has not read our PING cannot answer it; that is for the stuck rule to judge.
        if link.minor() == 0 || link.lag.is_some() {
            return;
        }
        if silence >= settings.heartbeat_timeout {
            return self.links.doom(key, End::Silent);
        }
        let due = |since: Instant| now.duration_since(since) >= settings.heartbeat_interval;
        if due(link.last_input) && due(link.last_ping) {
            link.last_ping = now;
            let ttl_ds = u16::try_from(settings.heartbeat_timeout.as_millis() / 100).unwrap_or(u16::MAX);
            self.links.answer(key, |out| Command::encode_ping(out, ttl_ds, b""));
        }
    }

    /// The diagnostics of this engine.
    pub(super) fn observe(&self) -> EngineStatus {
        let mut endpoints: Vec<EndpointStatus> = self
            .listeners
            .iter()
            .map(|listener| EndpointStatus {
                name: listener.port.name,
                address: listener.port.address,
                socket: listener.port.socket_type.name(),
                peers: 0,
            })
            .collect();
        let mut peers = Vec::new();
        for (key, link) in self.links.alive() {
            let Some(peer) = link.peer() else { continue };
            if let Some(endpoint) = endpoints.get_mut(link.listener) {
                endpoint.peers += 1;
            }
            peers.push(PeerStatus {
                endpoint: endpoints.get(link.listener).map_or("", |endpoint| endpoint.name),
                address: link.address,
                socket: peer.socket_type.name(),
                zmtp_minor: peer.minor,
                connected_seconds: self.now.duration_since(link.born).as_secs(),
                silent_seconds: self.now.duration_since(link.last_input).as_secs(),
                subscriptions: self.switch.subscriptions_of(key),
                received: link.received,
                delivered: link.delivered,
                dropped: link.dropped,
                backlog_bytes: link.output.backlog_len(),
            });
        }
        peers.sort_by_key(|peer| std::cmp::Reverse(peer.backlog_bytes));
        peers.truncate(STATUS_PEERS);
        EngineStatus {
            name: self.name,
            endpoints,
            half_open: self.admission.half_open(),
            prefixes: self.switch.prefixes(),
            backlog_bytes: self.links.backlog_total(),
            peers,
        }
    }
}
