//! Rewriting: commits come every few seconds, so files are many and small. A rewrite merges the small files of each
//! partition and the manifests of each day. Rows, epoch and offsets stay as they are; older snapshots keep the old files.
//!
//! iceberg's transactions can only append, so the snapshot is built here, and the catalog is changed by one compare
//! and swap of the metadata location: if anything else has been committed since the table was read, nothing happens.

mod manifests;
mod merge;

use super::commit::Landed;
use super::files::{FileWriter, run};
use super::summary::{self, Committed};
use crate::catalog::{Head, Heads};
use crate::error::{LakeError, Result};
use crate::fanout::LakeRow;
use crate::read::decode::Whole;
use crate::schema::Table;
use iceberg::MetadataLocation;
use iceberg::spec::{DataFile, ManifestEntry, Operation, Snapshot, Summary, TableMetadata};
use std::collections::HashMap;
use std::str::FromStr;
use std::sync::Arc;
use tokio::sync::Mutex;
use tracing::warn;
use ulid::Ulid;

/// A file with this many rows is large: it is not merged again. Also the most rows that are merged at one time.
const LARGE_ROWS: u64 = 400_000;

/// When files are merged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Due {
    /// Commits since the last rewrite: each leaves one manifest, and at most one file in a partition.
    pub(crate) commits: usize,
    /// Files of a partition that are worth merging, at least two.
    files: usize,
}

impl Due {
    /// After so many commits; a quarter of that in one partition is worth merging.
    pub(crate) fn after(commits: usize) -> Self {
        let commits = commits.max(2);
        Self { commits, files: (commits / 4).max(2) }
    }
}

/// What a rewrite did to one table.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Rewrite {
    /// The new snapshot; none if nothing was due.
    pub snapshot_id: Option<i64>,
    /// Small files that were merged.
    pub files_removed: usize,
    /// Files that took their place.
    pub files_added: usize,
    /// Rows in those.
    pub rows: u64,
    /// Batches of files left as they are because one of them could not be read, or the merged one not written.
    pub batches_skipped: usize,
    /// Manifests before and after.
    pub manifests_before: usize,
    /// Manifests after.
    pub manifests_after: usize,
}

/// A live file with what its manifest entry says.
#[derive(Debug, Clone)]
struct Live {
    file: DataFile,
    snapshot_id: i64,
    sequence: i64,
    file_sequence: i64,
}

impl Live {
    /// `None` if the entry lacks what every committed entry has.
    fn of(entry: &ManifestEntry) -> Option<Self> {
        let sequence = entry.sequence_number()?;
        Some(Self {
            file: entry.data_file().clone(),
            snapshot_id: entry.snapshot_id()?,
            sequence,
            file_sequence: entry.file_sequence_number.unwrap_or(sequence),
        })
    }
}

/// Where a rewrite works.
pub(crate) struct Place<'a> {
    pub(crate) heads: &'a Heads,
    pub(crate) table: Table,
    pub(crate) writer: &'a Arc<FileWriter>,
    /// The lock that appends of this process take.
    pub(crate) writing: &'a Mutex<()>,
    pub(crate) due: Due,
}

/// Rewrites what is due.
///
/// # Errors
/// [`LakeError::Fenced`] if a newer writer is at work, [`LakeError::NotCommitted`] if another commit was faster.
pub(crate) async fn rewrite<R>(place: &Place<'_>, epoch: u64, now_ns: u64) -> Result<Rewrite>
where
    R: LakeRow + Whole + Send + 'static,
{
    let Place { heads, table, due, .. } = *place;
    let head = heads.head(table).await?;
    fence(table, &head, epoch)?;
    let plan = manifests::read(&head, due.commits).await?;
    if plan.loose() < due.commits {
        return Ok(Rewrite::default());
    }
    // Without the lock: merging takes long, and only rewrites remove files.
    let commit_id = Ulid::generate().to_string();
    let (mut removed, mut added, mut batches_skipped) = (Vec::new(), Vec::new(), 0);
    for batch in merge::due(plan.live(), due.files, LARGE_ROWS) {
        let name = format!("{commit_id}-{}", added.len());
        match merge::merge::<R>(place.writer, &name, &batch).await {
            Ok(file) => {
                added.push(file);
                removed.extend(batch);
            }
            // One damaged file must not keep all others apart.
            Err(error) => {
                batches_skipped += 1;
                warn!(%table, %error, files = batch.len(), "files not merged");
            }
        }
    }
    let change = Change { commit_id: &commit_id, removed: &removed, added: &added };
    let _writing = place.writing.lock().await;
    let rewrite = swap(place, &change, epoch, now_ns).await?;
    Ok(Rewrite { batches_skipped, ..rewrite })
}

fn fence(table: Table, head: &Head, epoch: u64) -> Result<Committed> {
    let committed = summary::committed(table, head.table.metadata())?;
    if committed.epoch > epoch {
        return Err(LakeError::Fenced { table, ours: epoch, current: committed.epoch });
    }
    Ok(committed)
}

/// Files of a rewrite.
struct Change<'a> {
    commit_id: &'a str,
    removed: &'a [Live],
    added: &'a [DataFile],
}

impl Change<'_> {
    fn rows(&self) -> u64 {
        self.added.iter().map(DataFile::record_count).sum()
    }

    fn bytes(&self) -> [u64; 2] {
        let added = self.added.iter().map(DataFile::file_size_in_bytes).sum();
        [added, self.removed.iter().map(|live| live.file.file_size_in_bytes()).sum()]
    }

    /// Epoch and offsets handed on, and the counts that Iceberg's summaries carry.
    fn properties(&self, committed: &Committed, before: Option<&Summary>) -> HashMap<String, String> {
        let mut properties = summary::handed_on(self.commit_id, committed);
        let [added_bytes, removed_bytes] = self.bytes();
        let (added, removed) = (self.added.len() as u64, self.removed.len() as u64);
        let rows = self.rows();
        let total = |name: &str| -> u64 {
            before.and_then(|summary| summary.additional_properties.get(name)?.parse().ok()).unwrap_or(0)
        };
        let counts = [
            ("added-data-files", added),
            ("deleted-data-files", removed),
            ("added-records", rows),
            ("deleted-records", rows),
            ("added-files-size", added_bytes),
            ("removed-files-size", removed_bytes),
            ("total-data-files", (total("total-data-files") + added).saturating_sub(removed)),
            ("total-records", total("total-records")),
            ("total-files-size", (total("total-files-size") + added_bytes).saturating_sub(removed_bytes)),
            ("total-delete-files", total("total-delete-files")),
            ("total-position-deletes", total("total-position-deletes")),
            ("total-equality-deletes", total("total-equality-deletes")),
        ];
        properties.extend(counts.map(|(name, count)| (name.to_owned(), count.to_string())));
        properties
    }
}

/// Builds the snapshot on the newest head and swaps it in.
async fn swap(place: &Place<'_>, change: &Change<'_>, epoch: u64, now_ns: u64) -> Result<Rewrite> {
    let Place { heads, table, .. } = *place;
    let head = heads.head(table).await?;
    let committed = fence(table, &head, epoch)?;
    let metadata = head.table.metadata();
    let plan = manifests::read(&head, 0).await?;
    let snapshot_id = Ulid::generate().0.to_le_bytes()[..8].try_into().map_or(1, i64::from_le_bytes) & i64::MAX;
    let next = manifests::Next { change, snapshot_id, sequence: metadata.next_sequence_number() };
    let (list, manifests_after) = manifests::write(&head, &plan, &next).await?;
    let before = metadata.current_snapshot();
    let now_ms = i64::try_from(now_ns / 1_000_000).unwrap_or(i64::MAX);
    let snapshot = Snapshot::builder()
        .with_snapshot_id(snapshot_id)
        .with_parent_snapshot_id(metadata.current_snapshot_id())
        .with_sequence_number(next.sequence)
        .with_timestamp_ms(now_ms.max(metadata.last_updated_ms()))
        .with_manifest_list(list)
        .with_schema_id(metadata.current_schema_id())
        .with_summary(Summary {
            operation: Operation::Replace,
            additional_properties: change.properties(&committed, before.map(|snapshot| snapshot.summary())),
        })
        .build();
    let location = write_metadata(&head, snapshot).await.map_err(LakeError::iceberg("write table metadata"))?;
    let landed = land(heads, table, &head, &location, change.commit_id).await?;
    Ok(Rewrite {
        snapshot_id: Some(landed.snapshot_id),
        files_removed: change.removed.len(),
        files_added: change.added.len(),
        rows: change.rows(),
        manifests_before: plan.count(),
        manifests_after,
        ..Rewrite::default()
    })
}

async fn write_metadata(head: &Head, snapshot: Snapshot) -> iceberg::Result<String> {
    let builder = head.table.metadata().clone().into_builder(Some(head.location.clone()));
    let metadata: TableMetadata = builder.set_branch_snapshot(snapshot, "main")?.build()?.metadata;
    let location = MetadataLocation::from_str(&head.location)?.with_next_version().with_new_metadata(&metadata);
    metadata.write_to(head.table.file_io(), &location).await?;
    Ok(location.to_string())
}

/// Changes the catalog; as with appends, what the table says afterwards counts, not the result of the call.
async fn land(heads: &Heads, table: Table, head: &Head, location: &str, commit_id: &str) -> Result<Landed> {
    if let Err(error) = heads.swap(table, &head.location, location).await {
        warn!(%table, commit_id, %error, "rewrite attempt failed");
    }
    let after = heads.head(table).await?;
    let landed = after.table.metadata().snapshots().find(|snapshot| summary::is_commit(snapshot, commit_id));
    let lost = || iceberg::Error::new(iceberg::ErrorKind::CatalogCommitConflicts, "another commit was faster");
    landed
        .map(|snapshot| Landed { snapshot_id: snapshot.snapshot_id(), attempts: 1 })
        .ok_or_else(|| LakeError::NotCommitted { table, attempts: 1, source: Box::new(lost()) })
}

/// Runs file work and names a broken manifest.
async fn read_blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    run(work).await
}
