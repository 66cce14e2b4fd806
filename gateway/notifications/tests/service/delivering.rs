//! Delivery by preference: fallbacks, retries, dead letters, replicas, webhooks that misbehave.

use super::container::{Container, Sent, event_id};
use super::fake_webhook::{Behaviour, FakeWebhook};
use super::world::{ALICE, BOB, Setup, World, eventually};
use async_trait::async_trait;
use notifications::{
    Channel, ChannelKind, Delivery, Notification, PreferenceError, Preferences, QuietHours, SetPreferencesError, State,
    WebhookTargets,
};
use proto::{EventId, UserId};
use secrecy::ExposeSecret;
use service::clock::Clock;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// A channel that answers by script and remembers what it was given.
#[derive(Debug)]
struct Scripted {
    kind: ChannelKind,
    /// Then it takes everything.
    script: Mutex<VecDeque<Delivery>>,
    given: Mutex<Vec<(UserId, u64, EventId)>>,
}

const LATER: Delivery = Delivery::TryLater { after: None };

impl Scripted {
    fn new(kind: ChannelKind, script: impl IntoIterator<Item = Delivery>) -> Arc<Self> {
        let script = Mutex::new(script.into_iter().collect());
        Arc::new(Self { kind, script, given: Mutex::default() })
    }

    fn numbers(&self, user: UserId) -> Vec<u64> {
        self.given.lock().unwrap().iter().filter(|(of, ..)| *of == user).map(|(_, number, _)| *number).collect()
    }
}

#[async_trait]
impl Channel for Scripted {
    fn kind(&self) -> ChannelKind {
        self.kind
    }

    async fn deliver(&self, user_id: UserId, notification: &Notification) -> Delivery {
        assert_eq!(user_id, notification.user_id);
        self.given.lock().unwrap().push((user_id, notification.number, notification.event_id));
        self.script.lock().unwrap().pop_front().unwrap_or(Delivery::Delivered)
    }
}

fn with(setup: &Setup, channels: Vec<Arc<dyn Channel>>) -> Setup {
    Setup { channels, ..setup.beside("one") }
}

async fn prefer(world: &World, user: UserId, preferences: Preferences) -> Option<String> {
    let secret = world.service.set_preferences(user, preferences).await.unwrap();
    secret.map(|secret| secret.expose_secret().to_owned())
}

fn webhook_only(fake: &FakeWebhook) -> Preferences {
    Preferences { webhook_url: Some(fake.url()), ..Preferences::default() }
}

fn channel_of(world: &World, channel: &str, outcome: &str) -> u64 {
    world.metric(&format!("attempts_total{{channel=\"{channel}\",outcome=\"{outcome}\"}}"))
}

pub(crate) async fn a_failed_channel_hands_on_to_the_next_and_is_tried_again(setup: &Setup) {
    let telegram = Scripted::new(ChannelKind::Telegram, [LATER, Delivery::Gone]);
    let fake = FakeWebhook::start([Behaviour::Status(204), Behaviour::Status(500)]).await;
    let world = with(setup, vec![telegram.clone()]).start().await;
    prefer(&world, ALICE, webhook_only(&fake)).await;
    let container = Container::new(ALICE, 1, world.port());
    container.deliver(1..=1).await;
    let list = world.settled(ALICE, 1, State::Delivered).await;
    assert_eq!((list[0].channel.as_str(), telegram.numbers(ALICE)), ("webhook", vec![1]));
    // Telegram cannot reach her, and the webhook fails: both are asked again later.
    container.deliver(2..=2).await;
    let list = world.settled(ALICE, 2, State::Delivered).await;
    assert_eq!((list[1].channel.as_str(), telegram.numbers(ALICE)), ("telegram", vec![1, 2, 2]));
    assert_eq!(world.metric("retried_total"), 1);
    let counted = [("Telegram", "TryLater"), ("Telegram", "Gone"), ("Telegram", "Delivered"), ("Webhook", "TryLater")];
    for (channel, outcome) in counted {
        assert_eq!(channel_of(&world, channel, outcome), 1, "{channel} {outcome}");
    }
    world.stop().await;
}

pub(crate) async fn what_no_channel_takes_is_given_up_and_can_be_queued_again(setup: &Setup) {
    let telegram = Scripted::new(ChannelKind::Telegram, vec![LATER; 4]);
    let mut setup = with(setup, vec![telegram.clone()]);
    setup.config.delivery.attempts = 4.try_into().unwrap();
    let world = setup.start().await;
    let container = Container::new(ALICE, 1, world.port());
    container.deliver(1..=1).await;
    world.settled(ALICE, 1, State::Dead).await;
    assert_eq!(telegram.numbers(ALICE), [1; 4]);
    assert_eq!(world.metric("dead_total{reason=\"Attempts\"}"), 1);
    // Nobody else's dead letters.
    assert_eq!(world.service.requeue_dead(BOB).await.unwrap(), 0);
    assert_eq!(world.service.requeue_dead(ALICE).await.unwrap(), 1);
    world.settled(ALICE, 1, State::Delivered).await;
    assert_eq!(telegram.numbers(ALICE), [1; 5]);
    world.stop().await;
}

pub(crate) async fn two_replicas_deliver_each_notification_once_and_in_order(setup: &Setup) {
    let telegram = Scripted::new(ChannelKind::Telegram, []);
    let setup = with(setup, vec![telegram.clone()]);
    let (one, two) = (setup.start().await, setup.beside("two").start().await);
    let (alice, bob) = (Container::new(ALICE, 1, one.port()), Container::new(BOB, 2, two.port()));
    for first in (1..=200).step_by(20) {
        tokio::join!(alice.deliver(first..=first + 19), bob.deliver(first..=first + 19));
    }
    for user in [ALICE, BOB] {
        one.settled(user, 200, State::Delivered).await;
        assert_eq!(telegram.numbers(user), (1..=200).collect::<Vec<_>>());
    }
    one.stop().await;
    two.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failed_channel_hands_on_to_the_next_over_sqlite() {
    let dir = tempfile::tempdir().unwrap();
    a_failed_channel_hands_on_to_the_next_and_is_tried_again(&Setup::sqlite(dir.path())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_no_channel_takes_is_given_up_over_sqlite() {
    let dir = tempfile::tempdir().unwrap();
    what_no_channel_takes_is_given_up_and_can_be_queued_again(&Setup::sqlite(dir.path())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_replicas_deliver_each_notification_once_over_sqlite() {
    let dir = tempfile::tempdir().unwrap();
    two_replicas_deliver_each_notification_once_and_in_order(&Setup::sqlite(dir.path())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_webhook_that_stalls_cuts_and_fails_is_tried_again_with_the_same_id_and_a_valid_signature() {
    let dir = tempfile::tempdir().unwrap();
    let mut setup = Setup::sqlite(dir.path());
    setup.config.delivery.attempt_timeout = Duration::from_millis(300);
    let elsewhere = FakeWebhook::start([]).await;
    let script = [
        Behaviour::Stall,
        Behaviour::Cut,
        Behaviour::Status(503),
        Behaviour::RetryAfter(0),
        Behaviour::Redirect(elsewhere.url()),
        Behaviour::Status(400),
    ];
    let fake = FakeWebhook::start(script).await;
    let world = setup.start().await;
    let secret = prefer(&world, ALICE, webhook_only(&fake)).await.expect("a new address has a new secret");
    let container = Container::new(ALICE, 1, world.port());
    container.deliver(1..=1).await;
    let list = world.settled(ALICE, 1, State::Delivered).await;
    assert_eq!(list[0].channel, "webhook");
    let taken = fake.taken();
    assert_eq!(taken.len(), 7);
    for taken in &taken {
        assert_eq!(taken.id, event_id(container.outbox, 1).to_string());
        assert!(taken.is_signed_with(&secret));
        assert_eq!(taken.json()["data"]["payload"]["number"], 1);
    }
    assert!(elsewhere.taken().is_empty(), "a redirect was followed");
    assert_eq!((channel_of(&world, "Webhook", "Timeout"), channel_of(&world, "Webhook", "TryLater")), (1, 5));
    // The same address keeps its secret, another one gets another.
    assert_eq!(prefer(&world, ALICE, webhook_only(&fake)).await, None);
    let other = prefer(&world, ALICE, webhook_only(&elsewhere)).await.unwrap();
    assert_ne!(other, secret);
    let shown = format!("{:?}", world.service.export(ALICE, None, 10).await.unwrap());
    assert!(!shown.contains("whsec_"), "{shown}");
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_webhook_in_our_own_network_is_never_called() {
    let dir = tempfile::tempdir().unwrap();
    let mut setup = Setup::sqlite(dir.path());
    let fake = FakeWebhook::start([]).await;
    let world = setup.start().await;
    prefer(&world, ALICE, webhook_only(&fake)).await;
    world.stop().await;
    // It was stored while that was allowed; now it is not.
    setup.config.webhook.targets = WebhookTargets::Public;
    let world = setup.start().await;
    let container = Container::new(ALICE, 1, world.port());
    container.deliver(1..=1).await;
    world.settled(ALICE, 1, State::Kept).await;
    assert_eq!(channel_of(&world, "Webhook", "Gone"), 1);
    assert!(fake.taken().is_empty());
    let refused = world.service.set_preferences(ALICE, webhook_only(&fake)).await.unwrap_err();
    assert!(matches!(refused, SetPreferencesError::Invalid(PreferenceError::Webhook(_))), "{refused}");
    // A name that looks public and means this machine: refused once it is resolved.
    let named = Preferences { webhook_url: Some("https://localtest.example/".into()), ..Preferences::default() };
    assert!(world.service.set_preferences(ALICE, named).await.is_ok());
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_users_broken_channel_does_not_hold_up_another_user_or_the_acks() {
    let dir = tempfile::tempdir().unwrap();
    let setup = Setup::sqlite(dir.path());
    let (stuck, fine) = (FakeWebhook::start(vec![Behaviour::Stall; 100]).await, FakeWebhook::start([]).await);
    let world = setup.start().await;
    prefer(&world, ALICE, webhook_only(&stuck)).await;
    prefer(&world, BOB, webhook_only(&fine)).await;
    let (alice, bob) = (Container::new(ALICE, 1, world.port()), Container::new(BOB, 2, world.port()));
    // More than a sender has under way: all are acked though none is taken yet.
    alice.deliver(1..=600).await;
    eventually("the stuck webhook is being tried", || async { !stuck.taken().is_empty() }).await;
    bob.deliver(1..=50).await;
    world.settled(BOB, 50, State::Delivered).await;
    let expected: Vec<String> = (1..=50).map(|sequence| event_id(bob.outbox, sequence).to_string()).collect();
    assert_eq!(fine.ids(), expected);
    assert_eq!(stuck.taken().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn quiet_hours_hold_back_and_expired_events_are_not_told() {
    let dir = tempfile::tempdir().unwrap();
    let telegram = Scripted::new(ChannelKind::Telegram, []);
    // 2026-01-10T23:00:00Z.
    let night = 1_768_086_000_000_000_000;
    let hour = 3_600_000_000_000;
    let clock = Clock::manual(night);
    let setup = Setup { clock: clock.clone(), ..with(&Setup::sqlite(dir.path()), vec![telegram.clone()]) };
    let world = setup.start().await;
    let quiet = QuietHours { from: "22:00".into(), to: "07:00".into(), time_zone: "UTC".into(), except: Vec::new() };
    prefer(&world, ALICE, Preferences { quiet_hours: Some(quiet), ..Preferences::default() }).await;
    let container = Container::new(ALICE, 1, world.port());
    container.deliver(1..=2).await;
    let short = proto::UserEvent {
        created_at_ns: night,
        expires_at_ns: night + hour,
        ..super::container::event(ALICE, container.outbox, 3)
    };
    container.ask(&proto::EventMessage::Event(short), Sent::First).await;
    assert_eq!(world.all(ALICE).await.len(), 3);
    assert!(telegram.numbers(ALICE).is_empty());
    clock.set_ns(night + 8 * hour);
    eventually("all settled", || async { world.all(ALICE).await.iter().all(|listed| listed.state != State::Pending) })
        .await;
    let states: Vec<State> = world.all(ALICE).await.iter().map(|listed| listed.state).collect();
    assert_eq!(states, [State::Delivered, State::Delivered, State::Expired]);
    // The clock may have jumped between the two.
    let mut numbers = telegram.numbers(ALICE);
    numbers.sort_unstable();
    assert_eq!(numbers, [1, 2]);
    world.stop().await;
}
