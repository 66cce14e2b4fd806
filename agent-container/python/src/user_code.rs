//! User code: compiling it, finding the strategy or indicator in it, giving it parameters.

use crate::error::JobError;
use crate::strategy::PyStrategy;
use proto::Decimal;
use pyo3::exceptions::PySyntaxError;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDict, PyFloat, PyInt, PyModule, PyString, PyType};
use std::collections::BTreeMap;
use trading::backtest::document::Parameter;

/// Largest source, bytes.
const SOURCE: usize = 1 << 20;
/// Name of the module that user code lives in; each load replaces it.
const MODULE: &str = "__user__";

/// Parameters by name.
pub(crate) type Parameters = BTreeMap<String, Parameter>;

/// Compiled user code.
#[derive(Debug)]
pub(crate) struct Source<'py> {
    code: Bound<'py, PyAny>,
    /// What it is called in tracebacks.
    pub(crate) file: String,
}

/// What is looked for in user code: classes that extend `base` and a function of this name.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wanted<'a, 'py> {
    pub(crate) base: &'a Bound<'py, PyType>,
    pub(crate) function: &'static str,
    pub(crate) name: Option<&'a str>,
}

/// What was found.
#[derive(Debug, Clone)]
pub(crate) enum Found<'py> {
    Class(Bound<'py, PyType>),
    Function(Bound<'py, PyAny>),
}

impl<'py> Source<'py> {
    pub(crate) fn compile(py: Python<'py>, text: &str, file: &str) -> Result<Self, JobError> {
        if text.len() > SOURCE {
            return Err(JobError::field("source", format!("at most {SOURCE} bytes")));
        }
        let make = || -> PyResult<Bound<'py, PyAny>> {
            // Tracebacks then show its lines, wherever the text came from.
            let lines = PyString::new(py, text).call_method1("splitlines", (true,))?;
            py.import("linecache")?.getattr("cache")?.set_item(file, (text.len(), py.None(), lines, file))?;
            py.import("builtins")?.call_method1("compile", (text, file, "exec"))
        };
        let code = make().map_err(|error| JobError::user(py, &error, file))?;
        Ok(Self { code, file: file.to_owned() })
    }

    pub(crate) fn error(&self, py: Python<'_>, error: &PyErr) -> JobError {
        JobError::user(py, error, &self.file)
    }

    /// Runs it in a fresh module, so that no run sees what another left behind.
    fn load(&self, py: Python<'py>) -> PyResult<Bound<'py, PyModule>> {
        let module = PyModule::new(py, MODULE)?;
        module.setattr("__file__", &self.file)?;
        let builtins = py.import("builtins")?;
        module.setattr("__builtins__", &builtins)?;
        // Dataclasses and pickling look a class's module up by name.
        py.import("sys")?.getattr("modules")?.set_item(MODULE, &module)?;
        builtins.call_method1("exec", (&self.code, module.dict()))?;
        Ok(module)
    }

    /// Loads it, with everything random seeded, and finds what is wanted.
    pub(crate) fn find(&self, py: Python<'py>, seed: u64, wanted: Wanted<'_, 'py>) -> Result<Found<'py>, JobError> {
        let load = || {
            seed_all(py, seed)?;
            let module = self.load(py)?;
            // Again: it may have imported numpy, or drawn numbers.
            seed_all(py, seed)?;
            Ok(module)
        };
        let module = load().map_err(|error: PyErr| self.error(py, &error))?;
        let all = candidates(&module, wanted).map_err(|error| self.error(py, &error))?;
        choose(all, wanted)
    }
}

fn seed_all(py: Python<'_>, seed: u64) -> PyResult<()> {
    py.import("random")?.call_method1("seed", (seed,))?;
    if let Ok(numpy) = py.import("sys")?.getattr("modules")?.get_item("numpy") {
        numpy.getattr("random")?.call_method1("seed", (seed & u64::from(u32::MAX),))?;
    }
    Ok(())
}

/// Classes that are defined here, extend the base and that no other one of them extends; the function, if it is there.
fn candidates<'py>(module: &Bound<'py, PyModule>, wanted: Wanted<'_, 'py>) -> PyResult<Vec<(String, Found<'py>)>> {
    let mut classes = Vec::new();
    let mut found = Vec::new();
    for (name, value) in module.dict().iter() {
        let name: String = name.extract()?;
        if let Ok(class) = value.cast::<PyType>() {
            let ours = class.getattr("__module__").and_then(|of| of.extract::<String>()).is_ok_and(|of| of == MODULE);
            if ours && class.is_subclass(wanted.base)? {
                classes.push((name, class.clone()));
            }
        } else if name == wanted.function && value.is_callable() {
            found.push((name, Found::Function(value)));
        }
    }
    for (name, class) in &classes {
        let is_extended =
            classes.iter().any(|(_, other)| !other.is(class) && other.is_subclass(class).unwrap_or(false));
        if !is_extended || wanted.name == Some(name) {
            found.push((name.clone(), Found::Class(class.clone())));
        }
    }
    Ok(found)
}

fn choose<'py>(mut all: Vec<(String, Found<'py>)>, wanted: Wanted<'_, 'py>) -> Result<Found<'py>, JobError> {
    let names: Vec<String> = all.iter().map(|(name, _)| name.clone()).collect();
    let names = if names.is_empty() { "nothing".to_owned() } else { names.join(", ") };
    if let Some(wanted) = wanted.name {
        let found = all.into_iter().find(|(name, _)| name == wanted).map(|(_, found)| found);
        return found
            .ok_or_else(|| JobError::field("class", format!("{wanted} is not in the file, which has {names}")));
    }
    match all.len() {
        1 => Ok(all.remove(0).1),
        0 => {
            let base = wanted.base.name().map_or_else(|_| String::new(), |name| name.to_string());
            let rule = format!("must hold a class that extends dexorder.{base} or a function {}", wanted.function);
            Err(JobError::field("source", rule))
        }
        _ => Err(JobError::field("class", format!("must be one of {names}"))),
    }
}

/// The value that a parameter gets: of the type of its default, or refused.
fn value_of<'py>(default: &Bound<'py, PyAny>, name: &str, given: &Parameter) -> Result<Bound<'py, PyAny>, JobError> {
    let py = default.py();
    let refuse =
        |what: &str| JobError::field(format!("params.{name}"), format!("{what} is expected, as its default is one"));
    if default.is_instance_of::<PyBool>() {
        return match given {
            Parameter::Bool(value) => Ok(PyBool::new(py, *value).to_owned().into_any()),
            _ => Err(refuse("a bool")),
        };
    }
    if default.is_instance_of::<PyInt>() {
        return match given {
            Parameter::Int(value) => Ok(PyInt::new(py, *value).into_any()),
            _ => Err(refuse("a whole number")),
        };
    }
    if default.is_instance_of::<PyFloat>() {
        #[allow(clippy::cast_precision_loss, reason = "a float was asked for")]
        return match given {
            Parameter::Float(value) => Ok(PyFloat::new(py, *value).into_any()),
            Parameter::Int(value) => Ok(PyFloat::new(py, *value as f64).into_any()),
            _ => Err(refuse("a number")),
        };
    }
    if default.is_instance_of::<PyString>() {
        return match given {
            Parameter::Text(value) => Ok(PyString::new(py, value).into_any()),
            _ => Err(refuse("a text")),
        };
    }
    let number: Option<Decimal> = match given {
        Parameter::Text(text) => text.parse().ok(),
        Parameter::Int(value) => Some(Decimal::from_int(*value)),
        _ => None,
    };
    let number = number.ok_or_else(|| refuse("an exact number as text"))?;
    crate::number::to_python(py, number).map_err(|_| refuse("an exact number as text"))
}

/// A value as a parameter of a report; `None` if it is not one.
fn parameter(value: &Bound<'_, PyAny>) -> PyResult<Option<Parameter>> {
    Ok(if let Ok(value) = value.cast::<PyBool>() {
        Some(Parameter::Bool(value.is_true()))
    } else if value.is_instance_of::<PyInt>() {
        value.extract().ok().map(Parameter::Int)
    } else if let Ok(value) = value.cast::<PyFloat>() {
        Some(value.value()).filter(|value| value.is_finite()).map(Parameter::Float)
    } else if let Ok(text) = value.cast::<PyString>() {
        Some(Parameter::Text(text.to_str()?.to_owned()))
    } else if crate::number::is_decimal(value)? {
        Some(Parameter::Text(value.str()?.extract()?))
    } else {
        None
    })
}

/// The parameters of a class: its attributes that are numbers, texts or bools and do not begin with an underscore.
fn defaults<'py>(
    class: &Bound<'py, PyType>,
    base: &Bound<'py, PyType>,
) -> PyResult<BTreeMap<String, Bound<'py, PyAny>>> {
    let mut found = BTreeMap::new();
    let mut classes: Vec<Bound<'py, PyAny>> = class.mro().iter().collect();
    classes.reverse();
    for each in classes {
        let each = each.cast_into::<PyType>()?;
        if each.is(base) || !each.is_subclass(base)? {
            continue;
        }
        let attributes = each.getattr("__dict__")?;
        for name in attributes.try_iter()? {
            let name: String = name?.extract()?;
            let value = attributes.get_item(&name)?;
            if !name.starts_with('_') && parameter(&value)?.is_some() {
                found.insert(name, value);
            }
        }
    }
    Ok(found)
}

/// The parameters of a function: those after the first, which all have defaults.
fn function_defaults<'py>(function: &Bound<'py, PyAny>) -> PyResult<BTreeMap<String, Bound<'py, PyAny>>> {
    let py = function.py();
    let inspect = py.import("inspect")?;
    let empty = inspect.getattr("Parameter")?.getattr("empty")?;
    let all = inspect.call_method1("signature", (function,))?.getattr("parameters")?.call_method0("items")?;
    let mut found = BTreeMap::new();
    for pair in all.try_iter()?.skip(1) {
        let (name, one): (String, Bound<'py, PyAny>) = pair?.extract()?;
        let default = one.getattr("default")?;
        if default.is(&empty) || parameter(&default)?.is_none() {
            let message = format!("{name}: needs a number, text or bool as its default");
            return Err(PySyntaxError::new_err(message));
        }
        found.insert(name, default);
    }
    Ok(found)
}

/// What is run: a class or function with values for all of its parameters.
#[derive(Debug)]
pub(crate) struct Chosen<'py> {
    pub(crate) found: Found<'py>,
    pub(crate) name: String,
    values: BTreeMap<String, Bound<'py, PyAny>>,
    overridden: Vec<String>,
}

impl<'py> Chosen<'py> {
    /// Gives `found` the parameters; refuses one that it does not have.
    pub(crate) fn new(
        source: &Source<'py>,
        found: Found<'py>,
        base: &Bound<'py, PyType>,
        given: &Parameters,
    ) -> Result<Self, JobError> {
        let py = base.py();
        let read = || -> PyResult<(String, BTreeMap<String, Bound<'py, PyAny>>)> {
            Ok(match &found {
                Found::Class(class) => (class.name()?.extract()?, defaults(class, base)?),
                Found::Function(function) => (function.getattr("__name__")?.extract()?, function_defaults(function)?),
            })
        };
        let (name, mut values) = read().map_err(|error| source.error(py, &error))?;
        for (parameter, value) in given {
            let Some(default) = values.get(parameter) else {
                let names: Vec<&str> = values.keys().map(String::as_str).collect();
                let names = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
                return Err(JobError::field(
                    format!("params.{parameter}"),
                    format!("{name} has no such parameter, only {names}"),
                ));
            };
            let value = value_of(default, parameter, value)?;
            values.insert(parameter.clone(), value);
        }
        Ok(Self { found, name, values, overridden: given.keys().cloned().collect() })
    }

    /// All parameters, for the report.
    pub(crate) fn parameters(&self) -> PyResult<Parameters> {
        let mut all = Parameters::new();
        for (name, value) in &self.values {
            if let Some(value) = parameter(value)? {
                all.insert(name.clone(), value);
            }
        }
        Ok(all)
    }

    /// Keyword arguments for a function.
    pub(crate) fn keywords(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let named = PyDict::new(py);
        self.values.iter().try_for_each(|(name, value)| named.set_item(name, value))?;
        Ok(named)
    }

    /// A new instance of a class, its parameters in place before `__init__` runs.
    pub(crate) fn instance(&self, class: &Bound<'py, PyType>) -> PyResult<Bound<'py, PyAny>> {
        let instance = class.call_method1("__new__", (class,))?;
        for name in &self.overridden {
            instance.setattr(name.as_str(), &self.values[name])?;
        }
        instance.call_method0("__init__")?;
        Ok(instance)
    }
}

/// The class of strategies.
pub(crate) fn strategy_class(py: Python<'_>) -> Bound<'_, PyType> {
    py.get_type::<PyStrategy>()
}
