//! A JSON scalar kept as its text, because venues write numbers both bare and quoted and neither may become a float.

use crate::{Reason, Rejection};
use serde::Deserialize;
use serde::de::{Deserializer, Error as _};
use serde_json::value::RawValue;

/// A string without escapes, or a number: the text between the quotes, or the literal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Scalar<'a>(pub(crate) &'a str);

impl<'de: 'a, 'a> Deserialize<'de> for Scalar<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <&'de RawValue>::deserialize(deserializer)?.get();
        match text.as_bytes() {
            [b'"', inner @ .., b'"'] if !inner.contains(&b'\\') => Ok(Self(&text[1..text.len() - 1])),
            [b'-' | b'0'..=b'9', ..] => Ok(Self(text)),
            _ => Err(D::Error::custom("expected a number or a plain string")),
        }
    }
}

/// The text of an optional scalar.
pub(crate) fn text<'a>(scalar: Option<Scalar<'a>>) -> Option<&'a str> {
    scalar.map(|scalar| scalar.0)
}

/// A row written as an array of scalars, as venues write candles.
#[derive(Debug, Deserialize)]
pub(crate) struct Row<'a>(#[serde(borrow)] Vec<Scalar<'a>>);

impl<'a> Row<'a> {
    /// The text of a column, if the row has it.
    pub(crate) fn column(&self, index: usize) -> Option<&'a str> {
        self.0.get(index).map(|scalar| scalar.0)
    }
}

fn malformed(error: &serde_json::Error) -> Rejection {
    Rejection::new(Reason::Malformed, error.to_string())
}

/// The bytes as text. Checked once for the whole frame: that costs a fifth less than serde's check of each string.
fn text_of(bytes: &[u8]) -> Result<&str, Rejection> {
    std::str::from_utf8(bytes).map_err(|error| Rejection::new(Reason::Malformed, error.to_string()))
}

/// Reads a JSON array of rows that stay raw until each is read by itself.
pub(crate) fn rows(bytes: &[u8]) -> Result<Vec<&RawValue>, Rejection> {
    serde_json::from_str(text_of(bytes)?).map_err(|error| malformed(&error))
}

/// Reads a raw JSON array of rows.
pub(crate) fn raw_rows(raw: &RawValue) -> Result<Vec<&RawValue>, Rejection> {
    serde_json::from_str(raw.get()).map_err(|error| malformed(&error))
}

/// Reads a JSON array of scalars.
pub(crate) fn raw_row(raw: &RawValue) -> Result<Row<'_>, Rejection> {
    serde_json::from_str(raw.get()).map_err(|error| malformed(&error))
}

/// Reads a raw JSON scalar.
pub(crate) fn raw_scalar(raw: &RawValue) -> Result<Scalar<'_>, Rejection> {
    serde_json::from_str(raw.get()).map_err(|error| malformed(&error))
}

/// Reads a JSON object.
pub(crate) fn object<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, Rejection> {
    object_in(text_of(bytes)?)
}

/// Reads a raw JSON object.
pub(crate) fn raw_object<'a, T: Deserialize<'a>>(raw: &'a RawValue) -> Result<T, Rejection> {
    object_in(raw.get())
}

/// Without the check for an object, serde would take an array for the fields in their order.
fn object_in<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T, Rejection> {
    if !text.trim_ascii_start().starts_with('{') {
        return Err(Rejection::new(Reason::Malformed, "not a JSON object"));
    }
    serde_json::from_str(text).map_err(|error| malformed(&error))
}

/// The bytes without white space before the first value.
pub(crate) fn trimmed(bytes: &[u8]) -> &[u8] {
    bytes.trim_ascii()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_keep_their_digits_bare_or_quoted() {
        for (json, text) in [("105944.20", "105944.20"), ("\"0.10\"", "0.10"), ("-1e-8", "-1e-8"), ("\"\"", "")] {
            assert_eq!(serde_json::from_str::<Scalar<'_>>(json).unwrap(), Scalar(text));
        }
        for json in ["true", "[1]", "{}", "\"a\\n\"", "null"] {
            assert!(serde_json::from_str::<Scalar<'_>>(json).is_err(), "{json}");
        }
        assert_eq!(serde_json::from_str::<Option<Scalar<'_>>>("null").unwrap(), None);
    }
}
