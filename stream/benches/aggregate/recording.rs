//! The recorded Binance frames, if they are here, repeated with later times and higher ids.

use crate::Workload;
use proto::Decimal;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use stream::trade::{Trade, TradeId};

const FILES: [(&str, &str, &str); 4] = [
    ("spot_btcusdt_20240808.jsonl.xz", "BINANCE", "BTC/USDT"),
    ("spot_ethusdt_20240808.jsonl.xz", "BINANCE", "ETH/USDT"),
    ("usdm_btcusdt_20240808.jsonl.xz", "BINANCE-USDM", "BTC/USDT"),
    ("usdm_ethusdt_20240808.jsonl.xz", "BINANCE-USDM", "ETH/USDT"),
];
/// Between two repetitions: a little more than the recording lasts.
const SHIFT_NS: u64 = 400_000_000_000;
const REPEATS: u64 = 40;

/// Where the recordings are; `None`, with one line of explanation, if they are not here.
fn shared() -> Option<PathBuf> {
    let beside =
        Path::new(&std::env::var("CARGO_MANIFEST_DIR").unwrap_or_else(|_| ".".to_owned())).join("../../shared");
    let root = std::env::var_os("DEXORDER_SHARED").map_or(beside, PathBuf::from);
    let dir = root.join("data/market/binance_ws_2024-08-08");
    if dir.is_dir() {
        return Some(dir);
    }
    eprintln!("left out: ../shared/data is not here");
    None
}

fn trade(line: &str) -> Option<(u64, Trade)> {
    let (receive_ns, json) = line.split_once(' ')?;
    let receive_ns: u64 = receive_ns.parse().ok()?;
    let frame: serde_json::Value = serde_json::from_str(json).ok()?;
    let data = frame.get("data").unwrap_or(&frame);
    if data.get("e")?.as_str()? != "trade" {
        return None;
    }
    let units = |field: &str| Some(data.get(field)?.as_str()?.parse::<Decimal>().ok()?.units());
    let trade = Trade {
        id: TradeId::Numeric(data.get("t")?.as_u64()?),
        event_time_ns: data.get("T")?.as_u64()? * 1_000_000,
        receive_time_ns: receive_ns,
        price: units("p")?,
        size: units("q")?,
        repaired: false,
    };
    (trade.price > 0 && trade.size > 0).then_some((receive_ns, trade))
}

/// All recorded trades in the order they were received, repeated.
pub(crate) fn workload() -> Option<Workload> {
    let dir = shared()?;
    let mut recorded = Vec::new();
    for (key, (file, ..)) in FILES.iter().enumerate() {
        let file = std::fs::File::open(dir.join(file)).ok()?;
        let lines = BufReader::new(xz2::read::XzDecoder::new(file)).lines();
        for line in lines {
            recorded.extend(trade(&line.ok()?).map(|(receive_ns, trade)| (receive_ns, key, trade)));
        }
    }
    recorded.sort_by_key(|(receive_ns, ..)| *receive_ns);
    let mut trades = Vec::with_capacity(recorded.len() * usize::try_from(REPEATS).ok()?);
    for repeat in 0..REPEATS {
        for (_, key, trade) in &recorded {
            let shift = repeat * SHIFT_NS;
            let id = TradeId::Numeric(trade.id.rank() + repeat * 10_000_000);
            let (event, receive) = (trade.event_time_ns + shift, trade.receive_time_ns + shift);
            trades.push((*key, Trade { id, event_time_ns: event, receive_time_ns: receive, ..*trade }));
        }
    }
    let tickers = FILES.iter().map(|(_, venue, symbol)| ((*venue).to_owned(), (*symbol).to_owned())).collect();
    let name = format!("recorded Binance trades of 2024-08-08, 4 keys, {} trades x {REPEATS}", recorded.len());
    Some(Workload { name, tickers, trades })
}
