//! Files that no snapshot names: left by a writer that died between its files and its commit, or by an attempt that
//! did not land. They go only when they are old, since a young one may be about to be committed.

use super::files::run;
use crate::catalog::{Heads, table_dir};
use crate::config::LakeConfig;
use crate::disk;
use crate::error::{LakeError, Result};
use crate::schema::Table;
use iceberg::spec::{Manifest, TableMetadata};
use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

/// What a sweep did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sweep {
    /// Files that some snapshot names.
    pub referenced: usize,
    /// Unreferenced files that are too young to be removed.
    pub young: usize,
    /// Files removed.
    pub removed: usize,
    /// Bytes of those.
    pub removed_bytes: u64,
}

/// Removes the unreferenced files of a table that were last written before `now_ns` minus the configured age.
pub(crate) async fn sweep(heads: &Heads, config: &LakeConfig, table: Table, now_ns: u64) -> Result<Sweep> {
    let head = heads.head(table).await?;
    let dir = table_dir(&config.dir, table);
    let age = config.orphan_age();
    run(move || {
        let named = named(&head.location, head.table.metadata())?;
        let oldest_kept = Duration::from_nanos(now_ns).saturating_sub(age);
        let mut sweep = Sweep { referenced: named.len(), ..Sweep::default() };
        for file in files_of(&dir)? {
            if !named.contains(&file.path) && !is_hint(&file.path) {
                consider(&file, oldest_kept, &mut sweep)?;
            }
        }
        Ok(sweep)
    })
    .await
}

struct Found {
    path: PathBuf,
    bytes: u64,
    written: Duration,
}

fn consider(file: &Found, oldest_kept: Duration, sweep: &mut Sweep) -> Result<()> {
    if file.written >= oldest_kept {
        sweep.young += 1;
    } else if disk::remove_file(&file.path).map_err(LakeError::io(&file.path))? {
        sweep.removed += 1;
        sweep.removed_bytes += file.bytes;
    }
    Ok(())
}

fn is_hint(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name == "version-hint.text")
}

/// Every file that the metadata names, directly or not.
fn named(location: &str, metadata: &TableMetadata) -> Result<HashSet<PathBuf>> {
    let mut named: HashSet<PathBuf> = HashSet::from([disk::local_path(location)]);
    named.extend(metadata.metadata_log().iter().map(|entry| disk::local_path(&entry.metadata_file)));
    let mut manifests = HashSet::new();
    for snapshot in metadata.snapshots() {
        let list = disk::local_path(snapshot.manifest_list());
        for manifest in crate::read::plan::manifest_list(&list, metadata.format_version())? {
            manifests.insert(disk::local_path(&manifest.manifest_path));
        }
        named.insert(list);
    }
    for path in &manifests {
        let bytes = fs::read(path).map_err(LakeError::io(path))?;
        let damaged =
            |error: iceberg::Error| LakeError::Damaged { path: path.display().to_string(), detail: error.to_string() };
        let manifest = Manifest::parse_avro(&bytes).map_err(damaged)?;
        let alive = manifest.entries().iter().filter(|entry| entry.is_alive());
        named.extend(alive.map(|entry| disk::local_path(entry.file_path())));
    }
    named.extend(manifests);
    Ok(named)
}

/// All files under a directory.
fn files_of(dir: &Path) -> Result<Vec<Found>> {
    let (mut found, mut dirs) = (Vec::new(), vec![dir.to_path_buf()]);
    while let Some(dir) = dirs.pop() {
        for entry in fs::read_dir(&dir).map_err(LakeError::io(&dir))? {
            let entry = entry.map_err(LakeError::io(&dir))?;
            let path = entry.path();
            let metadata = match entry.metadata() {
                Ok(metadata) => metadata,
                // Removed by housekeeping since it was listed.
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
                Err(error) => return Err(LakeError::io(&path)(error)),
            };
            if metadata.is_dir() {
                dirs.push(path);
                continue;
            }
            let written = metadata.modified().map_err(LakeError::io(&path))?;
            let written = written.duration_since(UNIX_EPOCH).unwrap_or_default();
            found.push(Found { path, bytes: metadata.len(), written });
        }
    }
    Ok(found)
}
