//! Between Rust and the rows of the store.

use super::Engine;
use crate::error::StoreError;
use crate::notification::{Listed, Notification, State, position};
use bytes::Bytes;
use proto::{EventId, EventKind, UserId};
use sqlx::Row;
use sqlx::any::AnyRow;

/// The columns that [`notification`] reads, in its order.
pub(super) const NOTIFICATION: &str =
    "number, event_id, outbox_id, sequence, kind, created_at_ns, expires_at_ns, recorded_at_ns, payload";
/// How many there are.
pub(super) const NOTIFICATION_COLUMNS: usize = 9;

/// As the store keeps it; beyond 2^63 everything is the same.
pub(crate) fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// From the store, where nothing is negative.
pub(crate) fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

/// The placeholder of the `number`-th value of a statement whose values stand in their order. SQLite looks a numbered one up
/// among all others, for each of hundreds; one without a number costs nothing.
pub(super) fn placeholder(engine: Engine, number: usize) -> String {
    match engine {
        Engine::Sqlite => "?".to_owned(),
        Engine::Postgres => format!("${number}"),
    }
}

/// `($1, $2), ($3, $4)`: placeholders for so many rows of so many columns.
pub(super) fn placeholders(engine: Engine, rows: usize, columns: usize) -> String {
    let row = |row: usize| {
        let column = |column: usize| placeholder(engine, row * columns + column + 1);
        format!("({})", (0..columns).map(column).collect::<Vec<_>>().join(","))
    };
    (0..rows).map(row).collect::<Vec<_>>().join(",")
}

/// Sizes of statements: few, so that each is prepared once. 64 rows of 12 columns are far below what either engine binds.
pub(super) fn chunks<T>(mut rows: &[T]) -> impl Iterator<Item = &[T]> {
    std::iter::from_fn(move || {
        let size = [64, 8, 1].into_iter().find(|size| rows.len() >= *size)?;
        let (chunk, rest) = rows.split_at(size);
        rows = rest;
        Some(chunk)
    })
}

fn field<T>(value: Option<T>, field: &'static str, user_id: UserId) -> Result<T, StoreError> {
    value.ok_or_else(|| StoreError::Stored { field, user_id: user_id.to_string() })
}

/// Reads the columns of [`NOTIFICATION`].
pub(super) fn notification(user_id: UserId, row: &AnyRow) -> Result<Notification, StoreError> {
    let get =
        |at: usize| row.try_get::<i64, _>(at).map(unsigned).map_err(StoreError::database("reading a notification"));
    let text = |at: usize| row.try_get::<String, _>(at).map_err(StoreError::database("reading a notification"));
    let event_id: Option<EventId> = text(1)?.parse().ok();
    let payload: Vec<u8> = row.try_get(8).map_err(StoreError::database("reading a notification"))?;
    Ok(Notification {
        user_id,
        number: get(0)?,
        event_id: field(event_id, "event_id", user_id)?,
        position: position(&text(2)?, get(3)?),
        kind: field(EventKind::from_name(&text(4)?), "kind", user_id)?,
        created_at_ns: get(5)?,
        expires_at_ns: get(6)?,
        recorded_at_ns: get(7)?,
        payload: Bytes::from(payload),
    })
}

/// Reads the columns of [`NOTIFICATION`], then `state` and `channel`.
pub(super) fn listed(user_id: UserId, read_number: u64, row: &AnyRow) -> Result<Listed, StoreError> {
    let notification = notification(user_id, row)?;
    let failed = || StoreError::database("reading a notification");
    let state: i64 = row.try_get(NOTIFICATION_COLUMNS).map_err(failed())?;
    let channel: String = row.try_get(NOTIFICATION_COLUMNS + 1).map_err(failed())?;
    let read = notification.number <= read_number;
    Ok(Listed { notification, state: field(State::from_number(state), "state", user_id)?, channel, read })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_written_in_statements_of_few_sizes() {
        let rows: Vec<u32> = (0..139).collect();
        let sizes: Vec<usize> = chunks(&rows).map(<[_]>::len).collect();
        assert_eq!(sizes, [64, 64, 8, 1, 1, 1]);
        assert_eq!(chunks(&rows).flatten().copied().collect::<Vec<_>>(), rows);
        assert_eq!(chunks::<u32>(&[]).count(), 0);
    }

    #[test]
    fn placeholders_count_across_rows() {
        assert_eq!(placeholders(Engine::Postgres, 2, 3), "($1,$2,$3),($4,$5,$6)");
        assert_eq!(placeholders(Engine::Sqlite, 2, 3), "(?,?,?),(?,?,?)");
    }
}
