//! Golden vectors: each message encodes to the bytes of `vectors/v1/<name>.hex` and decodes to the meaning in
//! `<name>.json` (canonical protobuf JSON); each truncation is refused or is a shorter valid protobuf that lacks fields; arbitrary bytes never panic.
//!
//! A vector is never edited to make this pass: a changed wire is a new version (`vectors/v2`). `DEXORDER_WRITE_VECTORS=1`
//! writes vectors that do not exist yet and refuses to touch one that does.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use bytes::Bytes;
use proptest::prelude::*;
use prost::Message;
use prost_reflect::{DescriptorPool, DynamicMessage};
use proto::wire;
use proto::{Envelope, EventType, Frame, FrameHeader, Kind, RawReference, TraceContext};
use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::LazyLock;

fn decimal(text: &str) -> Option<wire::Decimal> {
    Some(text.parse::<proto::Decimal>().unwrap().into())
}

const REQUEST: &str = "01J9ZQ6V8KXW3R4T5Y6Z7A8B9C";
const CLIENT: &str = "01J9ZQ0000000000000000CNT1";
const USER: &str = "01J9ZQ0000000000000000SER1";
const OUTBOX: &str = "01J9ZQ000000000000000XB0X1";
const TIME: u64 = 1_723_161_255_088_176_367;

fn tick() -> wire::Tick {
    wire::Tick {
        venue: "BINANCE-USDM".into(),
        symbol: "BTC/USDT".into(),
        trade_id: "5266583935".into(),
        event_time_ns: 1_723_161_256_322_000_000,
        receive_time_ns: TIME,
        price: decimal("61800.3"),
        size: decimal("0.006"),
        side: wire::Side::Buy as i32,
        source: wire::Source::Live as i32,
        repaired: true,
    }
}

fn candle() -> wire::Candle {
    wire::Candle {
        venue: "SIM".into(),
        symbol: "ETH/USDT".into(),
        interval_s: 60,
        open_time_ns: 1_723_161_240_000_000_000,
        open: decimal("2683.81"),
        high: decimal("2690"),
        low: decimal("2680.000000000000000001"),
        close: decimal("2684.5"),
        volume: decimal("12345678901.123456789"),
        quote_volume: decimal("99999999999999999999.999999999999999999"),
        trades: 4321,
        revision: 2,
        closed: true,
        repaired: true,
    }
}

fn request() -> wire::HistoryRequest {
    wire::HistoryRequest {
        request_id: REQUEST.into(),
        client_id: CLIENT.into(),
        venue: "KRAKEN".into(),
        symbol: "BTC/EUR".into(),
        kind: wire::HistoryKind::Candles as i32,
        interval_s: 3600,
        from_ns: 1_700_002_800_000_000_000,
        to_ns: 1_700_006_400_000_000_000,
    }
}

fn error() -> wire::ErrorDetail {
    proto::ErrorCode::NoIngestor.detail("venue", "no ingestor serves KRAKEN")
}

/// A message under test: its name, its bytes, and what bytes mean.
struct Case {
    name: &'static str,
    bytes: Vec<u8>,
    meaning: fn(&[u8]) -> Result<String, String>,
}

/// The canonical protobuf JSON of a message, which every protobuf library reads.
fn json(message: &str, bytes: &[u8]) -> Result<serde_json::Value, String> {
    static POOL: LazyLock<DescriptorPool> = LazyLock::new(|| {
        let folder = package().join("proto");
        let files = protox::compile(["dexorder.proto"], [folder]).unwrap();
        DescriptorPool::from_file_descriptor_set(files).unwrap()
    });
    let descriptor = POOL.get_message_by_name(&format!("dexorder.v1.{message}")).unwrap();
    let message = DynamicMessage::decode(descriptor, bytes).map_err(|e| e.to_string())?;
    Ok(serde_json::to_value(&message).unwrap())
}

fn pretty(value: &serde_json::Value) -> String {
    serde_json::to_string_pretty(value).unwrap()
}

macro_rules! case {
    ($name:literal, $type:ty, $value:expr) => {
        Case {
            name: $name,
            bytes: <$type>::encode_to_vec(&$value),
            meaning: |bytes| {
                // Our own decoder must accept it too, and write the same bytes again.
                let message = <$type>::decode(bytes).map_err(|e| e.to_string())?;
                json(stringify!($type).trim_start_matches("wire::"), &message.encode_to_vec()).map(|v| pretty(&v))
            },
        }
    };
}

fn market_cases() -> Vec<Case> {
    let quote = wire::Quote {
        venue: "COINBASE".into(),
        symbol: "BTC/USD".into(),
        event_time_ns: TIME,
        receive_time_ns: TIME + 1,
        bid_price: decimal("61837.63"),
        bid_size: decimal("3.78826"),
        ask_price: decimal("61837.64"),
        ask_size: decimal("0"),
    };
    let batch = wire::OhlcBatch {
        venue: "SIM".into(),
        symbol: "ETH/USDT".into(),
        interval_s: 60,
        candles: vec![candle()],
        request_ids: vec![REQUEST.into()],
        part: 3,
        last: true,
        from_ns: 1_723_161_240_000_000_000,
        to_ns: 1_723_161_300_000_000_000,
        error: Some(error()),
    };
    let ticks = wire::TickBatch {
        venue: "BINANCE-USDM".into(),
        symbol: "BTC/USDT".into(),
        ticks: vec![tick()],
        request_ids: vec![REQUEST.into()],
        part: 0,
        last: true,
        from_ns: 1,
        to_ns: 2,
        error: None,
    };
    let heartbeat =
        wire::Heartbeat { venue: "OKX".into(), symbol: "SOL/USDT".into(), event_time_ns: TIME, end_of_stream: true };
    vec![
        case!("decimal_negative", wire::Decimal, decimal("-0.000000000000000001").unwrap()),
        case!("tick", wire::Tick, tick()),
        case!("tick_batch", wire::TickBatch, ticks),
        case!("quote", wire::Quote, quote),
        case!("heartbeat", wire::Heartbeat, heartbeat),
        case!("candle", wire::Candle, candle()),
        case!("ohlc_batch", wire::OhlcBatch, batch),
    ]
}

fn history_cases() -> Vec<Case> {
    let ack = wire::RequestAck {
        request_id: REQUEST.into(),
        status: wire::AckStatus::OverQuota as i32,
        notification_topic: format!("HISTORY_READY:{REQUEST}"),
        error: Some(error()),
        retry_after_ms: 250,
    };
    let ready = wire::HistoryReadyNotification {
        request_id: REQUEST.into(),
        status: wire::HistoryStatus::Partial as i32,
        rows: 1440,
        from_ns: 1_700_002_800_000_000_000,
        to_ns: 1_700_006_400_000_000_000,
        snapshot_id: -7_321_456_123_456_789_012,
        error: Some(error()),
    };
    vec![
        case!("history_request", wire::HistoryRequest, request()),
        case!("request_ack", wire::RequestAck, ack),
        case!("work_item", wire::WorkItem, wire::WorkItem { request: Some(request()), accepted_at_ns: TIME }),
        case!("history_ready_notification", wire::HistoryReadyNotification, ready),
        case!("error_detail", wire::ErrorDetail, error()),
    ]
}

fn log_cases() -> Vec<Case> {
    let raw = wire::RawFrame {
        venue: "BYBIT".into(),
        channel: "ws-0".into(),
        receive_time_ns: TIME,
        payload: br#"{"op":"pong"}"#.to_vec(),
    };
    let instrument = wire::Instrument {
        venue: "KRAKEN".into(),
        symbol: "BTC/EUR".into(),
        venue_symbol: "XBT/EUR".into(),
        base: "BTC".into(),
        quote: "EUR".into(),
        kind: wire::InstrumentKind::Spot as i32,
        status: wire::InstrumentStatus::Trading as i32,
        tick_size: decimal("0.1"),
        lot_size: decimal("0.00000001"),
        min_notional: decimal("0.5"),
        live: true,
    };
    let status = wire::FeedStatus {
        venue: "SIM".into(),
        ingestor_id: "ingestor-1".into(),
        mode: wire::FeedMode::Sim as i32,
        state: wire::FeedState::Stale as i32,
        sent_at_ns: TIME,
        last_event_time_ns: TIME - 2,
        last_receive_time_ns: TIME - 1,
        symbols: 8,
        ticks: 1,
        quotes: 2,
        rejected: 3,
        reconnects: 4,
        gaps: 5,
        repaired_trades: 6,
        detail: "reconnecting".into(),
        leaving: true,
    };
    let job = wire::JobStatus { request_id: REQUEST.into(), ingestor_id: "ingestor-1".into(), done: true };
    let letter = wire::DeadLetter {
        topic: "raw.ws".into(),
        venue: "OKX".into(),
        reason: "malformed".into(),
        detail: "EOF at 12".into(),
        payload: vec![0, 255],
    };
    vec![
        case!("raw_frame", wire::RawFrame, raw),
        case!("instrument", wire::Instrument, instrument),
        case!("feed_status", wire::FeedStatus, status),
        case!("job_status", wire::JobStatus, job),
        case!("dead_letter", wire::DeadLetter, letter),
        Case { name: "envelope", bytes: envelope().encode().to_vec(), meaning: envelope_meaning },
        Case { name: "frame", bytes: frame(false).to_vec(), meaning: frame_meaning },
        Case { name: "frame_traced", bytes: frame(true).to_vec(), meaning: frame_meaning },
    ]
}

fn user_event() -> wire::UserEvent {
    wire::UserEvent {
        event_id: "01J9ZQ6V8KXW3R4T5Y6Z7A8B9D".into(),
        user_id: USER.into(),
        outbox_id: OUTBOX.into(),
        sequence: 42,
        kind: wire::EventKind::OrderFilled as i32,
        severity: wire::EventSeverity::Critical as i32,
        created_at_ns: TIME,
        expires_at_ns: TIME + 3_600_000_000_000,
        payload: br#"{"order":"7","price":"61800.3"}"#.to_vec(),
        gap_to: 0,
    }
}

fn event_cases() -> Vec<Case> {
    let gap = wire::UserEvent {
        event_id: String::new(),
        kind: wire::EventKind::GapFill as i32,
        expires_at_ns: 0,
        payload: Vec::new(),
        gap_to: 99,
        ..user_event()
    };
    let informational = wire::UserEvent {
        outbox_id: String::new(),
        sequence: 0,
        kind: wire::EventKind::WorkspaceChanged as i32,
        severity: wire::EventSeverity::Informational as i32,
        expires_at_ns: 0,
        payload: br#"{"file":"strategies/a.py"}"#.to_vec(),
        ..user_event()
    };
    let ack = wire::EventAck {
        user_id: USER.into(),
        outbox_id: OUTBOX.into(),
        sequence: 42,
        outcome: wire::EventOutcome::Refused as i32,
        next_sequence: 43,
        error: Some(proto::ErrorCode::SequenceConflict.detail("event_id", "another event has sequence 42")),
    };
    vec![
        case!("user_event", wire::UserEvent, user_event()),
        case!("user_event_gap_fill", wire::UserEvent, gap),
        case!("user_event_informational", wire::UserEvent, informational),
        case!("event_ack", wire::EventAck, ack),
        Case { name: "frame_user_event_repeated", bytes: event_frame().to_vec(), meaning: event_frame_meaning },
    ]
}

/// A critical event that may have been sent before, with a trace: both flags of the header.
fn event_frame() -> Bytes {
    let header = FrameHeader {
        trace: Some(TraceContext { trace_id: *b"0123456789abcdef", span_id: *b"01234567", flags: 1 }),
        possible_duplicate: true,
        ..FrameHeader::new(Kind::UserEvent, 0x0123_4567_89ab_cdef, 42, TIME)
    };
    header.encode(&user_event()).unwrap()
}

fn event_frame_meaning(bytes: &[u8]) -> Result<String, String> {
    let frame = Frame::decode(&Bytes::copy_from_slice(bytes)).map_err(|e| e.to_string())?;
    let message: wire::UserEvent = frame.message(Kind::UserEvent).map_err(|e| e.to_string())?;
    let event = proto::EventMessage::try_from(message.clone()).map_err(|e| e.to_string())?;
    Ok(pretty(&serde_json::json!({
        "version": proto::HEADER_VERSION,
        "kind": frame.header.kind as u8,
        "publisherId": frame.header.publisher_id.to_string(),
        "sequence": frame.header.sequence.to_string(),
        "eventTimeNs": frame.header.event_time_ns.to_string(),
        "traced": frame.header.trace.is_some(),
        "possibleDuplicate": frame.header.possible_duplicate,
        "topic": proto::Topic::UserEvent(event.user_id(), event.kind()).to_string(),
        "userEvent": json("UserEvent", &message.encode_to_vec())?,
    })))
}

fn envelope() -> Envelope {
    Envelope {
        event_id: 0x0192_7f73_6d13_eeb8_3268_be2f_8c74_2d2c,
        event_type: EventType::Tick,
        venue: "BINANCE-USDM".parse().unwrap(),
        observed_at_ns: TIME,
        ingested_at_ns: TIME + 5,
        key: "BINANCE-USDM:BTC/USDT".into(),
        trace: Bytes::from(vec![9; 25]),
        payload: tick().encode_to_vec().into(),
        raw: Some(RawReference { topic: "raw.ws".into(), partition: 3, offset: 77 }),
    }
}

fn envelope_meaning(bytes: &[u8]) -> Result<String, String> {
    let envelope = Envelope::decode(bytes).map_err(|e| e.to_string())?;
    json("Envelope", &envelope.encode()).map(|v| pretty(&v))
}

fn frame(traced: bool) -> Bytes {
    let mut header = FrameHeader::new(Kind::Tick, 0x0123_4567_89ab_cdef, 42, TIME);
    if traced {
        header.trace = Some(TraceContext { trace_id: *b"0123456789abcdef", span_id: *b"01234567", flags: 1 });
    }
    header.encode(&tick()).unwrap()
}

fn frame_meaning(bytes: &[u8]) -> Result<String, String> {
    let frame = Frame::decode(&Bytes::copy_from_slice(bytes)).map_err(|e| e.to_string())?;
    let message: wire::Tick = frame.message(Kind::Tick).map_err(|e| e.to_string())?;
    let header = frame.header;
    let trace = header.trace.map(|t| {
        let text = |bytes: &[u8]| hex(bytes).trim_end().to_owned();
        serde_json::json!({"traceId": text(&t.trace_id), "spanId": text(&t.span_id), "flags": t.flags})
    });
    Ok(pretty(&serde_json::json!({
        "version": proto::HEADER_VERSION,
        "kind": header.kind as u8,
        "publisherId": header.publisher_id.to_string(),
        "sequence": header.sequence.to_string(),
        "eventTimeNs": header.event_time_ns.to_string(),
        "trace": trace,
        "tick": json("Tick", &message.encode_to_vec())?,
    })))
}

fn cases() -> Vec<Case> {
    let mut cases = market_cases();
    cases.extend(history_cases());
    cases.extend(log_cases());
    cases.extend(event_cases());
    cases
}

fn hex(bytes: &[u8]) -> String {
    let mut text = String::new();
    for line in bytes.chunks(32) {
        for byte in line {
            write!(text, "{byte:02x}").unwrap();
        }
        text.push('\n');
    }
    text
}

fn unhex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(|b| !b.is_ascii_whitespace()).collect();
    digits.chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

/// Asked for when the test runs: one build may serve several clones.
fn package() -> PathBuf {
    std::env::var_os("CARGO_MANIFEST_DIR").map_or_else(|| ".".into(), PathBuf::from)
}

fn vector(name: &str, extension: &str) -> PathBuf {
    package().join(format!("vectors/v1/{name}.{extension}"))
}

#[test]
fn messages_equal_their_golden_vectors() {
    let write = std::env::var_os("DEXORDER_WRITE_VECTORS").is_some();
    for case in cases() {
        let (bytes, text) = (vector(case.name, "hex"), vector(case.name, "json"));
        let shown = (case.meaning)(&case.bytes).unwrap();
        if write && !bytes.exists() {
            std::fs::write(&bytes, hex(&case.bytes)).unwrap();
            std::fs::write(&text, format!("{shown}\n")).unwrap();
        }
        let golden = unhex(&std::fs::read_to_string(&bytes).unwrap_or_else(|e| panic!("{}: {e}", bytes.display())));
        assert_eq!(case.bytes, golden, "encode: {}", case.name);
        assert_eq!(
            (case.meaning)(&golden).unwrap(),
            std::fs::read_to_string(&text).unwrap().trim_end(),
            "{}",
            case.name
        );
    }
}

#[test]
fn no_proper_prefix_of_a_vector_means_the_same() {
    for case in cases() {
        let whole = (case.meaning)(&case.bytes);
        for end in 0..case.bytes.len() {
            // Protobuf cannot tell a missing last field from an absent one; it must never read as the full message.
            assert_ne!((case.meaning)(&case.bytes[..end]), whole, "{} cut at {end}", case.name);
        }
    }
}

#[test]
fn each_vector_has_a_case() {
    let names: Vec<_> = cases().iter().map(|c| c.name).collect();
    let folder = package().join("vectors/v1");
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let stem = path.file_stem().unwrap().to_str().unwrap().to_owned();
        assert!(names.contains(&stem.as_str()), "{stem} is a vector without a case");
    }
}

#[test]
fn unknown_fields_are_tolerated() {
    let mut bytes = tick().encode_to_vec();
    bytes.extend_from_slice(&[0xfa, 0x07, 0x03, 1, 2, 3]); // field 127, length-delimited
    assert_eq!(wire::Tick::decode(bytes.as_slice()).unwrap(), tick());
}

#[test]
fn an_envelope_without_a_mandatory_field_is_refused_by_name() {
    type Change = fn(&mut wire::Envelope);
    let cases: [(&str, Change); 8] = [
        ("event_id", |e| e.event_id.clear()),
        ("event_type", |e| e.event_type = "Nothing".into()),
        ("venue", |e| e.venue.clear()),
        ("observed_at_ns", |e| e.observed_at_ns = 0),
        ("ingested_at_ns", |e| e.ingested_at_ns = 0),
        ("schema_version", |e| e.schema_version = 0),
        ("key", |e| e.key.clear()),
        ("trace", |e| e.trace = vec![1]),
    ];
    for (field, change) in cases {
        let mut message = wire::Envelope::decode(envelope().encode()).unwrap();
        change(&mut message);
        let error = Envelope::decode(&message.encode_to_vec()).unwrap_err();
        assert!(error.to_string().starts_with(field), "{field}: {error}");
    }
    let mut newer = wire::Envelope::decode(envelope().encode()).unwrap();
    newer.schema_version = proto::SCHEMA_VERSION + 1;
    assert_eq!(Envelope::decode(&newer.encode_to_vec()), Err(proto::EnvelopeError::Version(2)));
}

#[test]
fn a_record_at_the_limit_is_accepted_and_one_more_byte_refused() {
    let mut large = envelope();
    large.raw = None;
    large.trace = Bytes::new();
    let overhead = large.encode().len() - large.payload.len() + 3; // the length prefix grows by three bytes
    large.payload = vec![0; proto::limits::RECORD_BYTES - overhead].into();
    assert_eq!(large.encode().len(), proto::limits::RECORD_BYTES);
    assert!(Envelope::decode(&large.encode()).is_ok());
    large.payload = vec![0; large.payload.len() + 1].into();
    assert!(matches!(Envelope::decode(&large.encode()), Err(proto::EnvelopeError::TooLong(_))));
}

proptest! {
    #[test]
    fn arbitrary_and_mutated_bytes_never_panic(index in any::<prop::sample::Index>(), at in any::<prop::sample::Index>(), byte: u8, noise in proptest::collection::vec(any::<u8>(), 0..64)) {
        let cases = cases();
        let case = &cases[index.index(cases.len())];
        let mut bytes = case.bytes.clone();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        let _ignored = (case.meaning)(&bytes);
        let _ignored = (case.meaning)(&noise);
    }

    #[test]
    fn ticks_round_trip_through_the_domain(units in 1i128..10i128.pow(37), size in 1i128..10i128.pow(37), time in 1_000_000_000_000_000_000u64..9_000_000_000_000_000_000, id in "[0-9a-f-]{1,64}") {
        let message = wire::Tick {
            price: Some(proto::Decimal::from_units(units).unwrap().into()),
            size: Some(proto::Decimal::from_units(size).unwrap().into()),
            event_time_ns: time,
            trade_id: id,
            ..tick()
        };
        let domain = proto::market::Tick::try_from(&message).unwrap();
        prop_assert_eq!(wire::Tick::from(&domain), message);
    }
}
