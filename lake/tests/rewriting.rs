//! Small files are merged without changing a row, an offset or an older snapshot.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "fixtures/rows.rs"]
mod rows;

use lake::{CandleQuery, Lake, LakeConfig, LakeError, Rewrite, Table, TickQuery};
use proto::Interval;
use proto::market::{Candle, Tick};
use rows::{DAY, SECOND, T0, candle, config, lake, offsets, symbol, tick, venue};
use std::path::Path;
use tempfile::TempDir;

const COMMITS: u64 = 70;

fn now_ns() -> u64 {
    u64::try_from(std::time::UNIX_EPOCH.elapsed().unwrap().as_nanos()).unwrap()
}

fn parquet_files(dir: &Path) -> usize {
    let entries = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    let count = |path: std::path::PathBuf| {
        if path.is_dir() { parquet_files(&path) } else { usize::from(path.extension().is_some_and(|e| e == "parquet")) }
    };
    entries.map(count).sum()
}

fn candles_at(n: u64) -> Vec<Candle> {
    let open = T0 + n * 60 * SECOND;
    let mut rows: Vec<Candle> = ["BTC/USDT", "ETH/USDT"].map(|text| candle(text, Interval::M1, open)).to_vec();
    // Each commit also corrects the candle before, and every tenth one of the next day.
    if n > 0 {
        rows.push(Candle { revision: 1, trades: n, ..candle("BTC/USDT", Interval::M1, open - 60 * SECOND) });
    }
    if n.is_multiple_of(10) {
        rows.push(candle("BTC/USDT", Interval::M1, open + DAY));
    }
    rows
}

fn ticks_at(n: u64) -> Vec<Tick> {
    (0..20).map(|i| tick(["BTC/USDT", "ETH/USDT"][(i % 2) as usize], n * 20 + i, T0 + (n * 20 + i) * SECOND)).collect()
}

async fn fill(lake: &Lake, from: u64) {
    for n in from..from + COMMITS {
        lake.append_candles(&candles_at(n), &offsets(&[("norm.tick", 0, n, n)]), 1).await.unwrap();
        lake.append_ticks(&ticks_at(n), &offsets(&[("norm.tick", 0, n, n)]), 1).await.unwrap();
    }
}

fn all_candles(text: &str) -> CandleQuery {
    CandleQuery::range(venue("SIM"), symbol(text), Interval::M1, 0, u64::MAX)
}

fn all_ticks(text: &str) -> TickQuery {
    TickQuery::range(venue("SIM"), symbol(text), 0, u64::MAX)
}

async fn everything(lake: &Lake) -> (Vec<Vec<Candle>>, Vec<Vec<Tick>>) {
    let (mut candles, mut ticks) = (Vec::new(), Vec::new());
    for text in ["BTC/USDT", "ETH/USDT"] {
        candles.push(lake.candles(&all_candles(text)).await.unwrap());
        ticks.push(lake.ticks(&all_ticks(text)).await.unwrap());
    }
    (candles, ticks)
}

#[tokio::test]
async fn a_rewrite_changes_files_and_nothing_else() {
    let (lake, dir) = lake().await;
    fill(&lake, 0).await;
    let before = everything(&lake).await;
    let pinned = lake.snapshot(Table::Candles).await.unwrap();
    let done = lake.rewrite(1, now_ns()).await.unwrap();
    for table in Table::ALL {
        let Rewrite { snapshot_id, files_removed, files_added, manifests_before, manifests_after, .. } = done[&table];
        assert!(snapshot_id.is_some() && files_removed >= 70 && files_added <= 4, "{table} {:?}", done[&table]);
        assert!(manifests_before >= 70 && manifests_after <= 3, "{table} {:?}", done[&table]);
        assert_eq!(lake.committed(table).await.unwrap()[&("norm.tick".to_owned(), 0)], COMMITS - 1);
    }
    let reader = Lake::open(config(&dir)).await.unwrap();
    assert_eq!(everything(&reader).await, before);
    // Four queries, each of which reads at most the four files that its table has now.
    assert!(reader.stats().files_read <= 16, "{:?}", reader.stats());
    let old = CandleQuery { snapshot: pinned, ..all_candles("BTC/USDT") };
    assert_eq!(reader.candles(&old).await.unwrap(), before.0[0]);

    // Appends go on, and so do rewrites: what was merged and is still small is merged again.
    fill(&lake, COMMITS).await;
    let middle = everything(&lake).await;
    lake.rewrite(1, now_ns()).await.unwrap();
    assert_eq!(everything(&reader).await, middle);
    assert_eq!(middle.1[0].len() as u64, COMMITS * 20);
}

#[tokio::test]
async fn nothing_is_rewritten_while_there_is_little() {
    let (lake, _dir) = lake().await;
    assert_eq!(lake.rewrite(1, now_ns()).await.unwrap()[&Table::Ticks], Rewrite::default());
    for n in 0..31 {
        lake.append_ticks(&ticks_at(n), &offsets(&[("norm.tick", 0, n, n)]), 1).await.unwrap();
    }
    let snapshot = lake.snapshot(Table::Ticks).await.unwrap();
    assert_eq!(lake.rewrite(1, now_ns()).await.unwrap()[&Table::Ticks], Rewrite::default());
    assert_eq!(lake.snapshot(Table::Ticks).await.unwrap(), snapshot);
}

#[tokio::test]
async fn a_fenced_writer_does_not_rewrite() {
    let (lake, _dir) = lake().await;
    fill(&lake, 0).await;
    assert_eq!(lake.claim_writer_epoch().await.unwrap(), 2);
    assert!(matches!(lake.rewrite(1, now_ns()).await, Err(LakeError::Fenced { ours: 1, current: 2, .. })));
    lake.rewrite(2, now_ns()).await.unwrap();
    let stale = lake.append_ticks(&ticks_at(500), &offsets(&[("norm.tick", 0, 500, 500)]), 1).await;
    assert!(matches!(stale, Err(LakeError::Fenced { .. })), "a rewrite hands the epoch on");
}

#[tokio::test]
async fn appends_during_a_rewrite_lose_nothing() {
    let (lake, dir) = lake().await;
    fill(&lake, 0).await;
    let appending = fill(&lake, COMMITS);
    let rewriting = async {
        for _ in 0..4 {
            lake.rewrite(1, now_ns()).await.unwrap();
            tokio::task::yield_now().await;
        }
    };
    tokio::join!(appending, rewriting);
    lake.rewrite(1, now_ns()).await.unwrap();
    let reader = Lake::open(config(&dir)).await.unwrap();
    let (candles, ticks) = everything(&reader).await;
    let numbers: Vec<u64> = ticks[0].iter().map(|row| row.trade_id.parse().unwrap()).collect();
    assert_eq!(numbers, (0..COMMITS * 40).step_by(2).collect::<Vec<_>>());
    // All but the newest minute were corrected, and the corrections survive.
    let corrected = candles[0].iter().filter(|row| row.revision == 1).count() as u64;
    assert_eq!(corrected, COMMITS * 2 - 1);
    assert_eq!(candles[1].len() as u64, COMMITS * 2);
}

#[tokio::test]
async fn replaced_files_go_a_day_after_their_last_snapshot() {
    let dir = TempDir::new().unwrap();
    let config = LakeConfig { snapshots_kept: 4, snapshot_age_s: 0, ..config(&dir) };
    let lake = Lake::open(config.clone()).await.unwrap();
    fill(&lake, 0).await;
    let before = everything(&lake).await;
    lake.rewrite(1, now_ns()).await.unwrap();
    let data = dir.path().join("lake/warehouse/dexorder/ticks/data");
    let tomorrow = now_ns() + DAY + 60 * SECOND;
    lake.sweep_orphans(tomorrow).await.unwrap();
    assert!(parquet_files(&data) > 70, "older snapshots still name the small files");
    for n in 1000..1010 {
        lake.append_ticks(&ticks_at(n), &offsets(&[("norm.tick", 0, n, n)]), 1).await.unwrap();
    }
    assert_eq!(lake.sweep_orphans(now_ns()).await.unwrap()[&Table::Ticks].removed, 0);
    lake.sweep_orphans(tomorrow).await.unwrap();
    assert!(parquet_files(&data) < 30, "{} files", parquet_files(&data));
    let reader = Lake::open(config).await.unwrap();
    let ticks = reader.ticks(&all_ticks("BTC/USDT")).await.unwrap();
    assert_eq!(ticks[..before.1[0].len()], before.1[0]);
    assert_eq!(reader.candles(&all_candles("BTC/USDT")).await.unwrap(), before.0[0]);
}
