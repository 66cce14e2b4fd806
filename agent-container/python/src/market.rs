//! What a strategy is shown of the market and of its orders. Prices are floats for computing, and exact under `…_exact`.

use crate::number::{to_float, to_python};
use proto::Decimal;
use pyo3::prelude::*;
use trading::backtest::{Candle, Direction, Fill, Liquidity, OpenOrder, Order, Tick};

type Exact<'py> = PyResult<Bound<'py, PyAny>>;

/// A closed candle.
#[pyclass(name = "Candle", module = "dexorder")]
#[derive(Debug)]
pub(crate) struct PyCandle(pub(crate) Candle);

#[pymethods]
impl PyCandle {
    /// Start, ns since the epoch.
    #[getter]
    const fn time(&self) -> u64 {
        self.0.open_time_ns
    }

    /// First price.
    #[getter]
    fn open(&self) -> f64 {
        to_float(self.0.open)
    }

    /// Highest price.
    #[getter]
    fn high(&self) -> f64 {
        to_float(self.0.high)
    }

    /// Lowest price.
    #[getter]
    fn low(&self) -> f64 {
        to_float(self.0.low)
    }

    /// Last price.
    #[getter]
    fn close(&self) -> f64 {
        to_float(self.0.close)
    }

    /// Sum of sizes, base asset.
    #[getter]
    fn volume(&self) -> f64 {
        to_float(self.0.volume)
    }

    /// First price, as a Decimal.
    #[getter]
    fn open_exact<'py>(&self, py: Python<'py>) -> Exact<'py> {
        to_python(py, self.0.open)
    }

    /// Highest price, as a Decimal.
    #[getter]
    fn high_exact<'py>(&self, py: Python<'py>) -> Exact<'py> {
        to_python(py, self.0.high)
    }

    /// Lowest price, as a Decimal.
    #[getter]
    fn low_exact<'py>(&self, py: Python<'py>) -> Exact<'py> {
        to_python(py, self.0.low)
    }

    /// Last price, as a Decimal.
    #[getter]
    fn close_exact<'py>(&self, py: Python<'py>) -> Exact<'py> {
        to_python(py, self.0.close)
    }

    /// Sum of sizes, as a Decimal.
    #[getter]
    fn volume_exact<'py>(&self, py: Python<'py>) -> Exact<'py> {
        to_python(py, self.0.volume)
    }

    fn __repr__(&self) -> String {
        let Candle { open_time_ns, open, high, low, close, volume } = self.0;
        format!("Candle(time={open_time_ns}, open={open}, high={high}, low={low}, close={close}, volume={volume})")
    }
}

/// A trade of the market.
#[pyclass(name = "Tick", module = "dexorder")]
#[derive(Debug)]
pub(crate) struct PyTick(pub(crate) Tick);

#[pymethods]
impl PyTick {
    /// Venue clock, ns since the epoch.
    #[getter]
    const fn time(&self) -> u64 {
        self.0.time_ns
    }

    /// Price.
    #[getter]
    fn price(&self) -> f64 {
        to_float(self.0.price)
    }

    /// Size, base asset.
    #[getter]
    fn size(&self) -> f64 {
        to_float(self.0.size)
    }

    /// Price, as a Decimal.
    #[getter]
    fn price_exact<'py>(&self, py: Python<'py>) -> Exact<'py> {
        to_python(py, self.0.price)
    }

    /// Size, as a Decimal.
    #[getter]
    fn size_exact<'py>(&self, py: Python<'py>) -> Exact<'py> {
        to_python(py, self.0.size)
    }

    fn __repr__(&self) -> String {
        format!("Tick(time={}, price={}, size={})", self.0.time_ns, self.0.price, self.0.size)
    }
}

const fn side(direction: Direction) -> &'static str {
    match direction {
        Direction::Buy => "buy",
        Direction::Sell => "sell",
    }
}

/// An execution of an order, or of a part of it. Amounts are Decimals.
#[pyclass(name = "Fill", module = "dexorder", frozen)]
#[derive(Debug)]
pub(crate) struct PyFill(pub(crate) Fill);

#[pymethods]
impl PyFill {
    /// Number of the order.
    #[getter]
    const fn order(&self) -> u64 {
        self.0.order.0
    }

    /// Start of the candle, or time of the tick, that filled it, ns since the epoch.
    #[getter]
    const fn time(&self) -> u64 {
        self.0.time_ns
    }

    /// `buy` or `sell`.
    #[getter]
    const fn side(&self) -> &'static str {
        side(self.0.direction)
    }

    /// Base asset.
    #[getter]
    fn size<'py>(&self, py: Python<'py>) -> Exact<'py> {
        to_python(py, self.0.size)
    }

    /// With slippage.
    #[getter]
    fn price<'py>(&self, py: Python<'py>) -> Exact<'py> {
        to_python(py, self.0.price)
    }

    /// Quote asset.
    #[getter]
    fn fee<'py>(&self, py: Python<'py>) -> Exact<'py> {
        to_python(py, self.0.fee)
    }

    /// True if the order rested.
    #[getter]
    fn maker(&self) -> bool {
        self.0.liquidity == Liquidity::Maker
    }

    /// Position afterwards.
    #[getter]
    fn position<'py>(&self, py: Python<'py>) -> Exact<'py> {
        to_python(py, self.0.position)
    }

    fn __repr__(&self) -> String {
        let Fill { order, time_ns, direction, size, price, fee, .. } = self.0;
        let side = side(direction);
        format!("Fill(order={}, time={time_ns}, side={side}, size={size}, price={price}, fee={fee})", order.0)
    }
}

/// An order that is not done.
#[pyclass(name = "Order", module = "dexorder", frozen)]
#[derive(Debug)]
pub(crate) struct PyOrder(pub(crate) OpenOrder);

impl PyOrder {
    const fn parts(&self) -> (Option<Direction>, Option<Decimal>, Option<Decimal>) {
        match self.0.order {
            Order::Market { direction, .. } => (Some(direction), None, None),
            Order::Limit { direction, price, .. } => (Some(direction), Some(price), None),
            Order::Stop { direction, price, .. } => (Some(direction), None, Some(price)),
            Order::StopLimit { direction, stop, limit, .. } => (Some(direction), Some(limit), Some(stop)),
            Order::Target { .. } => (None, None, None),
        }
    }
}

#[pymethods]
impl PyOrder {
    /// Its number.
    #[getter]
    const fn id(&self) -> u64 {
        self.0.id.0
    }

    /// When it was decided, ns since the epoch.
    #[getter]
    const fn time(&self) -> u64 {
        self.0.decided_ns
    }

    /// `buy` or `sell`; None for a target.
    #[getter]
    fn side(&self) -> Option<&'static str> {
        self.parts().0.map(side)
    }

    /// What was asked for; None for a target.
    #[getter]
    fn size<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        self.0.order.size().map(|size| to_python(py, size)).transpose()
    }

    /// What is left of it.
    #[getter]
    fn remaining<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        self.0.remaining.map(|size| to_python(py, size)).transpose()
    }

    /// The worst price, if there is one.
    #[getter]
    fn limit<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        self.parts().1.map(|price| to_python(py, price)).transpose()
    }

    /// Where it becomes active, if it is a stop.
    #[getter]
    fn stop<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        self.parts().2.map(|price| to_python(py, price)).transpose()
    }

    fn __repr__(&self) -> String {
        format!("Order(id={}, {})", self.0.id.0, self.0.order)
    }
}
