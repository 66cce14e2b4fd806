//! An ingestor, a log and a venue server, wired for a test; and views of the log that wait for what should come.

use eventlog::{EmbeddedConfig, EmbeddedLog, EventLog, PartitionReader, Start};
use futures_util::future::select_all;
use ingestor::config::{Mode, VenueConfig};
use ingestor::replay::ReplaySummary;
use ingestor::{Config, Ingestor, IngestorError, IngestorParts};
use proto::market::{Candle, Tick, candles_of};
use proto::{Envelope, EventType, LogTopic, Symbol, Venue, wire};
use service::clock::Clock;
use service::metrics::Metrics;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;
use testkit::venue_server::VenueServer;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Fails a test that waits for something that does not come.
pub(crate) const GUARD: Duration = Duration::from_secs(40);

/// Waits, but not for ever.
pub(crate) async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(GUARD, future).await {
        Ok(value) => value,
        Err(_) => panic!("did not happen within {GUARD:?}: {what}"),
    }
}

pub(crate) const VENUES: [&str; 7] = ["BINANCE", "BINANCE-USDM", "BYBIT", "COINBASE", "KRAKEN", "OKX", "SIM"];

/// Runs a test at several venues at the same time.
pub(crate) async fn at_each(venues: &[&'static str], test: impl AsyncFn(&'static str)) {
    futures_util::future::join_all(venues.iter().map(|venue| test(venue))).await;
}

/// A venue on this machine, and the symbol that the test trades there.
pub(crate) struct Place {
    pub(crate) server: VenueServer,
    pub(crate) venue: Venue,
    pub(crate) symbol: Symbol,
}

impl Place {
    pub(crate) async fn open(venue: &str) -> Self {
        let venue: Venue = venue.parse().unwrap();
        let symbol: Symbol =
            if matches!(venue.as_str(), "COINBASE" | "KRAKEN") { "BTC/USD" } else { "BTC/USDT" }.parse().unwrap();
        let server = VenueServer::start(&venue, std::slice::from_ref(&symbol)).await.unwrap();
        Self { server, venue, symbol }
    }

    /// A configuration that points here, with short waits.
    pub(crate) fn config(&self) -> Config {
        let ms = Duration::from_millis;
        let mut entry = VenueConfig::new(self.venue.clone(), Mode::Live, vec![self.symbol.clone()]);
        entry.ws_url = Some(self.server.ws_url());
        entry.rest_url = Some(self.server.rest_url());
        entry.connect_gap = Some(Duration::ZERO);
        let mut config = Config::new(vec![entry]);
        let timing = &mut config.timing;
        timing.backoff_first = ms(10);
        timing.backoff_longest = ms(50);
        timing.gap_grace = ms(20);
        timing.gap_retry = ms(30);
        timing.catch_up_after = ms(150);
        // Most tests look at what the feed does, not at what was before it.
        timing.start_fetch_after = GUARD * 10;
        timing.status_every = ms(50);
        timing.lease = ms(600);
        timing.heartbeat_every = ms(50);
        timing.heartbeat_margin = ms(10);
        timing.quiet_ping = ms(50);
        config
    }

    /// True when the feed would receive what is delivered.
    pub(crate) async fn subscribed(&self) {
        within("the ingestor subscribes to trades", self.server.wait_connections(|c| c.trades > 0)).await;
    }

    /// The ids of all trades that happened, as the platform shows them.
    pub(crate) fn all_ids(&self) -> BTreeSet<String> {
        self.server.shown_ids(&self.symbol).into_iter().collect()
    }

    pub(crate) fn key(&self) -> String {
        LogTopic::key(&self.venue, &self.symbol)
    }
}

/// A log in a directory of its own.
pub(crate) struct TestLog {
    pub(crate) log: Arc<dyn EventLog>,
    _dir: TempDir,
}

impl TestLog {
    pub(crate) fn open() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let log = EmbeddedLog::open(EmbeddedConfig::new(dir.path().join("log"))).unwrap();
        Self { log, _dir: dir }
    }
}

/// An ingestor in work.
pub(crate) struct Running {
    pub(crate) stop: CancellationToken,
    pub(crate) metrics: Metrics,
    pub(crate) status: Box<dyn Fn() -> Vec<wire::FeedStatus> + Send + Sync>,
    task: JoinHandle<Result<Vec<ReplaySummary>, IngestorError>>,
}

impl Running {
    pub(crate) async fn start(config: Config, log: &Arc<dyn EventLog>) -> Self {
        Self::start_with(config, log, Clock::System).await
    }

    pub(crate) async fn start_with(config: Config, log: &Arc<dyn EventLog>, clock: Clock) -> Self {
        let (stop, metrics) = (CancellationToken::new(), Metrics::new());
        let parts = IngestorParts { log: Arc::clone(log), metrics: metrics.clone(), clock, stop: stop.clone() };
        let ingestor = Ingestor::start(config, parts).await.unwrap();
        let status = Box::new(ingestor.status_view());
        Self { stop, metrics, status, task: tokio::spawn(ingestor.wait()) }
    }

    /// The status of the only venue.
    pub(crate) fn feed(&self) -> wire::FeedStatus {
        (self.status)().remove(0)
    }

    /// The sum of a counter over its labels.
    pub(crate) fn counter(&self, name: &str) -> u64 {
        let page = self.metrics.render();
        let lines = page.lines().filter(|line| line.starts_with(&format!("{name}{{")));
        lines.filter_map(|line| line.rsplit_once(' ')?.1.parse::<u64>().ok()).sum()
    }

    /// Stops it and waits until everything is written.
    pub(crate) async fn stop(self) {
        self.stop.cancel();
        within("the ingestor stops", self.task).await.unwrap().unwrap();
    }

    /// Waits for it to end by itself.
    pub(crate) async fn ended(self) -> Result<Vec<ReplaySummary>, IngestorError> {
        within("the ingestor ends", self.task).await.unwrap()
    }

    /// Cuts it off in the middle of whatever it does; nothing is flushed, nobody says goodbye.
    pub(crate) async fn kill(self) {
        self.task.abort();
        // Aborted, as wanted.
        let _aborted = self.task.await;
        self.stop.cancel();
    }
}

/// Everything of one topic from its beginning, growing while a test waits.
pub(crate) struct LogView {
    readers: Vec<Box<dyn PartitionReader>>,
    pub(crate) envelopes: Vec<Envelope>,
}

impl LogView {
    pub(crate) async fn of(log: &Arc<dyn EventLog>, topic: LogTopic) -> Self {
        log.create_topic(eventlog::topics::spec(topic)).await.unwrap();
        let partitions = eventlog::topics::spec(topic).partitions;
        let mut readers = Vec::new();
        for partition in 0..partitions {
            readers.push(log.reader(topic.name(), partition, Start::Earliest).await.unwrap());
        }
        Self { readers, envelopes: Vec::new() }
    }

    async fn more(&mut self) {
        let (records, ..) = select_all(self.readers.iter_mut().map(|reader| reader.next(1_000, 1 << 20))).await;
        self.envelopes.extend(records.unwrap().iter().map(|stored| Envelope::decode(&stored.value).unwrap()));
    }

    /// Takes in what is there now, without waiting.
    pub(crate) fn refresh(&mut self) {
        for reader in &mut self.readers {
            loop {
                let records = reader.try_next(1_000, 1 << 20).unwrap();
                if records.is_empty() {
                    break;
                }
                self.envelopes.extend(records.iter().map(|stored| Envelope::decode(&stored.value).unwrap()));
            }
        }
    }

    /// Reads on until `found` finds something.
    pub(crate) async fn until<T>(&mut self, what: &str, mut found: impl FnMut(&Self) -> Option<T>) -> T {
        let search = async {
            loop {
                self.refresh();
                if let Some(value) = found(self) {
                    return value;
                }
                self.more().await;
            }
        };
        within(what, search).await
    }

    pub(crate) fn messages<M: prost::Message + Default>(&self, event_type: EventType) -> Vec<M> {
        let of_type = self.envelopes.iter().filter(|envelope| envelope.event_type == event_type);
        of_type.map(|envelope| envelope.message(event_type).unwrap()).collect()
    }

    /// The trades of a key, batches included, in the order of the log.
    pub(crate) fn ticks(&self, key: &str) -> Vec<Tick> {
        let mut ticks = Vec::new();
        for envelope in self.envelopes.iter().filter(|envelope| envelope.key == key) {
            match envelope.event_type {
                EventType::Tick => ticks.push(envelope.message::<wire::Tick>(EventType::Tick).unwrap()),
                EventType::TickBatch => {
                    ticks.extend(envelope.message::<wire::TickBatch>(EventType::TickBatch).unwrap().ticks)
                }
                _ => {}
            }
        }
        ticks.iter().map(|tick| Tick::try_from(tick).unwrap()).collect()
    }

    pub(crate) fn ids(&self, key: &str) -> BTreeSet<String> {
        self.ticks(key).into_iter().map(|tick| tick.trade_id).collect()
    }

    /// Waits until exactly these ids are there.
    pub(crate) async fn until_ids(&mut self, what: &str, key: &str, ids: &BTreeSet<String>) {
        let search = self.until(what, |view| ids.is_subset(&view.ids(key)).then_some(()));
        let found = tokio::time::timeout(GUARD / 2, search).await;
        assert_eq!(&self.ids(key), ids, "{what} {}", if found.is_ok() { "" } else { "did not come in time" });
    }

    /// The parts of an answer to a history request, once the last one is there.
    pub(crate) async fn answer(&mut self, request_id: &str) -> Vec<wire::OhlcBatch> {
        self.until("the answer to a history request", |view| {
            let parts = view.messages::<wire::OhlcBatch>(EventType::OhlcBatch);
            let parts: Vec<_> = parts.into_iter().filter(|p| p.request_ids.iter().any(|id| id == request_id)).collect();
            parts.iter().any(|part| part.last).then_some(parts)
        })
        .await
    }
}

/// The candles of the parts of an answer.
pub(crate) fn candles(parts: &[wire::OhlcBatch]) -> Vec<Candle> {
    parts.iter().flat_map(|part| candles_of(part).unwrap()).collect()
}

/// Waits for a value that a metric or status shows; polled, as nothing announces it.
pub(crate) async fn until(what: &str, reached: impl Fn() -> bool) {
    let mut timer = tokio::time::interval(Duration::from_millis(5));
    within(what, async {
        while !reached() {
            timer.tick().await;
        }
    })
    .await;
}
