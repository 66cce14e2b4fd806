//! Real processes on one log directory, killed with -9 at random moments: what was acknowledged is there, in order, once.
//!
//! The children are this test binary again, told by an environment variable to run one of the `child_…` tests.

#![allow(clippy::unwrap_used, reason = "a test stops at the first thing that fails")]

use bytes::Bytes;
use eventlog::{
    Durability, EmbeddedConfig, EmbeddedLog, EventLog, LogError, PartitionReader, Record, Retention, Start, Stored,
    TopicSpec,
};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use std::collections::{BTreeMap, HashMap};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

const TOPIC: &str = "crash";
const DIR: &str = "EVENTLOG_CRASH_DIR";
const SEED: &str = "EVENTLOG_CRASH_SEED";
const FSYNC: &str = "EVENTLOG_CRASH_FSYNC";
const SEGMENT: &str = "EVENTLOG_CRASH_SEGMENT";
/// Small segments: kills meet the change of segments.
const SMALL: u64 = 1_000_000;
/// Large segments: kills meet write(2).
const LARGE: u64 = 256 << 20;

fn spec(durability: Durability) -> TopicSpec {
    let name = TOPIC.to_owned();
    TopicSpec { name, partitions: 2, retention: Retention::default(), compacted: false, durability }
}

fn open(dir: &Path) -> Arc<EmbeddedLog> {
    let segment_bytes = std::env::var(SEGMENT).map_or(SMALL, |bytes| bytes.parse().unwrap());
    EmbeddedLog::open(EmbeddedConfig { segment_bytes, ..EmbeddedConfig::shared(dir) }).unwrap()
}

/// Bytes that values are cut from, made once: the children shall spend their time in write(2), where kills tear.
static PATTERN: LazyLock<Bytes> =
    LazyLock::new(|| (0..300_000u64).map(|i| u8::try_from(i * i % 251).unwrap()).collect());

/// The content of a record is a function of its number, so that any change shows.
fn record(number: u64) -> Record {
    let mut rng = StdRng::seed_from_u64(number);
    let len = if (number / 8).is_multiple_of(4) { rng.random_range(50_000..200_000) } else { rng.random_range(0..300) };
    let start = rng.random_range(0..90_000);
    let value = PATTERN.slice(start..start + len);
    Record { key: format!("key{}", number % 7).into(), value, timestamp_ns: number }
}

fn is_whole(stored: &Stored) -> bool {
    let expected = record(stored.timestamp_ns);
    stored.key == expected.key && stored.value == expected.value
}

/// Appends batches until it is killed and prints `ack <number> <partition> <offset>` for each record.
#[tokio::test]
async fn child_appends_until_it_is_killed() {
    let (Ok(dir), Ok(seed)) = (std::env::var(DIR), std::env::var(SEED)) else { return };
    let mut number = seed.parse::<u64>().unwrap();
    let mut rng = StdRng::seed_from_u64(number);
    let log = open(Path::new(&dir));
    let durability = if std::env::var(FSYNC).is_ok() { Durability::Fsync } else { Durability::Interval };
    log.create_topic(spec(durability)).await.unwrap();
    loop {
        let count = rng.random_range(1..24);
        let batch: Vec<Record> = (number..number + count).map(record).collect();
        let places = log.append(TOPIC, batch).await.unwrap();
        let mut lines = String::new();
        for (number, (partition, offset)) in (number..).zip(places) {
            lines.push_str(&format!("ack {number} {partition} {offset}\n"));
        }
        // One write per batch; the parent ignores a line without its end.
        std::io::stdout().write_all(lines.as_bytes()).unwrap();
        number += count;
    }
}

fn moment(rng: &mut StdRng) -> Duration {
    Duration::from_micros(rng.random_range(0..3000))
}

/// A child and what it says.
struct Writer {
    child: Child,
    lines: BufReader<ChildStdout>,
}

impl Writer {
    fn start(dir: &Path, first_number: u64, durability: Durability, segment_bytes: u64) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "child_appends_until_it_is_killed", "--nocapture"]);
        command.env(DIR, dir).env(SEED, first_number.to_string()).env(SEGMENT, segment_bytes.to_string());
        command.stdout(Stdio::piped()).stderr(Stdio::inherit());
        if durability == Durability::Fsync {
            command.env(FSYNC, "1");
        }
        let mut child = command.spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap());
        Self { child, lines }
    }

    /// The next acknowledgement, or `None` if the child is dead and all it said was read.
    fn ack(&mut self) -> Option<(u64, (u32, u64))> {
        loop {
            let mut line = String::new();
            if self.lines.read_line(&mut line).unwrap() == 0 || !line.ends_with('\n') {
                return None;
            }
            let mut words = line.split_whitespace();
            if words.next() == Some("ack") {
                let mut number = || words.next().unwrap().parse::<u64>().unwrap();
                return Some((number(), (u32::try_from(number()).unwrap(), number())));
            }
        }
    }

    /// Waits for some acknowledgements, kills the child a moment later, and notes all it had acknowledged.
    fn kill_after(mut self, acks: usize, moment: Duration, acked: &mut BTreeMap<u64, (u32, u64)>) {
        for _ in 0..acks {
            let (number, place) = self.ack().expect("the child lives");
            assert!(acked.insert(number, place).is_none(), "{number} acknowledged twice");
        }
        // Spinning, because the moment is shorter than a timer's: so the kill meets any step of an append.
        let then = Instant::now();
        while then.elapsed() < moment {
            std::hint::spin_loop();
        }
        self.child.kill().unwrap();
        while let Some((number, place)) = self.ack() {
            assert!(acked.insert(number, place).is_none(), "{number} acknowledged twice");
        }
        self.child.wait().unwrap();
    }
}

fn drain(reader: &mut dyn PartitionReader) -> Vec<Stored> {
    let mut records = Vec::new();
    loop {
        let batch = reader.try_next(1000, 1 << 20).unwrap();
        if batch.is_empty() {
            return records;
        }
        records.extend(batch);
    }
}

/// Checks a log against what was acknowledged, and returns its records.
async fn check(log: &EmbeddedLog, acked: &BTreeMap<u64, (u32, u64)>) -> Vec<Vec<Stored>> {
    let mut partitions = Vec::new();
    let mut places: HashMap<u64, (u32, u64)> = HashMap::new();
    for partition in 0..2 {
        let mut reader = log.reader(TOPIC, partition, Start::Earliest).await.unwrap();
        let records = drain(reader.as_mut());
        for (offset, stored) in (0..).zip(&records) {
            assert_eq!(stored.offset, offset, "a hole in partition {partition}");
            assert!(is_whole(stored), "number {} is altered", stored.timestamp_ns);
            let before = places.insert(stored.timestamp_ns, (partition, offset));
            assert!(before.is_none(), "number {} is there twice", stored.timestamp_ns);
        }
        partitions.push(records);
    }
    for (number, place) in acked {
        assert_eq!(places.get(number), Some(place), "number {number} was acknowledged");
    }
    partitions
}

async fn readers(log: &EmbeddedLog) -> Vec<Box<dyn PartitionReader>> {
    let mut readers = Vec::new();
    for partition in 0..2 {
        readers.push(log.reader(TOPIC, partition, Start::Earliest).await.unwrap());
    }
    readers
}

#[tokio::test]
async fn what_was_acknowledged_survives_kill_9_at_forty_random_moments() {
    let root = tempfile::tempdir().unwrap();
    let dir = root.path().join("log");
    let seed = rand::random::<u64>();
    eprintln!("seed {seed}");
    let mut rng = StdRng::seed_from_u64(seed);
    let mut acked = BTreeMap::new();
    // This process reads along all the time: what it was given must never change or vanish.
    let follower = open(&dir);
    follower.create_topic(spec(Durability::Interval)).await.unwrap();
    let mut following = readers(&follower).await;
    let mut followed = [Vec::new(), Vec::new()];
    let mut torn_tails = 0;
    for round in 0..40 {
        let durability = if round % 4 == 0 { Durability::Fsync } else { Durability::Interval };
        let segment_bytes = if round % 3 == 0 { SMALL } else { LARGE };
        let writer = Writer::start(&dir, round * 1_000_000, durability, segment_bytes);
        writer.kill_after(rng.random_range(0..250), moment(&mut rng), &mut acked);
        for (reader, followed) in following.iter_mut().zip(&mut followed) {
            followed.extend(drain(reader.as_mut()));
        }
        let log = open(&dir);
        torn_tails += log.metrics().torn_tails;
        if round % 8 == 7 {
            check(&log, &acked).await;
        }
    }
    eprintln!("{torn_tails} torn tails");
    let partitions = check(&open(&dir), &acked).await;
    for (followed, reader) in followed.iter_mut().zip(&mut following) {
        followed.extend(drain(reader.as_mut()));
    }
    assert_eq!(partitions, followed);
    assert!(acked.len() > 1000, "only {} acknowledged", acked.len());
}

#[tokio::test]
async fn a_writer_goes_on_while_another_on_its_topic_is_killed_again_and_again() {
    let root = tempfile::tempdir().unwrap();
    let dir = root.path().join("log");
    let seed = rand::random::<u64>();
    eprintln!("seed {seed}");
    let mut rng = StdRng::seed_from_u64(seed);
    let mut acked = BTreeMap::new();
    let mut steady = Writer::start(&dir, 900_000_000, Durability::Interval, SMALL);
    for round in 0..15 {
        let victim = Writer::start(&dir, round * 1_000_000, Durability::Interval, LARGE);
        victim.kill_after(rng.random_range(0..150), moment(&mut rng), &mut acked);
        // The survivor is alive: it acknowledges more.
        for _ in 0..50 {
            let (number, place) = steady.ack().expect("the survivor lives");
            acked.insert(number, place);
        }
    }
    steady.kill_after(0, Duration::ZERO, &mut acked);
    check(&open(&dir), &acked).await;
}

/// Fills a small file system, meets its end, makes room, and goes on.
#[tokio::test]
async fn child_fills_a_small_disk() {
    let Ok(dir) = std::env::var("EVENTLOG_SMALL_DISK") else { return };
    let dir = PathBuf::from(dir).join("log");
    let config = EmbeddedConfig { segment_bytes: 100_000, ..EmbeddedConfig::new(&dir) };
    let log = EmbeddedLog::open(config.clone()).unwrap();
    let retention = Retention { age: None, bytes: Some(400_000) };
    log.create_topic(TopicSpec { partitions: 1, retention, ..spec(Durability::Fsync) }).await.unwrap();
    let value = |n: u64| vec![u8::try_from(n % 251).unwrap(); 7000];
    let record = |n: u64| Record { key: "k".into(), value: value(n).into(), timestamp_ns: n };
    let mut acked = 0;
    let error = loop {
        match log.append(TOPIC, vec![record(acked), record(acked + 1)]).await {
            Ok(_) => acked += 2,
            Err(error) => break error,
        }
    };
    assert!(matches!(error, LogError::NoSpace { .. }) && error.is_retryable(), "{error}");
    assert!(acked > 20, "{acked}");
    let mut reader = log.reader(TOPIC, 0, Start::Earliest).await.unwrap();
    assert_eq!(drain(reader.as_mut()).len() as u64, acked, "half a batch was kept");
    // Retention makes room, and the partition takes records again.
    log.upkeep().await.unwrap();
    log.append(TOPIC, vec![record(acked)]).await.unwrap();
    log.close().await;
    let log = EmbeddedLog::open(config).unwrap();
    let mut reader = log.reader(TOPIC, 0, Start::Earliest).await.unwrap();
    let records = drain(reader.as_mut());
    let numbers: Vec<u64> = records.iter().map(|r| r.timestamp_ns).collect();
    assert_eq!(numbers, (records[0].offset..=acked).collect::<Vec<_>>());
    assert!(records.iter().all(|r| r.value == value(r.timestamp_ns)));
    eprintln!("small disk done");
}

#[test]
fn a_full_file_system_gives_a_typed_error_and_no_damaged_files() {
    let root = tempfile::tempdir().unwrap();
    let mount = "mount -t tmpfs -o size=1m none \"$EVENTLOG_SMALL_DISK\"";
    let in_namespace = |script: String| {
        let mut command = Command::new("unshare");
        command.args(["-rm", "sh", "-c", &script]).env("EVENTLOG_SMALL_DISK", root.path());
        command
    };
    if !in_namespace(mount.to_owned()).output().is_ok_and(|o| o.status.success()) {
        eprintln!("left out: no mount namespaces here; a full disk is also injected in the unit tests");
        return;
    }
    let exe = std::env::current_exe().unwrap();
    let child = format!("{mount} && exec '{}' --exact child_fills_a_small_disk --nocapture", exe.display());
    let output = in_namespace(child).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.contains("small disk done"), "{said}");
}
