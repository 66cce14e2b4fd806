//! The relay's section of `config.yaml`. Every limit on what a peer may cost is here, with a default.

use serde::Deserialize;
use service::config::duration;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

/// Most threads of the fan-out.
pub(crate) const MAX_SHARDS: usize = 64;

/// Configuration of the relay. What the words mean is docs/protocol/04-relay.md.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// ROUTER: history requests of clients.
    pub requests: SocketAddr,
    /// XPUB: work for ingestors.
    pub work: SocketAddr,
    /// XSUB: publishers connect here.
    pub publishers: SocketAddr,
    /// XPUB: subscribers connect here.
    pub subscribers: SocketAddr,
    /// Whether the empty prefix may be subscribed to on the subscribers' port. It shows all notifications of all clients,
    /// so it is for looking at a relay of one's own.
    pub allow_empty_subscription: bool,
    /// Whether publishers hear of each subscription and not only of the first to a prefix (libzmq's XPUB_VERBOSE).
    pub forward_every_subscription: bool,
    /// Threads of the fan-out. The first has the publishers; subscribers are spread evenly over all.
    pub fan_out_threads: usize,
    /// Limits.
    pub limits: Limits,
    /// Requests per client connection.
    pub quota: Quota,
    /// Our own PINGs.
    pub heartbeat: Heartbeat,
    /// How long a stopping relay goes on writing what waits.
    #[serde(with = "duration")]
    pub drain_timeout: Duration,
}

/// What peers may cost. The limits on connections, subscriptions and backlogs count once for the two fan-out ports
/// together and once for the two request ports together.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Largest frame on the fan-out ports.
    pub frame_bytes: usize,
    /// Largest frame on the request ports; more than a valid request may have, so that an invalid one gets an answer.
    pub request_frame_bytes: usize,
    /// Most frames of a message.
    pub parts: usize,
    /// Largest command.
    pub command_bytes: usize,
    /// Longest frame 0 and longest subscription.
    pub topic_bytes: usize,
    /// Most peers.
    pub connections: usize,
    /// Most peers with one IP address.
    pub connections_per_address: usize,
    /// Most connections that have not shaken hands yet; one more ends the oldest of them.
    pub half_open: usize,
    /// Time to shake hands.
    #[serde(with = "duration")]
    pub handshake_timeout: Duration,
    /// Most subscriptions of one peer.
    pub subscriptions_per_peer: usize,
    /// Most subscriptions of all peers.
    pub subscriptions: usize,
    /// Topics whose subscribers are remembered.
    pub topic_cache: usize,
    /// Bytes waiting for one peer; when full, whole messages are dropped.
    pub backlog_bytes: usize,
    /// The same in messages.
    pub backlog_messages: usize,
    /// Bytes waiting for all peers; when full, the peer that has been behind for longest is dropped.
    pub backlog_total_bytes: usize,
    /// A peer that is behind all this time and takes less than `stuck_bytes` in it is dropped.
    #[serde(with = "duration")]
    pub stuck_timeout: Duration,
    /// See `stuck_timeout`.
    pub stuck_bytes: usize,
}

/// Requests that one client connection may make.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Quota {
    /// In the long run.
    pub requests_per_second: u32,
    /// At once.
    pub burst: u32,
}

/// PINGs to peers that speak ZMTP 3.1.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Heartbeat {
    /// A peer that was silent for this long is sent a PING.
    #[serde(with = "duration")]
    pub interval: Duration,
    /// A peer that was silent for this long is dropped.
    #[serde(with = "duration")]
    pub timeout: Duration,
}

impl Default for Config {
    fn default() -> Self {
        let local = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        Self {
            requests: local(5559),
            work: local(5555),
            publishers: local(5557),
            subscribers: local(5558),
            allow_empty_subscription: false,
            forward_every_subscription: false,
            fan_out_threads: 1,
            limits: Limits::default(),
            quota: Quota::default(),
            heartbeat: Heartbeat::default(),
            drain_timeout: Duration::from_secs(1),
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            frame_bytes: proto::limits::FRAME_BYTES,
            request_frame_bytes: 16 << 10,
            parts: 16,
            command_bytes: 4096,
            topic_bytes: proto::limits::TOPIC_BYTES,
            connections: 4096,
            connections_per_address: 1024,
            half_open: 4096,
            handshake_timeout: Duration::from_secs(5),
            subscriptions_per_peer: 20_000,
            subscriptions: 500_000,
            topic_cache: 65_536,
            backlog_bytes: 64 << 20,
            backlog_messages: 500_000,
            backlog_total_bytes: 512 << 20,
            stuck_timeout: Duration::from_secs(10),
            stuck_bytes: 64 << 10,
        }
    }
}

impl Default for Quota {
    fn default() -> Self {
        Self { requests_per_second: 50, burst: 200 }
    }
}

impl Default for Heartbeat {
    fn default() -> Self {
        Self { interval: Duration::from_secs(10), timeout: Duration::from_secs(30) }
    }
}

/// What is wrong with a configuration: every problem with its key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("relay: {}", .0.join("; "))]
pub struct ConfigProblems(pub Vec<String>);

impl Config {
    /// Checks what types cannot express.
    ///
    /// # Errors
    /// With all problems at once.
    pub fn check(&self) -> Result<(), ConfigProblems> {
        let Limits { frame_bytes, request_frame_bytes, topic_bytes, command_bytes, .. } = self.limits;
        let limits = &self.limits;
        let rules = [
            ((1..=MAX_SHARDS).contains(&self.fan_out_threads), "fan_out_threads must be 1 to 64"),
            ((1..=1 << 30).contains(&frame_bytes), "limits.frame_bytes must be 1 to 1073741824"),
            (
                (proto::limits::REQUEST_BYTES..=1 << 20).contains(&request_frame_bytes),
                "limits.request_frame_bytes must be 4096 to 1048576",
            ),
            ((3..=64).contains(&limits.parts), "limits.parts must be 3 to 64"),
            ((40..=4096).contains(&topic_bytes), "limits.topic_bytes must be 40 to 4096"),
            (
                command_bytes >= topic_bytes + 16 && command_bytes <= 1 << 16,
                "limits.command_bytes must hold a subscription of limits.topic_bytes and be at most 65536",
            ),
            (limits.connections > 0, "limits.connections must not be 0"),
            (limits.connections_per_address > 0, "limits.connections_per_address must not be 0"),
            (limits.half_open > 0, "limits.half_open must not be 0"),
            (!limits.handshake_timeout.is_zero(), "limits.handshake_timeout must not be 0"),
            (limits.subscriptions_per_peer > 0, "limits.subscriptions_per_peer must not be 0"),
            (limits.backlog_messages > 0, "limits.backlog_messages must not be 0"),
            (limits.backlog_bytes > frame_bytes, "limits.backlog_bytes must be more than limits.frame_bytes"),
            (
                limits.backlog_total_bytes / self.fan_out_threads.max(1) >= limits.backlog_bytes,
                "limits.backlog_total_bytes must not be less than limits.backlog_bytes for each of fan_out_threads",
            ),
            (!limits.stuck_timeout.is_zero(), "limits.stuck_timeout must not be 0"),
            (self.quota.requests_per_second > 0 && self.quota.burst > 0, "quota must not be 0"),
            (
                !self.heartbeat.interval.is_zero() && self.heartbeat.timeout > self.heartbeat.interval,
                "heartbeat.timeout must be longer than heartbeat.interval, which must not be 0",
            ),
        ];
        let problems: Vec<_> = rules.iter().filter(|(holds, _)| !holds).map(|(_, text)| (*text).to_owned()).collect();
        if problems.is_empty() { Ok(()) } else { Err(ConfigProblems(problems)) }
    }

    /// The limits of one thread of the fan-out: its share of those on all subscribers together.
    pub(crate) fn share(&self) -> Limits {
        let threads = self.fan_out_threads;
        Limits {
            subscriptions: self.limits.subscriptions.div_ceil(threads),
            backlog_total_bytes: self.limits.backlog_total_bytes / threads,
            ..self.limits.clone()
        }
    }

    /// Limits of the codec on the fan-out ports.
    pub(crate) fn fan_out_codec(&self) -> zmtp::Limits {
        self.codec(self.limits.frame_bytes)
    }

    /// Limits of the codec on the request ports.
    pub(crate) fn request_codec(&self) -> zmtp::Limits {
        self.codec(self.limits.request_frame_bytes)
    }

    fn codec(&self, frame_bytes: usize) -> zmtp::Limits {
        let Limits { parts, command_bytes, topic_bytes, .. } = self.limits;
        // One frame of full size, and beside it small ones: topics and delimiters.
        let message_bytes = frame_bytes + parts * (topic_bytes + 16);
        zmtp::Limits { frame_bytes, parts, message_bytes, command_bytes, topic_bytes, commands_between_parts: 16 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use service::config::{Content, parse};
    use std::path::Path;

    fn read(text: &str) -> Result<Config, service::config::ConfigError> {
        parse(Path::new("config.yaml"), text, Content::Public)
    }

    #[test]
    fn the_default_is_valid_and_an_empty_file_is_the_default() {
        assert_eq!(Config::default().check(), Ok(()));
        assert_eq!(read("").unwrap(), Config::default());
    }

    #[test]
    fn all_that_may_be_open_may_come_back_at_once() {
        let limits = Limits::default();
        assert!(limits.half_open >= limits.connections);
    }

    #[test]
    fn what_the_file_sets_is_read_and_unknown_keys_are_refused() {
        let config =
            read("work: 0.0.0.0:1\nlimits: {handshake_timeout: 250ms, parts: 4}\nquota: {burst: 3}\n").unwrap();
        assert_eq!(config.work.port(), 1);
        assert_eq!(config.limits.handshake_timeout, Duration::from_millis(250));
        assert_eq!((config.limits.parts, config.quota.burst), (4, 3));
        assert!(read("limits: {frame_byte: 1}").unwrap_err().to_string().contains("limits.frame_byte"));
    }

    #[test]
    fn all_problems_are_reported_with_their_keys() {
        let text = "limits: {parts: 1, backlog_bytes: 5}\nheartbeat: {interval: 10s, timeout: 10s}\n";
        let problems = read(text).unwrap().check().unwrap_err().to_string();
        for key in ["limits.parts", "limits.backlog_bytes", "heartbeat.timeout"] {
            assert!(problems.contains(key), "{problems}");
        }
    }
}
