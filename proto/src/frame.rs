//! Frame 1 of every ZeroMQ message: a fixed header and a protobuf payload (docs/protocol/01-frames.md).

use crate::limits::FRAME_BYTES;
use bytes::{BufMut, Bytes, BytesMut};

/// Version of the header that this crate writes and reads.
pub const HEADER_VERSION: u8 = 1;
/// Size of the fixed header.
pub const HEADER_BYTES: usize = 32;
/// Size of the trace context that follows the header when its flag is set.
pub const TRACE_BYTES: usize = 25;

const FLAG_TRACE: u16 = 1;
const FLAG_POSSIBLE_DUPLICATE: u16 = 2;

/// Why bytes are not a frame.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// Fewer bytes than needed.
    #[error("truncated at byte {offset}: need {need}, have {have}")]
    Truncated {
        /// Where the missing part starts.
        offset: usize,
        /// Bytes needed in all.
        need: usize,
        /// Bytes there.
        have: usize,
    },
    /// More bytes than allowed.
    #[error("{have} bytes, limit {limit}")]
    TooLong {
        /// Bytes there.
        have: usize,
        /// The limit.
        limit: usize,
    },
    /// Unknown header version.
    #[error("header version {0} is unknown")]
    Version(u8),
    /// Unknown message kind.
    #[error("message kind {0} is unknown")]
    Kind(u8),
    /// A flag that this version does not define.
    #[error("flags {0:#06x} are unknown")]
    Flags(u16),
    /// Reserved bytes that are not zero.
    #[error("reserved bytes are not zero")]
    Reserved,
    /// Another kind than expected.
    #[error("kind {got:?}, expected {expected:?}")]
    UnexpectedKind {
        /// The kind in the header.
        got: Kind,
        /// The kind that was asked for.
        expected: Kind,
    },
    /// The payload is not the protobuf message of its kind.
    #[error("payload: {0}")]
    Payload(#[from] prost::DecodeError),
}

/// What the payload is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
#[allow(missing_docs, reason = "each names its protobuf message")]
pub enum Kind {
    HistoryRequest = 1,
    RequestAck = 2,
    WorkItem = 3,
    Tick = 4,
    Quote = 5,
    Candle = 6,
    OhlcBatch = 7,
    HistoryReadyNotification = 8,
    UserEvent = 9,
    EventAck = 10,
}

impl Kind {
    /// All kinds in numeric order.
    pub const ALL: [Self; 10] = [
        Self::HistoryRequest,
        Self::RequestAck,
        Self::WorkItem,
        Self::Tick,
        Self::Quote,
        Self::Candle,
        Self::OhlcBatch,
        Self::HistoryReadyNotification,
        Self::UserEvent,
        Self::EventAck,
    ];

    /// The flags that a message of this kind may have.
    const fn known_flags(self) -> u16 {
        match self {
            Self::UserEvent => FLAG_TRACE | FLAG_POSSIBLE_DUPLICATE,
            _ => FLAG_TRACE,
        }
    }

    fn from_byte(byte: u8) -> Result<Self, WireError> {
        Self::ALL.into_iter().find(|kind| *kind as u8 == byte).ok_or(WireError::Kind(byte))
    }
}

/// W3C trace context: trace id, span id, flags.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceContext {
    /// Trace id; equals the chain id.
    pub trace_id: [u8; 16],
    /// Span id of the sender.
    pub span_id: [u8; 8],
    /// Trace flags.
    pub flags: u8,
}

/// The fixed header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrameHeader {
    /// What the payload is.
    pub kind: Kind,
    /// Who sent it: random at start of the publisher, so a restart is a new publisher.
    pub publisher_id: u64,
    /// Counts the messages of this publisher on this topic from 1, without gaps.
    pub sequence: u64,
    /// Venue time of the event in ns since the epoch; 0 if it has none.
    pub event_time_ns: u64,
    /// Trace context of a sampled message.
    pub trace: Option<TraceContext>,
    /// The message may have been sent before. Only a [`Kind::UserEvent`] may say so.
    pub possible_duplicate: bool,
}

/// A decoded frame 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// The header.
    pub header: FrameHeader,
    /// The protobuf message.
    pub payload: Bytes,
}

impl FrameHeader {
    /// A header without trace context.
    #[must_use]
    pub const fn new(kind: Kind, publisher_id: u64, sequence: u64, event_time_ns: u64) -> Self {
        Self { kind, publisher_id, sequence, event_time_ns, trace: None, possible_duplicate: false }
    }

    fn write(&self, out: &mut BytesMut) {
        out.put_u8(HEADER_VERSION);
        out.put_u8(self.kind as u8);
        let trace = if self.trace.is_some() { FLAG_TRACE } else { 0 };
        let duplicate = if self.possible_duplicate { FLAG_POSSIBLE_DUPLICATE } else { 0 };
        out.put_u16_le(trace | duplicate);
        out.put_u32_le(0);
        out.put_u64_le(self.publisher_id);
        out.put_u64_le(self.sequence);
        out.put_u64_le(self.event_time_ns);
        if let Some(trace) = self.trace {
            out.put_slice(&trace.trace_id);
            out.put_slice(&trace.span_id);
            out.put_u8(trace.flags);
        }
    }

    /// Header and message as one frame.
    ///
    /// # Errors
    /// [`WireError::TooLong`] if the frame exceeds the limit.
    pub fn encode<M: prost::Message>(&self, message: &M) -> Result<Bytes, WireError> {
        let mut out = BytesMut::with_capacity(HEADER_BYTES + TRACE_BYTES + message.encoded_len());
        self.write(&mut out);
        message.encode_raw(&mut out);
        if out.len() > FRAME_BYTES {
            return Err(WireError::TooLong { have: out.len(), limit: FRAME_BYTES });
        }
        Ok(out.freeze())
    }
}

fn word<const N: usize>(bytes: &[u8], offset: usize) -> Result<[u8; N], WireError> {
    bytes.get(offset..offset + N).and_then(|slice| slice.try_into().ok()).ok_or(WireError::Truncated {
        offset,
        need: offset + N,
        have: bytes.len(),
    })
}

impl Frame {
    /// Splits a frame into header and payload; the payload shares the memory.
    ///
    /// # Errors
    /// See [`WireError`].
    pub fn decode(bytes: &Bytes) -> Result<Self, WireError> {
        if bytes.len() > FRAME_BYTES {
            return Err(WireError::TooLong { have: bytes.len(), limit: FRAME_BYTES });
        }
        let [version, kind] = word::<2>(bytes, 0)?;
        if version != HEADER_VERSION {
            return Err(WireError::Version(version));
        }
        let kind = Kind::from_byte(kind)?;
        let flags = u16::from_le_bytes(word(bytes, 2)?);
        if flags & !kind.known_flags() != 0 {
            return Err(WireError::Flags(flags));
        }
        if word::<4>(bytes, 4)? != [0; 4] {
            return Err(WireError::Reserved);
        }
        let mut header = FrameHeader::new(
            kind,
            u64::from_le_bytes(word(bytes, 8)?),
            u64::from_le_bytes(word(bytes, 16)?),
            u64::from_le_bytes(word(bytes, 24)?),
        );
        header.possible_duplicate = flags & FLAG_POSSIBLE_DUPLICATE != 0;
        let mut start = HEADER_BYTES;
        if flags & FLAG_TRACE != 0 {
            header.trace = Some(TraceContext {
                trace_id: word(bytes, start)?,
                span_id: word(bytes, start + 16)?,
                flags: word::<1>(bytes, start + 24)?[0],
            });
            start += TRACE_BYTES;
        }
        Ok(Self { header, payload: bytes.slice(start..) })
    }

    /// The payload as the message of `expected` kind.
    ///
    /// # Errors
    /// [`WireError::UnexpectedKind`] or [`WireError::Payload`].
    pub fn message<M: prost::Message + Default>(&self, expected: Kind) -> Result<M, WireError> {
        if self.header.kind != expected {
            return Err(WireError::UnexpectedKind { got: self.header.kind, expected });
        }
        Ok(M::decode(self.payload.clone())?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire;
    use proptest::prelude::*;

    fn frame() -> Bytes {
        let mut header = FrameHeader::new(Kind::Quote, 7, 9, 11);
        header.trace = Some(TraceContext { trace_id: [1; 16], span_id: [2; 8], flags: 1 });
        header.encode(&wire::Quote { venue: "SIM".into(), ..Default::default() }).unwrap()
    }

    #[test]
    fn each_proper_prefix_of_the_header_is_truncated() {
        let bytes = frame();
        for end in 0..HEADER_BYTES + TRACE_BYTES {
            assert!(matches!(Frame::decode(&bytes.slice(..end)), Err(WireError::Truncated { .. })), "{end}");
        }
    }

    #[test]
    fn unknown_version_kind_flags_and_reserved_bytes_have_their_own_errors() {
        let patch = |at: usize, value: u8| {
            let mut bytes = frame().to_vec();
            bytes[at] = value;
            Frame::decode(&Bytes::from(bytes))
        };
        assert_eq!(patch(2, 5), Err(WireError::Flags(5)));
        assert_eq!(patch(0, 2), Err(WireError::Version(2)));
        assert_eq!(patch(1, 0), Err(WireError::Kind(0)));
        assert_eq!(patch(2, 3), Err(WireError::Flags(3)));
        assert_eq!(patch(5, 1), Err(WireError::Reserved));
    }

    #[test]
    fn the_limit_is_accepted_and_one_more_refused() {
        let mut bytes = frame().to_vec();
        bytes.resize(FRAME_BYTES, 0);
        assert!(Frame::decode(&Bytes::from(bytes.clone())).is_ok());
        bytes.push(0);
        assert!(matches!(Frame::decode(&Bytes::from(bytes)), Err(WireError::TooLong { .. })));
    }

    #[test]
    fn only_a_user_event_may_be_a_possible_duplicate() {
        let mut header = FrameHeader::new(Kind::UserEvent, 7, 9, 11);
        header.possible_duplicate = true;
        let bytes = header.encode(&wire::UserEvent::default()).unwrap();
        assert_eq!(Frame::decode(&bytes).unwrap().header, header);
        for kind in Kind::ALL.into_iter().filter(|kind| *kind != Kind::UserEvent) {
            let bytes = FrameHeader { kind, ..header }.encode(&wire::UserEvent::default()).unwrap();
            assert_eq!(Frame::decode(&bytes), Err(WireError::Flags(2)), "{kind:?}");
        }
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            if let Ok(frame) = Frame::decode(&Bytes::from(bytes)) {
                let _ignored = frame.message::<wire::Tick>(Kind::Tick);
            }
        }
    }
}
