//! Ticks per second of the aggregator on one thread, with dedup and all seven intervals, beside a straightforward one.
//!
//! Budget: at least 3.2 million ticks/s (docs/performance.md). Run with `cargo bench -p stream`. Inputs are built outside
//! the timed part; a tick is what the core takes: key index, numeric id, times, price and size.
#![allow(clippy::print_stdout, reason = "a benchmark prints its result")]

#[path = "aggregate/naive.rs"]
mod naive;
#[path = "aggregate/recording.rs"]
mod recording;

use proto::market::{Side, Source, Tick};
use proto::{Decimal, Envelope, EventType, LogTopic, wire};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use std::hint::black_box;
use std::time::{Duration, Instant};
use stream::aggregate::{Aggregator, Outcome, Params};
use stream::record::{Input, decode};
use stream::trade::{Trade, TradeId};
use stream::update::KeyId;

const BUDGET: f64 = 3_200_000.0;
const ROUNDS: usize = 5;
const KEYS: usize = 16;
const TICKS: usize = 2_000_000;
const SECOND: u64 = 1_000_000_000;

/// Trades of a partition, by key number.
pub(crate) struct Workload {
    pub(crate) name: String,
    pub(crate) tickers: Vec<(String, String)>,
    pub(crate) trades: Vec<(usize, Trade)>,
}

/// A market like the recorded ones: bursts, 1 % late within the allowed lateness, 0.1 % behind it, 2 % duplicates.
fn market() -> Workload {
    let mut random = StdRng::seed_from_u64(7);
    let mut price = [6_000_000i128; KEYS];
    let mut next_id = [1_000_000u64; KEYS];
    let mut clock = 1_723_161_254 * SECOND;
    let mut trades: Vec<(usize, Trade)> = Vec::with_capacity(TICKS);
    while trades.len() < TICKS {
        // About 40 trades a second and key, as BTCUSDT in the recording.
        if random.random_bool(0.4) {
            clock += random.random_range(0..2 * SECOND / (16 * KEYS as u64));
        }
        let key = random.random_range(0..KEYS);
        if random.random_bool(0.02) && !trades.is_empty() {
            let earlier = trades.len().saturating_sub(random.random_range(1..1000));
            trades.push(trades[earlier]);
            continue;
        }
        price[key] += random.random_range(-3i128..=3);
        next_id[key] += 1;
        let late = match random.random_range(0..1000) {
            0 => 5 * SECOND,
            1..=10 => random.random_range(0..SECOND),
            _ => 0,
        };
        let trade = Trade {
            id: TradeId::Numeric(next_id[key]),
            event_time_ns: clock - late,
            receive_time_ns: clock + SECOND / 100,
            price: price[key] * 10_i128.pow(16),
            size: random.random_range(1i128..100_000) * 10_i128.pow(13),
            repaired: false,
        };
        trades.push((key, trade));
    }
    let tickers = (0..KEYS).map(|n| ("BINANCE".to_owned(), format!("COIN{n}/USDT"))).collect();
    Workload { name: "simulated market, 16 keys".to_owned(), tickers, trades }
}

/// Ticks per second of the fastest round; the machine is shared, so slower rounds say more about the others.
fn fastest(count: usize, mut round: impl FnMut() -> Duration) -> f64 {
    let best = (0..ROUNDS).map(|_| round()).min().unwrap_or(Duration::MAX);
    #[allow(clippy::cast_precision_loss, reason = "a rate for people")]
    let rate = count as f64 / best.as_secs_f64();
    rate
}

fn aggregator(work: &Workload) -> f64 {
    let mut shown = false;
    fastest(work.trades.len(), || {
        let mut aggregator = Aggregator::new(Params::default());
        let ids = work.tickers.iter().map(|(venue, symbol)| (venue.parse(), symbol.parse()));
        let keys: Vec<KeyId> = ids
            .map(|(venue, symbol)| aggregator.key(&venue.expect("valid"), &symbol.expect("valid")).expect("few"))
            .collect();
        let input: Vec<(KeyId, Trade)> = work.trades.iter().map(|(key, trade)| (keys[*key], *trade)).collect();
        let (mut out, mut updates, mut outcomes) = (Vec::with_capacity(4096), 0, [0u64; Outcome::ALL.len()]);
        let started = Instant::now();
        for (key, trade) in &input {
            outcomes[aggregator.trade(*key, trade, &mut out) as usize] += 1;
            if out.len() >= 2048 {
                updates += black_box(&out).len();
                out.clear();
            }
        }
        let elapsed = started.elapsed();
        updates += out.len();
        if !std::mem::replace(&mut shown, true) {
            let outcomes: Vec<String> =
                Outcome::ALL.iter().zip(outcomes).filter(|(_, n)| *n > 0).map(|(o, n)| format!("{o:?} {n}")).collect();
            println!("  {} ticks: {}; {updates} candle updates", work.trades.len(), outcomes.join(", "));
        }
        elapsed
    })
}

fn straightforward(work: &Workload) -> f64 {
    fastest(work.trades.len(), || {
        let mut candles = naive::Naive::default();
        let started = Instant::now();
        for (key, trade) in &work.trades {
            candles.trade(*key, trade);
        }
        let elapsed = started.elapsed();
        black_box(candles.windows());
        elapsed
    })
}

/// From the bytes of log records, as the process reads them.
fn from_records() -> f64 {
    let tick = |n: u64| Tick {
        venue: "BINANCE".parse().expect("valid"),
        symbol: "BTC/USDT".parse().expect("valid"),
        trade_id: (3_735_683_259 + n).to_string(),
        event_time_ns: 1_723_161_254 * SECOND + n * SECOND / 40,
        receive_time_ns: 1_723_161_254 * SECOND + n * SECOND / 40,
        price: "61837.63".parse().expect("valid"),
        size: Decimal::ONE,
        side: Side::Buy,
        source: Source::Live,
        repaired: false,
    };
    let record = |n: u64| {
        let envelope = Envelope {
            event_id: u128::from(n),
            event_type: EventType::Tick,
            venue: "BINANCE".parse().expect("valid"),
            observed_at_ns: SECOND,
            ingested_at_ns: SECOND,
            key: "BINANCE:BTC/USDT".to_owned(),
            trace: bytes::Bytes::new(),
            payload: prost::Message::encode_to_vec(&wire::Tick::from(&tick(n))).into(),
            raw: None,
        };
        envelope.encode()
    };
    let records: Vec<_> = (0..200_000).map(record).collect();
    fastest(records.len(), || {
        let mut aggregator = Aggregator::new(Params::default());
        let mut out = Vec::new();
        let started = Instant::now();
        for value in &records {
            if let Some(Input::Tick(tick)) = decode(LogTopic::NormTick, b"BINANCE:BTC/USDT", value).input
                && let Some(key) = aggregator.key(&tick.venue, &tick.symbol)
            {
                aggregator.trade(key, &Trade::from(&tick), &mut out);
                out.clear();
            }
        }
        started.elapsed()
    })
}

fn main() {
    println!("aggregator: ticks/s on one thread, dedup and seven intervals (budget {BUDGET:.0})");
    let mut works = vec![market()];
    works.extend(recording::workload());
    for work in &works {
        println!("{}", work.name);
        let (ours, naive) = (aggregator(work), straightforward(work));
        let verdict = if ours >= BUDGET { "within budget" } else { "OVER BUDGET" };
        println!("  aggregator       {ours:>12.0} ticks/s  ({verdict}, {:.0} ns a tick)", 1e9 / ours);
        println!("  straightforward  {naive:>12.0} ticks/s  (ratio {:.1})", ours / naive);
    }
    println!("log records, decoded and aggregated on the same thread");
    println!("  decode + aggregate {:>10.0} ticks/s", from_records());
}
