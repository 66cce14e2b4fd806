//! The way of MCP messages to one container: each request carries a token that is good now.

use crate::tokens::TokenCache;
use axum::http::{HeaderName, HeaderValue};
use futures_util::stream::BoxStream;
use proto::UserId;
use rmcp::model::ClientJsonRpcMessage;
use rmcp::transport::streamable_http_client::{
    SseError, StreamableHttpClient, StreamableHttpError, StreamableHttpPostResponse,
};
use secrecy::ExposeSecret;
use sse_stream::Sse;
use std::collections::HashMap;
use std::sync::Arc;

type Headers = HashMap<HeaderName, HeaderValue>;
type Failed = StreamableHttpError<reqwest::Error>;
type Events = BoxStream<'static, Result<Sse, SseError>>;

/// HTTP with the owner's token. It outlives the token: each request asks for the one that is good.
#[derive(Debug, Clone)]
pub(crate) struct OwnersHttp {
    pub(crate) http: reqwest::Client,
    pub(crate) tokens: Arc<TokenCache>,
    pub(crate) owner: UserId,
    pub(crate) audience: Arc<str>,
}

impl OwnersHttp {
    fn token(&self) -> Result<Option<String>, Failed> {
        let token = self.tokens.get(self.owner, &self.audience);
        let token = token.map_err(|error| Failed::Io(std::io::Error::other(error)))?;
        Ok(Some(token.expose_secret().to_owned()))
    }
}

impl StreamableHttpClient for OwnersHttp {
    type Error = reqwest::Error;

    async fn post_message(
        &self,
        uri: Arc<str>,
        message: ClientJsonRpcMessage,
        session: Option<Arc<str>>,
        _token: Option<String>,
        headers: Headers,
    ) -> Result<StreamableHttpPostResponse, Failed> {
        self.http.post_message(uri, message, session, self.token()?, headers).await
    }

    async fn post_message_with_max_sse_event_size(
        &self,
        uri: Arc<str>,
        message: ClientJsonRpcMessage,
        session: Option<Arc<str>>,
        _token: Option<String>,
        headers: Headers,
        most: usize,
    ) -> Result<StreamableHttpPostResponse, Failed> {
        let token = self.token()?;
        self.http.post_message_with_max_sse_event_size(uri, message, session, token, headers, most).await
    }

    async fn delete_session(
        &self,
        uri: Arc<str>,
        session: Arc<str>,
        _token: Option<String>,
        headers: Headers,
    ) -> Result<(), Failed> {
        self.http.delete_session(uri, session, self.token()?, headers).await
    }

    async fn get_stream(
        &self,
        uri: Arc<str>,
        session: Option<Arc<str>>,
        last_event: Option<String>,
        _token: Option<String>,
        headers: Headers,
    ) -> Result<Events, Failed> {
        self.http.get_stream(uri, session, last_event, self.token()?, headers).await
    }

    async fn get_stream_with_max_sse_event_size(
        &self,
        uri: Arc<str>,
        session: Option<Arc<str>>,
        last_event: Option<String>,
        _token: Option<String>,
        headers: Headers,
        most: usize,
    ) -> Result<Events, Failed> {
        let token = self.token()?;
        self.http.get_stream_with_max_sse_event_size(uri, session, last_event, token, headers, most).await
    }
}
