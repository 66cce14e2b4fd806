//! Market data of a backtest and how the market moves within it.

use super::order::{Direction, OpenOrder, Order, State};
use proto::Decimal;

/// One closed candle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Candle {
    /// Start, ns since the epoch.
    pub open_time_ns: u64,
    /// First price.
    pub open: Decimal,
    /// Highest price.
    pub high: Decimal,
    /// Lowest price.
    pub low: Decimal,
    /// Last price.
    pub close: Decimal,
    /// Sum of sizes, base asset.
    pub volume: Decimal,
}

impl From<&proto::market::Candle> for Candle {
    fn from(candle: &proto::market::Candle) -> Self {
        Self {
            open_time_ns: candle.open_time_ns,
            open: candle.open,
            high: candle.high,
            low: candle.low,
            close: candle.close,
            volume: candle.volume,
        }
    }
}

impl Candle {
    /// True if the prices are positive and lie between low and high.
    pub(super) fn is_sound(&self) -> bool {
        let within = |price: Decimal| self.low <= price && price <= self.high;
        self.low.is_positive() && within(self.open) && within(self.close) && !self.volume.is_negative()
    }

    /// The prices that the market turns at after the open, in the order they are taken to come.
    pub(super) fn turns(&self) -> [Decimal; 3] {
        let up = self.high.units() - self.open.units();
        let down = self.open.units() - self.low.units();
        if up <= down { [self.high, self.low, self.close] } else { [self.low, self.high, self.close] }
    }
}

/// One trade of the market.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tick {
    /// Venue clock, ns since the epoch.
    pub time_ns: u64,
    /// Price, > 0.
    pub price: Decimal,
    /// Size, base asset, > 0.
    pub size: Decimal,
}

impl From<&proto::market::Tick> for Tick {
    fn from(tick: &proto::market::Tick) -> Self {
        Self { time_ns: tick.event_time_ns, price: tick.price, size: tick.size }
    }
}

/// When a resting limit order is filled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LimitFill {
    /// When the market touches its price.
    Touch,
    /// When the market goes beyond its price: others may have been before it in the queue.
    Through,
}

impl LimitFill {
    /// True if the market at `price` fills a resting limit order.
    fn reached(self, direction: Direction, price: Decimal, limit: Decimal) -> bool {
        match self {
            Self::Touch => direction.satisfied(price, limit),
            Self::Through => direction.satisfied(price, limit) && price != limit,
        }
    }
}

/// What a price does to an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Touch {
    /// Nothing; it rests from now on.
    Rest,
    /// Filled as a taker at the price, worsened by slippage.
    Slip(Decimal),
    /// Filled as a taker at the price.
    Take(Decimal),
    /// Filled as a maker at its own price.
    Make(Decimal),
    /// A stop-limit whose stop was reached and whose limit was not.
    Trigger,
}

/// The market jumps to `price`: the open of a candle, or a tick.
pub(super) fn jump(order: &OpenOrder, price: Decimal, fill: LimitFill) -> Touch {
    match (order.order, order.state) {
        (Order::Market { .. } | Order::Target { .. }, _) | (Order::Stop { .. }, State::Triggered) => Touch::Slip(price),
        (Order::Stop { direction, price: stop, .. }, _) => {
            if direction.triggered(price, stop) {
                Touch::Slip(price)
            } else {
                Touch::Rest
            }
        }
        (Order::Limit { direction, price: limit, .. }, State::Fresh) => {
            if direction.satisfied(price, limit) {
                Touch::Take(price)
            } else {
                Touch::Rest
            }
        }
        (Order::Limit { direction, price: limit, .. }, _)
        | (Order::StopLimit { direction, limit, .. }, State::Triggered) => {
            if fill.reached(direction, price, limit) {
                Touch::Make(limit)
            } else {
                Touch::Rest
            }
        }
        (Order::StopLimit { direction, stop, limit, .. }, _) => {
            if !direction.triggered(price, stop) {
                Touch::Rest
            } else if direction.satisfied(price, limit) {
                Touch::Take(price)
            } else {
                Touch::Trigger
            }
        }
    }
}

/// The market goes from `from` to `to`, passing every price between: where it meets a resting order first, and what that does.
pub(super) fn meet(order: &OpenOrder, from: Decimal, to: Decimal, fill: LimitFill) -> Option<(Decimal, Touch)> {
    let passes = |price: Decimal| if to >= from { from < price && price <= to } else { to <= price && price < from };
    match (order.order, order.state) {
        (Order::Stop { direction, price: stop, .. }, _) => {
            (direction.triggered(to, stop) && passes(stop)).then_some((stop, Touch::Slip(stop)))
        }
        (Order::Limit { direction, price: limit, .. }, _)
        | (Order::StopLimit { direction, limit, .. }, State::Triggered) => {
            let meets = passes(limit) || limit == from;
            (meets && fill.reached(direction, to, limit)).then_some((limit, Touch::Make(limit)))
        }
        (Order::StopLimit { direction, stop, limit, .. }, _) => {
            let touch = if direction.satisfied(stop, limit) { Touch::Take(stop) } else { Touch::Trigger };
            (direction.triggered(to, stop) && passes(stop)).then_some((stop, touch))
        }
        // Filled by the first price; what is left of them waits for the next candle.
        (Order::Market { .. } | Order::Target { .. }, _) => None,
    }
}
