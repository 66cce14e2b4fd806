//! Sessions and their refresh tokens in the store.

use super::users::{self, UserRecord};
use super::{Result, Store, StoreError, get, get_optional_u64, get_parsed, get_u64, signed};
use crate::id::SessionId;
use crate::refresh::{Decision, Facts, KEPT, Relation, SessionState, decide};
use crate::secret_token::Digest;
use proto::UserId;
use sqlx::AnyConnection;
use sqlx::any::AnyRow;
use std::time::Duration;

/// A session to be added.
#[derive(Debug, Clone)]
pub(crate) struct NewSession {
    pub(crate) id: SessionId,
    pub(crate) user: UserId,
    pub(crate) created_ns: u64,
    pub(crate) expires_ns: u64,
    /// What the client says it is.
    pub(crate) client: String,
    pub(crate) address: String,
    /// Of its first refresh token.
    pub(crate) digest: Digest,
}

/// A session as stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SessionRecord {
    pub(crate) id: SessionId,
    pub(crate) created_ns: u64,
    pub(crate) last_used_ns: u64,
    pub(crate) expires_ns: u64,
    pub(crate) ended_ns: Option<u64>,
    pub(crate) client: String,
    pub(crate) address: String,
}

/// What became of a refresh token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Rotation {
    /// It gave its successor, which is stored.
    Rotated { user: Box<UserRecord>, session: SessionId },
    /// Nobody has such a token.
    Unknown,
    /// See [`Decision`].
    Refused { user: Box<UserRecord>, session: SessionId, decision: Decision },
}

/// How long sessions last.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Lifetimes {
    pub(crate) idle: Duration,
    pub(crate) longest: Duration,
}

impl Lifetimes {
    /// When a session ends that was made and is used at these times.
    pub(crate) fn expires_ns(self, created_ns: u64, used_ns: u64) -> u64 {
        let nanos = |duration: Duration| u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        created_ns.saturating_add(nanos(self.longest)).min(used_ns.saturating_add(nanos(self.idle)))
    }
}

const SIGNING_IN: &str = "adding a session";
const REFRESHING: &str = "refreshing a session";
const ENDING: &str = "ending a session";
const READING: &str = "reading sessions";

fn read(row: &AnyRow) -> Result<SessionRecord> {
    Ok(SessionRecord {
        id: get_parsed(row, "session_id")?,
        created_ns: get_u64(row, "created_ns")?,
        last_used_ns: get_u64(row, "last_used_ns")?,
        expires_ns: get_u64(row, "expires_ns")?,
        ended_ns: get_optional_u64(row, "ended_ns")?,
        client: get(row, "client")?,
        address: get(row, "address")?,
    })
}

const COLUMNS: &str = "s.id AS session_id, s.created_ns, s.last_used_ns, s.expires_ns, s.ended_ns, s.client, s.address";

impl Store {
    /// Adds a session with its first refresh token, and ends those of the user that were unused for the longest time until
    /// `most` are open.
    pub(crate) async fn add_session(&self, new: &NewSession, most: u32) -> Result<()> {
        let failed = StoreError::of(SIGNING_IN);
        let mut transaction = self.begin().await?;
        let add = "INSERT INTO accounts_sessions (id, user_id, created_ns, last_used_ns, expires_ns, client, address) \
            VALUES ($1, $2, $3, $3, $4, $5, $6)";
        let add = sqlx::query(add)
            .bind(new.id.to_string())
            .bind(new.user.to_string())
            .bind(signed(new.created_ns))
            .bind(signed(new.expires_ns))
            .bind(new.client.clone())
            .bind(new.address.clone());
        add.execute(&mut *transaction).await.map_err(failed)?;
        add_token(&mut transaction, &new.digest, new.id, 1).await.map_err(failed)?;
        let end = "UPDATE accounts_sessions SET ended_ns = $1 WHERE user_id = $2 AND ended_ns IS NULL AND id NOT IN \
            (SELECT id FROM accounts_sessions WHERE user_id = $2 AND ended_ns IS NULL AND expires_ns > $1 \
             ORDER BY last_used_ns DESC, id DESC LIMIT $3)";
        let end = sqlx::query(end).bind(signed(new.created_ns)).bind(new.user.to_string()).bind(i64::from(most));
        end.execute(&mut *transaction).await.map_err(failed)?;
        transaction.commit().await.map_err(failed)
    }

    /// Presents a refresh token; `successor` is stored if it gives one. All refreshes of a session pass its row one by one.
    pub(crate) async fn rotate(
        &self,
        presented: &Digest,
        successor: &Digest,
        lifetimes: Lifetimes,
        now_ns: u64,
    ) -> Result<Rotation> {
        let failed = StoreError::of(REFRESHING);
        let mut transaction = self.begin().await?;
        let query = "SELECT session_id, generation FROM accounts_refresh_tokens WHERE digest = $1";
        let token = sqlx::query(query).bind(presented.as_str().to_owned());
        let Some(token) = token.fetch_optional(&mut *transaction).await.map_err(failed)? else {
            return Ok(Rotation::Unknown);
        };
        let (id, generation): (String, _) = (get(&token, "session_id")?, get_u64(&token, "generation")?);
        let lock = sqlx::query("UPDATE accounts_sessions SET repeats = repeats WHERE id = $1").bind(id.clone());
        lock.execute(&mut *transaction).await.map_err(failed)?;
        let query = format!(
            "SELECT {COLUMNS}, s.generation, s.spent, s.spent_ns, s.repeats, {} FROM accounts_sessions s \
             JOIN accounts_users u ON u.id = s.user_id WHERE s.id = $1",
            users::COLUMNS
        );
        let row = sqlx::query(&query).bind(id.clone()).fetch_optional(&mut *transaction).await.map_err(failed)?;
        let Some(row) = row else { return Ok(Rotation::Unknown) };
        let facts = facts(&row, generation, presented)?;
        let (record, user) = (read(&row)?, Box::new(users::read(&row)?));
        let session = record.id;
        let decision = if user.is_shut(now_ns) { Decision::Over } else { decide(&facts, now_ns) };
        match decision {
            Decision::Rotate => {
                let expires_ns = lifetimes.expires_ns(record.created_ns, now_ns);
                spend(&mut transaction, &id, generation, presented, (now_ns, expires_ns)).await.map_err(failed)?;
                add_token(&mut transaction, successor, session, generation + 1).await.map_err(failed)?;
            }
            Decision::Repeat => {
                let count = sqlx::query("UPDATE accounts_sessions SET repeats = repeats + 1 WHERE id = $1").bind(id);
                count.execute(&mut *transaction).await.map_err(failed)?;
                add_token(&mut transaction, successor, session, generation + 1).await.map_err(failed)?;
            }
            Decision::EndSession => {
                let end = sqlx::query("UPDATE accounts_sessions SET ended_ns = $1 WHERE id = $2");
                end.bind(signed(now_ns)).bind(id).execute(&mut *transaction).await.map_err(failed)?;
            }
            Decision::TooOften | Decision::Over => {}
        }
        transaction.commit().await.map_err(failed)?;
        Ok(match decision {
            Decision::Rotate | Decision::Repeat => Rotation::Rotated { user, session },
            _ => Rotation::Refused { user, session, decision },
        })
    }

    /// The session of a refresh token, whether or not it was spent.
    pub(crate) async fn session_of_token(&self, presented: &Digest) -> Result<Option<(UserId, SessionId)>> {
        let query = "SELECT s.id, s.user_id FROM accounts_refresh_tokens t JOIN accounts_sessions s ON s.id = t.session_id \
            WHERE t.digest = $1";
        let query = sqlx::query(query).bind(presented.as_str().to_owned());
        let row = query.fetch_optional(&self.pool).await.map_err(StoreError::of(READING))?;
        row.map(|row| Ok((get_parsed(&row, "user_id")?, get_parsed(&row, "id")?))).transpose()
    }

    /// A session that has neither ended nor expired, with its user.
    pub(crate) async fn live_session(&self, id: SessionId, now_ns: u64) -> Result<Option<UserRecord>> {
        let query = format!(
            "SELECT {} FROM accounts_sessions s JOIN accounts_users u ON u.id = s.user_id \
             WHERE s.id = $1 AND s.ended_ns IS NULL AND s.expires_ns > $2",
            users::COLUMNS
        );
        let query = sqlx::query(&query).bind(id.to_string()).bind(signed(now_ns));
        query.fetch_optional(&self.pool).await.map_err(StoreError::of(READING))?.as_ref().map(users::read).transpose()
    }

    /// Open sessions of a user, the last used first.
    pub(crate) async fn sessions(&self, user: UserId, now_ns: u64) -> Result<Vec<SessionRecord>> {
        let query = format!(
            "SELECT {COLUMNS} FROM accounts_sessions s WHERE s.user_id = $1 AND s.ended_ns IS NULL AND s.expires_ns > $2 \
             ORDER BY s.last_used_ns DESC, s.id DESC LIMIT 256"
        );
        let query = sqlx::query(&query).bind(user.to_string()).bind(signed(now_ns));
        query.fetch_all(&self.pool).await.map_err(StoreError::of(READING))?.iter().map(read).collect()
    }

    /// Ends a session of a user; false if there is no such open one.
    pub(crate) async fn end_session(&self, user: UserId, id: SessionId, now_ns: u64) -> Result<bool> {
        let end = "UPDATE accounts_sessions SET ended_ns = $1 WHERE id = $2 AND user_id = $3 AND ended_ns IS NULL";
        let end = sqlx::query(end).bind(signed(now_ns)).bind(id.to_string()).bind(user.to_string());
        Ok(end.execute(&self.pool).await.map_err(StoreError::of(ENDING))?.rows_affected() == 1)
    }

    /// Removes sessions that are over since `before_ns`, at most `limit`, with their tokens.
    pub(crate) async fn prune_sessions(&self, before_ns: u64, limit: u32) -> Result<u64> {
        let delete = "DELETE FROM accounts_sessions WHERE id IN \
            (SELECT id FROM accounts_sessions WHERE expires_ns < $1 OR ended_ns < $1 LIMIT $2)";
        let delete = sqlx::query(delete).bind(signed(before_ns)).bind(i64::from(limit));
        Ok(delete.execute(&self.pool).await.map_err(StoreError::of("removing old sessions"))?.rows_affected())
    }
}

fn facts(row: &AnyRow, generation: u64, presented: &Digest) -> Result<Facts> {
    let same = get::<String>(row, "spent")? == presented.as_str();
    let ended = get_optional_u64(row, "ended_ns")?.is_some();
    Ok(Facts {
        generation,
        spent_generation: get_u64(row, "generation")?,
        relation: if same { Relation::Same } else { Relation::Other },
        spent_ns: get_u64(row, "spent_ns")?,
        repeats: u32::try_from(get_u64(row, "repeats")?).unwrap_or(u32::MAX),
        expires_ns: get_u64(row, "expires_ns")?,
        state: if ended { SessionState::Ended } else { SessionState::Open },
    })
}

async fn spend(
    transaction: &mut AnyConnection,
    id: &str,
    generation: u64,
    presented: &Digest,
    (now_ns, expires_ns): (u64, u64),
) -> sqlx::Result<()> {
    let set = "UPDATE accounts_sessions SET generation = $1, spent = $2, spent_ns = $3, last_used_ns = $3, repeats = 0, \
        expires_ns = $4 WHERE id = $5";
    let set = sqlx::query(set)
        .bind(signed(generation))
        .bind(presented.as_str().to_owned())
        .bind(signed(now_ns))
        .bind(signed(expires_ns))
        .bind(id.to_owned());
    set.execute(&mut *transaction).await?;
    let forget = "DELETE FROM accounts_refresh_tokens WHERE session_id = $1 AND generation < $2";
    let forget = sqlx::query(forget).bind(id.to_owned()).bind(signed(generation.saturating_sub(KEPT)));
    forget.execute(transaction).await.map(drop)
}

async fn add_token(
    transaction: &mut AnyConnection,
    digest: &Digest,
    session: SessionId,
    generation: u64,
) -> sqlx::Result<()> {
    let add = "INSERT INTO accounts_refresh_tokens (digest, session_id, generation) VALUES ($1, $2, $3)";
    let add = sqlx::query(add).bind(digest.as_str().to_owned()).bind(session.to_string()).bind(signed(generation));
    add.execute(transaction).await.map(drop)
}
