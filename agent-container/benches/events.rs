//! Critical events on disk per second, beside SQLite with `synchronous=FULL` on the same disk in the same run.
//!
//! Budget: 50 000 events/s with many producers; at least 10 times SQLite with one commit an event. SQLite with a
//! transaction of 1 000 events is shown too: it is what group commit by hand would give there.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a benchmark prints, and stops at the first failure")]
#![allow(clippy::cast_precision_loss, reason = "rates are printed with three digits")]

use agent_container::events::{EventMetrics, EventsConfig, NewEvent, Outbox, OutboxLimits};
use proto::{EventKind, UserId};
use service::clock::Clock;
use service::metrics::Metrics;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

const SPAN: Duration = Duration::from_secs(3);

fn event() -> NewEvent {
    let payload = serde_json::json!({
        "order": "01J9ZQ6V8KXW3R4T5Y6Z7A8B9C", "venue": "BINANCE", "symbol": "BTC/USDT", "side": "buy",
        "price": "61800.3", "size": "0.006", "fee": "0.1854", "liquidity": "taker",
    });
    NewEvent::new(EventKind::OrderFilled, &payload).unwrap()
}

struct Measured {
    rate: f64,
    p50: Duration,
    p99: Duration,
}

fn measured(start: Instant, mut latencies: Vec<Duration>) -> Measured {
    let rate = latencies.len() as f64 / start.elapsed().as_secs_f64();
    latencies.sort_unstable();
    let at = |percent: usize| latencies[(latencies.len() * percent / 100).min(latencies.len() - 1)];
    Measured { rate, p50: at(50), p99: at(99) }
}

async fn outbox(dir: &Path, producers: usize) -> (Measured, f64) {
    let limits = OutboxLimits { events: 10_000_000, bytes: 8 << 30 };
    let config = EventsConfig { limits, ..EventsConfig::new(dir.join(format!("outbox-{producers}")), "tcp://x:1") };
    let metrics = EventMetrics::new(&Metrics::new());
    let outbox = Outbox::open(&config, UserId::from_bits(1), Clock::System, metrics.clone()).await.unwrap();
    let start = Instant::now();
    let tasks: Vec<_> = (0..producers)
        .map(|_| {
            let outbox = Arc::clone(&outbox);
            tokio::spawn(async move {
                let (event, mut latencies) = (event(), Vec::new());
                while start.elapsed() < SPAN {
                    let before = Instant::now();
                    outbox.publish(event.clone()).await.unwrap();
                    latencies.push(before.elapsed());
                }
                latencies
            })
        })
        .collect();
    let mut latencies = Vec::new();
    for task in tasks {
        latencies.extend(task.await.unwrap());
    }
    let measured = measured(start, latencies);
    let shared = metrics.published.get() as f64 / metrics.batches.get() as f64;
    outbox.close().await;
    (measured, shared)
}

async fn sqlite(dir: &Path) -> SqlitePool {
    let options = SqliteConnectOptions::new()
        .filename(dir.join("events.sqlite"))
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full);
    let pool = SqlitePoolOptions::new().max_connections(1).connect_with(options).await.unwrap();
    sqlx::query("CREATE TABLE IF NOT EXISTS events (sequence INTEGER PRIMARY KEY, id BLOB, value BLOB)")
        .execute(&pool)
        .await
        .unwrap();
    pool
}

const INSERT: &str = "INSERT INTO events (id, value) VALUES (?, ?)";

/// One commit an event, by so many producers over one connection: SQLite has one writer.
async fn sqlite_single(pool: &SqlitePool, producers: usize) -> Measured {
    let (start, id) = (Instant::now(), Arc::new(AtomicU64::new(0)));
    let tasks: Vec<_> = (0..producers)
        .map(|_| {
            let (pool, id) = (pool.clone(), Arc::clone(&id));
            tokio::spawn(async move {
                let (value, mut latencies) = (vec![7u8; 420], Vec::new());
                while start.elapsed() < SPAN {
                    let before = Instant::now();
                    let id = id.fetch_add(1, Ordering::Relaxed).to_le_bytes().to_vec();
                    sqlx::query(INSERT).bind(id).bind(&value).execute(&pool).await.unwrap();
                    latencies.push(before.elapsed());
                }
                latencies
            })
        })
        .collect();
    let mut latencies = Vec::new();
    for task in tasks {
        latencies.extend(task.await.unwrap());
    }
    measured(start, latencies)
}

async fn sqlite_batched(pool: &SqlitePool, batch: usize) -> Measured {
    let (start, value, mut latencies) = (Instant::now(), vec![7u8; 420], Vec::new());
    while start.elapsed() < SPAN {
        let before = Instant::now();
        let mut transaction = pool.begin().await.unwrap();
        for id in 0..batch {
            sqlx::query(INSERT).bind(id.to_le_bytes().to_vec()).bind(&value).execute(&mut *transaction).await.unwrap();
        }
        transaction.commit().await.unwrap();
        latencies.extend(std::iter::repeat_n(before.elapsed(), batch));
    }
    measured(start, latencies)
}

fn row(name: &str, Measured { rate, p50, p99 }: &Measured, note: &str) {
    println!("{name:<44} {rate:>10.0} {:>9.3} {:>9.3}   {note}", p50.as_secs_f64() * 1e3, p99.as_secs_f64() * 1e3);
}

async fn run() {
    // Below the target directory: a temporary directory may be in memory, where fdatasync costs nothing.
    let root = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    println!("{:<44} {:>10} {:>9} {:>9}", "durable critical events", "events/s", "p50 ms", "p99 ms");
    for producers in [1, 16, 256, 4096] {
        let (measured, shared) = outbox(root.path(), producers).await;
        row(&format!("outbox, {producers} producers"), &measured, &format!("{shared:.0} events a write"));
    }
    let pool = sqlite(root.path()).await;
    for producers in [1, 256] {
        row(
            &format!("SQLite FULL, {producers} producers"),
            &sqlite_single(&pool, producers).await,
            "a commit an event",
        );
    }
    row("SQLite FULL, one producer", &sqlite_batched(&pool, 1000).await, "1000 events a commit");
    pool.close().await;
}

fn main() {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap().block_on(run());
}
