//! The fast way for decisions that are known beforehand: nothing is done candle by candle while nothing happens.
//!
//! The result is that of the event-driven loop to the last digit. Between two orders the account only changes its value, and
//! all that a report needs of that is the lowest and the highest close of the stretch.

use super::engine::{Backtest, BacktestError, Desk};
use super::report::Report;
use super::{Candle, Order};
use proto::Decimal;
use std::ops::Range;

const DAY_NS: u64 = 86_400_000_000_000;
const DIGITS: u32 = 18;

/// From the end of a candle on, another exposure is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Change {
    /// Number of the candle that is seen when it is decided.
    pub at: usize,
    /// Fraction of the equity ([`Order::Target`]).
    pub exposure: Decimal,
}

/// Candles prepared for many runs.
#[derive(Debug)]
pub struct Series<'a> {
    candles: &'a [Candle],
    interval_ns: u64,
    /// Closes are whole multiples of 10^-digits.
    digits: u32,
    /// Closes in those; empty if they do not fit.
    closes: Vec<i64>,
    largest: i64,
    /// Sum of the closes before each candle, and of all; may wrap round.
    totals: Vec<i64>,
    /// Numbers of the candles that begin a UTC day, as the equity curve counts days.
    days: Vec<usize>,
}

impl<'a> Series<'a> {
    /// Checks and prepares candles of one length, in time order.
    ///
    /// # Errors
    /// [`BacktestError::Data`] if a candle is impossible or out of order.
    pub fn new(interval_ns: u64, candles: &'a [Candle]) -> Result<Self, BacktestError> {
        let mut end_ns = 0;
        for (at, candle) in (0..).zip(candles) {
            if !candle.is_sound() {
                return Err(BacktestError::Data { at, rule: "prices must be positive, between low and high" });
            }
            if candle.open_time_ns < end_ns {
                return Err(BacktestError::Data { at, rule: "must begin after the one before has ended" });
            }
            end_ns = candle.open_time_ns.saturating_add(interval_ns);
        }
        let digits = candles.iter().map(|candle| candle.close.mantissa_and_scale().1).max().unwrap_or(0);
        let unit = 10i128.pow(DIGITS - digits);
        let closes = candles.iter().map(|candle| i64::try_from(candle.close.units() / unit).ok()).collect();
        let closes: Vec<i64> = Option::unwrap_or_default(closes);
        let mut total = 0i64;
        let mut totals = vec![0];
        totals.extend(closes.iter().map(|close| {
            total = total.wrapping_add(*close);
            total
        }));
        let day = |candle: &Candle| candle.open_time_ns.saturating_add(interval_ns).saturating_sub(1) / DAY_NS;
        let begins = |at: &usize| day(&candles[*at]) != day(&candles[*at - 1]);
        let days = (1..candles.len()).filter(begins).collect();
        let largest = closes.iter().copied().max().unwrap_or(0);
        Ok(Self { candles, interval_ns, digits, closes, largest, totals, days })
    }

    /// The candles.
    #[must_use]
    pub const fn candles(&self) -> &'a [Candle] {
        self.candles
    }

    /// End of a candle.
    fn end_ns(&self, at: usize) -> u64 {
        self.candles[at].open_time_ns.saturating_add(self.interval_ns)
    }

    /// Running totals of the closes, if a sum over one of two periods times the other period fits.
    pub(super) fn totals(&self, one: usize, other: usize) -> Option<&[i64]> {
        let most = i64::try_from(one.checked_mul(other)?).ok()?.checked_mul(self.largest)?;
        (most > 0 && self.closes.len() == self.candles.len()).then_some(&self.totals)
    }

    /// The first candle after `at` that begins a day, or the end.
    fn next_day(&self, at: usize) -> usize {
        let next = self.days.partition_point(|day| *day <= at);
        self.days.get(next).copied().unwrap_or(self.candles.len())
    }
}

/// The value of an account between two fills, exact: `cash + gain · close`, the close counted as in [`Series`].
#[derive(Debug, Clone, Copy)]
struct Line {
    cash: i128,
    gain: i128,
}

impl Line {
    /// `None` if a value would have to be rounded or might be out of range.
    fn new(cash: Decimal, position: Decimal, series: &Series<'_>) -> Option<Self> {
        if series.closes.is_empty() {
            return None;
        }
        let unit = 10i128.pow(series.digits);
        let gain = position.units() / unit;
        let most = gain.checked_abs()?.checked_mul(i128::from(series.largest))?.checked_add(cash.abs().units())?;
        Decimal::from_units(most).ok()?;
        (gain * unit == position.units()).then_some(Self { cash: cash.units(), gain })
    }

    fn at(self, close: i64) -> i128 {
        self.cash + self.gain * i128::from(close)
    }

    /// The lowest and the highest value over some closes.
    fn extremes(self, closes: &[i64]) -> (i128, i128) {
        let (low, high) =
            closes.iter().fold((i64::MAX, i64::MIN), |(low, high), close| (low.min(*close), high.max(*close)));
        let (a, b) = (self.at(low), self.at(high));
        (a.min(b), a.max(b))
    }
}

impl Backtest {
    /// Runs decisions that were made beforehand; `changes` in the order of `at`. What comes out is what [`Self::candles`] gives
    /// for a strategy that cancels its orders and submits [`Order::Target`] at each change.
    ///
    /// # Errors
    /// If an amount leaves its range.
    pub fn changes(mut self, series: &Series<'_>, changes: &[Change]) -> Result<Report, BacktestError> {
        let count = series.candles.len();
        if let Some(first) = series.candles.first() {
            self.track.begin(first.open_time_ns, first.open);
        }
        let (mut at, mut changes) = (0, changes.iter().peekable());
        while at < count && self.ruined_ns.is_none() {
            let decision = changes.peek().map_or(count - 1, |change| change.at.min(count - 1));
            if self.open.is_empty() {
                at = self.idle(series, at..decision + 1)?;
            } else {
                self.meet(series.interval_ns, &series.candles[at])?;
                self.news.clear();
                self.told = self.fills.len();
                self.value()?;
                at += 1;
            }
            if let Some(change) = changes.next_if(|change| change.at < at) {
                let mut desk = Desk(&mut self);
                desk.cancel_all();
                // As with `Targets`: one that the terms do not allow leaves the position as it is.
                let _refused = desk.submit(Order::Target { exposure: change.exposure });
            }
        }
        Ok(Report::new(self))
    }

    /// Lets candles pass while there are no orders; where it has stopped: the end, or after the candle that left nothing.
    fn idle(&mut self, series: &Series<'_>, range: Range<usize>) -> Result<usize, BacktestError> {
        let line = Line::new(self.account.cash, self.account.position, series);
        let mut at = range.start;
        while at < range.end {
            let stop = self.track.quiet().saturating_add(at).min(series.next_day(at)).min(range.end);
            let stretch =
                line.filter(|_| stop > at && !series.days_at(at)).map(|line| (line, &series.closes[at..stop]));
            let Some((line, closes)) = stretch else {
                (self.now_ns, self.price) = (series.end_ns(at), series.candles[at].close);
                at += 1;
                self.value()?;
                if self.ruined_ns.is_some() {
                    break;
                }
                continue;
            };
            let (low, high) = line.extremes(closes);
            if low <= 0 || high >= self.track.peak().units() {
                // Something happens in it that has a time: candle by candle, with a cheap value.
                for close in closes {
                    (self.now_ns, self.price) = (series.end_ns(at), series.candles[at].close);
                    at += 1;
                    self.record(in_units(line.at(*close))?);
                    if self.ruined_ns.is_some() {
                        return Ok(at);
                    }
                }
                continue;
            }
            at = stop;
            (self.now_ns, self.price) = (series.end_ns(at - 1), series.candles[at - 1].close);
            self.events += closes.len() as u64;
            let last = in_units(line.at(closes[closes.len() - 1]))?;
            let invested = !self.account.position.is_zero();
            self.track.pass(closes.len() as u64, (self.now_ns, last, self.price), in_units(low)?, invested);
        }
        Ok(at)
    }
}

fn in_units(units: i128) -> Result<Decimal, BacktestError> {
    Decimal::from_units(units).map_err(|_| BacktestError::OutOfRange)
}

impl Series<'_> {
    /// True if the candle begins a day.
    fn days_at(&self, at: usize) -> bool {
        self.days.binary_search(&at).is_ok()
    }
}
