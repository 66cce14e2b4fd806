//! Errors as clients of the API see them, in the form that all of the gateway's have.

use crate::error::{AccountError, Code};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use std::borrow::Cow;
use std::time::Duration;
use utoipa::ToSchema;

/// The `error` member of an answer.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = AccountApiError)]
pub(crate) struct ApiError {
    code: Code,
    /// The offending member; empty if none.
    #[schema(value_type = String)]
    field: &'static str,
    /// For people: what is wrong and what is allowed.
    #[schema(value_type = String)]
    message: Cow<'static, str>,
    /// True if the same request may succeed later.
    retryable: bool,
    #[serde(skip)]
    #[schema(ignore)]
    retry_after: Option<Duration>,
}

/// The body of every answer that is not a success.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = AccountErrorBody)]
pub struct ErrorBody {
    /// The error.
    error: ApiError,
}

impl Code {
    /// The HTTP status.
    #[must_use]
    pub const fn status(self) -> StatusCode {
        match self {
            Self::Malformed | Self::InvalidField => StatusCode::BAD_REQUEST,
            Self::Unauthenticated | Self::TotpRequired => StatusCode::UNAUTHORIZED,
            Self::Forbidden | Self::ForbiddenOrigin => StatusCode::FORBIDDEN,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::Conflict => StatusCode::CONFLICT,
            Self::PayloadTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::LimitExceeded | Self::OverQuota => StatusCode::TOO_MANY_REQUESTS,
            Self::Overloaded => StatusCode::SERVICE_UNAVAILABLE,
            Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}

impl ApiError {
    pub(crate) fn new(code: Code, message: impl Into<Cow<'static, str>>) -> Self {
        Self { code, field: "", message: message.into(), retryable: false, retry_after: None }
    }
}

impl From<AccountError> for ApiError {
    /// A fault of ours is logged here, once; the client learns only that it is ours.
    fn from(error: AccountError) -> Self {
        let (code, field, retry_after) = (error.code(), error.field(), error.retry_after());
        let message = match code {
            Code::Internal | Code::Overloaded => {
                let cause = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
                tracing::error!(%error, cause, "an account request failed");
                Cow::Borrowed("accounts could not answer; try again")
            }
            _ => Cow::Owned(error.to_string()),
        };
        Self { code, field, message, retryable: retry_after.is_some() || code == Code::Internal, retry_after }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let (status, retry_after) = (self.code.status(), self.retry_after);
        let mut response = (status, axum::Json(ErrorBody { error: self })).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(wait) = retry_after {
            // Rounded up: whoever comes back then is not refused again.
            let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds.max(1)));
        }
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

impl IntoResponse for AccountError {
    fn into_response(self) -> Response {
        ApiError::from(self).into_response()
    }
}
