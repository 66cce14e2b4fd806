//! The client against a server that misbehaves.

use super::*;
use arrow_array::{ArrayRef, BooleanArray, Decimal128Array, Int64Array, RecordBatch, TimestampMicrosecondArray};
use arrow_ipc::writer::StreamWriter;
use arrow_schema::{DataType, Field, Schema, TimeUnit};
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::response::Response as Answer;
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex};
use tokio::sync::Notify;

const SNAPSHOT: i64 = 7;
const MINUTE: u64 = 60_000_000_000;
const BASE: u64 = 1_709_251_200_000_000_000;

/// A stream of candles as the gateway sends it: `batches` of `rows`.
pub(super) fn stream(rows: u64, snapshot: i64, batches: u64) -> Vec<u8> {
    let number = |name: &str| Field::new(name, DataType::Decimal128(38, 18), false);
    let time = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
    let mut fields = vec![Field::new("open_time", time, false)];
    fields.extend(["open", "high", "low", "close", "volume", "quote_volume"].map(number));
    fields.extend([Field::new("trades", DataType::Int64, false), Field::new("repaired", DataType::Boolean, false)]);
    let total = rows * batches;
    let metadata = [
        ("venue", "SIM".to_owned()),
        ("symbol", "BTC/USDT".to_owned()),
        ("interval_s", "60".to_owned()),
        ("snapshot", snapshot.to_string()),
        ("from_ns", BASE.to_string()),
        ("to_ns", (BASE + 1000 * MINUTE).to_string()),
        ("rows", total.to_string()),
        ("first_time_ns", BASE.to_string()),
        ("last_time_ns", (BASE + (total - 1) * MINUTE).to_string()),
        ("missing", (1000 - total).to_string()),
        ("holes_ns", format!("[[{},{}]]", BASE + total * MINUTE, BASE + 1000 * MINUTE)),
    ];
    let metadata: HashMap<String, String> =
        metadata.into_iter().map(|(name, value)| (format!("dexorder.{name}"), value)).collect();
    let schema = Arc::new(Schema::new_with_metadata(fields, metadata));
    let mut writer = StreamWriter::try_new(Vec::new(), &schema).unwrap();
    for batch in 0..batches {
        let times = (batch * rows..(batch + 1) * rows).map(|n| i64::try_from((BASE + n * MINUTE) / 1000).unwrap());
        let mut columns: Vec<ArrayRef> =
            vec![Arc::new(TimestampMicrosecondArray::from_iter_values(times).with_timezone("UTC"))];
        for column in 0..6 {
            let numbers = Decimal128Array::from_iter_values((0..rows).map(|n| i128::from(n) + column));
            columns.push(Arc::new(numbers.with_precision_and_scale(38, 18).unwrap()));
        }
        columns.push(Arc::new(Int64Array::from_iter_values((0..rows).map(|n| n.cast_signed()))));
        columns.push(Arc::new((0..rows).map(|_| Some(false)).collect::<BooleanArray>()));
        writer.write(&RecordBatch::try_new(schema.clone(), columns).unwrap()).unwrap();
    }
    writer.into_inner().unwrap()
}

/// What the server does with the next request.
enum Reply {
    /// The series, with this many rows announced and this many windows to ask for.
    Series { body: Vec<u8>, rows: u64, unasked: u64 },
    /// The first bytes of a series, then the connection breaks.
    Cut(Vec<u8>),
    /// The first bytes of a series, then nothing.
    Stall(Vec<u8>),
    /// A status with JSON.
    Json(u16, serde_json::Value),
}

#[derive(Default)]
struct Server {
    replies: Mutex<VecDeque<Reply>>,
    seen: Mutex<Vec<String>>,
    arrived: Notify,
}

fn head(rows: u64, unasked: u64) -> axum::http::response::Builder {
    Answer::builder()
        .header("x-dexorder-snapshot", SNAPSHOT)
        .header("x-dexorder-rows", rows)
        .header("x-dexorder-unasked", unasked)
}

async fn answer(State(server): State<Arc<Server>>, request: Request) -> Answer {
    let line = format!("{} {}", request.method(), request.uri());
    server.seen.lock().unwrap().push(line.clone());
    server.arrived.notify_one();
    let reply = server.replies.lock().unwrap().pop_front();
    let first = |bytes: Vec<u8>| futures_util::stream::iter([Ok::<_, std::io::Error>(Bytes::from(bytes))]);
    match reply.unwrap_or_else(|| panic!("no reply is left for {line}")) {
        Reply::Series { body, rows, unasked } => head(rows, unasked).body(Body::from(body)).unwrap(),
        Reply::Cut(bytes) => {
            // The pause lets the server send what came before.
            let broken = futures_util::stream::once(async {
                tokio::task::yield_now().await;
                Err(std::io::Error::other("cut"))
            });
            head(100, 0).body(Body::from_stream(futures_util::StreamExt::chain(first(bytes), broken))).unwrap()
        }
        Reply::Stall(bytes) => {
            let silent = futures_util::stream::pending();
            head(100, 0).body(Body::from_stream(futures_util::StreamExt::chain(first(bytes), silent))).unwrap()
        }
        Reply::Json(status, value) => Answer::builder().status(status).body(Body::from(value.to_string())).unwrap(),
    }
}

struct World {
    server: Arc<Server>,
    data: MarketData,
    dir: tempfile::TempDir,
}

impl World {
    async fn start(replies: Vec<Reply>) -> Self {
        Self::start_with(replies, |_, _| {}).await
    }

    async fn start_with(replies: Vec<Reply>, change: impl FnOnce(&mut MarketDataConfig, &Path)) -> Self {
        // Another test of this process may have done it.
        drop(rustls::crypto::ring::default_provider().install_default());
        let server = Arc::new(Server { replies: Mutex::new(replies.into()), ..Server::default() });
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new().fallback(answer).with_state(server.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("out")).unwrap();
        let mut config = MarketDataConfig::new(&format!("http://{address}"));
        config.pause = Duration::from_millis(1);
        config.retries = 2;
        change(&mut config, dir.path());
        Self { server, data: MarketData::new(config).unwrap(), dir }
    }

    fn target(&self) -> PathBuf {
        self.dir.path().join("out/candles.arrow")
    }

    async fn fetch(&self, query: &Query) -> Result<Fetched, MarketDataError> {
        self.data.fetch_candles(query, &self.target(), &|_| {}).await
    }

    /// Names in the directory of the target.
    fn files(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.dir.path().join("out")).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    fn seen(&self) -> Vec<String> {
        self.server.seen.lock().unwrap().clone()
    }
}

fn query() -> Query {
    Query {
        venue: "SIM".parse().unwrap(),
        symbol: "BTC/USDT".parse().unwrap(),
        interval: Some(Interval::M1),
        from_ns: BASE,
        to_ns: BASE + 1000 * MINUTE,
        snapshot: None,
        backfill: Backfill::Missing,
    }
}

fn series(rows: u64) -> Reply {
    Reply::Series { body: stream(rows, SNAPSHOT, 1), rows, unasked: 0 }
}

fn refused(status: u16, code: &str, retryable: bool) -> Reply {
    let error = serde_json::json!({"code": code, "field": "to", "message": "words", "retryable": retryable});
    Reply::Json(status, serde_json::json!({ "error": error }))
}

#[tokio::test]
async fn a_whole_answer_becomes_the_file_with_what_it_says_of_itself() {
    let world = World::start(vec![series(100)]).await;
    let fetched = world.fetch(&query()).await.unwrap();
    assert_eq!((fetched.rows, fetched.snapshot, fetched.missing, fetched.cached), (100, SNAPSHOT, 900, false));
    assert_eq!((fetched.first_time_ns, fetched.last_time_ns), (Some(BASE), Some(BASE + 99 * MINUTE)));
    assert_eq!(fetched.holes, [(BASE + 100 * MINUTE, BASE + 1000 * MINUTE)]);
    assert_eq!(std::fs::read(world.target()).unwrap(), stream(100, SNAPSHOT, 1));
    assert_eq!(world.files(), ["candles.arrow"]);
    let expected =
        "GET /api/v1/history/candles?venue=SIM&symbol=BTC%2FUSDT&interval=60s&from=1709251200000&to=1709311200000";
    assert_eq!(world.seen(), [expected]);
}

#[tokio::test]
async fn a_cut_answer_is_fetched_again_from_the_same_snapshot_and_never_shown() {
    let whole = stream(100, SNAPSHOT, 1);
    let world = World::start(vec![Reply::Cut(whole[..whole.len() - 8].to_vec()), series(100)]).await;
    assert_eq!(world.fetch(&query()).await.unwrap().rows, 100);
    assert!(world.seen()[1].ends_with("&snapshot=7"), "{:?}", world.seen());

    let cut = || Reply::Cut(whole[..500].to_vec());
    let world = World::start(vec![cut(), cut(), cut()]).await;
    std::fs::write(world.target(), "before").unwrap();
    let error = world.fetch(&query()).await.unwrap_err();
    assert!(matches!(error, MarketDataError::Truncated { bytes: 500 }), "{error}");
    assert!(error.is_retryable());
    assert_eq!(world.files(), ["candles.arrow"]);
    assert_eq!(std::fs::read(world.target()).unwrap(), b"before");
}

#[tokio::test]
async fn an_answer_without_its_end_marker_is_truncated_even_if_http_says_it_is_whole() {
    let whole = stream(100, SNAPSHOT, 1);
    let short = || Reply::Series { body: whole[..whole.len() - 8].to_vec(), rows: 100, unasked: 0 };
    let world = World::start(vec![short(), short(), short()]).await;
    let error = world.fetch(&query()).await.unwrap_err();
    assert!(matches!(error, MarketDataError::Truncated { .. }), "{error}");
    assert!(world.files().is_empty());
}

#[tokio::test]
async fn a_silent_server_is_a_timeout() {
    let stall = Reply::Stall(stream(100, SNAPSHOT, 1)[..500].to_vec());
    let world = World::start_with(vec![stall], |config, _| config.stall_timeout = Duration::from_millis(50)).await;
    let error = world.fetch(&query()).await.unwrap_err();
    assert!(matches!(error, MarketDataError::Timeout { what: "the next bytes of the answer", .. }), "{error}");
    assert!(world.files().is_empty());
}

#[tokio::test]
async fn answers_that_are_not_what_was_asked_for_are_refused() {
    let reply = |body: Vec<u8>, rows| Reply::Series { body, rows, unasked: 0 };
    let mut trailing = stream(100, SNAPSHOT, 1);
    trailing.extend_from_slice(b"more");
    type Expect = fn(&MarketDataError) -> bool;
    let cases: [(&str, Reply, Expect); 5] = [
        ("garbage", reply(b"<html>hello</html>".to_vec(), 1), |e| matches!(e, MarketDataError::NotArrow(_))),
        ("more after the end", reply(trailing, 100), |e| matches!(e, MarketDataError::NotArrow(_))),
        ("fewer rows", reply(stream(100, SNAPSHOT, 1), 101), |e| {
            matches!(e, MarketDataError::Mismatch { what: "x-dexorder-rows", .. })
        }),
        ("another snapshot", reply(stream(100, 8, 1), 100), |e| {
            matches!(e, MarketDataError::Mismatch { what: "snapshot", .. })
        }),
        ("no headers", Reply::Json(200, serde_json::json!({})), |e| matches!(e, MarketDataError::Mismatch { .. })),
    ];
    for (name, reply, expect) in cases {
        let world = World::start(vec![reply]).await;
        let error = world.fetch(&query()).await.unwrap_err();
        assert!(expect(&error), "{name}: {error:?}");
        assert!(world.files().is_empty(), "{name}");
    }
    let world = World::start(vec![series(100)]).await;
    let other = Query { symbol: "ETH/USDT".parse().unwrap(), ..query() };
    let error = world.fetch(&other).await.unwrap_err();
    assert!(matches!(error, MarketDataError::Mismatch { what: "symbol", .. }), "{error:?}");
}

#[tokio::test]
async fn an_answer_beyond_the_quota_is_refused() {
    let world = World::start_with(vec![series(100)], |config, _| config.max_bytes = 1000).await;
    let error = world.fetch(&query()).await.unwrap_err();
    assert!(matches!(error, MarketDataError::TooLarge { limit: 1000 }), "{error}");
    assert!(world.files().is_empty());
}

#[tokio::test]
async fn refusals_are_typed_and_a_busy_gateway_is_asked_again() {
    let world = World::start(vec![refused(400, "TOO_MANY_ROWS", false)]).await;
    assert!(matches!(world.fetch(&query()).await.unwrap_err(), MarketDataError::TooManyRows { .. }));
    let world = World::start(vec![refused(410, "SNAPSHOT_GONE", false)]).await;
    let pinned = Query { snapshot: Some(3), ..query() };
    assert!(matches!(world.fetch(&pinned).await.unwrap_err(), MarketDataError::SnapshotGone { snapshot: 3 }));
    let world = World::start(vec![refused(400, "INVALID_FIELD", false)]).await;
    let error = world.fetch(&query()).await.unwrap_err();
    assert!(matches!(&error, MarketDataError::Refused { status: 400, field, .. } if field == "to"), "{error:?}");

    let world =
        World::start(vec![refused(503, "OVERLOADED", true), refused(429, "OVER_QUOTA", true), series(100)]).await;
    assert_eq!(world.fetch(&query()).await.unwrap().rows, 100);
    let busy = || refused(503, "OVERLOADED", true);
    let world = World::start(vec![busy(), busy(), busy()]).await;
    assert!(matches!(world.fetch(&query()).await.unwrap_err(), MarketDataError::Busy { attempts: 3 }));
}

fn view(state: &str, snapshot: Option<&str>) -> serde_json::Value {
    serde_json::json!({"id": "01ABC", "state": state, "done": 1, "parts": 4, "snapshot": snapshot, "error": null})
}

#[tokio::test]
async fn missing_history_is_asked_for_first_and_its_snapshot_is_read() {
    let lacking = Reply::Series { body: Vec::new(), rows: 100, unasked: 900 };
    let replies = vec![
        lacking,
        Reply::Json(202, view("queued", None)),
        Reply::Json(200, view("working", None)),
        Reply::Json(200, view("ready", Some("7"))),
        series(100),
    ];
    let world = World::start(replies).await;
    let told = Mutex::new(Vec::new());
    let note = |progress| {
        if let Progress::History { .. } = progress {
            told.lock().unwrap().push(progress);
        }
    };
    let fetched = world.data.fetch_candles(&query(), &world.target(), &note).await.unwrap();
    assert_eq!(fetched.rows, 100);
    assert_eq!(*told.lock().unwrap(), [Progress::History { done: 1, parts: 4 }; 2]);
    let seen = world.seen();
    assert_eq!(seen[1], "POST /api/v1/history/requests");
    assert_eq!(seen[3], "GET /api/v1/history/requests/01ABC");
    assert!(seen[4].ends_with("&snapshot=7"), "{seen:?}");
}

#[tokio::test]
async fn a_forgotten_request_is_made_again_and_a_refused_one_is_an_error() {
    let lacking = || Reply::Series { body: Vec::new(), rows: 100, unasked: 900 };
    let mut refusal = view("refused", None);
    refusal["error"] = serde_json::json!({"code": "NO_INGESTOR", "message": "nobody", "retryable": true});
    let replies = vec![
        lacking(),
        Reply::Json(202, view("queued", None)),
        refused(404, "UNKNOWN_REQUEST", false),
        Reply::Json(202, refusal),
    ];
    let world = World::start(replies).await;
    let error = world.fetch(&query()).await.unwrap_err();
    assert!(
        matches!(&error, MarketDataError::NoHistory { code, retryable: true, .. } if code == "NO_INGESTOR"),
        "{error:?}"
    );
    let world = World::start(vec![Reply::Series { body: stream(100, 7, 1), rows: 100, unasked: 900 }]).await;
    let as_it_is = Query { backfill: Backfill::Never, ..query() };
    assert_eq!(world.fetch(&as_it_is).await.unwrap().missing, 900);
}

#[tokio::test]
async fn dropping_the_fetch_removes_the_partial_file() {
    let world = World::start(vec![Reply::Stall(stream(100, SNAPSHOT, 1)[..500].to_vec())]).await;
    let (target, wanted) = (world.target(), query());
    let bytes = Notify::new();
    let note = |_| bytes.notify_one();
    {
        let mut fetch = std::pin::pin!(world.data.fetch_candles(&wanted, &target, &note));
        tokio::select! {
            done = &mut fetch => panic!("it cannot end: {done:?}"),
            () = bytes.notified() => assert_eq!(world.files().len(), 1, "the partial file"),
        }
    }
    assert!(world.files().is_empty(), "{:?}", world.files());
}

#[tokio::test]
async fn a_cached_answer_needs_no_transfer_and_a_damaged_one_is_fetched_again() {
    let cache = |config: &mut MarketDataConfig, dir: &Path| {
        config.cache = Some(CacheConfig { dir: dir.join("cache"), max_bytes: 1 << 20 });
    };
    let world = World::start_with(vec![series(100), series(100), series(100)], cache).await;
    let first = world.fetch(&query()).await.unwrap();
    let pinned = Query { snapshot: Some(SNAPSHOT), ..query() };
    let again = world.fetch(&pinned).await.unwrap();
    assert_eq!(again, Fetched { cached: true, ..first.clone() });
    assert_eq!(world.seen().len(), 1, "no request for what is here");
    assert!(world.fetch(&query()).await.unwrap().cached, "the newest snapshot is still the same");
    let kept = std::fs::read_dir(world.dir.path().join("cache")).unwrap().next().unwrap().unwrap().path();
    let bytes = std::fs::read(&kept).unwrap();
    std::fs::write(&kept, &bytes[..bytes.len() - 4]).unwrap();
    assert_eq!(world.fetch(&pinned).await.unwrap(), first);
    assert_eq!(world.files(), ["candles.arrow"]);
}

#[tokio::test]
async fn the_cache_is_bounded() {
    let bytes = stream(100, SNAPSHOT, 1).len() as u64;
    let cache = move |config: &mut MarketDataConfig, dir: &Path| {
        config.cache = Some(CacheConfig { dir: dir.join("cache"), max_bytes: bytes * 2 });
    };
    let world = World::start_with(vec![], cache).await;
    let config = world.data.config.cache.clone().unwrap();
    let file = world.dir.path().join("out/some");
    std::fs::write(&file, stream(100, SNAPSHOT, 1)).unwrap();
    for snapshot in 0..5 {
        config.put((&query(), snapshot), &file).await;
    }
    assert_eq!(std::fs::read_dir(&config.dir).unwrap().count(), 2);
}

#[tokio::test]
async fn queries_and_addresses_are_checked_before_anything_is_sent() {
    let world = World::start(vec![]).await;
    for (query, field) in [
        (Query { to_ns: BASE, ..query() }, "to_ns"),
        (Query { from_ns: BASE + 1, ..query() }, "from_ns"),
        (Query { interval: None, ..query() }, "interval"),
    ] {
        let error = world.fetch(&query).await.unwrap_err();
        assert!(matches!(error, MarketDataError::Invalid { field: found, .. } if found == field), "{error}");
    }
    for address in ["", "gateway", "ftp://gateway", "data:x"] {
        assert!(MarketData::new(MarketDataConfig::new(address)).is_err(), "{address}");
    }
}
