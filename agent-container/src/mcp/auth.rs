//! Who may call: bearer tokens (JWT, Ed25519) of one issuer, for this server and its owner.
//!
//! The keys are configured, never fetched: nothing in a token says where its key is. RFC 6750 and RFC 9728 for how a refusal
//! looks; RFC 8725 for what is checked.

use crate::config::AuthConfig;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde::Deserialize;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Clocks of issuer and server may differ so much, s.
const LEEWAY_S: u64 = 30;
/// A token that is good for longer was not made for a running session, s.
const LONGEST_LIFE_S: u64 = 24 * 3600;
/// Most bytes of a token.
const TOKEN_BYTES: usize = 4096;
/// Tokens known to be good.
const KNOWN: usize = 64;

/// Why a caller is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AuthError {
    /// No `Authorization: Bearer`.
    #[error("a bearer token is required")]
    Missing,
    /// It cannot be read, or its signature is wrong.
    #[error("the token is not valid")]
    Invalid,
    /// Its time is over, or has not come.
    #[error("the token has expired or is not valid yet")]
    Time,
    /// Of another issuer.
    #[error("the token is of another issuer")]
    Issuer,
    /// For another server.
    #[error("the token is for another audience")]
    Audience,
    /// Of somebody else.
    #[error("this container belongs to another user")]
    Owner,
}

impl AuthError {
    const fn status(self) -> StatusCode {
        match self {
            Self::Owner => StatusCode::FORBIDDEN,
            _ => StatusCode::UNAUTHORIZED,
        }
    }

    /// Name in metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Invalid => "invalid",
            Self::Time => "time",
            Self::Issuer => "issuer",
            Self::Audience => "audience",
            Self::Owner => "owner",
        }
    }
}

/// A key of the configuration is no Ed25519 public key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("auth.keys.{id}: not an Ed25519 public key in PEM")]
pub struct KeyError {
    /// Which.
    pub id: String,
}

#[derive(Debug, Deserialize)]
struct Claims {
    sub: String,
    exp: u64,
    #[serde(default)]
    iat: Option<u64>,
}

/// Checks tokens.
#[derive(Debug)]
pub struct Guard {
    keys: BTreeMap<String, DecodingKey>,
    validation: Validation,
    owner: String,
    challenge: String,
    /// Digest of a good token → when it expires, s. Signatures cost more than everything else of a light request.
    known: Mutex<BTreeMap<[u8; 32], u64>>,
}

impl Guard {
    /// # Errors
    /// If a key cannot be read.
    pub fn new(config: &AuthConfig, owner: &str) -> Result<Self, KeyError> {
        let key = |(id, pem): (&String, &String)| {
            let key = DecodingKey::from_ed_pem(pem.as_bytes()).map_err(|_| KeyError { id: id.clone() })?;
            Ok((id.clone(), key))
        };
        let keys = config.keys.iter().map(key).collect::<Result<_, _>>()?;
        let mut validation = Validation::new(Algorithm::EdDSA);
        validation.set_issuer(&[&config.issuer]);
        validation.set_audience(&[&config.audience]);
        validation.set_required_spec_claims(&["exp", "aud", "iss", "sub"]);
        validation.validate_nbf = true;
        validation.leeway = LEEWAY_S;
        let metadata = metadata_url(&config.audience);
        let challenge = format!("Bearer resource_metadata=\"{metadata}\"");
        Ok(Self { keys, validation, owner: owner.to_owned(), challenge, known: Mutex::default() })
    }

    /// Checks the token of a request.
    ///
    /// # Errors
    /// Why it is refused.
    pub fn check(&self, headers: &HeaderMap) -> Result<(), AuthError> {
        let token = bearer(headers)?;
        let digest: [u8; 32] = Sha256::digest(token.as_bytes()).into();
        let now_s = service::clock::now_ns() / 1_000_000_000;
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        match known.get(&digest) {
            Some(expires_s) if now_s < *expires_s + LEEWAY_S => return Ok(()),
            Some(_) => {
                known.remove(&digest);
                return Err(AuthError::Time);
            }
            None => drop(known),
        }
        let claims = self.verify(token)?;
        if claims.sub != self.owner {
            return Err(AuthError::Owner);
        }
        let begin_s = claims.iat.unwrap_or(now_s);
        if claims.exp.saturating_sub(begin_s) > LONGEST_LIFE_S || claims.exp.saturating_sub(now_s) > LONGEST_LIFE_S {
            return Err(AuthError::Time);
        }
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= KNOWN {
            // Whose turn it is does not matter: it is only verified again.
            known.pop_first();
        }
        known.insert(digest, claims.exp);
        Ok(())
    }

    fn verify(&self, token: &str) -> Result<Claims, AuthError> {
        use jsonwebtoken::errors::ErrorKind;
        let header = jsonwebtoken::decode_header(token).map_err(|_| AuthError::Invalid)?;
        let key = match &header.kid {
            Some(id) => self.keys.get(id),
            None if self.keys.len() == 1 => self.keys.values().next(),
            None => None,
        };
        let key = key.ok_or(AuthError::Invalid)?;
        let token = jsonwebtoken::decode::<Claims>(token, key, &self.validation);
        token.map(|token| token.claims).map_err(|error| match error.kind() {
            ErrorKind::ExpiredSignature | ErrorKind::ImmatureSignature => AuthError::Time,
            ErrorKind::InvalidIssuer => AuthError::Issuer,
            ErrorKind::InvalidAudience => AuthError::Audience,
            _ => AuthError::Invalid,
        })
    }

    fn refuse(&self, error: AuthError) -> Response {
        let status = error.status();
        let body = axum::Json(serde_json::json!({"error": {"code": error.name(), "message": error.to_string()}}));
        let mut response = (status, body).into_response();
        let challenge = match error {
            AuthError::Missing => self.challenge.clone(),
            AuthError::Owner => format!("{}, error=\"insufficient_scope\"", self.challenge),
            _ => format!("{}, error=\"invalid_token\", error_description=\"{error}\"", self.challenge),
        };
        if let Ok(challenge) = HeaderValue::from_str(&challenge) {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
        }
        response
    }
}

fn bearer(headers: &HeaderMap) -> Result<&str, AuthError> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let (Some(value), None) = (values.next(), values.next()) else { return Err(AuthError::Missing) };
    let text = value.to_str().map_err(|_| AuthError::Invalid)?;
    let (scheme, token) = text.split_once(' ').ok_or(AuthError::Missing)?;
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err(AuthError::Missing);
    }
    let token = token.trim();
    if token.is_empty() || token.len() > TOKEN_BYTES { Err(AuthError::Invalid) } else { Ok(token) }
}

/// Where RFC 9728 wants the metadata of a resource: before the path.
#[must_use]
pub fn metadata_url(resource: &str) -> String {
    const WELL_KNOWN: &str = "/.well-known/oauth-protected-resource";
    let after_scheme = resource.find("://").map_or(0, |at| at + 3);
    match resource[after_scheme..].find('/') {
        Some(slash) => {
            let (host, path) = resource.split_at(after_scheme + slash);
            format!("{host}{WELL_KNOWN}{}", path.trim_end_matches('/'))
        }
        None => format!("{resource}{WELL_KNOWN}"),
    }
}

/// Lets only the owner pass.
pub(crate) async fn require(
    State((guard, refused)): State<(Arc<Guard>, super::metrics::Refused)>,
    request: Request<Body>,
    next: Next,
) -> Response {
    match guard.check(request.headers()) {
        Ok(()) => next.run(request).await,
        Err(error) => {
            refused.count(error);
            guard.refuse(error)
        }
    }
}

#[cfg(test)]
mod tests;
