//! What a venue lists: fetched at start and every hour, changes published on `evt.instrument`.

use crate::log_writer::{Header, LogWriter, WriteError};
use crate::rate_limit::Purpose;
use crate::rest_client::{FetchError, RestClient, Terms};
use eventlog::{EventLog, Start};
use proto::{Envelope, EventType, LogTopic, Symbol, Venue, wire};
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use venues::{Adapter, Instrument};

/// First wait after a failure; the next look comes at the usual time at the latest.
const RETRY: Duration = Duration::from_secs(30);
const LONGEST_WAIT: Duration = Duration::from_secs(120);
/// Records appended at a time.
const BATCH: usize = 1_000;

/// Publishes the instruments of one venue.
#[derive(Debug)]
pub(crate) struct InstrumentPublisher {
    pub(crate) rest: RestClient,
    /// Streamed symbols are marked live.
    pub(crate) live: BTreeSet<Symbol>,
    pub(crate) every: Duration,
    /// Gets the adapter that knows the instruments.
    pub(crate) adapter: watch::Sender<Arc<dyn Adapter>>,
    /// What was published last, by symbol.
    pub(crate) published: HashMap<String, wire::Instrument>,
    pub(crate) stop: CancellationToken,
}

impl InstrumentPublisher {
    /// Runs until stopped.
    ///
    /// # Errors
    /// If the log failed.
    pub(crate) async fn run(mut self) -> Result<(), WriteError> {
        loop {
            let wait = match self.look().await {
                Ok(changes) => {
                    tracing::info!(venue = %self.rest.writer().board().venue(), changes, "instruments published");
                    self.every
                }
                Err(FetchError::Log(error)) => return Err(error),
                Err(FetchError::Stopped) => return Ok(()),
                Err(error) => {
                    tracing::warn!(venue = %self.rest.writer().board().venue(), %error, "instruments could not be fetched");
                    RETRY.min(self.every)
                }
            };
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = self.stop.cancelled() => return Ok(()),
            }
        }
    }

    /// Fetches and publishes what changed. Returns how many instruments changed.
    async fn look(&mut self) -> Result<usize, FetchError> {
        let adapter = self.rest.adapter();
        let Some(request) = adapter.instruments() else { return Ok(0) };
        let terms = Terms { purpose: Purpose::History, channel: "rest:instruments", longest_wait: LONGEST_WAIT };
        let fetched = self.rest.fetch(&request, terms).await?;
        let writer = self.rest.writer().clone();
        let instruments = match adapter.parse_instruments(&fetched.body) {
            Ok(instruments) => instruments,
            Err(rejection) => {
                let why = (rejection.reason.label(), rejection.detail.as_str());
                writer.board().metrics.rejected(rejection.reason.label());
                let letter = writer.dead_letter(LogTopic::RawRest, why, &fetched.body, fetched.raw);
                writer.append(LogTopic::DlqRaw, vec![letter]).await?;
                return Err(FetchError::Refused(rejection.to_string()));
            }
        };
        for rejection in &instruments.refused {
            // Names outside the canonical alphabet; counted, and the whole answer is on raw.rest.
            writer.board().metrics.rejected(rejection.reason.label());
        }
        self.publish(&writer, &instruments.listed).await.map_err(FetchError::Log)
    }

    async fn publish(&mut self, writer: &LogWriter, listed: &[Instrument]) -> Result<usize, WriteError> {
        if !listed.is_empty() {
            self.adapter.send_replace(self.rest.adapter().refined(listed));
        }
        let venue = writer.board().venue().clone();
        let changes: Vec<wire::Instrument> = listed
            .iter()
            .filter(|instrument| instrument.venue == venue)
            .map(|instrument| instrument.to_wire(self.live.contains(&instrument.symbol)))
            .filter(|message| self.published.get(&message.symbol) != Some(message))
            .collect();
        for batch in changes.chunks(BATCH) {
            let record = |message: &wire::Instrument| {
                let key = format!("{venue}:{}", message.symbol);
                let header = Header {
                    event_type: EventType::Instrument,
                    venue: &venue,
                    key: &key,
                    observed_at_ns: writer.now_ns(),
                    raw: None,
                };
                writer.record(header, message)
            };
            writer.append(LogTopic::EvtInstrument, batch.iter().map(record).collect()).await?;
        }
        self.published.extend(changes.iter().map(|message| (message.symbol.clone(), message.clone())));
        Ok(changes.len())
    }
}

/// The instruments of a venue that the log holds.
///
/// # Errors
/// If the log cannot be read.
pub(crate) async fn published(
    log: &dyn EventLog,
    venue: &Venue,
) -> Result<HashMap<String, wire::Instrument>, eventlog::LogError> {
    let mut found = HashMap::new();
    let mut reader = log.reader(LogTopic::EvtInstrument.name(), 0, Start::Earliest).await?;
    loop {
        let chunk = reader.try_next(4_096, 4 << 20)?;
        if chunk.is_empty() {
            return Ok(found);
        }
        for stored in chunk {
            let message = Envelope::decode(&stored.value)
                .and_then(|envelope| envelope.message::<wire::Instrument>(EventType::Instrument));
            if let Ok(message) = message
                && message.venue == venue.as_str()
            {
                found.insert(message.symbol.clone(), message);
            }
        }
    }
}
