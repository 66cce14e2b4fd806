//! DEALER: requests to, and answers from, one ROUTER or REP.

use super::inbox::Inbox;
use super::link::{Link, Pattern};
use super::outbox::Refused;
use super::runtime::{Runtime, Shared};
use super::{
    ConnectionEvent, Counters, CountersSnapshot, DealerOptions, EndpointError, Multipart, Overflow, SendError,
};
use crate::SocketType;
use crate::codec::{Local, SubscriptionChange, encode_message, message_len};
use bytes::Bytes;
use std::sync::Arc;
use tokio::sync::{broadcast, watch};

#[derive(Debug)]
struct Dealer {
    shared: Arc<Shared>,
    inbox: Inbox<Multipart>,
    identity: Bytes,
}

/// A DEALER that connects. Frames are sent as given: a peer that expects an empty delimiter has to be given one.
///
/// Nothing is queued across connections: what was not written when a connection ends is lost and counted, so a caller
/// needs a time limit and its own retry.
#[derive(Debug)]
pub struct DealerSocket {
    dealer: Arc<Dealer>,
    runtime: Runtime,
}

impl DealerSocket {
    /// Connects in the background and for ever; must be called in a runtime.
    ///
    /// # Errors
    /// If the endpoint is not one.
    pub fn connect(endpoint: &str, options: DealerOptions) -> Result<Self, EndpointError> {
        let shared = Arc::new(Shared::new(options.socket));
        let (messages, bytes) = (options.receive_queue_messages, options.receive_queue_bytes);
        let inbox = Inbox::new(messages, bytes, Overflow::Block, Arc::clone(&shared.counters));
        let dealer = Arc::new(Dealer { shared, inbox, identity: options.identity });
        let runtime = Runtime::connect(endpoint.parse()?, Arc::clone(&dealer), Arc::clone(&dealer.shared));
        Ok(Self { dealer, runtime })
    }

    /// Queues a message, waiting for a connection and for room. Returns when it is queued, not when it is written.
    ///
    /// # Errors
    /// If the message can never fit.
    ///
    /// # Cancel safety
    /// A cancelled call has queued nothing.
    pub async fn send(&self, message: Multipart) -> Result<(), SendError> {
        let bytes = message_len(&message);
        loop {
            let link = self.dealer.shared.link().await;
            let limit = link.outbox.limit();
            if bytes > limit {
                return Err(SendError::TooLarge { have: bytes, limit });
            }
            match link.outbox.push(bytes, |out| encode_message(out, &message)) {
                Ok(_) => {
                    Counters::add(&self.dealer.shared.counters.sent, 1);
                    return Ok(());
                }
                Err(Refused::Full) => link.outbox.room(bytes).await,
                // It ended this moment: let its task say so, then wait for the next.
                Err(Refused::Closed) => tokio::task::yield_now().await,
            }
        }
    }

    /// The next message; waits as long as it takes, across reconnects. Cancel-safe.
    pub async fn recv(&self) -> Multipart {
        self.dealer.inbox.pop().await
    }

    /// The next message, if one is there.
    #[must_use]
    pub fn try_recv(&self) -> Option<Multipart> {
        self.dealer.inbox.try_pop()
    }

    /// Whether the peer is connected.
    #[must_use]
    pub fn connected(&self) -> watch::Receiver<bool> {
        self.dealer.shared.connected()
    }

    /// Waits until what is queued is written, or the connection ends.
    pub async fn flush(&self) {
        self.dealer.shared.flushed().await;
    }

    /// What happens to its connections from now on; who is far behind misses the oldest events.
    #[must_use]
    pub fn monitor(&self) -> broadcast::Receiver<ConnectionEvent> {
        self.dealer.shared.monitor()
    }

    /// The counters now.
    #[must_use]
    pub fn counters(&self) -> CountersSnapshot {
        self.dealer.shared.counters.snapshot()
    }

    /// Ends the socket and waits for its tasks.
    pub async fn close(self) {
        self.runtime.close().await;
    }
}

impl Pattern for Dealer {
    fn local(&self) -> Local {
        Local { socket_type: SocketType::Dealer, identity: self.identity.clone() }
    }

    fn attached(&self, link: &Arc<Link>) {
        self.shared.attached(link);
    }

    async fn detached(&self, link: &Arc<Link>) {
        self.shared.detached(link);
    }

    async fn subscription(&self, _link: &Arc<Link>, _change: SubscriptionChange, _topic: Bytes) {}

    async fn message(&self, _link: &Arc<Link>, message: Multipart, bytes: usize) {
        self.inbox.push(message, bytes).await;
    }
}
