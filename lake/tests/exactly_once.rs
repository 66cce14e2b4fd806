//! Offsets and epochs: what is in the lake is known, and nobody adds it twice.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "fixtures/rows.rs"]
mod rows;

use lake::{Lake, LakeError, SourceOffsets, Table};
use proto::Interval;
use rows::{SECOND, T0, candle, config, lake, offsets, tick};
use std::collections::BTreeMap;

fn expected(entries: &[(&str, u32, u64)]) -> BTreeMap<(String, u32), u64> {
    entries.iter().map(|(topic, partition, last)| (((*topic).to_owned(), *partition), *last)).collect()
}

#[tokio::test]
async fn committed_offsets_accumulate_over_all_partitions_ever() {
    let (lake, dir) = lake().await;
    assert_eq!(lake.committed(Table::Ticks).await.unwrap(), expected(&[]));
    let commits = [
        offsets(&[("norm.tick", 0, 0, 9), ("norm.tick", 1, 5, 7)]),
        offsets(&[("norm.tick", 1, 8, 8)]),
        offsets(&[("norm.ohlc", 0, 100, 200), ("norm.tick", 0, 30, 31)]),
    ];
    for (id, ranges) in (0..).zip(&commits) {
        lake.append_ticks(&[tick("BTC/USDT", id, T0)], ranges, 1).await.unwrap();
    }
    let all = expected(&[("norm.tick", 0, 31), ("norm.tick", 1, 8), ("norm.ohlc", 0, 200)]);
    assert_eq!(lake.committed(Table::Ticks).await.unwrap(), all);
    assert_eq!(lake.committed(Table::Candles).await.unwrap(), expected(&[]), "each table has its own offsets");
    drop(lake);
    assert_eq!(Lake::open(config(&dir)).await.unwrap().committed(Table::Ticks).await.unwrap(), all);
}

#[tokio::test]
async fn offsets_that_are_committed_are_refused() {
    let (lake, _dir) = lake().await;
    let row = [candle("BTC/USDT", Interval::M1, T0)];
    lake.append_candles(&row, &offsets(&[("norm.tick", 2, 10, 19)]), 1).await.unwrap();
    for (first, last) in [(10, 19), (0, 10), (19, 30), (5, 30), (12, 13)] {
        let error = lake.append_candles(&row, &offsets(&[("norm.tick", 2, first, last)]), 1).await.unwrap_err();
        let LakeError::Overlap { topic, partition, committed, .. } = &error else { panic!("{error}") };
        assert_eq!((topic.as_str(), *partition, *committed), ("norm.tick", 2, 19));
    }
    lake.append_candles(&row, &offsets(&[("norm.tick", 2, 20, 20)]), 1).await.unwrap();
}

#[tokio::test]
async fn an_append_without_rows_makes_no_snapshot_but_is_checked() {
    let (lake, _dir) = lake().await;
    let info = lake.append_ticks(&[], &offsets(&[("norm.tick", 0, 0, 5)]), 1).await.unwrap();
    assert_eq!((info.snapshot_id, info.rows), (None, 0));
    let first = lake.append_ticks(&[tick("BTC/USDT", 1, T0)], &offsets(&[("norm.tick", 0, 6, 9)]), 2).await.unwrap();
    let info = lake.append_ticks(&[], &offsets(&[("norm.tick", 0, 10, 15)]), 2).await.unwrap();
    assert_eq!(info.snapshot_id, first.snapshot_id);
    assert_eq!(lake.committed(Table::Ticks).await.unwrap(), expected(&[("norm.tick", 0, 9)]));
    let stale = lake.append_ticks(&[], &SourceOffsets::new(), 1).await;
    assert!(matches!(stale, Err(LakeError::Fenced { ours: 1, current: 2, .. })));
    let again = lake.append_ticks(&[], &offsets(&[("norm.tick", 0, 9, 9)]), 2).await;
    assert!(matches!(again, Err(LakeError::Overlap { .. })));
}

#[tokio::test]
async fn a_claim_fences_every_older_writer_at_once() {
    let (old, dir) = lake().await;
    let first = old.claim_writer_epoch().await.unwrap();
    old.append_ticks(&[tick("BTC/USDT", 1, T0)], &offsets(&[("norm.tick", 0, 0, 0)]), first).await.unwrap();
    let new = Lake::open(config(&dir)).await.unwrap();
    let second = new.claim_writer_epoch().await.unwrap();
    assert!(second > first);
    // The old writer has not seen it and the new one has not written yet.
    let row = [tick("BTC/USDT", 2, T0 + SECOND)];
    let stale = old.append_ticks(&row, &offsets(&[("norm.tick", 0, 1, 1)]), first).await;
    assert!(matches!(stale, Err(LakeError::Fenced { .. })), "{stale:?}");
    let stale = old.append_candles(&[candle("BTC/USDT", Interval::M1, T0)], &SourceOffsets::new(), first).await;
    assert!(matches!(stale, Err(LakeError::Fenced { .. })), "{stale:?}");
    assert_eq!(new.committed(Table::Ticks).await.unwrap(), expected(&[("norm.tick", 0, 0)]), "claims keep offsets");
    new.append_ticks(&row, &offsets(&[("norm.tick", 0, 1, 1)]), second).await.unwrap();
}

#[tokio::test]
async fn writers_that_claim_at_the_same_time_get_different_epochs() {
    let (lake, dir) = lake().await;
    let other = Lake::open(config(&dir)).await.unwrap();
    let claims = futures_util::future::join_all([&lake, &other, &lake, &other].map(Lake::claim_writer_epoch)).await;
    let mut epochs: Vec<u64> = claims.into_iter().filter_map(Result::ok).collect();
    let count = epochs.len();
    assert!(count > 0);
    epochs.sort_unstable();
    epochs.dedup();
    assert_eq!(epochs.len(), count, "{epochs:?}");
}
