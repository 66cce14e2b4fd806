//! Plays recordings into the log.

use super::lines::Line;
use super::merge::{Inspection, Merge, Played, inspect};
use super::{ReplayConfig, Speed};
use crate::board::Board;
use crate::log_writer::{LogWriter, WriteError};
use crate::metrics::IngestorMetrics;
use crate::normalise::{Decoded, Normaliser, Refusal, SourceRules, Stage, reason};
use crate::replay::summary::{FileSummary, ReplaySummary};
use crate::status::StatusPublisher;
use crate::store::{RawInput, Store};
use eventlog::EventLog;
use proto::market::Source;
use proto::wire::{FeedMode, FeedState};
use proto::{LogTopic, Symbol, Venue};
use service::clock::Clock;
use service::metrics::Metrics;
use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use venues::Adapter;

/// Lines handed over at a time.
const BATCH_LINES: usize = 1_024;
/// Bytes handed over at a time.
const BATCH_BYTES: usize = 1 << 20;
/// Batches that may wait; when full, the files are not read.
const BATCHES: usize = 4;
/// Name of the only link on a board.
const LINK: &str = "replay";
const LOG_RETRY: Duration = Duration::from_millis(100);
/// Venue of frames that no adapter reads.
const UNKNOWN_VENUE: &str = "UNKNOWN";

/// Why a replay broke off.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// There is nothing to play.
    #[error("no files to replay")]
    NoFiles,
    /// The named venue has no adapter.
    #[error("no adapter for venue {0}")]
    UnknownVenue(Venue),
    /// The log failed.
    #[error("event log: {0}")]
    Log(String),
}

impl From<WriteError> for ReplayError {
    fn from(error: WriteError) -> Self {
        let mut text = error.to_string();
        if let Some(source) = std::error::Error::source(&error) {
            text = format!("{text}: {source}");
        }
        Self::Log(text)
    }
}

impl From<eventlog::LogError> for ReplayError {
    fn from(error: eventlog::LogError) -> Self {
        Self::Log(error.to_string())
    }
}

/// What a replay works with.
#[derive(Debug, Clone)]
pub struct ReplayParts {
    /// Where to.
    pub log: Arc<dyn EventLog>,
    /// For counting.
    pub metrics: Metrics,
    /// Our clock.
    pub clock: Clock,
    /// Ends the replay early.
    pub stop: CancellationToken,
}

/// Plays the files and returns when the last record is on disk.
///
/// # Errors
/// If there is nothing to play or the log fails. A bad file is no error: the summary tells.
pub async fn play(config: &ReplayConfig, parts: ReplayParts) -> Result<ReplaySummary, ReplayError> {
    if config.files.is_empty() {
        return Err(ReplayError::NoFiles);
    }
    let forced = match &config.venue {
        Some(venue) => Some(crate::adapter_of(venue).ok_or_else(|| ReplayError::UnknownVenue(venue.clone()))?),
        None => None,
    };
    crate::create_topics(parts.log.as_ref()).await?;
    let started = Instant::now();
    let (files, merge) = inspect_all(config, forced.as_ref()).await;
    let mut player = Player::new(config, &parts, files);
    let publisher = player.publish_status();
    let (sender, batches) = mpsc::channel(BATCHES);
    let reader = tokio::task::spawn_blocking(move || read(merge, &sender));
    let complete = player.play(batches).await?;
    // Stopped early, the reader ends at its next batch because nobody takes it.
    let _read = reader.await;
    player.end(complete).await?;
    publisher.stop().await;
    for topic in [LogTopic::RawWs, LogTopic::NormTick, LogTopic::NormQuote, LogTopic::DlqRaw, LogTopic::DlqNorm] {
        parts.log.sync(topic.name()).await?;
    }
    let mut summary = player.summary;
    (summary.elapsed, summary.complete) = (started.elapsed(), complete);
    Ok(summary)
}

type Files = Vec<(FileSummary, Option<Arc<dyn Adapter>>)>;

/// Looks at each file. A file that cannot be opened is left out of the merge and keeps its error.
async fn inspect_all(config: &ReplayConfig, forced: Option<&Arc<dyn Adapter>>) -> (Files, Merge) {
    let paths: Vec<PathBuf> = config.files.clone();
    let looked =
        tokio::task::spawn_blocking(move || paths.into_iter().map(|path| (inspect(&path), path)).collect::<Vec<_>>());
    let (mut files, mut merged) = (Vec::new(), Vec::new());
    for (index, (inspection, path)) in looked.await.unwrap_or_default().into_iter().enumerate() {
        let mut summary = FileSummary { path: path.clone(), ..FileSummary::default() };
        let adapter = match inspection {
            Ok(Inspection { begins_ns, adapter }) => {
                merged.push((begins_ns, index, path));
                forced.cloned().or_else(|| adapter.map(|adapter| adapter.refined(&[])))
            }
            Err(error) => {
                summary.error = Some(format!("cannot be read: {error}"));
                files.push((summary, None));
                continue;
            }
        };
        if adapter.is_none() {
            summary.error = Some("no adapter reads its frames; they are on dlq.raw".to_owned());
            tracing::warn!(file = %summary.path.display(), "recording of no known venue");
        }
        summary.venue = adapter.as_ref().map(|adapter| adapter.venue().clone());
        files.push((summary, adapter));
    }
    (files, Merge::new(merged))
}

/// Reads the merged files and hands over batches, until the end or until nobody listens.
fn read(merge: Merge, sender: &mpsc::Sender<Vec<Played>>) {
    let (mut batch, mut bytes) = (Vec::new(), 0);
    for played in merge {
        if let Played::Line(_, Line::Frame { payload, .. } | Line::Bad { content: payload, .. }) = &played {
            bytes += payload.len();
        }
        batch.push(played);
        if batch.len() >= BATCH_LINES || bytes >= BATCH_BYTES {
            bytes = 0;
            if sender.blocking_send(std::mem::take(&mut batch)).is_err() {
                return;
            }
        }
    }
    // If nobody listens any more, the replay was stopped.
    let _stopped = sender.blocking_send(batch);
}

/// A file in play.
#[derive(Debug)]
struct Recording {
    venue: Venue,
    channel: Arc<str>,
    /// `None` if nobody reads its frames.
    adapter: Option<Arc<dyn Adapter>>,
    normaliser: Normaliser,
}

/// A frame to be written, and the file that it is from.
type FileFrame = (usize, RawInput);

struct Player {
    summary: ReplaySummary,
    recordings: Vec<Recording>,
    /// One store per venue: files of one venue keep their common order.
    stores: BTreeMap<Venue, Store>,
    rules: SourceRules,
    pacer: Pacer,
    /// The latest trade of each instrument.
    latest: HashMap<(Venue, Symbol), u64>,
    status_every: Duration,
    stop: CancellationToken,
}

impl Player {
    fn new(config: &ReplayConfig, parts: &ReplayParts, files: Files) -> Self {
        let metrics = IngestorMetrics::new(&parts.metrics);
        let id = config.ingestor_id.clone().unwrap_or_else(|| format!("replay-{:08x}", rand::random::<u32>()));
        let mut stores = BTreeMap::new();
        let (mut recordings, mut summaries) = (Vec::new(), Vec::new());
        let unknown: Option<Venue> = UNKNOWN_VENUE.parse().ok();
        for (summary, adapter) in files {
            let Some(venue) = summary.venue.clone().or_else(|| unknown.clone()) else { continue };
            stores.entry(venue.clone()).or_insert_with(|| {
                let board = Board::new(&venue, &id, FeedMode::Replay, metrics.venue(&venue));
                board.set_link(LINK, FeedState::Connecting, "");
                let (log, clock) = (parts.log.clone(), parts.clock.clone());
                Store::new(LogWriter::new(log, Arc::new(board), clock, LOG_RETRY, parts.stop.clone()))
            });
            let name = summary.path.file_name().map_or_else(String::new, |n| n.to_string_lossy().into_owned());
            let channel = format!("replay:{name}").into();
            recordings.push(Recording { venue, channel, adapter, normaliser: Normaliser::default() });
            summaries.push(summary);
        }
        Self {
            summary: ReplaySummary { files: summaries, ..ReplaySummary::default() },
            recordings,
            stores,
            rules: SourceRules { source: Source::Replay, future_tolerance: config.future_tolerance },
            pacer: Pacer { speed: config.speed, began: None },
            latest: HashMap::new(),
            status_every: config.status_every,
            stop: parts.stop.clone(),
        }
    }

    fn publish_status(&self) -> StatusPublisher {
        let writers = self.stores.values().map(|store| store.writer().clone()).collect();
        StatusPublisher::start(writers, self.status_every)
    }

    /// Takes batches to the end. Returns false if stopped before.
    async fn play(&mut self, mut batches: mpsc::Receiver<Vec<Played>>) -> Result<bool, ReplayError> {
        let stop = self.stop.clone();
        loop {
            let batch = tokio::select! {
                batch = batches.recv() => batch,
                () = stop.cancelled() => return Ok(false),
            };
            let Some(batch) = batch else { return Ok(true) };
            for run in self.pacer.split(batch) {
                if let Some(at) = run.at {
                    tokio::select! {
                        () = tokio::time::sleep_until(at) => {}
                        () = stop.cancelled() => return Ok(false),
                    }
                }
                self.write(run.played).await?;
            }
        }
    }

    /// Writes some lines, those of each venue in their order.
    async fn write(&mut self, played: Vec<Played>) -> Result<(), ReplayError> {
        let mut frames: BTreeMap<Venue, Vec<FileFrame>> = BTreeMap::new();
        for played in played {
            match played {
                Played::Line(file, Line::Frame { receive_time_ns, payload, .. }) => {
                    let recording = &self.recordings[file];
                    let channel = Arc::clone(&recording.channel);
                    let input = RawInput { channel, receive_time_ns, payload };
                    frames.entry(recording.venue.clone()).or_default().push((file, input));
                }
                Played::Line(file, Line::Bad { number, reason, content }) => {
                    self.dead_line(file, &format!("{number}: {reason}"), &content).await?;
                }
                Played::Broken(file, error) => {
                    let summary = &mut self.summary.files[file];
                    tracing::warn!(file = %summary.path.display(), %error, "recording breaks off");
                    summary.error = Some(format!("breaks off: {error}"));
                }
            }
        }
        for (venue, frames) in frames {
            self.write_frames(&venue, frames).await?;
        }
        Ok(())
    }

    async fn write_frames(&mut self, venue: &Venue, frames: Vec<FileFrame>) -> Result<(), ReplayError> {
        let Some(store) = self.stores.get_mut(venue) else { return Ok(()) };
        let (files, inputs): (Vec<usize>, Vec<RawInput>) = frames.into_iter().unzip();
        let raw = store.raw(&inputs).await?;
        let board = store.writer().board().clone();
        board.metrics.frames.inc_by(inputs.len() as u64);
        let mut decoded = Decoded::default();
        let summaries = &mut self.summary.files;
        for (index, (file, input)) in files.iter().zip(&inputs).enumerate() {
            summaries[*file].frames += 1;
            let recording = &mut self.recordings[*file];
            match &recording.adapter {
                Some(adapter) => {
                    let ignored_before = std::mem::take(&mut decoded.ignored);
                    let frame = (index, &input.payload[..], input.receive_time_ns);
                    recording.normaliser.frame(adapter.as_ref(), self.rules, frame, &mut decoded);
                    let ignored = std::mem::replace(&mut decoded.ignored, ignored_before);
                    for (kind, count) in ignored {
                        *summaries[*file].ignored.entry(kind).or_default() += count;
                        *decoded.ignored.entry(kind).or_default() += count;
                    }
                }
                None => decoded.refusals.push(Refusal {
                    frame: index,
                    stage: Stage::Raw,
                    reason: reason::UNRECOGNISED,
                    detail: summaries[*file].path.display().to_string(),
                }),
            }
        }
        store.decoded(&decoded, &inputs, &raw).await?;
        board.set_link(LINK, FeedState::Live, "");
        decoded.quotes.iter().for_each(|(at, _)| summaries[files[*at]].quotes += 1);
        for refusal in &decoded.refusals {
            *summaries[files[refusal.frame]].refused.entry(refusal.reason).or_default() += 1;
        }
        for (at, tick) in decoded.ticks {
            summaries[files[at]].ticks += 1;
            let time_ns = self.latest.entry((tick.venue, tick.symbol)).or_default();
            *time_ns = (*time_ns).max(tick.event_time_ns);
        }
        Ok(())
    }

    async fn dead_line(&mut self, file: usize, what: &str, content: &[u8]) -> Result<(), ReplayError> {
        let summary = &mut self.summary.files[file];
        *summary.refused.entry(reason::BAD_LINE).or_default() += 1;
        let detail = format!("{}:{what}", summary.path.display());
        if let Some(store) = self.stores.get(&self.recordings[file].venue) {
            let writer = store.writer();
            writer.board().metrics.rejected(reason::BAD_LINE);
            let letter = writer.dead_letter(LogTopic::RawWs, (reason::BAD_LINE, &detail), content, None);
            writer.append(LogTopic::DlqRaw, vec![letter]).await?;
        }
        Ok(())
    }

    /// Says that the stream of each instrument ended, and shows it on the boards.
    async fn end(&mut self, complete: bool) -> Result<(), ReplayError> {
        self.summary.instruments = self.latest.len();
        let mut by_venue: BTreeMap<Venue, BTreeMap<Symbol, u64>> = BTreeMap::new();
        for ((venue, symbol), time_ns) in &self.latest {
            by_venue.entry(venue.clone()).or_default().insert(symbol.clone(), *time_ns);
        }
        for (venue, store) in &mut self.stores {
            let beats: Vec<(Symbol, u64)> = by_venue.remove(venue).unwrap_or_default().into_iter().collect();
            // A replay that was stopped has more to come: nothing ended.
            if complete {
                store.heartbeats(&beats, true).await?;
            }
            let detail = if complete { "" } else { "stopped before the end" };
            store.writer().board().set_link(LINK, FeedState::Ended, detail);
        }
        Ok(())
    }
}

/// Says when lines are due.
#[derive(Debug)]
struct Pacer {
    speed: Speed,
    /// Real time and recorded time of the first frame.
    began: Option<(Instant, u64)>,
}

impl Pacer {
    /// Splits a batch into runs that are due at the same time; at full speed the batch is one run.
    fn split(&mut self, batch: Vec<Played>) -> Vec<Run> {
        let factor = match self.speed {
            Speed::Max => return vec![Run { at: None, played: batch }],
            Speed::Real => 1.0,
            Speed::Times(factor) => factor,
        };
        let mut runs: Vec<Run> = Vec::new();
        for played in batch {
            let at = match &played {
                Played::Line(_, Line::Frame { receive_time_ns, .. }) => {
                    let (began, first_ns) = *self.began.get_or_insert_with(|| (Instant::now(), *receive_time_ns));
                    let after = Duration::from_nanos(receive_time_ns.saturating_sub(first_ns)).div_f64(factor);
                    Some(began + after)
                }
                _ => None,
            };
            match runs.last_mut() {
                // Frames within a millisecond go together.
                Some(run)
                    if at.is_none() || run.at.is_some_and(|start| at < Some(start + Duration::from_millis(1))) =>
                {
                    run.played.push(played);
                }
                _ => runs.push(Run { at, played: vec![played] }),
            }
        }
        runs
    }
}

/// Lines that are due at a time.
struct Run {
    at: Option<Instant>,
    played: Vec<Played>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    const SECOND: u64 = 1_000_000_000;

    fn frames(seconds: &[u64]) -> Vec<Played> {
        let frame = |second: &u64| {
            let receive_time_ns = 1_723_161_254 * SECOND + second * SECOND;
            Played::Line(0, Line::Frame { number: 1, receive_time_ns, payload: Bytes::new() })
        };
        seconds.iter().map(frame).collect()
    }

    /// When each run is due after the first, in milliseconds, and how many lines it has.
    fn runs(speed: Speed, batches: &[&[u64]]) -> Vec<(Option<u128>, usize)> {
        let mut pacer = Pacer { speed, began: None };
        let start = Instant::now();
        let runs = batches.iter().flat_map(|batch| pacer.split(frames(batch))).collect::<Vec<_>>();
        runs.iter().map(|run| (run.at.map(|at| at.duration_since(start).as_millis()), run.played.len())).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn frames_are_due_as_far_apart_as_they_were_received_divided_by_the_factor() {
        let real = [(Some(0), 1), (Some(2_000), 2), (Some(9_000), 1)];
        assert_eq!(runs(Speed::Real, &[&[0, 2, 2], &[9]]), real);
        let faster = [(Some(0), 1), (Some(200), 2), (Some(900), 1)];
        assert_eq!(runs(Speed::Times(10.0), &[&[0, 2, 2], &[9]]), faster);
    }

    #[tokio::test(start_paused = true)]
    async fn at_full_speed_a_batch_is_written_as_it_comes() {
        assert_eq!(runs(Speed::Max, &[&[0, 5, 99]]), [(None, 3)]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_receive_time_that_goes_back_is_due_at_once() {
        assert_eq!(runs(Speed::Real, &[&[5, 7, 6]]), [(Some(0), 1), (Some(2_000), 2)]);
    }
}
