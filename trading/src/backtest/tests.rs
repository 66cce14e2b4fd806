//! Hand-computed fixtures, order by order, and properties of whole runs.

use super::*;
use proptest::prelude::{any, prop_assert, prop_assert_eq, proptest};

const MINUTE: u64 = 60_000_000_000;
const START: u64 = 1_700_000_040_000_000_000;

fn d(text: &str) -> Decimal {
    text.parse().unwrap()
}

/// Open, high, low, close of candles of one minute, volume 10.
fn candles(rows: &[[&str; 4]]) -> Vec<Candle> {
    let candle = |(at, row): (usize, &[&str; 4])| Candle {
        open_time_ns: START + at as u64 * MINUTE,
        open: d(row[0]),
        high: d(row[1]),
        low: d(row[2]),
        close: d(row[3]),
        volume: d("10"),
    };
    rows.iter().enumerate().map(candle).collect()
}

/// Does what is written down for each candle, and notes what it was told.
#[derive(Default)]
struct Script {
    orders: Vec<(usize, Order)>,
    cancels: Vec<(usize, u64)>,
    at: usize,
    submitted: Vec<Result<OrderId, Refusal>>,
    fills: Vec<Fill>,
    refusals: Vec<(OrderId, Refusal)>,
    seen: Vec<(u64, Decimal)>,
}

impl Script {
    fn of(orders: &[(usize, Order)]) -> Self {
        Self { orders: orders.to_vec(), ..Self::default() }
    }

    fn decide(&mut self, desk: &mut Desk<'_>) {
        self.seen.push((desk.now_ns(), desk.position()));
        for (_, order) in self.orders.iter().filter(|(at, _)| *at == self.at) {
            self.submitted.push(desk.submit(*order));
        }
        for (_, id) in self.cancels.iter().filter(|(at, _)| *at == self.at) {
            assert!(desk.cancel(OrderId(*id)));
        }
        self.at += 1;
    }
}

impl Strategy for Script {
    fn on_candle(&mut self, _: &Candle, desk: &mut Desk<'_>) {
        self.decide(desk);
    }

    fn on_tick(&mut self, _: &Tick, desk: &mut Desk<'_>) {
        self.decide(desk);
    }

    fn on_fill(&mut self, fill: &Fill, _: &mut Desk<'_>) {
        self.fills.push(*fill);
    }

    fn on_refusal(&mut self, order: OrderId, refusal: Refusal, _: &mut Desk<'_>) {
        self.refusals.push((order, refusal));
    }
}

fn buy(size: &str) -> Order {
    Order::Market { direction: Direction::Buy, size: d(size) }
}

fn sell(size: &str) -> Order {
    Order::Market { direction: Direction::Sell, size: d(size) }
}

fn limit(direction: Direction, price: &str) -> Order {
    Order::Limit { direction, size: d("1"), price: d(price) }
}

fn stop(direction: Direction, price: &str) -> Order {
    Order::Stop { direction, size: d("1"), price: d(price) }
}

fn stop_limit(direction: Direction, stop: &str, limit: &str) -> Order {
    Order::StopLimit { direction, size: d("1"), stop: d(stop), limit: d(limit) }
}

fn terms(cash: &str) -> Terms {
    Terms { shorting: Shorting::Allowed, ..Terms::with_cash(d(cash)) }
}

fn run(terms: Terms, rows: &[[&str; 4]], script: &mut Script) -> Report {
    Backtest::new(terms).unwrap().candles(MINUTE, candles(rows), script).unwrap()
}

/// Which candle filled it and at which price.
fn filled(report: &Report) -> Vec<(u64, String)> {
    report.fills.iter().map(|fill| ((fill.time_ns - START) / MINUTE, fill.price.to_string())).collect()
}

#[test]
fn a_round_trip_is_right_to_the_last_digit() {
    let rows = [
        ["100", "100", "100", "100"],
        ["101.5", "103", "101", "102"],
        ["102", "110", "102", "109"],
        ["108.25", "109", "108", "108"],
    ];
    let mut script = Script::of(&[(0, buy("2.5")), (2, sell("2.5"))]);
    let report = run(Terms { taker_fee: d("0.001"), ..terms("1000") }, &rows, &mut script);
    // Bought at 101.5: 253.75 and a fee of 0.25375; sold at 108.25: 270.625 and a fee of 0.270625.
    assert_eq!(filled(&report), [(1, "101.5".to_owned()), (3, "108.25".to_owned())]);
    assert_eq!(report.fees, d("0.524375"));
    assert_eq!(report.end_equity, d("1016.350625"));
    assert_eq!(report.turnover, d("524.375"));
    let [trip] = report.round_trips[..] else { panic!("one trip") };
    assert_eq!((trip.entry_price, trip.exit_price, trip.size), (d("101.5"), d("108.25"), d("2.5")));
    assert_eq!((trip.profit, trip.fees), (d("16.350625"), d("0.524375")));
    assert_eq!((trip.opened_ns, trip.closed_ns), (START + MINUTE, START + 3 * MINUTE));
    // Equity at the closes: 1000, 1000.99625, 1018.49625, 1016.350625.
    let curve: Vec<String> = report.curve.iter().map(|(_, equity)| equity.to_string()).collect();
    assert_eq!(curve, ["1000", "1000.99625", "1018.49625", "1016.350625"]);
    let fall = (1018.49625 - 1016.350625) / 1018.49625;
    assert!((report.statistics.max_drawdown - fall).abs() < 1e-15);
    assert_eq!(report.statistics.longest_drawdown_ns, MINUTE);
    assert_eq!(report.statistics.exposure, Some(0.5));
    assert_eq!((report.statistics.win_rate, report.statistics.profit_factor), (Some(1.0), None));
    assert!((report.statistics.benchmark_return - 0.08).abs() < 1e-15);
    assert_eq!(script.fills, report.fills);
}

#[test]
fn ratios_follow_their_definitions() {
    let day = 86_400_000_000_000;
    let mut rows = candles(&[
        ["100", "100", "100", "100"],
        ["100", "102", "100", "102"],
        ["102", "102", "99.96", "99.96"],
        ["99.96", "104.958", "99.96", "104.958"],
    ]);
    for (at, candle) in (0u64..).zip(&mut rows) {
        candle.open_time_ns = 20_000 * day + at * day;
    }
    let report = Backtest::new(terms("1000")).unwrap().candles(day, rows, &mut Script::of(&[(0, buy("10"))])).unwrap();
    // Days of 0, 2, -2 and 5 %. The numbers are of an independent computation.
    let s = report.statistics;
    let expected = [
        (Some(s.total_return), 0.04958000000000018),
        (s.cagr, 81.73106600867536),
        (s.sharpe, 7.997517138076777),
        (s.sortino, 23.8812164681785),
        (s.calmar, 4086.5533004337676),
        (Some(s.max_drawdown), 0.02),
        (s.exposure, 0.75),
    ];
    for (at, (value, expected)) in expected.into_iter().enumerate() {
        assert!((value.unwrap() / expected - 1.0).abs() < 1e-9, "{at}: {value:?} instead of {expected}");
    }
    assert_eq!(report.daily_returns.len(), 4);
    assert_eq!(s.longest_drawdown_ns, 2 * day, "from the second close until the fourth, which is above it");
    assert_eq!((s.win_rate, s.profit_factor, s.expectancy), (None, None, None), "the position is still open");
    let report = Backtest::new(terms("1")).unwrap().candles(day, [], &mut Script::default()).unwrap();
    assert_eq!(report.statistics, Statistics::default(), "nothing happened");
}

#[test]
fn an_order_is_never_filled_by_the_candle_it_was_decided_on() {
    let rows = [["100", "120", "80", "100"], ["100", "100", "100", "100"]];
    for order in [limit(Direction::Buy, "90"), stop(Direction::Buy, "110"), limit(Direction::Sell, "110")] {
        let report = run(terms("1000"), &rows, &mut Script::of(&[(0, order)]));
        assert_eq!(report.fills, [], "{order:?}");
        assert_eq!(report.open_orders.len(), 1);
    }
}

#[test]
fn each_kind_of_order_is_filled_where_the_table_says() {
    use Direction::{Buy, Sell};
    // The open is 100; up to 105 is nearer than down to 90, so the way is 100, 105, 90, 92.
    let way = ["100", "105", "90", "92"];
    // 100, 95 first, then 110, then 108.
    let down_first = ["100", "110", "95", "108"];
    let later = ["92", "92", "92", "92"];
    type Expected = Option<(u64, &'static str, Liquidity)>;
    let cases: [(&str, Order, [&str; 4], Expected); 16] = [
        ("market", buy("1"), way, Some((1, "100", Liquidity::Taker))),
        ("limit that the open satisfies", limit(Buy, "101"), way, Some((1, "100", Liquidity::Taker))),
        ("limit that the open equals", limit(Buy, "100"), way, Some((1, "100", Liquidity::Taker))),
        ("limit that is reached", limit(Buy, "95"), way, Some((1, "95", Liquidity::Maker))),
        ("limit that is touched", limit(Buy, "90"), way, Some((1, "90", Liquidity::Maker))),
        ("limit that is not reached", limit(Buy, "89.9"), way, None),
        ("limit to sell", limit(Sell, "104"), way, Some((1, "104", Liquidity::Maker))),
        ("stop that is reached", stop(Buy, "103"), way, Some((1, "103", Liquidity::Taker))),
        ("stop that the open is beyond", stop(Buy, "99"), way, Some((1, "100", Liquidity::Taker))),
        ("stop to sell", stop(Sell, "91"), way, Some((1, "91", Liquidity::Taker))),
        ("stop that is not reached", stop(Buy, "105.1"), way, None),
        ("stop-limit with room", stop_limit(Buy, "103", "104"), way, Some((1, "103", Liquidity::Taker))),
        ("stop-limit, reached on the way back", stop_limit(Buy, "103", "102"), way, Some((1, "102", Liquidity::Maker))),
        ("stop-limit that the open is beyond", stop_limit(Buy, "99", "101"), way, Some((1, "100", Liquidity::Taker))),
        ("stop-limit, the low was before", stop_limit(Buy, "106", "97"), down_first, Some((2, "97", Liquidity::Maker))),
        ("limit to sell, high after the low", limit(Sell, "109"), down_first, Some((1, "109", Liquidity::Maker))),
    ];
    for (name, order, row, expected) in cases {
        let rows = [["100", "100", "100", "100"], row, later];
        let report = run(terms("10000"), &rows, &mut Script::of(&[(0, order)]));
        let got: Vec<_> = report.fills.iter().map(|f| ((f.time_ns - START) / MINUTE, f.price, f.liquidity)).collect();
        let expected: Vec<_> = expected.into_iter().map(|(at, price, liquidity)| (at, d(price), liquidity)).collect();
        assert_eq!(got, expected, "{name}");
    }
}

#[test]
fn orders_are_met_in_the_order_of_the_way() {
    // 100, up to 103, down to 90, up to 95: the stop-loss below is met after the target above.
    let rows = [["100", "100", "100", "100"], ["100", "103", "90", "95"]];
    let orders = [
        (0, limit(Direction::Buy, "91")),
        (0, stop(Direction::Sell, "94")),
        (0, limit(Direction::Sell, "102")),
        (0, limit(Direction::Buy, "94")),
    ];
    let report = run(terms("10000"), &rows, &mut Script::of(&orders));
    let prices: Vec<String> = report.fills.iter().map(|fill| fill.price.to_string()).collect();
    assert_eq!(prices, ["102", "94", "94", "91"]);
    assert_eq!(report.fills[1].order, OrderId(1), "of two at one price the older one");
}

#[test]
fn a_resting_limit_gets_its_own_price_when_the_market_jumps_over_it() {
    let rows = [["100", "100", "100", "100"], ["100", "101", "99", "100"], ["80", "81", "79", "80"]];
    let report = run(terms("1000"), &rows, &mut Script::of(&[(0, limit(Direction::Buy, "90"))]));
    assert_eq!(filled(&report), [(2, "90".to_owned())]);
}

#[test]
fn through_needs_more_than_a_touch() {
    let rows = [["100", "100", "100", "100"], ["100", "101", "90", "95"], ["95", "95", "89.99", "95"]];
    let strict = Terms { limit_fill: LimitFill::Through, ..terms("1000") };
    let report = run(strict, &rows, &mut Script::of(&[(0, limit(Direction::Buy, "90"))]));
    assert_eq!(filled(&report), [(2, "90".to_owned())]);
}

#[test]
fn slippage_is_to_the_worse_side_and_on_ticks() {
    let rows = [["100", "100", "100", "100"], ["100.1", "110", "90", "95"], ["95.1", "96", "94", "95"]];
    let terms = Terms { slippage: d("0.0015"), tick_size: d("0.1"), ..terms("1000") };
    let orders = [(0, buy("1")), (0, stop(Direction::Sell, "92")), (1, sell("1")), (1, limit(Direction::Buy, "94.5"))];
    let report = run(terms, &rows, &mut Script::of(&orders));
    // 100.1·1.0015 = 100.25015 → 100.3; 92·0.9985 = 91.862 → 91.8; 95.1·0.9985 = 94.95735 → 94.9; a limit does not slip.
    let prices: Vec<String> = report.fills.iter().map(|fill| fill.price.to_string()).collect();
    assert_eq!(prices, ["100.3", "91.8", "94.9", "94.5"]);
}

#[test]
fn latency_makes_an_order_and_its_cancellation_late() {
    let row = ["100", "101", "99", "100"];
    let late = Terms { latency_ns: MINUTE + 1, ..terms("1000") };
    let mut script = Script::of(&[(0, buy("1")), (0, limit(Direction::Buy, "99"))]);
    script.cancels = vec![(1, 1)];
    let report = run(late, &[row; 5], &mut script);
    // Decided at the end of candle 0, active one minute and a bit later: candle 3 is the first that begins after that. The
    // cancellation is decided a candle later and arrives a candle later: too late.
    assert_eq!(filled(&report), [(3, "100".to_owned()), (3, "99".to_owned())]);
    let mut script = Script::of(&[(0, limit(Direction::Buy, "98"))]);
    script.cancels = vec![(1, 0)];
    let rows = [row, row, ["100", "100", "97", "98"]];
    assert_eq!(run(terms("1000"), &rows, &mut script).fills, [], "without latency it is in time");
}

#[test]
fn large_orders_are_filled_in_parts() {
    let part = Terms { participation: Some(d("0.25")), lot_size: d("0.5"), ..terms("10000") };
    let row = ["100", "101", "99", "100"];
    // 10 · 0.25 = 2.5 of each candle.
    let mut script = Script::of(&[(0, buy("6")), (0, limit(Direction::Buy, "99.5"))]);
    let report = run(part.clone(), &[row; 5], &mut script);
    let sizes: Vec<String> = report.fills.iter().map(|fill| fill.size.to_string()).collect();
    assert_eq!(sizes, ["2.5", "2.5", "1", "1"]);
    assert_eq!(filled(&report)[3], (3, "99.5".to_owned()));
    assert_eq!(script.seen.last(), Some(&(START + 5 * MINUTE, d("7"))));
    let mut rows = candles(&[row; 3]);
    rows[1].volume = Decimal::ZERO;
    let report =
        Backtest::new(terms("1000")).unwrap().candles(MINUTE, rows, &mut Script::of(&[(0, buy("1"))])).unwrap();
    assert_eq!(filled(&report), [(2, "100".to_owned())], "nobody traded in the second candle");
}

#[test]
fn a_position_that_is_turned_over_is_two_trips() {
    let rows = [["100", "100", "100", "100"], ["100", "100", "100", "100"], ["110", "110", "110", "110"]];
    let rows = [rows[0], rows[1], rows[2], ["105", "105", "105", "105"]];
    let fee = Terms { taker_fee: d("0.01"), ..terms("1000") };
    let report = run(fee, &rows, &mut Script::of(&[(0, buy("1")), (1, sell("3")), (2, buy("2"))]));
    // Fees 1, 3.3 and 2.1; of the second, 1.1 closes.
    assert_eq!(report.round_trips[0].profit, d("7.9"));
    assert_eq!(report.round_trips[1].profit, d("5.7"), "10 - 2.2 - 2.1");
    assert_eq!(report.round_trips[1].direction, Direction::Sell);
    assert_eq!(report.end_equity, d("1013.6"));
}

#[test]
fn the_account_is_not_overdrawn() {
    let row = ["100", "101", "99", "100"];
    let cash = Terms { taker_fee: d("0.001"), ..Terms::with_cash(d("1000")) };
    let mut script = Script::of(&[(0, buy("10")), (0, sell("1")), (0, buy("9.99")), (2, sell("10"))]);
    let report = run(cash.clone(), &[row; 4], &mut script);
    // 10 would cost 1001; nothing is held to be sold; 9.99 costs 999.999.
    assert_eq!(
        script.refusals,
        [(OrderId(0), Refusal::Funds), (OrderId(1), Refusal::Short), (OrderId(3), Refusal::Short)]
    );
    assert_eq!((report.refused_count, report.position), (3, d("9.99")));
    let credit = Terms { leverage: d("3"), ..cash };
    let report = run(credit, &[row; 4], &mut Script::of(&[(0, buy("29.9")), (0, buy("1"))]));
    assert_eq!((report.position, report.refused_count), (d("29.9"), 1));
}

#[test]
fn a_target_is_worth_its_part_of_what_is_left_after_the_fee() {
    let row = ["100", "101", "99", "100"];
    let fee = Terms { taker_fee: d("0.01"), lot_size: d("0.001"), ..terms("1000") };
    let target = |exposure: &str| Order::Target { exposure: d(exposure) };
    let report = run(fee, &[row; 5], &mut Script::of(&[(0, target("1")), (1, target("-0.5")), (2, target("0"))]));
    // 1000 / (100·1.01) = 9.9009…
    let sizes: Vec<String> = report.fills.iter().map(|fill| fill.size.to_string()).collect();
    assert_eq!(sizes[0], "9.9");
    // E = 990.1, p = 9.9: t = (−0.5·990.1 + 0.5·0.01·100·9.9)/(100·(1 + 0.005)) = −490.1/100.5 = −4.8766…
    assert_eq!(report.fills[1].position, d("-4.876"));
    assert_eq!(report.position, Decimal::ZERO);
    let mut script = Script::of(&[(0, target("1.5"))]);
    run(terms("1000"), &[row; 2], &mut script);
    assert_eq!(script.submitted, [Err(Refusal::Exposure)]);
}

#[test]
fn bad_orders_are_refused_by_cause() {
    let odd = Terms { tick_size: d("0.1"), lot_size: d("0.01"), ..Terms::with_cash(d("1000")) };
    let cases = [
        (buy("0"), Refusal::Size),
        (buy("-1"), Refusal::Size),
        (buy("0.015"), Refusal::Lot),
        (limit(Direction::Buy, "0"), Refusal::Price),
        (limit(Direction::Buy, "99.95"), Refusal::Tick),
        (stop_limit(Direction::Buy, "99.9", "99.95"), Refusal::Tick),
        (Order::Target { exposure: d("-0.1") }, Refusal::Exposure),
    ];
    for (order, refusal) in cases {
        let mut script = Script::of(&[(0, order)]);
        run(odd.clone(), &[["100", "100", "100", "100"]], &mut script);
        assert_eq!(script.submitted, [Err(refusal)], "{order:?}");
    }
    let mut script = Script::of(&vec![(0, limit(Direction::Buy, "1")); 1001]);
    run(odd, &[["100", "100", "100", "100"]], &mut script);
    assert_eq!(script.submitted.last(), Some(&Err(Refusal::TooMany)));
}

#[test]
fn a_ruined_account_ends_the_run() {
    let rows = [["100", "100", "100", "100"], ["100", "100", "100", "100"], ["250", "250", "250", "250"]];
    let rows = [rows[0], rows[1], rows[2], ["100", "100", "100", "100"]];
    let report = run(terms("100"), &rows, &mut Script::of(&[(0, sell("1"))]));
    assert_eq!((report.ruined_ns, report.events), (Some(START + 3 * MINUTE), 3));
    assert_eq!(report.end_equity, d("-50"));
    assert_eq!(report.statistics.cagr, None);
}

#[test]
fn impossible_data_and_terms_are_named() {
    let good = candles(&[["100", "101", "99", "100"]; 3]);
    let run =
        |candles: Vec<Candle>| Backtest::new(terms("1")).unwrap().candles(MINUTE, candles, &mut Script::default());
    let mut bad = good.clone();
    bad[1].high = d("99.5");
    assert!(matches!(run(bad), Err(BacktestError::Data { at: 1, .. })));
    let mut bad = good.clone();
    bad[2].open_time_ns -= 1;
    assert!(matches!(run(bad), Err(BacktestError::Data { at: 2, .. })));
    let mut huge = good;
    huge[0].close = d("99999999999999999999");
    huge[0].high = huge[0].close;
    let leverage = Terms { leverage: d("99999999999"), ..terms("99999999999") };
    let huge = [huge[1], huge[0]].map(|candle| Candle { open_time_ns: candle.open_time_ns, ..candle });
    let huge = [huge[0], Candle { open_time_ns: huge[0].open_time_ns + MINUTE, ..huge[1] }];
    let huge = [Candle { open_time_ns: START, ..huge[0] }, huge[1]];
    let result = Backtest::new(leverage).unwrap().candles(MINUTE, huge, &mut Script::of(&[(0, buy("999999999"))]));
    assert_eq!(result, Err(BacktestError::OutOfRange));
    let fees = Terms { taker_fee: d("1"), ..terms("1") };
    assert!(matches!(Backtest::new(fees), Err(BacktestError::Terms { field: "taker_fee", .. })));
}

#[test]
fn ticks_fill_what_they_reach_with_their_size_and_after_the_latency() {
    let tick =
        |ms: u64, price: &str, size: &str| Tick { time_ns: START + ms * 1_000_000, price: d(price), size: d(size) };
    let ticks =
        [tick(0, "100", "1"), tick(5, "101", "0.4"), tick(10, "102", "0.4"), tick(15, "97", "5"), tick(20, "98", "5")];
    let terms = Terms { latency_ns: 5_000_000, participation: Some(d("1")), ..terms("1000") };
    let mut script = Script::of(&[(0, buy("1")), (0, limit(Direction::Buy, "99")), (3, stop(Direction::Sell, "98.5"))]);
    let report = Backtest::new(terms).unwrap().ticks(ticks, &mut script).unwrap();
    let got: Vec<_> = report.fills.iter().map(|f| ((f.time_ns - START) / 1_000_000, f.size, f.price)).collect();
    let expected = [(5, "0.4", "101"), (10, "0.4", "102"), (15, "0.2", "97"), (15, "1", "99"), (20, "1", "98")];
    assert_eq!(got, expected.map(|(ms, size, price)| (ms, d(size), d(price))));
}

/// A market that moves by whole cents.
fn walk(steps: &[(i64, i64, i64, i64)]) -> Vec<Candle> {
    let mut close = 10_000i64;
    let price = |cents: i64| Decimal::new(i128::from(cents), 2).unwrap();
    let candle = |(at, (gap, body, up, down)): (usize, &(i64, i64, i64, i64))| {
        let open = (close + gap).max(100);
        close = (open + body).max(100);
        Candle {
            open_time_ns: START + at as u64 * MINUTE,
            open: price(open),
            high: price(open.max(close) + up),
            low: price((open.min(close) - down).max(1)),
            close: price(close),
            volume: d("10"),
        }
    };
    steps.iter().enumerate().map(candle).collect()
}

fn steps() -> impl proptest::prelude::Strategy<Value = Vec<(i64, i64, i64, i64)>> {
    proptest::collection::vec((-20i64..20, -100i64..100, 0i64..50, 0i64..50), 2..200)
}

fn market_terms() -> Terms {
    let lot_size = d("0.0001");
    Terms {
        taker_fee: d("0.001"),
        maker_fee: d("-0.0001"),
        slippage: d("0.0002"),
        tick_size: d("0.01"),
        lot_size,
        ..terms("10000")
    }
}

proptest! {
    #[test]
    fn the_vectorised_form_gives_the_same_as_the_other(steps in steps()) {
        let candles = walk(&steps);
        let (above, below) = (d("0.9"), d("-0.9"));
        let mut cross = SmaCross::new(3, 8, above, below);
        let targets: Vec<_> = candles.iter().map(|candle| cross.target(candle.close)).collect();
        let run = || Backtest::new(market_terms()).unwrap();
        let events = run().candles(MINUTE, candles.clone(), &mut SmaCross::new(3, 8, above, below)).unwrap();
        let vector = run().candles(MINUTE, candles, &mut Targets::new(&targets)).unwrap();
        prop_assert_eq!(events, vector);
    }

    /// Whatever is ordered: cash is what the fills left of it, to the last digit, and every fill lies within its candle.
    #[test]
    fn fills_add_up(
        steps in steps(),
        orders in proptest::collection::vec((0usize..200, 0u8..5, any::<bool>(), 1i64..300, 9_000i64..11_000, -50i64..50), 0..40),
    ) {
        let candles = walk(&steps);
        let price = |cents: i64| Decimal::new(i128::from(cents), 2).unwrap();
        let orders: Vec<_> = orders.into_iter().map(|(at, kind, up, size, cents, apart)| {
            let direction = if up { Direction::Buy } else { Direction::Sell };
            let size = Decimal::new(i128::from(size), 2).unwrap();
            (at, match kind {
                0 => Order::Market { direction, size },
                1 => Order::Limit { direction, size, price: price(cents) },
                2 => Order::Stop { direction, size, price: price(cents) },
                3 => Order::StopLimit { direction, size, stop: price(cents), limit: price(cents + apart) },
                _ => Order::Target { exposure: price(apart * 2) },
            })
        }).collect();
        let terms = Terms { participation: Some(d("0.1")), slippage: Decimal::ZERO, ..market_terms() };
        let report = Backtest::new(terms).unwrap().candles(MINUTE, candles.clone(), &mut Script::of(&orders)).unwrap();
        let (mut cash, mut position) = (d("10000"), Decimal::ZERO);
        for fill in &report.fills {
            let value = fill.price.checked_mul(fill.size).unwrap();
            let sign = |amount: Decimal| if fill.direction == Direction::Buy { amount.units() } else { -amount.units() };
            cash = Decimal::from_units(cash.units() - sign(value) - fill.fee.units()).unwrap();
            position = Decimal::from_units(position.units() + sign(fill.size)).unwrap();
            prop_assert_eq!(fill.position, position);
            let at = usize::try_from((fill.time_ns - START) / MINUTE).unwrap();
            let before = orders.iter().filter(|(decided, _)| *decided < at).count();
            prop_assert!(fill.order.0 < before as u64, "decided before candle {}", at);
            if fill.liquidity == Liquidity::Taker {
                prop_assert!(candles[at].low <= fill.price && fill.price <= candles[at].high);
            }
        }
        let last = candles.last().unwrap().close;
        let held = position.checked_mul(last).unwrap();
        prop_assert_eq!(report.end_equity, cash.checked_add(held).unwrap());
        let profits: i128 = report.round_trips.iter().map(|trip| trip.profit.units()).sum();
        if position.is_zero() && report.ruined_ns.is_none() {
            // A fee is split between two trips at a turn, rounded at 18 digits, and adds up all the same.
            prop_assert_eq!(report.end_equity.units() - d("10000").units(), profits);
        }
    }

    #[test]
    fn truncated_data_change_nothing_that_was_decided_before(steps in steps(), cut in 2usize..200) {
        let candles = walk(&steps);
        let run = |candles: &[Candle]| {
            Backtest::new(market_terms()).unwrap()
                .candles(MINUTE, candles.to_vec(), &mut SmaCross::new(2, 5, d("1"), d("-1"))).unwrap()
        };
        let (all, part) = (run(&candles), run(&candles[..cut.min(candles.len())]));
        prop_assert_eq!(&all.fills[..part.fills.len()], &part.fills[..]);
    }
}

fn decisions(targets: &[Option<Decimal>]) -> Vec<Decision<Decimal>> {
    let numbered = targets.iter().enumerate();
    numbered.filter_map(|(candle, target)| Some(Decision { candle, what: (*target)? })).collect()
}

#[test]
fn the_check_names_the_strategy_that_looks_ahead_and_not_the_honest_one() {
    let steps: Vec<_> = (0..500i64).map(|at| (0, (at * 7919 % 201) - 100, 10, 10)).collect();
    let candles = walk(&steps);
    let cuts = || (10..500).step_by(7);
    let honest = |candles: &[Candle]| {
        let mut cross = SmaCross::new(3, 8, d("1"), d("0"));
        let targets: Vec<_> = candles.iter().map(|candle| cross.target(candle.close)).collect();
        Ok::<_, BacktestError>(decisions(&targets))
    };
    assert_eq!(look_ahead(&candles, cuts(), honest), Ok(None));
    // Long before candles that rise.
    let peeks = |candles: &[Candle]| {
        let next = candles.windows(2).map(|pair| Some(if pair[1].close > pair[0].close { d("1") } else { d("0") }));
        Ok::<_, BacktestError>(decisions(&next.collect::<Vec<_>>()))
    };
    let found = look_ahead(&candles, cuts(), peeks).unwrap().unwrap();
    assert_eq!((found.candle, found.candles), (9, 10));
    assert!(found.with_future.is_some() && found.without.is_none());
    // Compares with the mean of all data, the usual mistake.
    let normalises = |candles: &[Candle]| {
        let mean = candles.iter().map(|candle| candle.close.units()).sum::<i128>() / candles.len() as i128;
        let above = candles.iter().map(|candle| Some(if candle.close.units() > mean { d("1") } else { d("0") }));
        Ok::<_, BacktestError>(decisions(&above.collect::<Vec<_>>()))
    };
    assert!(look_ahead(&candles, cuts(), normalises).unwrap().is_some());
}

#[test]
fn a_long_run_keeps_a_curve_of_bounded_length_with_its_end() {
    let steps: Vec<_> = (0..20_000i64).map(|at| (0, (at * 7919 % 201) - 100, 10, 10)).collect();
    let candles = walk(&steps);
    let end = candles.last().unwrap().open_time_ns + MINUTE;
    let report = Backtest::new(market_terms())
        .unwrap()
        .candles(MINUTE, candles, &mut SmaCross::new(10, 30, d("1"), d("-1")))
        .unwrap();
    assert!((2000..=4097).contains(&report.curve.len()), "{}", report.curve.len());
    assert_eq!(report.curve.last(), Some(&(end, report.end_equity)));
    // 20 000 minutes touch 14 or 15 days.
    assert!((14..=15).contains(&report.daily_returns.len()));
    let product: f64 = report.daily_returns.iter().map(|day| 1.0 + day).product();
    assert!((product - 1.0 - report.statistics.total_return).abs() < 1e-9);
}
