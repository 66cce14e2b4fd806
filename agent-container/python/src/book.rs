//! What a strategy does in a run, behind its Python methods: orders in, decisions noted.

use proto::Decimal;
use pyo3::prelude::*;
use std::fmt;
use trading::backtest::{Decision, Desk, Order, OrderId, Refusal};

/// Most decisions that are noted for the look-ahead check.
const DECISIONS: usize = 2_000_000;
/// 10^-9: targets that differ by no more are the same.
const NEAR_UNITS: u128 = 1_000_000_000;

/// Something that a strategy did.
#[derive(Debug, Clone)]
pub(crate) enum Act {
    Order(Order),
    Cancel(u64),
    CancelAll,
    /// The exposure of a vectorised strategy at a candle.
    Target(Option<Decimal>),
}

impl PartialEq for Act {
    /// Targets that are nearly the same count as the same: sums over arrays of another length may be added up in another order.
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Order(one), Self::Order(two)) => one == two,
            (Self::Cancel(one), Self::Cancel(two)) => one == two,
            (Self::CancelAll, Self::CancelAll) | (Self::Target(None), Self::Target(None)) => true,
            (Self::Target(Some(one)), Self::Target(Some(two))) => one.units().abs_diff(two.units()) <= NEAR_UNITS,
            _ => false,
        }
    }
}

impl fmt::Display for Act {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Order(order) => write!(f, "{order}"),
            Self::Cancel(order) => write!(f, "cancel order {order}"),
            Self::CancelAll => f.write_str("cancel all orders"),
            Self::Target(Some(exposure)) => write!(f, "target {exposure}"),
            Self::Target(None) => f.write_str("no target"),
        }
    }
}

/// What is kept of a strategy between its callbacks.
#[derive(Debug, Default)]
pub(crate) struct Book {
    /// The exposure that was last asked for; other orders forget it.
    target: Option<Decimal>,
    /// Number of the candle or tick.
    pub(crate) event: usize,
    /// Decisions, if they are wanted.
    pub(crate) decisions: Option<Vec<Decision<Act>>>,
    /// Decimals of position, cash and equity that Python has seen, so that asking again makes none.
    shown: [Option<(Decimal, Py<PyAny>)>; 3],
}

impl Book {
    /// A book of a run that begins without a position.
    pub(crate) fn new(note_decisions: bool) -> Self {
        Self { target: Some(Decimal::ZERO), decisions: note_decisions.then(Vec::new), ..Self::default() }
    }

    fn note(&mut self, what: Act) {
        let candle = self.event;
        if let Some(decisions) = self.decisions.as_mut().filter(|decisions| decisions.len() < DECISIONS) {
            decisions.push(Decision { candle, what });
        }
    }
}

/// An amount of the account.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Amount {
    Position,
    Cash,
    Equity,
}

/// The desk and the book during one callback.
#[derive(Debug)]
pub(crate) struct Session<'a, 'd> {
    pub(crate) desk: &'a mut Desk<'d>,
    pub(crate) book: &'a mut Book,
}

impl Session<'_, '_> {
    pub(crate) fn submit(&mut self, order: Order) -> Result<u64, Refusal> {
        let OrderId(id) = self.desk.submit(order)?;
        self.book.target = None;
        self.book.note(Act::Order(order));
        Ok(id)
    }

    /// Asks for an exposure if it is another one than before, or in any case to rebalance: open orders give way to it.
    /// The same rule as [`trading::backtest::Targets`], so that both forms of a strategy trade alike.
    pub(crate) fn target(&mut self, exposure: Decimal, rebalance: bool) -> Result<Option<u64>, Refusal> {
        if self.book.target == Some(exposure) && !rebalance {
            return Ok(None);
        }
        self.desk.cancel_all();
        let order = Order::Target { exposure };
        let OrderId(id) = self.desk.submit(order)?;
        self.book.target = Some(exposure);
        self.book.note(Act::Order(order));
        Ok(Some(id))
    }

    pub(crate) fn cancel(&mut self, order: u64) -> bool {
        self.book.target = None;
        self.book.note(Act::Cancel(order));
        self.desk.cancel(OrderId(order))
    }

    pub(crate) fn cancel_all(&mut self) {
        self.book.target = None;
        self.book.note(Act::CancelAll);
        self.desk.cancel_all();
    }

    /// The amount, and its Python form if it was shown before; `None` beyond 10^20.
    pub(crate) fn amount(&self, py: Python<'_>, which: Amount) -> Option<(Decimal, Option<Py<PyAny>>)> {
        let value = match which {
            Amount::Position => self.desk.position(),
            Amount::Cash => self.desk.cash(),
            Amount::Equity => self.desk.equity()?,
        };
        let shown = self.book.shown[which as usize].as_ref().filter(|(before, _)| *before == value);
        Some((value, shown.map(|(_, object)| object.clone_ref(py))))
    }

    /// Keeps the Python form of an amount; the former one is handed out, to be dropped where Python may run.
    pub(crate) fn keep(&mut self, which: Amount, value: Decimal, object: Py<PyAny>) -> Option<(Decimal, Py<PyAny>)> {
        self.book.shown[which as usize].replace((value, object))
    }
}
