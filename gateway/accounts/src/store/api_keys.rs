//! API keys in the store.

use super::users::{self, UserRecord};
use super::{Result, Store, StoreError, get, get_optional_u64, get_parsed, get_u64, signed};
use crate::scope::Scopes;
use crate::secret_token::Digest;
use proto::UserId;
use sqlx::Row;
use sqlx::any::AnyRow;
use subtle::ConstantTimeEq;

/// An API key as stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ApiKeyRecord {
    /// The public part of the key.
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) scopes: Scopes,
    pub(crate) created_ns: u64,
    pub(crate) expires_ns: Option<u64>,
    pub(crate) last_used_ns: Option<u64>,
}

const COLUMNS: &str = "k.id AS key_id, k.name AS key_name, k.scopes, k.created_ns, k.expires_ns, k.last_used_ns";
const READING: &str = "reading API keys";

fn read(row: &AnyRow) -> Result<ApiKeyRecord> {
    Ok(ApiKeyRecord {
        id: get(row, "key_id")?,
        name: get(row, "key_name")?,
        scopes: get_parsed(row, "scopes")?,
        created_ns: get_u64(row, "created_ns")?,
        expires_ns: get_optional_u64(row, "expires_ns")?,
        last_used_ns: get_optional_u64(row, "last_used_ns")?,
    })
}

impl Store {
    /// Adds a key; false if the user has `most` good ones. Two requests at one moment pass the user's row one by one.
    pub(crate) async fn add_api_key(
        &self,
        user: UserId,
        key: &ApiKeyRecord,
        digest: &Digest,
        most: u32,
    ) -> Result<bool> {
        let failed = StoreError::of("adding an API key");
        let mut transaction = self.begin().await?;
        let lock = sqlx::query("UPDATE accounts_users SET disabled = disabled WHERE id = $1").bind(user.to_string());
        lock.execute(&mut *transaction).await.map_err(failed)?;
        let count = "SELECT COUNT(*) FROM accounts_api_keys WHERE user_id = $1 AND revoked_ns IS NULL \
            AND (expires_ns IS NULL OR expires_ns > $2)";
        let count = sqlx::query(count).bind(user.to_string()).bind(signed(key.created_ns));
        let count = count.fetch_one(&mut *transaction).await.map_err(failed)?;
        if count.try_get::<i64, _>(0).map_err(failed)? >= i64::from(most) {
            return Ok(false);
        }
        let add = "INSERT INTO accounts_api_keys (id, user_id, name, digest, scopes, created_ns, expires_ns) \
            VALUES ($1, $2, $3, $4, $5, $6, $7)";
        let add = sqlx::query(add)
            .bind(key.id.clone())
            .bind(user.to_string())
            .bind(key.name.clone())
            .bind(digest.as_str().to_owned())
            .bind(key.scopes.to_string())
            .bind(signed(key.created_ns))
            .bind(key.expires_ns.map(signed));
        add.execute(&mut *transaction).await.map_err(failed)?;
        transaction.commit().await.map_err(failed)?;
        Ok(true)
    }

    /// Good keys of a user, the newest first.
    pub(crate) async fn api_keys(&self, user: UserId, now_ns: u64) -> Result<Vec<ApiKeyRecord>> {
        let query = format!(
            "SELECT {COLUMNS} FROM accounts_api_keys k WHERE k.user_id = $1 AND k.revoked_ns IS NULL \
             AND (k.expires_ns IS NULL OR k.expires_ns > $2) ORDER BY k.created_ns DESC, k.id LIMIT 256"
        );
        let query = sqlx::query(&query).bind(user.to_string()).bind(signed(now_ns));
        query.fetch_all(&self.pool).await.map_err(StoreError::of(READING))?.iter().map(read).collect()
    }

    /// The good key with this id and digest, with its user.
    pub(crate) async fn live_api_key(
        &self,
        id: &str,
        digest: &Digest,
        now_ns: u64,
    ) -> Result<Option<(ApiKeyRecord, UserRecord)>> {
        let query = format!(
            "SELECT {COLUMNS}, k.digest, {} FROM accounts_api_keys k JOIN accounts_users u ON u.id = k.user_id \
             WHERE k.id = $1 AND k.revoked_ns IS NULL AND (k.expires_ns IS NULL OR k.expires_ns > $2)",
            users::COLUMNS
        );
        let query = sqlx::query(&query).bind(id.to_owned()).bind(signed(now_ns));
        let Some(row) = query.fetch_optional(&self.pool).await.map_err(StoreError::of(READING))? else {
            return Ok(None);
        };
        let stored: String = get(&row, "digest")?;
        let same: bool = stored.as_bytes().ct_eq(digest.as_str().as_bytes()).into();
        if same { Ok(Some((read(&row)?, users::read(&row)?))) } else { Ok(None) }
    }

    /// Notes that a key was used.
    pub(crate) async fn touch_api_key(&self, id: &str, now_ns: u64) -> Result<()> {
        let set = sqlx::query("UPDATE accounts_api_keys SET last_used_ns = $1 WHERE id = $2");
        let set = set.bind(signed(now_ns)).bind(id.to_owned());
        set.execute(&self.pool).await.map(drop).map_err(StoreError::of("noting the use of an API key"))
    }

    /// Revokes a key of a user; false if there is no such good one.
    pub(crate) async fn revoke_api_key(&self, user: UserId, id: &str, now_ns: u64) -> Result<bool> {
        let set = "UPDATE accounts_api_keys SET revoked_ns = $1 WHERE id = $2 AND user_id = $3 AND revoked_ns IS NULL";
        let set = sqlx::query(set).bind(signed(now_ns)).bind(id.to_owned()).bind(user.to_string());
        Ok(set.execute(&self.pool).await.map_err(StoreError::of("revoking an API key"))?.rows_affected() == 1)
    }

    /// Removes keys that are no longer good since `before_ns`, at most `limit`.
    pub(crate) async fn prune_api_keys(&self, before_ns: u64, limit: u32) -> Result<u64> {
        let delete = "DELETE FROM accounts_api_keys WHERE id IN \
            (SELECT id FROM accounts_api_keys WHERE revoked_ns < $1 OR expires_ns < $1 LIMIT $2)";
        let delete = sqlx::query(delete).bind(signed(before_ns)).bind(i64::from(limit));
        Ok(delete.execute(&self.pool).await.map_err(StoreError::of("removing old API keys"))?.rows_affected())
    }
}
