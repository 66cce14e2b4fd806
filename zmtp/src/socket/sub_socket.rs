//! SUB: receives what it subscribed to and subscribes again after each reconnect.

use super::inbox::Inbox;
use super::link::{Link, Pattern};
use super::runtime::{Runtime, Shared};
use super::{ConnectionEvent, CountersSnapshot, Endpoint, EndpointError, Multipart, SocketError, SubOptions};
use crate::SocketType;
use crate::codec::{Command, Local, SubscriptionChange};
use bytes::Bytes;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::{broadcast, watch};

#[derive(Debug, Default)]
struct State {
    /// How often each prefix was subscribed to; the peer hears of the first and of the last only.
    prefixes: HashMap<Bytes, usize>,
    links: HashMap<u64, Arc<Link>>,
}

#[derive(Debug)]
struct Subscriber {
    shared: Arc<Shared>,
    state: Mutex<State>,
    inbox: Inbox<Multipart>,
    max_subscriptions: usize,
}

/// A SUB socket. All methods take `&self`, so it can be shared.
#[derive(Debug)]
pub struct SubSocket {
    subscriber: Arc<Subscriber>,
    runtime: Runtime,
}

impl SubSocket {
    fn subscriber(options: &SubOptions) -> Arc<Subscriber> {
        let shared = Arc::new(Shared::new(options.socket.clone()));
        let (messages, bytes) = (options.receive_queue_messages, options.receive_queue_bytes);
        let inbox = Inbox::new(messages, bytes, options.overflow, Arc::clone(&shared.counters));
        let max_subscriptions = options.max_subscriptions;
        Arc::new(Subscriber { shared, state: Mutex::default(), inbox, max_subscriptions })
    }

    /// A SUB that connects, in the background and for ever; must be called in a runtime.
    ///
    /// # Errors
    /// If the endpoint is not one.
    pub fn connect(endpoint: &str, options: SubOptions) -> Result<Self, EndpointError> {
        let subscriber = Self::subscriber(&options);
        let runtime = Runtime::connect(endpoint.parse()?, Arc::clone(&subscriber), Arc::clone(&subscriber.shared));
        Ok(Self { subscriber, runtime })
    }

    /// A SUB that binds.
    ///
    /// # Errors
    /// If the endpoint is not one or is taken.
    pub async fn bind(endpoint: &str, options: SubOptions) -> Result<Self, SocketError> {
        let subscriber = Self::subscriber(&options);
        let endpoint: Endpoint = endpoint.parse()?;
        let runtime = Runtime::bind(&endpoint, Arc::clone(&subscriber), Arc::clone(&subscriber.shared)).await?;
        Ok(Self { subscriber, runtime })
    }

    /// Subscribes to a prefix. Returns true if the subscription is on the wire, false if the socket is not connected: it
    /// is then sent when it is. Follow with [`Self::confirm`] to know that the peer has it.
    ///
    /// # Errors
    /// If the prefix is too long or there are too many.
    pub async fn subscribe(&self, prefix: &[u8]) -> Result<bool, SocketError> {
        let limit = self.subscriber.shared.options.limits.topic_bytes;
        if prefix.len() > limit {
            return Err(SocketError::TopicTooLong { have: prefix.len(), limit });
        }
        let links = {
            let mut state = self.subscriber.lock();
            if !state.prefixes.contains_key(prefix) && state.prefixes.len() >= self.subscriber.max_subscriptions {
                return Err(SocketError::TooManySubscriptions { limit: self.subscriber.max_subscriptions });
            }
            let count = state.prefixes.entry(Bytes::copy_from_slice(prefix)).or_insert(0);
            *count += 1;
            let first = *count == 1;
            state.announce(first, SubscriptionChange::Subscribe, prefix)
        };
        Ok(written(links).await)
    }

    /// Undoes one [`Self::subscribe`]. Messages already received stay in the queue. Returns as that does.
    pub async fn unsubscribe(&self, prefix: &[u8]) -> bool {
        let links = {
            let mut state = self.subscriber.lock();
            let Some(count) = state.prefixes.get_mut(prefix) else { return false };
            *count -= 1;
            let last = *count == 0;
            if last {
                state.prefixes.remove(prefix);
            }
            state.announce(last, SubscriptionChange::Cancel, prefix)
        };
        written(links).await
    }

    /// The next message; waits as long as it takes, across reconnects. Cancel-safe.
    ///
    /// The frames share the memory of one receive buffer: copy what is to be kept for long.
    pub async fn recv(&self) -> Multipart {
        self.subscriber.inbox.pop().await
    }

    /// The next message, if one is there.
    #[must_use]
    pub fn try_recv(&self) -> Option<Multipart> {
        self.subscriber.inbox.try_pop()
    }

    /// Whether a peer is connected.
    #[must_use]
    pub fn connected(&self) -> watch::Receiver<bool> {
        self.subscriber.shared.connected()
    }

    /// Waits, across reconnects, until the peer has handled all subscriptions made before (a PING that was answered).
    pub async fn confirm(&self) {
        self.subscriber.shared.confirmed().await;
    }

    /// The bound address of a socket made with [`Self::bind`].
    #[must_use]
    pub const fn local_addr(&self) -> Option<SocketAddr> {
        self.runtime.local_addr()
    }

    /// What happens to its connections from now on; who is far behind misses the oldest events.
    #[must_use]
    pub fn monitor(&self) -> broadcast::Receiver<ConnectionEvent> {
        self.subscriber.shared.monitor()
    }

    /// The counters now.
    #[must_use]
    pub fn counters(&self) -> CountersSnapshot {
        self.subscriber.shared.counters.snapshot()
    }

    /// Ends the socket and waits for its tasks.
    pub async fn close(self) {
        self.runtime.close().await;
    }
}

impl State {
    /// Queues a change for all peers if it `is_news` and returns what to wait for.
    fn announce(&self, is_news: bool, change: SubscriptionChange, prefix: &[u8]) -> Vec<(Arc<Link>, u64)> {
        let send = |link: &Arc<Link>| {
            let minor = link.peer.minor;
            let write = |out: &mut _| Command::encode_subscription(out, minor, change, prefix);
            let position = if is_news { link.outbox.push_command(write).ok()? } else { link.outbox.position() };
            Some((Arc::clone(link), position))
        };
        self.links.values().filter_map(send).collect()
    }
}

async fn written(links: Vec<(Arc<Link>, u64)>) -> bool {
    let mut any = false;
    for (link, position) in links {
        any |= link.outbox.flushed(position).await;
    }
    any
}

impl Subscriber {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pattern for Subscriber {
    fn local(&self) -> Local {
        Local::new(SocketType::Sub)
    }

    fn attached(&self, link: &Arc<Link>) {
        // Under one lock, so that no subscription falls between the replay and the changes after it.
        let mut state = self.lock();
        for prefix in state.prefixes.keys() {
            let subscribe = SubscriptionChange::Subscribe;
            let write = |out: &mut _| Command::encode_subscription(out, link.peer.minor, subscribe, prefix);
            if link.outbox.push_command(write).is_err() {
                break;
            }
        }
        state.links.insert(link.key, Arc::clone(link));
        drop(state);
        self.shared.attached(link);
    }

    async fn detached(&self, link: &Arc<Link>) {
        self.lock().links.remove(&link.key);
        self.shared.detached(link);
    }

    async fn subscription(&self, _link: &Arc<Link>, _change: SubscriptionChange, _topic: Bytes) {}

    async fn message(&self, _link: &Arc<Link>, message: Multipart, bytes: usize) {
        self.inbox.push(message, bytes).await;
    }
}
