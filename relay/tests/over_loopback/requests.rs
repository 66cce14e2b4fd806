//! The request path: asked on the ROUTER, answered at once, handed to ingestors on the work port.

use crate::harness::{TestRelay, config, reaches};
use crate::raw_peer::{Raw, message};
use bytes::Bytes;
use proto::wire::{AckStatus, HistoryKind, HistoryRequest, RequestAck, WorkItem};
use proto::{ClientId, ErrorCode, Frame, FrameHeader, Kind, RequestId, TraceContext};
use std::sync::atomic::Ordering;
use std::time::Instant;
use zmtp::SocketType::{Dealer, Req, Sub};

pub(crate) fn request(id: u128, venue: &str) -> HistoryRequest {
    HistoryRequest {
        request_id: RequestId::from_bits(id).to_string(),
        client_id: ClientId::from_bits(7).to_string(),
        venue: venue.into(),
        symbol: "BTC/USDT".into(),
        kind: HistoryKind::Candles as i32,
        interval_s: 60,
        from_ns: 0,
        to_ns: 3_600_000_000_000,
    }
}

fn frame(request: &HistoryRequest) -> Bytes {
    FrameHeader::new(Kind::HistoryRequest, 1, 1, 0).encode(request).unwrap()
}

async fn ingestor(relay: &TestRelay, venue: &str) -> Raw {
    let mut peer = Raw::connect(relay.addresses.work, Sub).await;
    peer.subscribe(format!("{venue}:").as_bytes()).await;
    peer.sync().await;
    peer
}

async fn dealer(relay: &TestRelay) -> Raw {
    Raw::connect(relay.addresses.requests, Dealer).await
}

/// The acknowledgement in the envelope of a DEALER.
async fn ack(client: &mut Raw) -> (FrameHeader, RequestAck) {
    let frames = client.message().await;
    assert_eq!(frames.len(), 2, "route and frame");
    decode(&frames[1])
}

fn decode(frame: &[u8]) -> (FrameHeader, RequestAck) {
    let frame = Frame::decode(&Bytes::copy_from_slice(frame)).unwrap();
    (frame.header, frame.message(Kind::RequestAck).unwrap())
}

fn code(ack: &RequestAck) -> ErrorCode {
    ErrorCode::from_code(ack.error.as_ref().unwrap().code).unwrap()
}

#[tokio::test]
async fn a_request_is_queued_and_every_ingestor_of_the_venue_hears_of_it() {
    let relay = TestRelay::start();
    let (mut a, mut b) = (ingestor(&relay, "SIM").await, ingestor(&relay, "SIM").await);
    let mut other = ingestor(&relay, "KRAKEN").await;
    let mut client = dealer(&relay).await;
    for n in 1..=3 {
        let request = request(u128::from(n), "SIM");
        client.publish(&[b"SIM:", &frame(&request)]).await;
        let (header, ack) = ack(&mut client).await;
        assert_eq!(header.sequence, n, "answers are counted per connection");
        assert_eq!(ack.status, AckStatus::Queued as i32);
        assert_eq!(ack.request_id, request.request_id);
        assert_eq!(ack.notification_topic, format!("HISTORY_READY:{}", request.request_id));
        assert_eq!(ack.error, None);
        for ingestor in [&mut a, &mut b] {
            let frames = ingestor.message().await;
            assert_eq!(frames[0], b"SIM:");
            let work = Frame::decode(&frames[1].clone().into()).unwrap();
            assert_eq!(work.header.sequence, n, "work is counted per venue");
            let item: WorkItem = work.message(Kind::WorkItem).unwrap();
            assert_eq!(item.request.as_ref(), Some(&request));
            assert!(item.accepted_at_ns > 0);
        }
    }
    other.sync().await;
    assert_eq!(relay.observer.outcomes().queued_total.load(Ordering::Relaxed), 3);
}

#[tokio::test]
async fn req_gets_its_delimiter_back_and_dealer_as_it_sent() {
    let relay = TestRelay::start();
    let _ingestor = ingestor(&relay, "SIM").await;
    let body = frame(&request(1, "SIM"));
    let mut req = Raw::connect(relay.addresses.requests, Req).await;
    req.publish(&[b"", b"SIM:", &body]).await;
    let frames = req.message().await;
    assert_eq!((frames.len(), &frames[0][..], &frames[1][..]), (3, &b""[..], &b"SIM:"[..]));
    let mut dealer = dealer(&relay).await;
    dealer.publish(&[b"SIM:", &body]).await;
    let frames = dealer.message().await;
    assert_eq!((frames.len(), &frames[0][..]), (2, &b"SIM:"[..]));
    dealer.publish(&[b"", b"SIM:", &body]).await;
    assert_eq!(dealer.message().await.len(), 3);
}

#[tokio::test]
async fn the_trace_context_goes_with_the_work_and_the_answer() {
    let relay = TestRelay::start();
    let mut ingestor = ingestor(&relay, "SIM").await;
    let mut client = dealer(&relay).await;
    let trace = Some(TraceContext { trace_id: [3; 16], span_id: [4; 8], flags: 1 });
    let header = FrameHeader { trace, ..FrameHeader::new(Kind::HistoryRequest, 1, 1, 0) };
    client.publish(&[b"SIM:", &header.encode(&request(1, "SIM")).unwrap()]).await;
    assert_eq!(ack(&mut client).await.0.trace, trace);
    let work = Frame::decode(&ingestor.message().await[1].clone().into()).unwrap();
    assert_eq!(work.header.trace, trace);
}

#[tokio::test]
async fn a_venue_that_nobody_serves_is_refused_at_once() {
    let relay = TestRelay::start();
    // A longer venue, a market-data-like prefix and the empty prefix serve nobody.
    let mut others = ingestor(&relay, "SIM-X").await;
    for prefix in [&b""[..], b"S", b"SIM:BTC"] {
        others.subscribe(prefix).await;
    }
    others.sync().await;
    assert_eq!(relay.observer.requests().subscriptions_refused_total.load(Ordering::Relaxed), 3);
    let mut client = dealer(&relay).await;
    let begin = Instant::now();
    client.publish(&[b"SIM:", &frame(&request(1, "SIM"))]).await;
    let (_, refused) = ack(&mut client).await;
    let took = begin.elapsed();
    eprintln!("an unserved venue was refused in {:.3} ms", took.as_secs_f64() * 1e3);
    assert_eq!((refused.status, code(&refused)), (AckStatus::NoIngestor as i32, ErrorCode::NoIngestor));
    assert_eq!(refused.request_id, request(1, "SIM").request_id);
    assert!(refused.notification_topic.is_empty());
}

#[tokio::test]
async fn a_venue_is_served_from_the_first_ingestor_to_the_last() {
    let relay = TestRelay::start();
    let mut client = dealer(&relay).await;
    let mut status = async |ingestors: &str| {
        client.publish(&[b"SIM:", &frame(&request(1, "SIM"))]).await;
        let status = ack(&mut client).await.1.status;
        let expected = if ingestors.is_empty() { AckStatus::NoIngestor } else { AckStatus::Queued };
        assert_eq!(status, expected as i32, "with ingestors {ingestors:?}");
    };
    status("").await;
    let mut a = ingestor(&relay, "SIM").await;
    status("a").await;
    let b = ingestor(&relay, "SIM").await;
    a.cancel(b"SIM:").await;
    while a.next().await != crate::raw_peer::Item::Pong(b"x".to_vec()) {
        a.send(b"\x04\x08\x04PING\0\0x").await;
    }
    status("b").await;
    b.reset();
    reaches(&relay.observer.requests().disconnected_total, 1).await;
    status("").await;
}

#[tokio::test]
async fn each_malformed_request_gets_a_typed_answer_and_the_connection_lives_on() {
    let relay = TestRelay::start();
    let mut ingestor = ingestor(&relay, "SIM").await;
    let mut client = dealer(&relay).await;
    let good = frame(&request(1, "SIM"));
    let mut version = good.to_vec();
    version[0] = 2;
    let tick = FrameHeader::new(Kind::Tick, 1, 1, 0).encode(&request(1, "SIM")).unwrap();
    let field = frame(&HistoryRequest { to_ns: 1, ..request(1, "SIM") });
    let long = vec![1; proto::limits::REQUEST_BYTES + 1];
    let cases: [(&[&[u8]], ErrorCode); 9] = [
        (&[b"one frame"], ErrorCode::Malformed),
        (&[b"", b"one frame"], ErrorCode::Malformed),
        (&[b"SIM:", &good, b"three"], ErrorCode::Malformed),
        (&[b"SIM:", &good[..20]], ErrorCode::Malformed),
        (&[b"SIM:", &long], ErrorCode::Malformed),
        (&[b"SIM:", &version], ErrorCode::UnsupportedVersion),
        (&[b"SIM:", &tick], ErrorCode::UnexpectedKind),
        (&[b"SIM:", &field], ErrorCode::InvalidField),
        (&[b"KRAKEN:", &good], ErrorCode::RouteMismatch),
    ];
    for (frames, expected) in cases {
        client.publish(frames).await;
        let answer = client.message().await;
        let (_, ack) = decode(answer.last().unwrap());
        assert_eq!((ack.status, code(&ack)), (AckStatus::Invalid as i32, expected), "{frames:?}");
        assert!(!ack.error.unwrap().message.is_empty());
    }
    client.publish(&[b"SIM:", &good]).await;
    assert_eq!(ack(&mut client).await.1.status, AckStatus::Queued as i32);
    assert_eq!(ingestor.message().await[0], b"SIM:", "only the valid one became work");
    ingestor.sync().await;
    assert_eq!(relay.observer.outcomes().invalid_total.load(Ordering::Relaxed), 9);
}

#[tokio::test]
async fn who_asks_too_often_is_told_when_to_come_back_and_others_are_served() {
    let mut config = config();
    config.quota.requests_per_second = 1;
    config.quota.burst = 3;
    let relay = TestRelay::with(config);
    let mut ingestor = ingestor(&relay, "SIM").await;
    let (mut eager, mut other) = (dealer(&relay).await, dealer(&relay).await);
    let body = frame(&request(1, "SIM"));
    eager.send(&message(&[b"SIM:", &body]).repeat(4)).await;
    for _ in 0..3 {
        assert_eq!(ack(&mut eager).await.1.status, AckStatus::Queued as i32);
    }
    let (_, refused) = ack(&mut eager).await;
    assert_eq!((refused.status, code(&refused)), (AckStatus::OverQuota as i32, ErrorCode::OverQuota));
    assert!((1..=1001).contains(&refused.retry_after_ms), "{}", refused.retry_after_ms);
    assert_eq!(refused.request_id, request(1, "SIM").request_id);
    other.publish(&[b"SIM:", &body]).await;
    assert_eq!(ack(&mut other).await.1.status, AckStatus::Queued as i32);
    for _ in 0..4 {
        ingestor.message().await;
    }
    ingestor.sync().await;
}

#[tokio::test]
async fn the_identity_of_another_steals_no_answer() {
    let relay = TestRelay::start();
    let mut peers = Vec::new();
    for _ in 0..3 {
        peers.push(Raw::speaking(relay.addresses.requests, Dealer, 1, b"same").await);
    }
    for (n, peer) in peers.iter_mut().enumerate() {
        peer.publish(&[b"SIM:", &frame(&request(n as u128, "SIM"))]).await;
    }
    for (n, peer) in peers.iter_mut().enumerate().rev() {
        assert_eq!(ack(peer).await.1.request_id, RequestId::from_bits(n as u128).to_string());
        peer.sync().await;
    }
}
