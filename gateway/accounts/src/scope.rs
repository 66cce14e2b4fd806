//! What a caller's credential is good for, and the roles of users.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;
use utoipa::ToSchema;

/// What a user may do to others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Nothing.
    #[default]
    User,
    /// See and change all accounts.
    Admin,
}

/// One thing that a credential may be good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
pub enum Scope {
    /// Read market data.
    #[serde(rename = "market")]
    Market,
    /// Talk to the assistant and see what it made.
    #[serde(rename = "chat")]
    Chat,
    /// Use the own container over MCP.
    #[serde(rename = "mcp")]
    Mcp,
    /// See the own account.
    #[serde(rename = "account:read")]
    AccountRead,
    /// Change the own account, its keys and sessions. Only sessions have it: a stolen key makes no further keys.
    #[serde(rename = "account")]
    Account,
}

/// A set of scopes.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct Scopes(u8);

/// No such role.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("role: not one of user, admin")]
pub struct UnknownRole;

/// No such scope.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("scopes: not of market, chat, mcp, account:read, account")]
pub struct UnknownScope;

impl Role {
    /// Name in tokens and the store.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Admin => "admin",
        }
    }
}

impl FromStr for Role {
    type Err = UnknownRole;

    fn from_str(text: &str) -> Result<Self, UnknownRole> {
        [Self::User, Self::Admin].into_iter().find(|role| role.name() == text).ok_or(UnknownRole)
    }
}

impl Scope {
    /// All.
    pub const ALL: [Self; 5] = [Self::Market, Self::Chat, Self::Mcp, Self::AccountRead, Self::Account];

    /// Name in tokens and the store.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Market => "market",
            Self::Chat => "chat",
            Self::Mcp => "mcp",
            Self::AccountRead => "account:read",
            Self::Account => "account",
        }
    }

    const fn bit(self) -> u8 {
        1 << self as u8
    }
}

impl Scopes {
    /// What a session has: everything.
    #[must_use]
    pub fn all() -> Self {
        Scope::ALL.into_iter().collect()
    }

    /// True if the scope is in it. Who may change the account may also see it.
    #[must_use]
    pub const fn contains(self, scope: Scope) -> bool {
        let wanted = match scope {
            Scope::AccountRead => Scope::AccountRead.bit() | Scope::Account.bit(),
            _ => scope.bit(),
        };
        self.0 & wanted != 0
    }

    /// True if there is none.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The scopes of this set.
    pub fn iter(self) -> impl Iterator<Item = Scope> {
        Scope::ALL.into_iter().filter(move |scope| self.0 & scope.bit() != 0)
    }
}

impl FromIterator<Scope> for Scopes {
    fn from_iter<I: IntoIterator<Item = Scope>>(scopes: I) -> Self {
        Self(scopes.into_iter().fold(0, |bits, scope| bits | scope.bit()))
    }
}

impl fmt::Display for Scopes {
    /// Separated by spaces, as in OAuth.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, scope) in self.iter().enumerate() {
            if at > 0 {
                f.write_str(" ")?;
            }
            f.write_str(scope.name())?;
        }
        Ok(())
    }
}

impl fmt::Debug for Scopes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{{{self}}}")
    }
}

impl FromStr for Scopes {
    type Err = UnknownScope;

    fn from_str(text: &str) -> Result<Self, UnknownScope> {
        let known = |name: &str| Scope::ALL.into_iter().find(|scope| scope.name() == name).ok_or(UnknownScope);
        text.split(' ').filter(|name| !name.is_empty()).map(known).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_are_written_and_read_as_oauth_does() {
        let some: Scopes = [Scope::Mcp, Scope::Market].into_iter().collect();
        assert_eq!(some.to_string(), "market mcp");
        assert_eq!("mcp market".parse(), Ok(some));
        assert_eq!("".parse(), Ok(Scopes::default()));
        for bad in ["Market", "market,mcp", "admin", "market\tmcp"] {
            assert_eq!(bad.parse::<Scopes>(), Err(UnknownScope), "{bad}");
        }
    }

    #[test]
    fn a_scope_gives_itself_only_and_the_account_may_be_seen_by_who_may_change_it() {
        for scope in Scope::ALL {
            let set: Scopes = [scope].into_iter().collect();
            for other in Scope::ALL {
                let expected = scope == other || (scope == Scope::Account && other == Scope::AccountRead);
                assert_eq!(set.contains(other), expected, "{scope:?} {other:?}");
            }
        }
        assert_eq!(Scopes::all().iter().count(), Scope::ALL.len());
    }
}
