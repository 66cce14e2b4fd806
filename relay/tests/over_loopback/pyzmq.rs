//! Interoperation with libzmq, through pyzmq.

use crate::harness::{TestRelay, config, endpoint, reaches, soon};
use crate::python_peer::{Python, hex};
use crate::raw_peer::{Item, Raw};
use crate::requests::request;
use bytes::Bytes;
use proto::wire::{AckStatus, RequestAck};
use proto::{Frame, FrameHeader, Kind};
use std::sync::atomic::Ordering;
use std::time::Duration;
use zmtp::{PubOptions, PubSocket, SendOutcome, SocketType, SubOptions, SubSocket, SubscriptionEvent};

async fn peer(socket: &str, relay: &TestRelay, options: &[&str]) -> Python {
    let address = match socket {
        "SUB" | "XSUB" => relay.addresses.subscribers,
        "PUB" | "XPUB" => relay.addresses.publishers,
        _ => relay.addresses.requests,
    };
    Python::zmq(socket, &endpoint(address), options).await
}

#[tokio::test]
async fn an_xpub_hears_of_subscriptions_and_feeds_each_sub_its_prefix() {
    let relay = TestRelay::start();
    let mut publisher = peer("XPUB", &relay, &[]).await;
    let mut a = peer("SUB", &relay, &[]).await;
    let mut b = peer("SUB", &relay, &[]).await;
    a.subscribe(b"BINANCE:").await;
    publisher.expect_message(&[b"\x01BINANCE:"]).await;
    b.subscribe(b"OKX:").await;
    publisher.expect_message(&[b"\x01OKX:"]).await;
    publisher.send(&[b"BINANCE:BTC/USDT|tick", b"", b"1"]).await;
    publisher.send(&[b"OKX:BTC/USDT|tick", b"2"]).await;
    a.expect_message(&[b"BINANCE:BTC/USDT|tick", b"", b"1"]).await;
    b.expect_message(&[b"OKX:BTC/USDT|tick", b"2"]).await;
}

#[tokio::test]
async fn a_pub_filters_at_the_source_and_its_messages_arrive() {
    let relay = TestRelay::start();
    let mut subscriber = peer("SUB", &relay, &[]).await;
    let mut publisher = peer("PUB", &relay, &[]).await;
    subscriber.subscribe(b"X").await;
    // A PUB does not say when it has heard of a subscription, so it sends until something arrives.
    let first = tokio::select! {
        line = subscriber.line() => line,
        () = async {
            let mut ticks = tokio::time::interval(Duration::from_millis(10));
            loop {
                ticks.tick().await;
                publisher.send(&[b"Y", b"filtered"]).await;
                publisher.send(&[b"X", b"hello"]).await;
            }
        } => String::new(),
    };
    assert_eq!(first, format!("message {} {}", hex(b"X"), hex(b"hello")));
    assert_eq!(relay.observer.fan_out().unmatched_total.load(Ordering::Relaxed), 0, "Y was never sent");
}

#[tokio::test]
async fn when_one_sub_unsubscribes_the_other_is_still_fed_and_the_last_is_cancelled_upstream() {
    let relay = TestRelay::start();
    let mut publisher = peer("XPUB", &relay, &["XPUB_VERBOSER=1"]).await;
    let mut a = peer("SUB", &relay, &[]).await;
    let mut b = peer("SUB", &relay, &[]).await;
    a.subscribe(b"X").await;
    publisher.expect_message(&[b"\x01X"]).await;
    b.subscribe(b"X").await;
    b.subscribe(b"last of b").await;
    publisher.expect_message(&[b"\x01last of b"]).await;
    a.unsubscribe(b"X").await;
    a.subscribe(b"last of a").await;
    publisher.expect_message(&[b"\x01last of a"]).await;
    publisher.send(&[b"X", b"1"]).await;
    b.expect_message(&[b"X", b"1"]).await;
    b.unsubscribe(b"X").await;
    publisher.expect_message(&[b"\x00X"]).await;
    a.tell("close").await;
    publisher.expect_message(&[b"\x00last of a"]).await;
}

#[tokio::test]
async fn a_sub_that_subscribed_twice_is_cancelled_by_its_one_cancel() {
    let relay = TestRelay::start();
    let mut publisher = peer("XPUB", &relay, &["XPUB_VERBOSER=1"]).await;
    let mut subscriber = peer("SUB", &relay, &[]).await;
    for _ in 0..2 {
        subscriber.subscribe(b"X").await;
    }
    publisher.expect_message(&[b"\x01X"]).await;
    subscriber.unsubscribe(b"X").await;
    subscriber.subscribe(b"mark").await;
    publisher.expect_message(&[b"\x01mark"]).await;
    publisher.send(&[b"X", b"still subscribed once"]).await;
    subscriber.expect_message(&[b"X", b"still subscribed once"]).await;
    subscriber.unsubscribe(b"X").await;
    publisher.expect_message(&[b"\x00X"]).await;
}

#[tokio::test]
async fn our_sockets_and_those_of_libzmq_talk_in_both_directions() {
    let relay = TestRelay::start();
    let publisher = PubSocket::connect(&endpoint(relay.addresses.publishers), PubOptions::default()).unwrap();
    let mut events = publisher.events();
    let mut python = peer("SUB", &relay, &[]).await;
    python.subscribe(b"ours").await;
    assert_eq!(soon(events.recv()).await, Some(SubscriptionEvent::Subscribed("ours".into())));
    assert_eq!(publisher.send("ours", "to libzmq"), SendOutcome::Sent);
    python.expect_message(&[b"ours", b"to libzmq"]).await;

    let mut python = peer("XPUB", &relay, &[]).await;
    python.expect_message(&[b"\x01ours"]).await;
    let subscriber = SubSocket::connect(&endpoint(relay.addresses.subscribers), SubOptions::default()).unwrap();
    subscriber.subscribe(b"theirs").await.unwrap();
    python.expect_message(&[b"\x01theirs"]).await;
    python.send(&[b"theirs", b"from libzmq"]).await;
    assert_eq!(soon(subscriber.recv()).await, [Bytes::from("theirs"), Bytes::from("from libzmq")]);
}

#[tokio::test]
async fn req_and_dealer_are_served_beside_each_other() {
    let relay = TestRelay::start();
    let mut ingestor = Raw::connect(relay.addresses.work, SocketType::Sub).await;
    ingestor.subscribe(b"SIM:").await;
    ingestor.sync().await;
    let mut req = peer("REQ", &relay, &[]).await;
    let mut a = peer("DEALER", &relay, &["IDENTITY=same"]).await;
    let mut b = peer("DEALER", &relay, &["IDENTITY=same"]).await;
    for (n, client) in [&mut req, &mut a, &mut b].into_iter().enumerate() {
        let request = request(n as u128, "SIM");
        let frame = FrameHeader::new(Kind::HistoryRequest, 1, 1, 0).encode(&request).unwrap();
        client.send(&[b"SIM:", &frame]).await;
        let answer = client.message().await;
        assert_eq!((answer.len(), &answer[0][..]), (2, &b"SIM:"[..]));
        let frame = Frame::decode(&answer[1].clone().into()).unwrap();
        let ack: RequestAck = frame.message(Kind::RequestAck).unwrap();
        assert_eq!((ack.status, &ack.request_id), (AckStatus::Queued as i32, &request.request_id));
        ingestor.message().await;
    }
}

#[tokio::test]
async fn peers_with_heartbeats_stay_connected() {
    let mut settings = config();
    settings.heartbeat.interval = Duration::from_millis(100);
    settings.heartbeat.timeout = Duration::from_millis(1000);
    let relay = TestRelay::with(settings);
    let options = ["HEARTBEAT_IVL=50", "HEARTBEAT_TIMEOUT=400", "HEARTBEAT_TTL=1000"];
    let mut peers = Vec::new();
    for socket in ["SUB", "XPUB", "DEALER", "REQ"] {
        peers.push(peer(socket, &relay, &options).await);
    }
    let (subscriber, rest) = peers.split_first_mut().unwrap();
    subscriber.subscribe(b"X").await;
    rest[0].expect_message(&[b"\x01X"]).await;
    // Three times as long as anybody's patience, measured by the messages of a publisher that sends every 10 ms.
    let publisher = PubSocket::connect(&endpoint(relay.addresses.publishers), PubOptions::default()).unwrap();
    soon(publisher.connected().wait_for(|up| *up)).await.unwrap();
    soon(publisher.confirm()).await;
    let mut ticks = tokio::time::interval(Duration::from_millis(10));
    for n in 0..300u32 {
        ticks.tick().await;
        publisher.send("X", n.to_be_bytes());
        subscriber.expect_message(&[b"X", &n.to_be_bytes()]).await;
    }
    rest[1].send(&[b"SIM:", b"nonsense"]).await;
    rest[1].message().await;
    for counters in [relay.observer.fan_out(), relay.observer.requests()] {
        assert_eq!(counters.silent_total.load(Ordering::Relaxed), 0);
        assert_eq!(counters.disconnected_total.load(Ordering::Relaxed), 0, "nobody reconnected");
    }
}

#[tokio::test]
async fn a_libzmq_sub_gets_all_of_40000_beside_a_stuck_one() {
    let mut settings = config();
    settings.limits.frame_bytes = 64 << 10;
    settings.limits.backlog_bytes = 4 << 20;
    let relay = TestRelay::with(settings);
    let mut publisher = peer("XPUB", &relay, &["SNDHWM=0"]).await;
    let stuck = Raw::narrow_subscriber(relay.addresses.subscribers, b"X").await;
    publisher.expect_message(&[b"\x01X"]).await;
    let mut healthy = peer("SUB", &relay, &["RCVHWM=0", "COUNT_BY=1000"]).await;
    healthy.subscribe(b"X").await;
    healthy.subscribe(b"mark").await;
    publisher.expect_message(&[b"\x01mark"]).await;
    // In steps, so that only the stuck one can be behind.
    for step in 1..=40 {
        publisher.tell(&format!("flood 1000 1000 {}", hex(b"X"))).await;
        publisher.expect("flooded").await;
        healthy.expect(&format!("received {}", step * 1000)).await;
    }
    assert!(relay.observer.fan_out().dropped_total.load(Ordering::Relaxed) > 0, "the stuck one did not get all");
    drop(stuck);
}

#[tokio::test]
async fn libzmq_peers_come_back_after_a_restart_and_the_flow_goes_on() {
    let relay = TestRelay::start();
    // An XPUB that connects keeps its subscriptions across reconnects; only a verbose one says that X came again.
    let mut publisher = peer("XPUB", &relay, &["XPUB_VERBOSE=1"]).await;
    let mut subscriber = peer("SUB", &relay, &[]).await;
    subscriber.subscribe(b"X").await;
    publisher.expect_message(&[b"\x01X"]).await;
    let config = relay.same_ports();
    relay.stop().await;
    let relay = TestRelay::again(config).await;
    publisher.until(&format!("message {}", hex(b"\x01X"))).await;
    publisher.send(&[b"X", b"again"]).await;
    subscriber.until(&format!("message {} {}", hex(b"X"), hex(b"again"))).await;
    reaches(&relay.observer.fan_out().delivered_total, 1).await;
}

#[tokio::test]
async fn a_libzmq_publisher_that_resets_leaves_the_others_alone() {
    let relay = TestRelay::start();
    let mut subscriber = Raw::connect(relay.addresses.subscribers, SocketType::Sub).await;
    subscriber.subscribe(b"X").await;
    subscriber.sync().await;
    let killed = peer("XPUB", &relay, &[]).await;
    let mut other = peer("XPUB", &relay, &[]).await;
    other.expect_message(&[b"\x01X"]).await;
    drop(killed);
    reaches(&relay.observer.fan_out().disconnected_total, 1).await;
    other.send(&[b"X", b"1"]).await;
    assert_eq!(subscriber.next().await, Item::Message(vec![b"X".to_vec(), b"1".to_vec()]));
}
