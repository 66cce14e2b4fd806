//! The courier against tables of acks, the back-off on a fake clock, and a property over a lossy gateway.

use super::*;
use proptest::prelude::*;
use proto::{ErrorCode, OutboxId, Position, UserId};

const fn at(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn ack(sequence: u64, outcome: EventOutcome, next_sequence: u64) -> EventAck {
    let position = Position { outbox_id: OutboxId::from_bits(1), sequence };
    EventAck { user_id: UserId::from_bits(1), position, outcome, next_sequence }
}

fn refused() -> EventOutcome {
    EventOutcome::Refused(ErrorCode::SequenceConflict.detail("sequence", "why"))
}

/// Connected, with the events 1 to 10 on disk; all of them are sent and those before `acked` are acked.
fn courier(acked: u64) -> Courier {
    let mut courier = Courier::new(1, 1);
    courier.connected();
    courier.appended(11);
    courier.sent(11, at(0));
    if acked > 1 {
        let next = Heard::Progress { next: acked, refused: None };
        assert_eq!(courier.heard(&ack(acked - 1, EventOutcome::Accepted, acked), at(0)), next);
    }
    courier
}

#[test]
fn each_ack_has_its_meaning() {
    let progress = |next| Heard::Progress { next, refused: None };
    let cases = [
        ("the next one", ack(5, EventOutcome::Accepted, 6), progress(6), None),
        ("several at once", ack(9, EventOutcome::Accepted, 10), progress(10), None),
        ("all", ack(10, EventOutcome::Accepted, 11), progress(11), None),
        ("a late one", ack(2, EventOutcome::Accepted, 3), Heard::Nothing, None),
        ("one that was there already", ack(2, EventOutcome::Duplicate, 8), progress(8), None),
        ("a gap", ack(9, EventOutcome::ResendFrom, 7), progress(7), Some(7..11)),
        ("a gap right behind the ack", ack(9, EventOutcome::ResendFrom, 5), Heard::Nothing, Some(5..11)),
        ("a refusal that goes on", ack(5, refused(), 6), Heard::Progress { next: 6, refused: Some(5) }, None),
        ("a refusal that does not", ack(5, refused(), 5), Heard::Refused, None),
        ("more than there is", ack(10, EventOutcome::Accepted, 12), Heard::Conflict, None),
        ("an event that never was", ack(11, EventOutcome::Accepted, 6), Heard::Conflict, None),
        ("a gateway that forgot what it acked", ack(5, EventOutcome::ResendFrom, 4), Heard::Conflict, None),
    ];
    for (name, ack, heard, sendable) in cases {
        let mut courier = courier(5);
        assert_eq!(courier.heard(&ack, at(1)), heard, "{name}");
        assert_eq!(courier.sendable(), sendable, "{name}");
    }
}

#[test]
fn one_gap_is_answered_once_however_many_ask() {
    let mut courier = courier(5);
    courier.heard(&ack(7, EventOutcome::ResendFrom, 6), at(1));
    assert_eq!(courier.sendable(), Some(6..11));
    courier.sent(11, at(1));
    for sequence in 8..11 {
        assert_eq!(courier.heard(&ack(sequence, EventOutcome::ResendFrom, 6), at(1)), Heard::Nothing);
        assert_eq!(courier.sendable(), None, "{sequence}");
    }
    assert!(courier.overdue(at(7)), "what was sent again may be lost too");
    assert_eq!(courier.sendable(), Some(6..11));
}

#[test]
fn the_waits_are_5_10_20_40_60_and_60_for_ever_until_something_is_acked() {
    let mut courier = courier(1);
    let mut now = at(0);
    for wait in [5, 10, 20, 40, 60, 60, 60] {
        let deadline = now + at(wait);
        assert_eq!(courier.deadline(), Some(deadline));
        assert!(!courier.overdue(deadline - Duration::from_nanos(1)));
        assert!(courier.overdue(deadline));
        assert_eq!((courier.sendable(), courier.deadline()), (Some(1..11), None));
        now = deadline;
        courier.sent(11, now);
    }
    courier.heard(&ack(1, EventOutcome::Accepted, 2), now);
    assert_eq!(courier.deadline(), Some(now + at(5)));
    courier.heard(&ack(10, EventOutcome::Accepted, 11), now);
    assert_eq!(courier.deadline(), None, "nothing is on the way");
}

#[test]
fn a_reconnect_sends_again_at_once_and_starts_the_waits_anew() {
    let mut courier = courier(4);
    assert!(courier.overdue(at(5)));
    courier.sent(11, at(5));
    courier.disconnected();
    assert_eq!((courier.sendable(), courier.deadline()), (None, None));
    courier.connected();
    assert_eq!(courier.sendable(), Some(4..11));
    courier.sent(11, at(6));
    assert_eq!(courier.deadline(), Some(at(11)));
}

#[test]
fn only_a_window_is_on_the_way() {
    let mut courier = Courier::new(1, 10_001);
    courier.connected();
    assert_eq!(courier.sendable(), Some(1..1 + WINDOW));
    courier.sent(1 + WINDOW, at(0));
    assert_eq!(courier.sendable(), None);
    courier.heard(&ack(3, EventOutcome::Accepted, 4), at(0));
    assert_eq!(courier.sendable(), Some(1 + WINDOW..4 + WINDOW));
}

#[test]
fn what_a_process_before_may_have_sent_is_a_repetition() {
    let mut courier = Courier::new(3, 6);
    courier.connected();
    courier.appended(8);
    let repeated: Vec<bool> = (3..8).map(|sequence| courier.is_repetition(sequence)).collect();
    assert_eq!(repeated, [true, true, true, false, false]);
    courier.sent(8, at(0));
    assert!(courier.is_repetition(7));
}

#[derive(Debug, Clone, Copy)]
enum Fate {
    /// The next message arrives, and so does its ack.
    Arrives,
    /// It is lost, with all that follows on this connection.
    Breaks,
    /// It alone is lost.
    Lost,
    /// It arrives, its ack is lost.
    AckLost,
    /// Nothing happens for a while.
    Silence,
}

proptest! {
    /// Whatever is lost: events take effect in order and once, and when nothing is lost any more all of them do.
    #[test]
    fn all_events_arrive_in_order(
        total in 1..600u64,
        fates in proptest::collection::vec(
            prop_oneof![
                6 => Just(Fate::Arrives), 1 => Just(Fate::Breaks), 1 => Just(Fate::Lost), 1 => Just(Fate::AckLost),
                1 => Just(Fate::Silence),
            ],
            0..300,
        ),
    ) {
        let mut courier = Courier::new(1, 1);
        courier.connected();
        courier.appended(total + 1);
        let (mut expected, mut now, mut messages) = (1, at(0), 0u64);
        for fate in fates.into_iter().chain(std::iter::repeat(Fate::Arrives)) {
            now += Duration::from_millis(1);
            if expected == total + 1 && courier.sendable().is_none() {
                break;
            }
            messages += 1;
            prop_assert!(messages < 100_000, "no end: {courier:?}");
            match (courier.sendable(), fate) {
                (_, Fate::Breaks) => {
                    courier.disconnected();
                    courier.connected();
                }
                (None, _) | (_, Fate::Silence) => {
                    now += at(60);
                    courier.overdue(now);
                }
                (Some(range), fate) => {
                    courier.sent(range.start + 1, now);
                    if matches!(fate, Fate::Lost) {
                        continue;
                    }
                    let outcome = match range.start.cmp(&expected) {
                        std::cmp::Ordering::Less => EventOutcome::Duplicate,
                        std::cmp::Ordering::Equal => EventOutcome::Accepted,
                        std::cmp::Ordering::Greater => EventOutcome::ResendFrom,
                    };
                    expected += u64::from(outcome == EventOutcome::Accepted);
                    if !matches!(fate, Fate::AckLost) {
                        let heard = courier.heard(&ack(range.start, outcome, expected), now);
                        prop_assert!(!matches!(heard, Heard::Conflict | Heard::Refused), "{:?}", heard);
                    }
                }
            }
        }
        prop_assert_eq!(expected, total + 1);
    }
}
