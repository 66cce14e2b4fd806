//! The reader of one partition: from its offset to the tail, across segments, waiting at the end.

use super::chunk::Fill;
use super::cursor::{Budget, Cursor, Step};
use super::index::SparseIndex;
use super::partition::Partition;
use super::segment::Segment;
use super::tail_watch::Waiting;
use super::writer::Tail;
use crate::{LogError, PartitionReader, Result, Start, Stored};
use async_trait::async_trait;
use std::sync::{Arc, PoisonError};
use tokio::sync::watch;

/// A reader of one partition.
#[derive(Debug)]
pub(crate) struct Reader {
    partition: Arc<Partition>,
    tail: watch::Receiver<Tail>,
    /// Offset wanted next.
    position: u64,
    /// Where that is in a file, if known. Lost when a read is cancelled; then it is looked up again.
    cursor: Option<Cursor>,
}

impl Reader {
    /// A reader at an offset that is known to be there.
    pub(crate) fn at(partition: Arc<Partition>, position: u64) -> Self {
        let tail = partition.watch();
        Self { partition, tail, position, cursor: None }
    }

    /// A reader at a start. Blocks for file reads.
    pub(crate) fn open(partition: Arc<Partition>, start: Start) -> Result<Self> {
        let position = resolve(&partition, start)?;
        Ok(Self::at(partition, position))
    }

    /// The partition it reads.
    pub(crate) fn partition(&self) -> &Arc<Partition> {
        &self.partition
    }

    /// Reads without waiting for new records. [`Fill::Blocking`] may block the thread.
    pub(crate) fn read(&mut self, budget: Budget, fill: Fill) -> Result<Step> {
        let tail = self.tail.borrow_and_update().clone();
        let cursor = self.cursor.take();
        let (cursor, step) = advance(&self.partition, cursor, self.position, &tail, budget, fill)?;
        self.keep(cursor);
        Ok(step)
    }

    /// Like [`Reader::read`] with [`Fill::Blocking`], on a thread that may block.
    pub(crate) async fn read_off_worker(&mut self, budget: Budget) -> Result<Step> {
        let tail = self.tail.borrow_and_update().clone();
        let (partition, cursor, position) = (Arc::clone(&self.partition), self.cursor.take(), self.position);
        let read = move || advance(&partition, cursor, position, &tail, budget, Fill::Blocking);
        let (cursor, step) = tokio::task::spawn_blocking(read).await.map_err(|_| LogError::Closed)??;
        self.keep(cursor);
        Ok(step)
    }

    fn keep(&mut self, cursor: Option<Cursor>) {
        if let Some(cursor) = &cursor {
            self.position = cursor.wanted();
        }
        self.cursor = cursor;
    }

    /// Waits until the partition grew behind what the last read saw.
    pub(crate) async fn grown(&mut self) -> Result<()> {
        let waiting = Waiting::new(&self.partition);
        self.tail.changed().await.map_err(|_| LogError::Closed)?;
        drop(waiting);
        Ok(())
    }

    /// True if nothing will follow.
    pub(crate) fn closed(&self) -> bool {
        self.tail.borrow().closed
    }
}

#[async_trait]
impl PartitionReader for Reader {
    async fn next(&mut self, max_records: usize, max_bytes: usize) -> Result<Vec<Stored>> {
        let budget = Budget { records: max_records, bytes: max_bytes };
        loop {
            // Records in memory are read here and now; only what is on disk costs a thread.
            let step = match self.read(budget, Fill::Cached)? {
                Step::NotLoaded => self.read_off_worker(budget).await?,
                step => step,
            };
            match step {
                Step::Records(records) => return Ok(records),
                Step::Next(_) | Step::NotLoaded => {}
                Step::End if self.closed() => return Err(LogError::Closed),
                Step::End => {
                    self.partition.refresh()?;
                    self.grown().await?;
                }
            }
        }
    }

    fn try_next(&mut self, max_records: usize, max_bytes: usize) -> Result<Vec<Stored>> {
        let budget = Budget { records: max_records, bytes: max_bytes };
        let mut refreshed = false;
        loop {
            match self.read(budget, Fill::Blocking)? {
                Step::Records(records) => return Ok(records),
                Step::Next(_) | Step::NotLoaded => {}
                Step::End if refreshed || !self.partition.shelf.shared => return Ok(Vec::new()),
                Step::End => {
                    self.partition.refresh()?;
                    refreshed = true;
                }
            }
        }
    }

    fn position(&self) -> u64 {
        self.position
    }

    async fn seek(&mut self, start: Start) -> Result<()> {
        let partition = Arc::clone(&self.partition);
        let resolved = tokio::task::spawn_blocking(move || resolve(&partition, start)).await;
        self.position = resolved.map_err(|_| LogError::Closed)??;
        self.cursor = None;
        Ok(())
    }
}

/// One step of a reader, with damage counted.
fn advance(
    partition: &Arc<Partition>,
    cursor: Option<Cursor>,
    position: u64,
    tail: &Tail,
    budget: Budget,
    fill: Fill,
) -> Result<(Option<Cursor>, Step)> {
    let stepped = step(partition, cursor, position, tail, budget, fill);
    if matches!(stepped, Err(LogError::Corrupt { .. })) {
        partition.shelf.metrics.corruptions.add(1);
    }
    stepped
}

/// Opens the file if needed, reads, and goes on to the next segment.
fn step(
    partition: &Arc<Partition>,
    cursor: Option<Cursor>,
    position: u64,
    tail: &Tail,
    budget: Budget,
    fill: Fill,
) -> Result<(Option<Cursor>, Step)> {
    let mut cursor = match cursor {
        Some(cursor) => cursor,
        None if position == tail.offset => Cursor::at_tail(tail),
        None if fill != Fill::Blocking => return Ok((None, Step::NotLoaded)),
        None => Cursor::open(partition, tail, position)?,
    };
    loop {
        match cursor.read(partition, tail, budget, fill)? {
            // Offsets up to the next segment that compaction removed are passed over with it.
            Step::Next(next) if next.max(cursor.wanted()) >= tail.segment.base => {
                let start = SparseIndex::new().seek(0);
                cursor = Cursor::new(Arc::clone(&tail.segment), start, next.max(cursor.wanted()));
            }
            Step::Next(_) if fill != Fill::Blocking => return Ok((Some(cursor), Step::NotLoaded)),
            Step::Next(next) => cursor = Cursor::open(partition, tail, next.max(cursor.wanted()))?,
            step => return Ok((Some(cursor), step)),
        }
    }
}

/// The offset of a start.
fn resolve(partition: &Arc<Partition>, start: Start) -> Result<u64> {
    partition.refresh()?;
    match start {
        Start::Earliest => {
            if partition.shelf.shared {
                partition.relist()?;
            }
            Ok(partition.low())
        }
        Start::Latest => Ok(partition.tail().offset),
        Start::Committed => Err(LogError::NoGroup),
        Start::Offset(offset) => {
            let inside = offset >= partition.low() && offset <= partition.tail().offset;
            if inside { Ok(offset) } else { Err(partition.out_of_range(offset)) }
        }
        Start::Timestamp(timestamp_ns) => offset_at(partition, timestamp_ns),
    }
}

/// Offset of the first record with the time stamp or a later one, else of the end.
fn offset_at(partition: &Arc<Partition>, timestamp_ns: u64) -> Result<u64> {
    let tail = partition.tail();
    let closed = partition.closed_segments().clone();
    for segment in closed {
        let Some(open) = Segment::open(&partition.dir, segment.base)? else { continue };
        let (index, _rebuilt) = open.closed_index(&partition.dir)?;
        if index.any && index.latest_ns >= timestamp_ns {
            let place = index.seek_timestamp(timestamp_ns);
            let cursor = Cursor::new(Arc::new(open), place, segment.base + u64::from(place.delta));
            return first_at(partition, &tail, cursor, timestamp_ns);
        }
    }
    let index = tail.index.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let place = index.seek_timestamp(timestamp_ns);
    let cursor = Cursor::new(Arc::clone(&tail.segment), place, tail.segment.base + u64::from(place.delta));
    first_at(partition, &tail, cursor, timestamp_ns)
}

fn first_at(partition: &Arc<Partition>, tail: &Tail, cursor: Cursor, timestamp_ns: u64) -> Result<u64> {
    let budget = Budget { records: 1024, bytes: 1 << 20 };
    let mut cursor = Some(cursor);
    loop {
        let (next, step) = advance(partition, cursor, 0, tail, budget, Fill::Blocking)?;
        match step {
            Step::Records(records) => {
                if let Some(found) = records.iter().find(|r| r.timestamp_ns >= timestamp_ns) {
                    return Ok(found.offset);
                }
                cursor = next;
            }
            _ => return Ok(tail.offset),
        }
    }
}
