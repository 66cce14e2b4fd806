//! Retention: which closed segments to delete. The decision is pure; the deletion follows it.

use super::disk;
use super::partition::Partition;
use super::segment::{index_path, segment_path};
use crate::{Result, Retention};

/// What the decision needs of a closed segment.
#[derive(Debug, Clone, Copy)]
struct Facts {
    bytes: u64,
    /// Time of its last write, ns since the epoch. Not the records' own time stamps: a replay of an old day would be
    /// deleted at once.
    modified_ns: u64,
}

/// How many of the oldest segments to delete.
fn decide(closed: &[Facts], active_bytes: u64, retention: Retention, now_ns: u64) -> usize {
    let total: u64 = closed.iter().map(|s| s.bytes).sum::<u64>() + active_bytes;
    let mut left = total;
    let mut delete = 0;
    for segment in closed {
        let expired = retention.age.is_some_and(|age| is_older(segment.modified_ns, now_ns, age));
        let over = retention.bytes.is_some_and(|limit| left > limit);
        if !expired && !over {
            break;
        }
        left -= segment.bytes;
        delete += 1;
    }
    delete
}

fn is_older(modified_ns: u64, now_ns: u64, age: std::time::Duration) -> bool {
    u128::from(now_ns.saturating_sub(modified_ns)) > age.as_nanos()
}

/// Deletes what the topic's retention no longer wants. Blocks; called by one process at a time (the upkeep lock).
pub(crate) fn run(partition: &Partition, retention: Retention, now_ns: u64) -> Result<()> {
    partition.refresh()?;
    partition.relist()?;
    if let Some(age) = retention.age
        && disk::stat(partition.tail().segment.file.path())?.is_some_and(|f| is_older(f.modified_ns(), now_ns, age))
    {
        // All records of an idle partition expired: close the segment, so that they can go.
        partition.roll()?;
    }
    let closed = partition.closed_segments().clone();
    let mut facts = Vec::with_capacity(closed.len());
    for segment in &closed {
        let Some(file) = disk::stat(&segment_path(&partition.dir, segment.base))? else { break };
        facts.push(Facts { bytes: file.bytes, modified_ns: file.modified_ns() });
    }
    let delete = decide(&facts, partition.tail().position, retention, now_ns);
    for (segment, facts) in closed.iter().zip(&facts).take(delete) {
        let _held = partition.exclude()?;
        // Oldest first, so that what is left is always a chain without a gap.
        disk::remove(&segment_path(&partition.dir, segment.base))?;
        disk::remove(&index_path(&partition.dir, segment.base))?;
        partition.closed_segments().retain(|s| s.base != segment.base);
        partition.shelf.metrics.retention_segments.add(1);
        partition.shelf.metrics.retention_bytes.add(facts.bytes);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    const CLOSED: [Facts; 3] = [
        Facts { bytes: 100, modified_ns: 10 },
        Facts { bytes: 100, modified_ns: 20 },
        Facts { bytes: 100, modified_ns: 30 },
    ];

    #[test]
    fn the_oldest_segments_go_first_and_the_active_one_never() {
        let age = |ns| Retention { age: Some(Duration::from_nanos(ns)), bytes: None };
        let bytes = |limit| Retention { age: None, bytes: Some(limit) };
        let cases = [
            ("without limits nothing goes", Retention::default(), 1000, 0),
            ("exactly the age stays", age(90), 100, 0),
            ("one is older", age(80), 100, 1),
            ("two are older", age(75), 100, 2),
            ("all closed ones are older", age(1), 100, 3),
            ("a clock behind the files deletes nothing", age(1), 5, 0),
            ("within the limit", bytes(350), 100, 0),
            ("one over the limit", bytes(349), 100, 1),
            ("the active one stays", bytes(1), 100, 3),
        ];
        for (name, retention, now, expected) in cases {
            assert_eq!(decide(&CLOSED, 50, retention, now), expected, "{name}");
        }
    }
}
