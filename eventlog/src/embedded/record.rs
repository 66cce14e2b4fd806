//! The bytes of a segment: its header and its records. Pure; the layout is in docs/adr/0007-embedded-log-engine.md.
//!
//! Segment header (24 bytes, little-endian): magic 8, base offset u64, flags u32, crc32c u32 of the 20 bytes before.
//! Record (24 bytes and a body): crc32c u32, body length u32, offset − base u32, key length u16, flags u16,
//! timestamp_ns u64, key, value. The CRC covers everything behind itself and starts from the CRC of the base offset, so
//! a record of another segment never passes.

use crate::{KEY_BYTES, Record, VALUE_BYTES};

/// Bytes of a segment header.
pub(crate) const SEGMENT_HEADER: usize = 24;
/// Bytes of a record without its body.
pub(crate) const RECORD_HEADER: usize = 24;
/// Longest body.
pub(crate) const BODY_MAX: usize = KEY_BYTES + VALUE_BYTES;

const MAGIC: [u8; 8] = *b"dxseg\0\0\x01";
/// The last record of a batch: readers and recovery take batches whole.
const FLAG_BATCH_END: u16 = 1;
/// Not a record: the segment is complete, and the next one starts at this offset.
const FLAG_SEAL: u16 = 2;
const FLAGS_KNOWN: u16 = FLAG_BATCH_END | FLAG_SEAL;
/// The segment was compacted: offsets may have holes.
const SEGMENT_COMPACTED: u32 = 1;

/// A segment header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SegmentHeader {
    /// Offset that deltas count from.
    pub(crate) base: u64,
    /// Offsets may have holes.
    pub(crate) compacted: bool,
}

impl SegmentHeader {
    /// Its bytes.
    pub(crate) fn encode(self) -> [u8; SEGMENT_HEADER] {
        let mut bytes = [0; SEGMENT_HEADER];
        bytes[..8].copy_from_slice(&MAGIC);
        bytes[8..16].copy_from_slice(&self.base.to_le_bytes());
        let flags = if self.compacted { SEGMENT_COMPACTED } else { 0 };
        bytes[16..20].copy_from_slice(&flags.to_le_bytes());
        let crc = crc32c::crc32c(&bytes[..20]);
        bytes[20..].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// Reads and checks it.
    pub(crate) fn decode(bytes: &[u8; SEGMENT_HEADER]) -> Result<Self, &'static str> {
        if crc32c::crc32c(&bytes[..20]) != u32_at(bytes, 20) {
            return Err("checksum of the segment header");
        }
        let flags = u32_at(bytes, 16);
        if bytes[..8] != MAGIC || flags & !SEGMENT_COMPACTED != 0 {
            return Err("segment of an unknown version");
        }
        Ok(Self { base: u64_at(bytes, 8), compacted: flags & SEGMENT_COMPACTED != 0 })
    }
}

/// Where CRCs of a segment start.
pub(crate) fn seed(base: u64) -> u32 {
    crc32c::crc32c(&base.to_le_bytes())
}

/// A record inside a buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RecordView<'a> {
    /// Offset − base.
    pub(crate) delta: u32,
    /// The writer's time stamp.
    pub(crate) timestamp_ns: u64,
    /// Last of its batch.
    pub(crate) batch_end: bool,
    /// The seal of the segment.
    pub(crate) seal: bool,
    /// Key.
    pub(crate) key: &'a [u8],
    /// Value.
    pub(crate) value: &'a [u8],
}

impl RecordView<'_> {
    /// Bytes in the file.
    pub(crate) const fn len(&self) -> usize {
        RECORD_HEADER + self.key.len() + self.value.len()
    }
}

/// Length of the record whose header starts the bytes, which must be at least [`RECORD_HEADER`] long. Nothing is
/// allocated by a length that did not pass here.
pub(crate) fn record_len(bytes: &[u8]) -> Result<usize, &'static str> {
    let (body, key) = (u32_at(bytes, 4) as usize, usize::from(u16_at(bytes, 12)));
    if body > BODY_MAX || key > KEY_BYTES || key > body {
        return Err("length of a record");
    }
    if u16_at(bytes, 14) & !FLAGS_KNOWN != 0 {
        return Err("flags of a record");
    }
    Ok(RECORD_HEADER + body)
}

/// Checks the record of exactly these bytes, whose length came from [`record_len`].
pub(crate) fn parse(bytes: &[u8], seed: u32) -> Result<RecordView<'_>, &'static str> {
    if crc32c::crc32c_append(seed, &bytes[4..]) != u32_at(bytes, 0) {
        return Err("checksum of a record");
    }
    let (key, flags) = (usize::from(u16_at(bytes, 12)), u16_at(bytes, 14));
    let (key, value) = bytes[RECORD_HEADER..].split_at(key);
    Ok(RecordView {
        delta: u32_at(bytes, 8),
        timestamp_ns: u64_at(bytes, 16),
        batch_end: flags & FLAG_BATCH_END != 0,
        seal: flags & FLAG_SEAL != 0,
        key,
        value,
    })
}

/// Appends a record's bytes to a buffer. Lengths were checked when the record entered the log.
pub(crate) fn encode(buffer: &mut Vec<u8>, seed: u32, delta: u32, record: &Record, batch_end: bool) {
    let flags = if batch_end { FLAG_BATCH_END } else { 0 };
    encode_parts(buffer, seed, delta, flags, record.timestamp_ns, [&record.key, &record.value]);
}

/// The seal that closes a segment.
pub(crate) fn encode_seal(seed: u32, next_delta: u32) -> Vec<u8> {
    let mut buffer = Vec::with_capacity(RECORD_HEADER);
    encode_parts(&mut buffer, seed, next_delta, FLAG_BATCH_END | FLAG_SEAL, 0, [&[], &[]]);
    buffer
}

#[allow(clippy::cast_possible_truncation, reason = "lengths are below BODY_MAX and KEY_BYTES")]
fn encode_parts(buffer: &mut Vec<u8>, seed: u32, delta: u32, flags: u16, timestamp_ns: u64, body: [&[u8]; 2]) {
    let [key, value] = body;
    let start = buffer.len();
    let mut header = [0; RECORD_HEADER];
    header[4..8].copy_from_slice(&((key.len() + value.len()) as u32).to_le_bytes());
    header[8..12].copy_from_slice(&delta.to_le_bytes());
    header[12..14].copy_from_slice(&(key.len() as u16).to_le_bytes());
    header[14..16].copy_from_slice(&flags.to_le_bytes());
    header[16..24].copy_from_slice(&timestamp_ns.to_le_bytes());
    buffer.extend_from_slice(&header);
    buffer.extend_from_slice(key);
    buffer.extend_from_slice(value);
    let crc = crc32c::crc32c_append(seed, &buffer[start + 4..]);
    buffer[start..start + 4].copy_from_slice(&crc.to_le_bytes());
}

/// True if a whole record with an offset of `from` or later starts anywhere in the bytes: then what is before it is
/// damage, not a torn tail.
pub(crate) fn whole_record_inside(bytes: &[u8], seed: u32, from: u32) -> bool {
    let deltas_left = u32::try_from(bytes.len() / RECORD_HEADER).unwrap_or(u32::MAX);
    let last = from.saturating_add(deltas_left).saturating_add(1);
    (0..bytes.len().saturating_sub(RECORD_HEADER - 1)).any(|start| {
        let rest = &bytes[start..];
        // Delta and lengths sieve almost every position, so that few need a checksum.
        (from..=last).contains(&u32_at(rest, 8))
            && record_len(rest).is_ok_and(|len| len <= rest.len() && parse(&rest[..len], seed).is_ok())
    })
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

pub(crate) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

pub(crate) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from(u32_at(bytes, at)) | u64::from(u32_at(bytes, at + 4)) << 32
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn record(key: &[u8], value: &[u8]) -> Record {
        Record { key: key.to_vec().into(), value: value.to_vec().into(), timestamp_ns: 7 }
    }

    #[test]
    fn the_layout_of_a_record_is_fixed() {
        let mut bytes = Vec::new();
        encode(&mut bytes, seed(1000), 5, &record(b"SIM:X", b"value"), true);
        let golden = "58d7013b 0a000000 05000000 0500 0100 0700000000000000 53494d3a58 76616c7565";
        let hex: String = bytes.iter().map(|b| format!("{b:02x}")).collect();
        assert_eq!(hex, golden.replace(' ', ""));
    }

    #[test]
    fn the_layout_of_a_segment_header_is_fixed() {
        let bytes = SegmentHeader { base: 1000, compacted: true }.encode();
        let hex: String = bytes.iter().map(|b| format!("{b:02x}")).collect();
        assert_eq!(hex, "64787365670000 01 e803000000000000 01000000 6907aecd".replace(' ', ""));
        assert_eq!(SegmentHeader::decode(&bytes), Ok(SegmentHeader { base: 1000, compacted: true }));
    }

    #[test]
    fn a_record_of_another_segment_does_not_pass() {
        let mut bytes = Vec::new();
        encode(&mut bytes, seed(0), 5, &record(b"k", b"v"), true);
        assert!(parse(&bytes, seed(0)).is_ok());
        assert!(parse(&bytes, seed(1)).is_err());
    }

    #[test]
    fn every_flipped_bit_of_a_record_is_found() {
        let mut bytes = Vec::new();
        encode(&mut bytes, seed(3), 9, &record(b"key", b"some value"), false);
        for bit in 0..bytes.len() * 8 {
            let mut damaged = bytes.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            let passed = record_len(&damaged).is_ok_and(|len| len == bytes.len() && parse(&damaged, seed(3)).is_ok());
            assert!(!passed, "bit {bit}");
        }
    }

    #[test]
    fn a_length_over_the_limit_is_refused_before_anything_is_read() {
        let mut bytes = [0; RECORD_HEADER];
        bytes[4..8].copy_from_slice(&u32::try_from(BODY_MAX).unwrap().to_le_bytes());
        assert_eq!(record_len(&bytes), Ok(RECORD_HEADER + BODY_MAX));
        bytes[4..8].copy_from_slice(&u32::try_from(BODY_MAX + 1).unwrap().to_le_bytes());
        assert!(record_len(&bytes).is_err());
        bytes[4..8].copy_from_slice(&u32::MAX.to_le_bytes());
        assert!(record_len(&bytes).is_err());
    }

    proptest! {
        #[test]
        fn records_round_trip(
            key in proptest::collection::vec(any::<u8>(), 0..50),
            value in proptest::collection::vec(any::<u8>(), 0..500),
            base: u64, delta: u32, timestamp_ns: u64, batch_end: bool,
        ) {
            let record = Record { key: key.clone().into(), value: value.clone().into(), timestamp_ns };
            let mut bytes = Vec::new();
            encode(&mut bytes, seed(base), delta, &record, batch_end);
            prop_assert_eq!(record_len(&bytes), Ok(bytes.len()));
            let expected =
                RecordView { delta, timestamp_ns, batch_end, seal: false, key: &key, value: &value };
            prop_assert_eq!(parse(&bytes, seed(base)), Ok(expected));
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), RECORD_HEADER..300), base: u64) {
            let _length = record_len(&bytes);
            let _record = parse(&bytes, seed(base));
            let _found = whole_record_inside(&bytes, seed(base), 0);
        }

        #[test]
        fn a_whole_record_is_found_behind_any_garbage(
            garbage in proptest::collection::vec(any::<u8>(), 0..200),
            behind in proptest::collection::vec(any::<u8>(), 0..50),
        ) {
            let mut bytes = garbage;
            encode(&mut bytes, seed(0), 3, &record(b"k", b"v"), true);
            bytes.extend(behind);
            prop_assert!(whole_record_inside(&bytes, seed(0), 3));
        }
    }
}
