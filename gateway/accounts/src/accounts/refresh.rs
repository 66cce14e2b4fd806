//! Going on with a session, and ending one.

use super::sign_in::SignedIn;
use super::{Accounts, Client};
use crate::audit::{Event, Outcome};
use crate::caller::Caller;
use crate::error::AccountError;
use crate::id::SessionId;
use crate::refresh::Decision;
use crate::secret_token::{SecretKind, digest, mint};
use crate::store::Rotation;
use secrecy::{ExposeSecret, SecretString};
use std::time::Duration;

const WRONG: AccountError = AccountError::Wrong { what: "refresh token" };

impl Accounts {
    /// Gives a refresh token its successor and a fresh access token; see [`crate::refresh`] for what happens to one that comes twice.
    ///
    /// # Errors
    /// [`AccountError::Wrong`]: sign in again.
    pub async fn refresh(&self, token: &SecretString, client: &Client) -> Result<SignedIn, AccountError> {
        let Some(presented) = digest(SecretKind::Refresh, token.expose_secret()) else { return Err(WRONG) };
        let (successor, digest) = mint(SecretKind::Refresh);
        let rotation = self.store.rotate(&presented, &digest, self.lifetimes(), self.now_ns()).await?;
        match rotation {
            Rotation::Rotated { user, session } => self.signed_in(&user, session, successor),
            Rotation::Unknown => {
                // Counted only when it is wrong: who refreshes honestly is never slowed.
                self.allow_address(client).await?;
                self.audit(Event::Refresh, Outcome::Wrong, None, client).await?;
                Err(WRONG)
            }
            Rotation::Refused { user, session, decision } => {
                if decision == Decision::TooOften {
                    return Err(AccountError::Waiting { retry_after: Duration::from_secs(1) });
                }
                self.known.forget_session(session);
                self.allow_address(client).await?;
                let outcome = if decision == Decision::EndSession { Outcome::Reused } else { Outcome::Wrong };
                self.audit(Event::Refresh, outcome, Some(&user), client).await?;
                Err(WRONG)
            }
        }
    }

    /// Ends the session of a refresh token. One that nobody has ends nothing and is no error: who signs out is out.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn sign_out(&self, token: &SecretString, client: &Client) -> Result<(), AccountError> {
        let Some(presented) = digest(SecretKind::Refresh, token.expose_secret()) else { return Ok(()) };
        let Some((user, session)) = self.store.session_of_token(&presented).await? else { return Ok(()) };
        self.known.forget_session(session);
        if self.store.end_session(user, session, self.now_ns()).await? {
            let user = self.store.user(user).await?;
            self.audit(Event::SignOut, Outcome::Granted, user.as_ref(), client).await?;
        }
        Ok(())
    }

    /// Ends a session of the caller.
    ///
    /// # Errors
    /// [`AccountError::NotFound`] if the caller has no such session.
    pub async fn end_session(&self, caller: &Caller, id: SessionId, client: &Client) -> Result<(), AccountError> {
        caller.require_session()?;
        self.known.forget_session(id);
        if !self.store.end_session(caller.user, id, self.now_ns()).await? {
            return Err(AccountError::NotFound { what: "session" });
        }
        let event = if caller.session() == Some(id) { Event::SignOut } else { Event::SessionEnded };
        self.audit_own(event, caller, client).await
    }
}
