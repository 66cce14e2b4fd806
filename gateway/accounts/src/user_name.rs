//! Names of users.

use std::fmt;
use std::str::FromStr;

/// Names that would be taken for the platform's own.
const RESERVED: [&str; 12] = [
    "root",
    "system",
    "dexorder",
    "support",
    "security",
    "operator",
    "telegram",
    "anonymous",
    "api",
    "gateway",
    "null",
    "me",
];
/// Names of anonymous users begin so; nobody may choose one.
const ANONYMOUS: &str = "anon-";

/// A user's name: 3 to 32 of `a-z0-9_-`, beginning with a letter.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct UserName(String);

/// Why a text is no name, or not one to choose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Too short or too long.
    #[error("name: {got} characters, allowed 3 to 32")]
    Length {
        /// Its length.
        got: usize,
    },
    /// A character outside the set.
    #[error("name: only a-z, 0-9, _ and -, beginning with a letter")]
    Character,
    /// Kept for the platform.
    #[error("name: kept for the platform, choose another")]
    Reserved,
}

impl UserName {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name of an anonymous user.
    #[must_use]
    pub fn anonymous(user: proto::UserId) -> Self {
        // The last 16 characters are the random part of the id.
        Self(format!("{ANONYMOUS}{}", user.to_string()[10..].to_ascii_lowercase()))
    }

    /// Checks that somebody may choose this name.
    ///
    /// # Errors
    /// [`NameError::Reserved`].
    pub fn choosable(self) -> Result<Self, NameError> {
        let reserved = RESERVED.contains(&self.0.as_str()) || self.0.starts_with(ANONYMOUS);
        if reserved { Err(NameError::Reserved) } else { Ok(self) }
    }
}

impl FromStr for UserName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        if !(3..=32).contains(&text.len()) {
            return Err(NameError::Length { got: text.chars().count() });
        }
        let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'_' | b'-');
        if !text.bytes().all(allowed) || !text.as_bytes()[0].is_ascii_lowercase() {
            return Err(NameError::Character);
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for UserName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_short_and_plain() {
        for good in ["bob", "a-1", "a_b", &"z".repeat(32)] {
            assert_eq!(good.parse::<UserName>().unwrap().as_str(), good);
        }
        for bad in ["", "ab", &"z".repeat(33), "1ab", "-ab", "Bob", "b b", "bób", "bob\n", "b\u{0}b"] {
            assert!(bad.parse::<UserName>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn the_platforms_own_names_cannot_be_chosen() {
        for name in RESERVED.into_iter().filter(|name| name.len() > 2) {
            assert_eq!(name.parse::<UserName>().unwrap().choosable(), Err(NameError::Reserved), "{name}");
        }
        let anonymous = UserName::anonymous(proto::UserId::from_bits(7));
        assert_eq!(anonymous.as_str().parse(), Ok(anonymous.clone()));
        assert_eq!(anonymous.choosable(), Err(NameError::Reserved));
        assert!("bob".parse::<UserName>().unwrap().choosable().is_ok());
    }
}
