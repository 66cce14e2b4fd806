//! The sparse index of a segment: from offset or time to a place in the file. It can always be rebuilt from the records.

use super::record::{SEGMENT_HEADER, u32_at, u64_at};

/// One entry per this many bytes of records.
const INDEX_STEP: u64 = 32 << 10;
const MAGIC: [u8; 8] = *b"dxidx\0\0\x01";
const HEADER: usize = 44;
const ENTRY: usize = 16;

/// A record worth knowing the place of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Entry {
    /// Offset − base.
    delta: u32,
    /// Where it starts.
    position: u32,
    /// Latest time stamp of all records before it.
    latest_before_ns: u64,
}

/// A place from where to read on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    /// Offset − base of the record there.
    pub(crate) delta: u32,
    /// Byte of the file.
    pub(crate) position: u64,
}

/// Index of the first `end` bytes of a segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SparseIndex {
    entries: Vec<Entry>,
    /// Where the records it knows end.
    pub(crate) end: Place,
    /// Latest time stamp of all records it knows.
    pub(crate) latest_ns: u64,
    /// There is at least one record.
    pub(crate) any: bool,
}

impl SparseIndex {
    /// The index of a segment without records.
    pub(crate) fn new() -> Self {
        let end = Place { delta: 0, position: SEGMENT_HEADER as u64 };
        Self { entries: Vec::new(), end, latest_ns: 0, any: false }
    }

    /// Learns the record at the end; `len` is its length in the file.
    pub(crate) fn push(&mut self, delta: u32, timestamp_ns: u64, len: usize) {
        let position = self.end.position;
        let covered = self.entries.last().map_or(SEGMENT_HEADER as u64, |e| u64::from(e.position));
        // Segments are far below 4 GiB; a place beyond would only make seeks longer.
        if let (true, Ok(position)) = (position - covered >= INDEX_STEP, u32::try_from(position)) {
            self.entries.push(Entry { delta, position, latest_before_ns: self.latest_ns });
        }
        self.latest_ns = self.latest_ns.max(timestamp_ns);
        self.end = Place { delta: delta.saturating_add(1), position: position + len as u64 };
        self.any = true;
    }

    /// A place at or before the record with this delta.
    pub(crate) fn seek(&self, delta: u32) -> Place {
        self.place(self.entries.partition_point(|e| e.delta <= delta))
    }

    /// A place at or before the first record with this time stamp or a later one.
    pub(crate) fn seek_timestamp(&self, timestamp_ns: u64) -> Place {
        self.place(self.entries.partition_point(|e| e.latest_before_ns < timestamp_ns))
    }

    fn place(&self, behind: usize) -> Place {
        let start = Place { delta: 0, position: SEGMENT_HEADER as u64 };
        behind.checked_sub(1).map_or(start, |at| {
            let entry = self.entries[at];
            Place { delta: entry.delta, position: u64::from(entry.position) }
        })
    }

    /// The bytes of its file.
    pub(crate) fn encode(&self, base: u64) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(HEADER + self.entries.len() * ENTRY + 4);
        bytes.extend(MAGIC);
        bytes.extend(base.to_le_bytes());
        bytes.extend(self.end.position.to_le_bytes());
        bytes.extend(self.end.delta.to_le_bytes());
        bytes.extend(self.latest_ns.to_le_bytes());
        bytes.extend(u32::from(self.any).to_le_bytes());
        // Entries are 32 KiB apart in a file below 4 GiB.
        bytes.extend(u32::try_from(self.entries.len()).unwrap_or(u32::MAX).to_le_bytes());
        for entry in &self.entries {
            bytes.extend(entry.delta.to_le_bytes());
            bytes.extend(entry.position.to_le_bytes());
            bytes.extend(entry.latest_before_ns.to_le_bytes());
        }
        let crc = crc32c::crc32c(&bytes);
        bytes.extend(crc.to_le_bytes());
        bytes
    }

    /// Reads the bytes of its file; `None` if they are damaged or belong to another segment.
    pub(crate) fn decode(bytes: &[u8], base: u64) -> Option<Self> {
        let (body, crc) = bytes.split_last_chunk::<4>()?;
        if body.len() < HEADER || crc32c::crc32c(body) != u32::from_le_bytes(*crc) {
            return None;
        }
        let count = u32_at(body, 40) as usize;
        if body[..8] != MAGIC || u64_at(body, 8) != base || body.len() != HEADER + count * ENTRY {
            return None;
        }
        let entries = body[HEADER..].as_chunks::<ENTRY>().0;
        let entry =
            |e: &[u8; ENTRY]| Entry { delta: u32_at(e, 0), position: u32_at(e, 4), latest_before_ns: u64_at(e, 8) };
        Some(Self {
            entries: entries.iter().map(entry).collect(),
            end: Place { position: u64_at(body, 16), delta: u32_at(body, 24) },
            latest_ns: u64_at(body, 28),
            any: u32_at(body, 36) != 0,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn index() -> SparseIndex {
        let mut index = SparseIndex::new();
        for delta in 0..1000 {
            index.push(delta, u64::from(delta) * 10, 1000);
        }
        index
    }

    #[test]
    fn a_seek_lands_at_or_before_the_record_and_at_most_one_step_away() {
        let index = index();
        for delta in 0..1000 {
            let place = index.seek(delta);
            assert!(place.delta <= delta);
            assert_eq!(place.position, SEGMENT_HEADER as u64 + u64::from(place.delta) * 1000);
            assert!(u64::from(delta - place.delta) * 1000 <= INDEX_STEP + 1000);
        }
    }

    #[test]
    fn a_seek_by_time_never_passes_the_first_record_that_is_late_enough() {
        let mut index = SparseIndex::new();
        // A late record in the middle: the first with time >= 5000 is 100, not the 500th.
        for delta in 0..1000 {
            index.push(delta, if delta == 100 { 9000 } else { u64::from(delta) * 10 }, 1000);
        }
        assert!(index.seek_timestamp(5000).delta <= 100);
        assert!(index.seek_timestamp(900).delta <= 90);
        assert!(index.seek_timestamp(9500).delta <= 950);
        assert!(index.seek_timestamp(9500).delta > 900);
    }

    #[test]
    fn the_file_round_trips_and_every_damage_is_found() {
        let index = index();
        let bytes = index.encode(77);
        assert_eq!(SparseIndex::decode(&bytes, 77), Some(index));
        assert_eq!(SparseIndex::decode(&bytes, 78), None);
        for at in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1;
            assert_eq!(SparseIndex::decode(&damaged, 77), None, "byte {at}");
            assert_eq!(SparseIndex::decode(&bytes[..at], 77), None, "cut at {at}");
        }
    }
}
