//! What the threads of the fan-out tell each other. The first thread, the *front*, has the publishers, accepts everybody
//! and places each subscriber on the thread with the fewest; the others are *shards*: they have subscribers only.
//!
//! Whoever waits for whom: a shard waits for room in the front's mailbox; the front never waits for a shard, so the two
//! never wait for each other.

use super::link::Link;
use mio::{Poll, Waker};
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use zmtp::codec::SubscriptionChange;

/// Letters waiting in one mailbox.
const MAILBOX: usize = 16_384;

/// A letter.
#[derive(Debug)]
pub(crate) enum Mail {
    /// To a shard: a subscriber that has shaken hands.
    Adopt(Box<Link>),
    /// To a shard: whole messages that somebody there subscribed to, in order.
    Batch(Vec<u8>),
    /// To the front: a prefix has its first subscriber in a shard, or has lost its last there.
    Change { shard: usize, change: SubscriptionChange, prefix: Box<[u8]> },
    /// To the front: a subscriber is gone.
    Left { shard: usize, address: IpAddr },
    /// To the front: the memory of a batch that was handed out.
    Returned { shard: usize, memory: Vec<u8> },
}

/// Where a thread gets its mail, and the poll that wakes it.
#[derive(Debug)]
pub(crate) struct Mailbox {
    pub(super) poll: Poll,
    pub(super) letters: Receiver<Mail>,
    pub(super) post: Post,
}

impl Mailbox {
    pub(crate) fn open() -> io::Result<Self> {
        let poll = Poll::new()?;
        let waker = Arc::new(Waker::new(poll.registry(), super::WAKER)?);
        let (sender, letters) = sync_channel(MAILBOX);
        Ok(Self { poll, letters, post: Post { sender, waker } })
    }

    pub(crate) fn post(&self) -> Post {
        self.post.clone()
    }
}

/// Brings mail to one thread.
#[derive(Debug, Clone)]
pub(crate) struct Post {
    sender: SyncSender<Mail>,
    pub(super) waker: Arc<Waker>,
}

impl Post {
    /// Waits for room in the mailbox; for shards only. Nobody reads the mail of a thread that has ended.
    pub(crate) fn send(&self, mail: Mail) {
        match self.sender.try_send(mail) {
            Ok(()) => self.wake(),
            Err(TrySendError::Full(mail)) => {
                self.wake();
                if self.sender.send(mail).is_err() {
                    tracing::debug!("mail for a thread that has ended");
                }
            }
            Err(TrySendError::Disconnected(_)) => tracing::debug!("mail for a thread that has ended"),
        }
    }

    /// Never waits; gives the letter back if the mailbox is full or its thread has ended.
    pub(crate) fn try_send(&self, mail: Mail) -> Result<(), Mail> {
        self.sender.try_send(mail).map_err(|error| match error {
            TrySendError::Full(mail) | TrySendError::Disconnected(mail) => mail,
        })?;
        self.wake();
        Ok(())
    }

    pub(crate) fn wake(&self) {
        if let Err(error) = self.waker.wake() {
            tracing::error!(%error, "cannot wake an engine");
        }
    }
}
