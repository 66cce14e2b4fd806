//! The shared recordings of real feeds: every trade of 2024-08-08 once, and no frame of a known channel misread.
#![allow(clippy::unwrap_used, reason = "a test fails by it")]

#[path = "recordings/files.rs"]
mod files;
#[path = "recordings/tally.rs"]
mod tally;

use files::{Item, recordings, shared, stamped_lines, unpacked};
use std::collections::BTreeMap;
use std::sync::LazyLock;
use tally::{Tally, table};
use venues::{Event, Ignored, Instrument, Reason};

/// The folder, or a line that says what was left out.
fn folder() -> Option<std::path::PathBuf> {
    let shared = shared();
    if shared.is_none() {
        eprintln!("left out: ../shared/data is not here");
    }
    shared
}

/// What the adapters make of all recordings.
static TALLIES: LazyLock<Option<BTreeMap<(&'static str, &'static str), Tally>>> =
    LazyLock::new(|| folder().map(|shared| tally::tally(&recordings(&shared))));

#[test]
fn every_trade_of_the_recorded_day_is_read_once_in_order() {
    let Some(shared) = folder() else { return };
    let cases = [
        ("spot_btcusdt", "BINANCE", "BTC/USDT", 3_735_683_259, 9757, 28_040),
        ("spot_ethusdt", "BINANCE", "ETH/USDT", 0, 6106, 24_077),
        ("usdm_btcusdt", "BINANCE-USDM", "BTC/USDT", 5_266_583_935, 21_313, 66_089),
        ("usdm_ethusdt", "BINANCE-USDM", "ETH/USDT", 0, 14_076, 53_992),
    ];
    for (file, venue, symbol, first, trades, quotes) in cases {
        let path = shared.join(format!("data/market/binance_ws_2024-08-08/{file}_20240808.jsonl.xz"));
        let adapter = venues::recognise(&path.to_string_lossy(), &[]).unwrap();
        assert_eq!(adapter.venue().as_str(), venue);
        let (mut ids, mut quoted) = (Vec::new(), 0);
        for item in stamped_lines(&unpacked(&path)) {
            let Item::Frame(Some(stamp), frame) = item else { panic!("a line without a stamp") };
            let mut events = Vec::new();
            adapter.decode(&frame, stamp, &mut events).expect("a frame that is read");
            for event in events {
                match event {
                    Event::Tick(tick) => {
                        assert_eq!((tick.symbol.as_str(), tick.receive_time_ns), (symbol, stamp));
                        ids.push(tick.trade_id.parse::<u64>().unwrap());
                    }
                    Event::Quote(quote) => {
                        assert_eq!(quote.symbol.as_str(), symbol);
                        quoted += 1;
                    }
                    Event::Ignored(kind) => assert_eq!(kind, Ignored::Depth),
                    other => panic!("{other:?}"),
                }
            }
        }
        assert_eq!((ids.len(), quoted), (trades, quotes), "{file}");
        assert!(ids.windows(2).all(|pair| pair[1] == pair[0] + 1), "{file}: ids must count up by one");
        assert!(first == 0 || ids[0] == first, "{file}");
    }
}

#[test]
fn recordings_of_a_day_are_recognised_by_their_frames_too() {
    let Some(shared) = folder() else { return };
    let cases = [
        ("spot_btcusdt_20240808", "BINANCE"),
        ("usdm_ethusdt_20240808", "BINANCE-USDM"),
        ("hyperliquid_btcusd_20250126", "HYPERLIQUID"),
    ];
    for (file, venue) in cases {
        let path = shared.join(format!("data/market/binance_ws_2024-08-08/{file}.jsonl.xz"));
        let items = stamped_lines(&unpacked(&path));
        let frames: Vec<&[u8]> = items
            .iter()
            .take(20)
            .filter_map(|item| match item {
                Item::Frame(_, frame) => Some(&frame[..]),
                _ => None,
            })
            .collect();
        assert_eq!(venues::recognise("a.jsonl", &frames).unwrap().venue().as_str(), venue);
    }
}

#[test]
fn recorded_instruments_map_both_ways() {
    let Some(shared) = folder() else { return };
    let mut by_venue: BTreeMap<&str, Vec<Instrument>> = BTreeMap::new();
    for recording in recordings(&shared) {
        let adapter = venues::adapter(&recording.venue.parse().unwrap()).unwrap();
        for item in &recording.items {
            if let Item::Body(files::Rest::Instruments, body) = item
                && let Ok(answer) = adapter.parse_instruments(body)
            {
                by_venue.entry(recording.venue).or_default().extend(answer.listed);
            }
        }
    }
    for (venue, instruments) in by_venue {
        let adapter = venues::adapter(&venue.parse().unwrap()).unwrap();
        let refined = adapter.refined(&instruments);
        let mut by_rule = 0;
        for i in &instruments {
            assert_eq!(refined.canonical(&i.venue_symbol).as_ref(), Ok(&i.symbol), "{venue}");
            assert_eq!(refined.venue_symbol(&i.symbol).as_deref(), Ok(i.venue_symbol.as_str()), "{venue}");
            by_rule += usize::from(adapter.canonical(&i.venue_symbol).as_ref() == Ok(&i.symbol));
        }
        // Without the list a few names of one run of letters cannot be known.
        assert!(by_rule * 100 >= instruments.len() * 97, "{venue}: {by_rule} of {} by rule", instruments.len());
    }
}

#[test]
fn all_four_names_of_a_kraken_pair_are_one_symbol() {
    let Some(shared) = folder() else { return };
    let kraken = venues::adapter(&"KRAKEN".parse().unwrap()).unwrap();
    let mut pairs = 0;
    for recording in recordings(&shared).iter().filter(|recording| recording.venue == "KRAKEN") {
        for item in &recording.items {
            let Item::Body(files::Rest::Instruments, body) = item else { continue };
            let answer: serde_json::Value = serde_json::from_slice(body).unwrap();
            for (legacy, entry) in answer["result"].as_object().unwrap() {
                let Some(wsname) = entry["wsname"].as_str().filter(|name| !name.contains('x')) else { continue };
                let symbol = kraken.canonical(wsname).unwrap();
                assert_eq!(kraken.canonical(legacy), Ok(symbol.clone()), "{legacy} {wsname}");
                assert_eq!(kraken.canonical(entry["altname"].as_str().unwrap()), Ok(symbol.clone()), "{wsname}");
                assert_eq!(kraken.canonical(&kraken.venue_symbol(&symbol).unwrap()), Ok(symbol));
                pairs += 1;
            }
        }
    }
    assert!(pairs > 300, "{pairs}");
}

/// Sum over the collections of a venue.
fn of_venue<'a>(
    tallies: &'a BTreeMap<(&'static str, &'static str), Tally>,
    venue: &'a str,
) -> impl Iterator<Item = &'a Tally> {
    tallies.iter().filter(move |((name, _), _)| *name == venue).map(|(_, tally)| tally)
}

#[test]
fn recorded_payloads_of_each_venue_parse() {
    let Some(tallies) = &*TALLIES else { return };
    eprintln!("{}", table(tallies));
    // At least this many: a change of the adapters that loses data fails here; more recordings do not.
    let least = [
        ("BINANCE", [16_890, 52_200, 4_530, 1_740]),
        ("BINANCE-USDM", [35_390, 120_690, 1, 126]),
        ("BYBIT", [5, 1, 4, 6]),
        ("COINBASE", [115, 2, 13, 165]),
        ("HYPERLIQUID", [64, 0, 0, 0]),
        ("KRAKEN", [6, 2, 707, 372]),
        ("OKX", [79, 28, 2, 2_574]),
    ];
    for (venue, [ticks, quotes, candles, instruments]) in least {
        let sum = |count: fn(&Tally) -> usize| of_venue(tallies, venue).map(count).sum::<usize>();
        let got = [sum(|t| t.ticks), sum(|t| t.quotes), sum(|t| t.candles), sum(|t| t.instruments)];
        for (got, least) in got.into_iter().zip([ticks, quotes, candles, instruments]) {
            assert!(got >= least, "{venue}: {got:?} of at least {least}");
        }
    }
}

#[test]
fn every_refusal_of_a_recording_is_one_that_the_docs_explain() {
    let Some(tallies) = &*TALLIES else { return };
    let mut unexplained = String::new();
    for ((venue, _), tally) in tallies {
        for (path, rejection) in &tally.examples {
            if !explained(venue, path, rejection) {
                unexplained.push_str(&format!("{venue} {path}: {rejection}\n"));
            }
        }
    }
    assert!(unexplained.is_empty(), "\n{unexplained}");
}

/// docs/venues.md, "What is refused".
fn explained(venue: &str, path: &str, rejection: &venues::Rejection) -> bool {
    let documented_examples = ["wsHandleData", "testTradeEvent", "trade_stream.json"];
    match (venue, rejection.reason) {
        ("BINANCE" | "BINANCE-USDM", Reason::BadTime) => documented_examples.iter().any(|name| path.contains(name)),
        ("BINANCE", Reason::MissingField) => rejection.detail == "PRICE_FILTER.tickSize",
        ("BINANCE-USDM", Reason::UnknownSymbol) => path.contains("DELIVERY"),
        ("BYBIT", Reason::UnknownSymbol) => !path.contains("pot"),
        ("BYBIT", Reason::UnknownChannel) => path.contains("cryptofeed") || path.contains("nautilus"),
        ("COINBASE", Reason::UnknownSymbol) => path.contains("future"),
        ("COINBASE", Reason::MissingField) => path.contains("coinbasepro") && rejection.detail == "base_increment",
        ("HYPERLIQUID", Reason::UnknownChannel) => path.contains("ws_book_data"),
        ("KRAKEN", Reason::UnknownChannel) => {
            let older = ["cryptofeed", "gocryptotrader", "xchange-stream-kraken"];
            path.contains("utures") || path.contains("missing_optional") || older.iter().any(|name| path.contains(name))
        }
        ("KRAKEN", Reason::UnknownSymbol) => rejection.detail.ends_with("dark pool"),
        ("KRAKEN", Reason::MissingField) => rejection.detail == "trade id",
        ("KRAKEN", Reason::BadNumber) => path.contains("precision"),
        ("OKX", Reason::UnknownChannel) => path.contains("ws_opt_summary"),
        ("OKX", Reason::UnknownSymbol) => rejection.detail.contains("not a s"),
        _ => false,
    }
}
