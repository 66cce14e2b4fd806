//! What is to be delivered, and which replica does it: a user's deliveries are one lane, held by one replica at a time.

use super::rows::{NOTIFICATION, NOTIFICATION_COLUMNS, notification, signed, unsigned};
use super::{Engine, Store};
use crate::error::StoreError;
use crate::notification::Notification;
use proto::UserId;
use sqlx::Row;

/// A notification that waits for a channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pending {
    pub(crate) notification: Notification,
    pub(crate) attempts: u64,
}

/// Users whose deliveries are now this replica's.
pub(crate) type Claimed = Vec<UserId>;

impl Store {
    /// Gives up what this replica held in an earlier life.
    pub(crate) async fn forget_replica(&self, replica: &str) -> Result<(), StoreError> {
        let failed = || StoreError::database("forgetting an earlier life");
        for query in [
            "UPDATE inboxes SET claimed_by = '', claimed_until_ns = 0 WHERE claimed_by = $1",
            "DELETE FROM presence WHERE replica = $1",
        ] {
            sqlx::query(query).bind(replica).execute(&self.write).await.map_err(failed())?;
        }
        Ok(())
    }

    /// Takes the lanes of at most `limit` users for which something is due, until `until_ns`.
    pub(crate) async fn claim(
        &self,
        replica: &str,
        (now_ns, until_ns): (u64, u64),
        limit: usize,
    ) -> Result<Claimed, StoreError> {
        let skip = if self.engine == Engine::Postgres { " FOR UPDATE SKIP LOCKED" } else { "" };
        let failed = || StoreError::database("claiming deliveries");
        // The literal lets the planner see that the partial index serves.
        let due = "SELECT user_id FROM inboxes WHERE due_ns <= $1 AND due_ns < 9223372036854775807 \
                   AND claimed_until_ns < $1";
        // Asked first without a lock: most of the time nothing is due, and a writing transaction would be for nothing.
        let any = sqlx::query(&format!("{due} LIMIT 1")).bind(signed(now_ns)).fetch_optional(&self.read).await;
        if any.map_err(failed())?.is_none() {
            return Ok(Claimed::new());
        }
        let query = format!(
            "UPDATE inboxes SET claimed_by = $2, claimed_until_ns = $3 WHERE user_id IN \
             ({due} ORDER BY due_ns LIMIT $4{skip}) AND claimed_until_ns < $1 RETURNING user_id"
        );
        let query = sqlx::query(&query).bind(signed(now_ns)).bind(replica).bind(signed(until_ns));
        let query = query.bind(signed(limit as u64));
        let mut transaction = self.begin().await.map_err(failed())?;
        let rows = query.fetch_all(&mut *transaction).await.map_err(failed())?;
        transaction.commit().await.map_err(failed())?;
        let user = |row: &sqlx::any::AnyRow| row.try_get::<String, _>(0).ok()?.parse().ok();
        Ok(rows.iter().filter_map(user).collect())
    }

    /// What is due for a user: what was tried least often first, then by number.
    pub(crate) async fn pending(&self, user_id: UserId, now_ns: u64, limit: u64) -> Result<Vec<Pending>, StoreError> {
        let failed = || StoreError::database("reading deliveries");
        let query = format!(
            "SELECT {NOTIFICATION}, attempts FROM notifications WHERE user_id = $1 AND state = 0 AND due_ns <= $2 \
             ORDER BY attempts, number LIMIT $3"
        );
        let query = sqlx::query(&query).bind(user_id.to_string()).bind(signed(now_ns)).bind(signed(limit));
        let rows = query.fetch_all(&self.read).await.map_err(failed())?;
        let read = |row| {
            let attempts = unsigned(sqlx::any::AnyRow::try_get(row, NOTIFICATION_COLUMNS).map_err(failed())?);
            Ok(Pending { notification: notification(user_id, row)?, attempts })
        };
        rows.iter().map(read).collect()
    }

    /// How many notifications are pending and dead, of all users.
    pub(crate) async fn backlog(&self) -> Result<(u64, u64), StoreError> {
        let failed = || StoreError::database("counting deliveries");
        let mut counts = [0; 2];
        for (count, state) in counts.iter_mut().zip([0, 3]) {
            // Spelled out, so that the partial index serves it.
            let query = format!("SELECT COUNT(*) FROM notifications WHERE state = {state}");
            let row = sqlx::query(&query).fetch_one(&self.read).await.map_err(failed())?;
            *count = unsigned(row.try_get(0).map_err(failed())?);
        }
        Ok((counts[0], counts[1]))
    }

    /// Puts the dead letters of a user back into the queue; tells how many.
    pub(crate) async fn requeue(&self, user_id: UserId, now_ns: u64) -> Result<u64, StoreError> {
        let failed = || StoreError::database("queueing dead letters again");
        let (user, now) = (user_id.to_string(), signed(now_ns));
        let mut transaction = self.begin().await.map_err(failed())?;
        // The inbox first, as everywhere: two transactions never hold what the other wants.
        let wake = "UPDATE inboxes SET due_ns = $2 WHERE user_id = $1 AND due_ns > $2";
        sqlx::query(wake).bind(&user).bind(now).execute(&mut *transaction).await.map_err(failed())?;
        let query = "UPDATE notifications SET state = 0, attempts = 0, due_ns = $2, settled_at_ns = 0, \
                     recorded_at_ns = $2 WHERE user_id = $1 AND state = 3";
        let done = sqlx::query(query).bind(&user).bind(now).execute(&mut *transaction).await.map_err(failed())?;
        transaction.commit().await.map_err(failed())?;
        Ok(done.rows_affected())
    }
}
