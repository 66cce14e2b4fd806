//! The manifests of a rewrite: one for each day it touches, one for the files it removed; all others stay.

use super::{Change, Live, read_blocking};
use crate::catalog::Head;
use crate::disk;
use crate::error::{LakeError, Result};
use crate::read::plan;
use iceberg::spec::{
    DataFile, Literal, Manifest, ManifestFile, ManifestListWriter, ManifestWriter, ManifestWriterBuilder,
    PrimitiveLiteral,
};
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fs;
use std::sync::Arc;

/// Begins the names of manifests that a rewrite has made.
const REWRITTEN: &str = "rewrite-";

/// The manifests of a snapshot: those that a rewrite opens, with their live files, and those that it leaves.
pub(super) struct Plan {
    opened: Vec<Live>,
    loose: usize,
    kept: Vec<ManifestFile>,
    count: usize,
}

impl Plan {
    /// Manifests of appends since the last rewrite.
    pub(super) const fn loose(&self) -> usize {
        self.loose
    }

    pub(super) fn live(&self) -> &[Live] {
        &self.opened
    }

    pub(super) const fn count(&self) -> usize {
        self.count
    }
}

/// The day of a file's partition.
pub(super) fn day_of(file: &DataFile) -> i32 {
    partition(file, 0)
}

/// The bucket of a file's partition.
pub(super) fn bucket_of(file: &DataFile) -> i32 {
    partition(file, 1)
}

fn partition(file: &DataFile, index: usize) -> i32 {
    match file.partition().fields().get(index) {
        Some(Some(Literal::Primitive(PrimitiveLiteral::Int(value)))) => *value,
        _ => i32::MIN,
    }
}

fn is_rewritten(manifest: &ManifestFile) -> bool {
    manifest.manifest_path.rsplit('/').next().is_some_and(|name| name.starts_with(REWRITTEN))
}

fn is_live(manifest: &ManifestFile) -> bool {
    manifest.has_added_files() || manifest.has_existing_files()
}

/// Opens the manifests of appends, if they are at least `least`, and the rewritten ones of the days in them.
pub(super) async fn read(head: &Head, least: usize) -> Result<Plan> {
    let metadata = head.table.metadata_ref();
    let Some(snapshot) = metadata.current_snapshot() else {
        return Ok(Plan { opened: Vec::new(), loose: 0, kept: Vec::new(), count: 0 });
    };
    let list = disk::local_path(snapshot.manifest_list());
    let version = metadata.format_version();
    read_blocking(move || {
        let manifests = plan::manifest_list(&list, version)?;
        let count = manifests.len();
        // What names only removed files has been told by the snapshot that removed them.
        let (rewritten, loose): (Vec<_>, Vec<_>) = manifests.into_iter().filter(is_live).partition(is_rewritten);
        let mut opened = Vec::new();
        if loose.len() < least {
            return Ok(Plan { opened, loose: loose.len(), kept: rewritten, count });
        }
        for manifest in &loose {
            opened.extend(live(manifest)?);
        }
        let days: BTreeSet<i32> = opened.iter().map(|live| day_of(&live.file)).collect();
        let mut kept = Vec::new();
        for manifest in rewritten {
            let covered = plan::days_of(&manifest);
            if days.range(covered).next().is_some() {
                opened.extend(live(&manifest)?);
            } else {
                kept.push(manifest);
            }
        }
        Ok(Plan { opened, loose: loose.len(), kept, count })
    })
    .await
}

fn live(manifest: &ManifestFile) -> Result<Vec<Live>> {
    let path = disk::local_path(&manifest.manifest_path);
    let damaged = |detail: String| LakeError::Damaged { path: path.display().to_string(), detail };
    let bytes = fs::read(&path).map_err(LakeError::io(&path))?;
    let parsed = Manifest::parse_avro(&bytes).map_err(|error| damaged(error.to_string()))?;
    let alive = parsed.entries().iter().filter(|entry| entry.is_alive());
    let inherited = |entry: &Arc<iceberg::spec::ManifestEntry>| {
        let mut entry = iceberg::spec::ManifestEntry::clone(entry);
        entry.snapshot_id.get_or_insert(manifest.added_snapshot_id);
        entry.sequence_number.get_or_insert(manifest.sequence_number);
        entry.file_sequence_number.get_or_insert(manifest.sequence_number);
        Live::of(&entry).ok_or_else(|| damaged("an entry without sequence number".to_owned()))
    };
    alive.map(inherited).collect()
}

/// The snapshot to be.
pub(super) struct Next<'a> {
    pub(super) change: &'a Change<'a>,
    pub(super) snapshot_id: i64,
    pub(super) sequence: i64,
}

/// Writes manifests and their list; returns the list's location and the number of manifests in it.
pub(super) async fn write(head: &Head, plan: &Plan, next: &Next<'_>) -> Result<(String, usize)> {
    let removed: HashSet<&str> = next.change.removed.iter().map(|live| live.file.file_path()).collect();
    let staying: Vec<&Live> = plan.opened.iter().filter(|live| !removed.contains(live.file.file_path())).collect();
    if staying.len() + removed.len() != plan.opened.len() {
        let detail = "files to be merged are no longer in the table".to_owned();
        return Err(LakeError::Damaged { path: head.location.clone(), detail });
    }
    let mut days: BTreeMap<i32, (Vec<&Live>, Vec<&DataFile>)> = BTreeMap::new();
    for live in staying {
        days.entry(day_of(&live.file)).or_default().0.push(live);
    }
    for file in next.change.added {
        days.entry(day_of(file)).or_default().1.push(file);
    }
    let write = async {
        let mut manifests = plan.kept.clone();
        for (day, (existing, added)) in days {
            let mut writer = manifest(head, next, &day.to_string())?;
            for live in existing {
                let (file, sequence) = (live.file.clone(), live.file_sequence);
                writer.add_existing_file(file, live.snapshot_id, live.sequence, Some(sequence))?;
            }
            for file in added {
                writer.add_file(file.clone(), next.sequence)?;
            }
            manifests.push(writer.write_manifest_file().await?);
        }
        if !next.change.removed.is_empty() {
            let mut writer = manifest(head, next, "removed")?;
            for live in next.change.removed {
                writer.add_delete_file(live.file.clone(), live.sequence, Some(live.file_sequence))?;
            }
            manifests.push(writer.write_manifest_file().await?);
        }
        let count = manifests.len();
        let id = next.change.commit_id;
        let location = format!("{}/metadata/snap-{}-{id}.avro", head.table.metadata().location(), next.snapshot_id);
        let output = head.table.file_io().new_output(&location)?.writer().await?;
        let parent = head.table.metadata().current_snapshot_id();
        let mut list = ManifestListWriter::v2(output, next.snapshot_id, parent, next.sequence);
        list.add_manifests(manifests.into_iter())?;
        list.close().await?;
        Ok((location, count))
    };
    write.await.map_err(LakeError::iceberg("write manifests"))
}

fn manifest(head: &Head, next: &Next<'_>, name: &str) -> iceberg::Result<ManifestWriter> {
    let metadata = head.table.metadata();
    let id = next.change.commit_id;
    let location = format!("{}/metadata/{REWRITTEN}{id}-{name}.avro", metadata.location());
    let output = head.table.file_io().new_output(location)?;
    let spec = metadata.default_partition_spec().as_ref().clone();
    let schema = metadata.current_schema().clone();
    Ok(ManifestWriterBuilder::new(output, Some(next.snapshot_id), schema, spec).build_v2_data())
}
