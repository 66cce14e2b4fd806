//! What an ingestor is told: which venues in which mode, where the relay is, and its bounds.

use crate::replay::{ReplayConfig, Speed};
use crate::sim::SimConfig;
use proto::{Symbol, Venue};
use serde::{Deserialize, Deserializer};
use service::config::duration;
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// Configuration of an ingestor.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Name of this ingestor among those of its venues; a random one if absent. Two processes must not share a name.
    #[serde(default)]
    pub ingestor_id: Option<String>,
    /// The relay's work port, `tcp://127.0.0.1:5555`; without it no history requests are served.
    #[serde(default)]
    pub relay_work: Option<String>,
    /// Directory of the event log, for an ingestor that runs alone. In one process with others the log is handed in.
    #[serde(default)]
    pub log_dir: Option<PathBuf>,
    /// Admin port, for an ingestor that runs alone.
    #[serde(default)]
    pub admin: Option<SocketAddr>,
    /// What to take in, at most one entry a venue.
    pub venues: Vec<VenueConfig>,
    /// Times.
    #[serde(default)]
    pub timing: Timing,
    /// Bounds.
    #[serde(default)]
    pub limits: Limits,
}

/// Where a venue's data comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// The venue itself, or a local server that plays it.
    Live,
    /// The simulated exchange; only for the venue `SIM`.
    Sim,
    /// Recorded frames.
    Replay,
}

/// One venue.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VenueConfig {
    /// Venue id, e.g. `BINANCE`.
    #[serde(deserialize_with = "parsed")]
    pub venue: Venue,
    /// Where its data comes from.
    pub mode: Mode,
    /// Symbols to stream, e.g. `BTC/USDT`. Empty for a replay.
    #[serde(default, deserialize_with = "all_parsed")]
    pub symbols: Vec<Symbol>,
    /// Instead of the venue's WebSocket base, e.g. `ws://127.0.0.1:9001`.
    #[serde(default)]
    pub ws_url: Option<String>,
    /// Instead of the venue's REST base.
    #[serde(default)]
    pub rest_url: Option<String>,
    /// Mode `sim`: the market.
    #[serde(default)]
    pub sim: SimConfig,
    /// Mode `replay`: the recordings.
    #[serde(default)]
    pub files: Vec<PathBuf>,
    /// Mode `replay`: how fast.
    #[serde(default)]
    pub speed: Speed,
    /// Instead of [`Timing::gap_grace`]; the simulated exchange delivers up to five seconds late.
    #[serde(default, deserialize_with = "optional_duration")]
    pub gap_grace: Option<Duration>,
    /// Instead of the venue's own time after which a silent connection is given up.
    #[serde(default, deserialize_with = "optional_duration")]
    pub mute_timeout: Option<Duration>,
    /// Instead of the venue's own least time between two connections (zero for a local server).
    #[serde(default, deserialize_with = "optional_duration")]
    pub connect_gap: Option<Duration>,
}

macro_rules! durations {
    ($(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $field:ident = $millis:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Deserialize)]
        #[serde(deny_unknown_fields, default)]
        pub struct $name {
            $($(#[$field_doc])* #[serde(with = "duration")] pub $field: Duration,)+
        }

        impl Default for $name {
            fn default() -> Self {
                Self { $($field: Duration::from_millis($millis),)+ }
            }
        }
    };
}

durations! {
    /// Times of an ingestor.
    Timing {
        /// Between two feed statuses.
        status_every = 1_000,
        /// A member without a status for this long is gone.
        lease = 3_000,
        /// A symbol without a trade for this long gets a heartbeat.
        heartbeat_every = 1_000,
        /// How far a heartbeat stays behind the largest delay seen.
        heartbeat_margin = 500,
        /// A connection without a frame for this long is pinged.
        quiet_ping = 1_000,
        /// For TCP, TLS and the WebSocket handshake together.
        connect_timeout = 10_000,
        /// First wait before a reconnect; doubles.
        backoff_first = 250,
        /// Longest wait before a reconnect.
        backoff_longest = 30_000,
        /// A connection that lived this long was healthy: the next wait is the first again.
        healthy_after = 60_000,
        /// A connection that is alive but brings no data for this long is opened anew.
        data_timeout = 300_000,
        /// Before this age a connection is replaced by a new one without a pause (venues close theirs after 24 h).
        connection_age = 85_800_000,
        /// How long a missing trade may be just late.
        gap_grace = 250,
        /// First wait before a hole is fetched again; doubles.
        gap_retry = 1_000,
        /// After a reconnect: how long the next trade may take before the time between is fetched.
        catch_up_after = 3_000,
        /// After a pause: the longest time that is fetched where ids do not tell what is missing.
        catch_up_longest = 21_600_000,
        /// After the first trade ever of a symbol: when the venue's candles and trades of the time before are fetched, so that
        /// the candles in which the feed began are whole.
        start_fetch_after = 2_000,
        /// Between two looks at the instruments of a venue.
        instruments_every = 3_600_000,
        /// For one REST answer.
        rest_timeout = 15_000,
        /// Longest wait for the venue's rate limit before a history job fails.
        history_wait = 60_000,
        /// How long the job of another ingestor is remembered.
        history_watch = 600_000,
        /// First wait before an append that failed is tried again; doubles up to 5 s.
        log_retry = 100,
        /// Steps in which the simulated exchange sends.
        sim_step = 20,
        /// A trade farther ahead of our clock than this is refused.
        future_tolerance = 600_000,
    }
}

/// Bounds of an ingestor.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Largest WebSocket message in bytes; a larger one ends the connection.
    pub frame_bytes: usize,
    /// Largest REST answer in bytes.
    pub rest_body_bytes: usize,
    /// Frames between socket and log. When full, the socket is not read: the venue sees a slow reader.
    pub intake_frames: usize,
    /// Most frames written in one batch.
    pub batch_frames: usize,
    /// Records at the end of each partition that are read at start to find holes.
    pub tail_records: u64,
    /// Holes per symbol.
    pub holes: usize,
    /// Trades of one hole that are fetched.
    pub hole_trades: u64,
    /// Tries before a hole is given up.
    pub gap_attempts: u32,
    /// Holes of one venue that are fetched at the same time.
    pub repairs: usize,
    /// History jobs of one venue that are fetched at the same time.
    pub history_workers: usize,
    /// History jobs of one venue that wait; more are refused.
    pub history_queue: usize,
    /// Jobs of other ingestors that are remembered.
    pub history_watched: usize,
    /// Requests that may share one job.
    pub history_requests: usize,
    /// Pages of one history job.
    pub history_pages: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            frame_bytes: 1 << 20,
            rest_body_bytes: 64 << 20,
            intake_frames: 8_192,
            batch_frames: 512,
            tail_records: 20_000,
            holes: 1_024,
            hole_trades: 200_000,
            gap_attempts: 5,
            repairs: 2,
            history_workers: 2,
            history_queue: 256,
            history_watched: 1_024,
            history_requests: 256,
            history_pages: 2_000,
        }
    }
}

fn parsed<'de, D: Deserializer<'de>, T>(deserializer: D) -> Result<T, D::Error>
where
    T: std::str::FromStr<Err: std::fmt::Display>,
{
    String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
}

fn all_parsed<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Symbol>, D::Error> {
    let texts = Vec::<String>::deserialize(deserializer)?;
    let symbol = |text: String| text.parse().map_err(|error| serde::de::Error::custom(format!("{text}: {error}")));
    texts.into_iter().map(symbol).collect()
}

fn optional_duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    duration::deserialize(deserializer).map(Some)
}

/// What is wrong with a configuration, each problem with its path.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.join("; "))]
pub struct ConfigProblems(pub Vec<String>);

impl VenueConfig {
    /// A venue in a mode with everything else at its default.
    #[must_use]
    pub fn new(venue: Venue, mode: Mode, symbols: Vec<Symbol>) -> Self {
        Self {
            venue,
            mode,
            symbols,
            ws_url: None,
            rest_url: None,
            sim: SimConfig::default(),
            files: Vec::new(),
            speed: Speed::default(),
            gap_grace: None,
            mute_timeout: None,
            connect_gap: None,
        }
    }

    /// The grace time of this venue.
    #[must_use]
    pub fn gap_grace(&self, timing: &Timing) -> Duration {
        const SIM: Duration = Duration::from_secs(6);
        self.gap_grace.unwrap_or(if self.mode == Mode::Sim { SIM } else { timing.gap_grace })
    }

    /// The replay that this entry asks for.
    #[must_use]
    pub fn replay(&self) -> ReplayConfig {
        ReplayConfig {
            files: self.files.clone(),
            venue: Some(self.venue.clone()),
            speed: self.speed,
            ..Default::default()
        }
    }
}

impl Config {
    /// An ingestor of these venues with everything else at its default.
    #[must_use]
    pub fn new(venues: Vec<VenueConfig>) -> Self {
        Self {
            ingestor_id: None,
            relay_work: None,
            log_dir: None,
            admin: None,
            venues,
            timing: Timing::default(),
            limits: Limits::default(),
        }
    }

    /// Checks what one field alone cannot tell.
    ///
    /// # Errors
    /// All problems at once.
    pub fn validate(&self) -> Result<(), ConfigProblems> {
        let mut problems = Vec::new();
        let mut seen = BTreeSet::new();
        for (index, entry) in self.venues.iter().enumerate() {
            let venue = &entry.venue;
            let mut wrong = |field: &str, what: String| problems.push(format!("venues[{index}].{field}: {what}"));
            if !seen.insert(venue.clone()) {
                wrong("venue", format!("{venue} stands twice"));
            }
            let is_sim = venue == crate::sim::venue();
            match entry.mode {
                Mode::Sim if !is_sim => wrong("mode", format!("sim is for the venue SIM, not {venue}")),
                Mode::Live if is_sim && entry.ws_url.is_none() => {
                    wrong("ws_url", "SIM has no venue to connect to; give a local server or use mode: sim".to_owned());
                }
                Mode::Live if !is_sim && venues::adapter(venue).is_none() => {
                    wrong("venue", format!("no adapter for {venue}"));
                }
                Mode::Replay if entry.files.is_empty() => wrong("files", "a replay needs at least one file".to_owned()),
                Mode::Live | Mode::Sim if entry.symbols.is_empty() => wrong("symbols", "at least one".to_owned()),
                _ => {}
            }
        }
        for (name, bound) in [
            ("batch_frames", self.limits.batch_frames),
            ("intake_frames", self.limits.intake_frames),
            ("repairs", self.limits.repairs),
            ("history_workers", self.limits.history_workers),
        ] {
            if bound == 0 {
                problems.push(format!("limits.{name}: must be at least 1"));
            }
        }
        let id = self.ingestor_id.as_deref().unwrap_or("x");
        if id.is_empty()
            || id.len() > 64
            || !id.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
        {
            problems.push("ingestor_id: 1 to 64 letters, digits, dots, dashes or underscores".to_owned());
        }
        if problems.is_empty() { Ok(()) } else { Err(ConfigProblems(problems)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use service::config::{ConfigError, Content, parse};
    use std::path::Path;

    const EXAMPLE: &str = "
ingestor_id: ing-1
relay_work: tcp://127.0.0.1:5555
log_dir: data/log
venues:
  - venue: BINANCE
    mode: live
    symbols: [BTC/USDT, ETH/USDT]
    ws_url: ws://127.0.0.1:9001
    mute_timeout: 30s
  - venue: SIM
    mode: sim
    symbols: [BTC/USDT]
    sim: {seed: 7, lost_per_million: 100}
  - venue: KRAKEN
    mode: replay
    files: [frames.jsonl.xz]
    speed: 10x
timing: {backoff_first: 50ms}
limits: {history_queue: 8}
";

    fn read(text: &str) -> Result<Config, ConfigError> {
        parse(Path::new("config.yaml"), text, Content::Public)
    }

    #[test]
    fn an_example_of_every_mode_is_read() {
        let config = read(EXAMPLE).unwrap();
        config.validate().unwrap();
        assert_eq!(config.venues.len(), 3);
        assert_eq!(config.venues[0].mute_timeout, Some(Duration::from_secs(30)));
        assert_eq!(config.venues[1].sim.seed, 7);
        assert_eq!(config.venues[2].speed, Speed::Times(10.0));
        assert_eq!(config.timing.backoff_first, Duration::from_millis(50));
        assert_eq!(config.limits.history_queue, 8);
        assert_eq!(config.venues[1].gap_grace(&config.timing), Duration::from_secs(6));
    }

    #[test]
    fn values_that_make_no_sense_are_refused_with_their_path() {
        for (text, key) in [
            ("venues: [{venue: sim, mode: sim}]", "venues[0].venue"),
            ("venues: [{venue: SIM, mode: paper}]", "venues[0].mode"),
            ("venues: [{venue: SIM, mode: sim, symbols: [BTCUSDT]}]", "venues[0].symbols"),
            ("venues: [{venue: SIM, mode: sim, symbol: [A/B]}]", "venues[0].symbol"),
            ("venues: []\nlimits: {history_que: 1}", "limits.history_que"),
            ("venues: []\ntiming: {lease: 3}", "timing.lease"),
        ] {
            match read(text) {
                Err(ConfigError::Value { key: got, .. }) => assert_eq!(got, key, "{text}"),
                other => panic!("{text}: {other:?}"),
            }
        }
    }

    #[test]
    fn contradictions_are_reported_all_at_once() {
        let text = "
ingestor_id: 'a b'
venues:
  - {venue: KRAKEN, mode: sim, symbols: [A/B]}
  - {venue: SIM, mode: sim}
  - {venue: SIM, mode: live, symbols: [A/B]}
  - {venue: NOWHERE, mode: live, symbols: [A/B]}
  - {venue: OKX, mode: replay}
limits: {batch_frames: 0}
";
        let ConfigProblems(problems) = read(text).unwrap().validate().unwrap_err();
        let paths: Vec<&str> = problems.iter().filter_map(|p| p.split(": ").next()).collect();
        assert_eq!(
            paths,
            [
                "venues[0].mode",
                "venues[1].symbols",
                "venues[2].venue",
                "venues[2].ws_url",
                "venues[3].venue",
                "venues[4].files",
                "limits.batch_frames",
                "ingestor_id",
            ]
        );
    }
}
