//! Publishers to subscribers, by frame 0 alone. Frame 1 is never looked at.
//!
//! On one thread, the front; or on several, where the others are shards with a part of the subscribers (`shards`).

mod shards;

pub(crate) use shards::{FrontPort, ShardPort};

use crate::access::may_subscribe;
use crate::config::Config;
use crate::counters::{EngineCounters, add};
use crate::engine::{Key, Links, Mail, Message, Switch};
use crate::subscriptions::{Subscriptions, Upstream};
use std::ops::Range;
use std::sync::Arc;
use zmtp::codec::{Command, Scan, Scanner, SubscriptionChange};
use zmtp::{SocketType, TopicCache};

/// XSUB and XPUB back to back.
pub(crate) struct FanOut {
    subscriptions: Subscriptions,
    cache: TopicCache<Key>,
    upstream: Side,
    topic_bytes: usize,
    codec: zmtp::Limits,
    forward_every: bool,
    run: Run,
    unmatched: u64,
    ignored: u64,
    counters: Arc<EngineCounters>,
}

/// Which thread this is.
pub(crate) enum Side {
    /// It has the publishers.
    Front(Front),
    /// It has subscribers only.
    Shard(FrontPort),
}

/// What the front has besides its own subscribers.
#[derive(Debug, Default)]
pub(crate) struct Front {
    publishers: Vec<Key>,
    own_subscribers: usize,
    shards: Vec<ShardPort>,
}

impl Front {
    pub(crate) fn new(shards: Vec<ShardPort>) -> Self {
        Self { shards, ..Self::default() }
    }
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
    fn hand_out(&mut self, links: &mut Links, side: &mut Side, buffer: &[u8]) {
        if self.messages == 0 {
            return;
        }
        for &target in &self.targets {
            match (shards::shard_of(target), &mut *side) {
                (Some(shard), Side::Front(front)) => front.shards[shard].collect(&buffer[self.range.clone()]),
                _ => links.forward(target, self.range.clone(), self.messages),
            }
        }
        self.messages = 0;
    }
}

impl FanOut {
    pub(crate) fn new(config: &Config, upstream: Side, counters: Arc<EngineCounters>) -> Self {
        let allow_empty = config.allow_empty_subscription;
        let rule = Box::new(move |prefix: &[u8]| may_subscribe(prefix, allow_empty));
        Self {
            subscriptions: Subscriptions::new(&config.share(), rule, Arc::clone(&counters)),
            cache: TopicCache::new(config.limits.topic_cache),
            upstream,
            topic_bytes: config.limits.topic_bytes,
            codec: config.fan_out_codec(),
            forward_every: config.forward_every_subscription,
            run: Run::default(),
            unmatched: 0,
            ignored: 0,
            counters,
        }
    }

    /// Tells upstream what it has to hear after a change.
    fn tell(&mut self, links: &mut Links, upstream: Upstream, prefix: &[u8]) {
        let change = match upstream {
            Upstream::First => SubscriptionChange::Subscribe,
            Upstream::Again if self.forward_every => SubscriptionChange::Subscribe,
            Upstream::Last => SubscriptionChange::Cancel,
            Upstream::Again | Upstream::Nothing => return,
        };
        match &mut self.upstream {
            Side::Shard(front) => front.tell(change, prefix),
            Side::Front(front) => {
                for &publisher in &front.publishers {
                    links.command(publisher, |minor, out| Command::encode_subscription(out, minor, change, prefix));
                }
            }
        }
    }

    /// Hands out a message together with its neighbours.
    fn route(&mut self, links: &mut Links, buffer: &[u8], range: Range<usize>, topic: Range<usize>) {
        let targets = self.cache.targets(self.subscriptions.index(), &buffer[topic]);
        self.unmatched += u64::from(targets.is_empty());
        let run = &mut self.run;
        if run.messages > 0 && run.range.end == range.start && run.targets == targets {
            run.range.end = range.end;
            run.messages += 1;
            return;
        }
        run.hand_out(links, &mut self.upstream, buffer);
        run.targets.clear();
        run.targets.extend_from_slice(targets);
        run.range = range;
        run.messages = 1;
    }
}

impl Switch for FanOut {
    fn opened(&mut self, links: &mut Links, key: Key) {
        let Side::Front(front) = &mut self.upstream else { return };
        if links.get(key).is_some_and(|link| link.local == SocketType::Xsub) {
            front.publishers.push(key);
            let index = self.subscriptions.index();
            links.replay(key, |minor, out| {
                for prefix in index.prefixes() {
                    Command::encode_subscription(out, minor, SubscriptionChange::Subscribe, prefix);
                }
            });
        } else {
            front.own_subscribers += 1;
        }
    }

    fn message(&mut self, links: &mut Links, _key: Key, message: &Message<'_>) {
        if message.local != SocketType::Xsub || message.first.len() > self.topic_bytes {
            self.ignored += 1;
            return;
        }
        self.route(links, message.buffer, message.range.clone(), message.first.clone());
    }

    fn subscription(&mut self, links: &mut Links, key: Key, change: SubscriptionChange, topic: &[u8]) {
        let upstream = self.subscriptions.change(key, change, topic);
        self.tell(links, upstream, topic);
    }

    fn closed(&mut self, links: &mut Links, key: Key) {
        for prefix in self.subscriptions.remove(key) {
            self.tell(links, Upstream::Last, &prefix);
        }
        let Some(link) = links.get_dying(key) else { return };
        match &mut self.upstream {
            Side::Front(front) if link.local == SocketType::Xsub => {
                front.publishers.retain(|publisher| *publisher != key);
            }
            // Not one that ended on its way to a shard.
            Side::Front(front) => front.own_subscribers -= usize::from(link.leaving.is_none()),
            Side::Shard(front) => front.post.send(Mail::Left { shard: front.shard, address: link.address }),
        }
    }

    fn settle(&mut self, links: &mut Links, buffer: &[u8]) {
        self.run.hand_out(links, &mut self.upstream, buffer);
        if let Side::Front(front) = &mut self.upstream {
            front.shards.iter_mut().for_each(ShardPort::dispatch);
        }
        add(&self.counters.unmatched_total, std::mem::take(&mut self.unmatched));
        add(&self.counters.ignored_total, std::mem::take(&mut self.ignored));
    }

    fn place(&mut self, local: SocketType) -> Option<usize> {
        let Side::Front(front) = &self.upstream else { return None };
        let fewest = front.shards.iter().enumerate().min_by_key(|(_, shard)| shard.peers)?;
        (local == SocketType::Xpub && fewest.1.peers < front.own_subscribers).then_some(fewest.0)
    }

    fn hand_over(&mut self, shard: usize, mail: Mail) -> Result<(), Mail> {
        match &mut self.upstream {
            Side::Front(front) => front.shards[shard].adopt(mail),
            Side::Shard(_) => Err(mail),
        }
    }

    fn has_room(&self) -> bool {
        match &self.upstream {
            Side::Front(front) => front.shards.iter().all(ShardPort::has_room),
            Side::Shard(_) => true,
        }
    }

    fn mail(&mut self, links: &mut Links, mail: Mail) {
        match (mail, &mut self.upstream) {
            (Mail::Change { shard, change, prefix }, Side::Front(front)) => {
                front.shards[shard].changed();
                let upstream = self.subscriptions.change_of_shard(shards::key_of(shard), change, &prefix);
                self.tell(links, upstream, &prefix);
            }
            (Mail::Left { shard, .. }, Side::Front(front)) => front.shards[shard].peers -= 1,
            (Mail::Returned { shard, memory }, Side::Front(front)) => front.shards[shard].returned(memory),
            (mail, _) => tracing::error!(?mail, "mail for another thread"),
        }
    }

    fn batch(&mut self, links: &mut Links, messages: &[u8]) {
        // The front has checked the messages, and taken commands out of them.
        let (mut scanner, mut at) = (Scanner::new(self.codec), 0);
        while let Ok(Scan::Message { len, first, .. }) = scanner.scan(&messages[at..]) {
            self.route(links, messages, at..at + len, at + first.start..at + first.end);
            at += len;
        }
        self.settle(links, messages);
    }

    fn handed_out(&mut self, memory: Vec<u8>) {
        if let Side::Shard(front) = &self.upstream {
            front.post.send(Mail::Returned { shard: front.shard, memory });
        }
    }

    fn holds_pong(&mut self, links: &Links, key: Key, context: &[u8]) -> bool {
        match (&mut self.upstream, links.get(key)) {
            (Side::Shard(front), Some(link)) => front.holds(key, link.born, context),
            _ => false,
        }
    }

    fn after_mail(&mut self, links: &mut Links) {
        match &mut self.upstream {
            Side::Front(front) => front.shards.iter().for_each(ShardPort::acknowledge),
            Side::Shard(front) => front.release(links),
        }
    }

    fn subscriptions_of(&self, key: Key) -> usize {
        self.subscriptions.index().count_of(key)
    }

    fn prefixes(&self) -> usize {
        self.subscriptions.index().prefix_count()
    }
}
