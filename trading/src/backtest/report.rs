//! What came out of a backtest.

use super::engine::Backtest;
use super::{Fill, OpenOrder, OrderId, Refusal, RoundTrip};
use proto::Decimal;

const DAY_NS: f64 = 86_400e9;
/// Markets that never close.
const DAYS_PER_YEAR: f64 = 365.0;

/// The result of a run. Amounts of money are exact; [`Statistics`] are floats for looking at.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    /// Start of the first candle, or time of the first tick.
    pub begin_ns: u64,
    /// End of the last.
    pub end_ns: u64,
    /// Candles or ticks.
    pub events: u64,
    /// Cash at the start.
    pub start_equity: Decimal,
    /// Cash and position at the last price.
    pub end_equity: Decimal,
    /// Position at the end, valued but not closed.
    pub position: Decimal,
    /// Of all fills.
    pub fees: Decimal,
    /// Price times size of all fills.
    pub turnover: Decimal,
    /// In order.
    pub fills: Vec<Fill>,
    /// Those that ended, in order of their end.
    pub round_trips: Vec<RoundTrip>,
    /// Orders that the account did not allow, with the time: the first 1 000.
    pub refused: Vec<(u64, OrderId, Refusal)>,
    /// How many there were.
    pub refused_count: u64,
    /// Orders that were open at the end.
    pub open_orders: Vec<OpenOrder>,
    /// When nothing was left, which ended the run.
    pub ruined_ns: Option<u64>,
    /// Equity at the end of candles, or at ticks: evenly thinned to at most 4 097 points.
    pub curve: Vec<(u64, Decimal)>,
    /// Returns of UTC days, the first and the last as far as they go; a day without data counts 0.
    pub daily_returns: Vec<f64>,
    /// Ratios.
    pub statistics: Statistics,
}

/// Ratios; `None` where they are not defined. Returns are fractions, a year has 365 days, the risk-free rate is 0.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Statistics {
    /// End over start, less 1.
    pub total_return: f64,
    /// Price at the end over the first price, less 1: what holding the instrument would have made without fees.
    pub benchmark_return: f64,
    /// (1 + total return)^(365 days / duration) − 1; from one day on.
    pub cagr: Option<f64>,
    /// Mean of the daily returns over their standard deviation (n − 1), times √365 (W. F. Sharpe, 1994).
    pub sharpe: Option<f64>,
    /// Mean of the daily returns over the root of the mean square of those below 0, others counting 0, times √365
    /// (F. A. Sortino, 1994; target 0).
    pub sortino: Option<f64>,
    /// CAGR over the largest drawdown (T. W. Young, 1991).
    pub calmar: Option<f64>,
    /// Largest fall of the equity from a peak, as a fraction of the peak, at closes.
    pub max_drawdown: f64,
    /// Longest time from a peak until it was reached again, or until the end, ns.
    pub longest_drawdown_ns: u64,
    /// Round trips with a profit over all.
    pub win_rate: Option<f64>,
    /// Sum of profits over sum of losses.
    pub profit_factor: Option<f64>,
    /// Mean profit of a round trip, quote asset.
    pub expectancy: Option<f64>,
    /// Time at whose end there was a position, over all time.
    pub exposure: Option<f64>,
}

impl Report {
    pub(super) fn new(mut run: Backtest) -> Self {
        let (daily_returns, curve) = run.track.finish();
        let statistics = statistics(&run, &daily_returns);
        let track = &run.track;
        Self {
            begin_ns: track.begin_ns,
            end_ns: track.end_ns,
            events: run.events,
            start_equity: track.start,
            end_equity: track.equity,
            position: run.account.position,
            fees: run.account.fees,
            turnover: run.account.turnover,
            fills: run.fills,
            round_trips: run.account.round_trips,
            refused: run.refused,
            refused_count: run.refused_count,
            open_orders: run.open,
            ruined_ns: run.ruined_ns,
            curve,
            daily_returns,
            statistics,
        }
    }
}

#[allow(clippy::cast_precision_loss, reason = "for looking at")]
fn statistics(run: &Backtest, daily: &[f64]) -> Statistics {
    let track = &run.track;
    let total_return = track.equity.to_f64() / track.start.to_f64() - 1.0;
    let time_ns = (track.end_ns - track.begin_ns) as f64;
    let cagr = (time_ns >= DAY_NS && track.equity.is_positive())
        .then(|| (1.0 + total_return).powf(DAYS_PER_YEAR * DAY_NS / time_ns) - 1.0);
    let profits: Vec<f64> = run.account.round_trips.iter().map(|trip| trip.profit.to_f64()).collect();
    let sum = |of: &dyn Fn(f64) -> bool| profits.iter().copied().filter(|profit| of(*profit)).sum::<f64>();
    let (won, lost) = (sum(&|profit| profit > 0.0), -sum(&|profit| profit < 0.0));
    let trips = profits.len() as f64;
    let wins = profits.iter().filter(|profit| **profit > 0.0).count() as f64;
    let days = daily.len() as f64;
    let mean = daily.iter().sum::<f64>() / days;
    let variance = daily.iter().map(|day| (day - mean).powi(2)).sum::<f64>() / (days - 1.0);
    let downside = daily.iter().map(|day| day.min(0.0).powi(2)).sum::<f64>() / days;
    let annual = |deviation: f64| mean / deviation * DAYS_PER_YEAR.sqrt();
    let first = track.first_price.to_f64();
    Statistics {
        total_return,
        benchmark_return: if first > 0.0 { track.last_price.to_f64() / first - 1.0 } else { 0.0 },
        cagr: cagr.filter(|cagr| cagr.is_finite()),
        sharpe: (daily.len() >= 2 && variance > 0.0).then(|| annual(variance.sqrt())),
        sortino: (daily.len() >= 2 && downside > 0.0).then(|| annual(downside.sqrt())),
        calmar: cagr.filter(|cagr| cagr.is_finite() && track.max_drawdown > 0.0).map(|cagr| cagr / track.max_drawdown),
        max_drawdown: track.max_drawdown,
        longest_drawdown_ns: track.drawdown_ns(),
        win_rate: (trips > 0.0).then(|| wins / trips),
        profit_factor: (lost > 0.0).then(|| won / lost),
        expectancy: (trips > 0.0).then(|| profits.iter().sum::<f64>() / trips),
        exposure: (time_ns > 0.0).then(|| track.invested_ns as f64 / time_ns),
    }
}
