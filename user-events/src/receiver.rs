//! What a receiver does with a message of one outbox: facts in, a decision out. The caller makes the decision durable and
//! delivers, then applies it, then answers.

use crate::{OpenError, Opened};
use proto::{ErrorCode, EventAck, EventError, EventId, EventMessage, EventOutcome, OutboxId, Position, UserId, wire};
use std::collections::VecDeque;

/// How many of the newest events a stream remembers, to tell a repeated event from another one under its sequence. A sender
/// stores what was acked at least every 512 events, so it never repeats one that is older.
const REMEMBERED: usize = 2048;

/// Why an authenticated message was not taken. None of these changes a stream.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The message belongs to another stream.
    #[error("outbox_id: the message is of user {user_id}, outbox {outbox_id}")]
    OtherStream {
        /// The user of the message.
        user_id: UserId,
        /// The outbox of the message.
        outbox_id: OutboxId,
    },
    /// A critical message without a place in the count.
    #[error("severity: an informational event has no place on this channel")]
    Informational,
    /// The sequence was used before and the message does not say that it may be a repetition: a replay by somebody else,
    /// or an outbox that went back in time.
    #[error("sequence: {sequence} came before, {expected} is next")]
    Replayed {
        /// Of the message.
        sequence: u64,
        /// What comes next.
        expected: u64,
    },
    /// Another event was recorded under this sequence: the outbox went back in time.
    #[error("event_id: another event has sequence {sequence}")]
    Conflict {
        /// Of the message.
        sequence: u64,
    },
    /// Older than anything this receiver can compare it with.
    #[error("sequence: {sequence} is too far behind {expected} to be compared")]
    TooOld {
        /// Of the message.
        sequence: u64,
        /// What comes next.
        expected: u64,
    },
}

impl Refusal {
    /// The refusal as a message for the peer.
    #[must_use]
    pub fn detail(&self) -> wire::ErrorDetail {
        let (code, field) = match self {
            Self::OtherStream { .. } => (ErrorCode::RouteMismatch, "outbox_id"),
            Self::Informational => (ErrorCode::InvalidField, "severity"),
            Self::Replayed { .. } | Self::TooOld { .. } => (ErrorCode::SequenceConflict, "sequence"),
            Self::Conflict { .. } => (ErrorCode::SequenceConflict, "event_id"),
        };
        code.detail(field, &self.to_string())
    }
}

/// What to do with a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// The next event: record and deliver it, then apply and answer.
    Accept,
    /// The next events expired at the sender: record that, then apply and answer.
    Fill {
        /// The last of them.
        to: u64,
    },
    /// The next event is not valid, and would not be when sent again: record it as refused, then apply and answer.
    DeadLetter(EventError),
    /// It is there already: answer.
    Duplicate,
    /// Something before it is missing: answer, and it will come.
    ResendFrom,
    /// Not taken: count, tell an operator, answer.
    Refuse(Refusal),
}

impl Decision {
    /// True if it must be durable before it is applied and answered.
    #[must_use]
    pub const fn changes_the_stream(&self) -> bool {
        matches!(self, Self::Accept | Self::Fill { .. } | Self::DeadLetter(_))
    }
}

/// Why a stored stream cannot be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum StreamError {
    /// There is no sequence 0.
    #[error("next_sequence: 0 is no sequence")]
    NextSequence,
    /// More events are remembered than there were.
    #[error("remembered: {remembered} events, but {next_sequence} is next")]
    Remembered {
        /// How many were given.
        remembered: usize,
        /// What comes next.
        next_sequence: u64,
    },
}

/// What a receiver knows of one outbox. It is stored in one transaction with what it decided to accept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stream {
    user_id: UserId,
    outbox_id: OutboxId,
    next: u64,
    /// Ids of the events before `next`, oldest first; `None` for what was filled or refused.
    recent: VecDeque<Option<EventId>>,
}

impl Stream {
    /// A stream of which nothing was received.
    #[must_use]
    pub const fn new(user_id: UserId, outbox_id: OutboxId) -> Self {
        Self { user_id, outbox_id, next: 1, recent: VecDeque::new() }
    }

    /// A stream as it was stored: what comes next, and the ids of the newest events before it, oldest first (see
    /// [`Self::remembered`]).
    ///
    /// # Errors
    /// If no stream can be like this.
    pub fn restore(
        user_id: UserId,
        outbox_id: OutboxId,
        next_sequence: u64,
        remembered: impl IntoIterator<Item = Option<EventId>>,
    ) -> Result<Self, StreamError> {
        if next_sequence == 0 {
            return Err(StreamError::NextSequence);
        }
        let mut recent: VecDeque<_> = remembered.into_iter().collect();
        if recent.len() as u64 >= next_sequence {
            return Err(StreamError::Remembered { remembered: recent.len(), next_sequence });
        }
        while recent.len() > REMEMBERED {
            recent.pop_front();
        }
        Ok(Self { user_id, outbox_id, next: next_sequence, recent })
    }

    /// Whose events.
    #[must_use]
    pub const fn user_id(&self) -> UserId {
        self.user_id
    }

    /// Of which outbox.
    #[must_use]
    pub const fn outbox_id(&self) -> OutboxId {
        self.outbox_id
    }

    /// What comes next.
    #[must_use]
    pub const fn next_sequence(&self) -> u64 {
        self.next
    }

    /// The ids of the newest events, oldest first; `None` for what was filled or refused. At most 2 048.
    pub fn remembered(&self) -> impl Iterator<Item = Option<EventId>> + '_ {
        self.recent.iter().copied()
    }

    /// What to do with a message whose seal was verified.
    #[must_use]
    pub fn decide(&self, opened: &Opened) -> Decision {
        let user_id = opened.message.user_id();
        let Some(Position { outbox_id, sequence }) = opened.message.position() else {
            return Decision::Refuse(Refusal::Informational);
        };
        if (user_id, outbox_id) != (self.user_id, self.outbox_id) {
            return Decision::Refuse(Refusal::OtherStream { user_id, outbox_id });
        }
        if sequence > self.next {
            return Decision::ResendFrom;
        }
        match &opened.message {
            EventMessage::Gap(gap) if gap.to >= self.next => Decision::Fill { to: gap.to },
            // What was once sent as events may be sent again as a gap fill, when they have expired meanwhile.
            EventMessage::Gap(_) => Decision::Duplicate,
            EventMessage::Event(_) if sequence == self.next => Decision::Accept,
            EventMessage::Event(event) => self.judge_repetition(sequence, event.event_id, opened),
        }
    }

    fn judge_repetition(&self, sequence: u64, event_id: EventId, opened: &Opened) -> Decision {
        if !opened.header.possible_duplicate {
            return Decision::Refuse(Refusal::Replayed { sequence, expected: self.next });
        }
        let known = usize::try_from(self.next - sequence).ok().and_then(|back| self.recent.len().checked_sub(back));
        match known.map(|at| self.recent[at]) {
            None => Decision::Refuse(Refusal::TooOld { sequence, expected: self.next }),
            Some(Some(known)) if known != event_id => Decision::Refuse(Refusal::Conflict { sequence }),
            Some(_) => Decision::Duplicate,
        }
    }

    /// What to do with a message whose seal was verified but whose content is not valid ([`OpenError::Content`] with a
    /// position).
    #[must_use]
    pub fn decide_invalid(&self, position: Position, error: &EventError) -> Decision {
        if position.outbox_id != self.outbox_id {
            let (user_id, outbox_id) = (self.user_id, position.outbox_id);
            return Decision::Refuse(Refusal::OtherStream { user_id, outbox_id });
        }
        match position.sequence.cmp(&self.next) {
            std::cmp::Ordering::Less => Decision::Duplicate,
            std::cmp::Ordering::Equal => Decision::DeadLetter(error.clone()),
            std::cmp::Ordering::Greater => Decision::ResendFrom,
        }
    }

    /// Takes note of a decision that is now durable.
    pub fn apply(&mut self, opened: Option<&Opened>, decision: &Decision) {
        let event_id = match opened.map(|opened| &opened.message) {
            Some(EventMessage::Event(event)) => Some(event.event_id),
            _ => None,
        };
        match decision {
            Decision::Accept => self.advance(self.next, event_id),
            Decision::Fill { to } => self.advance(*to, None),
            Decision::DeadLetter(_) => self.advance(self.next, None),
            Decision::Duplicate | Decision::ResendFrom | Decision::Refuse(_) => {}
        }
    }

    fn advance(&mut self, to: u64, event_id: Option<EventId>) {
        let steps = usize::try_from(to.saturating_sub(self.next)).unwrap_or(usize::MAX).saturating_add(1);
        for _ in 0..steps.min(REMEMBERED) {
            if self.recent.len() == REMEMBERED {
                self.recent.pop_front();
            }
            self.recent.push_back(event_id);
        }
        self.next = to.saturating_add(1);
    }

    /// The answer to a message, once its decision is durable and applied. Several messages of one stream may be answered
    /// with the ack of the last one, if their outcomes are the same.
    #[must_use]
    pub fn ack(&self, position: Position, decision: &Decision) -> EventAck {
        let outcome = match decision {
            Decision::Accept | Decision::Fill { .. } => EventOutcome::Accepted,
            Decision::Duplicate => EventOutcome::Duplicate,
            Decision::ResendFrom => EventOutcome::ResendFrom,
            Decision::DeadLetter(error) => EventOutcome::Refused(error.detail()),
            Decision::Refuse(refusal) => EventOutcome::Refused(refusal.detail()),
        };
        EventAck { user_id: self.user_id, position, outcome, next_sequence: self.next }
    }
}

/// The unsealed hint that tells a sender why nothing is acked: it proves nothing, so it may change nothing.
#[must_use]
pub fn unauthenticated_hint(error: &OpenError) -> wire::ErrorDetail {
    let code = match error {
        OpenError::Frames(_) | OpenError::Route => ErrorCode::Malformed,
        _ => ErrorCode::Unauthenticated,
    };
    code.detail("seal", &error.to_string())
}

#[cfg(test)]
mod tests;
