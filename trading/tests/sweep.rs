//! The fast way of a sweep against the event-driven engine: the same report, in every field, for each combination.

#![allow(clippy::unwrap_used, reason = "a test")]

use proptest::prelude::*;
use proto::Decimal;
use std::num::NonZeroUsize;
use trading::backtest::{
    Backtest, Candle, Change, LimitFill, Report, Series, Shorting, SmaCross, Targets, Terms, sweep_on,
};

const MINUTE_NS: u64 = 60_000_000_000;
/// 2023-11-14T22:14:00Z.
const START_NS: u64 = 1_700_000_040_000_000_000;

fn number(mantissa: i64, digits: u32) -> Decimal {
    Decimal::new(i128::from(mantissa), digits).unwrap()
}

/// A walk in whole prices of `digits` decimals, coarse enough for many ties; every 50th candle has no volume.
fn walk(seed: u64, count: usize, digits: u32, interval_ns: u64) -> Vec<Candle> {
    let mut state = seed;
    let mut random = move |below: i64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        i64::try_from(state >> 33).unwrap() % below
    };
    let mut close = 1000;
    let mut one = |at: usize| {
        let open = close;
        close = (open + random(21) - 10 + (1000 - open) / 64).max(50);
        let (high, low) = (open.max(close) + random(5), open.min(close) - random(5));
        let [open, high, low, close] = [open, high, low, close].map(|price| number(price, digits));
        let volume = if at % 50 == 49 { Decimal::ZERO } else { number(1 + random(100_000), 3) };
        Candle { open_time_ns: START_NS + at as u64 * interval_ns, open, high, low, close, volume }
    };
    (0..count).map(&mut one).collect()
}

fn terms() -> Terms {
    Terms {
        taker_fee: number(1, 4),
        lot_size: number(1, 6),
        slippage: number(1, 5),
        tick_size: number(1, 2),
        shorting: Shorting::Allowed,
        ..Terms::with_cash(number(100_000, 0))
    }
}

fn event_driven(terms: &Terms, interval_ns: u64, candles: &[Candle], mut cross: SmaCross) -> Report {
    let run = Backtest::new(terms.clone()).unwrap();
    run.candles(interval_ns, candles.iter().copied(), &mut cross).unwrap()
}

/// 40 fast by 25 slow periods.
fn grid() -> Vec<(usize, usize)> {
    (2..42).flat_map(|fast| (0..25).map(move |step| (fast, 45 + 5 * step))).collect()
}

#[test]
fn each_of_a_thousand_combinations_has_the_report_of_the_event_driven_engine() {
    let candles = walk(1, 6000, 2, MINUTE_NS);
    let series = Series::new(MINUTE_NS, &candles).unwrap();
    let (exposure, grid) = (number(9, 1), grid());
    assert_eq!(grid.len(), 1000);
    let both = |(fast, slow): &(usize, usize)| {
        let cross = || SmaCross::new(*fast, *slow, exposure, number(-9, 1));
        let expected = event_driven(&terms(), MINUTE_NS, &candles, cross());
        let got = Backtest::new(terms()).unwrap().changes(&series, &cross().changes(&series)).unwrap();
        assert!(got == expected, "{fast} {slow}");
        assert!(got.fills.len() > 40, "{fast} {slow}");
        Ok::<_, String>(Some(got.end_equity.to_f64()))
    };
    let two = sweep_on(NonZeroUsize::new(2).unwrap(), &grid, both).unwrap();
    let one = sweep_on(NonZeroUsize::MIN, &grid[..50], both).unwrap();
    assert_eq!(two[..50], one);
}

/// Long enough for the equity curve to be thinned, which is when many candles are passed at once: new peaks, days, falls.
#[test]
fn long_stretches_have_the_report_of_the_event_driven_engine() {
    for seed in 0..24u64 {
        let candles = walk(seed, 60_000, 2, MINUTE_NS);
        let step = [37, 400, 5000, 59_000][usize::try_from(seed % 4).unwrap()];
        let exposures = [9, -9, 0, 5, 15].map(|tenths| number(tenths, 1));
        let change = |at: usize| Change { at: at * step, exposure: exposures[at % 5] };
        let changes: Vec<Change> = (0..candles.len() / step).map(change).collect();
        let mut targets = vec![None; candles.len()];
        changes.iter().for_each(|change| targets[change.at] = Some(change.exposure));
        let terms = Terms { taker_fee: Decimal::ZERO, slippage: Decimal::ZERO, leverage: number(2, 0), ..terms() };
        let run = || Backtest::new(terms.clone()).unwrap();
        let expected = run().candles(MINUTE_NS, candles.iter().copied(), &mut Targets::new(&targets)).unwrap();
        let got = run().changes(&Series::new(MINUTE_NS, &candles).unwrap(), &changes).unwrap();
        assert!(got == expected, "{seed}: {:?}\n{:?}", got.statistics, expected.statistics);
    }
}

#[test]
fn what_does_not_fit_the_fast_way_has_the_same_report() {
    let candles = walk(2, 3000, 2, MINUTE_NS);
    // Prices with 18 digits, which do not fit: and closes that fit while the product of periods and price does not.
    let fine: Vec<Candle> = candles
        .iter()
        .map(|candle| {
            let close = candle.close.checked_add(Decimal::from_units(1).unwrap()).unwrap();
            Candle { close, high: candle.high.max(close), ..*candle }
        })
        .collect();
    let large: Vec<Candle> = candles
        .iter()
        .map(|candle| {
            let up = |price: Decimal| price.checked_mul(number(1_000_000_000_000, 0)).unwrap();
            let Candle { open_time_ns, open, high, low, close, volume } = *candle;
            Candle { open_time_ns, open: up(open), high: up(high), low: up(low), close: up(close), volume }
        })
        .collect();
    for candles in [&fine, &large] {
        let terms = Terms { cash: number(1, 0).checked_mul(number(10_000_000_000_000_000, 0)).unwrap(), ..terms() };
        let series = Series::new(MINUTE_NS, candles).unwrap();
        let cross = || SmaCross::new(20, 50, number(9, 1), Decimal::ZERO);
        let expected = event_driven(&terms, MINUTE_NS, candles, cross());
        let got = Backtest::new(terms).unwrap().changes(&series, &cross().changes(&series)).unwrap();
        assert!(got == expected && got.fills.len() > 20);
    }
}

#[test]
fn impossible_candles_are_refused_as_by_the_engine() {
    let mut candles = walk(3, 100, 2, MINUTE_NS);
    candles[50].open_time_ns -= 1;
    let error = Series::new(MINUTE_NS, &candles).unwrap_err();
    let mut cross = SmaCross::new(2, 5, Decimal::ONE, Decimal::ZERO);
    let run = Backtest::new(terms()).unwrap().candles(MINUTE_NS, candles.iter().copied(), &mut cross);
    assert_eq!(run, Err(error));
    candles[50].open_time_ns += 1;
    candles[20].low = Decimal::ZERO;
    assert!(Series::new(MINUTE_NS, &candles).is_err());
}

fn any_terms() -> impl Strategy<Value = Terms> {
    let leverage = prop_oneof![Just(1i64), Just(3), Just(20)];
    let latency = prop_oneof![Just(0u64), 1..10 * MINUTE_NS];
    (leverage, latency, 0i64..30, any::<bool>(), 0i64..5, any::<bool>()).prop_map(
        |(leverage, latency_ns, fee, thin, slippage, short)| Terms {
            leverage: number(leverage, 0),
            latency_ns,
            taker_fee: number(fee, 4),
            slippage: number(slippage, 4),
            participation: thin.then(|| number(1, 2)),
            limit_fill: LimitFill::Touch,
            shorting: if short { Shorting::Allowed } else { Shorting::Refused },
            ..terms()
        },
    )
}

proptest! {
    /// Any targets under any terms: late, partly filled, refused, ruined, over days and gaps.
    #[test]
    fn any_changes_have_the_report_of_the_event_driven_engine(
        terms in any_terms(),
        seed in any::<u64>(),
        minutes in prop_oneof![Just(1u64), Just(60), Just(1440), Just(4000)],
        rows in proptest::collection::vec((0usize..40, -30i64..30), 0..60),
        gap in 0u64..5000,
    ) {
        let interval = minutes * MINUTE_NS;
        let mut candles = walk(seed, 1500, 2, interval);
        for candle in &mut candles[700..] {
            candle.open_time_ns += gap * MINUTE_NS;
        }
        let mut targets = vec![None; candles.len()];
        let (mut at, mut last, mut changes) = (0, Decimal::ZERO, Vec::new());
        for (step, tenths) in rows {
            let exposure = number(tenths, 1);
            targets[at] = Some(exposure);
            if exposure != last {
                changes.push(Change { at, exposure });
                last = exposure;
            }
            at += step + 1;
            if at >= candles.len() {
                break;
            }
        }
        let run = || Backtest::new(terms.clone()).unwrap();
        let expected = run().candles(interval, candles.iter().copied(), &mut Targets::new(&targets));
        let series = Series::new(interval, &candles).unwrap();
        let got = run().changes(&series, &changes);
        prop_assert!(got == expected, "{:?}\n{:?}", got.map(|r| r.statistics), expected.map(|r| r.statistics));
    }
}
