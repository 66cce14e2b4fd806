//! Tokens for a container that a person starts by hand, without a gateway: its own key, kept beside the data.

use crate::config::AuthConfig;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use ring::rand::SystemRandom;
use ring::signature::{Ed25519KeyPair, KeyPair};
use serde::Serialize;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Name of the key in tokens and configuration.
const KEY_ID: &str = "local";
/// SubjectPublicKeyInfo of an Ed25519 key before the key itself (RFC 8410 §4).
const SPKI: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

/// Why there is no local issuer.
#[derive(Debug, thiserror::Error)]
pub enum IssuerError {
    /// The key file cannot be read or written.
    #[error("{path}: {source}")]
    File {
        /// The key file.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// The file holds no key.
    #[error("{path}: not an Ed25519 key in PKCS#8")]
    Key {
        /// The key file.
        path: PathBuf,
    },
    /// No random numbers, or the token cannot be written.
    #[error("the token cannot be signed")]
    Sign,
}

/// Signs tokens with a key of its own.
pub struct LocalIssuer {
    pkcs8: Vec<u8>,
    public: Vec<u8>,
}

impl std::fmt::Debug for LocalIssuer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LocalIssuer").finish_non_exhaustive()
    }
}

#[derive(Debug, Serialize)]
struct Claims<'a> {
    iss: &'a str,
    sub: &'a str,
    aud: &'a str,
    iat: u64,
    exp: u64,
}

impl LocalIssuer {
    /// Reads the key, or makes one that only its owner may read.
    ///
    /// # Errors
    /// If the file cannot be used.
    pub fn open(path: &Path) -> Result<Self, IssuerError> {
        let file = |source| IssuerError::File { path: path.to_owned(), source };
        let pkcs8 = match std::fs::read(path) {
            Ok(pkcs8) => pkcs8,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let made = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).map_err(|_| IssuerError::Sign)?;
                let mut options = std::fs::OpenOptions::new();
                let mut key = options.write(true).create_new(true).mode(0o600).open(path).map_err(file)?;
                key.write_all(made.as_ref()).and_then(|()| key.sync_all()).map_err(file)?;
                made.as_ref().to_vec()
            }
            Err(error) => return Err(file(error)),
        };
        let pair = Ed25519KeyPair::from_pkcs8(&pkcs8).map_err(|_| IssuerError::Key { path: path.to_owned() })?;
        let public = pair.public_key().as_ref().to_vec();
        Ok(Self { pkcs8, public })
    }

    /// The settings under which its tokens are good.
    #[must_use]
    pub fn auth(&self, issuer: &str, audience: &str) -> AuthConfig {
        let der: Vec<u8> = SPKI.iter().chain(&self.public).copied().collect();
        let pem = format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", STANDARD.encode(der));
        AuthConfig { issuer: issuer.to_owned(), audience: audience.to_owned(), keys: [(KEY_ID.to_owned(), pem)].into() }
    }

    /// A token of a user for an audience, good from now on.
    ///
    /// # Errors
    /// If it cannot be signed.
    pub fn token(&self, auth: &AuthConfig, owner: &str, life: Duration) -> Result<String, IssuerError> {
        let now = service::clock::now_ns() / 1_000_000_000;
        let (iss, aud) = (auth.issuer.as_str(), auth.audience.as_str());
        let claims = Claims { iss, sub: owner, aud, iat: now, exp: now + life.as_secs() };
        self.sign(&claims)
    }

    fn sign<T: Serialize>(&self, claims: &T) -> Result<String, IssuerError> {
        let header = Header { kid: Some(KEY_ID.to_owned()), ..Header::new(Algorithm::EdDSA) };
        let key = EncodingKey::from_ed_der(&self.pkcs8);
        jsonwebtoken::encode(&header, claims, &key).map_err(|_| IssuerError::Sign)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Signs anything, for tests of what must be refused.
    pub(crate) fn sign_anything(issuer: &LocalIssuer, claims: &serde_json::Value) -> String {
        issuer.sign(claims).unwrap()
    }

    #[test]
    fn the_key_is_kept_and_only_its_owner_may_read_it() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("issuer.pk8");
        let first = LocalIssuer::open(&path).unwrap();
        assert_eq!(LocalIssuer::open(&path).unwrap().public, first.public);
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        std::fs::write(&path, b"garbage").unwrap();
        assert!(matches!(LocalIssuer::open(&path), Err(IssuerError::Key { .. })));
        assert!(!format!("{first:?}").contains("pkcs8"));
    }
}
