//! Who subscribed to which prefix.

use ahash::RandomState;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt::Debug;
use std::hash::Hash;
use std::sync::Arc;

/// What a subscription changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Added {
    /// Nobody had this prefix before: upstream has to hear of it.
    First,
    /// Others had it already.
    Joined,
    /// This subscriber had it already; nothing changed.
    Already,
}

/// What a cancellation changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Removed {
    /// Nobody has this prefix any more: upstream has to hear of it.
    Last,
    /// Others still have it.
    Left,
    /// This subscriber did not have it; nothing changed.
    Absent,
}

/// Prefix subscriptions of many subscribers. A topic matches if a subscribed prefix is a prefix of its bytes; the empty
/// prefix matches all.
///
/// A subscriber has a prefix or has it not, however often it subscribed. RFC 37 would count; libzmq's SUB repeats
/// SUBSCRIBE but sends one CANCEL, so counting would leave its subscriptions behind for ever.
#[derive(Debug)]
pub struct SubscriptionIndex<Id> {
    /// Sorted subscribers of each prefix.
    by_prefix: HashMap<Arc<[u8]>, Vec<Id>, RandomState>,
    by_subscriber: HashMap<Id, HashSet<Arc<[u8]>, RandomState>, RandomState>,
    /// How many prefixes there are of each length: a match looks up one prefix per length, whatever their number.
    lengths: BTreeMap<usize, usize>,
    pairs: usize,
    generation: u64,
}

impl<Id> Default for SubscriptionIndex<Id> {
    fn default() -> Self {
        Self {
            by_prefix: HashMap::default(),
            by_subscriber: HashMap::default(),
            lengths: BTreeMap::new(),
            pairs: 0,
            generation: 0,
        }
    }
}

impl<Id: Copy + Ord + Hash + Debug> SubscriptionIndex<Id> {
    /// Adds a subscription.
    pub fn subscribe(&mut self, id: Id, prefix: &[u8]) -> Added {
        let (key, added) = match self.by_prefix.get_key_value(prefix) {
            Some((key, ids)) if ids.binary_search(&id).is_ok() => {
                debug_assert!(self.by_subscriber.get(&id).is_some_and(|set| set.contains(key)));
                return Added::Already;
            }
            Some((key, _)) => (Arc::clone(key), Added::Joined),
            None => (Arc::from(prefix), Added::First),
        };
        let ids = self.by_prefix.entry(Arc::clone(&key)).or_default();
        let at = ids.binary_search(&id).unwrap_or_else(|at| at);
        ids.insert(at, id);
        self.by_subscriber.entry(id).or_default().insert(key);
        if added == Added::First {
            *self.lengths.entry(prefix.len()).or_insert(0) += 1;
        }
        self.pairs += 1;
        self.generation += 1;
        added
    }

    /// Removes a subscription.
    pub fn cancel(&mut self, id: Id, prefix: &[u8]) -> Removed {
        let Some(own) = self.by_subscriber.get_mut(&id) else { return Removed::Absent };
        if !own.remove(prefix) {
            return Removed::Absent;
        }
        if own.is_empty() {
            self.by_subscriber.remove(&id);
        }
        self.drop_pair(id, prefix)
    }

    /// Removes a subscriber with all it has. Returns the prefixes that nobody has any more.
    pub fn remove(&mut self, id: Id) -> Vec<Arc<[u8]>> {
        let own = self.by_subscriber.remove(&id).unwrap_or_default();
        own.into_iter().filter(|prefix| self.drop_pair(id, prefix) == Removed::Last).collect()
    }

    fn drop_pair(&mut self, id: Id, prefix: &[u8]) -> Removed {
        self.pairs -= 1;
        self.generation += 1;
        let Some(ids) = self.by_prefix.get_mut(prefix) else { return Removed::Absent };
        if let Ok(at) = ids.binary_search(&id) {
            ids.remove(at);
        }
        if !ids.is_empty() {
            return Removed::Left;
        }
        self.by_prefix.remove(prefix);
        if let Some(count) = self.lengths.get_mut(&prefix.len()) {
            *count -= 1;
            if *count == 0 {
                self.lengths.remove(&prefix.len());
            }
        }
        Removed::Last
    }

    /// The subscribers of a topic, each once, in order of their ids.
    #[must_use]
    pub fn matches(&self, topic: &[u8]) -> Vec<Id> {
        let (mut found, mut lists) = (Vec::new(), 0);
        for &length in self.lengths.range(..=topic.len()).map(|(length, _)| length) {
            if let Some(ids) = self.by_prefix.get(&topic[..length]) {
                found.extend_from_slice(ids);
                lists += 1;
            }
        }
        if lists > 1 {
            found.sort_unstable();
            found.dedup();
        }
        found
    }

    /// True if anyone subscribed to exactly this prefix.
    #[must_use]
    pub fn has_prefix(&self, prefix: &[u8]) -> bool {
        self.by_prefix.contains_key(prefix)
    }

    /// All prefixes that anyone has.
    pub fn prefixes(&self) -> impl Iterator<Item = &[u8]> {
        self.by_prefix.keys().map(|prefix| &prefix[..])
    }

    /// Number of different prefixes.
    #[must_use]
    pub fn prefix_count(&self) -> usize {
        self.by_prefix.len()
    }

    /// Number of subscriptions, each prefix counted once per subscriber.
    #[must_use]
    pub const fn pair_count(&self) -> usize {
        self.pairs
    }

    /// Number of subscriptions of one subscriber.
    #[must_use]
    pub fn count_of(&self, id: Id) -> usize {
        self.by_subscriber.get(&id).map_or(0, HashSet::len)
    }

    /// Changes with each change of the subscriptions; what was derived from them earlier is then stale.
    #[must_use]
    pub const fn generation(&self) -> u64 {
        self.generation
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_prefix_is_kept_until_its_last_subscriber_leaves() {
        let mut index = SubscriptionIndex::default();
        assert_eq!(index.subscribe(1, b"X"), Added::First);
        assert_eq!(index.subscribe(2, b"X"), Added::Joined);
        assert_eq!(index.subscribe(2, b"X"), Added::Already);
        assert_eq!(index.cancel(1, b"X"), Removed::Left);
        assert_eq!(index.matches(b"X1"), [2]);
        assert_eq!(index.cancel(1, b"X"), Removed::Absent);
        assert_eq!(index.cancel(2, b"X"), Removed::Last);
        assert!(index.matches(b"X1").is_empty());
        assert_eq!((index.pair_count(), index.prefix_count(), index.count_of(2)), (0, 0, 0));
    }

    #[test]
    fn overlapping_prefixes_deliver_once() {
        let mut index = SubscriptionIndex::default();
        for prefix in [&b""[..], b"BIN", b"BINANCE:"] {
            index.subscribe(7, prefix);
        }
        index.subscribe(3, b"BINANCE:");
        assert_eq!(index.matches(b"BINANCE:BTC/USDT|tick"), [3, 7]);
        assert_eq!(index.matches(b"BIN"), [7]);
    }

    #[test]
    fn removing_a_subscriber_names_the_prefixes_that_went_with_it() {
        let mut index = SubscriptionIndex::default();
        index.subscribe(1, b"A");
        index.subscribe(1, b"B");
        index.subscribe(2, b"B");
        assert_eq!(index.remove(1), [Arc::from(&b"A"[..])]);
        assert!(index.remove(1).is_empty());
        assert_eq!(index.matches(b"B"), [2]);
    }

    #[derive(Debug, Clone)]
    enum Op {
        Subscribe(u8, Vec<u8>),
        Cancel(u8, Vec<u8>),
        Remove(u8),
    }

    fn op() -> impl Strategy<Value = Op> {
        let prefix = || proptest::collection::vec(0u8..3, 0..4);
        prop_oneof![
            3 => (0u8..5, prefix()).prop_map(|(id, p)| Op::Subscribe(id, p)),
            2 => (0u8..5, prefix()).prop_map(|(id, p)| Op::Cancel(id, p)),
            1 => (0u8..5).prop_map(Op::Remove),
        ]
    }

    proptest! {
        #[test]
        fn it_equals_a_plain_set_of_pairs(ops in proptest::collection::vec(op(), 0..60), topic in proptest::collection::vec(0u8..3, 0..5)) {
            let mut index = SubscriptionIndex::default();
            let mut model: std::collections::BTreeSet<(u8, Vec<u8>)> = Default::default();
            for op in ops {
                let had = |model: &std::collections::BTreeSet<(u8, Vec<u8>)>, p: &[u8]| model.iter().any(|(_, q)| q == p);
                match op {
                    Op::Subscribe(id, p) => {
                        let before = had(&model, &p);
                        let expected = match (before, model.insert((id, p.clone()))) {
                            (_, false) => Added::Already,
                            (true, true) => Added::Joined,
                            (false, true) => Added::First,
                        };
                        prop_assert_eq!(index.subscribe(id, &p), expected);
                    }
                    Op::Cancel(id, p) => {
                        let removed = model.remove(&(id, p.clone()));
                        let expected = match (removed, had(&model, &p)) {
                            (false, _) => Removed::Absent,
                            (true, true) => Removed::Left,
                            (true, false) => Removed::Last,
                        };
                        prop_assert_eq!(index.cancel(id, &p), expected);
                    }
                    Op::Remove(id) => {
                        let own: Vec<_> = model.iter().filter(|(i, _)| *i == id).map(|(_, p)| p.clone()).collect();
                        model.retain(|(i, _)| *i != id);
                        let mut expected: Vec<_> = own.into_iter().filter(|p| !had(&model, p)).collect();
                        let mut gone: Vec<_> = index.remove(id).iter().map(|p| p.to_vec()).collect();
                        expected.sort();
                        gone.sort();
                        prop_assert_eq!(gone, expected);
                    }
                }
                let mut ids: Vec<u8> = model.iter().filter(|(_, p)| topic.starts_with(p)).map(|(id, _)| *id).collect();
                ids.dedup();
                prop_assert_eq!(index.matches(&topic), ids);
                prop_assert_eq!(index.pair_count(), model.len());
            }
        }
    }
}
