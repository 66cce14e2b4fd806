//! The frames of an Arrow IPC stream, checked while the bytes come. Pure; holds one frame's metadata at most.
//!
//! A reader that takes the end of a file for the end of a stream cannot tell a cut answer from a whole one. This one wants the
//! end-of-stream marker, and nothing after it.

use arrow_ipc::MessageHeader;
use arrow_schema::Schema;

/// Metadata of a frame: the schema with a thousand holes is the largest.
const MOST_METADATA: usize = 1 << 20;
/// The body of a frame.
const MOST_BODY: i64 = 1 << 30;
const PREFIX: usize = 8;
const CONTINUATION: [u8; 4] = [0xFF; 4];

/// Why bytes are not a whole Arrow stream.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FramingError {
    /// A frame does not start as it must.
    #[error("no frame starts at byte {at}")]
    Prefix {
        /// Where.
        at: u64,
    },
    /// A length is beyond what frames have.
    #[error("a frame of {length} bytes at byte {at}, limit {limit}")]
    Length {
        /// Where.
        at: u64,
        /// The length.
        length: i64,
        /// The limit.
        limit: i64,
    },
    /// The metadata of a frame is broken, or of a kind that has no place here.
    #[error("the frame before byte {at}: {detail}")]
    Metadata {
        /// Where it ends.
        at: u64,
        /// What is wrong.
        detail: String,
    },
    /// Bytes after the end-of-stream marker.
    #[error("bytes after the end of the stream at byte {at}")]
    Trailing {
        /// Where.
        at: u64,
    },
    /// The end-of-stream marker did not come.
    #[error("no end of stream after {bytes} bytes")]
    Truncated {
        /// Bytes that came.
        bytes: u64,
    },
}

/// What a whole stream holds.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Summary {
    pub(super) schema: Schema,
    pub(super) rows: u64,
    pub(super) bytes: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Prefix,
    Metadata { length: usize },
    Body { left: u64 },
    Ended,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Framing {
    state: State,
    held: Vec<u8>,
    bytes: u64,
    rows: u64,
    schema: Option<Schema>,
}

impl Framing {
    pub(super) const fn new() -> Self {
        Self { state: State::Prefix, held: Vec::new(), bytes: 0, rows: 0, schema: None }
    }

    /// Bytes taken so far.
    pub(super) const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Takes the next bytes, cut anywhere.
    pub(super) fn feed(&mut self, mut bytes: &[u8]) -> Result<(), FramingError> {
        while !bytes.is_empty() {
            let taken = match self.state {
                State::Prefix => {
                    let taken = self.hold(bytes, PREFIX);
                    if self.held.len() == PREFIX {
                        self.prefix()?;
                    }
                    taken
                }
                State::Metadata { length } => {
                    let taken = self.hold(bytes, length);
                    if self.held.len() == length {
                        self.metadata()?;
                    }
                    taken
                }
                State::Body { left } => {
                    let taken = bytes.len().min(usize::try_from(left).unwrap_or(usize::MAX));
                    self.bytes += taken as u64;
                    self.body(left - taken as u64);
                    taken
                }
                State::Ended => return Err(FramingError::Trailing { at: self.bytes }),
            };
            bytes = &bytes[taken..];
        }
        Ok(())
    }

    fn hold(&mut self, bytes: &[u8], length: usize) -> usize {
        let taken = bytes.len().min(length - self.held.len());
        self.held.extend_from_slice(&bytes[..taken]);
        self.bytes += taken as u64;
        taken
    }

    fn body(&mut self, left: u64) {
        self.state = if left == 0 { State::Prefix } else { State::Body { left } };
    }

    fn prefix(&mut self) -> Result<(), FramingError> {
        let at = self.bytes - PREFIX as u64;
        let (mark, length) = self.held.split_at(4);
        if mark != CONTINUATION {
            return Err(FramingError::Prefix { at });
        }
        let length = length.try_into().map(i32::from_le_bytes).unwrap_or(-1);
        self.held.clear();
        if length == 0 && self.schema.is_some() {
            self.state = State::Ended;
            return Ok(());
        }
        match usize::try_from(length).ok().filter(|length| (1..=MOST_METADATA).contains(length)) {
            Some(length) => self.state = State::Metadata { length },
            None => {
                let limit = i64::try_from(MOST_METADATA).unwrap_or(i64::MAX);
                return Err(FramingError::Length { at, length: i64::from(length), limit });
            }
        }
        Ok(())
    }

    fn metadata(&mut self) -> Result<(), FramingError> {
        let at = self.bytes;
        let broken = |detail: String| FramingError::Metadata { at, detail };
        let message = arrow_ipc::root_as_message(&self.held).map_err(|error| broken(error.to_string()))?;
        match (message.header_type(), &self.schema) {
            (MessageHeader::Schema, None) => {
                let schema = message.header_as_schema().ok_or_else(|| broken("no schema".to_owned()))?;
                // The conversion panics on types that no version of Arrow has; there is nothing shared to be left broken.
                let converted = std::panic::catch_unwind(|| arrow_ipc::convert::fb_to_schema(schema));
                self.schema = Some(converted.map_err(|_| broken("a type that is not known".to_owned()))?);
            }
            (MessageHeader::RecordBatch, Some(_)) => {
                let batch = message.header_as_record_batch().ok_or_else(|| broken("no batch".to_owned()))?;
                let rows = u64::try_from(batch.length()).map_err(|_| broken("a negative number of rows".to_owned()))?;
                self.rows = self.rows.saturating_add(rows);
            }
            (kind, _) => return Err(broken(format!("{kind:?} has no place here"))),
        }
        let length = message.bodyLength();
        let left = u64::try_from(length).ok().filter(|_| length <= MOST_BODY);
        let left = left.ok_or(FramingError::Length { at, length, limit: MOST_BODY })?;
        self.held.clear();
        self.body(left);
        Ok(())
    }

    /// The end of the bytes.
    pub(super) fn finish(self) -> Result<Summary, FramingError> {
        match (self.state, self.schema) {
            (State::Ended, Some(schema)) => Ok(Summary { schema, rows: self.rows, bytes: self.bytes }),
            _ => Err(FramingError::Truncated { bytes: self.bytes }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::market_data::tests::stream;
    use proptest::prelude::*;

    fn read(bytes: &[u8], step: usize) -> Result<Summary, FramingError> {
        let mut framing = Framing::new();
        for chunk in bytes.chunks(step) {
            framing.feed(chunk)?;
        }
        framing.finish()
    }

    #[test]
    fn a_whole_stream_is_counted_however_it_is_cut_into_chunks() {
        let bytes = stream(100, 7, 3);
        for step in [1, 3, 8, 64, bytes.len()] {
            let summary = read(&bytes, step).unwrap();
            assert_eq!((summary.rows, summary.bytes), (300, bytes.len() as u64));
            assert_eq!(summary.schema.metadata["dexorder.snapshot"], "7");
        }
    }

    #[test]
    fn every_prefix_is_truncated() {
        let bytes = stream(10, 7, 2);
        for end in 0..bytes.len() {
            assert_eq!(read(&bytes[..end], 64), Err(FramingError::Truncated { bytes: end as u64 }), "{end}");
        }
    }

    #[test]
    fn what_follows_the_end_and_what_is_no_frame_is_refused() {
        let mut bytes = stream(10, 7, 1);
        let end = bytes.len() as u64;
        bytes.push(0);
        assert_eq!(read(&bytes, 64), Err(FramingError::Trailing { at: end }));
        assert_eq!(read(b"<html>not arrow</html>", 64), Err(FramingError::Prefix { at: 0 }));
        let huge = [0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x7F];
        assert!(matches!(read(&huge, 8), Err(FramingError::Length { at: 0, .. })));
        let nothing = [0xFF, 0xFF, 0xFF, 0xFF, 0, 0, 0, 0];
        assert!(matches!(read(&nothing, 8), Err(FramingError::Length { at: 0, .. })), "an end before a schema");
    }

    proptest! {
        #[test]
        fn arbitrary_and_damaged_bytes_never_panic(at in 0usize..4000, byte: u8, garbage in proptest::collection::vec(any::<u8>(), 0..200)) {
            let mut bytes = stream(10, 7, 2);
            let at = at % bytes.len();
            bytes[at] = byte;
            drop(read(&bytes, 100));
            drop(read(&garbage, 7));
        }
    }
}
