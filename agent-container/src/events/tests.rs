//! Delivery on a paused clock with a gateway in memory, and the informational channel over loopback.

use super::channel::Channel;
use super::*;
use bytes::Bytes;
use proto::{EventKind, EventMessage, FrameHeader, Kind, Severity, Topic, TopicPrefix, UserEvent};
use std::collections::VecDeque;
use std::sync::Mutex;
use tokio::sync::{Notify, mpsc, watch};
use tokio::time::Instant;
use user_events::{Decision, Keyring, Opened, Stream, open, seal_ack};
use zmtp::{Multipart, SubOptions, SubSocket};

const USER: UserId = UserId::from_bits(42);
const NOW_NS: u64 = 1_700_000_000_000_000_000;

fn key() -> MacKey {
    MacKey::new(3, &std::array::from_fn(|i| u8::try_from(i).unwrap())).unwrap()
}

fn alert(number: u64) -> NewEvent {
    NewEvent::new(EventKind::Alert, &number).unwrap()
}

/// Both ends of a channel in memory.
#[derive(Debug)]
struct Wire {
    to_gateway: mpsc::UnboundedSender<(Instant, Multipart)>,
    to_container: Mutex<VecDeque<Multipart>>,
    arrived: Notify,
    connected: watch::Sender<bool>,
}

#[derive(Debug, Clone)]
struct InMemory(Arc<Wire>);

impl Channel for InMemory {
    async fn send(&self, frames: Vec<Bytes>) -> bool {
        self.0.to_gateway.send((Instant::now(), frames)).is_ok()
    }

    async fn receive(&self) -> Multipart {
        loop {
            let arrived = self.0.arrived.notified();
            if let Some(frames) = self.0.to_container.lock().unwrap().pop_front() {
                return frames;
            }
            arrived.await;
        }
    }

    fn connected(&self) -> watch::Receiver<bool> {
        self.0.connected.subscribe()
    }
}

/// A container's delivery, and the gateway's end of its channel.
struct Scene {
    outbox: Arc<Outbox>,
    wire: Arc<Wire>,
    received: mpsc::UnboundedReceiver<(Instant, Multipart)>,
    metrics: EventMetrics,
    clock: Clock,
    stream: Stream,
    stop: CancellationToken,
    _dir: tempfile::TempDir,
}

async fn scene() -> Scene {
    let dir = tempfile::tempdir().unwrap();
    let (clock, metrics) = (Clock::manual(NOW_NS), EventMetrics::new(&Metrics::new()));
    let config = EventsConfig::new(dir.path().join("outbox"), "tcp://127.0.0.1:1");
    let outbox = Outbox::open(&config, USER, clock.clone(), metrics.clone()).await.unwrap();
    let (to_gateway, received) = mpsc::unbounded_channel();
    let connected = watch::Sender::new(false);
    let wire = Arc::new(Wire { to_gateway, to_container: Mutex::default(), arrived: Notify::new(), connected });
    let stop = CancellationToken::new();
    let delivery = Delivery::new(&outbox, InMemory(Arc::clone(&wire)), key(), clock.clone(), metrics.clone());
    tokio::spawn(delivery.run(stop.clone()));
    let stream = Stream::new(USER, outbox.outbox_id());
    Scene { outbox, wire, received, metrics, clock, stream, stop, _dir: dir }
}

impl Drop for Scene {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl Scene {
    /// The next message and when it was sent.
    async fn next(&mut self) -> (Instant, Opened) {
        let (at, frames) = self.received.recv().await.unwrap();
        let mut ring = Keyring::default();
        ring.insert(USER, key());
        (at, open(&frames, &ring).unwrap())
    }

    fn send(&self, frames: Multipart) {
        self.wire.to_container.lock().unwrap().push_back(frames);
        self.wire.arrived.notify_one();
    }

    /// Decides, applies and answers as a gateway does.
    fn answer(&mut self, opened: &Opened) -> Decision {
        let decision = self.stream.decide(opened);
        self.stream.apply(Some(opened), &decision);
        let ack = self.stream.ack(opened.message.position().unwrap(), &decision);
        self.send(seal_ack(&key(), FrameHeader::new(Kind::EventAck, 1, 1, 0), &ack).unwrap().into());
        decision
    }

    /// Until here nothing is sent. Time moves while a test waits for the disk, so events are published before.
    fn connect(&self) {
        self.wire.connected.send_replace(true);
    }

    async fn unacked(&self, expected: u64) {
        let mut unacked = self.outbox.watch_unacked();
        unacked.wait_for(|unacked| *unacked == expected).await.unwrap();
    }
}

fn sequence(opened: &Opened) -> u64 {
    opened.message.position().unwrap().sequence
}

fn payload(opened: &Opened) -> &[u8] {
    match &opened.message {
        EventMessage::Event(event) => &event.payload,
        EventMessage::Gap(_) => b"gap",
    }
}

#[tokio::test(start_paused = true)]
async fn an_unacked_event_is_sent_again_after_5_10_20_40_60_and_60_seconds() {
    let mut scene = scene().await;
    scene.outbox.publish(alert(7)).await.unwrap();
    scene.connect();
    let (mut before, first) = scene.next().await;
    assert!(!first.header.possible_duplicate);
    for wait in [5, 10, 20, 40, 60, 60, 60] {
        let (at, again) = scene.next().await;
        let waited = at - before;
        assert!(waited.as_millis().abs_diff(wait * 1000) <= 5, "{waited:?} instead of {wait} s");
        assert!(again.header.possible_duplicate);
        assert_eq!(again.message, first.message, "the same id, the same sequence");
        before = at;
    }
    assert_eq!(scene.answer(&first), Decision::Accept);
    scene.unacked(0).await;
    assert_eq!(scene.metrics.resent.get(), 7);
    assert_eq!(scene.metrics.timeouts.get(), 7);
}

#[tokio::test(start_paused = true)]
async fn a_reconnect_sends_again_at_once() {
    let mut scene = scene().await;
    scene.outbox.publish(alert(7)).await.unwrap();
    scene.connect();
    let (before, _) = scene.next().await;
    scene.wire.connected.send_replace(true);
    let (at, again) = scene.next().await;
    assert!(at - before < Duration::from_secs(1), "{:?}", at - before);
    assert!(again.header.possible_duplicate);
    scene.answer(&again);
    scene.unacked(0).await;
}

#[tokio::test(start_paused = true)]
async fn events_go_out_in_order_and_a_lost_one_is_sent_again_when_asked_for() {
    let mut scene = scene().await;
    for number in 1..=4 {
        scene.outbox.publish(alert(number)).await.unwrap();
    }
    scene.connect();
    let mut opened = Vec::new();
    for expected in 1..=4 {
        let (_, message) = scene.next().await;
        assert_eq!(sequence(&message), expected);
        opened.push(message);
    }
    assert_eq!(scene.answer(&opened[0]), Decision::Accept);
    // The second is lost on the way.
    assert_eq!(scene.answer(&opened[2]), Decision::ResendFrom);
    assert_eq!(scene.answer(&opened[3]), Decision::ResendFrom);
    for expected in 2..=4 {
        let (_, message) = scene.next().await;
        assert_eq!((sequence(&message), scene.answer(&message)), (expected, Decision::Accept));
    }
    scene.unacked(0).await;
    assert_eq!((scene.metrics.sent.get(), scene.metrics.resent.get(), scene.metrics.acked.get()), (4, 3, 4));
}

#[tokio::test(start_paused = true)]
async fn expired_events_become_one_gap_fill_and_the_count_goes_on() {
    let mut scene = scene().await;
    scene.outbox.publish(alert(1)).await.unwrap();
    for number in 2..=4 {
        scene.outbox.publish(alert(number).expires_after(Duration::from_secs(30))).await.unwrap();
    }
    scene.outbox.publish(alert(5).expires_after(Duration::from_secs(300))).await.unwrap();
    scene.clock.set_ns(NOW_NS + 31_000_000_000);
    scene.connect();
    let mut seen = Vec::new();
    while scene.stream.next_sequence() < 6 {
        let (_, message) = scene.next().await;
        let decision = scene.answer(&message);
        seen.push((payload(&message).to_vec(), decision));
    }
    let expected = [
        (b"1".to_vec(), Decision::Accept),
        (b"gap".to_vec(), Decision::Fill { to: 4 }),
        (b"5".to_vec(), Decision::Accept),
    ];
    assert_eq!(seen, expected);
    scene.unacked(0).await;
}

#[tokio::test(start_paused = true)]
async fn acks_that_prove_nothing_change_nothing() {
    let mut scene = scene().await;
    scene.outbox.publish(alert(7)).await.unwrap();
    scene.connect();
    let (_, opened) = scene.next().await;
    let decision = scene.stream.decide(&opened);
    scene.stream.apply(Some(&opened), &decision);
    let ack = scene.stream.ack(opened.message.position().unwrap(), &decision);
    let header = FrameHeader::new(Kind::EventAck, 1, 1, 0);
    let forger = MacKey::new(3, &[7, 8].repeat(16).try_into().unwrap()).unwrap();
    let honest: Multipart = seal_ack(&key(), header, &ack).unwrap().into();
    let foreign = proto::EventAck {
        position: proto::Position { outbox_id: proto::OutboxId::from_bits(9), sequence: 1 },
        ..ack.clone()
    };
    let mut tampered = honest.clone();
    let mut body = tampered[1].to_vec();
    *body.last_mut().unwrap() ^= 1;
    tampered[1] = body.into();
    for bad in [
        honest[..2].to_vec(),
        seal_ack(&forger, header, &ack).unwrap().into(),
        seal_ack(&key(), header, &foreign).unwrap().into(),
        tampered,
    ] {
        scene.send(bad);
    }
    // Acks are read in order: when the honest one has worked, the others have been read.
    let rejected = scene.metrics.rejected.clone();
    while rejected.get() < 4 {
        assert_eq!(scene.outbox.unacked(), 1);
        tokio::task::yield_now().await;
    }
    assert_eq!(scene.outbox.unacked(), 1);
    scene.send(honest);
    scene.unacked(0).await;
}

#[tokio::test]
async fn informational_events_reach_who_listens_and_cost_nothing_otherwise() {
    let (clock, metrics) = (Clock::manual(NOW_NS), EventMetrics::new(&Metrics::new()));
    let socket = PubSocket::bind("tcp://127.0.0.1:0", PubOptions::default()).await.unwrap();
    let informer = Informer::new(socket, USER, clock, metrics.clone());
    let endpoint = format!("tcp://{}", informer.local_addr().unwrap());
    assert_eq!(informer.inform(&alert(1)), Informed::Unheard);
    let subscriber = SubSocket::connect(&endpoint, SubOptions::default()).unwrap();
    let mut connected = subscriber.connected();
    connected.wait_for(|connected| *connected).await.unwrap();
    subscriber.subscribe(TopicPrefix::User(USER).to_string().as_bytes()).await.unwrap();
    subscriber.confirm().await;
    while metrics.subscriptions.get() == 0 {
        tokio::task::yield_now().await;
    }
    for number in 2..=3 {
        assert_eq!(informer.inform(&alert(number)), Informed::Sent);
        let frames = subscriber.recv().await;
        assert_eq!(frames[0], Topic::UserEvent(USER, EventKind::Alert).to_string());
        let frame = proto::Frame::decode(&frames[1]).unwrap();
        assert_eq!(frame.header.sequence, number - 1, "without holes, also behind what nobody heard");
        let message: proto::wire::UserEvent = frame.message(Kind::UserEvent).unwrap();
        let EventMessage::Event(event) = EventMessage::try_from(message).unwrap() else { panic!("a gap fill") };
        let UserEvent { user_id, severity, payload, .. } = event;
        assert_eq!((user_id, severity, payload), (USER, Severity::Informational, Bytes::from(number.to_string())));
    }
    drop(subscriber);
    while metrics.subscriptions.get() == 1 {
        tokio::task::yield_now().await;
    }
    assert_eq!(informer.inform(&alert(4)), Informed::Unheard);
    assert_eq!((metrics.informed.get(), metrics.unheard.get(), metrics.dropped.get()), (2, 2, 0));
}

#[tokio::test(start_paused = true)]
async fn a_refusal_of_the_gateway_is_counted_and_the_rest_goes_on() {
    let mut scene = scene().await;
    scene.outbox.publish(alert(1)).await.unwrap();
    scene.outbox.publish(alert(2)).await.unwrap();
    scene.connect();
    let (_, first) = scene.next().await;
    let (_, second) = scene.next().await;
    let position = first.message.position().unwrap();
    let decision = scene.stream.decide_invalid(position, &proto::EventError::Field("payload"));
    scene.stream.apply(None, &decision);
    let ack = scene.stream.ack(position, &decision);
    scene.send(seal_ack(&key(), FrameHeader::new(Kind::EventAck, 1, 1, 0), &ack).unwrap().into());
    scene.unacked(1).await;
    assert_eq!(scene.metrics.refused.get(), 1);
    assert_eq!(scene.answer(&second), Decision::Accept);
    scene.unacked(0).await;
}
