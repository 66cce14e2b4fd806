//! Numbers the events of a turn, records them, and only then shows them. Text that comes while a write is under way joins the next
//! write, so that a fast model costs a slow disk one row, not a hundred.

use crate::TurnId;
use crate::event::{Numbered, TurnEvent};
use crate::live::Live;
use crate::progress::Step;
use crate::store::{Append, Closing, StoreError, Turn, TurnStore};
use futures_util::future::BoxFuture;
use service::clock::Clock;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// Longest text of one event; more begins the next one.
const DELTA_BYTES: usize = 64 << 10;

type Write = BoxFuture<'static, Result<Option<Turn>, StoreError>>;

pub(crate) struct Recorder {
    store: TurnStore,
    clock: Clock,
    turn: TurnId,
    live: Arc<Live>,
    coalesce: Duration,
    /// Of the last event and the last entry that were handed to the store.
    sequence: u64,
    entry: i64,
    pending: Vec<(u64, TurnEvent)>,
    steps: Vec<Step>,
    /// When what is pending is written at the latest.
    due: Option<Instant>,
    writing: Option<(Write, Vec<Numbered>)>,
    next: Option<Turn>,
}

impl std::fmt::Debug for Recorder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Recorder").field("turn", &self.turn).field("sequence", &self.sequence).finish_non_exhaustive()
    }
}

impl Recorder {
    /// Goes on behind the last event and entry that are recorded.
    pub(crate) fn new(store: TurnStore, turn: TurnId, live: Arc<Live>, coalesce: Duration, last: (u64, i64)) -> Self {
        let clock = store.clock().clone();
        let (sequence, entry) = last;
        Self {
            store,
            clock,
            turn,
            live,
            coalesce,
            sequence,
            entry,
            pending: Vec::new(),
            steps: Vec::new(),
            due: None,
            writing: None,
            next: None,
        }
    }

    /// Adds an event; it is shown once it is recorded.
    pub(crate) fn event(&mut self, event: TurnEvent) {
        match (self.pending.last_mut().map(|(_, it)| it), &event) {
            (Some(TurnEvent::TextDelta { round: before, text: so_far }), TurnEvent::TextDelta { round, text })
                if before == round && so_far.len() + text.len() <= DELTA_BYTES =>
            {
                so_far.push_str(text);
                return;
            }
            (Some(last), TurnEvent::ToolProgress { call_id, .. }) if reports_on(last, call_id) => {
                *last = event;
                return;
            }
            _ => {}
        }
        self.pending.push((self.clock.now_ns(), event));
        self.due.get_or_insert_with(|| Instant::now() + self.coalesce);
    }

    /// Adds a step; it is recorded together with the events before and behind it.
    pub(crate) fn step(&mut self, step: Step) {
        self.steps.push(step);
        self.due.get_or_insert_with(|| Instant::now() + self.coalesce);
    }

    /// Records what is due; never returns but for an error.
    ///
    /// # Cancel safety
    /// A write that is under way is kept.
    pub(crate) async fn drive(&mut self) -> StoreError {
        loop {
            let written = match (&mut self.writing, self.due) {
                (Some(_), _) => self.finish().await,
                (None, Some(due)) => {
                    tokio::time::sleep_until(due).await;
                    self.begin(None);
                    Ok(())
                }
                (None, None) => std::future::pending().await,
            };
            if let Err(error) = written {
                return error;
            }
        }
    }

    /// Records everything.
    pub(crate) async fn flush(&mut self) -> Result<(), StoreError> {
        self.finish().await?;
        self.begin(None);
        self.finish().await
    }

    /// Records everything as the end of the turn; returns the turn of the conversation that runs next.
    pub(crate) async fn close(&mut self, closing: Closing) -> Result<Option<Turn>, StoreError> {
        self.finish().await?;
        self.begin(Some(closing));
        self.finish().await?;
        Ok(self.next.take())
    }

    async fn finish(&mut self) -> Result<(), StoreError> {
        let Some((write, _)) = &mut self.writing else { return Ok(()) };
        let written = write.await;
        let events = self.writing.take().map(|(_, events)| events).unwrap_or_default();
        self.next = written?;
        if !events.is_empty() {
            self.live.publish(events);
        }
        Ok(())
    }

    fn begin(&mut self, closing: Option<Closing>) {
        self.due = None;
        if self.pending.is_empty() && self.steps.is_empty() && closing.is_none() {
            return;
        }
        let mut events = Vec::with_capacity(self.pending.len());
        for (at_ns, event) in self.pending.drain(..) {
            self.sequence += 1;
            events.push(Numbered { sequence: self.sequence, at_ns, event });
        }
        self.entry += 1;
        let append = Append {
            turn: self.turn,
            replica: self.live.replica.clone(),
            entry: self.entry,
            last_sequence: i64::try_from(self.sequence).unwrap_or(i64::MAX),
            events: json(&events),
            steps: json(&std::mem::take(&mut self.steps)),
            closing,
        };
        let store = self.store.clone();
        self.writing = Some((Box::pin(async move { store.append(append).await }), events));
    }
}

fn reports_on(event: &TurnEvent, call: &str) -> bool {
    matches!(event, TurnEvent::ToolProgress { call_id, .. } if call_id == call)
}

/// As it stands in the turn log.
pub(crate) fn json<T: serde::Serialize>(list: &[T]) -> String {
    serde_json::to_string(list).expect("events and steps have string keys and finite numbers become null otherwise")
}
