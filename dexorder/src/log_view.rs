//! `dexorder topics` and `dexorder tail`: a look into the event log, beside a running platform or without one.

use crate::cli::{LogArgs, TailArgs};
use anyhow::Context;
use eventlog::{EmbeddedLog, EventLog, PartitionReader, Start, Stored, TopicInfo};
use proto::{Envelope, EventType, wire};
use std::io::Write;
use std::path::Path;
use std::sync::Arc;

const BATCH: usize = 1024;
const BATCH_BYTES: usize = 4 << 20;

fn open(data_dir: &Path) -> anyhow::Result<Arc<EmbeddedLog>> {
    let dir = data_dir.join("log");
    anyhow::ensure!(dir.is_dir(), "{}: no event log here (start a platform first, or give --data-dir)", dir.display());
    Ok(EmbeddedLog::open(crate::config::shared_log(&dir))?)
}

/// Lists the topics with their records and bytes.
pub(crate) async fn topics(args: &LogArgs, out: &mut impl Write) -> anyhow::Result<()> {
    let topics = open(&args.data_dir)?.topics().await?;
    if !args.json {
        writeln!(out, "{:<16} {:>10} {:>14} {:>14} {:>14}", "topic", "partitions", "records", "next offset", "bytes")?;
    }
    for topic in topics {
        let (records, next, bytes) = totals(&topic);
        let (name, partitions) = (&topic.spec.name, topic.partitions.len());
        if args.json {
            let line = serde_json::json!({
                "topic": name, "partitions": partitions, "records": records, "next_offset": next, "bytes": bytes,
            });
            writeln!(out, "{line}")?;
        } else {
            writeln!(out, "{name:<16} {partitions:>10} {records:>14} {next:>14} {bytes:>14}")?;
        }
    }
    Ok(())
}

fn totals(topic: &TopicInfo) -> (u64, u64, u64) {
    topic.partitions.iter().fold((0, 0, 0), |(records, next, bytes), partition| {
        (records + (partition.high - partition.low), next + partition.high, bytes + partition.bytes)
    })
}

/// Shows the last records of a topic, and with `--follow` what comes.
pub(crate) async fn tail(args: &TailArgs, out: &mut impl Write) -> anyhow::Result<()> {
    let log = open(&args.data_dir)?;
    let topics = log.topics().await?;
    let topic = topics.iter().find(|t| t.spec.name == args.topic).with_context(|| {
        let names: Vec<_> = topics.iter().map(|t| t.spec.name.as_str()).collect();
        format!("topic {}: not in this log, which has {}", args.topic, names.join(", "))
    })?;
    let mut readers = Vec::new();
    let mut records = Vec::new();
    for (partition, info) in (0u32..).zip(&topic.partitions) {
        // With a key filter the wanted records may be far back.
        let back = if args.key.is_some() { u64::MAX } else { args.lines };
        let start = info.high.saturating_sub(back).max(info.low);
        let mut reader = log.reader(&args.topic, partition, Start::Offset(start)).await?;
        loop {
            let batch = reader.try_next(BATCH, BATCH_BYTES)?;
            if batch.is_empty() {
                break;
            }
            records.extend(batch.into_iter().filter(|record| wanted(record, args)));
            keep_last(&mut records, args.lines);
        }
        readers.push(reader);
    }
    keep_last(&mut records, args.lines);
    for record in &records {
        show(record, args.json, out)?;
    }
    if args.follow { follow(readers, args, out).await } else { Ok(()) }
}

fn wanted(record: &Stored, args: &TailArgs) -> bool {
    args.key.as_ref().is_none_or(|key| record.key == key.as_bytes())
}

/// Keeps the newest `lines` records by time stamp.
fn keep_last(records: &mut Vec<Stored>, lines: u64) {
    records.sort_by_key(|r| (r.timestamp_ns, r.partition, r.offset));
    let excess = records.len().saturating_sub(usize::try_from(lines).unwrap_or(usize::MAX));
    records.drain(..excess);
}

async fn follow(readers: Vec<Box<dyn PartitionReader>>, args: &TailArgs, out: &mut impl Write) -> anyhow::Result<()> {
    let (sender, mut batches) = tokio::sync::mpsc::channel(8);
    let mut tasks = tokio::task::JoinSet::new();
    for mut reader in readers {
        let sender = sender.clone();
        tasks.spawn(async move {
            loop {
                let batch = reader.next(BATCH, BATCH_BYTES).await;
                let failed = batch.is_err();
                if sender.send(batch).await.is_err() || failed {
                    return;
                }
            }
        });
    }
    drop(sender);
    let stop = service::lifecycle::stop_signal();
    tokio::pin!(stop);
    loop {
        tokio::select! {
            stopped = &mut stop => return Ok(stopped?),
            batch = batches.recv() => {
                let Some(batch) = batch else { return Ok(()) };
                for record in batch?.iter().filter(|record| wanted(record, args)) {
                    show(record, args.json, out)?;
                }
                out.flush()?;
            }
        }
    }
}

fn show(record: &Stored, json: bool, out: &mut impl Write) -> std::io::Result<()> {
    let at = format!("{}/{}@{}", record.topic, record.partition, record.offset);
    let (kind, key, content) = match Envelope::decode(&record.value) {
        Ok(envelope) => (envelope.event_type.name().to_owned(), envelope.key.clone(), content(&envelope)),
        Err(error) => ("?".to_owned(), String::from_utf8_lossy(&record.key).into_owned(), error.to_string()),
    };
    if json {
        let line = serde_json::json!({
            "topic": &*record.topic, "partition": record.partition, "offset": record.offset,
            "timestamp_ns": record.timestamp_ns, "type": kind, "key": key, "content": content,
        });
        writeln!(out, "{line}")
    } else {
        let time = i64::try_from(record.timestamp_ns)
            .ok()
            .and_then(|ns| jiff::Timestamp::from_nanosecond(i128::from(ns)).ok())
            .map_or_else(String::new, |t| format!("{t:.3}"));
        writeln!(out, "{at:<22} {time:<24} {kind:<12} {key:<24} {content}")
    }
}

/// The message in one line.
fn content(envelope: &Envelope) -> String {
    fn line<M: prost::Message + Default + std::fmt::Debug>(envelope: &Envelope, show: impl Fn(M) -> String) -> String {
        envelope.message(envelope.event_type).map_or_else(|error| error.to_string(), show)
    }
    let decimal = |value: &Option<wire::Decimal>| {
        value.as_ref().and_then(|v| proto::Decimal::try_from(v).ok()).map_or_else(|| "?".to_owned(), |v| v.to_string())
    };
    match envelope.event_type {
        EventType::RawFrame => line(envelope, |m: wire::RawFrame| {
            format!("{} {}", m.channel, String::from_utf8_lossy(&m.payload).chars().take(400).collect::<String>())
        }),
        EventType::Tick => line(envelope, |m: wire::Tick| {
            let side = m.side().as_str_name().trim_start_matches("SIDE_").to_ascii_lowercase();
            let mark = if m.repaired { " repaired" } else { "" };
            format!("id {} {side} {} at {}{mark}", m.trade_id, decimal(&m.size), decimal(&m.price))
        }),
        EventType::Quote => line(envelope, |m: wire::Quote| {
            let (bid, ask) = (decimal(&m.bid_price), decimal(&m.ask_price));
            format!("{} x {bid} / {ask} x {}", decimal(&m.bid_size), decimal(&m.ask_size))
        }),
        EventType::TickBatch => line(envelope, |m: wire::TickBatch| {
            format!("{} ticks, part {}, last {}, requests {:?}", m.ticks.len(), m.part, m.last, m.request_ids)
        }),
        EventType::OhlcBatch => line(envelope, |m: wire::OhlcBatch| {
            let (count, part, last) = (m.candles.len(), m.part, m.last);
            format!("{count} candles of {}s, part {part}, last {last}, requests {:?}", m.interval_s, m.request_ids)
        }),
        EventType::Heartbeat => line(envelope, |m: wire::Heartbeat| format!("up to {}", m.event_time_ns)),
        EventType::Instrument => line(envelope, |m: wire::Instrument| format!("{m:?}")),
        EventType::FeedStatus => line(envelope, |m: wire::FeedStatus| format!("{m:?}")),
        EventType::JobStatus => line(envelope, |m: wire::JobStatus| format!("{m:?}")),
        EventType::HistoryReadyNotification => line(envelope, |m: wire::HistoryReadyNotification| format!("{m:?}")),
        EventType::DeadLetter => line(envelope, |m: wire::DeadLetter| {
            let payload = String::from_utf8_lossy(&m.payload).chars().take(200).collect::<String>();
            format!("{}: {} ({}) {payload}", m.topic, m.reason, m.detail)
        }),
    }
}
