//! The envelope of every event-log record (docs/protocol/02-log.md).

use crate::limits::RECORD_BYTES;
use crate::{Venue, wire};
use bytes::Bytes;
use prost::Message;

/// Version of the messages inside envelopes. Readers accept additions; a higher number is refused.
pub const SCHEMA_VERSION: u32 = 1;

/// Which message an envelope holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "each names its protobuf message")]
pub enum EventType {
    RawFrame,
    Tick,
    TickBatch,
    Heartbeat,
    Quote,
    OhlcBatch,
    Instrument,
    FeedStatus,
    JobStatus,
    HistoryReadyNotification,
    DeadLetter,
}

impl EventType {
    /// All event types.
    pub const ALL: [Self; 11] = [
        Self::RawFrame,
        Self::Tick,
        Self::TickBatch,
        Self::Heartbeat,
        Self::Quote,
        Self::OhlcBatch,
        Self::Instrument,
        Self::FeedStatus,
        Self::JobStatus,
        Self::HistoryReadyNotification,
        Self::DeadLetter,
    ];

    /// The message name on the log.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::RawFrame => "RawFrame",
            Self::Tick => "Tick",
            Self::TickBatch => "TickBatch",
            Self::Heartbeat => "Heartbeat",
            Self::Quote => "Quote",
            Self::OhlcBatch => "OhlcBatch",
            Self::Instrument => "Instrument",
            Self::FeedStatus => "FeedStatus",
            Self::JobStatus => "JobStatus",
            Self::HistoryReadyNotification => "HistoryReadyNotification",
            Self::DeadLetter => "DeadLetter",
        }
    }
}

/// Where the raw bytes of a normalised event are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RawReference {
    /// Topic name.
    pub topic: String,
    /// Partition.
    pub partition: u32,
    /// Offset.
    pub offset: u64,
}

/// Why bytes are not an envelope.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EnvelopeError {
    /// Over the limit of a record.
    #[error("{0} bytes, limit {RECORD_BYTES}")]
    TooLong(usize),
    /// Not protobuf.
    #[error("envelope: {0}")]
    Protobuf(#[from] prost::DecodeError),
    /// A mandatory field is missing or not valid.
    #[error("{0}: missing or not valid")]
    Field(&'static str),
    /// Written by a newer, incompatible version.
    #[error("schema_version {0} is newer than {SCHEMA_VERSION}")]
    Version(u32),
    /// Another message than expected.
    #[error("event_type {got:?}, expected {expected}")]
    UnexpectedType {
        /// The type in the envelope.
        got: EventType,
        /// What was asked for.
        expected: &'static str,
    },
}

/// What every record of the event log carries as its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope {
    /// ULID, 128 bits.
    pub event_id: u128,
    /// Which message the payload is.
    pub event_type: EventType,
    /// Venue.
    pub venue: Venue,
    /// When it happened (venue clock if known, else ours), ns since the epoch.
    pub observed_at_ns: u64,
    /// When it was written, ns since the epoch, our clock.
    pub ingested_at_ns: u64,
    /// Record key.
    pub key: String,
    /// Trace context, 25 bytes or empty.
    pub trace: Bytes,
    /// The message.
    pub payload: Bytes,
    /// Where the raw bytes are, if any.
    pub raw: Option<RawReference>,
}

impl Envelope {
    /// Bytes for the log.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        let message = wire::Envelope {
            event_id: self.event_id.to_be_bytes().to_vec(),
            event_type: self.event_type.name().to_owned(),
            venue: self.venue.to_string(),
            observed_at_ns: self.observed_at_ns,
            ingested_at_ns: self.ingested_at_ns,
            schema_version: SCHEMA_VERSION,
            key: self.key.clone(),
            trace: self.trace.to_vec(),
            payload: self.payload.to_vec(),
            raw: self.raw.as_ref().map(|raw| wire::RawReference {
                topic: raw.topic.clone(),
                partition: raw.partition,
                offset: raw.offset,
            }),
        };
        message.encode_to_vec().into()
    }

    /// Reads and checks an envelope.
    ///
    /// # Errors
    /// [`EnvelopeError`] names the field that is missing or wrong.
    pub fn decode(bytes: &[u8]) -> Result<Self, EnvelopeError> {
        if bytes.len() > RECORD_BYTES {
            return Err(EnvelopeError::TooLong(bytes.len()));
        }
        let message = wire::Envelope::decode(bytes)?;
        if message.schema_version > SCHEMA_VERSION {
            return Err(EnvelopeError::Version(message.schema_version));
        }
        let field = |name, ok: bool| if ok { Ok(()) } else { Err(EnvelopeError::Field(name)) };
        let event_id =
            <[u8; 16]>::try_from(message.event_id.as_slice()).map_err(|_| EnvelopeError::Field("event_id"))?;
        let event_type = EventType::ALL
            .into_iter()
            .find(|t| t.name() == message.event_type)
            .ok_or(EnvelopeError::Field("event_type"))?;
        field("schema_version", message.schema_version > 0)?;
        field("observed_at_ns", message.observed_at_ns > 0)?;
        field("ingested_at_ns", message.ingested_at_ns > 0)?;
        field("key", !message.key.is_empty())?;
        field("trace", matches!(message.trace.len(), 0 | 25))?;
        Ok(Self {
            event_id: u128::from_be_bytes(event_id),
            event_type,
            venue: message.venue.parse().map_err(|_| EnvelopeError::Field("venue"))?,
            observed_at_ns: message.observed_at_ns,
            ingested_at_ns: message.ingested_at_ns,
            key: message.key,
            trace: message.trace.into(),
            payload: message.payload.into(),
            raw: message.raw.map(|r| RawReference { topic: r.topic, partition: r.partition, offset: r.offset }),
        })
    }

    /// The payload as a message.
    ///
    /// # Errors
    /// If the event type is another or the payload is broken.
    pub fn message<M: Message + Default>(&self, expected: EventType) -> Result<M, EnvelopeError> {
        if self.event_type != expected {
            return Err(EnvelopeError::UnexpectedType { got: self.event_type, expected: expected.name() });
        }
        Ok(M::decode(self.payload.clone())?)
    }
}
