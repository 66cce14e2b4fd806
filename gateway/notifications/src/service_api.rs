//! The service: starts the parts, and is what the gateway asks.

use crate::channels::{EmailChannel, WebhookChannel, check_url, new_secret};
use crate::channels::{EmailError, WebhookError};
use crate::config::{DatabaseConfig, InvalidConfig, NotificationsConfig, NotificationsSecrets};
use crate::delivery::Channel;
use crate::delivery::dispatcher::{Dispatcher, DispatcherParts};
use crate::error::StoreError;
use crate::metrics::NotificationMetrics;
use crate::notification::{Listed, NewNotification};
use crate::preferences::{ChannelKind, PreferenceError, Preferences};
use crate::receiver::{EventKeys, KeyCache, Receiver};
use crate::sessions::{SessionParts, Sessions, SubscribeError, Subscription};
use crate::store::{Counts, Database, Erased, Export, NewRecord, Store, StoredPreferences};
use crate::watch::{WatchError, Watches};
use crate::writer::{Writer, WriterHandle, WriterParts};
use proto::limits::EVENT_PAYLOAD_BYTES;
use proto::{EventId, EventKind, UserId};
use secrecy::SecretString;
use service::clock::Clock;
use service::lifecycle::Lifecycle;
use service::metrics::Metrics;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use tokio::sync::{Notify, mpsc};
use zmtp::{RouterOptions, RouterSocket, SocketError, SocketOptions};

/// Most notifications in one answer.
const LIST_MAX: u64 = 200;
/// Most event ids in one confirmation.
const CONFIRM_MAX: usize = 256;

/// What notifications need from the gateway.
#[derive(Debug)]
pub struct Parts<'a> {
    /// Who has which key.
    pub keys: Arc<dyn EventKeys>,
    /// Channels beside webhook and mail, e.g. Telegram's.
    pub channels: Vec<Arc<dyn Channel>>,
    /// Names this replica among those over one store; no two have the same name at the same time. A restarted one that keeps
    /// its name goes on at once with what it held; of another name the lease must end first.
    pub replica: String,
    /// The clock.
    pub clock: Clock,
    /// Where metrics are registered.
    pub metrics: &'a Metrics,
    /// Runs the tasks, and stops them.
    pub lifecycle: &'a Lifecycle,
}

/// Why notifications cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The configuration contradicts itself.
    #[error(transparent)]
    Config(#[from] InvalidConfig),
    /// PostgreSQL is configured but `secrets.yaml` does not say where it is.
    #[error("notifications.postgres_url: missing in secrets.yaml")]
    PostgresUrl,
    /// The store cannot be opened.
    #[error("store: {0}")]
    Store(#[from] StoreError),
    /// The receiver's port cannot be bound.
    #[error("receiver.bind: {0}")]
    Bind(#[from] SocketError),
    /// Webhooks.
    #[error(transparent)]
    Webhook(#[from] WebhookError),
    /// Mail.
    #[error(transparent)]
    Email(#[from] EmailError),
    /// Two channels of one kind.
    #[error("channel {} is registered twice", .0.name())]
    ChannelTwice(ChannelKind),
}

/// Why a notification of the platform is not recorded.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// Not a kind that anybody is told of.
    #[error("kind: a gap fill is no notification")]
    Kind,
    /// Too long.
    #[error("payload: {0} bytes, limit {EVENT_PAYLOAD_BYTES}")]
    PayloadTooLong(usize),
    /// No JSON.
    #[error("payload: not JSON")]
    Payload,
    /// The store failed; the same call with the same id may be repeated.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why preferences are not stored.
#[derive(Debug, thiserror::Error)]
pub enum SetPreferencesError {
    /// They cannot be meant.
    #[error(transparent)]
    Invalid(#[from] PreferenceError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Notifications of all users, at this replica. Cloned handles are the same.
#[derive(Debug, Clone)]
pub struct Notifications {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    store: Store,
    writer: WriterHandle,
    sessions: Arc<Sessions>,
    watches: Arc<Watches>,
    keys: Arc<KeyCache>,
    socket: Arc<RouterSocket>,
    due: Arc<Notify>,
    clock: Clock,
    metrics: NotificationMetrics,
    config: NotificationsConfig,
}

impl Notifications {
    /// Opens the store, binds the receiver and starts all tasks; they end when the lifecycle drains.
    ///
    /// # Errors
    /// [`StartError`].
    pub async fn start(
        config: NotificationsConfig,
        secrets: &NotificationsSecrets,
        parts: Parts<'_>,
    ) -> Result<Self, StartError> {
        config.check()?;
        let database = match (&config.database, &secrets.postgres_url) {
            (DatabaseConfig::Sqlite(path), _) => Database::Sqlite(path.clone()),
            (DatabaseConfig::Postgres, Some(url)) => Database::Postgres(url.clone()),
            (DatabaseConfig::Postgres, None) => return Err(StartError::PostgresUrl),
        };
        let store = Store::open(&database, config.delivery.keep_notifications).await?;
        store.forget_replica(&parts.replica).await?;
        let channels = channels(&store, &config, secrets, &parts)?;
        let receiver = &config.receiver;
        let connections = SocketOptions { max_peers: receiver.connections.get(), ..SocketOptions::default() };
        let options = RouterOptions { socket: connections, ..RouterOptions::default() };
        let socket = Arc::new(RouterSocket::bind(&receiver.bind, options).await?);
        let metrics = NotificationMetrics::new(parts.metrics);
        let (jobs, waiting) = mpsc::channel(receiver.queue_messages.get());
        let keys = Arc::new(KeyCache::new(parts.keys, receiver.key_ttl));
        let sessions = Sessions::new(SessionParts {
            store: store.clone(),
            clock: parts.clock.clone(),
            replica: parts.replica.clone(),
            config: config.sessions.clone(),
            presence_ttl: config.delivery.presence_ttl,
            metrics: metrics.clone(),
        });
        let stop = parts.lifecycle.token().clone();
        let watches = Watches::new(Arc::clone(&sessions), config.sessions.clone(), metrics.clone(), stop);
        let inner = Inner {
            store,
            writer: WriterHandle::new(jobs),
            sessions,
            watches: Arc::new(watches),
            keys,
            socket,
            due: Arc::new(Notify::new()),
            clock: parts.clock,
            metrics,
            config,
        };
        inner.spawn(parts.lifecycle, waiting, channels, parts.replica);
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Where containers connect.
    #[must_use]
    pub fn local_addr(&self) -> Option<SocketAddr> {
        self.inner.socket.local_addr()
    }

    /// Records a notification of the platform and has it delivered. The same event id is recorded once.
    ///
    /// # Errors
    /// [`PublishError`].
    pub async fn publish(&self, new: NewNotification) -> Result<EventId, PublishError> {
        if new.kind == EventKind::GapFill {
            return Err(PublishError::Kind);
        }
        if new.payload.len() > EVENT_PAYLOAD_BYTES {
            return Err(PublishError::PayloadTooLong(new.payload.len()));
        }
        if serde_json::from_slice::<serde::de::IgnoredAny>(&new.payload).is_err() {
            return Err(PublishError::Payload);
        }
        let NewNotification { user_id, event_id, kind, created_at_ns, expires_at_ns, payload } = new;
        let record = NewRecord { user_id, position: None, event_id, kind, created_at_ns, expires_at_ns, payload };
        Ok(self.inner.writer.record(record).await?)
    }

    /// The user's notifications below `before` (all without it), newest first, at most 200.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn list(&self, user_id: UserId, before: Option<u64>, limit: u64) -> Result<Vec<Listed>, StoreError> {
        self.inner.store.list(user_id, before.unwrap_or(u64::MAX), limit.min(LIST_MAX)).await
    }

    /// How many notifications the user has not seen.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn unread(&self, user_id: UserId) -> Result<u64, StoreError> {
        self.inner.store.unread(user_id).await
    }

    /// The user has seen everything up to this number. A number that was never given changes nothing.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn mark_read(&self, user_id: UserId, through: u64) -> Result<(), StoreError> {
        self.inner.store.mark_read(user_id, through).await
    }

    /// Opens a session of the user: what is recorded from now on, at any replica, comes to it.
    ///
    /// # Errors
    /// [`SubscribeError`].
    pub async fn subscribe(&self, user_id: UserId) -> Result<Subscription, SubscribeError> {
        self.inner.sessions.subscribe(user_id).await
    }

    /// A page of the user has shown these: they are delivered. Ids of other users are unknown. Tells how many were news; of
    /// more than 256 ids the rest is not looked at.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn confirm(&self, user_id: UserId, ids: &[EventId]) -> Result<u64, StoreError> {
        let ids = &ids[..ids.len().min(CONFIRM_MAX)];
        let confirmed = self.inner.store.confirm(user_id, ids, self.inner.clock.now_ns()).await?;
        self.inner.metrics.session_confirmed.inc_by(confirmed);
        Ok(confirmed)
    }

    /// Listens to the informational events of the user's container, for the user's open sessions. Ends with
    /// [`Self::unwatch`]; called again with another endpoint it moves there.
    ///
    /// # Errors
    /// [`WatchError`].
    pub fn watch(&self, user_id: UserId, endpoint: &str) -> Result<(), WatchError> {
        self.inner.watches.watch(user_id, endpoint)
    }

    /// Listens no more.
    pub fn unwatch(&self, user_id: UserId) {
        self.inner.watches.unwatch(user_id);
    }

    /// What the user prefers.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn preferences(&self, user_id: UserId) -> Result<Preferences, StoreError> {
        Ok(self.inner.store.preferences(user_id).await?.preferences)
    }

    /// Stores what the user prefers. Returns the secret of the user's webhook when its address is new, this once.
    ///
    /// # Errors
    /// [`SetPreferencesError`].
    pub async fn set_preferences(
        &self,
        user_id: UserId,
        preferences: Preferences,
    ) -> Result<Option<SecretString>, SetPreferencesError> {
        preferences.check()?;
        if let Some(url) = &preferences.webhook_url {
            check_url(url, self.inner.config.webhook.targets).map_err(PreferenceError::from)?;
        }
        let before = self.inner.store.preferences(user_id).await?;
        let same = before.preferences.webhook_url == preferences.webhook_url;
        // Another address gets another secret: whoever had the old one must not be able to sign for the new one.
        let (webhook_secret, shown) = match &preferences.webhook_url {
            None => (None, None),
            Some(_) if same && before.webhook_secret.is_some() => (before.webhook_secret, None),
            Some(_) => {
                let secret = new_secret();
                (Some(secret.clone()), Some(secret))
            }
        };
        let stored = StoredPreferences { preferences, webhook_secret };
        self.inner.store.set_preferences(user_id, &stored, self.inner.clock.now_ns()).await?;
        Ok(shown)
    }

    /// Tries the user's dead letters again; tells how many there are.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn requeue_dead(&self, user_id: UserId) -> Result<u64, StoreError> {
        let count = self.inner.store.requeue(user_id, self.inner.clock.now_ns()).await?;
        self.inner.due.notify_one();
        Ok(count)
    }

    /// The keys of the user's container have changed or are withdrawn: they are asked for again.
    pub fn keys_changed(&self, user_id: UserId) {
        self.inner.keys.forget(user_id);
    }

    /// How much there is of the user.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn counts(&self, user_id: UserId) -> Result<Counts, StoreError> {
        self.inner.store.counts(user_id).await
    }

    /// Erases everything of the user. The container and its key must be gone before; its sessions end here.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn erase(&self, user_id: UserId) -> Result<Erased, StoreError> {
        self.inner.keys.forget(user_id);
        self.inner.watches.unwatch(user_id);
        self.inner.sessions.end(user_id);
        self.inner.store.erase(user_id).await
    }

    /// A part of everything of the user; the next one begins behind [`Export::next`].
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn export(&self, user_id: UserId, after: Option<u64>, limit: u64) -> Result<Export, StoreError> {
        self.inner.store.export(user_id, after.unwrap_or(0), limit.clamp(1, LIST_MAX)).await
    }
}

/// All channels: our own, and those that were brought.
fn channels(
    store: &Store,
    config: &NotificationsConfig,
    secrets: &NotificationsSecrets,
    parts: &Parts<'_>,
) -> Result<Vec<Arc<dyn Channel>>, StartError> {
    let mut channels = parts.channels.clone();
    channels.push(Arc::new(WebhookChannel::new(store.clone(), config.webhook, parts.clock.clone())?));
    if let Some(email) = &config.email {
        channels.push(Arc::new(EmailChannel::new(store.clone(), email, secrets.smtp_password.as_ref())?));
    }
    for (at, channel) in channels.iter().enumerate() {
        if channels[..at].iter().any(|other| other.kind() == channel.kind()) {
            return Err(StartError::ChannelTwice(channel.kind()));
        }
    }
    Ok(channels)
}

impl Inner {
    fn spawn(
        &self,
        lifecycle: &Lifecycle,
        waiting: mpsc::Receiver<crate::writer::Job>,
        channels: Vec<Arc<dyn Channel>>,
        replica: String,
    ) {
        let stop = lifecycle.token();
        let writer = Writer::new(WriterParts {
            store: self.store.clone(),
            socket: Arc::clone(&self.socket),
            sessions: Arc::clone(&self.sessions),
            due: Arc::clone(&self.due),
            clock: self.clock.clone(),
            metrics: self.metrics.clone(),
            streams_cached: self.config.receiver.streams_cached.get(),
        });
        let batch = self.config.receiver.batch_messages.get();
        let receiver = Receiver {
            socket: Arc::clone(&self.socket),
            keys: Arc::clone(&self.keys),
            writer: self.writer.clone(),
            metrics: self.metrics.clone(),
            waiting: Mutex::default(),
        };
        let dispatcher = Dispatcher::new(DispatcherParts {
            store: self.store.clone(),
            writer: self.writer.clone(),
            channels,
            config: self.config.delivery.clone(),
            clock: self.clock.clone(),
            metrics: self.metrics.clone(),
            replica,
        });
        let sessions = Arc::clone(&self.sessions);
        let watches = Arc::clone(&self.watches);
        let poll = self.config.delivery.poll_interval;
        lifecycle.spawn("notifications receiver", receiver.run(stop.clone()));
        let deliveries = lifecycle.spawn("notifications delivery", dispatcher.run(Arc::clone(&self.due), stop.clone()));
        let open_pages = lifecycle.spawn("notifications sessions", sessions.run(poll, stop.clone()));
        // The writer outlives the deliveries, whose last results it stores; then the store can be closed.
        let (last, store, stopped) = (tokio_util::sync::CancellationToken::new(), self.store.clone(), stop.clone());
        let writing = lifecycle.spawn("notifications writer", writer.run(waiting, batch, last.clone()));
        lifecycle.spawn("notifications store", async move {
            stopped.cancelled().await;
            drop(tokio::join!(deliveries, open_pages));
            watches.drained().await;
            last.cancel();
            drop(writing.await);
            store.close().await;
        });
    }
}
