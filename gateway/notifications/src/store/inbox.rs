//! What a user sees: the list, how much of it is new, and what an open page confirms.

use super::Store;
use super::rows::{NOTIFICATION, chunks, listed, notification, signed, unsigned};
use crate::error::StoreError;
use crate::notification::{Listed, Notification};
use proto::{EventId, UserId};
use sqlx::Row;

impl Store {
    async fn read_number(&self, user_id: UserId) -> Result<u64, StoreError> {
        let failed = || StoreError::database("reading an inbox");
        let query = sqlx::query("SELECT read_number FROM inboxes WHERE user_id = $1").bind(user_id.to_string());
        let row = query.fetch_optional(&self.read).await.map_err(failed())?;
        row.map_or(Ok(0), |row| row.try_get(0).map(unsigned).map_err(failed()))
    }

    /// The newest notifications below `before`, newest first.
    pub(crate) async fn list(&self, user_id: UserId, before: u64, limit: u64) -> Result<Vec<Listed>, StoreError> {
        let read_number = self.read_number(user_id).await?;
        let query = format!(
            "SELECT {NOTIFICATION}, state, channel FROM notifications WHERE user_id = $1 AND number < $2 \
             ORDER BY number DESC LIMIT $3"
        );
        let query = sqlx::query(&query).bind(user_id.to_string()).bind(signed(before)).bind(signed(limit));
        let rows = query.fetch_all(&self.read).await.map_err(StoreError::database("listing notifications"))?;
        rows.iter().map(|row| listed(user_id, read_number, row)).collect()
    }

    /// What was recorded after a number, in order.
    pub(crate) async fn after(
        &self,
        user_id: UserId,
        number: u64,
        limit: u64,
    ) -> Result<Vec<Notification>, StoreError> {
        let query = format!(
            "SELECT {NOTIFICATION} FROM notifications WHERE user_id = $1 AND number > $2 ORDER BY number LIMIT $3"
        );
        let query = sqlx::query(&query).bind(user_id.to_string()).bind(signed(number)).bind(signed(limit));
        let rows = query.fetch_all(&self.read).await.map_err(StoreError::database("reading news"))?;
        rows.iter().map(|row| notification(user_id, row)).collect()
    }

    /// How many the user has not seen.
    pub(crate) async fn unread(&self, user_id: UserId) -> Result<u64, StoreError> {
        let failed = || StoreError::database("counting what is new");
        let query = "SELECT COUNT(*) FROM notifications WHERE user_id = $1 AND number > $2";
        let query = sqlx::query(query).bind(user_id.to_string()).bind(signed(self.read_number(user_id).await?));
        let row = query.fetch_one(&self.read).await.map_err(failed())?;
        row.try_get(0).map(unsigned).map_err(failed())
    }

    /// The user has seen everything up to this number.
    pub(crate) async fn mark_read(&self, user_id: UserId, through: u64) -> Result<(), StoreError> {
        let query = "UPDATE inboxes SET read_number = $2 WHERE user_id = $1 AND read_number < $2 AND last_number >= $2";
        let query = sqlx::query(query).bind(user_id.to_string()).bind(signed(through));
        query.execute(&self.write).await.map_err(StoreError::database("marking as read"))?;
        Ok(())
    }

    /// An open page has shown these: they are delivered, if no other channel was first. Tells how many.
    pub(crate) async fn confirm(&self, user_id: UserId, ids: &[EventId], now_ns: u64) -> Result<u64, StoreError> {
        let mut confirmed = 0;
        for chunk in chunks(ids) {
            let places: Vec<String> = (3..chunk.len() + 3).map(|at| format!("${at}")).collect();
            let query = format!(
                "UPDATE notifications SET state = 1, channel = 'session', settled_at_ns = $2 WHERE user_id = $1 \
                 AND state IN (0, 2) AND event_id IN ({})",
                places.join(",")
            );
            let mut query = sqlx::query(&query).bind(user_id.to_string()).bind(signed(now_ns));
            for id in chunk {
                query = query.bind(id.to_string());
            }
            let done = query.execute(&self.write).await.map_err(StoreError::database("confirming"))?;
            confirmed += done.rows_affected();
        }
        Ok(confirmed)
    }
}
