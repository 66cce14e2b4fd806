//! Bytes waiting to be written to one peer: bounded, and whoever waits for room or for the write is woken.

use bytes::BytesMut;
use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::sync::Notify;

/// Why bytes were not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refused {
    Full,
    Closed,
}

#[derive(Debug, Default)]
struct State {
    pending: BytesMut,
    /// Bytes and messages ever queued and ever written; the differences are what waits.
    queued_bytes: u64,
    flushed_bytes: u64,
    queued_messages: u64,
    flushed_messages: u64,
    closed: bool,
}

#[derive(Debug)]
pub(crate) struct Outbox {
    state: Mutex<State>,
    /// The writer waits here.
    wake: Notify,
    /// Those who wait for room or for a write wait here.
    progress: Notify,
    limit: usize,
    max_messages: usize,
}

impl Outbox {
    pub(crate) fn new(limit: usize, max_messages: usize) -> Self {
        Self { state: Mutex::default(), wake: Notify::new(), progress: Notify::new(), limit, max_messages }
    }

    pub(crate) const fn limit(&self) -> usize {
        self.limit
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn has_room(&self, state: &State, bytes: usize) -> bool {
        state.queued_bytes - state.flushed_bytes + bytes as u64 <= self.limit as u64
            && state.queued_messages - state.flushed_messages < self.max_messages as u64
    }

    /// Queues one message of `bytes` bytes, which `write` appends. Returns the position to wait for.
    pub(crate) fn push(&self, bytes: usize, write: impl FnOnce(&mut BytesMut)) -> Result<u64, Refused> {
        let mut state = self.lock();
        if state.closed {
            return Err(Refused::Closed);
        }
        if !self.has_room(&state, bytes) {
            return Err(Refused::Full);
        }
        state.queued_messages += 1;
        Ok(self.append(&mut state, write))
    }

    /// Queues a command. It may exceed the limit: its caller bounds how many there are.
    pub(crate) fn push_command(&self, write: impl FnOnce(&mut BytesMut)) -> Result<u64, Refused> {
        let mut state = self.lock();
        if state.closed {
            return Err(Refused::Closed);
        }
        Ok(self.append(&mut state, write))
    }

    /// Queues a command unless the queue is full; for answers that a peer can ask for without end.
    pub(crate) fn push_answer(&self, write: impl FnOnce(&mut BytesMut)) {
        let mut state = self.lock();
        if !state.closed && state.pending.len() < self.limit {
            self.append(&mut state, write);
        }
    }

    fn append(&self, state: &mut State, write: impl FnOnce(&mut BytesMut)) -> u64 {
        let before = state.pending.len();
        write(&mut state.pending);
        state.queued_bytes += (state.pending.len() - before) as u64;
        if before == 0 {
            self.wake.notify_one();
        }
        state.queued_bytes
    }

    /// What is queued now.
    pub(crate) fn position(&self) -> u64 {
        self.lock().queued_bytes
    }

    /// Waits until everything up to `position` is written; false if the connection ended before.
    pub(crate) async fn flushed(&self, position: u64) -> bool {
        loop {
            let mut progress = std::pin::pin!(self.progress.notified());
            progress.as_mut().enable();
            {
                let state = self.lock();
                if state.flushed_bytes >= position {
                    return true;
                }
                if state.closed {
                    return false;
                }
            }
            progress.await;
        }
    }

    /// Waits until something was written or the connection ended.
    pub(crate) async fn room(&self, bytes: usize) {
        loop {
            let mut progress = std::pin::pin!(self.progress.notified());
            progress.as_mut().enable();
            {
                let state = self.lock();
                if state.closed || self.has_room(&state, bytes) {
                    return;
                }
            }
            progress.await;
        }
    }

    /// Waits until the outbox is closed.
    pub(crate) async fn closed(&self) {
        self.flushed(u64::MAX).await;
    }

    /// Ends the outbox. Returns how many messages were not written.
    pub(crate) fn close(&self) -> u64 {
        let mut state = self.lock();
        state.closed = true;
        state.pending = BytesMut::new();
        let lost = state.queued_messages - state.flushed_messages;
        state.flushed_messages = state.queued_messages;
        drop(state);
        self.wake.notify_one();
        self.progress.notify_waiters();
        lost
    }

    /// Writes what is queued, for ever. Ends with an error of the stream, or when the outbox is closed.
    pub(crate) async fn drain(&self, stream: &mut (impl AsyncWrite + Unpin)) -> io::Result<()> {
        let mut batch = BytesMut::new();
        loop {
            let messages = loop {
                {
                    let mut state = self.lock();
                    if state.closed {
                        return Ok(());
                    }
                    if !state.pending.is_empty() {
                        std::mem::swap(&mut batch, &mut state.pending);
                        break state.queued_messages;
                    }
                }
                self.wake.notified().await;
            };
            stream.write_all(&batch).await?;
            let written = batch.len() as u64;
            batch.clear();
            let mut state = self.lock();
            state.flushed_bytes += written;
            state.flushed_messages = messages.max(state.flushed_messages);
            drop(state);
            self.progress.notify_waiters();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_is_refused_and_commands_are_not() {
        let outbox = Outbox::new(10, 100);
        assert_eq!(outbox.push(8, |out| out.extend_from_slice(&[0; 8])), Ok(8));
        assert_eq!(outbox.push(3, |_| panic!("must not be written")), Err(Refused::Full));
        assert_eq!(outbox.push_command(|out| out.extend_from_slice(&[0; 5])), Ok(13));
        outbox.push_answer(|_| panic!("must not be written"));
        assert_eq!(outbox.close(), 1);
        assert_eq!(outbox.push(1, |_| ()), Err(Refused::Closed));
    }

    #[test]
    fn messages_are_limited_as_bytes_are() {
        let outbox = Outbox::new(100, 2);
        for _ in 0..2 {
            outbox.push(1, |out| out.extend_from_slice(b"x")).unwrap();
        }
        assert_eq!(outbox.push(1, |_| panic!("must not be written")), Err(Refused::Full));
    }

    #[tokio::test]
    async fn a_writer_makes_room_and_wakes_those_who_wait() {
        let outbox = Outbox::new(10, 100);
        let position = outbox.push(8, |out| out.extend_from_slice(b"01234567")).unwrap();
        let (mut near, mut far) = tokio::io::duplex(64);
        let mut seen = [0; 8];
        let waits = async {
            outbox.room(8).await;
            assert!(outbox.flushed(position).await);
            tokio::io::AsyncReadExt::read_exact(&mut far, &mut seen).await.unwrap();
            assert_eq!(outbox.close(), 0);
            assert!(!outbox.flushed(position + 1).await);
        };
        let (drained, ()) = tokio::join!(outbox.drain(&mut near), waits);
        drained.unwrap();
        assert_eq!(&seen, b"01234567");
    }
}
