//! The WebSocket, as a client sees it.

use crate::world::{CANDLES, Client, QUOTES, TICKS, World, candle, soon, tick, until};
use futures_util::{SinkExt, StreamExt};
use proto::market::Candle;
use proto::wire::{self, FeedMode, FeedState};
use proto::{Decimal, Kind};
use serde_json::{Value, json};
use std::time::Duration;
use tokio_tungstenite::tungstenite::Message;

fn quote(bid: i64) -> wire::Quote {
    let number = |n: i64| Some(Decimal::from_int(n).into());
    wire::Quote {
        venue: "SIM".into(),
        symbol: "BTC/USDT".into(),
        event_time_ns: 1_795_168_800_000_000_000,
        receive_time_ns: 1_795_168_800_000_000_000,
        bid_price: number(bid),
        bid_size: number(1),
        ask_price: number(bid + 1),
        ask_size: number(1),
    }
}

#[tokio::test]
async fn live_data_arrives_and_stops_after_unsubscribe() {
    let world = World::start().await;
    let mut client = world.connect().await;
    client.subscribe(&[TICKS, QUOTES, CANDLES]).await;
    world.publish(TICKS, Kind::Tick, &tick(1)).await;
    let message = client.next().await;
    assert_eq!(
        (&message["type"], &message["topic"], &message["data"]["trade_id"]),
        (&json!("tick"), &json!(TICKS), &json!("1"))
    );
    world.publish(QUOTES, Kind::Quote, &quote(5)).await;
    let message = client.next().await;
    assert_eq!((&message["type"], &message["data"]["ask_price"]), (&json!("quote"), &json!("6")));
    let open = Candle { closed: false, ..candle(1000, 5) };
    world.publish(CANDLES, Kind::Candle, &wire::Candle::from(&open)).await;
    let message = client.next().await;
    assert_eq!((&message["type"], &message["data"]["closed"]), (&json!("candle"), &json!(false)));
    let text = json!({"op": "unsubscribe", "id": 2, "topics": [TICKS]}).to_string();
    assert_eq!(client.ask(&text).await, json!({"type": "unsubscribed", "id": 2, "topics": [TICKS]}));
    world.publish(TICKS, Kind::Tick, &tick(2)).await;
    world.publish(QUOTES, Kind::Quote, &quote(7)).await;
    assert_eq!(client.next().await["type"], "quote");
    assert_eq!(client.ask(r#"{"op":"ping","id":3}"#).await, json!({"type": "pong", "id": 3}));
}

#[tokio::test]
async fn the_last_subscriber_ends_the_subscription_upstream_after_the_grace() {
    let world = World::start_with(|config| config.live.linger = Duration::ZERO).await;
    let (mut a, mut b) = (world.connect().await, world.connect().await);
    a.subscribe(&[TICKS]).await;
    b.subscribe(&[TICKS]).await;
    until("the subscription", || world.fanout.has_subscriber(TICKS)).await;
    drop(a);
    until("the first to leave", || world.metric("gateway_live_sockets") == 1).await;
    world.publish(TICKS, Kind::Tick, &tick(1)).await;
    assert_eq!(b.next().await["data"]["trade_id"], "1");
    drop(b);
    until("the end of the subscription", || !world.fanout.has_subscriber(TICKS)).await;
}

#[tokio::test]
async fn a_late_client_gets_the_last_value_at_once() {
    let world = World::start().await;
    let mut first = world.connect().await;
    first.subscribe(&[QUOTES]).await;
    world.publish(QUOTES, Kind::Quote, &quote(5)).await;
    first.next().await;
    let mut late = world.connect().await;
    late.subscribe(&[QUOTES]).await;
    assert_eq!(late.next().await["data"]["bid_price"], "5");
}

#[tokio::test]
async fn health_comes_at_once_and_again() {
    let world = World::start().await;
    world.add_feed("SIM", FeedMode::Sim, FeedState::Live).await;
    until("the feed", || world.metric("gateway_directory_feeds") == 1).await;
    let mut client = world.connect().await;
    for _ in 0..2 {
        match soon("health", client.socket.next()).await {
            Some(Ok(Message::Text(text))) => {
                let message: Value = serde_json::from_str(&text).unwrap();
                assert_eq!((&message["type"], &message["data"]["mode"]), (&json!("health"), &json!("SIM")));
            }
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn each_message_is_encoded_once_whatever_the_number_of_clients() {
    let world = World::start().await;
    let mut clients = Vec::new();
    for _ in 0..30 {
        let mut client = world.connect().await;
        client.subscribe(&[TICKS]).await;
        clients.push(client);
    }
    for number in 1..=20 {
        world.publish(TICKS, Kind::Tick, &tick(number)).await;
    }
    for client in &mut clients {
        for number in 1..=20u64 {
            assert_eq!(client.next().await["data"]["trade_id"], number.to_string());
        }
    }
    assert_eq!(world.metric("gateway_live_encoded_total"), 20);
    assert!(world.metric("gateway_live_delivered_total") >= 600);
}

#[tokio::test]
async fn faults_are_answered_and_the_socket_lives_on() {
    let world = World::start_with(|config| config.live.client_topics = 3).await;
    let mut client = world.connect().await;
    for (text, code, field, id) in [
        ("garbage", "MALFORMED", "", Value::Null),
        ("[1,2]", "MALFORMED", "", Value::Null),
        (r#"{"op":"fly","id":9}"#, "INVALID_FIELD", "op", json!(9)),
        (r#"{"op":"subscribe","id":9}"#, "INVALID_FIELD", "topics", json!(9)),
        (r#"{"op":"subscribe","id":9,"topics":["SIM:BTC/USDT|tick","x"]}"#, "INVALID_FIELD", "topics[1]", json!(9)),
        (
            r#"{"op":"subscribe","id":9,"topics":["RESPONSE:01J9ZQ6V8KXW3R4T5Y6Z7A8B9C"]}"#,
            "INVALID_FIELD",
            "topics[0]",
            json!(9),
        ),
        (
            r#"{"op":"subscribe","id":9,"topics":["S1:A/B|tick","S2:A/B|tick","S3:A/B|tick","S4:A/B|tick"]}"#,
            "LIMIT_EXCEEDED",
            "topics",
            json!(9),
        ),
    ] {
        let answer = client.ask(text).await;
        let error = &answer["error"];
        assert_eq!((&answer["type"], &answer["id"]), (&json!("error"), &id), "{text}");
        assert_eq!((&error["code"], &error["field"]), (&json!(code), &json!(field)), "{text}");
    }
    client.subscribe(&["S1:A/B|tick", "S2:A/B|tick"]).await;
    let text = json!({"op": "subscribe", "topics": ["S3:A/B|tick", "S4:A/B|tick"]}).to_string();
    assert_eq!(client.ask(&text).await["error"]["code"], "LIMIT_EXCEEDED");
    client.subscribe(&["S2:A/B|tick", "S3:A/B|tick"]).await;
    assert_eq!(world.metric("gateway_live_topics"), 3);
}

#[tokio::test]
async fn oversized_binary_and_unmasked_input_ends_the_socket_with_its_code() {
    let world = World::start().await;
    let mut client = world.connect().await;
    client.send(&"x".repeat(17 << 10)).await;
    assert_eq!(client.next().await, json!({"close": 1009}));
    let mut client = world.connect().await;
    client.socket.send(Message::binary(vec![1, 2, 3])).await.unwrap();
    assert_eq!(client.next().await, json!({"close": 1003}));
    let mut client = world.connect().await;
    use tokio::io::AsyncWriteExt;
    client.socket.get_mut().write_all(&[0x81, 0x02, b'h', b'i']).await.unwrap();
    assert_eq!(client.next().await, json!({"close": 1002}));
    until("the sockets to go", || world.metric("gateway_live_sockets") == 0).await;
    for reason in ["TooBig", "Binary", "Protocol"] {
        assert_eq!(world.metric(&format!("gateway_live_ended_total{{reason=\"{reason}\"}}")), 1, "{reason}");
    }
}

#[tokio::test]
async fn who_asks_too_often_is_refused_then_cut_off() {
    let world = World::start_with(|config| {
        config.live.client_burst = 5;
        config.live.client_rate = 1;
    })
    .await;
    let mut client = world.connect().await;
    for _ in 0..120 {
        if client.socket.send(Message::text(r#"{"op":"ping"}"#)).await.is_err() {
            break;
        }
    }
    let (mut pongs, mut refused) = (0, 0);
    loop {
        let message = client.next().await;
        match message["type"].as_str() {
            Some("pong") => pongs += 1,
            Some("error") => {
                assert_eq!(message["error"]["code"], "OVER_QUOTA");
                refused += 1;
            }
            _ => {
                assert_eq!(message, json!({"close": 1008}));
                break;
            }
        }
    }
    assert!((5..=10).contains(&pongs), "{pongs}");
    assert!(refused >= 90, "{refused}");
}

#[tokio::test]
async fn a_client_that_reads_nothing_slows_nobody_and_is_cut_off_with_1013() {
    let world = World::start_with(|config| {
        config.live.client_events = 64;
        config.live.client_stuck = Duration::from_millis(300);
        config.live.close_grace = Duration::from_secs(20);
    })
    .await;
    let (mut good, mut stuck) = (world.connect().await, world.connect().await);
    good.subscribe(&[TICKS]).await;
    stuck.subscribe(&[TICKS]).await;
    let stuck_ended = || {
        let text = world.metrics.render();
        text.contains("gateway_live_ended_total{reason=\"Stuck\"} 1")
    };
    // Until the kernel's buffers towards the stuck client are full: the good one gets every message meanwhile.
    let mut number = 0;
    let mut big = tick(1);
    while !stuck_ended() {
        for _ in 0..32 {
            number += 1;
            big.trade_id = format!("{number:064}");
            world.publish(TICKS, Kind::Tick, &big).await;
        }
        for expected in number - 31..=number {
            assert_eq!(good.next().await["data"]["trade_id"], format!("{expected:064}"));
        }
        assert!(number < 1_000_000, "never stuck");
    }
    // The stuck client wakes up: it reads what was on its way, then why it was cut off.
    let last = loop {
        let message = stuck.next().await;
        if message["type"].is_null() {
            break message;
        }
    };
    assert_eq!(last, json!({"close": 1013}));
    assert!(world.metric("gateway_live_dropped_total") > 0);
}

#[tokio::test]
async fn a_slow_client_is_told_what_it_missed() {
    let world = World::start_with(|config| config.live.client_events = 64).await;
    let mut client = world.connect().await;
    client.subscribe(&[TICKS]).await;
    let mut number = 0;
    // The kernel's buffers take the first ones, then the queue of the client fills.
    while world.metric("gateway_live_dropped_total") < 100 {
        for _ in 0..64 {
            number += 1;
            world.publish(TICKS, Kind::Tick, &tick(number)).await;
        }
        until("the gateway", || world.metric("gateway_live_received_total") == number).await;
    }
    let (mut seen, mut dropped, mut newest) = (0, 0, 0);
    while newest < number {
        let message = client.next().await;
        match message["type"].as_str() {
            Some("tick") => {
                let id: u64 = message["data"]["trade_id"].as_str().unwrap().parse().unwrap();
                assert!(id > newest, "{id} after {newest}");
                newest = id;
                seen += 1;
            }
            _ => dropped += message["dropped"].as_u64().unwrap(),
        }
    }
    assert_eq!(seen + dropped, number);
    assert!(dropped >= 100);
}

#[tokio::test]
async fn a_gap_of_the_relay_is_told_as_lagged() {
    let world = World::start().await;
    let mut client = world.connect().await;
    client.subscribe(&[TICKS]).await;
    until("the subscription", || world.fanout.has_subscriber(TICKS)).await;
    world.publish_as(TICKS, Kind::Tick, &tick(1), 1);
    assert_eq!(client.next().await["data"]["trade_id"], "1");
    world.publish_as(TICKS, Kind::Tick, &tick(5), 5);
    world.publish_as(TICKS, Kind::Tick, &tick(5), 5);
    assert_eq!(client.next().await, json!({"type": "lagged", "topic": TICKS, "dropped": 3}));
    assert_eq!(client.next().await["data"]["trade_id"], "5");
    until("the repetition", || world.metric("gateway_live_repeated_total") == 1).await;
}

#[tokio::test]
async fn sockets_beyond_the_limit_are_refused_and_a_place_is_free_again_after_one_left() {
    let world = World::start_with(|config| config.live.max_sockets = 2).await;
    let (_a, b) = (world.connect().await, world.connect().await);
    assert_eq!(Client::try_connect(world.address, &[]).await.err(), Some(503));
    drop(b);
    until("a free place", || world.metric("gateway_live_sockets") == 1).await;
    assert!(Client::try_connect(world.address, &[]).await.is_ok());
}

#[tokio::test]
async fn a_silent_client_is_pinged_and_one_that_does_not_answer_is_closed() {
    let world = World::start_with(|config| config.live.client_idle = Duration::from_secs(3)).await;
    let (mut alive, silent) = (world.connect().await, world.connect().await);
    // Reading answers pings; whoever does not read does not answer.
    let reading = tokio::spawn(async move { alive.next().await });
    until("the silent one to be closed", || {
        world.metrics.render().contains("gateway_live_ended_total{reason=\"Idle\"} 1")
    })
    .await;
    assert_eq!(world.metric("gateway_live_sockets"), 1);
    assert!(!reading.is_finished(), "the other one is still there");
    drop(silent);
    reading.abort();
}
