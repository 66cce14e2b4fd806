//! The harness as others see it: it takes messages, shows what happens, stops, lists, erases.

use crate::asking::Models;
use crate::config::HarnessConfig;
use crate::event::{Numbered, TurnEvent};
use crate::id::TurnIds;
use crate::live::{Live, LiveTurns, Watched, Watcher};
use crate::parts::HarnessParts;
use crate::recorder::json;
use crate::saving::Saving;
use crate::store::{
    Accepted, ConversationRow, Erased, ExportedTurn, LogTail, StopNoted, StoreError, Turn, TurnPage, TurnStore,
};
use crate::turn::{Ended, Run, Shared};
use crate::{ConversationId, MessageId, Tier, TurnId};
use futures_util::{FutureExt, Stream, StreamExt};
use proto::UserId;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Longest text of a message, bytes.
pub const TEXT_BYTES: usize = 32 << 10;
/// Most events of one answer of [`Harness::events`].
const EVENTS: usize = 1000;
/// Most turns of a page.
const PAGE: usize = 200;

/// A message for the assistant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewMessage {
    /// The client's: the same one is taken once.
    pub message_id: MessageId,
    /// Of the user.
    pub conversation: ConversationId,
    /// Markdown, 1 to 32 768 bytes.
    pub text: String,
    /// `web`, `telegram`, `mcp`.
    pub channel: String,
}

/// A message that was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Submitted {
    /// Its turn.
    pub turn_id: TurnId,
    /// It waits for the turns before it.
    pub queued: bool,
    /// It was taken before.
    pub known: bool,
}

/// Why a message was not taken.
#[derive(Debug, Clone, thiserror::Error)]
pub enum SubmitError {
    /// The text has no fitting length.
    #[error("text: {bytes} bytes, must be 1 to {TEXT_BYTES}")]
    Text {
        /// Its length.
        bytes: usize,
    },
    /// Too many messages of the conversation or the user wait.
    #[error("too many messages wait for an answer, at most {most} in a conversation")]
    Full {
        /// The limit.
        most: usize,
    },
    /// Too many turns run here.
    #[error("{running} answers are under way, the limit")]
    Overloaded {
        /// The limit.
        running: usize,
    },
    /// The harness is stopping.
    #[error("the harness is stopping")]
    Stopping,
    /// The turn log failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl SubmitError {
    /// True if the same message may be taken later.
    #[must_use]
    pub const fn is_retryable(&self) -> bool {
        !matches!(self, Self::Text { .. })
    }
}

/// Why something of a turn cannot be had.
#[derive(Debug, Clone, thiserror::Error)]
pub enum LookupError {
    /// This user has no such turn.
    #[error("no such turn")]
    Unknown,
    /// The turn log failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The assistant's loop of one replica. Clones are the same harness.
#[derive(Debug, Clone)]
pub struct Harness {
    pub(crate) inner: Arc<Inner>,
}

#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) shared: Arc<Shared>,
    pub(crate) live: Arc<LiveTurns>,
    pub(crate) saving: Saving,
    ids: TurnIds,
    pub(crate) tasks: TaskTracker,
    /// No new turns.
    pub(crate) stop: CancellationToken,
    /// Turns that run are left to others.
    pub(crate) abandon: CancellationToken,
}

impl Harness {
    /// Starts the loop; it drains when `stop` is cancelled: see [`Harness::stopped`].
    #[must_use]
    pub fn start(config: HarnessConfig, parts: HarnessParts, stop: CancellationToken) -> Self {
        let HarnessParts { store, models, tools, context, retriever, saver, budget, clock: _, metrics } = parts;
        let models = Arc::new(Models::new(&config.models, models, config.retry.clone(), metrics.clone()));
        let saving = Saving { saver, store: store.clone(), metrics: metrics.clone() };
        let tasks = TaskTracker::new();
        let abandon = CancellationToken::new();
        store.start(&tasks, abandon.clone());
        let shared = Arc::new(Shared { config, store, models, tools, context, retriever, budget, metrics });
        let (live, ids) = (Arc::default(), TurnIds::default());
        let harness = Self { inner: Arc::new(Inner { shared, live, saving, ids, tasks, stop, abandon }) };
        crate::upkeep::spawn(&harness);
        harness
    }

    pub(crate) fn store(&self) -> &TurnStore {
        &self.inner.shared.store
    }

    /// Takes a message: once for each `message_id`. Its turn runs, or waits for those before it.
    ///
    /// # Errors
    /// See [`SubmitError`].
    pub async fn submit(&self, user: UserId, tier: Tier, message: NewMessage) -> Result<Submitted, SubmitError> {
        let bytes = message.text.len();
        if bytes == 0 || bytes > TEXT_BYTES {
            return Err(SubmitError::Text { bytes });
        }
        let turns = &self.inner.shared.config.turns;
        if self.inner.stop.is_cancelled() {
            return Err(SubmitError::Stopping);
        }
        if self.inner.live.len() >= turns.running_most {
            self.inner.shared.metrics.turns_refused.inc();
            return Err(SubmitError::Overloaded { running: turns.running_most });
        }
        let now = self.store().clock().now_ns();
        let turn = Turn {
            id: self.inner.ids.mint(now, rand::random()),
            user,
            conversation: message.conversation,
            message_id: message.message_id,
            text: message.text,
            channel: message.channel,
            tier,
            started_at_ns: now,
        };
        let replica = self.store().replica();
        match self.accept(turn.clone()).await {
            // We were declared dead, as after a long pause of the machine: once more under the new name.
            Err(SubmitError::Store(StoreError::LeaseLost)) => {
                self.store().renamed(&replica, turns.lease).await;
                self.accept(turn).await
            }
            other => other,
        }
    }

    async fn accept(&self, turn: Turn) -> Result<Submitted, SubmitError> {
        let turns = &self.inner.shared.config.turns;
        let first = vec![started(&turn)];
        let queued = vec![started(&turn), waits(&turn)];
        // Ours before it is in the log, so that nobody here takes it for abandoned.
        let live = self.inner.live.take(turn.id, self.store().replica()).expect("the id is new, or was left again");
        let bounds = (turns.queued_most, turns.user_most);
        let accepted = self.store().accept(turn.clone(), json(&first), json(&queued), bounds).await;
        let (turn_id, user, conversation) = (turn.id, turn.user, turn.conversation.clone());
        let submitted = match accepted {
            Ok(Accepted::Running) => {
                live.publish(first.clone());
                self.run(turn, live, LogTail { events: first, steps: Vec::new(), entry: 1 });
                Submitted { turn_id, queued: false, known: false }
            }
            other => {
                self.inner.live.leave(turn_id);
                match other? {
                    Accepted::Known { turn, queued } => Submitted { turn_id: turn, queued, known: true },
                    Accepted::Full => {
                        self.inner.shared.metrics.turns_refused.inc();
                        return Err(SubmitError::Full { most: turns.queued_most });
                    }
                    Accepted::Running | Accepted::Queued => Submitted { turn_id, queued: true, known: false },
                }
            }
        };
        self.inner.live.touch(user, &conversation);
        Ok(submitted)
    }

    /// Runs a turn that is ours in a task of its own.
    pub(crate) fn run(&self, turn: Turn, live: Arc<Live>, log: LogTail) {
        let harness = self.clone();
        self.inner.tasks.spawn(async move { harness.run_all(turn, live, log).await });
    }

    /// Runs a turn, and then those of its conversation that waited for it.
    async fn run_all(&self, mut turn: Turn, mut live: Arc<Live>, mut log: LogTail) {
        loop {
            let next = self.run_one(&turn, &live, log).await;
            let touched = (turn.user, turn.conversation.clone());
            let Some(following) = next else { return };
            // If another task of ours found it first, that one runs it.
            let Some(taken) = self.inner.live.take(following.id, self.store().replica()) else { return };
            (turn, live) = (following, taken);
            log = match self.store().log(turn.id).await {
                Ok(log) => log,
                Err(error) => {
                    tracing::error!(%error, turn = %turn.id, "the log of a turn cannot be read");
                    self.inner.live.leave(turn.id);
                    return;
                }
            };
            self.inner.live.touch(touched.0, &touched.1);
        }
    }

    async fn run_one(&self, turn: &Turn, live: &Arc<Live>, log: LogTail) -> Option<Turn> {
        let inner = &self.inner;
        let metrics = &inner.shared.metrics;
        metrics.turns_started.inc();
        metrics.turns_running.inc();
        let (saving, saved_turn) = (inner.saving.clone(), turn.clone());
        let abandon = inner.abandon.clone();
        let user_saved = inner.tasks.spawn(async move {
            tokio::select! {
                saved = saving.user(&saved_turn) => saved,
                () = abandon.cancelled() => false,
            }
        });
        let run = Run::new(inner.shared.clone(), turn.clone(), live, log);
        let result = tokio::select! {
            biased;
            result = AssertUnwindSafe(run.run()).catch_unwind() => match result {
                Ok(result) => result,
                Err(_) => self.end_after_panic(turn, live).await,
            },
            () = inner.abandon.cancelled() => Err(StoreError::Closed),
        };
        metrics.turns_running.dec();
        let next = match result {
            Ok((next, ended)) => {
                self.save_answer(turn.clone(), ended, user_saved);
                next
            }
            Err(error) => {
                metrics.turns_given_up.inc();
                tracing::warn!(%error, turn = %turn.id, "a turn is left to be carried on");
                None
            }
        };
        inner.live.leave(turn.id);
        inner.live.touch(turn.user, &turn.conversation);
        next
    }

    /// The assistant's message is saved behind the user's; nobody waits for it.
    fn save_answer(&self, turn: Turn, ended: Ended, user_saved: tokio::task::JoinHandle<bool>) {
        let harness = self.clone();
        self.inner.tasks.spawn(async move {
            let save = async {
                if user_saved.await.unwrap_or(false) {
                    harness.inner.saving.assistant(&turn, &ended).await;
                }
            };
            tokio::select! {
                () = save => {}
                () = harness.inner.abandon.cancelled() => {}
            }
        });
    }

    /// A fault of ours must not leave the user without an end.
    async fn end_after_panic(&self, turn: &Turn, live: &Arc<Live>) -> Result<(Option<Turn>, Ended), StoreError> {
        tracing::error!(turn = %turn.id, "a turn panicked");
        // Behind what the turn may have written last.
        self.store().renew().await?;
        let log = self.store().log(turn.id).await?;
        Run::new(self.inner.shared.clone(), turn.clone(), live, log).fail().await
    }

    /// Stops a turn: the model, its tools, and what they run. It ends with [`crate::event::Outcome::Stopped`] within two seconds, wherever it runs.
    ///
    /// # Errors
    /// [`LookupError::Unknown`] for a turn of nobody or of another user.
    pub async fn stop(&self, user: UserId, turn: TurnId) -> Result<(), LookupError> {
        match self.store().note_stop(user, turn).await? {
            StopNoted::Unknown => Err(LookupError::Unknown),
            StopNoted::Ended => Ok(()),
            StopNoted::Running => {
                if let Some(live) = self.inner.live.get(turn) {
                    live.stop.cancel();
                }
                Ok(())
            }
            StopNoted::Ours(turn) => {
                if let Some(live) = self.inner.live.take(turn.id, self.store().replica()) {
                    live.stop.cancel();
                    let log = self.store().log(turn.id).await?;
                    self.run(*turn, live, log);
                }
                Ok(())
            }
        }
    }

    /// The events of a conversation: of turn `at.0` behind event `at.1`, or of the newest turn from its start, and of all turns behind it.
    /// Never ends by itself.
    pub fn watch(
        &self,
        user: UserId,
        conversation: ConversationId,
        at: Option<(TurnId, u64)>,
    ) -> impl Stream<Item = Result<Watched, StoreError>> + Send + use<> {
        let metrics = self.inner.shared.metrics.clone();
        let (live, store, owner) = (self.inner.live.clone(), self.store().clone(), at.map(|(turn, _)| turn));
        let watcher = Watcher::new(live, store.clone(), (user, conversation.clone()), at, metrics);
        let checked = async move {
            // A turn of another user or conversation is as unknown as one that never was: begin with the newest.
            match owner {
                Some(turn) => match store.turn(user, turn).await? {
                    Some((found, _)) if found.conversation == conversation => Ok(watcher),
                    _ => Ok(watcher.at_newest()),
                },
                None => Ok(watcher),
            }
        };
        let started = checked.map(|watcher: Result<Watcher, StoreError>| match watcher {
            Ok(watcher) => watcher.into_stream().left_stream(),
            Err(error) => futures_util::stream::iter([Err(error)]).right_stream(),
        });
        started.flatten_stream().boxed()
    }

    /// Conversations of a user, the newest first.
    ///
    /// # Errors
    /// If the turn log cannot be read.
    pub async fn conversations(&self, user: UserId) -> Result<Vec<ConversationRow>, StoreError> {
        self.store().conversations(user).await
    }

    /// Turns of a conversation before `before`, the newest first, at most 200.
    ///
    /// # Errors
    /// If the turn log cannot be read.
    pub async fn turns(
        &self,
        user: UserId,
        conversation: &ConversationId,
        before: Option<TurnId>,
        most: usize,
    ) -> Result<TurnPage, StoreError> {
        self.store().page(user, conversation, before, most.clamp(1, PAGE)).await
    }

    /// Events of a turn behind `after`, at most 1 000, and whether the turn has ended.
    ///
    /// # Errors
    /// [`LookupError::Unknown`] for a turn of nobody or of another user.
    pub async fn events(&self, user: UserId, turn: TurnId, after: u64) -> Result<(Vec<Numbered>, bool), LookupError> {
        let (_, ended) = self.store().turn(user, turn).await?.ok_or(LookupError::Unknown)?;
        Ok((self.store().events_after(turn, after, EVENTS).await?, ended))
    }

    /// What a user has here.
    ///
    /// # Errors
    /// If the turn log cannot be read.
    pub async fn count(&self, user: UserId) -> Result<Erased, StoreError> {
        self.store().count(user).await
    }

    /// Stops the user's turns and forgets the user. Returns what there was; [`Harness::count`] shows that nothing is left.
    ///
    /// # Errors
    /// If the turn log cannot be written; erasing again does the rest.
    pub async fn erase(&self, user: UserId) -> Result<Erased, StoreError> {
        for turn in self.store().open_turns(user).await? {
            if let Err(LookupError::Store(error)) = self.stop(user, turn).await {
                return Err(error);
            }
        }
        let poll = self.inner.shared.config.turns.poll;
        let deadline = tokio::time::Instant::now() + 4 * poll + 2 * self.inner.shared.config.limits.stop;
        while !self.store().open_turns(user).await?.is_empty() && tokio::time::Instant::now() < deadline {
            tokio::time::sleep(poll).await;
        }
        self.store().erase(user).await
    }

    /// Turns of a user behind `after` with their events, oldest first.
    ///
    /// # Errors
    /// If the turn log cannot be read.
    pub async fn export(
        &self,
        user: UserId,
        after: Option<TurnId>,
        most: usize,
    ) -> Result<Vec<ExportedTurn>, StoreError> {
        self.store().export(user, after, most.clamp(1, PAGE)).await
    }

    /// Turns that run here.
    #[must_use]
    pub fn running(&self) -> usize {
        self.inner.live.len()
    }

    /// Returns when everything has ended after `stop`: turns had `turns.drain` to end, the rest is left to other replicas at once.
    pub async fn stopped(&self) {
        self.inner.tasks.wait().await;
    }
}

/// The first event of a turn.
fn started(turn: &Turn) -> Numbered {
    let event = TurnEvent::TurnStarted {
        conversation_id: turn.conversation.to_string(),
        message_id: turn.message_id.to_string(),
        text: turn.text.clone(),
        channel: turn.channel.clone(),
    };
    Numbered { sequence: 1, at_ns: turn.started_at_ns, event }
}

/// The second one, if the turn has to wait.
fn waits(turn: &Turn) -> Numbered {
    let text = "This message waits for the answer before it.".to_owned();
    let event = TurnEvent::Notice { code: "QUEUED".to_owned(), text };
    Numbered { sequence: 2, at_ns: turn.started_at_ns, event }
}
