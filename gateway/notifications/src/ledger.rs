//! What a batch of messages does to the streams: decisions in, one plan for the store out. Pure.

use crate::store::{Advance, NewGap, NewRecord, Plan};
use proto::{EventAck, EventError, EventMessage, EventOutcome, OutboxId, Position, UserId};
use user_events::{Decision, MacKey, Opened, Stream};
use zmtp::PeerKey;

/// What an authentic message says.
#[derive(Debug)]
pub(crate) enum Content {
    /// A valid message.
    Valid(Box<Opened>),
    /// No valid message, but it says which of its outbox it is.
    Invalid { user_id: UserId, position: Position, error: EventError },
}

/// An authentic message on its way to the store, and how to answer it.
#[derive(Debug)]
pub(crate) struct Incoming {
    pub(crate) peer: PeerKey,
    pub(crate) key: MacKey,
    pub(crate) content: Content,
    pub(crate) position: Position,
}

impl Content {
    pub(crate) fn user_id(&self) -> UserId {
        match self {
            Self::Valid(opened) => opened.message.user_id(),
            Self::Invalid { user_id, .. } => *user_id,
        }
    }
}

impl Incoming {
    pub(crate) fn stream(&self) -> (UserId, OutboxId) {
        (self.content.user_id(), self.position.outbox_id)
    }
}

/// Decides on a message, notes in the plan what becomes of it, and moves the stream on as if the plan were durable. If it
/// does not become so, the stream is to be read again.
pub(crate) fn take(stream: &mut Stream, incoming: &Incoming, plan: &mut Plan) -> (Decision, EventAck) {
    let decision = match &incoming.content {
        Content::Valid(opened) => stream.decide(opened),
        Content::Invalid { position, error, .. } => stream.decide_invalid(*position, error),
    };
    let expected = stream.next_sequence();
    let user_id = stream.user_id();
    let from = Position { outbox_id: stream.outbox_id(), sequence: expected };
    let opened = match &incoming.content {
        Content::Valid(opened) => Some(&**opened),
        Content::Invalid { .. } => None,
    };
    match (&decision, opened.map(|opened| &opened.message)) {
        (Decision::Accept, Some(EventMessage::Event(event))) => plan.records.push(NewRecord {
            user_id,
            position: Some(from),
            event_id: event.event_id,
            kind: event.kind,
            created_at_ns: event.created_at_ns,
            expires_at_ns: event.expires_at_ns,
            payload: event.payload.clone(),
        }),
        (Decision::Fill { to }, _) => {
            plan.gaps.push(NewGap { user_id, from, to: *to, reason: "expired", detail: String::new() });
        }
        (Decision::DeadLetter(error), _) => {
            plan.gaps.push(NewGap { user_id, from, to: expected, reason: "invalid", detail: error.to_string() });
        }
        _ => {}
    }
    stream.apply(opened, &decision);
    if decision.changes_the_stream() {
        let next = stream.next_sequence();
        plan.advances.entry((user_id, from.outbox_id)).or_insert(Advance { expected, next }).next = next;
    }
    let ack = stream.ack(incoming.position, &decision);
    (decision, ack)
}

/// An ack and where it goes.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) peer: PeerKey,
    pub(crate) key: MacKey,
    pub(crate) ack: EventAck,
}

/// The acks of a batch. Acks are cumulative: of several messages of one stream with one outcome the last is answered.
#[derive(Debug, Default)]
pub(crate) struct Answers {
    list: Vec<Answer>,
    newest: std::collections::HashMap<(PeerKey, UserId, OutboxId), usize>,
}

impl Answers {
    pub(crate) fn push(&mut self, incoming: &Incoming, ack: EventAck) {
        let stream = (incoming.peer, ack.user_id, ack.position.outbox_id);
        let same = |answer: &&mut Answer| {
            let refused = matches!(ack.outcome, EventOutcome::Refused(_));
            !refused && answer.ack.outcome == ack.outcome && answer.key.id() == incoming.key.id()
        };
        let earlier = self.newest.get(&stream).and_then(|at| self.list.get_mut(*at)).filter(same);
        if let Some(earlier) = earlier {
            earlier.ack = ack;
            return;
        }
        self.newest.insert(stream, self.list.len());
        self.list.push(Answer { peer: incoming.peer, key: incoming.key.clone(), ack });
    }

    pub(crate) fn into_list(self) -> Vec<Answer> {
        self.list
    }
}
