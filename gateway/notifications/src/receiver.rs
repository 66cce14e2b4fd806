//! The ROUTER that containers send critical events to: finds the key, verifies, hands on. It decides nothing itself.

mod keys;

use keys::Cached;
pub(crate) use keys::KeyCache;
pub use keys::{EventKeys, KeyLookupError};

use crate::ledger::{Content, Incoming};
use crate::metrics::{NotificationMetrics, RefusalReason};
use crate::writer::WriterHandle;
use bytes::Bytes;
use proto::limits::TOPIC_BYTES;
use proto::{EventMessage, Topic, UserId};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use user_events::{OpenError, SEAL_BYTES};
use zmtp::{Multipart, PeerKey, RouterSocket};

/// Messages that wait for their key to be looked up. More are dropped: their senders repeat them, forgers do not matter.
const LOOKUPS: usize = 4096;
/// Beyond this a sequence is not stored: it would not fit into a signed 64-bit column.
const SEQUENCE_MAX: u64 = i64::MAX as u64 - 1;

/// Receives, until it is stopped.
#[derive(Debug)]
pub(crate) struct Receiver {
    pub(crate) socket: Arc<RouterSocket>,
    pub(crate) keys: Arc<KeyCache>,
    pub(crate) writer: WriterHandle,
    pub(crate) metrics: NotificationMetrics,
    /// How many messages of a user wait for a key: those that follow wait behind them, so that none overtakes.
    pub(crate) waiting: Mutex<HashMap<UserId, usize>>,
}

/// A message whose key is being looked up.
type Waiting = (PeerKey, Multipart, UserId, u32);

/// Which key a message says it is sealed with. Proves nothing.
fn claimed_key(frames: &[Bytes]) -> Result<(UserId, u32), RefusalReason> {
    let [route, _, seal] = frames else { return Err(RefusalReason::Frames) };
    if route.len() > TOPIC_BYTES {
        return Err(RefusalReason::Route);
    }
    let topic = std::str::from_utf8(route).ok().and_then(|route| route.parse().ok());
    let Some(Topic::UserEvent(user_id, _)) = topic else { return Err(RefusalReason::Route) };
    let seal = <&[u8; SEAL_BYTES]>::try_from(&seal[..]).map_err(|_| RefusalReason::Seal)?;
    let [_, _, _, _, a, b, c, d, ..] = *seal;
    Ok((user_id, u32::from_le_bytes([a, b, c, d])))
}

impl Receiver {
    /// Receives until it is stopped.
    pub(crate) async fn run(self, stop: CancellationToken) {
        let (unknown, waiting) = mpsc::channel(LOOKUPS);
        let receiver = &self;
        tokio::select! {
            () = stop.cancelled() => {}
            () = receiver.receive(&unknown) => {}
            () = receiver.look_up(waiting) => {}
        }
    }

    /// Takes what comes. Who has a known key never waits for somebody else's to be looked up.
    async fn receive(&self, unknown: &mpsc::Sender<Waiting>) {
        loop {
            let (peer, frames) = self.socket.recv().await;
            self.metrics.received.inc();
            let (user_id, key_id) = match claimed_key(&frames) {
                Ok(claimed) => claimed,
                Err(reason) => {
                    self.refuse(reason);
                    continue;
                }
            };
            let cached = if self.waits(user_id) { Cached::Unknown } else { self.keys.cached(user_id, key_id) };
            match cached {
                Cached::Known => {
                    if !self.open(peer, &frames, user_id, key_id).await {
                        return;
                    }
                }
                Cached::Absent => self.refuse(RefusalReason::UnknownKey),
                Cached::Unknown => {
                    if unknown.try_send((peer, frames, user_id, key_id)).is_ok() {
                        *self.lock().entry(user_id).or_default() += 1;
                        // Both loops are one task: what waits is looked at before more of it is taken.
                        tokio::task::yield_now().await;
                    } else {
                        self.refuse(RefusalReason::KeyLookup);
                    }
                }
            }
        }
    }

    /// Looks up keys, one after the other, in the order of the messages.
    async fn look_up(&self, mut waiting: mpsc::Receiver<Waiting>) {
        while let Some((peer, frames, user_id, key_id)) = waiting.recv().await {
            match self.keys.find(user_id, key_id).await {
                Ok(true) => {
                    if !self.open(peer, &frames, user_id, key_id).await {
                        return;
                    }
                }
                Ok(false) => self.refuse(RefusalReason::UnknownKey),
                Err(error) => {
                    tracing::error!(%error, "a container's key could not be looked up");
                    self.refuse(RefusalReason::KeyLookup);
                }
            }
            let mut waiting = self.lock();
            if let Some(count) = waiting.get_mut(&user_id) {
                *count -= 1;
                if *count == 0 {
                    waiting.remove(&user_id);
                }
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<UserId, usize>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn waits(&self, user_id: UserId) -> bool {
        self.lock().contains_key(&user_id)
    }

    fn refuse(&self, reason: RefusalReason) {
        // Anybody who reaches the port can cause this: nothing to alarm an operator with, one by one.
        tracing::debug!(?reason, "a message to the receiver was refused");
        self.metrics.refuse(reason);
    }

    /// Verifies a message and hands it on; false if nobody takes it any more.
    async fn open(&self, peer: PeerKey, frames: &[Bytes], user_id: UserId, key_id: u32) -> bool {
        let Some((opened, key)) = self.keys.open(frames, user_id, key_id) else {
            // Withdrawn between the two looks.
            self.refuse(RefusalReason::UnknownKey);
            return true;
        };
        let (content, position) = match opened {
            Ok(opened) => {
                let Some(position) = opened.message.position() else {
                    self.refuse(RefusalReason::Informational);
                    return true;
                };
                let last = match &opened.message {
                    EventMessage::Gap(gap) => gap.to,
                    EventMessage::Event(_) => position.sequence,
                };
                if last > SEQUENCE_MAX {
                    self.refuse(RefusalReason::OutOfRange);
                    return true;
                }
                (Content::Valid(Box::new(opened)), position)
            }
            Err(OpenError::Content { user_id, position: Some(position), source }) => {
                (Content::Invalid { user_id, position, error: source }, position)
            }
            Err(error) => {
                if !error.is_unauthenticated() {
                    tracing::error!(%error, "a container sends what is no event");
                }
                self.refuse(reason(&error));
                return true;
            }
        };
        self.writer.received(Incoming { peer, key, content, position }).await
    }
}

const fn reason(error: &OpenError) -> RefusalReason {
    match error {
        OpenError::Frames(_) => RefusalReason::Frames,
        OpenError::Route => RefusalReason::Route,
        OpenError::Seal(_) => RefusalReason::Seal,
        OpenError::UnknownKey { .. } => RefusalReason::UnknownKey,
        OpenError::Mac { .. } => RefusalReason::Mac,
        OpenError::Wire { .. } => RefusalReason::Wire,
        OpenError::Content { .. } => RefusalReason::Content,
        OpenError::Mismatch { .. } => RefusalReason::Mismatch,
    }
}
