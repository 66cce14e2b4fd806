//! The simulated exchange in the ingestor, with the clock in the hand of the test.

use crate::rig::{LogView, Running, TestLog, until};
use ingestor::Config;
use ingestor::config::{Mode, VenueConfig};
use proto::wire::{self, FeedMode, FeedState};
use proto::{EventType, LogTopic, Symbol};
use service::clock::Clock;
use std::time::Duration;

const START_NS: u64 = 1_723_075_200_000_000_000;
const KEY: &str = "SIM:BTC/USDT";

fn config() -> Config {
    let symbol: Symbol = "BTC/USDT".parse().unwrap();
    let mut entry = VenueConfig::new("SIM".parse().unwrap(), Mode::Sim, vec![symbol]);
    entry.sim.late_per_million = 20_000;
    entry.sim.duplicate_per_million = 20_000;
    entry.sim.lost_per_million = 20_000;
    let mut config = Config::new(vec![entry]);
    config.timing.sim_step = Duration::from_millis(1);
    config.timing.status_every = Duration::from_millis(20);
    config.timing.gap_retry = Duration::from_millis(20);
    config
}

/// Lets simulated time pass, a hundred times faster than real time.
async fn pass(clock: &Clock, seconds: u64) {
    let mut timer = tokio::time::interval(Duration::from_millis(5));
    for _ in 0..seconds * 2 {
        timer.tick().await;
        clock.set_ns(clock.now_ns() + 500_000_000);
    }
}

#[tokio::test]
async fn late_lost_and_doubled_prints_end_as_a_series_without_a_hole() {
    let (log, clock) = (TestLog::open(), Clock::manual(START_NS));
    let running = Running::start_with(config(), &log.log, clock.clone()).await;
    pass(&clock, 60).await;
    let mut view = LogView::of(&log.log, LogTopic::NormTick).await;
    let complete = |view: &LogView| {
        let mut ids: Vec<u64> = view.ids(KEY).iter().map(|id| id.parse().unwrap()).collect();
        ids.sort_unstable();
        let settled: Vec<u64> = ids.iter().copied().take(300).collect();
        (settled.len() == 300 && settled.windows(2).all(|pair| pair[0] + 1 == pair[1])).then_some(ids.len())
    };
    let search = view.until("300 trades without a hole", complete);
    let drive = pass(&clock, 1_000_000);
    tokio::select! {
        _count = search => {}
        () = drive => unreachable!("the clock stops only with the test"),
    }
    let ticks = view.ticks(KEY);
    assert!(ticks.iter().any(|tick| tick.repaired), "lost trades were fetched");
    let late = ticks.windows(2).any(|p| p[1].event_time_ns + 900_000_000 < p[0].event_time_ns && !p[1].repaired);
    assert!(late, "late prints came late");
    assert!(ticks.len() > view.ids(KEY).len(), "doubled prints are there twice");
    let feed = running.feed();
    assert_eq!((feed.mode(), feed.state()), (FeedMode::Sim, FeedState::Live));
    assert!(feed.quotes > 0 && feed.repaired_trades > 0);
    running.stop().await;
}

#[tokio::test]
async fn frames_of_the_simulated_exchange_are_kept_like_those_of_a_real_one() {
    let (log, clock) = (TestLog::open(), Clock::manual(START_NS));
    let running = Running::start_with(config(), &log.log, clock.clone()).await;
    pass(&clock, 20).await;
    until("trades arrived", || running.feed().ticks > 10).await;
    running.stop().await;
    let mut raw = LogView::of(&log.log, LogTopic::RawWs).await;
    raw.refresh();
    let frames = raw.messages::<wire::RawFrame>(EventType::RawFrame);
    assert!(frames.iter().any(|frame| frame.payload.starts_with(br#"{"e":"trade","s":"BTC/USDT""#)));
    assert!(frames.iter().all(|frame| frame.venue == "SIM" && frame.channel == "sim-0"));
    let mut instruments = LogView::of(&log.log, LogTopic::EvtInstrument).await;
    instruments.refresh();
    let listed = instruments.messages::<wire::Instrument>(EventType::Instrument);
    assert!(listed.len() >= 8);
    assert_eq!(listed.iter().filter(|instrument| instrument.live).count(), 1);
}
