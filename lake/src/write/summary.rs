//! What a snapshot's summary says about where its rows came from (docs/protocol/05-lake.md §4). Pure.

use crate::error::{LakeError, Result};
use crate::offsets::{OffsetRange, SourceOffsets, SourcePartition};
use crate::schema::Table;
use iceberg::spec::{Snapshot, TableMetadata};
use std::collections::{BTreeMap, HashMap};

const COMMIT_ID: &str = "dexorder.commit-id";
const WRITER_EPOCH: &str = "dexorder.writer-epoch";
const RANGE: &str = "dexorder.range.";
const OFFSET: &str = "dexorder.offset.";

/// What the newest snapshot of ours says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Committed {
    pub(crate) epoch: u64,
    pub(crate) offsets: BTreeMap<SourcePartition, u64>,
}

/// The properties of a commit's snapshot: its id, epoch and ranges, and the last offsets of all partitions ever.
pub(crate) fn properties(
    commit_id: &str,
    epoch: u64,
    ranges: &SourceOffsets,
    committed: &Committed,
) -> HashMap<String, String> {
    let mut offsets = committed.offsets.clone();
    let mut properties = HashMap::from([(COMMIT_ID.to_owned(), commit_id.to_owned())]);
    properties.insert(WRITER_EPOCH.to_owned(), epoch.max(committed.epoch).to_string());
    for ((topic, partition), range) in ranges.iter() {
        properties.insert(format!("{RANGE}{topic}/{partition}"), range.to_string());
        let last = offsets.entry((topic.clone(), *partition)).or_insert(range.last);
        *last = range.last.max(*last);
    }
    for ((topic, partition), last) in offsets {
        properties.insert(format!("{OFFSET}{topic}/{partition}"), last.to_string());
    }
    properties
}

/// The first overlap of `ranges` with what is committed.
pub(crate) fn overlap(ranges: &SourceOffsets, committed: &Committed) -> Option<(SourcePartition, OffsetRange, u64)> {
    ranges.iter().find_map(|(source, range)| {
        let last = *committed.offsets.get(source)?;
        (range.first <= last).then(|| (source.clone(), *range, last))
    })
}

/// True if the snapshot is the one of commit `commit_id`.
pub(crate) fn is_commit(snapshot: &Snapshot, commit_id: &str) -> bool {
    snapshot.summary().additional_properties.get(COMMIT_ID).is_some_and(|id| id == commit_id)
}

/// Reads the newest snapshot of ours: the current one, or below it if another tool has written since.
///
/// # Errors
/// If the summary cannot be read, or another tool's snapshots hide ours because ours have expired.
pub(crate) fn committed(table: Table, metadata: &TableMetadata) -> Result<Committed> {
    let damaged = |detail: String| LakeError::Damaged { path: format!("table {table}"), detail };
    let mut next = metadata.current_snapshot();
    while let Some(snapshot) = next {
        if snapshot.summary().additional_properties.contains_key(COMMIT_ID) {
            return parse(snapshot).ok_or_else(|| damaged(format!("summary of snapshot {}", snapshot.snapshot_id())));
        }
        next = match snapshot.parent_snapshot_id() {
            Some(parent) => Some(metadata.snapshot_by_id(parent).ok_or_else(|| {
                damaged("another tool has written it and the last snapshot with offsets has expired".to_owned())
            })?),
            None => None,
        };
    }
    Ok(Committed::default())
}

fn parse(snapshot: &Snapshot) -> Option<Committed> {
    let properties = &snapshot.summary().additional_properties;
    let mut committed = Committed { epoch: properties.get(WRITER_EPOCH)?.parse().ok()?, offsets: BTreeMap::new() };
    for (key, value) in properties {
        let Some(source) = key.strip_prefix(OFFSET) else { continue };
        let (topic, partition) = source.rsplit_once('/')?;
        committed.offsets.insert((topic.to_owned(), partition.parse().ok()?), value.parse().ok()?);
    }
    Some(committed)
}

/// The properties that a snapshot without new rows hands on: epoch and offsets.
pub(crate) fn handed_on(commit_id: &str, committed: &Committed) -> HashMap<String, String> {
    properties(commit_id, committed.epoch, &SourceOffsets::new(), committed)
}
