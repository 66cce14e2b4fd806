//! Rows per second and per core of appends, and bytes a row. Budget: beat pyiceberg on the same rows, which
//! `benches/append_pyiceberg.py` measures from the lake that this benchmark leaves in `--keep DIR`.
//!
//! `cargo bench -p lake --bench append -- [--rows N] [--keep DIR]`

#![allow(clippy::print_stdout, missing_docs, reason = "a benchmark reports to the terminal")]

use lake::{Lake, LakeConfig, OffsetRange, SourceOffsets, Table};
use proto::market::{Side, Source, Tick};
use proto::{Decimal, Symbol, Venue};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

const SYMBOLS: usize = 20;
const APPENDS: usize = 50;
/// 2024-08-08T00:00:00Z.
const T0: u64 = 1_723_075_200_000_000_000;

/// One day of trades of twenty symbols in order of arrival: prices walk by ticks, sizes are mostly small lots, ids of
/// each symbol are contiguous.
fn ticks(rows: usize) -> Vec<Tick> {
    let mut random = StdRng::seed_from_u64(42);
    let venue: Venue = "BINANCE".parse().expect("a venue");
    let mut series: Vec<(Symbol, i128, u64)> = (0..SYMBOLS)
        .map(|n| {
            let symbol = format!("S{n:02}/USDT").parse().expect("a symbol");
            (symbol, random.random_range(10_000..6_000_000), 1_000_000_000 * (1 + n as u64))
        })
        .collect();
    let mean_gap = 86_400_000_000_000 / rows as u64;
    let mut now = T0;
    (0..rows)
        .map(|_| {
            now += random.random_range(0..2 * mean_gap) / 1_000_000 * 1_000_000 + mean_gap % 1_000_000;
            let pick = random.random_range(0..SYMBOLS).min(random.random_range(0..SYMBOLS));
            let (symbol, price, id) = &mut series[pick];
            if random.random_bool(0.4) {
                *price = (*price + random.random_range(-3..=3)).max(1);
            }
            *id += 1;
            let lots = if random.random_bool(0.3) { 100 } else { random.random_range(1..20_000) };
            Tick {
                venue: venue.clone(),
                symbol: symbol.clone(),
                trade_id: id.to_string(),
                event_time_ns: now / 1_000_000 * 1_000_000,
                receive_time_ns: now + random.random_range(2_000_000..9_000_000),
                price: Decimal::new(*price, 2).expect("a price"),
                size: Decimal::new(lots, 5).expect("a size"),
                side: if random.random_bool(0.5) { Side::Buy } else { Side::Sell },
                source: Source::Live,
                repaired: false,
            }
        })
        .collect()
}

/// Processor time of this process so far, of all threads.
fn cpu() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |index: usize| fields.get(index).and_then(|field| field.parse::<u64>().ok()).unwrap_or(0);
    Duration::from_millis((ticks(11) + ticks(12)) * 10)
}

async fn run(name: &str, dir: &Path, rows: &[Tick], appends: usize, fsync: bool) {
    let lake = Lake::open(LakeConfig { fsync, ..LakeConfig::new(dir) }).await.expect("a lake");
    let (start, cpu_start, mut bytes, mut offset) = (Instant::now(), cpu(), 0, 0);
    for batch in rows.chunks(rows.len().div_ceil(appends)) {
        let last = offset + batch.len() as u64 - 1;
        let range = (("norm.tick".to_owned(), 0), OffsetRange { first: offset, last });
        let info = lake.append_ticks(batch, &SourceOffsets::from_iter([range]), 1).await.expect("an append");
        bytes += info.bytes;
        offset = last + 1;
    }
    let (wall, cpu) = (start.elapsed().as_secs_f64(), (cpu() - cpu_start).as_secs_f64());
    let committed = lake.committed(Table::Ticks).await.expect("offsets");
    assert_eq!(committed[&("norm.tick".to_owned(), 0)], rows.len() as u64 - 1);
    let millions = |seconds: f64| rows.len() as f64 / seconds / 1e6;
    println!(
        "{name:<34} {:>6.2} M rows/s per core  {:>6.2} M rows/s wall  {:>5.2} bytes/row  ({cpu:.2} s cpu, {wall:.2} s)",
        millions(cpu),
        millions(wall),
        bytes as f64 / rows.len() as f64,
    );
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let value = |name: &str| arguments.iter().position(|a| a == name).and_then(|at| arguments.get(at + 1));
    let rows = value("--rows").and_then(|text| text.parse().ok()).unwrap_or(4_000_000);
    let keep = value("--keep").map(PathBuf::from);
    let rows = ticks(rows);
    let scratch = tempfile::TempDir::new().expect("a directory");
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    println!("lake, {} rows of {SYMBOLS} symbols, zstd, partitioned by day and bucket:", rows.len());
    runtime.block_on(async {
        let dir = |name: &str| scratch.path().join(name);
        let one = keep.map_or_else(|| dir("one"), |dir| std::path::absolute(dir).expect("a path"));
        run("one append, no fsync", &one, &rows, 1, false).await;
        run("50 appends, no fsync", &dir("many"), &rows, APPENDS, false).await;
        run("one append, fsync", &dir("one-durable"), &rows, 1, true).await;
        run("50 appends, fsync", &dir("many-durable"), &rows, APPENDS, true).await;
    });
}
