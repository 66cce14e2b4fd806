//! The wire contract of DexOrder: what crosses a socket or rests on the event log.
//!
//! The normative text is `docs/protocol/`; this crate implements it and nothing else. It is pure: no I/O, no async, no
//! clock. Invariants:
//!
//! - no input panics, and no length is trusted before it is checked ([`limits`]);
//! - prices and sizes are exact ([`Decimal`]), never floats;
//! - each market event carries two clocks, `event_time_ns` (venue) and `receive_time_ns` (ours);
//! - only [`topic`] spells topics, and no valid topic is a proper prefix of another.

mod decimal;
pub mod error_code;
mod frame;
mod id;
mod interval;
pub mod limits;
mod log_record;
pub mod market;
mod request;
pub mod topic;
mod user_event;
pub mod wire;

pub use decimal::{Decimal, DecimalError};
pub use error_code::ErrorCode;
pub use frame::{Frame, FrameHeader, HEADER_BYTES, HEADER_VERSION, Kind, TRACE_BYTES, TraceContext, WireError};
pub use id::{ClientId, EventId, IdError, OutboxId, RequestId, Symbol, UserId, Venue};
pub use interval::{Interval, IntervalError};
pub use log_record::{Envelope, EnvelopeError, EventType, RawReference, SCHEMA_VERSION};
pub use request::{HistoryRange, HistoryRequest, RequestError};
pub use topic::{LogTopic, Topic, TopicError, TopicPrefix};
pub use user_event::{
    EventAck, EventError, EventKind, EventMessage, EventOutcome, GapFill, Position, Severity, UserEvent,
};
