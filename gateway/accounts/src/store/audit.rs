//! The audit trail in the store. All replicas append behind one head, whose row they pass one by one.

use super::{Result, Store, StoreError, get, get_u64, signed};
use crate::audit::{Attempt, Entry, Personal};
use proto::UserId;
use sqlx::AnyConnection;
use sqlx::any::AnyRow;

const APPENDING: &str = "writing the audit trail";
const READING: &str = "reading the audit trail";

fn read(row: &AnyRow) -> Result<Entry> {
    let salt: Option<String> = get(row, "salt")?;
    let (name, address): (Option<String>, Option<String>) = (get(row, "name")?, get(row, "address")?);
    let personal =
        salt.map(|salt| Personal { salt, name: name.unwrap_or_default(), address: address.unwrap_or_default() });
    Ok(Entry {
        position: get_u64(row, "position")?,
        at_ns: get_u64(row, "at_ns")?,
        event: get(row, "event")?,
        outcome: get(row, "outcome")?,
        user: get(row, "user_id")?,
        by: get(row, "by_id")?,
        personal,
        commitment: get(row, "commitment")?,
        previous: get(row, "previous")?,
        hash: get(row, "hash")?,
    })
}

const COLUMNS: &str =
    "position, at_ns, event, outcome, user_id, by_id, salt, name, address, commitment, previous, hash";

impl Store {
    /// Appends an entry.
    pub(crate) async fn append_audit(&self, attempt: &Attempt, now_ns: u64) -> Result<u64> {
        let failed = StoreError::of(APPENDING);
        let mut transaction = self.begin().await?;
        let take = "UPDATE accounts_audit_head SET position = position + 1 WHERE id = 1 RETURNING position, hash";
        let head = sqlx::query(take).fetch_one(&mut *transaction).await.map_err(failed)?;
        let (position, previous): (u64, String) = (get_u64(&head, "position")?, get(&head, "hash")?);
        let entry = Entry::new(position, now_ns, attempt, &previous);
        insert(&mut transaction, &entry).await.map_err(failed)?;
        let set = sqlx::query("UPDATE accounts_audit_head SET hash = $1 WHERE id = 1").bind(entry.hash);
        set.execute(&mut *transaction).await.map_err(failed)?;
        transaction.commit().await.map_err(failed)?;
        Ok(position)
    }

    /// Place and hash of the last entry; 0 if there is none.
    pub(crate) async fn audit_head(&self) -> Result<(u64, String)> {
        let query = sqlx::query("SELECT position, hash FROM accounts_audit_head WHERE id = 1");
        let row = query.fetch_one(&self.pool).await.map_err(StoreError::of(READING))?;
        Ok((get_u64(&row, "position")?, get(&row, "hash")?))
    }

    /// Entries from a place on, up to another, in order.
    pub(crate) async fn audit_from(&self, from: u64, to: u64, limit: u32) -> Result<Vec<Entry>> {
        let query = format!(
            "SELECT {COLUMNS} FROM accounts_audit WHERE position >= $1 AND position <= $2 ORDER BY position LIMIT $3"
        );
        let query = sqlx::query(&query).bind(signed(from)).bind(signed(to)).bind(i64::from(limit));
        query.fetch_all(&self.pool).await.map_err(StoreError::of(READING))?.iter().map(read).collect()
    }

    /// Entries before a place, the newest first; those of one user if one is given.
    pub(crate) async fn audit_before(&self, before: u64, user: Option<UserId>, limit: u32) -> Result<Vec<Entry>> {
        let query = format!(
            "SELECT {COLUMNS} FROM accounts_audit WHERE position < $1 AND ($2 = '' OR user_id = $2) \
             ORDER BY position DESC LIMIT $3"
        );
        let user = user.map(|user| user.to_string()).unwrap_or_default();
        let query = sqlx::query(&query).bind(signed(before)).bind(user).bind(i64::from(limit));
        query.fetch_all(&self.pool).await.map_err(StoreError::of(READING))?.iter().map(read).collect()
    }
}

async fn insert(transaction: &mut AnyConnection, entry: &Entry) -> sqlx::Result<()> {
    let add =
        format!("INSERT INTO accounts_audit ({COLUMNS}) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)");
    let personal = entry.personal.clone();
    let add = sqlx::query(&add)
        .bind(signed(entry.position))
        .bind(signed(entry.at_ns))
        .bind(entry.event.clone())
        .bind(entry.outcome.clone())
        .bind(entry.user.clone())
        .bind(entry.by.clone())
        .bind(personal.as_ref().map(|personal| personal.salt.clone()))
        .bind(personal.as_ref().map(|personal| personal.name.clone()))
        .bind(personal.map(|personal| personal.address))
        .bind(entry.commitment.clone())
        .bind(entry.previous.clone())
        .bind(entry.hash.clone());
    add.execute(transaction).await.map(drop)
}
