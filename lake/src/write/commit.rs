//! The commit: one fast append, and after it whatever the table says, never what the call returned.
//!
//! The loop reads the table, decides, makes one attempt and reads again. An attempt's result is not trusted either
//! way: a lost reply may hide a commit, and the SQL catalog reports success even if its `COMMIT` fails. All attempts
//! carry one commit id and require the snapshot that was judged, so at most one of them can ever be applied. Files are
//! never deleted here.

use super::summary::{self, Committed};
use crate::catalog::{Head, Heads, Narrow, OneAttempt};
use crate::disk;
use crate::error::{LakeError, Result};
use crate::offsets::{OffsetRange, SourceOffsets, SourcePartition};
use crate::schema::Table;
use iceberg::spec::DataFile;
use iceberg::table::Table as IcebergTable;
use iceberg::transaction::{ApplyTransactionAction, Transaction};
use iceberg::{Error, ErrorKind};
use std::sync::Arc;
use std::time::Duration;
use tracing::warn;

/// How often an attempt is made, and how long is waited before the second one; the wait doubles each time.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Patience {
    pub(crate) attempts: u32,
    pub(crate) backoff: Duration,
}

impl Patience {
    async fn wait(self, attempts: u32) {
        tokio::time::sleep(self.backoff * 2u32.pow(attempts.saturating_sub(1).min(6))).await;
    }
}

/// Which epochs of the table a proposal goes with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Claim {
    /// Its own or an older one: it adds rows.
    Held,
    /// An older one only: it makes its epoch the newest.
    New,
}

/// What a writer wants to commit.
#[derive(Debug)]
pub(crate) struct Proposal<'a> {
    pub(crate) table: Table,
    pub(crate) claim: Claim,
    pub(crate) commit_id: &'a str,
    pub(crate) epoch: u64,
    pub(crate) ranges: &'a SourceOffsets,
    pub(crate) files: Vec<DataFile>,
}

/// A commit that is in the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Landed {
    pub(crate) snapshot_id: i64,
    pub(crate) attempts: u32,
}

/// What the table says about a proposal.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Decision {
    /// It is in the table.
    Landed(i64),
    /// A newer writer is at work.
    Fenced(u64),
    /// Some of its offsets are in the table, by another commit.
    Overlap(SourcePartition, OffsetRange, u64),
    /// It is not in the table and may be tried.
    Try,
}

/// Judges a proposal by its landed snapshot, if any, and by what is committed.
pub(crate) fn decide(landed: Option<i64>, proposal: &Proposal<'_>, committed: &Committed) -> Decision {
    if let Some(snapshot) = landed {
        return Decision::Landed(snapshot);
    }
    let fenced = match proposal.claim {
        Claim::Held => committed.epoch > proposal.epoch,
        Claim::New => committed.epoch >= proposal.epoch,
    };
    if fenced {
        return Decision::Fenced(committed.epoch);
    }
    match summary::overlap(proposal.ranges, committed) {
        Some((source, range, last)) => Decision::Overlap(source, range, last),
        None => Decision::Try,
    }
}

/// The table's answer to a proposal; `Ok(None)` means that it may be tried on what `committed` holds.
pub(crate) fn judge(head: &Head, proposal: &Proposal<'_>) -> Result<(Option<i64>, Committed)> {
    let metadata = head.table.metadata();
    let landed = metadata.snapshots().find(|snapshot| summary::is_commit(snapshot, proposal.commit_id));
    let committed = summary::committed(proposal.table, metadata)?;
    let table = proposal.table;
    match decide(landed.map(|s| s.snapshot_id()), proposal, &committed) {
        Decision::Landed(snapshot_id) => Ok((Some(snapshot_id), committed)),
        Decision::Try => Ok((None, committed)),
        Decision::Fenced(current) => Err(LakeError::Fenced { table, ours: proposal.epoch, current }),
        Decision::Overlap((topic, partition), range, committed) => {
            Err(LakeError::Overlap { table, topic, partition, range, committed })
        }
    }
}

/// Commits a proposal.
///
/// # Errors
/// [`LakeError::Fenced`], [`LakeError::Overlap`], [`LakeError::NotCommitted`] if it is certainly not in the table,
/// [`LakeError::Unknown`] if the table cannot be read after an attempt.
pub(crate) async fn commit(heads: &Heads, proposal: &Proposal<'_>, patience: Patience) -> Result<Landed> {
    let (mut attempts, mut failure) = (0, None);
    loop {
        let (head, committed) = match read(heads, proposal).await {
            Ok((_, Some(snapshot_id), _)) => return Ok(Landed { snapshot_id, attempts }),
            Ok((head, None, committed)) => (head, committed),
            // Before the first attempt nothing can have happened.
            Err(error) if attempts == 0 || !is_unreadable(&error) => return Err(error),
            Err(error) => {
                warn!(table = %proposal.table, commit_id = proposal.commit_id, %error, "cannot read back a commit");
                if attempts >= patience.attempts {
                    return Err(give_up(proposal, attempts, failure, true));
                }
                // Not an attempt, but the loop must end.
                attempts += 1;
                patience.wait(attempts).await;
                continue;
            }
        };
        if attempts >= patience.attempts {
            return Err(give_up(proposal, attempts, failure, false));
        }
        attempts += 1;
        if let Err(error) = attempt(heads, &head, proposal, &committed).await {
            warn!(table = %proposal.table, commit_id = proposal.commit_id, attempts, %error, "commit attempt failed");
            failure = Some(error);
            patience.wait(attempts).await;
        }
    }
}

async fn read(heads: &Heads, proposal: &Proposal<'_>) -> Result<(Arc<Head>, Option<i64>, Committed)> {
    let head = heads.head(proposal.table).await?;
    let (landed, committed) = judge(&head, proposal)?;
    Ok((head, landed, committed))
}

/// True if the table could not be read, as opposed to read and found to refuse.
const fn is_unreadable(error: &LakeError) -> bool {
    matches!(error, LakeError::Iceberg { .. } | LakeError::Catalog(_))
}

fn give_up(proposal: &Proposal<'_>, attempts: u32, failure: Option<Error>, unknown: bool) -> LakeError {
    let none = || Error::new(ErrorKind::Unexpected, "the table does not show the commit");
    let (table, source) = (proposal.table, Box::new(failure.unwrap_or_else(none)));
    if unknown {
        return LakeError::Unknown { table, commit_id: proposal.commit_id.to_owned(), attempts, source };
    }
    LakeError::NotCommitted { table, attempts, source }
}

/// One fast append on the head that was judged.
async fn attempt(heads: &Heads, head: &Head, proposal: &Proposal<'_>, committed: &Committed) -> iceberg::Result<()> {
    files_exist(&proposal.files).await?;
    let properties = summary::properties(proposal.commit_id, proposal.epoch, proposal.ranges, committed);
    let transaction = Transaction::new(&head.table);
    let append = transaction
        .fast_append()
        // The names are new, and looking would read every manifest.
        .with_check_duplicate(false)
        .set_snapshot_properties(properties)
        .add_data_files(proposal.files.clone());
    let updated = run_once(heads.catalog(), &head.table, append.apply(transaction)?).await?;
    // Believed only if the catalog shows this very file: `head` compares the location.
    if let Err(error) = heads.learn(proposal.table, updated) {
        warn!(%error, "catalog returned a table without a location");
    }
    Ok(())
}

/// Runs a transaction against exactly `base`, once.
pub(crate) async fn run_once(
    catalog: &Arc<dyn iceberg::Catalog>,
    base: &IcebergTable,
    transaction: Transaction,
) -> iceberg::Result<IcebergTable> {
    transaction.commit(&Narrow(OneAttempt { catalog: catalog.clone(), base: base.clone() })).await
}

/// A writer that was stopped for a day finds its files swept; they must not be committed.
async fn files_exist(files: &[DataFile]) -> iceberg::Result<()> {
    let paths: Vec<String> = files.iter().map(|file| file.file_path().to_owned()).collect();
    let missing = tokio::task::spawn_blocking(move || paths.into_iter().find(|path| !disk::local_path(path).exists()));
    match missing.await {
        Ok(None) => Ok(()),
        Ok(Some(path)) => Err(Error::new(ErrorKind::DataInvalid, format!("data file {path} is gone"))),
        Err(error) => Err(Error::new(ErrorKind::Unexpected, "file check was interrupted").with_source(error)),
    }
}
