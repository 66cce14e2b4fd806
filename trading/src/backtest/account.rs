//! Cash and position, exact, and the round trips that they made.

use super::order::{Direction, OrderId};
use super::{BacktestError, Shorting, Terms};
use crate::backtest::Refusal;
use proto::Decimal;

/// Whose order was there first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Liquidity {
    /// Ours: it rested.
    Maker,
    /// The market's.
    Taker,
}

/// One execution of an order or of a part of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fill {
    /// Of which order.
    pub order: OrderId,
    /// Open time of the candle, or time of the tick, that filled it.
    pub time_ns: u64,
    /// Buy or sell.
    pub direction: Direction,
    /// Base asset, > 0.
    pub size: Decimal,
    /// Quote asset per base asset, slippage included.
    pub price: Decimal,
    /// Quote asset; below 0 is a rebate.
    pub fee: Decimal,
    /// Which fee.
    pub liquidity: Liquidity,
    /// Position afterwards, signed.
    pub position: Decimal,
}

/// From no position to the next time there is none; turning a position over ends one and begins another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RoundTrip {
    /// Of the entry.
    pub direction: Direction,
    /// All that was entered, base asset.
    pub size: Decimal,
    /// Time of the first fill.
    pub opened_ns: u64,
    /// Time of the last fill.
    pub closed_ns: u64,
    /// Mean price of what was entered, rounded at 18 digits.
    pub entry_price: Decimal,
    /// Mean price of what was left.
    pub exit_price: Decimal,
    /// Of all its fills.
    pub fees: Decimal,
    /// Quote asset, fees taken off; exact.
    pub profit: Decimal,
}

/// The trip that is under way.
#[derive(Debug, Clone, Copy)]
struct Trip {
    direction: Direction,
    opened_ns: u64,
    entered: Decimal,
    entry_value: Decimal,
    exit_value: Decimal,
    fees: Decimal,
}

/// Arithmetic left the range of decimals.
pub(super) const fn in_range<T: Copy>(value: Option<T>) -> Result<T, BacktestError> {
    match value {
        Some(value) => Ok(value),
        None => Err(BacktestError::OutOfRange),
    }
}

/// What there is.
#[derive(Debug, Clone)]
pub(super) struct Account {
    pub(super) cash: Decimal,
    pub(super) position: Decimal,
    pub(super) fees: Decimal,
    /// Sum of price times size.
    pub(super) turnover: Decimal,
    trip: Option<Trip>,
    pub(super) round_trips: Vec<RoundTrip>,
}

impl Account {
    pub(super) const fn new(cash: Decimal) -> Self {
        let zero = Decimal::ZERO;
        Self { cash, position: zero, fees: zero, turnover: zero, trip: None, round_trips: Vec::new() }
    }

    /// Cash and the value of the position.
    pub(super) fn equity(&self, price: Decimal) -> Result<Decimal, BacktestError> {
        if self.position.is_zero() {
            return Ok(self.cash);
        }
        in_range(self.position.checked_mul(price).and_then(|value| self.cash.checked_add(value)))
    }

    /// Whether the account allows a fill. Making a position smaller is always allowed.
    pub(super) fn allows(&self, fill: &Fill, terms: &Terms) -> Result<Result<(), Refusal>, BacktestError> {
        let (before, after) = (self.position, fill.position);
        let turned = before.is_negative() != after.is_negative() && !before.is_zero() && !after.is_zero();
        if after.abs() <= before.abs() && !turned {
            return Ok(Ok(()));
        }
        if after.is_negative() && terms.shorting == Shorting::Refused {
            return Ok(Err(Refusal::Short));
        }
        let value = in_range(fill.price.checked_mul(fill.size))?;
        let signed = in_range(fill.direction.signed(value))?;
        let cash = in_range(self.cash.checked_sub(signed).and_then(|cash| cash.checked_sub(fill.fee)))?;
        let held = in_range(after.checked_mul(fill.price))?;
        let equity = in_range(cash.checked_add(held))?;
        let most = in_range(equity.checked_mul(terms.leverage))?;
        Ok(if held.abs() <= most { Ok(()) } else { Err(Refusal::Funds) })
    }

    /// Books a fill; one that turns the position over is booked in two parts, the fee in proportion.
    pub(super) fn book(&mut self, fill: &Fill) -> Result<(), BacktestError> {
        let closes = match self.trip {
            Some(trip) if trip.direction != fill.direction => fill.size.min(self.position.abs()),
            _ => Decimal::ZERO,
        };
        let opens = in_range(fill.size.checked_sub(closes))?;
        let closing_fee = if opens.is_zero() {
            fill.fee
        } else {
            in_range(fill.fee.checked_mul(closes).and_then(|part| part.checked_div(fill.size)))?
        };
        let parts = [(closes, closing_fee), (opens, in_range(fill.fee.checked_sub(closing_fee))?)];
        for (size, fee) in parts.into_iter().filter(|(size, _)| !size.is_zero()) {
            self.book_part(fill, size, fee)?;
        }
        Ok(())
    }

    fn book_part(&mut self, fill: &Fill, size: Decimal, fee: Decimal) -> Result<(), BacktestError> {
        let value = in_range(fill.price.checked_mul(size))?;
        let cost = in_range(fill.direction.signed(value).and_then(|signed| signed.checked_add(fee)))?;
        self.cash = in_range(self.cash.checked_sub(cost))?;
        self.position = in_range(fill.direction.signed(size).and_then(|signed| self.position.checked_add(signed)))?;
        self.fees = in_range(self.fees.checked_add(fee))?;
        self.turnover = in_range(self.turnover.checked_add(value))?;
        let mut trip = self.trip.unwrap_or(Trip {
            direction: fill.direction,
            opened_ns: fill.time_ns,
            entered: Decimal::ZERO,
            entry_value: Decimal::ZERO,
            exit_value: Decimal::ZERO,
            fees: Decimal::ZERO,
        });
        trip.fees = in_range(trip.fees.checked_add(fee))?;
        if trip.direction == fill.direction {
            trip.entered = in_range(trip.entered.checked_add(size))?;
            trip.entry_value = in_range(trip.entry_value.checked_add(value))?;
        } else {
            trip.exit_value = in_range(trip.exit_value.checked_add(value))?;
        }
        self.trip = Some(trip);
        if self.position.is_zero() {
            self.trip = None;
            self.round_trips.push(trip.finish(fill.time_ns)?);
        }
        Ok(())
    }
}

impl Trip {
    fn finish(self, closed_ns: u64) -> Result<RoundTrip, BacktestError> {
        let gain = match self.direction {
            Direction::Buy => self.exit_value.checked_sub(self.entry_value),
            Direction::Sell => self.entry_value.checked_sub(self.exit_value),
        };
        Ok(RoundTrip {
            direction: self.direction,
            size: self.entered,
            opened_ns: self.opened_ns,
            closed_ns,
            entry_price: in_range(self.entry_value.checked_div(self.entered))?,
            exit_price: in_range(self.exit_value.checked_div(self.entered))?,
            fees: self.fees,
            profit: in_range(gain.and_then(|gain| gain.checked_sub(self.fees)))?,
        })
    }
}
