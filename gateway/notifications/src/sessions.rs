//! Open pages: what was recorded anywhere is passed on to the sessions at this replica, in order, each once.
//!
//! Nothing is pushed from memory: a local record only wakes the reader, and what another replica recorded is found by
//! asking the store at intervals. So a session sees the same from whichever replica it hangs on.

use crate::config::SessionConfig;
use crate::error::StoreError;
use crate::metrics::NotificationMetrics;
use crate::notification::Notification;
use crate::store::Store;
use proto::{UserEvent, UserId};
use service::clock::Clock;
use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{Notify, mpsc};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

/// Notifications read at once for one user.
const PAGE: u64 = 256;

/// What a session is told.
#[derive(Debug, Clone, PartialEq)]
pub enum SessionEvent {
    /// A recorded notification; the page confirms it by its event id once it is shown.
    Notification(Arc<Notification>),
    /// An informational event of the container, never repeated.
    Informational(Arc<UserEvent>),
    /// The session did not read and events were dropped: the page should read the list again.
    Missed,
}

impl SessionEvent {
    /// As the member `event` of a `user_event` on the WebSocket (docs/protocol/12-chat.md).
    #[must_use]
    pub fn to_json(&self) -> serde_json::Value {
        match self {
            Self::Notification(notification) => {
                let mut value = notification.to_json();
                value["type"] = "notification".into();
                value
            }
            Self::Informational(event) => serde_json::json!({
                "type": "informational",
                "event_id": event.event_id.to_string(),
                "kind": event.kind.name(),
                "created_at_ns": event.created_at_ns,
                "payload": serde_json::from_slice(&event.payload).unwrap_or(serde_json::Value::Null),
            }),
            Self::Missed => serde_json::json!({"type": "missed"}),
        }
    }
}

/// Why a session is not opened.
#[derive(Debug, thiserror::Error)]
pub enum SubscribeError {
    /// Too many sessions.
    #[error("{limit}: at most {max} sessions")]
    TooMany {
        /// Which limit.
        limit: &'static str,
        /// Its value.
        max: usize,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

#[derive(Debug)]
struct Outlet {
    id: u64,
    sender: mpsc::Sender<SessionEvent>,
    missed: Arc<AtomicBool>,
}

#[derive(Debug)]
struct Watched {
    /// The number of the newest notification that was passed on.
    cursor: u64,
    outlets: Vec<Outlet>,
}

#[derive(Debug, Default)]
struct State {
    users: HashMap<UserId, Watched>,
    sessions: usize,
    next_id: u64,
    /// Users of whom something was recorded here since the reader looked.
    news: BTreeSet<UserId>,
    /// Users whose last session has ended.
    left: BTreeSet<UserId>,
}

/// The open sessions of this replica.
#[derive(Debug)]
pub(crate) struct Sessions {
    store: Store,
    clock: Clock,
    replica: String,
    config: SessionConfig,
    presence_ttl: Duration,
    metrics: NotificationMetrics,
    state: Mutex<State>,
    changed: Notify,
}

/// An open session. It ends when this is dropped.
#[derive(Debug)]
pub struct Subscription {
    user_id: UserId,
    id: u64,
    events: mpsc::Receiver<SessionEvent>,
    missed: Arc<AtomicBool>,
    sessions: Arc<Sessions>,
}

impl Subscription {
    /// The next event; `None` when the service stops. Cancel-safe.
    pub async fn recv(&mut self) -> Option<SessionEvent> {
        // What was dropped came after what waits: say so when that is taken.
        if self.events.is_empty() && self.missed.swap(false, Ordering::AcqRel) {
            return Some(SessionEvent::Missed);
        }
        self.events.recv().await
    }

    /// Whose session it is.
    #[must_use]
    pub const fn user_id(&self) -> UserId {
        self.user_id
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.sessions.leave(self.user_id, self.id);
    }
}

/// What the sessions need to work.
#[derive(Debug)]
pub(crate) struct SessionParts {
    pub(crate) store: Store,
    pub(crate) clock: Clock,
    pub(crate) replica: String,
    pub(crate) config: SessionConfig,
    pub(crate) presence_ttl: Duration,
    pub(crate) metrics: NotificationMetrics,
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

impl Sessions {
    pub(crate) fn new(parts: SessionParts) -> Arc<Self> {
        let SessionParts { store, clock, replica, config, presence_ttl, metrics } = parts;
        let (state, changed) = (Mutex::default(), Notify::new());
        Arc::new(Self { store, clock, replica, config, presence_ttl, metrics, state, changed })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn present_until(&self) -> u64 {
        self.clock.now_ns().saturating_add(nanoseconds(self.presence_ttl))
    }

    /// Opens a session: everything recorded from now on comes to it. When this returns, the delivery knows of it.
    pub(crate) async fn subscribe(self: &Arc<Self>, user_id: UserId) -> Result<Subscription, SubscribeError> {
        let last = self.store.last_numbers(&[user_id]).await?;
        let cursor = last.first().map_or(0, |(_, last)| *last);
        let subscription = self.enter(user_id, cursor)?;
        self.store.be_present(&self.replica, &[user_id], self.present_until()).await?;
        Ok(subscription)
    }

    fn enter(self: &Arc<Self>, user_id: UserId, cursor: u64) -> Result<Subscription, SubscribeError> {
        let (all, per_user) = (self.config.sessions.get(), self.config.per_user.get());
        let mut state = self.lock();
        let too_many = |limit, max| {
            self.metrics.session_refused.inc();
            Err(SubscribeError::TooMany { limit, max })
        };
        if state.sessions >= all {
            return too_many("sessions", all);
        }
        if state.users.get(&user_id).is_some_and(|watched| watched.outlets.len() >= per_user) {
            return too_many("per_user", per_user);
        }
        state.next_id += 1;
        state.sessions += 1;
        let (id, missed) = (state.next_id, Arc::new(AtomicBool::new(false)));
        let (sender, events) = mpsc::channel(self.config.queue_events.get());
        let outlet = Outlet { id, sender, missed: Arc::clone(&missed) };
        // A session beside others of the same user starts where they stand.
        let watched = state.users.entry(user_id).or_insert(Watched { cursor, outlets: Vec::new() });
        watched.outlets.push(outlet);
        state.left.remove(&user_id);
        self.metrics.sessions.set(i64::try_from(state.sessions).unwrap_or(i64::MAX));
        drop(state);
        Ok(Subscription { user_id, id, events, missed, sessions: Arc::clone(self) })
    }

    fn leave(&self, user_id: UserId, id: u64) {
        let mut state = self.lock();
        let Some(watched) = state.users.get_mut(&user_id) else { return };
        let before = watched.outlets.len();
        watched.outlets.retain(|outlet| outlet.id != id);
        if watched.outlets.len() == before {
            // It was ended, and this is what is left of it.
            return;
        }
        if watched.outlets.is_empty() {
            state.users.remove(&user_id);
            state.left.insert(user_id);
        }
        state.sessions -= 1;
        self.metrics.sessions.set(i64::try_from(state.sessions).unwrap_or(i64::MAX));
        drop(state);
        self.changed.notify_one();
    }

    /// Ends all sessions of a user here.
    pub(crate) fn end(&self, user_id: UserId) {
        let mut state = self.lock();
        let Some(watched) = state.users.remove(&user_id) else { return };
        state.sessions -= watched.outlets.len();
        state.left.insert(user_id);
        self.metrics.sessions.set(i64::try_from(state.sessions).unwrap_or(i64::MAX));
        drop(state);
        self.changed.notify_one();
    }

    /// Something was recorded for these users.
    pub(crate) fn recorded(&self, users: &BTreeSet<UserId>) {
        let mut state = self.lock();
        let here: Vec<UserId> = users.iter().filter(|user| state.users.contains_key(user)).copied().collect();
        if here.is_empty() {
            return;
        }
        state.news.extend(here);
        drop(state);
        self.changed.notify_one();
    }

    /// Passes an informational event on to the user's sessions; never waits.
    pub(crate) fn inform(&self, event: UserEvent) {
        let state = self.lock();
        let Some(watched) = state.users.get(&event.user_id) else { return };
        self.metrics.informational.inc();
        self.pass(watched, &SessionEvent::Informational(Arc::new(event)));
    }

    fn pass(&self, watched: &Watched, event: &SessionEvent) {
        for outlet in &watched.outlets {
            if outlet.sender.try_send(event.clone()).is_err() {
                outlet.missed.store(true, Ordering::Release);
                self.metrics.session_dropped.inc();
            }
        }
    }

    /// Reads news and says who is present, until it is stopped.
    pub(crate) async fn run(self: Arc<Self>, poll_interval: Duration, stop: CancellationToken) {
        let heartbeat = self.presence_ttl / 3;
        let (mut poll_at, mut beat_at) = (Instant::now() + poll_interval, Instant::now() + heartbeat);
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                () = self.changed.notified() => {}
                () = sleep_until(poll_at.min(beat_at)) => {}
            }
            let now = Instant::now();
            let everybody = now >= poll_at;
            if everybody {
                poll_at = now + poll_interval;
            }
            self.count_failure(self.read_news(everybody).await);
            let beat = now >= beat_at;
            if beat {
                beat_at = now + heartbeat;
            }
            self.count_failure(self.tell_presence(beat).await);
        }
        let users: Vec<UserId> = self.lock().users.drain().map(|(user_id, _)| user_id).collect();
        self.count_failure(self.store.be_absent(&self.replica, &users, self.clock.now_ns()).await);
    }

    fn count_failure(&self, result: Result<(), StoreError>) {
        if let Err(error) = result {
            self.metrics.store_failures.inc();
            tracing::warn!(%error, "open sessions are behind");
        }
    }

    async fn tell_presence(&self, beat: bool) -> Result<(), StoreError> {
        let (here, left): (Vec<UserId>, Vec<UserId>) = {
            let mut state = self.lock();
            let here = if beat { state.users.keys().copied().collect() } else { Vec::new() };
            (here, std::mem::take(&mut state.left).into_iter().collect())
        };
        if !left.is_empty() {
            self.store.be_absent(&self.replica, &left, self.clock.now_ns()).await?;
        }
        if !here.is_empty() {
            self.store.be_present(&self.replica, &here, self.present_until()).await?;
        }
        Ok(())
    }

    async fn read_news(&self, everybody: bool) -> Result<(), StoreError> {
        let users: Vec<UserId> = {
            let mut state = self.lock();
            let news = std::mem::take(&mut state.news);
            if everybody { state.users.keys().copied().collect() } else { news.into_iter().collect() }
        };
        if users.is_empty() {
            return Ok(());
        }
        for (user_id, last) in self.store.last_numbers(&users).await? {
            while let Some(cursor) = self.behind(user_id, last) {
                let notifications = self.store.after(user_id, cursor, PAGE).await?;
                let read_to = if (notifications.len() as u64) < PAGE { last } else { 0 };
                self.show(user_id, cursor, read_to, notifications);
            }
        }
        Ok(())
    }

    fn behind(&self, user_id: UserId, last: u64) -> Option<u64> {
        self.lock().users.get(&user_id).map(|watched| watched.cursor).filter(|cursor| *cursor < last)
    }

    /// Passes notifications on. `read_to` is how far the user was read, which may be beyond the last one: a number whose
    /// event was recorded before has no row.
    fn show(&self, user_id: UserId, cursor: u64, read_to: u64, notifications: Vec<Notification>) {
        let mut state = self.lock();
        let Some(watched) = state.users.get_mut(&user_id).filter(|watched| watched.cursor == cursor) else { return };
        let newest = notifications.last().map_or(0, |notification| notification.number);
        watched.cursor = cursor.max(newest).max(read_to);
        let watched = &*watched;
        for notification in notifications {
            self.pass(watched, &SessionEvent::Notification(Arc::new(notification)));
        }
    }
}
