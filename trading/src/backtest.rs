//! Backtests: a strategy meets a simulated venue on recorded candles or ticks.
//!
//! Event-driven and exact: money, sizes and prices are decimals, and the same input gives the same result to the last digit.
//! Reading order: [`Order`] (what a strategy may ask for), `market` (which prices a candle or a tick passes), `account`,
//! [`Backtest`] (the loop), [`Report`]; [`Series`] (the fast way for decisions made beforehand, [`sweep_on`]); then what judges a strategy: [`look_ahead()`], [`monte_carlo()`], [`walk_forward()`].
//!
//! **No look-ahead by construction.** A strategy sees a candle when it is closed, and an order decided then can be filled by
//! the next candle at the earliest; one decided on a tick, by the next tick. [`Terms::latency_ns`] makes it later. A
//! strategy that brings precomputed decisions can still have looked ahead when it made them: [`look_ahead()`] finds that
//! out.
//!
//! **What happens within a candle** is not known, only its four prices. The market is taken to go from the open to the
//! extreme that is nearer to it, then to the other one, then to the close (ties: the high first), passing every price in
//! between; orders are met in that order. A candle of volume 0 fills nothing.
//!
//! | order | is filled | at |
//! |---|---|---|
//! | market, target | at the first price after it became active | that price, worsened by slippage |
//! | limit that the first price satisfies | then | that price (taker) |
//! | limit that rests | when the market reaches it ([`LimitFill`]) | its own price (maker), also when the market jumps over it |
//! | stop | when the market reaches it | its price, or the price it jumps to, worsened by slippage |
//! | stop-limit | after the stop was reached, as a limit order from there on | the rules of a limit order |

mod account;
pub mod document;
mod engine;
mod look_ahead;
mod market;
mod monte_carlo;
mod order;
pub mod page;
mod report;
mod sma_cross;
mod statistics;
mod sweep;
mod targets;
#[cfg(test)]
mod tests;
mod vector;
mod walk_forward;

pub use account::{Fill, Liquidity, RoundTrip};
pub use engine::{Backtest, BacktestError, Desk, Strategy};
pub use look_ahead::{Decision, LookAhead, look_ahead};
pub use market::{Candle, LimitFill, Tick};
pub use monte_carlo::{MONTE_CARLO_DRAWS, MONTE_CARLO_RUNS, MonteCarloError, Outcomes, PERCENTILES, monte_carlo};
pub use order::{Direction, OpenOrder, Order, OrderId, Refusal};
pub use report::{Report, Statistics};
pub use sma_cross::SmaCross;
pub use sweep::sweep_on;
pub use targets::Targets;
pub use vector::{Change, Series};
pub use walk_forward::{Step, sweep, walk_forward};

use proto::Decimal;

/// The instrument, the account and the venue of a backtest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Terms {
    /// Cash at the start, quote asset, > 0.
    pub cash: Decimal,
    /// Prices of orders are multiples of it; 0 allows every price.
    pub tick_size: Decimal,
    /// Sizes of orders are multiples of it; 0 allows every size.
    pub lot_size: Decimal,
    /// Fee of a resting order, as a fraction of price times size; below 0 it is a rebate.
    pub maker_fee: Decimal,
    /// Fee of an order that takes, as a fraction of price times size.
    pub taker_fee: Decimal,
    /// By how much market and stop orders are filled worse, as a fraction of the price; then rounded to `tick_size`, to the
    /// worse side.
    pub slippage: Decimal,
    /// Time from a decision until its order, or its cancellation, is active at the venue.
    pub latency_ns: u64,
    /// Most of a candle's volume or of a tick's size that orders get, as a fraction; `None` is no limit. What is left of an
    /// order stays open.
    pub participation: Option<Decimal>,
    /// When a resting limit order is filled.
    pub limit_fill: LimitFill,
    /// Largest position value as a multiple of the equity; 1 is an account without credit.
    pub leverage: Decimal,
    /// Whether a position below zero is allowed.
    pub shorting: Shorting,
}

/// Whether more may be sold than is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shorting {
    /// A sale that would go below zero is refused.
    Refused,
    /// Within `leverage`, like buying.
    Allowed,
}

impl Terms {
    /// An account without credit, fees, slippage or latency.
    #[must_use]
    pub const fn with_cash(cash: Decimal) -> Self {
        Self {
            cash,
            tick_size: Decimal::ZERO,
            lot_size: Decimal::ZERO,
            maker_fee: Decimal::ZERO,
            taker_fee: Decimal::ZERO,
            slippage: Decimal::ZERO,
            latency_ns: 0,
            participation: None,
            limit_fill: LimitFill::Touch,
            leverage: Decimal::ONE,
            shorting: Shorting::Refused,
        }
    }

    /// Checks the ranges; names the field.
    ///
    /// # Errors
    /// [`BacktestError::Terms`].
    pub fn validate(&self) -> Result<(), BacktestError> {
        let one = Decimal::ONE;
        let rules = [
            ("cash", "must be greater than 0", self.cash.is_positive()),
            ("tick_size", "must not be negative", !self.tick_size.is_negative()),
            ("lot_size", "must not be negative", !self.lot_size.is_negative()),
            ("maker_fee", "must be between -1 and 1", self.maker_fee.abs() < one),
            ("taker_fee", "must be between -1 and 1", self.taker_fee.abs() < one),
            ("slippage", "must be at least 0 and below 1", !self.slippage.is_negative() && self.slippage < one),
            (
                "participation",
                "must be greater than 0 and at most 1",
                self.participation.is_none_or(|part| part.is_positive() && part <= one),
            ),
            ("leverage", "must be greater than 0", self.leverage.is_positive()),
        ];
        match rules.into_iter().find(|(_, _, holds)| !holds) {
            Some((field, rule, _)) => Err(BacktestError::Terms { field, rule }),
            None => Ok(()),
        }
    }
}
