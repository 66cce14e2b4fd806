//! Who calls, as far as it is proven, and what that allows.

use crate::error::AccountError;
use crate::id::SessionId;
use crate::scope::{Role, Scope, Scopes};
use crate::tier::Tier;
use crate::user_name::UserName;
use proto::UserId;

/// Who calls. It exists only where a credential was checked; its fields are as the store has them, not as a token claims.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// The user; the only identity that anything may be looked up by.
    pub user: UserId,
    /// The user's name, for people.
    pub name: UserName,
    /// What the user may do to others.
    pub role: Role,
    /// The user's tier.
    pub tier: Tier,
    /// What the credential is good for.
    pub scopes: Scopes,
    /// How it was proven.
    pub how: How,
}

/// How a caller was proven.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum How {
    /// An access token, or a ticket made with one.
    Session(SessionId),
    /// An API key, by its public id.
    ApiKey(String),
    /// A message in a private chat of the linked Telegram account.
    Telegram,
}

impl Caller {
    /// Checks that the credential is good for something.
    ///
    /// # Errors
    /// [`AccountError::Forbidden`].
    pub fn require(&self, scope: Scope) -> Result<(), AccountError> {
        if self.scopes.contains(scope) { Ok(()) } else { Err(AccountError::Forbidden { needs: scope.name() }) }
    }

    /// The session, for what only a signed-in person may do.
    ///
    /// # Errors
    /// [`AccountError::Forbidden`].
    pub fn require_session(&self) -> Result<SessionId, AccountError> {
        match self.how {
            How::Session(session) => Ok(session),
            How::ApiKey(_) | How::Telegram => Err(AccountError::Forbidden { needs: "a session" }),
        }
    }

    /// Checks that a signed-in admin calls. A key or a chat never acts as one.
    ///
    /// # Errors
    /// [`AccountError::Forbidden`].
    pub fn require_admin(&self) -> Result<(), AccountError> {
        self.require_session()?;
        if self.role == Role::Admin { Ok(()) } else { Err(AccountError::Forbidden { needs: "the role admin" }) }
    }

    /// The session, if there is one.
    #[must_use]
    pub const fn session(&self) -> Option<SessionId> {
        match self.how {
            How::Session(session) => Some(session),
            How::ApiKey(_) | How::Telegram => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caller(role: Role, how: How) -> Caller {
        let name = "bob".parse().unwrap();
        Caller { user: UserId::from_bits(1), name, role, tier: Tier::Free, scopes: Scopes::all(), how }
    }

    #[test]
    fn only_an_admin_in_a_session_acts_as_one() {
        let session = How::Session(SessionId::mint(0));
        assert!(caller(Role::Admin, session.clone()).require_admin().is_ok());
        for how in [How::ApiKey("k".to_owned()), How::Telegram] {
            assert!(caller(Role::Admin, how.clone()).require_admin().is_err(), "{how:?}");
        }
        assert!(caller(Role::User, session).require_admin().is_err());
    }

    #[test]
    fn a_scope_that_is_absent_is_named() {
        let scopes = [Scope::Market].into_iter().collect();
        let caller = Caller { scopes, ..caller(Role::User, How::Telegram) };
        assert!(caller.require(Scope::Market).is_ok());
        assert!(matches!(caller.require(Scope::Chat), Err(AccountError::Forbidden { needs: "chat" })));
        assert!(matches!(caller.require_session(), Err(AccountError::Forbidden { needs: "a session" })));
    }
}
