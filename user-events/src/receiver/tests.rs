//! The receiver: a table of what may come, and a property over lossy, repeating, re-ordering senders.

use super::*;
use bytes::Bytes;
use proptest::prelude::*;
use proto::{EventKind, FrameHeader, GapFill, Kind, Severity, UserEvent};

const USER: UserId = UserId::from_bits(1);
const OUTBOX: OutboxId = OutboxId::from_bits(2);

fn at(sequence: u64) -> Position {
    Position { outbox_id: OUTBOX, sequence }
}

fn opened(message: EventMessage, possible_duplicate: bool) -> Opened {
    let sequence = message.position().map_or(0, |position| position.sequence);
    let header = FrameHeader { possible_duplicate, ..FrameHeader::new(Kind::UserEvent, 1, sequence, 1) };
    Opened { header, message, key_id: 1 }
}

fn event_of(position: Position, id: u128, repeated: bool) -> Opened {
    let event = UserEvent {
        event_id: EventId::from_bits(id),
        user_id: USER,
        kind: EventKind::Alert,
        severity: Severity::Critical(position),
        created_at_ns: 1,
        expires_at_ns: 0,
        payload: Bytes::from_static(b"{}"),
    };
    opened(EventMessage::Event(event), repeated)
}

fn event(sequence: u64, repeated: bool) -> Opened {
    event_of(at(sequence), u128::from(sequence), repeated)
}

fn gap(from: u64, to: u64) -> Opened {
    opened(EventMessage::Gap(GapFill { user_id: USER, from: at(from), to, created_at_ns: 1 }), false)
}

/// A stream that has received the events before `next`.
fn stream(next: u64) -> Stream {
    let mut stream = Stream::new(USER, OUTBOX);
    for sequence in 1..next {
        stream.apply(Some(&event(sequence, false)), &Decision::Accept);
    }
    stream
}

#[test]
fn each_message_has_its_decision() {
    let other = Position { outbox_id: OutboxId::from_bits(9), sequence: 1 };
    let cases = [
        ("the next one", event(5, false), Decision::Accept),
        ("the next one, repeated because its ack was lost on the way to us", event(5, true), Decision::Accept),
        ("one too far", event(6, false), Decision::ResendFrom),
        ("one that is there, and says so", event(4, true), Decision::Duplicate),
        ("the first one again", event(1, true), Decision::Duplicate),
        ("a replay", event(4, false), Decision::Refuse(Refusal::Replayed { sequence: 4, expected: 5 })),
        (
            "another event under a used sequence",
            event_of(at(4), 99, true),
            Decision::Refuse(Refusal::Conflict { sequence: 4 }),
        ),
        ("a gap fill of the next", gap(5, 7), Decision::Fill { to: 7 }),
        ("a gap fill that begins before", gap(2, 7), Decision::Fill { to: 7 }),
        ("a gap fill of what is there", gap(1, 4), Decision::Duplicate),
        ("a gap fill too far", gap(6, 7), Decision::ResendFrom),
        (
            "another outbox",
            event_of(other, 1, false),
            Decision::Refuse(Refusal::OtherStream { user_id: USER, outbox_id: other.outbox_id }),
        ),
    ];
    for (name, message, expected) in cases {
        assert_eq!(stream(5).decide(&message), expected, "{name}");
    }
}

#[test]
fn what_is_too_old_to_compare_is_refused_rather_than_taken_for_a_duplicate() {
    let next = REMEMBERED as u64 + 10;
    let stream = stream(next);
    let oldest = next - REMEMBERED as u64;
    assert_eq!(stream.decide(&event(oldest, true)), Decision::Duplicate);
    let refusal = Refusal::TooOld { sequence: oldest - 1, expected: next };
    assert_eq!(stream.decide(&event(oldest - 1, true)), Decision::Refuse(refusal));
}

#[test]
fn an_invalid_event_is_recorded_once_and_the_stream_goes_on() {
    let (mut stream, error) = (stream(5), EventError::Field("payload"));
    assert_eq!(stream.decide_invalid(at(6), &error), Decision::ResendFrom);
    let decision = stream.decide_invalid(at(5), &error);
    assert_eq!(decision, Decision::DeadLetter(error.clone()));
    stream.apply(None, &decision);
    assert_eq!(stream.ack(at(5), &decision).next_sequence, 6);
    assert_eq!(stream.decide_invalid(at(5), &error), Decision::Duplicate);
    assert_eq!(stream.decide(&event(6, false)), Decision::Accept);
}

#[test]
fn a_stored_stream_decides_as_before() {
    let mut live = stream(5);
    live.apply(Some(&gap(5, 6)), &Decision::Fill { to: 6 });
    let stored = Stream::restore(USER, OUTBOX, live.next_sequence(), live.remembered()).unwrap();
    assert_eq!(stored, live);
    assert_eq!(Stream::restore(USER, OUTBOX, 0, []), Err(StreamError::NextSequence));
    let too_many = StreamError::Remembered { remembered: 1, next_sequence: 1 };
    assert_eq!(Stream::restore(USER, OUTBOX, 1, [None]), Err(too_many));
}

#[test]
fn an_endless_gap_is_no_endless_work() {
    let mut stream = stream(1);
    stream.apply(None, &Decision::Fill { to: u64::MAX - 1 });
    assert_eq!(stream.next_sequence(), u64::MAX);
    assert_eq!(stream.remembered().count(), REMEMBERED);
}

proptest! {
    /// Whatever a faulty network does to the messages of a correct sender: each event takes effect once, in order.
    #[test]
    fn each_event_takes_effect_once_and_in_order(deliveries in proptest::collection::vec(1..40u64, 0..400)) {
        let mut stream = Stream::new(USER, OUTBOX);
        let (mut effects, mut highest) = (Vec::new(), 0);
        for sequence in deliveries {
            // A sender marks what it may have sent before.
            let message = event(sequence, sequence <= highest);
            highest = highest.max(sequence);
            let decision = stream.decide(&message);
            if decision == Decision::Accept {
                effects.push(sequence);
            }
            prop_assert!(!matches!(decision, Decision::Refuse(_)), "{:?}", decision);
            stream.apply(Some(&message), &decision);
            prop_assert_eq!(stream.ack(at(sequence), &decision).next_sequence, effects.len() as u64 + 1);
        }
        prop_assert_eq!(effects.clone(), (1..=effects.len() as u64).collect::<Vec<_>>());
    }
}
