//! What a tool answers: JSON that a model reads, and pictures; or why not.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use serde_json::json;

/// The answer of a tool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answer {
    /// JSON.
    pub(crate) text: String,
    /// PNG files in base64.
    pub(crate) pictures: Vec<String>,
    /// The tool did not do what was asked.
    pub(crate) refused: bool,
}

/// Why a tool did not do what was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {message}")]
pub(crate) struct Refusal {
    /// One word for a program.
    pub(crate) code: &'static str,
    /// The argument that has to change, if one has to.
    pub(crate) field: String,
    /// For a person or a model.
    pub(crate) message: String,
}

impl Refusal {
    pub(crate) fn new(code: &'static str, field: &str, message: impl ToString) -> Self {
        Self { code, field: field.to_owned(), message: message.to_string() }
    }

    /// An argument that cannot be.
    pub(crate) fn argument(field: &str, message: impl ToString) -> Self {
        Self::new("INVALID_ARGUMENT", field, message)
    }

    /// Something of the container failed; the log has the cause.
    pub(crate) fn failed(message: impl ToString) -> Self {
        Self::new("FAILED", "", message)
    }
}

impl Answer {
    /// A result as JSON.
    pub(crate) fn of(value: &impl Serialize) -> Self {
        match serde_json::to_string(value) {
            Ok(text) => Self { text, pictures: Vec::new(), refused: false },
            Err(error) => Refusal::failed(error).into(),
        }
    }

    pub(crate) fn with_pictures(mut self, pictures: &[Vec<u8>]) -> Self {
        self.pictures = pictures.iter().map(|png| STANDARD.encode(png)).collect();
        self
    }

    pub(crate) fn refuse(code: &'static str, field: &str, message: &str) -> Self {
        Refusal::new(code, field, message).into()
    }
}

impl From<Refusal> for Answer {
    fn from(refusal: Refusal) -> Self {
        let Refusal { code, field, message } = refusal;
        let mut error = json!({"code": code, "message": message});
        if !field.is_empty() {
            error["field"] = field.into();
        }
        Self { text: json!({ "error": error }).to_string(), pictures: Vec::new(), refused: true }
    }
}

impl From<Result<Self, Refusal>> for Answer {
    fn from(result: Result<Self, Refusal>) -> Self {
        result.unwrap_or_else(Into::into)
    }
}
