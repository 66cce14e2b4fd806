//! Health, modes and search over what ingestors report.

use super::*;

const NOW: u64 = 1_795_168_800_000_000_000;
const SECOND: u64 = 1_000_000_000;

fn status(venue: &str, ingestor: &str, mode: wire::FeedMode, state: wire::FeedState, age_s: u64) -> wire::FeedStatus {
    wire::FeedStatus {
        venue: venue.into(),
        ingestor_id: ingestor.into(),
        mode: mode as i32,
        state: state as i32,
        sent_at_ns: NOW - age_s * SECOND,
        last_receive_time_ns: NOW - age_s * SECOND - SECOND / 4,
        last_event_time_ns: NOW - age_s * SECOND - SECOND / 2,
        symbols: 3,
        ..Default::default()
    }
}

fn sim(age_s: u64) -> wire::FeedStatus {
    status("SIM", "i1", wire::FeedMode::Sim, wire::FeedState::Live, age_s)
}

fn directory(feeds: &[wire::FeedStatus]) -> Directory {
    let mut directory = Directory::default();
    for feed in feeds {
        directory.apply_feed(feed.clone()).unwrap();
    }
    directory
}

fn instrument(symbol: &str, live: bool) -> wire::Instrument {
    let (base, quote) = symbol.split_once('/').unwrap();
    wire::Instrument {
        venue: "SIM".into(),
        symbol: symbol.into(),
        venue_symbol: symbol.replace('/', ""),
        base: base.into(),
        quote: quote.into(),
        kind: wire::InstrumentKind::Spot as i32,
        status: wire::InstrumentStatus::Trading as i32,
        tick_size: Some(proto::Decimal::ONE.into()),
        lot_size: Some(proto::Decimal::ZERO.into()),
        min_notional: None,
        live,
    }
}

#[test]
fn health_says_what_the_feeds_are() {
    let live = status("KRAKEN", "i2", wire::FeedMode::Live, wire::FeedState::Live, 0);
    let stale = status("KRAKEN", "i2", wire::FeedMode::Live, wire::FeedState::Stale, 0);
    let ended = status("BINANCE", "i3", wire::FeedMode::Replay, wire::FeedState::Ended, 0);
    let cut = [Problem::RelayDisconnected];
    let cases: [(&[wire::FeedStatus], &[Problem], HealthStatus, Mode); 9] = [
        (&[], &[], HealthStatus::Degraded, Mode::None),
        (&[sim(0)], &[], HealthStatus::Ok, Mode::Sim),
        (std::slice::from_ref(&live), &[], HealthStatus::Ok, Mode::Live),
        (&[ended], &[], HealthStatus::Ok, Mode::Replay),
        (&[sim(0), live.clone()], &[], HealthStatus::Ok, Mode::Mixed),
        (&[sim(0), stale.clone()], &[], HealthStatus::Degraded, Mode::Mixed),
        (&[stale], &[], HealthStatus::Down, Mode::Live),
        (&[sim(6)], &[], HealthStatus::Down, Mode::Sim),
        (&[sim(0)], &cut, HealthStatus::Down, Mode::Sim),
    ];
    for (feeds, problems, expected, mode) in cases {
        let health = directory(feeds).health(problems, NOW);
        assert_eq!((health.status, health.mode), (expected, mode), "{feeds:?}");
        assert_eq!(health.problems.is_empty(), expected == HealthStatus::Ok);
    }
}

#[test]
fn a_silent_ingestor_is_down_then_forgotten_and_a_leaving_one_goes_at_once() {
    assert_eq!(directory(&[sim(4)]).feeds(NOW)[0].state, FeedState::Live);
    assert_eq!(directory(&[sim(5)]).feeds(NOW)[0].state, FeedState::Down);
    assert_eq!(directory(&[sim(60)]).feeds(NOW), []);
    let mut swept = directory(&[sim(60), status("OKX", "i", wire::FeedMode::Live, wire::FeedState::Live, 0)]);
    swept.sweep(NOW);
    assert_eq!(swept.counts(), (1, 0));
    let leaving = wire::FeedStatus { leaving: true, ..sim(0) };
    assert_eq!(directory(&[sim(0), leaving]).feeds(NOW), []);
}

#[test]
fn an_older_status_does_not_replace_a_newer_one_and_the_age_is_that_of_the_last_event() {
    let mut directory = directory(&[sim(0)]);
    assert_eq!(directory.apply_feed(sim(3)), Ok(false));
    assert_eq!(directory.feeds(NOW)[0].age_ms, Some(250));
    let silent = wire::FeedStatus { last_receive_time_ns: 0, ..sim(0) };
    directory.apply_feed(silent).unwrap();
    assert_eq!(directory.feeds(NOW)[0].age_ms, None);
}

#[test]
fn records_that_are_not_valid_are_refused_by_field() {
    let mut directory = Directory::default();
    for (field, bad) in [
        ("venue", wire::FeedStatus { venue: "sim".into(), ..sim(0) }),
        ("ingestor_id", wire::FeedStatus { ingestor_id: String::new(), ..sim(0) }),
        ("mode", wire::FeedStatus { mode: 0, ..sim(0) }),
        ("state", wire::FeedStatus { state: 77, ..sim(0) }),
        ("sent_at_ns", wire::FeedStatus { sent_at_ns: 5, ..sim(0) }),
    ] {
        assert_eq!(directory.apply_feed(bad), Err(BadRecord(field)));
    }
    for (field, bad) in [
        ("symbol", wire::Instrument { symbol: "BTCUSDT".into(), ..instrument("BTC/USDT", true) }),
        ("kind", wire::Instrument { kind: 0, ..instrument("BTC/USDT", true) }),
        ("status", wire::Instrument { status: 0, ..instrument("BTC/USDT", true) }),
    ] {
        assert_eq!(directory.apply_instrument(&bad), Err(BadRecord(field)));
    }
    assert_eq!(directory.counts(), (0, 0));
}

#[test]
fn a_venue_shows_its_best_feed() {
    let down = status("SIM", "i0", wire::FeedMode::Sim, wire::FeedState::Down, 0);
    let mut directory = directory(&[down, sim(0)]);
    directory.apply_instrument(&wire::Instrument { venue: "OKX".into(), ..instrument("A/B", false) }).unwrap();
    let venues = directory.venues(NOW);
    let shown: Vec<_> = venues.iter().map(|v| (v.venue.as_str(), v.mode, v.state)).collect();
    assert_eq!(shown, [("OKX", Mode::None, FeedState::Down), ("SIM", Mode::Sim, FeedState::Live)]);
}

#[test]
fn search_finds_the_likeliest_first() {
    let mut directory = Directory::default();
    for (symbol, live) in
        [("AAVE/USDT", false), ("BTC/EUR", false), ("BTC/USDT", true), ("USDT/BTC", true), ("WBTC/USDT", false)]
    {
        directory.apply_instrument(&instrument(symbol, live)).unwrap();
    }
    let sim: Venue = "SIM".parse().unwrap();
    let names = |venue: Option<&Venue>, text: &str, limit| -> Vec<String> {
        directory.search(venue, text, limit).into_iter().map(|i| i.symbol).collect()
    };
    assert_eq!(names(Some(&sim), "btc", 9), ["BTC/USDT", "USDT/BTC", "BTC/EUR", "WBTC/USDT"]);
    assert_eq!(names(None, "btc-usdt", 9), ["BTC/USDT", "WBTC/USDT"]);
    assert_eq!(names(None, "", 2), ["BTC/USDT", "USDT/BTC"]);
    assert_eq!(names(Some(&"OKX".parse().unwrap()), "", 9), Vec::<String>::new());
    let found = directory.search(None, "aave", 9);
    assert_eq!((found[0].tick_size.as_deref(), found[0].lot_size.as_deref()), (Some("1"), None));
    assert_eq!(directory.knows(&sim, &"BTC/USDT".parse().unwrap()), Known::Yes);
    assert_eq!(directory.knows(&sim, &"BTC/XYZ".parse().unwrap()), Known::No);
    assert_eq!(directory.knows(&"OKX".parse().unwrap(), &"BTC/USDT".parse().unwrap()), Known::Unsure);
}
