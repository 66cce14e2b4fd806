//! Who gets what: sequences, last values, snapshots, and nothing for nobody.

use super::*;
use crate::content::{Content, Print};
use crate::trade::Trade;
use proto::market::{Side, Source};
use proto::{Decimal, Frame, RequestId};
use std::sync::{Arc, Mutex};

const TIME: u64 = 1_723_161_240_000_000_000;

#[derive(Debug, Default)]
struct Shelf {
    prefixes: Vec<String>,
    sent: Vec<(String, Frame)>,
    full: bool,
    asked: usize,
}

/// Takes the place of the relay.
#[derive(Debug, Clone, Default)]
struct Recorder(Arc<Mutex<Shelf>>);

impl Outlet for Recorder {
    fn version(&self) -> u64 {
        self.0.lock().unwrap().prefixes.len() as u64
    }

    fn has_subscriber(&self, topic: &[u8]) -> bool {
        let mut shelf = self.0.lock().unwrap();
        shelf.asked += 1;
        shelf.prefixes.iter().any(|prefix| topic.starts_with(prefix.as_bytes()))
    }

    fn send(&self, topic: &[u8], body: &[u8]) -> SendOutcome {
        let mut shelf = self.0.lock().unwrap();
        if shelf.full {
            return SendOutcome::Dropped;
        }
        let frame = Frame::decode(&Bytes::copy_from_slice(body)).unwrap();
        shelf.sent.push((String::from_utf8(topic.to_vec()).unwrap(), frame));
        SendOutcome::Sent
    }
}

struct Bench {
    live: Live,
    shelf: Recorder,
}

impl Bench {
    fn new() -> Self {
        let shelf = Recorder::default();
        let metrics = StreamMetrics::new(&service::metrics::Metrics::new());
        let config = LiveConfig { snapshot_candles: 4, notifications: 2, ..LiveConfig::default() };
        let mut live = Live::new(Box::new(shelf.clone()), 7, config, metrics);
        live.start_publishing();
        Self { live, shelf }
    }

    fn subscribe(&mut self, prefix: &str) -> Vec<SnapshotWanted> {
        self.shelf.0.lock().unwrap().prefixes.push(prefix.to_owned());
        self.live.subscribed(&Bytes::copy_from_slice(prefix.as_bytes()))
    }

    /// Topic, kind and sequence of what was sent since the last call.
    fn sent(&self) -> Vec<(String, Kind, u64)> {
        let sent = std::mem::take(&mut self.shelf.0.lock().unwrap().sent);
        sent.into_iter().map(|(topic, frame)| (topic, frame.header.kind, frame.header.sequence)).collect()
    }
}

fn ticker() -> Ticker {
    Ticker { venue: "SIM".parse().unwrap(), symbol: "BTC/USDT".parse().unwrap() }
}

fn tick(id: u64) -> Tick {
    Tick {
        venue: ticker().venue,
        symbol: ticker().symbol,
        trade_id: id.to_string(),
        event_time_ns: TIME + id,
        receive_time_ns: TIME + id,
        price: Decimal::ONE,
        size: Decimal::ONE,
        side: Side::Buy,
        source: Source::Live,
        repaired: false,
    }
}

fn closed(minute: u64, revision: u32) -> Candle {
    let mut content = Content::default();
    content.add(&Print::of(&Trade::from(&tick(1))).unwrap());
    let mut candle = candle(&ticker(), Interval::M1, TIME + minute * Interval::M1.nanos(), &content);
    candle.closed = true;
    candle.revision = revision;
    candle
}

fn minutes(bench: &Bench) -> Vec<(u64, u32, bool)> {
    let sent = std::mem::take(&mut bench.shelf.0.lock().unwrap().sent);
    let batch: wire::OhlcBatch = sent[0].1.message(Kind::OhlcBatch).unwrap();
    let minute = |c: &wire::Candle| (c.open_time_ns - TIME) / Interval::M1.nanos();
    batch.candles.iter().map(|c| (minute(c), c.revision, c.closed)).collect()
}

#[test]
fn nothing_is_sent_without_subscriber_and_the_question_is_asked_once() {
    let mut bench = Bench::new();
    let id = bench.live.id(&ticker()).unwrap();
    for n in 0..5 {
        bench.live.tick(id, &tick(n));
    }
    assert_eq!(bench.sent(), []);
    assert_eq!(bench.shelf.0.lock().unwrap().asked, 1);
}

#[test]
fn a_late_subscriber_gets_the_last_value_and_sequences_have_no_holes() {
    let mut bench = Bench::new();
    let id = bench.live.id(&ticker()).unwrap();
    for n in 0..5 {
        bench.live.tick(id, &tick(n));
    }
    assert_eq!(bench.subscribe("SIM:BTC/USDT|tick"), []);
    bench.live.tick(id, &tick(5));
    let topic = "SIM:BTC/USDT|tick".to_owned();
    assert_eq!(bench.sent(), [(topic.clone(), Kind::Tick, 1), (topic, Kind::Tick, 2)]);
}

#[test]
fn a_dropped_message_is_a_hole_in_the_sequence() {
    let mut bench = Bench::new();
    let id = bench.live.id(&ticker()).unwrap();
    bench.subscribe("SIM:BTC/USDT|tick");
    bench.live.tick(id, &tick(1));
    bench.shelf.0.lock().unwrap().full = true;
    bench.live.tick(id, &tick(2));
    bench.shelf.0.lock().unwrap().full = false;
    bench.live.tick(id, &tick(3));
    assert_eq!(bench.sent().iter().map(|sent| sent.2).collect::<Vec<_>>(), [1, 3]);
}

#[test]
fn an_older_trade_is_sent_but_is_not_the_last_value() {
    let mut bench = Bench::new();
    let id = bench.live.id(&ticker()).unwrap();
    bench.live.tick(id, &tick(9));
    bench.live.tick(id, &tick(3));
    bench.subscribe("SIM:BTC/USDT|tick");
    let sent = std::mem::take(&mut bench.shelf.0.lock().unwrap().sent);
    assert_eq!(sent[0].1.message::<wire::Tick>(Kind::Tick).unwrap().trade_id, "9");
}

#[test]
fn a_snapshot_holds_the_newest_revisions_not_yet_committed_and_the_open_candle() {
    let mut bench = Bench::new();
    let id = bench.live.id(&ticker()).unwrap();
    bench.live.closed(id, closed(1, 0), 1);
    bench.live.closed(id, closed(2, 0), 2);
    bench.live.closed(id, closed(2, 1), 2);
    bench.live.committed(1);
    let wanted = bench.subscribe("SIM:BTC/USDT|ohlc:60s");
    assert_eq!(wanted, [SnapshotWanted { id, level: 1 }]);
    let mut content = Content::default();
    content.add(&Print::of(&Trade::from(&tick(1))).unwrap());
    let open = OpenWindow { open_time_ns: TIME + 3 * Interval::M1.nanos(), content, revision: 0 };
    bench.live.snapshot(wanted[0], Some(open));
    assert_eq!(minutes(&bench), [(2, 1, true), (3, 0, false)]);
    for minute in 10..20 {
        bench.live.closed(id, closed(minute, 0), 3);
    }
    bench.sent();
    bench.live.snapshot(wanted[0], Some(open));
    assert_eq!(minutes(&bench).len(), 4, "bounded: the three newest closed ones and the open one");
}

#[test]
fn a_prefix_gets_all_its_topics_and_no_other() {
    let mut bench = Bench::new();
    let other = Ticker { venue: "SIM".parse().unwrap(), symbol: "BTC/USD".parse().unwrap() };
    for ticker in [ticker(), other] {
        let id = bench.live.id(&ticker).unwrap();
        bench.live.tick(id, &Tick { symbol: ticker.symbol, ..tick(1) });
    }
    let snapshots = bench.subscribe("SIM:BTC/USDT|");
    assert_eq!(bench.sent(), [("SIM:BTC/USDT|tick".to_owned(), Kind::Tick, 1)]);
    assert_eq!(snapshots.len(), LEVELS);
    assert_eq!(bench.subscribe("SIM:").len(), 2 * LEVELS);
    assert_eq!(bench.subscribe("OTHER:"), []);
}

#[test]
fn open_candles_are_sent_once_per_call_and_only_if_they_changed() {
    let mut bench = Bench::new();
    let id = bench.live.id(&ticker()).unwrap();
    bench.subscribe("SIM:BTC/USDT|ohlc:60s");
    let mut content = Content::default();
    content.add(&Print::of(&Trade::from(&tick(1))).unwrap());
    let windows = |_: &Ticker| Some([Some(OpenWindow { open_time_ns: TIME, content, revision: 0 }); LEVELS]);
    for n in 0..100 {
        bench.live.tick(id, &tick(n));
    }
    bench.live.send_open(windows);
    bench.live.send_open(windows);
    assert_eq!(bench.sent(), [("SIM:BTC/USDT|ohlc:60s".to_owned(), Kind::Candle, 1)]);
}

#[test]
fn a_notification_waits_for_its_subscriber_within_bounds() {
    let mut bench = Bench::new();
    let notice = |n: u128| {
        let topic = Topic::HistoryReady(RequestId::from_bits(n));
        (topic, wire::HistoryReadyNotification { rows: 5, ..Default::default() })
    };
    for n in 1..=3 {
        let (topic, message) = notice(n);
        bench.live.notify(&topic, message);
    }
    bench.subscribe(&notice(1).0.to_string());
    assert_eq!(bench.sent(), [], "only the two newest are kept");
    bench.subscribe(&notice(3).0.to_string());
    assert_eq!(bench.sent(), [(notice(3).0.to_string(), Kind::HistoryReadyNotification, 1)]);
}

#[test]
fn records_read_again_after_a_restart_are_not_published_again() {
    let mut bench = Bench::new();
    bench.live.publishing = false;
    let id = bench.live.id(&ticker()).unwrap();
    bench.shelf.0.lock().unwrap().prefixes.push("SIM:".to_owned());
    bench.live.tick(id, &tick(1));
    bench.live.closed(id, closed(1, 0), 1);
    assert_eq!(bench.sent(), []);
    bench.live.start_publishing();
    bench.live.tick(id, &tick(2));
    assert_eq!(bench.sent().len(), 1);
}
