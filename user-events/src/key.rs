//! Keys of containers. Nothing here prints one.

use hmac::{Hmac, Mac};
use proto::UserId;
use secrecy::{ExposeSecret, SecretString};
use sha2::Sha256;
use std::collections::BTreeMap;
use std::fmt;

/// Length of a key.
pub const KEY_BYTES: usize = 32;

/// Why a text is not a key. Says nothing of the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Wrong length.
    #[error("key: {0} characters, expected 64 hexadecimal digits")]
    Length(usize),
    /// Something that is no hexadecimal digit.
    #[error("key: not hexadecimal")]
    Digits,
    /// All bytes are equal: a placeholder, not a key.
    #[error("key: a placeholder, not a key")]
    Placeholder,
}

/// The key of one container, with the number by which both ends name it.
#[derive(Clone)]
pub struct MacKey {
    id: u32,
    keyed: Hmac<Sha256>,
}

impl fmt::Debug for MacKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MacKey({}, [redacted])", self.id)
    }
}

impl MacKey {
    /// A key and its number; another key of the same user has another number.
    ///
    /// # Errors
    /// [`KeyError::Placeholder`] if all bytes are equal.
    ///
    /// # Panics
    /// Never: HMAC takes keys of any length.
    pub fn new(id: u32, bytes: &[u8; KEY_BYTES]) -> Result<Self, KeyError> {
        if bytes.iter().all(|byte| *byte == bytes[0]) {
            return Err(KeyError::Placeholder);
        }
        Ok(Self { id, keyed: Hmac::new_from_slice(bytes).expect("HMAC takes keys of any length") })
    }

    /// A key of 64 hexadecimal digits, as it stands in `secrets.yaml`.
    ///
    /// # Errors
    /// [`KeyError`], which says nothing of the text.
    pub fn from_hex(id: u32, text: &SecretString) -> Result<Self, KeyError> {
        let text = text.expose_secret().trim().as_bytes();
        if text.len() != 2 * KEY_BYTES {
            return Err(KeyError::Length(text.len()));
        }
        let mut bytes = [0; KEY_BYTES];
        for (byte, pair) in bytes.iter_mut().zip(text.chunks(2)) {
            let digits = std::str::from_utf8(pair).ok().filter(|pair| !pair.starts_with('+'));
            *byte = digits.and_then(|pair| u8::from_str_radix(pair, 16).ok()).ok_or(KeyError::Digits)?;
        }
        Self::new(id, &bytes)
    }

    /// Its number.
    #[must_use]
    pub const fn id(&self) -> u32 {
        self.id
    }

    pub(crate) fn mac(&self, parts: &[&[u8]]) -> Hmac<Sha256> {
        let mut mac = self.keyed.clone();
        for part in parts {
            mac.update(part);
        }
        mac
    }
}

/// The keys that a receiver knows: per user the current one and, while it changes, the one before.
#[derive(Debug, Clone, Default)]
pub struct Keyring {
    keys: BTreeMap<(UserId, u32), MacKey>,
}

impl Keyring {
    /// Adds a key of a user, or replaces the one with its number.
    pub fn insert(&mut self, user: UserId, key: MacKey) {
        self.keys.insert((user, key.id()), key);
    }

    /// Forgets a key; what is sealed with it is refused from now on.
    pub fn remove(&mut self, user: UserId, id: u32) {
        self.keys.remove(&(user, id));
    }

    /// The key of a user with this number.
    #[must_use]
    pub fn get(&self, user: UserId, id: u32) -> Option<&MacKey> {
        self.keys.get(&(user, id))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEX: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";

    #[test]
    fn a_key_is_read_from_hex_and_never_shown() {
        let key = MacKey::from_hex(7, &HEX.into()).unwrap();
        assert_eq!(format!("{key:?}"), "MacKey(7, [redacted])");
        let mut ring = Keyring::default();
        ring.insert(UserId::from_bits(1), key);
        let shown = format!("{ring:?}");
        assert!(!shown.contains("010203") && !shown.contains("[0, 1"), "{shown}");
    }

    #[test]
    fn what_is_no_key_is_refused_without_showing_it() {
        let cases = [
            ("secretsecret".to_owned(), KeyError::Length(12)),
            (HEX.replace('a', "x"), KeyError::Digits),
            (HEX.replace("00", "+0"), KeyError::Digits),
            ("0".repeat(64), KeyError::Placeholder),
            ("é".repeat(32), KeyError::Digits),
        ];
        for (text, expected) in cases {
            let error = MacKey::from_hex(1, &text.as_str().into()).unwrap_err();
            assert_eq!(error, expected, "{text}");
            assert!(!error.to_string().contains(&text));
        }
    }

    #[test]
    fn a_key_belongs_to_one_user_and_number() {
        let (one, other) = (UserId::from_bits(1), UserId::from_bits(2));
        let mut ring = Keyring::default();
        ring.insert(one, MacKey::from_hex(7, &HEX.into()).unwrap());
        assert!(ring.get(one, 7).is_some() && ring.get(one, 8).is_none() && ring.get(other, 7).is_none());
        ring.remove(one, 7);
        assert!(ring.get(one, 7).is_none());
    }
}
