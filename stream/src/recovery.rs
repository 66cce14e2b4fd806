//! The start: what the checkpoint, the lake and the log know, made into one state.
//!
//! Every partition is read up to what the lake's tables have before any record behind that is taken: a venue candle that
//! was committed must be known before a later trade of its window is looked at.

use crate::aggregate::{Aggregator, Params};
use crate::checkpoint::{CheckpointStore, Positions, State};
use crate::engine::{Cuts, Engine};
use crate::error::StreamError;
use crate::input::{BatchLimits, decoded};
use crate::metrics::StreamMetrics;
use crate::venue_marks::VenueMarks;
use bytes::Bytes;
use eventlog::{EventLog, PartitionInfo, PartitionReader, Start};
use lake::{Lake, SourcePartition, Table};
use proto::{Envelope, EventType, LogTopic, Topic, wire};
use std::collections::BTreeMap;
use tracing::{info, warn};

/// How much of the notifications is read at once.
const NOTICES_AT_ONCE: usize = 500;
const NOTICE_BYTES_AT_ONCE: usize = 1 << 20;

/// The topics that make the state.
pub(crate) const SOURCES: [LogTopic; 2] = [LogTopic::NormTick, LogTopic::NormOhlc];

/// What the lake has, by table.
#[derive(Debug)]
pub(crate) struct Committed {
    pub(crate) ticks: BTreeMap<SourcePartition, u64>,
    pub(crate) candles: BTreeMap<SourcePartition, u64>,
}

impl Committed {
    pub(crate) async fn read(lake: &Lake) -> Result<Self, StreamError> {
        Ok(Self { ticks: lake.committed(Table::Ticks).await?, candles: lake.committed(Table::Candles).await? })
    }

    pub(crate) fn cuts(&self) -> Cuts {
        let of = |table: &BTreeMap<SourcePartition, u64>| {
            let known = table.iter().filter_map(|((name, partition), last)| {
                let topic = SOURCES.into_iter().find(|topic| topic.name() == name)?;
                Some(((topic, *partition), *last))
            });
            known.collect()
        };
        Cuts { ticks: of(&self.ticks), candles: of(&self.candles) }
    }
}

/// The partitions of a source topic.
#[derive(Debug)]
pub(crate) struct Sources(pub(crate) BTreeMap<LogTopic, Vec<PartitionInfo>>);

impl Sources {
    pub(crate) async fn read(log: &dyn EventLog) -> Result<Self, StreamError> {
        let topics = log.topics().await?;
        let known = topics.into_iter().filter_map(|info| {
            let topic = SOURCES.into_iter().find(|topic| topic.name() == info.spec.name)?;
            Some((topic, info.partitions))
        });
        Ok(Self(known.collect()))
    }

    fn count(&self, topic: LogTopic) -> usize {
        self.0.get(&topic).map_or(0, Vec::len)
    }

    fn partitions(&self) -> impl Iterator<Item = (LogTopic, u32, PartitionInfo)> {
        self.0.iter().flat_map(|(topic, partitions)| {
            (0u32..).zip(partitions).map(|(partition, info)| (*topic, partition, *info))
        })
    }

    /// Refuses a log that ends before what was processed of it.
    fn check(&self, positions: &Positions, cuts: &Cuts) -> Result<(), StreamError> {
        for (topic, partition, info) in self.partitions() {
            let place = (topic, partition);
            let read = positions.get(&place).and_then(|next| next.checked_sub(1));
            let known = [read, cuts.ticks.get(&place).copied(), cuts.candles.get(&place).copied()];
            if let Some(known) = known.into_iter().flatten().max().filter(|known| *known >= info.high) {
                return Err(StreamError::LogBehind { topic, partition, high: info.high, known });
            }
        }
        Ok(())
    }
}

/// The state to start from.
pub(crate) struct Restored {
    pub(crate) state: State,
    /// No checkpoint was usable though there should have been one.
    pub(crate) rebuilt: bool,
}

/// Loads the newest usable checkpoint and makes it fit the log.
pub(crate) async fn restore(
    log: &dyn EventLog,
    store: &CheckpointStore,
    (params, marks): (Params, usize),
    cuts: &Cuts,
    metrics: &StreamMetrics,
) -> Result<Restored, StreamError> {
    let sources = Sources::read(log).await?;
    let loaded = store.load();
    for error in &loaded.unusable {
        metrics.checkpoints_unusable.inc();
        warn!(%error, "checkpoint not usable");
    }
    let rebuilt = loaded.state.is_none() && !cuts.candles.is_empty();
    let mut state = loaded.state.unwrap_or_else(|| State {
        positions: Positions::new(),
        partitions: (0..sources.count(LogTopic::NormTick)).map(|_| Aggregator::new(params)).collect(),
        marks: VenueMarks::new(marks),
    });
    if state.partitions.len() != sources.count(LogTopic::NormTick) {
        let (topic, expected) = (LogTopic::NormTick, state.partitions.len());
        return Err(StreamError::Partitions { topic, got: sources.count(topic), expected });
    }
    sources.check(&state.positions, cuts)?;
    if rebuilt {
        warn!("no checkpoint: the state is derived again from the whole log");
    }
    for (topic, partition, info) in sources.partitions() {
        let position = state.positions.entry((topic, partition)).or_default();
        if *position < info.low {
            warn!(%topic, partition, from = *position, to = info.low, "records are gone from the log");
            *position = info.low;
            if topic == LogTopic::NormTick {
                let unknown_until_ns = first_written_ns(log, topic, partition, info).await?;
                let past = Aggregator::with_unknown_past(params, unknown_until_ns.saturating_add(params.ahead_ns));
                state.partitions[partition as usize] = past;
            }
        }
    }
    Ok(Restored { state, rebuilt })
}

/// When the first record that is left was written: everything that is gone was written before.
async fn first_written_ns(
    log: &dyn EventLog,
    topic: LogTopic,
    partition: u32,
    info: PartitionInfo,
) -> Result<u64, StreamError> {
    if info.low == info.high {
        return Ok(service::clock::now_ns());
    }
    let mut reader = log.reader(topic.name(), partition, Start::Offset(info.low)).await?;
    let first = reader.try_next(1, 1)?.into_iter().next();
    let written = first.map(|record| match Envelope::decode(&record.value) {
        Ok(envelope) => envelope.ingested_at_ns,
        Err(_) => record.timestamp_ns,
    });
    Ok(written.unwrap_or_else(service::clock::now_ns))
}

/// The newest `most` history notifications of the log: who asked before a restart may subscribe after it.
pub(crate) async fn notices(
    log: &dyn EventLog,
    most: usize,
) -> Result<Vec<(Topic, wire::HistoryReadyNotification)>, StreamError> {
    const TOPIC: LogTopic = LogTopic::NotifHistory;
    let (topics, mut notices) = (log.topics().await?, Vec::new());
    let partitions = topics.into_iter().find(|info| info.spec.name == TOPIC.name()).map(|info| info.partitions);
    for (partition, PartitionInfo { low, high, .. }) in (0u32..).zip(partitions.unwrap_or_default()) {
        let mut next = low.max(high.saturating_sub(most as u64));
        let mut reader = log.reader(TOPIC.name(), partition, Start::Offset(next)).await?;
        while next < high {
            let stored = reader.next(NOTICES_AT_ONCE, NOTICE_BYTES_AT_ONCE).await?;
            next = stored.last().map_or(high, |record| record.offset + 1);
            notices.extend(stored.iter().filter_map(|record| notice(&record.value)));
        }
    }
    Ok(notices)
}

/// `None` if the record is no notification: then nobody can wait for it either.
fn notice(value: &Bytes) -> Option<(Topic, wire::HistoryReadyNotification)> {
    let envelope = Envelope::decode(value).ok()?;
    let notice: wire::HistoryReadyNotification = envelope.message(EventType::HistoryReadyNotification).ok()?;
    Some((Topic::HistoryReady(notice.request_id.parse().ok()?), notice))
}

/// Readers that stand where the engine stands.
pub(crate) type Readers = Vec<(LogTopic, Box<dyn PartitionReader>)>;

/// Reads again what the lake already has.
pub(crate) async fn replay(
    log: &dyn EventLog,
    engine: &mut Engine,
    cuts: &Cuts,
    limits: BatchLimits,
) -> Result<Readers, StreamError> {
    let places: Vec<(LogTopic, u32)> = engine.positions().keys().copied().collect();
    let mut readers = Readers::new();
    let mut replayed = 0u64;
    for (topic, partition) in places {
        let start = Start::Offset(engine.position(topic, partition));
        let mut reader = log.reader(topic.name(), partition, start).await?;
        while let Some(left) = cuts
            .candles
            .get(&(topic, partition))
            .and_then(|last| (last + 1).checked_sub(engine.position(topic, partition)))
            .filter(|left| *left > 0)
        {
            let records = limits.records.min(usize::try_from(left).unwrap_or(usize::MAX));
            let batch = decoded(topic, reader.next(records, limits.bytes).await?);
            replayed += batch.len() as u64;
            for record in batch {
                engine.record(record);
            }
            tokio::task::yield_now().await;
        }
        readers.push((topic, reader));
    }
    info!(replayed, "state recovered");
    Ok(readers)
}
