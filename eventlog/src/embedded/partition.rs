//! A partition: its segments, its tail, and who may append when.
//!
//! Threads: an append that fits the active segment is a copy into the page cache and runs on the caller's task, which is
//! cheaper than handing it to a thread. Whatever may wait (another process's lock, a new segment, a large batch) runs on
//! tokio's blocking threads, and every fdatasync on the threads of [`super::group_commit`].

use super::file_lock::{FileLock, Held};
use super::gathering::Gathering;
use super::group_commit::{Durable, SyncQueue};
use super::segment::{self, Segment};
use super::writer::{self, Appended, Closed, Tail, Writer};
use super::{disk, record};
use crate::metrics::Metrics;
use crate::{LogError, PartitionInfo, Record, Result};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::{OwnedMutexGuard, watch};

/// Appends up to this many bytes run on the caller's task.
const INLINE_BYTES: usize = 128 << 10;

/// What all partitions of a log have in common.
#[derive(Debug, Clone)]
pub(crate) struct Shelf {
    /// Other processes may append.
    pub(crate) shared: bool,
    /// Counters.
    pub(crate) metrics: Arc<Metrics>,
    /// Threads that call fdatasync.
    pub(crate) syncs: Arc<SyncQueue>,
    /// Wakes the thread that looks for records of other processes.
    pub(crate) watchers: Arc<super::tail_watch::Watchers>,
}

/// One partition.
pub(crate) struct Partition {
    /// Topic.
    pub(crate) topic: Arc<str>,
    /// Number.
    pub(crate) number: u32,
    /// Its directory.
    pub(crate) dir: PathBuf,
    /// What all partitions share.
    pub(crate) shelf: Shelf,
    /// Between processes; taken after the writer lock.
    lock: FileLock,
    writer: Arc<tokio::sync::Mutex<Writer>>,
    closed: Mutex<Vec<Closed>>,
    tail: watch::Sender<Tail>,
    /// What is on disk.
    pub(crate) durable: watch::Sender<Durable>,
    /// Highest offset anyone waits for to be on disk.
    pub(crate) wanted: AtomicU64,
    /// A thread has this partition in its hands or in the queue.
    pub(crate) scheduled: AtomicBool,
    /// Lets appenders share an fdatasync.
    pub(crate) gathering: Gathering,
    /// End of what this process appended last.
    written: AtomicU64,
    /// Written by this process and not yet handed to a sync.
    pub(crate) dirty: AtomicBool,
    /// Base of the active segment when compaction last ran: until it changes there is nothing new to compact.
    pub(crate) compacted_below: AtomicU64,
    /// Readers that wait for records.
    pub(crate) waiting: AtomicUsize,
}

impl fmt::Debug for Partition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Partition({}/{})", self.topic, self.number)
    }
}

impl Partition {
    /// Opens or creates a partition: checks its segments, cuts a torn tail, repairs after a failed fdatasync.
    pub(crate) fn open(topic: &Arc<str>, number: u32, dir: PathBuf, segment_bytes: u64, shelf: Shelf) -> Result<Self> {
        let lock = FileLock::open(&dir.join("lock"))?;
        let metrics = Arc::clone(&shelf.metrics);
        // What a long scan can learn without the lock it learns without: others go on appending meanwhile.
        let early = match segment::list(&dir)?.last() {
            Some(base) => Segment::open(&dir, *base)?,
            None => None,
        };
        let early = match early {
            Some(active) => {
                let mut writer = Writer::new(&dir, segment_bytes, Arc::clone(&metrics), active)?;
                writer.learn(false)?;
                Some(writer)
            }
            None => None,
        };
        let held = lock.exclusive()?;
        let mut writer = match early {
            Some(writer) => writer,
            None => {
                let base = segment::list(&dir)?.last().copied().unwrap_or(0);
                Writer::new(&dir, segment_bytes, metrics, Segment::open_or_create(&dir, base)?)?
            }
        };
        writer.learn(true)?;
        let tail = writer.tail();
        writer.take_closed();
        if writer::is_marked_poisoned(&dir) {
            writer::repair_poisoned(&dir, &tail.segment)?;
        }
        let closed = chain(&dir, tail.segment.base)?;
        drop(held);
        // All below the active segment was synced before the segment was created.
        let durable = Durable { offset: tail.segment.base, poisoned: false };
        Ok(Self {
            topic: Arc::clone(topic),
            number,
            dir,
            shelf,
            lock,
            writer: Arc::new(tokio::sync::Mutex::new(writer)),
            closed: Mutex::new(closed),
            tail: watch::Sender::new(tail),
            durable: watch::Sender::new(durable),
            wanted: AtomicU64::new(0),
            scheduled: AtomicBool::new(false),
            gathering: Gathering::default(),
            written: AtomicU64::new(0),
            dirty: AtomicBool::new(false),
            compacted_below: AtomicU64::new(0),
            waiting: AtomicUsize::new(0),
        })
    }

    /// Appends records as one unit per MiB; returns the first offset, the others follow.
    pub(crate) async fn append(self: &Arc<Self>, records: Vec<Record>) -> Result<u64> {
        let mut writer = Arc::clone(&self.writer).lock_owned().await;
        let bytes: usize = records.iter().map(writer::stored_len).sum();
        if bytes <= INLINE_BYTES && writer.fits(bytes + record::RECORD_HEADER) {
            let held = if self.shelf.shared { self.lock.try_exclusive()?.map(Some) } else { Some(None) };
            if let Some(held) = held {
                return self.append_held(&mut writer, held.as_ref(), &records);
            }
        }
        let partition = Arc::clone(self);
        tokio::task::spawn_blocking(move || partition.append_blocking(&mut writer, &records))
            .await
            .map_err(|_| LogError::Closed)?
    }

    fn append_blocking(&self, writer: &mut OwnedMutexGuard<Writer>, records: &[Record]) -> Result<u64> {
        let held = self.shelf.shared.then(|| self.lock.exclusive()).transpose()?;
        self.append_held(writer, held.as_ref(), records)
    }

    /// Appends with the locks held; the file lock only if the directory is shared.
    fn append_held(&self, writer: &mut Writer, held: Option<&Held<'_>>, records: &[Record]) -> Result<u64> {
        if self.tail.borrow().closed {
            return Err(LogError::Closed);
        }
        if self.durable.borrow().poisoned || (held.is_some() && writer::is_marked_poisoned(&self.dir)) {
            return Err(self.poisoned());
        }
        if held.is_some() {
            self.noted(writer.learn(true))?;
        }
        let appended = writer.append(records);
        // Also after an error: batches before it are there.
        self.publish(writer);
        self.written.store(self.tail.borrow().offset, Ordering::SeqCst);
        let Appended { first, bytes } = self.noted(appended)?;
        self.shelf.metrics.appended_records.add(records.len() as u64);
        self.shelf.metrics.appended_bytes.add(bytes);
        Ok(first)
    }

    /// Stops the partition if the error says so.
    fn noted<T>(&self, outcome: Result<T>) -> Result<T> {
        if matches!(outcome, Err(LogError::Poisoned { .. })) {
            self.poison();
        }
        outcome
    }

    /// Takes no more appends from now on.
    pub(crate) fn poison(&self) {
        self.durable.send_if_modified(|durable| {
            let fresh = !std::mem::replace(&mut durable.poisoned, true);
            // Counted before anybody is woken.
            self.shelf.metrics.poisoned.add(u64::from(fresh));
            fresh
        });
    }

    /// The error of a stopped partition.
    pub(crate) fn poisoned(&self) -> LogError {
        LogError::Poisoned { path: self.dir.clone() }
    }

    /// Shows readers how far the partition goes now.
    fn publish(&self, writer: &mut Writer) {
        let closed = writer.take_closed();
        if !closed.is_empty() {
            self.closed_segments().extend(closed);
        }
        let fresh = writer.tail();
        self.tail.send_if_modified(|tail| {
            let grew = fresh.offset > tail.offset || fresh.segment.base > tail.segment.base;
            if grew {
                *tail = Tail { closed: tail.closed, ..fresh };
            }
            grew
        });
    }

    /// Learns what other processes appended. Cheap if there is nothing; skipped while this process appends, which
    /// learns it anyway.
    pub(crate) fn refresh(&self) -> Result<()> {
        if !self.shelf.shared {
            return Ok(());
        }
        let Ok(mut writer) = self.writer.try_lock() else { return Ok(()) };
        let learned = writer.learn(false);
        self.publish(&mut writer);
        learned
    }

    /// Wakes waiting readers, so that they meet an error themselves.
    pub(crate) fn wake(&self) {
        self.tail.send_modify(|_tail| ());
    }

    /// Keeps other processes from appending to, opening or deleting from the partition. Blocks.
    pub(crate) fn exclude(&self) -> Result<Held<'_>> {
        self.lock.exclusive()
    }

    /// Closes the active segment if it has records, so that retention may delete it. Blocks; not for async tasks.
    pub(crate) fn roll(&self) -> Result<()> {
        let mut writer = self.writer.blocking_lock();
        let held = self.shelf.shared.then(|| self.lock.exclusive()).transpose()?;
        if held.is_some() {
            self.noted(writer.learn(true))?;
        }
        let rolled = if writer.tail().position > record::SEGMENT_HEADER as u64 { writer.roll() } else { Ok(()) };
        self.publish(&mut writer);
        self.noted(rolled)
    }

    /// How far the partition goes.
    pub(crate) fn tail(&self) -> Tail {
        self.tail.borrow().clone()
    }

    /// A view of the tail that can be waited on.
    pub(crate) fn watch(&self) -> watch::Receiver<Tail> {
        self.tail.subscribe()
    }

    /// The closed segments, oldest first.
    pub(crate) fn closed_segments(&self) -> MutexGuard<'_, Vec<Closed>> {
        self.closed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads the list of closed segments anew: another process may have deleted or compacted some.
    pub(crate) fn relist(&self) -> Result<()> {
        let mut closed = self.closed_segments();
        // A segment just closed is in the list before the tail moves on.
        let active = self.tail.borrow().segment.base.max(closed.last().map_or(0, |last| last.next));
        *closed = facts(&self.dir, active)?;
        Ok(())
    }

    /// First offset still there.
    pub(crate) fn low(&self) -> u64 {
        self.closed_segments().first().map_or_else(|| self.tail.borrow().segment.base, |first| first.base)
    }

    /// The state of the partition.
    pub(crate) fn info(&self) -> Result<PartitionInfo> {
        self.refresh()?;
        if self.shelf.shared {
            self.relist()?;
        }
        let tail = self.tail();
        let closed: u64 = self.closed_segments().iter().map(|s| s.bytes).sum();
        let durable = self.durable.borrow().offset.min(tail.offset);
        Ok(PartitionInfo { low: self.low(), high: tail.offset, durable, bytes: closed + tail.position })
    }

    /// An offset that is not there.
    pub(crate) fn out_of_range(&self, offset: u64) -> LogError {
        let (topic, partition) = (self.topic.to_string(), self.number);
        LogError::OffsetOutOfRange { topic, partition, offset, low: self.low(), high: self.tail.borrow().offset }
    }

    /// Ends the partition for this process: syncs what it wrote, stores the index, wakes readers. Blocks for a sync.
    pub(crate) fn close(&self) {
        self.tail.send_modify(|tail| tail.closed = true);
        // With the lock no append can follow any more; without it one is just ending, and its index is rebuilt instead.
        let writer = self.writer.try_lock();
        if self.durable.borrow().offset < self.written.load(Ordering::SeqCst) {
            self.sync_now();
        }
        let durable = *self.durable.borrow();
        // The index vouches for what it covers, so it is stored only if all of that is on disk.
        if let (Ok(writer), false) = (writer, durable.poisoned || durable.offset < self.tail.borrow().offset) {
            writer.store_index();
        }
    }
}

/// The closed segments below the active one. Checks that each ends with a seal that names the next, so that neither a
/// file nor a tail is missing in the middle; deletes what a compaction that died had already replaced.
fn chain(dir: &Path, active: u64) -> Result<Vec<Closed>> {
    let mut chain: Vec<Closed> = Vec::new();
    let mut compacted = false;
    for closed in facts(dir, active)? {
        if compacted && chain.last().is_some_and(|before| closed.base < before.next) {
            disk::remove(&segment::segment_path(dir, closed.base))?;
            disk::remove(&segment::index_path(dir, closed.base))?;
            continue;
        }
        let path = segment::segment_path(dir, closed.base);
        let damaged = |byte, reason| LogError::Corrupt { file: path.clone(), byte, reason };
        if chain.last().is_some_and(|before| closed.base != before.next) {
            return Err(damaged(0, "the segment before it is missing or reaches beyond it"));
        }
        let segment = Segment::open(dir, closed.base)?.ok_or_else(|| damaged(0, "no segment header"))?;
        let next = segment.sealed_next()?.ok_or_else(|| damaged(closed.bytes, "a closed segment without its seal"))?;
        compacted = segment.compacted;
        chain.push(Closed { next, ..closed });
    }
    match chain.last() {
        Some(last) if last.next != active => Err(LogError::Corrupt {
            file: segment::segment_path(dir, last.next),
            byte: 0,
            reason: "the segment is missing",
        }),
        _ => Ok(chain),
    }
}

/// The closed segments as the directory lists them.
fn facts(dir: &Path, active: u64) -> Result<Vec<Closed>> {
    let mut bases = segment::list(dir)?;
    bases.retain(|base| *base <= active);
    let mut closed = Vec::with_capacity(bases.len());
    for pair in bases.windows(2) {
        // One deleted meanwhile by another process is simply not there.
        if let Some(facts) = disk::stat(&segment::segment_path(dir, pair[0]))? {
            closed.push(Closed { base: pair[0], next: pair[1], bytes: facts.bytes });
        }
    }
    Ok(closed)
}
