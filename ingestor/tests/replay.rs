//! Replay: recordings of every kind, and recordings that are broken.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use eventlog::{EmbeddedConfig, EmbeddedLog, EventLog, Start};
use ingestor::config::{Mode, VenueConfig};
use ingestor::replay::{ReplayConfig, ReplayError, ReplayParts, ReplaySummary, Speed, play};
use ingestor::{Config, IngestorParts};
use proto::market::{Source, Tick};
use proto::wire::{self, FeedMode, FeedState};
use proto::{Envelope, EventType, LogTopic, Symbol, Venue};
use service::clock::Clock;
use service::metrics::Metrics;
use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use testkit::venue_server::dialect;
use testkit::venue_server::table::Table;
use tokio_util::sync::CancellationToken;

/// 2024-08-08T23:54:14Z
const START_MS: u64 = 1_723_161_254_000;

struct Stage {
    dir: tempfile::TempDir,
    log: Arc<dyn EventLog>,
    stop: CancellationToken,
}

impl Stage {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let log = EmbeddedLog::open(EmbeddedConfig::new(dir.path().join("log"))).unwrap();
        Self { dir, log, stop: CancellationToken::new() }
    }

    fn parts(&self) -> ReplayParts {
        let (log, stop) = (Arc::clone(&self.log), self.stop.clone());
        ReplayParts { log, metrics: Metrics::new(), clock: Clock::System, stop }
    }

    fn file(&self, name: &str, content: &[u8]) -> PathBuf {
        let path = self.dir.path().join(name);
        std::fs::write(&path, content).unwrap();
        path
    }

    async fn play(&self, files: Vec<PathBuf>, change: impl FnOnce(&mut ReplayConfig)) -> ReplaySummary {
        let mut config = ReplayConfig { files, ..ReplayConfig::default() };
        change(&mut config);
        play(&config, self.parts()).await.unwrap()
    }

    async fn envelopes(&self, topic: LogTopic) -> Vec<Envelope> {
        let mut all = Vec::new();
        for partition in 0..eventlog::topics::spec(topic).partitions {
            let mut reader = self.log.reader(topic.name(), partition, Start::Earliest).await.unwrap();
            loop {
                let records = reader.try_next(1_000, 1 << 20).unwrap();
                if records.is_empty() {
                    break;
                }
                all.extend(records.iter().map(|stored| Envelope::decode(&stored.value).unwrap()));
            }
        }
        all
    }

    async fn messages<M: prost::Message + Default>(&self, topic: LogTopic, event_type: EventType) -> Vec<M> {
        let envelopes = self.envelopes(topic).await;
        envelopes.iter().filter(|e| e.event_type == event_type).map(|e| e.message(event_type).unwrap()).collect()
    }

    async fn ticks(&self) -> Vec<Tick> {
        let ticks = self.messages::<wire::Tick>(LogTopic::NormTick, EventType::Tick).await;
        ticks.iter().map(|tick| Tick::try_from(tick).unwrap()).collect()
    }
}

/// Lines of `count` trades and quotes of a venue, a second apart.
fn recording(venue: &str, symbol: &str, first: u64, count: u64) -> String {
    let (venue, symbol): (Venue, Symbol) = (venue.parse().unwrap(), symbol.parse().unwrap());
    let (mut table, speech) = (Table::new(std::slice::from_ref(&symbol)), dialect::of(&venue));
    for index in 0..first + count {
        table.add(&symbol, START_MS + index * 1_000);
    }
    let mut text = String::new();
    for trade in &table.trades(&symbol)[usize::try_from(first).unwrap()..] {
        // The recorder's clock is behind the venue's, as in real recordings.
        let receive_ns = (trade.time_ms - 1_270) * 1_000_000;
        text += &format!("{receive_ns} {}\n", speech.trade(&symbol, trade));
        text += &format!("{} {}\n", receive_ns + 500, speech.quote(&symbol, trade));
    }
    text
}

fn xz(text: &str) -> Vec<u8> {
    let mut encoder = xz2::write::XzEncoder::new(Vec::new(), 1);
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

#[tokio::test]
async fn recordings_of_all_kinds_become_raw_frames_ticks_quotes_and_an_end() {
    let stage = Stage::new();
    let files = vec![
        stage.file("spot_btcusdt.jsonl", recording("BINANCE", "BTC/USDT", 0, 30).as_bytes()),
        stage.file("usdm_btcusdt.jsonl.xz", &xz(&recording("BINANCE-USDM", "BTC/USDT", 0, 20))),
        stage.file("anything.zst", &zstd::encode_all(recording("KRAKEN", "BTC/USD", 0, 10).as_bytes(), 1).unwrap()),
    ];
    let summary = stage.play(files, |_| {}).await;
    assert!(summary.all_files_read(), "{summary}");
    let rows: Vec<_> =
        summary.files.iter().map(|f| (f.venue.as_ref().unwrap().as_str(), f.frames, f.ticks, f.quotes)).collect();
    assert_eq!(rows, [("BINANCE", 60, 30, 30), ("BINANCE-USDM", 40, 20, 20), ("KRAKEN", 20, 10, 10)]);
    assert_eq!(summary.instruments, 3);

    let ticks = stage.ticks().await;
    assert_eq!(ticks.len(), 60);
    assert!(ticks.iter().all(|tick| tick.source == Source::Replay && !tick.repaired));
    assert!(ticks.iter().all(|tick| tick.event_time_ns == tick.receive_time_ns + 1_270_000_000));
    let raw = stage.messages::<wire::RawFrame>(LogTopic::RawWs, EventType::RawFrame).await;
    assert_eq!(raw.len(), 120);
    assert!(raw.iter().any(|frame| frame.channel == "replay:usdm_btcusdt.jsonl.xz"));
    assert_eq!(stage.envelopes(LogTopic::NormQuote).await.len(), 60);

    let ends = stage.messages::<wire::Heartbeat>(LogTopic::NormTick, EventType::Heartbeat).await;
    let last = |venue: &str| ticks.iter().filter(|t| t.venue.as_str() == venue).map(|t| t.event_time_ns).max().unwrap();
    assert_eq!(ends.len(), 3);
    assert!(ends.iter().all(|end| end.end_of_stream && end.event_time_ns == last(&end.venue)));
    let feeds = stage.messages::<wire::FeedStatus>(LogTopic::EvtFeed, EventType::FeedStatus).await;
    let of_spot: Vec<_> = feeds.iter().filter(|feed| feed.venue == "BINANCE").collect();
    let done = of_spot.last().unwrap();
    assert_eq!((done.mode(), done.state(), done.leaving), (FeedMode::Replay, FeedState::Ended, true));
    assert_eq!((done.ticks, done.quotes), (30, 30));
}

#[tokio::test]
async fn overlapping_files_of_one_symbol_keep_the_order_of_receipt() {
    let stage = Stage::new();
    let whole = recording("BINANCE", "BTC/USDT", 0, 3_000);
    let (mut even, mut odd) = (String::new(), String::new());
    for (index, line) in whole.lines().enumerate() {
        let half = if index / 2 % 2 == 0 { &mut even } else { &mut odd };
        *half += line;
        half.push('\n');
    }
    let files = vec![stage.file("spot_a", odd.as_bytes()), stage.file("spot_b", even.as_bytes())];
    stage.play(files, |_| {}).await;
    let ids: Vec<u64> = stage.ticks().await.iter().map(|tick| tick.trade_id.parse().unwrap()).collect();
    assert_eq!(ids.len(), 3_000);
    assert!(ids.windows(2).all(|pair| pair[0] + 1 == pair[1]));
}

#[tokio::test]
async fn bad_lines_frames_and_files_are_told_and_everything_else_is_played() {
    let stage = Stage::new();
    let mut good = recording("OKX", "BTC/USDT", 0, 5);
    good.insert_str(0, "no-time-here\n");
    good += &format!("{}000000 {{\"broken\": \n", START_MS);
    let cut = xz(&recording("BINANCE", "BTC/USDT", 0, 20_000));
    let files = vec![
        stage.file("okx_btc", good.as_bytes()),
        stage.file(
            "mystery",
            format!("{START_MS}000000 {{\"hello\":1}}\n{START_MS}000001 {{\"hello\":2}}\n").as_bytes(),
        ),
        stage.file("spot_cut.xz", &cut[..cut.len() / 2]),
        stage.dir.path().join("absent"),
    ];
    let summary = stage.play(files, |_| {}).await;
    assert!(!summary.all_files_read() && summary.complete);
    let [okx, mystery, cut, absent] = &summary.files[..] else { panic!("{summary}") };
    assert_eq!((okx.ticks, okx.error.as_deref()), (5, None));
    assert_eq!(okx.refused, BTreeMap::from([("bad_line", 1), ("malformed", 1)]));
    assert_eq!(mystery.venue, None);
    assert_eq!(mystery.refused, BTreeMap::from([("unrecognised_file", 2)]));
    assert!(mystery.error.as_ref().unwrap().contains("no adapter"));
    assert!(cut.error.as_ref().unwrap().contains("breaks off") && cut.ticks > 1_000, "{summary}");
    assert!(absent.error.as_ref().unwrap().contains("cannot be read"));

    let letters = stage.messages::<wire::DeadLetter>(LogTopic::DlqRaw, EventType::DeadLetter).await;
    let details: Vec<&str> = letters.iter().map(|letter| letter.detail.as_str()).collect();
    assert_eq!(letters.len(), 4, "{details:?}");
    assert!(details.iter().any(|detail| detail.ends_with("okx_btc:1: no space after the receive time")), "{details:?}");
    assert!(letters.iter().any(|l| l.payload == b"{\"hello\":1}" && l.reason == "unrecognised_file"));
}

#[tokio::test]
async fn a_venue_may_be_named_where_no_file_name_tells() {
    let stage = Stage::new();
    let file = stage.file("frames", recording("SIM", "BTC/USDT", 0, 7).as_bytes());
    let summary = stage.play(vec![file.clone()], |config| config.venue = Some("SIM".parse().unwrap())).await;
    assert_eq!(summary.ticks(), 7);
    let config = ReplayConfig { files: vec![file], venue: Some("NOWHERE".parse().unwrap()), ..ReplayConfig::default() };
    assert!(matches!(play(&config, stage.parts()).await, Err(ReplayError::UnknownVenue(_))));
    assert!(matches!(play(&ReplayConfig::default(), stage.parts()).await, Err(ReplayError::NoFiles)));
}

#[tokio::test]
async fn a_replay_that_is_stopped_says_so_and_ends_no_stream() {
    let stage = Stage::new();
    let file = stage.file("spot_x", recording("BINANCE", "BTC/USDT", 0, 100).as_bytes());
    let stop = stage.stop.clone();
    let log = Arc::clone(&stage.log);
    let stopper = tokio::spawn(async move {
        // As soon as the first trade is there; the second would come a second later.
        loop {
            let partition = eventlog::partition_of(b"BINANCE:BTC/USDT", 4);
            if let Ok(mut reader) = log.reader(LogTopic::NormTick.name(), partition, Start::Earliest).await {
                reader.next(1, 1).await.unwrap();
                stop.cancel();
                return;
            }
            tokio::task::yield_now().await;
        }
    });
    let summary = stage.play(vec![file], |config| config.speed = Speed::Real).await;
    stopper.await.unwrap();
    assert!(!summary.complete && summary.ticks() >= 1 && summary.ticks() < 100);
    assert!(stage.messages::<wire::Heartbeat>(LogTopic::NormTick, EventType::Heartbeat).await.is_empty());
}

#[tokio::test]
async fn an_ingestor_with_nothing_but_a_replay_ends_when_it_is_played() {
    let stage = Stage::new();
    let mut entry = VenueConfig::new("KRAKEN".parse().unwrap(), Mode::Replay, Vec::new());
    entry.files = vec![stage.file("frames", recording("KRAKEN", "BTC/USD", 0, 12).as_bytes())];
    let parts = IngestorParts {
        log: Arc::clone(&stage.log),
        metrics: Metrics::new(),
        clock: Clock::System,
        stop: stage.stop.clone(),
    };
    let summaries = ingestor::run(Config::new(vec![entry]), parts).await.unwrap();
    assert_eq!(summaries.iter().map(ReplaySummary::ticks).sum::<u64>(), 12);
    assert_eq!(stage.ticks().await.len(), 12);
}

/// Recordings outside this project, if they are there.
fn shared(path: &str) -> Option<PathBuf> {
    let root = Path::new(&std::env::var("CARGO_MANIFEST_DIR").unwrap_or_else(|_| ".".to_owned())).join("..");
    let base = std::env::var_os("DEXORDER_SHARED").map_or_else(|| root.join("../shared"), PathBuf::from);
    let path = base.join(path);
    if path.exists() {
        return Some(path);
    }
    eprintln!("left out: ../shared/data is not here");
    None
}

#[tokio::test]
async fn the_recording_of_2024_08_08_brings_each_trade_once() {
    let Some(dir) = shared("data/market/binance_ws_2024-08-08") else { return };
    let stage = Stage::new();
    let mut files: Vec<PathBuf> = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let summary = stage.play(files, |_| {}).await;
    eprintln!("{summary}");
    let mut ids: BTreeMap<(String, String), BTreeSet<u64>> = BTreeMap::new();
    let ticks = stage.ticks().await;
    let mut rows: BTreeMap<(String, String), usize> = BTreeMap::new();
    for tick in ticks.iter().filter(|tick| tick.venue.as_str().starts_with("BINANCE")) {
        let key = (tick.venue.to_string(), tick.symbol.to_string());
        ids.entry(key.clone()).or_default().insert(tick.trade_id.parse().unwrap());
        *rows.entry(key).or_default() += 1;
    }
    for (venue, symbol, trades) in [
        ("BINANCE", "BTC/USDT", 9_757),
        ("BINANCE", "ETH/USDT", 6_106),
        ("BINANCE-USDM", "BTC/USDT", 21_313),
        ("BINANCE-USDM", "ETH/USDT", 14_076),
    ] {
        let key = (venue.to_owned(), symbol.to_owned());
        let span = ids[&key].last().unwrap() - ids[&key].first().unwrap() + 1;
        assert_eq!((rows[&key], ids[&key].len(), span), (trades, trades, trades as u64), "{key:?}");
    }
    assert!(summary.files.iter().all(|file| file.refused.is_empty()), "{summary}");
}
