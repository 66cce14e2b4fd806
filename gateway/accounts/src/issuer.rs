//! The issuer of tokens: Ed25519 JWTs, access tokens for our own API and internal tokens for containers.
//!
//! Both are signed with one key. They differ in `aud` (ours, or the container's URL) and in `typ` (`at+jwt`, RFC 9068, or `JWT`), and each
//! is refused where the other is good. Nothing in a token says where its key is: keys are local, found by `kid` (RFC 8725).

use crate::id::SessionId;
use crate::keys::KeyError;
use crate::scope::{Role, Scopes};
use crate::secret_token::hex;
use crate::tier::Tier;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use proto::UserId;
use ring::signature::{Ed25519KeyPair, KeyPair};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::time::Duration;

/// Clocks of two replicas may differ so much, s.
const LEEWAY_S: u64 = 30;
/// Most bytes of a token.
const TOKEN_BYTES: usize = 4096;
/// The `typ` of access tokens.
const ACCESS_TYPE: &str = "at+jwt";
/// An internal token that is good for longer was not made for a call or a session.
const CONTAINER_LONGEST: Duration = Duration::from_secs(24 * 3600);
/// SubjectPublicKeyInfo of an Ed25519 key before the key itself (RFC 8410 §4).
const SPKI: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

/// Why a token is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum TokenError {
    /// It is no token, or one with members that ours never have.
    #[error("not one of our tokens")]
    Malformed,
    /// Signed in another way than ours are, or by a key that is not ours.
    #[error("signed with an unknown key")]
    Key,
    /// The signature is wrong.
    #[error("the signature is wrong")]
    Signature,
    /// Of another issuer.
    #[error("of another issuer")]
    Issuer,
    /// For somebody else.
    #[error("for another audience")]
    Audience,
    /// A claim is missing or of the wrong type.
    #[error("a claim is missing or cannot be read")]
    Claims,
    /// Its time is over.
    #[error("expired")]
    Expired,
    /// Its time has not come.
    #[error("not valid yet")]
    Early,
    /// The session behind it has ended, or its user is gone or disabled.
    #[error("its session has ended")]
    Ended,
}

impl TokenError {
    /// Name in metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::Key => "key",
            Self::Signature => "signature",
            Self::Issuer => "issuer",
            Self::Audience => "audience",
            Self::Claims => "claims",
            Self::Expired => "expired",
            Self::Early => "early",
            Self::Ended => "ended",
        }
    }
}

/// What an access token says. Role, tier and scopes are for clients to read: the store decides.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AccessClaims {
    iss: String,
    aud: String,
    sub: String,
    /// The session.
    pub sid: SessionId,
    /// The user's role when it was made.
    pub role: Role,
    /// The user's tier when it was made.
    pub tier: Tier,
    scope: String,
    iat: u64,
    nbf: u64,
    /// When it expires, s since 1970.
    pub exp: u64,
    jti: String,
}

impl AccessClaims {
    /// The user.
    ///
    /// # Errors
    /// [`TokenError::Claims`] if `sub` is no user id.
    pub fn user(&self) -> Result<UserId, TokenError> {
        self.sub.parse().map_err(|_| TokenError::Claims)
    }
}

/// For whom an access token is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Subject {
    pub(crate) user: UserId,
    pub(crate) session: SessionId,
    pub(crate) role: Role,
    pub(crate) tier: Tier,
}

#[derive(Serialize)]
struct ContainerClaims<'a> {
    iss: &'a str,
    aud: &'a str,
    sub: String,
    iat: u64,
    nbf: u64,
    exp: u64,
    jti: String,
}

/// Signs and checks tokens.
pub struct Issuer {
    issuer: String,
    audience: String,
    key_id: String,
    signing: EncodingKey,
    public_pem: String,
    keys: BTreeMap<String, DecodingKey>,
    validation: Validation,
    access_life: Duration,
}

impl std::fmt::Debug for Issuer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (issuer, audience) = (&self.issuer, &self.audience);
        f.debug_struct("Issuer")
            .field("issuer", issuer)
            .field("audience", audience)
            .field("key_id", &self.key_id)
            .finish_non_exhaustive()
    }
}

impl Issuer {
    pub(crate) fn new(config: &crate::config::AccountsConfig, pkcs8: &[u8]) -> Result<Self, KeyError> {
        let form = |place: &str| KeyError::Form { place: place.to_owned(), expected: "an Ed25519 key" };
        let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(pkcs8).map_err(|_| form("signing_key"))?;
        let (key_id, public_pem) = public(pair.public_key().as_ref());
        let mut keys = BTreeMap::new();
        let ours = DecodingKey::from_ed_pem(public_pem.as_bytes()).map_err(|_| form("signing_key"))?;
        for pem in &config.previous_keys {
            let (id, key) = previous(pem).ok_or_else(|| form("previous_keys"))?;
            keys.insert(id, key);
        }
        keys.insert(key_id.clone(), ours);
        let mut validation = Validation::new(Algorithm::EdDSA);
        validation.set_issuer(&[&config.issuer]);
        validation.set_audience(&[&config.audience]);
        validation.set_required_spec_claims(&["exp", "nbf", "aud", "iss", "sub"]);
        // Times are checked below, by the clock that this process was given; the library reads the machine's.
        validation.validate_exp = false;
        validation.validate_nbf = false;
        Ok(Self {
            issuer: config.issuer.clone(),
            audience: config.audience.clone(),
            key_id,
            signing: EncodingKey::from_ed_der(pkcs8),
            public_pem,
            keys,
            validation,
            access_life: config.access_life,
        })
    }

    /// The `iss` of every token.
    #[must_use]
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// The `kid` of every token.
    #[must_use]
    pub fn key_id(&self) -> &str {
        &self.key_id
    }

    /// The public key, PEM (SubjectPublicKeyInfo): what a container needs to check our tokens.
    #[must_use]
    pub fn public_key_pem(&self) -> &str {
        &self.public_pem
    }

    /// An access token, and when it expires, ns.
    pub(crate) fn access_token(&self, subject: Subject, now_ns: u64) -> Result<(SecretString, u64), KeyError> {
        let iat = now_ns / 1_000_000_000;
        let exp = iat + self.access_life.as_secs();
        let claims = AccessClaims {
            iss: self.issuer.clone(),
            aud: self.audience.clone(),
            sub: subject.user.to_string(),
            sid: subject.session,
            role: subject.role,
            tier: subject.tier,
            scope: Scopes::all().to_string(),
            iat,
            nbf: iat,
            exp,
            jti: crate::id::fresh(now_ns).to_string(),
        };
        Ok((self.sign(ACCESS_TYPE, &claims)?, exp * 1_000_000_000))
    }

    /// A token with which the gateway calls the container of `owner`; `audience` is the container's URL.
    ///
    /// # Errors
    /// If the audience is ours (such a token would be an access token but for its type), or the life is over 24 h.
    pub(crate) fn container_token(
        &self,
        owner: UserId,
        audience: &str,
        life: Duration,
        now_ns: u64,
    ) -> Result<SecretString, KeyError> {
        if audience == self.audience || audience.is_empty() || life > CONTAINER_LONGEST {
            let place = "container token".to_owned();
            return Err(KeyError::Form { place, expected: "for a container's URL and at most 24 h" });
        }
        let iat = now_ns / 1_000_000_000;
        let (sub, jti) = (owner.to_string(), crate::id::fresh(now_ns).to_string());
        let exp = iat + life.as_secs();
        let claims = ContainerClaims { iss: &self.issuer, aud: audience, sub, iat, nbf: iat, exp, jti };
        self.sign("JWT", &claims)
    }

    fn sign<T: Serialize>(&self, kind: &str, claims: &T) -> Result<SecretString, KeyError> {
        let header =
            Header { kid: Some(self.key_id.clone()), typ: Some(kind.to_owned()), ..Header::new(Algorithm::EdDSA) };
        let failed = |_| KeyError::Form { place: "signing_key".to_owned(), expected: "able to sign" };
        jsonwebtoken::encode(&header, claims, &self.signing).map(SecretString::from).map_err(failed)
    }

    /// Checks an access token: its form, key, signature, issuer, audience, claims and times. Not whether its session lives.
    ///
    /// # Errors
    /// Why it is refused.
    pub fn verify(&self, token: &str, now_ns: u64) -> Result<AccessClaims, TokenError> {
        if token.len() > TOKEN_BYTES {
            return Err(TokenError::Malformed);
        }
        let header = jsonwebtoken::decode_header(token).map_err(|_| TokenError::Malformed)?;
        let key = self.key(&header)?;
        let token = jsonwebtoken::decode::<AccessClaims>(token, key, &self.validation);
        let claims = token.map_err(|error| refusal(&error))?.claims;
        self.check_times(&claims, now_ns / 1_000_000_000)?;
        claims.user()?;
        Ok(claims)
    }

    /// The key of a header that has nothing but what ours have.
    fn key(&self, header: &Header) -> Result<&DecodingKey, TokenError> {
        if header.alg != Algorithm::EdDSA {
            return Err(TokenError::Key);
        }
        let kid = header.kid.as_ref().ok_or(TokenError::Key)?;
        let ours =
            Header { kid: Some(kid.clone()), typ: Some(ACCESS_TYPE.to_owned()), ..Header::new(Algorithm::EdDSA) };
        // A header with `jku`, `jwk`, `x5u`, `crit` or anything else was not made by us.
        if *header != ours {
            return Err(TokenError::Malformed);
        }
        self.keys.get(kid).ok_or(TokenError::Key)
    }

    fn check_times(&self, claims: &AccessClaims, now_s: u64) -> Result<(), TokenError> {
        let longest = self.access_life.as_secs() + LEEWAY_S;
        if claims.exp < claims.iat || claims.exp - claims.iat > longest || claims.nbf > claims.exp {
            return Err(TokenError::Claims);
        }
        if claims.nbf > now_s.saturating_add(LEEWAY_S) || claims.iat > now_s.saturating_add(LEEWAY_S) {
            return Err(TokenError::Early);
        }
        if now_s >= claims.exp.saturating_add(LEEWAY_S) { Err(TokenError::Expired) } else { Ok(()) }
    }
}

fn refusal(error: &jsonwebtoken::errors::Error) -> TokenError {
    use jsonwebtoken::errors::ErrorKind;
    match error.kind() {
        ErrorKind::InvalidSignature => TokenError::Signature,
        ErrorKind::InvalidIssuer => TokenError::Issuer,
        ErrorKind::InvalidAudience => TokenError::Audience,
        ErrorKind::InvalidAlgorithm | ErrorKind::InvalidAlgorithmName => TokenError::Key,
        ErrorKind::MissingRequiredClaim(_) | ErrorKind::InvalidClaimFormat(_) | ErrorKind::Json(_) => {
            TokenError::Claims
        }
        _ => TokenError::Malformed,
    }
}

/// Key id and PEM of a public key. The id is the beginning of its SHA-256, so that replicas agree on it.
fn public(key: &[u8]) -> (String, String) {
    let der: Vec<u8> = SPKI.iter().chain(key).copied().collect();
    let id = hex(&Sha256::digest(&der))[..16].to_owned();
    (id, format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", STANDARD.encode(der)))
}

fn previous(pem: &str) -> Option<(String, DecodingKey)> {
    let body: String = pem
        .trim()
        .strip_prefix("-----BEGIN PUBLIC KEY-----")?
        .strip_suffix("-----END PUBLIC KEY-----")?
        .split_whitespace()
        .collect();
    let der = STANDARD.decode(body).ok()?;
    let (id, pem) = public(der.strip_prefix(&SPKI).filter(|key| key.len() == 32)?);
    Some((id, DecodingKey::from_ed_pem(pem.as_bytes()).ok()?))
}

#[cfg(test)]
mod tests;
