//! Every indicator against a naive O(n·k) implementation written from the definition, and the promises of the crate.

use super::*;
use crate::{IndicatorKind, WarmUp};
use proptest::prelude::*;
use proto::{Decimal, Interval};

fn candle(index: u32, (open, close, up, down): (u32, u32, u32, u32), volume: u32) -> Candle {
    let cents = |value: u32| Decimal::new(i128::from(value), 2).unwrap();
    let (top, bottom) = (open.max(close), open.min(close));
    Candle {
        venue: "SIM".parse().unwrap(),
        symbol: "BTC/USDT".parse().unwrap(),
        interval: Interval::H1,
        open_time_ns: u64::from(index) * Interval::H1.nanos(),
        open: cents(open),
        high: cents(top + up),
        low: cents(bottom - down.min(bottom - 1)),
        close: cents(close),
        volume: cents(volume),
        quote_volume: Decimal::ZERO,
        trades: 1,
        revision: 0,
        closed: true,
        repaired: false,
    }
}

fn series(length: std::ops::Range<usize>) -> impl Strategy<Value = Vec<Candle>> {
    let price = 100u32..10_000_000;
    let shape = (price.clone(), price, 0u32..100_000, 0u32..100_000);
    proptest::collection::vec((shape, 0u32..1_000_000), length)
        .prop_map(|rows| (0u32..).zip(rows).map(|(index, (shape, volume))| candle(index, shape, volume)).collect())
}

fn closes(candles: &[Candle]) -> Vec<f64> {
    candles.iter().map(|c| c.close.to_f64()).collect()
}

#[allow(clippy::cast_precision_loss)]
fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// The recursive average of a whole history from its first value: `seed`, then `step` for each further one.
fn recursive(values: &[f64], n: usize, weight: f64) -> Option<f64> {
    let seed = mean(values.get(..n)?);
    Some(values[n..].iter().fold(seed, |average, value| weight * value + (1.0 - weight) * average))
}

#[allow(clippy::cast_precision_loss)]
fn ema(values: &[f64], n: usize) -> Option<f64> {
    recursive(values, n, 2.0 / (n as f64 + 1.0))
}

#[allow(clippy::cast_precision_loss)]
fn wilder(values: &[f64], n: usize) -> Option<f64> {
    recursive(values, n, 1.0 / n as f64)
}

/// What the definition says at the last candle of `history`, computed from scratch.
fn naive(spec: &IndicatorSpec, history: &[Candle]) -> Vec<Option<f64>> {
    let values = closes(history);
    let last = |n: usize| values.len().checked_sub(n).map(|start| &values[start..]);
    match *spec {
        IndicatorSpec::Sma { period } => vec![last(period as usize).map(mean)],
        IndicatorSpec::Ema { period } => vec![ema(&values, period as usize)],
        IndicatorSpec::Rsi { period } => {
            let changes: Vec<f64> = values.windows(2).map(|pair| pair[1] - pair[0]).collect();
            let gains: Vec<f64> = changes.iter().map(|c| c.max(0.0)).collect();
            let losses: Vec<f64> = changes.iter().map(|c| (-c).max(0.0)).collect();
            let pair = wilder(&gains, period as usize).zip(wilder(&losses, period as usize));
            vec![pair.map(|(gain, loss)| if gain + loss > 0.0 { 100.0 - 100.0 / (1.0 + gain / loss) } else { 50.0 })]
        }
        IndicatorSpec::Macd { fast, slow, signal } => {
            let line = |end: usize| ema(&values[..end], fast as usize).zip(ema(&values[..end], slow as usize));
            let lines: Vec<f64> = (0..=values.len()).filter_map(line).map(|(fast, slow)| fast - slow).collect();
            let line = line(values.len()).map(|(fast, slow)| fast - slow);
            let signal = ema(&lines, signal as usize);
            vec![line, signal, line.zip(signal).map(|(line, signal)| line - signal)]
        }
        IndicatorSpec::Bollinger { period, multiplier } => match last(period as usize) {
            None => vec![None; 3],
            Some(window) => {
                let middle = mean(window);
                let squares: Vec<f64> = window.iter().map(|x| (x - middle) * (x - middle)).collect();
                let width = multiplier.to_f64() * mean(&squares).sqrt();
                vec![Some(middle), Some(middle + width), Some(middle - width)]
            }
        },
        IndicatorSpec::Vwap => {
            let day = |candle: &Candle| candle.open_time_ns / Interval::D1.nanos();
            let today = history.last().map(day);
            let session: Vec<&Candle> = history.iter().filter(|c| Some(day(c)) == today).collect();
            let turnover: f64 = session
                .iter()
                .map(|c| (c.high.to_f64() + c.low.to_f64() + c.close.to_f64()) / 3.0 * c.volume.to_f64())
                .sum();
            let volume: f64 = session.iter().map(|c| c.volume.to_f64()).sum();
            vec![(volume > 0.0).then(|| turnover / volume)]
        }
        IndicatorSpec::Atr { period } => {
            let ranges: Vec<f64> = history
                .iter()
                .enumerate()
                .map(|(index, c)| {
                    let previous = if index == 0 { c.close.to_f64() } else { history[index - 1].close.to_f64() };
                    let (high, low) = (c.high.to_f64(), c.low.to_f64());
                    (high - low).max((high - previous).abs()).max((low - previous).abs())
                })
                .collect();
            vec![wilder(&ranges, period as usize)]
        }
    }
}

fn spec() -> impl Strategy<Value = IndicatorSpec> {
    (0usize..7, 1u32..12, 1u32..12, 1u32..8).prop_map(|(kind, a, b, c)| {
        let params = match IndicatorKind::ALL[kind] {
            IndicatorKind::Macd => format!("{a},{},{c}", a + b),
            IndicatorKind::Bollinger => format!("{a},{b}.5"),
            IndicatorKind::Vwap => String::new(),
            _ => a.to_string(),
        };
        IndicatorSpec::new(IndicatorKind::ALL[kind], &params).unwrap()
    })
}

fn near(got: Option<f64>, expected: Option<f64>, scale: f64) -> bool {
    match (got, expected) {
        (None, None) => true,
        (Some(got), Some(expected)) => got.is_finite() && (got - expected).abs() <= scale * 1e-9,
        _ => false,
    }
}

proptest! {
    #[test]
    fn each_value_equals_the_naive_definition(spec in spec(), candles in series(1..60)) {
        let scale = candles.iter().map(|c| c.high.to_f64()).fold(100.0, f64::max);
        let mut indicator = spec.build();
        for end in 1..=candles.len() {
            let got = indicator.update(&candles[end - 1]);
            let expected = naive(&spec, &candles[..end]);
            prop_assert_eq!(got.len(), spec.outputs().len());
            for (got, expected) in got.iter().zip(&expected) {
                prop_assert!(near(*got, *expected, scale), "{:?} at {}: {:?} {:?}", spec, end, got, expected);
            }
        }
    }

    #[test]
    fn after_the_warm_up_the_start_of_the_series_does_not_matter(spec in spec(), candles in series(300..400)) {
        let WarmUp::Candles(warm_up) = spec.warm_up() else { return Ok(()) };
        prop_assume!(warm_up < candles.len());
        let scale = candles.iter().map(|c| c.high.to_f64()).fold(100.0, f64::max);
        let run = |candles: &[Candle]| {
            let mut indicator = spec.build();
            candles.iter().map(|candle| indicator.update(candle)).last().unwrap()
        };
        let long = run(&candles);
        let short = run(&candles[candles.len() - 1 - warm_up..]);
        for (long, short) in long.iter().zip(short.iter()) {
            let (long, short) = (long.unwrap(), short.unwrap());
            prop_assert!((long - short).abs() <= scale * 1e-5, "{:?}: {} {}", spec, long, short);
        }
    }
}

#[test]
fn values_come_exactly_when_the_warm_up_rule_says() {
    let candles: Vec<Candle> = (0..60).map(|i| candle(i, (1000, 1000 + i % 7, 3, 3), 5)).collect();
    for (kind, params, first) in [
        ("sma", "20", vec![20]),
        ("ema", "20", vec![20]),
        ("rsi", "14", vec![15]),
        ("macd", "12,26,9", vec![26, 34, 34]),
        ("bollinger", "20,2", vec![20, 20, 20]),
        ("vwap", "", vec![1]),
        ("atr", "14", vec![14]),
    ] {
        let spec = IndicatorSpec::new(kind.parse().unwrap(), params).unwrap();
        let mut indicator = spec.build();
        let rows: Vec<Values> = candles.iter().map(|candle| indicator.update(candle)).collect();
        for (output, first) in first.into_iter().enumerate() {
            let got = rows.iter().position(|row| row[output].is_some()).unwrap() + 1;
            assert_eq!(got, first, "{kind} {}", spec.outputs()[output]);
            assert!(rows[got..].iter().all(|row| row[output].is_some()), "{kind}");
        }
    }
}

#[test]
fn a_simple_average_does_not_depend_on_where_the_series_starts() {
    let candles: Vec<Candle> = (0..500).map(|i| candle(i, (1000, 1000 + i * i % 977, 3, 3), 5)).collect();
    let spec = IndicatorSpec::new(IndicatorKind::Sma, "20").unwrap();
    let run = |from: usize| {
        let mut indicator = spec.build();
        candles[from..].iter().map(|candle| indicator.update(candle)).last().unwrap()[0].unwrap().to_bits()
    };
    assert_eq!(run(0), run(480));
    assert_eq!(run(0), run(333));
}
