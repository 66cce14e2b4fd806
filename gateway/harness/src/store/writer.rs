//! The one task of a replica that writes turns: everything that waits goes into one transaction.

use super::sql::{slices, values};
use super::{StoreError, Turn, state};
use crate::metrics::HarnessMetrics;
use crate::{ConversationId, TurnId};
use proto::UserId;
use service::clock::Clock;
use sqlx::any::AnyRow;
use sqlx::{Any, AnyPool, Row, Transaction};
use std::collections::HashSet;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;

/// Times that a transaction is tried before those who wait are told.
const TRIES: u32 = 4;

type Ack<T> = oneshot::Sender<Result<T, StoreError>>;

/// What became of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Accepted {
    /// Its turn runs; the caller must run it.
    Running,
    /// It waits for the turns before it.
    Queued,
    /// It was taken before.
    Known {
        /// Its turn.
        turn: TurnId,
        /// It waits.
        queued: bool,
    },
    /// Too many wait.
    Full,
}

/// Entries of a turn's log.
#[derive(Debug, Clone)]
pub(crate) struct Append {
    pub(crate) turn: TurnId,
    /// Our name when we took the turn.
    pub(crate) replica: String,
    /// From 1, without gaps.
    pub(crate) entry: i64,
    pub(crate) last_sequence: i64,
    /// A JSON array.
    pub(crate) events: String,
    /// A JSON array.
    pub(crate) steps: String,
    /// If this is the last one.
    pub(crate) closing: Option<Closing>,
}

/// Whose turn ended.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Closing {
    pub(crate) user: UserId,
    pub(crate) conversation: ConversationId,
}

#[derive(Debug)]
pub(super) enum Request {
    Accept {
        turn: Box<Turn>,
        events: String,
        queued_events: String,
        /// Most that wait in a conversation, most open turns of a user.
        bounds: (usize, usize),
        ack: Ack<Accepted>,
    },
    Append {
        append: Append,
        ack: Ack<Option<Turn>>,
    },
    Saved {
        turn: TurnId,
        ack: Ack<()>,
    },
    /// Nothing to write but the lease.
    Renew {
        ack: Ack<()>,
    },
}

/// Owns the connection that writes.
#[derive(Debug)]
pub(crate) struct Writer {
    pool: AnyPool,
    requests: mpsc::Receiver<Request>,
    group: usize,
    clock: Clock,
    lease: Duration,
    begin: &'static str,
    metrics: HarnessMetrics,
}

/// What a transaction found, in the order of the requests.
#[derive(Default)]
struct Found {
    accepted: Vec<Accepted>,
    /// Turns that were waiting and run now.
    next: Vec<Turn>,
}

impl Writer {
    pub(super) fn new(
        pool: AnyPool,
        requests: mpsc::Receiver<Request>,
        group: usize,
        (clock, lease, begin): (Clock, Duration, &'static str),
        metrics: HarnessMetrics,
    ) -> Self {
        Self { pool, requests, group, clock, lease, begin, metrics }
    }

    pub(super) async fn run(mut self, replica: watch::Receiver<String>, stop: CancellationToken) {
        let mut group = Vec::with_capacity(self.group);
        loop {
            let count = tokio::select! {
                biased;
                count = self.requests.recv_many(&mut group, self.group) => count,
                () = stop.cancelled(), if !self.requests.is_closed() => {
                    // What waits is still written.
                    self.requests.close();
                    continue;
                }
            };
            if count == 0 {
                break;
            }
            let replica = replica.borrow().clone();
            refuse_strangers(&mut group, &replica);
            let mut tries = 1;
            let result = loop {
                match self.transact(&group, &replica).await {
                    Err(StoreError::Database(error)) if tries < TRIES => {
                        tracing::warn!(%error, tries, "the turn log failed; trying again");
                        self.metrics.store_retries.inc();
                        tokio::time::sleep(Duration::from_millis(25 << tries)).await;
                        tries += 1;
                    }
                    other => break other,
                }
            };
            self.metrics.store_groups.inc();
            self.metrics.store_writes.inc_by(group.len() as u64);
            answer(group.drain(..), result);
        }
        self.pool.close().await;
    }

    async fn transact(&self, group: &[Request], replica: &str) -> Result<Found, StoreError> {
        let mut tx = self.pool.begin_with(self.begin).await?;
        let expires_at = super::lease::expiry(&self.clock, self.lease);
        let renewed = sqlx::query(
            "UPDATE harness_replicas SET expires_at_ns = $1, writes = writes + 1 WHERE replica = $2 AND dead = 0",
        );
        if renewed.bind(expires_at).bind(replica).execute(&mut *tx).await?.rows_affected() == 0 {
            return Err(StoreError::LeaseLost);
        }
        let mut found = Found { accepted: accept(&mut tx, group, replica).await?, next: Vec::new() };
        append(&mut tx, group).await?;
        let now = super::lease::expiry(&self.clock, Duration::ZERO);
        let ended = close(&mut tx, group, now).await?;
        if !ended.is_empty() {
            found.next = wake_next(&mut tx, &ended, replica).await?;
        }
        save(&mut tx, group).await?;
        tx.commit().await?;
        Ok(found)
    }
}

/// A turn that was ours under an older name belongs to somebody else by now.
fn refuse_strangers(group: &mut Vec<Request>, replica: &str) {
    let strange =
        |request: &mut Request| matches!(request, Request::Append { append, .. } if append.replica != replica);
    for request in group.extract_if(.., strange) {
        if let Request::Append { ack, .. } = request {
            drop(ack.send(Err(StoreError::LeaseLost)));
        }
    }
}

fn answer(group: impl Iterator<Item = Request>, result: Result<Found, StoreError>) {
    let (mut found, error) = match result {
        Ok(found) => (found, None),
        Err(error) => (Found::default(), Some(error)),
    };
    let mut accepted = found.accepted.into_iter();
    // Whoever asked may be gone; what was written stands.
    for request in group {
        match (request, &error) {
            (Request::Accept { ack, .. }, Some(error)) => drop(ack.send(Err(error.clone()))),
            (Request::Append { ack, .. }, Some(error)) => drop(ack.send(Err(error.clone()))),
            (Request::Saved { ack, .. } | Request::Renew { ack }, Some(error)) => drop(ack.send(Err(error.clone()))),
            (Request::Accept { ack, .. }, None) => {
                let accepted = accepted.next().expect("a transaction finds something for each message");
                drop(ack.send(Ok(accepted)));
            }
            (Request::Append { append, ack }, None) => {
                let is_next = |turn: &Turn| {
                    append
                        .closing
                        .as_ref()
                        .is_some_and(|it| it.user == turn.user && it.conversation == turn.conversation)
                };
                let next = found.next.iter().position(is_next).map(|at| found.next.swap_remove(at));
                drop(ack.send(Ok(next)));
            }
            (Request::Saved { ack, .. } | Request::Renew { ack }, None) => drop(ack.send(Ok(()))),
        }
    }
}

const COLUMNS: &str = "turn_id, user_id, conversation_id, message_id, text, channel, tier, started_at_ns";

/// Inserts the messages whose conversation is free in one go, and looks closer at the rest.
async fn accept(
    tx: &mut Transaction<'static, Any>,
    group: &[Request],
    replica: &str,
) -> Result<Vec<Accepted>, StoreError> {
    let turns: Vec<(&Turn, &str, &str, (usize, usize))> = group
        .iter()
        .filter_map(|request| match request {
            Request::Accept { turn, events, queued_events, bounds, .. } => {
                Some((&**turn, events.as_str(), queued_events.as_str(), *bounds))
            }
            _ => None,
        })
        .collect();
    let mut running: HashSet<String> = HashSet::new();
    for slice in slices(&turns) {
        let sql = format!(
            "INSERT INTO harness_turns ({COLUMNS}, ended_at_ns, state, owner, stop, saved) \
             SELECT column1, column2, column3, column4, column5, column6, column7, column8, 0, 1, column9, 0, 0 \
             FROM (VALUES {}) AS fresh WHERE NOT EXISTS (SELECT 1 FROM harness_turns AS other \
             WHERE other.user_id = fresh.column2 AND other.state < 2) ON CONFLICT DO NOTHING RETURNING turn_id",
            values(slice.len(), 9, 1)
        );
        let mut query = sqlx::query(&sql);
        for (turn, ..) in slice {
            query = bind(query, turn).bind(replica);
        }
        for row in query.fetch_all(&mut **tx).await? {
            running.insert(row.try_get(0)?);
        }
    }
    let mut accepted = Vec::with_capacity(turns.len());
    let mut first_entries = Vec::new();
    for (turn, events, queued_events, bounds) in turns {
        let became = if running.contains(&turn.id.to_string()) {
            Accepted::Running
        } else {
            accept_beside_others(tx, turn, bounds, replica).await?
        };
        match became {
            Accepted::Running => first_entries.push((turn.id.to_string(), 1, events)),
            Accepted::Queued => first_entries.push((turn.id.to_string(), 2, queued_events)),
            Accepted::Known { .. } | Accepted::Full => {}
        }
        accepted.push(became);
    }
    let rows: Vec<Entry<'_>> =
        first_entries.iter().map(|(turn, last, events)| (turn.as_str(), 1, *last, *events, "[]")).collect();
    log(tx, &rows).await?;
    Ok(accepted)
}

type Query<'q> = sqlx::query::Query<'q, Any, sqlx::any::AnyArguments<'q>>;

fn bind<'q>(query: Query<'q>, turn: &'q Turn) -> Query<'q> {
    let query = query.bind(turn.id.to_string()).bind(turn.user.to_string()).bind(turn.conversation.as_str());
    let query = query.bind(turn.message_id.to_string()).bind(turn.text.as_str()).bind(turn.channel.as_str());
    query.bind(turn.tier.name()).bind(i64::try_from(turn.started_at_ns).unwrap_or(i64::MAX))
}

/// A message that was sent before, or whose user has open turns.
async fn accept_beside_others(
    tx: &mut Transaction<'static, Any>,
    turn: &Turn,
    (queued_most, user_most): (usize, usize),
    replica: &str,
) -> Result<Accepted, StoreError> {
    let (user, message) = (turn.user.to_string(), turn.message_id.to_string());
    let known = sqlx::query("SELECT turn_id, state FROM harness_turns WHERE user_id = $1 AND message_id = $2");
    if let Some(row) = known.bind(&user).bind(&message).fetch_optional(&mut **tx).await? {
        let id: String = row.try_get(0)?;
        let known = id.parse().map_err(|_| StoreError::Damaged { field: "turn_id", turn_id: id })?;
        let queued = row.try_get::<i64, _>(1)? == state::QUEUED;
        // Our own, if a transaction is tried again whose end nobody knows.
        return Ok(match (known == turn.id, queued) {
            (true, true) => Accepted::Queued,
            (true, false) => Accepted::Running,
            (false, queued) => Accepted::Known { turn: known, queued },
        });
    }
    let open = sqlx::query(
        "SELECT COUNT(*), CAST(COALESCE(SUM(CASE WHEN conversation_id = $2 THEN 1 ELSE 0 END), 0) AS BIGINT) \
         FROM harness_turns WHERE user_id = $1 AND state < 2",
    );
    let row = open.bind(&user).bind(turn.conversation.as_str()).fetch_one(&mut **tx).await?;
    let count = |at: usize| row.try_get::<i64, _>(at).map(|it| usize::try_from(it).unwrap_or(0));
    let (of_user, of_conversation) = (count(0)?, count(1)?);
    if of_conversation > queued_most || of_user >= user_most {
        return Ok(Accepted::Full);
    }
    let insert = |state: i64| {
        format!(
            "INSERT INTO harness_turns ({COLUMNS}, ended_at_ns, state, owner, stop, saved) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 0, {state}, $9, 0, 0) ON CONFLICT DO NOTHING"
        )
    };
    if of_conversation == 0 {
        let sql = insert(state::RUNNING);
        if bind(sqlx::query(&sql), turn).bind(replica).execute(&mut **tx).await?.rows_affected() == 1 {
            return Ok(Accepted::Running);
        }
    }
    let sql = insert(state::QUEUED);
    let inserted = bind(sqlx::query(&sql), turn).bind("").execute(&mut **tx).await?.rows_affected();
    // Another replica took the same message at the same moment: the sender asks again and finds its turn.
    if inserted == 1 { Ok(Accepted::Queued) } else { Err(StoreError::Database(sqlx::Error::RowNotFound.into())) }
}

type Entry<'a> = (&'a str, i64, i64, &'a str, &'a str);

/// A transaction that is tried again after an end that nobody knows finds its entries; nobody else writes a turn of ours.
async fn log(tx: &mut Transaction<'static, Any>, rows: &[Entry<'_>]) -> Result<(), StoreError> {
    for slice in slices(rows) {
        let sql = format!(
            "INSERT INTO harness_log (turn_id, entry, last_sequence, events, steps) VALUES {} ON CONFLICT DO NOTHING",
            values(slice.len(), 5, 1)
        );
        let mut query = sqlx::query(&sql);
        for (turn, entry, last, events, steps) in slice {
            query = query.bind(*turn).bind(*entry).bind(*last).bind(*events).bind(*steps);
        }
        query.execute(&mut **tx).await?;
    }
    Ok(())
}

async fn append(tx: &mut Transaction<'static, Any>, group: &[Request]) -> Result<(), StoreError> {
    let appends = group.iter().filter_map(|request| match request {
        Request::Append { append, .. } => Some((append.turn.to_string(), append)),
        _ => None,
    });
    let appends: Vec<(String, &Append)> = appends.collect();
    let rows: Vec<Entry<'_>> = appends
        .iter()
        .map(|(turn, it)| (turn.as_str(), it.entry, it.last_sequence, it.events.as_str(), it.steps.as_str()))
        .collect();
    log(tx, &rows).await
}

async fn close<'g>(
    tx: &mut Transaction<'static, Any>,
    group: &'g [Request],
    now: i64,
) -> Result<HashSet<&'g Closing>, StoreError> {
    let ended = group.iter().filter_map(|request| match request {
        Request::Append { append, .. } => append.closing.as_ref().map(|closing| (append.turn.to_string(), closing)),
        _ => None,
    });
    let ended: Vec<(String, &Closing)> = ended.collect();
    for slice in slices(&ended) {
        let sql = format!(
            "UPDATE harness_turns SET state = 2, ended_at_ns = $1 WHERE turn_id IN (VALUES {})",
            values(slice.len(), 1, 2)
        );
        let query = slice.iter().fold(sqlx::query(&sql).bind(now), |query, (turn, _)| query.bind(turn.as_str()));
        query.execute(&mut **tx).await?;
    }
    Ok(ended.into_iter().map(|(_, closing)| closing).collect())
}

async fn save(tx: &mut Transaction<'static, Any>, group: &[Request]) -> Result<(), StoreError> {
    let saved = group.iter().filter_map(|request| match request {
        Request::Saved { turn, .. } => Some(turn.to_string()),
        _ => None,
    });
    for slice in slices(&saved.collect::<Vec<_>>()) {
        let sql = format!("UPDATE harness_turns SET saved = 1 WHERE turn_id IN (VALUES {})", values(slice.len(), 1, 1));
        slice.iter().fold(sqlx::query(&sql), |query, turn| query.bind(turn.as_str())).execute(&mut **tx).await?;
    }
    Ok(())
}

/// Starts the next message of each conversation whose turn has ended.
async fn wake_next(
    tx: &mut Transaction<'static, Any>,
    ended: &HashSet<&Closing>,
    replica: &str,
) -> Result<Vec<Turn>, StoreError> {
    let sql = format!("SELECT {COLUMNS} FROM harness_turns WHERE state = 0 AND stop = 0 ORDER BY turn_id LIMIT 1000");
    let mut next: Vec<Turn> = Vec::new();
    for row in sqlx::query(&sql).fetch_all(&mut **tx).await? {
        let turn = turn(&row)?;
        let closing = Closing { user: turn.user, conversation: turn.conversation.clone() };
        let taken = next.iter().any(|it| it.user == turn.user && it.conversation == turn.conversation);
        if ended.contains(&closing) && !taken && start(tx, &turn, replica).await? {
            next.push(turn);
        }
    }
    Ok(next)
}

/// Makes a waiting turn ours; false if it waits no more, or another of its conversation runs.
pub(super) async fn start(tx: &mut Transaction<'static, Any>, turn: &Turn, replica: &str) -> Result<bool, StoreError> {
    let sql = "UPDATE harness_turns SET state = 1, owner = $1 WHERE turn_id = $2 AND state = 0 AND stop = 0 AND NOT EXISTS \
         (SELECT 1 FROM harness_turns AS other WHERE other.user_id = $3 AND other.conversation_id = $4 AND other.state = 1)";
    let query = sqlx::query(sql).bind(replica).bind(turn.id.to_string());
    let query = query.bind(turn.user.to_string()).bind(turn.conversation.as_str());
    Ok(query.execute(&mut **tx).await?.rows_affected() == 1)
}

/// Reads the columns of [`COLUMNS`].
pub(super) fn turn(row: &AnyRow) -> Result<Turn, StoreError> {
    let text = |column: &str| row.try_get::<String, _>(column);
    let id = text("turn_id")?;
    let damaged = |field| StoreError::Damaged { field, turn_id: id.clone() };
    Ok(Turn {
        user: text("user_id")?.parse().map_err(|_| damaged("user_id"))?,
        conversation: text("conversation_id")?.parse().map_err(|_| damaged("conversation_id"))?,
        message_id: text("message_id")?.parse().map_err(|_| damaged("message_id"))?,
        text: text("text")?,
        channel: text("channel")?,
        tier: crate::Tier::named(&text("tier")?).ok_or_else(|| damaged("tier"))?,
        started_at_ns: u64::try_from(row.try_get::<i64, _>("started_at_ns")?).unwrap_or(0),
        id: id.parse().map_err(|_| damaged("turn_id"))?,
    })
}

pub(super) const fn columns() -> &'static str {
    COLUMNS
}
