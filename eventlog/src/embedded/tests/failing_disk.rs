//! A disk that is full, or that refuses fdatasync.

use super::super::faults::{self, Faults};
use super::{Bench, TOPIC, append, numbers, read_all, record, spec};
use crate::{Durability, EventLog, LogError, TopicSpec};

#[tokio::test]
async fn a_full_disk_gives_a_typed_error_keeps_nothing_of_the_batch_and_goes_on_when_there_is_room() {
    let bench = Bench::new();
    let log = bench.with_topic().await;
    append(&log, &[&[0], &[1]]).await;
    let len = || std::fs::metadata(&bench.files("seg")[0]).unwrap().len();
    let before = len();
    for room in 0..90 {
        faults::set(bench.root(), Faults { room: Some(room), ..Faults::default() });
        let batch = vec![record("k", 2), record("k", 3), record("k", 4)];
        let error = log.append(TOPIC, batch).await.unwrap_err();
        assert!(matches!(error, LogError::NoSpace { .. }) && error.is_retryable(), "room {room}: {error}");
        assert_eq!(len(), before, "room {room}");
    }
    assert_eq!(log.metrics().writes_undone, 90);
    faults::set(bench.root(), Faults::default());
    append(&log, &[&[2]]).await;
    assert_eq!(numbers(&read_all(&log).await.0), [0, 1, 2]);
}

#[tokio::test]
async fn a_disk_that_is_full_when_a_segment_is_closed_loses_nothing() {
    // 24 bytes more than the seal needs are never there: the new segment's header does not fit either.
    for room in [0, 10, 23, 24, 30] {
        let bench = Bench::new().segment_bytes(150);
        let log = bench.with_topic().await;
        append(&log, &[&[0], &[1]]).await;
        faults::set(bench.root(), Faults { room: Some(room), ..Faults::default() });
        let mut failed = 0;
        for n in 2..6 {
            failed += u64::from(log.append(TOPIC, vec![record("k", n)]).await.is_err());
        }
        assert!(failed > 0, "room {room}");
        faults::set(bench.root(), Faults::default());
        append(&log, &[&[6], &[7], &[8]]).await;
        let got = numbers(&read_all(&log).await.0);
        assert_eq!(got[..2], [0, 1], "room {room}");
        assert_eq!(got[got.len() - 3..], [6, 7, 8], "room {room}");
        let killed = bench.killed();
        assert_eq!(numbers(&read_all(&killed.open()).await.0), got, "room {room}");
    }
}

#[tokio::test]
async fn a_write_that_cannot_be_undone_stops_the_partition_and_a_restart_cuts_it() {
    let bench = Bench::new();
    let log = bench.with_topic().await;
    append(&log, &[&[0]]).await;
    faults::set(bench.root(), Faults { room: Some(10), truncate: true, sync: false });
    let error = log.append(TOPIC, vec![record("k", 1)]).await.unwrap_err();
    assert!(matches!(error, LogError::Poisoned { .. }), "{error}");
    faults::set(bench.root(), Faults::default());
    let error = log.append(TOPIC, vec![record("k", 1)]).await.unwrap_err();
    assert!(error.is_damage() && !error.is_retryable(), "{error}");
    assert_eq!(numbers(&read_all(&log).await.0), [0], "reading goes on");
    drop(log);
    let log = bench.open();
    append(&log, &[&[1]]).await;
    assert_eq!(numbers(&read_all(&log).await.0), [0, 1]);
}

#[tokio::test]
async fn a_failed_fdatasync_is_never_tried_again_and_stops_the_partition_until_a_restart() {
    for durability in [Durability::Fsync, Durability::Interval] {
        let bench = Bench::new();
        let log = bench.open();
        log.create_topic(TopicSpec { durability, ..spec() }).await.unwrap();
        append(&log, &[&[0]]).await;
        log.sync(TOPIC).await.unwrap();
        faults::set(bench.root(), Faults { sync: true, ..Faults::default() });
        let appended = log.append(TOPIC, vec![record("k", 1)]).await;
        assert_eq!(appended.is_err(), durability == Durability::Fsync, "an ack without fdatasync");
        let error = log.sync(TOPIC).await.unwrap_err();
        assert!(matches!(error, LogError::Poisoned { .. }), "{error}");
        faults::set(bench.root(), Faults::default());
        let fsyncs = log.metrics().fsyncs;
        for n in 2..5 {
            let error = log.append(TOPIC, vec![record("k", n)]).await.unwrap_err();
            assert!(matches!(error, LogError::Poisoned { .. }), "{error}");
            assert!(log.sync(TOPIC).await.is_err(), "a sync after a failed one succeeded");
        }
        assert_eq!(log.metrics().fsyncs, fsyncs, "fdatasync was tried again");
        assert_eq!(log.metrics().poisoned, 1);
        let info = log.topics().await.unwrap().remove(0).partitions[0];
        assert_eq!((info.durable, info.high), (1, 2));
        drop(log);
        assert!(bench.partition_dir().join("poisoned").exists());
        let log = bench.open();
        assert!(!bench.partition_dir().join("poisoned").exists());
        append(&log, &[&[2]]).await;
        log.sync(TOPIC).await.unwrap();
        assert_eq!(numbers(&read_all(&log).await.0), [0, 1, 2]);
    }
}

#[tokio::test]
async fn a_failed_fdatasync_stops_the_other_processes_on_the_directory_too() {
    let bench = Bench::new().shared();
    let one = bench.with_topic().await;
    let two = bench.open();
    append(&one, &[&[0]]).await;
    append(&two, &[&[1]]).await;
    faults::set(bench.root(), Faults { sync: true, ..Faults::default() });
    assert!(one.sync(TOPIC).await.is_err());
    faults::set(bench.root(), Faults::default());
    let error = two.append(TOPIC, vec![record("k", 2)]).await.unwrap_err();
    assert!(matches!(error, LogError::Poisoned { .. }), "{error}");
    let three = bench.open();
    append(&three, &[&[3]]).await;
    assert_eq!(numbers(&read_all(&three).await.0), [0, 1, 3]);
}

#[tokio::test]
async fn a_failed_fdatasync_while_closing_a_segment_stops_the_partition() {
    let bench = Bench::new().segment_bytes(150);
    let log = bench.with_topic().await;
    append(&log, &[&[0], &[1]]).await;
    log.sync(TOPIC).await.unwrap();
    faults::set(bench.root(), Faults { sync: true, ..Faults::default() });
    for n in 2..5 {
        drop(log.append(TOPIC, vec![record("k", n)]).await);
    }
    faults::set(bench.root(), Faults::default());
    let error = log.append(TOPIC, vec![record("k", 9)]).await.unwrap_err();
    assert!(matches!(error, LogError::Poisoned { .. }), "{error}");
    drop(log);
    let log = bench.open();
    append(&log, &[&[9]]).await;
    let got = numbers(&read_all(&log).await.0);
    assert!(got.starts_with(&[0, 1]) && got.ends_with(&[9]), "{got:?}");
}
