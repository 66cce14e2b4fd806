//! Windows whose content comes from the ticks in the lake: which ticks to read, and the candles they make.

use crate::content::{Content, Print};
use crate::trade::Trade;
use crate::update::{Ticker, candle};
use proto::Interval;
use proto::market::{Candle, Tick};
use std::collections::BTreeMap;

/// Longest range of ticks that is read at once: what bounds the memory.
const SPAN_NS: u64 = 3_600_000_000_000;

/// A range of ticks to read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span {
    /// Whose ticks.
    pub ticker: Ticker,
    /// Least event time.
    pub from_ns: u64,
    /// Greatest event time, not included.
    pub to_ns: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Window {
    closed: bool,
    content: Content,
}

/// The windows to make anew.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Recompute {
    windows: BTreeMap<Ticker, BTreeMap<(Interval, u64), Window>>,
    count: usize,
}

impl Recompute {
    /// Adds a window; adding it again changes at most whether it is closed.
    pub fn add(&mut self, ticker: &Ticker, interval: Interval, open_time_ns: u64, closed: bool) {
        let windows = match self.windows.get_mut(ticker) {
            Some(windows) => windows,
            None => self.windows.entry(ticker.clone()).or_default(),
        };
        let window = windows.entry((interval, open_time_ns)).or_insert_with(|| {
            self.count += 1;
            Window::default()
        });
        window.closed |= closed;
    }

    /// Number of windows.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.count
    }

    /// True if there is nothing to make anew.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The ranges that hold all ticks of all windows, disjoint, none longer than an hour.
    #[must_use]
    pub fn spans(&self) -> Vec<Span> {
        let mut spans = Vec::new();
        for (ticker, windows) in &self.windows {
            let mut ranges: Vec<_> = windows.keys().map(|(i, open)| (*open, open.saturating_add(i.nanos()))).collect();
            ranges.sort_unstable();
            let mut joined: Vec<(u64, u64)> = Vec::new();
            for (from, to) in ranges {
                match joined.last_mut() {
                    Some(last) if from <= last.1 => last.1 = last.1.max(to),
                    _ => joined.push((from, to)),
                }
            }
            for (mut from_ns, end_ns) in joined {
                while from_ns < end_ns {
                    let to_ns = end_ns.min(from_ns.saturating_add(SPAN_NS));
                    spans.push(Span { ticker: ticker.clone(), from_ns, to_ns });
                    from_ns = to_ns;
                }
            }
        }
        spans
    }

    /// Adds the ticks of one span to its windows.
    pub fn learn(&mut self, ticker: &Ticker, ticks: &[Tick]) {
        let Some(windows) = self.windows.get_mut(ticker) else { return };
        for tick in ticks {
            let trade = Trade::from(tick);
            let Some(print) = Print::of(&trade) else { continue };
            for interval in Interval::ALL {
                if let Some(window) = windows.get_mut(&(interval, interval.open_time(trade.event_time_ns))) {
                    window.content.add(&print);
                }
            }
        }
    }

    /// The candles, by ticker, interval and time; windows without ticks are left out.
    #[must_use]
    pub fn finish(self) -> Vec<Candle> {
        let mut candles = Vec::new();
        for (ticker, windows) in &self.windows {
            for ((interval, open_time_ns), window) in windows {
                if !window.content.is_empty() {
                    let mut candle = candle(ticker, *interval, *open_time_ns, &window.content);
                    candle.closed = window.closed;
                    candles.push(candle);
                }
            }
        }
        candles
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proto::Decimal;
    use proto::market::{Side, Source};

    const MINUTE: u64 = 60_000_000_000;
    const HOUR: u64 = 60 * MINUTE;

    fn ticker() -> Ticker {
        Ticker { venue: "SIM".parse().unwrap(), symbol: "BTC/USDT".parse().unwrap() }
    }

    fn tick(id: u64, time_ns: u64, price: i64) -> Tick {
        Tick {
            venue: ticker().venue,
            symbol: ticker().symbol,
            trade_id: id.to_string(),
            event_time_ns: time_ns,
            receive_time_ns: time_ns,
            price: Decimal::from_int(price),
            size: Decimal::ONE,
            side: Side::Buy,
            source: Source::Live,
            repaired: false,
        }
    }

    #[test]
    fn nested_windows_are_read_once_in_bounded_spans() {
        let mut recompute = Recompute::default();
        let day = 20_000 * 24 * HOUR;
        recompute.add(&ticker(), Interval::S1, day + 5_000_000_000, true);
        recompute.add(&ticker(), Interval::M1, day, true);
        recompute.add(&ticker(), Interval::D1, day, true);
        recompute.add(&ticker(), Interval::M1, day + 30 * HOUR, true);
        recompute.add(&ticker(), Interval::M1, day, true);
        assert_eq!(recompute.len(), 4);
        let spans = recompute.spans();
        assert_eq!(spans.len(), 25);
        assert!(spans.iter().all(|span| span.to_ns - span.from_ns <= HOUR));
        assert!(spans.windows(2).all(|pair| pair[0].to_ns <= pair[1].from_ns));
        assert_eq!((spans[0].from_ns, spans[24].to_ns), (day, day + 30 * HOUR + MINUTE));
    }

    #[test]
    fn only_the_asked_windows_are_made_and_only_of_their_ticks() {
        let mut recompute = Recompute::default();
        let hour = 500_000 * HOUR;
        recompute.add(&ticker(), Interval::M1, hour + MINUTE, true);
        recompute.add(&ticker(), Interval::M1, hour + 9 * MINUTE, true);
        recompute.add(&ticker(), Interval::H1, hour, false);
        recompute.learn(&ticker(), &[tick(1, hour, 5), tick(2, hour + MINUTE, 7)]);
        recompute.learn(&ticker(), &[tick(3, hour + MINUTE + 1, 6)]);
        let candles: Vec<_> = recompute
            .finish()
            .iter()
            .map(|c| (c.interval.seconds(), c.open.to_string(), c.close.to_string(), c.trades, c.closed))
            .collect();
        let expected = [(60, "7", "6", 2, true), (3600, "5", "6", 3, false)];
        assert_eq!(candles, expected.map(|(i, o, c, n, closed)| (i, o.to_owned(), c.to_owned(), n, closed)));
    }
}
