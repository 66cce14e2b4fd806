//! What is run, and what came of it.

use crate::forwarder::Kind;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Peers {
    /// Sockets that speak the wire by themselves and cost almost nothing, so that the forwarder is what limits.
    Raw,
    /// PUB and SUB of libzmq.
    Libzmq,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scenario {
    pub peers: Peers,
    pub subscribers: usize,
    /// Every subscriber has all topics, or each one of its own.
    pub all: bool,
    pub payload: usize,
}

impl Scenario {
    pub fn topics(&self) -> usize {
        self.subscribers.max(if self.all { 64 } else { 1 })
    }

    /// Deliveries of one message.
    pub fn copies(&self) -> usize {
        if self.all { self.subscribers } else { 1 }
    }

    /// Prefixes that the source hears of.
    pub fn prefixes(&self) -> usize {
        self.subscribers + usize::from(self.all)
    }

    /// The topic of a subscriber.
    pub fn topic_of(&self, subscriber: usize) -> Option<usize> {
        (!self.all).then_some(subscriber)
    }

    /// Messages that the source may be ahead of the slowest subscriber. With one subscriber both kinds are the same load and have
    /// the same window.
    pub fn window(&self) -> u64 {
        let bytes = if self.all || self.subscribers == 1 { 2 << 20 } else { 16 << 20 };
        (bytes / (self.payload + 27)) as u64
    }

    pub fn name(&self) -> String {
        let peers = if self.peers == Peers::Raw { "raw" } else { "libzmq" };
        let topics = if self.all { "all topics" } else { "one topic each" };
        format!("{peers} peers, {} sub, {topics}, {} B", self.subscribers, self.payload)
    }

    pub fn forwarders(&self, asked: &[Kind]) -> Vec<Kind> {
        let fits = |kind: &Kind| self.peers == Peers::Raw || *kind != Kind::Nats;
        asked.iter().copied().filter(fits).collect()
    }
}

/// One run.
#[derive(Debug, Clone, Copy, Default)]
pub struct Outcome {
    pub deliveries_per_s: f64,
    pub messages_per_s: f64,
    pub cpu_ns: f64,
    /// Share of one core.
    pub cores: f64,
    pub p50_us: f64,
    pub p99_us: f64,
    pub p999_us: f64,
}

pub fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.filter(|value| value.is_finite()).collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// Percentiles of nanoseconds, in microseconds.
pub fn percentiles(mut nanoseconds: Vec<u32>) -> [f64; 3] {
    nanoseconds.sort_unstable();
    [0.5, 0.99, 0.999].map(|share| {
        let at = (nanoseconds.len().saturating_sub(1) as f64 * share) as usize;
        nanoseconds.get(at).map_or(f64::NAN, |ns| f64::from(*ns) / 1000.0)
    })
}
