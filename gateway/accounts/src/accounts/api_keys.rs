//! API keys: made, listed, revoked. The key itself is shown once.

use super::{Accounts, Client};
use crate::audit::Event;
use crate::caller::Caller;
use crate::error::AccountError;
use crate::rfc3339::Rfc3339;
use crate::scope::{Scope, Scopes};
use crate::secret_token::mint_api_key;
use crate::store::ApiKeyRecord;
use secrecy::SecretString;
use serde::Serialize;
use utoipa::ToSchema;

const NAME_CHARACTERS: usize = 64;

/// An API key, without the key.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct ApiKeyView {
    /// Its public id: the characters behind `dxk_`.
    pub id: String,
    /// Name that its owner gave it.
    pub name: String,
    /// What it is good for.
    pub scopes: Vec<Scope>,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Rfc3339,
    /// When it is no longer good; null is never.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub expires_at: Option<Rfc3339>,
    /// When it was last used, to the minute.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub last_used_at: Option<Rfc3339>,
}

/// A key that was made.
#[derive(Debug, Clone)]
pub struct NewApiKey {
    /// The key, this once.
    pub key: SecretString,
    /// What it is.
    pub view: ApiKeyView,
}

pub(super) fn view(key: ApiKeyRecord) -> ApiKeyView {
    ApiKeyView {
        id: key.id,
        name: key.name,
        scopes: key.scopes.iter().collect(),
        created_at: Rfc3339(key.created_ns),
        expires_at: key.expires_ns.map(Rfc3339),
        last_used_at: key.last_used_ns.map(Rfc3339),
    }
}

impl Accounts {
    /// Makes a key.
    ///
    /// # Errors
    /// If a field is not as it must be, or the tier allows no further key.
    pub async fn make_api_key(
        &self,
        caller: &Caller,
        name: &str,
        scopes: Scopes,
        expires_ns: Option<u64>,
        client: &Client,
    ) -> Result<NewApiKey, AccountError> {
        caller.require(Scope::Account)?;
        caller.require_session()?;
        let name = name.trim();
        if !(1..=NAME_CHARACTERS).contains(&name.chars().count()) || name.chars().any(char::is_control) {
            return Err(AccountError::invalid("name", "name: 1 to 64 characters"));
        }
        if scopes.is_empty() || scopes.iter().any(|scope| scope == Scope::Account) {
            return Err(AccountError::invalid("scopes", "scopes: at least one of market, chat, mcp, account:read"));
        }
        let now_ns = self.now_ns();
        if expires_ns.is_some_and(|expires_ns| expires_ns <= now_ns) {
            return Err(AccountError::invalid("expires_at", "expires_at: not in the future"));
        }
        let (id, key, digest) = mint_api_key();
        let name = name.to_owned();
        let record = ApiKeyRecord { id, name, scopes, created_ns: now_ns, expires_ns, last_used_ns: None };
        let most = caller.tier.api_keys();
        if !self.store.add_api_key(caller.user, &record, &digest, most).await? {
            return Err(AccountError::TooMany { what: "api keys", most });
        }
        self.audit_own(Event::ApiKeyMade, caller, client).await?;
        Ok(NewApiKey { key, view: view(record) })
    }

    /// The caller's keys.
    ///
    /// # Errors
    /// If the credential is not good for it.
    pub async fn api_keys(&self, caller: &Caller) -> Result<Vec<ApiKeyView>, AccountError> {
        caller.require(Scope::AccountRead)?;
        let keys = self.store.api_keys(caller.user, self.now_ns()).await?;
        Ok(keys.into_iter().map(view).collect())
    }

    /// Revokes a key.
    ///
    /// # Errors
    /// [`AccountError::NotFound`] if the caller has no such key.
    pub async fn revoke_api_key(&self, caller: &Caller, id: &str, client: &Client) -> Result<(), AccountError> {
        caller.require(Scope::Account)?;
        caller.require_session()?;
        if !self.store.revoke_api_key(caller.user, id, self.now_ns()).await? {
            return Err(AccountError::NotFound { what: "api key" });
        }
        self.known.forget_user(caller.user);
        self.audit_own(Event::ApiKeyRevoked, caller, client).await
    }
}
