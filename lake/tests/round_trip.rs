//! Rows go into the lake and come out the same.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "fixtures/rows.rs"]
mod rows;

use lake::{CandleQuery, Lake, LakeError, Limit, SourceOffsets, Table, TickQuery};
use proptest::prelude::*;
use proto::market::{Candle, Side, Source, Tick};
use proto::{Decimal, Interval};
use rows::{DAY, SECOND, T0, candle, config, decimal, lake, symbol, tick, venue};

fn candles_of(interval: Interval) -> CandleQuery {
    CandleQuery::range(venue("SIM"), symbol("BTC/USDT"), interval, 0, u64::MAX)
}

fn ticks_of(text: &str) -> TickQuery {
    TickQuery::range(venue("SIM"), symbol(text), 0, u64::MAX)
}

#[tokio::test]
async fn ticks_read_back_exactly_in_time_order() {
    let (lake, _dir) = lake().await;
    let mut rows: Vec<Tick> = (0..500).map(|id| tick("BTC/USDT", id, T0 + id * 7 * SECOND / 100)).collect();
    rows[3].side = Side::Unknown;
    rows[4].source = Source::Replay;
    rows[5].source = Source::Backfill;
    rows[5].repaired = true;
    let mut mixed: Vec<Tick> = rows.iter().rev().cloned().collect();
    mixed.push(tick("ETH/USDT", 1, T0));
    let info = lake.append_ticks(&mixed, &SourceOffsets::new(), 1).await.unwrap();
    assert_eq!((info.rows, info.attempts), (501, 1));
    assert_eq!(lake.ticks(&ticks_of("BTC/USDT")).await.unwrap(), rows);
    assert_eq!(lake.ticks(&ticks_of("ETH/USDT")).await.unwrap(), [tick("ETH/USDT", 1, T0)]);
    assert_eq!(lake.ticks(&ticks_of("SOL/USDT")).await.unwrap(), []);
}

#[tokio::test]
async fn ticks_of_one_instant_are_ordered_by_the_number_of_their_id() {
    let (lake, _dir) = lake().await;
    let rows: Vec<Tick> = [10, 9, 100, 2].map(|id| tick("BTC/USDT", id, T0)).to_vec();
    lake.append_ticks(&rows, &SourceOffsets::new(), 1).await.unwrap();
    let ids: Vec<String> = lake.ticks(&ticks_of("BTC/USDT")).await.unwrap().into_iter().map(|t| t.trade_id).collect();
    assert_eq!(ids, ["2", "9", "10", "100"]);
}

#[tokio::test]
async fn decimals_at_the_limits_are_exact() {
    let (lake, _dir) = lake().await;
    let extremes = ["99999999999999999999.999999999999999999", "0.000000000000000001", "12345678901234567890.1"];
    let rows: Vec<Tick> = extremes
        .iter()
        .zip(0..)
        .map(|(text, id)| Tick { price: decimal(text), size: decimal(text), ..tick("BTC/USDT", id, T0 + id * SECOND) })
        .collect();
    lake.append_ticks(&rows, &SourceOffsets::new(), 1).await.unwrap();
    assert_eq!(lake.ticks(&ticks_of("BTC/USDT")).await.unwrap(), rows);
    let most = Candle {
        open: decimal("-99999999999999999999.999999999999999999"),
        volume: decimal(extremes[0]),
        trades: i64::MAX.unsigned_abs(),
        revision: i32::MAX.unsigned_abs(),
        ..candle("BTC/USDT", Interval::D1, T0)
    };
    lake.append_candles(std::slice::from_ref(&most), &SourceOffsets::new(), 1).await.unwrap();
    assert_eq!(lake.candles(&candles_of(Interval::D1)).await.unwrap(), [most]);
}

#[tokio::test]
async fn times_keep_whole_microseconds_and_ranges_follow_them() {
    let (lake, _dir) = lake().await;
    let rows: Vec<Tick> = (0..4).map(|id| tick("BTC/USDT", id, T0 + 1000 * id + 999)).collect();
    lake.append_ticks(&rows, &SourceOffsets::new(), 1).await.unwrap();
    let ids = async |from, to| {
        let query = TickQuery { from_ns: from, to_ns: to, ..ticks_of("BTC/USDT") };
        let rows = lake.ticks(&query).await.unwrap();
        rows.into_iter().map(|row| row.event_time_ns - T0).collect::<Vec<_>>()
    };
    assert_eq!(ids(0, u64::MAX).await, [0, 1000, 2000, 3000]);
    assert_eq!(ids(T0 + 1000, T0 + 3000).await, [1000, 2000]);
    assert_eq!(ids(T0 + 1001, T0 + 3001).await, [2000, 3000]);
    assert_eq!(ids(T0 + 5, T0 + 5).await, [0u64; 0]);
    assert_eq!(ids(u64::MAX, 0).await, [0u64; 0]);
}

#[tokio::test]
async fn the_highest_revision_of_an_open_time_wins_whatever_the_order_of_commits() {
    let (lake, _dir) = lake().await;
    let minute = |n: u64, revision: u32| Candle {
        revision,
        close: Decimal::from_int(i64::from(revision) + 100),
        high: decimal("200"),
        ..candle("BTC/USDT", Interval::M1, T0 + n * 60 * SECOND)
    };
    for batch in [vec![minute(0, 0), minute(1, 2), minute(2, 0)], vec![minute(1, 1), minute(0, 1)], vec![minute(2, 5)]]
    {
        lake.append_candles(&batch, &SourceOffsets::new(), 1).await.unwrap();
    }
    let expected = [minute(0, 1), minute(1, 2), minute(2, 5)];
    assert_eq!(lake.candles(&candles_of(Interval::M1)).await.unwrap(), expected);
    let newest = CandleQuery { limit: Limit::Newest(2), ..candles_of(Interval::M1) };
    assert_eq!(lake.candles(&newest).await.unwrap(), expected[1..]);
    let oldest = CandleQuery { limit: Limit::Oldest(1), ..candles_of(Interval::M1) };
    assert_eq!(lake.candles(&oldest).await.unwrap(), expected[..1]);
}

#[tokio::test]
async fn limits_cut_at_the_right_end_across_days_and_commits() {
    let (lake, _dir) = lake().await;
    let hour = |n: u64| candle("BTC/USDT", Interval::H1, T0 + n * 3600 * SECOND);
    // Three days in commits that do not follow time.
    for start in [48, 0, 60, 24, 12, 36] {
        let batch: Vec<Candle> = (start..start + 12).map(hour).collect();
        lake.append_candles(&batch, &SourceOffsets::new(), 1).await.unwrap();
    }
    let hours = async |limit, from: u64, to: u64| {
        let query = CandleQuery { limit, from_ns: T0 + from, to_ns: T0 + to, ..candles_of(Interval::H1) };
        let rows = lake.candles(&query).await.unwrap();
        rows.into_iter().map(|row| (row.open_time_ns - T0) / SECOND / 3600).collect::<Vec<_>>()
    };
    assert_eq!(hours(Limit::Newest(30), 0, 3 * DAY).await, (42..72).collect::<Vec<_>>());
    assert_eq!(hours(Limit::Oldest(30), 0, 3 * DAY).await, (0..30).collect::<Vec<_>>());
    assert_eq!(hours(Limit::Newest(3), 0, DAY + 1).await, [22, 23, 24]);
    assert_eq!(hours(Limit::Oldest(3), DAY, 3 * DAY).await, [24, 25, 26]);
    assert_eq!(hours(Limit::Newest(0), 0, 3 * DAY).await, [0u64; 0]);
    assert_eq!(hours(Limit::Newest(1000), 0, 3 * DAY).await.len(), 72);
    assert_eq!(hours(Limit::None, 0, 3 * DAY).await.len(), 72);
}

#[tokio::test]
async fn series_of_one_bucket_and_other_intervals_do_not_mix() {
    let (lake, _dir) = lake().await;
    let symbols: Vec<String> = (0..40).map(|n| format!("S{n}/USDT")).collect();
    let mut batch = Vec::new();
    for text in &symbols {
        for interval in Interval::ALL {
            batch.push(candle(text, interval, T0));
            batch.push(Candle { venue: venue("OTHER"), trades: 99, ..candle(text, interval, T0) });
        }
    }
    lake.append_candles(&batch, &SourceOffsets::new(), 1).await.unwrap();
    for text in &symbols {
        for interval in Interval::ALL {
            let query = CandleQuery::newest(venue("OTHER"), symbol(text), interval, u64::MAX, 10);
            let expected = Candle { venue: venue("OTHER"), trades: 99, ..candle(text, interval, T0) };
            assert_eq!(lake.candles(&query).await.unwrap(), [expected]);
        }
    }
}

#[tokio::test]
async fn a_pinned_snapshot_answers_the_same_for_ever() {
    let (lake, _dir) = lake().await;
    lake.append_candles(&[candle("BTC/USDT", Interval::M1, T0)], &SourceOffsets::new(), 1).await.unwrap();
    let pinned = lake.snapshot(Table::Candles).await.unwrap();
    let repaired = Candle { revision: 1, repaired: true, ..candle("BTC/USDT", Interval::M1, T0) };
    lake.append_candles(std::slice::from_ref(&repaired), &SourceOffsets::new(), 1).await.unwrap();
    let query = CandleQuery { snapshot: pinned, ..candles_of(Interval::M1) };
    assert_eq!(lake.candles(&query).await.unwrap(), [candle("BTC/USDT", Interval::M1, T0)]);
    assert_eq!(lake.candles(&candles_of(Interval::M1)).await.unwrap(), [repaired]);
    let query = CandleQuery { snapshot: Some(42), ..candles_of(Interval::M1) };
    assert!(matches!(lake.candles(&query).await, Err(LakeError::NoSnapshot { snapshot: 42, .. })));
}

#[tokio::test]
async fn another_handle_sees_each_commit_at_once() {
    let (writer, dir) = lake().await;
    let reader = Lake::open(config(&dir)).await.unwrap();
    assert_eq!(reader.candles(&candles_of(Interval::M1)).await.unwrap(), []);
    for n in 0..3u64 {
        let row = candle("BTC/USDT", Interval::M1, T0 + n * 60 * SECOND);
        writer.append_candles(&[row], &SourceOffsets::new(), 1).await.unwrap();
        assert_eq!(reader.candles(&candles_of(Interval::M1)).await.unwrap().len() as u64, n + 1);
    }
    assert!(!reader.refresh().await.unwrap());
    writer.append_ticks(&[tick("BTC/USDT", 1, T0)], &SourceOffsets::new(), 1).await.unwrap();
    assert!(reader.refresh().await.unwrap());
}

#[tokio::test]
async fn rows_that_the_tables_cannot_hold_are_refused_by_index_and_field() {
    let (lake, _dir) = lake().await;
    let good = candle("BTC/USDT", Interval::M1, T0);
    let cases = [
        (Candle { open_time_ns: T0 + 1, ..good.clone() }, "open_time_ns"),
        (Candle { revision: u32::MAX, ..good.clone() }, "revision"),
        (Candle { trades: u64::MAX, ..good.clone() }, "trades"),
        (Candle { open_time_ns: u64::MAX / (60 * SECOND) * (60 * SECOND), ..good.clone() }, "time"),
    ];
    for (bad, field) in cases {
        let error = lake.append_candles(&[good.clone(), bad], &SourceOffsets::new(), 1).await.unwrap_err();
        assert!(matches!(&error, LakeError::Row { row: 1, field: found, .. } if *found == field), "{error}");
    }
    let bad = Tick { receive_time_ns: u64::MAX, ..tick("BTC/USDT", 1, T0) };
    let error = lake.append_ticks(&[bad], &SourceOffsets::new(), 1).await.unwrap_err();
    assert!(matches!(error, LakeError::Row { row: 0, field: "receive_time_ns", .. }), "{error}");
    assert_eq!(lake.snapshot(Table::Candles).await.unwrap(), None, "nothing was committed");
}

#[tokio::test]
async fn an_answer_over_the_limit_of_rows_is_refused() {
    let dir = tempfile::TempDir::new().unwrap();
    let lake = Lake::open(lake::LakeConfig { rows_per_query: 10, ..config(&dir) }).await.unwrap();
    let rows: Vec<Tick> = (0..20).map(|id| tick("BTC/USDT", id, T0 + id * SECOND)).collect();
    lake.append_ticks(&rows, &SourceOffsets::new(), 1).await.unwrap();
    assert!(matches!(lake.ticks(&ticks_of("BTC/USDT")).await, Err(LakeError::TooManyRows { most: 10 })));
    let newest = TickQuery { limit: Limit::Newest(10), ..ticks_of("BTC/USDT") };
    assert_eq!(lake.ticks(&newest).await.unwrap(), rows[10..]);
}

#[tokio::test]
async fn directories_that_locations_cannot_hold_are_refused() {
    let dir = tempfile::TempDir::new().unwrap();
    for bad in ["relative/path".into(), dir.path().join("a?b"), dir.path().join("a#b"), dir.path().join("50%")] {
        let result = Lake::open(lake::LakeConfig::new(bad)).await;
        assert!(matches!(result, Err(LakeError::Config { .. })));
    }
    let lake = Lake::open(lake::LakeConfig::new(dir.path().join("with space/and ü"))).await.unwrap();
    lake.append_ticks(&[tick("BTC/USDT", 1, T0)], &SourceOffsets::new(), 1).await.unwrap();
    assert_eq!(lake.ticks(&ticks_of("BTC/USDT")).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_lake_that_was_moved_says_so() {
    let (lake, dir) = lake().await;
    drop(lake);
    std::fs::rename(dir.path().join("lake"), dir.path().join("moved")).unwrap();
    let error = Lake::open(lake::LakeConfig::new(dir.path().join("moved"))).await.unwrap_err();
    assert!(error.to_string().contains("cannot be moved"), "{error}");
}

#[tokio::test]
async fn two_processes_may_create_the_lake_at_the_same_time() {
    let dir = tempfile::TempDir::new().unwrap();
    let opened = futures_util::future::join_all((0..6).map(|_| Lake::open(config(&dir)))).await;
    for lake in opened {
        lake.unwrap();
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]
    #[test]
    fn any_candles_in_any_commits_read_back_as_a_map_of_highest_revisions(
        rows in prop::collection::vec((0u64..200, 0u32..4, 0usize..3, any::<bool>()), 1..120),
        commits in 1usize..4,
        limit in 0usize..50,
    ) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        runtime.block_on(async {
            let (lake, _dir) = lake().await;
            let texts = ["BTC/USDT", "ETH/USDT", "XRP/EUR"];
            let mut expected = std::collections::BTreeMap::new();
            let mut seen = std::collections::HashSet::new();
            let mut unique = Vec::new();
            for (hour, revision, text, closed) in rows {
                if !seen.insert((hour, revision, text)) {
                    continue;
                }
                let open = T0 + hour * 3600 * SECOND;
                let row = Candle { revision, closed, ..candle(texts[text], Interval::H1, open) };
                if text == 0 {
                    let best = expected.entry(open).or_insert_with(|| row.clone());
                    if row.revision > best.revision {
                        *best = row.clone();
                    }
                }
                unique.push(row);
            }
            for batch in unique.chunks(unique.len().div_ceil(commits)) {
                lake.append_candles(batch, &SourceOffsets::new(), 1).await.unwrap();
            }
            let expected: Vec<Candle> = expected.into_values().collect();
            assert_eq!(lake.candles(&candles_of(Interval::H1)).await.unwrap(), expected);
            let query = CandleQuery { limit: Limit::Newest(limit), ..candles_of(Interval::H1) };
            let from = expected.len().saturating_sub(limit);
            assert_eq!(lake.candles(&query).await.unwrap(), expected[from..]);
        });
    }
}
