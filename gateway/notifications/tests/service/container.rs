//! A container for tests: a DEALER that seals events, and hears acks.

use super::world::key_of;
use bytes::Bytes;
use proto::{
    EventAck, EventId, EventKind, EventMessage, EventOutcome, FrameHeader, GapFill, Kind, OutboxId, Position, Severity,
    UserEvent, UserId, wire,
};
use std::time::Duration;
use user_events::{MacKey, Sealed, open_ack, seal_event};
use zmtp::{DealerOptions, DealerSocket};

/// Whether a message says that it may have been sent before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sent {
    First,
    Again,
}

#[derive(Debug)]
pub(crate) struct Container {
    pub(crate) user: UserId,
    pub(crate) outbox: OutboxId,
    pub(crate) key: MacKey,
    pub(crate) socket: DealerSocket,
}

/// The event with this number: its id and payload follow from it.
pub(crate) fn event(user: UserId, outbox: OutboxId, sequence: u64) -> UserEvent {
    UserEvent {
        event_id: event_id(outbox, sequence),
        user_id: user,
        kind: EventKind::OrderFilled,
        severity: Severity::Critical(Position { outbox_id: outbox, sequence }),
        created_at_ns: 1_700_000_000_000_000_000 + sequence,
        expires_at_ns: 0,
        payload: Bytes::from(format!("{{\"number\":{sequence}}}")),
    }
}

pub(crate) fn event_id(outbox: OutboxId, sequence: u64) -> EventId {
    EventId::from_bits((outbox.bits() << 64) + u128::from(sequence))
}

pub(crate) fn seal(key: &MacKey, message: &EventMessage, sent: Sent) -> Sealed {
    let sequence = message.position().map_or(0, |position| position.sequence);
    let header =
        FrameHeader { possible_duplicate: sent == Sent::Again, ..FrameHeader::new(Kind::UserEvent, 1, sequence, 1) };
    seal_event(key, message, header.encode(&wire::UserEvent::from(message)).unwrap())
}

impl Container {
    pub(crate) fn new(user: UserId, outbox: u128, port: u16) -> Self {
        let socket = DealerSocket::connect(&format!("tcp://127.0.0.1:{port}"), DealerOptions::default()).unwrap();
        Self { user, outbox: OutboxId::from_bits(outbox), key: key_of(user, 7), socket }
    }

    pub(crate) fn event(&self, sequence: u64) -> EventMessage {
        EventMessage::Event(event(self.user, self.outbox, sequence))
    }

    pub(crate) async fn send(&self, message: &EventMessage, sent: Sent) {
        self.socket.send(seal(&self.key, message, sent).into()).await.unwrap();
    }

    pub(crate) async fn send_gap(&self, from: u64, to: u64, sent: Sent) {
        let from = Position { outbox_id: self.outbox, sequence: from };
        let gap = GapFill { user_id: self.user, from, to, created_at_ns: 1 };
        self.send(&EventMessage::Gap(gap), sent).await;
    }

    /// The next ack; it must be sealed for this container.
    pub(crate) async fn ack(&self) -> EventAck {
        let frames = tokio::time::timeout(Duration::from_secs(30), self.socket.recv()).await.expect("an ack in time");
        open_ack(&frames, self.user, &self.key).unwrap().ack
    }

    /// Sends one message and waits for what becomes of it.
    pub(crate) async fn ask(&self, message: &EventMessage, sent: Sent) -> (EventOutcome, u64) {
        self.send(message, sent).await;
        let ack = self.ack().await;
        (ack.outcome, ack.next_sequence)
    }

    /// Sends events in order and waits until all are acked.
    pub(crate) async fn deliver(&self, sequences: std::ops::RangeInclusive<u64>) {
        let (mut next, mut cursor, last) = (*sequences.start(), *sequences.start(), *sequences.end());
        while next <= last {
            // A sender is at most 256 beyond the last ack.
            while cursor <= last && cursor < next + 256 {
                self.send(&self.event(cursor), Sent::First).await;
                cursor += 1;
            }
            let ack = self.ack().await;
            assert_eq!(ack.outcome, EventOutcome::Accepted);
            next = next.max(ack.next_sequence);
        }
    }
}
