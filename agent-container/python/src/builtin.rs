//! The indicators of `trading` in Python: a class each that takes candle by candle, and a function each for whole arrays. They
//! are made from `trading`'s list, so a new indicator needs no code here.

use crate::arrays;
use crate::candles::PyCandles;
use crate::error::refused;
use crate::market::PyCandle;
use crate::number::{from_float, lenient};
use proto::Decimal;
use proto::market::Candle;
use pyo3::exceptions::{PyAttributeError, PyTypeError};
use pyo3::prelude::*;
use pyo3::types::{PyCFunction, PyDict, PyFloat, PyTuple, PyType};
use std::ffi::CString;
use trading::{Indicator, IndicatorKind, IndicatorSpec};

/// Candles of the trial whether an indicator reads more than closes.
const TRIAL: u64 = 400;

/// An indicator of `trading`, in the middle of a series. Extended by one class for each kind.
#[pyclass(name = "BuiltinIndicator", module = "dexorder", subclass)]
#[derive(Debug)]
pub(crate) struct PyBuiltin {
    spec: IndicatorSpec,
    indicator: Indicator,
    /// Written over at each update.
    scratch: Candle,
    values: Vec<Option<f64>>,
    reads_closes_only: bool,
}

/// A candle of nothing: indicators look at its numbers and its time.
fn blank() -> PyResult<Candle> {
    let name = |_| refused("a name is not accepted".to_owned());
    Ok(Candle {
        venue: "SIM".parse().map_err(name)?,
        symbol: "BASE/QUOTE".parse().map_err(name)?,
        interval: proto::Interval::M1,
        open_time_ns: 0,
        open: Decimal::ZERO,
        high: Decimal::ZERO,
        low: Decimal::ZERO,
        close: Decimal::ZERO,
        volume: Decimal::ZERO,
        quote_volume: Decimal::ZERO,
        trades: 0,
        revision: 0,
        closed: true,
        repaired: false,
    })
}

fn set(scratch: &mut Candle, candle: &trading::backtest::Candle) {
    scratch.open_time_ns = candle.open_time_ns;
    (scratch.open, scratch.high) = (candle.open, candle.high);
    (scratch.low, scratch.close) = (candle.low, candle.close);
    scratch.volume = candle.volume;
}

/// A candle of which only the close is known.
fn set_close(scratch: &mut Candle, close: Decimal) {
    (scratch.open, scratch.high, scratch.low, scratch.close) = (close, close, close, close);
}

/// Whether closes alone give the same values: tried with candles that have the same closes and nothing else in common.
fn reads_closes_only(kind: IndicatorKind) -> PyResult<bool> {
    let spec = IndicatorSpec::new(kind, "").map_err(|error| refused(error.to_string()))?;
    let (mut narrow, mut wide) = (spec.build(), spec.build());
    let (mut a, mut b) = (blank()?, blank()?);
    for at in 0..TRIAL {
        let close = |offset: u64| Decimal::from_int((1000 + at * at * 7919 % 101 + offset).cast_signed());
        set_close(&mut a, close(0));
        (b.open, b.high, b.low, b.close) = (close(3), close(5 + at % 7), close(0), close(0));
        (a.volume, b.volume) = (Decimal::ONE, close(at % 5));
        (a.open_time_ns, b.open_time_ns) = (at * 60_000_000_000, at * 60_000_000_000);
        if narrow.update(&a)[..] != wide.update(&b)[..] {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Parameters as the text that `trading` reads.
fn spec(kind: IndicatorKind, parameters: impl Iterator<Item = PyResult<String>>) -> PyResult<IndicatorSpec> {
    let text = parameters.collect::<PyResult<Vec<_>>>()?.join(",");
    IndicatorSpec::new(kind, &text).map_err(|error| refused(format!("{}: {error}", kind.name())))
}

fn texts<'a>(arguments: &'a Bound<'_, PyTuple>, from: usize) -> impl Iterator<Item = PyResult<String>> + 'a {
    arguments.iter().skip(from).map(|argument| argument.str()?.extract())
}

fn kind_of(class: &Bound<'_, PyType>) -> PyResult<IndicatorKind> {
    let name: String = class.getattr("kind")?.extract()?;
    name.parse().map_err(|_| PyTypeError::new_err("BuiltinIndicator: take one of its classes, such as Sma"))
}

impl PyBuiltin {
    fn take(&mut self) {
        let values = self.indicator.update(&self.scratch);
        self.values.clear();
        self.values.extend_from_slice(&values);
    }

    fn shown<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let one = |value: Option<f64>| match value {
            Some(value) => PyFloat::new(py, value).into_any(),
            None => py.None().into_bound(py),
        };
        match self.values[..] {
            [value] => Ok(one(value)),
            _ if self.values.iter().all(Option::is_none) => Ok(py.None().into_bound(py)),
            _ => Ok(PyTuple::new(py, self.values.iter().copied().map(one))?.into_any()),
        }
    }
}

#[pymethods]
impl PyBuiltin {
    #[new]
    #[classmethod]
    #[pyo3(signature = (*parameters))]
    fn new(class: &Bound<'_, PyType>, parameters: &Bound<'_, PyTuple>) -> PyResult<Self> {
        let kind = kind_of(class)?;
        let spec = spec(kind, texts(parameters, 0))?;
        let reads_closes_only = class.getattr("reads_closes_only")?.extract()?;
        let values = vec![None; spec.outputs().len()];
        Ok(Self { spec, indicator: spec.build(), scratch: blank()?, values, reads_closes_only })
    }

    /// Adds the next candle, or the next close where the indicator needs no more, and returns the value at it.
    fn update<'py>(&mut self, value: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        if let Ok(candle) = value.cast_exact::<PyCandle>() {
            set(&mut self.scratch, &candle.try_borrow()?.0);
        } else if self.reads_closes_only {
            set_close(&mut self.scratch, lenient(value, "value")?);
        } else {
            return Err(PyTypeError::new_err(format!("{}: takes candles", self.spec.kind().name())));
        }
        self.take();
        self.shown(value.py())
    }

    /// The value at the last candle: a float, or a tuple of `outputs`; None during warm-up.
    #[getter]
    fn value<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.shown(py)
    }

    /// Names of the values.
    #[getter]
    fn outputs<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        PyTuple::new(py, self.spec.outputs())
    }

    /// A value by its name, such as `macd.signal`.
    fn __getattr__(&self, name: &str) -> PyResult<Option<f64>> {
        let at = self.spec.outputs().iter().position(|output| *output == name);
        at.and_then(|at| self.values.get(at).copied())
            .ok_or_else(|| PyAttributeError::new_err(format!("{} has no {name}", self.spec.kind().name())))
    }

    fn __repr__(&self) -> String {
        format!("{}({})", class_name(self.spec.kind().name()), self.spec)
    }
}

/// `keltner_channels` is `KeltnerChannels` as a class.
fn class_name(name: &str) -> String {
    let word = |word: &str| {
        let mut letters = word.chars();
        letters.next().map(|first| first.to_ascii_uppercase()).into_iter().chain(letters).collect::<String>()
    };
    name.split('_').map(word).collect()
}

/// All values of an indicator: an array, or a tuple of arrays in the order of its outputs; nan during warm-up.
fn whole<'py>(kind: IndicatorKind, closes_only: bool, arguments: &Bound<'py, PyTuple>) -> PyResult<Bound<'py, PyAny>> {
    let py = arguments.py();
    let spec = spec(kind, texts(arguments, 1))?;
    let input = arguments.get_item(0).map_err(|_| PyTypeError::new_err("candles or an array are expected first"))?;
    let mut scratch = blank()?;
    let mut indicator = spec.build();
    let mut columns = vec![Vec::new(); spec.outputs().len()];
    let mut add = |scratch: &Candle| {
        let values = indicator.update(scratch);
        columns.iter_mut().zip(values.iter()).for_each(|(column, value)| column.push(value.unwrap_or(f64::NAN)));
    };
    if let Ok(candles) = input.cast::<PyCandles>() {
        for candle in candles.get().rows() {
            set(&mut scratch, candle);
            add(&scratch);
        }
    } else if closes_only {
        for (at, value) in arrays::read(&input)?.into_iter().enumerate() {
            let close = from_float(value);
            set_close(&mut scratch, close.ok_or_else(|| refused(format!("value {at}: must be finite")))?);
            add(&scratch);
        }
    } else {
        return Err(PyTypeError::new_err(format!("{}: takes candles, not an array", kind.name())));
    }
    let mut made =
        columns.into_iter().map(|column| arrays::floats(py, column.into_iter())).collect::<PyResult<Vec<_>>>()?;
    match made.len() {
        1 => Ok(made.remove(0)),
        _ => Ok(PyTuple::new(py, made)?.into_any()),
    }
}

/// Adds a class and a function for each kind.
pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let py = module.py();
    let base = py.get_type::<PyBuiltin>();
    let class_of = py.get_type::<PyType>();
    for kind in IndicatorKind::ALL.iter().copied() {
        let closes_only = reads_closes_only(kind)?;
        let attributes = PyDict::new(py);
        attributes.set_item("kind", kind.name())?;
        attributes.set_item("reads_closes_only", closes_only)?;
        attributes.set_item("__module__", "dexorder")?;
        attributes.set_item("__slots__", PyTuple::empty(py))?;
        let name = class_name(kind.name());
        module.add(name.as_str(), class_of.call1((name.as_str(), (&base,), attributes))?)?;
        // The interpreter keeps the name as long as the function: made once for each kind.
        let text = CString::new(kind.name()).map_err(|_| PyTypeError::new_err("an indicator's name"))?;
        let text = Box::leak(text.into_boxed_c_str());
        let function = PyCFunction::new_closure(py, Some(text), None, move |arguments, _named| {
            whole(kind, closes_only, arguments).map(Bound::unbind)
        })?;
        module.add(kind.name(), function)?;
    }
    Ok(())
}
