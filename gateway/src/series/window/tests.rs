//! Merging, completeness and bounds of a series in memory.

use super::*;
use crate::series::page::testing::candle;
use proptest::prelude::*;

fn times(rows: &[Candle]) -> Vec<u64> {
    rows.iter().map(|row| row.open_time_ns / 60_000_000_000).collect()
}

fn minute(n: u64) -> u64 {
    n * 60_000_000_000
}

#[test]
fn a_higher_revision_wins_and_a_closed_candle_is_never_replaced_by_an_open_one() {
    let base = candle(1, 100);
    let row = |revision, closed| Candle { revision, closed, ..base.clone() };
    for (new, old, expected) in [
        (row(1, true), row(0, true), true),
        (row(0, true), row(1, true), false),
        (row(0, true), row(0, false), true),
        (row(0, false), row(0, true), false),
        (row(0, false), row(0, false), true),
        (row(0, true), row(0, true), true),
        (row(1, false), row(0, true), true),
    ] {
        assert_eq!(supersedes(&new, &old), expected, "{new:?} {old:?}");
    }
}

#[test]
fn nothing_is_answered_before_the_lake_was_read_and_the_tail_waits_for_it() {
    let mut window = Window::default();
    assert!(window.apply(&candle(9, 100), 100));
    assert_eq!(window.newest(u64::MAX, 1), None);
    assert_eq!(window.oldest(minute(9), u64::MAX, 1), None);
    window.load(vec![candle(7, 1), candle(8, 1)], 2, 100, Instant::now());
    assert_eq!(times(&window.newest(u64::MAX, 3).unwrap()), [7, 8, 9]);
}

#[test]
fn memory_answers_exactly_what_it_holds_completely() {
    let mut window = Window::default();
    window.load((5..10).map(|n| candle(n, 1)).collect(), 5, 100, Instant::now());
    assert_eq!(times(&window.newest(u64::MAX, 5).unwrap()), [5, 6, 7, 8, 9]);
    assert_eq!(window.newest(u64::MAX, 6), None, "there may be older ones in the lake");
    assert_eq!(window.newest(minute(9), 5), None);
    assert_eq!(times(&window.newest(minute(9), 4).unwrap()), [5, 6, 7, 8]);
    assert_eq!(times(&window.oldest(minute(5), minute(8), 9).unwrap()), [5, 6, 7]);
    assert_eq!(window.oldest(minute(4), minute(8), 9), None);
    window.load((5..10).map(|n| candle(n, 1)).collect(), 6, 100, Instant::now());
    assert_eq!(window.newest(u64::MAX, 99).unwrap().len(), 5, "the lake has no more");
    assert_eq!(window.oldest(0, u64::MAX, 99).unwrap().len(), 5);
}

#[test]
fn rows_beyond_the_bound_go_and_take_completeness_with_them() {
    let mut window = Window::default();
    window.load((1..4).map(|n| candle(n, 1)).collect(), 10, 3, Instant::now());
    assert_eq!(window.newest(u64::MAX, 9).unwrap().len(), 3);
    assert!(window.apply(&candle(4, 1), 3));
    assert_eq!(window.len(), 3);
    assert_eq!(window.newest(u64::MAX, 4), None);
    assert_eq!(window.oldest(minute(1), u64::MAX, 4), None);
    assert_eq!(times(&window.newest(u64::MAX, 3).unwrap()), [2, 3, 4]);
    assert!(!window.apply(&candle(1, 1), 3), "older than what is kept");
}

#[test]
fn after_a_loss_the_lake_is_read_again_and_the_tail_is_kept() {
    let mut window = Window::default();
    window.load(vec![candle(1, 1)], 10, 100, Instant::now());
    window.apply(&candle(3, 1), 100);
    window.suspect();
    assert_eq!(window.newest(u64::MAX, 1), None);
    window.load(vec![candle(1, 1), candle(2, 1)], 10, 100, Instant::now());
    assert_eq!(times(&window.newest(u64::MAX, 9).unwrap()), [1, 2, 3]);
}

#[tokio::test(start_paused = true)]
async fn a_refresh_is_due_once_per_age_and_again_after_a_failure() {
    let age = std::time::Duration::from_secs(30);
    let mut window = Window::default();
    assert!(!window.begin_refresh(Instant::now(), age), "never read: the next answer reads it");
    window.load(Vec::new(), 10, 100, Instant::now());
    assert!(!window.begin_refresh(Instant::now(), age));
    tokio::time::advance(age).await;
    assert!(window.begin_refresh(Instant::now(), age));
    assert!(!window.begin_refresh(Instant::now(), age));
    window.refresh_failed();
    assert!(window.begin_refresh(Instant::now(), age));
}

#[test]
fn equal_news_change_nothing() {
    let mut window = Window::default();
    assert!(window.apply(&candle(1, 5), 9));
    assert!(!window.apply(&candle(1, 5), 9));
    assert!(window.apply(&candle(1, 6), 9));
}

proptest! {
    #[test]
    fn merging_equals_a_brute_force_choice(
        older in proptest::collection::btree_map(0u64..20, (0u32..3, any::<bool>()), 0..20),
        newer in proptest::collection::btree_map(0u64..20, (0u32..3, any::<bool>()), 0..20),
    ) {
        let list = |rows: &std::collections::BTreeMap<u64, (u32, bool)>, price| -> Vec<Candle> {
            rows.iter().map(|(n, (revision, closed))| Candle { revision: *revision, closed: *closed, ..candle(*n, price) }).collect()
        };
        let (a, b) = (list(&older, 1), list(&newer, 2));
        let mut expected = std::collections::BTreeMap::new();
        for row in a.iter().chain(&b) {
            let place = expected.entry(row.open_time_ns).or_insert_with(|| row.clone());
            if supersedes(row, place) {
                *place = row.clone();
            }
        }
        let merged = merge(a, b);
        prop_assert_eq!(merged, expected.into_values().collect::<Vec<_>>());
    }

    #[test]
    fn rows_stay_ascending_and_bounded(opens in proptest::collection::vec(0u64..50, 0..200)) {
        let mut window = Window::default();
        for (price, open) in (1i64..).zip(opens) {
            window.apply(&candle(open, price), 10);
            prop_assert!(window.len() <= 10);
            prop_assert!(window.rows.iter().zip(window.rows.iter().skip(1)).all(|(a, b)| a.open_time_ns < b.open_time_ns));
        }
    }
}
