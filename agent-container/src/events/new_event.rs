//! An event before it has an id, a time and a place.

use bytes::Bytes;
use proto::limits::EVENT_PAYLOAD_BYTES;
use proto::{
    EventId, EventKind, EventMessage, Frame, FrameHeader, Kind, Severity, TraceContext, UserEvent, UserId, wire,
};
use serde::Serialize;
use std::time::Duration;

/// Why something is no event.
#[derive(Debug, thiserror::Error)]
pub enum NewEventError {
    /// The payload cannot be JSON.
    #[error("payload: {0}")]
    Json(#[from] serde_json::Error),
    /// The payload is too long.
    #[error("payload: {have} bytes, limit {limit}")]
    TooLong {
        /// Its length as JSON.
        have: usize,
        /// The limit.
        limit: usize,
    },
    /// Gap fills are made by the delivery only.
    #[error("kind: gap_fill is not an event")]
    Kind,
}

/// What a caller wants to tell the user.
#[derive(Debug, Clone)]
pub struct NewEvent {
    kind: EventKind,
    payload: Bytes,
    expires_after: Option<Duration>,
    trace: Option<TraceContext>,
}

impl NewEvent {
    /// An event that never expires.
    ///
    /// # Errors
    /// [`NewEventError`] if the payload is no JSON or too long.
    pub fn new(kind: EventKind, payload: &impl Serialize) -> Result<Self, NewEventError> {
        let payload = serde_json::to_vec(payload)?;
        if payload.len() > EVENT_PAYLOAD_BYTES {
            return Err(NewEventError::TooLong { have: payload.len(), limit: EVENT_PAYLOAD_BYTES });
        }
        if kind == EventKind::GapFill {
            return Err(NewEventError::Kind);
        }
        Ok(Self { kind, payload: payload.into(), expires_after: None, trace: None })
    }

    /// After this time nobody needs it any more: it is then not sent, and the gateway is told so.
    #[must_use]
    pub fn expires_after(self, time: Duration) -> Self {
        Self { expires_after: Some(time), ..self }
    }

    /// The trace that caused it.
    #[must_use]
    pub fn traced(self, trace: TraceContext) -> Self {
        Self { trace: Some(trace), ..self }
    }

    /// What it is about.
    #[must_use]
    pub const fn kind(&self) -> EventKind {
        self.kind
    }

    pub(crate) fn into_event(self, user_id: UserId, severity: Severity, now_ns: u64) -> UserEvent {
        let life = self.expires_after.map(|life| u64::try_from(life.as_nanos()).unwrap_or(u64::MAX).max(1));
        UserEvent {
            event_id: mint(now_ns),
            user_id,
            kind: self.kind,
            severity,
            created_at_ns: now_ns,
            expires_at_ns: life.map_or(0, |life| now_ns.saturating_add(life)),
            payload: self.payload,
        }
    }

    /// Frame 1 of the event.
    pub(crate) fn encode(self, user_id: UserId, severity: Severity, stamp: Stamp) -> (EventId, Bytes) {
        let header = FrameHeader {
            trace: self.trace,
            ..FrameHeader::new(Kind::UserEvent, stamp.publisher_id, stamp.sequence, stamp.now_ns)
        };
        let event = self.into_event(user_id, severity, stamp.now_ns);
        let event_id = event.event_id;
        let message = wire::UserEvent::from(&EventMessage::Event(event));
        (event_id, header.encode(&message).expect("a payload within its limit fits a frame"))
    }
}

/// What the header of a frame says besides its kind.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stamp {
    pub(crate) publisher_id: u64,
    pub(crate) sequence: u64,
    pub(crate) now_ns: u64,
}

fn mint(now_ns: u64) -> EventId {
    EventId::from_bits(ulid::Ulid::from_parts(now_ns / 1_000_000, rand::random()).0)
}

/// Frame 1 as it was stored, with the sign that it may have been sent before.
pub(crate) fn marked_as_repetition(frame: &Bytes) -> Bytes {
    const FLAGS_AT: usize = 2;
    const POSSIBLE_DUPLICATE: u8 = 2;
    let mut copy = frame.to_vec();
    copy[FLAGS_AT] |= POSSIBLE_DUPLICATE;
    debug_assert!(Frame::decode(&Bytes::copy_from_slice(&copy)).is_ok_and(|frame| frame.header.possible_duplicate));
    copy.into()
}
