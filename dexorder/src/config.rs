//! `config.yaml`: one file with a section for every process. Each process reads its own section; what one machine can know by
//! itself (directories, addresses between the processes) has a default and may be set.

use eventlog::EmbeddedConfig;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use service::config::{ConfigError, Content, duration};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The file as it stands; sections are checked when their process starts, all before any port is bound.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ConfigFile {
    /// Where all state lives; the command line wins.
    pub(crate) data_dir: Option<PathBuf>,
    /// How long a stop may take.
    #[serde(with = "duration")]
    pub(crate) drain_timeout: Duration,
    /// The admin port.
    pub(crate) admin: AdminSection,
    /// The embedded event log.
    pub(crate) log: LogSection,
    lake: Map<String, Value>,
    relay: Map<String, Value>,
    ingestor: Map<String, Value>,
    stream: Map<String, Value>,
    gateway: Map<String, Value>,
    agent: Map<String, Value>,
    #[serde(skip)]
    path: PathBuf,
}

impl Default for ConfigFile {
    fn default() -> Self {
        Self {
            data_dir: None,
            drain_timeout: Duration::from_secs(20),
            admin: AdminSection::default(),
            log: LogSection::default(),
            lake: Map::new(),
            relay: Map::new(),
            ingestor: Map::new(),
            stream: Map::new(),
            gateway: Map::new(),
            agent: Map::new(),
            path: PathBuf::from("config.yaml"),
        }
    }
}

/// The admin port: `/livez`, `/readyz`, `/metrics`, `/status`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct AdminSection {
    /// Where it listens.
    pub(crate) listen: SocketAddr,
}

impl Default for AdminSection {
    fn default() -> Self {
        Self { listen: SocketAddr::from(([127, 0, 0, 1], 9100)) }
    }
}

/// The embedded event log.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct LogSection {
    /// Other processes (an ingestor, `tail`) may use the directory at the same time.
    pub(crate) shared: bool,
    /// A segment is closed when it would grow beyond this.
    pub(crate) segment_bytes: u64,
    /// Longest time from write to disk.
    #[serde(with = "duration")]
    pub(crate) sync_interval: Duration,
}

impl Default for LogSection {
    fn default() -> Self {
        let defaults = EmbeddedConfig::new("");
        Self { shared: true, segment_bytes: defaults.segment_bytes, sync_interval: defaults.sync_interval }
    }
}

impl LogSection {
    /// The log of a data directory.
    pub(crate) fn embedded(&self, data_dir: &Path) -> EmbeddedConfig {
        EmbeddedConfig {
            shared: self.shared,
            segment_bytes: self.segment_bytes,
            sync_interval: self.sync_interval,
            ..shared_log(&data_dir.join("log"))
        }
    }
}

/// The log in `dir` beside other processes, with defaults.
pub(crate) fn shared_log(dir: &Path) -> EmbeddedConfig {
    EmbeddedConfig { shared: true, clock: eventlog::Clock::new(service::clock::now_ns), ..EmbeddedConfig::new(dir) }
}

/// Settings that are readable one by one and wrong together.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {section}: {problems}")]
pub(crate) struct Contradiction {
    path: PathBuf,
    section: &'static str,
    problems: String,
}

/// A section of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Section {
    /// `lake`
    Lake,
    /// `relay`
    Relay,
    /// `ingestor`
    Ingestor,
    /// `stream`
    Stream,
    /// `gateway`
    Gateway,
    /// `agent`
    Agent,
}

impl Section {
    const fn name(self) -> &'static str {
        match self {
            Self::Lake => "lake",
            Self::Relay => "relay",
            Self::Ingestor => "ingestor",
            Self::Stream => "stream",
            Self::Gateway => "gateway",
            Self::Agent => "agent",
        }
    }
}

impl ConfigFile {
    /// Reads the file; without one everything has its default.
    pub(crate) fn load(path: Option<&Path>) -> Result<Self, ConfigError> {
        match path {
            None => Ok(Self::default()),
            Some(path) => Ok(Self { path: path.to_owned(), ..service::config::load(path)? }),
        }
    }

    /// Refuses a section whose own rules are broken.
    pub(crate) fn refuse(&self, section: Section, problems: &[String]) -> Result<(), Contradiction> {
        if problems.is_empty() {
            return Ok(());
        }
        Err(Contradiction { path: self.path.clone(), section: section.name(), problems: problems.join("; ") })
    }

    /// A section as the configuration of its process. `defaults` fill what the file does not set.
    pub(crate) fn section<T: DeserializeOwned>(&self, section: Section, defaults: Value) -> Result<T, ConfigError> {
        let own = match section {
            Section::Lake => &self.lake,
            Section::Relay => &self.relay,
            Section::Ingestor => &self.ingestor,
            Section::Stream => &self.stream,
            Section::Gateway => &self.gateway,
            Section::Agent => &self.agent,
        };
        let merged = merged(defaults, Value::Object(own.clone()));
        service::config::from_value(&self.path, merged, Content::Public).map_err(|error| match error {
            ConfigError::Value { path, key, reason } => {
                let key = if key == "." { section.name().to_owned() } else { format!("{}.{key}", section.name()) };
                ConfigError::Value { path, key, reason }
            }
            other => other,
        })
    }
}

/// `own` over `defaults`: within sections too.
fn merged(defaults: Value, own: Value) -> Value {
    match (defaults, own) {
        (Value::Object(mut all), Value::Object(own)) => {
            for (key, value) in own {
                let default = all.remove(&key).unwrap_or_default();
                all.insert(key, merged(default, value));
            }
            Value::Object(all)
        }
        (_, own) => own,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[derive(Debug, Deserialize, PartialEq)]
    #[serde(deny_unknown_fields)]
    struct Example {
        endpoint: String,
        #[serde(default)]
        depth: u8,
    }

    fn file(text: &str) -> Result<ConfigFile, ConfigError> {
        service::config::parse(Path::new("config.yaml"), text, Content::Public)
    }

    #[test]
    fn the_file_wins_over_what_the_machine_knows_by_itself() {
        let file = file("stream: {endpoint: there}\n").unwrap();
        let stream: Example = file.section(Section::Stream, json!({"endpoint": "here"})).unwrap();
        assert_eq!(stream, Example { endpoint: "there".into(), depth: 0 });
        let relay: Example = file.section(Section::Relay, json!({"endpoint": "here"})).unwrap();
        assert_eq!(relay.endpoint, "here");
    }

    #[test]
    fn a_file_that_sets_a_part_of_a_section_leaves_the_other_defaults() {
        let all = merged(json!({"a": {"b": 1, "c": [1]}, "d": 1}), json!({"a": {"c": [2]}, "e": null}));
        assert_eq!(all, json!({"a": {"b": 1, "c": [2]}, "d": 1, "e": null}));
    }

    #[test]
    fn errors_name_the_section_and_the_key() {
        for (text, key) in [
            ("stream: {endpoint: a, depht: 1}", "stream.depht"),
            ("stream: {endpoint: a, depth: 300}", "stream.depth"),
            ("stream: {depth: 3}", "stream"),
        ] {
            match file(text).unwrap().section::<Example>(Section::Stream, json!({})) {
                Err(ConfigError::Value { key: got, .. }) => assert_eq!(got, key),
                other => panic!("{text}: {other:?}"),
            }
        }
        assert!(file("straem: {}").is_err());
    }
}
