//! What time does: handshakes that take too long, silent peers, stuck peers, the status page.

use super::link::{End, Link};
use super::{Engine, Key, Settings, Switch};
use crate::config::{Config, Limits};
use crate::status::{EngineStatus, PEERS, PeerStatus};
use std::time::{Duration, Instant};
use zmtp::codec::Command;

const STATUS_INTERVAL: Duration = Duration::from_millis(500);
const TICK: Duration = Duration::from_millis(250);
/// Connections looked at in one tick.
const SWEEP_SLOTS: usize = 1024;

impl Settings {
    /// Of an engine that is limited so.
    pub(crate) fn new(config: &Config, limits: &Limits) -> Self {
        Self {
            connections: limits.connections,
            connections_per_address: limits.connections_per_address,
            half_open: limits.half_open,
            handshake_timeout: limits.handshake_timeout,
            backlog_bytes: limits.backlog_bytes,
            backlog_messages: limits.backlog_messages,
            backlog_total_bytes: limits.backlog_total_bytes,
            stuck_timeout: limits.stuck_timeout,
            stuck_bytes: limits.stuck_bytes,
            heartbeat_interval: config.heartbeat.interval,
            heartbeat_timeout: config.heartbeat.timeout,
            is_shard: false,
        }
    }

    /// Of a shard: the front has let its peers in.
    pub(crate) fn of_shard(self) -> Self {
        let (connections, connections_per_address, half_open) = (usize::MAX, usize::MAX, usize::MAX);
        Self { connections, connections_per_address, half_open, is_shard: true, ..self }
    }

    /// How often time is looked at: often enough for the shortest of the time limits.
    fn tick(&self) -> Duration {
        let shortest = self.handshake_timeout.min(self.stuck_timeout).min(self.heartbeat_interval);
        TICK.min(shortest / 4).max(Duration::from_millis(1))
    }
}

impl<S: Switch> Engine<S> {
    pub(super) fn tick(&mut self) {
        // A part of the connections each time, so that many of them do not hold everybody up at once.
        let slots = self.links.slots();
        let parts = u32::try_from(slots.div_ceil(SWEEP_SLOTS).max(1)).unwrap_or(u32::MAX);
        self.next_tick = self.now + self.settings.tick() / parts;
        let part = self.sweep_at..(self.sweep_at + SWEEP_SLOTS).min(slots.max(1));
        self.sweep_at = if part.end >= slots { 0 } else { part.end };
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
        for key in part {
            if self.links.get(key).is_some_and(Link::is_open) {
                self.check(key);
            }
        }
        self.settle();
        // The front counts the peers of the shards as well.
        if !self.settings.is_shard {
            let [open, half_open] = &mut self.shown;
            open.show(&self.counters.peers, self.admission.open());
            half_open.show(&self.counters.half_open, self.admission.half_open());
        }
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
        // Who has not read our PING cannot answer it; that is for the stuck rule to judge, and afterwards the time to answer
        // begins anew.
        if link.minor() == 0 || link.lag.is_some() {
            return;
        }
        if silence.min(now.duration_since(link.last_lag)) >= settings.heartbeat_timeout {
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
    pub(super) fn observe(&mut self) -> EngineStatus {
        let elapsed = self.now.duration_since(self.last_status).as_millis().max(1);
        let per_second = |now: u64, before: &mut u64| {
            let grown = u128::from(now.saturating_sub(std::mem::replace(before, now)));
            u64::try_from(grown * 1000 / elapsed).unwrap_or(u64::MAX)
        };
        let mut status = EngineStatus {
            name: self.name,
            endpoints: self.endpoints.clone(),
            half_open: if self.settings.is_shard { 0 } else { self.admission.half_open() },
            prefixes: self.switch.prefixes(),
            backlog_bytes: self.links.backlog_total(),
            ..EngineStatus::default()
        };
        let mut weights = Vec::new();
        for (key, link) in self.links.alive_mut().filter(|(_, link)| link.is_open()) {
            if let Some(endpoint) = status.endpoints.iter_mut().find(|endpoint| endpoint.name == link.endpoint) {
                endpoint.peers += 1;
            }
            let traffic = [(link.received, 0), (link.delivered, 1)];
            link.rates = traffic.map(|(now, which)| per_second(now, &mut link.shown[which]));
            let [received, delivered] = link.rates;
            status.received_per_second += received;
            status.delivered_per_second += delivered;
            weights.push(((link.output.backlog_len(), received + delivered), key));
        }
        // Only those that are shown are described: with ten thousand peers the others would hold everybody up.
        if weights.len() > PEERS {
            weights.select_nth_unstable_by(PEERS, |a, b| b.cmp(a));
            weights.truncate(PEERS);
        }
        status.peers = weights.into_iter().filter_map(|(_, key)| self.describe(key)).collect();
        status.shorten();
        self.last_status = self.now;
        status
    }

    fn describe(&self, key: Key) -> Option<PeerStatus> {
        let link = self.links.get(key)?;
        let peer = link.peer()?;
        let [received_per_second, delivered_per_second] = link.rates;
        Some(PeerStatus {
            endpoint: link.endpoint,
            address: link.address,
            socket: peer.socket_type.name(),
            zmtp_minor: peer.minor,
            connected_seconds: self.now.duration_since(link.born).as_secs(),
            silent_seconds: self.now.duration_since(link.last_input).as_secs(),
            subscriptions: self.switch.subscriptions_of(key),
            received: link.received,
            delivered: link.delivered,
            received_per_second,
            delivered_per_second,
            dropped: link.dropped,
            backlog_bytes: link.output.backlog_len(),
            backlog_messages: link.output.backlog_messages(),
        })
    }
}
