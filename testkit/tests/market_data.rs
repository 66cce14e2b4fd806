//! A container's market data against the whole platform: what the lake lacks comes from the venue, pinned and whole.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use agent_container::market_data::{Backfill, MarketData, MarketDataConfig, MarketDataError, Progress, Query};
use proto::Interval;
use std::ffi::OsString;
use std::sync::Mutex;
use testkit::peers::workspace;
use testkit::process::Dexorder;

const HOUR: u64 = 3_600_000_000_000;
/// 2024-03-01T00:00:00Z.
const BASE: u64 = 1_709_251_200_000_000_000;

#[tokio::test(flavor = "multi_thread")]
async fn a_container_fetches_what_the_lake_lacks_and_gets_the_same_again() {
    testkit::process::use_ring();
    let dir = tempfile::tempdir().unwrap();
    let (data, ports) = (dir.path().join("data"), workspace().join("testkit/any-ports.yaml"));
    let mut args: Vec<OsString> =
        ["up", "--venues", "sim", "--listen", "127.0.0.1:0", "--data-dir"].map(Into::into).into();
    args.extend([data.into(), "--config".into(), ports.into()]);
    let mut platform = Dexorder::start(&args, &dir.path().join("log"));
    let page = platform.line("page:").await;
    let market = MarketData::new(MarketDataConfig::new(page.trim())).unwrap();
    let candles = Query {
        venue: "SIM".parse().unwrap(),
        symbol: "BTC/USDT".parse().unwrap(),
        interval: Some(Interval::M1),
        from_ns: BASE,
        to_ns: BASE + 24 * HOUR,
        snapshot: None,
        backfill: Backfill::Missing,
    };
    let told = Mutex::new(Vec::new());
    let file = dir.path().join("candles.arrow");
    let fetched = market.fetch_candles(&candles, &file, &|progress| told.lock().unwrap().push(progress)).await.unwrap();
    assert_eq!((fetched.rows, fetched.missing, fetched.shortfall.as_deref()), (1440, 0, None));
    assert!(told.lock().unwrap().iter().any(|progress| matches!(progress, Progress::History { .. })));
    let bytes = std::fs::read(&file).unwrap();
    // More history comes; the pinned answer stays.
    let longer = Query { from_ns: BASE - HOUR, ..candles.clone() };
    assert_eq!(market.fetch(&longer, &dir.path().join("longer.arrow"), &|_| {}).await.unwrap().rows, 1500);
    let pinned = Query { snapshot: Some(fetched.snapshot), ..candles.clone() };
    let again = market.fetch(&pinned, &file, &|_| {}).await.unwrap();
    assert_eq!((again.rows, again.snapshot), (1440, fetched.snapshot));
    assert!(std::fs::read(&file).unwrap() == bytes, "the same bytes");

    let ticks = Query { interval: None, to_ns: BASE + HOUR / 6, ..candles.clone() };
    let trades = market.fetch(&ticks, &dir.path().join("ticks.arrow"), &|_| {}).await.unwrap();
    assert!(trades.rows > 0, "{trades:?}");
    let nowhere = Query { venue: "NOWHERE".parse().unwrap(), ..candles };
    let error = market.fetch(&nowhere, &file, &|_| {}).await.unwrap_err();
    assert!(matches!(&error, MarketDataError::NoHistory { code, .. } if code == "NO_INGESTOR"), "{error:?}");
    assert!(std::fs::read(&file).unwrap() == bytes, "a failed fetch leaves the file as it was");
    assert!(platform.terminate().await.success());
}
