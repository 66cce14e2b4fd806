//! Turns that run in this process, and those who watch conversations. A watcher reads what a turn here has recorded from memory, and
//! everything else from the turn log.

use crate::event::{Numbered, TurnEvent};
use crate::metrics::HarnessMetrics;
use crate::store::{StoreError, TurnStore};
use crate::{ConversationId, TurnId};
use futures_util::Stream;
use proto::UserId;
use serde::Serialize;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// Events that are read from the turn log at once.
const PAGE: usize = 1000;

/// An event for whoever watches its conversation.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Watched {
    /// Its turn.
    pub turn_id: TurnId,
    /// Its conversation.
    pub conversation_id: ConversationId,
    /// What happened.
    pub event: Numbered,
}

/// A turn that runs here.
#[derive(Debug)]
pub(crate) struct Live {
    /// Recorded events, from the first; bounded by the bounds of a turn.
    events: Mutex<Vec<Numbered>>,
    changed: watch::Sender<usize>,
    /// The user wishes it to stop.
    pub(crate) stop: CancellationToken,
    /// Our name when we took it.
    pub(crate) replica: String,
}

impl Live {
    fn new(replica: String) -> Self {
        Self { events: Mutex::default(), changed: watch::Sender::new(0), stop: CancellationToken::new(), replica }
    }

    /// Shows events that are recorded.
    pub(crate) fn publish(&self, events: impl IntoIterator<Item = Numbered>) {
        let count = {
            let mut shown = self.events.lock().unwrap_or_else(PoisonError::into_inner);
            shown.extend(events);
            shown.len()
        };
        self.changed.send_replace(count);
    }

    fn after(&self, after: u64) -> Vec<Numbered> {
        let shown = self.events.lock().unwrap_or_else(PoisonError::into_inner);
        let from = shown.partition_point(|event| event.sequence <= after);
        shown[from..].to_vec()
    }
}

type Conversation = (UserId, ConversationId);

/// All of them.
#[derive(Debug, Default)]
pub(crate) struct LiveTurns {
    turns: Mutex<HashMap<TurnId, Arc<Live>>>,
    /// One per watched conversation; gone with its last watcher.
    conversations: Mutex<HashMap<Conversation, watch::Sender<u64>>>,
}

impl LiveTurns {
    /// Takes a turn to be run here, under our name; none if it already is.
    pub(crate) fn take(&self, turn: TurnId, replica: String) -> Option<Arc<Live>> {
        match self.turns.lock().unwrap_or_else(PoisonError::into_inner).entry(turn) {
            Entry::Occupied(_) => None,
            Entry::Vacant(vacant) => Some(vacant.insert(Arc::new(Live::new(replica))).clone()),
        }
    }

    pub(crate) fn leave(&self, turn: TurnId) {
        if let Some(live) = self.turns.lock().unwrap_or_else(PoisonError::into_inner).remove(&turn) {
            // Wakes the watchers, which go on from the turn log.
            live.changed.send_modify(|_| {});
        }
    }

    pub(crate) fn get(&self, turn: TurnId) -> Option<Arc<Live>> {
        self.turns.lock().unwrap_or_else(PoisonError::into_inner).get(&turn).cloned()
    }

    pub(crate) fn len(&self) -> usize {
        self.turns.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Tells the watchers of a conversation that there may be more to read.
    pub(crate) fn touch(&self, user: UserId, conversation: &ConversationId) {
        let conversations = self.conversations.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(changed) = conversations.get(&(user, conversation.clone())) {
            changed.send_modify(|count| *count += 1);
        }
    }

    pub(crate) fn is_watched(&self) -> bool {
        !self.conversations.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
    }

    fn subscribe(&self, conversation: &Conversation) -> watch::Receiver<u64> {
        let mut conversations = self.conversations.lock().unwrap_or_else(PoisonError::into_inner);
        conversations.entry(conversation.clone()).or_insert_with(|| watch::Sender::new(0)).subscribe()
    }

    fn unsubscribe(&self, conversation: &Conversation) {
        let mut conversations = self.conversations.lock().unwrap_or_else(PoisonError::into_inner);
        // The one that leaves still holds its receiver.
        if conversations.get(conversation).is_some_and(|changed| changed.receiver_count() <= 1) {
            conversations.remove(conversation);
        }
    }
}

fn found_first(before: Option<(TurnId, u64)>, now: Option<(TurnId, u64)>) -> bool {
    before.is_none() && now.is_some()
}

/// Reads the events of a conversation, turn after turn.
#[derive(Debug)]
pub(crate) struct Watcher {
    live: Arc<LiveTurns>,
    store: TurnStore,
    conversation: Conversation,
    changed: watch::Receiver<u64>,
    /// The turn that is read, and the last event that was.
    at: Option<(TurnId, u64)>,
    /// The turn that is read has ended.
    ended: bool,
    ready: std::collections::VecDeque<Watched>,
    metrics: HarnessMetrics,
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.live.unsubscribe(&self.conversation);
        self.metrics.watchers.dec();
    }
}

impl Watcher {
    pub(crate) fn new(
        live: Arc<LiveTurns>,
        store: TurnStore,
        conversation: Conversation,
        at: Option<(TurnId, u64)>,
        metrics: HarnessMetrics,
    ) -> Self {
        let changed = live.subscribe(&conversation);
        metrics.watchers.inc();
        Self { live, store, conversation, changed, at, ended: false, ready: std::collections::VecDeque::new(), metrics }
    }

    /// Begins with the newest turn.
    pub(crate) fn at_newest(mut self) -> Self {
        self.at = None;
        self
    }

    /// As a stream that never ends by itself; it ends after an error.
    pub(crate) fn into_stream(self) -> impl Stream<Item = Result<Watched, StoreError>> + Send {
        futures_util::stream::unfold(Some(self), |watcher| async move {
            let mut watcher = watcher?;
            match watcher.next().await {
                Ok(event) => Some((Ok(event), Some(watcher))),
                Err(error) => Some((Err(error), None)),
            }
        })
    }

    async fn next(&mut self) -> Result<Watched, StoreError> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Ok(event);
            }
            // Seen before reading: what is written while we read wakes us again.
            self.changed.mark_unchanged();
            let live = self.at.and_then(|(turn, _)| self.live.get(turn)).filter(|_| !self.ended);
            let mut shown = live.as_ref().map(|live| live.changed.subscribe());
            let before = self.at;
            self.read(live.as_deref()).await?;
            if !self.ready.is_empty() || found_first(before, self.at) || self.ended && self.go_on().await? {
                continue;
            }
            let of_turn = async {
                match &mut shown {
                    Some(shown) => drop(shown.changed().await),
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = of_turn => {}
                changed = self.changed.changed() => changed.map_err(|_| StoreError::Closed)?,
            }
        }
    }

    /// Reads what the turn has behind the last event.
    async fn read(&mut self, live: Option<&Live>) -> Result<(), StoreError> {
        if self.ended {
            return Ok(());
        }
        let Some((turn, after)) = self.at else {
            // The newest turn; if there is none, the first one that comes.
            let newest = self.store.next_turn(self.conversation.0, &self.conversation.1, None).await?;
            self.ended = newest.is_none();
            self.at = Some((newest.unwrap_or(TurnId::from_bits(0)), 0));
            return Ok(());
        };
        let mut events = live.map_or_else(Vec::new, |live| live.after(after));
        // What was before this process carried the turn on stands in the log only.
        if events.first().is_none_or(|event| event.sequence != after + 1) {
            events = self.store.events_after(turn, after, PAGE).await?;
        }
        let Some(last) = events.last() else { return Ok(()) };
        self.ended = matches!(last.event, TurnEvent::TurnEnded { .. });
        self.at = Some((turn, last.sequence));
        let watched = |event| Watched { turn_id: turn, conversation_id: self.conversation.1.clone(), event };
        self.ready.extend(events.into_iter().map(watched));
        Ok(())
    }

    /// Goes to the next turn of the conversation, if there is one.
    async fn go_on(&mut self) -> Result<bool, StoreError> {
        let after = self.at.map(|(turn, _)| turn);
        let next = self.store.next_turn(self.conversation.0, &self.conversation.1, after).await?;
        if let Some(next) = next {
            (self.at, self.ended) = (Some((next, 0)), false);
        }
        Ok(next.is_some())
    }
}
