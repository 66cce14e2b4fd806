//! Frames into the log: first the exact bytes on `raw.ws`, then what they say on `norm.*`, each with a reference to its
//! bytes. What cannot be used goes to a dead-letter topic.

use crate::log_writer::{Header, LogWriter, WriteError};
use crate::normalise::{Decoded, Stage};
use bytes::Bytes;
use eventlog::Record;
use proto::market::{Quote, Tick};
use proto::{EventType, LogTopic, RawReference, Symbol, wire};
use std::collections::HashMap;
use std::sync::Arc;

/// A frame as it came.
#[derive(Debug, Clone)]
pub(crate) struct RawInput {
    /// Which connection or recording brought it.
    pub(crate) channel: Arc<str>,
    pub(crate) receive_time_ns: u64,
    pub(crate) payload: Bytes,
}

/// Writes the frames of one venue.
#[derive(Debug)]
pub(crate) struct Store {
    writer: LogWriter,
    /// Record keys, so that they are built once.
    keys: HashMap<Symbol, String>,
}

impl Store {
    pub(crate) fn new(writer: LogWriter) -> Self {
        Self { writer, keys: HashMap::new() }
    }

    pub(crate) const fn writer(&self) -> &LogWriter {
        &self.writer
    }

    /// Writes the bytes of frames; tells where each is.
    ///
    /// # Errors
    /// [`WriteError`].
    pub(crate) async fn raw(&self, frames: &[RawInput]) -> Result<Vec<RawReference>, WriteError> {
        let venue = self.writer.board().venue();
        let record = |frame: &RawInput| {
            let message = wire::RawFrame {
                venue: venue.to_string(),
                channel: frame.channel.to_string(),
                receive_time_ns: frame.receive_time_ns,
                payload: frame.payload.to_vec(),
            };
            let header = Header {
                event_type: EventType::RawFrame,
                venue,
                key: venue.as_str(),
                observed_at_ns: frame.receive_time_ns,
                raw: None,
            };
            self.writer.record(header, &message)
        };
        let places = self.writer.append(LogTopic::RawWs, frames.iter().map(record).collect()).await?;
        let reference =
            |(partition, offset)| RawReference { topic: LogTopic::RawWs.name().to_owned(), partition, offset };
        Ok(places.into_iter().map(reference).collect())
    }

    /// Writes what the frames say. `raw` and `frames` are indexed by the frame indexes in `decoded`.
    ///
    /// # Errors
    /// [`WriteError`].
    pub(crate) async fn decoded(
        &mut self,
        decoded: &Decoded,
        frames: &[RawInput],
        raw: &[RawReference],
    ) -> Result<(), WriteError> {
        let ticks = decoded.ticks.iter().map(|(at, tick)| self.tick(tick, raw.get(*at))).collect();
        let quotes = decoded.quotes.iter().map(|(at, quote)| self.quote(quote, raw.get(*at))).collect();
        let (mut dead_raw, mut dead_norm) = (Vec::new(), Vec::new());
        for refusal in &decoded.refusals {
            let payload = frames.get(refusal.frame).map_or(&[][..], |frame| &frame.payload);
            let why = (refusal.reason, refusal.detail.as_str());
            let raw = raw.get(refusal.frame).cloned();
            let (topic, list) = match refusal.stage {
                Stage::Raw => (LogTopic::RawWs, &mut dead_raw),
                Stage::Normalised => (LogTopic::NormTick, &mut dead_norm),
            };
            list.push(self.writer.dead_letter(topic, why, payload, raw));
            self.writer.board().metrics.rejected(refusal.reason);
        }
        self.writer.append(LogTopic::NormTick, ticks).await?;
        self.writer.append(LogTopic::NormQuote, quotes).await?;
        self.writer.append(LogTopic::DlqRaw, dead_raw).await?;
        self.writer.append(LogTopic::DlqNorm, dead_norm).await?;
        self.count(decoded);
        Ok(())
    }

    fn count(&self, decoded: &Decoded) {
        let board = self.writer.board();
        board.metrics.ticks.inc_by(decoded.ticks.len() as u64);
        board.metrics.quotes.inc_by(decoded.quotes.len() as u64);
        for (kind, count) in &decoded.ignored {
            board.metrics.ignored(kind, *count);
        }
        let ticks = decoded.ticks.iter().map(|(_, tick)| (tick.event_time_ns, tick.receive_time_ns));
        let quotes = decoded.quotes.iter().map(|(_, quote)| (quote.event_time_ns, quote.receive_time_ns));
        if let Some((event_ns, receive_ns)) = ticks.chain(quotes).max_by_key(|(_, receive_ns)| *receive_ns) {
            board.event(event_ns, receive_ns);
        }
    }

    /// Writes heartbeats: (symbol, complete until, end of stream).
    ///
    /// # Errors
    /// [`WriteError`].
    pub(crate) async fn heartbeats(&mut self, beats: &[(Symbol, u64)], end_of_stream: bool) -> Result<(), WriteError> {
        let record = |(symbol, event_time_ns): &(Symbol, u64)| {
            let venue = self.writer.board().venue();
            let message = wire::Heartbeat {
                venue: venue.to_string(),
                symbol: symbol.to_string(),
                event_time_ns: *event_time_ns,
                end_of_stream,
            };
            let key = LogTopic::key(venue, symbol);
            let header = Header {
                event_type: EventType::Heartbeat,
                venue,
                key: &key,
                observed_at_ns: *event_time_ns,
                raw: None,
            };
            self.writer.record(header, &message)
        };
        self.writer.append(LogTopic::NormTick, beats.iter().map(record).collect()).await?;
        self.writer.board().metrics.heartbeats.inc_by(beats.len() as u64);
        Ok(())
    }

    fn tick(&mut self, tick: &Tick, raw: Option<&RawReference>) -> Record {
        let key = self.keys.entry(tick.symbol.clone()).or_insert_with(|| LogTopic::key(&tick.venue, &tick.symbol));
        let header = Header {
            event_type: EventType::Tick,
            venue: &tick.venue,
            key,
            observed_at_ns: tick.event_time_ns,
            raw: raw.cloned(),
        };
        self.writer.record(header, &wire::Tick::from(tick))
    }

    fn quote(&mut self, quote: &Quote, raw: Option<&RawReference>) -> Record {
        let key = self.keys.entry(quote.symbol.clone()).or_insert_with(|| LogTopic::key(&quote.venue, &quote.symbol));
        let header = Header {
            event_type: EventType::Quote,
            venue: &quote.venue,
            key,
            observed_at_ns: quote.event_time_ns,
            raw: raw.cloned(),
        };
        self.writer.record(header, &wire::Quote::from(quote))
    }
}

/// Fetched ticks of one symbol as records of at most [`proto::limits::BATCH_ROWS`] ticks.
pub(crate) fn tick_batches(
    writer: &LogWriter,
    ticks: &[Tick],
    raw: Option<&RawReference>,
    shape: impl Fn(&[Tick], usize) -> wire::TickBatch,
) -> Vec<Record> {
    let record = |(part, ticks): (usize, &[Tick])| {
        let first = &ticks[0];
        let key = LogTopic::key(&first.venue, &first.symbol);
        let header = Header {
            event_type: EventType::TickBatch,
            venue: &first.venue,
            key: &key,
            observed_at_ns: first.event_time_ns,
            raw: raw.cloned(),
        };
        writer.record(header, &shape(ticks, part))
    };
    ticks.chunks(proto::limits::BATCH_ROWS).enumerate().map(record).collect()
}
