//! A writer that is killed at any moment leaves a lake in which each row is exactly once, and goes on from there.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "fixtures/rows.rs"]
mod rows;

use lake::{CandleQuery, Lake, LakeConfig, SourceOffsets, Table, TickQuery};
use proto::Interval;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use rows::{SECOND, T0, candle, offsets, symbol, tick, venue};
use std::io::Write;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::time::timeout;

const KILLS: u32 = 30;
const TOPIC: &str = "norm.tick";
/// Names the lake to the child process.
const DIR: &str = "LAKE_CRASH_DIR";

/// Rows are numbered by their offset; the symbol, and so the file, changes with the number.
fn text_of(number: u64) -> &'static str {
    ["BTC/USDT", "ETH/USDT", "SOL/USDT"][usize::try_from(number % 3).unwrap()]
}

async fn next_offset(lake: &Lake, table: Table) -> u64 {
    let committed = lake.committed(table).await.unwrap();
    committed.get(&(TOPIC.to_owned(), 0)).map_or(0, |last| last + 1)
}

/// The child: appends numbered rows to both tables for ever, going on after what is committed.
#[tokio::test]
async fn child_that_appends_until_it_is_killed() {
    let Some(dir) = std::env::var_os(DIR) else { return };
    let lake = Lake::open(LakeConfig { rewrite_files: 4, ..LakeConfig::new(dir) }).await.unwrap();
    let epoch = lake.claim_writer_epoch().await.unwrap();
    loop {
        let now_ns = u64::try_from(std::time::UNIX_EPOCH.elapsed().unwrap().as_nanos()).unwrap();
        lake.rewrite(epoch, now_ns).await.unwrap();
        let from = next_offset(&lake, Table::Ticks).await;
        let to = from + 50 + from % 37;
        let ticks: Vec<_> = (from..to).map(|n| tick(text_of(n), n, T0 + n * 10 * SECOND)).collect();
        lake.append_ticks(&ticks, &offsets(&[(TOPIC, 0, from, to - 1)]), epoch).await.unwrap();
        let from = next_offset(&lake, Table::Candles).await;
        let candles: Vec<_> = (from..to).map(|n| candle(text_of(n), Interval::S1, T0 + n * 10 * SECOND)).collect();
        lake.append_candles(&candles, &offsets(&[(TOPIC, 0, from, to - 1)]), epoch).await.unwrap();
        let mut out = std::io::stdout();
        writeln!(out, "committed {to}").and_then(|()| out.flush()).unwrap();
    }
}

fn spawn(dir: &Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child_that_appends_until_it_is_killed", "--nocapture"])
        .env(DIR, dir)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap()
}

/// Lets the child commit `commits` times and then work for `further`, then kills it.
async fn run_and_kill(dir: &Path, commits: u32, further: Duration) {
    let mut child = spawn(dir);
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut seen = 0;
    let reading = async {
        while let Some(line) = lines.next_line().await.unwrap() {
            seen += u32::from(line.starts_with("committed"));
            if seen >= commits {
                return;
            }
        }
        panic!("the child ended by itself");
    };
    timeout(Duration::from_secs(60), reading).await.unwrap();
    // The moment of the kill: some time later, whatever the child does then.
    let working = async { while lines.next_line().await.unwrap().is_some() {} };
    assert!(timeout(further, working).await.is_err(), "the child ended by itself");
    child.kill().await.unwrap();
}

/// Every row up to the committed offset is there once, and no other.
async fn check(dir: &Path) -> u64 {
    let lake = Lake::open(LakeConfig::new(dir)).await.unwrap();
    let (ticks, candles) = (next_offset(&lake, Table::Ticks).await, next_offset(&lake, Table::Candles).await);
    let (mut numbers, mut opens) = (Vec::new(), Vec::new());
    for text in (0..3).map(text_of) {
        let rows = lake.ticks(&TickQuery::range(venue("SIM"), symbol(text), 0, u64::MAX)).await.unwrap();
        for row in rows {
            let number: u64 = row.trade_id.parse().unwrap();
            assert_eq!(row, tick(text, number, T0 + number * 10 * SECOND));
            numbers.push(number);
        }
        let query = CandleQuery::range(venue("SIM"), symbol(text), Interval::S1, 0, u64::MAX);
        opens.extend(lake.candles(&query).await.unwrap().iter().map(|row| (row.open_time_ns - T0) / SECOND / 10));
    }
    numbers.sort_unstable();
    opens.sort_unstable();
    assert_eq!(numbers, (0..ticks).collect::<Vec<_>>());
    assert_eq!(opens, (0..candles).collect::<Vec<_>>());
    ticks
}

#[tokio::test]
async fn rows_are_exactly_once_after_kills_at_random_moments() {
    let seed = rand::random::<u64>();
    println!("seed {seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let dir = TempDir::new().unwrap();
    let lake_dir = dir.path().join("lake");
    let mut before = 0;
    for _ in 0..KILLS {
        // A third of the kills hit the start: opening, claiming, the first commit.
        let commits = random.random_range(0..3);
        let further = Duration::from_micros(random.random_range(0..60_000));
        run_and_kill(&lake_dir, commits, further).await;
        let rows = check(&lake_dir).await;
        assert!(rows >= before, "committed rows are never lost");
        before = rows;
    }
    assert!(before > u64::from(KILLS) * 20, "only {before} rows were committed");

    // What the kills left behind goes a day later, and nothing else does.
    let lake = Lake::open(LakeConfig::new(&lake_dir)).await.unwrap();
    let row = [tick("BTC/USDT", 1 << 40, T0)];
    lake.append_ticks(&row, &SourceOffsets::new(), u64::MAX).await.unwrap();
    let now = 86_400 * SECOND + u64::try_from(std::time::UNIX_EPOCH.elapsed().unwrap().as_nanos()).unwrap();
    let young = lake.sweep_orphans(now - 86_400 * SECOND).await.unwrap();
    assert!(young.values().all(|sweep| sweep.removed == 0));
    let sweeps = lake.sweep_orphans(now + SECOND).await.unwrap();
    assert!(sweeps.values().all(|sweep| sweep.young == 0 && sweep.referenced > 0), "{sweeps:?}");
    let query = TickQuery::range(venue("SIM"), symbol("BTC/USDT"), 0, u64::MAX);
    assert_eq!(lake.ticks(&query).await.unwrap().len() as u64, before.div_ceil(3) + 1);
}
