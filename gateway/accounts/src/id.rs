//! Ids of sessions, and how ids are minted.

use proto::UserId;
use rand::Rng;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::str::FromStr;

/// A session: a sign-in and everything that was refreshed from it. A ULID (26 characters).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId(ulid::Ulid);

/// Not 26 characters of a ULID.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("id: not the 26 characters of a ULID")]
pub struct BadId;

impl SessionId {
    /// A fresh one.
    #[must_use]
    pub fn mint(now_ns: u64) -> Self {
        Self(fresh(now_ns))
    }
}

/// A fresh user.
pub(crate) fn mint_user(now_ns: u64) -> UserId {
    UserId::from_bits(fresh(now_ns).0)
}

/// A fresh ULID.
pub(crate) fn fresh(now_ns: u64) -> ulid::Ulid {
    ulid::Ulid::from_parts(now_ns / 1_000_000, rand::rng().random())
}

impl FromStr for SessionId {
    type Err = BadId;

    fn from_str(text: &str) -> Result<Self, BadId> {
        // The canonical form only: an id has one spelling.
        let id = ulid::Ulid::from_string(text).map_err(|_| BadId)?;
        if id.to_string() == text { Ok(Self(id)) } else { Err(BadId) }
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl fmt::Debug for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl Serialize for SessionId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for SessionId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_has_one_spelling() {
        let id = SessionId::mint(1_700_000_000_000_000_000);
        let text = id.to_string();
        assert_eq!(text.parse(), Ok(id));
        assert_eq!(text.len(), 26);
        for bad in ["", &text[1..], &text.to_ascii_lowercase(), &format!("{text}0"), &text.replace(&text[25..], "U")] {
            assert_eq!(bad.parse::<SessionId>(), Err(BadId), "{bad}");
        }
        assert_eq!(serde_json::from_value::<SessionId>(serde_json::json!(text)).unwrap(), id);
        assert_ne!(SessionId::mint(7), SessionId::mint(7));
    }
}
