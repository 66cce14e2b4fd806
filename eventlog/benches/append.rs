//! Append and catch-up rates of the embedded log, each beside a plain file on the same disk in the same run.
//!
//! Budget: with fsync and 1024 records a batch the log keeps at least half of the plain file's rate; 16 appenders of single
//! records get at least 4 times what one gets (group commit); a reader catches up at 1 M records/s or more.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a benchmark prints, and stops at the first failure")]
#![allow(clippy::cast_precision_loss, reason = "rates are printed with three digits")]

use bytes::Bytes;
use eventlog::{Durability, EmbeddedConfig, EmbeddedLog, EventLog, Record, Retention, Start, TopicSpec};
use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

const VALUE_BYTES: usize = 240;
const KEY: &str = "SIM:BTC/USDT@123";
/// Each append measurement lasts about this long.
const SPAN: Duration = Duration::from_secs(2);
const CATCH_UP_RECORDS: usize = 2_000_000;

fn record() -> Record {
    Record { key: Bytes::from_static(KEY.as_bytes()), value: Bytes::from_static(&[7; VALUE_BYTES]), timestamp_ns: 1 }
}

/// Records per second of a plain file: write and fdatasync per batch.
fn plain_file(dir: &Path, batch: usize) -> f64 {
    let mut file = File::create(dir.join(format!("plain-{batch}"))).unwrap();
    let bytes = vec![7; batch * (VALUE_BYTES + KEY.len() + 24)];
    let (start, mut records) = (Instant::now(), 0);
    while start.elapsed() < SPAN {
        file.write_all(&bytes).unwrap();
        file.sync_data().unwrap();
        records += batch;
    }
    records as f64 / start.elapsed().as_secs_f64()
}

/// Records per second of so many tasks that append batches of this size.
async fn appenders(log: &Arc<EmbeddedLog>, topic: &'static str, tasks: usize, batch: usize) -> f64 {
    let start = Instant::now();
    let running: Vec<_> = (0..tasks)
        .map(|_| {
            let log = Arc::clone(log);
            tokio::spawn(async move {
                let mut records = 0;
                while start.elapsed() < SPAN {
                    log.append(topic, vec![record(); batch]).await.unwrap();
                    records += batch;
                }
                records
            })
        })
        .collect();
    let mut records = 0;
    for task in running {
        records += task.await.unwrap();
    }
    records as f64 / start.elapsed().as_secs_f64()
}

async fn topic(log: &EmbeddedLog, name: &str, durability: Durability) {
    let spec = TopicSpec {
        name: name.to_owned(),
        partitions: 1,
        retention: Retention::default(),
        compacted: false,
        durability,
    };
    log.create_topic(spec).await.unwrap();
}

/// Records per second of a reader from the first record on, and of reading the same bytes from plain files.
async fn catch_up(log: &EmbeddedLog, dir: &Path) -> (f64, f64) {
    topic(log, "catch-up", Durability::Interval).await;
    for _ in 0..CATCH_UP_RECORDS / 1000 {
        log.append("catch-up", vec![record(); 1000]).await.unwrap();
    }
    log.sync("catch-up").await.unwrap();
    let mut reader = log.reader("catch-up", 0, Start::Earliest).await.unwrap();
    let (start, mut read) = (Instant::now(), 0);
    while read < CATCH_UP_RECORDS {
        read += reader.next(10_000, 1 << 20).await.unwrap().len();
    }
    let rate = read as f64 / start.elapsed().as_secs_f64();
    let mut buffer = vec![0; 256 << 10];
    let start = Instant::now();
    for entry in std::fs::read_dir(dir.join("catch-up").join("0")).unwrap() {
        let mut file = File::open(entry.unwrap().path()).unwrap();
        while file.read(&mut buffer).unwrap() > 0 {}
    }
    (rate, read as f64 / start.elapsed().as_secs_f64())
}

async fn run() {
    // Below the target directory: a temporary directory may be in memory, where fdatasync costs nothing.
    let root = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let dir = root.path().join("log");
    let log = EmbeddedLog::open(EmbeddedConfig::new(&dir)).unwrap();
    topic(&log, "fsync", Durability::Fsync).await;
    topic(&log, "interval", Durability::Interval).await;
    println!("event log, records of {} bytes", KEY.len() + VALUE_BYTES);
    println!("{:<44} {:>12} {:>14} {:>7}", "append", "records/s", "plain file", "ratio");
    for batch in [1, 64, 1024] {
        let plain = plain_file(root.path(), batch);
        for tasks in [1, 16] {
            let before = log.metrics();
            let rate = appenders(&log, "fsync", tasks, batch).await;
            let after = log.metrics();
            let appends = (after.appended_records - before.appended_records) as f64 / batch as f64;
            let shared = appends / (after.fsyncs - before.fsyncs) as f64;
            let name = format!("fsync, {tasks} appender(s), batches of {batch}");
            println!("{name:<44} {rate:>12.0} {plain:>14.0} {:>7.2}   {shared:.1} appends per fdatasync", rate / plain);
        }
    }
    let shared = EmbeddedLog::open(EmbeddedConfig::shared(root.path().join("shared"))).unwrap();
    topic(&shared, "interval", Durability::Interval).await;
    for (name, log) in [("interval", &log), ("interval, shared directory", &shared)] {
        for batch in [1, 64, 1024] {
            let rate = appenders(log, "interval", 1, batch).await;
            println!("{:<44} {rate:>12.0}", format!("{name}, batches of {batch}"));
        }
    }
    let (rate, plain) = catch_up(&log, &dir).await;
    println!("{:<44} {rate:>12.0} {plain:>14.0} {:>7.2}", "catch-up read", rate / plain);
    let metrics = log.metrics();
    println!("{} records appended with {} fdatasyncs", metrics.appended_records, metrics.fsyncs);
}

fn main() {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap().block_on(run());
}
