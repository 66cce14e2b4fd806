//! `/mcp` of the gateway: an external MCP client talks to its user's container, woken if it sleeps.
//!
//! The caller has been authenticated before: what comes here is a user. Its credentials go no further; the container gets a token that was
//! made for it. Answers are passed on as they come, and a caller that goes away takes its request with it, which the container takes as a
//! cancel. Nothing is kept here between two requests: sessions are the container's, so any replica will do.

mod headers;
mod metadata;
mod request;

pub use metadata::{metadata, metadata_path, unauthorized};

use crate::client::{ClientError, ContainerClient};
use crate::config::ProxyConfig;
use crate::metrics::ContainerMetrics;
use crate::provisioner::{Endpoint, Phase};
use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures_util::StreamExt;
use proto::UserId;
use request::{Refusal, body};
use secrecy::ExposeSecret;
use serde_json::json;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// How often a request is sent at most.
const TRIES: u32 = 3;
/// The pause before it is sent again; each further one is twice as long.
const PAUSE: Duration = Duration::from_millis(100);
/// A client whose container sleeps may open its stream again after so long, s; what it calls wakes the container at once.
const STREAM_AGAIN_S: HeaderValue = HeaderValue::from_static("30");

/// The proxy. Clones share everything.
#[derive(Debug, Clone)]
pub struct McpProxy {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    config: ProxyConfig,
    client: ContainerClient,
    http: reqwest::Client,
    metrics: ContainerMetrics,
    open: Mutex<HashMap<UserId, usize>>,
}

/// One of a user's open requests.
#[derive(Debug)]
struct Place {
    shared: Arc<Shared>,
    owner: UserId,
}

impl Place {
    fn take(shared: &Arc<Shared>, owner: UserId) -> Result<Self, Refusal> {
        let mut open = shared.open.lock().unwrap_or_else(PoisonError::into_inner);
        let count = open.entry(owner).or_default();
        if *count >= shared.config.streams_per_user {
            return Err(Refusal::TooMany { most: shared.config.streams_per_user });
        }
        *count += 1;
        drop(open);
        shared.metrics.streams.inc();
        Ok(Self { shared: Arc::clone(shared), owner })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.shared.metrics.streams.dec();
        let mut open = self.shared.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = open.get_mut(&self.owner) {
            *count -= 1;
            if *count == 0 {
                open.remove(&self.owner);
            }
        }
    }
}

impl McpProxy {
    /// A proxy over a client. The TLS provider of the process must have been chosen.
    ///
    /// # Errors
    /// If there can be no HTTP client.
    pub fn new(config: ProxyConfig, client: ContainerClient) -> Result<Self, reqwest::Error> {
        let http = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(Duration::from_secs(5))
            .build()?;
        let metrics = client.metrics().clone();
        let shared = Shared { config, client, http, metrics, open: Mutex::default() };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// The configuration, for [`metadata`] and [`unauthorized`].
    #[must_use]
    pub fn config(&self) -> &ProxyConfig {
        &self.shared.config
    }

    /// Answers a request of this user: GET, POST or DELETE of `/mcp`.
    pub async fn handle(&self, caller: UserId, request: Request) -> Response {
        let shared = &self.shared;
        match shared.pass(caller, request).await {
            Ok(response) => {
                shared.metrics.proxied(if response.status().is_success() { "done" } else { "refused" });
                response
            }
            Err(refusal) => {
                shared.metrics.proxy_refused(refusal.reason());
                refusal.into_response()
            }
        }
    }
}

/// A request that may be sent more than once.
struct Outgoing {
    method: Method,
    headers: axum::http::HeaderMap,
    body: Bytes,
}

impl Shared {
    async fn pass(self: &Arc<Self>, owner: UserId, request: Request) -> Result<Response, Refusal> {
        self.check_origin(&request)?;
        let place = Place::take(self, owner)?;
        let method = request.method().clone();
        if !matches!(method, Method::GET | Method::POST | Method::DELETE) {
            return Err(Refusal::Method);
        }
        if method == Method::GET {
            self.refuse_to_wake(owner).await?;
        }
        let headers = headers::outgoing(request.headers());
        let body = body(request.into_body(), &self.config).await?;
        let answer = self.send(owner, Outgoing { method, headers, body }).await?;
        Ok(self.answer(answer, place))
    }

    /// A page of another site must not call with what a browser knows (DNS rebinding); programs send no `Origin`.
    fn check_origin(&self, request: &Request) -> Result<(), Refusal> {
        let allowed = |origin: &HeaderValue| {
            self.config.allowed_origins.iter().any(|allowed| allowed.as_bytes() == origin.as_bytes())
        };
        if request.headers().get_all(header::ORIGIN).iter().all(allowed) { Ok(()) } else { Err(Refusal::Origin) }
    }

    /// A stream only listens: it wakes nobody, or a client that opens it again and again would keep its container awake for ever.
    async fn refuse_to_wake(&self, owner: UserId) -> Result<(), Refusal> {
        match self.client.provisioner().state(owner).await.state {
            Phase::Absent | Phase::Asleep | Phase::Failed => Err(Refusal::Asleep),
            Phase::Starting | Phase::Ready => Ok(()),
        }
    }

    /// Sends the request to the user's container, again if it surely did not arrive.
    async fn send(&self, owner: UserId, request: Outgoing) -> Result<reqwest::Response, Refusal> {
        let mut tries = 0;
        loop {
            let endpoint = self.client.ensure(owner).await?.endpoint;
            tries += 1;
            let token = self.client.tokens().get(owner, &endpoint.audience).map_err(ClientError::from)?;
            let sent = self
                .http
                .request(request.method.clone(), endpoint.mcp_url.as_ref())
                .headers(request.headers.clone())
                .bearer_auth(token.expose_secret())
                .body(request.body.clone())
                .send()
                .await;
            match sent {
                Ok(answer) => match answer.status() {
                    StatusCode::SERVICE_UNAVAILABLE if tries < TRIES => self.suspect(owner, &endpoint),
                    // This is between the platform and the container; its words would only mislead the caller.
                    StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN if tries < TRIES => {
                        self.client.tokens().forget(owner, &endpoint.audience);
                    }
                    StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                        tracing::error!(%owner, status = %answer.status(), "a container refuses the platform");
                        return Err(Refusal::Denied);
                    }
                    _ => return Ok(answer),
                },
                Err(error) => {
                    self.suspect(owner, &endpoint);
                    if !error.is_connect() || tries >= TRIES {
                        tracing::warn!(%owner, error = %error.without_url(), "a container was lost");
                        return Err(Refusal::Lost);
                    }
                }
            }
            tokio::time::sleep(PAUSE * (1 << (tries - 1))).await;
        }
    }

    fn suspect(&self, owner: UserId, endpoint: &Endpoint) {
        self.client.provisioner().suspect(owner, &endpoint.instance);
    }

    /// The answer as it comes, piece by piece; its place is taken until its end.
    fn answer(&self, answer: reqwest::Response, place: Place) -> Response {
        let (status, headers) = (answer.status(), headers::incoming(answer.headers()));
        let stream = answer.bytes_stream().map(move |piece| {
            let _taken = &place;
            piece.map_err(reqwest::Error::without_url)
        });
        let mut response = Response::new(Body::from_stream(stream));
        *response.status_mut() = status;
        *response.headers_mut() = headers;
        response
    }
}

impl From<ClientError> for Refusal {
    fn from(error: ClientError) -> Self {
        Self::NoContainer(error)
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let body = json!({"error": {
            "code": self.code(), "field": "", "message": self.to_string(), "retryable": self.is_retryable(),
        }});
        let mut response = (self.status(), axum::Json(body)).into_response();
        let again = match self {
            Self::Asleep => Some(STREAM_AGAIN_S),
            Self::TooMany { .. } | Self::Lost => Some(HeaderValue::from_static("1")),
            Self::NoContainer(_) if self.is_retryable() => Some(HeaderValue::from_static("5")),
            _ => None,
        };
        if let Some(again) = again {
            response.headers_mut().insert(header::RETRY_AFTER, again);
        }
        if matches!(self, Self::Method) {
            response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, POST, DELETE"));
        }
        response
    }
}
