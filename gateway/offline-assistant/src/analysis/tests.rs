//! Breakouts and levels by hand, and against a definition that is slower and plainer.

use super::*;
use proptest::prelude::{Strategy, prop_assert, prop_assert_eq, proptest};

fn candle(at: usize, high: i64, low: i64, close: i64) -> Candle {
    let [high, low, close] = [high, low, close].map(Decimal::from_int);
    let open_time_ns = u64::try_from(at).unwrap() * 3_600_000_000_000;
    Candle { open_time_ns, open: close, high, low, close, volume: Decimal::ONE }
}

fn closes(closes: &[i64]) -> Vec<Candle> {
    closes.iter().enumerate().map(|(at, close)| candle(at, close + 1, close - 1, *close)).collect()
}

#[test]
fn a_close_beyond_the_candles_before_is_a_breakout_and_its_continuation_is_none() {
    let candles = closes(&[10, 11, 10, 11, 14, 16, 15, 12, 8, 7, 20]);
    let found = breakouts(&candles, 3, 10);
    let shown: Vec<(Direction, String, String)> =
        found.iter().map(|it| (it.direction, it.close.0.to_string(), it.level.0.to_string())).collect();
    let row = |direction, close: &str, level: &str| (direction, close.to_owned(), level.to_owned());
    assert_eq!(
        shown,
        [row(Direction::Up, "14", "12"), row(Direction::Down, "12", "13"), row(Direction::Up, "20", "13"),]
    );
    assert_eq!(found[0].time.to_string(), "1970-01-01T04:00:00Z");
    assert_eq!(breakouts(&candles, 3, 1), found[2..]);
}

#[test]
fn touching_the_level_is_no_breakout() {
    let candles = vec![candle(0, 10, 8, 9), candle(1, 10, 8, 9), candle(2, 10, 8, 10), candle(3, 11, 8, 10)];
    assert!(breakouts(&candles, 2, 5).is_empty());
    assert!(breakouts(&candles[..1], 2, 5).is_empty() && breakouts(&[], 0, 5).is_empty());
}

#[test]
fn prices_that_turned_twice_are_a_level_and_its_kind_is_seen_from_the_last_close() {
    // Highs of 20 and 21, lows of 10, each three candles apart from the next turn; one lone high of 40 in between.
    let wave = [15, 13, 12, 11, 13, 15, 17, 19, 17, 15, 13, 11, 13, 15, 17, 20, 17, 15, 14, 14];
    let candles = closes(&wave);
    let found = levels(&candles, 10);
    let shown: Vec<(String, LevelKind, usize)> =
        found.iter().map(|it| (it.price.0.to_string(), it.kind, it.touches)).collect();
    assert_eq!(shown, [("20".to_owned(), LevelKind::Resistance, 2), ("10".to_owned(), LevelKind::Support, 2)]);
    assert_eq!(found[1].last_touch.to_string(), "1970-01-01T11:00:00Z");
    assert_eq!(levels(&candles, 1).len(), 1);
    assert!(levels(&[], 5).is_empty() && levels(&candles[..5], 5).is_empty());
}

#[test]
fn a_plateau_is_touched_once() {
    let flat = closes(&[10, 10, 10, 10, 12, 12, 12, 12, 10, 10, 10, 10]);
    let places: Vec<usize> = pivots(&flat).into_iter().map(|(_, at)| at).collect();
    assert_eq!(places, [4, 8], "the first candle of the top, and of the bottom behind it");
}

#[test]
fn rows_are_written_as_the_tools_tell_them() {
    let found = breakouts(&closes(&[1, 1, 5]), 2, 1);
    let text = serde_json::to_string(&found).unwrap();
    assert_eq!(text, r#"[{"time":"1970-01-01T02:00:00Z","direction":"up","close":"5","level":"2"}]"#);
    assert_eq!(serde_json::from_str::<Vec<Breakout>>(&text).unwrap(), found);
}

fn market() -> impl Strategy<Value = Vec<Candle>> {
    proptest::collection::vec((1_i64..60, 0_i64..6, 0_i64..6), 0..90).prop_map(|rows| {
        rows.iter()
            .enumerate()
            .map(|(at, (close, up, down))| candle(at, close + up, (close - down).max(0), *close))
            .collect()
    })
}

proptest! {
    #[test]
    fn breakouts_equal_their_definition(candles in market(), lookback in 0_usize..20, count in 0_usize..10) {
        let lookback_used = lookback.max(2);
        let way = |at: usize| {
            if at < lookback_used { return None; }
            let window = &candles[at - lookback_used..at];
            if window.iter().all(|it| candles[at].close > it.high) { return Some(Direction::Up); }
            window.iter().all(|it| candles[at].close < it.low).then_some(Direction::Down)
        };
        let all: Vec<(u64, Direction)> = (0..candles.len())
            .filter_map(|at| way(at).filter(|now| at == 0 || way(at - 1) != Some(*now)).map(|way| (candles[at].open_time_ns, way)))
            .collect();
        let newest = &all[all.len().saturating_sub(count)..];
        let found: Vec<(u64, Direction)> =
            breakouts(&candles, lookback, count).iter().map(|it| (u64::try_from(it.time.as_nanosecond()).unwrap(), it.direction)).collect();
        prop_assert_eq!(found, newest);
    }

    #[test]
    fn later_candles_change_no_earlier_breakout(candles in market(), cut in 0_usize..90) {
        let cut = cut.min(candles.len());
        let early = breakouts(&candles[..cut], 5, usize::MAX);
        prop_assert_eq!(&breakouts(&candles, 5, usize::MAX)[..early.len()], &early[..]);
    }

    #[test]
    fn levels_are_traded_prices_with_touches_in_order(candles in market(), count in 0_usize..8) {
        let found = levels(&candles, count);
        prop_assert!(found.len() <= count);
        prop_assert!(found.windows(2).all(|pair| pair[0].price.0 > pair[1].price.0));
        for level in &found {
            prop_assert!(level.touches >= TOUCHES_MIN);
            prop_assert!(candles.iter().any(|it| it.high == level.price.0 || it.low == level.price.0));
            let above = candles.last().is_some_and(|last| level.price.0 > last.close);
            prop_assert_eq!(above, level.kind == LevelKind::Resistance);
        }
    }
}
