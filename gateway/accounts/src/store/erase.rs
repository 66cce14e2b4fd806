//! Erasing a user from the store, with counts before and after as the proof.

use super::{Result, Store, StoreError, users};
use proto::UserId;
use sqlx::{AnyConnection, Row};
use std::collections::BTreeMap;

const ERASING: &str = "erasing a user";

/// What is counted, and how. The audit trail is counted where it still holds name or address.
const COUNTS: [(&str, &str); 6] = [
    ("users", "SELECT COUNT(*) FROM accounts_users WHERE id = $1"),
    ("sessions", "SELECT COUNT(*) FROM accounts_sessions WHERE user_id = $1"),
    (
        "refresh_tokens",
        "SELECT COUNT(*) FROM accounts_refresh_tokens t JOIN accounts_sessions s ON s.id = t.session_id WHERE s.user_id = $1",
    ),
    ("api_keys", "SELECT COUNT(*) FROM accounts_api_keys WHERE user_id = $1"),
    ("single_use_secrets", "SELECT COUNT(*) FROM accounts_single_use WHERE user_id = $1"),
    (
        "audit_names_and_addresses",
        "SELECT COUNT(*) FROM accounts_audit WHERE user_id = $1 AND (name <> '' OR address <> '')",
    ),
];

/// What becomes of an erasure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Erased {
    Done { before: Counts, after: Counts },
    Unknown,
    LastAdmin,
}

/// Rows by kind.
pub(crate) type Counts = BTreeMap<&'static str, u64>;

impl Store {
    /// Erases a user. The entries of the audit trail stay, without name and address.
    pub(crate) async fn erase_user(&self, user: UserId, name_subject: &str) -> Result<Erased> {
        let failed = StoreError::of(ERASING);
        let mut transaction = self.begin().await?;
        Self::lock(&mut transaction, "admins").await?;
        let admins = users::admins(&mut transaction).await.map_err(failed)?;
        let before = counts(&mut transaction, user).await.map_err(failed)?;
        let id = user.to_string();
        // Cascades to sessions, their tokens, keys and single-use secrets.
        let delete = sqlx::query("DELETE FROM accounts_users WHERE id = $1").bind(id.clone());
        if delete.execute(&mut *transaction).await.map_err(failed)?.rows_affected() == 0 {
            return Ok(Erased::Unknown);
        }
        if admins > 0 && users::admins(&mut transaction).await.map_err(failed)? == 0 {
            return Ok(Erased::LastAdmin);
        }
        let forget = "UPDATE accounts_audit SET salt = NULL, name = NULL, address = NULL WHERE user_id = $1";
        sqlx::query(forget).bind(id).execute(&mut *transaction).await.map_err(failed)?;
        let forget = sqlx::query("DELETE FROM accounts_guesses WHERE subject = $1").bind(name_subject.to_owned());
        forget.execute(&mut *transaction).await.map_err(failed)?;
        let after = counts(&mut transaction, user).await.map_err(failed)?;
        transaction.commit().await.map_err(failed)?;
        Ok(Erased::Done { before, after })
    }

    /// True if nobody could administer without this user.
    pub(crate) async fn is_last_admin(&self, user: UserId) -> Result<bool> {
        let query = "SELECT COUNT(*) FROM accounts_users WHERE id = $1 AND role = 'admin' AND disabled = 0 AND NOT EXISTS \
            (SELECT 1 FROM accounts_users o WHERE o.id <> $1 AND o.role = 'admin' AND o.disabled = 0)";
        let failed = StoreError::of("counting admins");
        let row = sqlx::query(query).bind(user.to_string()).fetch_one(&self.pool).await.map_err(failed)?;
        Ok(row.try_get::<i64, _>(0).map_err(failed)? == 1)
    }

    /// What the store holds of a user.
    pub(crate) async fn counts(&self, user: UserId) -> Result<Counts> {
        let mut connection = self.pool.acquire().await.map_err(StoreError::of(ERASING))?;
        counts(&mut connection, user).await.map_err(StoreError::of(ERASING))
    }
}

async fn counts(connection: &mut AnyConnection, user: UserId) -> sqlx::Result<Counts> {
    let mut counts = Counts::new();
    for (what, query) in COUNTS {
        let row = sqlx::query(query).bind(user.to_string()).fetch_one(&mut *connection).await?;
        counts.insert(what, u64::try_from(row.try_get::<i64, _>(0)?).unwrap_or(0));
    }
    Ok(counts)
}
