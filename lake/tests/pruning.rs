//! A query touches only the files that can hold its rows.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "fixtures/rows.rs"]
mod rows;

use lake::{CandleQuery, Lake, Limit, SourceOffsets};
use proto::Interval;
use proto::market::Candle;
use rows::{DAY, SECOND, T0, candle, config, lake, symbol, venue};
use std::path::{Path, PathBuf};

fn files_under(dir: &Path, extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files_under(&path, extension));
        } else if path.extension().is_some_and(|e| e == extension) {
            found.push(path);
        }
    }
    found
}

/// One commit a day for ten days; 30 symbols; seconds and hours.
async fn ten_days(lake: &Lake) {
    for day in 0..10 {
        let mut batch = Vec::new();
        for n in 0..30 {
            let text = format!("S{n}/USDT");
            batch.extend((0..60).map(|s| candle(&text, Interval::S1, T0 + day * DAY + s * SECOND)));
            batch.extend((0..24).map(|h| candle(&text, Interval::H1, T0 + day * DAY + h * 3600 * SECOND)));
        }
        lake.append_candles(&batch, &SourceOffsets::new(), 1).await.unwrap();
    }
}

fn day_query(day: u64) -> CandleQuery {
    CandleQuery::range(venue("SIM"), symbol("S7/USDT"), Interval::H1, T0 + day * DAY, T0 + (day + 1) * DAY)
}

#[tokio::test]
async fn files_of_other_days_and_buckets_are_not_needed() {
    let (lake, dir) = lake().await;
    ten_days(&lake).await;
    let data = dir.path().join("lake/warehouse/dexorder/candles/data");
    let files = files_under(&data, "parquet");
    let before = lake.stats();
    assert_eq!(lake.candles(&day_query(4)).await.unwrap().len(), 24);
    let after = lake.stats();
    assert_eq!(after.files_read - before.files_read, 1);
    assert_eq!(after.manifests_read - before.manifests_read, 1);

    // The proof: without the other files the answer is the same.
    let bucket = files.iter().filter(|path| path.to_string_lossy().contains("2024-08-12"));
    let mut kept = 0;
    for path in bucket {
        let away = path.with_extension("away");
        std::fs::rename(path, &away).unwrap();
        if lake.candles(&day_query(4)).await.is_err() {
            std::fs::rename(&away, path).unwrap();
            kept += 1;
        }
    }
    assert_eq!(kept, 1, "exactly one file of the day is needed");
    for path in files.iter().filter(|path| !path.to_string_lossy().contains("2024-08-12")) {
        std::fs::remove_file(path).unwrap();
    }
    assert_eq!(lake.candles(&day_query(4)).await.unwrap().len(), 24);
    assert!(lake.candles(&day_query(5)).await.is_err());
}

#[tokio::test]
async fn the_newest_rows_are_found_without_a_look_at_older_days() {
    let (writer, dir) = lake().await;
    ten_days(&writer).await;
    let lake = Lake::open(config(&dir)).await.unwrap();
    let query = CandleQuery::newest(venue("SIM"), symbol("S7/USDT"), Interval::H1, u64::MAX, 30);
    let rows = lake.candles(&query).await.unwrap();
    let expected: Vec<Candle> =
        (10 * 24 - 30..10 * 24).map(|hour| candle("S7/USDT", Interval::H1, T0 + hour * 3600 * SECOND)).collect();
    assert_eq!(rows, expected);
    assert_eq!((lake.stats().files_read, lake.stats().manifests_read), (2, 2));
    let oldest = CandleQuery { limit: Limit::Oldest(5), from_ns: 0, ..query };
    assert_eq!(lake.candles(&oldest).await.unwrap().len(), 5);
    assert_eq!((lake.stats().files_read, lake.stats().manifests_read), (3, 3));
}

#[tokio::test]
async fn files_without_the_interval_are_not_read() {
    let (lake, _dir) = lake().await;
    let seconds: Vec<Candle> = (0..500).map(|s| candle("S7/USDT", Interval::S1, T0 + s * SECOND)).collect();
    for batch in seconds.chunks(10) {
        lake.append_candles(batch, &SourceOffsets::new(), 1).await.unwrap();
    }
    lake.append_candles(&[candle("S7/USDT", Interval::D1, T0)], &SourceOffsets::new(), 1).await.unwrap();
    let query = CandleQuery::newest(venue("SIM"), symbol("S7/USDT"), Interval::D1, u64::MAX, 100);
    assert_eq!(lake.candles(&query).await.unwrap().len(), 1);
    assert_eq!(lake.stats().files_read, 1);
    let before = lake.stats();
    let part = CandleQuery::range(venue("SIM"), symbol("S7/USDT"), Interval::S1, T0 + 95 * SECOND, T0 + 105 * SECOND);
    assert_eq!(lake.candles(&part).await.unwrap().len(), 10);
    assert_eq!(lake.stats().files_read - before.files_read, 2);
    assert_eq!(lake.stats().manifests_read, before.manifests_read, "manifests are read once");
}

#[tokio::test]
async fn pages_of_large_files_that_cannot_match_are_skipped_without_changing_the_answer() {
    let (lake, dir) = lake().await;
    let mut batch = Vec::new();
    for text in ["S7/USDT", "BTC/USDT"] {
        // Incompressible volumes, so that the file is read by pages.
        let noise = |s: u64, by: i128| proto::Decimal::from_units(i128::from(s) * by % (1 << 100)).unwrap();
        batch.extend((0..86_400).map(|s| Candle {
            volume: noise(s, 0x9E37_79B9_7F4A_7C15_F39C),
            quote_volume: noise(s, 0xC2B2_AE3D_27D4_EB4F_1656),
            ..candle(text, Interval::S1, T0 + s * SECOND)
        }));
    }
    lake.append_candles(&batch, &SourceOffsets::new(), 1).await.unwrap();
    let data = dir.path().join("lake/warehouse/dexorder/candles/data");
    let sizes: Vec<u64> = files_under(&data, "parquet").iter().map(|p| p.metadata().unwrap().len()).collect();
    assert!(sizes.iter().all(|size| *size > 1 << 20), "{sizes:?}");
    for (from, to) in [(0, 10), (16_383, 16_386), (50_000, 50_001), (86_390, 86_400), (40_000, 80_000)] {
        let (start, end) = (T0 + from * SECOND, T0 + to * SECOND);
        let query = CandleQuery::range(venue("SIM"), symbol("S7/USDT"), Interval::S1, start, end);
        let rows = lake.candles(&query).await.unwrap();
        let from = usize::try_from(from).unwrap();
        let to = usize::try_from(to).unwrap();
        assert_eq!(rows, batch[from..to], "{from}..{to}");
    }
}
