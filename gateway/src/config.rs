//! Settings of the gateway. Addresses have no default; limits do.

use crate::people::PeopleConfig;
use serde::Deserialize;
use std::net::SocketAddr;
use std::time::Duration;

/// Settings of the gateway.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Where HTTP and WebSocket are served.
    pub listen: SocketAddr,
    /// The relay's fan-out port, e.g. `tcp://127.0.0.1:5558`.
    pub fanout_endpoint: String,
    /// The relay's request port, e.g. `tcp://127.0.0.1:5559`.
    pub request_endpoint: String,
    /// HTTP limits.
    #[serde(default)]
    pub http: HttpConfig,
    /// WebSocket limits.
    #[serde(default)]
    pub live: LiveConfig,
    /// Candles kept in memory.
    #[serde(default)]
    pub series: SeriesConfig,
    /// History on demand.
    #[serde(default)]
    pub history: HistoryConfig,
    /// Whole series for backtests.
    #[serde(default)]
    pub bulk: BulkConfig,
    /// Accounts, containers, the assistant. Without it the gateway shows markets only.
    #[serde(default)]
    pub people: Option<PeopleConfig>,
}

impl Config {
    /// Default limits with the given addresses.
    #[must_use]
    pub fn new(listen: SocketAddr, fanout_endpoint: &str, request_endpoint: &str) -> Self {
        Self {
            listen,
            fanout_endpoint: fanout_endpoint.to_owned(),
            request_endpoint: request_endpoint.to_owned(),
            http: HttpConfig::default(),
            live: LiveConfig::default(),
            series: SeriesConfig::default(),
            history: HistoryConfig::default(),
            bulk: BulkConfig::default(),
            people: None,
        }
    }

    /// Checks the rules that hold between settings; each problem with the path of its key.
    #[must_use]
    pub fn problems(&self) -> Vec<String> {
        let (live, series, http, bulk) = (&self.live, &self.series, &self.http, &self.bulk);
        let rules = [
            (self.fanout_endpoint.starts_with("tcp://"), "fanout_endpoint: must start with tcp://"),
            (self.request_endpoint.starts_with("tcp://"), "request_endpoint: must start with tcp://"),
            (http.connections > 0, "http.connections: must be greater than 0"),
            (http.requests_in_flight > 0, "http.requests_in_flight: must be greater than 0"),
            (live.max_sockets <= http.connections, "live.max_sockets: must not exceed http.connections"),
            (live.client_events > 0, "live.client_events: must be greater than 0"),
            (live.client_topics > 0, "live.client_topics: must be greater than 0"),
            (live.client_rate > 0, "live.client_rate: must be greater than 0"),
            (live.client_burst > 0, "live.client_burst: must be greater than 0"),
            (live.client_message >= 256, "live.client_message: must be at least 256 bytes"),
            (live.client_idle >= Duration::from_secs(3), "live.client_idle: must be at least 3s"),
            (series.rows > 0, "series.rows: must be greater than 0"),
            (series.cached > 0, "series.cached: must be greater than 0"),
            (bulk.streams > 0, "bulk.streams: must be greater than 0"),
            (bulk.requests > 0, "bulk.requests: must be greater than 0"),
            (bulk.working > 0, "bulk.working: must be greater than 0"),
            (bulk.stall > Duration::ZERO, "bulk.stall: must be greater than 0s"),
            (self.history.wait < http.request_timeout, "history.wait: must be shorter than http.request_timeout"),
        ];
        let broken = rules.into_iter().filter(|(holds, _)| !holds).map(|(_, problem)| problem.to_owned());
        broken.chain(self.people.iter().flat_map(PeopleConfig::problems)).collect()
    }
}

/// HTTP limits.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HttpConfig {
    /// Hosts accepted besides localhost when the gateway listens on loopback; on another address, if not empty, the only ones.
    pub allowed_hosts: Vec<String>,
    /// Origins accepted for `/ws` besides the page's own, e.g. `http://localhost:5173`.
    pub allowed_origins: Vec<String>,
    /// Open connections; more are closed at once.
    pub connections: usize,
    /// Requests worked on at one time; more get 503.
    pub requests_in_flight: usize,
    /// A request that takes longer gets 504.
    #[serde(with = "service::config::duration")]
    pub request_timeout: Duration,
    /// Headers that take longer end the connection.
    #[serde(with = "service::config::duration")]
    pub header_timeout: Duration,
    /// What is in flight at shutdown may take so long.
    #[serde(with = "service::config::duration")]
    pub drain_timeout: Duration,
}

impl Default for HttpConfig {
    fn default() -> Self {
        Self {
            allowed_hosts: Vec::new(),
            allowed_origins: Vec::new(),
            connections: 4096,
            requests_in_flight: 64,
            request_timeout: Duration::from_secs(10),
            header_timeout: Duration::from_secs(10),
            drain_timeout: Duration::from_secs(10),
        }
    }
}

/// WebSocket limits (docs/protocol/10-websocket.md §6).
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LiveConfig {
    /// Open sockets; more get 503.
    pub max_sockets: usize,
    /// Topics followed over all clients.
    pub max_topics: usize,
    /// Topics of one client.
    pub client_topics: usize,
    /// Events queued for one client; the oldest is dropped beyond that.
    pub client_events: usize,
    /// Bytes of one message from a client.
    pub client_message: usize,
    /// Messages a second from a client, in the long run.
    pub client_rate: u32,
    /// Messages from a client at once.
    pub client_burst: u32,
    /// A write that takes longer ends the socket.
    #[serde(with = "service::config::duration")]
    pub client_stuck: Duration,
    /// Silence that ends the socket.
    #[serde(with = "service::config::duration")]
    pub client_idle: Duration,
    /// The last write to a socket that is closed may take so long.
    #[serde(with = "service::config::duration")]
    pub close_grace: Duration,
    /// A topic without clients is followed so much longer.
    #[serde(with = "service::config::duration")]
    pub linger: Duration,
}

impl Default for LiveConfig {
    fn default() -> Self {
        Self {
            max_sockets: 2000,
            max_topics: 20_000,
            client_topics: 256,
            client_events: 2048,
            client_message: 16 << 10,
            client_rate: 20,
            client_burst: 100,
            client_stuck: Duration::from_secs(10),
            client_idle: Duration::from_secs(60),
            close_grace: Duration::from_secs(3),
            linger: Duration::from_secs(5),
        }
    }
}

/// Candles kept in memory.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SeriesConfig {
    /// Series (venue, symbol, interval) in memory; the least recently used is forgotten.
    pub cached: usize,
    /// Newest candles kept of each.
    pub rows: usize,
    /// Rows of all series together; the least recently used series are forgotten beyond that.
    pub total_rows: usize,
    /// A series that is older is read again from the lake in the background when asked for.
    #[serde(with = "service::config::duration")]
    pub max_age: Duration,
    /// A series that nobody asked for so long is forgotten and no longer followed.
    #[serde(with = "service::config::duration")]
    pub idle: Duration,
    /// How long the first answer of a series waits for its live tail.
    #[serde(with = "service::config::duration")]
    pub tail_wait: Duration,
}

impl Default for SeriesConfig {
    fn default() -> Self {
        Self {
            cached: 64,
            rows: 5000,
            total_rows: 160_000,
            max_age: Duration::from_secs(30),
            idle: Duration::from_secs(600),
            tail_wait: Duration::from_millis(150),
        }
    }
}

/// History on demand.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HistoryConfig {
    /// How long an answer waits for missing history before it says `pending`.
    #[serde(with = "service::config::duration")]
    pub wait: Duration,
    /// The relay must have acknowledged a request by then.
    #[serde(with = "service::config::duration")]
    pub ack_timeout: Duration,
    /// The rows must be there by then.
    #[serde(with = "service::config::duration")]
    pub ready_timeout: Duration,
    /// A range that could not be had is not asked for again so long.
    #[serde(with = "service::config::duration")]
    pub refused_for: Duration,
    /// Requests in flight; beyond that ranges count as not available.
    pub in_flight: usize,
    /// Missing candles in a row, least number that is worth a request. A quiet market has short holes.
    pub hole: u64,
    /// The same for candles of one second.
    pub hole_of_seconds: u64,
}

impl Default for HistoryConfig {
    fn default() -> Self {
        Self {
            wait: Duration::from_secs(2),
            ack_timeout: Duration::from_secs(1),
            ready_timeout: Duration::from_secs(60),
            refused_for: Duration::from_secs(60),
            in_flight: 32,
            hole: 3,
            hole_of_seconds: 60,
        }
    }
}

/// Whole series for backtests (docs/protocol/11-history-http.md).
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BulkConfig {
    /// Answers streamed at one time; more get 503.
    pub streams: usize,
    /// Candles of one answer: a range of more windows is refused.
    pub candles: usize,
    /// Trades of one answer.
    pub ticks: usize,
    /// Counting the rows, before the answer starts, may take so long.
    #[serde(with = "service::config::duration")]
    pub prepare: Duration,
    /// A client that takes nothing for so long is cut.
    #[serde(with = "service::config::duration")]
    pub stall: Duration,
    /// A client that has not taken everything by then is cut.
    #[serde(with = "service::config::duration")]
    pub longest: Duration,
    /// Requests for missing history that are waiting or worked on; more get 503. As many that are over are remembered.
    pub requests: usize,
    /// Of these, worked on at one time.
    pub working: usize,
}

impl Default for BulkConfig {
    fn default() -> Self {
        Self {
            streams: 8,
            candles: 5_000_000,
            ticks: 20_000_000,
            prepare: Duration::from_secs(60),
            stall: Duration::from_secs(30),
            longest: Duration::from_secs(900),
            requests: 64,
            working: 4,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use service::config::{Content, parse};
    use std::path::Path;

    const ADDRESSES: &str =
        "listen: 127.0.0.1:3000\nfanout_endpoint: tcp://127.0.0.1:5558\nrequest_endpoint: tcp://127.0.0.1:5559\n";

    fn read(text: &str) -> Result<Config, service::config::ConfigError> {
        parse(Path::new("config.yaml"), text, Content::Public)
    }

    #[test]
    fn addresses_suffice_and_each_limit_can_be_set() {
        let config = read(ADDRESSES).unwrap();
        let listen = "127.0.0.1:3000".parse().unwrap();
        let usual = Config::new(listen, "tcp://127.0.0.1:5558", "tcp://127.0.0.1:5559");
        assert_eq!(format!("{config:?}"), format!("{usual:?}"));
        assert!(config.problems().is_empty(), "{:?}", config.problems());
        let text =
            format!("{ADDRESSES}live:\n  client_stuck: 250ms\nhttp:\n  connections: 7\n  allowed_hosts: [desk]\n");
        let config = read(&text).unwrap();
        assert_eq!(config.live.client_stuck, Duration::from_millis(250));
        assert_eq!(config.live.client_topics, 256);
        assert_eq!(config.http.allowed_hosts, ["desk"]);
        assert_eq!(config.problems(), ["live.max_sockets: must not exceed http.connections"]);
    }

    #[test]
    fn a_missing_address_and_an_unknown_key_are_refused() {
        assert!(read("listen: 127.0.0.1:3000\n").is_err());
        assert!(read(&format!("{ADDRESSES}live:\n  client_topic: 3\n")).is_err());
        assert!(read(&format!("{ADDRESSES}colour: red\n")).is_err());
    }
}
