//! Each way in which a request can be wrong has its own answer.

use super::*;
use proptest::prelude::*;
use proto::{ClientId, FrameHeader, HEADER_BYTES, RequestId};

fn valid() -> wire::HistoryRequest {
    wire::HistoryRequest {
        request_id: RequestId::from_bits(1).to_string(),
        client_id: ClientId::from_bits(2).to_string(),
        venue: "SIM".into(),
        symbol: "BTC/USDT".into(),
        kind: wire::HistoryKind::Candles as i32,
        interval_s: 60,
        from_ns: 0,
        to_ns: 60_000_000_000,
    }
}

fn body(message: &wire::HistoryRequest) -> Vec<u8> {
    FrameHeader::new(Kind::HistoryRequest, 7, 1, 0).encode(message).unwrap().to_vec()
}

fn judge(frames: &[&[u8]]) -> Result<Accepted, Refusal> {
    examine(&Envelope::open(frames.iter().copied()))
}

fn error_code(frames: &[&[u8]]) -> ErrorCode {
    let refusal = judge(frames).unwrap_err();
    assert_eq!(refusal.status, AckStatus::Invalid);
    ErrorCode::from_code(refusal.error.code).unwrap()
}

#[test]
fn req_and_dealer_envelopes_are_opened() {
    let open = |frames: &[&'static [u8]]| Envelope::open(frames.iter().copied());
    let whole = |delimited| Envelope { delimited, route: b"SIM:", body: Some(b"x") };
    assert_eq!(open(&[b"SIM:", b"x"]), whole(false));
    assert_eq!(open(&[b"", b"SIM:", b"x"]), whole(true));
    assert_eq!(open(&[b"SIM:", b"x", b"y"]), Envelope { delimited: false, route: b"SIM:", body: None });
    assert_eq!(open(&[b"", b"SIM:"]), Envelope { delimited: true, route: b"SIM:", body: None });
    assert_eq!(open(&[b""]), Envelope { delimited: false, route: b"", body: None });
    assert_eq!(open(&[&[b'R'; 129], b"x"]).route, b"", "a route that cannot be one is not echoed");
}

#[test]
fn a_valid_request_is_accepted_with_its_notification_topic() {
    let accepted = judge(&[b"SIM:", &body(&valid())]).unwrap();
    assert_eq!(accepted.venue.as_str(), "SIM");
    assert_eq!(accepted.notification_topic, ["HISTORY_READY:", &valid().request_id].concat());
}

#[test]
fn each_malformation_has_its_code() {
    let good = body(&valid());
    let patched = |at: usize, value: u8| {
        let mut bytes = good.clone();
        bytes[at] = value;
        bytes
    };
    let (version, unknown, tick) = (patched(0, 9), patched(1, 200), patched(1, Kind::Tick as u8));
    let mut long = good.clone();
    long.resize(proto::limits::REQUEST_BYTES + 1, 0);
    let mut broken = good[..HEADER_BYTES].to_vec();
    broken.extend(b"\xff\xff");
    let cases: [(&str, Vec<&[u8]>, ErrorCode); 9] = [
        ("one frame", vec![&good], ErrorCode::Malformed),
        ("three frames", vec![b"SIM:", &good, b"x"], ErrorCode::Malformed),
        ("short header", vec![b"SIM:", &good[..20]], ErrorCode::Malformed),
        ("too long", vec![b"SIM:", &long], ErrorCode::Malformed),
        ("not protobuf", vec![b"SIM:", &broken], ErrorCode::Malformed),
        ("version", vec![b"SIM:", &version], ErrorCode::UnsupportedVersion),
        ("unknown kind", vec![b"SIM:", &unknown], ErrorCode::UnexpectedKind),
        ("another kind", vec![b"SIM:", &tick], ErrorCode::UnexpectedKind),
        ("route", vec![b"SIMX:", &good], ErrorCode::RouteMismatch),
    ];
    for (name, frames, code) in cases {
        assert_eq!(error_code(&frames), code, "{name}");
    }
    assert_eq!(error_code(&[b"SIM", &good]), ErrorCode::RouteMismatch);
}

#[test]
fn an_invalid_field_is_named_and_the_request_id_is_echoed_if_it_is_one() {
    let refusal = judge(&[b"SIM:", &body(&wire::HistoryRequest { symbol: "BTC".into(), ..valid() })]).unwrap_err();
    assert_eq!(refusal.error.field, "symbol");
    assert_eq!(refusal.request_id, valid().request_id);
    let refusal = judge(&[b"SIM:", &body(&wire::HistoryRequest { request_id: "<b>".into(), ..valid() })]).unwrap_err();
    assert_eq!((refusal.error.field.as_str(), refusal.request_id.as_str()), ("request_id", ""));
}

proptest! {
    #[test]
    fn arbitrary_frames_never_panic_and_never_pass(
        frames in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..80), 0..5),
    ) {
        prop_assert!(examine(&Envelope::open(frames.iter().map(Vec::as_slice))).is_err());
    }
}

#[path = "../../fuzz/request_path.rs"]
mod request_path;

#[test]
fn what_the_fuzzer_found_interesting_is_judged_without_a_panic() {
    let package = std::env::var_os("CARGO_MANIFEST_DIR").map_or_else(|| ".".into(), std::path::PathBuf::from);
    let folder = package.join("fuzz/corpus/request_path");
    let mut inputs = 0;
    for file in std::fs::read_dir(folder).unwrap() {
        let input = std::fs::read(file.unwrap().path()).unwrap();
        (0..=input.len()).for_each(|end| request_path::run(&input[..end]));
        for at in 0..input.len() {
            let mut changed = input.clone();
            changed[at] = !changed[at];
            request_path::run(&changed);
        }
        inputs += 1;
    }
    assert!(inputs > 1, "the corpus is gone");
}
