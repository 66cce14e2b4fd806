//! What the log already holds of a venue: read once at start, so that trades missed while this process was away are found.

use crate::intake::SharedContinuity;
use eventlog::{EventLog, Start};
use proto::market::{Source, Tick};
use proto::{Envelope, EventType, LogTopic, Symbol, Venue, wire};
use std::collections::{BTreeSet, HashMap};

/// Bytes read at a time.
const CHUNK_BYTES: usize = 4 << 20;
const CHUNK_RECORDS: usize = 4_096;

/// Recalls the last trades of these symbols from `norm.tick`: at most `records` records of each partition. Trades of
/// replays and of history requests are of other times and do not count. Returns how many trades were recalled.
///
/// # Errors
/// If the log cannot be read.
pub(crate) async fn recall(
    log: &dyn EventLog,
    venue: &Venue,
    symbols: &[Symbol],
    records: u64,
    continuity: &SharedContinuity,
    now_ns: u64,
) -> Result<u64, eventlog::LogError> {
    let name = LogTopic::NormTick.name();
    let wanted: BTreeSet<String> = symbols.iter().map(|symbol| LogTopic::key(venue, symbol)).collect();
    let Some(info) = log.topics().await?.into_iter().find(|info| info.spec.name == name) else { return Ok(0) };
    let mut recalled = 0;
    // Event time of the first trade of each symbol whose whole past is here, unless the time before it was fetched.
    let mut first: HashMap<Symbol, Option<u64>> = HashMap::new();
    for (number, partition) in (0u32..).zip(&info.partitions) {
        let start = partition.low.max(partition.high.saturating_sub(records));
        let mut reader = log.reader(name, number, Start::Offset(start)).await?;
        while reader.position() < partition.high {
            let chunk = reader.try_next(CHUNK_RECORDS, CHUNK_BYTES)?;
            if chunk.is_empty() {
                break;
            }
            for stored in chunk {
                if std::str::from_utf8(&stored.key).is_ok_and(|key| wanted.contains(key)) {
                    let ticks = ticks_of(&stored.value);
                    if start == 0 {
                        note_start(&stored.value, &ticks, &mut first);
                    }
                    recalled += ticks.len() as u64;
                    continuity.with(|continuity| {
                        for tick in &ticks {
                            continuity.recall(&tick.symbol, &tick.trade_id, tick.event_time_ns, now_ns);
                        }
                    });
                }
            }
        }
    }
    for (symbol, first_ns) in first {
        if let Some(first_ns) = first_ns {
            continuity.with(|continuity| continuity.recall_start(&symbol, first_ns, now_ns));
        }
    }
    Ok(recalled)
}

fn note_start(value: &[u8], ticks: &[Tick], first: &mut HashMap<Symbol, Option<u64>>) {
    if let Some(tick) = ticks.first() {
        first.entry(tick.symbol.clone()).or_insert(Some(tick.event_time_ns));
    } else if let Ok(envelope) = Envelope::decode(value)
        && let Ok(seed) = envelope.message::<wire::OhlcBatch>(EventType::OhlcBatch)
        && let Ok(symbol) = seed.symbol.parse()
    {
        first.insert(symbol, None);
    }
}

/// The trades of a record that belong to the live series. What cannot be read is somebody else's problem: the aggregator
/// counts it.
fn ticks_of(value: &[u8]) -> Vec<Tick> {
    let Ok(envelope) = Envelope::decode(value) else { return Vec::new() };
    let messages = match envelope.event_type {
        EventType::Tick => envelope.message::<wire::Tick>(EventType::Tick).map(|tick| vec![tick]),
        EventType::TickBatch => envelope
            .message::<wire::TickBatch>(EventType::TickBatch)
            .map(|batch| if batch.request_ids.is_empty() { batch.ticks } else { Vec::new() }),
        _ => return Vec::new(),
    };
    let ticks = messages.unwrap_or_default();
    ticks.iter().filter_map(|tick| Tick::try_from(tick).ok()).filter(|tick| tick.source != Source::Replay).collect()
}
