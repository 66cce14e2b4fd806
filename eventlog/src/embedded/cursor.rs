//! A place in a segment file, and reading batches of records from there.

use super::chunk::{Chunk, Fill, Peek};
use super::index::Place;
use super::partition::Partition;
use super::record::RECORD_HEADER;
use super::segment::Segment;
use super::writer::Tail;
use crate::{Result, Stored};
use bytes::Bytes;
use std::ops::Range;
use std::sync::{Arc, PoisonError};

/// A place in one segment.
#[derive(Debug)]
pub(crate) struct Cursor {
    segment: Arc<Segment>,
    position: u64,
    /// Offset that the record at the position has, or, in a compacted segment, has at least.
    expected: u64,
    /// Records below are passed over.
    wanted: u64,
    /// End of the file, once the segment is closed.
    closed_end: Option<u64>,
    chunk: Chunk,
    spans: Vec<Span>,
}

/// Where a record of the batch lies in the chunk.
#[derive(Debug)]
struct Span {
    offset: u64,
    timestamp_ns: u64,
    /// Position of the key in the file; the value follows it.
    key: u64,
    key_len: usize,
    value_len: usize,
}

/// At most this much per read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Budget {
    /// Records.
    pub(crate) records: usize,
    /// Bytes of keys and values; one record may exceed it.
    pub(crate) bytes: usize,
}

/// What a read gave.
#[derive(Debug)]
pub(crate) enum Step {
    /// At least one record.
    Records(Vec<Stored>),
    /// The end of the partition.
    End,
    /// The segment is complete; read on at this offset in the next.
    Next(u64),
    /// There is more, but not in memory.
    NotLoaded,
}

impl Cursor {
    /// A cursor at a place of a segment that passes over records below `wanted`.
    pub(crate) fn new(segment: Arc<Segment>, place: Place, wanted: u64) -> Self {
        let expected = segment.base + u64::from(place.delta);
        Self {
            segment,
            position: place.position,
            expected,
            wanted,
            closed_end: None,
            chunk: Chunk::default(),
            spans: Vec::new(),
        }
    }

    /// A cursor at the very end, which needs no file access.
    pub(crate) fn at_tail(tail: &Tail) -> Self {
        let mut cursor = Self::new(Arc::clone(&tail.segment), Place { delta: 0, position: tail.position }, tail.offset);
        cursor.expected = tail.offset;
        cursor
    }

    /// A cursor at an offset below the tail. Reads files.
    pub(crate) fn open(partition: &Partition, tail: &Tail, offset: u64) -> Result<Self> {
        let place = |index: &super::index::SparseIndex, base: u64| {
            index.seek(u32::try_from(offset.saturating_sub(base)).unwrap_or(u32::MAX))
        };
        if offset >= tail.segment.base {
            let index = tail.index.lock().unwrap_or_else(PoisonError::into_inner);
            return Ok(Self::new(Arc::clone(&tail.segment), place(&index, tail.segment.base), offset));
        }
        for attempt in 0..2 {
            if attempt > 0 {
                partition.relist()?;
            }
            let found = partition.closed_segments().iter().rev().find(|s| s.base <= offset).copied();
            let Some(closed) = found else { continue };
            let Some(segment) = Segment::open(&partition.dir, closed.base)? else { continue };
            if offset == closed.base {
                return Ok(Self::new(Arc::new(segment), super::index::SparseIndex::new().seek(0), offset));
            }
            let (index, rebuilt) = segment.closed_index(&partition.dir)?;
            if rebuilt {
                partition.shelf.metrics.indexes_rebuilt.add(1);
                super::segment::write_index(&partition.dir, closed.base, &index)?;
            }
            return Ok(Self::new(Arc::new(segment), place(&index, closed.base), offset));
        }
        Err(partition.out_of_range(offset))
    }

    /// Offset wanted next.
    pub(crate) fn wanted(&self) -> u64 {
        self.wanted
    }

    /// Reads a batch. `tail` must not be older than the one the cursor was made with.
    pub(crate) fn read(&mut self, partition: &Partition, tail: &Tail, budget: Budget, fill: Fill) -> Result<Step> {
        let limit = if self.segment.base == tail.segment.base { tail.position } else { self.end_of_closed()? };
        let stop = self.collect(limit, budget, fill)?;
        if self.spans.is_empty() {
            return match stop {
                Step::End if self.segment.base != tail.segment.base => {
                    Err(self.segment.file.corrupt(self.position, "a closed segment without its seal"))
                }
                other => Ok(other),
            };
        }
        let records = self.take(partition);
        partition.shelf.metrics.read_records.add(records.len() as u64);
        Ok(Step::Records(records))
    }

    fn end_of_closed(&mut self) -> Result<u64> {
        if let Some(end) = self.closed_end {
            return Ok(end);
        }
        let end = self.segment.file.len()?;
        self.closed_end = Some(end);
        Ok(end)
    }

    /// Walks over records, notes where they lie, and tells what stopped it. All spans lie in the chunk as it is. Damage
    /// behind good records is met by the next call.
    fn collect(&mut self, limit: u64, budget: Budget, fill: Fill) -> Result<Step> {
        self.spans.clear();
        let mut bytes = 0;
        while self.spans.len() < budget.records.max(1) {
            let fill = if self.spans.is_empty() { fill } else { Fill::Never };
            let file = &self.segment.file;
            let damaged = match self.chunk.peek(file, self.position, limit, self.segment.seed, fill)? {
                Peek::Record(record) => {
                    let offset = self.segment.base + u64::from(record.delta);
                    let follows = offset == self.expected || (offset > self.expected && self.segment.compacted);
                    if follows && record.seal {
                        return Ok(Step::Next(offset));
                    }
                    if follows {
                        let body = record.key.len() + record.value.len();
                        if !self.spans.is_empty() && bytes + body > budget.bytes {
                            return Ok(Step::NotLoaded);
                        }
                        if offset >= self.wanted {
                            bytes += body;
                            self.spans.push(Span {
                                offset,
                                timestamp_ns: record.timestamp_ns,
                                key: self.position + RECORD_HEADER as u64,
                                key_len: record.key.len(),
                                value_len: record.value.len(),
                            });
                            self.wanted = offset + 1;
                        }
                        self.position += record.len() as u64;
                        self.expected = offset + 1;
                        continue;
                    }
                    "an offset that does not follow"
                }
                Peek::End => {
                    if self.spans.is_empty() {
                        self.chunk.rest();
                    }
                    return Ok(Step::End);
                }
                Peek::NotLoaded if fill != Fill::Blocking => return Ok(Step::NotLoaded),
                Peek::NotLoaded => "the file is shorter than it was",
                Peek::CutOff => "a record that is cut off",
                Peek::Bad(reason) => reason,
            };
            if self.spans.is_empty() {
                return Err(file.corrupt(self.position, damaged));
            }
            break;
        }
        Ok(Step::NotLoaded)
    }

    /// Copies the batch out of the chunk with one allocation and cuts it into records.
    fn take(&mut self, partition: &Partition) -> Vec<Stored> {
        let (Some(first), Some(last)) = (self.spans.first(), self.spans.last()) else { return Vec::new() };
        let start = first.key;
        let end = last.key + (last.key_len + last.value_len) as u64;
        let len = usize::try_from(end - start).unwrap_or(0);
        let batch = Bytes::copy_from_slice(self.chunk.bytes(start, len));
        let cut = |range: Range<usize>| if range.is_empty() { Bytes::new() } else { batch.slice(range) };
        let stored = |span: Span| {
            let key = usize::try_from(span.key - start).unwrap_or(0);
            let value = key + span.key_len;
            Stored {
                topic: Arc::clone(&partition.topic),
                partition: partition.number,
                offset: span.offset,
                key: cut(key..value),
                value: cut(value..value + span.value_len),
                timestamp_ns: span.timestamp_ns,
            }
        };
        self.spans.drain(..).map(stored).collect()
    }
}
