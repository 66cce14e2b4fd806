//! What records become rows, what they become on the live feed, and what a restart changes: nothing.

use super::*;
use crate::config::{FlushConfig, LiveConfig};
use crate::live::Outlet;
use crate::recompute::Recompute;
use proptest::prelude::*;
use proto::market::{Side, Source as TickSource};
use proto::{Decimal, Interval, RequestId};
use std::sync::{Arc, Mutex};
use zmtp::SendOutcome;

const TIME: u64 = 1_723_161_240_000_000_000;
const SECOND: u64 = 1_000_000_000;

/// Everybody subscribed to everything; keeps the topics of what was sent.
#[derive(Debug, Clone, Default)]
struct Everybody(Arc<Mutex<Vec<String>>>);

impl Outlet for Everybody {
    fn version(&self) -> u64 {
        1
    }

    fn has_subscriber(&self, _topic: &[u8]) -> bool {
        true
    }

    fn send(&self, topic: &[u8], _body: &[u8]) -> SendOutcome {
        self.0.lock().unwrap().push(String::from_utf8(topic.to_vec()).unwrap());
        SendOutcome::Sent
    }
}

fn fresh() -> State {
    State {
        positions: [((LogTopic::NormTick, 0), 0), ((LogTopic::NormOhlc, 0), 0)].into(),
        partitions: vec![Aggregator::new(Params::default())],
        marks: VenueMarks::new(100),
    }
}

fn engine(state: State, cuts: Cuts) -> (Engine, Everybody) {
    let everybody = Everybody::default();
    let metrics = StreamMetrics::new(&service::metrics::Metrics::new());
    let live = Live::new(Box::new(everybody.clone()), 1, LiveConfig::default(), metrics.clone());
    let pending = Pending::new(FlushConfig::default(), Instant::now());
    let mut engine = Engine::new(state, cuts, pending, live, metrics);
    engine.recovered(Params::default(), false);
    (engine, everybody)
}

fn ticker() -> Ticker {
    Ticker { venue: "SIM".parse().unwrap(), symbol: "BTC/USDT".parse().unwrap() }
}

fn tick(id: u64, second: u64) -> Tick {
    Tick {
        venue: ticker().venue,
        symbol: ticker().symbol,
        trade_id: id.to_string(),
        event_time_ns: TIME + second * SECOND,
        receive_time_ns: TIME + second * SECOND,
        price: Decimal::from_int(i64::try_from(id).unwrap()),
        size: Decimal::ONE,
        side: Side::Buy,
        source: TickSource::Live,
        repaired: false,
    }
}

fn candle(second: u64, closed: bool) -> Candle {
    let price = Decimal::from_int(77);
    Candle {
        venue: ticker().venue,
        symbol: ticker().symbol,
        interval: Interval::S1,
        open_time_ns: TIME + second * SECOND,
        open: price,
        high: price,
        low: price,
        close: price,
        volume: Decimal::ONE,
        quote_volume: price,
        trades: 1,
        revision: 0,
        closed,
        repaired: false,
    }
}

fn heartbeat(second: u64, end_of_stream: bool) -> Input {
    let time = TIME + second * SECOND;
    Input::Heartbeat { ticker: ticker(), event_time_ns: time, written_at_ns: time, end_of_stream }
}

fn answer(request_ids: Vec<RequestId>) -> HistoryEnd {
    HistoryEnd { request_ids, ticker: ticker(), interval: None, from_ns: TIME, to_ns: TIME + 1, error: None }
}

fn take(engine: &mut Engine, topic: LogTopic, offset: u64, input: Input) {
    let source = Source { topic, partition: 0, offset };
    let decoded = Decoded { input: Some(input), rejected: Vec::new() };
    engine.record(InputRecord { source, key: Bytes::from_static(b"SIM:BTC/USDT"), value: Bytes::new(), decoded });
}

fn feed(engine: &mut Engine, inputs: impl IntoIterator<Item = Input>) {
    for input in inputs {
        let topic = if matches!(input, Input::Candles { .. }) { LogTopic::NormOhlc } else { LogTopic::NormTick };
        let offset = engine.position(topic, 0);
        take(engine, topic, offset, input);
    }
}

/// Interval, second, revision and number of trades of each window event.
fn windows(engine: &Engine) -> Vec<(u32, i64, u32, u64)> {
    let events = engine.pending.rows.events.iter();
    events
        .filter_map(|event| match event {
            BookEvent::Window(_, u) => {
                let second = (u.open_time_ns / SECOND).cast_signed() - (TIME / SECOND).cast_signed();
                Some((u.interval.seconds(), second, u.revision, u.content.trades))
            }
            BookEvent::Venue(_) | BookEvent::Fill(..) => None,
        })
        .collect()
}

#[tokio::test]
async fn duplicates_make_no_row_and_go_to_nobody() {
    let (mut engine, everybody) = engine(fresh(), Cuts::default());
    feed(&mut engine, [Input::Tick(tick(1, 0)), Input::Tick(tick(1, 0)), Input::Tick(tick(2, 0))]);
    assert_eq!(engine.pending.rows.ticks, [tick(1, 0), tick(2, 0)]);
    assert_eq!(everybody.0.lock().unwrap().len(), 2);
}

#[tokio::test]
async fn records_that_a_table_has_change_the_state_but_make_no_row_of_it() {
    let inputs = [Input::Tick(tick(1, 0)), Input::Tick(tick(2, 10)), Input::Tick(tick(3, 20))];
    let cut = |last| [((LogTopic::NormTick, 0), last)].into();
    let (mut engine, _) = engine(fresh(), Cuts { ticks: cut(1), candles: cut(0) });
    feed(&mut engine, inputs);
    assert_eq!(engine.pending.rows.ticks, [tick(3, 20)]);
    // The second record (offset 1) closed the first window; the candles have only offset 0.
    assert_eq!(windows(&engine), [(1, 0, 0, 1), (1, 10, 0, 1)]);
}

#[tokio::test]
async fn a_venue_candle_seals_its_window_for_late_trades() {
    let (mut engine, everybody) = engine(fresh(), Cuts::default());
    let venue = Input::Candles { candles: vec![candle(0, true)], end: None };
    feed(&mut engine, [Input::Tick(tick(1, 0)), venue, heartbeat(10, false)]);
    assert_eq!(windows(&engine), [], "the venue's candle is the row");
    let closed = everybody.0.lock().unwrap().iter().filter(|t| t.ends_with("ohlc:1s")).count();
    assert_eq!(closed, 1, "and it closes the window on the live feed");
    feed(&mut engine, [Input::Tick(tick(2, 0)), heartbeat(12, false)]);
    assert_eq!(windows(&engine), []);
    assert_eq!(engine.pending.rows.ticks.len(), 2, "trades are stored all the same");
}

#[tokio::test]
async fn a_seed_makes_rows_of_its_own_and_the_longer_windows_whole_once() {
    let (mut engine, everybody) = engine(fresh(), Cuts::default());
    let minute = Interval::M1.nanos();
    let open = Interval::ALL[2].open_time(TIME);
    let at = |minutes: u64| Candle { interval: Interval::M1, open_time_ns: open + minutes * minute, ..candle(0, true) };
    let range_ns = (open, open + 2 * minute);
    let seed = Input::Seed(Seed { ticker: ticker(), interval: Interval::M1, range_ns, candles: vec![at(0), at(1)] });
    let trade = |id, minutes: u64, second: u64| {
        let time = open + minutes * minute + second * SECOND;
        Input::Tick(Tick { event_time_ns: time, receive_time_ns: time, ..tick(id, 0) })
    };
    feed(&mut engine, [trade(5, 3, 0), seed.clone(), trade(6, 4, 0), seed, trade(7, 5, 5)]);
    let rows = engine.pending.rows.events.iter();
    let venue = rows.clone().filter(|event| matches!(event, BookEvent::Venue(_))).count();
    assert_eq!(venue, 2);
    let whole: Vec<_> = rows
        .filter_map(|event| match event {
            BookEvent::Window(_, u) if u.interval == Interval::ALL[2] => Some((u.revision, u.content.trades)),
            _ => None,
        })
        .collect();
    assert_eq!(whole, [(0, 4)]);
    assert!(everybody.0.lock().unwrap().iter().any(|topic| topic.ends_with("ohlc:300s")));
    // Candles of a time of which trades were counted.
    let again = (open + 2 * minute, open + 4 * minute);
    feed(
        &mut engine,
        [Input::Seed(Seed { ticker: ticker(), interval: Interval::M1, range_ns: again, candles: vec![] })],
    );
    assert_eq!(engine.take_dead_letters().len(), 1);
}

#[tokio::test]
async fn an_open_venue_candle_makes_our_rows_look_into_the_lake() {
    let (mut engine, _) = engine(fresh(), Cuts::default());
    let venue = Input::Candles { candles: vec![candle(0, false)], end: None };
    feed(&mut engine, [venue, Input::Tick(tick(1, 0)), heartbeat(10, false)]);
    let trust = |event: &BookEvent| match event {
        BookEvent::Window(_, update) => Some(update.trust),
        BookEvent::Venue(_) | BookEvent::Fill(..) => None,
    };
    let trusts: Vec<_> = engine.pending.rows.events.iter().filter_map(trust).collect();
    assert_eq!(trusts, [Trust::Verify]);
}

#[tokio::test]
async fn a_trade_older_than_memory_is_stored_and_its_windows_come_from_the_lake() {
    let (mut engine, everybody) = engine(fresh(), Cuts::default());
    feed(&mut engine, [Input::Tick(tick(5, 7200))]);
    let sent = everybody.0.lock().unwrap().len();
    feed(&mut engine, [Input::Tick(tick(1, 0))]);
    let mut expected = Recompute::default();
    // Not closed: the feed had begun without what came before this trade.
    expected.add(&ticker(), Interval::S1, TIME, false);
    assert_eq!(engine.pending.rows.recompute, expected);
    assert_eq!(engine.pending.rows.ticks.len(), 2);
    assert_eq!(everybody.0.lock().unwrap().len(), sent, "two hours old is no live news");
}

#[tokio::test]
async fn fetched_trades_that_repair_a_gap_are_live_and_history_is_not() {
    let (mut engine, everybody) = engine(fresh(), Cuts::default());
    let fetched =
        |id, answer| FetchedTicks { ticker: ticker(), ticks: vec![tick(id, 0)], answer, complete: None, end: None };
    feed(&mut engine, [Input::Ticks(fetched(1, false)), Input::Ticks(fetched(2, true))]);
    assert_eq!(*everybody.0.lock().unwrap(), ["SIM:BTC/USDT|tick"]);
    assert_eq!(engine.pending.rows.ticks.len(), 2);
}

#[tokio::test]
async fn a_complete_answer_is_due_at_once_and_again_after_a_restart() {
    let end = answer(vec![RequestId::from_bits(7)]);
    let fetched = FetchedTicks {
        ticker: ticker(),
        ticks: vec![tick(1, 0)],
        answer: true,
        complete: None,
        end: Some(end.clone()),
    };
    for cuts in [
        Cuts::default(),
        Cuts { ticks: [((LogTopic::NormTick, 0), 0)].into(), candles: [((LogTopic::NormTick, 0), 0)].into() },
    ] {
        let (mut engine, _) = engine(fresh(), cuts);
        feed(&mut engine, [Input::Ticks(fetched.clone())]);
        assert_eq!(engine.pending.due(Instant::now()), Some(Trigger::History));
        assert_eq!(engine.pending.rows.histories, std::slice::from_ref(&end));
    }
}

#[tokio::test]
async fn a_trade_from_the_future_is_a_dead_letter_with_its_bytes() {
    let (mut engine, _) = engine(fresh(), Cuts::default());
    feed(&mut engine, [Input::Tick(Tick { receive_time_ns: TIME - 600 * SECOND, ..tick(1, 0) })]);
    assert_eq!(engine.pending.rows.count(), 0);
    let dead = engine.take_dead_letters();
    assert_eq!(dead.len(), 1);
    assert_eq!(dead[0].rejected.reason, "out_of_range");
    assert!(!dead[0].payload.is_empty());
}

#[tokio::test]
async fn the_end_of_a_stream_writes_open_windows_once() {
    let (mut engine, _) = engine(fresh(), Cuts::default());
    feed(&mut engine, [Input::Tick(tick(1, 0)), heartbeat(0, true)]);
    assert_eq!(windows(&engine).len(), LEVELS);
    assert_eq!(engine.pending.due(Instant::now()), Some(Trigger::EndOfStream));
    feed(&mut engine, [heartbeat(0, true)]);
    assert_eq!(windows(&engine).len(), LEVELS);
}

fn inputs() -> impl Strategy<Value = Vec<Input>> {
    let tick = (1u64..60, 0u64..5000).prop_map(|(id, second)| Input::Tick(tick(id, second)));
    let venue = (0u64..40, any::<bool>())
        .prop_map(|(second, closed)| Input::Candles { candles: vec![candle(second, closed)], end: None });
    let beat = (0u64..5000, prop::bool::weighted(0.1)).prop_map(|(second, end)| heartbeat(second, end));
    proptest::collection::vec(prop_oneof![8 => tick, 1 => venue, 2 => beat], 1..60)
}

proptest! {
    #[test]
    fn a_restart_from_a_checkpoint_derives_the_same_rows_and_the_same_state(
        inputs in inputs(), at in any::<prop::sample::Index>(),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let at = at.index(inputs.len());
            let (mut whole, _) = engine(fresh(), Cuts::default());
            feed(&mut whole, inputs[..at].to_vec());
            let body = encode_state(&whole.positions, &whole.partitions.iter().collect::<Vec<_>>(), &whole.marks);
            let before = std::mem::take(&mut whole.pending.rows);
            feed(&mut whole, inputs[at..].to_vec());
            let dir = tempfile::tempdir().unwrap();
            let store = crate::checkpoint::CheckpointStore::new(dir.path(), 100);
            store.save(&body).unwrap();
            let (mut restarted, _) = engine(store.load().state.unwrap(), Cuts::default());
            feed(&mut restarted, inputs[at..].to_vec());
            assert_eq!(restarted.pending.rows.ticks, whole.pending.rows.ticks);
            assert_eq!(restarted.pending.rows.events, whole.pending.rows.events);
            assert_eq!(restarted.pending.rows.recompute, whole.pending.rows.recompute);
            assert_eq!((&restarted.partitions, &restarted.marks), (&whole.partitions, &whole.marks));
            // And without the checkpoint, with everything up to there committed.
            let cut: HashMap<_, _> = [LogTopic::NormTick, LogTopic::NormOhlc].into_iter().filter_map(|topic| {
                let count = inputs[..at].iter().filter(|i| matches!(i, Input::Candles { .. }) == (topic == LogTopic::NormOhlc)).count();
                Some(((topic, 0), (count as u64).checked_sub(1)?))
            }).collect();
            let (mut rebuilt, _) = engine(fresh(), Cuts { ticks: cut.clone(), candles: cut });
            feed(&mut rebuilt, inputs.clone());
            assert_eq!(rebuilt.pending.rows.ticks, whole.pending.rows.ticks);
            assert_eq!(rebuilt.pending.rows.events, whole.pending.rows.events);
            drop(before);
        });
    }
}
