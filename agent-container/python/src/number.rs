//! Numbers between Python and Rust: exact where money is, nearest where floats are.

use crate::error::refused;
use proto::Decimal;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBool, PyFloat, PyString, PyType};

/// Digits after the point that prices and sizes usually have at most: 10^8 of them are one.
const USUAL: f64 = 1e8;
const USUAL_UNITS: i128 = 10_000_000_000;
/// Whole numbers below it are exact floats.
const EXACT: u128 = 1 << 53;
/// Any decimal of so many significant digits survives a float.
const SIGNIFICANT: f64 = 1e15;

/// The float nearest to a decimal: what Python reads from the same digits. ([`Decimal::to_f64`] rounds twice and can be one
/// step beside it, which is nothing for a chart, but `candle.close == 61837.63` must hold.)
#[allow(clippy::cast_precision_loss, reason = "below 2^53, or rounded by the parser")]
pub(crate) fn to_float(value: Decimal) -> f64 {
    let units = value.units();
    if units % USUAL_UNITS == 0 && (units / USUAL_UNITS).unsigned_abs() < EXACT {
        return (units / USUAL_UNITS) as f64 / USUAL;
    }
    let (mantissa, scale) = value.mantissa_and_scale();
    if mantissa.unsigned_abs() < EXACT {
        // 10^18 is an exact float too, so the quotient is rounded once.
        return mantissa as f64 / 10f64.powi(scale.cast_signed());
    }
    value.to_string().parse().unwrap_or_else(|_| value.to_f64())
}

/// A float as the decimal of 15 significant digits that it stands for; `None` if it is not finite or beyond 10^20. What is
/// below 10^-18 is cut.
#[allow(clippy::cast_possible_truncation, reason = "below 10^15")]
pub(crate) fn from_float(value: f64) -> Option<Decimal> {
    let scaled = (value * USUAL).round();
    // Equal bits: exactly the nearest float of a decimal with eight digits after the point.
    if scaled.abs() < SIGNIFICANT && (scaled / USUAL).to_bits() == value.to_bits() {
        return Decimal::from_units(i128::from(scaled as i64) * USUAL_UNITS).ok();
    }
    if !value.is_finite() {
        return None;
    }
    let text = format!("{value:.14e}");
    text.parse().ok().or_else(|| {
        let digits: f64 = text.parse().ok()?;
        (digits.abs() < 1.0).then(|| format!("{digits:.18}").parse().ok()).flatten()
    })
}

fn decimal_type(py: Python<'_>) -> PyResult<&Bound<'_, PyType>> {
    static TYPE: PyOnceLock<Py<PyType>> = PyOnceLock::new();
    TYPE.import(py, "decimal", "Decimal")
}

/// A `decimal.Decimal`.
pub(crate) fn to_python(py: Python<'_>, value: Decimal) -> PyResult<Bound<'_, PyAny>> {
    decimal_type(py)?.call1((value.to_string(),))
}

/// Text, a whole number or a `decimal.Decimal`; a float is refused, since which decimal it means is a guess.
pub(crate) fn exact(value: &Bound<'_, PyAny>, field: &str) -> PyResult<Decimal> {
    if value.is_instance_of::<PyFloat>() {
        let rule = "a float is not exact; give text such as '0.1', a whole number or a Decimal, or round it with \
                    self.lots(x) for a size or self.ticks(x) for a price";
        return Err(pyo3::exceptions::PyTypeError::new_err(format!("{field}: {rule}")));
    }
    if value.is_instance_of::<PyBool>() {
        return Err(pyo3::exceptions::PyTypeError::new_err(format!("{field}: a number is expected, not a bool")));
    }
    if let Ok(whole) = value.extract::<i64>() {
        return Ok(Decimal::from_int(whole));
    }
    if !value.is_instance_of::<PyString>() && !value.is_instance(decimal_type(value.py())?)? {
        let got = value.get_type().name()?;
        return Err(pyo3::exceptions::PyTypeError::new_err(format!("{field}: a number is expected, not {got}")));
    }
    let text = value.str()?;
    let text = text.to_cow()?;
    text.parse().map_err(|error| refused(format!("{field}: {error}")))
}

/// Like [`exact`], and a float stands for its 15 significant digits.
pub(crate) fn lenient(value: &Bound<'_, PyAny>, field: &str) -> PyResult<Decimal> {
    match value.cast::<PyFloat>() {
        Ok(float) => {
            from_float(float.value()).ok_or_else(|| refused(format!("{field}: must be finite and below 10^20")))
        }
        Err(_) => exact(value, field),
    }
}

/// The nearest multiple of `step`, ties away from zero; without a step the value itself.
pub(crate) fn nearest(value: Decimal, step: Decimal) -> Option<Decimal> {
    if !step.is_positive() {
        return Some(value);
    }
    let half = Decimal::from_units(step.units() / 2 + step.units() % 2).ok()?;
    let half = if value.is_negative() { Decimal::ZERO.checked_sub(half)? } else { half };
    Some(value.checked_add(half)?.truncate_to(step))
}

/// True for a `decimal.Decimal`.
pub(crate) fn is_decimal(value: &Bound<'_, PyAny>) -> PyResult<bool> {
    value.is_instance(decimal_type(value.py())?)
}
