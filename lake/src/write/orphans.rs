//! Files that no snapshot names: left by a writer that died between its files and its commit, or by an attempt that
//! did not land. They go only when they are old, since a young one may be about to be committed.

use super::files::run;
use crate::catalog::{Head, Heads, table_dir};
use crate::config::LakeConfig;
use crate::disk;
use crate::error::{LakeError, Result};
use crate::schema::Table;
use iceberg::spec::Manifest;
use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};
use tokio::sync::Mutex;

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

/// Times that a sweep starts again because a commit has expired what it was about to read.
const RESTARTS: u32 = 3;

/// Removes the unreferenced files of a table that were last written before `now_ns` minus the configured age. Appends
/// of this process wait only for the removal, `writing` is their lock: what they have committed since is named too.
pub(crate) async fn sweep(
    (heads, config): (&Heads, &LakeConfig),
    table: Table,
    writing: &Mutex<()>,
    now_ns: u64,
) -> Result<Sweep> {
    let oldest_kept = Duration::from_nanos(now_ns).saturating_sub(config.orphan_age());
    let (named, found) = look(heads, table, table_dir(&config.dir, table)).await?;
    let _writing = writing.lock().await;
    let head = heads.head(table).await?;
    run(move || {
        let mut named = named;
        named.add(&head)?;
        let mut sweep = Sweep { referenced: named.files.len(), ..Sweep::default() };
        for file in &found {
            if !named.files.contains(&file.path) {
                consider(file, oldest_kept, &mut sweep)?;
            }
        }
        Ok(sweep)
    })
    .await
}

/// What the table names and what its directory holds, besides the version hint.
async fn look(heads: &Heads, table: Table, dir: PathBuf) -> Result<(Named, Vec<Found>)> {
    let mut restarts = 0;
    loop {
        let head = heads.head(table).await?;
        let (location, dir) = (head.location.clone(), dir.clone());
        let looked = run(move || {
            let mut named = Named::default();
            named.add(&head)?;
            let mut found = files_of(&dir)?;
            found.retain(|file| !named.files.contains(&file.path) && !is_hint(&file.path));
            Ok((named, found))
        })
        .await;
        match looked {
            Err(error) if error.is_missing_file() && restarts < RESTARTS => {
                restarts += 1;
                if heads.head(table).await?.location == location {
                    return Err(error);
                }
            }
            looked => return looked,
        }
    }
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

/// Every file that metadata name, directly or not.
#[derive(Default)]
struct Named {
    files: HashSet<PathBuf>,
    /// Manifests and their lists that were read; they never change.
    read: HashSet<PathBuf>,
}

impl Named {
    fn add(&mut self, head: &Head) -> Result<()> {
        let metadata = head.table.metadata();
        self.files.insert(disk::local_path(&head.location));
        self.files.extend(metadata.metadata_log().iter().map(|entry| disk::local_path(&entry.metadata_file)));
        for snapshot in metadata.snapshots() {
            let list = disk::local_path(snapshot.manifest_list());
            self.files.insert(list.clone());
            if self.read.contains(&list) {
                continue;
            }
            for manifest in crate::read::plan::manifest_list(&list, metadata.format_version())? {
                self.add_manifest(disk::local_path(&manifest.manifest_path))?;
            }
            self.read.insert(list);
        }
        Ok(())
    }

    fn add_manifest(&mut self, path: PathBuf) -> Result<()> {
        if self.read.contains(&path) {
            return Ok(());
        }
        let bytes = fs::read(&path).map_err(LakeError::io(&path))?;
        let damaged =
            |error: iceberg::Error| LakeError::Damaged { path: path.display().to_string(), detail: error.to_string() };
        let manifest = Manifest::parse_avro(&bytes).map_err(damaged)?;
        let alive = manifest.entries().iter().filter(|entry| entry.is_alive());
        self.files.extend(alive.map(|entry| disk::local_path(entry.file_path())));
        self.files.insert(path.clone());
        self.read.insert(path);
        Ok(())
    }
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
