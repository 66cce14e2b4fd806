//! Open pages: news across replicas, confirmation, pages that do not read, and informational events.

use super::container::{Container, event_id};
use super::fake_webhook::FakeWebhook;
use super::world::{ALICE, BOB, Setup, eventually};
use bytes::Bytes;
use notifications::{Preferences, SessionEvent, State, SubscribeError, Subscription};
use proto::{EventId, EventKind, EventMessage, FrameHeader, Kind, Severity, Topic, UserEvent, UserId, wire};
use std::time::Duration;
use zmtp::{PubOptions, PubSocket, SubscriptionEvent};

async fn next(page: &mut Subscription) -> SessionEvent {
    tokio::time::timeout(Duration::from_secs(30), page.recv()).await.expect("an event in time").expect("still open")
}

async fn numbers(page: &mut Subscription, count: usize) -> Vec<u64> {
    let mut numbers = Vec::new();
    while numbers.len() < count {
        match next(page).await {
            SessionEvent::Notification(notification) => numbers.push(notification.number),
            other => panic!("{other:?}"),
        }
    }
    numbers
}

pub(crate) async fn a_page_at_another_replica_sees_each_notification_once_and_confirms(setup: &Setup) {
    let fake = FakeWebhook::start([]).await;
    let mut setup = setup.beside("one");
    setup.config.delivery.session_wait = Duration::from_secs(3600);
    let (one, two) = (setup.start().await, setup.beside("two").start().await);
    let preferences = Preferences { webhook_url: Some(fake.url()), ..Preferences::default() };
    one.service.set_preferences(ALICE, preferences).await.unwrap();
    let container = Container::new(ALICE, 1, one.port());
    let (mut here, mut there) =
        (one.service.subscribe(ALICE).await.unwrap(), two.service.subscribe(ALICE).await.unwrap());
    let mut bobs = two.service.subscribe(BOB).await.unwrap();
    container.deliver(1..=40).await;
    let expected: Vec<u64> = (1..=40).collect();
    assert_eq!(numbers(&mut here, 40).await, expected);
    assert_eq!(numbers(&mut there, 40).await, expected);
    // Shown, but nobody has confirmed: pending, and no other channel was asked while there is time.
    assert!(one.all(ALICE).await.iter().all(|listed| listed.state == State::Pending));
    let ids: Vec<EventId> = (1..=40).map(|sequence| event_id(container.outbox, sequence)).collect();
    assert_eq!(two.service.confirm(BOB, &ids).await.unwrap(), 0, "not his to confirm");
    assert_eq!(two.service.confirm(ALICE, &ids).await.unwrap(), 40);
    let list = one.settled(ALICE, 40, State::Delivered).await;
    assert!(list.iter().all(|listed| listed.channel == "session"));
    assert!(fake.taken().is_empty());
    // A page that opens now sees only what is new.
    let mut later = two.service.subscribe(ALICE).await.unwrap();
    container.deliver(41..=41).await;
    assert_eq!(numbers(&mut later, 1).await, [41]);
    let nothing = tokio::time::timeout(Duration::ZERO, bobs.recv()).await;
    assert!(nothing.is_err(), "{nothing:?}");
    drop((here, there, later, bobs));
    one.stop().await;
    two.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_at_another_replica_sees_each_notification_once_over_sqlite() {
    let dir = tempfile::tempdir().unwrap();
    a_page_at_another_replica_sees_each_notification_once_and_confirms(&Setup::sqlite(dir.path())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_that_does_not_confirm_is_followed_by_the_next_channel() {
    let dir = tempfile::tempdir().unwrap();
    let mut setup = Setup::sqlite(dir.path());
    setup.config.delivery.session_wait = Duration::from_millis(200);
    let fake = FakeWebhook::start([]).await;
    let world = setup.start().await;
    let preferences = Preferences { webhook_url: Some(fake.url()), ..Preferences::default() };
    world.service.set_preferences(ALICE, preferences).await.unwrap();
    let _silent = world.service.subscribe(ALICE).await.unwrap();
    let container = Container::new(ALICE, 1, world.port());
    container.deliver(1..=3).await;
    let list = world.settled(ALICE, 3, State::Delivered).await;
    assert!(list.iter().all(|listed| listed.channel == "webhook"));
    let waited = list[0].notification.recorded_at_ns;
    let sent: u64 = fake.taken()[0].json()["data"]["recorded_at_ns"].as_u64().unwrap();
    assert_eq!(sent, waited);
    // Too late: another channel was first.
    assert_eq!(world.service.confirm(ALICE, &[event_id(container.outbox, 1)]).await.unwrap(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_that_does_not_read_is_told_that_it_missed_something_and_holds_up_nobody() {
    let dir = tempfile::tempdir().unwrap();
    let mut setup = Setup::sqlite(dir.path());
    setup.config.sessions.queue_events = 8.try_into().unwrap();
    setup.config.sessions.per_user = 2.try_into().unwrap();
    let world = setup.start().await;
    let mut slow = world.service.subscribe(ALICE).await.unwrap();
    let quick = world.service.subscribe(ALICE).await.unwrap();
    assert!(matches!(world.service.subscribe(ALICE).await, Err(SubscribeError::TooMany { limit: "per_user", .. })));
    drop(quick);
    let container = Container::new(ALICE, 1, world.port());
    container.deliver(1..=50).await;
    eventually("the rest is dropped", || async { world.metric("session_dropped_total") == 42 }).await;
    assert_eq!(numbers(&mut slow, 8).await, (1..=8).collect::<Vec<_>>());
    assert_eq!(next(&mut slow).await, SessionEvent::Missed);
    container.deliver(51..=51).await;
    assert_eq!(numbers(&mut slow, 1).await, [51]);
    assert_eq!(world.metric("sessions"), 1);
    // Erasing ends the session.
    world.service.erase(ALICE).await.unwrap();
    assert_eq!(slow.recv().await, None);
    drop(slow);
    assert_eq!(world.metric("sessions"), 0);
}

fn informational(user: UserId, sequence: u64) -> (String, Bytes) {
    let event = UserEvent {
        event_id: EventId::from_bits(u128::from(sequence)),
        user_id: user,
        kind: EventKind::Message,
        severity: Severity::Informational,
        created_at_ns: 1,
        expires_at_ns: 0,
        payload: Bytes::from(format!("{{\"number\":{sequence}}}")),
    };
    let header = FrameHeader::new(Kind::UserEvent, 1, sequence, 1);
    let topic = Topic::UserEvent(user, EventKind::Message).to_string();
    (topic, header.encode(&wire::UserEvent::from(&EventMessage::Event(event))).unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn informational_events_of_the_own_container_reach_the_page_and_nobody_elses_do() {
    let dir = tempfile::tempdir().unwrap();
    let world = Setup::sqlite(dir.path()).start().await;
    let container = PubSocket::bind("tcp://127.0.0.1:0", PubOptions::default()).await.unwrap();
    let endpoint = format!("tcp://{}", container.local_addr().unwrap());
    let mut subscriptions = container.events();
    let mut page = world.service.subscribe(ALICE).await.unwrap();
    world.service.watch(ALICE, &endpoint).unwrap();
    world.service.watch(ALICE, &endpoint).unwrap();
    assert_eq!(world.metric("watches"), 1);
    let prefix = format!("USER_EVENT:{ALICE}|");
    assert_eq!(subscriptions.recv().await, Some(SubscriptionEvent::Subscribed(prefix.clone().into())));
    let send = |(topic, body): (String, Bytes)| container.send(topic, body);
    // In Alice's name on the topic, in Bob's in the message.
    let (topic, _) = informational(ALICE, 1);
    send((topic, informational(BOB, 1).1));
    send(informational(ALICE, 1));
    // Two are lost on the way.
    send(informational(ALICE, 4));
    for expected in [1, 4] {
        match next(&mut page).await {
            SessionEvent::Informational(event) => {
                assert_eq!((event.user_id, event.event_id), (ALICE, EventId::from_bits(expected)));
            }
            other => panic!("{other:?}"),
        }
    }
    let names = ["informational_total", "informational_refused_total", "informational_missed_total"];
    assert_eq!(names.map(|name| world.metric(name)), [2, 1, 2]);
    world.service.unwatch(ALICE);
    assert_eq!(subscriptions.recv().await, Some(SubscriptionEvent::Unsubscribed(prefix.into())));
    assert!(world.all(ALICE).await.is_empty(), "informational events are not recorded");
    world.stop().await;
}
