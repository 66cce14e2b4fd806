//! The way to the gateway as the delivery sees it: a DEALER, or what a test puts in its place.

use bytes::Bytes;
use std::future::Future;
use tokio::sync::watch;
use zmtp::{DealerSocket, Multipart};

/// Frames to and from the gateway's ROUTER; what is on the way when a connection ends is lost.
pub(crate) trait Channel: Send + Sync + 'static {
    /// Queues a message, waiting for a connection and for room. Cancel-safe: a cancelled call has queued nothing.
    fn send(&self, frames: Vec<Bytes>) -> impl Future<Output = bool> + Send;

    /// The next message. Cancel-safe.
    fn receive(&self) -> impl Future<Output = Multipart> + Send;

    /// Whether there is a connection; marked as changed also when a new one took the place of another.
    fn connected(&self) -> watch::Receiver<bool>;
}

/// A DEALER that connects for ever.
#[derive(Debug)]
pub(crate) struct DealerChannel {
    socket: DealerSocket,
}

impl DealerChannel {
    pub(crate) const fn new(socket: DealerSocket) -> Self {
        Self { socket }
    }
}

impl Channel for DealerChannel {
    async fn send(&self, frames: Vec<Bytes>) -> bool {
        self.socket.send(frames).await.is_ok()
    }

    async fn receive(&self) -> Multipart {
        self.socket.recv().await
    }

    fn connected(&self) -> watch::Receiver<bool> {
        self.socket.connected()
    }
}
