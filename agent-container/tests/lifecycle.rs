//! The end of a container with its real outbox: 42 means a marker on disk and nothing left to deliver, and nothing else does.

#![allow(clippy::unwrap_used, reason = "a test stops at the first thing that fails")]

use agent_container::events::{Events, EventsConfig, NewEvent};
use agent_container::lifecycle::marker::{Found, Start, find, judge};
use agent_container::lifecycle::{Activity, EXIT_ASLEEP, EXIT_NO_MARKER, EXIT_STOPPED, Ending, Farewell, Supervisor};
use proto::{EventKind, UserId};
use service::clock::Clock;
use service::metrics::Metrics;
use std::path::Path;
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use user_events::MacKey;

/// Events of a container whose gateway is not there.
async fn events(dir: &Path) -> Events {
    let config = EventsConfig {
        bind: "tcp://127.0.0.1:0".to_owned(),
        ..EventsConfig::new(dir.join("outbox"), "tcp://127.0.0.1:1")
    };
    let key = MacKey::new(1, &std::array::from_fn(|i| u8::try_from(i).unwrap())).unwrap();
    Events::start(&config, UserId::from_bits(1), key, Clock::System, &Metrics::new()).await.unwrap()
}

fn farewell(dir: &Path) -> Farewell {
    Farewell { marker_dir: dir.to_owned(), uid: "pod-1".to_owned(), grace: Duration::from_millis(50) }
}

async fn publish(events: &Events) {
    events.critical(NewEvent::new(EventKind::Alert, &1).unwrap()).await.unwrap();
}

#[tokio::test]
async fn an_idle_container_exits_42_behind_its_marker_and_its_successor_serves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let events = events(dir.path()).await;
    let activity = Activity::new(Some(Duration::from_millis(20)));
    let mut supervisor = Supervisor::new(activity.clone(), events.outbox().watch_unacked());
    let ending = supervisor.ending(&CancellationToken::new()).await;
    assert_eq!(ending, Ending::Sleep);
    assert!(activity.touch().is_err(), "nothing begins any more");
    assert_eq!(farewell(dir.path()).leave(ending, &events, &Clock::System).await, EXIT_ASLEEP);
    let found = find(dir.path()).unwrap();
    assert!(matches!(&found, Found::Marker(marker) if marker.uid == "pod-1"), "{found:?}");
    assert_eq!((judge(&found, "pod-1"), judge(&found, "pod-2")), (Start::Asleep, Start::RemoveAndServe));
}

#[tokio::test]
async fn an_event_that_is_not_acked_keeps_the_container_awake() {
    let dir = tempfile::tempdir().unwrap();
    let events = events(dir.path()).await;
    publish(&events).await;
    let activity = Activity::new(Some(Duration::from_millis(20)));
    let mut supervisor = Supervisor::new(activity, events.outbox().watch_unacked());
    let stop = CancellationToken::new();
    let awake = tokio::time::timeout(Duration::from_millis(500), supervisor.ending(&stop)).await;
    assert!(awake.is_err(), "{awake:?}");
    // And if an event comes after the decision, the exit does not claim a sleep.
    assert_eq!(farewell(dir.path()).leave(Ending::Sleep, &events, &Clock::System).await, EXIT_STOPPED);
    assert_eq!(find(dir.path()).unwrap(), Found::Nothing);
}

#[tokio::test]
async fn a_stop_that_was_asked_for_leaves_no_marker_and_keeps_the_events() {
    let dir = tempfile::tempdir().unwrap();
    let first = events(dir.path()).await;
    publish(&first).await;
    assert_eq!(farewell(dir.path()).leave(Ending::Terminated, &first, &Clock::System).await, EXIT_STOPPED);
    assert_eq!(find(dir.path()).unwrap(), Found::Nothing);
    assert_eq!(events(dir.path()).await.unacked(), 1);
}

#[tokio::test]
async fn without_its_marker_a_sleep_is_no_42() {
    let dir = tempfile::tempdir().unwrap();
    let events = events(dir.path()).await;
    let nowhere = Farewell { marker_dir: dir.path().join("missing"), ..farewell(dir.path()) };
    assert_eq!(nowhere.leave(Ending::Sleep, &events, &Clock::System).await, EXIT_NO_MARKER);
}
