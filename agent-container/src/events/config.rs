//! How events are configured: section `events` of `config.yaml`.

use serde::Deserialize;
use std::path::PathBuf;

/// How many critical events may wait for their ack.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct OutboxLimits {
    /// Events; one more is refused.
    pub events: u64,
    /// Their bytes on disk; one more is refused.
    pub bytes: u64,
}

impl Default for OutboxLimits {
    fn default() -> Self {
        Self { events: 100_000, bytes: 64 << 20 }
    }
}

/// The two channels of user events.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EventsConfig {
    /// Directory of the outbox, on the user's volume; nobody else writes there.
    pub outbox_dir: PathBuf,
    /// The gateway's ROUTER, `tcp://gateway:5571`.
    pub gateway: String,
    /// Where subscribers of informational events connect.
    #[serde(default = "default_bind")]
    pub bind: String,
    /// How much may wait.
    #[serde(default)]
    pub limits: OutboxLimits,
}

fn default_bind() -> String {
    "tcp://0.0.0.0:5570".to_owned()
}

impl EventsConfig {
    /// The defaults.
    pub fn new(outbox_dir: impl Into<PathBuf>, gateway: impl Into<String>) -> Self {
        let (outbox_dir, gateway) = (outbox_dir.into(), gateway.into());
        Self { outbox_dir, gateway, bind: default_bind(), limits: OutboxLimits::default() }
    }
}
