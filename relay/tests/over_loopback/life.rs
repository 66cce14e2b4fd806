//! Start, stop, restart, and what an operator sees.

use crate::harness::{TestRelay, config, endpoint, soon};
use crate::raw_peer::Raw;
use relay::{BindError, Relay};
use service::metrics::Metrics;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use zmtp::{PubOptions, PubSocket, SendOutcome, SocketType, SubOptions, SubSocket, SubscriptionEvent};

#[tokio::test]
async fn a_taken_port_is_named_before_anything_is_served() {
    let relay = TestRelay::start();
    let mut config = config();
    config.work = relay.addresses.work;
    match Relay::bind(&config) {
        Err(BindError::Port(error)) => {
            assert_eq!((error.port, error.address), ("work", relay.addresses.work));
            assert!(error.to_string().contains("cannot listen on"), "{error}");
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn an_invalid_configuration_binds_nothing() {
    let mut config = config();
    config.limits.parts = 0;
    assert!(matches!(Relay::bind(&config), Err(BindError::Config(_))));
}

#[tokio::test]
async fn the_flow_goes_on_after_a_restart_without_anybody_doing_anything() {
    let mut relay = TestRelay::start();
    let publisher = PubSocket::connect(&endpoint(relay.addresses.publishers), PubOptions::default()).unwrap();
    let mut events = publisher.events();
    let subscriber = SubSocket::connect(&endpoint(relay.addresses.subscribers), SubOptions::default()).unwrap();
    subscriber.subscribe(b"HISTORY_READY:01J9ZQ6V8KXW3R4T5Y6Z7A8B9C").await.unwrap();
    for round in 0..3u8 {
        let subscribed = SubscriptionEvent::Subscribed("HISTORY_READY:01J9ZQ6V8KXW3R4T5Y6Z7A8B9C".into());
        while soon(events.recv()).await.unwrap() != subscribed {}
        let sent = publisher.send("HISTORY_READY:01J9ZQ6V8KXW3R4T5Y6Z7A8B9C", [round]);
        assert_eq!(sent, SendOutcome::Sent);
        assert_eq!(soon(subscriber.recv()).await[1], [round][..]);
        let config = relay.same_ports();
        relay.stop().await;
        relay = TestRelay::again(config).await;
    }
    assert_eq!(publisher.counters().connected + publisher.counters().send_dropped, subscriber.counters().connected);
}

#[tokio::test]
async fn under_load_everybody_is_fed_again_after_a_restart() {
    let mut relay = TestRelay::start();
    let publisher = PubSocket::connect(&endpoint(relay.addresses.publishers), PubOptions::default()).unwrap();
    let mut subscribers = Vec::new();
    for _ in 0..8 {
        let socket = SubSocket::connect(&endpoint(relay.addresses.subscribers), SubOptions::default()).unwrap();
        socket.subscribe(b"X").await.unwrap();
        subscribers.push(socket);
    }
    // Every message says how often the relay was started before it was sent; it never stops.
    let starts = Arc::new(AtomicU8::new(0));
    let count = Arc::clone(&starts);
    let load = tokio::spawn(async move {
        loop {
            for _ in 0..20 {
                publisher.send("X", [count.load(Ordering::Relaxed)]);
            }
            tokio::task::yield_now().await;
        }
    });
    for start in 1..=3u8 {
        starts.store(start, Ordering::Relaxed);
        for socket in &subscribers {
            while soon(socket.recv()).await[1] != [start][..] {}
        }
        let config = relay.same_ports();
        relay.stop().await;
        relay = TestRelay::again(config).await;
    }
    load.abort();
}

#[tokio::test]
async fn stopping_writes_what_waits_and_closes_the_ports() {
    let relay = TestRelay::start();
    let mut subscriber = Raw::connect(relay.addresses.subscribers, SocketType::Sub).await;
    subscriber.subscribe(b"X").await;
    subscriber.sync().await;
    let mut publisher = Raw::connect(relay.addresses.publishers, SocketType::Pub).await;
    publisher.next().await;
    let body = vec![7; 1 << 20];
    for _ in 0..12 {
        publisher.publish(&[b"X", &body]).await;
    }
    // Handled: twelve megabytes are in the relay, most of them in the backlog.
    publisher.sync().await;
    let address = relay.addresses.subscribers;
    let receive = async {
        for _ in 0..12 {
            assert_eq!(subscriber.message().await[1], body);
        }
    };
    tokio::join!(relay.stop(), receive);
    assert!(tokio::net::TcpStream::connect(address).await.is_err(), "nobody listens any more");
}

#[tokio::test]
async fn status_and_metrics_show_peers_and_counts() {
    let relay = TestRelay::start();
    let metrics = Metrics::new();
    relay.observer.register(&metrics);
    let mut subscriber = Raw::connect(relay.addresses.subscribers, SocketType::Sub).await;
    subscriber.subscribe(b"X").await;
    subscriber.sync().await;
    let mut looks = tokio::time::interval(std::time::Duration::from_millis(20));
    let seen = async {
        loop {
            looks.tick().await;
            let status = serde_json::to_value(relay.observer.status()).unwrap();
            if status["engines"][0]["peers"][0]["subscriptions"] == 1 {
                return status;
            }
        }
    };
    let status = soon(seen).await;
    assert_eq!(status["engines"][0]["endpoints"][1]["name"], "subscribers");
    assert_eq!(status["engines"][0]["endpoints"][1]["peers"], 1);
    assert_eq!(status["engines"][1]["endpoints"][0]["socket"], "ROUTER");
    for key in ["received_per_second", "delivered_per_second", "dropped", "backlog_bytes"] {
        assert_eq!(status["engines"][0]["peers"][0][key], 0, "{key}");
    }
    assert_eq!(status["counters"]["relay_fanout_subscriptions"], 1);
    let page = metrics.render();
    for line in ["relay_fanout_accepted_total 1", "relay_fanout_subscriptions 1", "relay_history_queued_total 0"] {
        assert!(page.contains(line), "{line} is missing in {page}");
    }
}
