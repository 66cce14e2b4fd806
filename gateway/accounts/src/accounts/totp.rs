//! The second factor: setting it up, using a code, taking it away.

use super::{Accounts, Client};
use crate::audit::Event;
use crate::caller::Caller;
use crate::error::AccountError;
use crate::guessing::Verdict;
use crate::scope::Scope;
use crate::store::UserRecord;
use crate::tier::Tier;
use crate::totp::TotpSecret;
use proto::UserId;
use secrecy::SecretString;

/// What somebody needs to set up an authenticator app.
#[derive(Debug, Clone)]
pub struct TotpSetup {
    /// Base32, to be typed.
    pub secret: SecretString,
    /// `otpauth://…`, for a picture.
    pub url: SecretString,
}

fn context(user: UserId) -> String {
    format!("totp:{user}")
}

impl Accounts {
    /// Prepares a second factor; it is asked for once a first code was right.
    ///
    /// # Errors
    /// [`AccountError::Conflict`] if one is set up.
    pub async fn prepare_totp(&self, caller: &Caller, client: &Client) -> Result<TotpSetup, AccountError> {
        caller.require(Scope::Account)?;
        caller.require_session()?;
        if caller.tier == Tier::Anonymous {
            return Err(AccountError::Forbidden { needs: "an account with a name" });
        }
        let secret = TotpSecret::random();
        let sealed = self.sealer.seal(&context(caller.user), secret.as_bytes())?;
        if !self.store.prepare_totp(caller.user, &sealed).await? {
            return Err(AccountError::Conflict { field: "totp", message: "totp: set up already; remove it first" });
        }
        self.audit_own(Event::TotpPrepared, caller, client).await?;
        let url = secret.to_url(self.issuer.issuer(), &caller.name);
        Ok(TotpSetup { secret: SecretString::from(secret.to_base32()), url: SecretString::from(url) })
    }

    /// Confirms the prepared factor with its first code.
    ///
    /// # Errors
    /// If nothing is prepared, or the code is wrong.
    pub async fn confirm_totp(&self, caller: &Caller, code: &str, client: &Client) -> Result<(), AccountError> {
        let user = self.signed_in_owner(caller).await?;
        if user.totp.as_ref().is_none_or(|totp| totp.confirmed) {
            return Err(AccountError::Conflict { field: "totp", message: "totp: nothing is to be confirmed" });
        }
        self.require_code(&user, code).await?;
        self.audit_own(Event::TotpConfirmed, caller, client).await
    }

    /// Takes the factor away, with a code of it.
    ///
    /// # Errors
    /// If there is none, or the code is wrong.
    pub async fn remove_totp(&self, caller: &Caller, code: &str, client: &Client) -> Result<(), AccountError> {
        let user = self.signed_in_owner(caller).await?;
        if user.totp.as_ref().is_none_or(|totp| !totp.confirmed) {
            return Err(AccountError::NotFound { what: "totp" });
        }
        self.require_code(&user, code).await?;
        self.store.remove_totp(caller.user).await?;
        self.audit_own(Event::TotpRemoved, caller, client).await
    }

    /// Asks for a code once more, for what needs it. Codes are counted like passwords.
    ///
    /// # Errors
    /// [`AccountError::TotpRequired`] if there is no second factor or no code, [`AccountError::Invalid`] if it is wrong.
    pub async fn require_fresh_code(&self, caller: &Caller, code: Option<&str>) -> Result<(), AccountError> {
        let user = self.own(caller).await?;
        match code {
            Some(code) if user.totp.as_ref().is_some_and(|totp| totp.confirmed) => self.require_code(&user, code).await,
            _ => Err(AccountError::TotpRequired),
        }
    }

    async fn signed_in_owner(&self, caller: &Caller) -> Result<UserRecord, AccountError> {
        caller.require(Scope::Account)?;
        caller.require_session()?;
        self.own(caller).await
    }

    async fn require_code(&self, user: &UserRecord, code: &str) -> Result<(), AccountError> {
        let subject = self.name_subject(&format!("totp/{}", user.id));
        if let Verdict::Wait(retry_after) = self.store.count_guess(&subject, self.now_ns()).await? {
            return Err(AccountError::Waiting { retry_after });
        }
        if !self.use_code(user, code).await? {
            return Err(AccountError::invalid("code", "code: wrong, or used before"));
        }
        self.store.forget_guesses(&subject).await?;
        Ok(())
    }

    /// True if the code is good, which it then no longer is; also if two replicas are shown it at one moment.
    pub(super) async fn use_code(&self, user: &UserRecord, code: &str) -> Result<bool, AccountError> {
        let Some(totp) = &user.totp else { return Ok(false) };
        let secret = self.sealer.open_sealed(&context(user.id), &totp.sealed);
        let secret = secret.and_then(|bytes| TotpSecret::from_bytes(&bytes));
        let secret = secret.ok_or(AccountError::Corrupt { what: "totp" })?;
        match secret.step_of(code, self.now_ns(), totp.step) {
            Some(step) => Ok(self.store.use_totp_step(user.id, &totp.sealed, step).await?),
            None => Ok(false),
        }
    }
}
