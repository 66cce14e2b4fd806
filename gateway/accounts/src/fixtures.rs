//! What tests build on: accounts over SQLite or PostgreSQL, with a clock that stands still, and servers of their own.

mod servers;

pub(crate) use servers::{PostgresCluster, RedisServer};

use crate::accounts::{Accounts, Client, SignUpForm, SignedIn};
use crate::address::ClientAddress;
use crate::caller::Caller;
use crate::config::{AccountsConfig, AccountsSecrets, HashingConfig, SignUp};
use crate::error::AccountError;
use secrecy::{ExposeSecret, SecretString};
use service::clock::Clock;
use service::metrics::Metrics;
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;

/// 2023-11-14T22:13:20Z.
pub(crate) const NOW_NS: u64 = 1_700_000_000_000_000_000;
pub(crate) const SECOND: u64 = 1_000_000_000;
pub(crate) const PASSWORD: &str = "CANARY horse battery";
pub(crate) const BOT_TOKEN: &str = "123456:CANARY-BOT-TOKEN";

/// Which store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Backend {
    Sqlite,
    Postgres,
}

/// A platform of one or more replicas, which share a store, keys and a clock.
pub(crate) struct Platform {
    dir: TempDir,
    pub(crate) clock: Clock,
    pub(crate) config: AccountsConfig,
    pub(crate) metrics: Metrics,
    url: Option<SecretString>,
    redis: Option<SecretString>,
    _cluster: Option<Arc<PostgresCluster>>,
}

impl Platform {
    /// None, with a message, if the server of this backend is not installed.
    pub(crate) async fn new(backend: Backend) -> Option<Self> {
        let (url, cluster) = match backend {
            Backend::Sqlite => (None, None),
            Backend::Postgres => {
                let cluster = PostgresCluster::shared().await?;
                (Some(cluster.new_database().await), Some(cluster))
            }
        };
        let config = AccountsConfig {
            sign_up: SignUp::Open,
            attempts_per_minute: 10_000,
            hashing: HashingConfig { parallel: 2, waiting: 64, log_n: 14 },
            ..AccountsConfig::default()
        };
        let (dir, clock, metrics) = (tempfile::tempdir().unwrap(), Clock::manual(NOW_NS), Metrics::new());
        Some(Self { dir, clock, config, metrics, url, redis: None, _cluster: cluster })
    }

    pub(crate) async fn sqlite() -> Self {
        Self::new(Backend::Sqlite).await.unwrap()
    }

    pub(crate) fn with_redis(mut self, url: &str) -> Self {
        self.redis = Some(SecretString::from(url.to_owned()));
        self
    }

    /// Opens a replica, or opens one again.
    pub(crate) async fn replica(&self) -> Arc<Accounts> {
        Arc::new(self.try_replica().await.unwrap())
    }

    pub(crate) async fn try_replica(&self) -> Result<Accounts, AccountError> {
        let secrets = AccountsSecrets {
            database_url: self.url.clone(),
            redis_url: self.redis.clone(),
            telegram_bot_token: Some(SecretString::from(BOT_TOKEN.to_owned())),
            ..AccountsSecrets::default()
        };
        let module = self.metrics.module("gateway_accounts");
        Accounts::open(self.config.clone(), secrets, self.dir.path(), self.clock.clone(), &module).await
    }

    pub(crate) fn path(&self) -> &std::path::Path {
        self.dir.path()
    }

    pub(crate) fn advance(&self, time: Duration) {
        self.clock.set_ns(self.clock.now_ns() + u64::try_from(time.as_nanos()).unwrap());
    }
}

pub(crate) fn secret(text: &str) -> SecretString {
    SecretString::from(text.to_owned())
}

/// A client of its own household.
pub(crate) fn client(number: u8) -> Client {
    Client::new(ClientAddress([203, 0, 113, number].into()), "test browser")
}

pub(crate) fn form(name: &str) -> SignUpForm {
    SignUpForm {
        name: name.to_owned(),
        password: secret(PASSWORD),
        birth_date: "1990-12-31".to_owned(),
        disclaimer_version: "1".to_owned(),
    }
}

/// Signs a new user up.
pub(crate) async fn sign_up(accounts: &Accounts, name: &str) -> SignedIn {
    accounts.sign_up(form(name), &client(1)).await.unwrap()
}

/// The caller behind a sign-in.
pub(crate) async fn caller(accounts: &Accounts, session: &SignedIn) -> Caller {
    accounts.authenticate(&session.access_token, &client(1)).await.unwrap()
}

/// The first admin, signed in.
pub(crate) async fn admin(accounts: &Accounts) -> (SignedIn, Caller) {
    let (_, link) = accounts.first_admin_link().await.unwrap();
    let session = accounts.sign_in_with_link(&link.secret, &client(1)).await.unwrap();
    let admin = caller(accounts, &session).await;
    (session, admin)
}

/// True if both hold the same text.
pub(crate) fn same(left: &SecretString, right: &SecretString) -> bool {
    left.expose_secret() == right.expose_secret()
}

/// Runs a test on both stores.
macro_rules! on_both_stores {
    ($($name:ident)*) => {
        mod sqlite {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                let platform = crate::fixtures::Platform::new(crate::fixtures::Backend::Sqlite).await.unwrap();
                super::$name(platform).await;
            })*
        }
        mod postgres {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                if let Some(platform) = crate::fixtures::Platform::new(crate::fixtures::Backend::Postgres).await {
                    super::$name(platform).await;
                }
            })*
        }
    };
}

pub(crate) use on_both_stores;
