//! Which users have a page open, at whichever replica.

use super::Store;
use super::rows::{chunks, placeholders, signed, unsigned};
use crate::error::StoreError;
use proto::UserId;
use sqlx::Row;

impl Store {
    /// Says that this replica has sessions of these users until then.
    pub(crate) async fn be_present(&self, replica: &str, users: &[UserId], until_ns: u64) -> Result<(), StoreError> {
        let failed = || StoreError::database("telling who is present");
        let mut transaction = self.begin().await.map_err(failed())?;
        for chunk in chunks(users) {
            let query = format!(
                "INSERT INTO presence (user_id, replica, until_ns) VALUES {} ON CONFLICT (user_id, replica) \
                 DO UPDATE SET until_ns = excluded.until_ns",
                placeholders(self.engine, chunk.len(), 3)
            );
            let mut query = sqlx::query(&query);
            for user_id in chunk {
                query = query.bind(user_id.to_string()).bind(replica).bind(signed(until_ns));
            }
            query.execute(&mut *transaction).await.map_err(failed())?;
        }
        transaction.commit().await.map_err(failed())
    }

    /// Says that this replica has no session of these users any more, and forgets what replicas that died had said.
    pub(crate) async fn be_absent(&self, replica: &str, users: &[UserId], now_ns: u64) -> Result<(), StoreError> {
        let failed = || StoreError::database("telling who is absent");
        let mut transaction = self.begin().await.map_err(failed())?;
        for user_id in users {
            let query = "DELETE FROM presence WHERE user_id = $1 AND replica = $2";
            let query = sqlx::query(query).bind(user_id.to_string()).bind(replica);
            query.execute(&mut *transaction).await.map_err(failed())?;
        }
        let query = sqlx::query("DELETE FROM presence WHERE until_ns < $1").bind(signed(now_ns));
        query.execute(&mut *transaction).await.map_err(failed())?;
        transaction.commit().await.map_err(failed())
    }

    /// Whether any replica has a session of the user.
    pub(crate) async fn is_present(&self, user_id: UserId, now_ns: u64) -> Result<bool, StoreError> {
        let failed = || StoreError::database("asking who is present");
        let query = "SELECT COUNT(*) FROM presence WHERE user_id = $1 AND until_ns > $2";
        let query = sqlx::query(query).bind(user_id.to_string()).bind(signed(now_ns));
        let row = query.fetch_one(&self.read).await.map_err(failed())?;
        Ok(row.try_get::<i64, _>(0).map_err(failed())? > 0)
    }

    /// The number of the newest notification of each of these users; who has none is not in it.
    pub(crate) async fn last_numbers(&self, users: &[UserId]) -> Result<Vec<(UserId, u64)>, StoreError> {
        let failed = || StoreError::database("asking for news");
        let mut last = Vec::new();
        for chunk in chunks(users) {
            let places: Vec<String> = (1..=chunk.len()).map(|at| format!("${at}")).collect();
            let query = format!("SELECT user_id, last_number FROM inboxes WHERE user_id IN ({})", places.join(","));
            let mut query = sqlx::query(&query);
            for user_id in chunk {
                query = query.bind(user_id.to_string());
            }
            for row in query.fetch_all(&self.read).await.map_err(failed())? {
                let user_id: String = row.try_get(0).map_err(failed())?;
                if let Ok(user_id) = user_id.parse() {
                    last.push((user_id, unsigned(row.try_get(1).map_err(failed())?)));
                }
            }
        }
        Ok(last)
    }
}
