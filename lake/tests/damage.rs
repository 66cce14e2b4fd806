//! Damaged files give typed errors, never a panic and never other rows.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "fixtures/rows.rs"]
mod rows;

use lake::{CandleQuery, Lake, LakeError, SourceOffsets, Table, TickQuery};
use proto::Interval;
use proto::market::Tick;
use rows::{SECOND, T0, candle, config, lake, symbol, tick, venue};
use std::fs;
use std::path::{Path, PathBuf};

fn files_under(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(files_under(&path)) } else { found.push(path) }
    }
    found.sort();
    found
}

fn named(dir: &Path, what: fn(&str) -> bool) -> PathBuf {
    let is = |path: &PathBuf| what(path.file_name().unwrap().to_str().unwrap());
    files_under(dir).into_iter().rfind(is).unwrap()
}

fn all_ticks() -> TickQuery {
    TickQuery::range(venue("SIM"), symbol("BTC/USDT"), 0, u64::MAX)
}

fn some_ticks() -> Vec<Tick> {
    (0..40).map(|id| tick("BTC/USDT", id, T0 + id * SECOND)).collect()
}

#[tokio::test]
async fn each_flipped_byte_of_a_data_file_is_an_error_or_harmless() {
    let (lake, dir) = lake().await;
    let rows = some_ticks();
    lake.append_ticks(&rows, &SourceOffsets::new(), 1).await.unwrap();
    let path = named(&dir.path().join("lake/warehouse/dexorder/ticks"), |name| name.ends_with(".parquet"));
    let good = fs::read(&path).unwrap();
    // The file ends with its footer, the length of the footer and a magic word.
    let footer: usize = u32::from_le_bytes(good[good.len() - 8..good.len() - 4].try_into().unwrap()) as usize;
    let pages_end = good.len() - 8 - footer;
    std::panic::set_hook(Box::new(|_| {}));
    let (mut errors, mut harmless) = (0, 0);
    for at in 0..good.len() {
        let mut bad = good.clone();
        bad[at] ^= 1 << (at % 8);
        fs::write(&path, &bad).unwrap();
        match lake.ticks(&all_ticks()).await {
            Ok(found) if found == rows => harmless += 1,
            // The footer has no checksum: a time unit, say, may read as another. Pages have one.
            Ok(_) => assert!(at >= pages_end, "byte {at} of the pages changes rows unnoticed"),
            Err(LakeError::Parquet { .. } | LakeError::Damaged { .. }) => errors += 1,
            Err(error) => panic!("byte {at}: {error}"),
        }
    }
    drop(std::panic::take_hook());
    assert!(errors > good.len() / 2, "{errors} errors, {harmless} harmless of {}", good.len());
    fs::write(&path, &good).unwrap();
    assert_eq!(lake.ticks(&all_ticks()).await.unwrap(), rows);
}

#[tokio::test]
async fn each_truncation_of_a_data_file_is_an_error() {
    let (lake, dir) = lake().await;
    lake.append_ticks(&some_ticks(), &SourceOffsets::new(), 1).await.unwrap();
    let path = named(&dir.path().join("lake/warehouse/dexorder/ticks"), |name| name.ends_with(".parquet"));
    let good = fs::read(&path).unwrap();
    for length in (0..good.len()).step_by(7) {
        fs::write(&path, &good[..length]).unwrap();
        let result = lake.ticks(&all_ticks()).await;
        assert!(matches!(result, Err(LakeError::Parquet { .. } | LakeError::Damaged { .. })), "{length}: {result:?}");
    }
    fs::remove_file(&path).unwrap();
    assert!(matches!(lake.ticks(&all_ticks()).await, Err(LakeError::Io { .. })));
}

#[tokio::test]
async fn damaged_manifests_and_lists_are_errors() {
    let kinds: [fn(&str) -> bool; 2] =
        [|name| name.starts_with("snap-"), |name| name.ends_with(".avro") && !name.starts_with("snap-")];
    for kind in kinds {
        let (writer, dir) = lake().await;
        writer.append_ticks(&some_ticks(), &SourceOffsets::new(), 1).await.unwrap();
        let path = named(&dir.path().join("lake/warehouse/dexorder/ticks/metadata"), kind);
        let good = fs::read(&path).unwrap();
        let cuts = (0..good.len()).step_by(97).map(|length| good[..length].to_vec());
        let noise = (0..good.len()).step_by(53).map(|at| {
            let mut bad = good.clone();
            bad[at..].iter_mut().take(16).for_each(|byte| *byte = byte.wrapping_mul(31).wrapping_add(7));
            bad
        });
        for bad in cuts.chain(noise) {
            fs::write(&path, &bad).unwrap();
            let reader = Lake::open(config(&dir)).await.unwrap();
            match reader.ticks(&all_ticks()).await {
                Ok(_) | Err(LakeError::Damaged { .. } | LakeError::Io { .. } | LakeError::Parquet { .. }) => {}
                Err(error) => panic!("{}: {error}", path.display()),
            }
        }
    }
}

#[tokio::test]
async fn damaged_table_metadata_is_an_error_when_it_is_loaded() {
    let (writer, dir) = lake().await;
    writer.append_ticks(&some_ticks(), &SourceOffsets::new(), 1).await.unwrap();
    let path =
        named(&dir.path().join("lake/warehouse/dexorder/ticks/metadata"), |name| name.ends_with(".metadata.json"));
    let good = fs::read_to_string(&path).unwrap();
    for bad in ["", "{}", &good[..good.len() / 2], &good.replace("\"format-version\":2", "\"format-version\":9")] {
        fs::write(&path, bad).unwrap();
        assert!(matches!(Lake::open(config(&dir)).await, Err(LakeError::Iceberg { .. })), "{bad:.40}");
    }
    // A summary that was tampered with is not taken as "nothing committed".
    fs::write(&path, good.replace("\"dexorder.writer-epoch\":\"1\"", "\"dexorder.writer-epoch\":\"one\"")).unwrap();
    let lake = Lake::open(config(&dir)).await.unwrap();
    assert!(matches!(lake.committed(Table::Ticks).await, Err(LakeError::Damaged { .. })));
    assert!(lake.append_ticks(&some_ticks(), &SourceOffsets::new(), 1).await.is_err());
}

#[tokio::test]
async fn a_table_of_another_shape_is_refused() {
    let (lake, dir) = lake().await;
    drop(lake);
    let path =
        named(&dir.path().join("lake/warehouse/dexorder/candles/metadata"), |name| name.ends_with(".metadata.json"));
    let good = fs::read_to_string(&path).unwrap();
    for (from, to) in
        [("\"interval_s\"", "\"interval\""), ("decimal(38, 18)", "decimal(38, 8)"), ("bucket[16]", "bucket[8]")]
    {
        assert!(good.contains(from), "{from}");
        fs::write(&path, good.replace(from, to)).unwrap();
        let result = Lake::open(config(&dir)).await;
        assert!(matches!(result, Err(LakeError::Incompatible { table: Table::Candles, .. })), "{from}: {result:?}");
    }
}

#[tokio::test]
async fn queries_go_on_after_one_has_failed() {
    let (lake, dir) = lake().await;
    lake.append_candles(&[candle("BTC/USDT", Interval::M1, T0)], &SourceOffsets::new(), 1).await.unwrap();
    lake.append_ticks(&some_ticks(), &SourceOffsets::new(), 1).await.unwrap();
    let path = named(&dir.path().join("lake/warehouse/dexorder/ticks"), |name| name.ends_with(".parquet"));
    fs::write(&path, b"PAR1").unwrap();
    for _ in 0..20 {
        assert!(lake.ticks(&all_ticks()).await.is_err());
    }
    let query = CandleQuery::range(venue("SIM"), symbol("BTC/USDT"), Interval::M1, 0, u64::MAX);
    assert_eq!(lake.candles(&query).await.unwrap().len(), 1);
}
