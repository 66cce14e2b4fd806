//! Live feeds: frames through to the log, and connections that break in every way.

use crate::rig::{LogView, Place, Running, TestLog, VENUES, at_each, until, within};
use ingestor::Config;
use proto::market::Source;
use proto::wire::{self, FeedState};
use proto::{EventType, LogTopic};
use std::time::Duration;
use testkit::venue_server::Connections;

fn with(config: Config, change: impl FnOnce(&mut Config)) -> Config {
    let mut config = config;
    change(&mut config);
    config
}

#[tokio::test]
async fn trades_and_quotes_of_every_venue_reach_the_log_with_their_exact_bytes() {
    at_each(&VENUES, async |venue| {
        let (place, log) = (Place::open(venue).await, TestLog::open());
        let running = Running::start(place.config(), &log.log).await;
        place.subscribed().await;
        place.server.wait_connections(|c| c.quotes > 0).await;
        place.server.trade(&place.symbol, 20);
        place.server.quote(&place.symbol);
        let mut ticks = LogView::of(&log.log, LogTopic::NormTick).await;
        ticks.until_ids(venue, &place.key(), &place.all_ids()).await;
        let mut quotes = LogView::of(&log.log, LogTopic::NormQuote).await;
        quotes.until(venue, |view| view.messages::<wire::Quote>(EventType::Quote).pop()).await;
        running.stop().await;

        let mut raw = LogView::of(&log.log, LogTopic::RawWs).await;
        raw.refresh();
        for (tick, envelope) in ticks.ticks(&place.key()).iter().zip(&ticks.envelopes) {
            assert_eq!((tick.source, tick.repaired), (Source::Live, false), "{venue}");
            let reference = envelope.raw.as_ref().unwrap();
            let stored =
                log.log.reader(&reference.topic, reference.partition, eventlog::Start::Offset(reference.offset));
            let stored = stored.await.unwrap().try_next(1, 1).unwrap();
            let frame = proto::Envelope::decode(&stored[0].value).unwrap();
            let frame: wire::RawFrame = frame.message(EventType::RawFrame).unwrap();
            let text = String::from_utf8(frame.payload).unwrap();
            assert!(text.contains(&tick.trade_id), "{venue}: {text}");
        }
        let mut dead = LogView::of(&log.log, LogTopic::DlqRaw).await;
        dead.refresh();
        assert!(dead.envelopes.is_empty(), "{venue}: {:?}", dead.messages::<wire::DeadLetter>(EventType::DeadLetter));
    })
    .await;
}

#[tokio::test]
async fn a_dropped_connection_loses_no_trade_at_any_venue() {
    at_each(&VENUES, async |venue| {
        let (place, log) = (Place::open(venue).await, TestLog::open());
        let running = Running::start(place.config(), &log.log).await;
        place.subscribed().await;
        place.server.trade(&place.symbol, 5);
        let mut ticks = LogView::of(&log.log, LogTopic::NormTick).await;
        ticks.until_ids(venue, &place.key(), &place.all_ids()).await;

        place.server.refuse(true);
        place.server.drop_connections();
        place.server.wait_connections(|c| c.open == 0).await;
        let missed = place.server.add(&place.symbol, 7);
        place.server.refuse(false);
        place.subscribed().await;
        place.server.trade(&place.symbol, 3);
        ticks.until_ids(venue, &place.key(), &place.all_ids()).await;

        let all = ticks.ticks(&place.key());
        let repaired = all.iter().filter(|tick| tick.repaired).count();
        assert!(repaired >= missed.len(), "{venue}: {repaired} repaired");
        assert!(all.iter().all(|tick| tick.repaired == (tick.source == Source::Backfill)), "{venue}");
        let feed = running.feed();
        assert!(feed.reconnects >= 1 && feed.gaps >= 1 && feed.repaired_trades >= 7, "{venue}: {feed:?}");
        running.stop().await;
    })
    .await;
}

#[tokio::test]
async fn trades_missed_while_disconnected_are_fetched_even_if_no_trade_follows() {
    at_each(&["BINANCE", "KRAKEN", "OKX", "COINBASE", "SIM"], async |venue| {
        let (place, log) = (Place::open(venue).await, TestLog::open());
        let running = Running::start(place.config(), &log.log).await;
        place.subscribed().await;
        place.server.trade(&place.symbol, 5);
        let mut ticks = LogView::of(&log.log, LogTopic::NormTick).await;
        ticks.until_ids(venue, &place.key(), &place.all_ids()).await;
        place.server.refuse(true);
        place.server.close_connections();
        place.server.wait_connections(|c| c.open == 0).await;
        place.server.add(&place.symbol, 4);
        place.server.refuse(false);
        ticks.until_ids(venue, &place.key(), &place.all_ids()).await;
        running.stop().await;
    })
    .await;
}

#[tokio::test]
async fn a_mute_connection_is_given_up_and_replaced() {
    at_each(&VENUES, async |venue| {
        let (place, log) = (Place::open(venue).await, TestLog::open());
        let config = with(place.config(), |c| c.venues[0].mute_timeout = Some(Duration::from_secs(1)));
        let running = Running::start(config, &log.log).await;
        place.subscribed().await;
        place.server.trade(&place.symbol, 2);
        let mut ticks = LogView::of(&log.log, LogTopic::NormTick).await;
        ticks.until_ids(venue, &place.key(), &place.all_ids()).await;
        let before = place.server.connections();
        place.server.mute(true);
        within("a second try", place.server.wait_connections(|c| c.ever > before.ever)).await;
        // The old sockets hear that they are not wanted as soon as the venue listens again.
        place.server.mute(false);
        let as_before = |now: &Connections| now.open == before.open && now.trades == 1;
        within("only new connections", place.server.wait_connections(as_before)).await;
        until("given up and connected again", || running.counter("ingestor_feed_mutes_total") > 0).await;
        place.server.trade(&place.symbol, 2);
        ticks.until_ids(venue, &place.key(), &place.all_ids()).await;
        running.stop().await;
    })
    .await;
}

#[tokio::test]
async fn a_quiet_connection_that_answers_pings_is_kept() {
    let (place, log) = (Place::open("BINANCE").await, TestLog::open());
    let config = with(place.config(), |c| c.venues[0].mute_timeout = Some(Duration::from_millis(200)));
    let running = Running::start(config, &log.log).await;
    place.subscribed().await;
    place.server.trade(&place.symbol, 1);
    let mut ticks = LogView::of(&log.log, LogTopic::NormTick).await;
    // Ten heartbeats of 50 ms: twice the mute time without a frame.
    ticks
        .until("ten heartbeats", |view| {
            (view.messages::<wire::Heartbeat>(EventType::Heartbeat).len() >= 10).then_some(())
        })
        .await;
    assert_eq!((place.server.connections().ever, running.feed().reconnects), (1, 0));
    running.stop().await;
}

#[tokio::test]
async fn heartbeats_of_a_quiet_symbol_advance_and_stop_when_the_venue_is_mute() {
    let (place, log) = (Place::open("OKX").await, TestLog::open());
    let running = Running::start(place.config(), &log.log).await;
    place.subscribed().await;
    place.server.trade(&place.symbol, 1);
    let mut view = LogView::of(&log.log, LogTopic::NormTick).await;
    let beats = |view: &LogView| view.messages::<wire::Heartbeat>(EventType::Heartbeat);
    view.until("three heartbeats", |view| (beats(view).len() >= 3).then_some(())).await;
    let times: Vec<u64> = beats(&view).iter().map(|beat| beat.event_time_ns).collect();
    assert!(times.windows(2).all(|pair| pair[0] < pair[1]));
    assert!(times[0] > view.ticks(&place.key())[0].event_time_ns);
    assert!(beats(&view).iter().all(|beat| !beat.end_of_stream && beat.symbol == place.symbol.as_str()));

    place.server.mute(true);
    // What was on its way may still prove something; statuses go on, so after ten of them the heartbeats have stopped.
    let mut feeds = LogView::of(&log.log, LogTopic::EvtFeed).await;
    feeds.refresh();
    let statuses = feeds.envelopes.len();
    feeds.until("ten statuses", |view| (view.envelopes.len() >= statuses + 10).then_some(())).await;
    view.refresh();
    let stopped = beats(&view).len();
    feeds.until("ten more", |view| (view.envelopes.len() >= statuses + 20).then_some(())).await;
    view.refresh();
    assert_eq!(beats(&view).len(), stopped);
    running.stop().await;
}

#[tokio::test]
async fn garbage_goes_to_the_dead_letters_with_a_reason_and_the_feed_goes_on() {
    at_each(&VENUES, async |venue| {
        let (place, log) = (Place::open(venue).await, TestLog::open());
        let running = Running::start(place.config(), &log.log).await;
        place.subscribed().await;
        place.server.send_raw("this is no JSON");
        place.server.send_raw(vec![0xFF, 0xFE, 0x00]);
        place.server.trade(&place.symbol, 3);
        let mut ticks = LogView::of(&log.log, LogTopic::NormTick).await;
        ticks.until_ids(venue, &place.key(), &place.all_ids()).await;
        let mut dead = LogView::of(&log.log, LogTopic::DlqRaw).await;
        let letters = dead
            .until(venue, |view| {
                let letters = view.messages::<wire::DeadLetter>(EventType::DeadLetter);
                let sockets = running.metrics.render().matches("reason=").count();
                (letters.len() >= 2 && sockets > 0).then_some(letters)
            })
            .await;
        assert!(letters.iter().all(|letter| letter.reason == "malformed" && letter.topic == "raw.ws"), "{venue}");
        assert!(letters.iter().any(|letter| letter.payload == b"this is no JSON"), "{venue}");
        assert!(letters.iter().any(|letter| letter.payload == [0xFF, 0xFE, 0x00]), "{venue}");
        assert!(running.feed().rejected >= 2, "{venue}");
        running.stop().await;
    })
    .await;
}

#[tokio::test]
async fn a_frame_over_the_limit_ends_the_connection_and_nothing_else() {
    let (place, log) = (Place::open("KRAKEN").await, TestLog::open());
    let config = with(place.config(), |c| c.limits.frame_bytes = 10_000);
    let running = Running::start(config, &log.log).await;
    place.subscribed().await;
    place.server.trade(&place.symbol, 2);
    let mut ticks = LogView::of(&log.log, LogTopic::NormTick).await;
    ticks.until_ids("before", &place.key(), &place.all_ids()).await;
    place.server.send_raw("x".repeat(20_000));
    place.server.wait_connections(|c| c.ever == 2 && c.trades == 1).await;
    place.server.trade(&place.symbol, 2);
    ticks.until_ids("after", &place.key(), &place.all_ids()).await;
    running.stop().await;
}

#[tokio::test]
async fn an_old_connection_is_replaced_without_missing_a_trade() {
    let (place, log) = (Place::open("BINANCE").await, TestLog::open());
    let config = with(place.config(), |c| c.timing.connection_age = Duration::from_millis(400));
    let running = Running::start(config, &log.log).await;
    place.subscribed().await;
    let mut ticks = LogView::of(&log.log, LogTopic::NormTick).await;
    let mut sent = 0;
    // Trades all the time, until the connection was replaced twice.
    let replaced = async {
        while place.server.connections().ever < 3 {
            place.server.trade(&place.symbol, 1);
            sent += 1;
            ticks.until("the next trade", |view| (view.ids(&place.key()).len() >= sent).then_some(())).await;
        }
    };
    within("two replacements", replaced).await;
    assert_eq!(ticks.ids(&place.key()), place.all_ids());
    assert!(sent > 3);
    let feed = running.feed();
    assert_eq!((feed.reconnects, feed.gaps, feed.repaired_trades), (0, 0, 0), "{feed:?}");
    assert!(ticks.ticks(&place.key()).iter().all(|tick| !tick.repaired));
    running.stop().await;
}

#[tokio::test]
async fn a_venue_that_refuses_is_tried_with_growing_waits_and_shown_as_down() {
    let (place, log) = (Place::open("BINANCE").await, TestLog::open());
    place.server.refuse(true);
    let running = Running::start(place.config(), &log.log).await;
    until("the feed is down", || running.feed().state() == FeedState::Down).await;
    assert!(running.feed().detail.contains("ws-0: connect"), "{}", running.feed().detail);
    place.server.refuse(false);
    place.subscribed().await;
    place.server.trade(&place.symbol, 1);
    until("the feed is live", || running.feed().state() == FeedState::Live).await;
    running.stop().await;
}

#[tokio::test]
async fn the_last_status_says_that_the_ingestor_leaves() {
    let (place, log) = (Place::open("SIM").await, TestLog::open());
    let running = Running::start(place.config(), &log.log).await;
    place.subscribed().await;
    place.server.trade(&place.symbol, 4);
    let mut ticks = LogView::of(&log.log, LogTopic::NormTick).await;
    ticks.until_ids("trades", &place.key(), &place.all_ids()).await;
    running.stop().await;
    let mut feeds = LogView::of(&log.log, LogTopic::EvtFeed).await;
    feeds.refresh();
    let statuses = feeds.messages::<wire::FeedStatus>(EventType::FeedStatus);
    let last = statuses.last().unwrap();
    assert!(last.leaving && statuses[..statuses.len() - 1].iter().all(|status| !status.leaving));
    assert_eq!((last.ticks, last.symbols, last.venue.as_str()), (4, 1, "SIM"));
    assert!(feeds.envelopes.iter().all(|envelope| envelope.key == format!("SIM/{}", last.ingestor_id)));
}
