//! What is accepted, and with which reason everything else is refused.

use super::*;
use proptest::prelude::*;
use prost::Message;
use proto::Decimal;
use proto::market::{Side, Source};

const TIME: u64 = 1_723_161_240_000_000_000;

fn tick() -> Tick {
    Tick {
        venue: "SIM".parse().unwrap(),
        symbol: "BTC/USDT".parse().unwrap(),
        trade_id: "7".to_owned(),
        event_time_ns: TIME,
        receive_time_ns: TIME,
        price: Decimal::ONE,
        size: Decimal::ONE,
        side: Side::Buy,
        source: Source::Live,
        repaired: false,
    }
}

fn envelope(event_type: EventType, payload: &impl Message) -> Vec<u8> {
    let envelope = Envelope {
        event_id: 1,
        event_type,
        venue: "SIM".parse().unwrap(),
        observed_at_ns: TIME,
        ingested_at_ns: TIME + 5,
        key: "SIM:BTC/USDT".to_owned(),
        trace: bytes::Bytes::new(),
        payload: payload.encode_to_vec().into(),
        raw: None,
    };
    envelope.encode().to_vec()
}

fn reasons(topic: LogTopic, key: &str, value: &[u8]) -> Vec<&'static str> {
    decode(topic, key.as_bytes(), value).rejected.iter().map(|r| r.reason).collect()
}

#[test]
fn a_tick_is_read() {
    let value = envelope(EventType::Tick, &wire::Tick::from(&tick()));
    let decoded = decode(LogTopic::NormTick, b"SIM:BTC/USDT", &value);
    assert_eq!(decoded, Decoded { input: Some(Input::Tick(tick())), rejected: Vec::new() });
}

#[test]
fn each_kind_of_unusable_record_has_its_reason() {
    type Change = fn(&mut wire::Tick);
    let changed = |change: Change| {
        let mut message = wire::Tick::from(&tick());
        change(&mut message);
        envelope(EventType::Tick, &message)
    };
    let good = changed(|_| {});
    let cases: [(&str, LogTopic, &str, Vec<u8>); 9] = [
        ("malformed", LogTopic::NormTick, "SIM:BTC/USDT", vec![0xff; 9]),
        ("missing_field", LogTopic::NormTick, "SIM:BTC/USDT", Vec::new()),
        ("malformed", LogTopic::NormTick, "SIM:ETH/USDT", good.clone()),
        ("unknown_type", LogTopic::NormQuote, "SIM:BTC/USDT", good),
        ("bad_number", LogTopic::NormTick, "SIM:BTC/USDT", changed(|t| t.price.as_mut().unwrap().scale = 19)),
        ("missing_field", LogTopic::NormTick, "SIM:BTC/USDT", changed(|t| t.price = None)),
        ("out_of_range", LogTopic::NormTick, "SIM:BTC/USDT", changed(|t| t.event_time_ns = 1)),
        ("unknown_symbol", LogTopic::NormTick, "sim:BTC/USDT", changed(|t| t.venue = "sim".to_owned())),
        ("too_long", LogTopic::NormTick, "SIM:BTC/USDT", vec![0; proto::limits::RECORD_BYTES + 1]),
    ];
    for (reason, topic, key, value) in cases {
        assert_eq!(reasons(topic, key, &value), [reason]);
    }
}

#[test]
fn a_bad_row_does_not_take_its_batch_along() {
    let mut other = wire::Tick::from(&tick());
    other.symbol = "ETH/USDT".to_owned();
    let mut broken = wire::Tick::from(&tick());
    broken.size = None;
    let batch = wire::TickBatch {
        venue: "SIM".to_owned(),
        symbol: "BTC/USDT".to_owned(),
        ticks: vec![other, (&tick()).into(), broken],
        request_ids: vec![RequestId::from_bits(5).to_string(), "nonsense".to_owned()],
        last: true,
        from_ns: TIME,
        to_ns: TIME + 1,
        ..Default::default()
    };
    let decoded = decode(LogTopic::NormTick, b"SIM:BTC/USDT", &envelope(EventType::TickBatch, &batch));
    let rejected: Vec<_> = decoded.rejected.iter().map(|r| (r.reason, r.row)).collect();
    assert_eq!(rejected, [("malformed", Some(0)), ("missing_field", Some(2)), ("malformed", None)]);
    match decoded.input {
        Some(Input::Ticks(FetchedTicks { ticks, end: Some(end), .. })) => {
            assert_eq!(ticks, [tick()]);
            assert_eq!(end.request_ids, [RequestId::from_bits(5)]);
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_seed_is_taken_whole_or_refused() {
    let minute = Interval::M1.nanos();
    let from_ns = Interval::M1.open_time(TIME);
    let candle = |at: u64| wire::Candle {
        open_time_ns: from_ns + at * minute,
        closed: true,
        ..wire::Candle::from(&crate::update::candle(
            &Ticker { venue: "SIM".parse().unwrap(), symbol: "BTC/USDT".parse().unwrap() },
            Interval::M1,
            from_ns,
            &crate::content::Content { open: 2, high: 2, low: 2, close: 2, volume: 1, trades: 1, ..Default::default() },
        ))
    };
    let seed = |change: fn(&mut wire::OhlcBatch)| {
        let mut batch = wire::OhlcBatch {
            venue: "SIM".to_owned(),
            symbol: "BTC/USDT".to_owned(),
            interval_s: 60,
            candles: vec![candle(0), candle(2)],
            last: true,
            from_ns,
            to_ns: from_ns + 4 * minute,
            ..Default::default()
        };
        change(&mut batch);
        decode(LogTopic::NormTick, b"SIM:BTC/USDT", &envelope(EventType::OhlcBatch, &batch))
    };
    match seed(|_| {}).input {
        Some(Input::Seed(Seed { interval: Interval::M1, range_ns, candles, .. })) => {
            assert_eq!((range_ns, candles.len()), ((from_ns, from_ns + 4 * minute), 2));
        }
        other => panic!("{other:?}"),
    }
    type Change = fn(&mut wire::OhlcBatch);
    let refused: [(&str, Change); 7] = [
        ("malformed", |b| b.last = false),
        ("out_of_range", |b| b.to_ns = b.from_ns),
        ("out_of_range", |b| b.from_ns += 1),
        ("out_of_range", |b| b.to_ns -= 2 * Interval::M1.nanos()),
        ("out_of_range", |b| b.candles.reverse()),
        ("out_of_range", |b| b.candles[0].closed = false),
        ("missing_field", |b| b.candles[1].open = None),
    ];
    for (at, (reason, change)) in refused.into_iter().enumerate() {
        let decoded = seed(change);
        assert_eq!((decoded.input, decoded.rejected[0].reason), (None, reason), "case {at}");
    }
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(key in proptest::collection::vec(any::<u8>(), 0..20), at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut value = envelope(EventType::Tick, &wire::Tick::from(&tick()));
        let at = at.index(value.len());
        value[at] = byte;
        for topic in [LogTopic::NormTick, LogTopic::NormOhlc, LogTopic::NormQuote] {
            let _any = decode(topic, &key, &value);
            let _any = decode(topic, b"SIM:BTC/USDT", &value);
        }
    }
}
