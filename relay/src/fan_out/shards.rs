//! The two sides of a fan-out on several threads: what the front keeps of each shard, and what a shard keeps of the front.
//!
//! To the front a shard is a subscriber like any other: it has a key in the front's index, for each prefix that somebody in
//! the shard has, and what it is to get is collected in a batch instead of being written to a socket.

use crate::engine::{Key, Links, Mail, Post};
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;
use zmtp::codec::{Command, PING_CONTEXT_BYTES, SubscriptionChange};

/// Keys from here on are shards.
const FIRST_SHARD: Key = Key::MAX - crate::config::MAX_SHARDS;
/// Batches on their way to one shard; when as many are, no publisher is read until one has come back.
const BATCHES: usize = 4;
/// PONGs held back in one shard; further ones are not sent.
const HELD_PONGS: usize = 65_536;

/// The number of the shard that a key of the front's index means.
pub(super) fn shard_of(key: Key) -> Option<usize> {
    key.checked_sub(FIRST_SHARD)
}

/// The key of a shard in the front's index.
pub(super) const fn key_of(shard: usize) -> Key {
    FIRST_SHARD + shard
}

/// How many changes of a shard's subscriptions the front has handled.
pub(crate) type Handled = Arc<AtomicU64>;

/// A shard as the front sees it.
#[derive(Debug)]
pub(crate) struct ShardPort {
    post: Post,
    handled: Handled,
    changes: u64,
    pub(super) peers: usize,
    batch: Vec<u8>,
    in_flight: usize,
    memory: Vec<Vec<u8>>,
}

impl ShardPort {
    pub(crate) fn new(post: Post, handled: Handled) -> Self {
        Self { post, handled, changes: 0, peers: 0, batch: Vec::new(), in_flight: 0, memory: Vec::new() }
    }

    pub(super) fn collect(&mut self, messages: &[u8]) {
        self.batch.extend_from_slice(messages);
    }

    pub(super) const fn has_room(&self) -> bool {
        self.in_flight < BATCHES
    }

    /// Sends what was collected.
    pub(super) fn dispatch(&mut self) {
        if self.batch.is_empty() {
            return;
        }
        let batch = std::mem::replace(&mut self.batch, self.memory.pop().unwrap_or_default());
        self.in_flight += 1;
        if self.post.try_send(Mail::Batch(batch)).is_err() {
            tracing::debug!("a shard has ended");
        }
    }

    /// A batch was handed out.
    pub(super) fn returned(&mut self, mut memory: Vec<u8>) {
        self.in_flight -= 1;
        memory.clear();
        self.memory.push(memory);
    }

    pub(super) fn adopt(&mut self, link: Mail) -> Result<(), Mail> {
        self.post.try_send(link)?;
        self.peers += 1;
        Ok(())
    }

    /// A change of its subscriptions was handled.
    pub(super) fn changed(&mut self) {
        self.changes += 1;
    }

    /// Says how many changes were handled, if there are new ones.
    pub(super) fn acknowledge(&self) {
        if self.handled.swap(self.changes, Ordering::AcqRel) != self.changes {
            self.post.wake();
        }
    }
}

/// A PONG that says that a subscription is in force, which is so only when the front has it.
#[derive(Debug)]
struct HeldPong {
    after: u64,
    key: Key,
    /// The key may be another peer's by then.
    born: Instant,
    context: [u8; PING_CONTEXT_BYTES],
    len: usize,
}

/// The front as a shard sees it.
#[derive(Debug)]
pub(crate) struct FrontPort {
    pub(super) shard: usize,
    pub(super) post: Post,
    handled: Handled,
    changes: u64,
    held: VecDeque<HeldPong>,
}

impl FrontPort {
    pub(crate) fn new(shard: usize, post: Post, handled: Handled) -> Self {
        Self { shard, post, handled, changes: 0, held: VecDeque::new() }
    }

    pub(super) fn tell(&mut self, change: SubscriptionChange, prefix: &[u8]) {
        self.changes += 1;
        self.post.send(Mail::Change { shard: self.shard, change, prefix: prefix.into() });
    }

    /// Holds a PONG back if the front has not handled everything that came before it.
    pub(super) fn holds(&mut self, key: Key, born: Instant, context: &[u8]) -> bool {
        if self.held.is_empty() && self.handled.load(Ordering::Acquire) == self.changes {
            return false;
        }
        let mut bytes = [0; PING_CONTEXT_BYTES];
        let len = context.len().min(PING_CONTEXT_BYTES);
        bytes[..len].copy_from_slice(&context[..len]);
        if self.held.len() < HELD_PONGS {
            self.held.push_back(HeldPong { after: self.changes, key, born, context: bytes, len });
        }
        true
    }

    /// Sends the PONGs whose time has come.
    pub(super) fn release(&mut self, links: &mut Links) {
        let handled = self.handled.load(Ordering::Acquire);
        while let Some(pong) = self.held.pop_front_if(|pong| pong.after <= handled) {
            if links.get(pong.key).is_some_and(|link| link.born == pong.born) {
                links.answer(pong.key, |out| Command::encode_pong(out, &pong.context[..pong.len]));
            }
        }
    }
}
