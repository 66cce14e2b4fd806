//! Commits against a catalog that fails in every way a catalog can.

use super::commit::{Claim, Decision, Proposal, decide};
use super::summary::Committed;
use crate::catalog::{Commits, Narrow};
use crate::disk::trace::{self, Step};
use crate::{Lake, LakeConfig, LakeError, OffsetRange, SourceOffsets, Table, TickQuery};
use async_trait::async_trait;
use iceberg::table::Table as IcebergTable;
use iceberg::{Catalog, Error, ErrorKind, TableCommit, TableIdent};
use proto::Decimal;
use proto::market::{Side, Source, Tick};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use std::collections::{BTreeSet, VecDeque};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use tempfile::TempDir;

const T0: u64 = 1_723_075_200_000_000_000;

/// What happens to the next commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    None,
    /// Applied, but the reply is an error of this kind.
    AppliedThenFails(ErrorKind),
    /// Applied, and the table cannot be loaded afterwards.
    AppliedThenUnreadable,
    /// Not applied; the reply is an error of this kind.
    FailsBefore(ErrorKind),
    /// Not applied, but reported as done, as the SQL catalog does when its COMMIT fails.
    Lies,
    /// Held back; the reply is an error, and the request arrives later.
    Delayed,
    /// Another writer commits first.
    Rival(Rival),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rival {
    OtherPartition,
    SameOffsets,
    HigherEpoch,
}

/// A catalog that does what its script says, then works.
#[derive(Debug)]
struct Faulty {
    real: Arc<dyn Catalog>,
    state: Arc<State>,
}

#[derive(Debug, Default)]
struct State {
    script: Mutex<VecDeque<Fault>>,
    unreadable: AtomicBool,
    delayed: tokio::sync::Mutex<Vec<TableCommit>>,
    rival: Mutex<Option<Lake>>,
    /// Number of disk steps when each commit arrived.
    commits_at: Mutex<Vec<usize>>,
    updates: AtomicUsize,
    real: Mutex<Option<Arc<dyn Catalog>>>,
}

fn error(kind: ErrorKind) -> Error {
    Error::new(kind, "scripted").with_retryable(kind == ErrorKind::CatalogCommitConflicts)
}

#[async_trait]
impl Commits for Faulty {
    async fn load(&self, table: &TableIdent) -> iceberg::Result<IcebergTable> {
        if self.state.unreadable.load(Ordering::SeqCst) {
            return Err(error(ErrorKind::Unexpected));
        }
        self.real.load_table(table).await
    }

    async fn update(&self, commit: TableCommit) -> iceberg::Result<IcebergTable> {
        self.state.updates.fetch_add(1, Ordering::SeqCst);
        self.state.commits_at.lock().unwrap().push(trace::steps().len());
        let fault = self.state.script.lock().unwrap().pop_front().unwrap_or(Fault::None);
        match fault {
            Fault::None => self.real.update_table(commit).await,
            Fault::AppliedThenFails(kind) => {
                self.real.update_table(commit).await?;
                Err(error(kind))
            }
            Fault::AppliedThenUnreadable => {
                self.real.update_table(commit).await?;
                self.state.unreadable.store(true, Ordering::SeqCst);
                Err(error(ErrorKind::Unexpected))
            }
            Fault::FailsBefore(kind) => Err(error(kind)),
            Fault::Lies => commit.apply(self.real.load_table(&Table::Ticks.ident()).await?),
            Fault::Delayed => {
                self.state.delayed.lock().await.push(commit);
                Err(error(ErrorKind::Unexpected))
            }
            Fault::Rival(rival) => {
                let lake = self.state.rival.lock().unwrap().clone().unwrap();
                let (offsets, epoch) = match rival {
                    Rival::OtherPartition => (range(9, 0, 0), 1),
                    Rival::SameOffsets => (range(0, 0, u64::MAX / 2), 1),
                    Rival::HigherEpoch => (range(9, 0, 0), 7),
                };
                lake.append_ticks(&[tick(1_000_000)], &offsets, epoch).await.unwrap();
                self.real.update_table(commit).await
            }
        }
    }
}

fn tick(id: u64) -> Tick {
    Tick {
        venue: "SIM".parse().unwrap(),
        symbol: "BTC/USDT".parse().unwrap(),
        trade_id: id.to_string(),
        event_time_ns: T0 + id * 1_000_000,
        receive_time_ns: T0,
        price: Decimal::ONE,
        size: Decimal::ONE,
        side: Side::Buy,
        source: Source::Live,
        repaired: false,
    }
}

fn range(partition: u32, first: u64, last: u64) -> SourceOffsets {
    [(("norm.tick".to_owned(), partition), OffsetRange { first, last })].into_iter().collect()
}

struct Rig {
    lake: Lake,
    plain: Lake,
    state: Arc<State>,
    dir: TempDir,
}

async fn rig(script: &[Fault]) -> Rig {
    let dir = TempDir::new().unwrap();
    let config = LakeConfig {
        fsync: false,
        commit_backoff_ms: 1,
        commit_attempts: 3,
        ..LakeConfig::new(dir.path().join("lake"))
    };
    let plain = Lake::open(config.clone()).await.unwrap();
    let state = Arc::new(State { script: Mutex::new(script.iter().copied().collect()), ..State::default() });
    *state.rival.lock().unwrap() = Some(plain.clone());
    let shared = state.clone();
    let wrap = move |real: Arc<dyn Catalog>| -> Arc<dyn Catalog> {
        *shared.real.lock().unwrap() = Some(real.clone());
        Arc::new(Narrow(Faulty { real, state: shared.clone() }))
    };
    let lake = Lake::open_with(config, wrap).await.unwrap();
    Rig { lake, plain, state, dir }
}

impl Rig {
    /// Appends rows `first..=last`, each with its number as offset.
    async fn append(&self, first: u64, last: u64) -> crate::Result<crate::CommitInfo> {
        let rows: Vec<Tick> = (first..=last).map(tick).collect();
        self.lake.append_ticks(&rows, &range(0, first, last), 1).await
    }

    /// The rows of partition 0 as a handle without faults sees them.
    async fn rows(&self) -> Vec<u64> {
        let query =
            TickQuery::range("SIM".parse().unwrap(), "BTC/USDT".parse().unwrap(), 0, T0 + 1_000_000 * 1_000_000);
        let rows = self.plain.ticks(&query).await.unwrap();
        rows.into_iter().map(|row| row.trade_id.parse().unwrap()).collect()
    }

    async fn committed(&self) -> Option<u64> {
        self.plain.committed(Table::Ticks).await.unwrap().get(&("norm.tick".to_owned(), 0)).copied()
    }

    fn data_files(&self) -> usize {
        fn count(dir: &Path) -> usize {
            let entries = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
            entries.map(|path| if path.is_dir() { count(&path) } else { 1 }).sum()
        }
        count(&self.dir.path().join("lake/warehouse/dexorder/ticks/data"))
    }
}

const KINDS: [ErrorKind; 3] = [ErrorKind::Unexpected, ErrorKind::CatalogCommitConflicts, ErrorKind::DataInvalid];

#[tokio::test]
async fn a_commit_whose_reply_is_lost_is_found_and_not_repeated() {
    for kind in KINDS {
        let rig = rig(&[Fault::AppliedThenFails(kind)]).await;
        let info = rig.append(0, 9).await.unwrap();
        assert_eq!(info.attempts, 1, "{kind}");
        rig.append(10, 19).await.unwrap();
        assert_eq!(rig.rows().await, (0..20).collect::<Vec<_>>(), "{kind}");
        assert_eq!(rig.committed().await, Some(19));
        assert_eq!(rig.state.updates.load(Ordering::SeqCst), 2);
    }
}

#[tokio::test]
async fn a_commit_that_did_not_happen_is_tried_again() {
    for fault in KINDS.map(Fault::FailsBefore).into_iter().chain([Fault::Lies]) {
        let rig = rig(&[fault, fault]).await;
        let info = rig.append(0, 9).await.unwrap();
        assert_eq!(info.attempts, 3, "{fault:?}");
        assert_eq!(rig.rows().await, (0..10).collect::<Vec<_>>(), "{fault:?}");
    }
}

#[tokio::test]
async fn a_commit_that_never_happens_is_reported_as_such_and_keeps_its_files() {
    for fault in [Fault::FailsBefore(ErrorKind::Unexpected), Fault::Lies] {
        let rig = rig(&[fault; 3]).await;
        let error = rig.append(0, 9).await.unwrap_err();
        assert!(matches!(error, LakeError::NotCommitted { attempts: 3, .. }), "{error}");
        assert!(error.is_retryable());
        assert_eq!((rig.rows().await, rig.committed().await, rig.data_files()), (vec![], None, 1));
        rig.append(0, 9).await.unwrap();
        assert_eq!((rig.rows().await.len(), rig.data_files()), (10, 2));
    }
}

#[tokio::test]
async fn an_outcome_that_cannot_be_read_back_is_unknown_until_it_is_read() {
    let rig = rig(&[Fault::AppliedThenUnreadable]).await;
    let error = rig.append(0, 9).await.unwrap_err();
    assert!(matches!(&error, LakeError::Unknown { .. }) && error.is_unknown() && !error.is_retryable(), "{error}");
    assert_eq!(rig.data_files(), 1, "files of an unknown outcome stay");
    rig.state.unreadable.store(false, Ordering::SeqCst);
    assert_eq!(rig.lake.committed(Table::Ticks).await.unwrap()[&("norm.tick".to_owned(), 0)], 9);
    let again = rig.append(0, 9).await.unwrap_err();
    assert!(matches!(again, LakeError::Overlap { committed: 9, .. }), "{again}");
    rig.append(10, 19).await.unwrap();
    assert_eq!(rig.rows().await, (0..20).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_request_that_arrives_late_is_not_applied_a_second_time() {
    let rig = rig(&[Fault::Delayed]).await;
    let info = rig.append(0, 9).await.unwrap();
    assert_eq!(info.attempts, 2);
    let late = rig.state.delayed.lock().await.pop().unwrap();
    let real = rig.state.real.lock().unwrap().clone().unwrap();
    assert!(real.update_table(late).await.is_err());
    assert_eq!(rig.rows().await, (0..10).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_faster_writer_of_other_offsets_only_costs_another_attempt() {
    let rig = rig(&[Fault::Rival(Rival::OtherPartition)]).await;
    assert_eq!(rig.append(0, 9).await.unwrap().attempts, 2);
    let committed = rig.plain.committed(Table::Ticks).await.unwrap();
    let offsets: Vec<u64> = [0, 9].map(|partition| committed[&("norm.tick".to_owned(), partition)]).to_vec();
    assert_eq!(offsets, [9, 0], "offsets of both writers are carried on");
    assert_eq!(rig.rows().await.len(), 10);
}

#[tokio::test]
async fn a_faster_writer_of_the_same_offsets_stops_the_commit() {
    let rig = rig(&[Fault::Rival(Rival::SameOffsets)]).await;
    let error = rig.append(0, 9).await.unwrap_err();
    assert!(matches!(error, LakeError::Overlap { .. }), "{error}");
    assert_eq!(rig.rows().await, [0u64; 0]);
}

#[tokio::test]
async fn a_writer_that_has_been_replaced_is_fenced_even_in_the_middle_of_a_commit() {
    let rig = rig(&[Fault::Rival(Rival::HigherEpoch)]).await;
    let error = rig.append(0, 9).await.unwrap_err();
    assert!(matches!(error, LakeError::Fenced { ours: 1, current: 7, .. }), "{error}");
    assert!(!error.is_retryable());
    assert_eq!(rig.rows().await, [0u64; 0]);
    assert_eq!(rig.lake.claim_writer_epoch().await.unwrap(), 8);
}

#[tokio::test]
async fn files_that_were_swept_meanwhile_are_not_committed() {
    let rig = rig(&[Fault::FailsBefore(ErrorKind::Unexpected); 2]).await;
    let data = rig.dir.path().join("lake/warehouse/dexorder/ticks/data");
    let swept = async {
        // The first attempt has failed, the second has not been made: nothing else can be in between here.
        while rig.state.updates.load(Ordering::SeqCst) == 0 {
            tokio::task::yield_now().await;
        }
        std::fs::remove_dir_all(&data).unwrap();
    };
    let (result, ()) = tokio::join!(rig.append(0, 9), swept);
    assert!(matches!(result, Err(LakeError::NotCommitted { .. })), "{result:?}");
    assert_eq!(rig.committed().await, None);
}

#[tokio::test]
async fn random_faults_never_lose_or_repeat_a_row() {
    for seed in 0..12 {
        let mut random = StdRng::seed_from_u64(seed);
        let faults = [
            Fault::None,
            Fault::AppliedThenFails(ErrorKind::Unexpected),
            Fault::AppliedThenFails(ErrorKind::CatalogCommitConflicts),
            Fault::AppliedThenUnreadable,
            Fault::FailsBefore(ErrorKind::Unexpected),
            Fault::FailsBefore(ErrorKind::CatalogCommitConflicts),
            Fault::Lies,
            Fault::Delayed,
        ];
        let script: Vec<Fault> = (0..40).map(|_| faults[random.random_range(0..faults.len())]).collect();
        let rig = rig(&script).await;
        let mut next = 0;
        while next < 100 {
            let last = next + random.random_range(1..12);
            match rig.append(next, last).await {
                Ok(_) => next = last + 1,
                Err(LakeError::NotCommitted { .. }) => {}
                Err(LakeError::Unknown { .. } | LakeError::Iceberg { .. }) => {
                    rig.state.unreadable.store(false, Ordering::SeqCst);
                    next = rig.committed().await.map_or(0, |last| last + 1);
                }
                Err(error) => panic!("seed {seed}: {error}"),
            }
            if random.random_bool(0.3)
                && let Some(late) = rig.state.delayed.lock().await.pop()
            {
                // A request that was held back may arrive at any time; applied or not, the table must stay right.
                let real = rig.state.real.lock().unwrap().clone().unwrap();
                drop(real.update_table(late).await);
                next = rig.committed().await.map_or(0, |last| last + 1);
            }
        }
        assert_eq!(rig.rows().await, (0..next).collect::<Vec<_>>(), "seed {seed}");
        assert_eq!(rig.committed().await, Some(next - 1), "seed {seed}");
    }
}

#[test]
fn decisions_follow_from_the_facts() {
    let committed = |epoch, last: Option<u64>| Committed {
        epoch,
        offsets: last.map(|last| (("norm.tick".to_owned(), 0), last)).into_iter().collect(),
    };
    let source = ("norm.tick".to_owned(), 0);
    let overlap = |first, last, committed| Decision::Overlap(source.clone(), OffsetRange { first, last }, committed);
    let held = (Claim::Held, 1);
    let cases = [
        ("first commit", None, held, range(0, 0, 9), committed(0, None), Decision::Try),
        ("next offsets", None, held, range(0, 10, 19), committed(1, Some(9)), Decision::Try),
        ("a hole is allowed", None, held, range(0, 50, 59), committed(1, Some(9)), Decision::Try),
        ("other partition", None, held, range(1, 0, 9), committed(1, Some(9)), Decision::Try),
        ("no offsets", None, held, SourceOffsets::new(), committed(1, Some(9)), Decision::Try),
        ("landed", Some(5), held, range(0, 0, 9), committed(1, Some(9)), Decision::Landed(5)),
        ("landed, then fenced", Some(5), held, range(0, 0, 9), committed(2, Some(9)), Decision::Landed(5)),
        ("same offsets", None, held, range(0, 0, 9), committed(1, Some(9)), overlap(0, 9, 9)),
        ("one offset too early", None, held, range(0, 9, 19), committed(1, Some(9)), overlap(9, 19, 9)),
        ("fenced", None, held, range(0, 10, 19), committed(2, Some(9)), Decision::Fenced(2)),
        ("fenced before overlap", None, held, range(0, 0, 9), committed(2, Some(9)), Decision::Fenced(2)),
        ("a gap of epochs", None, (Claim::Held, 3), range(0, 10, 19), committed(2, Some(9)), Decision::Try),
        ("a new epoch", None, (Claim::New, 3), SourceOffsets::new(), committed(2, Some(9)), Decision::Try),
        (
            "an epoch that is taken",
            None,
            (Claim::New, 2),
            SourceOffsets::new(),
            committed(2, None),
            Decision::Fenced(2),
        ),
    ];
    for (name, landed, (claim, epoch), ranges, committed, expected) in cases {
        let (table, commit_id, files) = (Table::Ticks, "", Vec::new());
        let proposal = Proposal { table, claim, commit_id, epoch, ranges: &ranges, files };
        assert_eq!(decide(landed, &proposal, &committed), expected, "{name}");
    }
}

#[tokio::test]
async fn everything_a_commit_points_to_is_on_the_disk_before_the_catalog_is_told() {
    let dir = TempDir::new().unwrap();
    let config = LakeConfig::new(dir.path().join("lake"));
    let state = Arc::new(State::default());
    let shared = state.clone();
    let wrap = move |real| -> Arc<dyn Catalog> { Arc::new(Narrow(Faulty { real, state: shared })) };
    let lake = Lake::open_with(config, wrap).await.unwrap();
    let rows: Vec<Tick> = (0..400).map(|id| tick(id * 1_000_000)).collect();
    lake.append_ticks(&rows, &range(0, 0, 399), 1).await.unwrap();
    let ours = |step: &Step| match step {
        Step::Wrote(path) | Step::Synced(path) | Step::SyncedDir(path) => path.starts_with(dir.path()),
    };
    let before = state.commits_at.lock().unwrap()[0];
    let all = trace::steps();
    let check = |steps: &[Step], what: &str| {
        let steps: Vec<&Step> = steps.iter().filter(|step| ours(step)).collect();
        let mut kinds = BTreeSet::new();
        for (at, step) in steps.iter().enumerate() {
            let Step::Wrote(path) = step else { continue };
            if path.to_string_lossy().contains("version-hint") {
                continue;
            }
            kinds.insert(path.extension().unwrap().to_owned());
            let later = &steps[at..];
            let synced = later.iter().position(|step| **step == Step::Synced(path.clone()));
            let synced = synced.unwrap_or_else(|| panic!("{what}: {} is not synced", path.display()));
            let entry = Step::SyncedDir(path.parent().unwrap().to_path_buf());
            assert!(later[synced..].iter().any(|step| **step == entry), "{what}: entry of {}", path.display());
        }
        kinds
    };
    let kinds = check(&all[..before], "before the catalog");
    assert!(
        kinds.contains("parquet".as_ref() as &std::ffi::OsStr) && kinds.contains("avro".as_ref() as &std::ffi::OsStr)
    );
    let kinds = check(&all, "in the end");
    assert!(kinds.contains("json".as_ref() as &std::ffi::OsStr));
}
