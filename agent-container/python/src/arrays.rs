//! Arrays of floats between Python and Rust: numpy where it is installed, else the standard library's `array`.

use pyo3::buffer::PyBuffer;
use pyo3::exceptions::{PyImportError, PyTypeError};
use pyo3::prelude::*;
use pyo3::types::PyBytes;

/// Elements of eight bytes.
#[derive(Debug, Clone, Copy)]
enum Element {
    Float,
    Int,
}

/// An array of floats that cannot be written to.
pub(crate) fn floats(py: Python<'_>, values: impl ExactSizeIterator<Item = f64>) -> PyResult<Bound<'_, PyAny>> {
    let bytes = filled(py, values.map(f64::to_ne_bytes))?;
    array(py, &bytes, Element::Float)
}

/// An array of whole numbers that cannot be written to.
pub(crate) fn integers(py: Python<'_>, values: impl ExactSizeIterator<Item = i64>) -> PyResult<Bound<'_, PyAny>> {
    let bytes = filled(py, values.map(i64::to_ne_bytes))?;
    array(py, &bytes, Element::Int)
}

fn filled(py: Python<'_>, values: impl ExactSizeIterator<Item = [u8; 8]>) -> PyResult<Bound<'_, PyBytes>> {
    PyBytes::new_with(py, values.len() * 8, |bytes| {
        bytes.chunks_exact_mut(8).zip(values).for_each(|(place, value)| place.copy_from_slice(&value));
        Ok(())
    })
}

fn array<'py>(py: Python<'py>, bytes: &Bound<'py, PyBytes>, element: Element) -> PyResult<Bound<'py, PyAny>> {
    let (numpy, standard) = match element {
        Element::Float => ("f8", "d"),
        Element::Int => ("i8", "q"),
    };
    match py.import("numpy") {
        Ok(module) => module.call_method1("frombuffer", (bytes, numpy)),
        Err(error) if error.is_instance_of::<PyImportError>(py) => {
            py.import("array")?.call_method1("array", (standard, bytes))
        }
        Err(error) => Err(error),
    }
}

/// The floats of a numpy array, a pandas series, or any sequence of numbers; None counts as nan.
pub(crate) fn read(value: &Bound<'_, PyAny>) -> PyResult<Vec<f64>> {
    let py = value.py();
    if let Ok(buffer) = PyBuffer::<f64>::get(value) {
        if buffer.dimensions() != 1 {
            return Err(PyTypeError::new_err("an array of one dimension is expected"));
        }
        return buffer.to_vec(py);
    }
    if value.hasattr("to_numpy")? {
        return read(&value.call_method1("to_numpy", ("f8",))?);
    }
    if value.hasattr("astype")? {
        return read(&value.call_method1("astype", ("f8",))?);
    }
    let items = value.try_iter().map_err(|_| PyTypeError::new_err("an array or a list of numbers is expected"))?;
    items
        .map(|item| {
            let item = item?;
            if item.is_none() { Ok(f64::NAN) } else { item.extract() }
        })
        .collect()
}
