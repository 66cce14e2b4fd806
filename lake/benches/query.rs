//! How long a page waits for candles: 1 000 of one series out of a day of twenty symbols in 720 commits. Budget: 50 ms.
//!
//! `cargo bench -p lake --bench query -- [--commits N]`

#![allow(clippy::print_stdout, missing_docs, reason = "a benchmark reports to the terminal")]

use lake::{CandleQuery, Lake, LakeConfig, Limit, SourceOffsets, Table};
use proto::market::Candle;
use proto::{Decimal, Interval, Symbol, Venue};
use std::path::Path;
use std::time::{Duration, Instant};

const SYMBOLS: usize = 20;
const SECONDS: u64 = 86_400;
const NANOS: u64 = 1_000_000_000;
/// 2024-08-08T00:00:00Z.
const T0: u64 = 1_723_075_200 * NANOS;

fn now_ns() -> u64 {
    std::time::UNIX_EPOCH.elapsed().map_or(0, |since| u64::try_from(since.as_nanos()).unwrap_or(u64::MAX))
}

fn candle(venue: &Venue, symbol: &Symbol, interval: Interval, open_time_ns: u64) -> Candle {
    let wobble = i128::from(open_time_ns / NANOS * 7919 % 1000);
    let number = |units: i128| Decimal::new(6_000_000 + units, 2).expect("a price");
    Candle {
        venue: venue.clone(),
        symbol: symbol.clone(),
        interval,
        open_time_ns,
        open: number(wobble),
        high: number(wobble + 50),
        low: number(wobble - 50),
        close: number(wobble + 10),
        volume: Decimal::new(wobble * 31 + 1, 5).expect("a size"),
        quote_volume: Decimal::new(wobble * 1_234_567 + 1, 7).expect("a size"),
        trades: 12,
        revision: 0,
        closed: true,
        repaired: false,
    }
}

/// Every commit holds what closed since the one before, in all seven intervals. With `rewriting`, small files are merged
/// after commits as the stream does it.
async fn fill(dir: &Path, commits: u64, rewriting: bool) -> Vec<Symbol> {
    let lake = Lake::open(LakeConfig { fsync: false, ..LakeConfig::new(dir) }).await.expect("a lake");
    let venue: Venue = "BINANCE".parse().expect("a venue");
    let symbols: Vec<Symbol> = (0..SYMBOLS).map(|n| format!("S{n:02}/USDT").parse().expect("a symbol")).collect();
    let step = SECONDS / commits;
    let (mut slowest, mut rewrites, start) = (Duration::ZERO, Duration::ZERO, Instant::now());
    for commit in 0..commits {
        let mut rows = Vec::new();
        for symbol in &symbols {
            for second in commit * step..(commit + 1) * step {
                let now = T0 + second * NANOS;
                for interval in Interval::ALL {
                    let end = now + NANOS;
                    if end.is_multiple_of(interval.nanos()) {
                        rows.push(candle(&venue, symbol, interval, end - interval.nanos()));
                    }
                }
            }
        }
        let begin = Instant::now();
        lake.append_candles(&rows, &SourceOffsets::new(), 1).await.expect("an append");
        slowest = slowest.max(begin.elapsed());
        if rewriting {
            let begin = Instant::now();
            lake.rewrite(1, now_ns()).await.expect("a rewrite");
            rewrites += begin.elapsed();
        }
    }
    let mean = (start.elapsed() - rewrites) / u32::try_from(commits).unwrap_or(u32::MAX);
    println!("{commits} commits, mean {mean:?}, slowest {slowest:?}");
    let stats = lake.stats();
    if rewriting {
        let (files, rows) = (stats.rewritten_files, stats.rewritten_rows);
        println!("rewrites {rewrites:?}: {files} files merged, {rows} rows written again");
    }
    symbols
}

async fn timed(name: &str, lake: &Lake, query: &CandleQuery, expected: usize) {
    let before = lake.stats();
    let start = Instant::now();
    let rows = lake.candles(query).await.expect("candles");
    let elapsed = start.elapsed();
    let stats = lake.stats();
    assert_eq!(rows.len(), expected, "{name}");
    println!(
        "{name:<46} {:>8.2} ms   {} files, {} manifests",
        elapsed.as_secs_f64() * 1e3,
        stats.files_read - before.files_read,
        stats.manifests_read - before.manifests_read,
    );
}

async fn queries(dir: &Path, symbols: &[Symbol]) {
    let start = Instant::now();
    let lake = Lake::open(LakeConfig::new(dir)).await.expect("a lake");
    println!("open {:.2} ms", start.elapsed().as_secs_f64() * 1e3);
    let venue: Venue = "BINANCE".parse().expect("a venue");
    let newest =
        |n: usize, interval, count| CandleQuery::newest(venue.clone(), symbols[n].clone(), interval, u64::MAX, count);
    timed("newest 1000 of 1s, nothing known yet", &lake, &newest(0, Interval::S1, 1000), 1000).await;
    timed("newest 1000 of 1s, again", &lake, &newest(0, Interval::S1, 1000), 1000).await;
    timed("newest 1000 of 1s, another symbol", &lake, &newest(1, Interval::S1, 1000), 1000).await;
    timed("newest 1000 of 60s", &lake, &newest(2, Interval::M1, 1000), 1000).await;
    timed("newest 500 of 1d", &lake, &newest(3, Interval::D1, 500), 1).await;
    let end = T0 + 43_200 * NANOS;
    let middle = CandleQuery { to_ns: end, limit: Limit::Newest(1000), ..newest(4, Interval::S1, 0) };
    timed("1000 of 1s in the middle of the day", &lake, &middle, 1000).await;
    let day = CandleQuery { limit: Limit::None, from_ns: T0, ..newest(5, Interval::S1, 0) };
    timed("the whole day of 1s", &lake, &day, 86_400).await;
    println!("plan cache {} KiB", lake.stats().plan_cache_bytes / 1024);
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let value = |name: &str| arguments.iter().position(|a| a == name).and_then(|at| arguments.get(at + 1));
    let commits = value("--commits").and_then(|text| text.parse().ok()).unwrap_or(720);
    let scratch = tempfile::TempDir::new().expect("a directory");
    let dir = scratch.path().join("lake");
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let symbols = fill(&dir, commits, false).await;
        println!("as the commits left it:");
        queries(&dir, &symbols).await;
        let lake = Lake::open(LakeConfig { fsync: false, ..LakeConfig::new(&dir) }).await.expect("a lake");
        let start = Instant::now();
        let done = lake.rewrite(1, now_ns()).await.expect("a rewrite");
        println!("rewrite {:?}: {:?}", start.elapsed(), done[&Table::Candles]);
        println!("after a rewrite:");
        queries(&dir, &symbols).await;
        let dir = scratch.path().join("kept");
        let symbols = fill(&dir, commits, true).await;
        println!("with rewrites after commits, as in the platform:");
        queries(&dir, &symbols).await;
    });
}
