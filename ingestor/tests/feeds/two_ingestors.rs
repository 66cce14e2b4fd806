//! Two ingestors on one feed and one log: both write, nothing is missing, work is shared.

use crate::history::{FakeRelay, request};
use crate::rig::{LogView, Place, Running, TestLog, candles, until, within};
use ingestor::Config;
use proto::{EventType, Interval, LogTopic, wire};

fn named(place: &Place, id: &str) -> Config {
    let mut config = place.config();
    config.ingestor_id = Some(id.to_owned());
    config
}

#[tokio::test]
async fn either_may_be_killed_at_any_time_and_no_trade_is_missing() {
    let (place, log) = (Place::open("BINANCE").await, TestLog::open());
    let mut pair = Vec::new();
    for id in ["a", "b"] {
        pair.push(Running::start(named(&place, id), &log.log).await);
    }
    within("both subscribe", place.server.wait_connections(|c| c.trades == 2)).await;
    let mut ticks = LogView::of(&log.log, LogTopic::NormTick).await;
    // What was missed before the first trade was written nobody can know.
    place.server.trade(&place.symbol, 1);
    ticks.until_ids("the first trade", &place.key(), &place.all_ids()).await;
    for round in 0..6 {
        place.server.trade(&place.symbol, 5);
        pair.remove(0).kill().await;
        // The other one goes on alone, and even its connection breaks.
        let ids = place.server.add(&place.symbol, 4);
        place.server.deliver(&place.symbol, &ids[1..3]);
        if round % 2 == 1 {
            place.server.drop_connections();
        }
        pair.push(Running::start(named(&place, &format!("r{round}")), &log.log).await);
        within("both subscribe", place.server.wait_connections(|c| c.trades == 2)).await;
        place.server.trade(&place.symbol, 2);
    }
    ticks.until_ids("every trade", &place.key(), &place.all_ids()).await;
    for running in pair {
        running.stop().await;
    }
}

#[tokio::test]
async fn a_history_request_is_fetched_by_one_of_them_only() {
    let (place, log) = (Place::open("OKX").await, TestLog::open());
    let relay = FakeRelay::bind().await;
    place.server.add_at(&place.symbol, 600, request::FROM_MS, 1_000);
    let mut pair = Vec::new();
    for id in ["a", "b"] {
        let mut config = named(&place, id);
        config.relay_work = Some(relay.endpoint.clone());
        pair.push(Running::start(config, &log.log).await);
    }
    relay.subscribers(&place.venue, 2).await;
    let mut feeds = LogView::of(&log.log, LogTopic::EvtFeed).await;
    feeds.until("both are known", |view| (view.envelopes.len() >= 8).then_some(())).await;
    let mut answers = LogView::of(&log.log, LogTopic::NormOhlc).await;
    for number in 1..=8 {
        let asked = request::candles(&place, number, Interval::M1, number * 60_000, 10 * 60_000);
        relay.work(&asked);
        let parts = answers.answer(&asked.request_id.to_string()).await;
        assert!(!candles(&parts).is_empty());
    }
    let parts = answers.messages::<wire::OhlcBatch>(EventType::OhlcBatch);
    assert_eq!(parts.len(), 8, "each request answered once");
    let mut jobs = LogView::of(&log.log, LogTopic::EvtJob).await;
    jobs.until("eight jobs done", |view| (view.envelopes.len() >= 8).then_some(())).await;
    let who: std::collections::BTreeSet<String> =
        jobs.messages::<wire::JobStatus>(EventType::JobStatus).into_iter().map(|job| job.ingestor_id).collect();
    assert_eq!(who.len(), 2, "both did some of the work");
    for running in pair {
        running.stop().await;
    }
}

#[tokio::test]
async fn the_job_of_an_ingestor_that_dies_is_taken_over() {
    let (place, log) = (Place::open("OKX").await, TestLog::open());
    let relay = FakeRelay::bind().await;
    place.server.add_at(&place.symbol, 600, request::FROM_MS, 1_000);
    let mut pair = Vec::new();
    for id in ["a", "b"] {
        let mut config = named(&place, id);
        config.relay_work = Some(relay.endpoint.clone());
        pair.push(Running::start(config, &log.log).await);
    }
    relay.subscribers(&place.venue, 2).await;
    let mut feeds = LogView::of(&log.log, LogTopic::EvtFeed).await;
    feeds.until("both are known", |view| (view.envelopes.len() >= 8).then_some(())).await;
    // All answers hang; the ranges are spread over both.
    place.server.hold_rest(true);
    let asked: Vec<_> = (1..=6).map(|n| request::candles(&place, n, Interval::M1, n * 60_000, 5 * 60_000)).collect();
    asked.iter().for_each(|request| relay.work(request));
    let before: u64 = 1;
    until("both work", || pair.iter().all(|r| r.counter("ingestor_rest_requests_total") > before)).await;
    pair.remove(0).kill().await;
    place.server.hold_rest(false);
    let mut answers = LogView::of(&log.log, LogTopic::NormOhlc).await;
    for request in &asked {
        answers.answer(&request.request_id.to_string()).await;
    }
    assert!(pair[0].counter("ingestor_history_jobs_taken_over_total") > 0);
    for running in pair {
        running.stop().await;
    }
}
