//! What a replica does beside its turns: it keeps its lease, reads wishes to stop, looks for what others left, and forgets old turns.

use crate::event::TurnEvent;
use crate::harness::Harness;
use crate::store::{StoreError, Takeover, TakeoverKind};
use crate::turn::Ended;
use std::time::Duration;
use tokio::time::MissedTickBehavior;

/// Looks for unsaved messages come once in so many looks for abandoned turns.
const UNSAVED_EVERY: u32 = 10;

pub(crate) fn spawn(harness: &Harness) {
    let tasks = &harness.inner.tasks;
    let (scan, poll) = (harness.clone(), harness.clone());
    tasks.spawn(async move { scan.keep_lease().await });
    tasks.spawn(async move { poll.poll().await });
    let drain = harness.clone();
    tasks.spawn(async move { drain.drain().await });
}

fn every(period: Duration) -> tokio::time::Interval {
    let mut interval = tokio::time::interval(period.max(Duration::from_millis(1)));
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    interval
}

impl Harness {
    /// Renews the lease and takes over what others left, three times in a lease.
    async fn keep_lease(&self) {
        let turns = &self.inner.shared.config.turns;
        let mut ticks = every(turns.lease / 3);
        let mut looks = 0_u32;
        loop {
            tokio::select! {
                _ = ticks.tick() => {}
                () = self.inner.abandon.cancelled() => return,
            }
            match self.inner.shared.store.renew().await {
                Ok(()) => {}
                Err(StoreError::LeaseLost) => self.begin_anew().await,
                Err(error) => tracing::error!(%error, "the lease cannot be renewed"),
            }
            if self.inner.stop.is_cancelled() {
                continue;
            }
            let seldom = looks.is_multiple_of(UNSAVED_EVERY);
            let looked = async {
                self.look_for_abandoned().await?;
                if seldom { self.look_for_old().await } else { Ok(()) }
            };
            if let Err(error) = looked.await {
                tracing::error!(%error, "abandoned turns cannot be looked for");
            }
            looks = looks.wrapping_add(1);
        }
    }

    /// Others have our turns now; those that still run here fail at their next write.
    async fn begin_anew(&self) {
        self.inner.shared.metrics.leases_lost.inc();
        tracing::error!("this replica was declared dead; it begins anew under another name");
        if let Err(error) = self.inner.shared.store.register().await {
            tracing::error!(%error, "no new lease");
        }
    }

    async fn look_for_abandoned(&self) -> Result<(), StoreError> {
        let store = &self.inner.shared.store;
        store.bury().await?;
        self.carry_all_on(store.abandoned().await?).await
    }

    /// Messages that are not saved yet, and turns to be forgotten.
    async fn look_for_old(&self) -> Result<(), StoreError> {
        let shared = &self.inner.shared;
        while shared.store.forget(shared.config.turns.ttl).await? {}
        self.carry_all_on(shared.store.unsaved().await?).await
    }

    async fn carry_all_on(&self, found: Vec<Takeover>) -> Result<(), StoreError> {
        for takeover in found {
            if self.inner.live.len() >= self.inner.shared.config.turns.running_most {
                return Ok(());
            }
            self.carry_on(takeover).await?;
        }
        Ok(())
    }

    async fn carry_on(&self, takeover: Takeover) -> Result<(), StoreError> {
        let inner = &self.inner;
        let store = &inner.shared.store;
        let Some(live) = inner.live.take(takeover.turn.id, store.replica()) else { return Ok(()) };
        let ours = async {
            let ours = store.take_over(&takeover).await?;
            Ok::<_, StoreError>(if ours { Some(store.log(takeover.turn.id).await?) } else { None })
        };
        let log = match ours.await {
            Ok(Some(log)) => log,
            other => {
                inner.live.leave(takeover.turn.id);
                return other.map(|_| ());
            }
        };
        let Takeover { turn, kind, stopped, .. } = takeover;
        if kind == TakeoverKind::Unsaved {
            let ended = log.events.into_iter().rev().find_map(|event| match event.event {
                TurnEvent::TurnEnded { text, problem, .. } => Some(Ended { text, problem }),
                _ => None,
            });
            let harness = self.clone();
            inner.tasks.spawn(async move {
                let saving = &harness.inner.saving;
                if let Some(ended) = ended
                    && saving.user(&turn).await
                {
                    saving.assistant(&turn, &ended).await;
                }
                harness.inner.live.leave(turn.id);
            });
            return Ok(());
        }
        if kind == TakeoverKind::Abandoned {
            inner.shared.metrics.turns_taken_over.inc();
            tracing::info!(turn = %turn.id, "a turn is carried on");
        }
        if stopped {
            live.stop.cancel();
        }
        inner.live.touch(turn.user, &turn.conversation);
        self.run(turn, live, log);
        Ok(())
    }

    /// Reads what other replicas wrote for us: wishes to stop, and news of conversations that are watched here.
    async fn poll(&self) {
        let inner = &self.inner;
        let period = inner.shared.config.turns.poll;
        let mut ticks = every(period);
        let mut known = Vec::new();
        loop {
            tokio::select! {
                _ = ticks.tick() => {}
                () = inner.abandon.cancelled() => return,
            }
            if let Err(error) = self.look(&mut known, period).await {
                tracing::warn!(%error, "other replicas' writes cannot be read");
            }
        }
    }

    async fn look(&self, known: &mut Vec<(String, i64)>, period: Duration) -> Result<(), StoreError> {
        let (store, live) = (&self.inner.shared.store, &self.inner.live);
        if live.len() > 0 {
            for turn in store.stops().await? {
                if let Some(live) = live.get(turn) {
                    live.stop.cancel();
                }
            }
        }
        if !live.is_watched() {
            return Ok(());
        }
        let others = store.others().await?;
        if *known != others {
            // Turns that ended since the last look, and some time for clocks that differ.
            for (user, conversation) in store.elsewhere(period * 4 + Duration::from_secs(10)).await? {
                live.touch(user, &conversation);
            }
            *known = others;
        }
        Ok(())
    }

    /// After the wish to stop: turns may end, then they are left to others.
    async fn drain(&self) {
        let inner = &self.inner;
        inner.stop.cancelled().await;
        let deadline = tokio::time::Instant::now() + inner.shared.config.turns.drain;
        while inner.live.len() > 0 && tokio::time::Instant::now() < deadline {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        inner.abandon.cancel();
        if let Err(error) = inner.shared.store.release().await {
            tracing::warn!(%error, "the lease is not given back; others wait for its end");
        }
        inner.tasks.close();
    }
}
