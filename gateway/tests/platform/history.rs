//! History on demand, with the test in the place of relay, ingestor and stream.

use crate::world::{World, candle, ready_topic, soon, this_minute, until};
use bytes::Bytes;
use proto::wire::{AckStatus, HistoryReadyNotification, HistoryStatus, RequestAck};
use proto::{Frame, FrameHeader, HistoryRequest, Kind, market::Candle, wire};
use serde_json::json;
use std::time::Duration;
use zmtp::PeerKey;

const SERIES: &str = "/api/v1/candles?venue=SIM&symbol=BTC/USDT&interval=60s&limit=10";

/// Takes the next request as the relay does.
pub(crate) async fn request(world: &World) -> (PeerKey, HistoryRequest) {
    let (peer, message) = soon("a request", world.router.recv()).await;
    assert_eq!(message[0], "SIM:");
    let frame = Frame::decode(&message[1]).unwrap();
    let request = frame.message::<wire::HistoryRequest>(Kind::HistoryRequest).unwrap();
    (peer, HistoryRequest::try_from(&request).unwrap())
}

pub(crate) fn acknowledge(world: &World, peer: PeerKey, request: &HistoryRequest, status: AckStatus) {
    let id = request.request_id.to_string();
    let ack = RequestAck { request_id: id.clone(), status: status as i32, retry_after_ms: 20, ..Default::default() };
    let frame = FrameHeader::new(Kind::RequestAck, 1, 1, 0).encode(&ack).unwrap();
    world.router.send(peer, &[Bytes::from_static(b"SIM:"), frame]).unwrap();
}

/// Says that the rows are there, as the stream does.
pub(crate) async fn notify(world: &World, request: &HistoryRequest, status: HistoryStatus) {
    let request_id = request.request_id.to_string();
    let note = HistoryReadyNotification { request_id: request_id.clone(), status: status as i32, ..Default::default() };
    world.publish(&ready_topic(&request_id), Kind::HistoryReadyNotification, &note).await;
}

pub(crate) fn rows(request: &HistoryRequest) -> Vec<Candle> {
    let minute = 60_000_000_000;
    (request.range.from_ns / minute..request.range.to_ns / minute).map(|n| candle(n, 42)).collect()
}

#[tokio::test]
async fn missing_history_is_fetched_and_shown_in_the_same_answer() {
    let world = World::start_with(|config| config.history.wait = Duration::from_secs(9)).await;
    world.store(&[candle(this_minute() - 1, 7)]).await;
    let (answer, asked) = tokio::join!(world.get(SERIES), async {
        let (peer, request) = request(&world).await;
        // The subscription came before the request: the notification cannot be missed.
        assert!(world.fanout.has_subscriber(ready_topic(&request.request_id.to_string())));
        acknowledge(&world, peer, &request, AckStatus::Queued);
        world.store(&rows(&request)).await;
        notify(&world, &request, HistoryStatus::Ok).await;
        request
    });
    assert_eq!(answer.0, 200);
    assert_eq!(answer.1["history"], "complete");
    assert!(answer.1["candles"].as_array().unwrap().len() >= 9, "{}", answer.1);
    assert_eq!(world.get(SERIES).await.1["history"], "complete");
    assert_eq!(world.metric("gateway_history_submitted_total"), 1, "the answer is remembered");
    until("the end of the subscription", || !world.fanout.has_subscriber(ready_topic(&asked.request_id.to_string())))
        .await;
}

#[tokio::test]
async fn equal_wishes_at_one_time_are_one_request() {
    let world = World::start_with(|config| config.history.wait = Duration::from_secs(9)).await;
    let all = futures_util::future::join_all((0..8).map(|_| world.get(SERIES)));
    let (answers, ()) = tokio::join!(all, async {
        let (peer, request) = request(&world).await;
        until("the others", || world.metric("gateway_history_coalesced_total") == 7).await;
        acknowledge(&world, peer, &request, AckStatus::Queued);
        world.store(&rows(&request)).await;
        notify(&world, &request, HistoryStatus::Ok).await;
    });
    assert!(answers.iter().all(|(status, body)| *status == 200 && body["history"] == "complete"), "{answers:?}");
    assert_eq!(world.metric("gateway_history_submitted_total"), 1);
}

#[tokio::test]
async fn a_slow_venue_is_pending_and_its_rows_are_shown_when_they_are_there() {
    let world = World::start().await;
    let (answer, (peer, request)) = tokio::join!(world.get(SERIES), request(&world));
    assert_eq!(answer.1["history"], "pending");
    acknowledge(&world, peer, &request, AckStatus::Queued);
    world.store(&rows(&request)).await;
    notify(&world, &request, HistoryStatus::Ok).await;
    until("the notification", || world.metric("gateway_history_in_flight") == 0).await;
    let (_, body) = world.get(SERIES).await;
    assert_eq!(body["history"], "complete");
    assert!(body["candles"].as_array().unwrap().len() >= 9);
}

#[tokio::test]
async fn a_refusal_is_said_at_once_and_remembered() {
    for status in [AckStatus::NoIngestor, AckStatus::Invalid] {
        let world = World::start_with(|config| config.history.wait = Duration::from_secs(9)).await;
        let (answer, ()) = tokio::join!(world.get(SERIES), async {
            let (peer, request) = request(&world).await;
            acknowledge(&world, peer, &request, status);
        });
        let expected = json!({"venue": "SIM", "symbol": "BTC/USDT", "interval": "60s", "candles": [], "history": "unavailable", "next": null});
        assert_eq!(answer, (200, expected));
        assert_eq!(world.get(SERIES).await.1["history"], "unavailable");
        assert_eq!(world.metric("gateway_history_submitted_total"), 1);
    }
}

#[tokio::test]
async fn over_quota_is_tried_again_and_a_partial_answer_is_shown() {
    let world = World::start_with(|config| config.history.wait = Duration::from_secs(9)).await;
    let (answer, ()) = tokio::join!(world.get(SERIES), async {
        let (peer, first) = request(&world).await;
        acknowledge(&world, peer, &first, AckStatus::OverQuota);
        let (peer, second) = request(&world).await;
        assert_eq!(first, second);
        acknowledge(&world, peer, &second, AckStatus::Queued);
        world.store(&rows(&second)[..3]).await;
        notify(&world, &second, HistoryStatus::Partial).await;
    });
    assert_eq!(answer.1["history"], "unavailable");
    assert_eq!(answer.1["candles"].as_array().unwrap().len(), 3);
}

#[tokio::test]
async fn garbage_on_the_request_port_is_counted_and_changes_nothing() {
    let world = World::start().await;
    let (answer, ()) = tokio::join!(world.get(SERIES), async {
        let (peer, request) = request(&world).await;
        world.router.send(peer, &[Bytes::from_static(b"x")]).unwrap();
        world.router.send(peer, &[Bytes::from_static(b"SIM:"), Bytes::from_static(b"garbage")]).unwrap();
        until("the garbage", || world.metric("gateway_history_rejected_total") == 2).await;
        acknowledge(&world, peer, &request, AckStatus::NoIngestor);
    });
    assert_eq!(answer.0, 200);
}
