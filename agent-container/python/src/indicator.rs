//! The indicator job: a user's indicator over candles.

use crate::arrays;
use crate::candles::PyCandles;
use crate::data;
use crate::error::JobError;
use crate::job::IndicatorJob;
use crate::market::PyCandle;
use crate::progress::Progress;
use crate::user_code::{Chosen, Found, Wanted};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};
use std::collections::BTreeMap;
use std::sync::Arc;
use trading::backtest::Candle;

/// Most values of an indicator.
const OUTPUTS: usize = 32;

/// An indicator of a user. Extend it and define `update(candle)`; class attributes are parameters.
#[pyclass(name = "Indicator", module = "dexorder", subclass, frozen)]
#[derive(Debug)]
pub(crate) struct PyIndicator;

#[pymethods]
impl PyIndicator {
    #[new]
    #[pyo3(signature = (*_args, **_named))]
    const fn new(_args: &Bound<'_, PyTuple>, _named: Option<&Bound<'_, PyDict>>) -> Self {
        Self
    }
}

type Columns = BTreeMap<String, Vec<f64>>;

pub(crate) fn run(progress: &Progress<'_>, job: &IndicatorJob) -> Result<serde_json::Value, JobError> {
    let py = progress.py();
    let (source, source_sha256) = job.indicator.compile(py)?;
    let candles = Arc::new(data::candles(&job.data.path)?);
    progress.expect(candles.len() as u64);
    let base = py.get_type::<PyIndicator>();
    let wanted = Wanted { base: &base, function: "indicator", name: job.indicator.class.as_deref() };
    let found = source.find(py, job.seed, wanted)?;
    let chosen = Chosen::new(&source, found, &base, &job.params)?;
    let computed = match &chosen.found {
        Found::Class(class) => {
            let instance = chosen.instance(class).map_err(|error| source.error(py, &error))?;
            by_candle(progress, &instance, &chosen.name, &candles)
        }
        Found::Function(function) => whole(&chosen, function, &candles),
    };
    progress.check()?;
    let columns = computed.map_err(|error| source.error(py, &error))?;
    let parameters = chosen.parameters().map_err(|error| source.error(py, &error))?;
    if let Some((name, column)) = columns.iter().find(|(_, column)| column.len() != candles.len()) {
        let rule = format!("one value for each of the {} candles is expected, not {}", candles.len(), column.len());
        return Err(JobError::field(name, rule));
    }
    let from = candles.len().saturating_sub(job.rows);
    let times: Vec<u64> = candles[from..].iter().map(|candle| candle.open_time_ns).collect();
    // JSON has no nan: what is not a number is null.
    let finite = |value: &f64| Some(*value).filter(|value| value.is_finite());
    let outputs: BTreeMap<_, Vec<_>> =
        columns.iter().map(|(name, column)| (name, column[from..].iter().map(finite).collect())).collect();
    Ok(serde_json::json!({
        "kind": "indicator",
        "name": chosen.name,
        "source_sha256": source_sha256,
        "parameters": parameters,
        "candles": candles.len(),
        "open_time_ns": times,
        "outputs": outputs,
    }))
}

fn limited(names: usize) -> PyResult<()> {
    if names > OUTPUTS {
        return Err(crate::error::refused(format!("outputs: at most {OUTPUTS}")));
    }
    Ok(())
}

/// A function of all candles: gives an array, or arrays by name.
fn whole<'py>(chosen: &Chosen<'py>, function: &Bound<'py, PyAny>, candles: &Arc<Vec<Candle>>) -> PyResult<Columns> {
    let py = function.py();
    let columns = Bound::new(py, PyCandles::new(candles, 0..candles.len()))?;
    let answer = function.call((columns,), Some(&chosen.keywords(py)?))?;
    let Ok(named) = answer.cast::<PyDict>() else {
        return Ok(Columns::from([(chosen.name.clone(), arrays::read(&answer)?)]));
    };
    limited(named.len())?;
    named.iter().map(|(name, values)| Ok((name.extract()?, arrays::read(&values)?))).collect()
}

/// A class that is given candle by candle: `update` gives a number or None, or as many of them as `outputs` has names.
fn by_candle(
    progress: &Progress<'_>,
    instance: &Bound<'_, PyAny>,
    name: &str,
    candles: &[Candle],
) -> PyResult<Columns> {
    let py = instance.py();
    if let Some(start) = instance.getattr_opt("start")? {
        start.call0()?;
    }
    let names: Vec<String> = match instance.getattr_opt("outputs")? {
        Some(names) => names.extract()?,
        None => vec![name.to_lowercase()],
    };
    limited(names.len())?;
    let update = instance.getattr("update")?;
    let mut columns = vec![Vec::with_capacity(candles.len()); names.len()];
    let number = |value: &Bound<'_, PyAny>| if value.is_none() { Ok(f64::NAN) } else { value.extract::<f64>() };
    for candle in candles {
        if !progress.advance(4) {
            break;
        }
        let answer = update.call1((Py::new(py, PyCandle(*candle))?,))?;
        if answer.is_none() {
            columns.iter_mut().for_each(|column| column.push(f64::NAN));
        } else if let [column] = &mut columns[..] {
            column.push(number(&answer)?);
        } else {
            let values = answer.cast::<PyTuple>()?;
            if values.len() != names.len() {
                return Err(crate::error::refused(format!("update: {} values expected", names.len())));
            }
            for (column, value) in columns.iter_mut().zip(values.iter()) {
                column.push(number(&value)?);
            }
        }
    }
    Ok(names.into_iter().zip(columns).collect())
}
