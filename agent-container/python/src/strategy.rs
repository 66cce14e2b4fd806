//! `dexorder.Strategy`: the class that user code extends, and what it may do within a callback.

use crate::book::{Amount, Session};
use crate::error::refused;
use crate::lend::Lent;
use crate::market::PyOrder;
use crate::number::{exact, lenient, nearest, to_python};
use proto::Decimal;
use pyo3::exceptions::{PyOverflowError, PyRuntimeError};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};
use std::sync::OnceLock;
use trading::backtest::{Direction, Order, Refusal};

/// Sizes without a lot size are cut to 10^-12, as the engine does for targets.
const FINEST_LOT_UNITS: i128 = 1_000_000;

/// Smallest steps of prices and sizes; 0 is any.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Steps {
    pub(crate) tick: Decimal,
    pub(crate) lot: Decimal,
}

/// A trading strategy. Extend it and define `on_candle` (or `on_tick`, or `targets`); class attributes are parameters.
#[pyclass(name = "Strategy", module = "dexorder", subclass, frozen)]
#[derive(Debug)]
pub(crate) struct PyStrategy {
    pub(crate) lent: Lent,
    pub(crate) steps: OnceLock<Steps>,
}

impl PyStrategy {
    fn with<R>(&self, py: Python<'_>, act: impl FnOnce(&mut Session<'_, '_>) -> R) -> PyResult<R> {
        self.lent.with(py, act).ok_or_else(|| {
            PyRuntimeError::new_err(
                "the account and its orders can be used within on_candle, on_tick, on_fill and on_refusal",
            )
        })
    }

    fn steps(&self) -> PyResult<Steps> {
        let steps = self.steps.get().copied();
        steps.ok_or_else(|| PyRuntimeError::new_err("steps of prices and sizes are known from start() on"))
    }

    fn order(&self, direction: Direction, asked: &Asked<'_, '_>) -> PyResult<u64> {
        let size = exact(asked.size, "size")?;
        let limit = asked.limit.map(|price| exact(price, "limit")).transpose()?;
        let stop = asked.stop.map(|price| exact(price, "stop")).transpose()?;
        let order = match (stop, limit) {
            (None, None) => Order::Market { direction, size },
            (None, Some(price)) => Order::Limit { direction, size, price },
            (Some(price), None) => Order::Stop { direction, size, price },
            (Some(stop), Some(limit)) => Order::StopLimit { direction, size, stop, limit },
        };
        self.with(asked.size.py(), |session| session.submit(order))?.map_err(|refusal| no(&order, refusal))
    }

    fn amount<'py>(&self, py: Python<'py>, which: Amount) -> PyResult<Bound<'py, PyAny>> {
        let found = self.with(py, |session| session.amount(py, which))?;
        let (value, shown) = found.ok_or_else(|| PyOverflowError::new_err("the equity exceeds 10^20"))?;
        if let Some(shown) = shown {
            return Ok(shown.into_bound(py));
        }
        let object = to_python(py, value)?;
        let kept = object.clone().unbind();
        let former = self.with(py, |session| session.keep(which, value, kept))?;
        drop(former);
        Ok(object)
    }
}

/// Arguments of an order.
struct Asked<'a, 'py> {
    size: &'a Bound<'py, PyAny>,
    limit: Option<&'a Bound<'py, PyAny>>,
    stop: Option<&'a Bound<'py, PyAny>>,
}

fn no(order: &Order, refusal: Refusal) -> PyErr {
    refused(format!("{refusal} ({order})"))
}

#[pymethods]
impl PyStrategy {
    #[new]
    #[pyo3(signature = (*_args, **_named))]
    fn new(_args: &Bound<'_, PyTuple>, _named: Option<&Bound<'_, PyDict>>) -> Self {
        Self { lent: Lent::default(), steps: OnceLock::new() }
    }

    /// Buys: at the market, or at `limit` or better, or once the market has risen to `stop`. Returns the order's number.
    #[pyo3(signature = (size, limit=None, stop=None))]
    fn buy(
        &self,
        size: &Bound<'_, PyAny>,
        limit: Option<&Bound<'_, PyAny>>,
        stop: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<u64> {
        self.order(Direction::Buy, &Asked { size, limit, stop })
    }

    /// Sells: at the market, or at `limit` or better, or once the market has fallen to `stop`. Returns the order's number.
    #[pyo3(signature = (size, limit=None, stop=None))]
    fn sell(
        &self,
        size: &Bound<'_, PyAny>,
        limit: Option<&Bound<'_, PyAny>>,
        stop: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<u64> {
        self.order(Direction::Sell, &Asked { size, limit, stop })
    }

    /// Moves the position to this fraction of the equity (1 all of it, 0 none, below 0 short), cancelling open orders. Asked
    /// again for the same exposure it does nothing and returns None, unless `rebalance` is set.
    #[pyo3(signature = (exposure, rebalance=false))]
    fn target(&self, exposure: &Bound<'_, PyAny>, rebalance: bool) -> PyResult<Option<u64>> {
        let exposure_value = lenient(exposure, "exposure")?;
        let done = self.with(exposure.py(), |session| session.target(exposure_value, rebalance))?;
        done.map_err(|refusal| no(&Order::Target { exposure: exposure_value }, refusal))
    }

    /// Cancels an order; False if it is not open. Until the latency has passed it can still be filled.
    fn cancel(&self, py: Python<'_>, order: u64) -> PyResult<bool> {
        self.with(py, |session| session.cancel(order))
    }

    /// Cancels all open orders.
    fn cancel_all(&self, py: Python<'_>) -> PyResult<()> {
        self.with(py, |session| session.cancel_all())
    }

    /// Position, base asset, below 0 if short: a Decimal.
    #[getter]
    fn position<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.amount(py, Amount::Position)
    }

    /// Cash, quote asset: a Decimal.
    #[getter]
    fn cash<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.amount(py, Amount::Cash)
    }

    /// Cash and the position at the last price: a Decimal.
    #[getter]
    fn equity<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.amount(py, Amount::Equity)
    }

    /// Orders that are not done, the oldest first.
    #[getter]
    fn open_orders(&self, py: Python<'_>) -> PyResult<Vec<PyOrder>> {
        self.with(py, |session| session.desk.open_orders().iter().copied().map(PyOrder).collect())
    }

    /// Venue clock: the close of the candle or the time of the tick, ns since the epoch.
    #[getter]
    fn now(&self, py: Python<'_>) -> PyResult<u64> {
        self.with(py, |session| session.desk.now_ns())
    }

    /// A size rounded towards zero to lots: a Decimal. Takes floats.
    fn lots<'py>(&self, size: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        let value = lenient(size, "size")?;
        let lot = self.steps()?.lot;
        let finest = Decimal::from_units(FINEST_LOT_UNITS).unwrap_or(Decimal::ZERO);
        to_python(size.py(), value.truncate_to(if lot.is_zero() { finest } else { lot }))
    }

    /// A price rounded to the nearest tick: a Decimal. Takes floats.
    fn ticks<'py>(&self, price: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        let value = lenient(price, "price")?;
        let rounded = nearest(value, self.steps()?.tick);
        to_python(price.py(), rounded.ok_or_else(|| refused("price: must be below 10^20".to_owned()))?)
    }
}
