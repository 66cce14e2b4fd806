//! Any provider that speaks OpenAI's chat completions.
//!
//! The stream is read here and not by `async-openai` 0.43, after a look at its `client.rs`: its reader runs in a detached task behind an
//! unbounded channel, takes a connection that closes for the end of the answer (a cut answer would count as whole), has no bound
//! on an event, no timeout between bytes, and its chunk type demands an `index` for each call and `id`, `created` and `object` for each
//! chunk, which several providers leave out. Its types check in our tests that what we send is what the protocol says.

mod decode;
mod request;
mod sse;

use crate::config::ProviderConfig;
use crate::model::{Answer, Chunk, Model, ModelError, Prompt};
use crate::prompt::shortened;
use crate::router::ModelConfig;
use async_trait::async_trait;
use bytes::Bytes;
use decode::Decoder;
use futures_util::stream::BoxStream;
use futures_util::{StreamExt, stream};
use reqwest::header::{HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use secrecy::{ExposeSecret, SecretString};
use sse::Sse;
use std::collections::VecDeque;
use std::time::Duration;
use tokio::time::Instant;

/// Bytes of an error's body that are read.
const ERROR_BYTES: usize = 8 << 10;
/// Bytes of an error's text that are kept.
const MESSAGE_BYTES: usize = 300;

/// Why a provider cannot be used as it is configured.
#[derive(Debug, thiserror::Error)]
pub enum ProviderError {
    /// A header has characters that no header has.
    #[error("providers.{provider}.headers.{header}: not a header")]
    Header {
        /// Name of the provider.
        provider: String,
        /// Name of the header.
        header: String,
    },
    /// The key has characters that no header has.
    #[error("providers.{provider}: the key has characters that a header cannot carry")]
    Key {
        /// Name of the provider.
        provider: String,
    },
    /// No client can be made.
    #[error("providers.{provider}: {source}")]
    Client {
        /// Name of the provider.
        provider: String,
        /// The cause.
        source: reqwest::Error,
    },
}

/// A provider: one client, whose connections its models share.
#[derive(Debug, Clone)]
pub struct Provider {
    client: reqwest::Client,
    url: String,
    config: ProviderConfig,
    key: Option<SecretString>,
}

impl Provider {
    /// Reads its configuration; a local provider needs no key. The process must have installed rustls' default provider.
    ///
    /// # Errors
    /// See [`ProviderError`].
    pub fn new(name: &str, config: &ProviderConfig, key: Option<SecretString>) -> Result<Self, ProviderError> {
        let mut headers = HeaderMap::new();
        for (header, value) in &config.headers {
            let error = || ProviderError::Header { provider: name.to_owned(), header: header.clone() };
            let field = HeaderName::from_bytes(header.as_bytes()).map_err(|_| error())?;
            headers.insert(field, HeaderValue::from_str(value).map_err(|_| error())?);
        }
        if let Some(key) = &key {
            let bearer = HeaderValue::from_str(&format!("Bearer {}", key.expose_secret()));
            let mut bearer = bearer.map_err(|_| ProviderError::Key { provider: name.to_owned() })?;
            bearer.set_sensitive(true);
            headers.insert(reqwest::header::AUTHORIZATION, bearer);
        }
        let builder = reqwest::Client::builder().default_headers(headers).connect_timeout(config.connect_timeout);
        // A redirect could carry the key elsewhere.
        let builder = builder.redirect(reqwest::redirect::Policy::none()).pool_idle_timeout(Duration::from_secs(60));
        let client = builder.build().map_err(|source| ProviderError::Client { provider: name.to_owned(), source })?;
        let url = format!("{}/chat/completions", config.base_url.trim_end_matches('/'));
        Ok(Self { client, url, config: config.clone(), key })
    }

    /// One of its models.
    #[must_use]
    pub fn model(&self, config: &ModelConfig) -> OpenAiModel {
        let at_provider = config.model.clone().unwrap_or_else(|| config.name.clone());
        OpenAiModel { provider: self.clone(), name: config.name.clone(), at_provider, temperature: config.temperature }
    }

    /// What a provider said, as it may be shown: short, without the key.
    fn message(&self, text: &str) -> String {
        let text = shortened(text.trim(), MESSAGE_BYTES);
        match &self.key {
            Some(key) if !key.expose_secret().is_empty() => text.replace(key.expose_secret(), "…"),
            _ => text,
        }
    }

    async fn error(&self, response: reqwest::Response) -> ModelError {
        let status = response.status().as_u16();
        let retry_after = response.headers().get(RETRY_AFTER).and_then(|it| it.to_str().ok()?.trim().parse().ok());
        let retry_after = retry_after.map(Duration::from_secs);
        let mut body = Vec::new();
        let mut bytes = response.bytes_stream();
        let read = async {
            while let Some(Ok(more)) = bytes.next().await {
                body.extend_from_slice(&more[..more.len().min(ERROR_BYTES - body.len())]);
                if body.len() == ERROR_BYTES {
                    break;
                }
            }
        };
        // The status says enough if the body does not come.
        drop(tokio::time::timeout(self.config.silence_timeout, read).await);
        let text = String::from_utf8_lossy(&body);
        let said = serde_json::from_str::<serde_json::Value>(&text).ok().and_then(|body| decode::error_message(&body));
        decode::failure(status, retry_after, self.message(&said.unwrap_or_else(|| text.into_owned())))
    }
}

/// Makes the models of a configuration: those whose provider is configured, each provider with its key.
///
/// # Errors
/// See [`ProviderError`].
pub fn models(
    config: &crate::HarnessConfig,
    keys: &std::collections::BTreeMap<String, SecretString>,
) -> Result<Vec<std::sync::Arc<dyn Model>>, ProviderError> {
    let mut providers = std::collections::BTreeMap::new();
    for (name, provider) in &config.providers {
        providers.insert(name.as_str(), Provider::new(name, provider, keys.get(name).cloned())?);
    }
    let model = |config: &ModelConfig| {
        let provider = providers.get(config.provider.as_deref()?)?;
        Some(std::sync::Arc::new(provider.model(config)) as std::sync::Arc<dyn Model>)
    };
    Ok(config.models.iter().filter_map(model).collect())
}

/// A model of a provider.
#[derive(Debug, Clone)]
pub struct OpenAiModel {
    provider: Provider,
    name: String,
    at_provider: String,
    temperature: Option<f32>,
}

/// An answer that is read.
struct Reading {
    bytes: BoxStream<'static, reqwest::Result<Bytes>>,
    sse: Sse,
    decoder: Decoder,
    ready: VecDeque<Result<Chunk, ModelError>>,
    silence: Duration,
    left: usize,
    most: usize,
    over: bool,
}

#[async_trait]
impl Model for OpenAiModel {
    fn name(&self) -> &str {
        &self.name
    }

    async fn ask(&self, prompt: &Prompt) -> Result<Answer, ModelError> {
        let body = request::body(&self.at_provider, prompt, self.temperature);
        let config = &self.provider.config;
        let request =
            self.provider.client.post(&self.provider.url).header("content-type", "application/json").body(body);
        let deadline = Instant::now() + config.first_byte_timeout;
        let silent = ModelError::Silent { after: config.first_byte_timeout };
        let sent = tokio::time::timeout_at(deadline, request.send()).await.map_err(|_| silent.clone())?;
        let response = sent.map_err(|_| ModelError::Unreachable)?;
        if !response.status().is_success() {
            return Err(self.provider.error(response).await);
        }
        let mut bytes = response.bytes_stream().boxed();
        // The first byte is waited for here, so that a provider that accepts and says nothing counts as silent.
        let first = tokio::time::timeout_at(deadline, bytes.next()).await.map_err(|_| silent)?;
        let first = first.ok_or(ModelError::Cut)?;
        let reading = Reading {
            bytes: stream::iter([first]).chain(bytes).boxed(),
            sse: Sse::new(config.answer_bytes),
            decoder: Decoder::default(),
            ready: VecDeque::new(),
            silence: config.silence_timeout,
            left: config.answer_bytes,
            most: config.answer_bytes,
            over: false,
        };
        Ok(stream::unfold(reading, |mut reading| async move { reading.next().await.map(|chunk| (chunk, reading)) })
            .boxed())
    }
}

impl Reading {
    async fn next(&mut self) -> Option<Result<Chunk, ModelError>> {
        loop {
            if let Some(chunk) = self.ready.pop_front() {
                self.over |= matches!(chunk, Err(_) | Ok(Chunk::End(_)));
                return Some(chunk);
            }
            if self.over {
                return None;
            }
            let bytes = match tokio::time::timeout(self.silence, self.bytes.next()).await {
                Err(_) => Err(ModelError::Silent { after: self.silence }),
                Ok(Some(Err(_))) => Err(ModelError::Cut),
                Ok(Some(Ok(bytes))) if bytes.len() > self.left => Err(ModelError::TooLong { most: self.most }),
                Ok(Some(Ok(bytes))) => Ok(Some(bytes)),
                Ok(None) => Ok(None),
            };
            match bytes {
                Err(error) => self.ready.push_back(Err(error)),
                Ok(None) => {
                    self.sse.end(|data| self.decoder.data(data, &mut self.ready));
                    self.decoder.end_of_stream(&mut self.ready);
                }
                Ok(Some(bytes)) => {
                    self.left -= bytes.len();
                    self.sse.feed(&bytes, |data| self.decoder.data(data, &mut self.ready));
                }
            }
        }
    }
}

#[cfg(test)]
#[path = "openai/tests.rs"]
mod tests;
