//! Holes in the feed, and venues that make it hard to fill them.

use crate::rig::{LogView, Place, Running, TestLog, VENUES, at_each, until};
use proto::market::candles_of;
use proto::{Decimal, EventType, LogTopic, wire};
use service::clock::now_ns;
use std::collections::BTreeSet;
use std::time::Duration;
use testkit::venue_server::{Fault, Served};

const CONTIGUOUS: [&str; 6] = ["BINANCE", "BINANCE-USDM", "COINBASE", "KRAKEN", "OKX", "SIM"];

fn trade_requests(served: &[Served]) -> Vec<Served> {
    let is_trades = |served: &&Served| {
        let path = served.path_and_query.to_lowercase();
        path.contains("trades") && !path.contains("aggtrades")
    };
    served.iter().filter(is_trades).cloned().collect()
}

/// An ingestor whose instruments are fetched, so that ordered faults hit the repair.
async fn ready(place: &Place, log: &TestLog) -> Running {
    let running = Running::start(place.config(), &log.log).await;
    place.subscribed().await;
    place.server.wait_served(|served| !served.is_empty()).await;
    let mut instruments = LogView::of(&log.log, LogTopic::EvtInstrument).await;
    instruments.until("instruments", |view| (!view.envelopes.is_empty()).then_some(())).await;
    running
}

#[tokio::test]
async fn lost_doubled_and_swapped_trades_are_all_there_in_the_end() {
    at_each(&CONTIGUOUS, async |venue| {
        let (place, log) = (Place::open(venue).await, TestLog::open());
        let running = ready(&place, &log).await;
        let ids = place.server.add(&place.symbol, 40);
        // 10..20 are lost, 25 and 26 change places, 30 comes twice.
        let mut order: Vec<u64> =
            ids.iter().copied().enumerate().filter(|(i, _)| !(10..20).contains(i)).map(|(_, id)| id).collect();
        order.swap(15, 16);
        order.push(ids[30]);
        place.server.deliver(&place.symbol, &order);
        let mut ticks = LogView::of(&log.log, LogTopic::NormTick).await;
        ticks.until_ids(venue, &place.key(), &place.all_ids()).await;
        let repaired: Vec<String> =
            ticks.ticks(&place.key()).into_iter().filter(|tick| tick.repaired).map(|tick| tick.trade_id).collect();
        let lost: Vec<String> = ids[10..20].iter().map(u64::to_string).collect();
        assert!(lost.iter().all(|id| repaired.contains(id)), "{venue}: {repaired:?}");
        until("the hole is closed", || {
            running.metrics.render().contains(&format!("missing_trades{{venue=\"{venue}\"}} 0"))
        })
        .await;
        running.stop().await;
    })
    .await;
}

#[tokio::test]
async fn a_venue_that_limits_is_left_alone_for_as_long_as_it_says() {
    at_each(&["BINANCE", "OKX", "SIM"], async |venue| {
        let (place, log) = (Place::open(venue).await, TestLog::open());
        let running = ready(&place, &log).await;
        place.server.fail_next([Fault::RateLimited(Some(1)), Fault::RateLimited(Some(1))]);
        let ids = place.server.add(&place.symbol, 5);
        place.server.deliver(&place.symbol, &[ids[0], ids[4]]);
        let mut ticks = LogView::of(&log.log, LogTopic::NormTick).await;
        ticks.until_ids(venue, &place.key(), &place.all_ids()).await;
        let served = trade_requests(&place.server.served());
        assert_eq!(served.iter().map(|s| s.status).collect::<Vec<_>>(), [429, 429, 200], "{venue}");
        for pair in served.windows(2) {
            let pause = pair[1].at.duration_since(pair[0].at);
            assert!(pause >= Duration::from_secs(1), "{venue}: asked again after {pause:?}");
        }
        running.stop().await;
    })
    .await;
}

#[tokio::test]
async fn a_ban_stops_all_requests_until_it_ends_and_is_shown() {
    let (place, log) = (Place::open("BINANCE").await, TestLog::open());
    let running = ready(&place, &log).await;
    place.server.fail_next([Fault::Banned(2)]);
    let ids = place.server.add(&place.symbol, 3);
    place.server.deliver(&place.symbol, &[ids[0], ids[2]]);
    until("the ban is shown", || running.feed().detail.contains("banned for 2 s")).await;
    let mut ticks = LogView::of(&log.log, LogTopic::NormTick).await;
    ticks.until_ids("after the ban", &place.key(), &place.all_ids()).await;
    let served = trade_requests(&place.server.served());
    assert_eq!(served.len(), 2);
    assert!(served[1].at.duration_since(served[0].at) >= Duration::from_secs(2));
    running.stop().await;
}

#[tokio::test]
async fn errors_garbage_and_half_pages_only_delay_a_repair() {
    at_each(&["BINANCE", "COINBASE", "OKX", "SIM"], async |venue| {
        let (place, log) = (Place::open(venue).await, TestLog::open());
        let running = ready(&place, &log).await;
        place.server.fail_next([Fault::ServerError, Fault::CutOff, Fault::Garbage, Fault::AtMost(3)]);
        let ids = place.server.add(&place.symbol, 12);
        place.server.deliver(&place.symbol, &[ids[0], ids[11]]);
        let mut ticks = LogView::of(&log.log, LogTopic::NormTick).await;
        ticks.until_ids(venue, &place.key(), &place.all_ids()).await;
        let mut dead = LogView::of(&log.log, LogTopic::DlqRaw).await;
        dead.refresh();
        let letters = dead.messages::<wire::DeadLetter>(EventType::DeadLetter);
        assert!(
            letters.iter().any(|letter| letter.topic == "raw.rest" && letter.payload.starts_with(b"<html>")),
            "{venue}"
        );
        running.stop().await;
    })
    .await;
}

#[tokio::test]
async fn a_hole_larger_than_a_page_is_fetched_in_pages_within_the_budget() {
    // Coinbase allows 10 requests a second, of which 7 are for market data; a page has 1000 trades.
    let (place, log) = (Place::open("COINBASE").await, TestLog::open());
    let running = ready(&place, &log).await;
    let now_ms = now_ns() / 1_000_000;
    let ids = place.server.add_at(&place.symbol, 12_000, now_ms - 12_000, 1);
    place.server.deliver(&place.symbol, &[ids[0], ids[11_999]]);
    let mut ticks = LogView::of(&log.log, LogTopic::NormTick).await;
    ticks.until_ids("all pages", &place.key(), &place.all_ids()).await;
    assert!(trade_requests(&place.server.served()).len() >= 12);
    let most = place.server.most_within(Duration::from_secs(1));
    assert!(most <= 7, "{most} requests in a second");
    running.stop().await;
}

#[tokio::test]
async fn what_the_venue_no_longer_has_is_given_up_counted_and_shown() {
    // Binance futures show only the newest 1000 trades.
    let (place, log) = (Place::open("BINANCE-USDM").await, TestLog::open());
    let running = ready(&place, &log).await;
    let now_ms = now_ns() / 1_000_000;
    let ids = place.server.add_at(&place.symbol, 1_500, now_ms - 1_500, 1);
    place.server.deliver(&place.symbol, &[ids[0], ids[1_499]]);
    let mut ticks = LogView::of(&log.log, LogTopic::NormTick).await;
    let newest: BTreeSet<String> =
        std::iter::once(ids[0]).chain(ids[500..].iter().copied()).map(|id| id.to_string()).collect();
    ticks.until_ids("the newest thousand", &place.key(), &newest).await;
    until("given up", || running.feed().detail.contains("499 trades of BTC/USDT could not be had")).await;
    assert!(running.metrics.render().contains("ingestor_feed_abandoned_trades_total{venue=\"BINANCE-USDM\"} 499"));
    running.stop().await;
}

#[tokio::test]
async fn trades_missed_while_the_process_was_away_are_found_from_the_log() {
    at_each(&["BINANCE", "KRAKEN", "BYBIT"], async |venue| {
        let (place, log) = (Place::open(venue).await, TestLog::open());
        let running = Running::start(place.config(), &log.log).await;
        place.subscribed().await;
        place.server.trade(&place.symbol, 6);
        let mut ticks = LogView::of(&log.log, LogTopic::NormTick).await;
        ticks.until_ids(venue, &place.key(), &place.all_ids()).await;
        running.kill().await;
        place.server.wait_connections(|c| c.open == 0).await;
        place.server.add(&place.symbol, 9);

        let running = Running::start(place.config(), &log.log).await;
        place.subscribed().await;
        place.server.trade(&place.symbol, 2);
        ticks.until_ids(venue, &place.key(), &place.all_ids()).await;
        running.stop().await;
    })
    .await;
}

/// Interval in seconds, start, end and candles (open time, volume) of a seed.
type SeedRows = (u32, u64, u64, Vec<(u64, Decimal)>);

/// The seeds in the log.
fn seeds(view: &LogView) -> Vec<SeedRows> {
    let seed = |seed: wire::OhlcBatch| {
        let candles = candles_of(&seed).unwrap();
        let rows = candles.iter().map(|candle| (candle.open_time_ns, candle.volume)).collect();
        (seed.interval_s, seed.from_ns, seed.to_ns, rows)
    };
    view.messages::<wire::OhlcBatch>(EventType::OhlcBatch).into_iter().map(seed).collect()
}

#[tokio::test]
async fn what_happened_before_the_first_trade_of_a_feed_is_fetched_once() {
    at_each(&VENUES, async |venue| {
        let (place, log) = (Place::open(venue).await, TestLog::open());
        let mut config = place.config();
        config.timing.start_fetch_after = Duration::ZERO;
        // A trade every minute since the day began, and a feed that begins now.
        const MINUTE_MS: u64 = 60_000;
        let now_ms = now_ns() / 1_000_000;
        let day_ms = now_ms - now_ms % (24 * 60 * MINUTE_MS);
        let minutes = usize::try_from((now_ms - day_ms) / MINUTE_MS).unwrap();
        place.server.add_at(&place.symbol, minutes, day_ms, MINUTE_MS);
        // The first process ends before the venue answers; the next one asks again.
        place.server.hold_rest(true);
        let running = Running::start(config.clone(), &log.log).await;
        if matches!(venue, "KRAKEN" | "OKX" | "COINBASE") {
            place.server.hold_rest(false);
        }
        place.subscribed().await;
        place.server.trade(&place.symbol, 1);
        let mut view = LogView::of(&log.log, LogTopic::NormTick).await;
        view.until("the first trade", |view| (!view.ticks(&place.key()).is_empty()).then_some(())).await;
        let first_ms = view.ticks(&place.key())[0].event_time_ns / 1_000_000;
        running.kill().await;
        place.server.hold_rest(false);

        let running = Running::start(config.clone(), &log.log).await;
        let minute_ms = first_ms - first_ms % MINUTE_MS - MINUTE_MS;
        let hour_ms = minute_ms - minute_ms % (60 * MINUTE_MS);
        let began_ms = minute_ms - minute_ms % (24 * 60 * MINUTE_MS);
        let expected: Vec<_> = [(60, hour_ms, minute_ms), (3_600, began_ms, hour_ms)]
            .into_iter()
            .filter(|(_, from_ms, to_ms)| from_ms < to_ms)
            .map(|(seconds, from_ms, to_ms)| {
                let candles = place.server.table().candles(&place.symbol, u64::from(seconds), from_ms, to_ms);
                let rows = candles.iter().map(|candle| (candle.open_ms * 1_000_000, candle.volume)).collect();
                (seconds, from_ms * 1_000_000, to_ms * 1_000_000, rows)
            })
            .collect();
        let before = place.server.table().trades(&place.symbol).iter().filter(|t| t.time_ms < minute_ms).count();
        let all: BTreeSet<String> = place.server.shown_ids(&place.symbol).into_iter().skip(before).collect();
        let wanted = |view: &LogView| {
            (seeds(view).len() >= expected.len() && all.is_subset(&view.ids(&place.key()))).then_some(())
        };
        view.until(&format!("{venue}: the time before"), wanted).await;
        for seed in seeds(&view) {
            assert!(expected.contains(&seed), "{venue}: {seed:?} is not of {expected:?}");
        }
        until("nothing is missing", || running.feed().detail.is_empty()).await;
        running.stop().await;

        // A third process knows that it was done.
        let asked = place.server.served().len();
        let before = seeds(&view).len();
        let running = Running::start(config, &log.log).await;
        place.server.wait_connections(|c| c.trades > 0).await;
        place.server.trade(&place.symbol, 1);
        view.until_ids(venue, &place.key(), &view_ids(&view, &place)).await;
        running.stop().await;
        view.refresh();
        let candles = |served: &[Served]| served.iter().skip(asked).filter(|s| is_candles(s)).count();
        assert_eq!((seeds(&view).len(), candles(&place.server.served())), (before, 0), "{venue}");
    })
    .await;
}

/// What the log holds and what the venue showed last.
fn view_ids(view: &LogView, place: &Place) -> BTreeSet<String> {
    view.ids(&place.key()).into_iter().chain(place.server.shown_ids(&place.symbol).pop()).collect()
}

fn is_candles(served: &Served) -> bool {
    let path = served.path_and_query.to_lowercase();
    ["kline", "candle", "ohlc"].iter().any(|word| path.contains(word))
}
