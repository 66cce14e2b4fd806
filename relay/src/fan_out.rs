//! Publishers to subscribers, by frame 0 alone. Frame 1 is never looked at.

use crate::access::may_subscribe;
use crate::config::Config;
use crate::counters::{EngineCounters, add};
use crate::engine::{Key, Links, Message, Switch};
use crate::subscriptions::{Subscriptions, Upstream};
use std::ops::Range;
use std::sync::Arc;
use zmtp::codec::{Command, SubscriptionChange};
use zmtp::{SocketType, TopicCache};

/// XSUB and XPUB back to back.
pub(crate) struct FanOut {
    subscriptions: Subscriptions,
    cache: TopicCache<Key>,
    publishers: Vec<Key>,
    topic_bytes: usize,
    forward_every: bool,
    run: Run,
    unmatched: u64,
    ignored: u64,
    counters: Arc<EngineCounters>,
}

/// Neighbouring messages with the same subscribers: they are handed out at once, so that what a message costs does not
/// grow with the number of its subscribers.
#[derive(Debug, Default)]
struct Run {
    range: Range<usize>,
    messages: u64,
    targets: Vec<Key>,
}

impl Run {
    fn hand_out(&mut self, links: &mut Links) {
        if self.messages > 0 {
            for &target in &self.targets {
                links.forward(target, self.range.clone(), self.messages);
            }
            self.messages = 0;
        }
    }
}

impl FanOut {
    pub(crate) fn new(config: &Config, counters: Arc<EngineCounters>) -> Self {
        let allow_empty = config.allow_empty_subscription;
        let rule = Box::new(move |prefix: &[u8]| may_subscribe(prefix, allow_empty));
        Self {
            subscriptions: Subscriptions::new(&config.limits, rule, Arc::clone(&counters)),
            cache: TopicCache::new(config.limits.topic_cache),
            publishers: Vec::new(),
            topic_bytes: config.limits.topic_bytes,
            forward_every: config.forward_every_subscription,
            run: Run::default(),
            unmatched: 0,
            ignored: 0,
            counters,
        }
    }

    fn tell_publishers(&self, links: &mut Links, change: SubscriptionChange, prefix: &[u8]) {
        for &publisher in &self.publishers {
            links.command(publisher, |minor, out| Command::encode_subscription(out, minor, change, prefix));
        }
    }
}

impl Switch for FanOut {
    fn opened(&mut self, links: &mut Links, key: Key) {
        if links.get(key).is_some_and(|link| link.local == SocketType::Xsub) {
            self.publishers.push(key);
            let index = self.subscriptions.index();
            links.replay(key, |minor, out| {
                for prefix in index.prefixes() {
                    Command::encode_subscription(out, minor, SubscriptionChange::Subscribe, prefix);
                }
            });
        }
    }

    fn message(&mut self, links: &mut Links, _key: Key, message: &Message<'_>) {
        if message.local != SocketType::Xsub || message.first.len() > self.topic_bytes {
            self.ignored += 1;
            return;
        }
        let targets = self.cache.targets(self.subscriptions.index(), message.topic());
        self.unmatched += u64::from(targets.is_empty());
        let run = &mut self.run;
        if run.messages > 0 && run.range.end == message.range.start && run.targets == targets {
            run.range.end = message.range.end;
            run.messages += 1;
            return;
        }
        run.hand_out(links);
        run.targets.clear();
        run.targets.extend_from_slice(targets);
        run.range = message.range.clone();
        run.messages = 1;
    }

    fn subscription(&mut self, links: &mut Links, key: Key, change: SubscriptionChange, topic: &[u8]) {
        match self.subscriptions.change(key, change, topic) {
            Upstream::First => self.tell_publishers(links, SubscriptionChange::Subscribe, topic),
            Upstream::Again if self.forward_every => {
                self.tell_publishers(links, SubscriptionChange::Subscribe, topic);
            }
            Upstream::Last => self.tell_publishers(links, SubscriptionChange::Cancel, topic),
            Upstream::Again | Upstream::Nothing => {}
        }
    }

    fn closed(&mut self, links: &mut Links, key: Key) {
        self.publishers.retain(|publisher| *publisher != key);
        for prefix in self.subscriptions.remove(key) {
            self.tell_publishers(links, SubscriptionChange::Cancel, &prefix);
        }
    }

    fn settle(&mut self, links: &mut Links) {
        self.run.hand_out(links);
        add(&self.counters.unmatched_total, std::mem::take(&mut self.unmatched));
        add(&self.counters.ignored_total, std::mem::take(&mut self.ignored));
    }

    fn subscriptions_of(&self, key: Key) -> usize {
        self.subscriptions.index().count_of(key)
    }

    fn prefixes(&self) -> usize {
        self.subscriptions.index().prefix_count()
    }
}
