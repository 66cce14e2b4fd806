//! What is good once: login links, tickets, codes for Telegram, and sign-ins that Telegram signed.

use super::{Result, Store, StoreError, get, get_parsed, signed};
use crate::id::SessionId;
use crate::secret_token::{Digest, SecretKind};
use proto::UserId;
use sqlx::Row;

/// Whose secret was redeemed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Redeemed {
    pub(crate) user: UserId,
    /// The session it is bound to.
    pub(crate) session: Option<SessionId>,
}

/// A secret to be stored.
#[derive(Debug, Clone)]
pub(crate) struct NewSecret {
    pub(crate) kind: SecretKind,
    pub(crate) digest: Digest,
    pub(crate) user: UserId,
    pub(crate) session: Option<SessionId>,
    pub(crate) expires_ns: u64,
}

const ADDING: &str = "adding a single-use secret";
const REDEEMING: &str = "redeeming a single-use secret";

impl Store {
    /// Stores a secret beside others of the user; false if there are `most` that are still good.
    pub(crate) async fn add_secret(&self, new: &NewSecret, most: u32, now_ns: u64) -> Result<bool> {
        let failed = StoreError::of(ADDING);
        let count = "SELECT COUNT(*) FROM accounts_single_use WHERE user_id = $1 AND kind = $2 AND used_ns IS NULL \
            AND expires_ns > $3";
        let count = sqlx::query(count).bind(new.user.to_string()).bind(new.kind.name()).bind(signed(now_ns));
        let count: i64 = count.fetch_one(&self.pool).await.map_err(failed)?.try_get(0).map_err(failed)?;
        if count >= i64::from(most) {
            return Ok(false);
        }
        insert(new).execute(&self.pool).await.map_err(failed)?;
        Ok(true)
    }

    /// Stores a secret in the place of earlier ones of the user, which are no longer good.
    pub(crate) async fn replace_secret(&self, new: &NewSecret) -> Result<()> {
        let failed = StoreError::of(ADDING);
        let mut transaction = self.begin().await?;
        let delete =
            sqlx::query("DELETE FROM accounts_single_use WHERE user_id = $1 AND kind = $2 AND used_ns IS NULL");
        let delete = delete.bind(new.user.to_string()).bind(new.kind.name());
        delete.execute(&mut *transaction).await.map_err(failed)?;
        insert(new).execute(&mut *transaction).await.map_err(failed)?;
        transaction.commit().await.map_err(failed)
    }

    /// Redeems a secret: of all who present it, one gets it.
    pub(crate) async fn redeem(&self, kind: SecretKind, digest: &Digest, now_ns: u64) -> Result<Option<Redeemed>> {
        let take = "UPDATE accounts_single_use SET used_ns = $1 WHERE digest = $2 AND kind = $3 AND used_ns IS NULL \
            AND expires_ns > $1 RETURNING user_id, session_id";
        let take = sqlx::query(take).bind(signed(now_ns)).bind(digest.as_str().to_owned()).bind(kind.name());
        let Some(row) = take.fetch_optional(&self.pool).await.map_err(StoreError::of(REDEEMING))? else {
            return Ok(None);
        };
        let session: Option<String> = get(&row, "session_id")?;
        let session = session.map(|text| text.parse()).transpose();
        let session = session.map_err(|_| StoreError::Corrupt { column: "session_id" })?;
        Ok(Some(Redeemed { user: get_parsed(&row, "user_id")?, session }))
    }

    /// Notes something that others signed as used; false if it was used before.
    pub(crate) async fn use_once(&self, digest: &Digest, expires_ns: u64, now_ns: u64) -> Result<bool> {
        let add = "INSERT INTO accounts_single_use (digest, kind, expires_ns, used_ns) VALUES ($1, 'signed', $2, $3) \
            ON CONFLICT DO NOTHING";
        let add = sqlx::query(add).bind(digest.as_str().to_owned()).bind(signed(expires_ns)).bind(signed(now_ns));
        Ok(add.execute(&self.pool).await.map_err(StoreError::of(REDEEMING))?.rows_affected() == 1)
    }

    /// Removes secrets that are no longer good since `before_ns`, at most `limit`.
    pub(crate) async fn prune_secrets(&self, before_ns: u64, limit: u32) -> Result<u64> {
        let delete = "DELETE FROM accounts_single_use WHERE digest IN \
            (SELECT digest FROM accounts_single_use WHERE expires_ns < $1 LIMIT $2)";
        let delete = sqlx::query(delete).bind(signed(before_ns)).bind(i64::from(limit));
        Ok(delete.execute(&self.pool).await.map_err(StoreError::of("removing old secrets"))?.rows_affected())
    }
}

fn insert(new: &NewSecret) -> sqlx::query::Query<'static, sqlx::Any, sqlx::any::AnyArguments<'static>> {
    let add =
        "INSERT INTO accounts_single_use (digest, kind, user_id, session_id, expires_ns) VALUES ($1, $2, $3, $4, $5)";
    sqlx::query(add)
        .bind(new.digest.as_str().to_owned())
        .bind(new.kind.name())
        .bind(new.user.to_string())
        .bind(new.session.map(|session| session.to_string()))
        .bind(signed(new.expires_ns))
}
