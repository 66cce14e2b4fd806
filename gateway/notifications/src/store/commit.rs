//! The one transaction that matters: where streams stand, what was recorded, and what became of deliveries, together.

use super::rows::{chunks, placeholder, placeholders, signed, unsigned};
use super::{Engine, Store};
use crate::notification::State;
use crate::preferences::ChannelKind;
use bytes::Bytes;
use proto::{EventId, EventKind, OutboxId, Position, UserId};
use sqlx::{Any, Row, Transaction};
use std::collections::{BTreeMap, BTreeSet};

/// Old notifications of a user are looked for once in so many new ones.
const PRUNE_EVERY: u64 = 1024;
/// Old gaps of a user are looked for once in so many sequences; the newest 10 000 stay.
const GAPS_PRUNED_EVERY: u64 = 256;

/// A stream moves on, if it still stands where it was when this was decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Advance {
    pub(crate) expected: u64,
    pub(crate) next: u64,
}

/// An event to record; the store gives it its number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NewRecord {
    pub(crate) user_id: UserId,
    pub(crate) position: Option<Position>,
    pub(crate) event_id: EventId,
    pub(crate) kind: EventKind,
    pub(crate) created_at_ns: u64,
    pub(crate) expires_at_ns: u64,
    pub(crate) payload: Bytes,
}

/// Sequences that no event stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NewGap {
    pub(crate) user_id: UserId,
    pub(crate) from: Position,
    pub(crate) to: u64,
    pub(crate) reason: &'static str,
    pub(crate) detail: String,
}

/// What became of a pending notification.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Settlement {
    pub(crate) user_id: UserId,
    pub(crate) number: u64,
    pub(crate) state: State,
    pub(crate) channel: Option<ChannelKind>,
    pub(crate) attempts: u64,
    /// When to try again, if it is still pending.
    pub(crate) due_ns: u64,
}

/// A replica has done for a user what was due.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Release {
    pub(crate) user_id: UserId,
    pub(crate) replica: String,
}

/// Everything that one transaction does.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    pub(crate) now_ns: u64,
    pub(crate) advances: BTreeMap<(UserId, OutboxId), Advance>,
    pub(crate) records: Vec<NewRecord>,
    pub(crate) gaps: Vec<NewGap>,
    pub(crate) settlements: Vec<Settlement>,
    pub(crate) releases: Vec<Release>,
}

/// What became of a plan.
#[derive(Debug)]
pub(crate) enum Committed {
    /// It is durable.
    Done {
        /// Events that were recorded before under the same id, from elsewhere.
        repeated: u64,
        /// Notifications that nobody took and that are now too old to keep.
        overflowed: u64,
    },
    /// Somebody else moved one of the streams on: nothing was written.
    Conflict,
    /// The database failed before the commit: nothing was written.
    NotWritten(sqlx::Error),
    /// The commit itself failed: it may be durable or not. What follows must be decided from what the store says.
    Unknown(sqlx::Error),
}

type Failed = sqlx::Error;

impl Store {
    /// Does it, all or nothing.
    pub(crate) async fn commit(&self, plan: &Plan) -> Committed {
        let mut transaction = match self.begin().await {
            Ok(transaction) => transaction,
            Err(error) => return Committed::NotWritten(error),
        };
        let written = match self.write_plan(&mut transaction, plan).await {
            Ok(written) => written,
            // The transaction is dropped, and with it what it wrote.
            Err(error) => return Committed::NotWritten(error),
        };
        let Some((repeated, overflowed)) = written else { return Committed::Conflict };
        match transaction.commit().await {
            Ok(()) => Committed::Done { repeated, overflowed },
            Err(error) => Committed::Unknown(error),
        }
    }

    /// `None` if a stream does not stand where it was expected.
    async fn write_plan(
        &self,
        transaction: &mut Transaction<'_, Any>,
        plan: &Plan,
    ) -> Result<Option<(u64, u64)>, Failed> {
        if !advance(self.engine, transaction, plan).await? {
            return Ok(None);
        }
        self.lock_inboxes(transaction, plan).await?;
        let counts = self.record(transaction, plan).await?;
        for chunk in chunks(&plan.gaps) {
            record_gaps(self.engine, transaction, plan.now_ns, chunk).await?;
        }
        for chunk in chunks(&plan.settlements) {
            settle(self.engine, transaction, plan.now_ns, chunk).await?;
        }
        for release in &plan.releases {
            self.release(transaction, release).await?;
        }
        Ok(Some(counts))
    }

    /// Locks the inboxes of a plan in one order, so that no two plans wait for each other. Who records holds the user's row:
    /// only behind it does [`Self::release`] see everything that was recorded.
    async fn lock_inboxes(&self, transaction: &mut Transaction<'_, Any>, plan: &Plan) -> Result<(), Failed> {
        if self.engine == Engine::Sqlite {
            return Ok(());
        }
        let recorded = plan.records.iter().map(|record| record.user_id);
        let users: BTreeSet<UserId> = recorded.chain(plan.releases.iter().map(|release| release.user_id)).collect();
        let users: Vec<UserId> = users.into_iter().collect();
        for chunk in chunks(&users) {
            let places: Vec<String> = (1..=chunk.len()).map(|at| format!("${at}")).collect();
            let query = format!(
                "SELECT user_id FROM inboxes WHERE user_id IN ({}) ORDER BY user_id FOR UPDATE",
                places.join(",")
            );
            let mut query = sqlx::query(&query);
            for user_id in chunk {
                query = query.bind(user_id.to_string());
            }
            query.fetch_all(&mut **transaction).await?;
        }
        Ok(())
    }

    async fn record(&self, transaction: &mut Transaction<'_, Any>, plan: &Plan) -> Result<(u64, u64), Failed> {
        let mut counts: BTreeMap<UserId, u64> = BTreeMap::new();
        for record in &plan.records {
            *counts.entry(record.user_id).or_default() += 1;
        }
        let counts: Vec<(UserId, u64)> = counts.into_iter().collect();
        let mut numbers: BTreeMap<UserId, u64> = BTreeMap::new();
        let mut overflowed = 0;
        for chunk in chunks(&counts) {
            let last = count_up(self.engine, transaction, plan.now_ns, chunk).await?;
            for (user_id, count) in chunk {
                let last = last.get(user_id).copied().ok_or(sqlx::Error::RowNotFound)?;
                numbers.insert(*user_id, last - count);
                if last / PRUNE_EVERY != (last - count) / PRUNE_EVERY {
                    overflowed += prune(transaction, *user_id, last, self.keep).await?;
                }
            }
        }
        let numbered: Vec<(u64, &NewRecord)> = plan
            .records
            .iter()
            .map(|record| {
                let number = numbers.entry(record.user_id).or_default();
                *number += 1;
                (*number, record)
            })
            .collect();
        let mut written = 0;
        for chunk in chunks(&numbered) {
            written += insert(self.engine, transaction, plan.now_ns, chunk).await?;
        }
        Ok((numbered.len() as u64 - written, overflowed))
    }

    async fn release(&self, transaction: &mut Transaction<'_, Any>, release: &Release) -> Result<(), Failed> {
        let user_id = release.user_id.to_string();
        let query = "UPDATE inboxes SET claimed_by = '', claimed_until_ns = 0, due_ns = \
                     (SELECT COALESCE(MIN(due_ns), 9223372036854775807) FROM notifications \
                      WHERE user_id = $1 AND state = 0) WHERE user_id = $1 AND claimed_by = $2";
        sqlx::query(query).bind(&user_id).bind(&release.replica).execute(&mut **transaction).await?;
        Ok(())
    }
}

/// Moves the streams on; false if one of them does not stand where it was expected.
async fn advance(engine: Engine, transaction: &mut Transaction<'_, Any>, plan: &Plan) -> Result<bool, Failed> {
    let (new, known): (Vec<_>, Vec<_>) = plan.advances.iter().partition(|(_, advance)| advance.expected == 1);
    for chunk in chunks(&new) {
        let rows = placeholders(engine, chunk.len(), 3);
        let query =
            format!("INSERT INTO streams (user_id, outbox_id, next_sequence) VALUES {rows} ON CONFLICT DO NOTHING");
        let mut query = sqlx::query(&query);
        for ((user_id, outbox_id), advance) in chunk {
            query = query.bind(user_id.to_string()).bind(outbox_id.to_string()).bind(signed(advance.next));
        }
        if query.execute(&mut **transaction).await?.rows_affected() != chunk.len() as u64 {
            return Ok(false);
        }
    }
    for chunk in chunks(&known) {
        let rows = placeholders(engine, chunk.len(), 4);
        let query = format!(
            "UPDATE streams SET next_sequence = v.column4 FROM (VALUES {rows}) AS v WHERE streams.user_id = v.column1 \
             AND streams.outbox_id = v.column2 AND streams.next_sequence = v.column3"
        );
        let mut query = sqlx::query(&query);
        for ((user_id, outbox_id), advance) in chunk {
            query = query.bind(user_id.to_string()).bind(outbox_id.to_string());
            query = query.bind(signed(advance.expected)).bind(signed(advance.next));
        }
        if query.execute(&mut **transaction).await?.rows_affected() != chunk.len() as u64 {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Reserves numbers for so many notifications of each user, and tells the last of each.
async fn count_up(
    engine: Engine,
    transaction: &mut Transaction<'_, Any>,
    now_ns: u64,
    counts: &[(UserId, u64)],
) -> Result<BTreeMap<UserId, u64>, Failed> {
    let row = |at: usize| {
        let [user_id, count, due_ns] = [1, 2, 3].map(|column| placeholder(engine, at * 3 + column));
        format!("({user_id}, {count}, 0, {due_ns}, '', 0)")
    };
    let rows = (0..counts.len()).map(row).collect::<Vec<_>>().join(",");
    let query = format!(
        "INSERT INTO inboxes (user_id, last_number, read_number, due_ns, claimed_by, claimed_until_ns) VALUES {rows} \
         ON CONFLICT (user_id) DO UPDATE SET last_number = inboxes.last_number + excluded.last_number, \
         due_ns = CASE WHEN inboxes.due_ns < excluded.due_ns THEN inboxes.due_ns ELSE excluded.due_ns END \
         RETURNING user_id, last_number"
    );
    let mut query = sqlx::query(&query);
    for (user_id, count) in counts {
        query = query.bind(user_id.to_string()).bind(signed(*count)).bind(signed(now_ns));
    }
    let mut last = BTreeMap::new();
    for row in query.fetch_all(&mut **transaction).await? {
        let user_id: String = row.try_get(0)?;
        if let Ok(user_id) = user_id.parse() {
            last.insert(user_id, unsigned(row.try_get(1)?));
        }
    }
    Ok(last)
}

/// Writes notifications; tells how many were not there yet.
async fn insert(
    engine: Engine,
    transaction: &mut Transaction<'_, Any>,
    now_ns: u64,
    records: &[(u64, &NewRecord)],
) -> Result<u64, Failed> {
    const BOUND: usize = 11;
    let row = |at: usize| {
        let bound: Vec<String> = (1..=BOUND).map(|column| placeholder(engine, at * BOUND + column)).collect();
        let (bound, due_ns) = (bound[..BOUND - 1].join(","), &bound[BOUND - 1]);
        format!("({bound},0,'',0,{due_ns},0)")
    };
    let rows = (0..records.len()).map(row).collect::<Vec<_>>().join(",");
    let query = format!(
        "INSERT INTO notifications (user_id, number, event_id, outbox_id, sequence, kind, created_at_ns, expires_at_ns, \
         recorded_at_ns, payload, state, channel, attempts, due_ns, settled_at_ns) VALUES {rows} \
         ON CONFLICT (user_id, event_id) DO NOTHING"
    );
    let mut query = sqlx::query(&query);
    for (number, record) in records {
        let (outbox_id, sequence) =
            record.position.map_or((String::new(), 0), |position| (position.outbox_id.to_string(), position.sequence));
        query = query.bind(record.user_id.to_string()).bind(signed(*number)).bind(record.event_id.to_string());
        query = query.bind(outbox_id).bind(signed(sequence)).bind(record.kind.name());
        query = query.bind(signed(record.created_at_ns)).bind(signed(record.expires_at_ns)).bind(signed(now_ns));
        query = query.bind(&record.payload[..]).bind(signed(now_ns));
    }
    Ok(query.execute(&mut **transaction).await?.rows_affected())
}

async fn record_gaps(
    engine: Engine,
    transaction: &mut Transaction<'_, Any>,
    now_ns: u64,
    gaps: &[NewGap],
) -> Result<(), Failed> {
    let query = format!(
        "INSERT INTO stream_gaps (user_id, outbox_id, from_sequence, to_sequence, reason, detail, recorded_at_ns) \
         VALUES {} ON CONFLICT DO NOTHING",
        placeholders(engine, gaps.len(), 7)
    );
    let mut query = sqlx::query(&query);
    for gap in gaps {
        query = query.bind(gap.user_id.to_string()).bind(gap.from.outbox_id.to_string());
        query = query.bind(signed(gap.from.sequence)).bind(signed(gap.to)).bind(gap.reason);
        query = query.bind(&gap.detail).bind(signed(now_ns));
    }
    query.execute(&mut **transaction).await?;
    for gap in gaps.iter().filter(|gap| gap.to / GAPS_PRUNED_EVERY != (gap.from.sequence - 1) / GAPS_PRUNED_EVERY) {
        let query = "DELETE FROM stream_gaps WHERE user_id = $1 AND recorded_at_ns < (SELECT recorded_at_ns \
                     FROM stream_gaps WHERE user_id = $1 ORDER BY recorded_at_ns DESC LIMIT 1 OFFSET 10000)";
        sqlx::query(query).bind(gap.user_id.to_string()).execute(&mut **transaction).await?;
    }
    Ok(())
}

async fn settle(
    engine: Engine,
    transaction: &mut Transaction<'_, Any>,
    now_ns: u64,
    settlements: &[Settlement],
) -> Result<(), Failed> {
    let query = format!(
        "UPDATE notifications SET state = v.column3, channel = v.column4, attempts = v.column5, due_ns = v.column6, \
         settled_at_ns = v.column7 FROM (VALUES {}) AS v WHERE notifications.user_id = v.column1 \
         AND notifications.number = v.column2 AND notifications.state = 0",
        placeholders(engine, settlements.len(), 7)
    );
    let mut query = sqlx::query(&query);
    for settlement in settlements {
        query = query.bind(settlement.user_id.to_string()).bind(signed(settlement.number));
        query = query.bind(settlement.state.number()).bind(settlement.channel.map_or("", ChannelKind::name));
        query = query.bind(signed(settlement.attempts)).bind(signed(settlement.due_ns)).bind(signed(now_ns));
    }
    query.execute(&mut **transaction).await?;
    Ok(())
}

/// Deletes what is older than the user keeps. What of it still waits for a channel stays ten times as long; then it will
/// not be delivered any more, and is counted.
async fn prune(transaction: &mut Transaction<'_, Any>, user_id: UserId, last: u64, keep: u64) -> Result<u64, Failed> {
    let user = user_id.to_string();
    let (settled, all) = (last.saturating_sub(keep), last.saturating_sub(keep.saturating_mul(10)));
    let query = "DELETE FROM notifications WHERE user_id = $1 AND number <= $2 AND state <> 0";
    sqlx::query(query).bind(&user).bind(signed(settled)).execute(&mut **transaction).await?;
    let query = "DELETE FROM notifications WHERE user_id = $1 AND number <= $2";
    let deleted = sqlx::query(query).bind(&user).bind(signed(all)).execute(&mut **transaction).await?.rows_affected();
    if deleted > 0 {
        tracing::error!(%user_id, deleted, "notifications were never delivered and are too many to keep");
    }
    Ok(deleted)
}
