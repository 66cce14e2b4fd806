//! Files that were cut or altered: a tail is cut, damage before it is reported, a wrong record is never delivered.

use super::{Bench, append, numbers, read_all};
use crate::{EventLog, LogError};
use std::path::Path;

const BATCHES: &[&[u64]] = &[&[0], &[1, 2, 3], &[4], &[5, 6]];
/// Numbers of records up to which the file may be cut: the ends of batches.
const BATCH_ENDS: [usize; 5] = [0, 1, 4, 5, 7];

/// A killed log with a few records in one segment, and that segment's bytes.
async fn small() -> (Bench, Vec<u8>) {
    let bench = Bench::new();
    let log = bench.with_topic().await;
    append(&log, BATCHES).await;
    let killed = bench.killed();
    let bytes = std::fs::read(&killed.files("seg")[0]).unwrap();
    (killed, bytes)
}

/// Puts these bytes into the segment as if no process had ever closed it.
fn put(bench: &Bench, segment: &Path, bytes: &[u8]) {
    for index in bench.files("idx") {
        std::fs::remove_file(index).unwrap();
    }
    std::fs::write(segment, bytes).unwrap();
}

#[tokio::test]
async fn a_segment_cut_at_any_byte_gives_whole_batches_and_takes_new_records_behind_them() {
    let (bench, bytes) = small().await;
    let segment = bench.files("seg")[0].clone();
    let mut seen = 0;
    for len in 0..=bytes.len() {
        put(&bench, &segment, &bytes[..len]);
        let log = bench.open();
        let (records, error) = read_all(&log).await;
        assert!(error.is_none(), "cut at {len}: {error:?}");
        let got = numbers(&records);
        assert_eq!(got, (0..got.len() as u64).collect::<Vec<_>>(), "cut at {len}");
        assert!(BATCH_ENDS.contains(&got.len()) && got.len() >= seen, "cut at {len}: {got:?}");
        seen = got.len();
        append(&log, &[&[99]]).await;
        let (records, _) = read_all(&log).await;
        assert_eq!(records.len(), seen + 1, "cut at {len}");
        assert_eq!(records.last().map(|r| (r.offset, r.timestamp_ns)), Some((seen as u64, 99)), "cut at {len}");
    }
    assert_eq!(seen, 7);
}

#[tokio::test]
async fn a_flipped_bit_anywhere_is_reported_or_in_the_last_batch_cut() {
    let (bench, bytes) = small().await;
    let segment = bench.files("seg")[0].clone();
    let (mut reported, mut cut) = (0, 0);
    for at in 0..bytes.len() {
        let mut damaged = bytes.clone();
        damaged[at] ^= 1 << (at % 8);
        put(&bench, &segment, &damaged);
        match bench.try_open() {
            Err(LogError::Corrupt { file, byte, .. }) => {
                assert_eq!(file, segment);
                assert!(byte <= at as u64, "byte {at} reported at {byte}");
                assert_eq!(std::fs::read(&segment).unwrap(), damaged, "byte {at}: the file was changed");
                reported += 1;
            }
            Err(other) => panic!("byte {at}: {other}"),
            Ok(log) => {
                let (records, error) = read_all(&log).await;
                assert!(error.is_none(), "byte {at}: {error:?}");
                assert_eq!(numbers(&records), [0, 1, 2, 3, 4], "byte {at}");
                cut += 1;
            }
        }
    }
    // The last record of the last batch is the only place where damage looks like a torn write.
    assert_eq!(cut, 24 + 1 + "value 6".len());
    assert_eq!(reported, bytes.len() - cut);
}

#[tokio::test]
async fn after_a_clean_close_even_a_damaged_or_missing_tail_is_reported() {
    let bench = Bench::new();
    let log = bench.with_topic().await;
    append(&log, BATCHES).await;
    log.close().await;
    let segment = bench.files("seg")[0].clone();
    let bytes = std::fs::read(&segment).unwrap();
    for len in 24..bytes.len() {
        std::fs::write(&segment, &bytes[..len]).unwrap();
        let outcome = bench.try_open().map(drop);
        assert!(matches!(outcome, Err(LogError::Corrupt { .. })), "cut at {len}: {outcome:?}");
    }
    for at in 0..bytes.len() {
        let mut damaged = bytes.clone();
        damaged[at] ^= 1 << (at % 8);
        std::fs::write(&segment, &damaged).unwrap();
        let log = match bench.try_open() {
            Ok(log) => log,
            Err(LogError::Corrupt { .. }) => continue,
            Err(other) => panic!("byte {at}: {other}"),
        };
        let (records, error) = read_all(&log).await;
        assert!(matches!(error, Some(LogError::Corrupt { .. })), "byte {at}: {error:?}");
        assert_eq!(numbers(&records), (0..records.len() as u64).collect::<Vec<_>>(), "byte {at}");
    }
    std::fs::write(&segment, &bytes).unwrap();
    assert_eq!(read_all(&bench.open()).await.0.len(), 7);
}

#[tokio::test]
async fn damage_in_a_closed_segment_stops_the_reader_there_and_never_skips() {
    let bench = Bench::new().segment_bytes(150);
    let log = bench.with_topic().await;
    append(&log, &[&[0], &[1], &[2], &[3], &[4], &[5], &[6]]).await;
    drop(log);
    let segments = bench.files("seg");
    assert!(segments.len() >= 3, "{segments:?}");
    let segment = segments[1].clone();
    let first = segment.file_stem().unwrap().to_str().unwrap().parse::<u64>().unwrap();
    let bytes = std::fs::read(&segment).unwrap();
    for at in 0..bytes.len() {
        let mut damaged = bytes.clone();
        damaged[at] ^= 1 << (at % 8);
        std::fs::write(&segment, &damaged).unwrap();
        // Damage in the seal is met by the open, damage in records by the reader.
        let log = match bench.try_open() {
            Ok(log) => log,
            Err(LogError::Corrupt { file, .. }) => {
                assert_eq!(file, segment, "byte {at}");
                continue;
            }
            Err(other) => panic!("byte {at}: {other}"),
        };
        let (records, error) = read_all(&log).await;
        let got = numbers(&records);
        assert_eq!(got, (0..got.len() as u64).collect::<Vec<_>>(), "byte {at}");
        assert!(got.len() as u64 >= first, "byte {at}: {got:?}");
        let Some(LogError::Corrupt { file, byte, .. }) = error else { panic!("byte {at}: {error:?}, {got:?}") };
        assert!(file == segment && byte <= at as u64, "byte {at} reported at {} {byte}", file.display());
    }
}

#[tokio::test]
async fn a_closed_segment_that_is_cut_or_missing_is_reported() {
    let bench = Bench::new().segment_bytes(150);
    let log = bench.with_topic().await;
    append(&log, &[&[0], &[1], &[2], &[3], &[4], &[5], &[6]]).await;
    drop(log);
    let segments = bench.files("seg");
    let bytes = std::fs::read(&segments[1]).unwrap();
    for len in 0..bytes.len() {
        std::fs::write(&segments[1], &bytes[..len]).unwrap();
        let outcome = bench.try_open().map(drop);
        assert!(matches!(outcome, Err(LogError::Corrupt { .. })), "cut at {len}: {outcome:?}");
    }
    std::fs::remove_file(&segments[1]).unwrap();
    let outcome = bench.try_open().map(drop);
    assert!(matches!(outcome, Err(LogError::Corrupt { .. })), "{outcome:?}");
    std::fs::write(&segments[1], &bytes).unwrap();
    assert_eq!(read_all(&bench.open()).await.0.len(), 7);
}

#[tokio::test]
async fn damage_is_counted_and_a_torn_tail_too() {
    let (bench, bytes) = small().await;
    let segment = bench.files("seg")[0].clone();
    put(&bench, &segment, &bytes[..bytes.len() - 3]);
    let log = bench.open();
    let metrics = log.metrics();
    assert_eq!(metrics.torn_tails, 1);
    assert!(metrics.torn_bytes > 0);
    assert_eq!(metrics.corruptions, 0);
}

#[tokio::test]
async fn a_damaged_index_is_rebuilt_and_reads_stay_right() {
    let bench = Bench::new().segment_bytes(100_000);
    let log = bench.with_topic().await;
    let all: Vec<u64> = (0..6000).collect();
    for batch in all.chunks(50) {
        append(&log, &[batch]).await;
    }
    let indexes = bench.files("idx");
    assert!(indexes.len() >= 2, "{indexes:?}");
    let mut bytes = std::fs::read(&indexes[0]).unwrap();
    for at in [0, 20, 30, bytes.len() - 1] {
        bytes[at] ^= 4;
        std::fs::write(&indexes[0], &bytes).unwrap();
        let rebuilt = log.metrics().indexes_rebuilt;
        let mut reader = log.reader(super::TOPIC, 0, crate::Start::Offset(1000)).await.unwrap();
        assert_eq!(numbers(&reader.try_next(2, 1000).unwrap()), [1000, 1001]);
        assert_eq!(log.metrics().indexes_rebuilt, rebuilt + 1, "byte {at}");
    }
}
