//! Subscriptions of the peers of one XPUB port, checked and limited.

use crate::config::Limits;
use crate::counters::{EngineCounters, Share, add};
use crate::engine::Key;
use std::sync::Arc;
use zmtp::codec::SubscriptionChange;
use zmtp::{Added, Removed, SubscriptionIndex};

/// Says whether a prefix may be subscribed to.
pub(crate) type Rule = Box<dyn Fn(&[u8]) -> bool + Send>;

/// The index and what guards it. A refused subscription is counted and otherwise ignored: the peer stays connected, and
/// learns nothing about what others subscribe to.
pub(crate) struct Subscriptions {
    index: SubscriptionIndex<Key>,
    rule: Rule,
    topic_bytes: usize,
    max_per_peer: usize,
    max_total: usize,
    /// Pairs of shards, whose subscriptions are limited and counted where their subscribers are.
    of_shards: usize,
    shown: Share,
    counters: Arc<EngineCounters>,
}

/// What upstream has to hear after a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Upstream {
    /// Nothing.
    Nothing,
    /// The prefix has its first subscriber.
    First,
    /// The prefix has one more subscriber, or the same once more.
    Again,
    /// The prefix has lost its last subscriber.
    Last,
}

impl Subscriptions {
    pub(crate) fn new(limits: &Limits, rule: Rule, counters: Arc<EngineCounters>) -> Self {
        Self {
            index: SubscriptionIndex::default(),
            rule,
            topic_bytes: limits.topic_bytes,
            max_per_peer: limits.subscriptions_per_peer,
            max_total: limits.subscriptions,
            of_shards: 0,
            shown: Share::default(),
            counters,
        }
    }

    pub(crate) const fn index(&self) -> &SubscriptionIndex<Key> {
        &self.index
    }

    pub(crate) fn change(&mut self, key: Key, change: SubscriptionChange, topic: &[u8]) -> Upstream {
        let upstream = match change {
            SubscriptionChange::Subscribe if !self.allows(key, topic) => {
                add(&self.counters.subscriptions_refused_total, 1);
                return Upstream::Nothing;
            }
            SubscriptionChange::Subscribe => match self.index.subscribe(key, topic) {
                Added::First => Upstream::First,
                Added::Joined | Added::Already => Upstream::Again,
            },
            SubscriptionChange::Cancel => match self.index.cancel(key, topic) {
                Removed::Last => Upstream::Last,
                Removed::Left | Removed::Absent => Upstream::Nothing,
            },
        };
        self.count();
        upstream
    }

    fn allows(&self, key: Key, topic: &[u8]) -> bool {
        topic.len() <= self.topic_bytes
            && self.index.count_of(key) < self.max_per_peer
            && self.index.pair_count() - self.of_shards < self.max_total
            && (self.rule)(topic)
    }

    /// A peer is gone. Returns the prefixes that nobody has any more.
    pub(crate) fn remove(&mut self, key: Key) -> Vec<Arc<[u8]>> {
        let gone = self.index.remove(key);
        self.count();
        gone
    }

    /// A shard has a prefix from now on, or has it no more.
    pub(crate) fn change_of_shard(&mut self, key: Key, change: SubscriptionChange, prefix: &[u8]) -> Upstream {
        match change {
            SubscriptionChange::Subscribe => match self.index.subscribe(key, prefix) {
                Added::Already => Upstream::Again,
                added => {
                    self.of_shards += 1;
                    if added == Added::First { Upstream::First } else { Upstream::Again }
                }
            },
            SubscriptionChange::Cancel => match self.index.cancel(key, prefix) {
                Removed::Absent => Upstream::Nothing,
                removed => {
                    self.of_shards -= 1;
                    if removed == Removed::Last { Upstream::Last } else { Upstream::Nothing }
                }
            },
        }
    }

    fn count(&mut self) {
        self.shown.show(&self.counters.subscriptions, self.index.pair_count() - self.of_shards);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use SubscriptionChange::{Cancel, Subscribe};
    use std::sync::atomic::Ordering;

    fn subscriptions() -> (Subscriptions, Arc<EngineCounters>) {
        let limits = Limits {
            subscriptions_per_peer: 3,
            subscriptions: 4,
            topic_bytes: 5,
            ..crate::config::Config::default().limits
        };
        let counters = Arc::new(EngineCounters::default());
        (Subscriptions::new(&limits, Box::new(|prefix| prefix != b"no"), Arc::clone(&counters)), counters)
    }

    #[test]
    fn upstream_hears_of_the_first_and_the_last() {
        let (mut subscriptions, _) = subscriptions();
        assert_eq!(subscriptions.change(1, Subscribe, b"X"), Upstream::First);
        assert_eq!(subscriptions.change(2, Subscribe, b"X"), Upstream::Again);
        assert_eq!(subscriptions.change(1, Cancel, b"X"), Upstream::Nothing);
        assert_eq!(subscriptions.change(1, Cancel, b"X"), Upstream::Nothing);
        assert_eq!(subscriptions.change(2, Cancel, b"X"), Upstream::Last);
    }

    #[test]
    fn what_is_refused_is_counted_and_leaves_no_trace() {
        let (mut subscriptions, counters) = subscriptions();
        assert_eq!(subscriptions.change(1, Subscribe, b"no"), Upstream::Nothing);
        assert_eq!(subscriptions.change(1, Subscribe, b"toolong"), Upstream::Nothing);
        for topic in [b"a", b"b", b"c", b"d"] {
            subscriptions.change(1, Subscribe, topic);
        }
        assert_eq!(subscriptions.index().count_of(1), 3, "the limit of one peer");
        subscriptions.change(2, Subscribe, b"a");
        subscriptions.change(2, Subscribe, b"b");
        assert_eq!(subscriptions.index().count_of(2), 1, "the limit of all");
        assert_eq!(counters.subscriptions_refused_total.load(Ordering::Relaxed), 4);
        assert_eq!(counters.subscriptions.load(Ordering::Relaxed), 4);
    }
}
