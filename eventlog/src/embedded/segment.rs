//! A segment file: naming, header, index file, and the scan that learns how far it is whole.

use super::chunk::{Chunk, Fill, Peek};
use super::disk::{self, LogFile};
use super::index::{Place, SparseIndex};
use super::record::{self, RECORD_HEADER, SEGMENT_HEADER, SegmentHeader};
use super::writer;
use crate::{LogError, Result};
use std::fs;
use std::path::{Path, PathBuf};

/// An open segment.
#[derive(Debug)]
pub(crate) struct Segment {
    /// Offset of its first record.
    pub(crate) base: u64,
    /// Where its CRCs start.
    pub(crate) seed: u32,
    /// Offsets may have holes.
    pub(crate) compacted: bool,
    /// The file.
    pub(crate) file: LogFile,
}

/// Name of the segment that starts at an offset.
pub(crate) fn segment_path(dir: &Path, base: u64) -> PathBuf {
    dir.join(format!("{base:020}.seg"))
}

/// Name of its index.
pub(crate) fn index_path(dir: &Path, base: u64) -> PathBuf {
    dir.join(format!("{base:020}.idx"))
}

/// Base offsets of all segments in a directory, ascending.
pub(crate) fn list(dir: &Path) -> Result<Vec<u64>> {
    let failed = |e| LogError::io("list", dir, e);
    let mut bases = Vec::new();
    for entry in fs::read_dir(dir).map_err(failed)? {
        let name = entry.map_err(failed)?.file_name();
        let base = name.to_str().and_then(|n| n.strip_suffix(".seg")).filter(|n| n.len() == 20);
        bases.extend(base.and_then(|n| n.parse::<u64>().ok()));
    }
    bases.sort_unstable();
    Ok(bases)
}

impl Segment {
    /// Opens a segment; `None` if it does not exist or has no whole header yet.
    pub(crate) fn open(dir: &Path, base: u64) -> Result<Option<Self>> {
        let Some(file) = LogFile::open(&segment_path(dir, base))? else { return Ok(None) };
        let mut header = [0; SEGMENT_HEADER];
        if file.read_at(&mut header, 0)? < SEGMENT_HEADER {
            return Ok(None);
        }
        let header = SegmentHeader::decode(&header).map_err(|reason| file.corrupt(0, reason))?;
        if header.base != base {
            return Err(file.corrupt(8, "the base offset is not that of the file name"));
        }
        Ok(Some(Self { base, seed: record::seed(base), compacted: header.compacted, file }))
    }

    /// Opens a segment or creates it durably. Only for the holder of the partition's lock: it completes the header of a
    /// creator that died.
    pub(crate) fn open_or_create(dir: &Path, base: u64) -> Result<Self> {
        if let Some(segment) = Self::open(dir, base)? {
            return Ok(segment);
        }
        disk::remove(&index_path(dir, base))?;
        let file = LogFile::create(&segment_path(dir, base))?;
        if let Err(error) = file.write_at(&SegmentHeader { base, compacted: false }.encode(), 0) {
            // Without a whole header nobody else has used it.
            disk::remove(file.path())?;
            return Err(error);
        }
        file.sync().and_then(|()| disk::sync_dir(dir)).map_err(|error| writer::poisoned_by(dir, &error))?;
        Ok(Self { base, seed: record::seed(base), compacted: false, file })
    }

    /// Offset of the next segment, if this one is sealed.
    pub(crate) fn sealed_next(&self) -> Result<Option<u64>> {
        let len = self.file.len()?;
        let Some(position) = len.checked_sub(RECORD_HEADER as u64).filter(|p| *p >= SEGMENT_HEADER as u64) else {
            return Ok(None);
        };
        let mut chunk = Chunk::default();
        Ok(match chunk.peek(&self.file, position, len, self.seed, Fill::Blocking)? {
            Peek::Record(seal) if seal.seal => Some(self.base + u64::from(seal.delta)),
            _ => None,
        })
    }

    /// The index of a closed segment, from its file or, if that is missing, damaged or older, from the records.
    /// The second value is true if it had to be rebuilt.
    pub(crate) fn closed_index(&self, dir: &Path) -> Result<(SparseIndex, bool)> {
        let len = self.file.len()?;
        let stored = read_index(dir, self.base).filter(|index| index.end.position + RECORD_HEADER as u64 == len);
        if let Some(index) = stored {
            return Ok((index, false));
        }
        let mut index = SparseIndex::new();
        let scan = self.scan(&mut Chunk::default(), &mut index, len)?;
        match scan.stop {
            Stop::Sealed { .. } => Ok((index, true)),
            Stop::End | Stop::Unfinished { .. } => Err(self.file.corrupt(len, "a closed segment without its seal")),
            Stop::Bad { position, reason } => Err(self.file.corrupt(position, reason)),
        }
    }

    /// Reads on from the end of the index up to `len` and adds whole batches to the index.
    pub(crate) fn scan(&self, chunk: &mut Chunk, index: &mut SparseIndex, len: u64) -> Result<Scan> {
        chunk.clear();
        let mut pending: Vec<(u32, u64, usize)> = Vec::new();
        let Place { mut delta, mut position } = index.end;
        let stop = loop {
            match chunk.peek(&self.file, position, len, self.seed, Fill::Blocking)? {
                Peek::Record(record) => {
                    let skipped = record.delta > delta && !self.compacted;
                    if record.delta < delta || skipped {
                        break Stop::Bad { position, reason: "an offset that does not follow" };
                    }
                    if record.seal {
                        break Stop::Sealed {
                            next: self.base + u64::from(record.delta),
                            end: position + record.len() as u64,
                        };
                    }
                    delta = record.delta.saturating_add(1);
                    position += record.len() as u64;
                    pending.push((record.delta, record.timestamp_ns, record.len()));
                    if record.batch_end {
                        pending.drain(..).for_each(|(delta, time, len)| index.push(delta, time, len));
                    }
                }
                Peek::End if pending.is_empty() => break Stop::End,
                Peek::End => break Stop::Unfinished { position },
                Peek::CutOff | Peek::NotLoaded => break Stop::Bad { position, reason: "a record that is cut off" },
                Peek::Bad(reason) => break Stop::Bad { position, reason },
            }
        };
        Ok(Scan { stop, next_delta: delta })
    }
}

/// The stored index of a segment, if it is whole.
pub(crate) fn read_index(dir: &Path, base: u64) -> Option<SparseIndex> {
    SparseIndex::decode(&fs::read(index_path(dir, base)).ok()?, base)
}

/// Stores the index of a segment. Not synced: it can be rebuilt.
pub(crate) fn write_index(dir: &Path, base: u64, index: &SparseIndex) -> Result<()> {
    disk::write_atomically(&index_path(dir, base), &index.encode(base), false)
}

/// What a scan found.
#[derive(Debug)]
pub(crate) struct Scan {
    /// Why it stopped.
    pub(crate) stop: Stop,
    /// Offset − base that the next record, whole or not, must have.
    pub(crate) next_delta: u32,
}

/// Why a scan stopped.
#[derive(Debug)]
pub(crate) enum Stop {
    /// At the end of the file, behind a whole batch.
    End,
    /// At the seal, which ends at `end`.
    Sealed {
        /// Offset of the next segment.
        next: u64,
        /// Byte behind the seal.
        end: u64,
    },
    /// At the end of the file, inside a batch.
    Unfinished {
        /// Byte behind the last whole record.
        position: u64,
    },
    /// At bytes that are no record.
    Bad {
        /// The byte.
        position: u64,
        /// What is wrong.
        reason: &'static str,
    },
}
