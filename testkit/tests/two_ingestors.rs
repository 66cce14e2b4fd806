//! Two ingestors on one feed, either of them killed with -9 at random moments, sockets cut: all trades, none twice.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test fails by panicking and tells its seed and figures"
)]

use eventlog::{EmbeddedConfig, EmbeddedLog, EventLog, Start};
use lake::{CandleQuery, Lake, LakeConfig, TickQuery};
use proto::{Envelope, EventType, Interval, LogTopic, Symbol, Venue, wire};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use testkit::brute_force::{Print, candles, compare_ticks};
use testkit::peers::workspace;
use testkit::process::{Dexorder, PATIENCE};
use testkit::venue_server::VenueServer;

const ROUNDS: usize = 24;

/// One ingestor that is killed and started again.
struct Side {
    config: PathBuf,
    log: PathBuf,
    process: Option<Dexorder>,
}

impl Side {
    fn new(dir: &Path, name: &str, work: &str, venue: &VenueServer) -> Self {
        let config = dir.join(format!("{name}.yaml"));
        let text = format!(
            "data_dir: {data}\nadmin: {{ listen: 127.0.0.1:0 }}\ningestor:\n  ingestor_id: {name}\n  relay_work: {work}\n  \
             venues:\n    - venue: BINANCE\n      mode: live\n      symbols: [BTC/USDT, ETH/USDT]\n      ws_url: {ws}\n      \
             rest_url: {rest}\n      connect_gap: 0s\n  timing: {{ backoff_first: 20ms, backoff_longest: 200ms, gap_retry: 50ms }}\n",
            data = dir.join("data").display(),
            ws = venue.ws_url(),
            rest = venue.rest_url(),
        );
        std::fs::write(&config, text).unwrap();
        Self { config, log: dir.join(format!("{name}.log")), process: None }
    }

    async fn start(&mut self) {
        let args = ["ingestor".as_ref(), "--config".as_ref(), self.config.as_os_str()];
        let mut process = Dexorder::start(&args, &self.log);
        process.line("ready:").await;
        self.process = Some(process);
    }

    async fn kill_9(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill_9().await;
        }
    }
}

/// Reads the shared log until each of these trades was seen.
async fn wait_for_trades(data: &Path, mut missing: BTreeSet<(String, String)>) {
    let log = EmbeddedLog::open(EmbeddedConfig { shared: true, ..EmbeddedConfig::new(data.join("log")) }).unwrap();
    let topic = LogTopic::NormTick;
    let partitions = eventlog::topics::spec(topic).partitions;
    let mut readers = Vec::new();
    for partition in 0..partitions {
        readers.push(log.reader(topic.name(), partition, Start::Earliest).await.unwrap());
    }
    let mut see = |record: &eventlog::Stored| {
        let envelope = Envelope::decode(&record.value).unwrap();
        // Live trades come one by one, repaired ones in batches.
        let ticks = match envelope.event_type {
            EventType::Tick => vec![envelope.message::<wire::Tick>(EventType::Tick).unwrap()],
            EventType::TickBatch => envelope.message::<wire::TickBatch>(EventType::TickBatch).unwrap().ticks,
            _ => Vec::new(),
        };
        for tick in ticks {
            missing.remove(&(tick.symbol, tick.trade_id));
        }
        missing.is_empty()
    };
    let mut turn = 0;
    let search = async {
        loop {
            // Waits on one partition after the other; heartbeats make each of the used ones speak every second.
            let reader = &mut readers[turn % partitions as usize];
            turn += 1;
            let batch =
                match tokio::time::timeout(std::time::Duration::from_millis(200), reader.next(4096, 1 << 22)).await {
                    Ok(batch) => batch.unwrap(),
                    Err(_) => continue,
                };
            if batch.iter().any(&mut see) {
                return;
            }
        }
    };
    let found = tokio::time::timeout(PATIENCE, search).await.is_ok();
    assert!(found, "{} trades never reached the log, e.g. {:?}", missing.len(), missing.first());
}

/// Makes trades of ten past minutes, so that their candles close while the test runs, and delivers them.
struct Market {
    time_ms: u64,
}

impl Market {
    fn trade(&mut self, venue: &VenueServer, symbols: &[Symbol], random: &mut StdRng, most: usize) {
        for symbol in symbols {
            let count = random.random_range(1..=most);
            let ids = venue.add_at(symbol, count, self.time_ms, 37);
            venue.deliver(symbol, &ids);
        }
        self.time_ms += 37 * 60;
    }
}

fn shown(venue: &VenueServer, symbols: &[Symbol]) -> BTreeSet<(String, String)> {
    symbols.iter().flat_map(|s| venue.shown_ids(s).into_iter().map(move |id| (s.to_string(), id))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn two_ingestors_killed_and_cut_at_random_bring_every_trade_exactly_once() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let name: Venue = "BINANCE".parse().unwrap();
    let symbols: [Symbol; 2] = ["BTC/USDT".parse().unwrap(), "ETH/USDT".parse().unwrap()];
    let venue = VenueServer::start(&name, &symbols).await.unwrap();
    let ports = workspace().join("testkit/any-ports.yaml");
    let args = [
        "up",
        "--venues",
        "none",
        "--listen",
        "127.0.0.1:0",
        "--data-dir",
        data.to_str().unwrap(),
        "--config",
        ports.to_str().unwrap(),
    ];
    let mut platform = Dexorder::start(&args, &dir.path().join("platform.log"));
    let relay = platform.line("relay:").await;
    let work = relay.split_whitespace().find_map(|part| part.strip_prefix("work=")).unwrap().to_owned();
    platform.line("page:").await;

    let seed = std::process::id().into();
    println!("seed {seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let mut sides = [Side::new(dir.path(), "left", &work, &venue), Side::new(dir.path(), "right", &work, &venue)];
    for side in &mut sides {
        side.start().await;
    }
    venue.wait_connections(|c| c.trades >= 2).await;
    let mut market = Market { time_ms: service::clock::now_ns() / 1_000_000 - 600_000 };
    // What nobody has written yet, nobody can miss: the first trades must be in the log before the first kill.
    market.trade(&venue, &symbols, &mut random, 5);
    wait_for_trades(&data, shown(&venue, &symbols)).await;
    for _ in 0..ROUNDS {
        market.trade(&venue, &symbols, &mut random, 60);
        match random.random_range(0..5) {
            0 => sides[0].kill_9().await,
            1 => sides[1].kill_9().await,
            2 => venue.drop_connections(),
            3 => {
                for side in &mut sides {
                    side.kill_9().await;
                }
            }
            _ => {}
        }
        market.trade(&venue, &symbols, &mut random, 60);
        for side in &mut sides {
            if side.process.is_none() {
                side.start().await;
            }
        }
        venue.wait_connections(|c| c.trades >= 1).await;
    }
    venue.wait_connections(|c| c.trades >= 2).await;
    market.trade(&venue, &symbols, &mut random, 3);
    wait_for_trades(&data, shown(&venue, &symbols)).await;
    for side in sides {
        assert!(side.process.unwrap().terminate().await.success());
    }
    assert!(platform.terminate().await.success());
    check(&data, &name, &symbols, &venue, seed).await;
}

/// The lake holds each trade once, and its candles are those of its ticks.
async fn check(data: &Path, name: &Venue, symbols: &[Symbol], venue: &VenueServer, seed: u64) {
    let lake = Lake::open(LakeConfig::new(data.join("lake"))).await.unwrap();
    for symbol in symbols {
        let ticks = lake.ticks(&TickQuery::range(name.clone(), symbol.clone(), 0, u64::MAX)).await.unwrap();
        compare_ticks(&venue.shown_ids(symbol), &ticks).unwrap_or_else(|e| panic!("seed {seed} {symbol}: {e}"));
        let expected = candles(name, symbol, Interval::S1, ticks.iter().map(Print::from));
        let query = CandleQuery::range(name.clone(), symbol.clone(), Interval::S1, 0, u64::MAX);
        let got = lake.candles(&query).await.unwrap();
        assert!(got.len() > 3, "seed {seed} {symbol}: only {} candles", got.len());
        for candle in &got {
            let want = &expected[&candle.open_time_ns];
            assert_eq!((candle.open, candle.close, candle.volume), (want.open, want.close, want.volume), "seed {seed}");
            assert_eq!((candle.high, candle.low, candle.trades), (want.high, want.low, want.trades), "seed {seed}");
        }
        println!("{symbol}: {} trades once each, {} candles", ticks.len(), got.len());
    }
}
