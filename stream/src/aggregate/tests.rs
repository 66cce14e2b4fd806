//! The aggregator beside a straightforward model that keeps every trade and sorts and sums it anew each time.

use super::*;
use crate::content::{Content, Place};
use crate::trade::TradeId;
use crate::update::Trust;
use proptest::prelude::*;
use proto::{Decimal, Interval};
use std::collections::{BTreeMap, BTreeSet, HashSet};

mod seeds;

const SECOND: u64 = 1_000_000_000;
/// 2024-08-08 23:54:00: the last minute of five, and close to the end of a day.
const START: u64 = 1_723_161_240 * SECOND;

fn params() -> Params {
    Params { keep_ns: [60, 600, 3600, 3600, 7200, 14_400, 86_400].map(|s| s * SECOND), ..Params::default() }
}

fn key(aggregator: &mut Aggregator) -> KeyId {
    aggregator.key(&"SIM".parse().unwrap(), &"BTC/USDT".parse().unwrap()).unwrap()
}

#[derive(Debug, Clone)]
enum Step {
    Trade {
        ahead_ms: u64,
        back_ms: u64,
        repeat: Option<usize>,
        price: i64,
        size: i64,
        repaired: bool,
    },
    Heartbeat {
        ahead_ms: u64,
    },
    /// All trades between these are there; counted back from now.
    Fetched {
        from_ms: u64,
        to_ms: u64,
    },
    Settle,
    EndOfStream,
    Restart,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let back = prop_oneof![6 => Just(0u64), 3 => 0u64..4_000, 2 => 0u64..120_000, 1 => 0u64..8_000_000];
    let ahead = prop_oneof![8 => 0u64..1_500, 1 => 0u64..70_000, 1 => 0u64..4_000_000];
    let repeat = prop_oneof![5 => Just(None), 1 => (0usize..200).prop_map(Some)];
    let trade = (ahead, back, repeat, 1i64..20, 1i64..1000, prop::bool::weighted(0.1)).prop_map(
        |(ahead_ms, back_ms, repeat, price, size, repaired)| Step::Trade {
            ahead_ms,
            back_ms,
            repeat,
            price,
            size,
            repaired,
        },
    );
    let step = prop_oneof![
        30 => trade,
        4 => (0u64..5_000).prop_map(|ahead_ms| Step::Heartbeat { ahead_ms }),
        2 => (0u64..100_000_000, 0u64..20_000).prop_map(|(from_ms, to_ms)| Step::Fetched { from_ms, to_ms }),
        1 => Just(Step::Settle),
        1 => Just(Step::EndOfStream),
        2 => Just(Step::Restart),
    ];
    proptest::collection::vec(step, 1..250)
}

/// Keeps all trades of all windows for ever.
#[derive(Default)]
struct Model {
    seen: HashSet<TradeId>,
    trades: BTreeMap<(usize, u64), Vec<Trade>>,
    rows: BTreeMap<(usize, u64), (u32, u64)>,
    closed: BTreeSet<(usize, u64)>,
    dirty: BTreeSet<(usize, u64)>,
    newest: u64,
    until: u64,
    /// Earliest live trade, and from when on all are known.
    feed: Option<(u64, u64)>,
    /// What was fetched before the feed began.
    fetched: (u64, u64),
    /// Windows that are over and whose last row said that their start is missing.
    partial: BTreeSet<(usize, u64)>,
}

fn brute_force(trades: &[Trade]) -> Content {
    let mut sorted = trades.to_vec();
    let place = |t: &Trade| Place { time_us: t.event_time_ns / 1000, rank: t.id.rank() };
    sorted.sort_by_key(place);
    let decimal = |units| Decimal::from_units(units).unwrap();
    let value = |t: &Trade| decimal(t.price).checked_mul(decimal(t.size)).unwrap().units();
    Content {
        first: place(&sorted[0]),
        last: place(sorted.last().unwrap()),
        open: sorted[0].price,
        high: sorted.iter().map(|t| t.price).max().unwrap(),
        low: sorted.iter().map(|t| t.price).min().unwrap(),
        close: sorted.last().unwrap().price,
        volume: sorted.iter().map(|t| t.size).sum(),
        quote_volume: sorted.iter().map(value).sum(),
        trades: sorted.len() as u64,
        repaired: sorted.iter().any(|t| t.repaired),
        uncounted: false,
        unvalued: false,
    }
}

impl Model {
    fn gone(&self, level: usize, end: u64) -> bool {
        end <= self.until.saturating_sub(params().keep_ns[level])
    }

    fn begin(&mut self, time: u64) {
        let (from, to) = self.fetched;
        let known = if (from..to).contains(&time) { from } else { time + 1 };
        self.feed.get_or_insert((time, known));
    }

    fn is_partial(&self, (level, open): (usize, u64)) -> bool {
        self.feed.is_some_and(|(first, known)| open < known && open + Interval::ALL[level].nanos() > first)
    }

    fn fetched(&mut self, from: u64, to: u64, out: &mut Vec<Update>) {
        let Some((first, known)) = self.feed else {
            let touches = from <= self.fetched.1 && self.fetched.0 <= to;
            let joined = (from.min(self.fetched.0), to.max(self.fetched.1));
            self.fetched = if touches { joined } else { (from, to) };
            return;
        };
        if from >= known || to < known {
            return;
        }
        let began = Interval::ALL.map(|interval| interval.open_time(known - 1));
        let lacked = [0, 1, 2, 3, 4, 5, 6].map(|level| self.is_partial((level, began[level])));
        self.feed = Some((first, from));
        let whole: Vec<_> = self.partial.iter().copied().filter(|window| !self.is_partial(*window)).collect();
        for (level, open) in whole {
            if !self.gone(level, open + Interval::ALL[level].nanos()) {
                self.dirty.insert((level, open));
            }
        }
        self.settle(out);
        for (level, interval) in Interval::ALL.into_iter().enumerate() {
            let window = (level, began[level]);
            if lacked[level] && !self.is_partial(window) && self.gone(level, window.1 + interval.nanos()) {
                out.push(self.unknown(window));
            }
        }
    }

    fn unknown(&self, window: (usize, u64)) -> Update {
        Update {
            key: KeyId(0),
            interval: Interval::ALL[window.0],
            open_time_ns: window.1,
            closed: true,
            partial: self.is_partial(window),
            revision: 0,
            trust: Trust::Recompute,
            content: Content::default(),
        }
    }

    fn write(&mut self, window: (usize, u64), closed: bool, out: &mut Vec<Update>) {
        let content = brute_force(&self.trades[&window]);
        let partial = self.is_partial(window);
        if partial && closed {
            self.partial.insert(window);
        } else {
            self.partial.remove(&window);
        }
        let row = self.rows.entry(window).or_default();
        out.push(Update {
            key: KeyId(0),
            interval: Interval::ALL[window.0],
            open_time_ns: window.1,
            closed,
            partial,
            revision: row.0,
            trust: Trust::Exact,
            content,
        });
        *row = (row.0 + 1, content.trades);
    }

    fn trade(&mut self, trade: &Trade, out: &mut Vec<Update>) -> bool {
        if !self.seen.insert(trade.id) {
            return false;
        }
        if !trade.repaired {
            self.begin(trade.event_time_ns);
            self.feed = self.feed.map(|(first, known)| (first.min(trade.event_time_ns), known));
        }
        for (level, interval) in Interval::ALL.into_iter().enumerate() {
            let open = interval.open_time(trade.event_time_ns);
            let end = open + interval.nanos();
            if self.gone(level, end) {
                out.push(self.unknown((level, open)));
                continue;
            }
            self.trades.entry((level, open)).or_default().push(*trade);
            if end <= self.until {
                self.closed.insert((level, open));
                self.dirty.insert((level, open));
            }
        }
        self.observe(trade.event_time_ns, out);
        true
    }

    fn settle(&mut self, out: &mut Vec<Update>) {
        for window in std::mem::take(&mut self.dirty) {
            self.write(window, true, out);
        }
    }

    fn observe(&mut self, time: u64, out: &mut Vec<Update>) {
        self.newest = self.newest.max(time);
        let until = Interval::S1.open_time(self.newest - params().lateness_ns);
        if until <= self.until {
            return;
        }
        self.until = until;
        self.settle(out);
        let over = |(level, open): &(usize, u64)| open + Interval::ALL[*level].nanos() <= until;
        let windows: Vec<_> = self.trades.keys().copied().filter(|w| over(w) && !self.closed.contains(w)).collect();
        for window in windows {
            self.closed.insert(window);
            self.write(window, true, out);
        }
    }

    fn end_of_stream(&mut self, out: &mut Vec<Update>) {
        self.settle(out);
        let open: Vec<_> = self.trades.keys().copied().filter(|w| !self.closed.contains(w)).collect();
        for window in open {
            let written = self.rows.get(&window).map_or(0, |row| row.1);
            if written != self.trades[&window].len() as u64 {
                self.write(window, false, out);
            }
        }
    }
}

fn restart(aggregator: &Aggregator) -> Aggregator {
    let mut out = Writer::new();
    aggregator.encode(&mut out);
    let bytes = out.finish();
    let mut input = Reader::new(&bytes);
    let restored = Aggregator::decode(&mut input).unwrap();
    input.end().unwrap();
    restored
}

/// The updates of each step by the aggregator and by the model.
fn run(steps: &[Step], mut compare: impl FnMut(&[Update], &[Update])) -> (Aggregator, Model) {
    let (mut aggregator, mut model) = (Aggregator::new(params()), Model::default());
    let key = key(&mut aggregator);
    let (mut clock, mut sent) = (START, Vec::<Trade>::new());
    for (number, step) in steps.iter().enumerate() {
        let (mut got, mut expected) = (Vec::new(), Vec::new());
        match *step {
            Step::Trade { ahead_ms, back_ms, repeat, price, size, repaired } => {
                clock += ahead_ms * 1_000_000;
                let fresh = Trade {
                    id: TradeId::Numeric(1_000 + number as u64),
                    event_time_ns: clock - back_ms * 1_000_000 + number as u64,
                    receive_time_ns: clock,
                    price: i128::from(price) * 10_i128.pow(16),
                    size: i128::from(size) * 10_i128.pow(13),
                    repaired,
                };
                let trade = repeat.and_then(|i| sent.get(i).copied()).unwrap_or(fresh);
                sent.push(trade);
                let outcome = aggregator.trade(key, &trade, &mut got);
                let new = model.trade(&trade, &mut expected);
                assert_eq!(outcome == Outcome::Duplicate, !new);
            }
            Step::Heartbeat { ahead_ms } => {
                clock += ahead_ms * 1_000_000;
                aggregator.heartbeat(key, clock, clock, &mut got);
                model.begin(clock);
                model.observe(clock, &mut expected);
            }
            Step::Fetched { from_ms, to_ms } => {
                let (from, to) = (clock - from_ms * 1_000_000, clock - to_ms * 1_000_000);
                aggregator.fetched(key, from.min(to), from.max(to), &mut got);
                model.fetched(from.min(to), from.max(to), &mut expected);
            }
            Step::Settle => {
                aggregator.settle(key, &mut got);
                model.settle(&mut expected);
            }
            Step::EndOfStream => {
                aggregator.end_of_stream(key, &mut got);
                model.end_of_stream(&mut expected);
            }
            Step::Restart => {
                let restored = restart(&aggregator);
                assert_eq!(restored, aggregator);
                aggregator = restored;
            }
        }
        compare(&got, &expected);
    }
    (aggregator, model)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn each_record_gives_exactly_the_updates_of_the_model_also_across_restarts(steps in steps()) {
        run(&steps, |got, expected| assert_eq!(got, expected));
    }

    #[test]
    fn the_highest_revision_of_each_window_is_the_sum_of_all_its_trades(steps in steps()) {
        let mut rows: BTreeMap<(u32, u64), Vec<Update>> = BTreeMap::new();
        let mut from_lake = HashSet::new();
        let mut steps = steps;
        steps.push(Step::EndOfStream);
        let (_, model) = run(&steps, |got, _| {
            for update in got {
                let window = (update.interval.seconds(), update.open_time_ns);
                if update.trust == Trust::Recompute {
                    from_lake.insert(window);
                } else {
                    rows.entry(window).or_default().push(*update);
                }
            }
        });
        for ((level, open), trades) in &model.trades {
            let window = (Interval::ALL[*level].seconds(), *open);
            if from_lake.contains(&window) {
                continue;
            }
            let rows = &rows[&window];
            prop_assert_eq!(rows.last().unwrap().content, brute_force(trades));
            for (revision, row) in rows.iter().enumerate() {
                prop_assert_eq!(row.revision as usize, revision);
            }
        }
    }

    #[test]
    fn open_windows_hold_all_their_trades(steps in steps()) {
        let (mut aggregator, model) = run(&steps, |_, _| {});
        let key = key(&mut aggregator);
        for (level, open) in aggregator.open_windows(key).into_iter().enumerate() {
            let newest = model.trades.keys().rfind(|w| w.0 == level && !model.closed.contains(w));
            prop_assert_eq!(open.map(|o| o.open_time_ns), newest.map(|w| w.1));
            if let (Some(open), Some(window)) = (open, newest) {
                prop_assert_eq!(open.content, brute_force(&model.trades[window]));
                prop_assert_eq!(open.revision, model.rows.get(window).map_or(0, |row| row.0));
            }
        }
    }

    #[test]
    fn no_byte_of_a_state_can_make_decoding_panic(steps in steps(), at in any::<prop::sample::Index>(), flip in 1u8..=255) {
        let (aggregator, _) = run(&steps, |_, _| {});
        let mut out = Writer::new();
        aggregator.encode(&mut out);
        let mut bytes = out.finish();
        let at = at.index(bytes.len());
        bytes[at] ^= flip;
        let mut input = Reader::new(&bytes);
        let _any_outcome = Aggregator::decode(&mut input);
    }
}

fn trade(id: u64, time_ns: u64) -> Trade {
    Trade {
        id: TradeId::Numeric(id),
        event_time_ns: time_ns,
        receive_time_ns: time_ns,
        price: 10_i128.pow(18),
        size: 10_i128.pow(18),
        repaired: false,
    }
}

#[test]
fn the_windows_of_a_key_are_bounded_however_long_it_runs() {
    let mut aggregator = Aggregator::new(params());
    let key = key(&mut aggregator);
    let mut out = Vec::new();
    let mut most = 0;
    for second in 0..100_000 {
        out.clear();
        aggregator.trade(key, &trade(second, START + second * SECOND), &mut out);
        most = most.max(aggregator.window_count());
    }
    // 60 s + 10 min + 1 h of 5m, of 15m + 2 h + 4 h + 1 d, and what is open.
    assert!(most <= 60 + 10 + 12 + 4 + 2 + 1 + 1 + 7 * 4, "{most}");
}

#[test]
fn a_quiet_market_closes_by_heartbeat() {
    let mut aggregator = Aggregator::new(params());
    let key = key(&mut aggregator);
    let mut out = Vec::new();
    aggregator.trade(key, &trade(1, START), &mut out);
    assert_eq!(out, []);
    aggregator.heartbeat(key, START + 62 * SECOND, START + 62 * SECOND, &mut out);
    let closed: Vec<_> = out.iter().map(|u| (u.interval.seconds(), u.closed, u.revision)).collect();
    assert_eq!(closed, [(1, true, 0), (60, true, 0), (300, true, 0)]);
}

#[test]
fn windows_that_the_feed_began_in_are_partial_until_their_start_is_fetched() {
    let mut aggregator = Aggregator::new(params());
    let key = key(&mut aggregator);
    let mut out = Vec::new();
    let shown = |out: &mut Vec<Update>| -> Vec<_> {
        out.drain(..).map(|u| (u.interval.seconds(), u.partial, u.revision, u.content.trades)).collect()
    };
    aggregator.trade(key, &trade(9, START + 50 * SECOND), &mut out);
    aggregator.heartbeat(key, START + 64 * SECOND, START + 64 * SECOND, &mut out);
    assert_eq!(shown(&mut out), [(1, true, 0, 1), (60, true, 0, 1), (300, true, 0, 1)]);
    // The missing trades of the minute, then the record that says that these were all of them.
    let fetched = Trade { repaired: true, ..trade(8, START + 45 * SECOND) };
    aggregator.trade(key, &fetched, &mut out);
    aggregator.fetched(key, START, START + 50 * SECOND + 1, &mut out);
    assert_eq!(shown(&mut out), [(1, false, 0, 1), (1, false, 1, 1), (60, false, 1, 2), (300, true, 1, 2)]);
    // Further back: what is over is reported again, what is open is whole when it closes.
    aggregator.fetched(key, START - 86_400 * SECOND, START, &mut out);
    assert_eq!(shown(&mut out), [(300, false, 2, 2)]);
    aggregator.heartbeat(key, START + 400 * SECOND, START + 400 * SECOND, &mut out);
    let longer: Vec<_> = Interval::ALL[3..].iter().map(|interval| (interval.seconds(), false, 0, 2)).collect();
    assert_eq!(shown(&mut out), longer);
}

#[test]
fn an_open_window_that_an_ended_stream_has_shown_is_not_over_when_its_start_is_fetched() {
    let mut aggregator = Aggregator::new(params());
    let key = key(&mut aggregator);
    let mut out = Vec::new();
    aggregator.trade(key, &trade(1, START + 50 * SECOND), &mut out);
    aggregator.end_of_stream(key, &mut out);
    assert!(out.iter().all(|u| u.partial && !u.closed), "{out:?}");
    out.clear();
    aggregator.fetched(key, START - 86_400 * SECOND, START + 50 * SECOND + 1, &mut out);
    assert_eq!(out, []);
}

#[test]
fn a_trade_or_heartbeat_from_the_far_future_closes_nothing() {
    let mut aggregator = Aggregator::new(params());
    let key = key(&mut aggregator);
    let mut out = Vec::new();
    aggregator.trade(key, &trade(1, START), &mut out);
    let future = Trade { event_time_ns: START + 3600 * SECOND, ..trade(2, START) };
    assert_eq!(aggregator.trade(key, &future, &mut out), Outcome::Ahead);
    aggregator.heartbeat(key, START + 3600 * SECOND, START - 400 * SECOND, &mut out);
    assert_eq!(out, []);
    assert_eq!(aggregator.trade(key, &trade(2, START), &mut out), Outcome::OnTime);
}

#[test]
fn an_id_that_may_be_forgotten_hands_its_windows_to_the_lake() {
    let limits = DedupLimits { ranges: 4, ids: 4 };
    let mut aggregator = Aggregator::new(Params { dedup: limits, ..params() });
    let key = key(&mut aggregator);
    let mut out = Vec::new();
    for n in 0..20 {
        aggregator.trade(key, &trade(1_000 + n * 10, START + n * SECOND), &mut out);
    }
    out.clear();
    assert_eq!(aggregator.trade(key, &trade(1_005, START + SECOND), &mut out), Outcome::Doubtful);
    aggregator.heartbeat(key, START + 90 * SECOND, START + 90 * SECOND, &mut out);
    let recompute: Vec<_> = out.iter().filter(|u| u.trust == Trust::Recompute).map(|u| u.interval.seconds()).collect();
    assert_eq!(recompute, [1, 60, 300], "the changed second and what holds it come from the lake");
}

#[test]
fn a_state_without_its_past_trusts_only_what_it_saw_whole() {
    let unknown_until = START + 30 * SECOND;
    let mut aggregator = Aggregator::with_unknown_past(params(), unknown_until);
    let key = key(&mut aggregator);
    let mut out = Vec::new();
    assert_eq!(aggregator.trade(key, &trade(1, START + 10 * SECOND), &mut out), Outcome::Doubtful);
    assert_eq!(aggregator.trade(key, &trade(2, START + 40 * SECOND), &mut out), Outcome::OnTime);
    aggregator.heartbeat(key, START + 70 * SECOND, START + 70 * SECOND, &mut out);
    let trusts: Vec<_> = out.iter().map(|u| (u.interval.seconds(), u.trust)).collect();
    let lake = Trust::Recompute;
    assert_eq!(trusts, [(1, lake), (1, Trust::Exact), (60, lake), (300, lake)]);
}

#[test]
fn too_many_keys_are_refused_not_stored() {
    let mut aggregator = Aggregator::new(Params { keys: 1, ..params() });
    let venue = "SIM".parse().unwrap();
    assert!(aggregator.key(&venue, &"A/B".parse().unwrap()).is_some());
    assert!(aggregator.key(&venue, &"C/D".parse().unwrap()).is_none());
    assert!(aggregator.key(&venue, &"A/B".parse().unwrap()).is_some());
}
