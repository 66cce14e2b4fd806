//! A service for a test: its database, its keys, its metrics, and how to wait for it.

use async_trait::async_trait;
use notifications::{
    Channel, DatabaseConfig, EventKeys, KeyLookupError, Listed, Notifications, NotificationsConfig,
    NotificationsSecrets, Parts, State, WebhookTargets,
};
use proto::UserId;
use secrecy::SecretString;
use service::clock::Clock;
use service::lifecycle::Lifecycle;
use service::metrics::Metrics;
use std::collections::HashMap;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, Once};
use std::time::{Duration, Instant};
use user_events::{KEY_BYTES, MacKey};

pub(crate) const ALICE: UserId = UserId::from_bits(0x0192_7f73_6d13_eeb8_3268_be2f_8c74_2d2c);
pub(crate) const BOB: UserId = UserId::from_bits(0x0192_7f73_6d13_eeb8_3268_be2f_8c74_2d2d);

/// The key of a user's container with this number.
pub(crate) fn key_of(user: UserId, id: u32) -> MacKey {
    let mut bytes = [0; KEY_BYTES];
    bytes[..16].copy_from_slice(&user.bits().to_be_bytes());
    bytes[16..20].copy_from_slice(&id.to_be_bytes());
    MacKey::new(id, &bytes).unwrap()
}

/// The keys that the provisioner would keep.
#[derive(Debug, Default)]
pub(crate) struct TestKeys(Mutex<HashMap<(UserId, u32), MacKey>>);

impl TestKeys {
    pub(crate) fn give(&self, user: UserId, key: MacKey) {
        self.0.lock().unwrap().insert((user, key.id()), key);
    }

    pub(crate) fn withdraw(&self, user: UserId, id: u32) {
        self.0.lock().unwrap().remove(&(user, id));
    }
}

#[async_trait]
impl EventKeys for TestKeys {
    async fn key(&self, user_id: UserId, key_id: u32) -> Result<Option<MacKey>, KeyLookupError> {
        Ok(self.0.lock().unwrap().get(&(user_id, key_id)).cloned())
    }
}

/// Where a service keeps what it knows.
#[derive(Debug, Clone)]
pub(crate) enum Backing {
    Sqlite(PathBuf),
    Postgres(SecretString),
}

/// How a service is started.
#[derive(Debug)]
pub(crate) struct Setup {
    pub(crate) backing: Backing,
    pub(crate) config: NotificationsConfig,
    pub(crate) secrets: NotificationsSecrets,
    pub(crate) keys: Arc<TestKeys>,
    pub(crate) channels: Vec<Arc<dyn Channel>>,
    pub(crate) replica: String,
    pub(crate) clock: Clock,
}

impl Setup {
    pub(crate) fn new(backing: Backing) -> Self {
        let mut config = NotificationsConfig::sqlite("unused");
        let mut secrets = NotificationsSecrets::default();
        match &backing {
            Backing::Sqlite(path) => config.database = DatabaseConfig::Sqlite(path.clone()),
            Backing::Postgres(url) => {
                config.database = DatabaseConfig::Postgres;
                secrets.postgres_url = Some(url.clone());
            }
        }
        config.receiver.bind = "tcp://127.0.0.1:0".into();
        config.delivery.poll_interval = Duration::from_millis(20);
        config.delivery.backoff_min = Duration::from_millis(20);
        config.delivery.backoff_max = Duration::from_millis(80);
        config.webhook.targets = WebhookTargets::Any;
        let keys = Arc::new(TestKeys::default());
        for user in [ALICE, BOB] {
            keys.give(user, key_of(user, 7));
        }
        Self { backing, config, secrets, keys, channels: Vec::new(), replica: "one".into(), clock: Clock::System }
    }

    pub(crate) fn sqlite(dir: &Path) -> Self {
        Self::new(Backing::Sqlite(dir.join("notifications.db")))
    }

    /// Another replica over the same store, with the same keys.
    pub(crate) fn beside(&self, replica: &str) -> Self {
        let setup = Self::new(self.backing.clone());
        Self {
            config: self.config.clone(),
            keys: Arc::clone(&self.keys),
            replica: replica.into(),
            channels: self.channels.clone(),
            ..setup
        }
    }

    pub(crate) async fn start(&self) -> World {
        static PROVIDER: Once = Once::new();
        PROVIDER.call_once(|| rustls::crypto::ring::default_provider().install_default().unwrap());
        let (metrics, lifecycle) = (Metrics::new(), Lifecycle::new());
        let parts = Parts {
            keys: Arc::clone(&self.keys) as Arc<dyn EventKeys>,
            channels: self.channels.clone(),
            replica: self.replica.clone(),
            clock: self.clock.clone(),
            metrics: &metrics,
            lifecycle: &lifecycle,
        };
        let service = Notifications::start(self.config.clone(), &self.secrets, parts).await.unwrap();
        World { service, metrics, lifecycle }
    }
}

/// A running service.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) service: Notifications,
    pub(crate) metrics: Metrics,
    lifecycle: Lifecycle,
}

/// Asks until the answer is yes; fails the test after two minutes.
pub(crate) async fn eventually<F: Future<Output = bool>>(what: &str, mut question: impl FnMut() -> F) {
    let mut ticks = tokio::time::interval(Duration::from_millis(5));
    let asking = async {
        while !question().await {
            ticks.tick().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(120), asking).await.unwrap_or_else(|_| panic!("never: {what}"));
}

impl World {
    pub(crate) fn port(&self) -> u16 {
        self.service.local_addr().unwrap().port()
    }

    pub(crate) async fn stop(self) {
        self.lifecycle.drain(Duration::from_secs(20)).await.unwrap();
    }

    /// The value of a metric, with its labels as they are rendered.
    pub(crate) fn metric(&self, name: &str) -> u64 {
        let line = format!("gateway_notifications_{name} ");
        let text = self.metrics.render();
        let value = text.lines().find_map(|text| text.strip_prefix(&line));
        value.map_or(0, |value| value.parse().unwrap())
    }

    pub(crate) async fn all(&self, user: UserId) -> Vec<Listed> {
        let mut list = Vec::new();
        let mut before = None;
        loop {
            let page = self.service.list(user, before, 200).await.unwrap();
            let Some(last) = page.last() else { break };
            before = Some(last.notification.number);
            list.extend(page);
        }
        list.reverse();
        list
    }

    /// Waits until the user's notifications are in this state, all of them, and there are so many; as long as there are more
    /// and more.
    pub(crate) async fn settled(&self, user: UserId, count: usize, state: State) -> Vec<Listed> {
        let mut ticks = tokio::time::interval(Duration::from_millis(10));
        let (mut most, mut since) = (0, Instant::now());
        loop {
            let all = self.all(user).await;
            let there = all.iter().filter(|listed| listed.state == state).count();
            if there == count && all.len() == count {
                return all;
            }
            if there > most {
                (most, since) = (there, Instant::now());
            }
            let others: Vec<_> = all.iter().filter(|listed| listed.state != state).take(3).collect();
            let stuck = since.elapsed() > Duration::from_secs(60);
            assert!(
                !stuck,
                "{there} of {count} are {state:?}, {} there: {others:?}\n{}",
                all.len(),
                self.metrics.render()
            );
            ticks.tick().await;
        }
    }
}
