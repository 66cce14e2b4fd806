//! Segments, seeks across them, group commit and the life of an open log.

use super::{Bench, GUARD, TOPIC, append, numbers, read_all, record, spec};
use crate::{Durability, EventLog, LogError, Record, Start, TopicSpec};
use std::sync::Arc;

#[tokio::test]
async fn records_span_many_segments_and_every_offset_can_be_sought() {
    let bench = Bench::new().segment_bytes(400);
    let log = bench.with_topic().await;
    let all: Vec<u64> = (0..200).collect();
    for batch in all.chunks(3) {
        append(&log, &[batch]).await;
    }
    assert!(bench.files("seg").len() > 10);
    let killed = bench.killed();
    for log in [log, killed.open()] {
        for offset in 0..=200 {
            let mut reader = log.reader(TOPIC, 0, Start::Offset(offset)).await.unwrap();
            let got = reader.try_next(1, 0).unwrap();
            assert_eq!(got.first().map(|r| r.offset), (offset < 200).then_some(offset));
            let timestamp = log.reader(TOPIC, 0, Start::Timestamp(offset)).await.unwrap();
            assert_eq!(timestamp.position(), offset);
        }
    }
}

#[tokio::test]
async fn small_and_large_records_mix_across_buffer_borders() {
    let bench = Bench::new().segment_bytes(3 << 20);
    let log = bench.with_topic().await;
    let sizes = [10, 300_000, 0, 262_144 - 48, 262_144, 1_500_000, 7, 4_000_000, 100, 262_143];
    let make = |n: u64| {
        let size = sizes[usize::try_from(n).unwrap() % sizes.len()];
        Record { key: format!("k{n}").into(), value: vec![u8::try_from(n).unwrap(); size].into(), timestamp_ns: n }
    };
    for n in 0..15 {
        log.append(TOPIC, vec![make(2 * n), make(2 * n + 1)]).await.unwrap();
    }
    let killed = bench.killed();
    for log in [log, killed.open()] {
        let (records, error) = read_all(&log).await;
        assert!(error.is_none(), "{error:?}");
        assert_eq!(records.len(), 30);
        for (n, stored) in (0..).zip(records) {
            let expected = make(n);
            assert!(stored.key == expected.key && stored.value == expected.value && stored.offset == n, "{n}");
        }
    }
}

#[tokio::test]
async fn an_append_larger_than_a_segment_is_written_in_several() {
    let bench = Bench::new().segment_bytes(100_000);
    let log = bench.with_topic().await;
    let value = vec![7; 10_000];
    let batch = (0..500).map(|n| Record { key: "k".into(), value: value.clone().into(), timestamp_ns: n }).collect();
    let places = log.append(TOPIC, batch).await.unwrap();
    assert_eq!(places, (0..500).map(|n| (0, n)).collect::<Vec<_>>());
    assert_eq!(numbers(&read_all(&log).await.0), (0..500).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_appenders_share_one_fdatasync() {
    let bench = Bench::new();
    let log = bench.open();
    log.create_topic(TopicSpec { durability: Durability::Fsync, ..spec() }).await.unwrap();
    let before = log.metrics().fsyncs;
    let tasks: Vec<_> = (0..64)
        .map(|n| {
            let log = Arc::clone(&log);
            tokio::spawn(async move { log.append(TOPIC, vec![record("k", n)]).await })
        })
        .collect();
    for task in tasks {
        task.await.unwrap().unwrap();
    }
    let fsyncs = log.metrics().fsyncs - before;
    assert!((1..=32).contains(&fsyncs), "{fsyncs} fdatasyncs for 64 appends");
    let info = log.topics().await.unwrap().remove(0).partitions[0];
    assert_eq!((info.durable, info.high), (64, 64));
}

#[tokio::test]
async fn an_interval_append_becomes_durable_by_itself() {
    let bench = Bench::new();
    let log = bench.with_topic().await;
    append(&log, &[&[0], &[1]]).await;
    let partition = Arc::clone(log.topic(TOPIC).await.unwrap().partition(0).unwrap());
    let mut durable = partition.durable.subscribe();
    tokio::time::timeout(GUARD, durable.wait_for(|d| d.offset == 2)).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_directory_that_is_not_shared_has_one_log() {
    let bench = Bench::new();
    let log = bench.with_topic().await;
    let shared = Bench { dir: tempfile::tempdir().unwrap(), config: bench.config.clone() }.shared();
    for other in [&bench, &shared] {
        let outcome = other.try_open().map(drop);
        assert!(matches!(outcome, Err(LogError::InUse { .. })), "{outcome:?}");
    }
    log.close().await;
    assert!(bench.try_open().is_ok());
}

#[tokio::test]
async fn closing_wakes_who_waits_and_ends_appends() {
    let bench = Bench::new();
    let log = bench.with_topic().await;
    append(&log, &[&[0]]).await;
    let mut reader = log.reader(TOPIC, 0, Start::Earliest).await.unwrap();
    let mut consumer = log.subscribe("g", &[TOPIC], "m").await.unwrap();
    // One member more than partitions: it waits without a partition.
    let mut idle = log.subscribe("g", &[TOPIC], "n").await.unwrap();
    assert_eq!(numbers(&consumer.next(10, 1000).await.unwrap()), [0]);
    let closing = Arc::clone(&log);
    let close = tokio::spawn(async move { closing.close().await });
    let read = async {
        assert_eq!(numbers(&reader.next(10, 1000).await.unwrap()), [0]);
        reader.next(10, 1000).await
    };
    let all = async { tokio::join!(read, consumer.next(10, 1000), idle.next(10, 1000)) };
    let (reader, consumer, idle) = tokio::time::timeout(GUARD, all).await.unwrap();
    for outcome in [reader, consumer, idle] {
        assert!(matches!(outcome, Err(LogError::Closed)), "{outcome:?}");
    }
    close.await.unwrap();
    assert!(matches!(log.append(TOPIC, vec![record("k", 1)]).await, Err(LogError::Closed)));
}

#[tokio::test]
async fn a_restart_keeps_records_offsets_and_settings() {
    let bench = Bench::new().segment_bytes(200);
    let log = bench.with_topic().await;
    append(&log, &[&[0, 1], &[2], &[3, 4, 5]]).await;
    log.commit("group", TOPIC, 0, 4).await.unwrap();
    let killed = bench.killed();
    log.close().await;
    for after in [&bench, &killed] {
        let log = after.open();
        assert_eq!(numbers(&read_all(&log).await.0), [0, 1, 2, 3, 4, 5]);
        assert_eq!(log.committed("group", TOPIC, 0).await.unwrap(), Some(4));
        assert_eq!(log.topics().await.unwrap()[0].spec, spec());
        append(&log, &[&[6]]).await;
        assert_eq!(read_all(&log).await.0.last().unwrap().offset, 6);
    }
}

#[tokio::test]
async fn a_crash_between_seal_and_new_segment_is_completed() {
    let bench = Bench::new().segment_bytes(150);
    let log = bench.with_topic().await;
    append(&log, &[&[0], &[1], &[2], &[3]]).await;
    let killed = bench.killed();
    let last = killed.files("seg").pop().unwrap();
    let whole = std::fs::read(&last).unwrap();
    // The new segment has no name yet, no header yet, or half of one.
    for header in [None, Some(0), Some(10)] {
        match header {
            None => std::fs::remove_file(&last).unwrap(),
            Some(len) => std::fs::write(&last, &whole[..len]).unwrap(),
        }
        let log = killed.open();
        let before = numbers(&read_all(&log).await.0);
        assert!(before.len() >= 2 && before.iter().copied().eq(0..before.len() as u64), "{before:?}");
        drop(log);
        std::fs::write(&last, &whole).unwrap();
        for index in killed.files("idx") {
            std::fs::remove_file(index).unwrap();
        }
    }
    assert_eq!(numbers(&read_all(&killed.open()).await.0), [0, 1, 2, 3]);
}
