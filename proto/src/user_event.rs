//! User events and their acks after validation: the domain side of `wire::UserEvent` and `wire::EventAck`
//! (docs/protocol/07-user-events.md).

use crate::limits::EVENT_PAYLOAD_BYTES;
use crate::{ErrorCode, EventId, IdError, OutboxId, UserId, wire};
use bytes::Bytes;
use std::fmt;

/// Why a message is not a user event or an ack; names the field.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EventError {
    /// An identifier is not valid.
    #[error(transparent)]
    Id(#[from] IdError),
    /// Missing, or a number that this version does not know.
    #[error("{field}: {got} is unknown or not allowed here")]
    Enum {
        /// The field.
        field: &'static str,
        /// What was there.
        got: i32,
    },
    /// The payload is too long.
    #[error("payload: {0} bytes, limit {EVENT_PAYLOAD_BYTES}")]
    PayloadTooLong(usize),
    /// A field that the message must have, or must not have.
    #[error("{0}: missing, not valid or not allowed here")]
    Field(&'static str),
}

impl EventError {
    /// The offending field.
    #[must_use]
    pub const fn field(&self) -> &'static str {
        match self {
            Self::Id(IdError::Length { field, .. } | IdError::Character { field, .. } | IdError::Form { field })
            | Self::Enum { field, .. }
            | Self::Field(field) => field,
            Self::PayloadTooLong(_) => "payload",
        }
    }

    /// The error as a message for the peer.
    #[must_use]
    pub fn detail(&self) -> wire::ErrorDetail {
        ErrorCode::InvalidField.detail(self.field(), &self.to_string())
    }
}

/// What an event is about. No name is a prefix of another, because names end topics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EventKind {
    /// The assistant or a strategy says something.
    Message,
    /// A condition that the user asked to hear of is met.
    Alert,
    /// A backtest ended; the payload names its report.
    BacktestFinished,
    /// A strategy was written, reverted, started or stopped.
    StrategyChanged,
    /// Files, watch lists or preferences changed.
    WorkspaceChanged,
    /// A long piece of work began, moved on or ended.
    AgentExecution,
    /// The value of the portfolio changed.
    PortfolioUpdate,
    /// An order waits for approval.
    OrderProposed,
    /// An order was filled, wholly or in part.
    OrderFilled,
    /// Stands for critical events that expired before they were delivered; see [`GapFill`].
    GapFill,
}

impl EventKind {
    /// All kinds in numeric order.
    pub const ALL: [Self; 10] = [
        Self::Message,
        Self::Alert,
        Self::BacktestFinished,
        Self::StrategyChanged,
        Self::WorkspaceChanged,
        Self::AgentExecution,
        Self::PortfolioUpdate,
        Self::OrderProposed,
        Self::OrderFilled,
        Self::GapFill,
    ];

    /// The name in topics and logs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Message => "message",
            Self::Alert => "alert",
            Self::BacktestFinished => "backtest_finished",
            Self::StrategyChanged => "strategy_changed",
            Self::WorkspaceChanged => "workspace_changed",
            Self::AgentExecution => "agent_execution",
            Self::PortfolioUpdate => "portfolio_update",
            Self::OrderProposed => "order_proposed",
            Self::OrderFilled => "order_filled",
            Self::GapFill => "gap_fill",
        }
    }

    /// The kind of a name, if known.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    const fn wire(self) -> wire::EventKind {
        match self {
            Self::Message => wire::EventKind::Message,
            Self::Alert => wire::EventKind::Alert,
            Self::BacktestFinished => wire::EventKind::BacktestFinished,
            Self::StrategyChanged => wire::EventKind::StrategyChanged,
            Self::WorkspaceChanged => wire::EventKind::WorkspaceChanged,
            Self::AgentExecution => wire::EventKind::AgentExecution,
            Self::PortfolioUpdate => wire::EventKind::PortfolioUpdate,
            Self::OrderProposed => wire::EventKind::OrderProposed,
            Self::OrderFilled => wire::EventKind::OrderFilled,
            Self::GapFill => wire::EventKind::GapFill,
        }
    }

    fn from_wire(number: i32) -> Result<Self, EventError> {
        let kind = Self::ALL.into_iter().find(|kind| kind.wire() as i32 == number);
        kind.ok_or(EventError::Enum { field: "kind", got: number })
    }
}

impl fmt::Display for EventKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Where a critical event stands in the count of its outbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// Who counts.
    pub outbox_id: OutboxId,
    /// From 1, without holes.
    pub sequence: u64,
}

/// How an event travels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Severity {
    /// Sent to whoever listens, lost otherwise.
    Informational,
    /// Kept until it is acked or expires.
    Critical(Position),
}

/// A valid user event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserEvent {
    /// Minted where the event arose.
    pub event_id: EventId,
    /// Whose container it came from.
    pub user_id: UserId,
    /// What it is about; never [`EventKind::GapFill`].
    pub kind: EventKind,
    /// How it travels.
    pub severity: Severity,
    /// When it arose, ns since the epoch.
    pub created_at_ns: u64,
    /// From when on nobody needs it; 0 = never.
    pub expires_at_ns: u64,
    /// JSON, at most [`EVENT_PAYLOAD_BYTES`]. Whether it is JSON is for the receiver to check.
    pub payload: Bytes,
}

/// Says that critical events were not delivered because they expired.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GapFill {
    /// Whose events they were.
    pub user_id: UserId,
    /// The first of them.
    pub from: Position,
    /// The sequence of the last of them.
    pub to: u64,
    /// When this was said, ns since the epoch.
    pub created_at_ns: u64,
}

/// What a `wire::UserEvent` is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EventMessage {
    /// An event.
    Event(UserEvent),
    /// A gap fill.
    Gap(GapFill),
}

impl EventMessage {
    /// Whose.
    #[must_use]
    pub const fn user_id(&self) -> UserId {
        match self {
            Self::Event(event) => event.user_id,
            Self::Gap(gap) => gap.user_id,
        }
    }

    /// The kind as in the topic.
    #[must_use]
    pub const fn kind(&self) -> EventKind {
        match self {
            Self::Event(event) => event.kind,
            Self::Gap(_) => EventKind::GapFill,
        }
    }

    /// Where it stands, unless it is informational.
    #[must_use]
    pub const fn position(&self) -> Option<Position> {
        match self {
            Self::Event(UserEvent { severity: Severity::Critical(position), .. }) => Some(*position),
            Self::Event(_) => None,
            Self::Gap(gap) => Some(gap.from),
        }
    }
}

const fn require(field: &'static str, holds: bool) -> Result<(), EventError> {
    if holds { Ok(()) } else { Err(EventError::Field(field)) }
}

fn position(message: &wire::UserEvent) -> Result<Position, EventError> {
    require("sequence", message.sequence > 0)?;
    Ok(Position { outbox_id: message.outbox_id.parse()?, sequence: message.sequence })
}

fn severity(message: &wire::UserEvent) -> Result<Severity, EventError> {
    match wire::EventSeverity::try_from(message.severity) {
        Ok(wire::EventSeverity::Critical) => Ok(Severity::Critical(position(message)?)),
        Ok(wire::EventSeverity::Informational) => {
            require("outbox_id", message.outbox_id.is_empty())?;
            require("sequence", message.sequence == 0)?;
            Ok(Severity::Informational)
        }
        _ => Err(EventError::Enum { field: "severity", got: message.severity }),
    }
}

impl TryFrom<wire::UserEvent> for EventMessage {
    type Error = EventError;

    fn try_from(message: wire::UserEvent) -> Result<Self, EventError> {
        let kind = EventKind::from_wire(message.kind)?;
        let user_id = message.user_id.parse()?;
        let severity = severity(&message)?;
        require("created_at_ns", message.created_at_ns > 0)?;
        if kind == EventKind::GapFill {
            let Severity::Critical(from) = severity else { return Err(EventError::Field("severity")) };
            require("gap_to", message.gap_to >= from.sequence && message.gap_to < u64::MAX)?;
            require("event_id", message.event_id.is_empty())?;
            require("payload", message.payload.is_empty())?;
            return Ok(Self::Gap(GapFill { user_id, from, to: message.gap_to, created_at_ns: message.created_at_ns }));
        }
        require("gap_to", message.gap_to == 0)?;
        require("expires_at_ns", message.expires_at_ns == 0 || message.expires_at_ns > message.created_at_ns)?;
        if message.payload.len() > EVENT_PAYLOAD_BYTES {
            return Err(EventError::PayloadTooLong(message.payload.len()));
        }
        Ok(Self::Event(UserEvent {
            event_id: message.event_id.parse()?,
            user_id,
            kind,
            severity,
            created_at_ns: message.created_at_ns,
            expires_at_ns: message.expires_at_ns,
            payload: message.payload.into(),
        }))
    }
}

impl From<&EventMessage> for wire::UserEvent {
    fn from(message: &EventMessage) -> Self {
        let (outbox_id, sequence) =
            message.position().map_or((String::new(), 0), |p| (p.outbox_id.to_string(), p.sequence));
        let severity = if sequence == 0 { wire::EventSeverity::Informational } else { wire::EventSeverity::Critical };
        let base = Self {
            user_id: message.user_id().to_string(),
            outbox_id,
            sequence,
            kind: message.kind().wire() as i32,
            severity: severity as i32,
            ..Self::default()
        };
        match message {
            EventMessage::Event(event) => Self {
                event_id: event.event_id.to_string(),
                created_at_ns: event.created_at_ns,
                expires_at_ns: event.expires_at_ns,
                payload: event.payload.to_vec(),
                ..base
            },
            EventMessage::Gap(gap) => Self { created_at_ns: gap.created_at_ns, gap_to: gap.to, ..base },
        }
    }
}

/// What became of a critical event at the receiver.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EventOutcome {
    /// Delivered and recorded.
    Accepted,
    /// It was there already.
    Duplicate,
    /// Not taken, and why. If `next_sequence` is beyond it, it is recorded as refused and must not be sent again.
    Refused(wire::ErrorDetail),
    /// Something before it is missing: send again from `next_sequence` on.
    ResendFrom,
}

/// A valid ack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventAck {
    /// Whose events.
    pub user_id: UserId,
    /// The message that is answered; it may answer all before it too.
    pub position: Position,
    /// What became of it.
    pub outcome: EventOutcome,
    /// Everything below is delivered and durably recorded.
    pub next_sequence: u64,
}

impl TryFrom<wire::EventAck> for EventAck {
    type Error = EventError;

    fn try_from(message: wire::EventAck) -> Result<Self, EventError> {
        require("sequence", message.sequence > 0)?;
        require("next_sequence", message.next_sequence > 0)?;
        let outcome = match (wire::EventOutcome::try_from(message.outcome), message.error) {
            (Ok(wire::EventOutcome::Accepted), None) => EventOutcome::Accepted,
            (Ok(wire::EventOutcome::Duplicate), None) => EventOutcome::Duplicate,
            (Ok(wire::EventOutcome::ResendFrom), None) => EventOutcome::ResendFrom,
            (Ok(wire::EventOutcome::Refused), Some(error)) => EventOutcome::Refused(error),
            (Ok(wire::EventOutcome::Unspecified) | Err(_), _) => {
                return Err(EventError::Enum { field: "outcome", got: message.outcome });
            }
            _ => return Err(EventError::Field("error")),
        };
        Ok(Self {
            user_id: message.user_id.parse()?,
            position: Position { outbox_id: message.outbox_id.parse()?, sequence: message.sequence },
            outcome,
            next_sequence: message.next_sequence,
        })
    }
}

impl From<&EventAck> for wire::EventAck {
    fn from(ack: &EventAck) -> Self {
        let (outcome, error) = match &ack.outcome {
            EventOutcome::Accepted => (wire::EventOutcome::Accepted, None),
            EventOutcome::Duplicate => (wire::EventOutcome::Duplicate, None),
            EventOutcome::Refused(error) => (wire::EventOutcome::Refused, Some(error.clone())),
            EventOutcome::ResendFrom => (wire::EventOutcome::ResendFrom, None),
        };
        Self {
            user_id: ack.user_id.to_string(),
            outbox_id: ack.position.outbox_id.to_string(),
            sequence: ack.position.sequence,
            outcome: outcome as i32,
            next_sequence: ack.next_sequence,
            error,
        }
    }
}

#[cfg(test)]
mod tests;
