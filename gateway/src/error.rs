//! Errors as clients of the API see them.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use proto::ErrorCode;
use serde::Serialize;
use std::borrow::Cow;
use utoipa::ToSchema;

/// What went wrong, as a word that is stable for programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[allow(missing_docs, reason = "the status below says what each means")]
pub(crate) enum Code {
    Malformed,
    InvalidField,
    UnknownSymbol,
    UnknownRequest,
    SnapshotGone,
    TooManyRows,
    NoIngestor,
    VenueFailed,
    NotAvailable,
    NotFound,
    MethodNotAllowed,
    ForbiddenHost,
    ForbiddenOrigin,
    UriTooLong,
    PayloadTooLarge,
    LimitExceeded,
    OverQuota,
    UpgradeRequired,
    Overloaded,
    Timeout,
    Unauthenticated,
    Internal,
}

impl Code {
    const fn status(self) -> StatusCode {
        match self {
            Self::Malformed | Self::InvalidField | Self::TooManyRows => StatusCode::BAD_REQUEST,
            Self::ForbiddenHost | Self::ForbiddenOrigin => StatusCode::FORBIDDEN,
            Self::UnknownSymbol | Self::UnknownRequest | Self::NotAvailable | Self::NotFound => StatusCode::NOT_FOUND,
            Self::Unauthenticated => StatusCode::UNAUTHORIZED,
            Self::SnapshotGone => StatusCode::GONE,
            Self::VenueFailed => StatusCode::BAD_GATEWAY,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::UriTooLong => StatusCode::URI_TOO_LONG,
            Self::PayloadTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::UpgradeRequired => StatusCode::UPGRADE_REQUIRED,
            Self::LimitExceeded | Self::OverQuota => StatusCode::TOO_MANY_REQUESTS,
            Self::Overloaded | Self::NoIngestor => StatusCode::SERVICE_UNAVAILABLE,
            Self::Timeout => StatusCode::GATEWAY_TIMEOUT,
            Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    const fn is_retryable(self) -> bool {
        matches!(
            self,
            Self::OverQuota | Self::Overloaded | Self::NoIngestor | Self::VenueFailed | Self::Timeout | Self::Internal
        )
    }
}

/// The `error` member of an answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema, thiserror::Error)]
#[error("{message}")]
pub(crate) struct ApiError {
    /// What went wrong.
    pub(crate) code: Code,
    /// The offending parameter or member; empty if none.
    #[schema(value_type = String)]
    pub(crate) field: Cow<'static, str>,
    /// For people: what is wrong and what is allowed.
    #[schema(value_type = String)]
    pub(crate) message: Cow<'static, str>,
    /// True if the same request may succeed later.
    pub(crate) retryable: bool,
}

/// The body of every answer that is not a success.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ErrorBody {
    /// The error.
    pub(crate) error: ApiError,
}

impl ApiError {
    /// An error that is about no field.
    pub(crate) fn new(code: Code, message: impl Into<Cow<'static, str>>) -> Self {
        Self { code, field: Cow::Borrowed(""), message: message.into(), retryable: code.is_retryable() }
    }

    /// `INVALID_FIELD`.
    pub(crate) fn field(field: impl Into<Cow<'static, str>>, message: impl Into<Cow<'static, str>>) -> Self {
        Self { field: field.into(), ..Self::new(Code::InvalidField, message) }
    }

    /// The same about a field.
    pub(crate) fn about(self, field: &'static str) -> Self {
        Self { field: Cow::Borrowed(field), ..self }
    }
}

impl From<lake::LakeError> for ApiError {
    /// The cause is logged here, once; the client learns only that it is ours.
    fn from(error: lake::LakeError) -> Self {
        match &error {
            lake::LakeError::NoSnapshot { .. } => {
                let message = "snapshot: unknown or expired; leave it out to read the newest";
                return Self::new(Code::SnapshotGone, message).about("snapshot");
            }
            lake::LakeError::TooManyRows { most } => {
                return Self::new(Code::TooManyRows, format!("to: over {most} rows; ask for a shorter range"))
                    .about("to");
            }
            _ => {}
        }
        tracing::error!(%error, "the lake could not answer");
        Self::new(Code::Internal, "the lake could not answer; try again")
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let status = self.code.status();
        let retry = self.retryable;
        let mut response = (status, axum::Json(ErrorBody { error: self })).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if retry {
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }
}

/// The name of a wire error code, for counters and logs.
pub(crate) fn wire_code_name(code: u32) -> &'static str {
    ErrorCode::from_code(code).map_or("UNKNOWN", ErrorCode::name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_json_with_its_code_field_and_whether_to_retry() {
        let error = ApiError::field("interval", "interval: not one of 1s 60s");
        let json = serde_json::to_string(&ErrorBody { error: error.clone() }).unwrap();
        let expected = r#"{"error":{"code":"INVALID_FIELD","field":"interval","message":"interval: not one of 1s 60s","retryable":false}}"#;
        assert_eq!(json, expected);
        assert_eq!(error.into_response().status(), StatusCode::BAD_REQUEST);
        assert!(ApiError::new(Code::Overloaded, "busy").retryable);
    }
}
