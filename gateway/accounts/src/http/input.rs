//! What comes with a request: JSON bodies, paths, queries, each refused in the form of our errors.

use super::answer::ApiError;
use crate::error::{AccountError, Code};
use axum::extract::rejection::{BytesRejection, FailedToBufferBody};
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::header;
use axum::http::request::Parts;
use serde::de::DeserializeOwned;

/// A JSON body. Its content type must say so: a page of another origin cannot send that without asking first.
pub(crate) struct Json<T>(pub(crate) T);

/// A JSON body that may be absent.
pub(crate) struct OptionalJson<T>(pub(crate) T);

/// Parameters of the query.
pub(crate) struct Query<T>(pub(crate) T);

/// The `id` of the path.
pub(crate) struct Id(pub(crate) String);

async fn body<S: Send + Sync>(request: Request, state: &S) -> Result<(bool, axum::body::Bytes), ApiError> {
    let content_type = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let essence = content_type.map(|text| text.split(';').next().unwrap_or("").trim().to_ascii_lowercase());
    let bytes = axum::body::Bytes::from_request(request, state).await.map_err(|rejection| match rejection {
        BytesRejection::FailedToBufferBody(FailedToBufferBody::LengthLimitError(_)) => {
            ApiError::new(Code::PayloadTooLarge, "the body is too large")
        }
        _ => ApiError::new(Code::Malformed, "the body did not arrive"),
    })?;
    Ok((essence.as_deref() == Some("application/json"), bytes))
}

/// The place of a fault is named, never the content: a body holds secrets.
fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, ApiError> {
    serde_json::from_slice(bytes).map_err(|error| {
        let (line, column) = (error.line(), error.column());
        let what = match error.classify() {
            serde_json::error::Category::Data => "a member is unknown, missing or of the wrong type",
            _ => "not JSON",
        };
        ApiError::new(Code::Malformed, format!("body: {what}, line {line} column {column}"))
    })
}

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Json<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        match body(request, state).await? {
            (true, bytes) => parse(&bytes).map(Self),
            (false, _) => Err(ApiError::new(Code::Malformed, "content-type: must be application/json")),
        }
    }
}

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for OptionalJson<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        match body(request, state).await? {
            (_, bytes) if bytes.is_empty() => parse(b"{}").map(Self),
            (true, bytes) => parse(&bytes).map(Self),
            (false, _) => Err(ApiError::new(Code::Malformed, "content-type: must be application/json")),
        }
    }
}

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Query<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        let query = axum::extract::Query::try_from_uri(&parts.uri);
        let malformed = |_| ApiError::new(Code::Malformed, "a parameter is unknown or of the wrong type");
        query.map(|axum::extract::Query(query)| Self(query)).map_err(malformed)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Id {
    type Rejection = AccountError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, AccountError> {
        let path = axum::extract::Path::<String>::from_request_parts(parts, state).await;
        path.map(|axum::extract::Path(id)| Self(id)).map_err(|_| AccountError::NotFound { what: "id" })
    }
}
