//! Peers that break the protocol, flood, or never finish: they lose their connection, and nothing else happens.

use crate::harness::{TestRelay, config, reaches, soon};
use crate::raw_peer::{GREETING_BYTES, Item, Raw, greeting, message, ready};
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use zmtp::SocketType::{Dealer, Pub, Push, Sub};

/// A publisher and a subscriber that must not notice anything.
struct Bystanders {
    publisher: Raw,
    subscriber: Raw,
    count: u64,
}

impl Bystanders {
    async fn at(relay: &TestRelay) -> Self {
        let mut subscriber = Raw::connect(relay.addresses.subscribers, Sub).await;
        subscriber.subscribe(b"bystander").await;
        subscriber.sync().await;
        let mut publisher = Raw::connect(relay.addresses.publishers, Pub).await;
        assert_eq!(publisher.next().await, Item::Subscribe(b"bystander".to_vec()));
        Self { publisher, subscriber, count: 0 }
    }

    async fn notice_nothing(&mut self) {
        self.count += 1;
        self.publisher.publish(&[b"bystander", &self.count.to_be_bytes()]).await;
        assert_eq!(self.subscriber.message().await[1], self.count.to_be_bytes());
    }
}

fn all_ports(relay: &TestRelay) -> [SocketAddr; 4] {
    let at = relay.addresses;
    [at.requests, at.work, at.publishers, at.subscribers]
}

fn fitting(relay: &TestRelay, port: SocketAddr) -> zmtp::SocketType {
    let at = relay.addresses;
    if port == at.requests {
        Dealer
    } else if port == at.publishers {
        Pub
    } else {
        Sub
    }
}

#[tokio::test]
async fn a_frame_of_2_to_the_62_bytes_drops_its_sender_on_every_port() {
    let relay = TestRelay::start();
    let mut bystanders = Bystanders::at(&relay).await;
    let mut head = vec![2];
    head.extend(((1u64 << 62) - (1 << 20)).to_be_bytes());
    for port in all_ports(&relay) {
        for flags in [2, 3, 6] {
            let mut peer = Raw::connect(port, fitting(&relay, port)).await;
            head[0] = flags;
            peer.send(&head).await;
            peer.closed().await;
            bystanders.notice_nothing().await;
        }
    }
}

#[tokio::test]
async fn each_limit_of_a_message_is_enforced_and_its_value_allowed() {
    let mut config = config();
    config.limits.parts = 4;
    config.limits.frame_bytes = 10_000;
    let relay = TestRelay::with(config);
    let mut subscriber = Raw::connect(relay.addresses.subscribers, Sub).await;
    subscriber.subscribe(b"X").await;
    subscriber.sync().await;
    let frame = vec![1; 10_000];
    let allowed = [message(&[b"X", b"", b"", b""]), message(&[b"X", &frame])];
    let mut publisher = Raw::connect(relay.addresses.publishers, Pub).await;
    for bytes in &allowed {
        publisher.send(bytes).await;
        subscriber.expect_bytes(bytes).await;
    }
    let large = vec![1; 10_001];
    let refused = [
        message(&[b"X", b"", b"", b"", b""]),
        message(&[b"X", &large]),
        message(&[b"X", &frame, &frame]),
        [&b"\x06"[..], &5000u64.to_be_bytes()].concat(),
        [&b"\x01\x01X"[..], &b"\x04\x07\x04PING\0\0".repeat(17)].concat(),
        b"\x05\x00".to_vec(),
        b"\x08\x00".to_vec(),
        b"\x04\x06\x05READY".to_vec(),
        b"\x04\x02\x04P".to_vec(),
    ];
    let count = refused.len() as u64;
    for bytes in refused {
        let mut publisher = Raw::connect(relay.addresses.publishers, Pub).await;
        publisher.send(&bytes).await;
        publisher.closed().await;
    }
    reaches(&relay.observer.fan_out().protocol_errors_total, count).await;
    subscriber.sync().await;
}

#[tokio::test]
async fn random_bytes_before_and_after_the_handshake_hurt_nobody() {
    let relay = TestRelay::start();
    let mut bystanders = Bystanders::at(&relay).await;
    // xorshift: the same bytes in every run.
    let mut state = 0x9e37_79b9_7f4a_7c15u64;
    let mut byte = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[3]
    };
    for round in 0..200 {
        let port = all_ports(&relay)[round % 4];
        let garbage: Vec<u8> = (0..600).map(|at| if at % 3 == 0 { byte() % 8 } else { byte() }).collect();
        if round % 2 == 0 {
            let mut stream = TcpStream::connect(port).await.unwrap();
            // The relay may close before all is written.
            drop(stream.write_all(&garbage).await);
        } else {
            let mut peer = Raw::connect(port, fitting(&relay, port)).await;
            drop(peer.stream.write_all(&garbage).await);
        }
        if round % 20 == 0 {
            bystanders.notice_nothing().await;
        }
    }
    bystanders.notice_nothing().await;
}

#[tokio::test]
async fn a_socket_type_that_has_no_business_on_a_port_is_told_so() {
    let relay = TestRelay::start();
    for (port, wrong) in all_ports(&relay).into_iter().zip([Sub, Dealer, Sub, Push]) {
        for (minor, told) in [(1, true), (0, false)] {
            let mut peer = Raw::over(TcpStream::connect(port).await.unwrap(), minor);
            peer.send(&[greeting(minor), ready(wrong, b"")].concat()).await;
            peer.shaken().await;
            let rest = peer.closed().await;
            let error = b"\x04\x1a\x05ERROR\x13Invalid socket type";
            assert_eq!(rest, if told { &error[..] } else { b"" }, "{wrong} with minor {minor}");
        }
    }
}

#[tokio::test]
async fn other_protocols_and_older_versions_are_closed_at_once() {
    let relay = TestRelay::start();
    let mut older = greeting(1);
    older[10] = 1;
    let mut curve = greeting(1);
    curve[12..17].copy_from_slice(b"CURVE");
    for bytes in [&b"GET / HTTP/1.1\r\n\r\n"[..], &older, &curve] {
        let mut peer = Raw::over(TcpStream::connect(relay.addresses.subscribers).await.unwrap(), 1);
        peer.send(bytes).await;
        peer.closed().await;
    }
    reaches(&relay.observer.fan_out().handshake_failed_total, 3).await;
}

#[tokio::test]
async fn a_handshake_that_drips_is_cut_at_its_timeout() {
    let mut config = config();
    config.limits.handshake_timeout = Duration::from_millis(300);
    let relay = TestRelay::with(config);
    let mut stream = TcpStream::connect(relay.addresses.subscribers).await.unwrap();
    let begin = Instant::now();
    let drip = async {
        let mut ticks = tokio::time::interval(Duration::from_millis(20));
        for byte in greeting(1) {
            ticks.tick().await;
            if stream.write_all(&[byte]).await.is_err() {
                return;
            }
        }
        panic!("the whole greeting was dripped: {:?}", begin.elapsed());
    };
    soon(drip).await;
    assert!(begin.elapsed() >= Duration::from_millis(300));
    reaches(&relay.observer.fan_out().handshake_timeout_total, 1).await;
}

#[tokio::test]
async fn half_open_connections_keep_nobody_out() {
    const FLOOD: usize = 10_000;
    let mut config = config();
    config.limits.half_open = 20;
    config.limits.connections = 10;
    config.limits.handshake_timeout = Duration::from_secs(3600);
    let relay = TestRelay::with(config);
    let counters = relay.observer.fan_out();
    let mut half_open = VecDeque::new();
    for n in 0..FLOOD {
        let mut stream = TcpStream::connect(relay.addresses.subscribers).await.unwrap();
        if n % 2 == 0 {
            // One that was evicted at once may be closed by now.
            drop(stream.write_all(&greeting(1)[..GREETING_BYTES - 1]).await);
        }
        half_open.push_back(stream);
        if n % 100 == 0 {
            Bystanders::at(&relay).await.notice_nothing().await;
        }
        // The relay has long let go of older ones; descriptors of this process are few.
        half_open.drain(..half_open.len().saturating_sub(300));
    }
    Bystanders::at(&relay).await.notice_nothing().await;
    reaches(&counters.accepted_total, FLOOD as u64).await;
    reaches(&counters.handshake_evicted_total, FLOOD as u64 / 2).await;
    assert!(counters.half_open.load(Ordering::Relaxed) <= 20);
    assert_eq!(counters.refused_total.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn more_peers_than_allowed_are_refused_and_have_their_place_when_others_leave() {
    let mut config = config();
    config.limits.connections_per_address = 2;
    let relay = TestRelay::with(config);
    let first = Raw::connect(relay.addresses.subscribers, Sub).await;
    let _second = Raw::connect(relay.addresses.publishers, Pub).await;
    let mut third = Raw::over(TcpStream::connect(relay.addresses.subscribers).await.unwrap(), 1);
    drop(third.stream.write_all(&greeting(1)).await);
    assert!(third.closed().await.is_empty(), "refused before the relay says anything");
    assert_eq!(relay.observer.fan_out().refused_total.load(Ordering::Relaxed), 1);
    // The request ports count apart.
    Raw::connect(relay.addresses.requests, Dealer).await;
    drop(first);
    reaches(&relay.observer.fan_out().disconnected_total, 1).await;
    Raw::connect(relay.addresses.subscribers, Sub).await.sync().await;
}

#[tokio::test]
async fn a_million_subscriptions_of_one_peer_end_at_the_cap() {
    const CAP: u64 = 1000;
    let mut config = config();
    config.limits.subscriptions_per_peer = 1000;
    let relay = TestRelay::with(config);
    let mut bystanders = Bystanders::at(&relay).await;
    let mut greedy = Raw::connect(relay.addresses.subscribers, Sub).await;
    for chunk in 0..1000u32 {
        let mut out = bytes::BytesMut::new();
        for n in 0..1000u32 {
            let topic = format!("T{chunk}-{n}");
            let subscribe = zmtp::codec::SubscriptionChange::Subscribe;
            zmtp::codec::Command::encode_subscription(&mut out, 1, subscribe, topic.as_bytes());
        }
        greedy.send(&out).await;
    }
    greedy.sync().await;
    let counters = relay.observer.fan_out();
    assert_eq!(counters.subscriptions_refused_total.load(Ordering::Relaxed), 1_000_000 - CAP);
    assert_eq!(counters.subscriptions.load(Ordering::Relaxed), CAP + 1);
    for _ in 0..CAP {
        assert!(matches!(bystanders.publisher.next().await, Item::Subscribe(_)));
    }
    bystanders.notice_nothing().await;
}

#[tokio::test]
async fn silent_peers_are_dropped_and_those_that_answer_pings_stay() {
    let mut config = config();
    config.heartbeat.interval = Duration::from_millis(50);
    config.heartbeat.timeout = Duration::from_millis(250);
    let relay = TestRelay::with(config);
    let mut silent = Raw::connect(relay.addresses.subscribers, Sub).await;
    let mut alive = Raw::connect(relay.addresses.subscribers, Sub).await;
    let mut old = Raw::speaking(relay.addresses.subscribers, Sub, 0, b"").await;
    let answer = async {
        while alive.next().await == Item::Ping {
            alive.send(b"\x04\x05\x04PONG").await;
        }
    };
    tokio::select! {
        () = answer => panic!("something else than a PING"),
        rest = silent.closed() => assert!(rest.starts_with(b"\x04\x07\x04PING\0\x02")),
    }
    reaches(&relay.observer.fan_out().silent_total, 1).await;
    alive.send(b"\x04\x09\x04PING\0\0hi").await;
    while alive.next().await != Item::Pong(b"hi".to_vec()) {}
    // A peer of 3.0 cannot be asked, was never sent a command, and stays.
    old.send(b"\x04\x09\x04PING\0\0hi").await;
    old.expect_bytes(b"\x04\x07\x04PONGhi").await;
}

#[tokio::test]
async fn a_peer_that_announces_a_time_to_live_is_held_to_it() {
    let mut config = config();
    config.heartbeat.interval = Duration::from_millis(50);
    config.heartbeat.timeout = Duration::from_secs(3600);
    let relay = TestRelay::with(config);
    let mut peer = Raw::connect(relay.addresses.subscribers, Sub).await;
    peer.send(b"\x04\x07\x04PING\0\x03").await;
    let begin = Instant::now();
    peer.closed().await;
    assert!(begin.elapsed() >= Duration::from_millis(300));
    reaches(&relay.observer.fan_out().silent_total, 1).await;
}
