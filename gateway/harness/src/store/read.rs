//! What is asked of the turn log: turns, events, conversations; and erasing, exporting, forgetting.

use super::lease::{expiry, nanos};
use super::writer::{columns, turn};
use super::{StoreError, Turn, TurnStore, state};
use crate::event::{Numbered, TurnEvent};
use crate::progress::Step;
use crate::prompt::Exchange;
use crate::{ConversationId, TurnId};
use proto::UserId;
use serde::Serialize;
use sqlx::Row;
use sqlx::any::AnyRow;
use std::time::Duration;

/// Conversations that are listed.
const CONVERSATIONS: i64 = 500;
/// Entries of a log that are read at once.
const ENTRIES: i64 = 500;
/// Characters of a title.
const TITLE_CHARS: usize = 80;

/// A conversation in a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ConversationRow {
    /// Of the user.
    pub id: ConversationId,
    /// How it began.
    pub title: String,
    /// When its newest turn began, ns since the epoch.
    pub updated_at_ns: u64,
    /// The turn that runs or waits first, if there is one.
    pub running_turn: Option<TurnId>,
}

/// A turn in a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TurnRow {
    /// The turn.
    pub turn_id: TurnId,
    /// Its conversation.
    pub conversation_id: ConversationId,
    /// ns since the epoch.
    pub started_at_ns: u64,
    /// It is over.
    pub ended: bool,
    /// Of its last event so far.
    pub last_sequence: u64,
}

/// Turns of a conversation, newest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TurnPage {
    /// The turns.
    pub turns: Vec<TurnRow>,
    /// Go on before this one, if there are more.
    pub next: Option<TurnId>,
}

/// What a user had here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[allow(missing_docs, reason = "rows of the tables of the same names")]
pub struct Erased {
    pub turns: u64,
    pub log_entries: u64,
    pub charges: u64,
}

/// A turn with all that happened in it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ExportedTurn {
    /// The turn.
    pub turn_id: TurnId,
    /// Its conversation.
    pub conversation_id: ConversationId,
    /// What was said.
    pub text: String,
    /// What happened.
    pub events: Vec<Numbered>,
}

/// What a turn's log holds behind some entry.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct LogTail {
    pub(crate) events: Vec<Numbered>,
    pub(crate) steps: Vec<Step>,
    /// The last entry.
    pub(crate) entry: i64,
}

fn number(row: &AnyRow, column: &str) -> Result<u64, StoreError> {
    Ok(u64::try_from(row.try_get::<i64, _>(column)?).unwrap_or(0))
}

fn id(row: &AnyRow, column: &str) -> Result<TurnId, StoreError> {
    let id: String = row.try_get(column)?;
    id.parse().map_err(|_| StoreError::Damaged { field: "turn_id", turn_id: id })
}

fn conversation(row: &AnyRow) -> Result<ConversationId, StoreError> {
    let id: String = row.try_get("conversation_id")?;
    id.parse().map_err(|_| StoreError::Damaged { field: "conversation_id", turn_id: String::new() })
}

fn list<T: serde::de::DeserializeOwned>(row: &AnyRow, field: &'static str, turn: TurnId) -> Result<Vec<T>, StoreError> {
    let text: String = row.try_get(field)?;
    serde_json::from_str(&text).map_err(|_| StoreError::Damaged { field, turn_id: turn.to_string() })
}

impl TurnStore {
    /// A turn of this user, and whether it has ended.
    pub(crate) async fn turn(&self, user: UserId, turn_id: TurnId) -> Result<Option<(Turn, bool)>, StoreError> {
        let sql = format!("SELECT {}, state FROM harness_turns WHERE turn_id = $1 AND user_id = $2", columns());
        let query = sqlx::query(&sql).bind(turn_id.to_string()).bind(user.to_string());
        let Some(row) = query.fetch_optional(&self.inner.readers).await? else { return Ok(None) };
        Ok(Some((turn(&row)?, row.try_get::<i64, _>("state")? == state::ENDED)))
    }

    /// The whole log of a turn.
    pub(crate) async fn log(&self, turn: TurnId) -> Result<LogTail, StoreError> {
        let mut log = LogTail::default();
        loop {
            let sql = "SELECT entry, events, steps FROM harness_log WHERE turn_id = $1 AND entry > $2 ORDER BY entry LIMIT $3";
            let query = sqlx::query(sql).bind(turn.to_string()).bind(log.entry).bind(ENTRIES);
            let rows = query.fetch_all(&self.inner.readers).await?;
            for row in &rows {
                log.entry = row.try_get("entry")?;
                log.events.extend(list::<Numbered>(row, "events", turn)?);
                log.steps.extend(list::<Step>(row, "steps", turn)?);
            }
            if rows.is_empty() {
                return Ok(log);
            }
        }
    }

    /// Events behind `after`, in order, about `most` of them.
    pub(crate) async fn events_after(
        &self,
        turn: TurnId,
        after: u64,
        most: usize,
    ) -> Result<Vec<Numbered>, StoreError> {
        let mut events: Vec<Numbered> = Vec::new();
        loop {
            let last = events.last().map_or(after, |event| event.sequence);
            let sql =
                "SELECT events FROM harness_log WHERE turn_id = $1 AND last_sequence > $2 ORDER BY entry LIMIT 50";
            let query = sqlx::query(sql).bind(turn.to_string()).bind(i64::try_from(last).unwrap_or(i64::MAX));
            let rows = query.fetch_all(&self.inner.readers).await?;
            for row in &rows {
                events.extend(list::<Numbered>(row, "events", turn)?.into_iter().filter(|event| event.sequence > last));
                if events.len() >= most {
                    events.truncate(most);
                    return Ok(events);
                }
            }
            if events.last().map_or(after, |event| event.sequence) == last {
                return Ok(events);
            }
        }
    }

    /// The first turn of a conversation behind `after`; the newest one if there is no `after`.
    pub(crate) async fn next_turn(
        &self,
        user: UserId,
        conversation: &ConversationId,
        after: Option<TurnId>,
    ) -> Result<Option<TurnId>, StoreError> {
        let (operator, order) = if after.is_some() { (">", "ASC") } else { ("<>", "DESC") };
        let sql = format!(
            "SELECT turn_id FROM harness_turns WHERE user_id = $1 AND conversation_id = $2 AND turn_id {operator} $3 \
             ORDER BY turn_id {order} LIMIT 1"
        );
        let query = sqlx::query(&sql).bind(user.to_string()).bind(conversation.as_str());
        let query = query.bind(after.map_or_else(String::new, |it| it.to_string()));
        query.fetch_optional(&self.inner.readers).await?.as_ref().map(|row| id(row, "turn_id")).transpose()
    }

    /// Conversations of a user, the newest first.
    pub(crate) async fn conversations(&self, user: UserId) -> Result<Vec<ConversationRow>, StoreError> {
        let sql = "SELECT list.conversation_id, first.text, last.started_at_ns, \
             (SELECT MIN(turn_id) FROM harness_turns AS open WHERE open.user_id = $1 AND open.state < 2 \
              AND open.conversation_id = list.conversation_id) AS running \
             FROM (SELECT conversation_id, MIN(turn_id) AS first_id, MAX(turn_id) AS last_id FROM harness_turns \
              WHERE user_id = $1 GROUP BY conversation_id) AS list \
             JOIN harness_turns AS first ON first.turn_id = list.first_id \
             JOIN harness_turns AS last ON last.turn_id = list.last_id ORDER BY list.last_id DESC LIMIT $2";
        let rows = sqlx::query(sql).bind(user.to_string()).bind(CONVERSATIONS).fetch_all(&self.inner.readers).await?;
        let conversation = |row: &AnyRow| {
            let text: String = row.try_get("text")?;
            let running: Option<String> = row.try_get("running")?;
            Ok(ConversationRow {
                id: conversation(row)?,
                title: title(&text),
                updated_at_ns: number(row, "started_at_ns")?,
                running_turn: running.and_then(|it| it.parse().ok()),
            })
        };
        rows.iter().map(conversation).collect()
    }

    /// Turns of a conversation before `before`, the newest first.
    pub(crate) async fn page(
        &self,
        user: UserId,
        conversation: &ConversationId,
        before: Option<TurnId>,
        most: usize,
    ) -> Result<TurnPage, StoreError> {
        let sql = "SELECT turn_id, started_at_ns, state, \
             (SELECT MAX(last_sequence) FROM harness_log WHERE harness_log.turn_id = harness_turns.turn_id) AS last \
             FROM harness_turns WHERE user_id = $1 AND conversation_id = $2 AND turn_id < $3 ORDER BY turn_id DESC LIMIT $4";
        let query = sqlx::query(sql).bind(user.to_string()).bind(conversation.as_str());
        // Above every ULID.
        let query = query.bind(before.map_or_else(|| "8".to_owned(), |it| it.to_string()));
        let more = i64::try_from(most.saturating_add(1)).unwrap_or(i64::MAX);
        let rows = query.bind(more).fetch_all(&self.inner.readers).await?;
        let row = |row: &AnyRow| {
            Ok(TurnRow {
                turn_id: id(row, "turn_id")?,
                conversation_id: conversation.clone(),
                started_at_ns: number(row, "started_at_ns")?,
                ended: row.try_get::<i64, _>("state")? == state::ENDED,
                last_sequence: row
                    .try_get::<Option<i64>, _>("last")?
                    .and_then(|it| u64::try_from(it).ok())
                    .unwrap_or(0),
            })
        };
        let turns: Vec<TurnRow> = rows.iter().take(most).map(row).collect::<Result<_, StoreError>>()?;
        let next = (rows.len() > most).then(|| turns.last().map(|turn| turn.turn_id)).flatten();
        Ok(TurnPage { turns, next })
    }

    /// Ended turns of the conversation before this one, the newest first.
    pub(crate) async fn history(&self, turn: &Turn, most: u32) -> Result<Vec<Exchange>, StoreError> {
        let sql = "SELECT harness_turns.turn_id AS turn_id, harness_turns.text AS text, last.events AS events FROM harness_turns \
             JOIN harness_log AS last ON last.turn_id = harness_turns.turn_id AND last.entry = \
              (SELECT MAX(entry) FROM harness_log WHERE harness_log.turn_id = harness_turns.turn_id) \
             WHERE harness_turns.user_id = $1 AND harness_turns.conversation_id = $2 AND harness_turns.turn_id < $3 \
             AND harness_turns.state = 2 ORDER BY harness_turns.turn_id DESC LIMIT $4";
        let query = sqlx::query(sql).bind(turn.user.to_string()).bind(turn.conversation.as_str());
        let query = query.bind(turn.id.to_string()).bind(i64::from(most));
        let exchange = |row: &AnyRow| {
            let events: Vec<Numbered> = list(row, "events", id(row, "turn_id")?)?;
            let assistant = events.into_iter().rev().find_map(|numbered| match numbered.event {
                TurnEvent::TurnEnded { text, .. } => Some(text),
                _ => None,
            });
            Ok(Exchange { user: row.try_get("text")?, assistant: assistant.unwrap_or_default() })
        };
        query.fetch_all(&self.inner.readers).await?.iter().map(exchange).collect()
    }

    /// Open turns of a user.
    pub(crate) async fn open_turns(&self, user: UserId) -> Result<Vec<TurnId>, StoreError> {
        let sql = "SELECT turn_id FROM harness_turns WHERE user_id = $1 AND state < 2";
        let rows = sqlx::query(sql).bind(user.to_string()).fetch_all(&self.inner.direct).await?;
        rows.iter().map(|row| id(row, "turn_id")).collect()
    }

    /// What a user has here.
    pub(crate) async fn count(&self, user: UserId) -> Result<Erased, StoreError> {
        let sql = "SELECT (SELECT COUNT(*) FROM harness_turns WHERE user_id = $1) AS turns, \
             (SELECT COUNT(*) FROM harness_log WHERE turn_id IN (SELECT turn_id FROM harness_turns WHERE user_id = $1)) AS entries, \
             (SELECT COUNT(*) FROM harness_spend WHERE user_id = $1) AS charges";
        let row = sqlx::query(sql).bind(user.to_string()).fetch_one(&self.inner.direct).await?;
        Ok(Erased {
            turns: number(&row, "turns")?,
            log_entries: number(&row, "entries")?,
            charges: number(&row, "charges")?,
        })
    }

    /// Forgets a user; counts what there was.
    pub(crate) async fn erase(&self, user: UserId) -> Result<Erased, StoreError> {
        let mut tx = self.inner.direct.begin_with(self.inner.begin).await?;
        let user = user.to_string();
        let mut gone = [0; 3];
        for (gone, sql) in gone.iter_mut().zip([
            "DELETE FROM harness_log WHERE turn_id IN (SELECT turn_id FROM harness_turns WHERE user_id = $1)",
            "DELETE FROM harness_turns WHERE user_id = $1",
            "DELETE FROM harness_spend WHERE user_id = $1",
        ]) {
            *gone = sqlx::query(sql).bind(user.as_str()).execute(&mut *tx).await?.rows_affected();
        }
        tx.commit().await?;
        let [log_entries, turns, charges] = gone;
        Ok(Erased { turns, log_entries, charges })
    }

    /// Turns of a user behind `after`, oldest first, with their events.
    pub(crate) async fn export(
        &self,
        user: UserId,
        after: Option<TurnId>,
        most: usize,
    ) -> Result<Vec<ExportedTurn>, StoreError> {
        let sql = "SELECT turn_id, conversation_id, text FROM harness_turns WHERE user_id = $1 AND turn_id > $2 \
             ORDER BY turn_id LIMIT $3";
        let query = sqlx::query(sql).bind(user.to_string()).bind(after.map_or_else(String::new, |it| it.to_string()));
        let rows = query.bind(i64::try_from(most).unwrap_or(i64::MAX)).fetch_all(&self.inner.readers).await?;
        let mut turns = Vec::with_capacity(rows.len());
        for row in &rows {
            let turn_id = id(row, "turn_id")?;
            let events = self.log(turn_id).await?.events;
            turns.push(ExportedTurn {
                turn_id,
                conversation_id: conversation(row)?,
                text: row.try_get("text")?,
                events,
            });
        }
        Ok(turns)
    }

    /// Forgets turns that ended longer than `ttl` ago, at most a thousand; true if there may be more.
    pub(crate) async fn forget(&self, ttl: Duration) -> Result<bool, StoreError> {
        let before = expiry(&self.inner.clock, Duration::ZERO).saturating_sub(nanos(ttl));
        let sql =
            "SELECT turn_id FROM harness_turns WHERE ended_at_ns > 0 AND ended_at_ns < $1 AND state = 2 LIMIT 1000";
        let rows = sqlx::query(sql).bind(before).fetch_all(&self.inner.direct).await?;
        let ids: Vec<String> = rows.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>()?;
        for slice in super::sql::slices(&ids) {
            let mut tx = self.inner.direct.begin_with(self.inner.begin).await?;
            for table in ["harness_log", "harness_turns"] {
                let sql =
                    format!("DELETE FROM {table} WHERE turn_id IN (VALUES {})", super::sql::values(slice.len(), 1, 1));
                slice.iter().fold(sqlx::query(&sql), |query, id| query.bind(id.as_str())).execute(&mut *tx).await?;
            }
            tx.commit().await?;
        }
        Ok(ids.len() == 1000)
    }
}

impl TurnStore {
    /// What a user spent on a day (days since the epoch), millionths of a US dollar.
    pub(crate) async fn spent(&self, user: UserId, day: i64) -> Result<u64, StoreError> {
        // PostgreSQL sums BIGINT to NUMERIC, which the two databases do not share.
        let sql = "SELECT CAST(COALESCE(SUM(micro_usd), 0) AS BIGINT) AS spent FROM harness_spend WHERE user_id = $1 AND day = $2";
        number(&sqlx::query(sql).bind(user.to_string()).bind(day).fetch_one(&self.inner.readers).await?, "spent")
    }

    /// Notes money that was spent, once for each charge.
    pub(crate) async fn charge(&self, user: UserId, day: i64, charge: &str, micro_usd: u64) -> Result<(), StoreError> {
        let sql = "INSERT INTO harness_spend (user_id, day, charge_id, micro_usd) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING";
        let query = sqlx::query(sql).bind(user.to_string()).bind(day).bind(charge);
        query.bind(i64::try_from(micro_usd).unwrap_or(i64::MAX)).execute(&self.inner.direct).await?;
        Ok(())
    }
}

/// The first words of a conversation.
fn title(text: &str) -> String {
    let line = text.lines().find(|line| !line.trim().is_empty()).unwrap_or("").trim();
    let short: String = line.chars().take(TITLE_CHARS).collect();
    if short.len() < line.len() { format!("{short}…") } else { short }
}
