//! Feeds that begin in the middle of a day, with the venue's candles of the time before.

use super::*;
use crate::key_state::Seeding;

/// What a candle shows of a content: all but the places and where it came from.
fn shown(content: &Content) -> ([i128; 6], u64) {
    let Content { open, high, low, close, volume, quote_volume, .. } = *content;
    ([open, high, low, close, volume, quote_volume], content.trades)
}

/// The venue's candles of trades.
fn venue_candles(trades: &[Trade], interval: Interval, range_ns: (u64, u64)) -> Vec<Candle> {
    let ticker = Ticker { venue: "SIM".parse().unwrap(), symbol: "BTC/USDT".parse().unwrap() };
    let mut windows: BTreeMap<u64, Vec<Trade>> = BTreeMap::new();
    for trade in trades.iter().filter(|t| range_ns.0 <= t.event_time_ns && t.event_time_ns < range_ns.1) {
        windows.entry(interval.open_time(trade.event_time_ns)).or_default().push(*trade);
    }
    let candle = |(open, trades): (u64, Vec<Trade>)| Candle {
        closed: true,
        ..crate::update::candle(&ticker, interval, open, &brute_force(&trades))
    };
    windows.into_iter().map(candle).collect()
}

proptest! {
    /// A feed that begins in the middle of a day: with the venue's candles of the time before, each window that was
    /// open when it began ends as if every trade had been seen, whenever the candles come and however often.
    #[test]
    fn windows_in_which_a_feed_began_are_whole_with_the_venues_candles(
        offsets_s in proptest::collection::btree_set(0u64..86_400, 2..60),
        began_at in 3_600u64..86_000,
        seeds_after in 0usize..6,
        sizes in proptest::collection::vec((1i64..20, 1i64..1_000), 60),
    ) {
        let day = Interval::D1.open_time(START);
        let trades: Vec<Trade> = offsets_s.iter().zip(&sizes).enumerate().map(|(id, (second, (price, size)))| Trade {
            id: TradeId::Numeric(id as u64),
            event_time_ns: day + second * SECOND,
            receive_time_ns: day + second * SECOND,
            price: i128::from(*price) * 10_i128.pow(18),
            size: i128::from(*size) * 10_i128.pow(15),
            repaired: false,
        }).collect();
        let head = Interval::M1.open_time(day + began_at * SECOND);
        let hour = Interval::H1.open_time(head);
        let mut aggregator = Aggregator::new(Params { keep_ns: [7 * 86_400 * SECOND; LEVELS], ..Params::default() });
        let key = key(&mut aggregator);
        let mut updates = Vec::new();
        let seed = |aggregator: &mut Aggregator, updates: &mut Vec<Update>| {
            [(Interval::M1, (hour, head)), (Interval::H1, (day, hour))].map(|(interval, range)| {
                let candles = venue_candles(&trades, interval, range);
                if range.0 == range.1 { Seeding::Known } else { aggregator.seed(key, interval, range, &candles, updates) }
            })
        };
        let live: Vec<&Trade> = trades.iter().filter(|t| t.event_time_ns >= head).collect();
        for (at, trade) in live.iter().enumerate() {
            if at == seeds_after {
                aggregator.fetched(key, head, live[0].event_time_ns + 1, &mut updates);
                prop_assert!(!seed(&mut aggregator, &mut updates).contains(&Seeding::Refused));
            }
            aggregator.trade(key, trade, &mut updates);
        }
        if live.len() <= seeds_after {
            aggregator.fetched(key, head, live.first().map_or(head, |first| first.event_time_ns) + 1, &mut updates);
            prop_assert!(!seed(&mut aggregator, &mut updates).contains(&Seeding::Refused));
        }
        // Once more, by a second ingestor; and trades of the time before, by somebody who asked for history.
        prop_assert_eq!(seed(&mut aggregator, &mut updates), [Seeding::Known, Seeding::Known]);
        for trade in trades.iter().filter(|t| t.event_time_ns < head) {
            aggregator.trade(key, trade, &mut updates);
        }
        aggregator.heartbeat(key, day + 2 * 86_400 * SECOND, day + 2 * 86_400 * SECOND, &mut updates);
        let mut last: BTreeMap<(Interval, u64), Update> = BTreeMap::new();
        for update in updates.iter().filter(|u| u.closed && u.trust == Trust::Exact) {
            last.insert((update.interval, update.open_time_ns), *update);
        }
        for interval in Interval::ALL.into_iter().skip(2) {
            let open = interval.open_time(head);
            let window: Vec<Trade> =
                trades.iter().filter(|t| interval.open_time(t.event_time_ns) == open).copied().collect();
            if !window.is_empty() {
                let got = last.get(&(interval, open)).map(|update| shown(&update.content));
                prop_assert_eq!(got, Some(shown(&brute_force(&window))), "{}", interval);
                // The ingestor fetches when it has seen a trade.
                let partial = last[&(interval, open)].partial;
                prop_assert!(!partial || seeds_after == 0 || live.is_empty(), "{} is partial", interval);
            }
        }
    }
}

#[test]
fn candles_that_would_count_a_trade_twice_or_leave_a_hole_are_refused() {
    let mut aggregator = Aggregator::new(params());
    let key = key(&mut aggregator);
    let minute = Interval::M1.nanos();
    let head = Interval::M1.open_time(START);
    let trade = Trade {
        id: TradeId::Numeric(1),
        event_time_ns: head + SECOND,
        receive_time_ns: head + SECOND,
        price: 1,
        size: 1,
        repaired: false,
    };
    let mut out = Vec::new();
    aggregator.trade(key, &trade, &mut out);
    let mut seed = |from: u64, to: u64, interval| aggregator.seed(key, interval, (from, to), &[], &mut out);
    assert_eq!(seed(head - minute, head + minute, Interval::M1), Seeding::Refused);
    assert_eq!(seed(head - minute, head, Interval::M1), Seeding::Taken);
    assert_eq!(seed(head - 3 * minute, head - 2 * minute, Interval::M1), Seeding::Refused);
    assert_eq!(seed(head - 2 * minute, head - minute, Interval::M1), Seeding::Taken);
    assert_eq!(seed(head - 2 * minute, head, Interval::M1), Seeding::Known);
    let day = Interval::D1.nanos();
    assert_eq!(seed(Interval::D1.open_time(head) - day, Interval::D1.open_time(head), Interval::D1), Seeding::Refused);
}

#[test]
fn what_a_venue_does_not_count_is_not_made_up() {
    let mut aggregator = Aggregator::new(params());
    let key = key(&mut aggregator);
    let head = Interval::ALL[2].open_time(START) + Interval::M1.nanos();
    let trade = Trade {
        id: TradeId::Numeric(1),
        event_time_ns: head + SECOND,
        receive_time_ns: head + SECOND,
        price: 10_i128.pow(18),
        size: 10_i128.pow(18),
        repaired: false,
    };
    let range = (head - Interval::M1.nanos(), head);
    let earlier = Trade { event_time_ns: range.0, ..trade };
    let mut candle = venue_candles(&[earlier], Interval::M1, range).remove(0);
    (candle.trades, candle.quote_volume) = (0, Decimal::ZERO);
    let mut out = Vec::new();
    aggregator.trade(key, &trade, &mut out);
    assert_eq!(aggregator.seed(key, Interval::M1, range, &[candle], &mut out), Seeding::Taken);
    let restored = restart(&aggregator);
    let open = restored.open_windows(key)[2].unwrap();
    let shown = crate::update::candle(restored.ticker(key), Interval::ALL[2], open.open_time_ns, &open.content);
    assert_eq!((shown.trades, shown.quote_volume), (0, Decimal::ZERO));
    assert_eq!(shown.volume, Decimal::from_int(2));
}
