//! Reading partitions of the log: one task each, which also decodes. Bounded: a full queue pauses reading.

use crate::engine::{InputRecord, Source};
use crate::record::decode;
use eventlog::{LogError, PartitionReader, Stored};
use proto::LogTopic;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// Records of one partition, in order.
pub(crate) type Batch = Vec<InputRecord>;

/// How much is read at once.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BatchLimits {
    pub(crate) records: usize,
    pub(crate) bytes: usize,
}

/// Decodes stored records.
pub(crate) fn decoded(topic: LogTopic, stored: Vec<Stored>) -> Batch {
    stored
        .into_iter()
        .map(|record| InputRecord {
            source: Source { topic, partition: record.partition, offset: record.offset },
            decoded: decode(topic, &record.key, &record.value),
            key: record.key,
            value: record.value,
        })
        .collect()
}

/// Reads one partition until stopped.
///
/// # Errors
/// If the log cannot be read, or retention overtook the reader: what comes next would have a hole that nobody sees.
pub(crate) async fn read(
    mut reader: Box<dyn PartitionReader>,
    topic: LogTopic,
    limits: BatchLimits,
    batches: mpsc::Sender<Batch>,
    stop: CancellationToken,
) -> Result<(), LogError> {
    loop {
        let stored = tokio::select! {
            () = stop.cancelled() => return Ok(()),
            stored = reader.next(limits.records, limits.bytes) => stored?,
        };
        let batch = decoded(topic, stored);
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            sent = batches.send(batch) => if sent.is_err() {
                return Ok(());
            },
        }
    }
}
