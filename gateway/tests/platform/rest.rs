//! REST: shapes, parameters, candles from lake and tail, indicators, the page.

use crate::world::{CANDLES, World, candle, this_minute, until};
use proto::market::Candle;
use proto::wire::{self, FeedMode, FeedState};
use proto::{Interval, Kind};
use serde_json::{Value, json};

const SERIES: &str = "venue=SIM&symbol=BTC/USDT&interval=60s";

fn closes(body: &Value) -> Vec<String> {
    let close = |candle: &Value| candle["close"].as_str().unwrap().to_owned();
    body["candles"].as_array().unwrap().iter().map(close).collect()
}

#[tokio::test]
async fn health_venues_and_instruments_show_what_is_on_the_log() {
    let world = World::start().await;
    let (status, body) = world.get("/api/v1/health").await;
    assert_eq!((status, &body["status"], &body["mode"]), (200, &json!("degraded"), &json!("NONE")));
    world.add_feed("SIM", FeedMode::Sim, FeedState::Live).await;
    world.add_instrument("SIM", "BTC/USDT", true).await;
    world.add_instrument("SIM", "ETH/USDT", false).await;
    until("feeds and instruments", || {
        world.metric("gateway_directory_feeds") == 1 && world.metric("gateway_directory_instruments") == 2
    })
    .await;
    let (_, body) = world.get("/api/v1/health").await;
    assert_eq!((&body["status"], &body["mode"]), (&json!("ok"), &json!("SIM")));
    let feed = &body["feeds"][0];
    assert_eq!((&feed["venue"], &feed["ingestor"], &feed["state"]), (&json!("SIM"), &json!("i1"), &json!("live")));
    assert!(feed["age_ms"].as_u64().unwrap() < 60_000);
    let (_, body) = world.get("/api/v1/venues").await;
    let intervals = json!(["1s", "60s", "300s", "900s", "3600s", "14400s", "86400s"]);
    let expected =
        json!({"venues": [{"venue": "SIM", "mode": "SIM", "state": "live", "symbols": 2, "intervals": intervals}]});
    assert_eq!(body, expected);
    let (_, body) = world.get("/api/v1/instruments?venue=SIM&q=eth&limit=5").await;
    let expected = json!({"instruments": [{
        "venue": "SIM", "symbol": "ETH/USDT", "venue_symbol": "ETHUSDT", "base": "ETH", "quote": "USDT", "kind": "spot",
        "status": "trading", "tick_size": "0.01", "lot_size": null, "min_notional": null, "live": false,
    }]});
    assert_eq!(body, expected);
    assert_eq!(world.get("/api/v1/instruments").await.1["instruments"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn candles_are_the_rows_of_the_lake_with_the_live_tail() {
    let world = World::start().await;
    let now = this_minute();
    let rows: Vec<Candle> = (1..=20).map(|n| candle(now - n, i64::try_from(n).unwrap())).rev().collect();
    world.store(&rows).await;
    let (status, body) = world.get(&format!("/api/v1/candles?{SERIES}&limit=3")).await;
    assert_eq!(status, 200, "{body}");
    assert_eq!(closes(&body), ["3", "2", "1"]);
    assert_eq!((&body["interval"], &body["symbol"]), (&json!("60s"), &json!("BTC/USDT")));
    assert_eq!(body["next"], body["candles"][0]["open_time"]);
    // What the stream sends to a new subscriber: closed candles that the lake does not have yet, and the open one.
    let open = Candle { closed: false, trades: 9, ..candle(now, 77) };
    let revised = Candle { revision: 1, ..candle(now - 1, 66) };
    let batch = wire::OhlcBatch {
        venue: "SIM".into(),
        symbol: "BTC/USDT".into(),
        interval_s: 60,
        candles: [&revised, &open].map(wire::Candle::from).into(),
        ..Default::default()
    };
    world.publish(CANDLES, Kind::OhlcBatch, &batch).await;
    until("the tail", || world.metric("gateway_live_encoded_total") == 2).await;
    let (_, body) = world.get(&format!("/api/v1/candles?{SERIES}&limit=3")).await;
    assert_eq!(closes(&body), ["2", "66", "77"]);
    let last = &body["candles"][2];
    assert_eq!((&last["closed"], &last["trades"], &last["revision"]), (&json!(false), &json!(9), &json!(0)));
    assert_eq!(body["candles"][1]["revision"], 1);
}

#[tokio::test]
async fn pages_lead_to_the_next_ones_in_both_directions() {
    let world = World::start().await;
    let now = this_minute();
    let rows: Vec<Candle> = (0..50).map(|n| candle(now - 60 + n, i64::try_from(n + 1).unwrap())).collect();
    world.store(&rows).await;
    let time = |minute: u64| minute * 60_000;
    let mut seen = Vec::new();
    let mut query = format!("from={}&to={}", time(now - 60), time(now - 10));
    loop {
        let (_, body) = world.get(&format!("/api/v1/candles?{SERIES}&limit=20&{query}")).await;
        seen.extend(closes(&body));
        let Some(next) = body["next"].as_str() else { break };
        query = format!("from={next}&to={}", time(now - 10));
    }
    let all: Vec<String> = (1..=50).map(|n: u32| n.to_string()).collect();
    assert_eq!(seen, all);
    let mut backwards = Vec::new();
    let mut query = format!("to={}", time(now - 10));
    while backwards.len() < 50 {
        let (_, body) = world.get(&format!("/api/v1/candles?{SERIES}&limit=20&{query}")).await;
        let mut page = closes(&body);
        page.extend(backwards);
        backwards = page;
        query = format!("to={}", body["next"].as_str().unwrap());
    }
    assert_eq!(backwards, all);
}

#[tokio::test]
async fn empty_windows_are_filled_on_request() {
    let world = World::start().await;
    let now = this_minute();
    world.store(&[candle(now - 9, 5), candle(now - 6, 8)]).await;
    let range = format!("from={}&to={}", (now - 9) * 60_000, (now - 4) * 60_000);
    let (_, body) = world.get(&format!("/api/v1/candles?{SERIES}&{range}")).await;
    assert_eq!(closes(&body), ["5", "8"]);
    let (_, body) = world.get(&format!("/api/v1/candles?{SERIES}&{range}&fill=true")).await;
    assert_eq!(closes(&body), ["5", "5", "5", "8", "8"]);
    let filled = &body["candles"][1];
    assert_eq!((&filled["volume"], &filled["trades"], &filled["open"]), (&json!("0"), &json!(0), &json!("5")));
}

#[tokio::test]
async fn an_indicator_is_that_of_the_crate_trading() {
    let world = World::start().await;
    let now = this_minute();
    let rows: Vec<Candle> = (0..100).map(|n| candle(now - 100 + n, i64::try_from(100 + n * n % 17).unwrap())).collect();
    world.store(&rows).await;
    let (status, body) = world.get(&format!("/api/v1/indicators?{SERIES}&indicator=macd&params=3,6,4&limit=10")).await;
    assert_eq!(status, 200, "{body}");
    assert_eq!((&body["indicator"], &body["params"]), (&json!("macd"), &json!("3,6,4")));
    let mut macd = trading::Macd::new(3, 6, 4);
    let expected: Vec<_> = rows.iter().map(|row| macd.update(row.close.to_f64())).collect();
    for (name, value) in [
        ("macd", expected[99].map(|v| v.line)),
        ("signal", expected[99].and_then(|v| v.signal)),
        ("histogram", expected[99].and_then(|v| v.histogram)),
    ] {
        let points = body["outputs"][name].as_array().unwrap();
        assert_eq!(points.len(), 10);
        let got = points[9]["value"].as_f64().unwrap();
        assert!((got - value.unwrap()).abs() < 1e-9, "{name} {got} {value:?}");
    }
    let (_, body) = world.get(&format!("/api/v1/indicators?{SERIES}&indicator=sma&params=95&limit=10")).await;
    let values: Vec<bool> =
        body["outputs"]["sma"].as_array().unwrap().iter().map(|point| point["value"].is_null()).collect();
    assert_eq!(values, [true, true, true, true, false, false, false, false, false, false]);
}

#[tokio::test]
async fn bad_requests_get_a_typed_error() {
    let world = World::start().await;
    let long = "a".repeat(3000);
    let cases: Vec<(String, u16, &str, &str)> = [
        ("/api/v1/candles", 400, "INVALID_FIELD", "venue"),
        ("/api/v1/candles?venue=SIM&symbol=BTC/USDT", 400, "INVALID_FIELD", "interval"),
        ("/api/v1/candles?venue=sim&symbol=BTC/USDT&interval=60s", 400, "INVALID_FIELD", "venue"),
        ("/api/v1/candles?venue=SIM&symbol=BTC&interval=60s", 400, "INVALID_FIELD", "symbol"),
        ("/api/v1/candles?venue=SIM&symbol=BTC/USDT&interval=7s", 400, "INVALID_FIELD", "interval"),
        ("/api/v1/candles?venue=SIM&symbol=BTC/USDT&interval=60s&limit=5001", 400, "INVALID_FIELD", "limit"),
        ("/api/v1/candles?venue=SIM&symbol=BTC/USDT&interval=60s&limit=x", 400, "INVALID_FIELD", "limit"),
        ("/api/v1/candles?venue=SIM&symbol=BTC/USDT&interval=60s&from=soon", 400, "INVALID_FIELD", "from"),
        ("/api/v1/candles?venue=SIM&symbol=BTC/USDT&interval=60s&from=9000&to=8000", 400, "INVALID_FIELD", "to"),
        ("/api/v1/candles?venue=SIM&symbol=BTC/USDT&interval=60s&fill=1", 400, "INVALID_FIELD", "fill"),
        ("/api/v1/candles?venue=SIM&venue=SIM&symbol=BTC/USDT&interval=60s", 400, "INVALID_FIELD", "venue"),
        ("/api/v1/candles?venue=SIM&symbol=BTC/USDT&interval=60s&colour=red", 400, "INVALID_FIELD", "colour"),
        ("/api/v1/indicators?venue=SIM&symbol=BTC/USDT&interval=60s", 400, "INVALID_FIELD", "indicator"),
        ("/api/v1/indicators?venue=SIM&symbol=BTC/USDT&interval=60s&indicator=foo", 400, "INVALID_FIELD", "indicator"),
        (
            "/api/v1/indicators?venue=SIM&symbol=BTC/USDT&interval=60s&indicator=sma&params=0",
            400,
            "INVALID_FIELD",
            "params",
        ),
        ("/api/v1/instruments?limit=0", 400, "INVALID_FIELD", "limit"),
        ("/api/v1/instruments?venue=x", 400, "INVALID_FIELD", "venue"),
        ("/api/v1/health?x=1", 400, "INVALID_FIELD", "x"),
        ("/api/v1/nothing", 404, "NOT_FOUND", ""),
        ("/assets/nothing.js", 404, "NOT_FOUND", ""),
        ("/ws", 426, "UPGRADE_REQUIRED", ""),
    ]
    .into_iter()
    .map(|(path, status, code, field)| (path.to_owned(), status, code, field))
    .chain([(format!("/api/v1/instruments?q={long}"), 414, "URI_TOO_LONG", "")])
    .collect();
    for (path, status, code, field) in cases {
        let (got, body) = world.get(&path).await;
        let error = &body["error"];
        assert_eq!((got, &error["code"], &error["field"]), (status, &json!(code), &json!(field)), "{path} {body}");
        assert!(!error["message"].as_str().unwrap().is_empty());
        assert_eq!(error["retryable"], false);
    }
    for method in ["POST", "PUT", "DELETE", "PATCH"] {
        for path in ["/api/v1/health", "/openapi.json", "/"] {
            let answer = world.request(method, path, &[("Host", "localhost")]).await;
            assert_eq!(answer.status, 405, "{method} {path}");
            let body: Value = serde_json::from_slice(&answer.body).unwrap();
            assert_eq!(body["error"]["code"], "METHOD_NOT_ALLOWED");
        }
    }
    let huge = [("Host", "localhost"), ("Content-Length", "5000000")];
    assert_eq!(world.request("GET", "/api/v1/health", &huge).await.status, 413);
}

#[tokio::test]
async fn the_page_and_the_description_of_the_api_are_served() {
    let world = World::start().await;
    let (status, body) = world.get("/openapi.json").await;
    assert_eq!(status, 200);
    assert!(body["paths"]["/api/v1/candles"]["get"]["parameters"].is_array());
    let page = world.raw("/", &[("Host", "localhost")]).await;
    assert_eq!((page.status, page.header("content-type")), (200, Some("text/html; charset=utf-8")));
    assert_eq!(page.header("cache-control"), Some("no-cache"));
    for name in ["content-security-policy", "x-content-type-options", "referrer-policy", "etag"] {
        assert!(page.header(name).is_some(), "{name}");
    }
    assert!(page.header("content-security-policy").unwrap().contains("script-src 'self';"));
    let zipped = world.raw("/openapi.json", &[("Host", "localhost"), ("Accept-Encoding", "gzip")]).await;
    assert_eq!(zipped.header("content-encoding"), Some("gzip"));
    assert_eq!(zipped.body[..2], [0x1f, 0x8b]);
}

#[tokio::test]
async fn too_many_requests_at_one_time_are_turned_away() {
    let world = World::start_with(|config| config.http.requests_in_flight = 1).await;
    // One request waits for history that never comes; another one meanwhile is refused.
    let series = format!("/api/v1/candles?{SERIES}");
    let (first, second) = tokio::join!(world.get(&series), async {
        until("the first request", || world.metric("gateway_history_in_flight") == 1).await;
        world.get("/api/v1/venues").await
    });
    assert_eq!((first.0, &first.1["history"]), (200, &json!("pending")));
    assert_eq!((second.0, &second.1["error"]["code"]), (503, &json!("OVERLOADED")));
    assert_eq!(second.1["error"]["retryable"], true);
    assert_eq!(world.get("/api/v1/venues").await.0, 200);
}

#[tokio::test]
async fn a_symbol_that_the_venue_does_not_have_is_404() {
    let world = World::start().await;
    world.add_instrument("SIM", "BTC/USDT", true).await;
    until("the instrument", || world.metric("gateway_directory_instruments") == 1).await;
    let (status, body) = world.get("/api/v1/candles?venue=SIM&symbol=XXX/USDT&interval=60s").await;
    assert_eq!(
        (status, &body["error"]["code"], &body["error"]["field"]),
        (404, &json!("UNKNOWN_SYMBOL"), &json!("symbol"))
    );
    assert_eq!(world.metric("gateway_history_submitted_total"), 0);
}

#[tokio::test]
async fn a_day_of_one_second_candles_is_paged_without_a_hole() {
    let world = World::start().await;
    let start = (this_minute() - 2000) * 60;
    let second = |n: u64| Candle {
        interval: Interval::S1,
        open_time_ns: (start + n) * 1_000_000_000,
        ..candle(0, i64::try_from(n + 1).unwrap())
    };
    let rows: Vec<Candle> = (0..86_400).map(second).collect();
    world.store(&rows).await;
    let mut seen = 0;
    let mut query = format!("to={}", (start + 86_400) * 1000);
    while seen < 86_400 {
        let (_, body) =
            world.get(&format!("/api/v1/candles?venue=SIM&symbol=BTC/USDT&interval=1s&limit=5000&{query}")).await;
        let page = closes(&body);
        assert_eq!(page.last().unwrap(), &(86_400 - seen).to_string());
        seen += page.len();
        query = format!("to={}", body["next"].as_str().unwrap());
    }
    assert_eq!(seen, 86_400);
}
