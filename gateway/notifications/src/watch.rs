//! Informational events: a SUB to each container whose user has a page open. Bounded, lossy, counted.

use crate::config::SessionConfig;
use crate::metrics::NotificationMetrics;
use crate::sessions::Sessions;
use bytes::Bytes;
use proto::{EventMessage, Frame, Kind, Severity, Topic, TopicPrefix, UserEvent, UserId, wire};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use zmtp::{EndpointError, Overflow, SocketError, SubOptions, SubSocket};

/// Why a container is not listened to.
#[derive(Debug, thiserror::Error)]
pub enum WatchError {
    /// Too many containers.
    #[error("watches: at most {0}")]
    TooMany(usize),
    /// The endpoint is not one.
    #[error("endpoint: {0}")]
    Endpoint(#[from] EndpointError),
    /// The socket refused to subscribe.
    #[error("subscription: {0}")]
    Socket(#[from] SocketError),
}

#[derive(Debug)]
struct Watch {
    endpoint: String,
    stop: CancellationToken,
}

/// The containers that are listened to.
#[derive(Debug)]
pub(crate) struct Watches {
    sessions: Arc<Sessions>,
    config: SessionConfig,
    metrics: NotificationMetrics,
    stop: CancellationToken,
    tasks: TaskTracker,
    watches: Mutex<HashMap<UserId, Watch>>,
}

impl Watches {
    pub(crate) fn new(
        sessions: Arc<Sessions>,
        config: SessionConfig,
        metrics: NotificationMetrics,
        stop: CancellationToken,
    ) -> Self {
        Self { sessions, config, metrics, stop, tasks: TaskTracker::new(), watches: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<UserId, Watch>> {
        self.watches.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Listens to a user's container at this endpoint, instead of at another one before.
    pub(crate) fn watch(&self, user_id: UserId, endpoint: &str) -> Result<(), WatchError> {
        let most = self.config.watches.get();
        {
            let watches = self.lock();
            match watches.get(&user_id) {
                Some(watch) if watch.endpoint == endpoint => return Ok(()),
                None if watches.len() >= most => {
                    self.metrics.watch_refused.inc();
                    return Err(WatchError::TooMany(most));
                }
                _ => {}
            }
        }
        let options = SubOptions {
            receive_queue_messages: self.config.watch_queue_events.get(),
            receive_queue_bytes: 4 << 20,
            overflow: Overflow::DropOldest,
            max_subscriptions: 1,
            ..SubOptions::default()
        };
        let socket = SubSocket::connect(endpoint, options)?;
        let stop = self.stop.child_token();
        let watch = Watch { endpoint: endpoint.to_owned(), stop: stop.clone() };
        let replaced = {
            let mut watches = self.lock();
            let replaced = watches.insert(user_id, watch);
            self.metrics.watches.set(i64::try_from(watches.len()).unwrap_or(i64::MAX));
            replaced
        };
        if let Some(replaced) = replaced {
            replaced.stop.cancel();
        }
        // Not waited for: the container may be on its way, and the socket subscribes whenever it is there.
        let (sessions, metrics) = (Arc::clone(&self.sessions), self.metrics.clone());
        self.tasks.spawn(async move {
            let prefix = TopicPrefix::User(user_id).to_string();
            let listen = async {
                match socket.subscribe(prefix.as_bytes()).await {
                    Ok(_) => listen(&socket, user_id, &sessions, &metrics).await,
                    Err(error) => tracing::error!(%error, "a container's events cannot be subscribed to"),
                }
            };
            tokio::select! {
                () = stop.cancelled() => {}
                () = listen => {}
            }
            socket.close().await;
        });
        Ok(())
    }

    /// Listens no more.
    pub(crate) fn unwatch(&self, user_id: UserId) {
        let mut watches = self.lock();
        let removed = watches.remove(&user_id);
        self.metrics.watches.set(i64::try_from(watches.len()).unwrap_or(i64::MAX));
        drop(watches);
        if let Some(watch) = removed {
            watch.stop.cancel();
        }
    }

    /// Waits for all to end, after the stop.
    pub(crate) async fn drained(&self) {
        self.tasks.close();
        self.tasks.wait().await;
    }
}

async fn listen(socket: &SubSocket, user_id: UserId, sessions: &Sessions, metrics: &NotificationMetrics) {
    let mut sequences: HashMap<(u64, proto::EventKind), u64> = HashMap::new();
    loop {
        let frames = socket.recv().await;
        let Some((publisher_id, sequence, event)) = event(&frames, user_id) else {
            metrics.informational_refused.inc();
            continue;
        };
        // One publisher at a time: the counts of the process before are over.
        if sequences.keys().any(|(publisher, _)| *publisher != publisher_id) {
            sequences.clear();
        }
        let last = sequences.insert((publisher_id, event.kind), sequence);
        if let Some(missed) = last.and_then(|last| sequence.checked_sub(last + 1)) {
            metrics.informational_missed.inc_by(missed);
        }
        sessions.inform(event);
    }
}

/// An informational event of this user, and where it stands in its publisher's count; of anybody else nothing is taken.
fn event(frames: &[Bytes], user_id: UserId) -> Option<(u64, u64, UserEvent)> {
    let [topic, body] = frames else { return None };
    let Ok(Topic::UserEvent(of, kind)) = std::str::from_utf8(topic).ok()?.parse() else { return None };
    let frame = Frame::decode(body).ok()?;
    let message: wire::UserEvent = frame.message(Kind::UserEvent).ok()?;
    let Ok(EventMessage::Event(event)) = EventMessage::try_from(message) else { return None };
    let theirs = of == user_id && event.user_id == user_id && event.kind == kind;
    let informational = event.severity == Severity::Informational;
    (theirs && informational).then(|| {
        // Its own memory: the frames share the buffer of the socket.
        let payload = Bytes::copy_from_slice(&event.payload);
        (frame.header.publisher_id, frame.header.sequence, UserEvent { payload, ..event })
    })
}
