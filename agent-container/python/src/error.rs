//! Why a job was not done, as JSON for the caller.

use arrow_schema::ArrowError;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyString, PyTraceback};
use serde::Serialize;
use trading::backtest::BacktestError;

/// Longest message, and longest traceback, in bytes; the middle of a longer one is left out.
const TEXT: usize = 8_000;
/// Most frames of a traceback, counted from the innermost.
const FRAMES: i32 = 20;

pyo3::create_exception!(dexorder, Refused, PyValueError, "An order or a number that cannot be taken; says why.");

pub(crate) fn refused(message: String) -> PyErr {
    Refused::new_err(message)
}

/// An exception of user code.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct UserError {
    /// Its class and text.
    pub(crate) message: String,
    /// File of the innermost line of user code.
    file: Option<String>,
    line: Option<usize>,
    traceback: String,
}

/// Why a job was not done.
#[derive(Debug, thiserror::Error)]
pub(crate) enum JobError {
    #[error("job: {0}")]
    Json(#[from] serde_json::Error),
    #[error("{field}: {rule}")]
    Field { field: String, rule: String },
    #[error("data: {0}")]
    File(#[from] std::io::Error),
    #[error("data: {0}")]
    Arrow(#[from] ArrowError),
    #[error("data: {rule}")]
    Data { rule: String },
    #[error("{0}")]
    Engine(#[from] BacktestError),
    #[error("{}", .0.message)]
    User(Box<UserError>),
    /// The progress callback raised; given back as it is.
    #[error("the progress callback raised")]
    Progress(PyErr),
}

impl JobError {
    pub(crate) fn field(field: impl Into<String>, rule: impl Into<String>) -> Self {
        Self::Field { field: field.into(), rule: rule.into() }
    }

    /// An exception of user code; `file` is the name that its source was compiled under.
    pub(crate) fn user(py: Python<'_>, error: &PyErr, file: &str) -> Self {
        Self::User(Box::new(describe(py, error, file)))
    }

    /// Which part of the job was wrong.
    const fn kind(&self) -> &'static str {
        match self {
            Self::Json(_) | Self::Field { .. } | Self::Engine(BacktestError::Terms { .. }) => "job",
            Self::File(_) | Self::Arrow(_) | Self::Data { .. } | Self::Engine(BacktestError::Data { .. }) => "data",
            Self::Engine(_) => "limit",
            Self::User(_) => "user_code",
            Self::Progress(_) => "progress",
        }
    }

    /// The answer to the job.
    pub(crate) fn to_json(&self) -> serde_json::Value {
        let mut error = match self {
            Self::User(user) => serde_json::to_value(user).unwrap_or_default(),
            other => serde_json::json!({ "message": shortened(&other.to_string()) }),
        };
        error["kind"] = self.kind().into();
        serde_json::json!({ "kind": "error", "error": error })
    }
}

/// Both ends of a text that is too long.
pub(crate) fn shortened(text: &str) -> String {
    if text.len() <= TEXT {
        return text.to_owned();
    }
    let head = (0..=TEXT / 4).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
    let tail = (text.len() - TEXT * 3 / 4..text.len()).find(|at| text.is_char_boundary(*at)).unwrap_or(text.len());
    format!("{}\n… {} bytes left out …\n{}", &text[..head], tail - head, &text[tail..])
}

fn describe(py: Python<'_>, error: &PyErr, file: &str) -> UserError {
    let kind = error.get_type(py).name().map_or_else(|_| "Exception".to_owned(), |name| name.to_string());
    // The text is made by user code, which may fail again.
    let text = error.value(py).str().map_or_else(|_| "(its text cannot be made)".to_owned(), |text| lossy(&text));
    let message = if text.is_empty() { kind } else { format!("{kind}: {text}") };
    let place = syntax_place(py, error).or_else(|| innermost(error.traceback(py)?, file));
    let traceback = formatted(py, error).unwrap_or_else(|_| message.clone());
    UserError {
        message: shortened(&message),
        file: place.as_ref().map(|place| place.0.clone()),
        line: place.map(|place| place.1),
        traceback: shortened(&traceback),
    }
}

fn lossy(text: &Bound<'_, PyString>) -> String {
    text.to_string_lossy().into_owned()
}

/// Where a syntax error is: it has no traceback into the file that it is in.
fn syntax_place(py: Python<'_>, error: &PyErr) -> Option<(String, usize)> {
    if !error.is_instance_of::<pyo3::exceptions::PySyntaxError>(py) {
        return None;
    }
    let value = error.value(py);
    Some((value.getattr("filename").ok()?.extract().ok()?, value.getattr("lineno").ok()?.extract().ok()?))
}

/// The innermost frame in `file`, else the innermost one.
fn innermost(traceback: Bound<'_, PyTraceback>, file: &str) -> Option<(String, usize)> {
    let place = |at: &Bound<'_, PyAny>| -> PyResult<(String, usize)> {
        let name = at.getattr("tb_frame")?.getattr("f_code")?.getattr("co_filename")?.extract()?;
        Ok((name, at.getattr("tb_lineno")?.extract()?))
    };
    let (mut last, mut ours) = (None, None);
    let mut at = traceback.into_any();
    while !at.is_none() {
        if let Ok(found) = place(&at) {
            if found.0 == file {
                ours = Some(found.clone());
            }
            last = Some(found);
        }
        at = at.getattr("tb_next").ok()?;
    }
    ours.or(last)
}

fn formatted(py: Python<'_>, error: &PyErr) -> PyResult<String> {
    let named = pyo3::types::PyDict::new(py);
    named.set_item("limit", -FRAMES)?;
    let arguments = (error.get_type(py), error.value(py), error.traceback(py));
    let lines = py.import("traceback")?.call_method("format_exception", arguments, Some(&named))?;
    let mut text = String::new();
    for line in lines.try_iter()? {
        text.push_str(&lossy(line?.cast::<PyString>()?));
    }
    Ok(text)
}
