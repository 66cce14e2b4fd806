//! An embedder behind an OpenAI-compatible `/v1/embeddings` endpoint.

use std::time::Duration;

use async_trait::async_trait;
use futures_util::StreamExt;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};

use super::embedder::{EmbedError, Embedder};

/// Bytes of a vector component as JSON text, generously: the answer may have this many for each.
const COMPONENT_BYTES_MAX: usize = 32;
const ANSWER_REST_BYTES_MAX: usize = 64 * 1024;

/// Where the endpoint is and what it is asked for.
#[derive(Debug, Clone)]
pub struct EndpointConfig {
    /// The whole URL, e.g. `http://127.0.0.1:11434/v1/embeddings`.
    pub url: String,
    /// The model's name.
    pub model: String,
    /// The length of its vectors.
    pub dimensions: usize,
    /// Sent as a bearer token, if the endpoint wants one.
    pub api_key: Option<SecretString>,
    /// How long one request may take.
    pub timeout: Duration,
    /// Most bytes of one text; a longer one is embedded by its beginning.
    pub text_bytes_max: usize,
}

/// Asks an endpoint for vectors.
#[derive(Debug)]
pub struct EndpointEmbedder {
    config: EndpointConfig,
    id: String,
    client: reqwest::Client,
}

#[derive(Serialize)]
struct Request<'a> {
    model: &'a str,
    input: Vec<&'a str>,
}

#[derive(Deserialize)]
struct Answer {
    data: Vec<Item>,
}

#[derive(Deserialize)]
struct Item {
    index: usize,
    embedding: Vec<f32>,
}

impl EndpointEmbedder {
    /// Prepares the client. A TLS provider must be installed, as the process does at its start.
    ///
    /// # Errors
    /// What the client says of its settings.
    pub fn new(config: EndpointConfig) -> Result<Self, reqwest::Error> {
        // A redirect could lead a request with a key elsewhere.
        let client =
            reqwest::Client::builder().timeout(config.timeout).redirect(reqwest::redirect::Policy::none()).build()?;
        let id = format!("{}#{}#{}", config.url, config.model, config.dimensions);
        Ok(Self { config, id, client })
    }

    async fn ask(&self, texts: &[&str]) -> Result<Vec<u8>, EmbedError> {
        let input = texts.iter().map(|text| beginning(text, self.config.text_bytes_max)).collect();
        let mut request = self.client.post(&self.config.url).json(&Request { model: &self.config.model, input });
        if let Some(key) = &self.config.api_key {
            request = request.bearer_auth(key.expose_secret());
        }
        let failed =
            |error: reqwest::Error| if error.is_timeout() { EmbedError::Timeout } else { EmbedError::Unreachable };
        let response = request.send().await.map_err(failed)?;
        if !response.status().is_success() {
            return Err(EmbedError::Status { status: response.status().as_u16() });
        }
        let limit = texts.len() * self.config.dimensions * COMPONENT_BYTES_MAX + ANSWER_REST_BYTES_MAX;
        let mut body = Vec::new();
        let mut parts = response.bytes_stream();
        while let Some(part) = parts.next().await {
            let part = part.map_err(failed)?;
            if body.len() + part.len() > limit {
                return Err(EmbedError::TooLarge { limit });
            }
            body.extend_from_slice(&part);
        }
        Ok(body)
    }
}

#[async_trait]
impl Embedder for EndpointEmbedder {
    fn id(&self) -> &str {
        &self.id
    }

    fn dimensions(&self) -> usize {
        self.config.dimensions
    }

    async fn embed(&self, texts: &[&str]) -> Result<Vec<Vec<f32>>, EmbedError> {
        let body = self.ask(texts).await?;
        let malformed = |problem| EmbedError::Malformed { problem };
        let answer: Answer = serde_json::from_slice(&body).map_err(|_| malformed("it is not the expected JSON"))?;
        if answer.data.len() != texts.len() {
            return Err(malformed("it has not one vector for each text"));
        }
        let mut vectors = vec![Vec::new(); texts.len()];
        for item in answer.data {
            let place = vectors.get_mut(item.index).ok_or(malformed("an index is out of range"))?;
            if !place.is_empty() || item.embedding.len() != self.config.dimensions {
                return Err(malformed("a vector is there twice or has another length"));
            }
            if item.embedding.iter().any(|value| !value.is_finite()) {
                return Err(malformed("a vector has a component that is not a number"));
            }
            *place = item.embedding;
        }
        Ok(vectors)
    }
}

fn beginning(text: &str, bytes_max: usize) -> &str {
    &text[..text.floor_char_boundary(bytes_max.min(text.len()))]
}
