//! Other engines read the tables: pyiceberg through the catalog, DuckDB by the table's directory.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "fixtures/rows.rs"]
mod rows;

use lake::{Lake, SourceOffsets, Table};
use proto::market::{Candle, Side, Source, Tick};
use proto::{Decimal, Interval};
use rows::{DAY, SECOND, T0, candle, config, decimal, tick, venue};
use std::path::PathBuf;
use std::process::Command;
use tempfile::TempDir;

const ENGINES: [&str; 2] = ["pyiceberg", "duckdb"];

/// Asked for when the test runs: one build may serve several clones.
fn package() -> PathBuf {
    std::env::var_os("CARGO_MANIFEST_DIR").map_or_else(|| ".".into(), PathBuf::from)
}

/// The Python of the test peers; it is part of the set-up, so its absence is a failure.
fn python() -> PathBuf {
    let python =
        std::env::var_os("DEXORDER_PYTHON").map_or_else(|| package().join("../.venv/bin/python"), PathBuf::from);
    assert!(python.exists(), "no Python with the test peers at {}: run `make .venv/.ready`", python.display());
    python
}

fn read_by(engine: &str, dir: &TempDir, table: Table, snapshot: Option<i64>) -> Vec<String> {
    let script = package().join("tests/peers/lake_rows.py");
    let mut command = Command::new(python());
    command.arg(script).arg(engine).arg(dir.path().join("lake")).arg(table.name());
    let output = command.args(snapshot.map(|id| id.to_string())).output().unwrap();
    assert!(output.status.success(), "{engine}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
}

fn micros(time_ns: u64) -> String {
    (time_ns / 1000).to_string()
}

fn number(value: Decimal) -> String {
    format!("{value:.18}")
}

fn tick_lines(ticks: &[Tick]) -> Vec<String> {
    let side = |side| match side {
        Side::Buy => "buy",
        Side::Sell => "sell",
        Side::Unknown => "unknown",
    };
    let source = |source| match source {
        Source::Live => "live",
        Source::Backfill => "backfill",
        Source::Replay => "replay",
    };
    let line = |t: &Tick| {
        [
            t.venue.to_string(),
            t.symbol.to_string(),
            t.trade_id.clone(),
            micros(t.event_time_ns),
            micros(t.receive_time_ns),
            number(t.price),
            number(t.size),
            side(t.side).to_owned(),
            source(t.source).to_owned(),
        ]
        .join("|")
    };
    let mut lines: Vec<String> = ticks.iter().map(line).collect();
    lines.sort();
    lines
}

fn candle_lines(candles: &[Candle]) -> Vec<String> {
    let line = |c: &Candle| {
        let prices = [c.open, c.high, c.low, c.close, c.volume, c.quote_volume].map(number).join("|");
        format!(
            "{}|{}|{}|{}|{prices}|{}|{}|{}|{}",
            c.venue,
            c.symbol,
            c.interval.seconds(),
            micros(c.open_time_ns),
            c.trades,
            c.revision,
            u8::from(c.closed),
            u8::from(c.repaired)
        )
    };
    let mut lines: Vec<String> = candles.iter().map(line).collect();
    lines.sort();
    lines
}

fn some_ticks() -> Vec<Tick> {
    let symbols = ["BTC/USDT", "ETH/USDT", "SOL/EUR", "DOGE/USDT"];
    // Two days, more rows than a page for one symbol, ids of every kind.
    let mut ticks: Vec<Tick> = (0..30_000)
        .map(|id| tick(if id % 3 == 0 { symbols[1] } else { symbols[0] }, id, T0 + id * 6 * SECOND))
        .collect();
    ticks.push(Tick { trade_id: "a1b2-ünï".to_owned(), side: Side::Unknown, ..tick(symbols[2], 1, T0 + DAY - 1) });
    ticks.push(Tick { source: Source::Backfill, ..tick(symbols[2], 2, T0 + DAY) });
    ticks.push(Tick { source: Source::Replay, price: decimal("0.000000000000000001"), ..tick(symbols[3], 3, T0) });
    ticks.push(Tick { price: decimal("99999999999999999999.999999999999999999"), ..tick(symbols[3], 4, T0) });
    ticks
}

fn some_candles() -> Vec<Candle> {
    let mut candles = Vec::new();
    for interval in Interval::ALL {
        for n in 0..40 {
            let open = T0 + n * interval.nanos();
            candles.push(candle("BTC/USDT", interval, open));
            candles.push(Candle {
                venue: venue("BINANCE-USDM"),
                closed: n % 2 == 0,
                ..candle("ETH/USDT", interval, open)
            });
        }
    }
    candles.push(Candle { revision: 3, repaired: true, trades: 0, ..candle("BTC/USDT", Interval::S1, T0) });
    candles
}

#[tokio::test]
async fn other_engines_read_every_row_exactly() {
    let dir = TempDir::new().unwrap();
    let lake = Lake::open(config(&dir)).await.unwrap();
    let (ticks, candles) = (some_ticks(), some_candles());
    lake.claim_writer_epoch().await.unwrap();
    for batch in ticks.chunks(11_000) {
        lake.append_ticks(batch, &SourceOffsets::new(), 1).await.unwrap();
    }
    for batch in candles.chunks(200) {
        lake.append_candles(batch, &SourceOffsets::new(), 1).await.unwrap();
    }
    for engine in ENGINES {
        assert_eq!(read_by(engine, &dir, Table::Ticks, None), tick_lines(&ticks), "{engine}");
        assert_eq!(read_by(engine, &dir, Table::Candles, None), candle_lines(&candles), "{engine}");
    }
}

#[tokio::test]
async fn other_engines_read_every_row_after_a_rewrite() {
    let dir = TempDir::new().unwrap();
    let lake = Lake::open(config(&dir)).await.unwrap();
    let candles = some_candles();
    for batch in candles.chunks(candles.len() / 70) {
        lake.append_candles(batch, &SourceOffsets::new(), 1).await.unwrap();
    }
    let now_ns = u64::try_from(std::time::UNIX_EPOCH.elapsed().unwrap().as_nanos()).unwrap();
    assert!(lake.rewrite(1, now_ns).await.unwrap()[&Table::Candles].files_removed > 0);
    lake.append_candles(&[candle("XRP/USDT", Interval::M1, T0)], &SourceOffsets::new(), 1).await.unwrap();
    let all = [candles, vec![candle("XRP/USDT", Interval::M1, T0)]].concat();
    for engine in ENGINES {
        assert_eq!(read_by(engine, &dir, Table::Candles, None), candle_lines(&all), "{engine}");
    }
}

#[tokio::test]
async fn other_engines_read_an_older_snapshot() {
    let dir = TempDir::new().unwrap();
    let lake = Lake::open(config(&dir)).await.unwrap();
    let ticks = some_ticks();
    let first = lake.append_ticks(&ticks[..100], &SourceOffsets::new(), 1).await.unwrap();
    lake.append_ticks(&ticks[100..200], &SourceOffsets::new(), 1).await.unwrap();
    for engine in ENGINES {
        assert_eq!(read_by(engine, &dir, Table::Ticks, first.snapshot_id), tick_lines(&ticks[..100]), "{engine}");
    }
}

#[tokio::test]
async fn other_engines_read_tables_that_are_still_empty() {
    let dir = TempDir::new().unwrap();
    let lake = Lake::open(config(&dir)).await.unwrap();
    // pyiceberg reads a table without snapshots; DuckDB wants one, which the first claim of a writer makes.
    assert_eq!(read_by("pyiceberg", &dir, Table::Ticks, None), [""; 0]);
    lake.claim_writer_epoch().await.unwrap();
    for engine in ENGINES {
        assert_eq!(read_by(engine, &dir, Table::Candles, None), [""; 0], "{engine}");
    }
}
