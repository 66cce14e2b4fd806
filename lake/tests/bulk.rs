//! Whole series, piece by piece: the same rows as a query, whatever the revisions and however the files lie.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "fixtures/rows.rs"]
mod rows;

use arrow_array_of::{decimals, texts, times};
use lake::{BulkQuery, CandleQuery, Lake, LakeError, SourceOffsets, TickQuery};
use proptest::prelude::*;
use proto::Interval;
use proto::market::{Candle, Side, Tick};
use rows::{DAY, SECOND, T0, candle, config, decimal, lake, symbol, tick, venue};

/// Values of a batch's columns.
mod arrow_array_of {
    use arrow_array::RecordBatch;
    use arrow_array::cast::AsArray;
    use arrow_array::types::{Decimal128Type, TimestampMicrosecondType};

    pub(crate) fn times(batch: &RecordBatch, name: &str) -> Vec<i64> {
        batch.column_by_name(name).unwrap().as_primitive::<TimestampMicrosecondType>().values().to_vec()
    }

    pub(crate) fn decimals(batch: &RecordBatch, name: &str) -> Vec<i128> {
        batch.column_by_name(name).unwrap().as_primitive::<Decimal128Type>().values().to_vec()
    }

    pub(crate) fn texts(batch: &RecordBatch, name: &str) -> Vec<String> {
        batch.column_by_name(name).unwrap().as_string::<i32>().iter().map(|text| text.unwrap().to_owned()).collect()
    }
}

fn query(interval: Option<Interval>, from_ns: u64, to_ns: u64) -> BulkQuery {
    BulkQuery { venue: venue("SIM"), symbol: symbol("BTC/USDT"), interval, from_ns, to_ns, snapshot: None }
}

/// Open time in microseconds and close of every candle; checks the count on the way.
async fn closes(lake: &Lake, query: &BulkQuery) -> Vec<(i64, i128)> {
    let bulk = lake.bulk(query.clone()).await.unwrap();
    let coverage = bulk.coverage(usize::MAX).await.unwrap();
    let (mut batches, mut found) = (bulk.batches(), Vec::new());
    while let Some(batch) = batches.next().await.unwrap() {
        assert!((1..=32_768).contains(&batch.num_rows()));
        found.extend(times(&batch, "open_time").into_iter().zip(decimals(&batch, "close")));
    }
    assert_eq!(coverage.rows, found.len() as u64);
    assert_eq!(coverage.missing + coverage.rows, coverage.windows);
    found
}

async fn ids(lake: &Lake, query: &BulkQuery) -> Vec<String> {
    let bulk = lake.bulk(query.clone()).await.unwrap();
    let coverage = bulk.coverage(usize::MAX).await.unwrap();
    let (mut batches, mut found) = (bulk.batches(), Vec::new());
    while let Some(batch) = batches.next().await.unwrap() {
        assert!((1..=32_768).contains(&batch.num_rows()));
        found.extend(texts(&batch, "trade_id"));
    }
    assert_eq!(coverage.rows, found.len() as u64);
    found
}

async fn append(lake: &Lake, candles: &[Candle]) -> i64 {
    lake.append_candles(candles, &SourceOffsets::new(), 1).await.unwrap().snapshot_id.unwrap()
}

#[tokio::test]
async fn the_highest_revision_counts_and_an_open_candle_does_not() {
    let (lake, _dir) = lake().await;
    let minute = |n: u64| candle("BTC/USDT", Interval::M1, T0 + n * 60 * SECOND);
    let first = append(&lake, &[minute(0), minute(1), Candle { closed: false, ..minute(2) }]).await;
    append(&lake, &[Candle { revision: 2, close: decimal("99.5"), ..minute(1) }]).await;
    append(
        &lake,
        &[Candle { revision: 1, close: decimal("1"), ..minute(1) }, minute(2), candle("ETH/USDT", Interval::M1, T0)],
    )
    .await;
    let range = query(Some(Interval::M1), T0, T0 + 5 * 60 * SECOND);
    let at = |n: u64| i64::try_from((T0 + n * 60 * SECOND) / 1000).unwrap();
    let (hundred, other) = (decimal("100").units(), decimal("99.5").units());
    assert_eq!(closes(&lake, &range).await, [(at(0), hundred), (at(1), other), (at(2), hundred)]);
    // The first snapshot, for ever.
    let pinned = BulkQuery { snapshot: Some(first), ..range.clone() };
    assert_eq!(closes(&lake, &pinned).await, [(at(0), hundred), (at(1), hundred)]);
    assert_eq!(closes(&lake, &BulkQuery { snapshot: Some(0), ..range.clone() }).await, []);
    let gone = lake.bulk(BulkQuery { snapshot: Some(12), ..range }).await.unwrap_err();
    assert!(matches!(gone, LakeError::NoSnapshot { snapshot: 12, .. }), "{gone}");
}

#[tokio::test]
async fn an_empty_lake_is_one_hole_and_the_limit_is_said() {
    let (lake, _dir) = lake().await;
    let bulk = lake.bulk(query(Some(Interval::M1), T0, T0 + 600 * SECOND)).await.unwrap();
    assert_eq!(bulk.snapshot_id(), 0);
    let coverage = bulk.coverage(10).await.unwrap();
    assert_eq!((coverage.rows, coverage.missing, coverage.holes.len()), (0, 10, 1));
    let rows: Vec<Candle> = (0..50).map(|n| candle("BTC/USDT", Interval::S1, T0 + n * SECOND)).collect();
    append(&lake, &rows).await;
    let bulk = lake.bulk(query(Some(Interval::S1), T0, T0 + 600 * SECOND)).await.unwrap();
    assert_eq!(bulk.coverage(50).await.unwrap().rows, 50);
    assert!(matches!(bulk.coverage(49).await.unwrap_err(), LakeError::TooManyRows { most: 49 }));
}

#[tokio::test]
async fn a_series_longer_than_a_piece_is_whole_and_equal_to_a_query() {
    let dir = tempfile::TempDir::new().unwrap();
    let lake = Lake::open(config(&dir)).await.unwrap();
    // Three days of seconds, with a day between that has none.
    let seconds = (0..40_000).chain(50_000..86_400).chain(2 * 86_400..2 * 86_400 + 1000);
    let rows: Vec<Candle> = seconds.map(|n| candle("BTC/USDT", Interval::S1, T0 + n * SECOND)).collect();
    for some in rows.chunks(30_000) {
        append(&lake, some).await;
    }
    let found = closes(&lake, &query(Some(Interval::S1), T0 + 5 * SECOND, T0 + 3 * DAY)).await;
    let range = CandleQuery::range(venue("SIM"), symbol("BTC/USDT"), Interval::S1, T0 + 5 * SECOND, T0 + 3 * DAY);
    let asked = lake.candles(&range).await.unwrap();
    let expected: Vec<(i64, i128)> =
        asked.iter().map(|c| (i64::try_from(c.open_time_ns / 1000).unwrap(), c.close.units())).collect();
    assert_eq!(found.len(), rows.len() - 5);
    assert_eq!(found, expected);
    let bulk = lake.bulk(query(Some(Interval::S1), T0, T0 + 3 * DAY)).await.unwrap();
    let holes = bulk.coverage(usize::MAX).await.unwrap().holes;
    let found: Vec<(u64, u64)> = holes.iter().map(|h| ((h.from_ns - T0) / SECOND, (h.to_ns - T0) / SECOND)).collect();
    assert_eq!(found, [(40_000, 50_000), (86_400, 172_800), (173_800, 259_200)]);
}

#[tokio::test]
async fn each_trade_comes_once_and_dense_hours_are_cut_into_pieces() {
    let (lake, _dir) = lake().await;
    // 200 000 trades within ten minutes are more than a piece may have; some come a second time.
    let rows: Vec<Tick> = (0..200_000).map(|n| tick("BTC/USDT", n, T0 + n * 3_000_000)).collect();
    lake.append_ticks(&rows, &SourceOffsets::new(), 1).await.unwrap();
    lake.append_ticks(&rows[1000..3000], &SourceOffsets::new(), 1).await.unwrap();
    let found = ids(&lake, &query(None, T0, T0 + DAY)).await;
    let expected: Vec<String> = (0..200_000).map(|n: u64| n.to_string()).collect();
    assert_eq!(found, expected);
    let coverage = lake.bulk(query(None, T0, T0 + 3600 * SECOND)).await.unwrap().coverage(usize::MAX).await.unwrap();
    assert_eq!((coverage.windows, coverage.missing), (60, 50));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]
    #[test]
    fn trades_of_arbitrary_times_equal_a_query(times in proptest::collection::vec(0u64..3 * 86_400_000, 1..200), from in 0u64..86_400_000) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let (lake, _dir) = lake().await;
            let rows: Vec<Tick> = times.iter().zip(0..).map(|(ms, id)| Tick { side: Side::Buy, ..tick("BTC/USDT", id, T0 + ms * 1_000_000) }).collect();
            for some in rows.chunks(70) {
                lake.append_ticks(some, &SourceOffsets::new(), 1).await.unwrap();
            }
            let (from, to) = (T0 + from * 1_000_000, T0 + 2 * DAY);
            let asked = lake.ticks(&TickQuery::range(venue("SIM"), symbol("BTC/USDT"), from, to)).await.unwrap();
            let expected: Vec<String> = asked.into_iter().map(|tick| tick.trade_id).collect();
            prop_assert_eq!(ids(&lake, &query(None, from, to)).await, expected);
            Ok(())
        })?;
    }
}
