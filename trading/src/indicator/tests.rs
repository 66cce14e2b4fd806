//! Every indicator against a naive O(n·k) implementation written from the definition, and the promises of the crate.

use super::naive::naive;
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

/// Any indicator with short periods.
fn spec() -> impl Strategy<Value = IndicatorSpec> {
    (0..IndicatorKind::ALL.len(), 1u32..12, 1u32..12, 1u32..8, 1u32..4).prop_map(|(kind, a, b, c, d)| {
        let kind = IndicatorKind::ALL[kind];
        let params = match kind {
            IndicatorKind::Macd => format!("{a},{},{c}", a + b),
            IndicatorKind::Bollinger => format!("{a},{b}.5"),
            IndicatorKind::Keltner => format!("{a},{b},{c}.5"),
            IndicatorKind::Psar => format!("0.0{c},0.{d}"),
            IndicatorKind::Stochastic => format!("{a},{c},{d}"),
            IndicatorKind::StochRsi => format!("{a},{b},{c},{d}"),
            IndicatorKind::LinearSlope => (a + 1).to_string(),
            _ if kind.usual_params().is_empty() => String::new(),
            _ => a.to_string(),
        };
        IndicatorSpec::new(kind, &params).unwrap()
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
    fn after_the_warm_up_the_start_of_the_series_does_not_matter(spec in spec(), candles in series(500..620)) {
        let WarmUp::Candles(warm_up) = spec.warm_up() else { return Ok(()) };
        // The level of these is arbitrary by definition.
        prop_assume!(!matches!(spec.kind(), IndicatorKind::Obv | IndicatorKind::AccumulationDistribution));
        // The place in a tiny range of an RSI magnifies what is left of its start.
        prop_assume!(spec.kind() != IndicatorKind::StochRsi);
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
    let rows: [(&str, &str, &[usize]); 29] = [
        ("sma", "20", &[20]),
        ("ema", "20", &[20]),
        ("wma", "20", &[20]),
        ("dema", "10", &[19]),
        ("tema", "10", &[28]),
        ("hma", "20", &[23]),
        ("kama", "10", &[11]),
        ("vwap", "", &[1]),
        ("psar", "", &[2]),
        ("bollinger", "20,2", &[20, 20, 20]),
        ("keltner", "20,10,2", &[20, 20, 20]),
        ("donchian", "20", &[20, 20, 20]),
        ("rsi", "14", &[15]),
        ("macd", "12,26,9", &[26, 34, 34]),
        ("stochastic", "14,3,3", &[16, 18]),
        ("stoch_rsi", "14,14,3,3", &[30, 32]),
        ("williams_r", "14", &[14]),
        ("cci", "20", &[20]),
        ("momentum", "10", &[11]),
        ("roc", "10", &[11]),
        ("adx", "14", &[28, 15, 15]),
        ("aroon", "25", &[26, 26, 26]),
        ("atr", "14", &[14]),
        ("stddev", "20", &[20]),
        ("linreg_slope", "14", &[14]),
        ("obv", "", &[1]),
        ("ad", "", &[1]),
        ("cmf", "20", &[20]),
        ("mfi", "14", &[15]),
    ];
    assert_eq!(rows.map(|row| row.0).join(", "), IndicatorKind::names());
    for (kind, params, first) in rows {
        let spec = IndicatorSpec::new(kind.parse().unwrap(), params).unwrap();
        let mut indicator = spec.build();
        let values: Vec<Values> = candles.iter().map(|candle| indicator.update(candle)).collect();
        for (output, first) in first.iter().copied().enumerate() {
            let got = values.iter().position(|row| row[output].is_some()).unwrap() + 1;
            assert_eq!(got, first, "{kind} {}", spec.outputs()[output]);
            assert!(values[got..].iter().all(|row| row[output].is_some()), "{kind}");
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

#[test]
fn parabolic_stops_that_began_apart_meet_within_the_warm_up() {
    let mut state = 1u32;
    let mut random = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 16) % 100
    };
    let mut close = 100_000;
    let mut one = |index: u32| {
        let open = close;
        close = open + random() - 50;
        candle(index, (open, close, random(), random()), 5)
    };
    let candles: Vec<Candle> = (0..20_000).map(&mut one).collect();
    let spec = IndicatorSpec::new(IndicatorKind::Psar, "").unwrap();
    let WarmUp::Candles(warm_up) = spec.warm_up() else { panic!("of candles") };
    let mut long = spec.build();
    for (at, candle) in candles.iter().enumerate() {
        let value = long.update(candle);
        if at >= warm_up && at % 97 == 0 {
            let mut short = spec.build();
            let last = candles[at - warm_up..=at].iter().map(|candle| short.update(candle)).last().unwrap();
            assert!((last[0].unwrap() - value[0].unwrap()).abs() < 1e-9, "at {at}");
        }
    }
}

#[test]
fn a_market_that_stands_still_and_the_largest_prices_give_finite_values() {
    let flat = (0..200).map(|index| candle(index, (1000, 1000, 0, 0), 0)).collect::<Vec<_>>();
    let most = Decimal::from_int(i64::MAX);
    let huge = |index: u32| {
        let price = if index.is_multiple_of(3) { most } else { Decimal::from_units(1).unwrap() };
        Candle {
            high: most,
            low: Decimal::from_units(1).unwrap(),
            close: price,
            volume: most,
            ..candle(index, (1, 1, 0, 0), 0)
        }
    };
    let huge = (0..200).map(huge).collect::<Vec<_>>();
    for kind in IndicatorKind::ALL {
        let spec = IndicatorSpec::new(*kind, "").unwrap();
        for candles in [&flat, &huge] {
            let mut indicator = spec.build();
            for candle in candles {
                let values = indicator.update(candle);
                assert!(values.iter().flatten().all(|value| value.is_finite()), "{kind:?} {values:?}");
            }
        }
    }
}
