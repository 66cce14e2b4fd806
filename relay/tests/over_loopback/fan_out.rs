//! Publishers to subscribers: what is forwarded, to whom, and what publishers hear of subscriptions.

use crate::harness::{TestRelay, config, reaches, soon};
use crate::raw_peer::{Item, Raw, message};
use proto::{ClientId, RequestId, Topic};
use std::sync::atomic::Ordering;
use zmtp::SocketType::{Pub, Sub, Xpub};

async fn publisher(relay: &TestRelay) -> Raw {
    Raw::connect(relay.addresses.publishers, Pub).await
}

async fn subscriber(relay: &TestRelay, topic: &[u8]) -> Raw {
    let mut peer = Raw::connect(relay.addresses.subscribers, Sub).await;
    peer.subscribe(topic).await;
    peer.sync().await;
    peer
}

/// A publisher that has heard of the subscription.
async fn publisher_of(relay: &TestRelay, topic: &[u8]) -> Raw {
    let mut peer = publisher(relay).await;
    assert_eq!(peer.next().await, Item::Subscribe(topic.to_vec()));
    peer
}

#[tokio::test]
async fn bytes_pass_unchanged() {
    let relay = TestRelay::start();
    let mut subscriber = subscriber(&relay, b"X").await;
    let mut publisher = publisher_of(&relay, b"X").await;
    let mut needless_long_head = vec![1, 1, b'X', 2];
    needless_long_head.extend(3u64.to_be_bytes());
    needless_long_head.extend(b"abc");
    let megabyte = vec![0xa5; 1 << 20];
    let cases = [
        message(&[b"X1", b"payload"]),
        message(&[b"X", b"", b"three"]),
        message(&[b"Xonly"]),
        needless_long_head,
        message(&[b"X", &megabyte]),
    ];
    for bytes in cases {
        publisher.send(&bytes).await;
        subscriber.expect_bytes(&bytes).await;
    }
}

#[tokio::test]
async fn a_message_that_arrives_byte_by_byte_is_forwarded_whole() {
    let relay = TestRelay::start();
    let mut subscriber = subscriber(&relay, b"X").await;
    let mut publisher = publisher_of(&relay, b"X").await;
    let bytes = message(&[b"X1", &[7; 300]]);
    for byte in &bytes {
        publisher.send(&[*byte]).await;
    }
    subscriber.expect_bytes(&bytes).await;
}

#[tokio::test]
async fn a_command_between_two_frames_is_answered_and_does_not_tear_the_message() {
    let relay = TestRelay::start();
    let mut subscriber = subscriber(&relay, b"X").await;
    let mut publisher = publisher_of(&relay, b"X").await;
    publisher.publish(&[b"X0", b"before"]).await;
    publisher.send(b"\x01\x01X").await;
    publisher.sync().await;
    publisher.send(b"\x04\x07\x04PING\0\0\0\x04last").await;
    assert_eq!(publisher.next().await, Item::Pong(Vec::new()));
    subscriber.expect_bytes(&message(&[b"X0", b"before"])).await;
    subscriber.expect_bytes(b"\x01\x01X\0\x04last").await;
}

#[tokio::test]
async fn each_subscriber_gets_its_prefixes_once() {
    let relay = TestRelay::start();
    let mut binance = subscriber(&relay, b"BINANCE:").await;
    let mut both = subscriber(&relay, b"BINANCE:BTC/USDT|").await;
    for topic in [&b"BINANCE:"[..], b"OKX:"] {
        both.subscribe(topic).await;
    }
    both.sync().await;
    let mut publisher = publisher(&relay).await;
    for _ in 0..3 {
        publisher.next().await;
    }
    for topic in [&b"BINANCE:BTC/USDT|tick"[..], b"OKX:BTC/USDT|tick", b"KRAKEN:BTC/USD|tick", b"BINANCE:ETH/USDT|tick"]
    {
        publisher.publish(&[topic, b"x"]).await;
    }
    for (peer, expected) in [(&mut binance, &[0, 3][..]), (&mut both, &[0, 1, 3])] {
        for at in expected {
            let topics = [&b"BINANCE:BTC/USDT|tick"[..], b"OKX:BTC/USDT|tick", b"", b"BINANCE:ETH/USDT|tick"];
            assert_eq!(peer.message().await[0], topics[*at]);
        }
        // Anything else that was forwarded would come before the PONG.
        peer.sync().await;
    }
    reaches(&relay.observer.fan_out().unmatched_total, 1).await;
}

#[tokio::test]
async fn two_publishers_feed_one_subscriber() {
    let relay = TestRelay::start();
    let mut subscriber = subscriber(&relay, b"X").await;
    let (mut a, mut b) = (publisher_of(&relay, b"X").await, publisher_of(&relay, b"X").await);
    a.publish(&[b"X", b"a"]).await;
    assert_eq!(subscriber.message().await[1], b"a");
    b.publish(&[b"X", b"b"]).await;
    assert_eq!(subscriber.message().await[1], b"b");
}

#[tokio::test]
async fn when_a_unsubscribes_b_is_still_fed() {
    let relay = TestRelay::start();
    let (mut a, mut b) = (subscriber(&relay, b"X").await, subscriber(&relay, b"X").await);
    let mut publisher = publisher_of(&relay, b"X").await;
    a.cancel(b"X").await;
    a.sync().await;
    publisher.publish(&[b"X", b"1"]).await;
    assert_eq!(b.message().await[1], b"1");
    a.sync().await;
}

#[tokio::test]
async fn publishers_hear_of_the_first_subscription_and_of_the_end_of_the_last() {
    let relay = TestRelay::start();
    let mut publisher = Raw::connect(relay.addresses.publishers, Xpub).await;
    let mut peers = Vec::new();
    for _ in 0..3 {
        peers.push(subscriber(&relay, b"X").await);
    }
    assert_eq!(publisher.next().await, Item::Subscribe(b"X".to_vec()));
    let mut last = peers.pop().unwrap();
    // One leaves politely, one hangs up, the last one cancels.
    peers[0].cancel(b"X").await;
    peers[0].sync().await;
    drop(peers);
    reaches(&relay.observer.fan_out().disconnected_total, 2).await;
    publisher.sync().await;
    last.cancel(b"X").await;
    assert_eq!(publisher.next().await, Item::Cancel(b"X".to_vec()));
}

#[tokio::test]
async fn a_subscriber_that_hangs_up_is_cancelled_upstream() {
    let relay = TestRelay::start();
    let mut publisher = Raw::connect(relay.addresses.publishers, Xpub).await;
    let peer = subscriber(&relay, b"X").await;
    assert_eq!(publisher.next().await, Item::Subscribe(b"X".to_vec()));
    peer.reset();
    assert_eq!(publisher.next().await, Item::Cancel(b"X".to_vec()));
}

#[tokio::test]
async fn every_subscription_is_forwarded_if_configured_so() {
    let relay = TestRelay::with(relay::config::Config { forward_every_subscription: true, ..config() });
    let mut publisher = Raw::connect(relay.addresses.publishers, Xpub).await;
    let (_a, _b) = (subscriber(&relay, b"X").await, subscriber(&relay, b"X").await);
    for _ in 0..2 {
        assert_eq!(publisher.next().await, Item::Subscribe(b"X".to_vec()));
    }
}

#[tokio::test]
async fn a_late_publisher_learns_what_is_subscribed() {
    let relay = TestRelay::start();
    let mut subscriber = subscriber(&relay, b"X").await;
    subscriber.subscribe(b"Y").await;
    subscriber.sync().await;
    let mut late = publisher(&relay).await;
    let mut heard = vec![late.next().await, late.next().await];
    heard.sort_by_key(|item| format!("{item:?}"));
    assert_eq!(heard, [Item::Subscribe(b"X".to_vec()), Item::Subscribe(b"Y".to_vec())]);
}

#[tokio::test]
async fn both_forms_of_subscription_are_taken_from_peers_of_3_0_and_3_1() {
    let relay = TestRelay::start();
    for (minor, subscribe, cancel) in [
        (0, &b"\0\x02\x01X"[..], &b"\0\x02\0X"[..]),
        (1, b"\0\x02\x01X", b"\0\x02\0X"),
        (1, b"\x04\x0b\x09SUBSCRIBEX", b"\x04\x08\x06CANCELX"),
    ] {
        let mut upstream = Raw::connect(relay.addresses.publishers, Xpub).await;
        let mut peer = Raw::speaking(relay.addresses.subscribers, Sub, minor, b"").await;
        peer.send(subscribe).await;
        assert_eq!(upstream.next().await, Item::Subscribe(b"X".to_vec()), "minor {minor}");
        upstream.publish(&[b"X", b"1"]).await;
        peer.expect_bytes(b"\x01\x01X\0\x011").await;
        peer.send(cancel).await;
        assert_eq!(upstream.next().await, Item::Cancel(b"X".to_vec()), "minor {minor}");
    }
}

#[tokio::test]
async fn a_publisher_of_3_0_hears_of_subscriptions_by_messages() {
    let relay = TestRelay::start();
    let mut peer = subscriber(&relay, b"early").await;
    let mut publisher = Raw::speaking(relay.addresses.publishers, Pub, 0, b"").await;
    publisher.expect_bytes(b"\0\x06\x01early").await;
    peer.subscribe(b"late").await;
    publisher.expect_bytes(b"\0\x05\x01late").await;
    peer.cancel(b"early").await;
    publisher.expect_bytes(b"\0\x06\0early").await;
}

#[tokio::test]
async fn a_reset_subscriber_does_not_disturb_the_others() {
    let relay = TestRelay::start();
    let (gone, mut other) = (subscriber(&relay, b"X").await, subscriber(&relay, b"X").await);
    let mut publisher = publisher_of(&relay, b"X").await;
    gone.reset();
    for n in 0..100u8 {
        publisher.publish(&[b"X", &[n]]).await;
        assert_eq!(other.message().await[1], [n]);
    }
}

#[tokio::test]
async fn nobody_can_subscribe_to_the_notifications_of_others() {
    let relay = TestRelay::start();
    let (mine, other) = (RequestId::from_bits(12), RequestId::from_bits(123));
    let topics = [
        Topic::HistoryReady(mine).to_string(),
        Topic::HistoryReady(other).to_string(),
        Topic::Response(ClientId::from_bits(123)).to_string(),
    ];
    let mut spy = Raw::connect(relay.addresses.subscribers, Sub).await;
    let guesses =
        ["", "R", "H", "RESPONSE", "RESPONSE:", "HISTORY_READY:", &topics[1][..39], &format!("{}0", topics[1])];
    for guess in guesses {
        spy.subscribe(guess.as_bytes()).await;
    }
    spy.subscribe(topics[0].as_bytes()).await;
    spy.sync().await;
    let refused = relay.observer.fan_out().subscriptions_refused_total.load(Ordering::Relaxed);
    assert_eq!(refused, guesses.len() as u64);
    let mut publisher = publisher_of(&relay, topics[0].as_bytes()).await;
    for topic in topics.iter().rev() {
        publisher.publish(&[topic.as_bytes(), b"secret"]).await;
    }
    assert_eq!(spy.message().await[0], topics[0].as_bytes(), "its own, and nothing before it");
    spy.sync().await;
}

#[tokio::test]
async fn the_empty_prefix_is_for_those_who_configured_it() {
    let relay = TestRelay::with(relay::config::Config { allow_empty_subscription: true, ..config() });
    let mut all = subscriber(&relay, b"").await;
    let mut publisher = publisher_of(&relay, b"").await;
    publisher.publish(&[b"whatever", b"1"]).await;
    assert_eq!(all.message().await[0], b"whatever");
}

#[tokio::test]
async fn messages_without_meaning_are_ignored_and_counted() {
    let relay = TestRelay::start();
    let mut peer = subscriber(&relay, b"X").await;
    peer.publish(&[b"X", b"from a subscriber"]).await;
    peer.sync().await;
    let mut publisher = publisher_of(&relay, b"X").await;
    publisher.publish(&[&[b'X'; 129], b"topic too long"]).await;
    publisher.publish(&[&[b'X'; 128], b"topic just right"]).await;
    assert_eq!(peer.message().await[1], b"topic just right");
    assert_eq!(relay.observer.fan_out().ignored_total.load(Ordering::Relaxed), 2);
}

#[tokio::test]
async fn a_flooding_publisher_does_not_starve_another() {
    let relay = TestRelay::start();
    let mut subscriber = subscriber(&relay, b"QUIET").await;
    let mut quiet = publisher_of(&relay, b"QUIET").await;
    let mut flood = publisher_of(&relay, b"QUIET").await;
    let flooding = tokio::spawn(async move {
        let bytes = message(&[b"LOUD", &[0; 100]]).repeat(10_000);
        loop {
            flood.send(&bytes).await;
        }
    });
    reaches(&relay.observer.fan_out().received_total, 100_000).await;
    for n in 0..50u8 {
        quiet.publish(&[b"QUIET", &[n]]).await;
        assert_eq!(soon(subscriber.message()).await[1], [n]);
    }
    flooding.abort();
}
