//! The promises of docs/protocol/10-websocket.md §5.

use super::*;
use proptest::prelude::*;

const TICK: Class = Class::Event { discards: None };
const QUOTE: Class = Class::Latest { version: 0 };

fn lanes(limit: usize, topics: u32) -> Lanes {
    let mut lanes = Lanes::new(limit);
    for topic in 0..topics {
        assert!(lanes.follow(topic, topic.to_string().into()));
    }
    lanes
}

fn text(text: &str) -> Utf8Bytes {
    text.to_owned().into()
}

fn drain(lanes: &mut Lanes) -> Vec<String> {
    std::iter::from_fn(|| lanes.pop())
        .map(|item| match item {
            Item::Text(text) => text.to_string(),
            Item::Lagged { topic, dropped } => format!("lagged {topic} {dropped}"),
            Item::Close(code) => format!("close {code}"),
        })
        .collect()
}

#[test]
fn events_keep_their_order_and_quotes_keep_only_the_newest() {
    let mut lanes = lanes(10, 2);
    assert_eq!(lanes.push(0, TICK, text("t1")), Pushed::Queued);
    assert_eq!(lanes.push(1, QUOTE, text("q1")), Pushed::Queued);
    assert_eq!(lanes.push(0, TICK, text("t2")), Pushed::Queued);
    assert_eq!(lanes.push(1, QUOTE, text("q2")), Pushed::Conflated);
    assert_eq!(drain(&mut lanes), ["t1", "t2", "q2"]);
}

#[test]
fn a_full_queue_drops_the_oldest_and_says_so_once_before_the_next_of_that_topic() {
    let mut lanes = lanes(2, 2);
    for name in ["a1", "a2", "a3"] {
        lanes.push(0, TICK, text(name));
    }
    assert_eq!(lanes.push(1, TICK, text("b1")), Pushed::DroppedOldest);
    assert_eq!(drain(&mut lanes), ["lagged 0 2", "a3", "b1"]);
    lanes.push(0, TICK, text("a4"));
    assert_eq!(drain(&mut lanes), ["a4"]);
}

#[test]
fn drops_of_a_topic_without_further_events_are_told_before_its_next_message() {
    let mut lanes = lanes(1, 2);
    lanes.push(0, TICK, text("a1"));
    lanes.push(1, TICK, text("b1"));
    assert_eq!(drain(&mut lanes), ["b1"]);
    lanes.push(0, QUOTE, text("a2"));
    assert_eq!(drain(&mut lanes), ["lagged 0 1", "a2"]);
}

#[test]
fn what_was_missed_upstream_is_told_the_same_way() {
    let mut lanes = lanes(10, 1);
    lanes.missed(0, 5);
    lanes.push(0, TICK, text("t"));
    assert_eq!(drain(&mut lanes), ["lagged 0 5", "t"]);
}

#[test]
fn a_closed_candle_discards_an_unsent_older_open_one_but_not_a_newer_one() {
    let mut lanes = lanes(10, 1);
    lanes.push(0, Class::Latest { version: 60 }, text("open 60"));
    lanes.push(0, Class::Event { discards: Some(60) }, text("closed 60"));
    lanes.push(0, Class::Latest { version: 120 }, text("open 120"));
    lanes.push(0, Class::Event { discards: Some(60) }, text("revised 60"));
    assert_eq!(drain(&mut lanes), ["closed 60", "revised 60", "open 120"]);
}

#[test]
fn a_flood_of_ticks_does_not_starve_quotes_and_never_overtakes_inside_a_topic() {
    let mut lanes = lanes(1000, 2);
    lanes.push(0, Class::Event { discards: Some(60) }, text("closed"));
    for _ in 0..200 {
        lanes.push(1, TICK, text("t"));
    }
    lanes.push(0, Class::Latest { version: 120 }, text("open"));
    let order = drain(&mut lanes);
    let at = |wanted: &str| order.iter().position(|text| text == wanted).unwrap();
    assert!(at("closed") < at("open"));
    assert!(at("open") <= 40, "{}", at("open"));
}

#[test]
fn nothing_of_a_forgotten_topic_is_sent() {
    let mut lanes = lanes(10, 2);
    lanes.push(0, TICK, text("t"));
    lanes.push(0, QUOTE, text("q"));
    lanes.push(1, TICK, text("kept"));
    assert!(lanes.forget(0));
    assert!(!lanes.forget(0));
    assert_eq!(lanes.push(0, TICK, text("late")), Pushed::NotSubscribed);
    assert_eq!(drain(&mut lanes), ["kept"]);
}

#[test]
fn a_close_comes_first_and_stays() {
    let outbox = Outbox::new(10);
    outbox.lanes().follow(0, "0".into());
    outbox.push(0, TICK, text("t"));
    outbox.close(1012);
    assert_eq!(outbox.pop(), Some(Item::Close(1012)));
    assert_eq!(outbox.pop(), Some(Item::Close(1012)));
}

#[test]
fn an_idle_client_costs_less_than_a_kibibyte_of_queue() {
    assert!(size_of::<Outbox>() < 512, "{}", size_of::<Outbox>());
}

/// What a client that reads now and then has seen.
#[derive(Default)]
struct Seen {
    ticks: [u64; 4],
    lagged: [u64; 4],
    newest_tick: [u64; 4],
    newest_quote: [u64; 4],
}

impl Seen {
    fn read(&mut self, lanes: &mut Lanes, most: usize) {
        for item in std::iter::from_fn(|| lanes.pop()).take(most) {
            match item {
                Item::Close(_) => unreachable!("nobody closed"),
                Item::Lagged { topic, dropped } => self.lagged[topic.parse::<usize>().unwrap()] += dropped,
                Item::Text(text) => {
                    let parts: Vec<&str> = text.split(' ').collect();
                    let (topic, number): (usize, u64) = (parts[1].parse().unwrap(), parts[2].parse().unwrap());
                    let newest =
                        if parts[0] == "t" { &mut self.newest_tick[topic] } else { &mut self.newest_quote[topic] };
                    assert!(*newest < number, "{text} after {newest}");
                    *newest = number;
                    self.ticks[topic] += u64::from(parts[0] == "t");
                }
            }
        }
    }
}

proptest! {
    /// Whatever is pushed: memory is bounded, each event is sent in order or counted, the last quote is sent.
    #[test]
    fn every_event_is_sent_or_counted(steps in proptest::collection::vec((0u32..4, any::<bool>(), 0usize..4), 0..400)) {
        let mut lanes = lanes(8, 4);
        let mut seen = Seen::default();
        let (mut ticks, mut newest_quote) = ([0u64; 4], [0u64; 4]);
        for (number, (topic, is_tick, reads)) in (1u64..).zip(steps) {
            if is_tick {
                ticks[topic as usize] += 1;
                lanes.push(topic, TICK, text(&format!("t {topic} {number}")));
            } else {
                newest_quote[topic as usize] = number;
                lanes.push(topic, QUOTE, text(&format!("q {topic} {number}")));
            }
            prop_assert!(lanes.events.len() <= 8 && lanes.waiting.len() <= 4);
            seen.read(&mut lanes, reads);
        }
        seen.read(&mut lanes, usize::MAX);
        prop_assert_eq!(seen.newest_quote, newest_quote);
        for (topic, slot) in &lanes.slots {
            let at = *topic as usize;
            prop_assert_eq!(seen.ticks[at] + seen.lagged[at] + slot.dropped, ticks[at]);
        }
    }
}
