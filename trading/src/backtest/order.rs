//! Orders: what a strategy may ask for and why it is refused.

use super::Terms;
use proto::Decimal;

/// Most orders that are open at once.
pub(super) const OPEN_ORDERS: usize = 1000;

/// Buy or sell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Direction {
    /// Adds to the position.
    Buy,
    /// Takes from the position.
    Sell,
}

impl Direction {
    /// The signed size.
    pub(super) fn signed(self, size: Decimal) -> Option<Decimal> {
        match self {
            Self::Buy => Some(size),
            Self::Sell => Decimal::ZERO.checked_sub(size),
        }
    }

    /// True if `price` is as good as `limit` or better.
    pub(super) fn satisfied(self, price: Decimal, limit: Decimal) -> bool {
        match self {
            Self::Buy => price <= limit,
            Self::Sell => price >= limit,
        }
    }

    /// True if `price` has reached `stop`.
    pub(super) fn triggered(self, price: Decimal, stop: Decimal) -> bool {
        match self {
            Self::Buy => price >= stop,
            Self::Sell => price <= stop,
        }
    }
}

/// Names an order of one backtest; higher is later.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OrderId(pub u64);

/// An order; sizes in the base asset, prices in the quote asset. All are good until they are cancelled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// At the next price.
    Market {
        /// Buy or sell.
        direction: Direction,
        /// How much, > 0.
        size: Decimal,
    },
    /// At this price or a better one.
    Limit {
        /// Buy or sell.
        direction: Direction,
        /// How much, > 0.
        size: Decimal,
        /// The worst price.
        price: Decimal,
    },
    /// A market order once the market has reached the price: at or above it to buy, at or below it to sell.
    Stop {
        /// Buy or sell.
        direction: Direction,
        /// How much, > 0.
        size: Decimal,
        /// Where it becomes a market order.
        price: Decimal,
    },
    /// A limit order once the market has reached the stop.
    StopLimit {
        /// Buy or sell.
        direction: Direction,
        /// How much, > 0.
        size: Decimal,
        /// Where it becomes a limit order.
        stop: Decimal,
        /// The worst price.
        limit: Decimal,
    },
    /// Market order to a position worth this fraction of the equity at the price it is filled at, fees of the order
    /// taken off first, rounded to lots towards zero; below 0 is a short position, 0 closes it.
    Target {
        /// Position value over equity.
        exposure: Decimal,
    },
}

/// Why an order was not accepted or ended unfilled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Size is zero or less.
    #[error("size: must be greater than 0")]
    Size,
    /// Size is no multiple of the lot size.
    #[error("size: must be a multiple of lot_size")]
    Lot,
    /// A price is zero or less.
    #[error("price: must be greater than 0")]
    Price,
    /// A price is no multiple of the tick size.
    #[error("price: must be a multiple of tick_size")]
    Tick,
    /// A target beyond the leverage, or below zero without shorting.
    #[error("exposure: must be within the leverage of the account")]
    Exposure,
    /// Too many open orders.
    #[error("at most 1000 orders may be open")]
    TooMany,
    /// The position would be larger than the account allows.
    #[error("not enough funds")]
    Funds,
    /// The position would be below zero.
    #[error("more than the position would be sold")]
    Short,
}

impl Order {
    /// Checks what can be checked before a price is known.
    pub(super) fn check(&self, terms: &Terms) -> Result<(), Refusal> {
        let prices = match *self {
            Self::Market { .. } | Self::Target { .. } => [None, None],
            Self::Limit { price, .. } | Self::Stop { price, .. } => [Some(price), None],
            Self::StopLimit { stop, limit, .. } => [Some(stop), Some(limit)],
        };
        for price in prices.into_iter().flatten() {
            if !price.is_positive() {
                return Err(Refusal::Price);
            }
            if !price.is_multiple_of(terms.tick_size) {
                return Err(Refusal::Tick);
            }
        }
        if let Self::Target { exposure } = self {
            let shorts = exposure.is_negative() && terms.shorting == super::Shorting::Refused;
            return if shorts || exposure.abs() > terms.leverage { Err(Refusal::Exposure) } else { Ok(()) };
        }
        match self.size() {
            Some(size) if !size.is_positive() => Err(Refusal::Size),
            Some(size) if !size.is_multiple_of(terms.lot_size) => Err(Refusal::Lot),
            _ => Ok(()),
        }
    }

    /// The size, if it is fixed.
    #[must_use]
    pub const fn size(&self) -> Option<Decimal> {
        match *self {
            Self::Market { size, .. }
            | Self::Limit { size, .. }
            | Self::Stop { size, .. }
            | Self::StopLimit { size, .. } => Some(size),
            Self::Target { .. } => None,
        }
    }
}

/// An order that is not done yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OpenOrder {
    /// Which one.
    pub id: OrderId,
    /// What was asked for.
    pub order: Order,
    /// What is left of its size; `None` for a target that was not filled at all yet.
    pub remaining: Option<Decimal>,
    /// When it was decided.
    pub decided_ns: u64,
    /// What it is now: a stop that was reached is a market order, a stop-limit then a limit.
    pub(super) state: State,
    /// It is cancelled from this time on.
    pub(super) cancelled_ns: Option<u64>,
}

/// How an order meets the market.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// Has not met a price yet.
    Fresh,
    /// Has met one and was not filled by it: a limit or stop that rests.
    Resting,
    /// Its stop was reached.
    Triggered,
}
