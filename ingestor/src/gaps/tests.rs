//! Missing ids are found, handed out once, and closed by whatever brings them.

use super::*;
use proptest::prelude::*;
use std::collections::BTreeSet;

const MS: u64 = 1_000_000;

fn limits() -> GapLimits {
    GapLimits {
        holes: 64,
        hole_trades: 10_000,
        grace: Duration::from_millis(250),
        attempts: 3,
        retry: Duration::from_millis(100),
    }
}

fn btc() -> Symbol {
    "BTC/USDT".parse().unwrap()
}

fn tracker_after(ids: &[u64]) -> GapTracker {
    let mut tracker = GapTracker::new(limits());
    for id in ids {
        tracker.observe(&btc(), *id, *id * MS, 0);
    }
    tracker
}

fn ranges(tracker: &mut GapTracker, now_ns: u64) -> Vec<(u64, u64)> {
    let mut due: Vec<_> = tracker.due(now_ns).into_iter().map(|(_, h)| (h.first, h.last)).collect();
    due.sort_unstable();
    due
}

#[test]
fn a_jump_is_a_hole_that_is_due_after_the_grace_time_and_handed_out_once() {
    let mut tracker = tracker_after(&[10]);
    assert_eq!(tracker.observe(&btc(), 14, 14 * MS, 1_000 * MS), Observed::Gap { missing: 3 });
    assert_eq!(tracker.next_due_ns(), Some(1_250 * MS));
    assert!(tracker.due(1_249 * MS).is_empty());
    let due = tracker.due(1_250 * MS);
    assert_eq!(due.len(), 1);
    assert_eq!((due[0].1.first, due[0].1.last, due[0].1.from_ns, due[0].1.to_ns), (11, 13, 10 * MS, 14 * MS));
    assert!(tracker.due(9_000 * MS).is_empty());
    assert!(tracker.is_incomplete(&btc()));
}

#[test]
fn late_trades_close_the_hole_without_a_repair() {
    let mut tracker = tracker_after(&[1, 4]);
    assert_eq!(tracker.observe(&btc(), 3, 3 * MS, 0), Observed::Filled);
    assert_eq!(tracker.observe(&btc(), 2, 2 * MS, 0), Observed::Filled);
    assert_eq!(tracker.observe(&btc(), 2, 2 * MS, 0), Observed::Known);
    assert!(!tracker.is_incomplete(&btc()));
    assert!(tracker.due(u64::MAX).is_empty());
}

#[test]
fn a_trade_in_the_middle_splits_a_hole_and_narrows_the_search() {
    let mut tracker = tracker_after(&[1, 10]);
    tracker.observe(&btc(), 5, 5 * MS, 0);
    let mut due = tracker.due(u64::MAX);
    due.sort_by_key(|(_, h)| h.first);
    let got: Vec<_> = due.iter().map(|(_, h)| (h.first, h.last, h.from_ns, h.to_ns)).collect();
    assert_eq!(got, [(2, 4, MS, 5 * MS), (6, 9, 5 * MS, 10 * MS)]);
}

#[test]
fn what_a_repair_did_not_bring_is_tried_again_with_growing_waits_and_then_given_up() {
    let mut tracker = tracker_after(&[1, 5]);
    let mut now = 250 * MS;
    for wait in [200, 400] {
        let due = tracker.due(now);
        assert_eq!(due.len(), 1, "{now}");
        assert_eq!(tracker.finished(&btc(), &due[0].1, RepairOutcome::Answered, now), 0);
        assert!(tracker.due(now + (wait - 1) * MS).is_empty());
        now += wait * MS;
    }
    let due = tracker.due(now);
    assert_eq!(tracker.finished(&btc(), &due[0].1, RepairOutcome::Answered, now), 3);
    assert_eq!((tracker.abandoned(), tracker.missing()), (3, 0));
    assert!(!tracker.is_incomplete(&btc()));
}

#[test]
fn a_venue_that_could_not_be_asked_costs_no_attempt() {
    let mut tracker = tracker_after(&[1, 5]);
    for round in 1..20u64 {
        let now = round * 10_000 * MS;
        let due = tracker.due(now);
        assert_eq!(due.len(), 1);
        assert_eq!(tracker.finished(&btc(), &due[0].1, RepairOutcome::NotAsked, now), 0);
    }
}

#[test]
fn trades_that_the_venue_no_longer_has_are_given_up_at_once() {
    let mut tracker = tracker_after(&[1, 5]);
    let due = tracker.due(u64::MAX);
    tracker.observe(&btc(), 4, 4 * MS, 0);
    assert_eq!(tracker.finished(&btc(), &due[0].1, RepairOutcome::Gone, 0), 2);
    assert!(!tracker.is_incomplete(&btc()));
}

#[test]
fn of_a_hole_over_the_limit_the_newest_part_is_fetched_and_the_rest_counted() {
    let mut tracker = tracker_after(&[1, 20_002]);
    assert_eq!(ranges(&mut tracker, u64::MAX), [(10_002, 20_001)]);
    assert_eq!(tracker.abandoned(), 10_000);
}

#[test]
fn too_many_holes_are_joined_and_no_missing_id_is_forgotten() {
    let ids: Vec<u64> = (0..500).map(|i| i * 2).collect();
    let mut tracker = tracker_after(&ids);
    let covered: BTreeSet<u64> = ranges(&mut tracker, u64::MAX).into_iter().flat_map(|(a, b)| a..=b).collect();
    assert!((1..998).step_by(2).all(|odd| covered.contains(&odd)));
    assert_eq!(tracker.symbols[&btc()].holes.len(), 64);
}

#[test]
fn symbols_do_not_mix() {
    let mut tracker = tracker_after(&[1, 2]);
    let eth: Symbol = "ETH/USDT".parse().unwrap();
    assert_eq!(tracker.observe(&eth, 900, MS, 0), Observed::First);
    assert_eq!(tracker.observe(&btc(), 3, MS, 0), Observed::Next);
    assert!(!tracker.is_incomplete(&eth));
}

proptest! {
    #[test]
    fn holes_are_exactly_the_ids_that_were_not_seen(
        lost in proptest::collection::btree_set(1u64..200, 0..60), swaps in proptest::collection::vec(0usize..199, 0..60),
        doubled in proptest::collection::vec(0usize..199, 0..20),
    ) {
        // Ids 0..=200 without the lost ones, some twice, some out of order; 0 first and 200 last frame them.
        let mut ids: Vec<u64> = (1..200).filter(|id| !lost.contains(id)).collect();
        for at in swaps {
            if at + 1 < ids.len() {
                ids.swap(at, at + 1);
            }
        }
        for at in doubled {
            if at < ids.len() {
                ids.insert(at, ids[at]);
            }
        }
        let mut tracker = GapTracker::new(GapLimits { holes: 1_000, ..limits() });
        for id in std::iter::once(0).chain(ids).chain(std::iter::once(200)) {
            tracker.observe(&btc(), id, id * MS, 0);
        }
        let missing: BTreeSet<u64> = ranges(&mut tracker, u64::MAX).into_iter().flat_map(|(a, b)| a..=b).collect();
        prop_assert_eq!(&missing, &lost);
        prop_assert_eq!(tracker.missing(), lost.len() as u64);
        for id in lost {
            prop_assert_eq!(tracker.observe(&btc(), id, id * MS, 0), Observed::Filled);
        }
        prop_assert!(!tracker.is_incomplete(&btc()));
    }

    #[test]
    fn with_few_holes_allowed_nothing_missing_is_ever_forgotten(
        lost in proptest::collection::btree_set(1u64..400, 0..200),
    ) {
        let mut tracker = GapTracker::new(GapLimits { holes: 4, ..limits() });
        for id in (0..=400).filter(|id| !lost.contains(id)) {
            tracker.observe(&btc(), id, id * MS, 0);
        }
        let covered: BTreeSet<u64> = ranges(&mut tracker, u64::MAX).into_iter().flat_map(|(a, b)| a..=b).collect();
        prop_assert!(lost.is_subset(&covered));
        prop_assert!(tracker.symbols.values().all(|ids| ids.holes.len() <= 4));
    }
}
