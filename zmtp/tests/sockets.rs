//! The sockets over loopback, with each other and with peers that speak raw bytes.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use bytes::{Bytes, BytesMut};
use std::future::Future;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use zmtp::codec::{Greeting, Ready};
use zmtp::{
    Backoff, ConnectionEvent, DealerOptions, DealerSocket, EndReason, Heartbeat, PubOptions, PubSocket, RouterOptions,
    RouterSocket, SendOutcome, SocketOptions, SocketType, SubOptions, SubSocket, SubscriptionEvent,
};

const ANY: &str = "tcp://127.0.0.1:0";

/// Fails the test instead of waiting for ever.
async fn soon<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(Duration::from_secs(20), future).await.expect("took longer than 20 s")
}

fn quick() -> SocketOptions {
    let backoff = Backoff { min: Duration::from_millis(2), max: Duration::from_millis(20) };
    SocketOptions { backoff, ..SocketOptions::default() }
}

fn at(socket: Option<std::net::SocketAddr>) -> String {
    format!("tcp://{}", socket.unwrap())
}

fn parts(parts: &[&[u8]]) -> Vec<Bytes> {
    parts.iter().map(|part| Bytes::copy_from_slice(part)).collect()
}

async fn greet(stream: &mut TcpStream, minor: u8, socket_type: SocketType) {
    let mut greeting = Greeting::encode();
    greeting[11] = minor;
    let mut out = BytesMut::from(&greeting[..]);
    Ready { socket_type, identity: Bytes::new() }.encode(&mut out);
    stream.write_all(&out).await.unwrap();
}

/// Reads and drops the greeting and READY of the other side.
async fn skip_handshake(stream: &mut TcpStream) {
    let mut head = [0; 66];
    stream.read_exact(&mut head).await.unwrap();
    let mut ready = vec![0; usize::from(head[65])];
    stream.read_exact(&mut ready).await.unwrap();
}

async fn expect_bytes(stream: &mut TcpStream, expected: &[u8]) {
    let mut got = vec![0; expected.len()];
    soon(stream.read_exact(&mut got)).await.unwrap();
    assert_eq!(got, expected);
}

#[tokio::test]
async fn a_publisher_writes_nothing_that_nobody_subscribed_to() {
    let publisher = PubSocket::bind(ANY, PubOptions::default()).await.unwrap();
    let subscriber = SubSocket::connect(&at(publisher.local_addr()), SubOptions::default()).unwrap();
    subscriber.subscribe(b"BINANCE:").await.unwrap();
    soon(subscriber.confirm()).await;
    assert_eq!(publisher.send("OKX:X", "no"), SendOutcome::NoSubscriber);
    assert!(publisher.has_subscriber("BINANCE:X") && !publisher.has_subscriber("BINANCE"));
    assert_eq!(publisher.send("BINANCE:X", "yes"), SendOutcome::Sent);
    assert_eq!(soon(subscriber.recv()).await, parts(&[b"BINANCE:X", b"yes"]));

    let version = publisher.subscription_version();
    subscriber.unsubscribe(b"BINANCE:").await;
    soon(subscriber.confirm()).await;
    assert_eq!(publisher.send("BINANCE:X", "late"), SendOutcome::NoSubscriber);
    assert_ne!(publisher.subscription_version(), version);
    assert_eq!(publisher.counters().sent, 1);
}

#[tokio::test]
async fn subscribing_twice_takes_two_cancellations() {
    let publisher = PubSocket::bind(ANY, PubOptions::default()).await.unwrap();
    let subscriber = SubSocket::connect(&at(publisher.local_addr()), SubOptions::default()).unwrap();
    subscriber.subscribe(b"X").await.unwrap();
    subscriber.subscribe(b"X").await.unwrap();
    subscriber.unsubscribe(b"X").await;
    soon(subscriber.confirm()).await;
    assert!(publisher.has_subscriber("X"));
    subscriber.unsubscribe(b"X").await;
    soon(subscriber.confirm()).await;
    assert!(!publisher.has_subscriber("X"));
}

#[tokio::test]
async fn both_sides_recover_when_the_bound_peer_restarts() {
    let port = {
        let first = SubSocket::bind(ANY, SubOptions::default()).await.unwrap();
        let publisher_options = PubOptions { socket: quick(), ..PubOptions::default() };
        let publisher = PubSocket::connect(&at(first.local_addr()), publisher_options).unwrap();
        let mut events = publisher.events();
        first.subscribe(b"A").await.unwrap();
        assert_eq!(soon(events.recv()).await, Some(SubscriptionEvent::Subscribed("A".into())));
        let address = at(first.local_addr());
        soon(first.close()).await;
        assert_eq!(soon(events.recv()).await, Some(SubscriptionEvent::Unsubscribed("A".into())));
        assert_eq!(publisher.send("A", "nobody there"), SendOutcome::NoSubscriber);

        let second = SubSocket::bind(&address, SubOptions::default()).await.unwrap();
        second.subscribe(b"A").await.unwrap();
        assert_eq!(soon(events.recv()).await, Some(SubscriptionEvent::Subscribed("A".into())));
        assert_eq!(publisher.send("A", "again"), SendOutcome::Sent);
        assert_eq!(soon(second.recv()).await, parts(&[b"A", b"again"]));
        soon(publisher.close()).await;
        soon(second.close()).await;
        address
    };
    // The subscriber's side of the same: it subscribes again by itself.
    let options = SubOptions { socket: quick(), ..SubOptions::default() };
    let subscriber = SubSocket::connect(&port, options).unwrap();
    assert!(!subscriber.subscribe(b"B").await.unwrap(), "not connected: not on the wire");
    for round in 0..2 {
        let publisher = PubSocket::bind(&port, PubOptions::default()).await.unwrap();
        soon(subscriber.connected().wait_for(|up| *up)).await.unwrap();
        soon(subscriber.confirm()).await;
        assert_eq!(publisher.send("B", "x"), SendOutcome::Sent, "round {round}");
        soon(subscriber.recv()).await;
        soon(publisher.close()).await;
        soon(subscriber.connected().wait_for(|up| !*up)).await.unwrap();
    }
}

#[tokio::test]
async fn a_late_taker_of_events_learns_what_is_subscribed_already() {
    let publisher = PubSocket::bind(ANY, PubOptions::default()).await.unwrap();
    let subscriber = SubSocket::connect(&at(publisher.local_addr()), SubOptions::default()).unwrap();
    subscriber.subscribe(b"A").await.unwrap();
    soon(subscriber.confirm()).await;
    let mut events = publisher.events();
    assert_eq!(soon(events.recv()).await, Some(SubscriptionEvent::Subscribed("A".into())));
}

#[tokio::test]
async fn answers_go_to_the_connection_that_asked_even_if_identities_are_equal() {
    let router = RouterSocket::bind(ANY, RouterOptions::default()).await.unwrap();
    let dealer = || {
        let options = DealerOptions { identity: "same".into(), ..DealerOptions::default() };
        DealerSocket::connect(&at(router.local_addr()), options).unwrap()
    };
    let (a, b) = (dealer(), dealer());
    a.send(parts(&[b"from a"])).await.unwrap();
    let (key_a, message) = soon(router.recv()).await;
    assert_eq!(message, parts(&[b"from a"]));
    b.send(parts(&[b"from b"])).await.unwrap();
    let (key_b, _) = soon(router.recv()).await;
    assert_ne!(key_a, key_b);
    router.send(key_a, &parts(&[b"", b"to a"])).unwrap();
    router.send(key_b, &parts(&[b"to b"])).unwrap();
    assert_eq!(soon(a.recv()).await, parts(&[b"", b"to a"]));
    assert_eq!(soon(b.recv()).await, parts(&[b"to b"]));
}

#[tokio::test]
async fn a_dealer_sends_again_after_its_router_came_back() {
    let first = RouterSocket::bind(ANY, RouterOptions::default()).await.unwrap();
    let address = at(first.local_addr());
    let options = DealerOptions { socket: quick(), ..DealerOptions::default() };
    let dealer = DealerSocket::connect(&address, options).unwrap();
    dealer.send(parts(&[b"1"])).await.unwrap();
    soon(first.recv()).await;
    soon(first.close()).await;
    soon(dealer.connected().wait_for(|up| !*up)).await.unwrap();
    let second = RouterSocket::bind(&address, RouterOptions::default()).await.unwrap();
    soon(dealer.send(parts(&[b"2"]))).await.unwrap();
    assert_eq!(soon(second.recv()).await.1, parts(&[b"2"]));
}

#[tokio::test]
async fn a_3_0_peer_gets_subscriptions_as_messages_and_never_a_command() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let heartbeat = Some(Heartbeat { interval: Duration::from_millis(5), timeout: Duration::from_secs(60) });
    let options = SubOptions { socket: SocketOptions { heartbeat, ..quick() }, ..SubOptions::default() };
    let subscriber = SubSocket::connect(&format!("tcp://{}", listener.local_addr().unwrap()), options).unwrap();
    subscriber.subscribe(b"early").await.unwrap();
    let (mut peer, _) = soon(listener.accept()).await.unwrap();
    greet(&mut peer, 0, SocketType::Pub).await;
    skip_handshake(&mut peer).await;
    expect_bytes(&mut peer, b"\0\x06\x01early").await;
    assert!(subscriber.subscribe(b"late").await.unwrap(), "on the wire when it returns");
    soon(subscriber.confirm()).await;
    subscriber.unsubscribe(b"early").await;
    expect_bytes(&mut peer, b"\0\x05\x01late\0\x06\0early").await;
}

#[tokio::test]
async fn a_publisher_accepts_both_forms_from_any_peer_and_answers_pings() {
    let publisher = PubSocket::bind(ANY, PubOptions::default()).await.unwrap();
    for (minor, form) in [(0, &b"\0\x02\x01X"[..]), (1, b"\0\x02\x01X"), (1, b"\x04\x0b\x09SUBSCRIBEX")] {
        let mut peer = TcpStream::connect(publisher.local_addr().unwrap()).await.unwrap();
        greet(&mut peer, minor, SocketType::Sub).await;
        skip_handshake(&mut peer).await;
        peer.write_all(form).await.unwrap();
        peer.write_all(b"\x04\x09\x04PING\0\x0ahi").await.unwrap();
        expect_bytes(&mut peer, b"\x04\x07\x04PONGhi").await;
        assert_eq!(publisher.send("X", "1"), SendOutcome::Sent);
        expect_bytes(&mut peer, b"\x01\x01X\0\x011").await;
        drop(peer);
        soon(publisher.connected().wait_for(|up| !*up)).await.unwrap();
    }
}

#[tokio::test]
async fn a_silent_peer_is_given_up_after_the_heartbeat_timeout() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let heartbeat = Some(Heartbeat { interval: Duration::from_millis(20), timeout: Duration::from_millis(100) });
    let options = SubOptions { socket: SocketOptions { heartbeat, ..quick() }, ..SubOptions::default() };
    let subscriber = SubSocket::connect(&format!("tcp://{}", listener.local_addr().unwrap()), options).unwrap();
    let (mut peer, _) = soon(listener.accept()).await.unwrap();
    greet(&mut peer, 1, SocketType::Pub).await;
    skip_handshake(&mut peer).await;
    expect_bytes(&mut peer, b"\x04\x07\x04PING\0\x01").await;
    let mut rest = Vec::new();
    soon(peer.read_to_end(&mut rest)).await.unwrap();
    assert_eq!(subscriber.counters().disconnected, 1);
    soon(listener.accept()).await.unwrap();
}

#[tokio::test]
async fn peers_that_break_the_protocol_lose_their_connection_and_nothing_else() {
    let publisher = PubSocket::bind(ANY, PubOptions { socket: quick(), ..PubOptions::default() }).await.unwrap();
    let healthy = SubSocket::connect(&at(publisher.local_addr()), SubOptions::default()).unwrap();
    healthy.subscribe(b"").await.unwrap();
    soon(healthy.confirm()).await;
    let mut huge = vec![2];
    huge.extend(((1u64 << 62) - (1 << 20)).to_be_bytes());
    for garbage in [&huge[..], b"\xff\xff", b"\x05\0", b"\x04\0"] {
        let mut peer = TcpStream::connect(publisher.local_addr().unwrap()).await.unwrap();
        greet(&mut peer, 1, SocketType::Sub).await;
        skip_handshake(&mut peer).await;
        peer.write_all(garbage).await.unwrap();
        let mut rest = Vec::new();
        // A reset counts as an end as well.
        drop(soon(peer.read_to_end(&mut rest)).await);
    }
    let mut wrong = TcpStream::connect(publisher.local_addr().unwrap()).await.unwrap();
    greet(&mut wrong, 1, SocketType::Dealer).await;
    skip_handshake(&mut wrong).await;
    expect_bytes(&mut wrong, b"\x04\x1a\x05ERROR\x13Invalid socket type").await;
    assert_eq!(publisher.send("X", "1"), SendOutcome::Sent);
    assert_eq!(soon(healthy.recv()).await, parts(&[b"X", b"1"]));
    assert_eq!(publisher.counters().failed, 1);
}

#[tokio::test]
async fn a_subscriber_that_does_not_read_costs_the_publisher_a_bounded_queue() {
    let socket = SocketOptions { send_queue_bytes: 100_000, ..quick() };
    let publisher = PubSocket::bind(ANY, PubOptions { socket, ..PubOptions::default() }).await.unwrap();
    let mut peer = TcpStream::connect(publisher.local_addr().unwrap()).await.unwrap();
    greet(&mut peer, 1, SocketType::Sub).await;
    skip_handshake(&mut peer).await;
    peer.write_all(b"\x04\x0b\x09SUBSCRIBEX\x04\x07\x04PING\0\0").await.unwrap();
    expect_bytes(&mut peer, b"\x04\x05\x04PONG").await;
    let body = vec![b'z'; 60_000];
    let dropped = async {
        while publisher.send("X", &body) != SendOutcome::Dropped {
            tokio::task::yield_now().await;
        }
    };
    soon(dropped).await;
    assert!(publisher.counters().send_dropped >= 1);
}

#[tokio::test]
async fn a_connection_without_handshake_is_closed_in_time() {
    let socket = SocketOptions { handshake_timeout: Duration::from_millis(50), ..quick() };
    let publisher = PubSocket::bind(ANY, PubOptions { socket, ..PubOptions::default() }).await.unwrap();
    let mut peer = TcpStream::connect(publisher.local_addr().unwrap()).await.unwrap();
    peer.write_all(&Greeting::encode()[..20]).await.unwrap();
    let mut rest = Vec::new();
    drop(soon(peer.read_to_end(&mut rest)).await);
    assert_eq!(publisher.counters().failed, 1);
}

#[tokio::test]
async fn a_peer_that_announces_a_time_to_live_is_held_to_it_and_its_end_is_told() {
    let socket = SocketOptions { heartbeat: None, ..quick() };
    let publisher = PubSocket::bind(ANY, PubOptions { socket, ..PubOptions::default() }).await.unwrap();
    let mut events = publisher.monitor();
    let mut peer = TcpStream::connect(publisher.local_addr().unwrap()).await.unwrap();
    greet(&mut peer, 1, SocketType::Sub).await;
    skip_handshake(&mut peer).await;
    let connected = ConnectionEvent::Connected { socket_type: SocketType::Sub, minor: 1 };
    assert_eq!(soon(events.recv()).await, Ok(connected));
    // A tenth of a second.
    peer.write_all(b"\x04\x07\x04PING\0\x01").await.unwrap();
    expect_bytes(&mut peer, b"\x04\x05\x04PONG").await;
    assert_eq!(soon(events.recv()).await, Ok(ConnectionEvent::Disconnected(EndReason::Silent)));
    let mut wrong = TcpStream::connect(publisher.local_addr().unwrap()).await.unwrap();
    greet(&mut wrong, 1, SocketType::Pub).await;
    assert_eq!(soon(events.recv()).await, Ok(ConnectionEvent::Failed(EndReason::Handshake)));
}
