//! What a request may be, and why one is refused.

use crate::client::ClientError;
use crate::config::ProxyConfig;
use axum::body::{Body, Bytes};
use axum::http::StatusCode;
use futures_util::StreamExt;
use std::time::Duration;

/// Why a request is not passed on, or has no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refusal {
    #[error("this page may not call here")]
    Origin,
    #[error("only GET, POST and DELETE")]
    Method,
    #[error("at most {most} requests and streams of one user at a time")]
    TooMany { most: usize },
    #[error("a request has at most {most} bytes")]
    TooLong { most: usize },
    #[error("the JSON of a request is nested at most {most} deep")]
    TooDeep { most: usize },
    #[error("the request did not come within {after:?}")]
    TooSlow { after: Duration },
    #[error("the request broke off")]
    Cut,
    #[error("the container sleeps, and a stream does not wake it; a call does")]
    Asleep,
    #[error("{}", .0.for_user())]
    NoContainer(ClientError),
    #[error("the container refuses the platform")]
    Denied,
    #[error("the container was lost; whether the request was carried out is not known")]
    Lost,
}

impl Refusal {
    pub(super) const fn status(&self) -> StatusCode {
        match self {
            Self::Origin => StatusCode::FORBIDDEN,
            Self::Method => StatusCode::METHOD_NOT_ALLOWED,
            Self::TooMany { .. } => StatusCode::TOO_MANY_REQUESTS,
            Self::TooLong { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            Self::TooDeep { .. } | Self::Cut => StatusCode::BAD_REQUEST,
            Self::TooSlow { .. } => StatusCode::REQUEST_TIMEOUT,
            Self::Asleep | Self::NoContainer(_) => StatusCode::SERVICE_UNAVAILABLE,
            Self::Denied | Self::Lost => StatusCode::BAD_GATEWAY,
        }
    }

    pub(super) const fn code(&self) -> &'static str {
        match self {
            Self::Origin => "FORBIDDEN_ORIGIN",
            Self::Method => "METHOD_NOT_ALLOWED",
            Self::TooMany { .. } => "LIMIT_EXCEEDED",
            Self::TooLong { .. } => "TOO_LONG",
            Self::TooDeep { .. } => "TOO_DEEP",
            Self::TooSlow { .. } => "TOO_SLOW",
            Self::Cut => "CUT",
            Self::Asleep => "CONTAINER_ASLEEP",
            Self::NoContainer(error) => error.code(),
            Self::Denied => "CONTAINER_DENIED",
            Self::Lost => "CONTAINER_LOST",
        }
    }

    /// Name in metrics.
    pub(super) const fn reason(&self) -> &'static str {
        match self {
            Self::Origin => "origin",
            Self::Method => "method",
            Self::TooMany { .. } => "too_many",
            Self::TooLong { .. } => "too_long",
            Self::TooDeep { .. } => "too_deep",
            Self::TooSlow { .. } => "too_slow",
            Self::Cut => "cut",
            Self::Asleep => "asleep",
            Self::NoContainer(_) => "no_container",
            Self::Denied => "denied",
            Self::Lost => "lost",
        }
    }

    pub(super) const fn is_retryable(&self) -> bool {
        match self {
            Self::TooMany { .. } | Self::TooSlow { .. } | Self::Cut | Self::Asleep | Self::Lost => true,
            Self::NoContainer(error) => error.is_retryable(),
            _ => false,
        }
    }
}

/// Reads the body of a request: it is small, and may have to be sent again to a container that was just woken.
pub(super) async fn body(body: Body, config: &ProxyConfig) -> Result<Bytes, Refusal> {
    let (most, after) = (config.request_bytes, config.body_timeout);
    let read = async {
        let mut pieces = body.into_data_stream();
        let mut whole = Vec::new();
        while let Some(piece) = pieces.next().await {
            let piece = piece.map_err(|_| Refusal::Cut)?;
            if whole.len() + piece.len() > most {
                return Err(Refusal::TooLong { most });
            }
            whole.extend_from_slice(&piece);
        }
        Ok(Bytes::from(whole))
    };
    let whole = tokio::time::timeout(after, read).await.map_err(|_| Refusal::TooSlow { after })??;
    if depth(&whole) > config.depth {
        return Err(Refusal::TooDeep { most: config.depth });
    }
    Ok(whole)
}

/// How deep a JSON text is nested, at least: whether it is JSON at all is the container's matter.
fn depth(text: &[u8]) -> usize {
    let (mut depth, mut deepest, mut in_string, mut escaped) = (0_usize, 0, false, false);
    for byte in text {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'[' | b'{' if !in_string => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b']' | b'}' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> ProxyConfig {
        let config = serde_json::json!({"resource": "http://a/mcp", "authorization_server": "http://a", "depth": 16});
        serde_json::from_value(config).unwrap()
    }

    #[test]
    fn brackets_in_strings_do_not_nest() {
        for (text, expected) in [
            ("", 0),
            ("1", 0),
            ("{}", 1),
            (r#"{"a":[{"b":1}]}"#, 3),
            (r#"{"a":"[[[[[["}"#, 1),
            (r#"{"a":"\"[[[["}"#, 1),
            (r#"["\\",[1]]"#, 2),
            ("]]]][", 1),
            ("[[[[", 4),
        ] {
            assert_eq!(depth(text.as_bytes()), expected, "{text}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_is_bounded_in_bytes_depth_and_time() {
        let config = config();
        let exact = vec![b' '; config.request_bytes];
        assert_eq!(body(Body::from(exact.clone()), &config).await.unwrap().len(), exact.len());
        let long = [exact, vec![b' ']].concat();
        assert!(matches!(body(Body::from(long), &config).await, Err(Refusal::TooLong { .. })));
        let nested = |depth| Body::from(["[".repeat(depth), "]".repeat(depth)].concat());
        assert!(body(nested(16), &config).await.is_ok());
        assert!(matches!(body(nested(17), &config).await, Err(Refusal::TooDeep { .. })));
        let silent = Body::from_stream(futures_util::stream::pending::<Result<Bytes, std::io::Error>>());
        assert!(matches!(body(silent, &config).await, Err(Refusal::TooSlow { .. })));
        let broken = futures_util::stream::iter([Err::<Bytes, _>(std::io::Error::other("cut"))]);
        assert!(matches!(body(Body::from_stream(broken), &config).await, Err(Refusal::Cut)));
    }
}
