//! A log, a lake and a state directory on disk that outlive the streams that work on them, and what the lake must hold in
//! the end, computed straight from the records.

use super::super::{Environment, Process};
use crate::committer::{Probe, Stage};
use crate::config::Config;
use crate::content::{Content, Place, Print};
use crate::trade::Trade;
use crate::update::Ticker;
use bytes::Bytes;
use eventlog::{EmbeddedConfig, EmbeddedLog, EventLog, Record, Start};
use lake::{CandleQuery, Lake, LakeConfig, Table, TickQuery};
use prost::Message;
use proto::market::{Candle, Source, Tick};
use proto::{Envelope, EventType, Interval, LogTopic, RequestId, wire};
use service::metrics::Metrics;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// Fails a test that would hang; never waited for otherwise.
pub(super) const GUARD: Duration = Duration::from_secs(120);

/// A record before it is in the log.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) topic: LogTopic,
    pub(super) ticker: Ticker,
    pub(super) event_type: EventType,
    pub(super) payload: Vec<u8>,
}

impl Entry {
    pub(super) fn tick(tick: &Tick) -> Self {
        let ticker = Ticker { venue: tick.venue.clone(), symbol: tick.symbol.clone() };
        let payload = wire::Tick::from(tick).encode_to_vec();
        Self { topic: LogTopic::NormTick, ticker, event_type: EventType::Tick, payload }
    }

    pub(super) fn heartbeat(ticker: &Ticker, event_time_ns: u64, end_of_stream: bool) -> Self {
        let (venue, symbol) = (ticker.venue.to_string(), ticker.symbol.to_string());
        let payload = wire::Heartbeat { venue, symbol, event_time_ns, end_of_stream }.encode_to_vec();
        Self { topic: LogTopic::NormTick, ticker: ticker.clone(), event_type: EventType::Heartbeat, payload }
    }

    /// The last part of a history answer; without candles it only asks to be told when all before it is in the lake.
    pub(super) fn candles(ticker: &Ticker, candles: &[Candle], request: RequestId) -> Self {
        let batch = wire::OhlcBatch {
            venue: ticker.venue.to_string(),
            symbol: ticker.symbol.to_string(),
            interval_s: Interval::M1.seconds(),
            candles: candles.iter().map(wire::Candle::from).collect(),
            request_ids: vec![request.to_string()],
            last: true,
            ..Default::default()
        };
        let payload = batch.encode_to_vec();
        Self { topic: LogTopic::NormOhlc, ticker: ticker.clone(), event_type: EventType::OhlcBatch, payload }
    }

    /// The same with ticks.
    pub(super) fn ticks(ticker: &Ticker, ticks: &[Tick], request: RequestId) -> Self {
        let batch = wire::TickBatch {
            venue: ticker.venue.to_string(),
            symbol: ticker.symbol.to_string(),
            ticks: ticks.iter().map(wire::Tick::from).collect(),
            request_ids: vec![request.to_string()],
            last: true,
            ..Default::default()
        };
        let payload = batch.encode_to_vec();
        Self { topic: LogTopic::NormTick, ticker: ticker.clone(), event_type: EventType::TickBatch, payload }
    }

    /// The end of a repair: all trades of `[from_ns, to_ns)` are there, the last of them in this record.
    pub(super) fn repaired(ticker: &Ticker, ticks: &[Tick], (from_ns, to_ns): (u64, u64)) -> Self {
        let batch = wire::TickBatch {
            venue: ticker.venue.to_string(),
            symbol: ticker.symbol.to_string(),
            ticks: ticks.iter().map(wire::Tick::from).collect(),
            last: true,
            from_ns,
            to_ns,
            ..Default::default()
        };
        let payload = batch.encode_to_vec();
        Self { topic: LogTopic::NormTick, ticker: ticker.clone(), event_type: EventType::TickBatch, payload }
    }

    fn record(&self) -> Record {
        let key = LogTopic::key(&self.ticker.venue, &self.ticker.symbol);
        let now_ns = service::clock::now_ns();
        let envelope = Envelope {
            event_id: 1,
            event_type: self.event_type,
            venue: self.ticker.venue.clone(),
            observed_at_ns: now_ns,
            ingested_at_ns: now_ns,
            key: key.clone(),
            trace: Bytes::new(),
            payload: self.payload.clone().into(),
            raw: None,
        };
        Record { key: key.into(), value: envelope.encode(), timestamp_ns: now_ns }
    }
}

/// Where a stream shall die: before this step of a flush, the n-th time it gets there; and how far it may still go.
#[derive(Debug, Clone, Copy)]
pub(super) struct Death {
    pub(super) stage: Stage,
    pub(super) hits: usize,
    /// True: the step goes on while the process dies under it.
    pub(super) under_way: bool,
}

/// What outlives a stream.
pub(super) struct World {
    dir: tempfile::TempDir,
    pub(super) config: Config,
    requests: u128,
}

/// One life of everything that runs.
pub(super) struct Life {
    pub(super) log: Arc<dyn EventLog>,
    pub(super) lake: Lake,
    pub(super) metrics: Metrics,
}

impl World {
    pub(super) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut config = Config::new(dir.path().join("stream"), "tcp://127.0.0.1:9");
        config.aggregate.keep_1s = Duration::from_secs(60);
        config.aggregate.keep_1m = Duration::from_secs(300);
        config.aggregate.keep_longer = Duration::from_secs(3600);
        config.aggregate.id_ranges = 64;
        config.flush.rows = 150;
        config.flush.checkpoint_interval = Duration::ZERO;
        config.read.batch_records = 40;
        Self { dir, config, requests: 0 }
    }

    pub(super) fn dir(&self) -> &Path {
        self.dir.path()
    }

    pub(super) fn request(&mut self) -> RequestId {
        self.requests += 1;
        RequestId::from_bits(self.requests)
    }

    /// The lake, in which small files are merged often.
    pub(super) async fn lake(&self) -> Lake {
        let dir = self.dir.path().join("lake");
        Lake::open(LakeConfig { fsync: false, rewrite_files: 3, ..LakeConfig::new(dir) }).await.unwrap()
    }

    /// Runs one life; when `live` returns, everything in it is dropped wherever it stands, as by a kill.
    pub(super) fn live<F: Future<Output = T>, T>(&self, live: impl FnOnce(Life) -> F) -> T {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let outcome = runtime.block_on(async {
            // Small segments and frequent upkeep, so that a test of retention need not write much or wait long.
            let log = EmbeddedConfig {
                segment_bytes: 16 << 10,
                upkeep_interval: Duration::from_millis(50),
                ..EmbeddedConfig::new(self.dir.path().join("log"))
            };
            let log = EmbeddedLog::open(log).unwrap();
            for topic in [LogTopic::NormTick, LogTopic::NormOhlc, LogTopic::NotifHistory] {
                log.create_topic(eventlog::topics::spec(topic)).await.unwrap();
            }
            let log: Arc<dyn EventLog> = log;
            let lake = self.lake().await;
            live(Life { log, lake, metrics: Metrics::new() }).await
        });
        // Blocking work that had started ends, as a system call does; nothing else goes on.
        runtime.shutdown_timeout(GUARD);
        outcome
    }
}

impl Life {
    pub(super) fn environment(&self) -> Environment {
        Environment { log: self.log.clone(), lake: self.lake.clone(), metrics: self.metrics.clone() }
    }

    pub(super) async fn append(&self, entries: &[Entry]) {
        for entry in entries {
            self.log.append(entry.topic.name(), vec![entry.record()]).await.unwrap();
        }
    }

    pub(super) async fn stream(&self, config: &Config, death: Option<Death>) -> (super::super::StreamHandle, Dying) {
        let stop = CancellationToken::new();
        let mut process = Process::open(config.clone(), self.environment(), stop.clone()).await.unwrap();
        let reached = Arc::new(Notify::new());
        process.probe = death.map(|death| probe(death, reached.clone()));
        (process.spawn(), Dying { stop, reached })
    }

    /// A stream that tells when it begins to look for small files, for the n-th time.
    pub(super) async fn stream_rewriting(&self, config: &Config, nth: usize) -> (super::super::StreamHandle, Dying) {
        let stop = CancellationToken::new();
        let mut process = Process::open(config.clone(), self.environment(), stop.clone()).await.unwrap();
        let reached = Arc::new(Notify::new());
        let (hits, notify) = (AtomicUsize::new(0), reached.clone());
        process.rewrite_probe = Some(Arc::new(move || {
            if hits.fetch_add(1, Ordering::Relaxed) + 1 == nth {
                notify.notify_one();
            }
        }));
        (process.spawn(), Dying { stop, reached })
    }

    /// Waits until every request is notified, in the log.
    pub(super) async fn notified(&self, requests: &[RequestId]) {
        let mut missing: BTreeSet<String> = requests.iter().map(ToString::to_string).collect();
        let mut reader = self.log.reader(LogTopic::NotifHistory.name(), 0, Start::Earliest).await.unwrap();
        while !missing.is_empty() {
            for record in reader.next(100, 1 << 20).await.unwrap() {
                missing.remove(std::str::from_utf8(&record.key).unwrap());
            }
        }
    }
}

/// How a stream ends.
pub(super) struct Dying {
    pub(super) stop: CancellationToken,
    pub(super) reached: Arc<Notify>,
}

fn probe(death: Death, reached: Arc<Notify>) -> Probe {
    let hits = Arc::new(AtomicUsize::new(0));
    Arc::new(move |stage| {
        let here = stage == death.stage && hits.fetch_add(1, Ordering::Relaxed) + 1 == death.hits;
        let reached = reached.clone();
        Box::pin(async move {
            if here {
                reached.notify_one();
                if !death.under_way {
                    std::future::pending::<()>().await;
                }
            }
        })
    })
}

/// What the lake must hold after all records, whatever happened on the way.
#[derive(Debug, Default)]
pub(super) struct Expected {
    ticks: BTreeMap<Ticker, BTreeMap<String, Tick>>,
    sealed: BTreeMap<(Ticker, Interval, u64), Candle>,
}

impl Expected {
    pub(super) fn tick(&mut self, tick: &Tick) {
        let ticker = Ticker { venue: tick.venue.clone(), symbol: tick.symbol.clone() };
        let mut stored = tick.clone();
        stored.event_time_ns -= stored.event_time_ns % 1000;
        stored.receive_time_ns -= stored.receive_time_ns % 1000;
        stored.repaired = stored.source == Source::Backfill;
        self.ticks.entry(ticker).or_default().entry(tick.trade_id.clone()).or_insert(stored);
    }

    pub(super) fn venue(&mut self, candle: &Candle) {
        let ticker = Ticker { venue: candle.venue.clone(), symbol: candle.symbol.clone() };
        self.sealed.insert((ticker, candle.interval, candle.open_time_ns), candle.clone());
    }

    /// Open, high, low, close, volumes and trades of a window, from its sorted trades.
    fn window(trades: &[&Tick]) -> Content {
        let mut sorted: Vec<Trade> = trades.iter().map(|tick| Trade::from(*tick)).collect();
        sorted.sort_by_key(|t| Place { time_us: t.event_time_ns / 1000, rank: t.id.rank() });
        let mut content = Content::default();
        for trade in &sorted {
            content.add(&Print::of(trade).unwrap());
        }
        content.open = sorted[0].price;
        content.close = sorted[sorted.len() - 1].price;
        content
    }

    /// Compares everything that the lake holds.
    pub(super) async fn check(&self, world: &World, lake: &Lake) {
        let mut count = 0;
        for (ticker, expected) in &self.ticks {
            let query = TickQuery::range(ticker.venue.clone(), ticker.symbol.clone(), 0, u64::MAX);
            let stored = lake.ticks(&query).await.unwrap();
            let ids: BTreeMap<String, Tick> = stored.iter().map(|tick| (tick.trade_id.clone(), tick.clone())).collect();
            assert_eq!(ids.len(), stored.len(), "{ticker:?}: a trade is there twice");
            assert_eq!(&ids, expected, "{ticker:?}");
            count += stored.len() as u64;
        }
        let mut rows = 0;
        for (ticker, expected) in &self.ticks {
            for interval in Interval::ALL {
                rows += self.check_series(ticker, interval, expected, lake).await;
            }
        }
        // A commit of the epoch alone makes the hint name the current metadata.
        lake.claim_writer_epoch().await.unwrap();
        assert_eq!(total_records(world, Table::Ticks), count, "rows in ticks");
        assert_eq!(total_records(world, Table::Candles), rows, "each revision of each candle once");
    }

    /// The number of rows if each revision is there once.
    async fn check_series(
        &self,
        ticker: &Ticker,
        interval: Interval,
        ticks: &BTreeMap<String, Tick>,
        lake: &Lake,
    ) -> u64 {
        let mut windows: BTreeMap<u64, Vec<&Tick>> = BTreeMap::new();
        for tick in ticks.values() {
            windows.entry(interval.open_time(tick.event_time_ns)).or_default().push(tick);
        }
        let mut expected: BTreeMap<u64, Candle> = windows
            .into_iter()
            .map(|(open, trades)| (open, crate::update::candle(ticker, interval, open, &Self::window(&trades))))
            .collect();
        for ((_, _, open), candle) in self.sealed.iter().filter(|((t, i, _), _)| t == ticker && *i == interval) {
            expected.insert(*open, candle.clone());
        }
        let query = CandleQuery::range(ticker.venue.clone(), ticker.symbol.clone(), interval, 0, u64::MAX);
        let stored = lake.candles(&query).await.unwrap();
        let opens = |candles: &mut dyn Iterator<Item = u64>| candles.collect::<Vec<_>>();
        assert_eq!(
            opens(&mut stored.iter().map(|c| c.open_time_ns)),
            opens(&mut expected.keys().copied()),
            "{ticker:?} {interval}: windows"
        );
        let mut rows = 0;
        for candle in &stored {
            let sealed = self.sealed.contains_key(&(ticker.clone(), interval, candle.open_time_ns));
            let mut wanted = expected[&candle.open_time_ns].clone();
            (wanted.revision, wanted.closed) = (candle.revision, candle.closed);
            if sealed {
                // Repaired only if it replaced a closed row of ours.
                wanted.repaired = candle.repaired;
            }
            assert_eq!(candle, &wanted, "{ticker:?} {interval}");
            rows += u64::from(candle.revision) + 1;
        }
        rows
    }
}

/// `total-records` of the current snapshot, as any other engine would see it.
fn total_records(world: &World, table: Table) -> u64 {
    let file = metadata(world, table);
    let current = file["current-snapshot-id"].as_i64();
    let snapshots = file["snapshots"].as_array().unwrap();
    let snapshot = snapshots.iter().find(|snapshot| snapshot["snapshot-id"].as_i64() == current).unwrap();
    snapshot["summary"]["total-records"].as_str().map_or(0, |text| text.parse().unwrap())
}

/// Snapshots of a table that only merged files.
pub(super) fn rewrites(world: &World, table: Table) -> usize {
    let file = metadata(world, table);
    let snapshots = file["snapshots"].as_array().unwrap();
    snapshots.iter().filter(|snapshot| snapshot["summary"]["operation"] == "replace").count()
}

/// The table's metadata, as the hint names it.
fn metadata(world: &World, table: Table) -> serde_json::Value {
    let metadata = world.dir().join("lake/warehouse/dexorder").join(table.to_string()).join("metadata");
    let version = std::fs::read_to_string(metadata.join("version-hint.text")).unwrap();
    let file = std::fs::read(metadata.join(format!("{version}.metadata.json"))).unwrap();
    serde_json::from_slice(&file).unwrap()
}
