//! How REST requests reach a venue: over HTTP, or into the simulated exchange of this process.

use crate::sim::SimExchange;
use bytes::{Bytes, BytesMut};
use std::sync::Arc;
use std::time::Duration;

/// Why no answer came.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TransportError {
    /// The client could not be made.
    #[error("cannot make a HTTP client")]
    Client(#[source] reqwest::Error),
    /// Not connected, timed out or cut off.
    #[error("{0}")]
    Http(String),
    /// The answer is larger than the limit.
    #[error("answer over {limit} bytes")]
    TooLarge {
        /// The limit.
        limit: usize,
    },
    /// The simulated exchange failed.
    #[error("the simulated exchange failed: {0}")]
    Sim(#[from] tokio::task::JoinError),
}

/// An answer as received.
#[derive(Debug, Clone)]
pub(crate) struct RawAnswer {
    pub(crate) status: u16,
    pub(crate) retry_after: Option<String>,
    pub(crate) used_weight: Option<u32>,
    pub(crate) body: Bytes,
}

/// The way to a venue's REST side.
#[derive(Debug, Clone)]
pub(crate) enum Transport {
    /// A base URL.
    Http { client: reqwest::Client, base: String, body_limit: usize },
    /// The exchange in this process.
    Sim(Arc<SimExchange>),
}

impl Transport {
    /// A HTTP client for a base URL without a slash at its end.
    ///
    /// # Errors
    /// If the TLS set-up of the machine is broken.
    pub(crate) fn http(base: &str, timeout: Duration, body_limit: usize) -> Result<Self, TransportError> {
        install_tls();
        let client = reqwest::Client::builder()
            .user_agent(concat!("dexorder/", env!("CARGO_PKG_VERSION")))
            .timeout(timeout)
            // A venue that redirects is not the venue that was configured.
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(TransportError::Client)?;
        Ok(Self::Http { client, base: base.trim_end_matches('/').to_owned(), body_limit })
    }

    /// Sends a GET request.
    ///
    /// # Errors
    /// [`TransportError`]; an answer with an error status is an answer.
    pub(crate) async fn get(
        &self,
        path_and_query: &str,
        used_weight_header: Option<&str>,
    ) -> Result<RawAnswer, TransportError> {
        match self {
            Self::Sim(exchange) => {
                let (exchange, path) = (Arc::clone(exchange), path_and_query.to_owned());
                // Drawing a long range takes some milliseconds of pure computation.
                let (status, body) = tokio::task::spawn_blocking(move || exchange.get(&path)).await?;
                Ok(RawAnswer { status, retry_after: None, used_weight: None, body })
            }
            Self::Http { client, base, body_limit } => {
                let url = format!("{base}{path_and_query}");
                let mut response = client.get(url).send().await.map_err(|error| http(&error))?;
                let header = |name: &str| response.headers().get(name).and_then(|value| value.to_str().ok());
                let retry_after = header("retry-after").map(str::to_owned);
                let used_weight = used_weight_header.and_then(header).and_then(|text| text.parse().ok());
                let status = response.status().as_u16();
                let mut body = BytesMut::new();
                while let Some(chunk) = response.chunk().await.map_err(|error| http(&error))? {
                    if body.len() + chunk.len() > *body_limit {
                        return Err(TransportError::TooLarge { limit: *body_limit });
                    }
                    body.extend_from_slice(&chunk);
                }
                Ok(RawAnswer { status, retry_after, used_weight, body: body.freeze() })
            }
        }
    }
}

/// The error with its causes, without the URL (it stands in the log line of the caller).
fn http(error: &reqwest::Error) -> TransportError {
    let mut text = if error.is_timeout() { "timed out".to_owned() } else { error.to_string() };
    let mut cause = std::error::Error::source(error);
    while let Some(inner) = cause {
        text = format!("{text}: {inner}");
        cause = inner.source();
    }
    TransportError::Http(text)
}

/// Makes ring the TLS implementation of this process. Harmless if one is installed already.
pub(crate) fn install_tls() {
    let _already = rustls::crypto::ring::default_provider().install_default();
}

/// Whether a venue's REST base answers at all within `timeout`; any status counts. For choosing live or simulated data.
pub async fn reachable(base: &str, timeout: Duration) -> bool {
    const BODY_LIMIT: usize = 1 << 20;
    let Ok(transport) = Transport::http(base, timeout, BODY_LIMIT) else { return false };
    match tokio::time::timeout(timeout, transport.get("/", None)).await {
        Ok(Ok(_)) => true,
        Ok(Err(TransportError::TooLarge { .. })) => true,
        Ok(Err(_)) | Err(_) => false,
    }
}
