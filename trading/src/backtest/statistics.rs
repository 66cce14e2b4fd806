//! What is learnt from the equity on the way: drawdown, daily returns, time in the market, a curve of bounded length.

use proto::Decimal;

const DAY_NS: u64 = 86_400_000_000_000;
/// Most points of the curve; then every second one is kept.
const CURVE: usize = 4096;

/// The equity so far.
#[derive(Debug, Clone)]
pub(super) struct Track {
    pub(super) begin_ns: u64,
    pub(super) end_ns: u64,
    pub(super) first_price: Decimal,
    pub(super) last_price: Decimal,
    pub(super) start: Decimal,
    pub(super) equity: Decimal,
    peak: Decimal,
    peak_ns: u64,
    /// The lowest equity since the peak.
    trough: Decimal,
    /// Largest fall from a peak before this one, as a fraction of it.
    pub(super) max_drawdown: f64,
    longest_drawdown_ns: u64,
    pub(super) invested_ns: u64,
    /// Equity at the end of the day before and at the last event.
    day: u64,
    day_begin: f64,
    daily_returns: Vec<f64>,
    curve: Vec<(u64, Decimal)>,
    stride: u64,
    count: u64,
}

impl Track {
    pub(super) const fn new(start: Decimal) -> Self {
        Self {
            begin_ns: 0,
            end_ns: 0,
            first_price: Decimal::ZERO,
            last_price: Decimal::ZERO,
            start,
            equity: start,
            peak: start,
            peak_ns: 0,
            trough: start,
            max_drawdown: 0.0,
            longest_drawdown_ns: 0,
            invested_ns: 0,
            day: 0,
            day_begin: 0.0,
            daily_returns: Vec::new(),
            curve: Vec::new(),
            stride: 1,
            count: 0,
        }
    }

    pub(super) fn begin(&mut self, time_ns: u64, price: Decimal) {
        (self.begin_ns, self.end_ns, self.peak_ns) = (time_ns, time_ns, time_ns);
        (self.first_price, self.last_price) = (price, price);
        (self.day, self.day_begin) = (time_ns / DAY_NS, self.start.to_f64());
    }

    /// The equity at a time, and whether there is a position.
    pub(super) fn add(&mut self, time_ns: u64, equity: Decimal, price: Decimal, invested: bool) {
        // A candle that ends at midnight belongs to the day that ends.
        let day = time_ns.saturating_sub(1) / DAY_NS;
        if day > self.day {
            self.end_day();
            let empty = usize::try_from(day - self.day - 1).unwrap_or(usize::MAX);
            self.daily_returns.resize(self.daily_returns.len() + empty, 0.0);
            self.day = day;
        }
        if invested {
            self.invested_ns += time_ns - self.end_ns;
        }
        if equity >= self.peak {
            if self.equity < self.peak {
                self.longest_drawdown_ns = self.longest_drawdown_ns.max(time_ns - self.peak_ns);
            }
            self.end_fall();
            (self.peak, self.peak_ns, self.trough) = (equity, time_ns, equity);
        } else {
            self.trough = self.trough.min(equity);
        }
        (self.end_ns, self.equity, self.last_price) = (time_ns, equity, price);
        if self.count.is_multiple_of(self.stride) {
            if self.curve.len() == CURVE {
                let mut at = 0;
                self.curve.retain(|_| {
                    at += 1;
                    at % 2 == 1
                });
                self.stride *= 2;
            }
            self.curve.push((time_ns, equity));
        }
        self.count += 1;
    }

    /// How many events from now on have no point of the curve and may come in one [`Self::pass`].
    pub(super) fn quiet(&self) -> usize {
        let rest = self.count % self.stride;
        usize::try_from(if rest == 0 { 0 } else { self.stride - rest }).unwrap_or(usize::MAX)
    }

    pub(super) const fn peak(&self) -> Decimal {
        self.peak
    }

    /// `count` events, at most [`Self::quiet`], of one day, that all stay below the peak: time, equity and price of the last,
    /// and the lowest equity.
    pub(super) fn pass(&mut self, count: u64, last: (u64, Decimal, Decimal), lowest: Decimal, invested: bool) {
        let (time_ns, equity, price) = last;
        if invested {
            self.invested_ns += time_ns - self.end_ns;
        }
        self.trough = self.trough.min(lowest);
        (self.end_ns, self.equity, self.last_price) = (time_ns, equity, price);
        self.count += count;
    }

    /// Counts the fall from the peak. The deepest one of a peak is that to its trough, so one division is enough.
    fn end_fall(&mut self) {
        if self.trough < self.peak {
            let peak = self.peak.to_f64();
            self.max_drawdown = self.max_drawdown.max((peak - self.trough.to_f64()) / peak);
        }
    }

    fn end_day(&mut self) {
        let equity = self.equity.to_f64();
        self.daily_returns.push(equity / self.day_begin - 1.0);
        self.day_begin = equity;
    }

    /// The longest time from a peak until it was reached again, or until the end.
    pub(super) fn drawdown_ns(&self) -> u64 {
        if self.equity < self.peak {
            self.longest_drawdown_ns.max(self.end_ns - self.peak_ns)
        } else {
            self.longest_drawdown_ns
        }
    }

    /// Returns by day, the first and the last as far as they go, and the curve, its last point being the end.
    pub(super) fn finish(&mut self) -> (Vec<f64>, Vec<(u64, Decimal)>) {
        self.end_fall();
        if self.count > 0 {
            self.end_day();
        }
        if self.curve.last().is_some_and(|(time_ns, _)| *time_ns != self.end_ns) {
            self.curve.push((self.end_ns, self.equity));
        }
        (std::mem::take(&mut self.daily_returns), std::mem::take(&mut self.curve))
    }
}
