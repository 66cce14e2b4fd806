//! The answer to a candle query: filled, cut to its limit, and where the next page is.

use crate::series::{SeriesKey, ceil};
use crate::view::CandleView;
use proto::Decimal;
use proto::market::Candle;

/// What a client asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CandleRequest {
    pub(crate) key: SeriesKey,
    /// First open time; without it the newest candles before `to`.
    pub(crate) from: Option<u64>,
    /// End of open times, not included; without it there is none.
    pub(crate) to: Option<u64>,
    pub(crate) limit: usize,
    pub(crate) fill: bool,
}

/// A page of candles.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Page {
    pub(crate) candles: Vec<CandleView>,
    /// With `from`: the `from` of the next page. Without: the `to` of the next older page.
    pub(crate) next: Option<u64>,
}

impl CandleRequest {
    /// End of the page's open times: `to`, but never beyond the window that is open now.
    fn end(&self, now_ns: u64) -> u64 {
        let interval = self.key.interval;
        let open_end = interval.open_time(now_ns).saturating_add(interval.nanos());
        self.to.map_or(open_end, |to| ceil(interval, to).min(open_end))
    }

    /// The range of windows that the page would have if each window had a candle: where holes are looked for. The newest
    /// windows are left out until they are `settle_ns` old.
    pub(crate) fn nominal(&self, now_ns: u64, settle_ns: u64) -> (u64, u64) {
        let interval = self.key.interval;
        let span = interval.nanos().saturating_mul(self.limit as u64);
        let settled = interval.open_time(now_ns.saturating_sub(settle_ns));
        let end = self.end(now_ns).min(settled);
        match self.from {
            Some(from) => {
                let from = ceil(interval, from);
                (from.min(end), from.saturating_add(span).min(end))
            }
            None => (end.saturating_sub(span), end),
        }
    }

    /// Cuts rows (ascending, of the query) into a page. `previous` is the last candle before `from`, for filling.
    pub(crate) fn page(&self, rows: &[Candle], previous: Option<&Candle>, now_ns: u64) -> Page {
        match self.from {
            Some(from) => self.forward(from, rows, previous, now_ns),
            None => self.backward(rows, now_ns),
        }
    }

    fn forward(&self, from: u64, rows: &[Candle], previous: Option<&Candle>, now_ns: u64) -> Page {
        let step = self.key.interval.nanos();
        let candles = if self.fill {
            let known = previous.or(rows.first()).map_or(u64::MAX, |row| row.open_time_ns);
            let start = ceil(self.key.interval, from).max(known);
            let end = self.end(now_ns).min(start.saturating_add(step.saturating_mul(self.limit as u64)));
            fill(rows, previous, (start, end), (step, now_ns))
        } else {
            rows.iter().take(self.limit).map(CandleView::from).collect()
        };
        let end = self.to.unwrap_or(u64::MAX).min(self.end(now_ns));
        let next = candles.last().map(|last| last.open_time + step);
        let next = next.filter(|next| candles.len() >= self.limit && *next < end);
        Page { candles, next }
    }

    fn backward(&self, rows: &[Candle], now_ns: u64) -> Page {
        let step = self.key.interval.nanos();
        let rows = &rows[rows.len().saturating_sub(self.limit)..];
        let candles = match (self.fill, rows.first(), rows.last()) {
            (true, Some(first), Some(last)) => {
                // Without `to` the page ends at the last candle: a market that is over is not drawn out until now.
                let end = if self.to.is_some() { self.end(now_ns) } else { last.open_time_ns + step };
                let start = end.saturating_sub(step.saturating_mul(self.limit as u64)).max(first.open_time_ns);
                fill(rows, None, (start, end), (step, now_ns))
            }
            _ => rows.iter().map(CandleView::from).collect::<Vec<_>>(),
        };
        let next = candles.first().map(|first| first.open_time);
        // A page that is not full says nothing about the time before it: windows without a trade have no candle. The end is
        // an empty page.
        Page { candles, next }
    }
}

/// The windows of `[start, end)`: each with its candle, or flat at the close before it. Windows before the first known
/// price are left out.
fn fill(
    rows: &[Candle],
    previous: Option<&Candle>,
    (start, end): (u64, u64),
    (step, now_ns): (u64, u64),
) -> Vec<CandleView> {
    let mut at = rows.partition_point(|row| row.open_time_ns < start);
    let mut close = at.checked_sub(1).and_then(|before| rows.get(before)).or(previous).map(|row| row.close);
    let mut candles = Vec::new();
    let mut open_time = start;
    while open_time < end {
        match rows.get(at).filter(|row| row.open_time_ns == open_time) {
            Some(row) => {
                candles.push(CandleView::from(row));
                close = Some(row.close);
                at += 1;
            }
            None => candles.extend(close.map(|close| flat(open_time, close, open_time + step <= now_ns))),
        }
        open_time += step;
    }
    candles
}

/// A window without a trade.
fn flat(open_time: u64, close: Decimal, closed: bool) -> CandleView {
    CandleView {
        open_time,
        open: close,
        high: close,
        low: close,
        close,
        volume: Decimal::ZERO,
        quote_volume: Decimal::ZERO,
        trades: 0,
        revision: 0,
        closed,
        repaired: false,
    }
}

#[cfg(test)]
pub(crate) mod testing {
    //! Candles for tests.

    use proto::market::Candle;
    use proto::{Decimal, Interval};

    /// A closed one-minute candle of SIM:BTC/USDT that opens at minute `n` and stays at `price`.
    pub(crate) fn candle(n: u64, price: i64) -> Candle {
        let price = Decimal::from_int(price);
        Candle {
            venue: "SIM".parse().unwrap(),
            symbol: "BTC/USDT".parse().unwrap(),
            interval: Interval::M1,
            open_time_ns: n * Interval::M1.nanos(),
            open: price,
            high: price,
            low: price,
            close: price,
            volume: Decimal::ONE,
            quote_volume: price,
            trades: 1,
            revision: 0,
            closed: true,
            repaired: false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::testing::candle;
    use super::*;
    use proto::Interval;

    const MINUTE: u64 = Interval::M1.nanos();
    /// In the middle of minute 20.
    const NOW: u64 = 20 * MINUTE + MINUTE / 2;

    fn request(from: Option<u64>, to: Option<u64>, limit: usize, fill: bool) -> CandleRequest {
        let key =
            SeriesKey { venue: "SIM".parse().unwrap(), symbol: "BTC/USDT".parse().unwrap(), interval: Interval::M1 };
        CandleRequest { key, from: from.map(|n| n * MINUTE), to: to.map(|n| n * MINUTE), limit, fill }
    }

    fn rows(opens: &[u64]) -> Vec<Candle> {
        opens.iter().map(|n| candle(*n, 100 + i64::try_from(*n).unwrap())).collect()
    }

    fn shown(page: &Page) -> (Vec<(u64, u64, String)>, Option<u64>) {
        let candle = |c: &CandleView| (c.open_time / MINUTE, c.trades, c.close.to_string());
        (page.candles.iter().map(candle).collect(), page.next.map(|next| next / MINUTE))
    }

    fn row(open: u64, trades: u64, close: &str) -> (u64, u64, String) {
        (open, trades, close.to_owned())
    }

    #[test]
    fn a_forward_page_ends_at_its_limit_and_tells_where_to_go_on() {
        let page = request(Some(3), Some(9), 2, false).page(&rows(&[3, 5, 6]), None, NOW);
        assert_eq!(shown(&page), (vec![row(3, 1, "103"), row(5, 1, "105")], Some(6)));
        let page = request(Some(6), Some(9), 2, false).page(&rows(&[6, 8]), None, NOW);
        assert_eq!(shown(&page).1, None, "the range is at its end");
        let page = request(Some(6), None, 2, false).page(&rows(&[6]), None, NOW);
        assert_eq!(shown(&page).1, None, "not full");
    }

    #[test]
    fn a_backward_page_keeps_the_newest_and_tells_where_older_ones_are() {
        let page = request(None, None, 2, false).page(&rows(&[3, 5, 6]), None, NOW);
        assert_eq!(shown(&page), (vec![row(5, 1, "105"), row(6, 1, "106")], Some(5)));
        let page = request(None, None, 9, false).page(&rows(&[3, 5]), None, NOW);
        assert_eq!(shown(&page).1, Some(3), "a quiet market: windows without a trade have no candle");
        assert_eq!(shown(&request(None, None, 9, true).page(&[], None, NOW)), (vec![], None), "the end");
    }

    #[test]
    fn empty_windows_are_filled_with_the_close_before_them() {
        let page = request(Some(3), Some(8), 9, true).page(&rows(&[4, 6]), None, NOW);
        let expected = vec![row(4, 1, "104"), row(5, 0, "104"), row(6, 1, "106"), row(7, 0, "106")];
        assert_eq!(shown(&page), (expected, None), "nothing is known before the first candle");
        let previous = candle(1, 77);
        let page = request(Some(3), Some(5), 9, true).page(&rows(&[4]), Some(&previous), NOW);
        assert_eq!(shown(&page).0, [row(3, 0, "77"), row(4, 1, "104")]);
        let page = request(Some(3), Some(9), 2, true).page(&rows(&[8]), Some(&previous), NOW);
        assert_eq!(shown(&page), (vec![row(3, 0, "77"), row(4, 0, "77")], Some(5)));
    }

    #[test]
    fn filling_never_goes_beyond_the_window_that_is_open_now() {
        let page = request(Some(19), Some(99), 9, true).page(&rows(&[19]), None, NOW);
        assert_eq!(shown(&page), (vec![row(19, 1, "119"), row(20, 0, "119")], None));
        assert!(!page.candles[1].closed, "its window is not over");
        let page = request(None, Some(99), 9, true).page(&rows(&[19]), None, NOW);
        assert_eq!(shown(&page).0, [row(19, 1, "119"), row(20, 0, "119")]);
        let page = request(None, None, 9, true).page(&rows(&[3, 5]), None, NOW);
        assert_eq!(shown(&page).0, [row(3, 1, "103"), row(4, 0, "103"), row(5, 1, "105")], "a market that is over");
    }

    #[test]
    fn a_filled_backward_page_is_cut_to_its_limit_of_windows() {
        let page = request(None, None, 3, true).page(&rows(&[2, 10, 12]), None, NOW);
        assert_eq!(shown(&page), (vec![row(10, 1, "110"), row(11, 0, "110"), row(12, 1, "112")], Some(10)));
        let page = request(None, None, 2, true).page(&rows(&[2, 12]), None, NOW);
        assert_eq!(shown(&page), (vec![row(11, 0, "102"), row(12, 1, "112")], Some(11)));
    }

    #[test]
    fn the_nominal_range_is_where_holes_are_looked_for() {
        let minutes = |(from, to): (u64, u64)| (from / MINUTE, to / MINUTE);
        let settle = 5_000_000_000;
        assert_eq!(minutes(request(None, None, 10, false).nominal(NOW, settle)), (10, 20));
        assert_eq!(minutes(request(None, Some(8), 5, false).nominal(NOW, settle)), (3, 8));
        assert_eq!(minutes(request(None, Some(8), 500, false).nominal(NOW, settle)), (0, 8));
        assert_eq!(minutes(request(Some(3), Some(99), 4, false).nominal(NOW, settle)), (3, 7));
        assert_eq!(minutes(request(Some(18), None, 9, false).nominal(NOW, settle)), (18, 20));
        assert_eq!(minutes(request(Some(50), None, 9, false).nominal(NOW, settle)), (20, 20), "the future is empty");
        let just_closed = 20 * MINUTE + 1;
        assert_eq!(minutes(request(Some(18), None, 9, false).nominal(just_closed, settle)), (18, 19));
    }
}
