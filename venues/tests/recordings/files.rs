//! Reads recordings of several collections: which frames and REST bodies a file holds, and for which venue.

use std::io::Read;
use std::path::{Path, PathBuf};

/// What a REST body answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rest {
    Trades,
    Aggregates,
    Candles,
    Instruments,
}

/// One thing out of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Item {
    /// A frame as received, with our clock if the file tells it.
    Frame(Option<u64>, Vec<u8>),
    /// The body of an answer that the adapter asks for.
    Body(Rest, Vec<u8>),
    /// An answer of an endpoint that the adapter never asks.
    OtherEndpoint,
    /// Not JSON: a broken or binary file of the collection.
    NotJson,
}

/// A file with its items.
#[derive(Debug)]
pub(crate) struct Recording {
    pub(crate) venue: &'static str,
    pub(crate) collection: &'static str,
    pub(crate) path: PathBuf,
    pub(crate) items: Vec<Item>,
}

/// The folder with shared recordings: `DEXORDER_SHARED`, else `../shared` beside the workspace.
pub(crate) fn shared() -> Option<PathBuf> {
    let beside =
        || Path::new(&std::env::var("CARGO_MANIFEST_DIR").unwrap_or_else(|_| ".".to_owned())).join("../../shared");
    let folder = std::env::var_os("DEXORDER_SHARED").map_or_else(beside, PathBuf::from);
    folder.join("data").is_dir().then_some(folder)
}

/// All recordings of the venues that have an adapter.
pub(crate) fn recordings(shared: &Path) -> Vec<Recording> {
    let mut found = Vec::new();
    for folder in ["binance", "bybit", "coinbase", "hyperliquid", "kraken", "okx"] {
        let mut paths = Vec::new();
        list(&shared.join("data/fixtures").join(folder), &mut paths);
        paths.sort();
        for path in paths {
            let Some((collection, items)) = read(&path) else { continue };
            found.push(Recording { venue: venue(folder, &path), collection, path, items });
        }
    }
    let mut paths = Vec::new();
    list(&shared.join("data/market/binance_ws_2024-08-08"), &mut paths);
    paths.sort();
    for path in paths {
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let venue = venues::recognise(&name, &[]).expect("a name that announces its venue").venue().as_str();
        found.push(Recording { venue, collection: "2024-08-08", items: stamped_lines(&unpacked(&path)), path });
    }
    found
}

fn list(folder: &Path, out: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("a readable folder") {
        let path = entry.expect("a readable entry").path();
        if path.is_dir() { list(&path, out) } else { out.push(path) }
    }
}

fn venue(folder: &str, path: &Path) -> &'static str {
    let path = path.to_string_lossy();
    let futures = ["UsdFutures", "CoinFutures", "/futures/", "BINANCE_FUTURES", "BINANCE_DELIVERY", "usdm_"];
    match folder {
        "binance" if futures.iter().any(|mark| path.contains(mark)) => "BINANCE-USDM",
        "binance" => "BINANCE",
        "bybit" => "BYBIT",
        "coinbase" => "COINBASE",
        "hyperliquid" => "HYPERLIQUID",
        "kraken" => "KRAKEN",
        _ => "OKX",
    }
}

/// The bytes of a file, unpacked.
pub(crate) fn unpacked(path: &Path) -> Vec<u8> {
    let bytes = std::fs::read(path).expect("a readable file");
    let mut unpacked = Vec::new();
    match path.extension().and_then(|ending| ending.to_str()) {
        Some("gz") => flate2::read::MultiGzDecoder::new(&bytes[..]).read_to_end(&mut unpacked).expect("gzip"),
        Some("xz") => xz2::read::XzDecoder::new_multi_decoder(&bytes[..]).read_to_end(&mut unpacked).expect("xz"),
        _ => return bytes,
    };
    unpacked
}

/// Lines of `<receive ns> <frame>`.
pub(crate) fn stamped_lines(bytes: &[u8]) -> Vec<Item> {
    let lines = bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    lines
        .map(|line| {
            let space = line.iter().position(|byte| *byte == b' ').expect("a stamp before the frame");
            let stamp = std::str::from_utf8(&line[..space]).expect("a stamp").parse().expect("a stamp");
            Item::Frame(Some(stamp), line[space + 1..].to_vec())
        })
        .collect()
}

fn read(path: &Path) -> Option<(&'static str, Vec<Item>)> {
    let shown = path.to_string_lossy();
    let bytes = unpacked(path);
    let text = String::from_utf8_lossy(&bytes);
    let name = path.file_name()?.to_string_lossy();
    if name == "ORIGIN" {
        return None;
    }
    Some(if shown.contains("/jkorf/Endpoints/") {
        ("jkorf rest", vec![endpoint(&text)])
    } else if shown.contains("/jkorf/") {
        ("jkorf feed", script(&text))
    } else if shown.contains("/cryptofeed/") {
        ("cryptofeed", capture(&text))
    } else if name == "http.json" {
        ("gocryptotrader rest", mock(&bytes))
    } else if shown.contains("/gocryptotrader/") {
        ("gocryptotrader feed", text.lines().filter(|line| !line.is_empty()).map(frame).collect())
    } else if shown.contains("/nautilus/") {
        nautilus(&shown, &name, &bytes, &text)
    } else {
        ("xchange", vec![if shown.contains("stream") { frame(&text) } else { body(&xchange_kind(&name), &text) }])
    })
}

/// A frame, its comments removed; not JSON if it is none after that.
fn frame(text: &str) -> Item {
    let text = without_comments(text);
    match serde_json::from_str::<serde_json::Value>(&text) {
        Ok(_) => Item::Frame(None, text.into_bytes()),
        Err(_) if text.trim() == "pong" => Item::Frame(None, b"pong".to_vec()),
        Err(_) => Item::NotJson,
    }
}

fn body(path: &str, text: &str) -> Item {
    match rest_kind(path) {
        Some(_) if serde_json::from_str::<serde_json::Value>(text).is_err() => Item::NotJson,
        Some(kind) => Item::Body(kind, text.as_bytes().to_vec()),
        None => Item::OtherEndpoint,
    }
}

/// Which of the adapter's questions a path is.
fn rest_kind(path: &str) -> Option<Rest> {
    let path = path.split('?').next().unwrap_or_default().trim_end_matches('/');
    let others = ["/dapi", "/sapi", "/derivatives", "/api/v5/copytrading", "/v5/trade", "/api/charts"];
    if others.iter().any(|beginning| path.starts_with(beginning)) {
        return None;
    }
    let last = path.rsplit('/').next().unwrap_or_default();
    Some(match last {
        "trades" | "historicalTrades" | "history-trades" | "recent-trade" | "Trades" => Rest::Trades,
        "ticker" if path.starts_with("/api/v3/brokerage/market/products/") => Rest::Trades,
        "aggTrades" if path.starts_with("/api/v3") => Rest::Aggregates,
        "klines" | "uiKlines" | "candles" | "history-candles" | "kline" | "OHLC" => Rest::Candles,
        "exchangeInfo" | "instruments" | "instruments-info" | "AssetPairs" => Rest::Instruments,
        "products" if !path.contains("futures") => Rest::Instruments,
        _ => return None,
    })
}

fn endpoint(text: &str) -> Item {
    let mut parts = text.splitn(4, '\n');
    let (_, path, _, rest) = (parts.next(), parts.next(), parts.next(), parts.next());
    body(path.unwrap_or_default().trim(), rest.unwrap_or_default())
}

/// `>` sent, `<` acknowledged, `=` pushed; a frame may go on over several lines. `|1|` stands for any value.
fn script(text: &str) -> Vec<Item> {
    let mut frames: Vec<String> = Vec::new();
    let mut ours = false;
    for line in text.lines() {
        if let Some(mark @ ('>' | '<' | '=')) = line.chars().next() {
            ours = mark != '>';
            if ours {
                frames.push(line[1..].trim_start_matches(|c: char| c.is_ascii_digit()).to_owned());
            }
        } else if ours && let Some(last) = frames.last_mut() {
            last.push('\n');
            last.push_str(line);
        }
    }
    frames.iter().filter(|text| !text.trim().is_empty()).map(|text| frame(&without_placeholders(text))).collect()
}

fn without_placeholders(text: &str) -> String {
    let parts: Vec<&str> = text.split('|').collect();
    if parts.len().is_multiple_of(2) {
        return text.to_owned();
    }
    parts.iter().enumerate().map(|(at, part)| if at % 2 == 1 { "1" } else { part }).collect()
}

fn without_comments(text: &str) -> String {
    let (mut out, mut inside, mut characters) = (String::new(), false, text.chars().peekable());
    while let Some(c) = characters.next() {
        match c {
            '"' => inside = !inside,
            '/' if !inside && characters.peek() == Some(&'/') => {
                while characters.next_if(|c| *c != '\n').is_some() {}
                continue;
            }
            _ => {}
        }
        out.push(c);
    }
    out
}

/// `url -> time: body`, `url <-> time` (opened), `url <- time: frame` (sent), `time: frame` (received).
fn capture(text: &str) -> Vec<Item> {
    let mut items = Vec::new();
    for line in text.lines() {
        if let Some((left, payload)) = line.split_once(": ") {
            if let Some((url, _)) = left.split_once(" -> ") {
                let path = url.strip_prefix("https://").and_then(|rest| rest.find('/').map(|at| &rest[at..]));
                items.push(body(path.unwrap_or_default(), payload));
            } else if left.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') {
                let seconds: f64 = left.parse().expect("a time");
                #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
                let stamp = (seconds * 1e6) as u64 * 1000;
                items.push(Item::Frame(Some(stamp), payload.as_bytes().to_vec()));
            }
        }
    }
    items
}

/// `{"routes":{path:{METHOD:[{"data":..}]}}}`.
fn mock(bytes: &[u8]) -> Vec<Item> {
    let mock: serde_json::Value = serde_json::from_slice(bytes).expect("a mock");
    let mut items = Vec::new();
    for (path, methods) in mock["routes"].as_object().expect("routes") {
        for entry in methods.as_object().expect("methods").values().flat_map(|list| list.as_array().expect("a list")) {
            items.push(match rest_kind(path) {
                // An error answer of the venue, such as a signature that the recorder had no key for.
                Some(kind) if !entry["data"].is_null() => Item::Body(kind, entry["data"].to_string().into_bytes()),
                _ => Item::OtherEndpoint,
            });
        }
    }
    items
}

fn nautilus(path: &str, name: &str, bytes: &[u8], text: &str) -> (&'static str, Vec<Item>) {
    if std::str::from_utf8(bytes).is_err() || name.ends_with(".sbe") {
        return ("nautilus binary", vec![Item::NotJson]);
    }
    let feed = name.starts_with("ws_") || path.contains("market_data_json") || path.contains("user_data_json");
    if feed {
        let several: Option<Vec<&serde_json::value::RawValue>> = serde_json::from_str(text).ok();
        let frames = several.map(|list| list.iter().map(|item| frame(item.get())).collect());
        return ("nautilus feed", frames.unwrap_or_else(|| vec![frame(text)]));
    }
    let kinds = [
        ("http_get_trades", "/trades"),
        ("http_ticker", "/api/v3/brokerage/market/products/BTC-USD/ticker"),
        ("account_trades", ""),
        ("trades_response", "/trades"),
        ("klines", "/klines"),
        ("http_candles", "/candles"),
        ("http_get_candlesticks", "/candles"),
        ("exchange_info_delivery", ""),
        ("exchange_info", "/exchangeInfo"),
        ("http_asset_pairs", "/AssetPairs"),
        ("http_get_instruments", "/instruments"),
        ("http_products", "/products"),
    ];
    let matches = |mark: &str| name.contains(mark) && !(path.contains("/kraken/") && mark == "http_ticker");
    let kind = kinds.iter().find(|(mark, _)| matches(mark)).map_or("", |(_, kind)| *kind);
    ("nautilus rest", vec![body(kind, text)])
}

fn xchange_kind(name: &str) -> String {
    let kinds = [
        ("example-trades-data", "/Trades"),
        ("example-ohlc-data", "/OHLC"),
        ("example-assetpairs-data", "/AssetPairs"),
        ("example-historical-candles", "/candles"),
        ("products.json", "/products"),
        ("getInstrument", "/instruments-info"),
    ];
    kinds.iter().find(|(mark, _)| name.contains(mark)).map_or("", |(_, kind)| *kind).to_owned()
}
