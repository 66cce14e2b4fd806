//! Linking a Telegram account: a code that the signed-in user sends to the bot.

use super::{Accounts, Client, OneTimeSecret, nanos};
use crate::audit::{Attempt, Event, Outcome};
use crate::caller::{Caller, How};
use crate::error::AccountError;
use crate::scope::{Scope, Scopes};
use crate::secret_token::{SecretKind, digest, mint};
use crate::store::NewSecret;
use crate::tier::Tier;
use secrecy::{ExposeSecret, SecretString};
use std::time::Duration;

/// A code is good for so long.
const CODE_LIFE: Duration = Duration::from_secs(10 * 60);

/// A code to be sent to the bot as `/start CODE`. It fits into a deep link (`https://t.me/BOT?start=CODE`).
pub type TelegramCode = OneTimeSecret;

impl Accounts {
    /// A code that links the Telegram account that sends it; earlier ones of the user are no longer good.
    ///
    /// # Errors
    /// If the caller has no session.
    pub async fn telegram_code(&self, caller: &Caller) -> Result<TelegramCode, AccountError> {
        caller.require(Scope::Account)?;
        let session = Some(caller.require_session()?);
        if caller.tier == Tier::Anonymous {
            return Err(AccountError::Forbidden { needs: "an account with a name" });
        }
        let expires_ns = self.now_ns().saturating_add(nanos(CODE_LIFE));
        let (secret, digest) = mint(SecretKind::TelegramCode);
        let new = NewSecret { kind: SecretKind::TelegramCode, digest, user: caller.user, session, expires_ns };
        self.store.replace_secret(&new).await?;
        Ok(OneTimeSecret { secret, expires_ns })
    }

    /// Redeems a code that a Telegram account sent in a private chat. `telegram` is the number that Telegram gives; names change.
    ///
    /// # Errors
    /// [`AccountError::Wrong`] if the code is not good, [`AccountError::Conflict`] if the account is linked to somebody else.
    pub async fn link_telegram(
        &self,
        code: &SecretString,
        telegram: i64,
        telegram_name: &str,
    ) -> Result<Caller, AccountError> {
        let wrong = AccountError::Wrong { what: "code" };
        let Some(digest) = digest(SecretKind::TelegramCode, code.expose_secret()) else { return Err(wrong) };
        let redeemed = self.store.redeem(SecretKind::TelegramCode, &digest, self.now_ns()).await?;
        let Some(redeemed) = redeemed else { return Err(wrong) };
        let name: String = telegram_name.chars().filter(|c| !c.is_control()).take(64).collect();
        if !self.store.link_telegram(redeemed.user, telegram, &name).await? {
            let message = "code: this Telegram account is linked to another user; unlink it there first";
            return Err(AccountError::Conflict { field: "code", message });
        }
        let caller = self.telegram_caller(telegram).await?.ok_or(wrong)?;
        self.write_audit(of_telegram(Event::TelegramLinked, &caller)).await?;
        Ok(caller)
    }

    /// The user of a linked Telegram account, for a message in a private chat with it. None if it is linked to nobody, or the user is
    /// disabled.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn telegram_caller(&self, telegram: i64) -> Result<Option<Caller>, AccountError> {
        let Some(user) = self.store.user_by_telegram(telegram).await? else { return Ok(None) };
        let scopes: Scopes = [Scope::Market, Scope::Chat, Scope::AccountRead].into_iter().collect();
        Ok(self.caller(user, scopes, How::Telegram))
    }

    /// The Telegram account of a user, to send messages to.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn telegram_of(&self, user: proto::UserId) -> Result<Option<i64>, AccountError> {
        let user = self.store.user(user).await?;
        Ok(user.filter(|user| !user.disabled).and_then(|user| user.telegram).map(|(id, _)| id))
    }

    /// Unlinks the Telegram account, from the page or from the chat itself.
    ///
    /// # Errors
    /// [`AccountError::NotFound`] if none is linked.
    pub async fn unlink_telegram(&self, caller: &Caller, client: Option<&Client>) -> Result<(), AccountError> {
        if caller.how != How::Telegram {
            caller.require(Scope::Account)?;
        }
        if !self.store.unlink_telegram(caller.user).await? {
            return Err(AccountError::NotFound { what: "telegram" });
        }
        match client {
            Some(client) => self.audit_own(Event::TelegramUnlinked, caller, client).await,
            None => self.write_audit(of_telegram(Event::TelegramUnlinked, caller)).await,
        }
    }
}

fn of_telegram(event: Event, caller: &Caller) -> Attempt {
    let (name, address) = (caller.name.to_string(), "telegram".to_owned());
    Attempt { event, outcome: Outcome::Granted, user: Some(caller.user), by: None, name, address }
}
