//! Settings of accounts. What an operator must decide about other people (sign-up, anonymous use) is off by default.

use secrecy::SecretString;
use serde::Deserialize;
use std::net::IpAddr;
use std::time::Duration;

/// Settings of accounts.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AccountsConfig {
    /// The `iss` of every token, e.g. the gateway's own URL.
    pub issuer: String,
    /// The `aud` of access tokens. Never the URL of a container.
    pub audience: String,
    /// Life of an access token.
    #[serde(with = "service::config::duration")]
    pub access_life: Duration,
    /// A session that is not used for so long has ended.
    #[serde(with = "service::config::duration")]
    pub session_idle: Duration,
    /// A session ends so long after its sign-in, whatever happens.
    #[serde(with = "service::config::duration")]
    pub session_longest: Duration,
    /// What another replica revoked is seen here so long after, at the latest.
    #[serde(with = "service::config::duration")]
    pub seen_within: Duration,
    /// Whether strangers may make an account.
    pub sign_up: SignUp,
    /// Whether strangers may look around without one.
    pub anonymous: AnonymousConfig,
    /// What a new user accepts.
    pub disclaimer: Disclaimer,
    /// Name of the Telegram bot, for the login widget.
    pub telegram_bot: Option<String>,
    /// How the refresh cookie is sent.
    pub cookie: CookiePolicy,
    /// Sign-ins, sign-ups and wrong keys of one address in a minute; more are refused without a look.
    pub attempts_per_minute: u32,
    /// Proxies whose `X-Forwarded-For` is believed; none by default.
    pub trusted_proxies: Vec<IpAddr>,
    /// Where accounts are kept.
    pub store: StoreConfig,
    /// Bounds of password hashing.
    pub hashing: HashingConfig,
    /// Further Ed25519 public keys (PEM) whose access tokens are still good: the keys before the last change.
    pub previous_keys: Vec<String>,
}

/// Whether strangers may make an account.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SignUp {
    /// Only admins make users.
    #[default]
    Closed,
    /// Everybody may.
    Open,
}

/// Anonymous accounts.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AnonymousConfig {
    /// Most of them at one time; 0 allows none.
    pub most: u32,
    /// Each ends so long after it was made.
    #[serde(with = "service::config::duration")]
    pub life: Duration,
}

/// What a new user accepts.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Disclaimer {
    /// Changes with the text.
    pub version: String,
    /// Plain text.
    pub text: String,
}

/// How the refresh cookie is sent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CookiePolicy {
    /// Over TLS only.
    #[default]
    Secure,
    /// Over plain HTTP too, for a gateway that only this machine reaches.
    Loopback,
}

/// Where accounts are kept.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct StoreConfig {
    /// Most connections.
    pub connections: u32,
    /// A request waits so long for a connection, then it is refused as overloaded.
    #[serde(with = "service::config::duration")]
    pub acquire_timeout: Duration,
}

/// Bounds of password hashing, which costs 32 MiB and a good part of a second on purpose.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HashingConfig {
    /// Hashes at one time.
    pub parallel: usize,
    /// Hashes that wait; more are refused as overloaded.
    pub waiting: usize,
    /// log2 of scrypt's N.
    pub log_n: u8,
}

/// `secrets.yaml` of accounts. What is absent is made on the first start and kept in the data directory.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AccountsSecrets {
    /// Ed25519 private key, PKCS#8 PEM.
    pub signing_key: Option<SecretString>,
    /// 64 hexadecimal digits: seals what must be read again, e.g. TOTP secrets.
    pub sealing_key: Option<SecretString>,
    /// URL of the database, `postgres://…`; without it, SQLite in the data directory.
    pub database_url: Option<SecretString>,
    /// URL of the hot store, `redis://…`; without it, limits are counted in this process.
    pub redis_url: Option<SecretString>,
    /// Token of the Telegram bot, for the login widget.
    pub telegram_bot_token: Option<SecretString>,
}

impl Default for AccountsConfig {
    fn default() -> Self {
        Self {
            issuer: "dexorder".to_owned(),
            audience: "dexorder-api".to_owned(),
            access_life: Duration::from_secs(15 * 60),
            session_idle: Duration::from_secs(30 * 86_400),
            session_longest: Duration::from_secs(90 * 86_400),
            seen_within: Duration::from_secs(3),
            sign_up: SignUp::Closed,
            anonymous: AnonymousConfig::default(),
            disclaimer: Disclaimer::default(),
            telegram_bot: None,
            cookie: CookiePolicy::Secure,
            attempts_per_minute: 60,
            trusted_proxies: Vec::new(),
            store: StoreConfig::default(),
            hashing: HashingConfig::default(),
            previous_keys: Vec::new(),
        }
    }
}

impl Default for AnonymousConfig {
    fn default() -> Self {
        Self { most: 0, life: Duration::from_secs(86_400) }
    }
}

impl Default for Disclaimer {
    fn default() -> Self {
        let text = "DexOrder is a tool, not advice. Trading can lose all the money you put in. Results of the past and \
            of simulations say nothing certain about the future. You decide, and you are at least 18 years old.";
        Self { version: "1".to_owned(), text: text.to_owned() }
    }
}

impl Default for StoreConfig {
    fn default() -> Self {
        Self { connections: 8, acquire_timeout: Duration::from_secs(3) }
    }
}

impl Default for HashingConfig {
    fn default() -> Self {
        Self { parallel: 2, waiting: 32, log_n: 15 }
    }
}

impl AccountsConfig {
    /// What is wrong, each with its path; nothing if the settings can be used.
    #[must_use]
    pub fn problems(&self) -> Vec<String> {
        let within = |low: Duration, value: Duration, high: Duration| low <= value && value <= high;
        let (second, day) = (Duration::from_secs(1), Duration::from_secs(86_400));
        let mut problems = Vec::new();
        let mut check = |good: bool, text: &str| {
            if !good {
                problems.push(text.to_owned());
            }
        };
        check((1..=256).contains(&self.issuer.len()), "issuer: 1 to 256 bytes");
        check((1..=256).contains(&self.audience.len()), "audience: 1 to 256 bytes");
        check(within(60 * second, self.access_life, 3600 * second), "access_life: 1m to 1h");
        check(within(60 * second, self.session_idle, 365 * day), "session_idle: 1m to 365d");
        check(self.session_longest >= self.session_idle, "session_longest: not below session_idle");
        check(within(Duration::ZERO, self.seen_within, 60 * second), "seen_within: at most 60s");
        check(within(60 * second, self.anonymous.life, 30 * day), "anonymous.life: 1m to 30d");
        check((1..=100_000).contains(&self.attempts_per_minute), "attempts_per_minute: 1 to 100000");
        check((1..=64).contains(&self.disclaimer.version.len()), "disclaimer.version: 1 to 64 bytes");
        check((1..=256).contains(&self.store.connections), "store.connections: 1 to 256");
        check(within(second / 100, self.store.acquire_timeout, 60 * second), "store.acquire_timeout: 10ms to 60s");
        check((1..=64).contains(&self.hashing.parallel), "hashing.parallel: 1 to 64");
        check(self.hashing.waiting <= 4096, "hashing.waiting: at most 4096");
        check((14..=20).contains(&self.hashing.log_n), "hashing.log_n: 14 to 20");
        check(self.previous_keys.len() <= 8, "previous_keys: at most 8");
        check(self.trusted_proxies.len() <= 64, "trusted_proxies: at most 64");
        problems
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use service::config::{Content, parse};
    use std::path::Path;

    #[test]
    fn an_empty_section_is_closed_to_strangers_and_has_no_problem() {
        let config: AccountsConfig = parse(Path::new("config.yaml"), "", Content::Public).unwrap();
        assert_eq!(config, AccountsConfig::default());
        assert_eq!(config.problems(), Vec::<String>::new());
        assert_eq!((config.sign_up, config.anonymous.most, config.cookie), (SignUp::Closed, 0, CookiePolicy::Secure));
    }

    #[test]
    fn settings_are_read_and_impossible_ones_are_named() {
        let text =
            "sign_up: open\ncookie: loopback\nanonymous: {most: 3, life: 2h}\naccess_life: 5s\nhashing: {log_n: 9}\n";
        let config: AccountsConfig = parse(Path::new("config.yaml"), text, Content::Public).unwrap();
        assert_eq!((config.sign_up, config.anonymous.most), (SignUp::Open, 3));
        assert_eq!(config.problems(), ["access_life: 1m to 1h", "hashing.log_n: 14 to 20"]);
        assert!(parse::<AccountsConfig>(Path::new("config.yaml"), "signup: open\n", Content::Public).is_err());
    }

    #[test]
    fn secrets_are_not_shown() {
        let text = "signing_key: CANARY-1\ndatabase_url: postgres://u:CANARY-2@h/d\n";
        let secrets: AccountsSecrets = parse(Path::new("secrets.yaml"), text, Content::Secret).unwrap();
        assert!(secrets.signing_key.is_some() && !format!("{secrets:?}").contains("CANARY"));
        let error = parse::<AccountsSecrets>(Path::new("secrets.yaml"), "key: CANARY-3\n", Content::Secret);
        assert!(!error.unwrap_err().to_string().contains("CANARY"));
    }
}
