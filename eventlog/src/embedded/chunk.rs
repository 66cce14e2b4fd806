//! Reading records of a file through one reusable buffer.

use super::disk::LogFile;
use super::record::{self, RECORD_HEADER, RecordView};
use crate::Result;
use std::fmt;

/// Bytes read at once: large enough that a system call costs nothing per record, small enough for a cache.
const CHUNK: usize = 256 << 10;
/// Smallest buffer, so that a reader at the tail of a quiet partition stays small.
const CHUNK_MIN: usize = 4 << 10;
/// Largest buffer that is kept while nothing is read.
const CHUNK_REST: usize = 16 << 10;

/// Where bytes may come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fill {
    /// Only what is in the buffer already.
    Never,
    /// The page cache too.
    Cached,
    /// The disk too: may block the thread.
    Blocking,
}

/// What is at a position.
#[derive(Debug)]
pub(crate) enum Peek<'a> {
    /// A whole and correct record.
    Record(RecordView<'a>),
    /// The limit: nothing.
    End,
    /// The bytes may not be fetched with this [`Fill`], or the file was cut below the limit.
    NotLoaded,
    /// A record that is longer than the bytes before the limit.
    CutOff,
    /// Bytes that are not a record.
    Bad(&'static str),
}

/// A window of a file.
#[derive(Default)]
pub(crate) struct Chunk {
    buffer: Vec<u8>,
    /// Position of the window.
    start: u64,
    /// Valid bytes in the buffer.
    len: usize,
}

impl fmt::Debug for Chunk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Chunk").field("start", &self.start).field("len", &self.len).finish_non_exhaustive()
    }
}

impl Chunk {
    /// Gives back a large buffer, when no more is to be read for now: many readers wait at quiet tails.
    pub(crate) fn rest(&mut self) {
        if self.buffer.len() > CHUNK_REST {
            *self = Self::default();
        }
    }

    /// Forgets what was read. Needed where the bytes may change: behind the known end of a shared segment.
    pub(crate) fn clear(&mut self) {
        self.len = 0;
    }

    /// The record at a position; the file is not looked at from `limit` on.
    pub(crate) fn peek(
        &mut self,
        file: &LogFile,
        position: u64,
        limit: u64,
        seed: u32,
        fill: Fill,
    ) -> Result<Peek<'_>> {
        if position >= limit {
            return Ok(Peek::End);
        }
        let left = limit - position;
        if left < RECORD_HEADER as u64 {
            return Ok(Peek::CutOff);
        }
        if !self.load(file, position, RECORD_HEADER, limit, fill)? {
            return Ok(Peek::NotLoaded);
        }
        let len = match record::record_len(self.bytes(position, RECORD_HEADER)) {
            Ok(len) => len,
            Err(reason) => return Ok(Peek::Bad(reason)),
        };
        if left < len as u64 {
            return Ok(Peek::CutOff);
        }
        if !self.load(file, position, len, limit, fill)? {
            return Ok(Peek::NotLoaded);
        }
        Ok(record::parse(self.bytes(position, len), seed).map_or_else(Peek::Bad, Peek::Record))
    }

    /// Bytes that a peek has loaded.
    pub(crate) fn bytes(&self, position: u64, len: usize) -> &[u8] {
        let at = self.at(position);
        &self.buffer[at..at + len]
    }

    #[allow(clippy::cast_possible_truncation, reason = "a position inside the window, which is in memory")]
    fn at(&self, position: u64) -> usize {
        (position - self.start) as usize
    }

    fn covers(&self, position: u64, len: usize) -> bool {
        position >= self.start && position + len as u64 <= self.start + self.len as u64
    }

    /// Makes the window cover the bytes; false if `fill` does not allow it.
    fn load(&mut self, file: &LogFile, position: u64, len: usize, limit: u64, fill: Fill) -> Result<bool> {
        if self.covers(position, len) {
            return Ok(true);
        }
        if fill == Fill::Never {
            return Ok(false);
        }
        let left = usize::try_from(limit - position).unwrap_or(usize::MAX);
        let wanted = left.min(CHUNK).max(len);
        self.resize(wanted);
        self.len = 0;
        self.start = position;
        let got = match fill {
            Fill::Cached => file.read_cached_at(&mut self.buffer[..wanted], position)?.unwrap_or(0),
            _ => file.read_at(&mut self.buffer[..wanted], position)?,
        };
        self.len = got;
        Ok(got >= len)
    }

    fn resize(&mut self, wanted: usize) {
        if self.buffer.len() > CHUNK && wanted <= CHUNK {
            self.buffer = Vec::new();
        }
        if self.buffer.len() < wanted {
            self.buffer.resize(wanted.next_power_of_two().max(CHUNK_MIN), 0);
        }
    }
}
