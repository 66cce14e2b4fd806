//! Every indicator beside TA-Lib (the C library, from the PyPI wheel) on generated and on real candles, to 10⁻⁹.
//!
//! What is compared how is in [`CASES`], a row for each indicator: a new one without a row fails. `docs/indicators.md` explains
//! the differences. Needs the Python of `testkit/requirements.txt`; without TA-Lib it says so and is left out.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test, which says what it leaves out")]

use proto::Decimal;
use std::path::{Path, PathBuf};
use std::process::Command;
use trading::{Bar, IndicatorKind, IndicatorSpec};

/// What 10⁻⁹ is a part of.
#[derive(Debug, Clone, Copy)]
enum Of {
    /// TA-Lib's value.
    Value,
    /// The highest price so far: for outputs in the unit of the price that may be near 0.
    Price,
    /// A hundred: for outputs that are percentages.
    Hundred,
    /// One: for outputs that are fractions.
    One,
    /// The sum of all volumes.
    Volume,
}

/// From where on values are compared.
#[derive(Debug, Clone, Copy)]
enum From {
    /// The first value, which both must have at the same candle.
    First,
    /// The first value of TA-Lib, which shows it later.
    Theirs,
    /// So many candles: until then another seed is felt.
    Candle(usize),
}

/// Kind, parameters, tolerance, beginning.
const CASES: &[(&str, &[&str], Of, From)] = &[
    ("sma", &["20", "1", "200"], Of::Value, From::First),
    ("ema", &["20", "2", "100"], Of::Value, From::First),
    ("wma", &["20", "2", "100"], Of::Value, From::First),
    ("dema", &["20", "5"], Of::Value, From::First),
    ("tema", &["20", "5"], Of::Value, From::First),
    ("hma", &["20", "9", "50"], Of::Value, From::First),
    ("kama", &["10", "30"], Of::Value, From::First),
    ("vwap", &[""], Of::Value, From::First),
    ("psar", &["0.02,0.2", "0.05,0.5"], Of::Value, From::First),
    ("bollinger", &["20,2", "50,2.5"], Of::Price, From::First),
    ("keltner", &["20,10,2"], Of::Price, From::Candle(400)),
    ("donchian", &["20", "55"], Of::Value, From::First),
    ("rsi", &["14", "2", "50"], Of::Hundred, From::First),
    ("macd", &["12,26,9", "5,35,5"], Of::Price, From::Candle(600)),
    ("stochastic", &["14,3,3", "5,1,3", "14,1,1"], Of::Hundred, From::Theirs),
    ("stoch_rsi", &["14,14,3,3", "14,14,1,1"], Of::Hundred, From::First),
    ("williams_r", &["14", "50"], Of::Hundred, From::First),
    ("cci", &["20", "14", "100"], Of::Hundred, From::First),
    ("momentum", &["10", "1"], Of::Price, From::First),
    ("roc", &["10", "1"], Of::Hundred, From::First),
    ("adx", &["14", "7"], Of::Hundred, From::Candle(600)),
    ("aroon", &["25", "14"], Of::Hundred, From::First),
    ("atr", &["14", "50"], Of::Price, From::Candle(1500)),
    ("stddev", &["20", "5"], Of::Price, From::First),
    ("linreg_slope", &["14", "2", "100"], Of::Price, From::First),
    ("obv", &[""], Of::Volume, From::First),
    ("ad", &[""], Of::Volume, From::First),
    ("cmf", &["20"], Of::One, From::First),
    ("mfi", &["14", "50"], Of::Hundred, From::First),
];

const TOLERANCE: f64 = 1e-9;
/// 1970-01-01: all bars in one day, so that the session of VWAP is the whole series.
const MINUTE_NS: u64 = 1_000_000_000;

fn root() -> PathBuf {
    let package = std::env::var_os("CARGO_MANIFEST_DIR").map_or_else(|| ".".into(), PathBuf::from);
    package.join("..")
}

fn peer(arguments: &[String]) -> Option<String> {
    let python = std::env::var_os("DEXORDER_PYTHON").map_or_else(|| root().join(".venv/bin/python"), PathBuf::from);
    let output = Command::new(python).arg(root().join("trading/tests/talib_peer.py")).args(arguments).output().ok()?;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).ok()
}

/// TA-Lib's version, or `None` after saying why the test is left out.
fn talib() -> Option<String> {
    let version = peer(&["version".into()]).unwrap_or_else(|| "missing: no Python".into());
    if version.starts_with("missing") {
        println!("left out: TA-Lib cannot be used ({}); see testkit/requirements.txt", version.trim());
        return None;
    }
    Some(version.trim().into())
}

fn bar(at: usize, [high, low, close, volume]: [Decimal; 4]) -> Bar {
    Bar { open_time_ns: at as u64 * MINUTE_NS, high, low, close, volume, quote_volume: Decimal::ZERO }
}

/// A reproducible walk (splitmix64) of `digits` decimals with gaps, calm and wild stretches and ties.
fn walk(seed: u64, count: usize, digits: u32) -> Vec<Bar> {
    let mut state = seed;
    let mut random = move |below: i64| {
        state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = state;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        i64::try_from((z ^ (z >> 31)) >> 33).unwrap() % below
    };
    let mut close = 100_000i64;
    let mut one = |at: usize| {
        let wild = if (at / 500).is_multiple_of(2) { 1 } else { 20 };
        let gap = if random(50) == 0 { random(2001) - 1000 } else { 0 };
        let open = (close + gap).max(20_000);
        close = (open + (random(101) - 50) * wild + (100_000 - open) / 200).max(20_000);
        let (high, low) = (open.max(close) + random(60) * wild, open.min(close) - random(60) * wild);
        let number = |value: i64, digits| Decimal::new(i128::from(value), digits).unwrap();
        let prices = [high, low.max(10_000), close].map(|value| number(value, digits));
        bar(at, [prices[0], prices[1], prices[2], number(1 + random(1_000_000), 3)])
    };
    (0..count).map(&mut one).collect()
}

fn real() -> Vec<(String, Vec<Bar>)> {
    let shared = std::env::var_os("DEXORDER_SHARED").map_or_else(|| root().join("../shared"), PathBuf::from);
    let folder = shared.join("data/market/cryptodatadownload_hourly");
    let Ok(entries) = std::fs::read_dir(&folder) else {
        println!("left out: real candles, ../shared/data is not here");
        return Vec::new();
    };
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let read = |path: &PathBuf| {
        let text = peer(&["candles".into(), path.display().to_string()]).unwrap();
        let row = |(at, line): (usize, &str)| {
            let numbers: Vec<Decimal> = line.split(',').map(|number| number.parse().unwrap()).collect();
            bar(at, [numbers[0], numbers[1], numbers[2], numbers[3]])
        };
        (path.file_name().unwrap().to_string_lossy().into_owned(), text.lines().enumerate().map(row).collect())
    };
    files.iter().map(read).collect()
}

/// TA-Lib's outputs of all cases, one after the other.
fn theirs(bars: &[Bar], folder: &Path, requests: &[String]) -> Vec<f64> {
    let columns: [fn(&Bar) -> Decimal; 4] = [|b| b.high, |b| b.low, |b| b.close, |b| b.volume];
    let values = columns.iter().flat_map(|column| bars.iter().map(|bar| column(bar).to_f64()));
    let bytes: Vec<u8> = values.flat_map(f64::to_le_bytes).collect();
    let (source, target) = (folder.join("in"), folder.join("out"));
    std::fs::write(&source, bytes).unwrap();
    let mut arguments = vec!["compute".into(), source.display().to_string(), target.display().to_string()];
    arguments.extend_from_slice(requests);
    // Which candles have no defined value is told by the peer.
    print!("{}", peer(&arguments).unwrap());
    let bytes = std::fs::read(target).unwrap();
    bytes.chunks_exact(8).map(|chunk| f64::from_le_bytes(chunk.try_into().unwrap())).collect()
}

/// The largest distance of an output, in parts of its scale; what is wrong otherwise.
fn compare(ours: &[Option<f64>], theirs: &[f64], scale: impl Fn(usize) -> f64, from: From) -> Result<f64, String> {
    let first = |has: &dyn Fn(usize) -> bool| (0..ours.len()).find(|at| has(*at));
    let (mine, other) = (first(&|at| ours[at].is_some()), first(&|at| theirs[at].is_finite()));
    let start = match from {
        From::First if mine == other => mine,
        From::Theirs if mine <= other => other,
        From::Candle(count) => Some(count),
        _ => return Err(format!("the first value is at {mine:?}, TA-Lib's at {other:?}")),
    };
    let mut worst = 0.0;
    for at in start.ok_or("no value")?..ours.len() {
        let value = ours[at].ok_or_else(|| format!("no value at {at}"))?;
        let distance = (value - theirs[at]).abs() / scale(at);
        if distance.is_nan() || distance > TOLERANCE {
            return Err(format!("at {at}: {value} and {}", theirs[at]));
        }
        worst = distance.max(worst);
    }
    Ok(worst)
}

fn check(name: &str, bars: &[Bar], folder: &Path) -> Vec<String> {
    let specs: Vec<(IndicatorSpec, Of, From)> = CASES
        .iter()
        .flat_map(|(kind, params, of, from)| {
            let spec = |text: &&str| (IndicatorSpec::new(kind.parse().unwrap(), text).unwrap(), *of, *from);
            params.iter().map(spec).collect::<Vec<_>>()
        })
        .collect();
    let requests: Vec<String> = specs.iter().map(|(spec, ..)| format!("{}:{spec}", spec.kind().name())).collect();
    let all = theirs(bars, folder, &requests);
    let mut outputs = all.chunks_exact(bars.len());
    let volume: f64 = bars.iter().map(|bar| bar.volume.to_f64()).sum();
    let mut wrong = Vec::new();
    for ((spec, of, from), request) in specs.iter().zip(&requests) {
        let mut indicator = spec.build();
        let rows: Vec<_> = bars.iter().map(|bar| indicator.add(bar)).collect();
        let mut worst: f64 = 0.0;
        for (slot, output) in spec.outputs().iter().enumerate() {
            let theirs = outputs.next().unwrap();
            let ours: Vec<Option<f64>> = rows.iter().map(|row| row[slot]).collect();
            let scale = |at: usize| match of {
                Of::Value => theirs[at].abs(),
                Of::Price => bars[at].high.to_f64(),
                Of::Hundred => theirs[at].abs().max(100.0),
                Of::One => 1.0,
                Of::Volume => volume,
            };
            match compare(&ours, theirs, scale, *from) {
                Ok(distance) => worst = worst.max(distance),
                Err(what) => wrong.push(format!("{name}: {request} {output}: {what}")),
            }
        }
        println!("{name}: {request}: {worst:.1e}");
    }
    assert!(outputs.next().is_none());
    wrong
}

#[test]
fn every_indicator_agrees_with_talib_to_a_billionth_after_its_warm_up() {
    let names: Vec<&str> = CASES.iter().map(|case| case.0).collect();
    let all: Vec<&str> = IndicatorKind::ALL.iter().map(|kind| kind.name()).collect();
    assert_eq!(names, all, "each indicator has a row");
    let Some(version) = talib() else { return };
    println!("beside {version}");
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("talib");
    std::fs::create_dir_all(&folder).unwrap();
    let mut series =
        vec![("generated, cents".to_owned(), walk(1, 6000, 2)), ("generated, small".into(), walk(2, 6000, 7))];
    series.extend(real());
    let wrong: Vec<String> = series.iter().flat_map(|(name, bars)| check(name, bars, &folder)).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Where the definition has no value: what each of the two says.
#[test]
fn a_market_that_stands_still_is_where_the_conventions_differ() {
    if talib().is_none() {
        return;
    }
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("talib-flat");
    std::fs::create_dir_all(&folder).unwrap();
    let flat: Vec<Bar> = (0..200).map(|at| bar(at, [100, 100, 100, 1].map(Decimal::from_int))).collect();
    // Kind, ours, TA-Lib's.
    let rows = [
        ("rsi:14", 50.0, 0.0),
        ("stochastic:14,3,3", 50.0, 0.0),
        ("stoch_rsi:14,14,1,1", 50.0, 0.0),
        ("williams_r:14", -50.0, 0.0),
        ("cci:20", 0.0, 0.0),
        ("mfi:14", 50.0, 0.0),
        ("adx:14", 0.0, 0.0),
        ("kama:10", 100.0, 100.0),
    ];
    let plain = |request: &&str| request.replace(':', "=:");
    let requests: Vec<String> = rows.iter().map(|row| plain(&row.0)).collect();
    let all = theirs(&flat, &folder, &requests);
    let mut outputs = all.chunks_exact(flat.len());
    for (request, expected_ours, expected_theirs) in rows {
        let (kind, params) = request.split_once(':').unwrap();
        let spec = IndicatorSpec::new(kind.parse().unwrap(), params).unwrap();
        let mut indicator = spec.build();
        let ours = flat.iter().map(|bar| indicator.add(bar)).last().unwrap();
        let theirs = *outputs.next().unwrap().last().unwrap();
        assert_eq!((ours[0], theirs), (Some(expected_ours), expected_theirs), "{request}");
    }
}
