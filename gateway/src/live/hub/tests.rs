//! Reference counting, late clients and limits of the hub.

use super::*;
use crate::live::outbox::Item;

fn hub(clients: usize, topics: usize, client_topics: usize) -> Hub {
    let linger = Duration::from_secs(5);
    let limits = HubLimits { clients, topics, client_topics, client_events: 8, linger };
    Hub::new(limits, LiveMetrics::new(&service::metrics::Metrics::new()))
}

fn topic(text: &str) -> Topic {
    text.parse().unwrap()
}

fn message(text: &str, order: u64) -> Outgoing {
    Outgoing { class: Class::Event { discards: None }, order, text: text.to_owned().into() }
}

fn texts(client: &Client) -> Vec<String> {
    std::iter::from_fn(|| client.outbox.pop())
        .map(|item| match item {
            Item::Text(text) => text.to_string(),
            Item::Lagged { topic, dropped } => format!("lagged {topic} {dropped}"),
            Item::Close(_) => unreachable!("nobody closes here"),
        })
        .collect()
}

fn subscribes(topic: &str) -> Vec<Change> {
    vec![Change::Subscribe(topic.into())]
}

#[tokio::test(start_paused = true)]
async fn a_topic_is_subscribed_upstream_once_and_unsubscribed_after_the_last_and_the_grace() {
    let hub = hub(10, 10, 10);
    let (a, b) = (hub.join().unwrap(), hub.join().unwrap());
    let ticks = [topic("SIM:A/B|tick")];
    hub.subscribe(&a, &ticks).unwrap();
    assert_eq!(hub.take_changes(), subscribes("SIM:A/B|tick"));
    hub.subscribe(&b, &ticks).unwrap();
    hub.subscribe(&b, &ticks).unwrap();
    assert_eq!(hub.take_changes(), []);
    hub.unsubscribe(&a, &ticks);
    hub.leave(&b);
    hub.sweep(Instant::now());
    assert_eq!(hub.take_changes(), [], "the grace is not over");
    tokio::time::advance(Duration::from_secs(5)).await;
    hub.sweep(Instant::now());
    assert_eq!(hub.take_changes(), [Change::Unsubscribe("SIM:A/B|tick".into())]);
    hub.subscribe(&a, &ticks).unwrap();
    assert_eq!(hub.take_changes(), subscribes("SIM:A/B|tick"), "and again from the start");
}

#[tokio::test(start_paused = true)]
async fn a_return_within_the_grace_and_a_held_series_keep_the_subscription() {
    let hub = hub(10, 10, 10);
    let a = hub.join().unwrap();
    let ticks = [topic("SIM:A/B|tick")];
    hub.subscribe(&a, &ticks).unwrap();
    hub.unsubscribe(&a, &ticks);
    hub.subscribe(&a, &ticks).unwrap();
    tokio::time::advance(Duration::from_secs(60)).await;
    hub.sweep(Instant::now());
    assert_eq!(hub.take_changes(), subscribes("SIM:A/B|tick"));
    assert!(hub.hold(&ticks[0]));
    hub.leave(&a);
    tokio::time::advance(Duration::from_secs(60)).await;
    hub.sweep(Instant::now());
    assert_eq!(hub.take_changes(), []);
    hub.release(&ticks[0]);
    tokio::time::advance(Duration::from_secs(60)).await;
    hub.sweep(Instant::now());
    assert_eq!(hub.take_changes(), [Change::Unsubscribe("SIM:A/B|tick".into())]);
}

#[tokio::test]
async fn a_late_client_gets_the_newest_value_and_others_only_what_follows() {
    let hub = hub(10, 10, 10);
    let (a, b) = (hub.join().unwrap(), hub.join().unwrap());
    let candles = [topic("SIM:A/B|ohlc:60s")];
    hub.subscribe(&a, &candles).unwrap();
    hub.publish("SIM:A/B|ohlc:60s", &message("open 120", 120));
    hub.publish("SIM:A/B|ohlc:60s", &message("revised 60", 60));
    hub.subscribe(&b, &candles).unwrap();
    hub.publish("SIM:A/B|ohlc:60s", &message("open 180", 180));
    hub.publish("SIM:A/C|ohlc:60s", &message("stray", 0));
    assert_eq!(texts(&a), ["open 120", "revised 60", "open 180"]);
    let late = texts(&b);
    assert!(late.contains(&"open 120".to_owned()) && late.contains(&"open 180".to_owned()), "{late:?}");
    assert_eq!(late.len(), 2);
}

#[tokio::test]
async fn all_clients_share_the_bytes_of_a_message() {
    let hub = hub(10, 10, 10);
    let clients: Vec<Client> = (0..5).map(|_| hub.join().unwrap()).collect();
    for client in &clients {
        hub.subscribe(client, &[topic("SIM:A/B|tick")]).unwrap();
    }
    let sent = message("a text that is long enough not to be inlined anywhere", 0);
    hub.publish("SIM:A/B|tick", &sent);
    for client in &clients {
        match client.outbox.pop() {
            Some(Item::Text(text)) => assert_eq!(text.as_ptr(), sent.text.as_ptr()),
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn limits_refuse_the_whole_request() {
    let hub = hub(2, 3, 2);
    let (a, b) = (hub.join().unwrap(), hub.join().unwrap());
    assert_eq!(hub.join().unwrap_err(), HubFull::Clients);
    let all = ["S1:A/B|tick", "S2:A/B|tick", "S3:A/B|tick"].map(topic);
    assert_eq!(hub.subscribe(&a, &all), Err(HubFull::ClientTopics));
    assert_eq!(hub.take_changes(), []);
    hub.subscribe(&a, &all[..2]).unwrap();
    hub.subscribe(&a, &all[..2]).unwrap();
    let others = ["S4:A/B|tick", "S5:A/B|tick"].map(topic);
    assert_eq!(hub.subscribe(&b, &others), Err(HubFull::Topics));
    assert!(hub.hold(&others[0]));
    assert!(!hub.hold(&others[1]));
    hub.leave(&a);
    assert!(hub.join().is_ok());
}

#[tokio::test]
async fn health_reaches_everybody_and_whoever_joins_later() {
    let hub = hub(10, 10, 10);
    let a = hub.join().unwrap();
    hub.publish_health(&"h1".to_owned().into());
    hub.publish_health(&"h2".to_owned().into());
    assert_eq!(texts(&a), ["h2"]);
    assert_eq!(texts(&hub.join().unwrap()), ["h2"]);
    hub.close_all(1012);
    assert_eq!(hub.join().unwrap().outbox.pop(), Some(Item::Close(1012)));
}

#[tokio::test]
async fn a_gap_upstream_is_told_to_the_clients_of_that_topic() {
    let hub = hub(10, 10, 10);
    let a = hub.join().unwrap();
    hub.subscribe(&a, &[topic("SIM:A/B|tick"), topic("SIM:A/C|tick")]).unwrap();
    hub.missed("SIM:A/B|tick", 3);
    hub.publish("SIM:A/B|tick", &message("x", 0));
    hub.publish("SIM:A/C|tick", &message("y", 0));
    assert_eq!(texts(&a), ["lagged SIM:A/B|tick 3", "x", "y"]);
}
