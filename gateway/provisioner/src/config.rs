//! Settings of containers, of the client to them, and of the proxy before them. What differs between installations has no default.

use serde::Deserialize;
use service::config::duration;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

/// Containers as child processes of this machine.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProcessConfig {
    /// The `dexorder` program; started as `dexorder agent --config F --secrets F`.
    pub program: PathBuf,
    /// Where each user has a directory.
    pub dir: PathBuf,
    /// The gateway's REST API, as containers reach it: their market data.
    pub gateway_url: String,
    /// The gateway's event port, as containers reach it, e.g. `tcp://127.0.0.1:5571`.
    pub events: String,
    /// Audiences of tokens begin with it: `<base>/<owner>/mcp`. Nobody has to be reachable there.
    #[serde(default = "defaults::audience_base")]
    pub audience_base: String,
    /// CPython with numpy, pandas and matplotlib; a path, or a name to be found in `environment.PATH`.
    #[serde(default = "defaults::python")]
    pub python: PathBuf,
    /// The native module of workers; by default beside the program.
    #[serde(default)]
    pub python_module: Option<PathBuf>,
    /// First user and group id of workers, where this process runs as root.
    #[serde(default)]
    pub worker_id: Option<u32>,
    /// The whole environment of a container.
    #[serde(default = "defaults::environment")]
    pub environment: BTreeMap<String, String>,
    /// Most containers that this process runs at one time; none is ended for another.
    #[serde(default = "defaults::most")]
    pub most: usize,
    /// A container must be ready so long after somebody asked for it.
    #[serde(default = "defaults::ready_within", with = "duration")]
    pub ready_within: Duration,
    /// Told to end, it may take so long before it is killed; longer than its own grace.
    #[serde(default = "defaults::stop_within", with = "duration")]
    pub stop_within: Duration,
    /// One that runs may be silent for so long before it is replaced.
    #[serde(default = "defaults::silence", with = "duration")]
    pub silence: Duration,
    /// So many crashes within `crash_window`, and it is left alone until the first of them is that long ago.
    #[serde(default = "defaults::crashes")]
    pub crashes: u32,
    /// See `crashes`.
    #[serde(default = "defaults::crash_window", with = "duration")]
    pub crash_window: Duration,
    /// The pause after the second crash; each further one doubles it, up to 30 s.
    #[serde(default = "defaults::first_pause", with = "duration")]
    pub first_pause: Duration,
    /// In place of the tier's idle time.
    #[serde(default, deserialize_with = "optional_duration")]
    pub idle_timeout: Option<Duration>,
}

impl ProcessConfig {
    /// Checks the rules that hold between settings; each problem with the path of its key.
    #[must_use]
    pub fn problems(&self) -> Vec<String> {
        let url = |text: &str| text.starts_with("http://") || text.starts_with("https://");
        let rules = [
            (url(&self.gateway_url), "gateway_url: must be an http or https URL"),
            (self.events.starts_with("tcp://"), "events: must start with tcp://"),
            (url(&self.audience_base), "audience_base: must be an http or https URL"),
            (self.most > 0, "most: must be greater than 0"),
            (self.crashes > 0, "crashes: must be greater than 0"),
            (self.ready_within > Duration::ZERO, "ready_within: must be greater than 0"),
            (self.stop_within >= Duration::from_secs(1), "stop_within: must be at least 1s"),
        ];
        rules.into_iter().filter(|(holds, _)| !holds).map(|(_, problem)| problem.to_owned()).collect()
    }
}

/// The client to containers.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ClientConfig {
    /// Users whose connection is kept; the least recently used one is closed for another.
    pub connections: usize,
    /// Context resources and the list of tools are asked for again after so long, if no event said so before; 1 to 5 minutes.
    #[serde(with = "duration")]
    pub context_ttl: Duration,
    /// A call that says nothing for so long has failed.
    #[serde(with = "duration")]
    pub silence: Duration,
    /// The longest call.
    #[serde(with = "duration")]
    pub longest_call: Duration,
    /// Most bytes of one message of a container.
    pub message_bytes: usize,
    /// Most bytes of a picture, decoded.
    pub picture_bytes: usize,
    /// Most pictures of one call.
    pub pictures: usize,
    /// Most characters of a diff on a card.
    pub diff_chars: usize,
}

impl Default for ClientConfig {
    fn default() -> Self {
        Self {
            connections: 1024,
            context_ttl: Duration::from_secs(120),
            silence: Duration::from_secs(60),
            longest_call: Duration::from_secs(2 * 3600 + 300),
            message_bytes: 48 << 20,
            picture_bytes: 2 << 20,
            pictures: 8,
            diff_chars: 20_000,
        }
    }
}

impl ClientConfig {
    /// Checks the rules that hold between settings; each problem with the path of its key.
    #[must_use]
    pub fn problems(&self) -> Vec<String> {
        let minutes = Duration::from_secs(60)..=Duration::from_secs(300);
        let rules = [
            (self.connections > 0, "connections: must be greater than 0"),
            (minutes.contains(&self.context_ttl), "context_ttl: must be 1m to 5m"),
            (self.silence >= Duration::from_secs(5), "silence: must be at least 5s"),
            (self.longest_call >= self.silence, "longest_call: must be at least silence"),
            (self.message_bytes >= 1 << 20, "message_bytes: must be at least 1048576"),
        ];
        rules.into_iter().filter(|(holds, _)| !holds).map(|(_, problem)| problem.to_owned()).collect()
    }
}

/// The proxy before containers.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProxyConfig {
    /// The URL under which clients know `/mcp`, e.g. `https://trade.example/mcp`.
    pub resource: String,
    /// Who issues tokens to clients (RFC 9728 `authorization_servers`).
    pub authorization_server: String,
    /// Pages that may call, besides programs, which send no `Origin`.
    #[serde(default)]
    pub allowed_origins: Vec<String>,
    /// Most bytes of a request.
    #[serde(default = "defaults::request_bytes")]
    pub request_bytes: usize,
    /// Deepest nesting of a request's JSON.
    #[serde(default = "defaults::depth")]
    pub depth: usize,
    /// Requests and streams that one user may have open at one time; more get 429.
    #[serde(default = "defaults::streams")]
    pub streams_per_user: usize,
    /// A request's body must be there after so long.
    #[serde(default = "defaults::body_timeout", with = "duration")]
    pub body_timeout: Duration,
}

impl ProxyConfig {
    /// Checks the rules that hold between settings; each problem with the path of its key.
    #[must_use]
    pub fn problems(&self) -> Vec<String> {
        let url = |text: &str| text.starts_with("http://") || text.starts_with("https://");
        let rules = [
            (url(&self.resource), "resource: must be an http or https URL"),
            (url(&self.authorization_server), "authorization_server: must be an http or https URL"),
            (self.request_bytes >= 64 << 10, "request_bytes: must be at least 65536"),
            (self.depth >= 16, "depth: must be at least 16"),
            (self.streams_per_user > 0, "streams_per_user: must be greater than 0"),
        ];
        rules.into_iter().filter(|(holds, _)| !holds).map(|(_, problem)| problem.to_owned()).collect()
    }
}

fn optional_duration<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    let Some(text) = Option::<String>::deserialize(deserializer)? else { return Ok(None) };
    let parsed = duration::parse(&text).map(Some);
    parsed.ok_or_else(|| serde::de::Error::custom("not a duration such as 250ms, 5s, 2m, 1h or 7d"))
}

mod defaults {
    use std::collections::BTreeMap;
    use std::path::PathBuf;
    use std::time::Duration;

    pub(super) fn audience_base() -> String {
        "http://containers.dexorder.internal".to_owned()
    }

    pub(super) fn python() -> PathBuf {
        PathBuf::from("python3")
    }

    pub(super) fn environment() -> BTreeMap<String, String> {
        [("PATH", "/usr/local/bin:/usr/bin:/bin"), ("LANG", "C.UTF-8")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into()
    }

    pub(super) const fn most() -> usize {
        64
    }

    pub(super) const fn ready_within() -> Duration {
        Duration::from_secs(120)
    }

    pub(super) const fn stop_within() -> Duration {
        Duration::from_secs(15)
    }

    pub(super) const fn silence() -> Duration {
        Duration::from_secs(10)
    }

    pub(super) const fn crashes() -> u32 {
        5
    }

    pub(super) const fn crash_window() -> Duration {
        Duration::from_secs(600)
    }

    pub(super) const fn first_pause() -> Duration {
        Duration::from_secs(1)
    }

    pub(super) const fn request_bytes() -> usize {
        1 << 20
    }

    pub(super) const fn depth() -> usize {
        64
    }

    pub(super) const fn streams() -> usize {
        32
    }

    pub(super) const fn body_timeout() -> Duration {
        Duration::from_secs(30)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn process(more: Value) -> Result<ProcessConfig, serde_json::Error> {
        let mut config = json!({
            "program": "/usr/bin/dexorder", "dir": "/data/agents", "gateway_url": "http://127.0.0.1:3000",
            "events": "tcp://127.0.0.1:5571",
        });
        let (Value::Object(config), Value::Object(more)) = (&mut config, more) else { panic!("objects") };
        config.extend(more);
        serde_json::from_value(Value::Object(config.clone()))
    }

    #[test]
    fn what_is_not_set_has_the_limits_of_the_design() {
        let config = process(json!({})).unwrap();
        assert_eq!(config.problems(), Vec::<String>::new());
        assert_eq!((config.ready_within, config.most), (Duration::from_secs(120), 64));
        assert_eq!(config.environment.keys().collect::<Vec<_>>(), ["LANG", "PATH"]);
        let config = process(json!({"idle_timeout": "5m", "ready_within": "30s"})).unwrap();
        assert_eq!(
            (config.idle_timeout, config.ready_within),
            (Some(Duration::from_secs(300)), Duration::from_secs(30))
        );
    }

    #[test]
    fn what_cannot_be_is_refused_with_its_key() {
        for more in
            [json!({"mots": 1}), json!({"ready_within": 5}), json!({"idle_timeout": "soon"}), json!({"most": -1})]
        {
            assert!(process(more.clone()).is_err(), "{more}");
        }
        let problem = |more| process(more).unwrap().problems().remove(0);
        assert!(problem(json!({"most": 0})).starts_with("most:"));
        assert!(problem(json!({"events": "ipc://x"})).starts_with("events:"));
        assert!(problem(json!({"audience_base": "containers"})).starts_with("audience_base:"));
        let minute = ClientConfig { context_ttl: Duration::from_secs(59), ..ClientConfig::default() };
        assert!(minute.problems()[0].starts_with("context_ttl:"));
        assert_eq!(ClientConfig::default().problems(), Vec::<String>::new());
        let proxy = json!({"resource": "trade.example", "authorization_server": "https://trade.example", "depth": 1});
        let proxy: ProxyConfig = serde_json::from_value(proxy).unwrap();
        assert_eq!(proxy.problems().len(), 2, "{:?}", proxy.problems());
    }
}
