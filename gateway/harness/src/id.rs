//! Ids of conversations, messages and turns.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;
use std::sync::{Mutex, PoisonError};
use ulid::Ulid;

/// Why a text is no id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: must be {form}")]
pub struct IdError {
    /// Which id.
    pub field: &'static str,
    /// What it must be.
    pub form: &'static str,
}

const ULID_FORM: &str = "a ULID: 26 upper-case Crockford digits";

macro_rules! ulid_id {
    ($(#[$doc:meta])* $name:ident, $field:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(Ulid);

        impl $name {
            /// From the 128 bits of a ULID.
            #[must_use]
            pub const fn from_bits(bits: u128) -> Self {
                Self(Ulid(bits))
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, IdError> {
                let error = IdError { field: $field, form: ULID_FORM };
                let id = Ulid::from_string(text).map_err(|_| error.clone())?;
                // One spelling for each id: lower case and overflowing first digits are refused.
                if id.to_string() == text { Ok(Self(id)) } else { Err(error) }
            }
        }

        impl TryFrom<String> for $name {
            type Error = IdError;

            fn try_from(text: String) -> Result<Self, IdError> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.0.to_string()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }
    };
}

ulid_id! {
    /// A turn; turns of a conversation sort by it.
    TurnId, "turn_id"
}

ulid_id! {
    /// A message, minted by the client: the same id is taken once.
    MessageId, "message_id"
}

/// A conversation of a user: 1 to 64 of `A-Za-z0-9_-`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ConversationId(String);

impl ConversationId {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ConversationId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        let fits = matches!(text.len(), 1..=64)
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'));
        let error = IdError { field: "conversation_id", form: "1 to 64 of A-Za-z0-9_-" };
        if fits { Ok(Self(text.to_owned())) } else { Err(error) }
    }
}

impl TryFrom<String> for ConversationId {
    type Error = IdError;

    fn try_from(text: String) -> Result<Self, IdError> {
        text.parse()
    }
}

impl From<ConversationId> for String {
    fn from(id: ConversationId) -> Self {
        id.0
    }
}

impl fmt::Display for ConversationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Mints turn ids that rise, also within a millisecond and when the clock steps back.
#[derive(Debug, Default)]
pub(crate) struct TurnIds {
    last: Mutex<u128>,
}

impl TurnIds {
    pub(crate) fn mint(&self, now_ns: u64, random: u128) -> TurnId {
        // The 80 random bits have a head start of 2^40 before they overflow into the time.
        let random = random & ((1 << 79) - 1);
        let fresh = (u128::from(now_ns / 1_000_000) << 80) | random;
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        *last = fresh.max(*last + 1);
        TurnId::from_bits(*last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_have_one_spelling() {
        let id = "01ARZ3NDEKTSV4RRFFQ69G5FAV";
        assert_eq!(id.parse::<TurnId>().unwrap().to_string(), id);
        for wrong in ["", "01arz3ndektsv4rrffq69g5fav", "81ARZ3NDEKTSV4RRFFQ69G5FAV", "01ARZ3NDEKTSV4RRFFQ69G5FA"] {
            assert!(wrong.parse::<TurnId>().is_err(), "{wrong}");
        }
        assert!("main".parse::<ConversationId>().is_ok());
        for wrong in ["", "a b", "ä", &"a".repeat(65)] {
            assert!(wrong.parse::<ConversationId>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn turn_ids_rise_although_the_clock_steps_back() {
        let ids = TurnIds::default();
        let minted: Vec<TurnId> = [5_000_000, 5_000_000, 4_000_000, 6_000_000, 1].map(|now| ids.mint(now, !0)).into();
        assert!(minted.is_sorted_by(|a, b| a < b), "{minted:?}");
        assert!(minted[0].to_string() < minted[1].to_string(), "texts sort as ids do");
    }
}
