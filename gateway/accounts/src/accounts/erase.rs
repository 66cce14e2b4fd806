//! Everything that accounts hold of one user: given out, and erased with counts as the proof.

use super::api_keys::{self, ApiKeyView};
use super::profile::{Profile, SessionView, profile};
use super::{Accounts, AuditView, Client};
use crate::audit::{Attempt, Event, Outcome};
use crate::caller::Caller;
use crate::error::AccountError;
use crate::scope::Scope;
use crate::store::{Counts, Erased};
use proto::UserId;
use serde::Serialize;
use utoipa::ToSchema;

/// Entries of the audit trail that an export holds at most, the newest ones.
const AUDIT_ENTRIES: u32 = 10_000;

/// Everything that accounts hold of one user, but for secrets, of which they hold digests only.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct AccountExport {
    /// The account.
    pub profile: Profile,
    /// The version of the disclaimer that was accepted.
    pub disclaimer_version: Option<String>,
    /// Number of the linked Telegram account.
    pub telegram_id: Option<i64>,
    /// Name of the linked Telegram account, when it was linked.
    pub telegram_name: Option<String>,
    /// Open sessions.
    pub sessions: Vec<SessionView>,
    /// API keys.
    pub api_keys: Vec<ApiKeyView>,
    /// What was attempted on the account.
    pub audit: Vec<AuditView>,
}

/// What an erasure left.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct AccountErasure {
    /// Rows of each kind before.
    #[schema(value_type = std::collections::BTreeMap<String, u64>)]
    pub before: Counts,
    /// And after: all 0.
    #[schema(value_type = std::collections::BTreeMap<String, u64>)]
    pub after: Counts,
}

impl Accounts {
    /// Everything of the caller.
    ///
    /// # Errors
    /// If the caller has no session.
    pub async fn export_account(&self, caller: &Caller, client: &Client) -> Result<AccountExport, AccountError> {
        caller.require(Scope::Account)?;
        caller.require_session()?;
        let user = self.own(caller).await?;
        self.audit_own(Event::Exported, caller, client).await?;
        let audit = self.store.audit_before(i64::MAX.unsigned_abs(), Some(user.id), AUDIT_ENTRIES).await?;
        let keys = self.store.api_keys(user.id, self.now_ns()).await?;
        Ok(AccountExport {
            profile: profile(&user),
            disclaimer_version: user.disclaimer.clone(),
            telegram_id: user.telegram.as_ref().map(|(id, _)| *id),
            telegram_name: user.telegram.map(|(_, name)| name),
            sessions: self.sessions(caller).await?,
            api_keys: keys.into_iter().map(api_keys::view).collect(),
            audit: audit.into_iter().map(AuditView::from).collect(),
        })
    }

    /// Erases the caller's account. Call it last, when the other rooms have erased what they hold: nobody can sign in afterwards
    /// to try again. Entries of the audit trail stay, with the user id, without name and address; the entry of the erasure
    /// itself never has them.
    ///
    /// # Errors
    /// If `confirm` is not the caller's name, or the caller is the last admin.
    pub async fn erase_account(&self, caller: &Caller, confirm: &str) -> Result<AccountErasure, AccountError> {
        caller.require(Scope::Account)?;
        caller.require_session()?;
        if confirm != caller.name.as_str() {
            return Err(AccountError::invalid("confirm", "confirm: must be the name of the account"));
        }
        self.erase_user(caller.user).await
    }

    /// Checks that [`Self::erase_account`] would be allowed, before the other rooms erase anything.
    ///
    /// # Errors
    /// As there.
    pub async fn check_erasure(&self, caller: &Caller, confirm: &str) -> Result<(), AccountError> {
        caller.require(Scope::Account)?;
        caller.require_session()?;
        if confirm != caller.name.as_str() {
            return Err(AccountError::invalid("confirm", "confirm: must be the name of the account"));
        }
        if self.store.is_last_admin(caller.user).await? { Err(LAST_ADMIN) } else { Ok(()) }
    }

    /// Erases a user whose time is over; see [`Self::expired_users`]. The platform itself calls this, nobody else.
    ///
    /// # Errors
    /// [`AccountError::NotFound`] if there is no such user.
    pub async fn erase_user(&self, user: UserId) -> Result<AccountErasure, AccountError> {
        let record = self.store.user(user).await?.ok_or(AccountError::NotFound { what: "user" })?;
        let subject = self.name_subject(record.name.as_str());
        let erased = self.store.erase_user(user, &subject).await?;
        self.known.forget_user(user);
        match erased {
            Erased::Done { before, after } => {
                let (name, address) = (String::new(), String::new());
                let (event, outcome) = (Event::Erased, Outcome::Granted);
                let attempt = Attempt { event, outcome, user: Some(user), by: None, name, address };
                self.write_audit(attempt).await?;
                Ok(AccountErasure { before, after })
            }
            Erased::Unknown => Err(AccountError::NotFound { what: "user" }),
            Erased::LastAdmin => Err(LAST_ADMIN),
        }
    }

    /// Anonymous users whose time is over: their containers and data are to be erased, and then they.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn expired_users(&self, limit: u32) -> Result<Vec<UserId>, AccountError> {
        Ok(self.store.expired_users(self.now_ns(), limit).await?)
    }

    /// Rows that the store holds of a user, by kind.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn account_counts(&self, user: UserId) -> Result<Counts, AccountError> {
        Ok(self.store.counts(user).await?)
    }
}

const LAST_ADMIN: AccountError =
    AccountError::Conflict { field: "confirm", message: "confirm: the last admin who can sign in cannot be erased" };
