//! Others on the gateway's port: what they send is refused, each for its reason, and the container's events are untouched.

use super::gateway::{Gateway, Outcome, entries};
use super::{USER, alert, container, drained, key};
use bytes::Bytes;
use proto::{EventId, EventKind, EventMessage, FrameHeader, Kind, Position, Severity, UserEvent, UserId, wire};
use service::metrics::Metrics;
use user_events::{Decision, MacKey, OpenError, Refusal, Sealed, seal_event};
use zmtp::{DealerOptions, DealerSocket};

fn event(user_id: UserId, position: Position, id: u128) -> EventMessage {
    EventMessage::Event(UserEvent {
        event_id: EventId::from_bits(id),
        user_id,
        kind: EventKind::OrderFilled,
        severity: Severity::Critical(position),
        created_at_ns: 1,
        expires_at_ns: 0,
        payload: Bytes::from_static(b"{}"),
    })
}

fn sealed(key: &MacKey, message: &EventMessage, possible_duplicate: bool) -> Sealed {
    let sequence = message.position().unwrap().sequence;
    let header = FrameHeader { possible_duplicate, ..FrameHeader::new(Kind::UserEvent, 1, sequence, 1) };
    seal_event(key, message, header.encode(&wire::UserEvent::from(message)).unwrap())
}

async fn outcome_of(gateway: &mut Gateway, attacker: &DealerSocket, frames: Sealed) -> Outcome {
    attacker.send(frames.into()).await.unwrap();
    gateway.serve_one().await
}

#[tokio::test]
async fn forged_tampered_replayed_and_foreign_events_are_refused_with_their_reason() {
    let dir = tempfile::tempdir().unwrap();
    let journal = dir.path().join("journal");
    let mut gateway = Gateway::bind(0, &journal).await;
    let events = container(dir.path(), gateway.port(), &Metrics::new()).await;
    let published = events.critical(alert(&serde_json::json!("mine"))).await.unwrap();
    while !matches!(gateway.serve_one().await, Ok(Decision::Accept)) {}
    drained(&events).await;
    let position = |sequence| Position { outbox_id: published.position.outbox_id, sequence };
    let endpoint = format!("tcp://127.0.0.1:{}", gateway.port());
    let attacker = DealerSocket::connect(&endpoint, DealerOptions::default()).unwrap();

    // Another container's key, with the same number, in this user's name.
    let other = MacKey::new(7, &[1, 2].repeat(16).try_into().unwrap()).unwrap();
    let forged = sealed(&other, &event(USER, position(2), 1), false);
    let expected = Err(OpenError::Mac { user_id: USER, key_id: 7 });
    assert_eq!(outcome_of(&mut gateway, &attacker, forged).await, expected);

    let stranger = UserId::from_bits(1);
    let foreign = sealed(&other, &event(stranger, position(2), 1), false);
    let expected = Err(OpenError::UnknownKey { user_id: stranger, key_id: 7 });
    assert_eq!(outcome_of(&mut gateway, &attacker, foreign).await, expected);

    let mut tampered = sealed(&key(), &event(USER, position(2), 1), false);
    let mut body = tampered[1].to_vec();
    *body.last_mut().unwrap() ^= 1;
    tampered[1] = body.into();
    let expected = Err(OpenError::Mac { user_id: USER, key_id: 7 });
    assert_eq!(outcome_of(&mut gateway, &attacker, tampered).await, expected);

    // Recorded on the wire and sent again.
    let replayed = sealed(&key(), &event(USER, position(1), published.event_id.bits()), false);
    let expected = Refusal::Replayed { sequence: 1, expected: 2 };
    assert_eq!(outcome_of(&mut gateway, &attacker, replayed).await, Ok(Decision::Refuse(expected)));
    let repeated = sealed(&key(), &event(USER, position(1), published.event_id.bits()), true);
    assert_eq!(outcome_of(&mut gateway, &attacker, repeated).await, Ok(Decision::Duplicate));
    // An outbox that went back in time.
    let reused = sealed(&key(), &event(USER, position(1), 99), true);
    let expected = Refusal::Conflict { sequence: 1 };
    assert_eq!(outcome_of(&mut gateway, &attacker, reused).await, Ok(Decision::Refuse(expected)));

    let after = events.critical(alert(&serde_json::json!("still mine"))).await.unwrap();
    assert_eq!(gateway.serve_one().await, Ok(Decision::Accept));
    drained(&events).await;
    let ids: Vec<EventId> = entries(&journal).iter().map(|entry| entry.event_id).collect();
    assert_eq!(ids, [published.event_id, after.event_id]);
    assert_eq!(events.shutdown(std::time::Duration::from_secs(5)).await, 0);
}

#[tokio::test]
async fn a_shutdown_keeps_what_is_not_acked_for_the_next_start() {
    let dir = tempfile::tempdir().unwrap();
    let journal = dir.path().join("journal");
    let mut gateway = Gateway::bind(0, &journal).await;
    let metrics = Metrics::new();
    let events = container(dir.path(), gateway.port(), &metrics).await;
    for number in 0..5 {
        events.critical(alert(&serde_json::json!(number))).await.unwrap();
    }
    // Nobody answers: the time is over, and they stay.
    assert_eq!(events.shutdown(std::time::Duration::from_millis(50)).await, 5);
    let events = container(dir.path(), gateway.port(), &Metrics::new()).await;
    // Also answers what the first life sent; nobody hears that.
    let serve = async {
        loop {
            assert!(matches!(gateway.serve_one().await, Ok(Decision::Accept | Decision::Duplicate)));
        }
    };
    tokio::select! {
        () = drained(&events) => {}
        () = serve => {}
    }
    let payloads: Vec<String> = entries(&journal).into_iter().map(|entry| entry.payload).collect();
    assert_eq!(payloads, ["0", "1", "2", "3", "4"]);
}
