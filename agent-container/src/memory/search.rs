//! Finding messages by words, by meaning, and by both.

use std::collections::HashMap;

use futures_util::TryStreamExt;
use sqlx::sqlite::{SqlitePool, SqliteRow};
use sqlx::{QueryBuilder, Row, Sqlite};

use super::embedder::likeness;
use super::words::fts_query;
use super::{Message, Role};

/// Candidates that each way of searching brings.
const CANDIDATES: usize = 64;
/// The newest messages that a search by meaning compares: what a person may wait for.
const SCAN_MAX: i64 = 200_000;
/// The constant of reciprocal rank fusion: how much the first places count before the later ones.
const FUSION: f64 = 60.0;

/// Which of the two rankings found a message, counted from 1, and what it is worth in all.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Rank {
    pub(super) seq: i64,
    pub(super) score: f64,
    pub(super) by_words: Option<usize>,
    pub(super) by_meaning: Option<usize>,
}

/// The messages that have words of the question, best first.
pub(super) async fn by_words(
    pool: &SqlitePool,
    question: &str,
    conversation: Option<&str>,
) -> Result<Vec<i64>, sqlx::Error> {
    let Some(words) = fts_query(question) else { return Ok(Vec::new()) };
    let mut query = QueryBuilder::<Sqlite>::new("SELECT w.rowid FROM messages_words w ");
    if conversation.is_some() {
        query.push("JOIN messages m ON m.seq = w.rowid ");
    }
    query.push("WHERE messages_words MATCH ").push_bind(words);
    if let Some(conversation) = conversation {
        query.push(" AND m.conversation_id = ").push_bind(conversation.to_owned());
    }
    query
        .push(" ORDER BY bm25(messages_words), w.rowid DESC LIMIT ")
        .push_bind(i64::try_from(CANDIDATES).unwrap_or(i64::MAX));
    query.build_query_scalar().fetch_all(pool).await
}

/// The messages whose meaning is nearest to `vector` and not under `floor`, best first.
pub(super) async fn by_meaning(
    pool: &SqlitePool,
    vector: &[u8],
    floor: f32,
    conversation: Option<&str>,
) -> Result<Vec<i64>, sqlx::Error> {
    let mut query = QueryBuilder::<Sqlite>::new("SELECT e.seq, e.vector FROM embeddings e ");
    if let Some(conversation) = conversation {
        query.push("JOIN messages m ON m.seq = e.seq WHERE m.conversation_id = ").push_bind(conversation.to_owned());
    }
    query.push(" ORDER BY e.seq DESC LIMIT ").push_bind(SCAN_MAX);
    let mut best: Vec<(f32, i64)> = Vec::new();
    let mut least = floor.max(f32::MIN_POSITIVE);
    let statement = query.build();
    let mut rows = statement.fetch(pool);
    while let Some(row) = rows.try_next().await? {
        let cosine = likeness(vector, row.try_get::<&[u8], _>(1)?);
        if cosine < least {
            continue;
        }
        best.push((cosine, row.try_get(0)?));
        if best.len() >= 4 * CANDIDATES {
            keep_best(&mut best);
            least = best.last().map_or(least, |(cosine, _)| *cosine);
        }
    }
    keep_best(&mut best);
    Ok(best.into_iter().map(|(_, seq)| seq).collect())
}

fn keep_best(best: &mut Vec<(f32, i64)>) {
    best.sort_unstable_by(|left, right| right.0.total_cmp(&left.0).then(right.1.cmp(&left.1)));
    best.truncate(CANDIDATES);
}

/// Reciprocal rank fusion: a message is worth the sum of `1 / (60 + place)` over the rankings that have it.
pub(super) fn fuse(words: &[i64], meaning: &[i64]) -> Vec<Rank> {
    let mut ranks: HashMap<i64, Rank> = HashMap::new();
    let place = |index: usize| index + 1;
    let worth = |index: usize| 1.0 / (FUSION + f64::from(u32::try_from(place(index)).unwrap_or(u32::MAX)));
    let fresh = |seq: i64| Rank { seq, score: 0.0, by_words: None, by_meaning: None };
    for (index, seq) in words.iter().enumerate() {
        let rank = ranks.entry(*seq).or_insert_with(|| fresh(*seq));
        rank.by_words = Some(place(index));
        rank.score += worth(index);
    }
    for (index, seq) in meaning.iter().enumerate() {
        let rank = ranks.entry(*seq).or_insert_with(|| fresh(*seq));
        rank.by_meaning = Some(place(index));
        rank.score += worth(index);
    }
    let mut ranks: Vec<Rank> = ranks.into_values().collect();
    // Between equals the nearer meaning comes first: a single common word is enough for a place by words.
    let by_meaning = |rank: &Rank| rank.by_meaning.unwrap_or(usize::MAX);
    ranks.sort_unstable_by(|left, right| {
        right.score.total_cmp(&left.score).then(by_meaning(left).cmp(&by_meaning(right))).then(right.seq.cmp(&left.seq))
    });
    ranks
}

const COLUMNS: &str = "SELECT seq, id, conversation_id, role, content, channel, at_ns, metadata FROM messages ";

/// One message by its place.
pub(super) async fn message(pool: &SqlitePool, seq: i64) -> Result<Option<Message>, sqlx::Error> {
    let mut query = QueryBuilder::<Sqlite>::new(COLUMNS);
    query.push("WHERE seq = ").push_bind(seq);
    query.build().fetch_optional(pool).await?.as_ref().map(from_row).transpose()
}

/// At most `limit` messages of a conversation before `before`, in the order in which they were said.
pub(super) async fn earlier(
    pool: &SqlitePool,
    conversation: &str,
    before: i64,
    limit: usize,
) -> Result<Vec<Message>, sqlx::Error> {
    let mut query = QueryBuilder::<Sqlite>::new(COLUMNS);
    query.push("WHERE conversation_id = ").push_bind(conversation.to_owned()).push(" AND seq < ").push_bind(before);
    query.push(" ORDER BY seq DESC LIMIT ").push_bind(i64::try_from(limit).unwrap_or(i64::MAX));
    let rows = query.build().fetch_all(pool).await?;
    rows.iter().rev().map(from_row).collect()
}

/// At most `limit` messages after `after`, of one conversation or of all.
pub(super) async fn later(
    pool: &SqlitePool,
    conversation: Option<&str>,
    after: i64,
    limit: usize,
) -> Result<Vec<Message>, sqlx::Error> {
    let mut query = QueryBuilder::<Sqlite>::new(COLUMNS);
    query.push("WHERE seq > ").push_bind(after);
    if let Some(conversation) = conversation {
        query.push(" AND conversation_id = ").push_bind(conversation.to_owned());
    }
    query.push(" ORDER BY seq LIMIT ").push_bind(i64::try_from(limit).unwrap_or(i64::MAX));
    let rows = query.build().fetch_all(pool).await?;
    rows.iter().map(from_row).collect()
}

fn from_row(row: &SqliteRow) -> Result<Message, sqlx::Error> {
    let role: String = row.try_get(3)?;
    let metadata: Option<String> = row.try_get(7)?;
    Ok(Message {
        seq: row.try_get(0)?,
        id: row.try_get(1)?,
        conversation_id: row.try_get(2)?,
        role: Role::parse(&role).ok_or_else(|| sqlx::Error::Decode("an unknown role".into()))?,
        content: row.try_get(4)?,
        channel: row.try_get(5)?,
        at_ns: u64::try_from(row.try_get::<i64, _>(6)?).unwrap_or(0),
        metadata: metadata
            .map(|text| serde_json::from_str(&text))
            .transpose()
            .map_err(|error| sqlx::Error::Decode(error.into()))?,
    })
}

#[cfg(test)]
mod tests {
    use super::fuse;

    #[test]
    fn what_both_rankings_have_comes_first() {
        let ranks = fuse(&[1, 2, 3], &[4, 2]);
        assert_eq!(ranks.iter().map(|rank| rank.seq).collect::<Vec<_>>(), [2, 4, 1, 3]);
        assert_eq!((ranks[0].by_words, ranks[0].by_meaning), (Some(2), Some(2)));
    }

    #[test]
    fn between_equal_places_the_meaning_decides() {
        assert_eq!(fuse(&[9], &[7]).iter().map(|rank| rank.seq).collect::<Vec<_>>(), [7, 9]);
    }
}
