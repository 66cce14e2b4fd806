//! Recorded trades of a real venue: exact after a round trip, and small on the disk.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "fixtures/rows.rs"]
mod rows;

use lake::{SourceOffsets, TickQuery};
use proto::market::{Side, Source, Tick};
use rows::{decimal, lake, symbol, venue};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

/// What pyiceberg takes for such rows.
const BYTES_A_ROW: f64 = 13.8;

/// The recordings, if they are beside the project.
fn recordings() -> Option<PathBuf> {
    let beside =
        || Path::new(&std::env::var("CARGO_MANIFEST_DIR").unwrap_or_else(|_| ".".to_owned())).join("../../shared");
    let shared = std::env::var_os("DEXORDER_SHARED").map_or_else(beside, PathBuf::from);
    Some(shared.join("data/market/binance_ws_2024-08-08")).filter(|dir| dir.is_dir())
}

/// The trades in a file of `<receive_ns> <frame>` lines.
fn trades(path: &Path) -> Vec<Tick> {
    let name = path.file_name().unwrap().to_str().unwrap();
    let venue = venue(if name.starts_with("spot") { "BINANCE" } else { "BINANCE-USDM" });
    let symbol = symbol(if name.contains("btc") { "BTC/USDT" } else { "ETH/USDT" });
    let reader = BufReader::new(xz2::read::XzDecoder::new(std::fs::File::open(path).unwrap()));
    let mut ticks = Vec::new();
    for line in reader.lines().map(Result::unwrap).filter(|line| line.contains("\"e\":\"trade\"")) {
        let (receive, frame) = line.split_once(' ').unwrap();
        let frame: serde_json::Value = serde_json::from_str(frame).unwrap();
        let trade = frame.get("data").unwrap_or(&frame);
        ticks.push(Tick {
            venue: venue.clone(),
            symbol: symbol.clone(),
            trade_id: trade["t"].to_string(),
            event_time_ns: trade["T"].as_u64().unwrap() * 1_000_000,
            receive_time_ns: receive.parse::<u64>().unwrap() / 1000 * 1000,
            price: decimal(trade["p"].as_str().unwrap()),
            size: decimal(trade["q"].as_str().unwrap()),
            side: if trade["m"].as_bool().unwrap() { Side::Sell } else { Side::Buy },
            source: Source::Live,
            repaired: false,
        });
    }
    ticks
}

#[tokio::test]
async fn recorded_trades_are_exact_and_take_few_bytes() {
    let Some(dir) = recordings() else {
        eprintln!("left out: ../shared/data is not here");
        return;
    };
    let mut ticks = Vec::new();
    for name in ["spot_btcusdt", "spot_ethusdt", "usdm_btcusdt", "usdm_ethusdt"] {
        ticks.push(trades(&dir.join(format!("{name}_20240808.jsonl.xz"))));
    }
    let mut arrived = ticks.concat();
    arrived.sort_by_key(|tick| tick.receive_time_ns);
    assert_eq!(arrived.len(), 51_252);
    let (lake, _dir) = lake().await;
    let info = lake.append_ticks(&arrived, &SourceOffsets::new(), 1).await.unwrap();
    #[allow(clippy::cast_precision_loss, reason = "both are small")]
    let bytes = info.bytes as f64 / info.rows as f64;
    println!("{bytes:.2} bytes a row");
    assert!(bytes <= BYTES_A_ROW, "{bytes:.2} bytes a row");
    for mut expected in ticks {
        let (venue, symbol) = (expected[0].venue.clone(), expected[0].symbol.clone());
        expected.sort_by_key(|tick| (tick.event_time_ns, tick.trade_id.parse::<u64>().unwrap()));
        let found = lake.ticks(&TickQuery::range(venue, symbol, 0, u64::MAX)).await.unwrap();
        assert_eq!(found, expected);
    }
}
