//! Whatever subscribers and publishers do, in whatever order: deliveries and upstream subscriptions are those of a plain
//! list of sets.

use crate::harness::{TestRelay, config, soon};
use crate::raw_peer::{Item, Raw};
use proptest::prelude::*;
use std::collections::BTreeSet;
use zmtp::SocketType::{Pub, Sub};

type Prefix = Vec<u8>;

#[derive(Debug, Clone)]
enum Op {
    Connect,
    Leave {
        peer: usize,
        by_reset: bool,
    },
    Subscribe {
        peer: usize,
        prefix: Prefix,
    },
    Cancel {
        peer: usize,
        prefix: Prefix,
    },
    Publish {
        topic: Prefix,
    },
    /// A publisher comes, learns what is subscribed, and goes.
    LatePublisher,
}

fn op() -> impl Strategy<Value = Op> {
    let bytes = |most| proptest::collection::vec(b'A'..=b'B', 1..=most);
    prop_oneof![
        2 => Just(Op::Connect),
        1 => (any::<usize>(), any::<bool>()).prop_map(|(peer, by_reset)| Op::Leave { peer, by_reset }),
        6 => (any::<usize>(), bytes(3)).prop_map(|(peer, prefix)| Op::Subscribe { peer, prefix }),
        3 => (any::<usize>(), bytes(3)).prop_map(|(peer, prefix)| Op::Cancel { peer, prefix }),
        6 => bytes(4).prop_map(|topic| Op::Publish { topic }),
        1 => Just(Op::LatePublisher),
    ]
}

/// One subscriber and what it should have.
struct Subscriber {
    peer: Raw,
    prefixes: BTreeSet<Prefix>,
}

struct World {
    relay: TestRelay,
    publisher: Raw,
    /// What the publisher has been told.
    upstream: BTreeSet<Prefix>,
    subscribers: Vec<Subscriber>,
    published: u32,
}

/// What came before the relay answered a PING: then it has handled all that was sent to it.
async fn settled(peer: &mut Raw) -> Vec<Item> {
    peer.send(b"\x04\x0b\x04PING\0\0sync").await;
    let mut items = Vec::new();
    loop {
        match peer.next().await {
            Item::Pong(context) if context == b"sync" => return items,
            Item::Ping => {}
            item => items.push(item),
        }
    }
}

/// A change that changes nothing is not to be sent.
fn apply(upstream: &mut BTreeSet<Prefix>, item: Item) {
    match item {
        Item::Subscribe(prefix) => assert!(upstream.insert(prefix.clone()), "{prefix:?} was subscribed twice"),
        Item::Cancel(prefix) => assert!(upstream.remove(&prefix), "{prefix:?} was cancelled and not there"),
        other => panic!("a publisher got {other:?}"),
    }
}

impl World {
    async fn new() -> Self {
        let relay = TestRelay::with(config());
        let publisher = Raw::connect(relay.addresses.publishers, Pub).await;
        Self { relay, publisher, upstream: BTreeSet::new(), subscribers: Vec::new(), published: 0 }
    }

    fn prefixes(&self) -> BTreeSet<Prefix> {
        self.subscribers.iter().flat_map(|subscriber| subscriber.prefixes.iter().cloned()).collect()
    }

    async fn step(&mut self, op: Op) {
        let count = self.subscribers.len();
        match op {
            Op::Connect => {
                let peer = Raw::connect(self.relay.addresses.subscribers, Sub).await;
                self.subscribers.push(Subscriber { peer, prefixes: BTreeSet::new() });
            }
            Op::Leave { peer, by_reset } if count > 0 => {
                let gone = self.subscribers.swap_remove(peer % count).peer;
                if by_reset {
                    gone.reset();
                }
            }
            Op::Subscribe { peer, prefix } if count > 0 => {
                let subscriber = &mut self.subscribers[peer % count];
                subscriber.peer.subscribe(&prefix).await;
                assert_eq!(settled(&mut subscriber.peer).await, []);
                subscriber.prefixes.insert(prefix);
                // The PONG says that it is on its way to the publishers.
                self.told().await;
                assert_eq!(self.upstream, self.prefixes());
            }
            Op::Cancel { peer, prefix } if count > 0 => {
                let subscriber = &mut self.subscribers[peer % count];
                subscriber.peer.cancel(&prefix).await;
                assert_eq!(settled(&mut subscriber.peer).await, []);
                subscriber.prefixes.remove(&prefix);
                self.told().await;
                assert_eq!(self.upstream, self.prefixes());
            }
            Op::Publish { topic } => self.publish(topic).await,
            Op::LatePublisher => {
                let mut late = Raw::connect(self.relay.addresses.publishers, Pub).await;
                let mut learned = BTreeSet::new();
                settled(&mut late).await.into_iter().for_each(|item| apply(&mut learned, item));
                assert_eq!(learned, self.prefixes());
            }
            Op::Leave { .. } | Op::Subscribe { .. } | Op::Cancel { .. } => {}
        }
        // When somebody has left, the relay hears of it in its own time.
        while self.upstream != self.prefixes() {
            let item = self.publisher.next().await;
            apply(&mut self.upstream, item);
        }
    }

    /// Takes in what the publisher has been told so far.
    async fn told(&mut self) {
        for item in settled(&mut self.publisher).await {
            apply(&mut self.upstream, item);
        }
    }

    async fn publish(&mut self, topic: Prefix) {
        self.published += 1;
        let number = self.published.to_be_bytes();
        self.publisher.publish(&[&topic, &number]).await;
        self.told().await;
        for Subscriber { peer, prefixes } in &mut self.subscribers {
            let message = Item::Message(vec![topic.clone(), number.to_vec()]);
            let expected = if prefixes.iter().any(|prefix| topic.starts_with(prefix)) { vec![message] } else { vec![] };
            assert_eq!(settled(peer).await, expected, "{prefixes:?}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn deliveries_and_upstream_subscriptions_are_those_of_a_plain_list(ops in proptest::collection::vec(op(), 1..60)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut world = World::new().await;
            for op in ops {
                soon(world.step(op)).await;
            }
            world.relay.stop().await;
        });
    }
}
