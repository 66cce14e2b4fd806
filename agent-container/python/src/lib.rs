//! The Python module `dexorder`: what user code imports inside the worker, and the jobs that the worker runs.
//!
//! The engine of `trading` lives in the same process as the user's code and calls it directly (ADR 0017); nothing here is a
//! border of trust, that is the process's own confinement. Reading order: `strategy` and `market` (what user code sees),
//! `number` (floats and exact decimals), `builtin` (indicators), `run` (one run of the engine), `job` (JSON in, JSON out).
//! Invariants:
//!
//! - money, sizes and prices are exact; a float never becomes one without the user's rounding;
//! - an exception of user code ends the run and is told with its line; nothing unwinds into the interpreter;
//! - unsafe code is in `lend` only.

mod arrays;
mod backtest;
mod book;
mod builtin;
mod candles;
mod data;
mod error;
mod indicator;
mod job;
mod lend;
mod market;
mod number;
mod progress;
mod run;
mod seal;
mod strategy;
mod user_code;

use pyo3::prelude::*;

/// Strategies, indicators and backtests. See docs/strategies.md.
#[pymodule]
fn dexorder(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let py = module.py();
    module.add_class::<strategy::PyStrategy>()?;
    module.add_class::<indicator::PyIndicator>()?;
    module.add_class::<builtin::PyBuiltin>()?;
    module.add_class::<candles::PyCandles>()?;
    module.add_class::<market::PyCandle>()?;
    module.add_class::<market::PyTick>()?;
    module.add_class::<market::PyFill>()?;
    module.add_class::<market::PyOrder>()?;
    module.add("Refused", py.get_type::<error::Refused>())?;
    module.add("__version__", env!("CARGO_PKG_VERSION"))?;
    builtin::register(module)?;
    module.add_function(wrap_pyfunction!(run_job, module)?)?;
    module.add_function(wrap_pyfunction!(seal::_seal, module)?)?;
    // User code says `import dexorder`, wherever the worker found this file.
    let modules = py.import("sys")?.getattr("modules")?;
    modules.call_method1("setdefault", ("dexorder", module))?;
    Ok(())
}

/// Does a job: JSON in, JSON out. `progress` is called about twice a second with the events done and expected; what it raises
/// ends the job and is raised.
#[pyfunction]
#[pyo3(name = "_run_job", signature = (job_json, progress=None))]
fn run_job(py: Python<'_>, job_json: &str, progress: Option<Bound<'_, PyAny>>) -> PyResult<String> {
    job::run(py, job_json, progress)
}
