//! Candles of one interval from smaller pieces: from candles of a shorter interval, or from trades. Pure.

use proto::Interval;
use proto::market::{Candle, Tick};
use std::collections::BTreeMap;

/// Adds `next` to `sum`; both in the order of time.
fn append(sum: &mut Candle, next: &Candle) -> Option<()> {
    sum.high = sum.high.max(next.high);
    sum.low = sum.low.min(next.low);
    sum.close = next.close;
    sum.volume = sum.volume.checked_add(next.volume)?;
    sum.quote_volume = sum.quote_volume.checked_add(next.quote_volume)?;
    sum.trades += next.trades;
    Some(())
}

/// Makes longer candles of shorter ones, which must be ascending. `None` if a sum leaves the range of a decimal.
pub(crate) fn longer(shorter: &[Candle], interval: Interval) -> Option<Vec<Candle>> {
    let mut out: Vec<Candle> = Vec::new();
    for candle in shorter {
        let open_time_ns = interval.open_time(candle.open_time_ns);
        match out.last_mut() {
            Some(sum) if sum.open_time_ns == open_time_ns => append(sum, candle)?,
            _ => out.push(Candle { interval, open_time_ns, ..candle.clone() }),
        }
    }
    Some(out)
}

/// Makes candles of trades in any order, each trade once. Open and close are the first and last by event time, then id.
/// `None` if a sum leaves the range of a decimal.
pub(crate) fn of_trades(ticks: &[Tick], interval: Interval) -> Option<Vec<Candle>> {
    // Numeric ids compare as numbers, others as text.
    let id = |tick: &Tick| (tick.trade_id.parse::<u64>().unwrap_or(u64::MAX), tick.trade_id.clone());
    let ordered: BTreeMap<_, &Tick> = ticks.iter().map(|tick| ((tick.event_time_ns, id(tick)), tick)).collect();
    let mut singles = Vec::with_capacity(ordered.len());
    for tick in ordered.into_values() {
        singles.push(Candle {
            venue: tick.venue.clone(),
            symbol: tick.symbol.clone(),
            interval,
            open_time_ns: interval.open_time(tick.event_time_ns),
            open: tick.price,
            high: tick.price,
            low: tick.price,
            close: tick.price,
            volume: tick.size,
            quote_volume: tick.price.checked_mul(tick.size)?,
            trades: 1,
            revision: 0,
            closed: true,
            repaired: false,
        });
    }
    longer(&singles, interval)
}

/// The longest of the `available` intervals that `wanted` is a multiple of.
pub(crate) fn building_block(wanted: Interval, available: impl Fn(Interval) -> bool) -> Option<Interval> {
    let divides =
        |part: &Interval| part.seconds() < wanted.seconds() && wanted.seconds().is_multiple_of(part.seconds());
    Interval::ALL.into_iter().filter(divides).rev().find(|interval| available(*interval))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::{SimAdapter, SimConfig, SimExchange};
    use service::clock::Clock;
    use venues::{Adapter, CandlesQuery, TradesQuery};

    const START_MS: u64 = 1_723_075_200_000;
    const MS: u64 = 1_000_000;

    fn exchange() -> SimExchange {
        SimExchange::new(SimConfig::default(), &[], Clock::manual((START_MS + 3 * 86_400_000) * MS))
    }

    fn candles(interval: Interval, length_ms: u64) -> Vec<Candle> {
        let query = CandlesQuery {
            symbol: "BTC/USDT".parse().unwrap(),
            interval,
            from_ns: START_MS * MS,
            to_ns: (START_MS + length_ms) * MS,
        };
        let body = exchange().get(&SimAdapter.candles_page(&query).unwrap().path_and_query).1;
        SimAdapter.parse_candles(&query, &body, 0).unwrap().candles
    }

    #[test]
    fn four_hours_of_one_hour_candles_are_the_venues_own() {
        let four_hours: Interval = "4h".parse().unwrap();
        assert_eq!(longer(&candles(Interval::H1, 86_400_000), four_hours), Some(candles(four_hours, 86_400_000)));
    }

    #[test]
    fn candles_of_trades_are_the_venues_own_whatever_the_order_of_the_trades() {
        let query = TradesQuery::by_time("BTC/USDT".parse().unwrap(), START_MS * MS, (START_MS + 240_000) * MS);
        let body = exchange().get(&SimAdapter.trades_page(&query).unwrap().path_and_query).1;
        let mut ticks = SimAdapter.parse_trades(&query, &body, 1).unwrap().ticks;
        ticks.reverse();
        ticks.extend(ticks[..10].to_vec());
        for interval in [Interval::S1, Interval::M1] {
            assert_eq!(of_trades(&ticks, interval), Some(candles(interval, 240_000)), "{interval}");
        }
    }

    #[test]
    fn the_longest_interval_that_fits_is_the_building_block() {
        let four_hours: Interval = "4h".parse().unwrap();
        assert_eq!(building_block(four_hours, |_| true), Some(Interval::H1));
        assert_eq!(building_block(four_hours, |i| i.seconds() <= 900), Interval::from_seconds(900).ok());
        assert_eq!(building_block(Interval::S1, |_| true), None);
        assert_eq!(building_block(four_hours, |_| false), None);
    }
}
