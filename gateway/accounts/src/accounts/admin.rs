//! What admins do: users, login links, the audit trail; and the first admin, whom the platform makes itself.

use super::sign_in::new_user;
use super::{Accounts, Client, OneTimeSecret};
use crate::address::ClientAddress;
use crate::audit::{Attempt, Entry, Event, Outcome, Verdict, Verifier};
use crate::caller::Caller;
use crate::error::AccountError;
use crate::rfc3339::Rfc3339;
use crate::scope::Role;
use crate::store::{Changed, UserChange, UserRecord};
use crate::tier::Tier;
use crate::user_name::UserName;
use proto::UserId;
use serde::{Deserialize, Serialize};
use std::net::{IpAddr, Ipv4Addr};
use utoipa::ToSchema;

/// Name of the first admin.
const ADMIN: &str = "admin";
/// Entries or users of one answer.
pub(crate) const PAGE: u32 = 200;
/// Entries read at one time to verify the chain.
const PIECE: u32 = 500;

/// A user, as admins see it.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct UserView {
    /// ULID.
    pub user_id: String,
    /// Name.
    pub name: String,
    /// Role.
    pub role: Role,
    /// Tier.
    pub tier: Tier,
    /// Whether the user may no longer sign in.
    pub disabled: bool,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Rfc3339,
    /// Whether a second factor is set up.
    pub totp: bool,
    /// Whether a Telegram account is linked.
    pub telegram: bool,
}

/// What an admin changes of a user.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UserPatch {
    /// Another tier.
    #[serde(default)]
    pub tier: Option<Tier>,
    /// Another role.
    #[serde(default)]
    pub role: Option<Role>,
    /// Whether the user may no longer sign in.
    #[serde(default)]
    pub disabled: Option<bool>,
}

/// An entry of the audit trail.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct AuditView {
    /// Its place; the first is 1.
    pub position: u64,
    /// When.
    #[schema(value_type = String, format = DateTime)]
    pub at: Rfc3339,
    /// What was attempted.
    pub event: String,
    /// How it ended.
    pub outcome: String,
    /// Whose account; empty if there is none.
    pub user_id: String,
    /// Who did it, if that was somebody else.
    pub by: String,
    /// The account's name; the user id where it was erased.
    pub name: String,
    /// The client's address; empty where it was erased.
    pub address: String,
    /// Its hash.
    pub hash: String,
}

/// A part of the audit trail, the newest entry first.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct AuditPage {
    /// The entries.
    pub entries: Vec<AuditView>,
    /// `before` of the next page; null if there is none.
    pub next: Option<u64>,
}

impl From<&UserRecord> for UserView {
    fn from(user: &UserRecord) -> Self {
        Self {
            user_id: user.id.to_string(),
            name: user.name.to_string(),
            role: user.role,
            tier: user.tier,
            disabled: user.disabled,
            created_at: Rfc3339(user.created_ns),
            totp: user.totp.as_ref().is_some_and(|totp| totp.confirmed),
            telegram: user.telegram.is_some(),
        }
    }
}

impl From<Entry> for AuditView {
    fn from(entry: Entry) -> Self {
        let (name, address) = match entry.personal {
            Some(personal) => (personal.name, personal.address),
            None => (entry.user.clone(), String::new()),
        };
        Self {
            position: entry.position,
            at: Rfc3339(entry.at_ns),
            event: entry.event,
            outcome: entry.outcome,
            user_id: entry.user,
            by: entry.by,
            name,
            address,
            hash: entry.hash,
        }
    }
}

impl Accounts {
    /// The first admin and a link that signs it in, for the terminal on which the platform was started. Makes the user `admin`,
    /// without a password, where there is no admin.
    ///
    /// # Errors
    /// If the store fails, or the name is taken by somebody who is no admin.
    pub async fn first_admin_link(&self) -> Result<(UserId, OneTimeSecret), AccountError> {
        let admin = match self.store.first_admin().await? {
            Some(admin) => admin,
            None => self.make_admin().await?,
        };
        let link = self.make_link(admin.id).await?;
        self.write_audit(of_platform(Event::LoginLinkMade, &admin)).await?;
        Ok((admin.id, link))
    }

    async fn make_admin(&self) -> Result<UserRecord, AccountError> {
        let name: UserName = ADMIN.parse().expect("it is a name");
        let admin = new_user(name, Role::Admin, Tier::Enterprise, self.now_ns());
        if self.store.add_user(&admin).await? {
            self.write_audit(of_platform(Event::UserMade, &admin)).await?;
            return Ok(admin);
        }
        // Another replica made it at the same moment; or the name is taken.
        let message = "name: `admin` is taken by a user who is no admin";
        self.store.first_admin().await?.ok_or(AccountError::Conflict { field: "name", message })
    }

    /// Makes a user without a password, who signs in by a link first.
    ///
    /// # Errors
    /// If the name cannot be used.
    pub async fn make_user(
        &self,
        caller: &Caller,
        name: &str,
        tier: Tier,
        client: &Client,
    ) -> Result<UserView, AccountError> {
        caller.require_admin()?;
        let name: UserName = name.parse().map_err(|error| AccountError::invalid("name", error))?;
        let name = name.choosable().map_err(|error| AccountError::invalid("name", error))?;
        if tier == Tier::Anonymous {
            return Err(AccountError::invalid("tier", "tier: one of free, pro, enterprise"));
        }
        let user = new_user(name, Role::User, tier, self.now_ns());
        if !self.store.add_user(&user).await? {
            return Err(AccountError::Conflict { field: "name", message: "name: taken, choose another" });
        }
        self.audit_by(Event::UserMade, caller, (user.id, &user.name), client).await?;
        Ok((&user).into())
    }

    /// Users behind `after` (an id; empty for the first), in the order of their ids, at most 200.
    ///
    /// # Errors
    /// If the caller is no admin.
    pub async fn users(&self, caller: &Caller, after: &str) -> Result<Vec<UserView>, AccountError> {
        caller.require_admin()?;
        Ok(self.store.users(after, PAGE).await?.iter().map(UserView::from).collect())
    }

    /// Changes a user. It takes effect at once here, and within a few seconds on other replicas.
    ///
    /// # Errors
    /// [`AccountError::Conflict`] if nobody would be left who can administer.
    pub async fn change_user(
        &self,
        caller: &Caller,
        user: UserId,
        patch: UserPatch,
        client: &Client,
    ) -> Result<UserView, AccountError> {
        caller.require_admin()?;
        let change = UserChange { tier: patch.tier, role: patch.role, disabled: patch.disabled };
        let before = self.known_user(user).await?;
        // An account with a name becomes anonymous no more than an anonymous one becomes an admin.
        if patch.tier == Some(Tier::Anonymous) || before.tier == Tier::Anonymous && patch.disabled.is_none() {
            return Err(AccountError::invalid("tier", "tier: accounts do not become anonymous, nor leave it"));
        }
        match self.store.change_user(user, change, self.now_ns()).await? {
            Changed::Done => {}
            Changed::Unknown => return Err(AccountError::NotFound { what: "user" }),
            Changed::LastAdmin => {
                let message = "role: the last admin who can sign in stays one";
                return Err(AccountError::Conflict { field: "role", message });
            }
        }
        self.known.forget_user(user);
        self.audit_by(Event::UserChanged, caller, (user, &before.name), client).await?;
        Ok((&self.known_user(user).await?).into())
    }

    /// A link that signs a user in once, without password and second factor; earlier ones are no longer good.
    ///
    /// # Errors
    /// If the caller is no admin, or there is no such user.
    pub async fn login_link(
        &self,
        caller: &Caller,
        user: UserId,
        client: &Client,
    ) -> Result<OneTimeSecret, AccountError> {
        caller.require_admin()?;
        let user = self.known_user(user).await?;
        self.audit_by(Event::LoginLinkMade, caller, (user.id, &user.name), client).await?;
        self.make_link(user.id).await
    }

    /// Entries of the audit trail before a place, the newest first.
    ///
    /// # Errors
    /// If the caller is no admin.
    pub async fn audit_page(
        &self,
        caller: &Caller,
        before: Option<u64>,
        limit: u32,
    ) -> Result<AuditPage, AccountError> {
        caller.require_admin()?;
        let before = before.unwrap_or(i64::MAX.unsigned_abs());
        let limit = limit.clamp(1, PAGE);
        let entries = self.store.audit_before(before, None, limit).await?;
        let full = u32::try_from(entries.len()).unwrap_or(u32::MAX) >= limit;
        let next = entries.last().map(|entry| entry.position).filter(|position| full && *position > 1);
        Ok(AuditPage { entries: entries.into_iter().map(AuditView::from).collect(), next })
    }

    /// Verifies the whole chain.
    ///
    /// # Errors
    /// If the caller is no admin.
    pub async fn verify_audit(&self, caller: &Caller) -> Result<Verdict, AccountError> {
        caller.require_admin()?;
        self.audit_verdict().await
    }

    /// The same for the platform itself, e.g. for `dexorder doctor`.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn audit_verdict(&self) -> Result<Verdict, AccountError> {
        let (head, hash) = self.store.audit_head().await?;
        let mut verifier = Verifier::default();
        // Up to the head as it is now; what is appended meanwhile is for the next time.
        while verifier.next() <= head {
            let entries = self.store.audit_from(verifier.next(), head, PIECE).await?;
            if entries.is_empty() {
                break;
            }
            for entry in entries {
                if let Err(verdict) = verifier.push(&entry) {
                    return Ok(verdict);
                }
            }
        }
        Ok(verifier.finish(head, &hash))
    }

    async fn known_user(&self, user: UserId) -> Result<UserRecord, AccountError> {
        self.store.user(user).await?.ok_or(AccountError::NotFound { what: "user" })
    }
}

/// What the platform does by itself, on the machine where it was started.
fn of_platform(event: Event, user: &UserRecord) -> Attempt {
    let address = ClientAddress(IpAddr::V4(Ipv4Addr::LOCALHOST)).to_string();
    Attempt { event, outcome: Outcome::Granted, user: Some(user.id), by: None, name: user.name.to_string(), address }
}
