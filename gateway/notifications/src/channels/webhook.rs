//! Webhooks, as the Standard Webhooks specification has them: an HTTPS POST, signed over id, time and body.

use super::address::{NotPublic, PublicResolver};
use super::{AddressError, check_url};
use crate::config::WebhookConfig;
use crate::delivery::{Channel, Delivery};
use crate::notification::Notification;
use crate::preferences::ChannelKind;
use crate::store::Store;
use async_trait::async_trait;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac};
use proto::UserId;
use reqwest::header::{CONTENT_TYPE, HeaderMap, RETRY_AFTER, USER_AGENT};
use reqwest::{Client, StatusCode};
use secrecy::{ExposeSecret, SecretString};
use service::clock::Clock;
use sha2::Sha256;
use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

/// What a secret begins with, by the specification.
const SECRET_PREFIX: &str = "whsec_";
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Why webhooks cannot start.
#[derive(Debug, thiserror::Error)]
pub enum WebhookError {
    /// The HTTP client cannot be made, e.g. because the process has installed no rustls provider.
    #[error("webhook client: {0}")]
    Client(#[from] reqwest::Error),
}

/// A new secret: 32 random bytes.
pub(crate) fn new_secret() -> SecretString {
    let bytes: [u8; 32] = rand::random();
    format!("{SECRET_PREFIX}{}", STANDARD.encode(bytes)).into()
}

/// Posts notifications to the address that the user has set.
#[derive(Debug)]
pub struct WebhookChannel {
    store: Store,
    client: Client,
    config: WebhookConfig,
    clock: Clock,
}

impl WebhookChannel {
    pub(crate) fn new(store: Store, config: WebhookConfig, clock: Clock) -> Result<Self, WebhookError> {
        let client = Client::builder()
            // A proxy of the environment would resolve the name itself, and a redirect would go where nobody has looked.
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .dns_resolver(Arc::new(PublicResolver { targets: config.targets }))
            .connect_timeout(CONNECT_TIMEOUT)
            // Each connection is resolved and judged anew.
            .pool_max_idle_per_host(0)
            .build()?;
        Ok(Self { store, client, config, clock })
    }
}

/// `v1,` and the MAC over `id.timestamp.body`.
fn signature(secret: &SecretString, id: &str, timestamp: u64, body: &[u8]) -> Option<String> {
    let key = STANDARD.decode(secret.expose_secret().strip_prefix(SECRET_PREFIX)?).ok()?;
    let mut mac = Hmac::<Sha256>::new_from_slice(&key).ok()?;
    mac.update(format!("{id}.{timestamp}.").as_bytes());
    mac.update(body);
    Some(format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes())))
}

fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds))
}

fn verdict(status: StatusCode, headers: &HeaderMap) -> Delivery {
    match status {
        status if status.is_success() => Delivery::Delivered,
        // The specification's way to say: never again.
        StatusCode::GONE => Delivery::Gone,
        _ => Delivery::TryLater { after: retry_after(headers) },
    }
}

fn is_refused_address(error: &reqwest::Error) -> bool {
    let mut cause = error.source();
    while let Some(error) = cause {
        if error.is::<NotPublic>() {
            return true;
        }
        cause = error.source();
    }
    false
}

#[async_trait]
impl Channel for WebhookChannel {
    fn kind(&self) -> ChannelKind {
        ChannelKind::Webhook
    }

    async fn deliver(&self, user_id: UserId, notification: &Notification) -> Delivery {
        let stored = match self.store.preferences(user_id).await {
            Ok(stored) => stored,
            Err(error) => {
                tracing::warn!(%error, "a webhook's address cannot be read");
                return Delivery::TryLater { after: None };
            }
        };
        let (Some(url), Some(secret)) = (stored.preferences.webhook_url, stored.webhook_secret) else {
            return Delivery::Gone;
        };
        let url = match check_url(&url, self.config.targets) {
            Ok(url) => url,
            Err(error) => return refused(user_id, &error),
        };
        let body = serde_json::json!({"type": notification.kind.name(), "data": notification.to_json()}).to_string();
        let (id, timestamp) = (notification.event_id.to_string(), self.clock.now_ns() / 1_000_000_000);
        let Some(signature) = signature(&secret, &id, timestamp, body.as_bytes()) else { return Delivery::Gone };
        let request = self
            .client
            .post(url)
            .header(CONTENT_TYPE, "application/json")
            .header(USER_AGENT, concat!("DexOrder/", env!("CARGO_PKG_VERSION")))
            .header("webhook-id", id)
            .header("webhook-timestamp", timestamp)
            .header("webhook-signature", signature)
            .body(body);
        // The answer's body is never read: dropping the response ends the connection.
        match request.send().await {
            Ok(response) => verdict(response.status(), response.headers()),
            Err(error) if is_refused_address(&error) => refused(user_id, &AddressError::NotPublic),
            Err(error) => {
                tracing::debug!(%user_id, error = %error.without_url(), "a webhook was not taken");
                Delivery::TryLater { after: None }
            }
        }
    }
}

fn refused(user_id: UserId, error: &AddressError) -> Delivery {
    tracing::warn!(%user_id, %error, "a webhook's address is not called");
    Delivery::Gone
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_signature_is_that_of_the_specification() {
        // The example of the reference implementation (standard-webhooks, `libraries/*/test`).
        let secret = SecretString::from("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
        let body = br#"{"test": 2432232314}"#;
        let signed = signature(&secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, body);
        assert_eq!(signed.as_deref(), Some("v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="));
        assert_eq!(signature(&"nonsense".into(), "id", 1, body), None);
    }

    #[test]
    fn answers_are_read_as_the_specification_says() {
        let mut headers = HeaderMap::new();
        let later = |seconds: Option<u64>| Delivery::TryLater { after: seconds.map(Duration::from_secs) };
        assert_eq!(verdict(StatusCode::NO_CONTENT, &headers), Delivery::Delivered);
        assert_eq!(verdict(StatusCode::GONE, &headers), Delivery::Gone);
        for status in [StatusCode::FOUND, StatusCode::BAD_REQUEST, StatusCode::INTERNAL_SERVER_ERROR] {
            assert_eq!(verdict(status, &headers), later(None), "{status}");
        }
        headers.insert(RETRY_AFTER, "120".parse().unwrap());
        assert_eq!(verdict(StatusCode::TOO_MANY_REQUESTS, &headers), later(Some(120)));
        headers.insert(RETRY_AFTER, "Fri, 31 Dec 1999 23:59:59 GMT".parse().unwrap());
        assert_eq!(verdict(StatusCode::TOO_MANY_REQUESTS, &headers), later(None));
    }

    #[test]
    fn secrets_are_long_random_and_not_shown() {
        let (one, other) = (new_secret(), new_secret());
        assert_ne!(one.expose_secret(), other.expose_secret());
        assert_eq!(one.expose_secret().len(), SECRET_PREFIX.len() + 44);
        assert!(!format!("{one:?}").contains(SECRET_PREFIX));
    }
}
