//! How notifications are configured: section `notifications` of the gateway's `config.yaml`.

use secrecy::SecretString;
use serde::Deserialize;
use service::config::duration;
use std::num::{NonZeroU64, NonZeroUsize};
use std::path::PathBuf;
use std::time::Duration;

/// Least number of notifications that a user keeps: the receiver compares what comes again with so many.
const KEEP_MIN: u64 = 2048;

/// How critical events are received.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ReceiverConfig {
    /// Where containers connect.
    pub bind: String,
    /// Containers connected at a time; more are turned away.
    pub connections: NonZeroUsize,
    /// Messages waiting to be recorded; when full, the socket is not read.
    pub queue_messages: NonZeroUsize,
    /// Most messages in one transaction.
    pub batch_messages: NonZeroUsize,
    /// Outboxes whose newest ids are in memory, 64 KiB each; others are read when they are needed.
    pub streams_cached: NonZeroUsize,
    /// How long a key is believed, and how long nobody asks again for one that is not there.
    #[serde(with = "duration")]
    pub key_ttl: Duration,
}

impl Default for ReceiverConfig {
    fn default() -> Self {
        Self {
            bind: "tcp://0.0.0.0:5571".to_owned(),
            connections: NonZeroUsize::new(16_384).expect("not zero"),
            queue_messages: NonZeroUsize::new(8192).expect("not zero"),
            batch_messages: NonZeroUsize::new(1024).expect("not zero"),
            streams_cached: NonZeroUsize::new(1024).expect("not zero"),
            key_ttl: Duration::from_secs(30),
        }
    }
}

/// How notifications are delivered.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DeliveryConfig {
    /// Users served at a time; the others wait.
    pub lanes: NonZeroUsize,
    /// How often the store is asked for what is due and what is new. Local events are not waited for.
    #[serde(with = "duration")]
    pub poll_interval: Duration,
    /// How long an open page has to confirm before the next channel is tried.
    #[serde(with = "duration")]
    pub session_wait: Duration,
    /// How long a session counts as open after its replica was last heard of.
    #[serde(with = "duration")]
    pub presence_ttl: Duration,
    /// Wait after the first failure; it doubles.
    #[serde(with = "duration")]
    pub backoff_min: Duration,
    /// Longest wait.
    #[serde(with = "duration")]
    pub backoff_max: Duration,
    /// After so many failures a notification is dead.
    pub attempts: NonZeroU64,
    /// After this time too.
    #[serde(with = "duration")]
    pub give_up_after: Duration,
    /// Time that a channel has for one notification.
    #[serde(with = "duration")]
    pub attempt_timeout: Duration,
    /// How long a replica holds a user's deliveries without being heard of.
    #[serde(with = "duration")]
    pub lease: Duration,
    /// The newest notifications of a user that are kept; at least 2048. What waits for a channel is kept ten times as long.
    pub keep_notifications: u64,
}

impl Default for DeliveryConfig {
    fn default() -> Self {
        Self {
            lanes: NonZeroUsize::new(64).expect("not zero"),
            poll_interval: Duration::from_millis(500),
            session_wait: Duration::from_secs(10),
            presence_ttl: Duration::from_secs(30),
            backoff_min: Duration::from_secs(5),
            backoff_max: Duration::from_secs(900),
            attempts: NonZeroU64::new(20).expect("not zero"),
            give_up_after: Duration::from_secs(48 * 3600),
            attempt_timeout: Duration::from_secs(10),
            lease: Duration::from_secs(120),
            keep_notifications: 4096,
        }
    }
}

/// Bounds of open sessions and of the informational channel.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SessionConfig {
    /// Events waiting for one session; more are dropped and the session is told to read the list.
    pub queue_events: NonZeroUsize,
    /// Sessions of one user.
    pub per_user: NonZeroUsize,
    /// Sessions of all users.
    pub sessions: NonZeroUsize,
    /// Containers listened to.
    pub watches: NonZeroUsize,
    /// Informational events waiting from one container; the oldest is dropped.
    pub watch_queue_events: NonZeroUsize,
}

impl Default for SessionConfig {
    fn default() -> Self {
        Self {
            queue_events: NonZeroUsize::new(256).expect("not zero"),
            per_user: NonZeroUsize::new(16).expect("not zero"),
            sessions: NonZeroUsize::new(16_384).expect("not zero"),
            watches: NonZeroUsize::new(4096).expect("not zero"),
            watch_queue_events: NonZeroUsize::new(256).expect("not zero"),
        }
    }
}

/// Which addresses webhooks may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WebhookTargets {
    /// HTTPS at public addresses only.
    #[default]
    Public,
    /// Also plain HTTP and addresses of this machine and network: for tests and closed networks.
    Any,
}

/// Webhooks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct WebhookConfig {
    /// Where they may go.
    pub targets: WebhookTargets,
}

/// How the connection to the mail server is protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SmtpSecurity {
    /// STARTTLS, required.
    #[default]
    Starttls,
    /// TLS from the first byte.
    Tls,
    /// None: only for a relay on this machine.
    None,
}

/// The mail server.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EmailConfig {
    /// Its name, which its certificate must have.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// How the connection is protected.
    #[serde(default)]
    pub security: SmtpSecurity,
    /// Sender of the mails, `DexOrder <alerts@example.org>`.
    pub from: String,
    /// User at the server; the password is in `secrets.yaml`.
    #[serde(default)]
    pub user: Option<String>,
}

/// Which database.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DatabaseConfig {
    /// A file.
    Sqlite(PathBuf),
    /// PostgreSQL; its address is in `secrets.yaml`.
    Postgres,
}

/// The whole section.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NotificationsConfig {
    /// Where they are kept.
    pub database: DatabaseConfig,
    /// Receiving.
    #[serde(default)]
    pub receiver: ReceiverConfig,
    /// Delivering.
    #[serde(default)]
    pub delivery: DeliveryConfig,
    /// Open pages.
    #[serde(default)]
    pub sessions: SessionConfig,
    /// Webhooks.
    #[serde(default)]
    pub webhook: WebhookConfig,
    /// Mail; nobody is sent any without it.
    #[serde(default)]
    pub email: Option<EmailConfig>,
}

/// Section `notifications` of `secrets.yaml`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct NotificationsSecrets {
    /// `postgres://user:password@host/database`.
    pub postgres_url: Option<SecretString>,
    /// Password at the mail server.
    pub smtp_password: Option<SecretString>,
}

/// What is wrong with a configuration; all of it, each with its path.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.join("; "))]
pub struct InvalidConfig(pub Vec<String>);

impl NotificationsConfig {
    /// The defaults, over a SQLite file.
    #[must_use]
    pub fn sqlite(path: impl Into<PathBuf>) -> Self {
        Self {
            database: DatabaseConfig::Sqlite(path.into()),
            receiver: ReceiverConfig::default(),
            delivery: DeliveryConfig::default(),
            sessions: SessionConfig::default(),
            webhook: WebhookConfig::default(),
            email: None,
        }
    }

    /// Checks what spans several fields.
    ///
    /// # Errors
    /// [`InvalidConfig`] with all problems.
    pub fn check(&self) -> Result<(), InvalidConfig> {
        let delivery = &self.delivery;
        let mut problems = Vec::new();
        let mut require = |holds: bool, problem: &str| {
            if !holds {
                problems.push(format!("notifications.{problem}"));
            }
        };
        require(delivery.keep_notifications >= KEEP_MIN, "delivery.keep_notifications: less than 2048");
        require(!delivery.poll_interval.is_zero(), "delivery.poll_interval: zero");
        require(!delivery.backoff_min.is_zero(), "delivery.backoff_min: zero");
        require(delivery.backoff_min <= delivery.backoff_max, "delivery.backoff_max: less than backoff_min");
        require(
            delivery.presence_ttl >= delivery.poll_interval * 4,
            "delivery.presence_ttl: less than 4 poll_interval",
        );
        // All channels may take their time once before the lease is checked again.
        require(delivery.lease >= delivery.attempt_timeout * 6, "delivery.lease: less than 6 attempt_timeout");
        if let Some(email) = &self.email {
            let from = email.from.parse::<lettre::message::Mailbox>().is_ok();
            require(from, "email.from: not a mailbox such as DexOrder <alerts@example.org>");
        }
        if problems.is_empty() { Ok(()) } else { Err(InvalidConfig(problems)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use service::config::{Content, parse};
    use std::path::Path;

    fn read(text: &str) -> Result<NotificationsConfig, String> {
        parse(Path::new("config.yaml"), text, Content::Public).map_err(|error| error.to_string())
    }

    #[test]
    fn a_section_needs_a_database_and_has_defaults_for_the_rest() {
        let config = read("database: { sqlite: /var/lib/dexorder/notifications.db }\n").unwrap();
        assert_eq!(config, NotificationsConfig::sqlite("/var/lib/dexorder/notifications.db"));
        assert_eq!(config.check(), Ok(()));
        let config = read("database: postgres\nwebhook: { targets: any }\ndelivery: { lease: 5m }\n").unwrap();
        assert_eq!(config.database, DatabaseConfig::Postgres);
        assert!(read("receiver: {}\n").unwrap_err().contains("database"));
        assert!(read("database: postgres\nreceiver: { port: 1 }\n").unwrap_err().contains("receiver.port"));
    }

    #[test]
    fn all_problems_are_named_at_once() {
        let mut config = NotificationsConfig::sqlite("x");
        config.delivery.keep_notifications = 10;
        config.delivery.lease = Duration::from_secs(1);
        let email = EmailConfig {
            host: "mail".into(),
            port: 25,
            security: SmtpSecurity::None,
            from: "nobody".into(),
            user: None,
        };
        config.email = Some(email);
        let problems = config.check().unwrap_err().0;
        assert_eq!(problems.len(), 3, "{problems:?}");
        assert!(problems[0].starts_with("notifications.delivery.keep_notifications"));
    }
}
