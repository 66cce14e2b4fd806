//! The market agrees with itself, whichever way it is asked.

use super::*;
use proptest::prelude::*;

fn market(seed: u64, per_second_milli: u32) -> SimMarket {
    SimMarket::new(
        seed,
        Specification {
            symbol: "BTC/USDT".parse().unwrap(),
            tick_size: "0.01".parse().unwrap(),
            lot_size: "0.00001".parse().unwrap(),
            base_ticks: 6_000_000,
            typical_lots: 500,
            volatility_percent: 100,
            per_second_milli,
        },
    )
}

/// Candles of trades, the plain way.
fn added_up(trades: &[SimTrade], interval_ms: u64) -> Vec<SimCandle> {
    let mut out: Vec<SimCandle> = Vec::new();
    for trade in trades {
        let open_ms = trade.time_ms - trade.time_ms % interval_ms;
        let turnover = i128::from(trade.price) * i128::from(trade.lots);
        match out.last_mut() {
            Some(c) if c.open_ms == open_ms => {
                c.high = c.high.max(trade.price);
                c.low = c.low.min(trade.price);
                c.close = trade.price;
                c.lots += trade.lots;
                c.turnover += turnover;
                c.trades += 1;
            }
            _ => out.push(SimCandle {
                open_ms,
                open: trade.price,
                high: trade.price,
                low: trade.price,
                close: trade.price,
                lots: trade.lots,
                turnover,
                trades: 1,
            }),
        }
    }
    out
}

const DAY_MS: u64 = 86_400_000;
/// 2024-08-08T00:00:00Z, a Thursday.
const START_MS: u64 = 1_723_075_200_000;

#[test]
fn candles_of_history_equal_candles_of_trades_for_every_interval() {
    let market = market(42, 10_000);
    let trades = market.trades(START_MS, START_MS + DAY_MS, usize::MAX);
    for interval in Interval::ALL {
        let expected = added_up(&trades, u64::from(interval.seconds()) * 1000);
        let got = market.candles(interval, START_MS, START_MS + DAY_MS, usize::MAX);
        assert_eq!(got.len(), expected.len(), "{interval}");
        assert!(got == expected, "{interval}: {:?}", got.iter().zip(&expected).find(|(a, b)| a != b));
    }
}

#[test]
fn ids_are_contiguous_and_times_ascend_over_the_end_of_a_week() {
    let market = market(1, 3_000);
    // Weeks of the calendar begin on Thursdays.
    let trades = market.trades(START_MS - DAY_MS / 24, START_MS + DAY_MS / 24, usize::MAX);
    assert!(trades.len() > 5_000);
    assert!(trades.windows(2).all(|p| p[0].id + 1 == p[1].id && p[0].time_ms <= p[1].time_ms));
}

#[test]
fn the_same_seed_gives_the_same_market_and_another_seed_another() {
    let range = (START_MS, START_MS + 600_000);
    let trades = |seed| market(seed, 5_000).trades(range.0, range.1, usize::MAX);
    assert_eq!(trades(7), trades(7));
    assert_ne!(trades(7), trades(8));
}

#[test]
fn the_price_moves_and_has_no_jumps_between_minutes() {
    let market = market(3, 20_000);
    let trades = market.trades(START_MS, START_MS + DAY_MS, usize::MAX);
    let jump = trades.windows(2).map(|p| (p[0].price - p[1].price).abs()).max().unwrap();
    // 10 basis points of 6,000,000 ticks.
    assert!(jump < 6_000, "{jump} ticks from one trade to the next");
    let (low, high) = (trades.iter().map(|t| t.price).min().unwrap(), trades.iter().map(|t| t.price).max().unwrap());
    assert!(high - low > 30_000, "the day moves half a percent or more: {low} to {high}");
}

#[test]
fn nothing_happened_before_the_exchange_opened() {
    let market = market(3, 20_000);
    assert!(market.trades(0, OPENED_MS, 10).is_empty());
    assert!(market.candles(Interval::D1, 0, OPENED_MS, 10).is_empty());
    assert_eq!(market.candles(Interval::D1, 0, OPENED_MS + DAY_MS, 10).len(), 1);
}

#[test]
fn decimals_of_prices_sizes_and_turnover_are_exact() {
    let market = market(3, 20_000);
    let trade = market.trades(START_MS, START_MS + 60_000, 1)[0];
    let (price, size) = (market.price(trade.price), market.size(trade.lots));
    let turnover = market.turnover(i128::from(trade.price) * i128::from(trade.lots));
    assert_eq!(price.checked_mul(size), Some(turnover));
    let (bid, bid_lots, ask, ask_lots) = market.quote(&trade);
    assert!(bid < ask && bid_lots > 0 && ask_lots > 0);
    assert!(trade.price == bid || trade.price == ask);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn any_slice_by_time_or_by_id_is_a_slice_of_the_whole(
        seed in any::<u64>(), rate in 50u32..8_000, offset in 0u64..3_000_000, length in 1u64..200_000, limit in 1usize..500,
    ) {
        let market = market(seed, rate);
        let (from, to) = (START_MS + offset, START_MS + offset + length);
        let whole = market.trades(START_MS, START_MS + 3_300_000, usize::MAX);
        let expected: Vec<_> = whole.iter().copied().filter(|t| from <= t.time_ms && t.time_ms < to).take(limit).collect();
        prop_assert_eq!(&market.trades(from, to, limit), &expected);
        if let Some(first) = expected.first() {
            prop_assert_eq!(market.trades_from(first.id, to, limit), expected);
        }
    }

    #[test]
    fn prices_are_positive_whatever_the_time(seed in any::<u64>(), minute in 26_297_280u64..100_000_000) {
        let market = market(seed, 1_000);
        prop_assert!(market.trades_of_minute(minute).iter().all(|t| t.price > 1_000_000 && t.lots > 0));
    }
}
