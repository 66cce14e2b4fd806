//! Received messages waiting to be taken, bounded in number and bytes.

use super::{Counters, Multipart, Overflow, PeerKey};
use bytes::Bytes;
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

#[derive(Debug)]
struct State<T> {
    queue: VecDeque<(T, usize)>,
    bytes: usize,
    /// Messages ever taken out at the front; a message's number less this is its place.
    popped: u64,
    /// The number of the message that waits for a topic; used by [`Overflow::Conflate`] only.
    topics: HashMap<Bytes, u64>,
}

/// What is received.
pub(crate) trait Received {
    /// Frame 0.
    fn topic(&self) -> Option<&Bytes>;
}

impl Received for Multipart {
    fn topic(&self) -> Option<&Bytes> {
        self.first()
    }
}

impl Received for (PeerKey, Multipart) {
    fn topic(&self) -> Option<&Bytes> {
        self.1.first()
    }
}

impl<T: Received> State<T> {
    fn pop(&mut self) -> Option<(T, usize)> {
        let (message, bytes) = self.queue.pop_front()?;
        self.bytes -= bytes;
        if let Some(topic) = message.topic()
            && self.topics.get(topic) == Some(&self.popped)
        {
            self.topics.remove(topic);
        }
        self.popped += 1;
        Some((message, bytes))
    }

    /// Puts a message in the place of the one that waits for its topic; gives it back if none does.
    fn replace(&mut self, message: T, bytes: usize) -> Result<(), T> {
        let number = message.topic().and_then(|topic| self.topics.get(topic));
        let place = number.and_then(|number| usize::try_from(number - self.popped).ok());
        let Some(waiting) = place.and_then(|place| self.queue.get_mut(place)) else { return Err(message) };
        self.bytes = self.bytes - waiting.1 + bytes;
        *waiting = (message, bytes);
        Ok(())
    }
}

#[derive(Debug)]
pub(crate) struct Inbox<T> {
    state: Mutex<State<T>>,
    arrived: Notify,
    taken: Notify,
    max_messages: usize,
    max_bytes: usize,
    overflow: Overflow,
    counters: Arc<Counters>,
}

impl<T: Received> Inbox<T> {
    pub(crate) fn new(max_messages: usize, max_bytes: usize, overflow: Overflow, counters: Arc<Counters>) -> Self {
        Self {
            state: Mutex::new(State { queue: VecDeque::new(), bytes: 0, popped: 0, topics: HashMap::new() }),
            arrived: Notify::new(),
            taken: Notify::new(),
            max_messages: max_messages.max(1),
            max_bytes,
            overflow,
            counters,
        }
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A queue that is empty takes one message of any size: its size was limited when it was received.
    fn has_room(&self, state: &State<T>, bytes: usize) -> bool {
        state.queue.is_empty() || (state.queue.len() < self.max_messages && state.bytes + bytes <= self.max_bytes)
    }

    /// Adds a message by the policy of the queue; waits only if that is [`Overflow::Block`].
    pub(crate) async fn push(&self, mut message: T, bytes: usize) {
        Counters::add(&self.counters.received, 1);
        loop {
            let mut taken = std::pin::pin!(self.taken.notified());
            taken.as_mut().enable();
            {
                let mut state = self.lock();
                if self.overflow == Overflow::Conflate {
                    match state.replace(message, bytes) {
                        Ok(()) => return Counters::add(&self.counters.receive_dropped, 1),
                        Err(back) => message = back,
                    }
                }
                let makes_room = matches!(self.overflow, Overflow::DropOldest | Overflow::Conflate);
                while makes_room && !self.has_room(&state, bytes) {
                    state.pop();
                    Counters::add(&self.counters.receive_dropped, 1);
                }
                if self.has_room(&state, bytes) {
                    if self.overflow == Overflow::Conflate
                        && let Some(topic) = message.topic()
                    {
                        // A copy of its own, so that a topic does not keep a whole receive buffer.
                        let (topic, number) = (Bytes::copy_from_slice(topic), state.popped + state.queue.len() as u64);
                        state.topics.insert(topic, number);
                    }
                    state.queue.push_back((message, bytes));
                    state.bytes += bytes;
                    drop(state);
                    return self.arrived.notify_one();
                }
            }
            if self.overflow == Overflow::DropNewest {
                return Counters::add(&self.counters.receive_dropped, 1);
            }
            taken.await;
        }
    }

    /// The next message, if one is there.
    pub(crate) fn try_pop(&self) -> Option<T> {
        let mut state = self.lock();
        let (message, _) = state.pop()?;
        let more = !state.queue.is_empty();
        drop(state);
        self.taken.notify_waiters();
        if more {
            self.arrived.notify_one();
        }
        Some(message)
    }

    /// Waits for the next message. Cancel-safe: a message is taken only when it is returned.
    pub(crate) async fn pop(&self) -> T {
        loop {
            if let Some(message) = self.try_pop() {
                return message;
            }
            self.arrived.notified().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::Future;
    use std::task::Poll;

    impl Received for u32 {
        fn topic(&self) -> Option<&Bytes> {
            None
        }
    }

    fn inbox(overflow: Overflow) -> (Inbox<u32>, Arc<Counters>) {
        let counters = Arc::new(Counters::default());
        (Inbox::new(3, 100, overflow, Arc::clone(&counters)), counters)
    }

    #[tokio::test]
    async fn drop_oldest_keeps_the_newest_and_counts() {
        let (inbox, counters) = inbox(Overflow::DropOldest);
        for n in 0..5 {
            inbox.push(n, 1).await;
        }
        inbox.push(5, 99).await;
        assert_eq!((inbox.try_pop(), inbox.try_pop(), inbox.try_pop()), (Some(4), Some(5), None));
        assert_eq!(counters.snapshot().receive_dropped, 4);
    }

    #[tokio::test]
    async fn drop_newest_keeps_the_oldest_and_counts() {
        let (inbox, counters) = inbox(Overflow::DropNewest);
        for n in 0..5 {
            inbox.push(n, 1).await;
        }
        assert_eq!(inbox.try_pop(), Some(0));
        assert_eq!(counters.snapshot().receive_dropped, 2);
    }

    #[tokio::test]
    async fn conflate_keeps_the_newest_of_each_topic_in_the_place_of_the_first() {
        let counters = Arc::new(Counters::default());
        let inbox = Inbox::<Multipart>::new(2, 1000, Overflow::Conflate, Arc::clone(&counters));
        let message = |topic: &'static str, body: &'static str| vec![Bytes::from(topic), Bytes::from(body)];
        for (topic, body) in [("A", "1"), ("B", "1"), ("A", "2"), ("A", "3")] {
            inbox.push(message(topic, body), 10).await;
        }
        assert_eq!(counters.snapshot().receive_dropped, 2);
        // A third topic: the oldest message goes.
        inbox.push(message("C", "1"), 10).await;
        inbox.push(message("B", "2"), 10).await;
        assert_eq!(inbox.try_pop(), Some(message("B", "2")));
        // What was taken has no place any more.
        inbox.push(message("B", "3"), 10).await;
        assert_eq!([inbox.try_pop(), inbox.try_pop()], [Some(message("C", "1")), Some(message("B", "3"))]);
        assert_eq!((inbox.try_pop(), counters.snapshot().receive_dropped), (None, 4));
        assert!(inbox.lock().topics.is_empty());
    }

    #[tokio::test]
    async fn block_waits_for_room_and_loses_nothing() {
        let (inbox, counters) = inbox(Overflow::Block);
        for n in 0..3 {
            inbox.push(n, 1).await;
        }
        let mut fourth = std::pin::pin!(inbox.push(3, 1));
        let pending = std::future::poll_fn(|cx| Poll::Ready(fourth.as_mut().poll(cx).is_pending())).await;
        assert!(pending);
        assert_eq!(inbox.pop().await, 0);
        fourth.await;
        for n in 1..4 {
            assert_eq!(inbox.pop().await, n);
        }
        assert_eq!(counters.snapshot().receive_dropped, 0);
    }

    #[tokio::test]
    async fn a_message_beyond_the_byte_limit_passes_when_the_queue_is_empty() {
        let (inbox, _) = inbox(Overflow::Block);
        inbox.push(1, 1000).await;
        assert_eq!(inbox.pop().await, 1);
    }
}
