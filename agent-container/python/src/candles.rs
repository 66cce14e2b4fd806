//! `dexorder.Candles`: all candles of a vectorised run as columns.

use crate::arrays::{floats, integers};
use crate::number::to_float;
use proto::Decimal;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyDict;
use std::ops::Range;
use std::sync::Arc;
use trading::backtest::Candle;

/// Candles in time order; columns are arrays that cannot be written to, made when they are first asked for.
#[pyclass(name = "Candles", module = "dexorder", frozen)]
pub(crate) struct PyCandles {
    all: Arc<Vec<Candle>>,
    range: Range<usize>,
    columns: [PyOnceLock<Py<PyAny>>; 6],
}

impl PyCandles {
    pub(crate) fn new(all: &Arc<Vec<Candle>>, range: Range<usize>) -> Self {
        Self { all: Arc::clone(all), range, columns: [const { PyOnceLock::new() }; 6] }
    }

    pub(crate) fn rows(&self) -> &[Candle] {
        &self.all[self.range.clone()]
    }

    fn column<'py>(&self, py: Python<'py>, at: usize, of: fn(&Candle) -> Decimal) -> PyResult<Bound<'py, PyAny>> {
        let made = self.columns[at].get_or_try_init(py, || {
            Ok::<_, PyErr>(floats(py, self.rows().iter().map(|candle| to_float(of(candle))))?.unbind())
        })?;
        Ok(made.bind(py).clone())
    }
}

#[pymethods]
impl PyCandles {
    /// Starts, ns since the epoch.
    #[getter]
    fn time<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let made = self.columns[0].get_or_try_init(py, || {
            Ok::<_, PyErr>(integers(py, self.rows().iter().map(|candle| candle.open_time_ns.cast_signed()))?.unbind())
        })?;
        Ok(made.bind(py).clone())
    }

    /// First prices.
    #[getter]
    fn open<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.column(py, 1, |candle| candle.open)
    }

    /// Highest prices.
    #[getter]
    fn high<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.column(py, 2, |candle| candle.high)
    }

    /// Lowest prices.
    #[getter]
    fn low<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.column(py, 3, |candle| candle.low)
    }

    /// Last prices.
    #[getter]
    fn close<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.column(py, 4, |candle| candle.close)
    }

    /// Sums of sizes, base asset.
    #[getter]
    fn volume<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.column(py, 5, |candle| candle.volume)
    }

    /// The columns as a pandas frame, by UTC time.
    fn frame<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let pandas = py.import("pandas")?;
        let named = PyDict::new(py);
        named.set_item("utc", true)?;
        let index = pandas.call_method("to_datetime", (self.time(py)?,), Some(&named))?;
        let columns = PyDict::new(py);
        columns.set_item("open", self.open(py)?)?;
        columns.set_item("high", self.high(py)?)?;
        columns.set_item("low", self.low(py)?)?;
        columns.set_item("close", self.close(py)?)?;
        columns.set_item("volume", self.volume(py)?)?;
        pandas.call_method1("DataFrame", (columns, index))
    }

    fn __len__(&self) -> usize {
        self.range.len()
    }

    fn __repr__(&self) -> String {
        format!("Candles({})", self.range.len())
    }
}
