//! What a failed request means: whether it was carried out, and what to do about it.

use rmcp::model::ErrorData;
use rmcp::service::{ClientInitializeError, ServiceError};
use rmcp::transport::DynamicTransportError;
use rmcp::transport::streamable_http_client::StreamableHttpError;
use std::error::Error;

/// Why a request has no result.
#[derive(Debug)]
pub(crate) enum Failure {
    /// It never arrived, or was refused before anything was done.
    NotBegun,
    /// The container did not accept the token.
    Token,
    /// It may have been carried out, or not.
    Unknown,
    /// The container says why not.
    Refused(ErrorData),
    /// It said nothing for too long, or took too long.
    Silent,
    /// The caller does not want it any more.
    Cancelled,
}

impl From<ServiceError> for Failure {
    fn from(error: ServiceError) -> Self {
        match error {
            ServiceError::McpError(error) if is_asleep(&error) => Self::NotBegun,
            ServiceError::McpError(error) => Self::Refused(error),
            ServiceError::TransportSend(error) => of_transport(&error),
            _ => Self::Unknown,
        }
    }
}

impl From<ClientInitializeError> for Failure {
    fn from(error: ClientInitializeError) -> Self {
        match error {
            ClientInitializeError::TransportError { error, .. } => match of_transport(&error) {
                Self::Token => Self::Token,
                // Nothing was asked for yet but who is there.
                _ => Self::NotBegun,
            },
            ClientInitializeError::JsonRpcError(error) if !is_asleep(&error) => Self::Refused(error),
            _ => Self::NotBegun,
        }
    }
}

/// A container that falls asleep says so to whoever comes too late.
fn is_asleep(error: &ErrorData) -> bool {
    error.data.as_ref().and_then(|data| data.get("code")).is_some_and(|code| code == "ASLEEP")
}

fn of_transport(error: &DynamicTransportError) -> Failure {
    let mut cause: Option<&(dyn Error + 'static)> = Some(error.error.as_ref());
    while let Some(error) = cause {
        if let Some(error) = error.downcast_ref::<StreamableHttpError<reqwest::Error>>() {
            return of_http(error);
        }
        cause = error.source();
    }
    Failure::Unknown
}

fn of_http(error: &StreamableHttpError<reqwest::Error>) -> Failure {
    match error {
        // The last one: no token could be made.
        StreamableHttpError::AuthRequired(_)
        | StreamableHttpError::InsufficientScope(_)
        | StreamableHttpError::Io(_) => Failure::Token,
        StreamableHttpError::Client(error) if error.is_connect() => Failure::NotBegun,
        // 503: too many requests, or asleep; 429 is of the same kind.
        StreamableHttpError::HttpStatus(error) if matches!(error.status, 429 | 503) => Failure::NotBegun,
        _ => Failure::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rmcp::transport::streamable_http_client::HttpStatusError;
    use serde_json::json;

    #[test]
    fn only_what_surely_was_not_begun_is_called_so() {
        let asleep = ErrorData::internal_error("late", Some(json!({"code": "ASLEEP"})));
        assert!(matches!(Failure::from(ServiceError::McpError(asleep)), Failure::NotBegun));
        let other = ErrorData::internal_error("late", Some(json!({"code": "LATE"})));
        assert!(matches!(Failure::from(ServiceError::McpError(other)), Failure::Refused(_)));
        assert!(matches!(Failure::from(ServiceError::TransportClosed), Failure::Unknown));
        assert!(matches!(Failure::from(ServiceError::UnexpectedResponse), Failure::Unknown));
        let sent = |error: StreamableHttpError<reqwest::Error>| {
            let error = DynamicTransportError::from_parts("http", std::any::TypeId::of::<()>(), Box::new(error));
            Failure::from(ServiceError::TransportSend(error))
        };
        for (status, begun) in [(503, false), (429, false), (500, true), (502, true)] {
            let failure = sent(HttpStatusError::new(status, None).into());
            assert_eq!(matches!(failure, Failure::Unknown), begun, "{status}");
        }
        assert!(matches!(sent(StreamableHttpError::UnexpectedEndOfStream), Failure::Unknown));
    }
}
