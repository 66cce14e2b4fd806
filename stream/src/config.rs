//! Settings of the stream. The directory and the relay's address have no default; limits do.

use crate::aggregate::Params;
use crate::dedup::DedupLimits;
use serde::Deserialize;
use service::config::duration;
use std::path::PathBuf;
use std::time::Duration;

/// Settings of the stream.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Checkpoints and the lock; one stream process at a time.
    pub state_dir: PathBuf,
    /// The relay's publisher port, e.g. `tcp://127.0.0.1:5557`.
    pub publish_endpoint: String,
    /// Dedup and candles.
    #[serde(default)]
    pub aggregate: AggregateConfig,
    /// When rows go to the lake.
    #[serde(default)]
    pub flush: FlushConfig,
    /// The live feed.
    #[serde(default)]
    pub live: LiveConfig,
    /// Reading the log.
    #[serde(default)]
    pub read: ReadConfig,
}

impl Config {
    /// Default limits with the given directory and address.
    #[must_use]
    pub fn new(state_dir: impl Into<PathBuf>, publish_endpoint: &str) -> Self {
        Self {
            state_dir: state_dir.into(),
            publish_endpoint: publish_endpoint.to_owned(),
            aggregate: AggregateConfig::default(),
            flush: FlushConfig::default(),
            live: LiveConfig::default(),
            read: ReadConfig::default(),
        }
    }

    /// Checks the rules that hold between settings; each problem with the path of its key.
    #[must_use]
    pub fn problems(&self) -> Vec<String> {
        let (aggregate, flush, live, read) = (&self.aggregate, &self.flush, &self.live, &self.read);
        let day = Duration::from_secs(86_400);
        let rules = [
            (self.state_dir.is_absolute(), "state_dir: must be an absolute path"),
            (self.publish_endpoint.starts_with("tcp://"), "publish_endpoint: must start with tcp://"),
            (aggregate.lateness <= Duration::from_secs(3600), "aggregate.lateness: must be at most 1h"),
            (aggregate.ahead >= Duration::from_secs(1), "aggregate.ahead: must be at least 1s"),
            (aggregate.keep_1s <= day * 7, "aggregate.keep_1s: must be at most 7d"),
            (aggregate.keep_1m <= day * 31, "aggregate.keep_1m: must be at most 31d"),
            (aggregate.keep_longer <= day * 366, "aggregate.keep_longer: must be at most 366d"),
            (aggregate.id_ranges >= 64, "aggregate.id_ranges: must be at least 64"),
            (aggregate.ids >= 1024, "aggregate.ids: must be at least 1024"),
            (aggregate.keys > 0, "aggregate.keys: must be greater than 0"),
            (aggregate.venue_marks > 0, "aggregate.venue_marks: must be greater than 0"),
            (flush.rows > 0, "flush.rows: must be greater than 0"),
            (flush.recompute_windows > 0, "flush.recompute_windows: must be greater than 0"),
            (flush.interval_min <= flush.interval_max, "flush.interval_min: must not exceed flush.interval_max"),
            (!flush.interval_min.is_zero(), "flush.interval_min: must be greater than 0"),
            (!live.open_candle_interval.is_zero(), "live.open_candle_interval: must be greater than 0"),
            ((1..=1000).contains(&live.snapshot_candles), "live.snapshot_candles: must be 1 to 1000"),
            (live.republish_topics > 0, "live.republish_topics: must be greater than 0"),
            (read.batch_records > 0, "read.batch_records: must be greater than 0"),
            (read.queue_batches > 0, "read.queue_batches: must be greater than 0"),
        ];
        rules.into_iter().filter(|(holds, _)| !holds).map(|(_, problem)| problem.to_owned()).collect()
    }
}

/// Dedup and candles.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AggregateConfig {
    /// How far the watermark stays behind the newest event time.
    #[serde(with = "duration")]
    pub lateness: Duration,
    /// A trade whose event time is further ahead of its receive time is refused.
    #[serde(with = "duration")]
    pub ahead: Duration,
    /// How long closed 1s windows are kept for late trades.
    #[serde(with = "duration")]
    pub keep_1s: Duration,
    /// The same for 1m windows.
    #[serde(with = "duration")]
    pub keep_1m: Duration,
    /// The same for 5m and longer windows.
    #[serde(with = "duration")]
    pub keep_longer: Duration,
    /// Ranges of numeric trade ids remembered per key; contiguous ids are one range.
    pub id_ranges: usize,
    /// Other trade ids remembered per key.
    pub ids: usize,
    /// Keys per partition.
    pub keys: usize,
    /// Windows per series whose venue candles are remembered; older ones are looked up in the lake.
    pub venue_marks: usize,
}

impl Default for AggregateConfig {
    fn default() -> Self {
        let params = Params::default();
        Self {
            lateness: Duration::from_nanos(params.lateness_ns),
            ahead: Duration::from_nanos(params.ahead_ns),
            keep_1s: Duration::from_nanos(params.keep_ns[0]),
            keep_1m: Duration::from_nanos(params.keep_ns[1]),
            keep_longer: Duration::from_nanos(params.keep_ns[2]),
            id_ranges: params.dedup.ranges,
            ids: params.dedup.ids,
            keys: params.keys,
            venue_marks: 2000,
        }
    }
}

impl AggregateConfig {
    /// The settings in the form of the core.
    #[must_use]
    pub fn params(&self) -> Params {
        let nanos = |duration: Duration| u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        let longer = nanos(self.keep_longer);
        Params {
            lateness_ns: nanos(self.lateness),
            keep_ns: [nanos(self.keep_1s), nanos(self.keep_1m), longer, longer, longer, longer, longer],
            ahead_ns: nanos(self.ahead),
            dedup: DedupLimits { ranges: self.id_ranges, ids: self.ids },
            keys: self.keys,
        }
    }
}

/// When rows go to the lake.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FlushConfig {
    /// Rows that start a flush; with as many again waiting, reading pauses.
    pub rows: usize,
    /// Windows to be made from the lake that start a flush.
    pub recompute_windows: usize,
    /// Age of the oldest row that starts the first flush; doubles with each flush by age.
    #[serde(with = "duration")]
    pub interval_min: Duration,
    /// Greatest age.
    #[serde(with = "duration")]
    pub interval_max: Duration,
    /// Least time between two checkpoints; in between a restart derives the state again from the log.
    #[serde(with = "duration")]
    pub checkpoint_interval: Duration,
}

impl Default for FlushConfig {
    fn default() -> Self {
        Self {
            rows: 100_000,
            recompute_windows: 20_000,
            interval_min: Duration::from_secs(10),
            interval_max: Duration::from_secs(120),
            checkpoint_interval: Duration::from_secs(30),
        }
    }
}

/// The live feed.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LiveConfig {
    /// Least time between two messages of an open candle on one topic.
    #[serde(with = "duration")]
    pub open_candle_interval: Duration,
    /// Candles of a snapshot for a new subscriber; also the bound of closed candles kept per series until committed.
    pub snapshot_candles: usize,
    /// Topics republished for one subscription to a short prefix.
    pub republish_topics: usize,
    /// History notifications kept for subscribers that come late.
    pub notifications: usize,
    /// Tickers with a live feed; more are not published.
    pub tickers: usize,
}

impl Default for LiveConfig {
    fn default() -> Self {
        Self {
            open_candle_interval: Duration::from_millis(100),
            snapshot_candles: 1000,
            republish_topics: 4096,
            notifications: 4096,
            tickers: 100_000,
        }
    }
}

/// Reading the log.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ReadConfig {
    /// Records of one batch.
    pub batch_records: usize,
    /// Bytes of one batch.
    pub batch_bytes: usize,
    /// Batches that wait to be taken; when full, reading pauses.
    pub queue_batches: usize,
}

impl Default for ReadConfig {
    fn default() -> Self {
        Self { batch_records: 1000, batch_bytes: 1 << 20, queue_batches: 8 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use service::config::{Content, parse};
    use std::path::Path;

    fn config(text: &str) -> Result<Config, service::config::ConfigError> {
        parse(Path::new("config.yaml"), text, Content::Public)
    }

    #[test]
    fn the_defaults_need_only_a_directory_and_an_address() {
        let parsed = config("state_dir: /s\npublish_endpoint: tcp://127.0.0.1:5557\n").unwrap();
        assert_eq!(parsed, Config::new("/s", "tcp://127.0.0.1:5557"));
        assert_eq!(parsed.problems(), Vec::<String>::new());
        assert_eq!(parsed.aggregate.params(), Params::default());
        assert!(config("state_dir: /s\n").is_err());
        assert!(config("state_dir: /s\npublish_endpoint: x\nflush: {row: 1}\n").is_err());
    }

    #[test]
    fn all_problems_are_named_by_their_key() {
        let text = "state_dir: s\npublish_endpoint: 127.0.0.1:5557\nflush: {rows: 0, interval_min: 3m}\n";
        let problems = config(text).unwrap().problems();
        let keys: Vec<_> = problems.iter().filter_map(|p| p.split_once(':')).map(|(key, _)| key).collect();
        assert_eq!(keys, ["state_dir", "publish_endpoint", "flush.rows", "flush.interval_min"]);
    }
}
