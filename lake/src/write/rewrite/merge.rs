//! Which files are merged, and the merging.

use super::manifests::{bucket_of, day_of};
use super::{Live, read_blocking};
use crate::error::{LakeError, Result};
use crate::fanout::{Fanout, LakeRow};
use crate::read::decode::{self, Whole};
use crate::write::files::{FileJob, FileWriter};
use iceberg::spec::DataFile;
use std::collections::BTreeMap;
use std::sync::Arc;

/// A file with more than this many times the rows of all smaller ones together waits until those have grown: a row is
/// rewritten about as often as the rows of its partition have doubled, not with every rewrite.
const OUTWEIGHS: u64 = 2;

/// The batches of files to merge: small files of one partition, at least `least` of them, with at most `most` rows in
/// all, smallest first.
pub(super) fn due(live: &[Live], least: usize, most: u64) -> Vec<Vec<Live>> {
    let mut partitions: BTreeMap<(i32, i32), Vec<&Live>> = BTreeMap::new();
    for file in live.iter().filter(|live| live.file.record_count() < most) {
        partitions.entry((day_of(&file.file), bucket_of(&file.file))).or_default().push(file);
    }
    let mut batches = Vec::new();
    for mut files in partitions.into_values().filter(|files| files.len() >= least) {
        files.sort_by_key(|live| (live.file.record_count(), live.sequence));
        let mut smaller: u64 = files.iter().map(|live| live.file.record_count()).sum();
        while let Some(largest) = files.last().map(|live| live.file.record_count()) {
            smaller -= largest;
            if files.len() <= least || largest <= smaller * OUTWEIGHS {
                break;
            }
            files.pop();
        }
        let (mut batch, mut rows) = (Vec::new(), 0);
        for live in files {
            if rows + live.file.record_count() > most {
                batches.push(std::mem::take(&mut batch));
                rows = 0;
            }
            rows += live.file.record_count();
            batch.push(live.clone());
        }
        batches.push(batch);
    }
    batches.retain(|batch| batch.len() > 1);
    batches
}

/// Writes the rows of a batch as one file.
pub(super) async fn merge<R>(writer: &Arc<FileWriter>, name: &str, batch: &[Live]) -> Result<DataFile>
where
    R: LakeRow + Whole + Send + 'static,
{
    let mut files: Vec<(String, u64, u64)> = Vec::with_capacity(batch.len());
    let mut oldest_first: Vec<&Live> = batch.iter().collect();
    oldest_first.sort_by_key(|live| live.sequence);
    for live in oldest_first {
        let file = &live.file;
        files.push((file.file_path().to_owned(), file.file_size_in_bytes(), file.record_count()));
    }
    let expected: u64 = files.iter().map(|(_, _, rows)| rows).sum();
    let job = read_blocking(move || {
        let mut rows: Vec<R> = Vec::new();
        for (path, bytes, count) in &files {
            decode::whole(path, *bytes, *count, |row| rows.push(row))?;
        }
        let mut fanout = Fanout::new();
        fanout.add(&rows)?;
        let mut partitions = fanout.partitions(&rows);
        match (partitions.pop(), partitions.is_empty()) {
            (Some(partition), true) => Ok(FileJob::new(partition)),
            _ => Err(outside(&files[0].0)),
        }
    })
    .await?;
    let mut written = writer.write(name, vec![job]).await?;
    match written.pop() {
        Some(file) if file.record_count() == expected => Ok(file),
        _ => Err(LakeError::Damaged { path: name.to_owned(), detail: "merging changed the number of rows".to_owned() }),
    }
}

fn outside(path: &str) -> LakeError {
    LakeError::Damaged { path: path.to_owned(), detail: "a row is outside the partition of its file".to_owned() }
}
