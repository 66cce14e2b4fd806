//! The own account: what it is, its password, its sessions.

use super::{Accounts, Client};
use crate::audit::Event;
use crate::caller::Caller;
use crate::error::AccountError;
use crate::guessing::Verdict;
use crate::password;
use crate::rfc3339::Rfc3339;
use crate::scope::{Role, Scope};
use crate::store::UserRecord;
use crate::tier::{Quota, Tier};
use secrecy::SecretString;
use serde::Serialize;
use utoipa::ToSchema;

/// The own account.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Profile {
    /// ULID.
    pub user_id: String,
    /// Name.
    pub name: String,
    /// Role.
    pub role: Role,
    /// Tier.
    pub tier: Tier,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Rfc3339,
    /// Whether a password is set.
    pub password: bool,
    /// Whether a second factor is set up.
    pub totp: bool,
    /// Whether a Telegram account is linked.
    pub telegram: bool,
    /// What the tier gives.
    pub limits: LimitsView,
}

/// What a tier gives.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct LimitsView {
    /// Memory of the container, bytes.
    pub memory_bytes: u64,
    /// CPU of the container, thousandths of a core.
    pub cpu_millicores: u32,
    /// Storage of the container, bytes.
    pub storage_bytes: u64,
    /// Seconds without use after which it sleeps; null is never.
    pub idle_timeout_s: Option<u64>,
    /// Requests in a minute.
    pub requests_per_minute: u32,
    /// Messages to the assistant in a minute.
    pub messages_per_minute: u32,
    /// Messages to the assistant in a day.
    pub messages_per_day: u32,
    /// Requests of external MCP clients in a minute.
    pub mcp_requests_per_minute: u32,
    /// API keys at one time.
    pub api_keys: u32,
    /// Sessions at one time.
    pub sessions: u32,
}

/// A session.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct SessionView {
    /// ULID.
    pub id: String,
    /// When it began.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Rfc3339,
    /// When it was last refreshed.
    #[schema(value_type = String, format = DateTime)]
    pub last_used_at: Rfc3339,
    /// What the client says it is.
    pub client: String,
    /// From where it began.
    pub address: String,
    /// Whether it is the caller's.
    pub current: bool,
}

impl From<Tier> for LimitsView {
    fn from(tier: Tier) -> Self {
        let size = tier.container();
        Self {
            memory_bytes: size.memory_bytes,
            cpu_millicores: size.cpu_millicores,
            storage_bytes: size.storage_bytes,
            idle_timeout_s: size.idle_timeout.map(|timeout| timeout.as_secs()),
            requests_per_minute: tier.rate(Quota::Requests).count,
            messages_per_minute: tier.rate(Quota::Messages).count,
            messages_per_day: tier.rate(Quota::MessagesOfDay).count,
            mcp_requests_per_minute: tier.rate(Quota::Mcp).count,
            api_keys: tier.api_keys(),
            sessions: tier.sessions(),
        }
    }
}

pub(super) fn profile(user: &UserRecord) -> Profile {
    Profile {
        user_id: user.id.to_string(),
        name: user.name.to_string(),
        role: user.role,
        tier: user.tier,
        created_at: Rfc3339(user.created_ns),
        password: user.password.is_some(),
        totp: user.totp.as_ref().is_some_and(|totp| totp.confirmed),
        telegram: user.telegram.is_some(),
        limits: user.tier.into(),
    }
}

impl Accounts {
    /// The caller's account.
    ///
    /// # Errors
    /// If the credential is not good for it.
    pub async fn profile(&self, caller: &Caller) -> Result<Profile, AccountError> {
        caller.require(Scope::AccountRead)?;
        Ok(profile(&self.own(caller).await?))
    }

    /// Sets another password and ends every other session. Who has none yet, having come by a link, sets the first one with an empty `current`.
    ///
    /// # Errors
    /// If the present one is wrong, or the new one not good enough.
    pub async fn set_password(
        &self,
        caller: &Caller,
        current: SecretString,
        new: SecretString,
        client: &Client,
    ) -> Result<(), AccountError> {
        caller.require(Scope::Account)?;
        let session = caller.require_session()?;
        let user = self.own(caller).await?;
        if user.tier == Tier::Anonymous {
            return Err(AccountError::Forbidden { needs: "an account with a name" });
        }
        password::check(&new, &user.name).map_err(|error| AccountError::invalid("new", error))?;
        if user.password.is_some() {
            self.confirm_password(&user, current).await?;
        }
        let hash = self.hashing.hash(new).await?;
        if !self.store.set_password(&user, &hash.to_text(), session, self.now_ns()).await? {
            return Err(AccountError::Conflict {
                field: "current",
                message: "current: the password was changed meanwhile",
            });
        }
        self.known.forget_user(user.id);
        self.audit_own(Event::PasswordChanged, caller, client).await
    }

    /// Checks the present password of somebody who is signed in; a stolen session must not guess either.
    async fn confirm_password(&self, user: &UserRecord, current: SecretString) -> Result<(), AccountError> {
        let subject = self.name_subject(user.name.as_str());
        if let Verdict::Wait(retry_after) = self.store.count_guess(&subject, self.now_ns()).await? {
            return Err(AccountError::Waiting { retry_after });
        }
        let matches = self.check_password(Some(user), current).await;
        if !matches!(matches, Ok(false)) {
            self.store.forgive_guess(&subject, self.now_ns()).await?;
        }
        if matches? { Ok(()) } else { Err(AccountError::invalid("current", "current: not the present password")) }
    }

    /// The caller's open sessions.
    ///
    /// # Errors
    /// If the credential is not good for it.
    pub async fn sessions(&self, caller: &Caller) -> Result<Vec<SessionView>, AccountError> {
        caller.require(Scope::AccountRead)?;
        let sessions = self.store.sessions(caller.user, self.now_ns()).await?.into_iter();
        let view = |session: crate::store::SessionRecord| SessionView {
            current: caller.session() == Some(session.id),
            id: session.id.to_string(),
            created_at: Rfc3339(session.created_ns),
            last_used_at: Rfc3339(session.last_used_ns),
            client: session.client,
            address: session.address,
        };
        Ok(sessions.map(view).collect())
    }

    /// The caller's record.
    pub(super) async fn own(&self, caller: &Caller) -> Result<UserRecord, AccountError> {
        self.store.user(caller.user).await?.ok_or(AccountError::NotFound { what: "account" })
    }
}
