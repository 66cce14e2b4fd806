//! Metadata stays bounded, and nothing that is needed goes.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "fixtures/rows.rs"]
mod rows;

use lake::{CandleQuery, Lake, LakeConfig, LakeError, SourceOffsets, Table};
use proto::Interval;
use rows::{SECOND, T0, candle, config, lake, offsets, symbol, venue};
use std::path::Path;
use tempfile::TempDir;

fn count(dir: &Path, what: fn(&str) -> bool) -> usize {
    let names = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| what(name)).count()
}

fn query() -> CandleQuery {
    CandleQuery::range(venue("SIM"), symbol("BTC/USDT"), Interval::S1, 0, u64::MAX)
}

async fn append(lake: &Lake, n: u64) {
    let row = candle("BTC/USDT", Interval::S1, T0 + n * SECOND);
    lake.append_candles(&[row], &offsets(&[("norm.tick", 0, n, n)]), 1).await.unwrap();
}

#[tokio::test]
async fn snapshots_and_metadata_files_are_bounded_and_no_row_or_offset_is_lost() {
    let dir = TempDir::new().unwrap();
    let config = LakeConfig { snapshots_kept: 8, snapshot_age_s: 0, ..config(&dir) };
    let lake = Lake::open(config.clone()).await.unwrap();
    append(&lake, 0).await;
    let first = lake.snapshot(Table::Candles).await.unwrap();
    for n in 1..130 {
        append(&lake, n).await;
    }
    let metadata = dir.path().join("lake/warehouse/dexorder/candles/metadata");
    let lists = count(&metadata, |name| name.starts_with("snap-"));
    assert!((8..=10).contains(&lists), "{lists} manifest lists");
    let versions = count(&metadata, |name| name.ends_with(".metadata.json"));
    assert!((100..=102).contains(&versions), "{versions} metadata files");
    assert_eq!(lake.candles(&query()).await.unwrap().len(), 130);
    assert_eq!(lake.committed(Table::Candles).await.unwrap()[&("norm.tick".to_owned(), 0)], 129);
    let expired = CandleQuery { snapshot: first, ..query() };
    assert!(matches!(lake.candles(&expired).await, Err(LakeError::NoSnapshot { .. })));
    let reader = Lake::open(config).await.unwrap();
    assert_eq!(reader.candles(&query()).await.unwrap().len(), 130);
}

#[tokio::test]
async fn young_snapshots_are_kept_however_many() {
    let dir = TempDir::new().unwrap();
    let lake = Lake::open(LakeConfig { snapshots_kept: 2, ..config(&dir) }).await.unwrap();
    append(&lake, 0).await;
    let first = lake.snapshot(Table::Candles).await.unwrap();
    for n in 1..20 {
        append(&lake, n).await;
    }
    assert_eq!(lake.candles(&CandleQuery { snapshot: first, ..query() }).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_sweep_removes_old_files_that_no_snapshot_names_and_no_others() {
    let (lake, dir) = lake().await;
    for n in 0..5 {
        append(&lake, n).await;
    }
    let table = dir.path().join("lake/warehouse/dexorder/candles");
    let orphans = [table.join("data/open_time_day=2024-08-08/lost.parquet"), table.join("metadata/lost-m0.avro")];
    for orphan in &orphans {
        std::fs::write(orphan, b"left by a crash").unwrap();
    }
    let now = u64::try_from(std::time::UNIX_EPOCH.elapsed().unwrap().as_nanos()).unwrap();
    let day = 86_400 * SECOND;
    for (at, removed) in [(now, 0), (now + day - 60 * SECOND, 0), (now + day + 60 * SECOND, 2)] {
        let sweep = lake.sweep_orphans(at).await.unwrap()[&Table::Candles];
        assert_eq!((sweep.removed, sweep.young), (removed, 2 - removed), "{sweep:?}");
    }
    assert!(orphans.iter().all(|orphan| !orphan.exists()));
    assert_eq!(lake.candles(&query()).await.unwrap().len(), 5);
    append(&lake, 5).await;
    assert_eq!(Lake::open(config(&dir)).await.unwrap().candles(&query()).await.unwrap().len(), 6);
}

#[tokio::test]
async fn plans_are_cached_within_their_bound() {
    let dir = TempDir::new().unwrap();
    let lake = Lake::open(LakeConfig { plan_cache_bytes: 20_000, ..config(&dir) }).await.unwrap();
    for n in 0..80 {
        append(&lake, n).await;
    }
    for _ in 0..3 {
        assert_eq!(lake.candles(&query()).await.unwrap().len(), 80);
        assert!(lake.stats().plan_cache_bytes <= 20_000);
    }
    assert!(lake.stats().manifests_read > 80, "some had to be read again");
    lake.append_candles(&[], &SourceOffsets::new(), 1).await.unwrap();
}
