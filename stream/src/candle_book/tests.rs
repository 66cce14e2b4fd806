//! Each way a window can get a row, and each reason why it gets none.

use super::*;
use crate::content::{Content, Print};
use crate::trade::{Trade, TradeId};
use crate::update::KeyId;
use proto::{Decimal, Interval};

const MINUTE: u64 = 60_000_000_000;

fn ticker() -> Ticker {
    Ticker { venue: "SIM".parse().unwrap(), symbol: "BTC/USDT".parse().unwrap() }
}

fn content(trades: u64) -> Content {
    let mut content = Content::default();
    for n in 0..trades {
        let trade = Trade {
            id: TradeId::Numeric(n),
            event_time_ns: n,
            receive_time_ns: 0,
            price: Decimal::from_int(10).units(),
            size: Decimal::ONE.units(),
            repaired: false,
        };
        content.add(&Print::of(&trade).unwrap());
    }
    content
}

fn update(trust: Trust, revision: u32, trades: u64) -> BookEvent {
    let content = content(trades);
    let update = Update {
        key: KeyId(0),
        interval: Interval::M1,
        open_time_ns: MINUTE,
        closed: true,
        partial: false,
        revision,
        trust,
        content,
    };
    BookEvent::Window(ticker(), update)
}

fn row(revision: u32, trades: u64) -> Candle {
    let mut row = crate::update::candle(&ticker(), Interval::M1, MINUTE, &content(trades));
    row.closed = true;
    row.revision = revision;
    row
}

fn rows(known: &[Candle], events: &[BookEvent]) -> Vec<(u32, u64, bool)> {
    let mut book = CandleBook::default();
    book.learn(known.to_vec());
    book.apply(events);
    book.finish().rows.iter().map(|row| (row.revision, row.trades, row.repaired)).collect()
}

#[test]
fn an_exact_window_keeps_the_revision_of_the_aggregator() {
    let events = [update(Trust::Exact, 0, 2), update(Trust::Exact, 1, 3)];
    assert_eq!(rows(&[], &events), [(0, 2, false), (1, 3, false)]);
    assert_eq!(lookups(&events, [].iter()), []);
}

#[test]
fn a_window_to_verify_goes_on_after_the_row_of_the_lake() {
    let events = [update(Trust::Verify, 0, 3), update(Trust::Verify, 1, 4)];
    assert_eq!(rows(&[row(4, 2)], &events), [(5, 3, false), (6, 4, false)]);
    assert_eq!(rows(&[], &events), [(0, 3, false), (1, 4, false)]);
}

#[test]
fn equal_content_makes_no_row() {
    assert_eq!(rows(&[row(4, 3)], &[update(Trust::Verify, 0, 3)]), []);
    assert_eq!(rows(&[row(4, 3)], &[BookEvent::Venue(row(0, 3))]), []);
}

#[test]
fn a_venue_candle_fills_an_absent_window_with_revision_0() {
    assert_eq!(rows(&[], &[BookEvent::Venue(row(7, 3))]), [(0, 3, false)]);
}

#[test]
fn a_venue_candle_that_differs_is_a_repaired_revision_and_seals_the_window() {
    let events = [update(Trust::Exact, 0, 2), BookEvent::Venue(row(0, 3)), update(Trust::Verify, 1, 9)];
    assert_eq!(rows(&[], &events), [(0, 2, false), (1, 3, true)]);
}

#[test]
fn what_a_venue_leaves_out_or_rounds_does_not_differ() {
    let venue = Candle { trades: 0, quote_volume: "29.99".parse().unwrap(), ..row(0, 3) };
    assert_eq!(rows(&[row(0, 3)], &[BookEvent::Venue(venue)]), []);
}

/// What venues without a count of trades and without quote volume send.
fn bare(trades: u64) -> Candle {
    Candle { trades: 0, quote_volume: Decimal::ZERO, ..row(0, trades) }
}

#[test]
fn a_correction_keeps_what_the_venue_does_not_say_if_ours_was_complete() {
    // Only the close differs: all trades were there.
    let venue = Candle { close: "9.5".parse().unwrap(), low: "9.5".parse().unwrap(), ..bare(3) };
    let mut book = CandleBook::default();
    book.learn([row(1, 3)]);
    book.apply(&[BookEvent::Venue(venue.clone())]);
    let expected = Candle { trades: 3, quote_volume: "30".parse().unwrap(), revision: 2, repaired: true, ..venue };
    assert_eq!(book.finish().rows, [expected]);
}

#[test]
fn a_correction_leaves_out_what_nobody_knows() {
    let mut book = CandleBook::default();
    book.learn([row(0, 2)]);
    book.apply(&[BookEvent::Venue(bare(3)), BookEvent::Venue(bare(3))]);
    assert_eq!(book.finish().rows, [Candle { revision: 1, repaired: true, ..bare(3) }], "once");
}

#[test]
fn our_window_adds_what_the_venue_candle_that_came_before_it_does_not_say() {
    let fill = |trades| match update(Trust::Exact, 0, trades) {
        BookEvent::Window(ticker, update) => BookEvent::Fill(ticker, update),
        other => other,
    };
    let mut book = CandleBook::default();
    book.apply(&[BookEvent::Venue(bare(3)), fill(2), fill(3), fill(3)]);
    assert_eq!(book.finish().rows, [bare(3), Candle { revision: 1, ..row(0, 3) }], "with the same volume, once");
    assert_eq!(lookups(&[fill(3)], [].iter()).len(), 1, "the row may be of an earlier flush");
}

#[test]
fn a_recomputation_never_replaces_a_candle_that_counts_more() {
    let mut book = CandleBook::default();
    book.learn([row(2, 9)]);
    book.recomputed(row(0, 4));
    assert_eq!(book.finish(), BookRows::default());
    let mut book = CandleBook::default();
    book.learn([row(2, 3)]);
    book.recomputed(row(0, 4));
    let rows = book.finish();
    assert_eq!(rows.rows, [row(3, 4)]);
    assert_eq!(rows.corrections, rows.rows, "the live feed has not shown it");
}

#[test]
fn an_open_venue_candle_never_replaces_a_closed_row_and_never_shrinks() {
    let open = |trades| BookEvent::Venue(Candle { closed: false, ..row(0, trades) });
    assert_eq!(rows(&[row(1, 3)], &[open(9)]), []);
    assert_eq!(rows(&[], &[open(2), open(2), open(1), open(4)]), [(0, 2, false), (1, 4, false)]);
    let closed = BookEvent::Venue(row(0, 4));
    assert_eq!(rows(&[], &[open(4), closed]), [(0, 4, false), (1, 4, false)]);
}

#[test]
fn near_windows_share_a_lookup_and_far_ones_do_not() {
    let venue = |minute: u64| BookEvent::Venue(Candle { open_time_ns: minute * MINUTE, ..row(0, 1) });
    let events: Vec<_> = [1, 2, 500, 5_000].into_iter().map(venue).collect();
    let ranges: Vec<_> = lookups(&events, [].iter()).iter().map(|l| (l.from_ns / MINUTE, l.to_ns / MINUTE)).collect();
    assert_eq!(ranges, [(1, 501), (5_000, 5_001)]);
    let long: Vec<_> = (0..25_000).map(venue).collect();
    let ranges = lookups(&long, [].iter());
    assert_eq!(ranges.len(), 3);
    assert!(ranges.iter().all(|l| l.to_ns - l.from_ns <= LOOKUP_WINDOWS * MINUTE));
}
