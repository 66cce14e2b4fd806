//! Everything that the memory holds, as lines of JSON.

use futures_util::stream::{self, Stream};
use serde_json::{Value, json};
use sqlx::Row;
use sqlx::sqlite::SqlitePool;

use super::database::Database;
use super::error::MemoryError;
use super::search;
use super::writer::counts;

/// Rows that are in memory at a time.
const PAGE: usize = 256;

/// Where an export is.
enum Place {
    Header,
    Conversations(String),
    Messages(i64),
    Summaries(String),
    End,
}

struct Cursor {
    pool: SqlitePool,
    database: Database,
    place: Place,
    last_seq: i64,
    lines: u64,
}

/// Streams the header, then conversations, messages and summaries, then an end line with the number of lines before it: a
/// reader that does not see it has only a part. Messages saved after the start are not in it. Vectors are derived from the
/// messages and left out.
pub(super) fn lines(pool: SqlitePool, database: Database) -> impl Stream<Item = Result<String, MemoryError>> + Send {
    let cursor = Cursor { pool, database, place: Place::Header, last_seq: 0, lines: 0 };
    stream::try_unfold(cursor, |mut cursor| async move {
        loop {
            if matches!(cursor.place, Place::End) {
                return Ok(None);
            }
            let page = cursor.page().await.map_err(|error| cursor.database.error("exporting", error))?;
            if page.is_empty() {
                continue;
            }
            cursor.lines += u64::try_from(page.len()).unwrap_or(0);
            let text: String = page.iter().map(|line| format!("{line}\n")).collect();
            return Ok(Some((text, cursor)));
        }
    })
}

impl Cursor {
    async fn page(&mut self) -> Result<Vec<Value>, sqlx::Error> {
        match &self.place {
            Place::Header => {
                let mut connection = self.pool.acquire().await?;
                let counts = counts(&mut connection).await?;
                self.last_seq = sqlx::query_scalar("SELECT coalesce(max(seq), 0) FROM messages")
                    .fetch_one(&mut *connection)
                    .await?;
                self.place = Place::Conversations(String::new());
                Ok(vec![json!({"type": "export", "format": 1, "counts": counts})])
            }
            Place::Conversations(after) => {
                let rows = sqlx::query("SELECT id, channel, created_ns, last_ns, messages FROM conversations WHERE id > ? ORDER BY id LIMIT ?")
                    .bind(after)
                    .bind(i64::try_from(PAGE).unwrap_or(i64::MAX))
                    .fetch_all(&self.pool)
                    .await?;
                let mut last = None;
                let mut page = Vec::with_capacity(rows.len());
                for row in &rows {
                    let id: String = row.try_get(0)?;
                    page.push(json!({"type": "conversation", "id": id, "channel": row.try_get::<String, _>(1)?,
                        "created_ns": row.try_get::<i64, _>(2)?, "last_ns": row.try_get::<i64, _>(3)?, "messages": row.try_get::<i64, _>(4)?}));
                    last = Some(id);
                }
                self.place = last.map_or(Place::Messages(0), Place::Conversations);
                Ok(page)
            }
            Place::Messages(after) => {
                let messages = search::later(&self.pool, None, *after, PAGE).await?;
                let messages: Vec<_> = messages.into_iter().filter(|message| message.seq <= self.last_seq).collect();
                self.place =
                    messages.last().map_or(Place::Summaries(String::new()), |message| Place::Messages(message.seq));
                messages.iter().map(|message| tagged("message", message)).collect()
            }
            Place::Summaries(after) => {
                let rows = sqlx::query("SELECT conversation_id, through_seq, text FROM summaries WHERE conversation_id > ? ORDER BY conversation_id LIMIT ?")
                    .bind(after)
                    .bind(i64::try_from(PAGE).unwrap_or(i64::MAX))
                    .fetch_all(&self.pool)
                    .await?;
                let mut last = None;
                let mut page = Vec::with_capacity(rows.len());
                for row in &rows {
                    let id: String = row.try_get(0)?;
                    page.push(json!({"type": "summary", "conversation_id": id, "through_seq": row.try_get::<i64, _>(1)?, "text": row.try_get::<String, _>(2)?}));
                    last = Some(id);
                }
                self.place = last.map_or(Place::End, Place::Summaries);
                if matches!(self.place, Place::End) {
                    page.push(json!({"type": "end", "lines": self.lines}));
                }
                Ok(page)
            }
            Place::End => Ok(Vec::new()),
        }
    }
}

fn tagged(kind: &str, value: &impl serde::Serialize) -> Result<Value, sqlx::Error> {
    let mut value = serde_json::to_value(value).map_err(|error| sqlx::Error::Encode(error.into()))?;
    if let Value::Object(fields) = &mut value {
        fields.insert("type".to_owned(), Value::from(kind));
    }
    Ok(value)
}
