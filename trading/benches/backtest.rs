//! Candles/s, ticks/s and memory of the backtest engine with an SMA cross of 10 and 30, and of a sweep of 1 000 of them.
//! Budget: 3.4 M candles/s, a hundred times NautilusTrader's 34 k on the same machine, and 11.1 M candle-combinations/s, three
//! times vectorbt's 3.7 M.
//!
//! `make bench-backtest`, or `cargo bench -p trading --bench backtest -- PART...` with the parts `one` (the usual form only, for
//! its memory), `forms`, `ticks`, `sweep`, `runs` and `write FILE`: the candles and our trades as CSV for the peers.

#![allow(clippy::print_stdout, clippy::unwrap_used, missing_docs, reason = "a benchmark reports to the terminal")]

use proto::Decimal;
use std::fmt::Write as _;
use std::num::NonZeroUsize;
use std::time::Instant;
use trading::backtest::{
    Backtest, Candle, Desk, Direction, Order, Report, Series, Shorting, SmaCross, Strategy, Targets, Terms, Tick,
    sweep_on,
};

const CANDLES: usize = 1_000_000;
const MINUTE_NS: u64 = 60_000_000_000;
/// 2023-11-14T22:14:00Z.
const START_NS: u64 = 1_700_000_040_000_000_000;
const REPETITIONS: usize = 5;

fn cents(cents: i64) -> Decimal {
    Decimal::new(i128::from(cents), 2).unwrap()
}

/// A reproducible walk in cents (splitmix64).
fn candles() -> Vec<Candle> {
    let mut state = 42u64;
    let mut random = move |below: i64| {
        state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = state;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        i64::try_from((z ^ (z >> 31)) >> 33).unwrap() % below
    };
    let mut close = 6_000_000;
    let mut one = |at: usize| {
        let open = close;
        // Kept away from zero by a pull to where it began.
        close = open + random(6001) - 3000 + (6_000_000 - open) / 4096;
        let (high, low) = (open.max(close) + random(1000), open.min(close) - random(1000));
        let open_time_ns = START_NS + at as u64 * MINUTE_NS;
        let (open, high, low) = (cents(open), cents(high), cents(low));
        Candle { open_time_ns, open, high, low, close: cents(close), volume: cents(1000 + random(100_000)) }
    };
    (0..CANDLES).map(&mut one).collect()
}

fn terms() -> Terms {
    let taker_fee = Decimal::new(1, 4).unwrap();
    Terms {
        taker_fee,
        lot_size: Decimal::new(1, 6).unwrap(),
        shorting: Shorting::Allowed,
        ..Terms::with_cash(cents(10_000_000_000))
    }
}

/// Turns between two exposures.
struct Every(u64);

impl Strategy for Every {
    fn on_tick(&mut self, _: &Tick, desk: &mut Desk<'_>) {
        self.0 += 1;
        if self.0.is_multiple_of(1000) {
            let exposure = Decimal::new(i128::from(self.0 / 1000 % 2), 1).unwrap();
            desk.submit(Order::Target { exposure }).unwrap();
        }
    }
}

/// The cross with a position of 1 or -1, as the peer trades it.
struct Fixed(SmaCross, Option<Direction>);

impl Strategy for Fixed {
    fn on_candle(&mut self, candle: &Candle, desk: &mut Desk<'_>) {
        let Some(target) = self.0.target(candle.close) else { return };
        let direction = if target.is_positive() { Direction::Buy } else { Direction::Sell };
        if self.1 != Some(direction) {
            let size = Decimal::from_int(if self.1.is_some() { 2 } else { 1 });
            desk.submit(Order::Market { direction, size }).unwrap();
            self.1 = Some(direction);
        }
    }
}

fn measure(what: &str, events: usize, mut run: impl FnMut() -> Report) -> Report {
    let mut times = Vec::new();
    let mut report = run();
    for _ in 0..REPETITIONS {
        let begin = Instant::now();
        report = run();
        times.push(begin.elapsed().as_secs_f64());
    }
    times.sort_by(f64::total_cmp);
    #[allow(clippy::cast_precision_loss, reason = "for looking at")]
    let rate = events as f64 / times[REPETITIONS / 2] / 1e6;
    println!(
        "{what}: {rate:.2} M/s, {} fills, {} trips, end {:.2}",
        report.fills.len(),
        report.round_trips.len(),
        report.end_equity
    );
    report
}

/// A line of /proc/self/status in MB.
fn memory(field: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with(field)).unwrap_or_default();
    line.split_whitespace().nth(1).and_then(|kilobytes| kilobytes.parse::<u64>().ok()).unwrap_or(0) / 1024
}

fn run() -> Backtest {
    Backtest::new(terms()).unwrap()
}

fn cross(fast: usize, slow: usize) -> SmaCross {
    SmaCross::new(fast, slow, Decimal::new(9, 1).unwrap(), Decimal::new(-9, 1).unwrap())
}

fn one(candles: &[Candle]) -> Report {
    measure("candles, Rust strategy", CANDLES, || {
        run().candles(MINUTE_NS, candles.iter().copied(), &mut cross(10, 30)).unwrap()
    })
}

/// The same strategy in three forms, and how often its averages are equal.
fn forms(candles: &[Candle]) {
    let report = one(candles);
    let mut making = cross(10, 30);
    let targets: Vec<_> = candles.iter().map(|candle| making.target(candle.close)).collect();
    let vector = measure("candles, targets computed before", CANDLES, || {
        run().candles(MINUTE_NS, candles.iter().copied(), &mut Targets::new(&targets)).unwrap()
    });
    assert!(vector == report, "the forms of one strategy give the same");
    let series = Series::new(MINUTE_NS, candles).unwrap();
    let fast = measure("candles, orders computed in the run, the vector form", CANDLES, || {
        run().changes(&series, &cross(10, 30).changes(&series)).unwrap()
    });
    assert!(fast == report, "the forms of one strategy give the same");
    let mut compared = cross(10, 30);
    let ties =
        candles.iter().filter(|candle| compared.compare(candle.close) == Some(std::cmp::Ordering::Equal)).count();
    println!("ties of the averages of 10 and 30: {ties} on {CANDLES} candles");
}

fn ticks(candles: &[Candle]) {
    let ticks: Vec<_> = candles
        .iter()
        .map(|candle| Tick { time_ns: candle.open_time_ns, price: candle.open, size: candle.volume })
        .collect();
    measure("ticks, an order every 1 000", CANDLES, || run().ticks(ticks.iter().copied(), &mut Every(0)).unwrap());
}

/// 40 fast by 25 slow periods, as the peer has them.
fn sweep(candles: &[Candle]) {
    let grid: Vec<(usize, usize)> = (2..42).flat_map(|fast| (0..25).map(move |step| (fast, 45 + 5 * step))).collect();
    let cores = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
    for (count, threads) in [(100_000, NonZeroUsize::MIN), (100_000, cores), (CANDLES, cores)] {
        let begin = Instant::now();
        let series = Series::new(MINUTE_NS, &candles[..count]).unwrap();
        let scores = sweep_on(threads, &grid, |(fast, slow)| {
            let report = run().changes(&series, &cross(*fast, *slow).changes(&series))?;
            Ok::<_, trading::backtest::BacktestError>(Some(report.statistics.total_return))
        });
        #[allow(clippy::cast_precision_loss, reason = "for looking at")]
        let rate = (count * grid.len()) as f64 / begin.elapsed().as_secs_f64() / 1e6;
        let best = scores.unwrap().into_iter().flatten().fold(f64::MIN, f64::max);
        println!(
            "sweep of {}, {count} candles, {threads} threads: {rate:.1} M candle-combinations/s, best return {best:.6}",
            grid.len()
        );
    }
}

/// A thousand runs in one process, every tenth of them event-driven.
fn runs(candles: &[Candle]) {
    let candles = &candles[..100_000];
    let series = Series::new(MINUTE_NS, candles).unwrap();
    let mut after_ten = 0;
    for at in 0..1000 {
        let (fast, slow) = (5 + at % 20, 30 + at % 50);
        let report = if at % 10 == 0 {
            run().candles(MINUTE_NS, candles.iter().copied(), &mut cross(fast, slow)).unwrap()
        } else {
            run().changes(&series, &cross(fast, slow).changes(&series)).unwrap()
        };
        assert!(report.events == 100_000);
        drop(report);
        if at == 9 {
            after_ten = memory("VmRSS");
        }
    }
    println!("1 000 runs: RSS {after_ten} MB after 10, {} MB after 1 000", memory("VmRSS"));
}

fn main() {
    let candles = candles();
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with("--")).collect();
    let all = ["forms", "ticks", "sweep", "runs"].map(String::from).to_vec();
    let mut parts = if arguments.is_empty() { all } else { arguments }.into_iter();
    while let Some(part) = parts.next() {
        match part.as_str() {
            "one" => drop(one(&candles)),
            "forms" => forms(&candles),
            "ticks" => ticks(&candles),
            "sweep" => sweep(&candles),
            "runs" => runs(&candles),
            "write" => {
                let fixed = measure("candles, Rust strategy, always 1 long or short", CANDLES, || {
                    run().candles(MINUTE_NS, candles.iter().copied(), &mut Fixed(cross(10, 30), None)).unwrap()
                });
                write(&parts.next().unwrap(), &candles, &fixed);
            }
            other => panic!("no part {other}"),
        }
    }
    println!("peak {} MB", memory("VmHWM"));
}

fn write(path: &str, candles: &[Candle], report: &Report) {
    let mut text = String::from("time_ns,open,high,low,close,volume\n");
    for c in candles {
        writeln!(text, "{},{},{},{},{},{}", c.open_time_ns, c.open, c.high, c.low, c.close, c.volume).unwrap();
    }
    std::fs::write(path, text).unwrap();
    let mut text = String::from("opened_ns,closed_ns,direction,size,entry_price,exit_price,profit\n");
    for t in &report.round_trips {
        let row = (t.opened_ns, t.closed_ns, t.direction, t.size, t.entry_price, t.exit_price, t.profit);
        writeln!(text, "{},{},{:?},{},{},{},{}", row.0, row.1, row.2, row.3, row.4, row.5, row.6).unwrap();
    }
    std::fs::write(format!("{path}.trips"), text).unwrap();
    let mut text = String::from("time_ns,direction,size,price\n");
    for fill in &report.fills {
        writeln!(text, "{},{:?},{},{}", fill.time_ns, fill.direction, fill.size, fill.price).unwrap();
    }
    std::fs::write(format!("{path}.fills"), text).unwrap();
}
