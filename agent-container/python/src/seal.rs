//! `_seal`: shuts the process in before user code runs. Called by the bootstrap of a worker, see crate `sandbox`.

use pyo3::exceptions::{PyRuntimeError, PyValueError};
use pyo3::prelude::{PyErr, PyResult, pyfunction};
use std::error::Error;

/// Seals this process by a specification in JSON; answers, in JSON, what the seal consists of.
#[pyfunction]
pub(crate) fn _seal(spec: &str) -> PyResult<String> {
    let spec = serde_json::from_str(spec).map_err(|error| PyValueError::new_err(error.to_string()))?;
    let sealed = sandbox::seal(&spec).map_err(|error| refused(&error))?;
    serde_json::to_string(&sealed).map_err(|error| PyRuntimeError::new_err(error.to_string()))
}

/// With all causes: it is what an operator gets to see.
fn refused(error: &sandbox::SealError) -> PyErr {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    PyRuntimeError::new_err(text)
}
