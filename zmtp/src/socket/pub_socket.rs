//! PUB: sends what someone subscribed to, never waits, and tells who subscribes.

use super::link::{Link, Pattern};
use super::outbox::Refused;
use super::runtime::{Runtime, Shared};
use super::{ConnectionEvent, Counters, CountersSnapshot, Endpoint, EndpointError, Multipart, PubOptions, SocketError};
use crate::codec::{Command, Local, SubscriptionChange, encode_frame, frame_len};
use crate::{Removed, SocketType, SubscriptionIndex, TopicCache};
use bytes::Bytes;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::{broadcast, mpsc, watch};

/// What became of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SendOutcome {
    /// Queued for at least one peer.
    Sent,
    /// Nobody subscribed to the topic; not a byte was written.
    NoSubscriber,
    /// Somebody subscribed, but each queue was full. Counted.
    Dropped,
}

/// A subscription began or ended at a peer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SubscriptionEvent {
    /// A peer subscribed to the prefix. Repeated after a reconnect, and when a peer subscribes again.
    Subscribed(Bytes),
    /// No peer has the prefix any more.
    Unsubscribed(Bytes),
}

#[derive(Debug)]
struct State {
    index: SubscriptionIndex<u64>,
    cache: TopicCache<u64>,
    links: HashMap<u64, Arc<Link>>,
    events: Option<mpsc::Sender<SubscriptionEvent>>,
}

#[derive(Debug)]
struct Publisher {
    shared: Arc<Shared>,
    state: Mutex<State>,
    version: AtomicU64,
    max_subscriptions: usize,
}

/// A PUB socket. Sending is filtered by the peer's subscriptions and never waits.
#[derive(Debug)]
pub struct PubSocket {
    publisher: Arc<Publisher>,
    runtime: Runtime,
    event_queue: usize,
}

/// Prefixes that one peer may hold at a PUB socket; the relay has its own, configured bound.
const MAX_SUBSCRIPTIONS: usize = 1 << 20;

impl PubSocket {
    fn publisher(options: &PubOptions) -> Arc<Publisher> {
        let state = State {
            index: SubscriptionIndex::default(),
            cache: TopicCache::new(options.topic_cache),
            links: HashMap::new(),
            events: None,
        };
        Arc::new(Publisher {
            shared: Arc::new(Shared::new(options.socket.clone())),
            state: Mutex::new(state),
            version: AtomicU64::new(0),
            max_subscriptions: MAX_SUBSCRIPTIONS,
        })
    }

    /// A PUB that connects, to the relay's XSUB. It connects in the background and for ever; must be called in a runtime.
    ///
    /// # Errors
    /// If the endpoint is not one.
    pub fn connect(endpoint: &str, options: PubOptions) -> Result<Self, EndpointError> {
        let publisher = Self::publisher(&options);
        let runtime = Runtime::connect(endpoint.parse()?, Arc::clone(&publisher), Arc::clone(&publisher.shared));
        Ok(Self { publisher, runtime, event_queue: options.event_queue })
    }

    /// A PUB that binds.
    ///
    /// # Errors
    /// If the endpoint is not one or is taken.
    pub async fn bind(endpoint: &str, options: PubOptions) -> Result<Self, SocketError> {
        let publisher = Self::publisher(&options);
        let endpoint: Endpoint = endpoint.parse()?;
        let runtime = Runtime::bind(&endpoint, Arc::clone(&publisher), Arc::clone(&publisher.shared)).await?;
        Ok(Self { publisher, runtime, event_queue: options.event_queue })
    }

    /// Queues a message of two frames for every peer that subscribed to its topic.
    pub fn send(&self, topic: impl AsRef<[u8]>, body: impl AsRef<[u8]>) -> SendOutcome {
        let (topic, body) = (topic.as_ref(), body.as_ref());
        let mut state = self.publisher.lock();
        let State { index, cache, links, .. } = &mut *state;
        let targets = cache.targets(index, topic);
        if targets.is_empty() {
            return SendOutcome::NoSubscriber;
        }
        let bytes = frame_len(topic.len()) + frame_len(body.len());
        let counters = &self.publisher.shared.counters;
        let mut outcome = SendOutcome::Dropped;
        for link in targets.iter().filter_map(|key| links.get(key)) {
            let pushed = link.outbox.push(bytes, |out| {
                encode_frame(out, topic, true);
                encode_frame(out, body, false);
            });
            match pushed {
                Ok(_) => {
                    Counters::add(&counters.sent, 1);
                    outcome = SendOutcome::Sent;
                }
                Err(Refused::Full | Refused::Closed) => Counters::add(&counters.send_dropped, 1),
            }
        }
        outcome
    }

    /// True if a message on this topic would be sent to someone.
    #[must_use]
    pub fn has_subscriber(&self, topic: impl AsRef<[u8]>) -> bool {
        let mut state = self.publisher.lock();
        let State { index, cache, .. } = &mut *state;
        !cache.targets(index, topic.as_ref()).is_empty()
    }

    /// Changes whenever subscriptions change: an answer of [`Self::has_subscriber`] holds as long as this is the same as it
    /// was *before* the question.
    /// It is one atomic load, for publishers that ask for each of millions of messages.
    #[must_use]
    pub fn subscription_version(&self) -> u64 {
        self.publisher.version.load(Ordering::Acquire)
    }

    /// The subscription events from now on, after a `Subscribed` for each prefix that is there already. A later call
    /// ends the earlier receiver. While the receiver is full the socket reads no further subscriptions (it still sends),
    /// so take them, or drop the receiver.
    #[must_use]
    pub fn events(&self) -> mpsc::Receiver<SubscriptionEvent> {
        let mut state = self.publisher.lock();
        let present: Vec<Bytes> = state.index.prefixes().map(Bytes::copy_from_slice).collect();
        let (sender, receiver) = mpsc::channel(self.event_queue.max(1) + present.len());
        for prefix in present {
            // Cannot fail: the channel has room for all of them and its receiver is here.
            drop(sender.try_send(SubscriptionEvent::Subscribed(prefix)));
        }
        state.events = Some(sender);
        receiver
    }

    /// Whether a peer is connected.
    #[must_use]
    pub fn connected(&self) -> watch::Receiver<bool> {
        self.publisher.shared.connected()
    }

    /// Waits until the peer has handled everything that was sent before (a PING that was answered).
    pub async fn confirm(&self) {
        self.publisher.shared.confirmed().await;
    }

    /// Waits until what is queued is written, or the connection ends.
    pub async fn flush(&self) {
        let links: Vec<_> = self.publisher.lock().links.values().cloned().collect();
        for link in links {
            link.outbox.flushed(link.outbox.position()).await;
        }
    }

    /// The bound address of a socket made with [`Self::bind`].
    #[must_use]
    pub const fn local_addr(&self) -> Option<SocketAddr> {
        self.runtime.local_addr()
    }

    /// What happens to its connections from now on; who is far behind misses the oldest events.
    #[must_use]
    pub fn monitor(&self) -> broadcast::Receiver<ConnectionEvent> {
        self.publisher.shared.monitor()
    }

    /// The counters now.
    #[must_use]
    pub fn counters(&self) -> CountersSnapshot {
        self.publisher.shared.counters.snapshot()
    }

    /// Ends the socket and waits for its tasks; what is not flushed is lost.
    pub async fn close(self) {
        self.runtime.close().await;
    }
}

impl Publisher {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn tell(&self, sender: Option<mpsc::Sender<SubscriptionEvent>>, event: SubscriptionEvent) {
        if let Some(sender) = sender
            && sender.send(event).await.is_err()
        {
            self.lock().events.take_if(|current| current.same_channel(&sender));
        }
    }

    fn changed(&self) {
        self.version.fetch_add(1, Ordering::Release);
    }
}

impl Pattern for Publisher {
    fn local(&self) -> Local {
        Local::new(SocketType::Pub)
    }

    fn attached(&self, link: &Arc<Link>) {
        self.lock().links.insert(link.key, Arc::clone(link));
        self.shared.attached(link);
    }

    async fn detached(&self, link: &Arc<Link>) {
        self.shared.detached(link);
        let (gone, sender) = {
            let mut state = self.lock();
            state.links.remove(&link.key);
            (state.index.remove(link.key), state.events.clone())
        };
        self.changed();
        for prefix in gone {
            self.tell(sender.clone(), SubscriptionEvent::Unsubscribed(Bytes::copy_from_slice(&prefix))).await;
        }
    }

    async fn subscription(&self, link: &Arc<Link>, change: SubscriptionChange, topic: Bytes) {
        let limits = &self.shared.options.limits;
        let (event, sender) = {
            let mut state = self.lock();
            let event = match change {
                SubscriptionChange::Subscribe => {
                    if topic.len() > limits.topic_bytes || state.index.count_of(link.key) >= self.max_subscriptions {
                        tracing::debug!(bytes = topic.len(), "subscription refused");
                        return;
                    }
                    state.index.subscribe(link.key, &topic);
                    SubscriptionEvent::Subscribed(topic)
                }
                SubscriptionChange::Cancel => match state.index.cancel(link.key, &topic) {
                    Removed::Last => SubscriptionEvent::Unsubscribed(topic),
                    Removed::Left | Removed::Absent => return,
                },
            };
            (event, state.events.clone())
        };
        self.changed();
        self.tell(sender, event).await;
    }

    async fn message(&self, link: &Arc<Link>, message: Multipart, _bytes: usize) {
        let [only] = &message[..] else { return };
        if let Some(Command::Subscription(change, topic)) = Command::from_message(only) {
            self.subscription(link, change, only.slice_ref(topic)).await;
        }
    }
}
