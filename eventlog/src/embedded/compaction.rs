//! Compaction: closed segments of a compacted topic keep only the last record of each key, under its old offset, and small
//! ones are merged.
//!
//! A rewritten segment replaces the first of its group by one rename; the others are deleted after it. A crash in between
//! leaves files whose offsets the new one covers: the next open deletes them (`partition::chain`).

use super::chunk::Fill;
use super::cursor::{Budget, Step};
use super::disk;
use super::index::SparseIndex;
use super::partition::Partition;
use super::reader::Reader;
use super::record::{self, RECORD_HEADER, SEGMENT_HEADER, SegmentHeader};
use super::segment::{index_path, segment_path, write_index};
use super::writer::Closed;
use crate::{LogError, Record, Result, Stored};
use bytes::Bytes;
use std::collections::HashMap;
use std::fs::File;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::SystemTime;

/// Most keys of one partition; with more, compaction leaves it as it is and says so.
const KEYS_MAX: usize = 1 << 20;
const BUDGET: Budget = Budget { records: 4096, bytes: 1 << 20 };

/// Where the last record of a key is.
#[derive(Debug, Clone, Copy)]
struct Last {
    offset: u64,
    segment: usize,
    bytes: u64,
}

/// What the plan needs of a closed segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Facts {
    base: u64,
    next: u64,
    /// Bytes of records that stay.
    live: u64,
    /// Records that go.
    dropped: u64,
}

/// Groups of neighbours to rewrite as one segment each; neighbours that would not change are left alone.
fn plan(segments: &[Facts], limit: u64) -> Vec<Range<usize>> {
    let mut groups = Vec::new();
    let mut start = 0;
    while start < segments.len() {
        let mut end = start + 1;
        let mut live = segments[start].live;
        while end < segments.len()
            && live + segments[end].live <= limit
            && segments[end].next - segments[start].base <= u64::from(u32::MAX)
        {
            live += segments[end].live;
            end += 1;
        }
        if end - start > 1 || segments[start].dropped > 0 {
            groups.push(start..end);
        }
        start = end;
    }
    groups
}

/// Compacts the closed segments. Blocks; called by one process at a time (the upkeep lock).
pub(crate) fn run(partition: &Arc<Partition>, limit: u64) -> Result<()> {
    partition.refresh()?;
    partition.relist()?;
    let closed = partition.closed_segments().clone();
    let below = closed.last().map_or(0, |last| last.next);
    if partition.compacted_below.load(Ordering::Relaxed) == below {
        return Ok(());
    }
    let Some((last, facts)) = survey(partition, &closed)? else {
        tracing::warn!(topic = %partition.topic, partition = partition.number, KEYS_MAX, "too many keys to compact");
        partition.shelf.metrics.upkeep_failures.add(1);
        return Ok(());
    };
    for group in plan(&facts, limit) {
        let dropped = facts[group.clone()].iter().map(|f| f.dropped).sum();
        rewrite(partition, &closed[group], &last)?;
        partition.shelf.metrics.compacted_records.add(dropped);
    }
    partition.compacted_below.store(below, Ordering::Relaxed);
    Ok(())
}

/// The last record of each key.
type LastOfKeys = HashMap<Bytes, Last>;

/// Reads the whole partition: the last record of each key, and what that leaves of each closed segment. `None` if there
/// are too many keys.
fn survey(partition: &Arc<Partition>, closed: &[Closed]) -> Result<Option<(LastOfKeys, Vec<Facts>)>> {
    let fact = |c: &Closed| Facts { base: c.base, next: c.next, live: 0, dropped: 0 };
    let mut facts: Vec<Facts> = closed.iter().map(fact).collect();
    let mut last = LastOfKeys::new();
    let mut whole = true;
    each_record(partition, partition.low(), partition.tail().offset, |stored| {
        let segment = closed.partition_point(|c| c.next <= stored.offset);
        let bytes = (RECORD_HEADER + stored.key.len() + stored.value.len()) as u64;
        let now = Last { offset: stored.offset, segment, bytes };
        if let Some(fact) = facts.get_mut(segment) {
            fact.live += bytes;
        }
        let full = last.len() >= KEYS_MAX;
        let before = match last.get_mut(&stored.key) {
            Some(before) => Some(std::mem::replace(before, now)),
            None if !full => last.insert(Bytes::copy_from_slice(&stored.key), now),
            None => {
                whole = false;
                None
            }
        };
        if let Some(before) = before
            && let Some(fact) = facts.get_mut(before.segment)
        {
            fact.live -= before.bytes;
            fact.dropped += 1;
        }
    })?;
    Ok(whole.then_some((last, facts)))
}

/// Replaces neighbouring segments by one with the records that stay.
fn rewrite(partition: &Arc<Partition>, group: &[Closed], last: &LastOfKeys) -> Result<()> {
    let (Some(first), Some(end)) = (group.first(), group.last()) else { return Ok(()) };
    let seed = record::seed(first.base);
    let delta = |offset: u64| u32::try_from(offset - first.base).unwrap_or(u32::MAX);
    let mut index = SparseIndex::new();
    let mut file = Vec::with_capacity(SEGMENT_HEADER);
    file.extend(SegmentHeader { base: first.base, compacted: true }.encode());
    each_record(partition, first.base, end.next, |stored| {
        if last.get(&stored.key).is_some_and(|l| l.offset == stored.offset) {
            let (key, value) = (stored.key.clone(), stored.value.clone());
            let record = Record { key, value, timestamp_ns: stored.timestamp_ns };
            let before = file.len();
            record::encode(&mut file, seed, delta(stored.offset), &record, true);
            index.push(delta(stored.offset), stored.timestamp_ns, file.len() - before);
        }
    })?;
    file.extend(record::encode_seal(seed, delta(end.next)));

    let dir = &partition.dir;
    let modified = disk::stat(&segment_path(dir, end.base))?.map(|facts| facts.modified);
    let _held = partition.exclude()?;
    for segment in group {
        disk::remove(&index_path(dir, segment.base))?;
    }
    let path = segment_path(dir, first.base);
    disk::write_atomically(&path, &file, true)?;
    for segment in &group[1..] {
        disk::remove(&segment_path(dir, segment.base))?;
    }
    if let Some(modified) = modified {
        keep_age(&path, modified)?;
    }
    write_index(dir, first.base, &index)?;
    partition.relist()
}

/// Retention goes by the time of the last write, which a rewrite must not renew.
fn keep_age(path: &std::path::Path, modified: SystemTime) -> Result<()> {
    let set = File::options().write(true).open(path).and_then(|file| file.set_modified(modified));
    set.map_err(|e| LogError::io("set time", path, e))
}

/// Calls `visit` for each record of a range of offsets.
fn each_record(partition: &Arc<Partition>, from: u64, to: u64, mut visit: impl FnMut(&Stored)) -> Result<()> {
    let mut reader = Reader::at(Arc::clone(partition), from);
    loop {
        match reader.read(BUDGET, Fill::Blocking)? {
            Step::Records(records) => {
                for stored in &records {
                    if stored.offset >= to {
                        return Ok(());
                    }
                    visit(stored);
                }
            }
            Step::Next(_) | Step::NotLoaded => {}
            Step::End => return Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_segments_that_shrink_or_merge_are_rewritten() {
        let facts = |live, dropped| Facts { base: 0, next: 10, live, dropped };
        let groups = |segments: &[Facts]| plan(segments, 100).into_iter().map(|g| (g.start, g.end)).collect::<Vec<_>>();
        assert_eq!(groups(&[]), []);
        assert_eq!(groups(&[facts(80, 0)]), [], "nothing to drop");
        assert_eq!(groups(&[facts(80, 1)]), [(0, 1)], "one record to drop");
        assert_eq!(groups(&[facts(80, 0), facts(30, 0)]), [], "together too large");
        assert_eq!(groups(&[facts(60, 0), facts(40, 0), facts(1, 0)]), [(0, 2)], "two fit exactly");
        assert_eq!(groups(&[facts(0, 9), facts(0, 9), facts(0, 9)]), [(0, 3)], "empty ones become one");
        let far = Facts { base: u64::from(u32::MAX), next: u64::from(u32::MAX) + 1, live: 1, dropped: 0 };
        assert_eq!(groups(&[facts(1, 0), far]), [], "too far apart for a 32-bit delta");
    }
}
