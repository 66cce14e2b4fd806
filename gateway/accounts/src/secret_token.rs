//! Secrets that we hand out and know again by their SHA-256 only: refresh tokens, API keys, login links, tickets, codes.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rand::RngCore;
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest as _, Sha256};
use std::fmt;

const SECRET_BYTES: usize = 32;
/// Characters of 32 bytes in base64url.
const SECRET_CHARACTERS: usize = 43;
const KEY_ID_CHARACTERS: usize = 8;
const KEY_ID_ALPHABET: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";

/// What a secret is for. Each kind has its prefix, so that a leak can be searched for and none passes as another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum SecretKind {
    Refresh,
    LoginLink,
    Ticket,
    TelegramCode,
}

impl SecretKind {
    /// Name in the store.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Refresh => "refresh",
            Self::LoginLink => "link",
            Self::Ticket => "ticket",
            Self::TelegramCode => "telegram",
        }
    }

    const fn prefix(self) -> &'static str {
        match self {
            Self::Refresh => "dxr_",
            Self::LoginLink => "dxl_",
            Self::Ticket => "dxt_",
            Self::TelegramCode => "dxg_",
        }
    }
}

/// SHA-256 of a secret, in hexadecimal: what is stored. The secret has 256 random bits, so a plain digest cannot be guessed back.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Digest(String);

impl Digest {
    pub(crate) fn of(text: &str) -> Self {
        Self(hex(&Sha256::digest(text.as_bytes())))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Digest {
    /// The beginning suffices to tell two apart.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}…", &self.0[..8])
    }
}

/// Bytes in hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    use fmt::Write;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing to a String cannot fail.
        write!(text, "{byte:02x}").expect("a String takes everything");
        text
    })
}

/// A fresh secret and its digest.
pub(crate) fn mint(kind: SecretKind) -> (SecretString, Digest) {
    let text = format!("{}{}", kind.prefix(), random());
    let digest = Digest::of(&text);
    (SecretString::from(text), digest)
}

/// The digest of what somebody presents, if it has the form of this kind.
pub(crate) fn digest(kind: SecretKind, text: &str) -> Option<Digest> {
    let secret = text.strip_prefix(kind.prefix())?;
    is_secret(secret).then(|| Digest::of(text))
}

/// A fresh API key: its public id, the key, its digest.
pub(crate) fn mint_api_key() -> (String, SecretString, Digest) {
    let mut bytes = [0; KEY_ID_CHARACTERS];
    rand::rng().fill_bytes(&mut bytes);
    let id: String = bytes.iter().map(|byte| char::from(KEY_ID_ALPHABET[usize::from(byte & 31)])).collect();
    let text = format!("dxk_{id}_{}", random());
    let digest = Digest::of(&text);
    (id, SecretString::from(text), digest)
}

/// True if a bearer credential claims to be an API key.
pub(crate) fn is_api_key(text: &str) -> bool {
    text.starts_with("dxk_")
}

/// The public id and the digest of what somebody presents, if it has the form of an API key.
pub(crate) fn api_key(text: &SecretString) -> Option<(&str, Digest)> {
    let text = text.expose_secret();
    let (id, secret) = text.strip_prefix("dxk_")?.split_at_checked(KEY_ID_CHARACTERS)?;
    let formed = id.bytes().all(|byte| KEY_ID_ALPHABET.contains(&byte)) && is_secret(secret.strip_prefix('_')?);
    formed.then(|| (id, Digest::of(text)))
}

fn random() -> String {
    let mut bytes = [0; SECRET_BYTES];
    rand::rng().fill_bytes(&mut bytes);
    URL_SAFE_NO_PAD.encode(bytes)
}

fn is_secret(text: &str) -> bool {
    text.len() == SECRET_CHARACTERS && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
}

#[cfg(test)]
mod tests {
    use super::*;

    const KINDS: [SecretKind; 4] =
        [SecretKind::Refresh, SecretKind::LoginLink, SecretKind::Ticket, SecretKind::TelegramCode];

    #[test]
    fn a_secret_is_known_by_its_digest_and_only_as_its_kind() {
        for kind in KINDS {
            let (secret, known) = mint(kind);
            for other in KINDS {
                let found = digest(other, secret.expose_secret());
                assert_eq!(found, (kind == other).then(|| known.clone()), "{kind:?} as {other:?}");
            }
            assert!(api_key(&secret).is_none());
        }
        assert_ne!(mint(SecretKind::Ticket).1, mint(SecretKind::Ticket).1);
    }

    #[test]
    fn an_api_key_is_its_id_and_a_secret() {
        let (id, key, known) = mint_api_key();
        assert_eq!(api_key(&key), Some((id.as_str(), known)));
        assert_eq!(key.expose_secret().len(), 4 + 8 + 1 + 43);
        let text = key.expose_secret();
        for bad in
            ["", "dxk_", &text[..text.len() - 1], &text.replace("dxk_", "dxr_"), &format!("{text}x"), "dxk_äöüäö_"]
        {
            assert_eq!(api_key(&SecretString::from(bad.to_owned())), None, "{bad}");
        }
    }
}
