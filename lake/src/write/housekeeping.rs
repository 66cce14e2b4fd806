//! Keeps the metadata bounded: old snapshots expire, and the files that only they or old metadata named are removed.

use super::commit::run_once;
use super::files::run;
use crate::catalog::{Head, Heads};
use crate::config::LakeConfig;
use crate::disk;
use crate::error::{LakeError, Result};
use crate::schema::Table;
use iceberg::transaction::{ApplyTransactionAction, Transaction};
use std::collections::HashSet;
use std::path::{Path, PathBuf};

/// Expiry runs when this share of snapshots is over the number kept, so that it does not follow every commit.
const SLACK_SHARE: usize = 8;

/// Expires snapshots if there are clearly more than are kept. An expired snapshot is older than the configured age, by
/// the table's own time, and not among the newest that are kept.
pub(crate) async fn expire(heads: &Heads, config: &LakeConfig, table: Table) -> Result<()> {
    let head = heads.head(table).await?;
    let metadata = head.table.metadata();
    let kept = config.snapshots_kept.max(1);
    let age = i64::try_from(config.snapshot_age().as_millis()).unwrap_or(i64::MAX);
    let cutoff = metadata.last_updated_ms().saturating_sub(age);
    let old = metadata.snapshots().filter(|snapshot| snapshot.timestamp_ms() < cutoff).count();
    if metadata.snapshots().len() <= kept + kept / SLACK_SHARE || old == 0 {
        return Ok(());
    }
    let transaction = Transaction::new(&head.table);
    let action = transaction.expire_snapshots().expire_older_than_ms(cutoff).retain_last(kept);
    let expire = async { run_once(heads.catalog(), &head.table, action.apply(transaction)?).await };
    expire.await.map_err(LakeError::iceberg("expire snapshots"))?;
    let after = heads.head(table).await?;
    let lists = |head: &Head| head.table.metadata().snapshots().map(|s| s.manifest_list().to_owned()).collect();
    remove_dropped(lists(&head), &lists(&after)).await
}

/// Removes the metadata files that `after` no longer lists and `before` did.
pub(crate) async fn drop_old_metadata(before: &Head, after: &Head) -> Result<()> {
    let files = |head: &Head| -> HashSet<String> {
        let log = head.table.metadata().metadata_log().iter().map(|entry| entry.metadata_file.clone());
        log.chain([head.location.clone()]).collect()
    };
    remove_dropped(files(before), &files(after)).await
}

async fn remove_dropped(before: HashSet<String>, after: &HashSet<String>) -> Result<()> {
    let dropped: Vec<PathBuf> = before.difference(after).map(|path| disk::local_path(path)).collect();
    run(move || dropped.iter().try_for_each(|path| disk::remove_file(path).map(drop).map_err(LakeError::io(path))))
        .await
}

/// Tells engines that read a table by its directory which metadata is the newest. A hint, replaced atomically: after a
/// crash it may name an older file, which still exists.
pub(crate) async fn hint(table_dir: &Path, location: &str, fsync: bool) -> Result<()> {
    let name = location.rsplit('/').next().unwrap_or(location);
    let version = name.strip_suffix(".metadata.json").unwrap_or(name).to_owned();
    let dir = table_dir.join("metadata");
    run(move || {
        let (new, hint) = (dir.join("version-hint.text.new"), dir.join("version-hint.text"));
        disk::write_file(&new, version.as_bytes(), fsync).map_err(LakeError::io(&new))?;
        std::fs::rename(&new, &hint).map_err(LakeError::io(&hint))
    })
    .await
}
