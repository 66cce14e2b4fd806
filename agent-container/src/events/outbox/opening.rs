//! What an outbox finds on disk when it is opened.

use super::{EventsConfig, GROUP, OutboxError, TOPIC};
use crate::events::ledger::Ledger;
use eventlog::{Durability, EmbeddedConfig, EmbeddedLog, EventLog, PartitionInfo, Retention, Start, Stored, TopicSpec};
use proto::{EventMessage, Frame, Kind, OutboxId, Position, UserId, wire};
use service::clock::Clock;
use std::sync::Arc;

/// Small, so that what is acked leaves the disk soon.
const SEGMENT_BYTES: u64 = 8 << 20;
const READ_RECORDS: usize = 1024;
const READ_BYTES: usize = 1 << 20;

pub(super) struct Opening {
    pub(super) log: Arc<EmbeddedLog>,
    pub(super) ledger: Ledger,
    pub(super) outbox_id: OutboxId,
    pub(super) end: u64,
}

/// Opens the log, puts everything in it on disk, and counts what is not acked.
pub(super) async fn open(config: &EventsConfig, user_id: UserId, clock: &Clock) -> Result<Opening, OutboxError> {
    let embedded = EmbeddedConfig { segment_bytes: SEGMENT_BYTES, ..EmbeddedConfig::new(&config.outbox_dir) };
    let opened = tokio::task::spawn_blocking(move || EmbeddedLog::open(embedded)).await;
    let log = opened.map_err(|_| OutboxError::Closed)??;
    let info = partition(&log).await?;
    // Retention deletes oldest first while there is more than this, and what is not acked is the newest: never more
    // than the limit, unless the limit became smaller.
    let kept = config.limits.bytes.max(info.map_or(0, |info| info.bytes));
    let retention = Retention { age: None, bytes: Some(kept.saturating_add(2 * SEGMENT_BYTES)) };
    let name = TOPIC.to_owned();
    let spec = TopicSpec { name, partitions: 1, retention, compacted: false, durability: Durability::Fsync };
    log.create_topic(spec).await?;
    // What a killed process wrote may be in memory only. Nothing is sent before it is on disk.
    log.sync(TOPIC).await?;
    let (low, high) = info.map_or((0, 0), |info| (info.low, info.high));
    let acked = log.committed(GROUP, TOPIC, 0).await?.unwrap_or(0).clamp(low, high);
    let outbox_id = match first(&log, low, high).await? {
        Some(record) => identity(&record, user_id)?.outbox_id,
        None => OutboxId::from_bits(ulid::Ulid::from_parts(clock.now_ns() / 1_000_000, rand::random()).0),
    };
    let ledger = count(&log, config, (user_id, outbox_id), (acked, high)).await?;
    Ok(Opening { log, ledger, outbox_id, end: high + 1 })
}

async fn partition(log: &EmbeddedLog) -> Result<Option<PartitionInfo>, OutboxError> {
    let topics = log.topics().await?;
    Ok(topics.iter().find(|topic| topic.spec.name == TOPIC).and_then(|topic| topic.partitions.first().copied()))
}

async fn first(log: &EmbeddedLog, low: u64, high: u64) -> Result<Option<Stored>, OutboxError> {
    if low == high {
        return Ok(None);
    }
    Ok(log.reader(TOPIC, 0, Start::Offset(low)).await?.next(1, READ_BYTES).await?.pop())
}

/// Notes the size of each event that is not acked.
async fn count(
    log: &EmbeddedLog,
    config: &EventsConfig,
    (user_id, outbox_id): (UserId, OutboxId),
    (acked, high): (u64, u64),
) -> Result<Ledger, OutboxError> {
    let mut ledger = Ledger::new(config.limits, acked + 1);
    if acked == high {
        return Ok(ledger);
    }
    let mut reader = log.reader(TOPIC, 0, Start::Offset(acked)).await?;
    while reader.position() < high {
        for record in reader.next(READ_RECORDS, READ_BYTES).await? {
            if identity(&record, user_id)?.outbox_id != outbox_id {
                return Err(OutboxError::Foreign { offset: record.offset });
            }
            ledger.restore(record.value.len());
        }
    }
    Ok(ledger)
}

/// Where a stored event stands. The record is where it says that it is, and of this user.
fn identity(record: &Stored, expected: UserId) -> Result<Position, OutboxError> {
    let foreign = || OutboxError::Foreign { offset: record.offset };
    let event: wire::UserEvent =
        Frame::decode(&record.value).and_then(|frame| frame.message(Kind::UserEvent)).map_err(|_| foreign())?;
    let message = EventMessage::try_from(event).map_err(|_| foreign())?;
    if message.user_id() != expected {
        return Err(OutboxError::OtherUser { found: message.user_id(), expected });
    }
    message.position().filter(|position| position.sequence == record.offset + 1).ok_or_else(foreign)
}
