//! The handle: appends, queries and upkeep of both tables.

use crate::bulk::{Bulk, BulkQuery};
use crate::catalog::{Heads, table_dir};
use crate::config::LakeConfig;
use crate::error::{LakeError, Result};
use crate::fanout::{Fanout, LakeRow};
use crate::offsets::{SourceOffsets, SourcePartition};
use crate::query::{CandleQuery, TickQuery};
use crate::read::cache::Cache;
use crate::read::plan::{FileRange, SnapshotFiles, Wanted};
use crate::read::scan::Scan;
use crate::schema::Table;
use crate::stats::LakeStats;
use crate::stats::{Counters, count};
use crate::write::commit::{self, Claim, Landed, Proposal};
use crate::write::files::{FileJob, FileWriter, run};
use crate::write::orphans::Sweep;
use crate::write::rewrite::{self, Due, Place, Rewrite};
use crate::write::{housekeeping, orphans, summary};
use iceberg::Catalog;
use iceberg::spec::DataFile;
use proto::market::{Candle, Tick};
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::sync::{Mutex, Semaphore};
use tracing::warn;
use ulid::Ulid;

/// Rows that are gathered before other tasks of the worker get their turn.
const ROWS_AT_ONCE: usize = 16_384;
/// Times that a query starts again when a file it was about to read has been replaced.
const RESTARTS: u32 = 3;
/// Times that a writer tries to become the newest.
const CLAIMS: u32 = 5;

/// What an append did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommitInfo {
    /// The snapshot that holds the rows; the current one, if any, when there were no rows.
    pub snapshot_id: Option<i64>,
    /// The commit's id, a ULID; empty when there were no rows.
    pub commit_id: String,
    /// Rows added.
    pub rows: u64,
    /// Files added.
    pub files: usize,
    /// Bytes of those files.
    pub bytes: u64,
    /// Attempts that the commit took; over 1 if the catalog failed or another writer was faster.
    pub attempts: u32,
}

/// A lake. Clones share one state.
#[derive(Debug, Clone)]
pub struct Lake {
    inner: Arc<Inner>,
}

#[derive(Debug)]
pub(crate) struct Inner {
    config: LakeConfig,
    heads: Heads,
    ticks: TableState,
    candles: TableState,
    pub(crate) files: Cache<Vec<FileRange>>,
    pub(crate) counters: Counters,
    pub(crate) permits: Arc<Semaphore>,
    /// Held while this process rewrites or sweeps.
    rewriting: Mutex<()>,
}

#[derive(Debug)]
struct TableState {
    /// Held while this process writes the table.
    writing: Mutex<()>,
    writer: Arc<FileWriter>,
    snapshots: Cache<SnapshotFiles>,
}

impl TableState {
    fn new(config: &LakeConfig, heads: &Heads, table: Table) -> Result<Self> {
        let head = heads.known(table).ok_or(LakeError::Interrupted("open"))?;
        Ok(Self {
            writing: Mutex::new(()),
            writer: Arc::new(FileWriter::new(table, head.table.metadata().location(), config.fsync)?),
            snapshots: Cache::new(config.plan_cache_bytes / 4),
        })
    }
}

impl Inner {
    const fn state(&self, table: Table) -> &TableState {
        match table {
            Table::Ticks => &self.ticks,
            Table::Candles => &self.candles,
        }
    }
}

impl Lake {
    /// Opens the lake, creating the namespace and the tables if they are absent. Several processes may have one lake
    /// open; one of them writes.
    ///
    /// # Errors
    /// If the directory cannot be used or holds other tables.
    pub async fn open(config: LakeConfig) -> Result<Self> {
        Self::open_with(config, |catalog| catalog).await
    }

    /// Opens with another catalog in front of the real one.
    pub(crate) async fn open_with(
        config: LakeConfig,
        wrap: impl FnOnce(Arc<dyn Catalog>) -> Arc<dyn Catalog>,
    ) -> Result<Self> {
        let heads = Heads::open(&config, wrap).await?;
        let ticks = TableState::new(&config, &heads, Table::Ticks)?;
        let candles = TableState::new(&config, &heads, Table::Candles)?;
        let files = Cache::new(config.plan_cache_bytes);
        let permits = Arc::new(Semaphore::new(config.concurrent_reads.max(1)));
        let (counters, rewriting) = (Counters::default(), Mutex::new(()));
        Ok(Self { inner: Arc::new(Inner { config, heads, ticks, candles, files, counters, permits, rewriting }) })
    }

    /// Adds trades in one snapshot, which also records `offsets`. No rows: no snapshot. The lake keeps whole
    /// microseconds and not the flag `repaired`: a trade is read back as repaired if its source is a backfill.
    ///
    /// # Errors
    /// See [`LakeError`]; after [`LakeError::Unknown`] read [`Self::committed`] first.
    ///
    /// # Cancel safety
    /// A dropped future leaves the outcome unknown.
    pub async fn append_ticks(&self, ticks: &[Tick], offsets: &SourceOffsets, epoch: u64) -> Result<CommitInfo> {
        self.append(Table::Ticks, ticks, offsets, epoch).await
    }

    /// Adds candles in one snapshot, which also records `offsets`. No rows: no snapshot.
    ///
    /// # Errors
    /// See [`Self::append_ticks`].
    ///
    /// # Cancel safety
    /// A dropped future leaves the outcome unknown.
    pub async fn append_candles(&self, candles: &[Candle], offsets: &SourceOffsets, epoch: u64) -> Result<CommitInfo> {
        self.append(Table::Candles, candles, offsets, epoch).await
    }

    async fn append<R: LakeRow>(
        &self,
        table: Table,
        rows: &[R],
        offsets: &SourceOffsets,
        epoch: u64,
    ) -> Result<CommitInfo> {
        let state = self.inner.state(table);
        let _writing = state.writing.lock().await;
        let commit_id = Ulid::generate().to_string();
        // Refuse before any file is written.
        let head = self.inner.heads.head(table).await?;
        let mut proposal =
            Proposal { table, claim: Claim::Held, commit_id: &commit_id, epoch, ranges: offsets, files: Vec::new() };
        commit::judge(&head, &proposal)?;
        if rows.is_empty() {
            let snapshot_id = head.table.metadata().current_snapshot_id();
            return Ok(CommitInfo { snapshot_id, commit_id: String::new(), rows: 0, files: 0, bytes: 0, attempts: 0 });
        }
        let mut fanout = Fanout::new();
        for some in rows.chunks(ROWS_AT_ONCE) {
            fanout.add(some)?;
            tokio::task::yield_now().await;
        }
        let jobs = fanout.partitions(rows).into_iter().map(FileJob::new).collect();
        proposal.files = state.writer.write(&commit_id, jobs).await?;
        let landed = self.commit(&proposal).await?;
        let (files, bytes) = (proposal.files.len(), proposal.files.iter().map(DataFile::file_size_in_bytes).sum());
        self.tidy(table, &head).await;
        Ok(CommitInfo {
            snapshot_id: Some(landed.snapshot_id),
            commit_id,
            rows: rows.len() as u64,
            files,
            bytes,
            attempts: landed.attempts,
        })
    }

    async fn commit(&self, proposal: &Proposal<'_>) -> Result<Landed> {
        let Inner { heads, config, counters, .. } = &*self.inner;
        let landed = commit::commit(heads, proposal, config.patience()).await?;
        count(&counters.commits, 1);
        count(&counters.retries, u64::from(landed.attempts.saturating_sub(1)));
        Ok(landed)
    }

    /// Housekeeping after a commit. Its failure does not concern the commit: it is tried again after the next one.
    async fn tidy(&self, table: Table, before: &crate::catalog::Head) {
        let Inner { heads, config, .. } = &*self.inner;
        let tidy = async {
            housekeeping::expire(heads, config, table).await?;
            let after = heads.head(table).await?;
            housekeeping::drop_old_metadata(before, &after).await?;
            housekeeping::hint(&table_dir(&config.dir, table), &after.location, config.fsync).await
        };
        if let Err(error) = tidy.await {
            count(&self.inner.counters.housekeeping_failures, 1);
            warn!(%table, %error, "lake housekeeping failed");
        }
    }

    /// The last committed offset of every partition that ever was committed, from the current snapshot.
    ///
    /// # Errors
    /// If the catalog or the table's metadata cannot be read.
    pub async fn committed(&self, table: Table) -> Result<BTreeMap<SourcePartition, u64>> {
        let head = self.inner.heads.head(table).await?;
        Ok(summary::committed(table, head.table.metadata())?.offsets)
    }

    /// Takes over writing: returns an epoch above all before, recorded in both tables, so that any older writer's next
    /// commit fails with [`LakeError::Fenced`].
    ///
    /// # Errors
    /// If the catalog cannot be written.
    pub async fn claim_writer_epoch(&self) -> Result<u64> {
        let mut refused = None;
        for _ in 0..CLAIMS {
            let mut epoch = 0;
            for table in Table::ALL {
                let head = self.inner.heads.head(table).await?;
                epoch = epoch.max(summary::committed(table, head.table.metadata())?.epoch + 1);
            }
            match self.record_epoch(epoch).await {
                Ok(()) => return Ok(epoch),
                Err(error @ LakeError::Fenced { .. }) => refused = Some(error),
                Err(error) => return Err(error),
            }
        }
        Err(refused.unwrap_or(LakeError::Interrupted("claim of the writer epoch")))
    }

    async fn record_epoch(&self, epoch: u64) -> Result<()> {
        for table in Table::ALL {
            let _writing = self.inner.state(table).writing.lock().await;
            let before = self.inner.heads.head(table).await?;
            let (commit_id, ranges) = (Ulid::generate().to_string(), SourceOffsets::new());
            let proposal =
                Proposal { table, claim: Claim::New, commit_id: &commit_id, epoch, ranges: &ranges, files: Vec::new() };
            self.commit(&proposal).await?;
            self.tidy(table, &before).await;
        }
        Ok(())
    }

    /// Merges small files and manifests of each table that had `rewrite_files` commits since the last time, and does
    /// nothing otherwise: then it costs two small reads. Rows, epoch and offsets stay as they are. `now_ns` is the wall clock. Appends of this process go on meanwhile, except during
    /// the commit. A writer calls this now and then; files that became superfluous go with [`Self::sweep_orphans`] once
    /// the snapshots that name them have expired.
    ///
    /// # Errors
    /// [`LakeError::Fenced`] if a newer writer is at work, [`LakeError::NotCommitted`] if another writer was faster;
    /// the table is as before then.
    pub async fn rewrite(&self, epoch: u64, now_ns: u64) -> Result<BTreeMap<Table, Rewrite>> {
        let _rewriting = self.inner.rewriting.lock().await;
        let mut done = BTreeMap::new();
        for table in Table::ALL {
            let Inner { heads, config, .. } = &*self.inner;
            let (state, due) = (self.inner.state(table), Due::after(config.rewrite_files));
            let before = heads.head(table).await?;
            let place = Place { heads, table, writer: &state.writer, writing: &state.writing, due };
            let rewrite = match table {
                Table::Ticks => rewrite::rewrite::<Tick>(&place, epoch, now_ns).await?,
                Table::Candles => rewrite::rewrite::<Candle>(&place, epoch, now_ns).await?,
            };
            if rewrite.snapshot_id.is_some() {
                count(&self.inner.counters.rewritten_files, rewrite.files_removed as u64);
                count(&self.inner.counters.rewritten_rows, rewrite.rows);
                let _writing = state.writing.lock().await;
                self.tidy(table, &before).await;
            }
            done.insert(table, rewrite);
        }
        Ok(done)
    }

    /// Candles of one series, ascending by open time, the highest revision of each.
    ///
    /// # Errors
    /// If the snapshot is unknown, the answer too long, or a file cannot be read.
    pub async fn candles(&self, query: &CandleQuery) -> Result<Vec<Candle>> {
        let CandleQuery { venue, symbol, interval, from_ns, to_ns, limit, snapshot } = query;
        let Some(wanted) = Wanted::new(venue, symbol, Some(*interval), *from_ns, *to_ns) else { return Ok(Vec::new()) };
        let limit = *limit;
        let rows = self.scan(Table::Candles, wanted, *snapshot, move |scan| scan.candles(limit)).await?;
        let convert = |row: crate::read::decode::CandleRow| row.candle(venue, symbol);
        rows.into_iter().map(convert).collect::<Option<_>>().ok_or_else(|| before_1970(Table::Candles))
    }

    /// Trades of one symbol, ascending.
    ///
    /// # Errors
    /// If the snapshot is unknown, the answer too long, or a file cannot be read.
    pub async fn ticks(&self, query: &TickQuery) -> Result<Vec<Tick>> {
        let TickQuery { venue, symbol, from_ns, to_ns, limit, snapshot } = query;
        let Some(wanted) = Wanted::new(venue, symbol, None, *from_ns, *to_ns) else { return Ok(Vec::new()) };
        let limit = *limit;
        let rows = self.scan(Table::Ticks, wanted, *snapshot, move |scan| scan.ticks(limit)).await?;
        let convert = |row: crate::read::decode::TickRow| row.tick(venue, symbol);
        rows.into_iter().map(convert).collect::<Option<_>>().ok_or_else(|| before_1970(Table::Ticks))
    }

    async fn scan<T: Send + 'static>(
        &self,
        table: Table,
        wanted: Wanted,
        snapshot: Option<i64>,
        read: impl Fn(&Scan<'_>) -> Result<Vec<T>> + Clone + Send + 'static,
    ) -> Result<Vec<T>> {
        let permit = self.inner.permits.clone().acquire_owned().await;
        let permit = Arc::new(permit.map_err(|_| LakeError::Interrupted("query"))?);
        count(&self.inner.counters.queries, 1);
        let mut restarts = 0;
        loop {
            let head = self.inner.heads.head(table).await?;
            let metadata = head.table.metadata_ref();
            let found = match snapshot {
                Some(id) => Some(metadata.snapshot_by_id(id).ok_or(LakeError::NoSnapshot { table, snapshot: id })?),
                None => metadata.current_snapshot(),
            };
            let Some(list) = found.map(|snapshot| snapshot.manifest_list().to_owned()) else { return Ok(Vec::new()) };
            let (inner, wanted, read, permit) = (self.inner.clone(), wanted.clone(), read.clone(), permit.clone());
            let version = metadata.format_version();
            let rows = run(move || {
                // Held here, so that a cancelled query counts until its work ends.
                let _permit = permit;
                let snapshot = inner.snapshot(table, &list, version)?;
                read(&Scan {
                    snapshot: &snapshot,
                    wanted: &wanted,
                    cache: &inner.files,
                    counters: &inner.counters,
                    most: inner.config.rows_per_query,
                })
            })
            .await;
            match rows {
                Err(error) if error.is_missing_file() && restarts < RESTARTS => {
                    restarts += 1;
                    if self.inner.heads.head(table).await?.location == head.location {
                        return Err(error);
                    }
                }
                done => return done,
            }
        }
    }

    /// Pins a series to a snapshot, to read all of it piece by piece.
    ///
    /// # Errors
    /// If the snapshot is unknown or has expired, or its list of files cannot be read.
    pub async fn bulk(&self, query: BulkQuery) -> Result<Bulk> {
        let table = if query.interval.is_some() { Table::Candles } else { Table::Ticks };
        let mut restarts = 0;
        loop {
            let head = self.inner.heads.head(table).await?;
            let metadata = head.table.metadata_ref();
            let found = match query.snapshot {
                // The table before its first snapshot.
                Some(0) => None,
                Some(id) => Some(metadata.snapshot_by_id(id).ok_or(LakeError::NoSnapshot { table, snapshot: id })?),
                None => metadata.current_snapshot(),
            };
            let Some(found) = found else { return Ok(Bulk::new(self.inner.clone(), query, 0, None)) };
            let (id, list) = (found.snapshot_id(), found.manifest_list().to_owned());
            let (inner, version) = (self.inner.clone(), metadata.format_version());
            match run(move || inner.snapshot(table, &list, version)).await {
                // It expired since: the next look either finds a newer one or says so.
                Err(error) if error.is_missing_file() && restarts < RESTARTS => restarts += 1,
                files => return Ok(Bulk::new(self.inner.clone(), query, id, Some(files?))),
            }
        }
    }

    /// The current snapshot of a table, to pin in a query.
    ///
    /// # Errors
    /// If the catalog cannot be read.
    pub async fn snapshot(&self, table: Table) -> Result<Option<i64>> {
        Ok(self.inner.heads.head(table).await?.table.metadata().current_snapshot_id())
    }

    /// Learns commits of other processes; true if there were any. Queries do this themselves.
    ///
    /// # Errors
    /// If the catalog cannot be read.
    pub async fn refresh(&self) -> Result<bool> {
        let mut changed = false;
        for table in Table::ALL {
            let before = self.inner.heads.known(table).map(|head| head.location.clone());
            changed |= before.as_deref() != Some(&self.inner.heads.head(table).await?.location);
        }
        Ok(changed)
    }

    /// Removes files that no snapshot names and that are older than the configured age (24 h). `now_ns` is the wall
    /// clock. Appends of this process wait only while files are removed.
    ///
    /// # Errors
    /// If metadata or directories cannot be read; what was removed until then stays removed.
    pub async fn sweep_orphans(&self, now_ns: u64) -> Result<BTreeMap<Table, Sweep>> {
        // The files of a rewrite are in no snapshot until it is done.
        let _rewriting = self.inner.rewriting.lock().await;
        let Inner { heads, config, .. } = &*self.inner;
        let mut sweeps = BTreeMap::new();
        for table in Table::ALL {
            let writing = &self.inner.state(table).writing;
            sweeps.insert(table, orphans::sweep((heads, config), table, writing, now_ns).await?);
        }
        Ok(sweeps)
    }

    /// Work done since the lake was opened.
    #[must_use]
    pub fn stats(&self) -> LakeStats {
        self.inner.counters.stats(self.inner.files.weight())
    }
}

impl Inner {
    fn snapshot(&self, table: Table, list: &str, version: iceberg::spec::FormatVersion) -> Result<Arc<SnapshotFiles>> {
        let cache = &self.state(table).snapshots;
        if let Some(files) = cache.get(list) {
            return Ok(files);
        }
        let files = Arc::new(SnapshotFiles::read(list, version)?);
        cache.put(list, files.clone(), files.weight());
        Ok(files)
    }
}

fn before_1970(table: Table) -> LakeError {
    LakeError::Damaged { path: format!("table {table}"), detail: "a time before 1970".to_owned() }
}
