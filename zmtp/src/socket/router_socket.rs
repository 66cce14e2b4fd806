//! ROUTER: answers many peers, each by the connection its request came from.

use super::inbox::Inbox;
use super::link::{Link, Pattern};
use super::outbox::Refused;
use super::runtime::{Runtime, Shared};
use super::{
    ConnectionEvent, Counters, CountersSnapshot, Endpoint, Multipart, Overflow, RouterOptions, SendError, SocketError,
};
use crate::SocketType;
use crate::codec::{Local, SubscriptionChange, encode_message, message_len};
use bytes::Bytes;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::broadcast;

/// A connection of a [`RouterSocket`]; never used again after it ended. The identity a peer announces is not used: it
/// proves nothing, and two peers may announce the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PeerKey(u64);

#[derive(Debug)]
struct Router {
    shared: Arc<Shared>,
    inbox: Inbox<(PeerKey, Multipart)>,
    links: Mutex<HashMap<u64, Arc<Link>>>,
}

/// A ROUTER that binds. Frames are passed as they are: a REQ peer's empty delimiter is the first frame of the message.
#[derive(Debug)]
pub struct RouterSocket {
    router: Arc<Router>,
    runtime: Runtime,
}

impl RouterSocket {
    /// Binds.
    ///
    /// # Errors
    /// If the endpoint is not one or is taken.
    pub async fn bind(endpoint: &str, options: RouterOptions) -> Result<Self, SocketError> {
        let shared = Arc::new(Shared::new(options.socket));
        let (messages, bytes) = (options.receive_queue_messages, options.receive_queue_bytes);
        let inbox = Inbox::new(messages, bytes, Overflow::Block, Arc::clone(&shared.counters));
        let router = Arc::new(Router { shared, inbox, links: Mutex::default() });
        let endpoint: Endpoint = endpoint.parse()?;
        let runtime = Runtime::bind(&endpoint, Arc::clone(&router), Arc::clone(&router.shared)).await?;
        Ok(Self { router, runtime })
    }

    /// The next message and where it came from. Cancel-safe.
    pub async fn recv(&self) -> (PeerKey, Multipart) {
        self.router.inbox.pop().await
    }

    /// Queues a message for one peer; never waits.
    ///
    /// # Errors
    /// If the peer is gone or its queue is full; the message is then counted as dropped.
    pub fn send(&self, to: PeerKey, message: &[Bytes]) -> Result<(), SendError> {
        let counters = &self.router.shared.counters;
        let Some(link) = self.router.lock().get(&to.0).cloned() else {
            Counters::add(&counters.send_dropped, 1);
            return Err(SendError::Gone);
        };
        match link.outbox.push(message_len(message), |out| encode_message(out, message)) {
            Ok(_) => {
                Counters::add(&counters.sent, 1);
                Ok(())
            }
            Err(refused) => {
                Counters::add(&counters.send_dropped, 1);
                Err(if refused == Refused::Full { SendError::Full } else { SendError::Gone })
            }
        }
    }

    /// The bound address.
    #[must_use]
    pub const fn local_addr(&self) -> Option<SocketAddr> {
        self.runtime.local_addr()
    }

    /// What happens to its connections from now on; who is far behind misses the oldest events.
    #[must_use]
    pub fn monitor(&self) -> broadcast::Receiver<ConnectionEvent> {
        self.router.shared.monitor()
    }

    /// The counters now.
    #[must_use]
    pub fn counters(&self) -> CountersSnapshot {
        self.router.shared.counters.snapshot()
    }

    /// Ends the socket and waits for its tasks.
    pub async fn close(self) {
        self.runtime.close().await;
    }
}

impl Router {
    fn lock(&self) -> MutexGuard<'_, HashMap<u64, Arc<Link>>> {
        self.links.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pattern for Router {
    fn local(&self) -> Local {
        Local::new(SocketType::Router)
    }

    fn attached(&self, link: &Arc<Link>) {
        self.lock().insert(link.key, Arc::clone(link));
        self.shared.attached(link);
    }

    async fn detached(&self, link: &Arc<Link>) {
        self.lock().remove(&link.key);
        self.shared.detached(link);
    }

    async fn subscription(&self, _link: &Arc<Link>, _change: SubscriptionChange, _topic: Bytes) {}

    async fn message(&self, link: &Arc<Link>, message: Multipart, bytes: usize) {
        self.inbox.push((PeerKey(link.key), message), bytes).await;
    }
}
