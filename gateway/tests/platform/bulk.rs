//! Whole series: Arrow streams pinned to a snapshot, their limits, and what is asked for when the lake lacks it.

use crate::history::{acknowledge, notify, request, rows};
use crate::world::{Answer, World, candle, soon, until};
use arrow_ipc::reader::StreamReader;
use gateway::config::Config;
use lake::{SourceOffsets, Table};
use proto::market::{Candle, Side, Source, Tick};
use proto::wire::{AckStatus, HistoryStatus};
use proto::{Decimal, Interval};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// 2024-03-01T00:00:00Z.
const BASE: u64 = 1_709_251_200;
const END: [u8; 8] = [0xFF, 0xFF, 0xFF, 0xFF, 0, 0, 0, 0];
const HOST: [(&str, &str); 1] = [("Host", "localhost")];

fn path(interval: &str, seconds: u64) -> String {
    let to = (BASE + seconds) * 1000;
    format!("/api/v1/history/candles?venue=SIM&symbol=BTC/USDT&interval={interval}&from={}&to={to}", BASE * 1000)
}

fn minute(n: u64, price: i64) -> Candle {
    candle(BASE / 60 + n, price)
}

fn seconds(range: std::ops::Range<u64>) -> Vec<Candle> {
    let second = |n| Candle { interval: Interval::S1, open_time_ns: (BASE + n) * 1_000_000_000, ..minute(0, 5) };
    range.map(second).collect()
}

fn read(answer: &Answer) -> (usize, HashMap<String, String>) {
    assert!(answer.body.ends_with(&END), "the end-of-stream marker");
    let reader = StreamReader::try_new(answer.body.as_slice(), None).unwrap();
    let metadata = reader.schema().metadata.clone();
    (reader.map(|batch| batch.unwrap().num_rows()).sum(), metadata)
}

fn error(answer: &Answer) -> (u16, String, String) {
    let body: Value = serde_json::from_slice(&answer.body).unwrap();
    let text = |name: &str| body["error"][name].as_str().unwrap().to_owned();
    (answer.status, text("code"), text("field"))
}

#[tokio::test]
async fn a_series_says_what_it_is_and_what_is_missing() {
    let world = World::start().await;
    let snapshot = world.store(&[minute(1, 7), minute(2, 8), Candle { closed: false, ..minute(4, 9) }]).await;
    let answer = world.raw(&path("1m", 600), &HOST).await;
    assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.body));
    assert_eq!(answer.header("content-type"), Some("application/vnd.apache.arrow.stream"));
    let headers = ["snapshot", "rows", "rows-limit", "missing", "unasked"];
    let headers = headers.map(|name| answer.header(&format!("x-dexorder-{name}")).unwrap().to_owned());
    assert_eq!(headers, [&snapshot.to_string(), "2", "5000000", "8", "7"]);
    let (rows, metadata) = read(&answer);
    assert_eq!(rows, 2);
    let said = |name: &str| metadata[&format!("dexorder.{name}")].as_str();
    assert_eq!((said("venue"), said("symbol"), said("interval_s")), ("SIM", "BTC/USDT", "60"));
    assert_eq!((said("rows"), said("windows"), said("missing"), said("complete")), ("2", "10", "8", "false"));
    let ns = |n: u64| (BASE + n * 60) * 1_000_000_000;
    assert_eq!(said("first_time_ns"), ns(1).to_string());
    assert_eq!(said("last_time_ns"), ns(2).to_string());
    assert_eq!(said("holes_ns"), format!("[[{},{}],[{},{}]]", ns(0), ns(1), ns(3), ns(10)));
    assert_eq!(said("snapshot"), snapshot.to_string());
}

#[tokio::test]
async fn a_pinned_answer_is_the_same_byte_for_byte_after_appends_and_repairs() {
    let world = World::start().await;
    let snapshot = world.store(&(0..50).map(|n| minute(n, 7)).collect::<Vec<_>>()).await;
    let first = world.raw(&path("60s", 6000), &HOST).await;
    world.store(&[Candle { revision: 1, repaired: true, ..minute(3, 99) }, minute(60, 1)]).await;
    let pinned = world.raw(&format!("{}&snapshot={snapshot}", path("60s", 6000)), &HOST).await;
    assert_eq!(pinned.header("x-dexorder-snapshot"), Some(snapshot.to_string().as_str()));
    assert!(pinned.body == first.body, "the same bytes");
    let newest = world.raw(&path("60s", 6000), &HOST).await;
    assert_eq!(newest.header("x-dexorder-rows"), Some("51"));
    assert!(newest.body != first.body);
    // Snapshots that do not exist, and 0: the table before its first one.
    let gone = world.raw(&format!("{}&snapshot=12", path("60s", 6000)), &HOST).await;
    assert_eq!(error(&gone), (410, "SNAPSHOT_GONE".to_owned(), "snapshot".to_owned()));
    let before = world.raw(&format!("{}&snapshot=0", path("60s", 6000)), &HOST).await;
    assert_eq!(read(&before).0, 0);
}

#[tokio::test]
async fn what_is_asked_for_is_checked_by_name_and_the_limits_are_said() {
    let world = World::start_with(|config| (config.bulk.candles, config.bulk.ticks) = (100, 3)).await;
    let ticks = |n: u64| Tick {
        venue: "SIM".parse().unwrap(),
        symbol: "BTC/USDT".parse().unwrap(),
        trade_id: n.to_string(),
        event_time_ns: (BASE + n) * 1_000_000_000,
        receive_time_ns: (BASE + n) * 1_000_000_000,
        price: Decimal::from_int(100),
        size: Decimal::ONE,
        side: Side::Sell,
        source: Source::Live,
        repaired: false,
    };
    let epoch = world.lake.claim_writer_epoch().await.unwrap();
    let rows: Vec<Tick> = (0..5).map(ticks).collect();
    world.lake.append_ticks(&rows, &SourceOffsets::default(), epoch).await.unwrap();
    let trades = |seconds: u64| {
        let (from, to) = (BASE * 1000, (BASE + seconds) * 1000);
        format!("/api/v1/history/ticks?venue=SIM&symbol=BTC/USDT&from={from}&to={to}")
    };
    let whole = world.raw(&trades(3), &HOST).await;
    assert_eq!((read(&whole).0, whole.header("x-dexorder-rows-limit")), (3, Some("3")));
    for (path, code, field) in [
        (trades(4), "TOO_MANY_ROWS", "to"),
        (path("60s", 6060), "TOO_MANY_ROWS", "to"),
        (path("61s", 600), "INVALID_FIELD", "interval"),
        (format!("{}&snapshot=x", path("60s", 600)), "INVALID_FIELD", "snapshot"),
        (format!("{}&limit=5", path("60s", 600)), "INVALID_FIELD", "limit"),
        ("/api/v1/history/ticks?venue=SIM&symbol=BTC/USDT&from=5".to_owned(), "INVALID_FIELD", "to"),
        ("/api/v1/history/candles?venue=SIM&symbol=BTC/USDT&from=5&to=6".to_owned(), "INVALID_FIELD", "interval"),
    ] {
        let answer = world.raw(&path, &HOST).await;
        assert_eq!(error(&answer), (400, code.to_owned(), field.to_owned()), "{path}");
    }
    assert_eq!(world.raw(&path("60s", 6000), &HOST).await.status, 200, "at the limit");
}

/// A gateway with three days of seconds: more than sockets hold.
async fn large(change: impl FnOnce(&mut Config)) -> World {
    let world = World::start_with(change).await;
    for day in 0..3 {
        world.store(&seconds(day * 86_400..(day + 1) * 86_400)).await;
    }
    world
}

/// Reads what still comes; the connection may be reset.
async fn rest(mut stream: TcpStream) -> Vec<u8> {
    let (mut bytes, mut buffer) = (Vec::new(), vec![0; 1 << 16]);
    while let Ok(length @ 1..) = soon("the rest", stream.read(&mut buffer)).await {
        bytes.extend_from_slice(&buffer[..length]);
    }
    bytes
}

/// True if neither HTTP nor Arrow says that this is all.
fn is_cut(bytes: &[u8]) -> bool {
    bytes.starts_with(b"HTTP/1.1 200")
        && !bytes.ends_with(b"0\r\n\r\n")
        && !bytes.windows(8).any(|window| window == END)
}

#[tokio::test]
async fn a_client_that_takes_nothing_is_cut_and_its_place_is_free_again() {
    let world = large(|config| (config.bulk.streams, config.bulk.stall) = (1, Duration::from_secs(2))).await;
    let slow = world.open(&path("1s", 3 * 86_400)).await;
    until("the stream", || world.metric("gateway_bulk_streams") == 1).await;
    let busy = world.raw(&path("1s", 60), &HOST).await;
    assert_eq!(error(&busy).1, "OVERLOADED");
    assert_eq!(busy.header("retry-after"), Some("1"));
    until("the cut", || world.metric("gateway_bulk_streams") == 0).await;
    assert_eq!(world.metric("gateway_bulk_ended_total{reason=\"Stalled\"}"), 1);
    // What was read for it is bounded: not the whole series.
    assert!(world.metric("gateway_bulk_rows_total") < 3 * 86_400);
    assert!(is_cut(&rest(slow).await));
    assert_eq!(read(&world.raw(&path("1s", 60), &HOST).await).0, 60);
}

#[tokio::test]
async fn an_error_in_the_middle_is_never_taken_for_the_end() {
    let world = large(|_| {}).await;
    let stream = world.open(&path("1s", 3 * 86_400)).await;
    until("the first rows", || world.metric("gateway_bulk_rows_total") > 0).await;
    for day in ["2024-03-01", "2024-03-02", "2024-03-03"] {
        let data = world.dir.path().join("lake/warehouse/dexorder/candles/data");
        std::fs::remove_dir_all(data.join(format!("open_time_day={day}"))).unwrap();
    }
    assert!(is_cut(&rest(stream).await));
    assert_eq!(world.metric("gateway_bulk_ended_total{reason=\"Failed\"}"), 1);
}

#[tokio::test]
async fn a_stream_does_not_hold_up_the_drain() {
    let world = large(|_| {}).await;
    let slow = world.open(&path("1s", 3 * 86_400)).await;
    until("the stream", || world.metric("gateway_bulk_streams") == 1).await;
    world.shutdown.cancel();
    assert!(is_cut(&rest(slow).await));
    soon("the end", world.server).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_large_series_is_whole() {
    let world = large(|_| {}).await;
    let answer = world.raw(&path("1s", 3 * 86_400), &HOST).await;
    let (rows, metadata) = read(&answer);
    assert_eq!((rows, metadata["dexorder.complete"].as_str()), (3 * 86_400, "true"));
    assert_eq!(world.metric("gateway_bulk_ended_total{reason=\"Complete\"}"), 1);
    assert_eq!(world.metric("gateway_bulk_bytes_total"), answer.body.len() as u64);
}

const REQUESTS: &str = "/api/v1/history/requests";

fn wish() -> Value {
    json!({"venue": "SIM", "symbol": "BTC/USDT", "interval": "60s", "from": "2024-03-01T00:00:00Z", "to": "2024-03-01T01:00:00Z"})
}

async fn submit(world: &World) -> (Value, String) {
    let answer = world.post(REQUESTS, &wish(), &[]).await;
    assert_eq!(answer.status, 202, "{}", String::from_utf8_lossy(&answer.body));
    let body: Value = serde_json::from_slice(&answer.body).unwrap();
    let location = answer.header("location").unwrap().to_owned();
    (body, location)
}

/// Looks at a request until it is over.
async fn over(world: &World, location: &str) -> Value {
    until("the end of the request", || world.metric("gateway_bulk_backfills") == 0).await;
    let (status, body) = world.get(location).await;
    assert_eq!(status, 200);
    body
}

#[tokio::test]
async fn missing_history_is_asked_for_once_and_its_snapshot_holds_it() {
    let world = World::start().await;
    world.store(&(0..20).map(|n| minute(n, 7)).collect::<Vec<_>>()).await;
    let (first, location) = submit(&world).await;
    let (peer, asked) = request(&world).await;
    assert_eq!(
        (asked.range.from_ns, asked.range.to_ns),
        ((BASE + 1200) * 1_000_000_000, (BASE + 3600) * 1_000_000_000)
    );
    let (second, _) = submit(&world).await;
    assert_eq!(first["id"], second["id"], "an equal request is joined");
    let (_, working) = world.get(&location).await;
    assert_eq!((&working["state"], &working["done"], &working["parts"]), (&json!("working"), &json!(0), &json!(1)));
    acknowledge(&world, peer, &asked, AckStatus::Queued);
    world.store(&rows(&asked)).await;
    notify(&world, &asked, HistoryStatus::Ok).await;
    let ready = over(&world, &location).await;
    assert_eq!((&ready["state"], &ready["error"]), (&json!("ready"), &Value::Null));
    let snapshot = ready["snapshot"].as_str().unwrap();
    assert_eq!(snapshot, world.lake.snapshot(Table::Candles).await.unwrap().unwrap().to_string());
    let answer = world.raw(&format!("{}&snapshot={snapshot}", path("60s", 3600)), &HOST).await;
    assert_eq!((read(&answer).0, answer.header("x-dexorder-unasked")), (60, Some("0")));
    // All of it is there: nothing is sent.
    let (again, location) = submit(&world).await;
    assert_ne!(again["id"], first["id"]);
    assert_eq!(over(&world, &location).await["state"], "ready");
    assert_eq!(world.metric("gateway_history_submitted_total"), 1);
}

#[tokio::test]
async fn quiet_windows_that_a_venue_answered_for_are_not_asked_for_again() {
    let world = World::start().await;
    let (_, location) = submit(&world).await;
    let (peer, asked) = request(&world).await;
    acknowledge(&world, peer, &asked, AckStatus::Queued);
    world.store(&rows(&asked)[..10]).await;
    notify(&world, &asked, HistoryStatus::Ok).await;
    assert_eq!(over(&world, &location).await["state"], "ready");
    let answer = world.raw(&path("60s", 3600), &HOST).await;
    assert_eq!((answer.header("x-dexorder-missing"), answer.header("x-dexorder-unasked")), (Some("50"), Some("0")));
}

#[tokio::test]
async fn refusals_of_requests_are_typed() {
    let world = World::start().await;
    let (_, location) = submit(&world).await;
    let (peer, asked) = request(&world).await;
    acknowledge(&world, peer, &asked, AckStatus::NoIngestor);
    let refused = over(&world, &location).await;
    assert_eq!((&refused["state"], &refused["error"]["code"]), (&json!("refused"), &json!("NO_INGESTOR")));
    assert_eq!(refused["error"]["retryable"], true);

    let unknown = world.raw(&format!("{REQUESTS}/01ARZ3NDEKTSV4RRFFQ69G5FAV"), &HOST).await;
    assert_eq!(error(&unknown), (404, "UNKNOWN_REQUEST".to_owned(), "id".to_owned()));
    let with = |name: &str, value: Value| {
        let mut wish = wish();
        wish[name] = value;
        wish
    };
    for (body, code, field) in [
        (with("interval", json!("61s")), "INVALID_FIELD", "interval"),
        (with("symbol", json!("BTCUSDT")), "INVALID_FIELD", "symbol"),
        (with("from", json!("yesterday")), "INVALID_FIELD", "from"),
        (with("to", json!("2024-02-01T00:00:00Z")), "INVALID_FIELD", "to"),
        (with("to", json!("2124-02-01T00:00:00Z")), "TOO_MANY_ROWS", "to"),
        (with("more", json!(1)), "MALFORMED", ""),
    ] {
        let answer = world.post(REQUESTS, &body, &[]).await;
        assert_eq!(error(&answer), (400, code.to_owned(), field.to_owned()), "{body}");
    }
    let foreign = world.post(REQUESTS, &wish(), &[("Origin", "http://evil.example")]).await;
    assert_eq!(error(&foreign).1, "FORBIDDEN_ORIGIN");
    let large = world.post(REQUESTS, &with("venue", json!("A".repeat(2000))), &[]).await;
    assert_eq!(large.status, 413);
}

/// Asked for when the test runs: one build may serve several clones.
fn package() -> PathBuf {
    std::env::var_os("CARGO_MANIFEST_DIR").map_or_else(|| ".".into(), PathBuf::from)
}

/// Runs a script with the Python of the test peers; it is part of the set-up, so its absence is a failure.
fn python(script: &str, file: &Path) -> std::process::Output {
    let python =
        std::env::var_os("DEXORDER_PYTHON").map_or_else(|| package().join("../.venv/bin/python"), PathBuf::from);
    assert!(python.exists(), "no Python with the test peers at {}: run `make .venv/.ready`", python.display());
    Command::new(python).arg(package().join("tests/peers").join(script)).arg(file).output().unwrap()
}

#[tokio::test]
async fn pyarrow_reads_a_series_exactly() {
    let world = World::start().await;
    let price = |text: &str| text.parse::<Decimal>().unwrap();
    let row = Candle { close: price("0.000000000000000001"), repaired: true, trades: 12, ..minute(1, 7) };
    world.store(&[minute(0, 100), row]).await;
    let answer = world.raw(&path("60s", 120), &HOST).await;
    let file = world.dir.path().join("stream.arrow");
    std::fs::write(&file, &answer.body).unwrap();
    let output = python("read_stream.py", &file);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    let lines: Vec<&str> = text.lines().collect();
    let columns = "open_time:timestamp[us, tz=UTC];open:decimal128(38, 18);high:decimal128(38, 18);low:decimal128(38, 18);\
        close:decimal128(38, 18);volume:decimal128(38, 18);quote_volume:decimal128(38, 18);trades:int64;repaired:bool";
    assert_eq!(lines[lines.len() - 3], columns);
    let hundred = "100.000000000000000000";
    let one = "1.000000000000000000";
    let first = format!("2024-03-01 00:00:00+00:00|{hundred}|{hundred}|{hundred}|{hundred}|{one}|{hundred}|1|False");
    assert_eq!(lines[lines.len() - 2], first);
    let seven = "7.000000000000000000";
    let second = format!("2024-03-01 00:01:00+00:00|{seven}|{seven}|{seven}|1E-18|{one}|{seven}|12|True");
    assert_eq!(lines[lines.len() - 1], second);
    assert!(lines.contains(&"dexorder.rows=2") && lines.contains(&"dexorder.complete=true"), "{text}");
    std::fs::write(&file, &answer.body[..answer.body.len() - 1]).unwrap();
    assert_eq!(python("read_stream.py", &file).status.code(), Some(3));
}

#[tokio::test]
async fn head_tells_the_size_without_the_rows() {
    let world = World::start().await;
    world.store(&[minute(1, 7)]).await;
    let answer = world.request("HEAD", &path("60s", 600), &HOST).await;
    assert_eq!((answer.status, answer.header("x-dexorder-rows")), (200, Some("1")));
    until("the end", || world.metric("gateway_bulk_streams") == 0).await;
    let mut half = world.open(&path("60s", 600)).await;
    half.shutdown().await.unwrap();
}
