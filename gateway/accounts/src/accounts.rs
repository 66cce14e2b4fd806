//! The accounts of the platform: what the gateway asks and tells. All state is in the store; what is kept here may be lost.

mod admin;
mod api_keys;
mod authenticate;
mod erase;
mod lookup;
mod profile;
mod refresh;
mod sign_in;
mod telegram;
mod totp;

pub use admin::{AuditPage, AuditView, UserPatch, UserView};
pub use api_keys::{ApiKeyView, NewApiKey};
pub use erase::{AccountErasure, AccountExport};
pub use profile::{LimitsView, Profile, SessionView};
pub(crate) use sign_in::MINIMUM_AGE;
pub use sign_in::{SignUpForm, SignedIn};
pub use telegram::TelegramCode;
pub use totp::TotpSetup;

use crate::address::ClientAddress;
use crate::audit::{Attempt, Event, Outcome};
use crate::caller::Caller;
use crate::config::{AccountsConfig, AccountsSecrets};
use crate::error::AccountError;
use crate::hashing::Hashing;
use crate::issuer::Issuer;
use crate::keys::{self, Sealer};
use crate::limits::{HotStore, InProcess, RedisStore, Taken};
use crate::metrics::AccountsMetrics;
use crate::store::{Lifetimes, Store, UserRecord};
use crate::tier::{Quota, Rate};
use crate::user_name::UserName;
use authenticate::Known;
use proto::UserId;
use secrecy::SecretString;
use service::clock::Clock;
use service::metrics::ModuleMetrics;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// What is over is removed so often.
const UPKEEP: Duration = Duration::from_secs(60);
/// What is over is kept so long: spent tokens must be known again.
const KEPT: Duration = Duration::from_secs(86_400);
/// Rows removed at one time of each kind.
const PRUNED: u32 = 1000;

/// The accounts of the platform.
pub struct Accounts {
    config: AccountsConfig,
    store: Store,
    issuer: Issuer,
    sealer: Sealer,
    hashing: Hashing,
    hot: Arc<dyn HotStore>,
    /// Counts while the hot store does not answer.
    fallback: InProcess,
    bot_token: Option<SecretString>,
    known: Known,
    clock: Clock,
    metrics: AccountsMetrics,
}

impl std::fmt::Debug for Accounts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Accounts").field("issuer", &self.issuer).finish_non_exhaustive()
    }
}

/// From where somebody calls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Client {
    /// The address.
    pub address: ClientAddress,
    /// What the client says it is (`User-Agent`); for people to know a session by, never believed.
    pub agent: String,
}

/// A secret that is good once, with its end.
#[derive(Debug, Clone)]
pub struct OneTimeSecret {
    /// The secret.
    pub secret: SecretString,
    /// When it is no longer good, ns.
    pub expires_ns: u64,
}

impl Client {
    /// Shortens what the client says, and takes out what no browser sends.
    #[must_use]
    pub fn new(address: ClientAddress, agent: &str) -> Self {
        Self { address, agent: agent.chars().filter(|c| !c.is_control()).take(200).collect() }
    }
}

impl Accounts {
    /// Opens the accounts. `dir` holds the SQLite file `platform.sqlite` and the keys `accounts-signing.pem` and
    /// `accounts-sealing.key`, as far as secrets name no others.
    ///
    /// # Errors
    /// If the settings have problems (see [`AccountsConfig::problems`]), or the store or a key cannot be used.
    pub async fn open(
        config: AccountsConfig,
        secrets: AccountsSecrets,
        dir: &Path,
        clock: Clock,
        metrics: &ModuleMetrics,
    ) -> Result<Self, AccountError> {
        let problems = config.problems();
        if !problems.is_empty() {
            return Err(AccountError::invalid("accounts", problems.join("; ")));
        }
        let pkcs8 = keys::signing_key(secrets.signing_key.as_ref(), &dir.join("accounts-signing.pem"))?;
        let sealer = Sealer::open(secrets.sealing_key.as_ref(), &dir.join("accounts-sealing.key"))?;
        let issuer = Issuer::new(&config, &pkcs8)?;
        let file = dir.join("platform.sqlite");
        let store = Store::open(secrets.database_url.as_ref(), &file, &config.store).await?;
        let hot: Arc<dyn HotStore> = match &secrets.redis_url {
            Some(url) => Arc::new(RedisStore::new(url).map_err(|_| {
                AccountError::invalid("redis_url", "redis_url: not a URL of Redis (content not shown)")
            })?),
            None => Arc::new(InProcess::new()),
        };
        let metrics = AccountsMetrics::new(metrics);
        let hashing = Hashing::new(&config.hashing, &metrics);
        let known = Known::new(config.seen_within);
        let (bot_token, fallback) = (secrets.telegram_bot_token, InProcess::new());
        Ok(Self { config, store, issuer, sealer, hashing, hot, fallback, bot_token, known, clock, metrics })
    }

    /// The settings.
    #[must_use]
    pub const fn config(&self) -> &AccountsConfig {
        &self.config
    }

    /// The `kid` of our tokens.
    #[must_use]
    pub fn key_id(&self) -> &str {
        self.issuer.key_id()
    }

    /// The public key of our tokens, PEM.
    #[must_use]
    pub fn public_key_pem(&self) -> &str {
        self.issuer.public_key_pem()
    }

    /// A token with which the gateway calls the container of `owner`, whose URL is `audience`. It is good nowhere else, and never for us.
    ///
    /// # Errors
    /// If the audience is our own or empty, or the life is over 24 h.
    pub fn container_token(&self, owner: UserId, audience: &str, life: Duration) -> Result<SecretString, AccountError> {
        Ok(self.issuer.container_token(owner, audience, life, self.clock.now_ns())?)
    }

    /// The time of all decisions here, ns.
    #[must_use]
    pub fn now(&self) -> u64 {
        self.now_ns()
    }

    /// True if the store answers: readiness.
    pub async fn is_ready(&self) -> bool {
        self.store.ping().await.is_ok()
    }

    /// Takes one from a quota of the caller's tier, over all replicas and credentials of the user.
    ///
    /// # Errors
    /// [`AccountError::OverQuota`], with the time to wait.
    pub async fn allow(&self, caller: &Caller, quota: Quota) -> Result<(), AccountError> {
        let rate = caller.tier.rate(quota);
        let taken = self.take(&format!("user:{}:{}", caller.user, quota.name()), rate).await;
        let Taken::Refused { retry_after } = taken else { return Ok(()) };
        self.metrics.over_quota(quota);
        let (count, window) = (rate.count, rate.window);
        Err(AccountError::OverQuota { quota: quota.name(), count, window, retry_after })
    }

    /// Removes what is over, until shutdown.
    ///
    /// # Cancel safety
    /// May be dropped at any time.
    pub async fn run_upkeep(&self, shutdown: &CancellationToken) {
        let mut tick = tokio::time::interval(UPKEEP);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        while shutdown.run_until_cancelled(tick.tick()).await.is_some() {
            if let Err(error) = self.prune().await {
                self.metrics.store_failures.inc();
                tracing::warn!(%error, "accounts could not be tidied");
            }
        }
    }

    /// Removes what is over, one round.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn prune(&self) -> Result<(), AccountError> {
        let now_ns = self.now_ns();
        let before_ns = now_ns.saturating_sub(nanos(KEPT));
        self.store.prune_sessions(before_ns, PRUNED).await?;
        self.store.prune_secrets(now_ns.saturating_sub(nanos(crate::telegram_login::FRESH)), PRUNED).await?;
        self.store.prune_api_keys(before_ns, PRUNED).await?;
        let forgotten_ns = now_ns.saturating_sub(nanos(crate::guessing::FORGOTTEN));
        self.store.prune_guesses(forgotten_ns, PRUNED).await?;
        Ok(())
    }

    /// Closes the store.
    pub async fn close(&self) {
        self.store.close().await;
    }

    fn now_ns(&self) -> u64 {
        self.clock.now_ns()
    }

    fn lifetimes(&self) -> Lifetimes {
        Lifetimes { idle: self.config.session_idle, longest: self.config.session_longest }
    }

    /// Counts an attempt of an address; over the limit it is neither looked at nor audited, so that a flood fills no disk.
    async fn allow_address(&self, client: &Client) -> Result<(), AccountError> {
        let rate = Rate { count: self.config.attempts_per_minute, window: Duration::from_secs(60) };
        let taken = self.take(&format!("address:{}", client.address.network()), rate).await;
        let Taken::Refused { retry_after } = taken else { return Ok(()) };
        self.metrics.over_address_quota();
        Err(AccountError::OverQuota { quota: "attempts", count: rate.count, window: rate.window, retry_after })
    }

    async fn take(&self, key: &str, rate: Rate) -> Taken {
        let now_ns = self.now_ns();
        match self.hot.take(key, rate, now_ns).await {
            Ok(taken) => taken,
            Err(error) => {
                // Each replica then counts for itself: less exact, but nobody is shut out and nobody goes uncounted.
                self.metrics.hot_store_failures.inc();
                tracing::debug!(error = %error.source, "the hot store failed");
                self.fallback.take_now(key, rate, now_ns)
            }
        }
    }

    /// Writes an attempt into the audit trail. One that cannot be written is not granted.
    async fn audit(
        &self,
        event: Event,
        outcome: Outcome,
        user: Option<&UserRecord>,
        client: &Client,
    ) -> Result<(), AccountError> {
        let (id, name) = user.map_or((None, String::new()), |user| (Some(user.id), user.name.to_string()));
        self.write_audit(Attempt { event, outcome, user: id, by: None, name, address: client.address.to_string() })
            .await
    }

    /// The same for what a caller does to the own account.
    async fn audit_own(&self, event: Event, caller: &Caller, client: &Client) -> Result<(), AccountError> {
        self.audit_by(event, caller, (caller.user, &caller.name), client).await
    }

    /// The same for what a caller does to somebody's account.
    async fn audit_by(
        &self,
        event: Event,
        caller: &Caller,
        (user, name): (UserId, &UserName),
        client: &Client,
    ) -> Result<(), AccountError> {
        let by = (user != caller.user).then_some(caller.user);
        let (name, address) = (name.to_string(), client.address.to_string());
        self.write_audit(Attempt { event, outcome: Outcome::Granted, user: Some(user), by, name, address }).await
    }

    async fn write_audit(&self, attempt: Attempt) -> Result<(), AccountError> {
        self.store.append_audit(&attempt, self.now_ns()).await?;
        self.metrics.attempt(attempt.event, attempt.outcome);
        Ok(())
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
