//! Compaction on real files.

use super::{Bench, TOPIC, read_all, record, spec};
use crate::{EventLog, Start, Stored, TopicSpec};
use std::collections::BTreeMap;
use std::sync::Arc;

async fn compacted() -> (Bench, Arc<super::EmbeddedLog>) {
    let bench = Bench::new().segment_bytes(300);
    let log = bench.open();
    log.create_topic(TopicSpec { compacted: true, ..spec() }).await.unwrap();
    (bench, log)
}

/// Records 0..n with five keys in turn and one that comes only once.
async fn fill(log: &super::EmbeddedLog, numbers: std::ops::Range<u64>) {
    for n in numbers {
        let key = if n == 3 { "once".to_owned() } else { format!("key{}", n % 5) };
        log.append(TOPIC, vec![record(&key, n)]).await.unwrap();
    }
}

fn last_of_keys(records: &[Stored]) -> BTreeMap<Vec<u8>, (u64, u64)> {
    records.iter().map(|r| (r.key.to_vec(), (r.offset, r.timestamp_ns))).collect()
}

#[tokio::test]
async fn the_last_record_of_each_key_stays_under_its_old_offset() {
    let (bench, log) = compacted().await;
    fill(&log, 0..200).await;
    let before = read_all(&log).await.0;
    let files = bench.files("seg").len();
    log.upkeep().await.unwrap();
    let after = read_all(&log).await.0;
    assert!(after.len() < 20, "{} records left", after.len());
    assert!(bench.files("seg").len() <= 3 && files > 20, "{files} files became {}", bench.files("seg").len());
    assert_eq!(last_of_keys(&after), last_of_keys(&before));
    assert!(after.is_sorted_by_key(|r| r.offset));
    assert!(after.iter().all(|r| before[usize::try_from(r.offset).unwrap()] == *r), "a record changed");
    assert_eq!(log.metrics().compacted_records, 200 - after.len() as u64);
    let info = log.topics().await.unwrap().remove(0).partitions[0];
    assert_eq!((info.low, info.high), (0, 200));
    // Again without new records: nothing to do. After a restart: the same records.
    log.upkeep().await.unwrap();
    assert_eq!(read_all(&log).await.0, after);
    let killed = bench.killed();
    assert_eq!(read_all(&killed.open()).await.0, after);
}

#[tokio::test]
async fn offsets_inside_a_hole_can_be_sought_and_reading_goes_on_behind_it() {
    let (_bench, log) = compacted().await;
    fill(&log, 0..200).await;
    log.upkeep().await.unwrap();
    let after = read_all(&log).await.0;
    for offset in 0..200 {
        let mut reader = log.reader(TOPIC, 0, Start::Offset(offset)).await.unwrap();
        let expected = after.iter().find(|r| r.offset >= offset);
        assert_eq!(reader.try_next(1, 0).unwrap().first(), expected, "offset {offset}");
        let position = log.reader(TOPIC, 0, Start::Timestamp(offset)).await.unwrap().position();
        assert_eq!(Some(position), expected.map(|r| r.offset), "time {offset}");
    }
}

#[tokio::test]
async fn a_reader_in_the_middle_of_a_compaction_sees_each_key_that_stays() {
    let (_bench, log) = compacted().await;
    fill(&log, 0..100).await;
    let mut reader = log.reader(TOPIC, 0, Start::Earliest).await.unwrap();
    let mut seen = reader.try_next(10, 1 << 20).unwrap();
    log.upkeep().await.unwrap();
    fill(&log, 100..120).await;
    log.upkeep().await.unwrap();
    loop {
        let batch = reader.try_next(4, 1 << 20).unwrap();
        if batch.is_empty() {
            break;
        }
        seen.extend(batch);
    }
    assert!(seen.is_sorted_by_key(|r| r.offset));
    assert_eq!(last_of_keys(&seen), last_of_keys(&read_all(&log).await.0));
}

#[tokio::test]
async fn a_crash_while_files_are_replaced_leaves_the_same_records() {
    let (bench, log) = compacted().await;
    fill(&log, 0..100).await;
    let before = bench.killed();
    log.upkeep().await.unwrap();
    let expected = read_all(&log).await.0;
    // Every file that compaction deleted is still there beside the new one, as after a crash before the deletes.
    for old in before.files("seg") {
        let name = bench.partition_dir().join(old.file_name().unwrap());
        if !name.exists() {
            std::fs::copy(&old, &name).unwrap();
        }
    }
    std::fs::write(bench.partition_dir().join("00000000000000000000.seg.tmp"), b"half").unwrap();
    let crashed = bench.killed();
    let log = crashed.open();
    assert_eq!(read_all(&log).await.0, expected);
    log.upkeep().await.unwrap();
    assert_eq!(last_of_keys(&read_all(&log).await.0), last_of_keys(&expected));
}
