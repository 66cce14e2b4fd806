//! The write end of a partition: the active segment, what was learned of it, and the only code that changes it.
//!
//! Everything here runs under the partition's writer lock and, where files change, under its file lock too.

use super::chunk::Chunk;
use super::disk;
use super::index::SparseIndex;
use super::record::{self, RECORD_HEADER, SEGMENT_HEADER};
use super::segment::{self, Segment, Stop};
use crate::metrics::Metrics;
use crate::{LogError, Record, Result};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// Records of one call are written in units of at most this many bytes, each whole or absent after a crash.
const BATCH_BYTES: usize = 1 << 20;
/// Largest buffer that is kept between appends.
const BUFFER_KEPT: usize = 512 << 10;
/// Marks a partition whose fdatasync failed.
const POISON_FILE: &str = "poisoned";

/// How far the partition goes. Everything below is whole and will never change.
#[derive(Debug, Clone)]
pub(crate) struct Tail {
    /// The active segment.
    pub(crate) segment: Arc<Segment>,
    /// Its index; covers at least what is below `position`.
    pub(crate) index: Arc<Mutex<SparseIndex>>,
    /// End of its records in the file.
    pub(crate) position: u64,
    /// Offset of the next record.
    pub(crate) offset: u64,
    /// The log was shut down: nothing will follow.
    pub(crate) closed: bool,
}

/// A segment that will get no more records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Closed {
    /// Its first offset.
    pub(crate) base: u64,
    /// First offset behind it.
    pub(crate) next: u64,
    /// Its length.
    pub(crate) bytes: u64,
}

/// The write end.
#[derive(Debug)]
pub(crate) struct Writer {
    dir: PathBuf,
    segment_bytes: u64,
    metrics: Arc<Metrics>,
    segment: Arc<Segment>,
    index: Arc<Mutex<SparseIndex>>,
    position: u64,
    offset: u64,
    /// The active segment has its seal, but its successor does not exist yet.
    sealed: bool,
    /// Segments closed since the partition last asked.
    closed: Vec<Closed>,
    buffer: Vec<u8>,
    chunk: Chunk,
}

/// What an append did.
#[derive(Debug)]
pub(crate) struct Appended {
    /// Offset of the first record.
    pub(crate) first: u64,
    /// Bytes written.
    pub(crate) bytes: u64,
}

impl Writer {
    /// A writer of the segment; [`Writer::learn`] finds its end. An index stored at a clean close spares reading what
    /// it covers.
    pub(crate) fn new(dir: &Path, segment_bytes: u64, metrics: Arc<Metrics>, segment: Segment) -> Result<Self> {
        let index = segment::read_index(dir, segment.base).unwrap_or_else(SparseIndex::new);
        let len = segment.file.len()?;
        if index.end.position > len {
            metrics.corruptions.add(1);
            return Err(segment.file.corrupt(len, "the file is shorter than when it was closed"));
        }
        let (position, offset) = (index.end.position, segment.base + u64::from(index.end.delta));
        Ok(Self {
            dir: dir.to_owned(),
            segment_bytes,
            metrics,
            segment: Arc::new(segment),
            index: Arc::new(Mutex::new(index)),
            position,
            offset,
            sealed: false,
            closed: Vec::new(),
            buffer: Vec::new(),
            chunk: Chunk::default(),
        })
    }

    /// The tail as known now.
    pub(crate) fn tail(&self) -> Tail {
        Tail {
            segment: Arc::clone(&self.segment),
            index: Arc::clone(&self.index),
            position: self.position,
            offset: self.offset,
            closed: false,
        }
    }

    /// Takes the segments closed since the last call.
    pub(crate) fn take_closed(&mut self) -> Vec<Closed> {
        std::mem::take(&mut self.closed)
    }

    /// True if an append of this many bytes stays in the active segment.
    pub(crate) fn fits(&self, bytes: usize) -> bool {
        !self.sealed && self.position + bytes as u64 <= self.segment_bytes
    }

    /// Reads on to the end of what others wrote. Without the file lock it stops at the first byte that is not whole;
    /// with it, such bytes are the torn tail of a dead writer and are cut, or damage and reported.
    pub(crate) fn learn(&mut self, locked: bool) -> Result<()> {
        while (self.sealed || self.learn_segment(locked)?) && self.open_next(locked)? {}
        self.chunk.rest();
        Ok(())
    }

    /// Reads on in the active segment; true if it turned out to be sealed.
    fn learn_segment(&mut self, locked: bool) -> Result<bool> {
        let len = self.segment.file.len()?;
        if len < self.position {
            self.metrics.corruptions.add(1);
            return Err(self.segment.file.corrupt(len, "the file is shorter than it was"));
        }
        if len == self.position {
            return Ok(false);
        }
        let mut index = self.index.lock().unwrap_or_else(PoisonError::into_inner);
        let scan = self.segment.scan(&mut self.chunk, &mut index, len)?;
        self.position = index.end.position;
        self.offset = self.segment.base + u64::from(index.end.delta);
        drop(index);
        let (bad, reason) = match scan.stop {
            Stop::End => return Ok(false),
            Stop::Sealed { next, end } => {
                if end < len && locked {
                    return Err(self.segment.file.corrupt(end, "bytes behind the seal of a segment"));
                }
                self.sealed = true;
                self.offset = next;
                return Ok(true);
            }
            Stop::Unfinished { position } => (position, "a batch that is cut off"),
            Stop::Bad { position, reason } => (position, reason),
        };
        if locked {
            self.cut(bad, reason, scan.next_delta, len)?;
        }
        Ok(false)
    }

    /// Cuts the bytes behind the last whole batch, unless they hold a whole record behind the first bad byte: then the
    /// bad bytes are damage, and nothing is changed.
    fn cut(&self, bad: u64, reason: &'static str, next_delta: u32, len: u64) -> Result<()> {
        let mut rest = vec![0; usize::try_from(len.saturating_sub(bad + 1)).unwrap_or(0)];
        let read = self.segment.file.read_at(&mut rest, bad + 1)?;
        // The record at `bad` may have any offset from `next_delta`; whole ones behind it have a later one, but a
        // damaged header may also hide that the first one behind is the same batch's next.
        if record::whole_record_inside(&rest[..read], self.segment.seed, next_delta) {
            self.metrics.corruptions.add(1);
            return Err(self.segment.file.corrupt(bad, reason));
        }
        if let Some(stored) = segment::read_index(&self.dir, self.segment.base)
            && stored.end.position > self.position
        {
            self.metrics.corruptions.add(1);
            return Err(self.segment.file.corrupt(bad, reason));
        }
        self.segment.file.truncate(self.position)?;
        let torn = len - self.position;
        self.metrics.torn_tails.add(1);
        self.metrics.torn_bytes.add(torn);
        tracing::warn!(file = %self.segment.file.path().display(), position = self.position, torn, "torn tail cut");
        Ok(())
    }

    /// Goes on to the segment behind a sealed one; false if it does not exist and may not be created.
    fn open_next(&mut self, locked: bool) -> Result<bool> {
        let next = match Segment::open(&self.dir, self.offset)? {
            Some(next) => next,
            None if locked => {
                // Whoever sealed it may have died before its fdatasync. Below the active segment all is on disk.
                self.sync_for_roll()?;
                Segment::open_or_create(&self.dir, self.offset)?
            }
            None => return Ok(false),
        };
        self.closed.push(Closed {
            base: self.segment.base,
            next: self.offset,
            bytes: self.position + RECORD_HEADER as u64,
        });
        self.segment = Arc::new(next);
        self.index = Arc::new(Mutex::new(SparseIndex::new()));
        self.position = SEGMENT_HEADER as u64;
        self.sealed = false;
        Ok(true)
    }

    fn sync_for_roll(&self) -> Result<()> {
        self.metrics.fsyncs.add(1);
        self.segment.file.sync().map_err(|error| poisoned_by(&self.dir, &error))
    }

    /// Closes the active segment and starts the next one.
    pub(crate) fn roll(&mut self) -> Result<()> {
        if !self.sealed {
            let delta = self.next_delta()?;
            self.buffer.clear();
            self.buffer.extend(record::encode_seal(self.segment.seed, delta));
            self.write_buffer()?;
            self.sealed = true;
            self.store_index();
        }
        self.open_next(true).map(|_opened| ())
    }

    /// Appends records. Needs [`Writer::learn`] with the file lock before, in the same hold of the lock.
    pub(crate) fn append(&mut self, records: &[Record]) -> Result<Appended> {
        let first = self.offset;
        let mut written = 0;
        let mut rest = records;
        while !rest.is_empty() {
            let (count, bytes) = batch_of(rest);
            let empty = self.position == SEGMENT_HEADER as u64;
            if self.sealed || (!empty && !self.fits(bytes)) {
                self.roll()?;
            }
            self.append_batch(&rest[..count])?;
            written += bytes as u64;
            rest = &rest[count..];
        }
        Ok(Appended { first, bytes: written })
    }

    /// Writes one batch whole or not at all.
    fn append_batch(&mut self, batch: &[Record]) -> Result<()> {
        let first = self.next_delta()?;
        self.buffer.clear();
        for (delta, (i, record)) in (first..).zip(batch.iter().enumerate()) {
            record::encode(&mut self.buffer, self.segment.seed, delta, record, i + 1 == batch.len());
        }
        self.write_buffer()?;
        let mut index = self.index.lock().unwrap_or_else(PoisonError::into_inner);
        for (delta, record) in (first..).zip(batch) {
            index.push(delta, record.timestamp_ns, stored_len(record));
        }
        self.position = index.end.position;
        self.offset = self.segment.base + u64::from(index.end.delta);
        Ok(())
    }

    /// Writes the buffer at the end, or undoes what was written of it.
    fn write_buffer(&mut self) -> Result<()> {
        let written = self.segment.file.write_at(&self.buffer, self.position);
        if self.buffer.capacity() > BUFFER_KEPT {
            self.buffer = Vec::new();
        }
        let Err(error) = written else { return Ok(()) };
        self.metrics.writes_undone.add(1);
        // Where even that is refused, half a batch stays behind the tail. The next holder of the lock would cut it, but a
        // disk that refuses both is not to be trusted with more.
        self.segment.file.truncate(self.position).map_err(|undo| poisoned_by(&self.dir, &undo))?;
        Err(error)
    }

    fn next_delta(&self) -> Result<u32> {
        // A segment is closed by size long before 2^32 records.
        u32::try_from(self.offset - self.segment.base)
            .map_err(|_| self.segment.file.corrupt(self.position, "offset too far from the base"))
    }

    /// Stores the index of the active segment, best effort: it can be rebuilt.
    pub(crate) fn store_index(&self) {
        let index = self.index.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Err(error) = segment::write_index(&self.dir, self.segment.base, &index) {
            tracing::warn!(%error, "index not stored");
        }
    }
}

/// Bytes of a record in the file.
pub(crate) fn stored_len(record: &Record) -> usize {
    RECORD_HEADER + record.key.len() + record.value.len()
}

/// How many records make the next batch, and their bytes. At least one.
fn batch_of(records: &[Record]) -> (usize, usize) {
    let mut bytes = 0;
    for (count, record) in records.iter().enumerate() {
        let len = stored_len(record);
        if count > 0 && bytes + len > BATCH_BYTES {
            return (count, bytes);
        }
        bytes += len;
    }
    (records.len(), bytes)
}

/// True if a process met a failed fdatasync here and no restart repaired it yet.
pub(crate) fn is_marked_poisoned(dir: &Path) -> bool {
    dir.join(POISON_FILE).exists()
}

/// Marks the partition and tells that it takes no more appends.
pub(crate) fn poisoned_by(dir: &Path, error: &LogError) -> LogError {
    tracing::error!(%error, "the partition takes no more appends");
    mark_poisoned(dir);
    LogError::Poisoned { path: dir.to_owned() }
}

/// Tells other processes and the next start that fdatasync failed. Best effort: the disk may refuse this too.
fn mark_poisoned(dir: &Path) {
    if let Err(error) = disk::write_atomically(&dir.join(POISON_FILE), b"fdatasync failed\n", true) {
        tracing::error!(%error, "poison mark not stored");
    }
}

/// After a failed fdatasync the page cache may hold pages that it believes to be on disk and that are not. Writing the
/// same bytes again makes them dirty again, so that the next fdatasync means what it says.
pub(crate) fn repair_poisoned(dir: &Path, segment: &Segment) -> Result<()> {
    let len = segment.file.len()?;
    let mut block = vec![0; 1 << 20];
    let mut position = 0;
    while position < len {
        let read = segment.file.read_at(&mut block, position)?;
        if read == 0 {
            break;
        }
        segment.file.write_at(&block[..read], position)?;
        position += read as u64;
    }
    segment.file.sync()?;
    disk::remove(&dir.join(POISON_FILE))?;
    tracing::warn!(dir = %dir.display(), "partition repaired after a failed fdatasync");
    disk::sync_dir(dir)
}
