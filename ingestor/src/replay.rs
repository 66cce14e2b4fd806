//! Replay: recorded frames through the same path as live ones, `raw.ws` then `norm.*`, with source `replay`.
//!
//! A recording has one frame a line, `<receive_ns> <frame>`, plain, xz or zstd. Several recordings are merged by receive
//! time ([`merge`]); memory stays bounded whatever their number and size. At the end each instrument gets a heartbeat that says so.
//! docs/operations/replay.md is the guide.

mod lines;
mod merge;
mod play;
mod summary;

pub use play::{ReplayError, ReplayParts, play};
pub use summary::{FileSummary, ReplaySummary};

use proto::Venue;
use serde::{Deserialize, Deserializer};
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

/// How fast a recording is played.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub enum Speed {
    /// As it was recorded.
    Real,
    /// So many times faster.
    Times(f64),
    /// As fast as the log takes it.
    #[default]
    Max,
}

/// The text is not a speed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("speed: {0:?} is none of real, max or a factor such as 10x")]
pub struct SpeedError(String);

impl FromStr for Speed {
    type Err = SpeedError;

    /// Reads `real`, `max`, `10x` or `0.5x`.
    fn from_str(text: &str) -> Result<Self, SpeedError> {
        match text {
            "real" => Ok(Self::Real),
            "max" => Ok(Self::Max),
            _ => text
                .trim_end_matches('x')
                .parse::<f64>()
                .ok()
                .filter(|factor| (0.001..=1_000_000.0).contains(factor))
                .map(Self::Times)
                .ok_or_else(|| SpeedError(text.to_owned())),
        }
    }
}

impl<'de> Deserialize<'de> for Speed {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// What to play and how.
#[derive(Debug, Clone)]
pub struct ReplayConfig {
    /// The recordings.
    pub files: Vec<PathBuf>,
    /// Whose frames they are; otherwise each file is recognised by its name or its first frames.
    pub venue: Option<Venue>,
    /// How fast.
    pub speed: Speed,
    /// Name in the feed status; random if absent.
    pub ingestor_id: Option<String>,
    /// Between two feed statuses.
    pub status_every: Duration,
    /// A trade farther ahead of its receive time than this is refused.
    pub future_tolerance: Duration,
}

impl Default for ReplayConfig {
    fn default() -> Self {
        Self {
            files: Vec::new(),
            venue: None,
            speed: Speed::default(),
            ingestor_id: None,
            status_every: Duration::from_secs(1),
            future_tolerance: Duration::from_secs(600),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn speeds_are_read_and_nonsense_is_refused() {
        for (text, speed) in
            [("real", Speed::Real), ("max", Speed::Max), ("10x", Speed::Times(10.0)), ("0.5", Speed::Times(0.5))]
        {
            assert_eq!(text.parse(), Ok(speed));
        }
        for bad in ["", "fast", "0x", "-1x", "NaN", "inf"] {
            assert!(bad.parse::<Speed>().is_err(), "{bad}");
        }
    }
}
