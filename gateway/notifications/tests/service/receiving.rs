//! What the receiver takes, what it refuses and for which reason, over one database and over two replicas.

use super::container::{Container, Sent, event, event_id, seal};
use super::world::{ALICE, BOB, Setup, World, eventually, key_of};
use bytes::Bytes;
use notifications::{Listed, NewNotification};
use proto::{EventId, EventKind, EventMessage, EventOutcome, FrameHeader, Kind, Position, Severity, wire};
use user_events::{MacKey, seal_event};
use zmtp::{DealerOptions, DealerSocket};

fn sequences(list: &[Listed]) -> Vec<u64> {
    list.iter().map(|listed| listed.notification.position.map_or(0, |position| position.sequence)).collect()
}

fn refused(outcome: &EventOutcome) -> &str {
    match outcome {
        EventOutcome::Refused(error) => &error.field,
        other => panic!("{other:?} is no refusal"),
    }
}

pub(crate) async fn events_are_recorded_once_and_in_order(setup: &Setup) {
    let world = setup.start().await;
    let container = Container::new(ALICE, 1, world.port());
    container.deliver(1..=300).await;
    // What comes before its turn is asked for again.
    let (outcome, next) = container.ask(&container.event(302), Sent::First).await;
    assert_eq!((outcome, next), (EventOutcome::ResendFrom, 301));
    // What was there is acked again, and takes no effect.
    let (outcome, next) = container.ask(&container.event(300), Sent::Again).await;
    assert_eq!((outcome, next), (EventOutcome::Duplicate, 301));
    container.send_gap(301, 310, Sent::First).await;
    assert_eq!(container.ack().await.next_sequence, 311);
    container.deliver(311..=320).await;
    let list = world.all(ALICE).await;
    let expected: Vec<u64> = (1..=300).chain(311..=320).collect();
    assert_eq!(sequences(&list), expected);
    for listed in &list {
        let notification = &listed.notification;
        let sequence = notification.position.unwrap().sequence;
        assert_eq!(notification.event_id, event_id(container.outbox, sequence));
        assert_eq!(notification.payload, format!("{{\"number\":{sequence}}}"));
        assert_eq!((notification.kind, listed.read), (EventKind::OrderFilled, false));
    }
    assert!(world.all(BOB).await.is_empty());
    let counted = ["recorded_total", "duplicate_total", "resend_total", "filled_total"].map(|name| world.metric(name));
    assert_eq!(counted, [310, 1, 1, 1]);
    assert_eq!(world.metric("received_total"), 313);
    world.stop().await;
}

pub(crate) async fn a_restart_knows_what_was_there(setup: &Setup) {
    let world = setup.start().await;
    let container = Container::new(ALICE, 1, world.port());
    // More than a receiver remembers, so that the oldest cannot be compared any more.
    container.deliver(1..=2060).await;
    world.stop().await;
    let world = setup.start().await;
    let container = Container::new(ALICE, 1, world.port());
    for (sequence, sent, field) in [(2060, Sent::First, "sequence"), (12, Sent::Again, "sequence")] {
        let (outcome, next) = container.ask(&container.event(sequence), sent).await;
        assert_eq!((refused(&outcome), next), (field, 2061), "{sequence}");
    }
    for sequence in [13, 2060] {
        let (outcome, _) = container.ask(&container.event(sequence), Sent::Again).await;
        assert_eq!(outcome, EventOutcome::Duplicate, "{sequence}");
    }
    // The outbox went back in time: another event under a used sequence.
    let other = proto::UserEvent { event_id: EventId::from_bits(99), ..event(ALICE, container.outbox, 2060) };
    let (outcome, _) = container.ask(&EventMessage::Event(other), Sent::Again).await;
    assert_eq!(refused(&outcome), "event_id");
    container.deliver(2061..=2061).await;
    assert_eq!(world.all(ALICE).await.len(), 2061);
    world.stop().await;
}

pub(crate) async fn a_new_outbox_starts_at_one_and_an_old_one_stays_where_it_was(setup: &Setup) {
    let world = setup.start().await;
    let old = Container::new(ALICE, 1, world.port());
    old.deliver(1..=5).await;
    let new = Container::new(ALICE, 2, world.port());
    new.deliver(1..=3).await;
    let (outcome, next) = old.ask(&old.event(1), Sent::First).await;
    assert_eq!((refused(&outcome), next), ("sequence", 6));
    // The same event copied into the new outbox: its place is taken, but it is not told twice.
    let copied = proto::UserEvent {
        event_id: event_id(old.outbox, 5),
        severity: Severity::Critical(Position { outbox_id: new.outbox, sequence: 4 }),
        ..event(ALICE, new.outbox, 4)
    };
    let (outcome, next) = new.ask(&EventMessage::Event(copied), Sent::First).await;
    assert_eq!((outcome, next), (EventOutcome::Accepted, 5));
    assert_eq!(world.all(ALICE).await.len(), 8);
    assert_eq!(world.metric("repeated_total"), 1);
    world.stop().await;
}

pub(crate) async fn two_replicas_over_one_store_record_each_event_once(setup: &Setup) {
    let (one, two) = (setup.start().await, setup.beside("two").start().await);
    let (left, right) = (Container::new(ALICE, 1, one.port()), Container::new(ALICE, 1, two.port()));
    // Both have the stream in memory, and it moves on behind the back of each.
    left.deliver(1..=20).await;
    let (outcome, _) = right.ask(&right.event(20), Sent::Again).await;
    assert_eq!(outcome, EventOutcome::Duplicate);
    for first in (21..100).step_by(20) {
        left.deliver(first..=first + 9).await;
        right.deliver(first + 10..=first + 19).await;
    }
    // The same events to both at once: one records each, the other finds it recorded.
    for sequence in 101..=200 {
        let message = left.event(sequence);
        tokio::join!(left.send(&message, Sent::Again), right.send(&message, Sent::Again));
    }
    for container in [&left, &right] {
        while container.ack().await.next_sequence < 201 {
            container.send(&container.event(200), Sent::Again).await;
        }
    }
    let list = one.all(ALICE).await;
    assert_eq!(sequences(&list), (1..=200).collect::<Vec<_>>());
    let numbers: Vec<u64> = list.iter().map(|listed| listed.notification.number).collect();
    assert_eq!(numbers, (1..=200).collect::<Vec<_>>());
    assert_eq!(one.metric("recorded_total") + two.metric("recorded_total"), 200);
    assert!(one.metric("batch_conflicts_total") + two.metric("batch_conflicts_total") > 0);
    one.stop().await;
    two.stop().await;
}

async fn forged(world: &World, attacker: &DealerSocket, frames: Vec<Bytes>, reason: &str) {
    let name = format!("refused_total{{reason=\"{reason}\"}}");
    let before = world.metric(&name);
    attacker.send(frames).await.unwrap();
    eventually(reason, || async { world.metric(&name) == before + 1 }).await;
}

pub(crate) async fn forgers_change_nothing_and_each_is_counted_by_its_reason(setup: &Setup) {
    let world = setup.start().await;
    let container = Container::new(ALICE, 1, world.port());
    container.deliver(1..=3).await;
    let endpoint = format!("tcp://127.0.0.1:{}", world.port());
    let attacker = DealerSocket::connect(&endpoint, DealerOptions::default()).unwrap();
    let genuine = || Vec::from(seal(&container.key, &container.event(4), Sent::First));
    let with = |change: fn(&mut Vec<Bytes>)| {
        let mut frames = genuine();
        change(&mut frames);
        frames
    };
    // Another container's key, in this user's name: Bob's has the same number.
    let stolen = Vec::from(seal(&key_of(BOB, 7), &container.event(4), Sent::First));
    forged(&world, &attacker, stolen, "Mac").await;
    let unknown = MacKey::new(8, &[1, 2].repeat(16).try_into().unwrap()).unwrap();
    let unknown = Vec::from(seal(&unknown, &container.event(4), Sent::First));
    forged(&world, &attacker, unknown, "UnknownKey").await;
    let relabelled = with(|frames| frames[0] = Bytes::from(format!("USER_EVENT:{BOB}|order_filled")));
    forged(&world, &attacker, relabelled, "Mac").await;
    let flipped = with(|frames| {
        let mut body = frames[1].to_vec();
        *body.last_mut().unwrap() ^= 1;
        frames[1] = body.into();
    });
    forged(&world, &attacker, flipped, "Mac").await;
    // Bob's key and Bob's name on the route, Alice's name in the message.
    let header = FrameHeader::new(Kind::UserEvent, 1, 4, 1);
    let mut theirs = wire::UserEvent::from(&container.event(4));
    let body = header.encode(&theirs).unwrap();
    let bobs = EventMessage::Event(event(BOB, container.outbox, 4));
    forged(&world, &attacker, seal_event(&key_of(BOB, 7), &bobs, body).into(), "Mismatch").await;
    theirs.severity = 1;
    theirs.sequence = 0;
    theirs.outbox_id = String::new();
    let header = FrameHeader::new(Kind::UserEvent, 1, 0, 1);
    let body = header.encode(&theirs).unwrap();
    let informational = seal_event(&container.key, &container.event(4), body);
    forged(&world, &attacker, informational.into(), "Mismatch").await;
    forged(&world, &attacker, with(|frames| drop(frames.pop())), "Frames").await;
    forged(&world, &attacker, with(|frames| frames[0] = Bytes::from_static(b"EVENT_ACK:x")), "Route").await;
    forged(&world, &attacker, with(|frames| frames[0] = vec![b'x'; 4096].into()), "Route").await;
    forged(&world, &attacker, with(|frames| frames[2] = Bytes::from_static(b"short")), "Seal").await;
    // Recorded on the wire and sent again, by somebody else: it is authentic, and it is refused.
    let replayed = seal(&container.key, &container.event(2), Sent::First);
    forged(&world, &attacker, replayed.into(), "Replayed").await;
    container.deliver(4..=4).await;
    assert_eq!(sequences(&world.all(ALICE).await), [1, 2, 3, 4]);
    assert!(world.all(BOB).await.is_empty());
    world.stop().await;
}

pub(crate) async fn what_is_sealed_but_not_valid_is_recorded_as_refused_and_passed(setup: &Setup) {
    let world = setup.start().await;
    let container = Container::new(ALICE, 1, world.port());
    let broken = proto::UserEvent { payload: Bytes::from_static(b"{no json"), ..event(ALICE, container.outbox, 1) };
    let (outcome, next) = container.ask(&EventMessage::Event(broken), Sent::First).await;
    assert_eq!((refused(&outcome), next), ("payload", 2));
    // Bytes that are no text inside a JSON string: JSON to the letter of its grammar, shown as nothing.
    let odd = proto::UserEvent { payload: Bytes::from_static(b"\"\xff\""), ..event(ALICE, container.outbox, 2) };
    container.send(&EventMessage::Event(odd), Sent::First).await;
    assert_eq!(container.ack().await.next_sequence, 3);
    assert_eq!(world.metric("invalid_total"), 1);
    world.stop().await;
}

pub(crate) async fn a_withdrawn_key_is_refused_and_a_new_one_taken(setup: &Setup) {
    let world = setup.start().await;
    let container = Container::new(ALICE, 1, world.port());
    container.deliver(1..=2).await;
    setup.keys.give(ALICE, key_of(ALICE, 8));
    let changed = Container { key: key_of(ALICE, 8), ..Container::new(ALICE, 1, world.port()) };
    changed.deliver(3..=4).await;
    setup.keys.withdraw(ALICE, 7);
    world.service.keys_changed(ALICE);
    let frames = seal(&container.key, &container.event(5), Sent::First);
    forged(&world, &container.socket, frames.into(), "UnknownKey").await;
    changed.deliver(5..=5).await;
    assert_eq!(world.all(ALICE).await.len(), 5);
    world.stop().await;
}

pub(crate) async fn the_platform_tells_once_however_often_it_says_so(setup: &Setup) {
    let world = setup.start().await;
    let new = NewNotification {
        user_id: BOB,
        event_id: EventId::from_bits(77),
        kind: EventKind::Alert,
        created_at_ns: 5,
        expires_at_ns: 0,
        payload: Bytes::from_static(br#"{"text":"BTC fell 3 %"}"#),
    };
    for _ in 0..3 {
        assert_eq!(world.service.publish(new.clone()).await.unwrap(), new.event_id);
    }
    let list = world.all(BOB).await;
    assert_eq!(list.len(), 1);
    assert_eq!(list[0].notification.text(), "BTC fell 3 %");
    assert_eq!(list[0].notification.position, None);
    let broken = NewNotification { payload: Bytes::from_static(b"{"), ..new.clone() };
    assert!(world.service.publish(broken).await.is_err());
    let gap = NewNotification { kind: EventKind::GapFill, ..new };
    assert!(world.service.publish(gap).await.is_err());
    world.stop().await;
}

pub(crate) async fn a_user_sees_marks_exports_and_erases_only_what_is_his(setup: &Setup) {
    let world = setup.start().await;
    let (alice, bob) = (Container::new(ALICE, 1, world.port()), Container::new(BOB, 2, world.port()));
    alice.deliver(1..=450).await;
    bob.deliver(1..=3).await;
    let service = &world.service;
    assert_eq!((service.unread(ALICE).await.unwrap(), service.unread(BOB).await.unwrap()), (450, 3));
    service.mark_read(ALICE, 440).await.unwrap();
    // Backwards, and beyond what there is: nothing changes.
    service.mark_read(ALICE, 10).await.unwrap();
    service.mark_read(ALICE, 100_000).await.unwrap();
    assert_eq!((service.unread(ALICE).await.unwrap(), service.unread(BOB).await.unwrap()), (10, 3));
    let newest = service.list(ALICE, None, 1000).await.unwrap();
    assert_eq!((newest.len(), newest[0].read, newest[199].read), (200, false, true));
    let mut items = Vec::new();
    let mut after = None;
    loop {
        let part = service.export(ALICE, after, 200).await.unwrap();
        items.extend(part.items);
        after = part.next;
        if after.is_none() {
            break;
        }
    }
    let of_type = |kind: &str| items.iter().filter(|item| item["type"] == kind).count();
    assert_eq!((of_type("notification"), of_type("stream"), of_type("preferences")), (450, 1, 1));
    assert!(!serde_json::to_string(&items).unwrap().contains(&BOB.to_string()));
    // Bob's ids mean nothing when Alice confirms them.
    assert_eq!(service.confirm(ALICE, &[event_id(bob.outbox, 1)]).await.unwrap(), 0);
    let erased = service.erase(ALICE).await.unwrap();
    assert_eq!((erased.before.notifications, erased.before.streams, erased.before.inboxes), (450, 1, 1));
    assert!(erased.after.is_empty(), "{erased:?}");
    assert!(world.all(ALICE).await.is_empty());
    assert_eq!(world.all(BOB).await.len(), 3);
    world.stop().await;
}

macro_rules! over_sqlite {
    ($($scenario:ident),+ $(,)?) => {
        mod over_sqlite {
            use super::Setup;

            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $scenario() {
                    let dir = tempfile::tempdir().unwrap();
                    super::$scenario(&Setup::sqlite(dir.path())).await;
                }
            )+
        }
    };
}

over_sqlite!(
    events_are_recorded_once_and_in_order,
    a_restart_knows_what_was_there,
    a_new_outbox_starts_at_one_and_an_old_one_stays_where_it_was,
    two_replicas_over_one_store_record_each_event_once,
    forgers_change_nothing_and_each_is_counted_by_its_reason,
    what_is_sealed_but_not_valid_is_recorded_as_refused_and_passed,
    a_withdrawn_key_is_refused_and_a_new_one_taken,
    the_platform_tells_once_however_often_it_says_so,
    a_user_sees_marks_exports_and_erases_only_what_is_his,
);
