//! Peers that do not read: they cost themselves, never others.

use crate::harness::{TestRelay, config, reaches, soon};
use crate::raw_peer::{Item, Raw, message};
use relay::config::Config;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::io::AsyncReadExt;
use zmtp::SocketType::{Dealer, Pub, Sub};

fn small_backlogs() -> Config {
    let mut config = config();
    config.limits.frame_bytes = 64 << 10;
    config.limits.backlog_bytes = 1 << 20;
    config
}

async fn publisher(relay: &TestRelay, topic: &[u8]) -> Raw {
    let mut peer = Raw::connect(relay.addresses.publishers, Pub).await;
    assert_eq!(peer.next().await, Item::Subscribe(topic.to_vec()));
    peer
}

#[tokio::test]
async fn the_healthy_subscriber_gets_all_of_40000_beside_a_stuck_one() {
    const MESSAGES: u64 = 40_000;
    let relay = TestRelay::with(small_backlogs());
    let stuck = Raw::narrow_subscriber(relay.addresses.subscribers, b"X").await;
    let mut healthy = Raw::connect(relay.addresses.subscribers, Sub).await;
    healthy.subscribe(b"X").await;
    healthy.sync().await;
    let mut publisher = publisher(&relay, b"X").await;
    let body = [b'z'; 1000];
    let publish = async {
        for n in 0..MESSAGES {
            publisher.publish(&[b"X", &n.to_be_bytes(), &body]).await;
            // The publisher stays at most 256 messages ahead, so that only the stuck one can be behind.
            if n % 256 == 255 {
                publisher.sync().await;
            }
        }
    };
    let receive = async {
        for n in 0..MESSAGES {
            assert_eq!(healthy.message().await[1], n.to_be_bytes());
        }
    };
    soon(async { tokio::join!(publish, receive) }).await;
    let counters = relay.observer.fan_out();
    assert!(counters.dropped_total.load(Ordering::Relaxed) > 10_000, "the stuck one was given up on");
    assert!(counters.backlog_bytes.load(Ordering::Relaxed) <= (1 << 20) + 2000, "and cost its limit");
    drop(stuck);
}

#[tokio::test]
async fn in_a_crowd_the_stuck_cost_their_limit_and_the_healthy_lose_nothing() {
    const HEALTHY: usize = 120;
    const STUCK: usize = 3;
    let relay = TestRelay::with(small_backlogs());
    let mut stuck = Vec::new();
    for _ in 0..STUCK {
        let mut peer = Raw::narrow_subscriber(relay.addresses.subscribers, b"FLOOD").await;
        peer.subscribe(b"X").await;
        stuck.push(peer);
    }
    let mut healthy = Vec::new();
    for _ in 0..HEALTHY {
        let mut peer = Raw::connect(relay.addresses.subscribers, Sub).await;
        peer.subscribe(b"X").await;
        peer.sync().await;
        healthy.push(peer);
    }
    let mut publisher = Raw::connect(relay.addresses.publishers, Pub).await;
    let flood = message(&[b"FLOOD", &[0; 60_000]]);
    let counters = relay.observer.fan_out();
    let filled = async {
        // Until each of them is full: then a message to all of them is dropped three times.
        let mut dropped = 0;
        while dropped < STUCK as u64 {
            let before = counters.dropped_total.load(Ordering::Relaxed);
            publisher.send(&flood).await;
            publisher.pong().await;
            dropped = counters.dropped_total.load(Ordering::Relaxed) - before;
        }
    };
    soon(filled).await;
    for n in 0..200u32 {
        publisher.publish(&[b"X", &n.to_be_bytes(), &[0; 1000]]).await;
    }
    for peer in &mut healthy {
        for n in 0..200u32 {
            assert_eq!(peer.message().await[1], n.to_be_bytes());
        }
    }
    assert!(counters.backlog_bytes.load(Ordering::Relaxed) <= STUCK as u64 * (1 << 20));
    // Nobody was let go.
    reaches(&counters.peers, (HEALTHY + STUCK + 1) as u64).await;
    assert_eq!(counters.stuck_total.load(Ordering::Relaxed) + counters.overrun_total.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn a_subscriber_that_was_behind_gets_whole_messages_and_then_the_newest() {
    let mut config = small_backlogs();
    // How fast so narrow a connection brings it is up to the system, and not what this is about.
    config.limits.stuck_timeout = Duration::from_secs(600);
    let relay = TestRelay::with(config);
    let mut slow = Raw::narrow_subscriber(relay.addresses.subscribers, b"X").await;
    let mut publisher = publisher(&relay, b"X").await;
    let body = [b'z'; 5000];
    let mut sent = 0u64;
    while relay.observer.fan_out().dropped_total.load(Ordering::Relaxed) < 100 {
        publisher.publish(&[b"X", &sent.to_be_bytes(), &body]).await;
        publisher.sync().await;
        sent += 1;
    }
    // A PONG may go out before the messages of the same read are counted; this one is of a later read.
    publisher.sync().await;
    let mut last = None;
    let mut got = 0;
    let dropped = relay.observer.fan_out().dropped_total.load(Ordering::Relaxed);
    while got < sent - dropped {
        let frames = slow.message().await;
        assert_eq!(frames[2], body, "whole");
        let number = u64::from_be_bytes(frames[1][..].try_into().unwrap());
        assert!(last < Some(number), "in order");
        last = Some(number);
        got += 1;
    }
    publisher.publish(&[b"X", b"newest", b""]).await;
    assert_eq!(slow.message().await[1], b"newest");
}

#[tokio::test]
async fn a_subscriber_that_was_behind_longer_than_heartbeats_allow_is_still_asked_before_it_is_dropped() {
    let mut config = small_backlogs();
    config.limits.stuck_timeout = Duration::from_secs(600);
    config.heartbeat.interval = Duration::from_millis(100);
    config.heartbeat.timeout = Duration::from_millis(1000);
    let relay = TestRelay::with(config);
    let counters = relay.observer.fan_out();
    let mut slow = Raw::narrow_subscriber(relay.addresses.subscribers, b"X").await;
    let mut publisher = publisher(&relay, b"X").await;
    let bytes = message(&[b"X", &[b'z'; 60_000]]).repeat(10);
    let fill = async {
        while counters.dropped_total.load(Ordering::Relaxed) == 0 {
            publisher.send(&bytes).await;
            publisher.pong().await;
        }
    };
    soon(fill).await;
    drop(publisher);
    // Peers that answer no PING are the clock: each is dropped after the timeout.
    let mut clock = Raw::connect(relay.addresses.subscribers, Sub).await;
    clock.closed().await;
    let mut clock = Raw::connect(relay.addresses.subscribers, Sub).await;
    let read = async {
        loop {
            slow.message().await;
        }
    };
    tokio::select! {
        () = read => {}
        _ = clock.closed() => {}
    }
    assert_eq!(counters.backlog_bytes.load(Ordering::Relaxed), 0, "it has taken everything");
    assert_eq!(counters.silent_total.load(Ordering::Relaxed), 2, "the two clocks, not the slow one");
}

#[tokio::test]
async fn a_stuck_subscriber_is_dropped_and_so_is_one_that_sips() {
    let mut config = small_backlogs();
    config.limits.stuck_timeout = Duration::from_millis(200);
    config.limits.stuck_bytes = 20 << 20;
    let relay = TestRelay::with(config);
    let mut stuck = Raw::narrow_subscriber(relay.addresses.subscribers, b"X").await;
    let mut sipping = Raw::narrow_subscriber(relay.addresses.subscribers, b"X").await;
    let mut publisher = publisher(&relay, b"X").await;
    // More than the system's own buffers take: 4 MiB in the relay's socket, a little in the peer's.
    let bytes = message(&[b"X", &[0; 60_000]]).repeat(10);
    let flood = async {
        loop {
            publisher.send(&bytes).await;
        }
    };
    let sip = async {
        let mut looks = tokio::time::interval(Duration::from_millis(1));
        let mut sip = [0; 4096];
        while let Ok(1..) = sipping.stream.read(&mut sip).await {
            looks.tick().await;
        }
    };
    let dropped = reaches(&relay.observer.fan_out().stuck_total, 2);
    tokio::select! {
        () = flood => {}
        () = sip => {}
        () = dropped => {}
    }
    reaches(&relay.observer.fan_out().stuck_total, 2).await;
    stuck.closed().await;
}

#[tokio::test]
async fn when_all_backlogs_together_are_too_much_the_one_furthest_behind_goes() {
    let mut config = small_backlogs();
    config.limits.backlog_total_bytes = 2 << 20;
    // Each thread has its share of the limit: here all peers are to have one.
    config.fan_out_threads = 1;
    let relay = TestRelay::with(config);
    let mut peers = Vec::new();
    for _ in 0..4 {
        peers.push(Raw::narrow_subscriber(relay.addresses.subscribers, b"X").await);
    }
    let mut publisher = publisher(&relay, b"X").await;
    let bytes = message(&[b"X", &[0; 60_000]]).repeat(10);
    let counters = relay.observer.fan_out();
    let flood = async {
        while counters.overrun_total.load(Ordering::Relaxed) < 2 {
            publisher.send(&bytes).await;
            publisher.sync().await;
            assert!(counters.backlog_bytes.load(Ordering::Relaxed) < 3 << 20);
        }
    };
    soon(flood).await;
    assert_eq!(counters.protocol_errors_total.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn a_client_that_reads_no_answers_loses_them_and_stops_nobody() {
    let mut config = config();
    config.limits.frame_bytes = 64 << 10;
    config.limits.backlog_bytes = 80 << 10;
    config.limits.backlog_total_bytes = 80 << 10;
    // The limit counts for the request ports alone; the fan-out's share of it must not be too small.
    config.fan_out_threads = 1;
    let relay = TestRelay::with(config);
    let mut rude = Raw::connect(relay.addresses.requests, Dealer).await;
    let bytes = message(&[b"route", b"nonsense"]).repeat(1000);
    let counters = relay.observer.requests();
    let flood = async {
        while counters.dropped_total.load(Ordering::Relaxed) == 0 {
            rude.send(&bytes).await;
        }
    };
    soon(flood).await;
    let mut polite = Raw::connect(relay.addresses.requests, Dealer).await;
    polite.publish(&[b"route", b"nonsense"]).await;
    assert_eq!(polite.message().await[0], b"route");
}
