//! The loop: market data in time order meets the open orders, then the strategy decides.

use super::Terms;
use super::account::{Account, Fill, Liquidity, in_range};
use super::market::{self, Candle, Tick, Touch};
use super::order::{Direction, OPEN_ORDERS, OpenOrder, Order, OrderId, Refusal, State};
use super::report::Report;
use super::statistics::Track;
use proto::Decimal;

/// Most fills of one run.
const FILLS: usize = 4_000_000;
/// Most refusals that are kept; all are counted.
pub(super) const REFUSALS: usize = 1000;
/// Sizes of targets are cut to this when there is no lot size: 10^-12.
const FINEST_LOT_UNITS: i128 = 1_000_000;

/// Decides what to do. Money is in the [`Desk`]; an error of the strategy is its own to keep.
pub trait Strategy {
    /// A candle has closed; orders are filled by the next one at the earliest.
    fn on_candle(&mut self, _candle: &Candle, _desk: &mut Desk<'_>) {}
    /// A trade of the market; orders are filled by the next one at the earliest.
    fn on_tick(&mut self, _tick: &Tick, _desk: &mut Desk<'_>) {}
    /// An order was filled, wholly or in part; told before the candle or tick that filled it.
    fn on_fill(&mut self, _fill: &Fill, _desk: &mut Desk<'_>) {}
    /// An order was given up because the account does not allow it.
    fn on_refusal(&mut self, _order: OrderId, _refusal: Refusal, _desk: &mut Desk<'_>) {}
}

/// Why a backtest cannot be run or finished.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BacktestError {
    /// A term is out of its range.
    #[error("{field}: {rule}")]
    Terms {
        /// Which.
        field: &'static str,
        /// What must hold.
        rule: &'static str,
    },
    /// Market data out of order or impossible.
    #[error("event {at}: {rule}")]
    Data {
        /// Its number, from 0.
        at: u64,
        /// What must hold.
        rule: &'static str,
    },
    /// A sum of money or a size exceeded 10^20.
    #[error("an amount exceeded 10^20")]
    OutOfRange,
    /// Too many fills.
    #[error("more than 4000000 fills")]
    Fills,
}

/// The simulated venue and account.
#[derive(Debug)]
pub struct Backtest {
    pub(super) terms: Terms,
    pub(super) account: Account,
    pub(super) open: Vec<OpenOrder>,
    pub(super) fills: Vec<Fill>,
    pub(super) refused: Vec<(u64, OrderId, Refusal)>,
    pub(super) refused_count: u64,
    next_id: u64,
    /// Time at which the strategy decides.
    pub(super) now_ns: u64,
    /// Last price of the market.
    pub(super) price: Decimal,
    /// What orders can still get from this candle or tick; `None` is all.
    budget: Option<Decimal>,
    /// How many fills the strategy knows.
    pub(super) told: usize,
    /// Refusals that it does not know yet.
    pub(super) news: Vec<(OrderId, Refusal)>,
    pub(super) events: u64,
    pub(super) track: Track,
    pub(super) ruined_ns: Option<u64>,
}

/// What a strategy sees and may do.
#[derive(Debug)]
pub struct Desk<'a>(pub(super) &'a mut Backtest);

impl Desk<'_> {
    /// Venue clock: the close of the candle, or the time of the tick.
    #[must_use]
    pub const fn now_ns(&self) -> u64 {
        self.0.now_ns
    }

    /// Cash, quote asset.
    #[must_use]
    pub const fn cash(&self) -> Decimal {
        self.0.account.cash
    }

    /// Position, base asset, signed.
    #[must_use]
    pub const fn position(&self) -> Decimal {
        self.0.account.position
    }

    /// Cash and the position at the last price; `None` beyond 10^20.
    #[must_use]
    pub fn equity(&self) -> Option<Decimal> {
        self.0.account.equity(self.0.price).ok()
    }

    /// Orders that are not done, the oldest first.
    #[must_use]
    pub fn open_orders(&self) -> &[OpenOrder] {
        &self.0.open
    }

    /// Places an order.
    ///
    /// # Errors
    /// What is wrong with it; nothing was placed. Whether the account allows it is known when it is filled.
    pub fn submit(&mut self, order: Order) -> Result<OrderId, Refusal> {
        let venue = &mut *self.0;
        order.check(&venue.terms)?;
        if venue.open.len() >= OPEN_ORDERS {
            return Err(Refusal::TooMany);
        }
        let id = OrderId(venue.next_id);
        venue.next_id += 1;
        let (remaining, decided_ns) = (order.size(), venue.now_ns);
        venue.open.push(OpenOrder { id, order, remaining, decided_ns, state: State::Fresh, cancelled_ns: None });
        Ok(id)
    }

    /// Cancels an order; false if it is not open. Until the latency has passed it can still be filled.
    pub fn cancel(&mut self, id: OrderId) -> bool {
        let at = self.0.now_ns.saturating_add(self.0.terms.latency_ns);
        let order = self.0.open.iter_mut().find(|order| order.id == id);
        order.map(|order| order.cancelled_ns.get_or_insert(at)).is_some()
    }

    /// Cancels all open orders.
    pub fn cancel_all(&mut self) {
        let at = self.0.now_ns.saturating_add(self.0.terms.latency_ns);
        for order in &mut self.0.open {
            order.cancelled_ns.get_or_insert(at);
        }
    }
}

impl Backtest {
    /// # Errors
    /// If the terms are out of range.
    pub fn new(terms: Terms) -> Result<Self, BacktestError> {
        terms.validate()?;
        let account = Account::new(terms.cash);
        Ok(Self {
            track: Track::new(terms.cash),
            account,
            terms,
            open: Vec::new(),
            fills: Vec::new(),
            refused: Vec::new(),
            refused_count: 0,
            next_id: 0,
            now_ns: 0,
            price: Decimal::ZERO,
            budget: None,
            told: 0,
            news: Vec::new(),
            events: 0,
            ruined_ns: None,
        })
    }

    /// Runs a strategy over candles of one length, in time order. Missing candles are jumped over.
    ///
    /// # Errors
    /// If a candle is impossible or out of order, or an amount leaves its range.
    pub fn candles<S: Strategy>(
        mut self,
        interval_ns: u64,
        candles: impl IntoIterator<Item = Candle>,
        strategy: &mut S,
    ) -> Result<Report, BacktestError> {
        for candle in candles {
            let at = self.events;
            if !candle.is_sound() {
                return Err(BacktestError::Data { at, rule: "prices must be positive, between low and high" });
            }
            if self.events > 0 && candle.open_time_ns < self.now_ns {
                return Err(BacktestError::Data { at, rule: "must begin after the one before has ended" });
            }
            if self.events == 0 {
                self.track.begin(candle.open_time_ns, candle.open);
            }
            self.meet(interval_ns, &candle)?;
            self.tell(strategy);
            strategy.on_candle(&candle, &mut Desk(&mut self));
            self.value()?;
            if self.ruined_ns.is_some() {
                break;
            }
        }
        Ok(Report::new(self))
    }

    /// Runs a strategy over ticks in time order.
    ///
    /// # Errors
    /// As [`Self::candles`].
    pub fn ticks<S: Strategy>(
        mut self,
        ticks: impl IntoIterator<Item = Tick>,
        strategy: &mut S,
    ) -> Result<Report, BacktestError> {
        for tick in ticks {
            let at = self.events;
            if !tick.price.is_positive() || !tick.size.is_positive() {
                return Err(BacktestError::Data { at, rule: "price and size must be greater than 0" });
            }
            if tick.time_ns < self.now_ns {
                return Err(BacktestError::Data { at, rule: "must not be before the one before" });
            }
            if self.events == 0 {
                self.track.begin(tick.time_ns, tick.price);
            }
            self.begin(tick.time_ns, tick.size)?;
            if !self.open.is_empty() {
                self.jump(tick.time_ns, tick.price)?;
            }
            (self.now_ns, self.price) = (tick.time_ns, tick.price);
            self.tell(strategy);
            strategy.on_tick(&tick, &mut Desk(&mut self));
            self.value()?;
            if self.ruined_ns.is_some() {
                break;
            }
        }
        Ok(Report::new(self))
    }

    /// The open orders meet a candle, which then is over.
    pub(super) fn meet(&mut self, interval_ns: u64, candle: &Candle) -> Result<(), BacktestError> {
        self.begin(candle.open_time_ns, candle.volume)?;
        if !self.open.is_empty() && !candle.volume.is_zero() {
            self.jump(candle.open_time_ns, candle.open)?;
            let mut from = candle.open;
            for to in candle.turns() {
                self.walk(candle.open_time_ns, from, to)?;
                from = to;
            }
        }
        self.now_ns = candle.open_time_ns.saturating_add(interval_ns);
        self.price = candle.close;
        Ok(())
    }

    /// A new candle or tick: cancellations that have arrived count, and its volume can be had.
    fn begin(&mut self, time_ns: u64, volume: Decimal) -> Result<(), BacktestError> {
        if !self.open.is_empty() {
            self.open.retain(|order| order.cancelled_ns.is_none_or(|at| at > time_ns));
        }
        self.budget = match self.terms.participation {
            Some(part) => Some(in_range(volume.checked_mul(part))?.truncate_to(self.terms.lot_size)),
            None => None,
        };
        Ok(())
    }

    /// Tells the strategy what happened to its orders.
    fn tell<S: Strategy>(&mut self, strategy: &mut S) {
        // What the strategy does in turn adds nothing here: orders are filled and refused by the market only.
        for at in std::mem::replace(&mut self.told, self.fills.len())..self.fills.len() {
            let fill = self.fills[at];
            strategy.on_fill(&fill, &mut Desk(self));
        }
        for (order, refusal) in std::mem::take(&mut self.news) {
            strategy.on_refusal(order, refusal, &mut Desk(self));
        }
    }

    /// Values the account at the end of a candle or at a tick.
    pub(super) fn value(&mut self) -> Result<(), BacktestError> {
        let equity = self.account.equity(self.price)?;
        self.record(equity);
        Ok(())
    }

    /// Writes down the value of the account; the run ends when nothing is left of it.
    pub(super) fn record(&mut self, equity: Decimal) {
        self.events += 1;
        self.track.add(self.now_ns, equity, self.price, !self.account.position.is_zero());
        if !equity.is_positive() {
            self.ruined_ns = Some(self.now_ns);
        }
    }

    fn is_active(&self, order: &OpenOrder, time_ns: u64) -> bool {
        order.decided_ns.saturating_add(self.terms.latency_ns) <= time_ns
    }

    fn jump(&mut self, time_ns: u64, price: Decimal) -> Result<(), BacktestError> {
        let mut at = 0;
        while at < self.open.len() {
            let done = if self.is_active(&self.open[at], time_ns) {
                let touch = market::jump(&self.open[at], price, self.terms.limit_fill);
                self.apply(at, touch, time_ns)?
            } else {
                false
            };
            at += usize::from(!done);
        }
        Ok(())
    }

    fn walk(&mut self, time_ns: u64, mut from: Decimal, to: Decimal) -> Result<(), BacktestError> {
        while self.budget.is_none_or(Decimal::is_positive) {
            let distance = |price: Decimal| price.units().abs_diff(from.units());
            let met = self.open.iter().enumerate().filter(|(_, order)| self.is_active(order, time_ns));
            let met = met.filter_map(|(at, order)| {
                let (price, touch) = market::meet(order, from, to, self.terms.limit_fill)?;
                Some((distance(price), order.id, at, price, touch))
            });
            let Some((_, _, at, price, touch)) = met.min_by_key(|(distance, id, ..)| (*distance, *id)) else { break };
            self.apply(at, touch, time_ns)?;
            from = price;
        }
        Ok(())
    }

    /// True if the order is done.
    fn apply(&mut self, at: usize, touch: Touch, time_ns: u64) -> Result<bool, BacktestError> {
        let order = &mut self.open[at];
        match touch {
            Touch::Rest => {
                if order.state == State::Fresh {
                    order.state = State::Resting;
                }
                Ok(false)
            }
            Touch::Trigger => {
                order.state = State::Triggered;
                Ok(false)
            }
            Touch::Slip(price) => {
                if matches!(order.order, Order::Stop { .. }) {
                    order.state = State::Triggered;
                }
                self.fill(at, time_ns, price, Liquidity::Taker)
            }
            Touch::Take(price) => {
                // What is left of it after a part rests at its limit.
                order.state =
                    if matches!(order.order, Order::StopLimit { .. }) { State::Triggered } else { State::Resting };
                self.fill(at, time_ns, price, Liquidity::Taker)
            }
            Touch::Make(price) => self.fill(at, time_ns, price, Liquidity::Maker),
        }
    }

    /// Fills what can be had at a price; true if the order is done.
    fn fill(&mut self, at: usize, time_ns: u64, price: Decimal, liquidity: Liquidity) -> Result<bool, BacktestError> {
        let OpenOrder { id, order, remaining, .. } = self.open[at];
        let (direction, wanted, price) = match order {
            Order::Target { exposure } => {
                let Some(found) = self.target(exposure, price)? else {
                    self.open.remove(at);
                    return Ok(true);
                };
                found
            }
            Order::Market { direction, size } | Order::Stop { direction, size, .. } => {
                (direction, remaining.unwrap_or(size), self.slipped(direction, price)?)
            }
            Order::Limit { direction, size, .. } | Order::StopLimit { direction, size, .. } => {
                (direction, remaining.unwrap_or(size), price)
            }
        };
        let size = self.budget.map_or(wanted, |budget| budget.min(wanted));
        if !size.is_positive() {
            return Ok(false);
        }
        let rate = match liquidity {
            Liquidity::Maker => self.terms.maker_fee,
            Liquidity::Taker => self.terms.taker_fee,
        };
        let value = in_range(price.checked_mul(size))?;
        let fee = in_range(value.checked_mul(rate))?;
        let position = in_range(direction.signed(size).and_then(|size| self.account.position.checked_add(size)))?;
        let fill = Fill { order: id, time_ns, direction, size, price, fee, liquidity, position };
        if let Err(refusal) = self.account.allows(&fill, &self.terms)? {
            self.open.remove(at);
            self.news.push((id, refusal));
            self.refused_count += 1;
            if self.refused.len() < REFUSALS {
                self.refused.push((time_ns, id, refusal));
            }
            return Ok(true);
        }
        if self.fills.len() >= FILLS {
            return Err(BacktestError::Fills);
        }
        self.account.book(&fill)?;
        self.fills.push(fill);
        if let Some(budget) = &mut self.budget {
            *budget = in_range(budget.checked_sub(size))?;
        }
        let done = size == wanted;
        if done {
            self.open.remove(at);
        } else if remaining.is_some() {
            self.open[at].remaining = wanted.checked_sub(size);
        }
        Ok(done)
    }

    /// A price worsened by slippage and rounded to the worse tick.
    fn slipped(&self, direction: Direction, price: Decimal) -> Result<Decimal, BacktestError> {
        let Terms { slippage, tick_size, .. } = self.terms;
        if slippage.is_zero() {
            return Ok(price);
        }
        let by = in_range(price.checked_mul(slippage))?;
        let worse = in_range(direction.signed(by).and_then(|by| price.checked_add(by)))?;
        let cut = worse.truncate_to(tick_size);
        Ok(match direction {
            Direction::Buy if cut != worse => in_range(cut.checked_add(tick_size))?,
            Direction::Sell if cut.is_zero() => worse,
            _ => cut,
        })
    }

    /// What to trade, and at which price, for a position worth a fraction of the equity; `None` if it is there.
    fn target(
        &self,
        exposure: Decimal,
        price: Decimal,
    ) -> Result<Option<(Direction, Decimal, Decimal)>, BacktestError> {
        let position = self.account.position;
        for direction in [Direction::Buy, Direction::Sell] {
            let at = self.slipped(direction, price)?;
            let wanted = in_range(self.target_position(exposure, at, direction))?;
            let size = match direction {
                Direction::Buy => wanted.checked_sub(position),
                Direction::Sell => position.checked_sub(wanted),
            };
            let size = in_range(size)?;
            if size.is_positive() {
                return Ok(Some((direction, size, at)));
            }
        }
        Ok(None)
    }

    /// The position `t` with `t·P = x·(E − f·P·|t − p|)`: worth the exposure `x` of what is left of the equity `E` after the
    /// fee `f` of getting there from the position `p` at the price `P`.
    fn target_position(&self, exposure: Decimal, price: Decimal, direction: Direction) -> Option<Decimal> {
        if exposure.is_zero() {
            return Some(Decimal::ZERO);
        }
        let position = self.account.position;
        let equity = position.checked_mul(price)?.checked_add(self.account.cash)?;
        let weight = direction.signed(exposure.checked_mul(self.terms.taker_fee)?)?;
        let value = exposure.checked_mul(equity)?;
        let held = weight.checked_mul(price)?.checked_mul(position)?;
        let unit = price.checked_mul(Decimal::ONE.checked_add(weight)?)?;
        let finest = Decimal::from_units(FINEST_LOT_UNITS).ok()?;
        let step = if self.terms.lot_size.is_zero() { finest } else { self.terms.lot_size };
        Some(value.checked_add(held)?.checked_div(unit)?.truncate_to(step))
    }
}
