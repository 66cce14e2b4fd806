//! Peers of the `zeromq` crate, which speaks ZMTP 3.0 and takes the link down for a command it does not expect.

use crate::harness::{TestRelay, endpoint, soon};
use crate::raw_peer::{Item, Raw};
use crate::requests::request;
use proto::wire::RequestAck;
use proto::{Frame, FrameHeader, Kind};
use std::net::SocketAddr;
use std::time::Duration;
use zeromq::{DealerSocket, PubSocket, ReqSocket, Socket, SocketRecv, SocketSend, SubSocket, XPubSocket, ZmqMessage};
use zmtp::SocketType::{Pub, Sub};

async fn connected<S: Socket>(address: SocketAddr) -> S {
    let mut socket = S::new();
    soon(socket.connect(&endpoint(address))).await.unwrap();
    socket
}

fn message(frames: &[&[u8]]) -> ZmqMessage {
    let frames: Vec<bytes::Bytes> = frames.iter().map(|frame| bytes::Bytes::copy_from_slice(frame)).collect();
    frames.try_into().unwrap()
}

async fn received(socket: &mut impl SocketRecv) -> Vec<Vec<u8>> {
    soon(socket.recv()).await.unwrap().into_vec().iter().map(|frame| frame.to_vec()).collect()
}

async fn subscriber(relay: &TestRelay, topic: &str) -> SubSocket {
    let mut socket: SubSocket = connected(relay.addresses.subscribers).await;
    soon(socket.subscribe(topic)).await.unwrap();
    socket
}

/// A publisher that has heard of one subscription.
async fn publisher(relay: &TestRelay, topic: &[u8]) -> Raw {
    let mut publisher = Raw::connect(relay.addresses.publishers, Pub).await;
    assert_eq!(publisher.next().await, Item::Subscribe(topic.to_vec()));
    publisher
}

#[tokio::test]
async fn its_sub_is_fed_and_its_cancellation_goes_upstream() {
    let relay = TestRelay::start();
    let mut socket = subscriber(&relay, "X").await;
    let mut publisher = publisher(&relay, b"X").await;
    publisher.publish(&[b"X1", b"one"]).await;
    assert_eq!(received(&mut socket).await, [b"X1".to_vec(), b"one".to_vec()]);
    soon(socket.unsubscribe("X")).await.unwrap();
    assert_eq!(publisher.next().await, Item::Cancel(b"X".to_vec()));
}

#[tokio::test]
async fn when_a_unsubscribes_b_is_still_fed_and_the_last_is_cancelled_upstream() {
    let relay = TestRelay::start();
    let (mut a, mut b) = (subscriber(&relay, "X").await, subscriber(&relay, "X").await);
    let mut publisher = publisher(&relay, b"X").await;
    // Both have it when both have had a message of it; until then it is sent again.
    let mut ticks = tokio::time::interval(Duration::from_millis(10));
    for socket in [&mut a, &mut b] {
        let fed = async {
            loop {
                publisher.publish(&[b"X", b"0"]).await;
                tokio::select! {
                    biased;
                    message = socket.recv() => return message.unwrap(),
                    _ = ticks.tick() => {}
                }
            }
        };
        soon(fed).await;
    }
    soon(a.unsubscribe("X")).await.unwrap();
    // What is sent when A's cancellation may be on its way reaches B; and the relay takes it for B's only when A is gone.
    drop(a);
    publisher.publish(&[b"X", b"still"]).await;
    while received(&mut b).await[1] != b"still" {}
    drop(b);
    while publisher.next().await != Item::Cancel(b"X".to_vec()) {}
}

#[tokio::test]
async fn its_pub_learns_what_is_subscribed_and_feeds_it() {
    let relay = TestRelay::start();
    let mut socket = Raw::connect(relay.addresses.subscribers, Sub).await;
    socket.subscribe(b"X").await;
    socket.sync().await;
    let mut late: PubSocket = connected(relay.addresses.publishers).await;
    let mut ticks = tokio::time::interval(Duration::from_millis(10));
    let fed = async {
        loop {
            soon(late.send(message(&[b"X", b"late"]))).await.unwrap();
            tokio::select! {
                frames = socket.message() => return frames,
                _ = ticks.tick() => {}
            }
        }
    };
    assert_eq!(soon(fed).await, [b"X".to_vec(), b"late".to_vec()]);
}

#[tokio::test]
async fn its_xpub_hears_of_the_first_subscription_and_of_the_end_of_the_last() {
    let relay = TestRelay::start();
    let mut upstream: XPubSocket = connected(relay.addresses.publishers).await;
    let mut socket = Raw::connect(relay.addresses.subscribers, Sub).await;
    socket.subscribe(b"X").await;
    assert_eq!(received(&mut upstream).await, [b"\x01X".to_vec()]);
    socket.reset();
    assert_eq!(received(&mut upstream).await, [b"\0X".to_vec()]);
}

#[tokio::test]
async fn its_req_and_dealer_are_answered() {
    fn ask(number: u128) -> Vec<u8> {
        FrameHeader::new(Kind::HistoryRequest, 7, 1, 0).encode(&request(number, "SIM")).unwrap().to_vec()
    }
    fn id(frame: &[u8]) -> String {
        let frame = Frame::decode(&bytes::Bytes::copy_from_slice(frame)).unwrap();
        frame.message::<RequestAck>(Kind::RequestAck).unwrap().request_id
    }
    let relay = TestRelay::start();
    let mut req: ReqSocket = connected(relay.addresses.requests).await;
    let mut dealer: DealerSocket = connected(relay.addresses.requests).await;
    soon(dealer.send(message(&[b"SIM:", &ask(1)]))).await.unwrap();
    soon(req.send(message(&[b"SIM:", &ask(2)]))).await.unwrap();
    let (one, two) = (received(&mut dealer).await, received(&mut req).await);
    assert_eq!((&one[0][..], id(&one[1])), (&b"SIM:"[..], request(1, "SIM").request_id));
    assert_eq!((&two[0][..], id(&two[1])), (&b"SIM:"[..], request(2, "SIM").request_id));
}

#[tokio::test]
async fn a_sub_of_it_that_ends_does_not_disturb_another() {
    let relay = TestRelay::start();
    let mut healthy = subscriber(&relay, "X").await;
    let mut publisher = publisher(&relay, b"X").await;
    for round in 0..20u8 {
        drop(subscriber(&relay, "X").await);
        publisher.publish(&[b"X", &[round]]).await;
        assert_eq!(received(&mut healthy).await[1], [round]);
    }
}
