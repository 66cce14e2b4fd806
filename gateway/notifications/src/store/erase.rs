//! Everything of a user: counted, exported, erased.

use super::Store;
use super::rows::{NOTIFICATION, listed, signed, unsigned};
use crate::error::StoreError;
use proto::UserId;
use serde::Serialize;
use serde_json::{Value, json};
use sqlx::{Any, Executor, Row};

/// How many rows of a user the store has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Counts {
    /// Recorded notifications.
    pub notifications: u64,
    /// Outboxes known.
    pub streams: u64,
    /// Gaps recorded.
    pub stream_gaps: u64,
    /// 1 if there is an inbox.
    pub inboxes: u64,
    /// 1 if the user has said what he prefers.
    pub preferences: u64,
    /// Replicas with an open session.
    pub presence: u64,
}

impl Counts {
    /// True if nothing is there.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// What an erasure found and left.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Erased {
    /// Before.
    pub before: Counts,
    /// After: all zero, unless an event arrived in between.
    pub after: Counts,
}

/// A part of everything of a user.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Export {
    /// One JSON value for each thing, with its `type`.
    pub items: Vec<Value>,
    /// Where the next part begins; `None` after the last.
    pub next: Option<u64>,
}

const TABLES: [&str; 6] = ["notifications", "streams", "stream_gaps", "inboxes", "preferences", "presence"];

async fn counts<'c, E>(executor: &mut E, user_id: &str) -> Result<Counts, sqlx::Error>
where
    for<'e> &'e mut E: Executor<'e, Database = Any>,
{
    let mut found = [0; TABLES.len()];
    for (count, table) in found.iter_mut().zip(TABLES) {
        let query = format!("SELECT COUNT(*) FROM {table} WHERE user_id = $1");
        let row = sqlx::query(&query).bind(user_id.to_owned()).fetch_one(&mut *executor).await?;
        *count = unsigned(row.try_get(0)?);
    }
    let [notifications, streams, stream_gaps, inboxes, preferences, presence] = found;
    Ok(Counts { notifications, streams, stream_gaps, inboxes, preferences, presence })
}

impl Store {
    /// How much there is of a user.
    pub(crate) async fn counts(&self, user_id: UserId) -> Result<Counts, StoreError> {
        let failed = || StoreError::database("counting a user's rows");
        let mut connection = self.read.acquire().await.map_err(failed())?;
        counts(&mut *connection, &user_id.to_string()).await.map_err(failed())
    }

    /// Erases everything of a user. The key of the container must be withdrawn before, or its next event begins anew.
    pub(crate) async fn erase(&self, user_id: UserId) -> Result<Erased, StoreError> {
        let failed = || StoreError::database("erasing a user");
        let user = user_id.to_string();
        let mut transaction = self.begin().await.map_err(failed())?;
        let before = counts(&mut *transaction, &user).await.map_err(failed())?;
        // The inbox last: who records waits for its row, so that nothing is recorded under a number that is gone.
        let lock = format!("SELECT last_number FROM inboxes WHERE user_id = $1{}", self.for_update());
        sqlx::query(&lock).bind(&user).fetch_optional(&mut *transaction).await.map_err(failed())?;
        for table in TABLES {
            let query = format!("DELETE FROM {table} WHERE user_id = $1");
            sqlx::query(&query).bind(&user).execute(&mut *transaction).await.map_err(failed())?;
        }
        transaction.commit().await.map_err(failed())?;
        Ok(Erased { before, after: self.counts(user_id).await? })
    }

    /// A part of everything of a user, from the notification behind `after` on; the first part (`after` 0) has the rest too.
    pub(crate) async fn export(&self, user_id: UserId, after: u64, limit: u64) -> Result<Export, StoreError> {
        let failed = || StoreError::database("exporting a user");
        let user = user_id.to_string();
        let mut items = Vec::new();
        if after == 0 {
            let preferences = self.preferences(user_id).await?.preferences;
            items.push(json!({"type": "preferences", "preferences": preferences}));
            let query = "SELECT outbox_id, next_sequence FROM streams WHERE user_id = $1 ORDER BY outbox_id";
            for row in sqlx::query(query).bind(&user).fetch_all(&self.read).await.map_err(failed())? {
                let outbox_id: String = row.try_get(0).map_err(failed())?;
                let next: i64 = row.try_get(1).map_err(failed())?;
                items.push(json!({"type": "stream", "outbox_id": outbox_id, "next_sequence": next}));
            }
            let query = "SELECT outbox_id, from_sequence, to_sequence, reason FROM stream_gaps WHERE user_id = $1 \
                         ORDER BY recorded_at_ns LIMIT 10000";
            for row in sqlx::query(query).bind(&user).fetch_all(&self.read).await.map_err(failed())? {
                let (outbox_id, reason): (String, String) =
                    (row.try_get(0).map_err(failed())?, row.try_get(3).map_err(failed())?);
                let (from, to): (i64, i64) = (row.try_get(1).map_err(failed())?, row.try_get(2).map_err(failed())?);
                items.push(json!({"type": "gap", "outbox_id": outbox_id, "from": from, "to": to, "reason": reason}));
            }
        }
        let query = format!(
            "SELECT {NOTIFICATION}, state, channel FROM notifications WHERE user_id = $1 AND number > $2 \
             ORDER BY number LIMIT $3"
        );
        let query = sqlx::query(&query).bind(&user).bind(signed(after)).bind(signed(limit));
        let (mut next, mut rows) = (None, 0);
        for row in query.fetch_all(&self.read).await.map_err(failed())? {
            let listed = listed(user_id, u64::MAX, &row)?;
            (next, rows) = (Some(listed.notification.number), rows + 1);
            let mut item = listed.to_json();
            item["type"] = "notification".into();
            items.push(item);
        }
        Ok(Export { items, next: next.filter(|_| rows >= limit) })
    }
}
