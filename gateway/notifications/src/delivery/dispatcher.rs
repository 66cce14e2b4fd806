//! Claims lanes and serves them: the shell around [`super::plan`].

use super::plan::{Facts, Step, Untaken, next, untaken};
use super::{Channel, Delivery};
use crate::config::DeliveryConfig;
use crate::error::StoreError;
use crate::metrics::{AttemptOutcome, NotificationMetrics};
use crate::notification::State;
use crate::preferences::{ChannelKind, Preferences};
use crate::store::{Pending, Release, Settlement, Store};
use crate::writer::WriterHandle;
use proto::UserId;
use service::clock::Clock;
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

/// Notifications of a user read at once.
const PAGE: u64 = 64;
/// Deliveries that happened but could not be stored, remembered so that they are not repeated.
const UNSTORED: usize = 10_000;
/// How often the backlog is counted.
const COUNT_EVERY: Duration = Duration::from_secs(15);

/// What the deliveries work with.
#[derive(Debug)]
pub(crate) struct DispatcherParts {
    pub(crate) store: Store,
    pub(crate) writer: WriterHandle,
    pub(crate) channels: Vec<Arc<dyn Channel>>,
    pub(crate) config: DeliveryConfig,
    pub(crate) clock: Clock,
    pub(crate) metrics: NotificationMetrics,
    pub(crate) replica: String,
}

/// Delivers for whichever users this replica can claim.
#[derive(Debug)]
pub(crate) struct Dispatcher {
    parts: DispatcherParts,
    registered: Vec<ChannelKind>,
    unstored: Mutex<HashMap<(UserId, u64), ChannelKind>>,
    /// Lanes served now. A wall clock that jumps ends leases early: not even then is a user served twice at a time here.
    running: Mutex<HashSet<UserId>>,
}

/// A lane that is served; it ends with this, also by a panic.
struct Running {
    dispatcher: Arc<Dispatcher>,
    user_id: UserId,
}

impl Running {
    /// `None` if it is served already.
    fn start(dispatcher: &Arc<Dispatcher>, user_id: UserId) -> Option<Self> {
        let started = dispatcher.running().insert(user_id);
        started.then(|| Self { dispatcher: Arc::clone(dispatcher), user_id })
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.dispatcher.running().remove(&self.user_id);
    }
}

/// One run of a user's lane.
struct Run {
    preferences: Preferences,
    present: bool,
    /// Channels that failed in this run: they are not asked again for each notification that waits.
    closed: Vec<ChannelKind>,
    until: Instant,
}

/// What became of one notification in this run.
struct Settled {
    settlement: Settlement,
    /// The other side was told: this must be stored before anything else is sent.
    sent: bool,
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

impl Dispatcher {
    pub(crate) fn new(parts: DispatcherParts) -> Arc<Self> {
        let registered = parts.channels.iter().map(|channel| channel.kind()).collect();
        Arc::new(Self { parts, registered, unstored: Mutex::default(), running: Mutex::default() })
    }

    /// Delivers until it is stopped; then waits for what is being sent.
    pub(crate) async fn run(self: Arc<Self>, due: Arc<Notify>, stop: CancellationToken) {
        let mut lanes = JoinSet::new();
        let (mut poll_at, mut count_at) = (Instant::now(), Instant::now());
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                () = due.notified() => {}
                () = sleep_until(poll_at) => {}
                Some(ended) = lanes.join_next() => report(ended),
            }
            while let Some(ended) = lanes.try_join_next() {
                report(ended);
            }
            poll_at = Instant::now() + self.parts.config.poll_interval;
            if Instant::now() >= count_at {
                count_at = Instant::now() + COUNT_EVERY;
                self.count_backlog().await;
            }
            let free = self.parts.config.lanes.get().saturating_sub(lanes.len());
            if free == 0 {
                continue;
            }
            let (now_ns, lease) = (self.parts.clock.now_ns(), self.parts.config.lease);
            let until = Instant::now() + lease;
            let until_ns = now_ns.saturating_add(nanoseconds(lease));
            match self.parts.store.claim(&self.parts.replica, (now_ns, until_ns), free).await {
                Ok(users) => {
                    for user_id in users {
                        if let Some(running) = Running::start(&self, user_id) {
                            lanes.spawn(lane(running, until, stop.clone()));
                        }
                    }
                }
                Err(error) => self.count_failure(&error),
            }
        }
        while let Some(ended) = lanes.join_next().await {
            report(ended);
        }
    }

    fn count_failure(&self, error: &StoreError) {
        self.parts.metrics.store_failures.inc();
        tracing::warn!(%error, "deliveries are behind");
    }

    async fn count_backlog(&self) {
        match self.parts.store.backlog().await {
            Ok((pending, dead)) => {
                self.parts.metrics.pending.set(i64::try_from(pending).unwrap_or(i64::MAX));
                self.parts.metrics.dead_letters.set(i64::try_from(dead).unwrap_or(i64::MAX));
            }
            Err(error) => self.count_failure(&error),
        }
    }

    /// Whether another notification can be tried before the lease ends.
    fn has_time(&self, run: &Run) -> bool {
        let channels = u32::try_from(self.registered.len()).unwrap_or(u32::MAX).saturating_add(1);
        Instant::now() + self.parts.config.attempt_timeout.saturating_mul(channels) < run.until
    }

    async fn serve(&self, user_id: UserId, until: Instant, stop: &CancellationToken) -> Result<(), StoreError> {
        let preferences = self.parts.store.preferences(user_id).await?.preferences;
        let present = self.parts.store.is_present(user_id, self.parts.clock.now_ns()).await?;
        let mut run = Run { preferences, present, closed: Vec::new(), until };
        loop {
            let page = self.parts.store.pending(user_id, self.parts.clock.now_ns(), PAGE).await?;
            if page.is_empty() {
                return Ok(());
            }
            let mut settlements = Vec::new();
            for pending in &page {
                if stop.is_cancelled() || !self.has_time(&run) {
                    return self.store(settlements).await;
                }
                let settled = self.settle(pending, &mut run).await;
                settlements.push(settled.settlement);
                if settled.sent {
                    self.store(std::mem::take(&mut settlements)).await?;
                }
            }
            self.store(settlements).await?;
        }
    }

    async fn store(&self, settlements: Vec<Settlement>) -> Result<(), StoreError> {
        if settlements.is_empty() {
            return Ok(());
        }
        let result = self.parts.writer.settle(settlements.clone()).await;
        let mut unstored = self.unstored();
        for settlement in settlements {
            let of = (settlement.user_id, settlement.number);
            match (&result, settlement.channel) {
                (Err(_), Some(channel)) if unstored.len() < UNSTORED => drop(unstored.insert(of, channel)),
                _ => drop(unstored.remove(&of)),
            }
        }
        result
    }

    fn running(&self) -> MutexGuard<'_, HashSet<UserId>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn unstored(&self) -> MutexGuard<'_, HashMap<(UserId, u64), ChannelKind>> {
        self.unstored.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn settle(&self, pending: &Pending, run: &mut Run) -> Settled {
        let now_ns = self.parts.clock.now_ns();
        let notification = &pending.notification;
        let of = (notification.user_id, notification.number);
        let settlement = |state, channel, attempts, due_ns| Settlement {
            user_id: of.0,
            number: of.1,
            state,
            channel,
            attempts,
            due_ns,
        };
        if let Some(channel) = self.unstored().get(&of).copied() {
            let settlement = settlement(State::Delivered, Some(channel), pending.attempts, 0);
            return Settled { settlement, sent: true };
        }
        let closed = run.closed.clone();
        let facts = Facts {
            now_ns,
            preferences: &run.preferences,
            present: run.present,
            registered: &self.registered,
            closed: &closed,
            config: &self.parts.config,
        };
        let ended = |state| {
            self.parts.metrics.settled(state);
            Settled { settlement: settlement(state, None, pending.attempts, 0), sent: false }
        };
        match next(pending, &facts) {
            Step::Expire => ended(State::Expired),
            Step::Keep => ended(State::Kept),
            Step::Die(reason) => {
                self.parts.metrics.died(reason, 1);
                tracing::error!(user_id = %of.0, number = of.1, ?reason, "a notification is given up");
                ended(State::Dead)
            }
            Step::Wait(due_ns) => {
                Settled { settlement: settlement(State::Pending, None, pending.attempts, due_ns), sent: false }
            }
            Step::Try(channels) => {
                let passed_over = closed.iter().filter(|kind| run.preferences.channels.contains(kind)).count();
                let (answers, taken) = self.push(pending, &channels, &mut run.closed).await;
                if let Some(channel) = taken {
                    let settlement = settlement(State::Delivered, Some(channel), pending.attempts, 0);
                    return Settled { settlement, sent: true };
                }
                match untaken(pending, &answers, passed_over, &facts) {
                    Untaken::Keep => ended(State::Kept),
                    Untaken::Die(reason) => {
                        self.parts.metrics.died(reason, 1);
                        tracing::error!(user_id = %of.0, number = of.1, ?reason, "a notification is given up");
                        let settlement = settlement(State::Dead, None, pending.attempts + 1, 0);
                        Settled { settlement, sent: true }
                    }
                    Untaken::Again(due_ns) => {
                        self.parts.metrics.settled(State::Pending);
                        let settlement = settlement(State::Pending, None, pending.attempts + 1, due_ns);
                        Settled { settlement, sent: true }
                    }
                }
            }
        }
    }

    /// Tries channels in order until one takes it.
    async fn push(
        &self,
        pending: &Pending,
        kinds: &[ChannelKind],
        closed: &mut Vec<ChannelKind>,
    ) -> (Vec<Delivery>, Option<ChannelKind>) {
        let mut answers = Vec::with_capacity(kinds.len());
        for kind in kinds {
            let Some(channel) = self.parts.channels.iter().find(|channel| channel.kind() == *kind) else { continue };
            let notification = &pending.notification;
            let deliver = channel.deliver(notification.user_id, notification);
            let answer = timeout(self.parts.config.attempt_timeout, deliver).await;
            let outcome = match answer {
                Ok(Delivery::Delivered) => AttemptOutcome::Delivered,
                Ok(Delivery::TryLater { .. }) => AttemptOutcome::TryLater,
                Ok(Delivery::Gone) => AttemptOutcome::Gone,
                Err(_) => AttemptOutcome::Timeout,
            };
            self.parts.metrics.attempt(*kind, outcome);
            let answer = answer.unwrap_or(Delivery::TryLater { after: None });
            match answer {
                Delivery::Delivered => return (answers, Some(*kind)),
                Delivery::TryLater { .. } => closed.push(*kind),
                Delivery::Gone => {}
            }
            answers.push(answer);
        }
        (answers, None)
    }
}

async fn lane(running: Running, until: Instant, stop: CancellationToken) {
    let Running { dispatcher, user_id } = &running;
    if let Err(error) = dispatcher.serve(*user_id, until, &stop).await {
        dispatcher.count_failure(&error);
    }
    let release = Release { user_id: *user_id, replica: dispatcher.parts.replica.clone() };
    if let Err(error) = dispatcher.parts.writer.release(release).await
        && !stop.is_cancelled()
    {
        // The lease ends by itself.
        dispatcher.count_failure(&error);
    }
}

fn report(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended {
        tracing::error!(%error, "a delivery ended by itself; its lease ends, and it is tried again");
    }
}
