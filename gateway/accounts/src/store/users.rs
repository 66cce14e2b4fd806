//! Users in the store.

use super::{Result, Store, StoreError, get, get_optional_u64, get_parsed, get_u64, signed};
use crate::id::SessionId;
use crate::scope::Role;
use crate::tier::Tier;
use crate::user_name::UserName;
use proto::UserId;
use sqlx::any::AnyRow;
use sqlx::{AnyConnection, Row};

pub(super) const COLUMNS: &str = "u.id, u.name, u.role, u.tier, u.password, u.disabled, u.created_ns AS user_created_ns, \
    u.expires_ns AS user_expires_ns, u.disclaimer, u.totp, u.totp_confirmed, u.totp_step, u.telegram_id, u.telegram_name";

/// A user as stored.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct UserRecord {
    pub(crate) id: UserId,
    pub(crate) name: UserName,
    pub(crate) role: Role,
    pub(crate) tier: Tier,
    /// The password's hash.
    pub(crate) password: Option<String>,
    pub(crate) disabled: bool,
    pub(crate) created_ns: u64,
    /// When an anonymous account ends.
    pub(crate) expires_ns: Option<u64>,
    /// The version accepted.
    pub(crate) disclaimer: Option<String>,
    pub(crate) totp: Option<Totp>,
    pub(crate) telegram: Option<(i64, String)>,
}

impl UserRecord {
    /// True if the user may no longer do anything: disabled, or an anonymous account whose time is over.
    pub(crate) fn is_shut(&self, now_ns: u64) -> bool {
        self.disabled || self.expires_ns.is_some_and(|expires_ns| expires_ns <= now_ns)
    }
}

/// A user's second factor.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Totp {
    /// The sealed secret.
    pub(crate) sealed: String,
    /// False until a first code was right.
    pub(crate) confirmed: bool,
    /// The last step whose code was used.
    pub(crate) step: u64,
}

impl std::fmt::Debug for UserRecord {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("UserRecord").field("id", &self.id).field("name", &self.name).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Totp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Totp").field("confirmed", &self.confirmed).finish_non_exhaustive()
    }
}

/// What an admin changes; nothing where `None`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct UserChange {
    pub(crate) tier: Option<Tier>,
    pub(crate) role: Option<Role>,
    pub(crate) disabled: Option<bool>,
}

/// What became of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Changed {
    Done,
    Unknown,
    /// It would leave nobody who can administer.
    LastAdmin,
}

pub(super) fn read(row: &AnyRow) -> Result<UserRecord> {
    let totp: Option<String> = get(row, "totp")?;
    let (confirmed, step) = (get::<i64>(row, "totp_confirmed")? != 0, get_u64(row, "totp_step")?);
    let telegram: Option<i64> = get(row, "telegram_id")?;
    let telegram_name: Option<String> = get(row, "telegram_name")?;
    Ok(UserRecord {
        id: get_parsed(row, "id")?,
        name: get_parsed(row, "name")?,
        role: get_parsed(row, "role")?,
        tier: get_parsed(row, "tier")?,
        password: get(row, "password")?,
        disabled: get::<i64>(row, "disabled")? != 0,
        created_ns: get_u64(row, "user_created_ns")?,
        expires_ns: get_optional_u64(row, "user_expires_ns")?,
        disclaimer: get(row, "disclaimer")?,
        totp: totp.map(|sealed| Totp { sealed, confirmed, step }),
        telegram: telegram.map(|id| (id, telegram_name.unwrap_or_default())),
    })
}

const READING: &str = "reading a user";
const WRITING: &str = "changing a user";

impl Store {
    /// Adds a user; false if the name is taken.
    pub(crate) async fn add_user(&self, user: &UserRecord) -> Result<bool> {
        let add = sqlx::query(ADD);
        let done = bind_user(add, user).execute(&self.pool).await.map_err(StoreError::of("adding a user"))?;
        Ok(done.rows_affected() == 1)
    }

    /// Adds an anonymous user, unless there are `most` of them that have not ended.
    pub(crate) async fn add_anonymous(&self, user: &UserRecord, most: u32, now_ns: u64) -> Result<bool> {
        let failed = StoreError::of("adding an anonymous user");
        let mut transaction = self.begin().await?;
        Self::lock(&mut transaction, "anonymous").await?;
        let count = "SELECT COUNT(*) FROM accounts_users WHERE tier = 'anonymous' AND expires_ns > $1";
        let count = sqlx::query(count).bind(signed(now_ns)).fetch_one(&mut *transaction).await.map_err(failed)?;
        let count: i64 = count.try_get(0).map_err(failed)?;
        if count >= i64::from(most) {
            return Ok(false);
        }
        let done = bind_user(sqlx::query(ADD), user).execute(&mut *transaction).await.map_err(failed)?;
        transaction.commit().await.map_err(failed)?;
        Ok(done.rows_affected() == 1)
    }

    pub(crate) async fn user(&self, id: UserId) -> Result<Option<UserRecord>> {
        let query = format!("SELECT {COLUMNS} FROM accounts_users u WHERE u.id = $1");
        let query = sqlx::query(&query).bind(id.to_string());
        query.fetch_optional(&self.pool).await.map_err(StoreError::of(READING))?.as_ref().map(read).transpose()
    }

    pub(crate) async fn user_by_name(&self, name: &UserName) -> Result<Option<UserRecord>> {
        let query = format!("SELECT {COLUMNS} FROM accounts_users u WHERE u.name = $1");
        let query = sqlx::query(&query).bind(name.as_str().to_owned());
        query.fetch_optional(&self.pool).await.map_err(StoreError::of(READING))?.as_ref().map(read).transpose()
    }

    pub(crate) async fn user_by_telegram(&self, telegram: i64) -> Result<Option<UserRecord>> {
        let query = format!("SELECT {COLUMNS} FROM accounts_users u WHERE u.telegram_id = $1");
        let query = sqlx::query(&query).bind(telegram);
        query.fetch_optional(&self.pool).await.map_err(StoreError::of(READING))?.as_ref().map(read).transpose()
    }

    /// The first admin that is not disabled.
    pub(crate) async fn first_admin(&self) -> Result<Option<UserRecord>> {
        let query = format!(
            "SELECT {COLUMNS} FROM accounts_users u WHERE u.role = 'admin' AND u.disabled = 0 ORDER BY u.created_ns, u.id LIMIT 1"
        );
        let row = sqlx::query(&query).fetch_optional(&self.pool).await.map_err(StoreError::of(READING))?;
        row.as_ref().map(read).transpose()
    }

    /// Users behind `after`, in the order of their ids.
    pub(crate) async fn users(&self, after: &str, limit: u32) -> Result<Vec<UserRecord>> {
        let query = format!("SELECT {COLUMNS} FROM accounts_users u WHERE u.id > $1 ORDER BY u.id LIMIT $2");
        let query = sqlx::query(&query).bind(after.to_owned()).bind(i64::from(limit));
        query.fetch_all(&self.pool).await.map_err(StoreError::of(READING))?.iter().map(read).collect()
    }

    /// Anonymous users whose time is over.
    pub(crate) async fn expired_users(&self, now_ns: u64, limit: u32) -> Result<Vec<UserId>> {
        let query = "SELECT id FROM accounts_users WHERE expires_ns <= $1 ORDER BY expires_ns LIMIT $2";
        let query = sqlx::query(query).bind(signed(now_ns)).bind(i64::from(limit));
        let rows = query.fetch_all(&self.pool).await.map_err(StoreError::of(READING))?;
        rows.iter().map(|row| get_parsed(row, "id")).collect()
    }

    /// Sets the password and ends all sessions but one, together. False if the old hash is no longer the user's.
    pub(crate) async fn set_password(
        &self,
        user: &UserRecord,
        hash: &str,
        keep: SessionId,
        now_ns: u64,
    ) -> Result<bool> {
        let failed = StoreError::of(WRITING);
        let mut transaction = self.begin().await?;
        let set = "UPDATE accounts_users SET password = $1 WHERE id = $2 AND COALESCE(password, '') = $3";
        let old = user.password.clone().unwrap_or_default();
        let set = sqlx::query(set).bind(hash.to_owned()).bind(user.id.to_string()).bind(old);
        if set.execute(&mut *transaction).await.map_err(failed)?.rows_affected() == 0 {
            return Ok(false);
        }
        let end = "UPDATE accounts_sessions SET ended_ns = $1 WHERE user_id = $2 AND id <> $3 AND ended_ns IS NULL";
        let end = sqlx::query(end).bind(signed(now_ns)).bind(user.id.to_string()).bind(keep.to_string());
        end.execute(&mut *transaction).await.map_err(failed)?;
        transaction.commit().await.map_err(failed)?;
        Ok(true)
    }

    /// Keeps a second factor that is still to be confirmed; false if there is a confirmed one.
    pub(crate) async fn prepare_totp(&self, user: UserId, sealed: &str) -> Result<bool> {
        let set = "UPDATE accounts_users SET totp = $1, totp_step = 0 WHERE id = $2 AND totp_confirmed = 0";
        let set = sqlx::query(set).bind(sealed.to_owned()).bind(user.to_string());
        Ok(set.execute(&self.pool).await.map_err(StoreError::of(WRITING))?.rows_affected() == 1)
    }

    /// Uses up the code of a step; false if it, or a later one, was used before. The first one confirms the factor.
    pub(crate) async fn use_totp_step(&self, user: UserId, sealed: &str, step: u64) -> Result<bool> {
        let set = "UPDATE accounts_users SET totp_step = $1, totp_confirmed = 1 WHERE id = $2 AND totp = $3 AND totp_step < $1";
        let set = sqlx::query(set).bind(signed(step)).bind(user.to_string()).bind(sealed.to_owned());
        Ok(set.execute(&self.pool).await.map_err(StoreError::of(WRITING))?.rows_affected() == 1)
    }

    pub(crate) async fn remove_totp(&self, user: UserId) -> Result<()> {
        let set = "UPDATE accounts_users SET totp = NULL, totp_confirmed = 0, totp_step = 0 WHERE id = $1";
        let set = sqlx::query(set).bind(user.to_string());
        set.execute(&self.pool).await.map(drop).map_err(StoreError::of(WRITING))
    }

    /// Links a Telegram account; false if it is linked to another user.
    pub(crate) async fn link_telegram(&self, user: UserId, telegram: i64, name: &str) -> Result<bool> {
        let set = "UPDATE accounts_users SET telegram_id = $1, telegram_name = $2 WHERE id = $3 AND disabled = 0 \
            AND NOT EXISTS (SELECT 1 FROM accounts_users o WHERE o.telegram_id = $1 AND o.id <> $3)";
        let set = sqlx::query(set).bind(telegram).bind(name.to_owned()).bind(user.to_string());
        match set.execute(&self.pool).await {
            Ok(done) => Ok(done.rows_affected() == 1),
            // Two users linked it at the same moment; the column is unique.
            Err(sqlx::Error::Database(error)) if error.is_unique_violation() => Ok(false),
            Err(error) => Err(StoreError::of(WRITING)(error)),
        }
    }

    pub(crate) async fn unlink_telegram(&self, user: UserId) -> Result<bool> {
        let set = "UPDATE accounts_users SET telegram_id = NULL, telegram_name = NULL WHERE id = $1 AND telegram_id IS NOT NULL";
        let set = sqlx::query(set).bind(user.to_string());
        Ok(set.execute(&self.pool).await.map_err(StoreError::of(WRITING))?.rows_affected() == 1)
    }

    /// Changes a user. One admin who can sign in always remains, also when two admins disable each other at one moment.
    pub(crate) async fn change_user(&self, user: UserId, change: UserChange, now_ns: u64) -> Result<Changed> {
        let failed = StoreError::of(WRITING);
        let mut transaction = self.begin().await?;
        Self::lock(&mut transaction, "admins").await?;
        let before = admins(&mut transaction).await.map_err(failed)?;
        let set = "UPDATE accounts_users SET tier = COALESCE($1, tier), role = COALESCE($2, role), \
            disabled = COALESCE($3, disabled), expires_ns = CASE WHEN COALESCE($1, tier) = 'anonymous' THEN expires_ns END WHERE id = $4";
        let set = sqlx::query(set)
            .bind(change.tier.map(|tier| tier.name().to_owned()))
            .bind(change.role.map(|role| role.name().to_owned()))
            .bind(change.disabled.map(i64::from))
            .bind(user.to_string());
        if set.execute(&mut *transaction).await.map_err(failed)?.rows_affected() == 0 {
            return Ok(Changed::Unknown);
        }
        if before > 0 && admins(&mut transaction).await.map_err(failed)? == 0 {
            return Ok(Changed::LastAdmin);
        }
        if change.disabled == Some(true) {
            let end = "UPDATE accounts_sessions SET ended_ns = $1 WHERE user_id = $2 AND ended_ns IS NULL";
            let end = sqlx::query(end).bind(signed(now_ns)).bind(user.to_string());
            end.execute(&mut *transaction).await.map_err(failed)?;
        }
        transaction.commit().await.map_err(failed)?;
        Ok(Changed::Done)
    }
}

/// Admins who can sign in.
pub(super) async fn admins(transaction: &mut AnyConnection) -> sqlx::Result<i64> {
    let count = sqlx::query("SELECT COUNT(*) FROM accounts_users WHERE role = 'admin' AND disabled = 0");
    count.fetch_one(transaction).await?.try_get(0)
}

const ADD: &str = "INSERT INTO accounts_users (id, name, role, tier, password, created_ns, expires_ns, disclaimer) \
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT DO NOTHING";

type Query<'q> = sqlx::query::Query<'q, sqlx::Any, sqlx::any::AnyArguments<'q>>;

fn bind_user<'q>(query: Query<'q>, user: &UserRecord) -> Query<'q> {
    query
        .bind(user.id.to_string())
        .bind(user.name.to_string())
        .bind(user.role.name())
        .bind(user.tier.name())
        .bind(user.password.clone())
        .bind(signed(user.created_ns))
        .bind(user.expires_ns.map(signed))
        .bind(user.disclaimer.clone())
}
