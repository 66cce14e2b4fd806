//! The Python module `dexorder`.

mod seal;

use pyo3::prelude::{Bound, PyModule, PyModuleMethods, PyResult, pymodule};
use pyo3::wrap_pyfunction;

/// The module: for the worker's bootstrap.
#[pymodule]
fn dexorder(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(seal::_seal, module)?)
}
