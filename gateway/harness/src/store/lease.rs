//! The lease of a replica, and what it takes over from replicas that have lost theirs.

use super::writer::{Request, columns, start, turn};
use super::{StoreError, Turn, TurnStore, state};
use crate::TurnId;
use proto::UserId;
use service::clock::Clock;
use sqlx::Row;
use std::time::Duration;

/// Most turns that are taken over at once.
const BATCH: usize = 256;

/// A turn that nobody carries on.
#[derive(Debug, Clone)]
pub(crate) struct Takeover {
    pub(crate) turn: Turn,
    pub(crate) kind: TakeoverKind,
    /// The user wishes it to stop.
    pub(crate) stopped: bool,
    owner: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TakeoverKind {
    /// It runs, but nobody runs it.
    Abandoned,
    /// It waits, but nothing of its conversation runs.
    Waiting,
    /// It has ended, but its messages may not be saved.
    Unsaved,
}

/// What became of the wish to stop a turn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum StopNoted {
    /// There is no such turn of this user.
    Unknown,
    /// It is over.
    Ended,
    /// Whoever runs it reads the wish.
    Running,
    /// It waited, and is ours to end.
    Ours(Box<Turn>),
}

/// A duration as the database keeps it.
pub(super) fn nanos(duration: Duration) -> i64 {
    i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)
}

/// Now and a while, ns since the epoch, as the database keeps it.
pub(super) fn expiry(clock: &Clock, after: Duration) -> i64 {
    i64::try_from(clock.now_ns()).unwrap_or(i64::MAX).saturating_add(nanos(after))
}

/// Owners that carry nothing on any more.
const NO_OWNER: &str = "owner NOT IN (SELECT replica FROM harness_replicas WHERE dead = 0)";

impl TurnStore {
    fn now(&self) -> i64 {
        expiry(&self.inner.clock, Duration::ZERO)
    }

    /// Takes a lease under a new name.
    pub(crate) async fn register(&self) -> Result<(), StoreError> {
        let name = ulid::Ulid(rand::random()).to_string();
        let sql = "INSERT INTO harness_replicas (replica, expires_at_ns, writes, dead) VALUES ($1, $2, 0, 0)";
        let query = sqlx::query(sql).bind(name.as_str()).bind(expiry(&self.inner.clock, self.inner.lease));
        query.execute(&self.inner.direct).await?;
        self.inner.replica.send_replace(name);
        Ok(())
    }

    /// Keeps the lease although nothing is written.
    pub(crate) async fn renew(&self) -> Result<(), StoreError> {
        self.send(|ack| Request::Renew { ack }).await
    }

    /// Gives the lease back, so that others need not wait for its end.
    pub(crate) async fn release(&self) -> Result<(), StoreError> {
        let sql = "UPDATE harness_replicas SET dead = 1 WHERE replica = $1";
        sqlx::query(sql).bind(self.replica()).execute(&self.inner.direct).await?;
        Ok(())
    }

    /// Declares replicas dead whose lease has expired, and forgets those that left nothing.
    pub(crate) async fn bury(&self) -> Result<u64, StoreError> {
        let sql = "UPDATE harness_replicas SET dead = 1 WHERE dead = 0 AND expires_at_ns < $1 AND replica <> $2";
        let buried = sqlx::query(sql).bind(self.now()).bind(self.replica()).execute(&self.inner.direct).await?;
        let sql = "DELETE FROM harness_replicas WHERE dead = 1 AND expires_at_ns < $1";
        // A replica that comes back later than this finds no row, which is as good as a dead one.
        let long_ago = self.now().saturating_sub(nanos(20 * self.inner.lease));
        sqlx::query(sql).bind(long_ago).execute(&self.inner.direct).await?;
        Ok(buried.rows_affected())
    }

    /// Turns that nobody carries on, or that are said to be ours; the caller knows which of those it really runs.
    pub(crate) async fn abandoned(&self) -> Result<Vec<Takeover>, StoreError> {
        let running = format!("state = 1 AND (owner = $1 OR {NO_OWNER})");
        let waiting = "state = 0 AND stop = 0 AND NOT EXISTS (SELECT 1 FROM harness_turns AS other \
             WHERE other.user_id = harness_turns.user_id AND other.conversation_id = harness_turns.conversation_id \
             AND (other.state = 1 OR (other.state = 0 AND other.turn_id < harness_turns.turn_id))) AND owner <> $1";
        let stopped = format!("state = 0 AND stop = 1 AND (owner = $1 OR {NO_OWNER})");
        let mut found = self.takeovers(&running, TakeoverKind::Abandoned).await?;
        found.extend(self.takeovers(waiting, TakeoverKind::Waiting).await?);
        found.extend(self.takeovers(&stopped, TakeoverKind::Abandoned).await?);
        Ok(found)
    }

    /// Ended turns whose messages nobody saves any more.
    pub(crate) async fn unsaved(&self) -> Result<Vec<Takeover>, StoreError> {
        let unsaved = format!("saved = 0 AND state = 2 AND (owner = $1 OR {NO_OWNER})");
        self.takeovers(&unsaved, TakeoverKind::Unsaved).await
    }

    async fn takeovers(&self, condition: &str, kind: TakeoverKind) -> Result<Vec<Takeover>, StoreError> {
        let sql = format!(
            "SELECT {}, owner, stop FROM harness_turns WHERE {condition} ORDER BY turn_id LIMIT {BATCH}",
            columns()
        );
        let rows = sqlx::query(&sql).bind(self.replica()).fetch_all(&self.inner.direct).await?;
        let takeover = |row: &sqlx::any::AnyRow| {
            let (owner, stopped) = (row.try_get("owner")?, row.try_get::<i64, _>("stop")? == 1);
            Ok(Takeover { turn: turn(row)?, kind, stopped, owner })
        };
        rows.iter().map(takeover).collect()
    }

    /// Makes a turn ours, if it still is as it was found and our own lease stands.
    pub(crate) async fn take_over(&self, takeover: &Takeover) -> Result<bool, StoreError> {
        let replica = self.replica();
        if takeover.kind == TakeoverKind::Waiting {
            let mut tx = self.inner.direct.begin_with(self.inner.begin).await?;
            let started = start(&mut tx, &takeover.turn, &replica).await?;
            tx.commit().await?;
            return Ok(started);
        }
        let unchanged = match takeover.kind {
            TakeoverKind::Unsaved => "state = 2 AND saved = 0",
            _ => "state < 2",
        };
        let sql = format!(
            "UPDATE harness_turns SET owner = $1 WHERE turn_id = $2 AND owner = $3 AND {unchanged} \
             AND EXISTS (SELECT 1 FROM harness_replicas WHERE replica = $4 AND dead = 0)"
        );
        let query = sqlx::query(&sql).bind(replica.as_str()).bind(takeover.turn.id.to_string());
        let query = query.bind(takeover.owner.as_str()).bind(replica.as_str());
        Ok(query.execute(&self.inner.direct).await?.rows_affected() == 1)
    }

    /// Notes the wish to stop a turn of this user.
    pub(crate) async fn note_stop(&self, user: UserId, id: TurnId) -> Result<StopNoted, StoreError> {
        let (turn_id, user) = (id.to_string(), user.to_string());
        let claim = "UPDATE harness_turns SET stop = 1, owner = $1 WHERE turn_id = $2 AND user_id = $3 AND state = 0 AND stop = 0";
        let claimed = sqlx::query(claim).bind(self.replica()).bind(turn_id.as_str()).bind(user.as_str());
        let ours = claimed.execute(&self.inner.direct).await?.rows_affected() == 1;
        let sql = format!("SELECT {}, state FROM harness_turns WHERE turn_id = $1 AND user_id = $2", columns());
        let row =
            sqlx::query(&sql).bind(turn_id.as_str()).bind(user.as_str()).fetch_optional(&self.inner.direct).await?;
        let Some(row) = row else { return Ok(StopNoted::Unknown) };
        if ours {
            return Ok(StopNoted::Ours(Box::new(turn(&row)?)));
        }
        if row.try_get::<i64, _>("state")? == state::ENDED {
            return Ok(StopNoted::Ended);
        }
        let note = "UPDATE harness_turns SET stop = 1 WHERE turn_id = $1 AND state < 2";
        sqlx::query(note).bind(turn_id).execute(&self.inner.direct).await?;
        Ok(StopNoted::Running)
    }

    /// Turns of ours that shall stop.
    pub(crate) async fn stops(&self) -> Result<Vec<TurnId>, StoreError> {
        let sql = "SELECT turn_id FROM harness_turns WHERE stop = 1 AND state < 2 AND owner = $1";
        let rows = sqlx::query(sql).bind(self.replica()).fetch_all(&self.inner.readers).await?;
        let id = |row: &sqlx::any::AnyRow| {
            let id: String = row.try_get(0)?;
            id.parse().map_err(|_| StoreError::Damaged { field: "turn_id", turn_id: id })
        };
        rows.iter().map(id).collect()
    }

    /// A number per other replica that changes with each of its writes.
    pub(crate) async fn others(&self) -> Result<Vec<(String, i64)>, StoreError> {
        let sql = "SELECT replica, writes FROM harness_replicas WHERE replica <> $1 ORDER BY replica";
        let rows = sqlx::query(sql).bind(self.replica()).fetch_all(&self.inner.readers).await?;
        rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect()
    }

    /// Conversations that other replicas work on, or did a moment ago.
    pub(crate) async fn elsewhere(
        &self,
        recently: Duration,
    ) -> Result<Vec<(UserId, crate::ConversationId)>, StoreError> {
        let sql = "SELECT DISTINCT user_id, conversation_id FROM harness_turns WHERE owner <> $1 AND state < 2 \
             UNION SELECT DISTINCT user_id, conversation_id FROM harness_turns WHERE owner <> $1 AND ended_at_ns > $2";
        let since = self.now().saturating_sub(nanos(recently));
        let rows = sqlx::query(sql).bind(self.replica()).bind(since).fetch_all(&self.inner.readers).await?;
        let damaged = |field| StoreError::Damaged { field, turn_id: String::new() };
        let conversation = |row: &sqlx::any::AnyRow| {
            let (user, conversation): (String, String) = (row.try_get(0)?, row.try_get(1)?);
            let user = user.parse().map_err(|_| damaged("user_id"))?;
            Ok((user, conversation.parse().map_err(|_| damaged("conversation_id"))?))
        };
        rows.iter().map(conversation).collect()
    }
}
