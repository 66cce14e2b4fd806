//! The live feed over a real socket, dead letters, and a lake that is slow.

use super::world::{Death, Entry, GUARD, Life, World};
use crate::committer::Stage;
use crate::update::Ticker;
use eventlog::{Record, Start};
use proto::market::{Side, Source, Tick};
use proto::{Decimal, Envelope, EventType, Frame, Kind, LogTopic, wire};
use tokio::time::timeout;
use zmtp::{SubOptions, SubSocket};

const TIME: u64 = 1_723_161_240_000_000_000;
const SECOND: u64 = 1_000_000_000;

fn ticker() -> Ticker {
    Ticker { venue: "SIM".parse().unwrap(), symbol: "BTC/USDT".parse().unwrap() }
}

fn tick(id: u64) -> Tick {
    Tick {
        venue: ticker().venue,
        symbol: ticker().symbol,
        trade_id: id.to_string(),
        event_time_ns: TIME + id * SECOND,
        receive_time_ns: TIME + id * SECOND,
        price: Decimal::from_int(100),
        size: Decimal::ONE,
        side: Side::Buy,
        source: Source::Live,
        repaired: false,
    }
}

/// The relay's place: a socket that the stream connects to.
async fn relay(world: &mut World) -> SubSocket {
    let socket = SubSocket::bind("tcp://127.0.0.1:0", SubOptions::default()).await.unwrap();
    world.config.publish_endpoint = format!("tcp://{}", socket.local_addr().unwrap());
    socket
}

async fn next(socket: &SubSocket) -> (String, Frame) {
    let message = timeout(GUARD, socket.recv()).await.expect("a message comes");
    (String::from_utf8(message[0].to_vec()).unwrap(), Frame::decode(&message[1]).unwrap())
}

/// Runs a life with a world of its own, which the socket's address is part of.
fn with_relay<F: Future<Output = ()>>(live: impl FnOnce(Life, World) -> F) {
    let outer = World::new();
    outer.live(|life| live(life, World::new()));
}

#[test]
fn a_subscriber_that_comes_late_gets_last_tick_snapshot_and_what_follows() {
    with_relay(|life, mut world| async move {
        let socket = relay(&mut world).await;
        let request = world.request();
        let (_handle, _dying) = life.stream(&world.config, None).await;
        let ticks: Vec<Entry> = (0..10).map(|id| Entry::tick(&tick(id))).collect();
        life.append(&ticks).await;
        life.append(&[Entry::candles(&ticker(), &[], request)]).await;
        timeout(GUARD, life.notified(&[request])).await.unwrap();

        socket.subscribe(b"SIM:BTC/USDT|tick").await.unwrap();
        let (topic, frame) = next(&socket).await;
        assert_eq!((topic.as_str(), frame.header.sequence), ("SIM:BTC/USDT|tick", 1));
        assert_eq!(frame.message::<wire::Tick>(Kind::Tick).unwrap().trade_id, "9");
        socket.unsubscribe(b"SIM:BTC/USDT|tick").await;

        socket.subscribe(b"SIM:BTC/USDT|ohlc:1s").await.unwrap();
        let (_, frame) = next(&socket).await;
        let snapshot: wire::OhlcBatch = frame.message(Kind::OhlcBatch).unwrap();
        let open = snapshot.candles.last().unwrap();
        assert_eq!((open.open_time_ns, open.closed), (TIME + 9 * SECOND, false));
        life.append(&[Entry::tick(&tick(12))]).await;
        let mut closed = Vec::new();
        while closed.len() < 3 {
            let (_, frame) = next(&socket).await;
            let candle: wire::Candle = frame.message(Kind::Candle).unwrap();
            if candle.closed {
                closed.push((candle.open_time_ns - TIME) / SECOND);
            }
        }
        assert_eq!(closed, [7, 8, 9], "closed by the watermark, each once");
    });
}

#[test]
fn a_history_notification_reaches_a_subscriber_also_when_it_comes_later() {
    with_relay(|life, mut world| async move {
        let socket = relay(&mut world).await;
        let request = world.request();
        let (_handle, _dying) = life.stream(&world.config, None).await;
        life.append(&[Entry::ticks(&ticker(), &[tick(1), tick(2)], request)]).await;
        timeout(GUARD, life.notified(&[request])).await.unwrap();
        let topic = format!("HISTORY_READY:{request}");
        socket.subscribe(topic.as_bytes()).await.unwrap();
        let (got, frame) = next(&socket).await;
        assert_eq!(got, topic);
        let notice: wire::HistoryReadyNotification = frame.message(Kind::HistoryReadyNotification).unwrap();
        assert_eq!(notice.request_id, request.to_string());
        assert_eq!(notice.status(), wire::HistoryStatus::Ok);
    });
}

#[test]
fn a_history_notification_reaches_a_subscriber_also_after_a_restart() {
    with_relay(|life, mut world| async move {
        let socket = relay(&mut world).await;
        let (early, late) = (world.request(), world.request());
        let (handle, dying) = life.stream(&world.config, None).await;
        for request in [early, late] {
            life.append(&[Entry::ticks(&ticker(), &[tick(1)], request)]).await;
        }
        timeout(GUARD, life.notified(&[early, late])).await.unwrap();
        super::drained(handle, dying).await;
        // One subscribes while nobody is there to answer, one when the stream is back.
        let topics = [early, late].map(|request| format!("HISTORY_READY:{request}"));
        socket.subscribe(topics[0].as_bytes()).await.unwrap();
        let (_handle, _dying) = life.stream(&world.config, None).await;
        let (got, _) = next(&socket).await;
        assert_eq!(got, topics[0]);
        socket.subscribe(topics[1].as_bytes()).await.unwrap();
        let (got, frame) = next(&socket).await;
        assert_eq!(got, topics[1]);
        let notice: wire::HistoryReadyNotification = frame.message(Kind::HistoryReadyNotification).unwrap();
        assert_eq!((notice.request_id, notice.rows), (late.to_string(), 0));
    });
}

#[test]
fn what_cannot_be_decoded_is_a_dead_letter_and_the_stream_goes_on() {
    let mut world = World::new();
    let request = world.request();
    let world = &world;
    world.live(|life| async move {
        let (_handle, _dying) = life.stream(&world.config, None).await;
        let garbage = Record { key: "SIM:BTC/USDT".into(), value: "garbage".into(), timestamp_ns: 1 };
        life.log.append(LogTopic::NormTick.name(), vec![garbage]).await.unwrap();
        life.append(&[Entry::tick(&tick(1)), Entry::ticks(&ticker(), &[], request)]).await;
        timeout(GUARD, life.notified(&[request])).await.expect("the record behind it is taken");
        let mut dead = life.log.reader(LogTopic::DlqNorm.name(), 0, Start::Earliest).await.unwrap();
        let letters = timeout(GUARD, dead.next(10, 1 << 20)).await.unwrap().unwrap();
        let letter = Envelope::decode(&letters[0].value).unwrap();
        let letter: wire::DeadLetter = letter.message(EventType::DeadLetter).unwrap();
        assert_eq!((letter.reason.as_str(), letter.payload.as_slice()), ("malformed", b"garbage".as_slice()));
    });
}

#[test]
fn while_the_lake_is_slow_reading_pauses_and_the_feed_goes_on() {
    with_relay(|life, mut world| async move {
        world.config.flush.rows = 20;
        world.config.read.batch_records = 10;
        let socket = relay(&mut world).await;
        // The first flush never gets past its first step.
        let stuck = Death { stage: Stage::Ticks, hits: 1, under_way: false };
        let (handle, dying) = life.stream(&world.config, Some(stuck)).await;
        let ticks: Vec<Entry> = (0..500).map(|id| Entry::tick(&tick(id))).collect();
        life.append(&ticks).await;
        timeout(GUARD, dying.reached.notified()).await.expect("a flush begins");
        let status = handle.status();
        let paused = async {
            while status.json()["reading_paused"] != true {
                tokio::task::yield_now().await;
            }
        };
        timeout(GUARD, paused).await.expect("reading pauses");
        let waiting = status.json()["rows_waiting"].as_u64().unwrap();
        assert!((40..100).contains(&waiting), "twice the rows of a flush and a batch at most: {waiting}");
        socket.subscribe(b"SIM:BTC/USDT|tick").await.unwrap();
        let (topic, _) = next(&socket).await;
        assert_eq!(topic, "SIM:BTC/USDT|tick", "a new subscriber is answered all the same");
    });
}
