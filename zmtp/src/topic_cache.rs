//! Topic to subscribers, remembered until the subscriptions change.

use crate::SubscriptionIndex;
use ahash::RandomState;
use std::collections::HashMap;
use std::fmt::Debug;
use std::hash::Hash;

#[derive(Debug)]
struct Entry<Id> {
    generation: u64,
    ids: Vec<Id>,
}

/// Remembers [`SubscriptionIndex::matches`] per topic. When it is full it forgets everything, so its memory is bounded
/// whatever topics a publisher invents.
#[derive(Debug)]
pub struct TopicCache<Id> {
    slots: HashMap<Box<[u8]>, usize, RandomState>,
    entries: Vec<Entry<Id>>,
    capacity: usize,
}

impl<Id: Copy + Ord + Hash + Debug> TopicCache<Id> {
    /// A cache of at most `capacity` topics.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        Self { slots: HashMap::default(), entries: Vec::new(), capacity: capacity.max(1) }
    }

    /// The subscribers of a topic as of now.
    pub fn targets(&mut self, index: &SubscriptionIndex<Id>, topic: &[u8]) -> &[Id] {
        let generation = index.generation();
        let slot = match self.slots.get(topic) {
            Some(&slot) => slot,
            None => self.insert(topic),
        };
        let entry = &mut self.entries[slot];
        if entry.generation != generation {
            entry.ids = index.matches(topic);
            entry.generation = generation;
        }
        &entry.ids
    }

    fn insert(&mut self, topic: &[u8]) -> usize {
        if self.entries.len() >= self.capacity {
            self.slots.clear();
            self.entries.clear();
        }
        let slot = self.entries.len();
        self.entries.push(Entry { generation: u64::MAX, ids: Vec::new() });
        self.slots.insert(topic.into(), slot);
        slot
    }

    /// Topics remembered now.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// True if nothing is remembered.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_of_subscriptions_is_seen_by_the_next_look() {
        let (mut index, mut cache) = (SubscriptionIndex::default(), TopicCache::new(8));
        assert!(cache.targets(&index, b"X1").is_empty());
        index.subscribe(1, b"X");
        assert_eq!(cache.targets(&index, b"X1"), [1]);
        index.remove(1);
        assert!(cache.targets(&index, b"X1").is_empty());
    }

    #[test]
    fn invented_topics_do_not_grow_it_beyond_its_capacity() {
        let (mut index, mut cache) = (SubscriptionIndex::default(), TopicCache::new(8));
        index.subscribe(1, b"");
        for n in 0..1000u32 {
            assert_eq!(cache.targets(&index, &n.to_be_bytes()), [1]);
            assert!(cache.len() <= 8);
        }
    }
}
