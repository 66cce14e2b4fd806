//! Names and symbols: a bijection by rule, a bijection by instruments, and no third answer.
#![allow(clippy::unwrap_used, reason = "a test fails by it")]

use proptest::prelude::*;
use proto::{Symbol, Venue};
use std::collections::HashSet;
use venues::{Adapter, Instrument, InstrumentKind, InstrumentStatus, SymbolError, SymbolTable};

fn venue(name: &str) -> &'static dyn Adapter {
    venues::adapter(&name.parse().unwrap()).unwrap()
}

fn symbol(text: &str) -> Symbol {
    text.parse().unwrap()
}

fn instrument(venue: &str, symbol: &str, name: &str) -> Instrument {
    Instrument {
        venue: venue.parse().unwrap(),
        symbol: symbol.parse().unwrap(),
        venue_symbol: name.to_owned(),
        kind: InstrumentKind::Spot,
        status: InstrumentStatus::Trading,
        tick_size: "0.01".parse().unwrap(),
        lot_size: "0.01".parse().unwrap(),
        min_notional: proto::Decimal::ZERO,
    }
}

#[test]
fn names_map_both_ways_without_instruments() {
    let cases = [
        ("BINANCE", "BTC/USDT", "BTCUSDT"),
        ("BINANCE", "ETH/BTC", "ETHBTC"),
        ("BINANCE", "BTC/FDUSD", "BTCFDUSD"),
        ("BINANCE", "1000SATS/TRY", "1000SATSTRY"),
        ("BINANCE-USDM", "BTC/USDT", "BTCUSDT"),
        ("BINANCE-USDM", "BTC/USDT_240927", "BTCUSDT_240927"),
        ("COINBASE", "BTC/USD", "BTC-USD"),
        ("KRAKEN", "BTC/USD", "BTC/USD"),
        ("KRAKEN", "DOGE/EUR", "DOGE/EUR"),
        ("OKX", "BTC/USDT", "BTC-USDT"),
        ("BYBIT", "SOL/USDC", "SOLUSDC"),
        ("HYPERLIQUID", "BTC/USDC", "BTC"),
    ];
    for (name, canonical, venue_symbol) in cases {
        assert_eq!(venue(name).venue_symbol(&symbol(canonical)).as_deref(), Ok(venue_symbol), "{name}");
        assert_eq!(venue(name).canonical(venue_symbol), Ok(symbol(canonical)), "{name}");
    }
}

#[test]
fn kraken_understands_its_older_names() {
    let cases = [
        ("XBT/USD", "BTC/USD"),
        ("XBTUSD", "BTC/USD"),
        ("XXBTZUSD", "BTC/USD"),
        ("XETHXXBT", "ETH/BTC"),
        ("XETHZEUR", "ETH/EUR"),
        ("XDGUSD", "DOGE/USD"),
        ("XXDGXXBT", "DOGE/BTC"),
        ("USDTZUSD", "USDT/USD"),
        ("XBTUSDT", "BTC/USDT"),
        ("TRXXBT", "TRX/BTC"),
        ("SOLUSD", "SOL/USD"),
        ("XTZEUR", "XTZ/EUR"),
    ];
    for (name, canonical) in cases {
        assert_eq!(venue("KRAKEN").canonical(name), Ok(symbol(canonical)), "{name}");
    }
}

#[test]
fn names_of_other_shapes_are_refused() {
    let cases = [
        ("BINANCE", "btcusdt"),
        ("BINANCE", "USDT"),
        ("BINANCE", "BTCUSDT_240927"),
        ("BINANCE", "币安人生USDT"),
        ("BINANCE-USDM", "BTCUSD_PERP"),
        ("BINANCE-USDM", "BTCUSDT_2409"),
        ("COINBASE", "BTC-PERP-INTX"),
        ("COINBASE", "BTCUSD"),
        ("OKX", "BTC-USDT-SWAP"),
        ("OKX", "BTC-USD-240628-60000-C"),
        ("BYBIT", "BTC-28JUN24-60000-P"),
        ("KRAKEN", "PI_XBTUSD"),
        ("KRAKEN", "AAPLx/USD"),
        ("HYPERLIQUID", "@107"),
        ("HYPERLIQUID", "kPEPE"),
    ];
    for (name, venue_symbol) in cases {
        assert!(matches!(venue(name).canonical(venue_symbol), Err(SymbolError::Form(_))), "{name} {venue_symbol}");
    }
    assert!(venue("HYPERLIQUID").venue_symbol(&symbol("BTC/USDT")).is_err());
}

#[test]
fn a_symbol_that_would_come_back_as_another_is_refused() {
    // XT/USDT and X/TUSDT share no name, but X + TUSD and XT + USD would.
    for (name, ambiguous) in [("BINANCE", "F/DUSDT"), ("BYBIT", "A/BUSDT"), ("KRAKEN", "XBT/USD")] {
        let error = venue(name).venue_symbol(&symbol(ambiguous)).unwrap_err();
        assert!(matches!(error, SymbolError::Ambiguous(_)), "{name} {ambiguous}: {error}");
    }
}

#[test]
fn instruments_settle_what_the_rule_gets_wrong() {
    // By rule `ABUSDT` would be AB/USDT, and `BTCNEWUSD` nothing at all.
    let listed = [
        instrument("BINANCE", "A/BUSDT", "ABUSDT"),
        instrument("BINANCE", "BTC/NEWUSD", "BTCNEWUSD"),
        instrument("KRAKEN", "AAPLX/USD", "AAPLx/USD"),
    ];
    let binance = venue("BINANCE").refined(&listed);
    assert_eq!(binance.canonical("ABUSDT"), Ok(symbol("A/BUSDT")));
    assert_eq!(binance.venue_symbol(&symbol("A/BUSDT")).as_deref(), Ok("ABUSDT"));
    assert_eq!(binance.canonical("BTCNEWUSD"), Ok(symbol("BTC/NEWUSD")));
    // The rule still serves what the list does not name, but never takes a name that is taken.
    assert_eq!(binance.canonical("ETHUSDT"), Ok(symbol("ETH/USDT")));
    assert!(matches!(binance.venue_symbol(&symbol("AB/USDT")), Err(SymbolError::Ambiguous(_))));
    let kraken = venue("KRAKEN").refined(&listed);
    assert_eq!(kraken.canonical("AAPLx/USD"), Ok(symbol("AAPLX/USD")));
    assert_eq!(kraken.venue_symbol(&symbol("AAPLX/USD")).as_deref(), Ok("AAPLx/USD"));
    assert_eq!(kraken.canonical("XXBTZUSD"), Ok(symbol("BTC/USD")));
}

#[test]
fn a_table_keeps_the_first_of_two_that_clash() {
    let binance: Venue = "BINANCE".parse().unwrap();
    let table = SymbolTable::from_instruments(
        &binance,
        &[
            instrument("BINANCE", "A/B", "AB"),
            instrument("BINANCE", "AA/B", "AB"),
            instrument("BINANCE", "A/B", "A-B"),
            instrument("KRAKEN", "C/D", "CD"),
        ],
    );
    assert_eq!((table.len(), table.symbol("AB"), table.name(&symbol("A/B"))), (1, Some(&symbol("A/B")), Some("AB")));
    assert!(table.symbol("CD").is_none());
}

#[test]
fn connections_carry_each_symbol_with_trades_and_quotes_once() {
    for adapter in venues::all() {
        let quote = if adapter.venue().as_str() == "HYPERLIQUID" { "USDC" } else { "USDT" };
        let symbols: Vec<Symbol> = (0..450).map(|index| symbol(&format!("C{index}/{quote}"))).collect();
        let base = adapter.profile().ws_url;
        let connections = adapter.connections(base, &symbols).unwrap();
        for wanted in [|c: &venues::Connection| c.trades, |c: &venues::Connection| c.quotes] {
            let carried: Vec<&Symbol> = connections.iter().filter(|c| wanted(c)).flat_map(|c| &c.symbols).collect();
            assert_eq!(carried.len(), 450, "{}", adapter.venue());
            assert_eq!(carried.into_iter().collect::<HashSet<_>>().len(), 450, "{}", adapter.venue());
        }
        for connection in &connections {
            assert!(connection.url.starts_with(base));
            assert!(connection.symbols.len() <= adapter.profile().symbols_per_connection);
            for symbol in &connection.symbols {
                let name = adapter.venue_symbol(symbol).unwrap();
                let named = |frame: &String| frame.contains(&name) || frame.contains(&name.to_lowercase());
                assert!(connection.subscribe.iter().any(named), "{name}");
            }
            for frame in &connection.subscribe {
                assert!(serde_json::from_str::<serde_json::Value>(frame).is_ok(), "{frame}");
            }
        }
    }
}

#[test]
fn subscriptions_are_written_as_documented() {
    let frames = |name: &str, text: &str| -> Vec<(String, Vec<String>)> {
        let connections = venue(name).connections("ws://x", &[symbol(text)]).unwrap();
        connections.into_iter().map(|connection| (connection.url, connection.subscribe)).collect()
    };
    let one = |url: &str, frames: &[&str]| (url.to_owned(), frames.iter().map(|frame| (*frame).to_owned()).collect());
    assert_eq!(
        frames("BINANCE", "BTC/USDT"),
        [one("ws://x/stream", &[r#"{"method":"SUBSCRIBE","params":["btcusdt@trade","btcusdt@bookTicker"],"id":1}"#])]
    );
    assert_eq!(
        frames("BINANCE-USDM", "BTC/USDT"),
        [
            one("ws://x/market/stream", &[r#"{"method":"SUBSCRIBE","params":["btcusdt@trade"],"id":1}"#]),
            one("ws://x/public/stream", &[r#"{"method":"SUBSCRIBE","params":["btcusdt@bookTicker"],"id":1}"#]),
        ]
    );
    assert_eq!(
        frames("COINBASE", "BTC/USD"),
        [one(
            "ws://x",
            &[
                r#"{"type":"subscribe","product_ids":["BTC-USD"],"channel":"market_trades"}"#,
                r#"{"type":"subscribe","product_ids":["BTC-USD"],"channel":"ticker"}"#,
                r#"{"type":"subscribe","channel":"heartbeats"}"#,
            ]
        )]
    );
    assert_eq!(
        frames("KRAKEN", "BTC/USD"),
        [one(
            "ws://x",
            &[
                r#"{"method":"subscribe","params":{"channel":"trade","symbol":["BTC/USD"],"snapshot":true},"req_id":1}"#,
                r#"{"method":"subscribe","params":{"channel":"ticker","symbol":["BTC/USD"],"event_trigger":"bbo"},"req_id":2}"#,
            ]
        )]
    );
    assert_eq!(
        frames("OKX", "BTC/USDT"),
        [
            one("ws://x/business", &[r#"{"op":"subscribe","args":[{"channel":"trades-all","instId":"BTC-USDT"}]}"#]),
            one("ws://x/public", &[r#"{"op":"subscribe","args":[{"channel":"bbo-tbt","instId":"BTC-USDT"}]}"#]),
        ]
    );
    assert_eq!(
        frames("BYBIT", "BTC/USDT"),
        [one("ws://x", &[r#"{"req_id":"1","op":"subscribe","args":["publicTrade.BTCUSDT","orderbook.1.BTCUSDT"]}"#])]
    );
}

#[test]
fn a_recording_is_recognised_by_its_name_or_its_frames() {
    let by = |name: &str, frames: &[&[u8]]| venues::recognise(name, frames).map(|adapter| adapter.venue().to_string());
    assert_eq!(by("/data/usdm_btcusdt_20240808.jsonl.xz", &[]).as_deref(), Some("BINANCE-USDM"));
    assert_eq!(by("spot_btcusdt_20240808.jsonl.xz", &[]).as_deref(), Some("BINANCE"));
    assert_eq!(by("Kraken-2024.txt", &[]).as_deref(), Some("KRAKEN"));
    assert_eq!(by("unknown.txt", &[]), None);
    assert_eq!(by("unknown.txt", &[b"{}", b"x"]), None);
    for adapter in venues::all() {
        let file = format!(
            "{}/fixtures/{}.txt",
            std::env::var("CARGO_MANIFEST_DIR").unwrap_or_else(|_| ".".to_owned()),
            adapter.venue().as_str().to_lowercase()
        );
        let text = std::fs::read_to_string(file).unwrap();
        let frames: Vec<&[u8]> = text.lines().filter_map(|line| line.strip_prefix("> ")).map(str::as_bytes).collect();
        assert_eq!(by("unknown.txt", &frames).as_deref(), Some(adapter.venue().as_str()));
    }
}

proptest! {
    #[test]
    fn what_maps_to_a_name_maps_back(at in 0usize..7, base in "[A-Z0-9]{1,8}", quote in prop::sample::select(vec!["USDT", "USDC", "USD", "BTC", "EUR", "FDUSD", "ETH", "USDT_240927"])) {
        let adapter = venues::all()[at];
        let symbol = symbol(&format!("{base}/{quote}"));
        if let Ok(name) = adapter.venue_symbol(&symbol) {
            prop_assert_eq!(adapter.canonical(&name), Ok(symbol));
        }
    }

    #[test]
    fn what_has_a_symbol_is_named_by_it(at in 0usize..7, name in "[A-Zx0-9/_-]{1,14}") {
        let adapter = venues::all()[at];
        if let Ok(symbol) = adapter.canonical(&name) {
            let canonical_name = adapter.venue_symbol(&symbol).unwrap();
            prop_assert_eq!(adapter.canonical(&canonical_name), Ok(symbol));
            if adapter.venue().as_str() != "KRAKEN" {
                prop_assert_eq!(canonical_name, name);
            }
        }
    }

    #[test]
    fn any_text_as_a_name_never_panics(name in ".{0,20}") {
        for adapter in venues::all() {
            std::hint::black_box(adapter.canonical(&name).is_ok());
        }
    }
}
