//! Queries over a store, memory and a history desk whose client is the test.

use super::*;
use crate::config::LiveConfig;
use crate::history::client::Submissions;
use crate::live::hub::HubLimits;
use crate::metrics::{DirectoryMetrics, HistoryMetrics, LiveMetrics, SeriesMetrics};
use crate::series::page::testing::candle;
use service::metrics::Metrics;
use std::sync::Mutex;
use std::time::Duration;

const MINUTE: u64 = Interval::M1.nanos();
/// Minute 0 of these tests, 2026-11-20T10:00:00Z.
const BASE: u64 = 1_795_168_800_000_000_000 / MINUTE;

#[derive(Debug, Default)]
struct Store {
    rows: Mutex<Vec<Candle>>,
    reads: Mutex<Vec<CandleQuery>>,
    fails: Mutex<bool>,
}

#[async_trait]
impl CandleStore for Store {
    async fn candles(&self, query: &CandleQuery) -> Result<Vec<Candle>, LakeError> {
        self.reads.lock().unwrap().push(query.clone());
        if *self.fails.lock().unwrap() {
            return Err(LakeError::Interrupted("read"));
        }
        let rows = self.rows.lock().unwrap().clone();
        let wanted = |c: &&Candle| c.symbol == query.symbol && (query.from_ns..query.to_ns).contains(&c.open_time_ns);
        let mut rows: Vec<Candle> = rows.iter().filter(wanted).cloned().collect();
        match query.limit {
            Limit::None => {}
            Limit::Oldest(n) => rows.truncate(n),
            Limit::Newest(n) => _ = rows.drain(..rows.len().saturating_sub(n)),
        }
        Ok(rows)
    }
}

struct World {
    candles: Arc<Candles>,
    store: Arc<Store>,
    submissions: Submissions,
    _connected: watch::Sender<bool>,
}

/// A gateway's candles at minute `now` (and a half), with the lake's rows at the given minutes.
fn world(now: u64, lake: impl IntoIterator<Item = u64>) -> World {
    let metrics = Metrics::new();
    let store = Arc::new(Store::default());
    store.rows.lock().unwrap().extend(lake.into_iter().map(row));
    let live = LiveConfig::default();
    let limits = HubLimits { clients: 9, topics: 99, client_topics: 9, client_events: 9, linger: live.linger };
    let history_config = HistoryConfig::default();
    let (history, submissions) = HistoryDesk::new(history_config.clone(), HistoryMetrics::new(&metrics));
    let (connected_sender, connected) = watch::channel(false);
    let candles = Candles {
        store: store.clone(),
        memory: Arc::new(Memory::new(2, 2000, 4000, SeriesMetrics::new(&metrics))),
        hub: Arc::new(Hub::new(limits, LiveMetrics::new(&metrics))),
        history,
        directory: Arc::new(SharedDirectory::new(DirectoryMetrics::new(&metrics))),
        clock: Clock::manual((BASE + now) * MINUTE + MINUTE / 2),
        connected,
        tracker: TaskTracker::new(),
        series_config: SeriesConfig::default(),
        history_config,
    };
    World { candles: Arc::new(candles), store, submissions, _connected: connected_sender }
}

fn row(minute: u64) -> Candle {
    candle(BASE + minute, 100)
}

fn key(symbol: &str) -> SeriesKey {
    SeriesKey { venue: "SIM".parse().unwrap(), symbol: symbol.parse().unwrap(), interval: Interval::M1 }
}

fn request(from: Option<u64>, to: Option<u64>, limit: usize) -> CandleRequest {
    let time = |minute: u64| (BASE + minute) * MINUTE;
    CandleRequest { key: key("BTC/USDT"), from: from.map(time), to: to.map(time), limit, fill: false }
}

impl World {
    async fn ask(&self, request: &CandleRequest) -> (Vec<u64>, HistoryState) {
        let (page, history) = self.candles.page(request).await.unwrap();
        (page.candles.iter().map(|c| c.open_time / MINUTE - BASE).collect(), history)
    }

    fn reads(&self) -> usize {
        std::mem::take(&mut *self.store.reads.lock().unwrap()).len()
    }

    fn submitted(&mut self) -> Option<(u64, u64)> {
        let (_, range) = self.submissions.try_recv().ok()?;
        Some((range.from_ns / MINUTE - BASE, range.to_ns / MINUTE - BASE))
    }
}

#[tokio::test(start_paused = true)]
async fn the_first_answer_reads_the_lake_and_the_next_ones_do_not() {
    let world = world(20, 0..20);
    let (rows, history) = world.ask(&request(None, None, 10)).await;
    assert_eq!((rows, history), ((10..20).collect(), HistoryState::Complete));
    assert_eq!(world.reads(), 1);
    assert_eq!(world.ask(&request(None, None, 20)).await.0.len(), 20);
    assert_eq!(world.ask(&request(Some(3), Some(6), 9)).await.0, [3, 4, 5]);
    assert_eq!(world.reads(), 0);
}

#[tokio::test(start_paused = true)]
async fn the_live_tail_is_part_of_the_answer_and_the_highest_revision_wins() {
    let world = world(20, 0..18);
    world.ask(&request(None, None, 5)).await;
    let revised = Candle { revision: 1, trades: 77, ..row(16) };
    let open = Candle { closed: false, ..row(20) };
    world.candles.memory.apply(&key("BTC/USDT"), vec![row(18), row(19), open, revised]);
    let (page, history) = world.candles.page(&request(None, None, 5)).await.unwrap();
    let shown: Vec<_> = page.candles.iter().map(|c| (c.open_time / MINUTE - BASE, c.trades, c.closed)).collect();
    assert_eq!(shown, [(16, 77, true), (17, 1, true), (18, 1, true), (19, 1, true), (20, 1, false)]);
    assert_eq!(history, HistoryState::Complete);
}

#[tokio::test(start_paused = true)]
async fn many_who_ask_at_one_time_cause_one_read() {
    let world = world(20, 0..20);
    let ask = request(None, None, 10);
    let answers = futures_util::future::join_all((0..20).map(|_| world.ask(&ask))).await;
    assert!(answers.iter().all(|(rows, _)| rows.len() == 10));
    assert_eq!(world.reads(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_page_beyond_memory_comes_from_the_lake() {
    let world = world(5000, 0..5000);
    assert_eq!(world.ask(&request(None, None, 10)).await.0, (4990..5000).collect::<Vec<_>>());
    assert_eq!(world.reads(), 1);
    assert_eq!(world.ask(&request(None, Some(100), 3)).await.0, [97, 98, 99]);
    assert_eq!(world.ask(&request(Some(7), None, 3)).await.0, [7, 8, 9]);
    assert_eq!(world.ask(&request(None, None, 1500)).await.0.len(), 1500);
    assert!(world.reads() > 2);
    assert_eq!(world.ask(&request(None, None, 1500)).await.0.len(), 1500);
    assert_eq!(world.reads(), 0, "read deeper once");
}

#[tokio::test(start_paused = true)]
async fn missing_history_is_asked_for_once_and_the_answer_says_pending() {
    let mut world = world(20, 10..20);
    let ask = request(None, None, 15);
    assert_eq!(world.ask(&ask).await, ((10..20).collect(), HistoryState::Pending));
    assert_eq!(world.submitted(), Some((5, 10)));
    world.ask(&ask).await;
    assert_eq!(world.submitted(), None, "the second wish joined the first");
}

#[tokio::test(start_paused = true)]
async fn a_short_hole_is_not_missing_a_long_one_is() {
    let mut world = world(60, (40..48).chain(50..60));
    assert_eq!(world.ask(&request(None, None, 20)).await.1, HistoryState::Complete);
    assert_eq!(world.submitted(), None, "two quiet minutes");
    // Nobody answers here, so the time limit of the wait ends it.
    assert_eq!(world.ask(&request(None, None, 30)).await.1, HistoryState::Pending);
    assert_eq!(world.submitted(), Some((30, 40)), "the quiet minutes are not worth a request");
}

#[tokio::test(start_paused = true)]
async fn an_empty_range_that_is_shorter_than_a_hole_is_missing_too() {
    let mut world = world(20, 0..5);
    world.ask(&request(Some(10), Some(11), 5)).await;
    assert_eq!(world.submitted(), Some((10, 11)));
}

#[tokio::test(start_paused = true)]
async fn a_symbol_that_the_venue_does_not_have_is_an_error_and_nothing_is_asked() {
    let mut world = world(20, []);
    world.candles.directory.add_instrument_for_test("SIM", "ETH/USDT");
    let error = world.candles.page(&request(None, None, 5)).await.unwrap_err();
    assert_eq!((error.code, error.field.as_ref()), (Code::UnknownSymbol, "symbol"));
    assert_eq!(world.submitted(), None);
}

#[tokio::test(start_paused = true)]
async fn an_old_series_is_read_again_in_the_background() {
    let world = world(20, 0..20);
    world.ask(&request(None, None, 5)).await;
    world.store.rows.lock().unwrap().push(Candle { revision: 2, trades: 9, ..row(19) });
    world.store.rows.lock().unwrap().remove(19);
    tokio::time::advance(Duration::from_secs(31)).await;
    world.reads();
    world.ask(&request(None, None, 5)).await;
    world.candles.tracker.close();
    timeout(Duration::from_secs(5), world.candles.tracker.wait()).await.unwrap();
    assert_eq!(world.reads(), 1);
    let (page, _) = world.candles.page(&request(None, None, 1)).await.unwrap();
    assert_eq!(page.candles[0].trades, 9);
}

#[tokio::test(start_paused = true)]
async fn a_lake_that_fails_is_our_error_and_is_asked_again() {
    let world = world(20, 0..20);
    *world.store.fails.lock().unwrap() = true;
    let error = world.candles.page(&request(None, None, 5)).await.unwrap_err();
    assert_eq!((error.code, error.retryable), (Code::Internal, true));
    *world.store.fails.lock().unwrap() = false;
    assert_eq!(world.ask(&request(None, None, 5)).await.0.len(), 5);
}

#[tokio::test(start_paused = true)]
async fn a_forgotten_series_is_no_longer_followed() {
    let world = world(20, []);
    for symbol in ["A/B", "C/D", "E/F"] {
        let ask = CandleRequest { key: key(symbol), ..request(None, None, 1) };
        world.candles.page(&ask).await.unwrap();
    }
    let topic = |symbol: &str| format!("SIM:{symbol}|ohlc:60s");
    let hub = &world.candles.hub;
    tokio::time::advance(Duration::from_secs(60)).await;
    hub.sweep(Instant::now());
    assert!(hub.followed(&topic("A/B")).is_none());
    assert!(hub.followed(&topic("C/D")).is_some() && hub.followed(&topic("E/F")).is_some());
}

#[tokio::test(start_paused = true)]
async fn an_indicator_gets_its_warm_up_and_a_session_its_whole_day() {
    let world = world(2000, 0..2000);
    let warm = trading::WarmUp::Candles(30);
    let (before, rows) = world.candles.with_warm_up(&request(Some(100), None, 5), warm).await.unwrap();
    assert_eq!((before.len(), rows.len()), (30, 5));
    assert_eq!(before.last().unwrap().open_time_ns + MINUTE, rows[0].open_time_ns);
    // The day after 10:00 begins 840 minutes later.
    let session = trading::WarmUp::Session;
    let (before, _) = world.candles.with_warm_up(&request(Some(900), None, 5), session).await.unwrap();
    assert_eq!(before.len(), 60);
}

#[tokio::test(start_paused = true)]
async fn filling_looks_for_the_price_before_the_range() {
    let world = world(20, (0..8).chain(10..20));
    let ask = CandleRequest { fill: true, ..request(Some(8), Some(11), 5) };
    assert_eq!(world.ask(&ask).await.0, [8, 9, 10]);
}
