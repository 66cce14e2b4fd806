//! The bounded queue of one client: events dropped oldest first, latest values conflated
//! (docs/protocol/10-websocket.md §5).

use ahash::AHashMap;
use axum::extract::ws::Utf8Bytes;
use std::collections::VecDeque;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// Number of a topic inside the hub.
pub(crate) type TopicId = u32;

/// After so many events in a row a waiting latest value is sent, so that a flood of trades does not freeze the quotes.
const EVENTS_IN_A_ROW: u32 = 32;

/// How a message may be treated when its client is slow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Class {
    /// Each one counts. An unsent latest value of the topic whose version is at most `discards` is out of date.
    Event {
        /// See above; `None` discards nothing.
        discards: Option<u64>,
    },
    /// Only the newest one counts.
    Latest {
        /// Orders it against events of the topic: the open time of a candle, 0 otherwise.
        version: u64,
    },
}

/// What the session does next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Item {
    /// Send this.
    Text(Utf8Bytes),
    /// Tell the client that messages of a topic were dropped.
    Lagged {
        /// Name of the topic.
        topic: Arc<str>,
        /// How many.
        dropped: u64,
    },
    /// Close with this code.
    Close(u16),
}

/// What became of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pushed {
    /// Queued.
    Queued,
    /// Queued, and it took the place of an unsent one.
    Conflated,
    /// Queued, and the oldest event was dropped for it.
    DroppedOldest,
    /// The client does not follow the topic (any more).
    NotSubscribed,
}

#[derive(Debug)]
struct Slot {
    name: Arc<str>,
    latest: Option<(u64, Utf8Bytes)>,
    dropped: u64,
    queued: u32,
}

/// The two lanes.
#[derive(Debug)]
pub(crate) struct Lanes {
    limit: usize,
    events: VecDeque<(TopicId, Utf8Bytes)>,
    slots: AHashMap<TopicId, Slot>,
    /// Topics with an unsent latest value, oldest first.
    waiting: VecDeque<TopicId>,
    health: Option<Utf8Bytes>,
    close: Option<u16>,
    in_a_row: u32,
}

impl Lanes {
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            limit: limit.max(1),
            events: VecDeque::new(),
            slots: AHashMap::new(),
            waiting: VecDeque::new(),
            health: None,
            close: None,
            in_a_row: 0,
        }
    }

    /// Follows a topic; false if it did already.
    pub(crate) fn follow(&mut self, topic: TopicId, name: Arc<str>) -> bool {
        match self.slots.entry(topic) {
            Entry::Occupied(_) => false,
            Entry::Vacant(place) => {
                place.insert(Slot { name, latest: None, dropped: 0, queued: 0 });
                true
            }
        }
    }

    /// Forgets a topic and everything queued of it; false if it was not followed.
    pub(crate) fn forget(&mut self, topic: TopicId) -> bool {
        if self.slots.remove(&topic).is_none() {
            return false;
        }
        self.events.retain(|(queued, _)| *queued != topic);
        self.waiting.retain(|waiting| *waiting != topic);
        true
    }

    pub(crate) fn follows(&self, topic: TopicId) -> bool {
        self.slots.contains_key(&topic)
    }

    /// Number of topics followed.
    pub(crate) fn followed(&self) -> usize {
        self.slots.len()
    }

    /// The topics followed.
    pub(crate) fn topics(&self) -> Vec<TopicId> {
        self.slots.keys().copied().collect()
    }

    pub(crate) fn push(&mut self, topic: TopicId, class: Class, text: Utf8Bytes) -> Pushed {
        let Some(slot) = self.slots.get_mut(&topic) else { return Pushed::NotSubscribed };
        match class {
            Class::Latest { version } => {
                if slot.latest.replace((version, text)).is_some() {
                    return Pushed::Conflated;
                }
                self.waiting.push_back(topic);
                Pushed::Queued
            }
            Class::Event { discards } => {
                let mut pushed = Pushed::Queued;
                if discards.is_some_and(|upto| slot.latest.as_ref().is_some_and(|(version, _)| *version <= upto)) {
                    slot.latest = None;
                    self.waiting.retain(|waiting| *waiting != topic);
                    pushed = Pushed::Conflated;
                }
                slot.queued += 1;
                self.events.push_back((topic, text));
                if self.events.len() > self.limit {
                    self.drop_oldest();
                    pushed = Pushed::DroppedOldest;
                }
                pushed
            }
        }
    }

    fn drop_oldest(&mut self) {
        if let Some((topic, _)) = self.events.pop_front()
            && let Some(slot) = self.slots.get_mut(&topic)
        {
            slot.queued -= 1;
            slot.dropped += 1;
        }
    }

    /// Notes that `count` messages of the topic never reached the gateway.
    pub(crate) fn missed(&mut self, topic: TopicId, count: u64) {
        if let Some(slot) = self.slots.get_mut(&topic) {
            slot.dropped = slot.dropped.saturating_add(count);
        }
    }

    /// The next thing to do. A close comes first: there is no use in sending on.
    pub(crate) fn pop(&mut self) -> Option<Item> {
        if let Some(code) = self.close {
            return Some(Item::Close(code));
        }
        if let Some(text) = self.health.take() {
            return Some(Item::Text(text));
        }
        if (self.events.is_empty() || self.in_a_row >= EVENTS_IN_A_ROW)
            && let Some(item) = self.pop_latest()
        {
            self.in_a_row = 0;
            return Some(item);
        }
        self.pop_event()
    }

    fn pop_event(&mut self) -> Option<Item> {
        let topic = self.events.front()?.0;
        if let Some(slot) = self.slots.get_mut(&topic) {
            if slot.dropped > 0 {
                return Some(Item::Lagged { topic: slot.name.clone(), dropped: std::mem::take(&mut slot.dropped) });
            }
            slot.queued -= 1;
        }
        self.in_a_row = self.in_a_row.saturating_add(1);
        self.events.pop_front().map(|(_, text)| Item::Text(text))
    }

    /// The oldest latest value whose topic has no event before it.
    fn pop_latest(&mut self) -> Option<Item> {
        let slots = &mut self.slots;
        let at = self.waiting.iter().position(|topic| slots.get(topic).is_some_and(|slot| slot.queued == 0))?;
        let slot = slots.get_mut(&self.waiting[at])?;
        if slot.dropped > 0 {
            return Some(Item::Lagged { topic: slot.name.clone(), dropped: std::mem::take(&mut slot.dropped) });
        }
        let (_, text) = slot.latest.take()?;
        self.waiting.remove(at);
        Some(Item::Text(text))
    }
}

/// The queue of a client, filled by the hub and emptied by its session.
#[derive(Debug)]
pub(crate) struct Outbox {
    lanes: Mutex<Lanes>,
    wake: Notify,
}

impl Outbox {
    pub(crate) fn new(limit: usize) -> Self {
        Self { lanes: Mutex::new(Lanes::new(limit)), wake: Notify::new() }
    }

    /// The lanes. No lock is held across an await, and none is taken while this one is held.
    pub(crate) fn lanes(&self) -> MutexGuard<'_, Lanes> {
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn push(&self, topic: TopicId, class: Class, text: Utf8Bytes) -> Pushed {
        let pushed = self.lanes().push(topic, class, text);
        self.wake.notify_one();
        pushed
    }

    pub(crate) fn push_health(&self, text: Utf8Bytes) {
        self.lanes().health = Some(text);
        self.wake.notify_one();
    }

    pub(crate) fn close(&self, code: u16) {
        self.lanes().close = Some(code);
        self.wake.notify_one();
    }

    /// Wakes the session after its lanes were filled directly.
    pub(crate) fn notify(&self) {
        self.wake.notify_one();
    }

    pub(crate) fn pop(&self) -> Option<Item> {
        self.lanes().pop()
    }

    /// Waits until something was pushed since the last wait.
    ///
    /// # Cancel safety
    /// Cancel-safe.
    pub(crate) async fn pushed(&self) {
        self.wake.notified().await;
    }
}

#[cfg(test)]
mod tests;
