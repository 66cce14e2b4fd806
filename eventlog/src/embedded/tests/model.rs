//! Random histories against a plain list: whatever is appended is read, whatever happens in between.

use super::{Bench, EmbeddedLog, TOPIC, read_all, spec};
use crate::{EventLog, LogError, Record, Retention, Start, Stored, TopicSpec};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::sync::Arc;

/// One step of a history.
#[derive(Debug, Clone)]
enum Step {
    /// Appends records with these keys and lengths of values.
    Append(Vec<(u8, usize)>),
    /// Closes and opens the log.
    Restart,
    /// Opens the log as a kill -9 leaves it.
    Kill,
    /// Retention and compaction.
    Upkeep,
    /// Reads from an offset or a time, in per mille of all offsets, in batches of this many.
    Read(u64, bool, usize),
}

fn step() -> impl Strategy<Value = Step> {
    let record = (0u8..6, prop_oneof![8 => 0usize..40, 1 => 200usize..600]);
    prop_oneof![
        6 => proptest::collection::vec(record, 1..8).prop_map(Step::Append),
        1 => Just(Step::Restart),
        1 => Just(Step::Kill),
        2 => Just(Step::Upkeep),
        3 => (0u64..=1000, any::<bool>(), 1usize..10).prop_map(|(at, time, n)| Step::Read(at, time, n)),
    ]
}

/// All records ever appended; the index is the offset.
struct Model {
    all: Vec<Record>,
    compacted: bool,
}

impl Model {
    fn check(&self, got: &[Stored], from: u64, low: u64) {
        assert!(got.is_sorted_by(|a, b| a.offset < b.offset), "offsets go back");
        for stored in got {
            let record = &self.all[usize::try_from(stored.offset).unwrap()];
            assert!(
                stored.key == record.key && stored.value == record.value && stored.timestamp_ns == record.timestamp_ns
            );
        }
        let here: BTreeMap<u64, ()> = got.iter().map(|r| (r.offset, ())).collect();
        let end = self.all.len() as u64;
        let must: Vec<u64> = if self.compacted {
            let last: BTreeMap<_, u64> = (0..).zip(&self.all).map(|(offset, r)| (r.key.clone(), offset)).collect();
            last.into_values().filter(|offset| *offset >= from.max(low)).collect()
        } else {
            (from.max(low)..end).collect()
        };
        for offset in must {
            assert!(here.contains_key(&offset), "offset {offset} of {end} is missing, from {from}, low {low}");
        }
    }
}

async fn low(log: &EmbeddedLog) -> u64 {
    log.topics().await.unwrap()[0].partitions[0].low
}

async fn read_from(log: &EmbeddedLog, start: Start, batch: usize) -> Result<(u64, Vec<Stored>), LogError> {
    let mut reader = log.reader(TOPIC, 0, start).await?;
    let from = reader.position();
    let mut got = Vec::new();
    loop {
        let records = reader.try_next(batch, 300)?;
        if records.is_empty() {
            return Ok((from, got));
        }
        got.extend(records);
    }
}

async fn run(steps: Vec<Step>, compacted: bool, shared: bool, retention: Option<u64>) {
    let mut bench = Bench::new().segment_bytes(400);
    bench.config.shared = shared;
    let mut log: Arc<EmbeddedLog> = bench.open();
    let retention = Retention { age: None, bytes: retention };
    log.create_topic(TopicSpec { compacted, retention, ..spec() }).await.unwrap();
    let mut model = Model { all: Vec::new(), compacted };
    for step in steps {
        let count = model.all.len() as u64;
        match step {
            Step::Append(records) => {
                let make = |(n, (key, len)): (u64, (u8, usize))| Record {
                    key: format!("key{key}").into(),
                    value: vec![b'a' + key; len].into(),
                    timestamp_ns: (count + n) * 10,
                };
                let records: Vec<Record> = (0..).zip(records).map(make).collect();
                let places = log.append(TOPIC, records.clone()).await.unwrap();
                assert_eq!(places, (count..).take(records.len()).map(|o| (0, o)).collect::<Vec<_>>());
                model.all.extend(records);
            }
            Step::Restart => {
                log.close().await;
                log = bench.open();
            }
            Step::Kill => {
                let killed = bench.killed();
                drop(log);
                bench = killed;
                log = bench.open();
            }
            Step::Upkeep => log.upkeep().await.unwrap(),
            Step::Read(at, time, batch) => {
                let low = low(&log).await;
                let offset = (count * at / 1000).max(low);
                let start = if time { Start::Timestamp(offset * 10) } else { Start::Offset(offset) };
                let (from, got) = read_from(&log, start, batch).await.unwrap();
                assert!(compacted || from == offset, "{start:?} began at {from}, not {offset}");
                model.check(&got, offset, low);
            }
        }
    }
    let (got, error) = read_all(&log).await;
    assert!(error.is_none(), "{error:?}");
    model.check(&got, 0, low(&log).await);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]
    #[test]
    fn every_history_reads_back(
        steps in proptest::collection::vec(step(), 1..40),
        compacted: bool,
        shared: bool,
        retention in proptest::option::of(500u64..3000),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(run(steps, compacted, shared, retention));
    }
}
