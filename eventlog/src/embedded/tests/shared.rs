//! Several logs on one directory. Each has open files and locks of its own, as another process would.

use super::{Bench, GUARD, TOPIC, append, numbers, read_all, record, spec};
use crate::{Durability, EventLog, LogError, Start, TopicSpec};
use std::io::Write;
use std::sync::Arc;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn appends_of_several_processes_get_each_offset_once_and_keep_their_order() {
    for (segment_bytes, durability) in
        [(1 << 20, Durability::Interval), (500, Durability::Interval), (2000, Durability::Fsync)]
    {
        let bench = Bench::new().shared().segment_bytes(segment_bytes);
        let logs = [bench.open(), bench.open(), bench.open()];
        logs[0].create_topic(TopicSpec { durability, ..spec() }).await.unwrap();
        let count = if durability == Durability::Fsync { 20 } else { 300 };
        let tasks: Vec<_> = (0..)
            .zip(&logs)
            .map(|(who, log)| {
                let log = Arc::clone(log);
                tokio::spawn(async move {
                    let mut places = Vec::new();
                    for n in 0..count {
                        let number = who * 1_000_000 + n;
                        let place = log.append(TOPIC, vec![record("k", number)]).await.unwrap()[0];
                        places.push((place.1, number));
                    }
                    places
                })
            })
            .collect();
        let mut acked = Vec::new();
        for task in tasks {
            acked.extend(task.await.unwrap());
        }
        acked.sort_unstable();
        assert_eq!(acked.iter().map(|(offset, _)| *offset).collect::<Vec<_>>(), (0..3 * count).collect::<Vec<_>>());
        let killed = bench.killed();
        for log in logs.into_iter().chain([killed.open()]) {
            let got: Vec<(u64, u64)> = read_all(&log).await.0.iter().map(|r| (r.offset, r.timestamp_ns)).collect();
            assert_eq!(got, acked);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_waiting_reader_gets_the_records_of_another_process() {
    let bench = Bench::new().shared().segment_bytes(400);
    let (writer, follower) = (bench.with_topic().await, bench.open());
    let mut reader = follower.reader(TOPIC, 0, Start::Latest).await.unwrap();
    let mut member = follower.subscribe("g", &[TOPIC], "m").await.unwrap();
    let all: Vec<u64> = (0..60).collect();
    let appends = async {
        for batch in all.chunks(2) {
            append(&writer, &[batch]).await;
            tokio::task::yield_now().await;
        }
    };
    let reads = async {
        let mut got = Vec::new();
        while got.len() < 60 {
            got.extend(numbers(&reader.next(10, 1000).await.unwrap()));
        }
        got
    };
    let consumes = async {
        let mut got = Vec::new();
        while got.len() < 60 {
            got.extend(numbers(&member.next(10, 1000).await.unwrap()));
        }
        got
    };
    let joined = async { tokio::join!(appends, reads, consumes) };
    let ((), read, consumed) = tokio::time::timeout(GUARD, joined).await.unwrap();
    assert_eq!((read, consumed), (all.clone(), all));
}

#[tokio::test]
async fn a_half_written_batch_is_not_read_by_others_and_the_next_appender_cuts_it() {
    let bench = Bench::new().shared();
    let (one, two) = (bench.with_topic().await, bench.open());
    append(&one, &[&[0]]).await;
    // What a writer killed in the middle of a batch of three leaves behind.
    let donor = bench.killed();
    let log = donor.open();
    append(&log, &[&[1, 2, 3]]).await;
    let whole = std::fs::read(&donor.files("seg")[0]).unwrap();
    let segment = bench.files("seg")[0].clone();
    let start = std::fs::read(&segment).unwrap().len();
    for end in start + 1..whole.len() {
        std::fs::OpenOptions::new().append(true).open(&segment).unwrap().write_all(&whole[start..end]).unwrap();
        for log in [&one, &two] {
            assert_eq!(numbers(&read_all(log).await.0), [0], "{end} of {}", whole.len());
        }
        let cut = std::fs::File::options().write(true).open(&segment).unwrap();
        cut.set_len(start as u64).unwrap();
    }
    std::fs::OpenOptions::new().append(true).open(&segment).unwrap().write_all(&whole[start..whole.len() - 1]).unwrap();
    append(&two, &[&[7]]).await;
    assert_eq!(two.metrics().torn_tails, 1);
    for log in [&one, &two] {
        assert_eq!(numbers(&read_all(log).await.0), [0, 7]);
    }
}

#[tokio::test]
async fn sync_covers_what_other_processes_wrote() {
    let bench = Bench::new().shared().segment_bytes(300);
    let (writer, other) = (bench.with_topic().await, bench.open());
    other.reader(TOPIC, 0, Start::Latest).await.unwrap();
    append(&writer, &[&[0], &[1], &[2], &[3], &[4], &[5], &[6], &[7], &[8]]).await;
    other.sync(TOPIC).await.unwrap();
    let info = other.topics().await.unwrap().remove(0).partitions[0];
    assert_eq!((info.durable, info.high), (9, 9));
}

#[tokio::test]
async fn a_topic_created_by_another_process_is_found() {
    let bench = Bench::new().shared();
    let (one, two) = (bench.open(), bench.open());
    one.create_topic(TopicSpec { partitions: 3, ..spec() }).await.unwrap();
    let places = two.append(TOPIC, vec![record("k", 0)]).await.unwrap();
    assert_eq!(places[0].1, 0);
    assert_eq!(two.topics().await.unwrap()[0].partitions.len(), 3);
    let outcome = two.create_topic(TopicSpec { partitions: 4, ..spec() }).await;
    assert!(matches!(outcome, Err(LogError::PartitionsDiffer { .. })), "{outcome:?}");
}

#[tokio::test]
async fn a_reader_survives_retention_and_compaction_by_another_process() {
    let bench = Bench::new().shared().segment_bytes(300);
    let (keeper, other) = (bench.open(), bench.open());
    keeper.create_topic(TopicSpec { compacted: true, ..spec() }).await.unwrap();
    let mut reader = other.reader(TOPIC, 0, Start::Earliest).await.unwrap();
    for n in 0..100 {
        keeper.append(TOPIC, vec![record(&format!("k{}", n % 3), n)]).await.unwrap();
    }
    let mut seen = reader.try_next(5, 1000).unwrap();
    assert_eq!(numbers(&seen), [0, 1, 2, 3, 4]);
    keeper.upkeep().await.unwrap();
    loop {
        let batch = reader.try_next(5, 1000).unwrap();
        if batch.is_empty() {
            break;
        }
        seen.extend(batch);
    }
    let numbers = numbers(&seen);
    assert!(numbers.is_sorted() && numbers.ends_with(&[97, 98, 99]), "{numbers:?}");
    assert_eq!(read_all(&other).await.0, read_all(&keeper).await.0);
}
