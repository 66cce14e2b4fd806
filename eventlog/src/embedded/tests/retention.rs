//! Retention on real files.

use super::{Bench, TOPIC, append, numbers, read_all, spec};
use crate::{Clock, EventLog, LogError, Retention, Start, TopicSpec};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

const HOUR_NS: u64 = 3_600_000_000_000;

/// A log whose clock is ahead of the files by what the second value holds.
async fn with_retention(retention: Retention) -> (Bench, Arc<super::EmbeddedLog>, Arc<AtomicU64>) {
    let mut bench = Bench::new().segment_bytes(150);
    let ahead = Arc::new(AtomicU64::new(0));
    let (clock, offset) = (Clock::system(), Arc::clone(&ahead));
    bench.config.clock = Clock::new(move || clock.now_ns() + offset.load(Ordering::SeqCst));
    let log = bench.open();
    log.create_topic(TopicSpec { retention, ..spec() }).await.unwrap();
    (bench, log, ahead)
}

#[tokio::test]
async fn retention_by_bytes_deletes_whole_old_segments_and_keeps_the_offsets() {
    let (bench, log, _) = with_retention(Retention { age: None, bytes: Some(400) }).await;
    for n in 0..30 {
        append(&log, &[&[n]]).await;
    }
    let before = bench.files("seg").len();
    log.upkeep().await.unwrap();
    let info = log.topics().await.unwrap().remove(0).partitions[0];
    assert!(info.bytes <= 400 && info.low > 0 && info.high == 30, "{info:?}");
    let deleted = before - bench.files("seg").len();
    assert_eq!(log.metrics().retention_segments, deleted as u64);
    assert_eq!(numbers(&read_all(&log).await.0), (info.low..30).collect::<Vec<_>>());
    let killed = bench.killed();
    let log = killed.open();
    assert_eq!(numbers(&read_all(&log).await.0), (info.low..30).collect::<Vec<_>>());
}

#[tokio::test]
async fn retention_by_age_goes_by_the_time_of_writing_and_also_empties_an_idle_partition() {
    let (_bench, log, ahead) = with_retention(Retention { age: Some(Duration::from_secs(3600)), bytes: None }).await;
    for n in 0..30 {
        append(&log, &[&[n]]).await;
    }
    log.upkeep().await.unwrap();
    assert_eq!(read_all(&log).await.0.len(), 30, "records just written were deleted");
    ahead.store(2 * HOUR_NS, Ordering::SeqCst);
    log.upkeep().await.unwrap();
    let info = log.topics().await.unwrap().remove(0).partitions[0];
    assert_eq!((info.low, info.high), (30, 30));
    append(&log, &[&[30]]).await;
    let records = read_all(&log).await.0;
    assert_eq!((records.len(), records[0].offset), (1, 30));
}

#[tokio::test]
async fn a_reader_that_retention_overtakes_is_told_and_can_go_on() {
    let (_bench, log, _) = with_retention(Retention { age: None, bytes: Some(400) }).await;
    append(&log, &[&[0]]).await;
    let mut reader = log.reader(TOPIC, 0, Start::Earliest).await.unwrap();
    for n in 1..30 {
        append(&log, &[&[n]]).await;
    }
    log.upkeep().await.unwrap();
    let error = reader.next(10, 1000).await.unwrap_err();
    let LogError::OffsetOutOfRange { offset: 0, low, high: 30, .. } = error else { panic!("{error}") };
    assert!(matches!(reader.try_next(10, 1000), Err(LogError::OffsetOutOfRange { .. })), "told once only");
    reader.seek(Start::Offset(low)).await.unwrap();
    assert_eq!(reader.next(1, 1000).await.unwrap()[0].offset, low);
}

#[tokio::test]
async fn a_group_that_retention_overtakes_goes_on_and_what_it_lost_is_counted() {
    let (_bench, log, _) = with_retention(Retention { age: None, bytes: Some(400) }).await;
    for n in 0..30 {
        append(&log, &[&[n]]).await;
    }
    log.commit("g", TOPIC, 0, 1).await.unwrap();
    log.upkeep().await.unwrap();
    let low = log.topics().await.unwrap()[0].partitions[0].low;
    let mut member = log.subscribe("g", &[TOPIC], "m").await.unwrap();
    assert_eq!(member.next(1, 1000).await.unwrap()[0].offset, low);
    assert_eq!(log.metrics().group_offsets_skipped, low - 1);
}
