//! How fast a whole series is served and what it costs: `cargo run --release -p gateway --example history_speed -- [CANDLES]`.
//!
//! Fills a lake with candles of one minute (a million unless told otherwise), then fetches all of them over HTTP a few times.
//! Prints rows a second, the time to the first byte, and the peak memory of this process from before the first fetch on.

use anyhow::{Context, Result, ensure};
use gateway::config::Config;
use gateway::{Gateway, Resources};
use lake::{Lake, LakeConfig, SourceOffsets};
use proto::market::Candle;
use proto::{Decimal, Interval};
use service::admin::Readiness;
use service::clock::Clock;
use service::metrics::Metrics;
use std::io::Write;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

/// 2022-01-01T00:00:00Z.
const BASE: u64 = 1_640_995_200_000_000_000;
const FETCHES: usize = 5;

fn candle(n: u64) -> Result<Candle> {
    let price = Decimal::new(4_000_000 + i128::from(n % 10_007), 2)?;
    Ok(Candle {
        venue: "SIM".parse()?,
        symbol: "BTC/USDT".parse()?,
        interval: Interval::M1,
        open_time_ns: BASE + n * Interval::M1.nanos(),
        open: price,
        high: Decimal::new(4_020_000 + i128::from(n % 10_007), 2)?,
        low: Decimal::new(3_980_000 + i128::from(n % 10_007), 2)?,
        close: price,
        volume: Decimal::new(1_000 + i128::from(n % 977), 5)?,
        quote_volume: Decimal::new(40_000 + i128::from(n % 977), 2)?,
        trades: n % 300,
        revision: 0,
        closed: true,
        repaired: false,
    })
}

/// Peak memory in MiB since the last reset.
fn peak_mib() -> Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("VmHWM")?;
    Ok(line.trim().trim_end_matches(" kB").parse::<u64>()? / 1024)
}

/// Fetches the path; bytes, time to the first, time to the last.
async fn fetch(address: SocketAddr, path: &str) -> Result<(u64, Duration, Duration)> {
    let started = Instant::now();
    let mut stream = TcpStream::connect(address).await?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let (mut buffer, mut bytes, mut first) = (vec![0; 1 << 20], 0, None);
    let mut last = Vec::new();
    loop {
        let length = stream.read(&mut buffer).await?;
        if length == 0 {
            break;
        }
        first.get_or_insert_with(|| started.elapsed());
        bytes += length as u64;
        last.clear();
        last.extend_from_slice(&buffer[length.saturating_sub(16)..length]);
    }
    ensure!(last.ends_with(b"0\r\n\r\n"), "the answer was cut");
    Ok((bytes, first.context("an answer")?, started.elapsed()))
}

#[tokio::main]
async fn main() -> Result<()> {
    let count: u64 = std::env::args().nth(1).as_deref().unwrap_or("1000000").parse()?;
    let dir = tempfile::tempdir()?;
    let lake = Lake::open(LakeConfig { fsync: false, ..LakeConfig::new(dir.path().join("lake")) }).await?;
    for start in (0..count).step_by(100_000) {
        let rows = (start..count.min(start + 100_000)).map(candle).collect::<Result<Vec<_>>>()?;
        lake.append_candles(&rows, &SourceOffsets::default(), 1).await?;
    }
    let log = eventlog::EmbeddedLog::open(eventlog::EmbeddedConfig::new(dir.path().join("log")))?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let (store, metrics) = (Arc::new(lake.clone()), Metrics::new());
    let resources = Resources { log, store, lake, metrics, readiness: Readiness::default(), clock: Clock::System };
    let gateway = Gateway::new(Config::new(address, "tcp://127.0.0.1:9", "tcp://127.0.0.1:9"), resources, true)?;
    tokio::spawn(gateway.serve(listener, CancellationToken::new()));
    // 5 resets the peak.
    std::fs::write("/proc/self/clear_refs", "5")?;
    let before = peak_mib()?;
    let (from, to) = (BASE / 1_000_000, (BASE + count * Interval::M1.nanos()) / 1_000_000);
    let path = format!("/api/v1/history/candles?venue=SIM&symbol=BTC/USDT&interval=60s&from={from}&to={to}");
    let mut out = std::io::stdout();
    for _ in 0..FETCHES {
        let (bytes, first, all) = fetch(address, &path).await?;
        let rate = u128::from(count) * 1_000_000 / all.as_micros().max(1);
        writeln!(
            out,
            "{count} candles, {bytes} bytes: first byte after {first:?}, all after {all:?}, {rate} candles/s"
        )?;
    }
    writeln!(out, "peak memory {} MiB, before the first fetch {before} MiB", peak_mib()?)?;
    Ok(())
}
