//! Typed configuration from YAML files. Unknown keys, duplicate keys and wrong types are refused with their path; errors
//! of a secrets file never show a value or a line of it.

use serde::de::DeserializeOwned;
use std::path::{Path, PathBuf};

/// Whether the content of a file may appear in an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Content {
    /// Anybody may see it.
    Public,
    /// Errors name the place only.
    Secret,
}

/// Why a file is not a configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("{path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// Others than the owner may read a secrets file.
    #[error("{path}: mode {mode:04o} lets others read it; set it to 0400 or 0600")]
    Permissions {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The file is no YAML, or a key stands twice.
    #[error("{path}{place}: {reason}")]
    Syntax {
        /// The file.
        path: PathBuf,
        /// `:line:column`.
        place: String,
        /// What is wrong; without content for a secrets file.
        reason: String,
    },
    /// A key is unknown, missing or of the wrong type.
    #[error("{path}: {key}: {reason}")]
    Value {
        /// The file.
        path: PathBuf,
        /// Path of the key, e.g. `relay.limits.frame_bytes`.
        key: String,
        /// What is wrong; without content for a secrets file.
        reason: String,
    },
}

/// Reads a configuration file.
///
/// # Errors
/// [`ConfigError`], which names file and key.
pub fn load<T: DeserializeOwned>(path: &Path) -> Result<T, ConfigError> {
    parse(path, &read(path)?, Content::Public)
}

/// Reads a secrets file, which only its owner may read.
///
/// # Errors
/// [`ConfigError`], which never contains anything of the file's content.
pub fn load_secrets<T: DeserializeOwned>(path: &Path) -> Result<T, ConfigError> {
    use std::os::unix::fs::PermissionsExt;
    let metadata = std::fs::metadata(path).map_err(|source| ConfigError::Read { path: path.to_owned(), source })?;
    let mode = metadata.permissions().mode() & 0o7777;
    if mode & 0o077 != 0 {
        return Err(ConfigError::Permissions { path: path.to_owned(), mode });
    }
    parse(path, &read(path)?, Content::Secret)
}

fn read(path: &Path) -> Result<String, ConfigError> {
    std::fs::read_to_string(path).map_err(|source| ConfigError::Read { path: path.to_owned(), source })
}

/// Parses the text of a configuration file; `path` is only for errors.
///
/// # Errors
/// [`ConfigError`].
pub fn parse<T: DeserializeOwned>(path: &Path, text: &str, content: Content) -> Result<T, ConfigError> {
    let options = serde_saphyr::options! { with_snippet: false };
    // An empty file is an empty mapping: everything at its default.
    let text = if text.trim().is_empty() { "{}" } else { text };
    let value: serde_json::Value = serde_saphyr::from_str_with_options(text, options).map_err(|error| {
        let place = error.location().map_or(String::new(), |at| format!(":{}:{}", at.line(), at.column()));
        let reason = match content {
            Content::Public => error.without_snippet().to_string(),
            Content::Secret => "not valid YAML, or a key stands twice (content not shown)".to_owned(),
        };
        ConfigError::Syntax { path: path.to_owned(), place, reason }
    })?;
    from_value(path, value, content)
}

/// Reads a section of a configuration that is already parsed; `path` is only for errors.
///
/// # Errors
/// [`ConfigError::Value`].
pub fn from_value<T: DeserializeOwned>(
    path: &Path,
    value: serde_json::Value,
    content: Content,
) -> Result<T, ConfigError> {
    serde_path_to_error::deserialize(value).map_err(|error| {
        let reason = match content {
            Content::Public => error.inner().to_string(),
            Content::Secret => "unknown key, missing key or wrong type (content not shown)".to_owned(),
        };
        ConfigError::Value { path: path.to_owned(), key: error.path().to_string(), reason }
    })
}

/// Durations in configuration files: `250ms`, `5s`, `2m`, `1h`, `7d`. Use with `#[serde(with = "...")]`.
pub mod duration {
    use serde::{Deserialize, Deserializer, Serializer};
    use std::time::Duration;

    /// Reads a duration with its unit.
    ///
    /// # Errors
    /// If the unit is missing or unknown.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        let text = String::deserialize(deserializer)?;
        parse(&text).ok_or_else(|| serde::de::Error::custom("not a duration such as 250ms, 5s, 2m, 1h or 7d"))
    }

    /// Writes a duration in milliseconds.
    ///
    /// # Errors
    /// Those of the serializer.
    pub fn serialize<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{}ms", duration.as_millis()))
    }

    /// `250ms`, `5s`, `2m`, `1h`, `7d`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Duration> {
        let digits = text.find(|c: char| !c.is_ascii_digit())?;
        let number: u64 = text[..digits].parse().ok()?;
        match &text[digits..] {
            "ms" => Some(Duration::from_millis(number)),
            "s" => Some(Duration::from_secs(number)),
            "m" => number.checked_mul(60).map(Duration::from_secs),
            "h" => number.checked_mul(3600).map(Duration::from_secs),
            "d" => number.checked_mul(86_400).map(Duration::from_secs),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;
    use std::time::Duration;

    #[derive(Debug, Deserialize, PartialEq)]
    #[serde(deny_unknown_fields)]
    struct Limits {
        #[serde(with = "duration")]
        drain_timeout: Duration,
        port: u16,
    }

    #[derive(Debug, Deserialize, PartialEq)]
    #[serde(deny_unknown_fields)]
    struct Example {
        limits: Limits,
    }

    fn example(text: &str, content: Content) -> Result<Example, ConfigError> {
        parse(Path::new("config.yaml"), text, content)
    }

    #[test]
    fn a_valid_file_is_read() {
        let limits = Limits { drain_timeout: Duration::from_secs(5), port: 1 };
        let text = "limits:\n  drain_timeout: 5s\n  port: 1\n";
        assert_eq!(example(text, Content::Public).unwrap(), Example { limits });
    }

    #[test]
    fn unknown_keys_and_wrong_types_are_refused_with_their_path() {
        for (text, key) in [
            ("limits:\n  drain_timeout: 5s\n  port: 1\n  prot: 2\n", "limits.prot"),
            ("limits:\n  drain_timeout: 5s\n  port: 70000\n", "limits.port"),
            ("limits:\n  drain_timeout: 5\n  port: 1\n", "limits.drain_timeout"),
            ("limits:\n  drain_timeout: 5s\n", "limits"),
        ] {
            match example(text, Content::Public) {
                Err(ConfigError::Value { key: got, .. }) => assert_eq!(got, key, "{text}"),
                other => panic!("{text}: {other:?}"),
            }
        }
    }

    #[test]
    fn a_key_that_stands_twice_is_refused_with_its_line() {
        let text = "limits:\n  drain_timeout: 5s\n  port: 1\n  port: 2\n";
        match example(text, Content::Public) {
            Err(ConfigError::Syntax { place, .. }) => assert!(place.starts_with(":4:"), "{place}"),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn no_error_of_a_secrets_file_shows_its_content() {
        for text in [
            "limits:\n  drain_timeout: hunter2\n  port: 1\n",
            "limits:\n  drain_timeout: 5s\n  port: hunter2\n",
            "limits: hunter2\n",
            "limits: {drain_timeout: 5s, port: 1, port: hunter2}\n",
            "hunter2: 1\nlimits: [",
            "- hunter2",
            "limits:\n  drain_timeout: 5s\n  port: \"hunter2\n",
        ] {
            let error = example(text, Content::Secret).unwrap_err();
            let shown = format!("{error} {error:?}");
            assert!(!shown.contains("hunter2"), "{shown}");
        }
    }

    #[test]
    fn a_secrets_file_that_others_can_read_is_refused() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("secrets.yaml");
        std::fs::write(&path, "limits:\n  drain_timeout: 5s\n  port: 1\n").unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        assert!(matches!(load_secrets::<Example>(&path), Err(ConfigError::Permissions { mode: 0o644, .. })));
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o400)).unwrap();
        assert!(load_secrets::<Example>(&path).is_ok());
    }
}
