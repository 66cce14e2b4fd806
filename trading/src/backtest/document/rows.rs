//! The parts of a report in JSON.

use super::Exact;
use crate::backtest::{Direction, Fill, Liquidity, OpenOrder, Order, OrderId, Refusal, Report, RoundTrip, Statistics};
use serde::{Deserialize, Serialize};

const fn direction(direction: Direction) -> &'static str {
    match direction {
        Direction::Buy => "buy",
        Direction::Sell => "sell",
    }
}

/// Totals of a run; see [`Report`] for each.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "as in Report")]
pub struct Summary {
    pub begin_ns: u64,
    pub end_ns: u64,
    pub events: u64,
    pub start_equity: Exact,
    pub end_equity: Exact,
    pub position: Exact,
    pub fees: Exact,
    pub turnover: Exact,
    pub fills: usize,
    pub round_trips: usize,
    pub refused: u64,
    pub ruined_ns: Option<u64>,
}

impl From<&Report> for Summary {
    fn from(report: &Report) -> Self {
        Self {
            begin_ns: report.begin_ns,
            end_ns: report.end_ns,
            events: report.events,
            start_equity: Exact(report.start_equity),
            end_equity: Exact(report.end_equity),
            position: Exact(report.position),
            fees: Exact(report.fees),
            turnover: Exact(report.turnover),
            fills: report.fills.len(),
            round_trips: report.round_trips.len(),
            refused: report.refused_count,
            ruined_ns: report.ruined_ns,
        }
    }
}

/// Ratios; see [`Statistics`] for each.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "as in Statistics")]
pub struct StatisticsRow {
    pub total_return: f64,
    pub benchmark_return: f64,
    pub cagr: Option<f64>,
    pub sharpe: Option<f64>,
    pub sortino: Option<f64>,
    pub calmar: Option<f64>,
    pub max_drawdown: f64,
    pub longest_drawdown_ns: u64,
    pub win_rate: Option<f64>,
    pub profit_factor: Option<f64>,
    pub expectancy: Option<f64>,
    pub exposure: Option<f64>,
}

impl From<&Statistics> for StatisticsRow {
    fn from(s: &Statistics) -> Self {
        Self {
            total_return: s.total_return,
            benchmark_return: s.benchmark_return,
            cagr: s.cagr,
            sharpe: s.sharpe,
            sortino: s.sortino,
            calmar: s.calmar,
            max_drawdown: s.max_drawdown,
            longest_drawdown_ns: s.longest_drawdown_ns,
            win_rate: s.win_rate,
            profit_factor: s.profit_factor,
            expectancy: s.expectancy,
            exposure: s.exposure,
        }
    }
}

/// The equity at a time.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct CurvePoint {
    /// End of a candle, or time of a tick.
    pub time_ns: u64,
    /// Cash and position.
    pub equity: Exact,
    /// How far below the highest point so far, as a fraction of it.
    pub drawdown: f64,
    /// What holding the instrument instead would be worth, quote asset.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub benchmark: Option<f64>,
}

impl CurvePoint {
    pub(super) fn of(report: &Report) -> Vec<Self> {
        let mut peak = report.start_equity.to_f64();
        let point = |&(time_ns, equity): &(u64, proto::Decimal)| {
            peak = peak.max(equity.to_f64());
            let drawdown = if peak > 0.0 { (peak - equity.to_f64()) / peak } else { 0.0 };
            Self { time_ns, equity: Exact(equity), drawdown, benchmark: None }
        };
        report.curve.iter().map(point).collect()
    }
}

/// One execution.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "as in Fill")]
pub struct FillRow {
    pub order: u64,
    pub time_ns: u64,
    /// `buy` or `sell`.
    pub direction: String,
    pub size: Exact,
    pub price: Exact,
    pub fee: Exact,
    /// True if the order rested.
    pub maker: bool,
    pub position: Exact,
}

impl From<&Fill> for FillRow {
    fn from(fill: &Fill) -> Self {
        Self {
            order: fill.order.0,
            time_ns: fill.time_ns,
            direction: direction(fill.direction).to_owned(),
            size: Exact(fill.size),
            price: Exact(fill.price),
            fee: Exact(fill.fee),
            maker: fill.liquidity == Liquidity::Maker,
            position: Exact(fill.position),
        }
    }
}

/// From no position to none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "as in RoundTrip")]
pub struct RoundTripRow {
    /// `buy` for a long one, `sell` for a short one.
    pub direction: String,
    pub size: Exact,
    pub opened_ns: u64,
    pub closed_ns: u64,
    pub entry_price: Exact,
    pub exit_price: Exact,
    pub fees: Exact,
    pub profit: Exact,
}

impl From<&RoundTrip> for RoundTripRow {
    fn from(trip: &RoundTrip) -> Self {
        Self {
            direction: direction(trip.direction).to_owned(),
            size: Exact(trip.size),
            opened_ns: trip.opened_ns,
            closed_ns: trip.closed_ns,
            entry_price: Exact(trip.entry_price),
            exit_price: Exact(trip.exit_price),
            fees: Exact(trip.fees),
            profit: Exact(trip.profit),
        }
    }
}

/// An order that the account did not allow.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefusalRow {
    /// When.
    pub time_ns: u64,
    /// Which.
    pub order: u64,
    /// Why.
    pub reason: String,
}

impl From<&(u64, OrderId, Refusal)> for RefusalRow {
    fn from((time_ns, order, refusal): &(u64, OrderId, Refusal)) -> Self {
        Self { time_ns: *time_ns, order: order.0, reason: refusal.to_string() }
    }
}

/// An order that was open at the end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenOrderRow {
    /// Which.
    pub order: u64,
    /// When it was decided.
    pub decided_ns: u64,
    /// What it is, in words: `buy 1 limit 99.5`.
    pub what: String,
    /// What is left of its size.
    pub remaining: Option<Exact>,
}

impl From<&OpenOrder> for OpenOrderRow {
    fn from(order: &OpenOrder) -> Self {
        Self {
            order: order.id.0,
            decided_ns: order.decided_ns,
            what: order.order.to_string(),
            remaining: order.remaining.map(Exact),
        }
    }
}

impl std::fmt::Display for Order {
    /// In words: `buy 1 limit 99.5`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match *self {
            Self::Market { direction: way, size } => write!(f, "{} {size}", direction(way)),
            Self::Limit { direction: way, size, price } => write!(f, "{} {size} limit {price}", direction(way)),
            Self::Stop { direction: way, size, price } => write!(f, "{} {size} stop {price}", direction(way)),
            Self::StopLimit { direction: way, size, stop, limit } => {
                write!(f, "{} {size} stop {stop} limit {limit}", direction(way))
            }
            Self::Target { exposure } => write!(f, "target {exposure}"),
        }
    }
}
