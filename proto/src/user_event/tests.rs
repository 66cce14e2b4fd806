//! User events and acks: each rule of docs/protocol/07-user-events.md, by the field that breaks it.

use super::*;
use proptest::prelude::*;

const POSITION: Position = Position { outbox_id: OutboxId::from_bits(3), sequence: 7 };

fn event() -> UserEvent {
    UserEvent {
        event_id: EventId::from_bits(1),
        user_id: UserId::from_bits(2),
        kind: EventKind::Alert,
        severity: Severity::Critical(POSITION),
        created_at_ns: 10,
        expires_at_ns: 20,
        payload: Bytes::from_static(b"{}"),
    }
}

fn gap() -> GapFill {
    GapFill { user_id: UserId::from_bits(2), from: POSITION, to: 9, created_at_ns: 5 }
}

fn refused(mut message: wire::UserEvent, change: fn(&mut wire::UserEvent)) -> &'static str {
    change(&mut message);
    EventMessage::try_from(message).unwrap_err().field()
}

#[test]
fn each_bad_field_of_an_event_is_named() {
    type Change = fn(&mut wire::UserEvent);
    let cases: [(&str, Change); 14] = [
        ("event_id", |e| e.event_id = "12".into()),
        ("user_id", |e| e.user_id.clear()),
        ("outbox_id", |e| e.outbox_id.clear()),
        ("sequence", |e| e.sequence = 0),
        ("kind", |e| e.kind = 0),
        ("kind", |e| e.kind = 99),
        ("severity", |e| e.severity = 0),
        ("severity", |e| e.severity = 3),
        ("created_at_ns", |e| e.created_at_ns = 0),
        ("expires_at_ns", |e| e.expires_at_ns = e.created_at_ns),
        ("payload", |e| e.payload = vec![b' '; EVENT_PAYLOAD_BYTES + 1]),
        ("gap_to", |e| e.gap_to = 9),
        ("outbox_id", |e| e.severity = 1),
        ("sequence", |e| (e.severity, e.outbox_id) = (1, String::new())),
    ];
    for (field, change) in cases {
        assert_eq!(refused((&EventMessage::Event(event())).into(), change), field);
    }
}

#[test]
fn each_bad_field_of_a_gap_fill_is_named() {
    type Change = fn(&mut wire::UserEvent);
    let cases: [(&str, Change); 5] = [
        ("gap_to", |e| e.gap_to = 6),
        ("gap_to", |e| e.gap_to = u64::MAX),
        ("event_id", |e| e.event_id = EventId::from_bits(1).to_string()),
        ("payload", |e| e.payload = b"{}".to_vec()),
        ("severity", |e| (e.severity, e.outbox_id, e.sequence) = (1, String::new(), 0)),
    ];
    for (field, change) in cases {
        assert_eq!(refused((&EventMessage::Gap(gap())).into(), change), field);
    }
}

#[test]
fn a_payload_at_the_limit_is_accepted() {
    let payload = Bytes::from(vec![b' '; EVENT_PAYLOAD_BYTES]);
    let message = EventMessage::Event(UserEvent { payload, ..event() });
    assert_eq!(EventMessage::try_from(wire::UserEvent::from(&message)), Ok(message));
}

#[test]
fn each_bad_field_of_an_ack_is_named() {
    type Change = fn(&mut wire::EventAck);
    let ack = EventAck {
        user_id: UserId::from_bits(2),
        position: POSITION,
        outcome: EventOutcome::Accepted,
        next_sequence: 8,
    };
    let cases: [(&str, Change); 8] = [
        ("user_id", |a| a.user_id.clear()),
        ("outbox_id", |a| a.outbox_id.clear()),
        ("sequence", |a| a.sequence = 0),
        ("next_sequence", |a| a.next_sequence = 0),
        ("outcome", |a| a.outcome = 0),
        ("outcome", |a| a.outcome = 9),
        ("error", |a| a.outcome = 3),
        ("error", |a| a.error = Some(ErrorCode::Internal.detail("", ""))),
    ];
    for (field, change) in cases {
        let mut message = wire::EventAck::from(&ack);
        change(&mut message);
        assert_eq!(EventAck::try_from(message).unwrap_err().field(), field);
    }
}

fn any_message() -> impl Strategy<Value = EventMessage> {
    let bits = (any::<u128>(), any::<u128>(), any::<u128>());
    let times = (1..u64::MAX / 2, 0..2u64, 1..u64::MAX - 1);
    (bits, times, 0..EventKind::ALL.len(), any::<bool>(), proptest::collection::vec(any::<u8>(), 0..50)).prop_map(
        |((event, user, outbox), (created_at_ns, lives, sequence), kind, critical, payload)| {
            let position = Position { outbox_id: OutboxId::from_bits(outbox), sequence };
            let user_id = UserId::from_bits(user);
            match EventKind::ALL[kind] {
                EventKind::GapFill => {
                    EventMessage::Gap(GapFill { user_id, from: position, to: sequence, created_at_ns })
                }
                kind => EventMessage::Event(UserEvent {
                    event_id: EventId::from_bits(event),
                    user_id,
                    kind,
                    severity: if critical { Severity::Critical(position) } else { Severity::Informational },
                    created_at_ns,
                    expires_at_ns: (created_at_ns + 1) * lives,
                    payload: payload.into(),
                }),
            }
        },
    )
}

fn any_ack() -> impl Strategy<Value = EventAck> {
    (any::<u128>(), any::<u128>(), 1..u64::MAX, 1..u64::MAX, 0..4).prop_map(
        |(user, outbox, sequence, next, outcome)| EventAck {
            user_id: UserId::from_bits(user),
            position: Position { outbox_id: OutboxId::from_bits(outbox), sequence },
            outcome: match outcome {
                0 => EventOutcome::Accepted,
                1 => EventOutcome::Duplicate,
                2 => EventOutcome::ResendFrom,
                _ => EventOutcome::Refused(ErrorCode::SequenceConflict.detail("sequence", "why")),
            },
            next_sequence: next,
        },
    )
}

proptest! {
    #[test]
    fn messages_round_trip(message in any_message()) {
        prop_assert_eq!(EventMessage::try_from(wire::UserEvent::from(&message)), Ok(message));
    }

    #[test]
    fn acks_round_trip(ack in any_ack()) {
        prop_assert_eq!(EventAck::try_from(wire::EventAck::from(&ack)), Ok(ack));
    }
}
