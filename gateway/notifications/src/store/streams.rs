//! What the receiver knows of an outbox, as it is stored.

use super::Store;
use super::rows::{signed, unsigned};
use crate::error::StoreError;
use proto::{EventId, OutboxId, UserId};
use sqlx::Row;
use user_events::Stream;

/// Outboxes of one user: each reset by an operator makes one. More are not taken.
const OUTBOXES: i64 = 256;
/// How many ids a receiver remembers at least (docs/protocol/07-user-events.md, "Receiver").
pub(crate) const REMEMBERED: u64 = 2048;

impl Store {
    /// The stream of an outbox; a new one if nothing of it was received, `None` if the user has too many.
    pub(crate) async fn stream(&self, user_id: UserId, outbox_id: OutboxId) -> Result<Option<Stream>, StoreError> {
        let failed = || StoreError::database("reading a stream");
        let (user, outbox) = (user_id.to_string(), outbox_id.to_string());
        let query = "SELECT next_sequence FROM streams WHERE user_id = $1 AND outbox_id = $2";
        let row = sqlx::query(query).bind(&user).bind(&outbox).fetch_optional(&self.read).await.map_err(failed())?;
        let Some(row) = row else {
            let query = sqlx::query("SELECT COUNT(*) FROM streams WHERE user_id = $1").bind(&user);
            let count: i64 = query.fetch_one(&self.read).await.and_then(|row| row.try_get(0)).map_err(failed())?;
            return Ok((count < OUTBOXES).then(|| Stream::new(user_id, outbox_id)));
        };
        let next = unsigned(row.try_get(0).map_err(failed())?);
        let from = next.saturating_sub(REMEMBERED).max(1);
        // By number: within an outbox the numbers follow the sequences, and this order has an index.
        let query = "SELECT sequence, event_id FROM notifications WHERE user_id = $1 AND outbox_id = $2 \
                     AND sequence >= $3 AND sequence < $4 ORDER BY number DESC LIMIT 2048";
        let query = sqlx::query(query).bind(&user).bind(&outbox).bind(signed(from)).bind(signed(next));
        // What was filled or refused has no id.
        let mut ids: Vec<Option<EventId>> = vec![None; usize::try_from(next - from).unwrap_or(0)];
        for row in query.fetch_all(&self.read).await.map_err(failed())? {
            let sequence = unsigned(row.try_get(0).map_err(failed())?);
            let id: String = row.try_get(1).map_err(failed())?;
            let place = usize::try_from(sequence - from).ok().and_then(|at| ids.get_mut(at));
            if let (Some(place), Ok(id)) = (place, id.parse()) {
                *place = Some(id);
            }
        }
        let stored = |_| StoreError::Stored { field: "next_sequence", user_id: user };
        Stream::restore(user_id, outbox_id, next, ids).map(Some).map_err(stored)
    }
}
