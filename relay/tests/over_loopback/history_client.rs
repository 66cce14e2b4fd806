//! The example client of docs/protocol, against a relay with an ingestor and a stream that the test plays.

use crate::harness::{TestRelay, endpoint, soon};
use crate::python_peer::Python;
use proto::wire::{HistoryReadyNotification, HistoryStatus, WorkItem};
use proto::{Frame, FrameHeader, Kind};
use zmtp::{PubOptions, PubSocket, SendOutcome, SubOptions, SubSocket, SubscriptionEvent};

fn client(relay: &TestRelay, socket: &str, venue: &str) -> Python {
    let (requests, subscribers) = (endpoint(relay.addresses.requests), endpoint(relay.addresses.subscribers));
    let arguments = [
        "--requests",
        &requests,
        "--subscribers",
        &subscribers,
        "--socket",
        socket,
        "--venue",
        venue,
        "--symbol",
        "BTC/USDT",
        "--interval",
        "60",
        "--from",
        "2024-08-08T00:00:00Z",
        "--to",
        "2024-08-08T01:00:00Z",
        "--timeout",
        "30",
    ];
    Python::run("docs/protocol/examples/history_client.py", &arguments)
}

#[tokio::test]
async fn the_example_client_gets_its_acknowledgement_and_its_notification() {
    let relay = TestRelay::start();
    let ingestor = SubSocket::connect(&endpoint(relay.addresses.work), SubOptions::default()).unwrap();
    ingestor.subscribe(b"SIM:").await.unwrap();
    soon(ingestor.confirm()).await;
    let stream = PubSocket::connect(&endpoint(relay.addresses.publishers), PubOptions::default()).unwrap();
    let mut subscriptions = stream.events();
    for socket in ["REQ", "DEALER"] {
        let mut client = client(&relay, socket, "SIM");
        let work = soon(ingestor.recv()).await;
        let item: WorkItem = Frame::decode(&work[1]).unwrap().message(Kind::WorkItem).unwrap();
        let request = item.request.unwrap();
        assert_eq!((request.symbol.as_str(), request.interval_s), ("BTC/USDT", 60));
        assert_eq!(request.from_ns, 1_723_075_200_000_000_000);
        let id = &request.request_id;
        client.expect(&format!("ack QUEUED HISTORY_READY:{id}")).await;
        // It subscribed before it asked; the subscription is on its way on a connection of its own.
        let topic = SubscriptionEvent::Subscribed(format!("HISTORY_READY:{id}").into());
        while soon(subscriptions.recv()).await.expect("the socket is there") != topic {}
        let notification = HistoryReadyNotification {
            request_id: id.clone(),
            status: HistoryStatus::Ok as i32,
            rows: 60,
            from_ns: request.from_ns,
            to_ns: request.to_ns,
            snapshot_id: -5,
            error: None,
        };
        let frame = FrameHeader::new(Kind::HistoryReadyNotification, 9, 1, 0).encode(&notification).unwrap();
        assert_eq!(stream.send(format!("HISTORY_READY:{id}"), frame), SendOutcome::Sent);
        assert_eq!(client.finish().await, ["ready OK rows=60 snapshot=-5"]);
    }
}

#[tokio::test]
async fn the_example_client_shows_a_refusal() {
    let relay = TestRelay::start();
    for socket in ["REQ", "DEALER"] {
        let mut client = client(&relay, socket, "NOWHERE");
        client.expect("ack NO_INGESTOR NO_INGESTOR venue: no ingestor serves NOWHERE").await;
    }
}
