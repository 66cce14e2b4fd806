//! What one replica knows of one user's container.

use super::identity::Identity;
use super::supervise::{Exit, Running};
use super::volume::Volume;
use crate::decision::Crashes;
use crate::provisioner::{Endpoint, Ensured, How, ProvisionError};
use crate::tier::Tier;
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared};
use proto::UserId;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// A start that several may wait for, and the tier that it is for.
pub(crate) type Flight = Shared<BoxFuture<'static, (Tier, Result<Ensured, ProvisionError>)>>;

/// A container that this process started.
#[derive(Debug, Clone)]
pub(crate) struct Own {
    pub(crate) running: Running,
    pub(crate) instance: Arc<str>,
    pub(crate) template: Arc<str>,
    pub(crate) started: Instant,
    /// There as soon as it is ready.
    pub(crate) endpoint: Option<Endpoint>,
}

/// A container that another replica started.
#[derive(Debug, Clone)]
pub(crate) struct Foreign {
    pub(crate) process: Identity,
    pub(crate) endpoint: Endpoint,
    pub(crate) template: Arc<str>,
    /// When it last answered.
    pub(crate) answered: Instant,
}

/// How the last one of this process ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Last {
    Asleep,
    Stopped,
    Crashed,
}

#[derive(Debug, Default)]
pub(crate) struct Inner {
    pub(crate) own: Option<Own>,
    pub(crate) foreign: Option<Foreign>,
    pub(crate) flight: Option<Flight>,
    /// The instance that did not answer somebody, and since when it does not answer us.
    pub(crate) suspected: Option<(Arc<str>, Option<Instant>)>,
    pub(crate) last: Option<(Arc<str>, Last)>,
    pub(crate) crashes: VecDeque<Instant>,
    pub(crate) failure: Option<ProvisionError>,
    pub(crate) since_ns: u64,
}

/// One user.
#[derive(Debug)]
pub(crate) struct Slot {
    pub(crate) owner: UserId,
    pub(crate) volume: Volume,
    /// Held by whoever starts, ends or erases.
    pub(crate) turn: tokio::sync::Mutex<()>,
    inner: Mutex<Inner>,
}

impl Slot {
    pub(crate) fn new(owner: UserId, volume: Volume) -> Self {
        Self { owner, volume, turn: tokio::sync::Mutex::default(), inner: Mutex::default() }
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The container if it is known to run and to fit; `fresh` is how long ago one of another replica may have answered.
    pub(crate) fn ready(&self, tier: Tier, template: &str, fresh: Duration) -> Option<Ensured> {
        let inner = self.lock();
        let endpoint = match (&inner.own, &inner.foreign) {
            (Some(own), _) if own.template.as_ref() == template => own.endpoint.clone()?,
            (None, Some(foreign)) if foreign.template.as_ref() == template => {
                if foreign.answered.elapsed() > fresh || !foreign.process.runs() {
                    return None;
                }
                foreign.endpoint.clone()
            }
            _ => return None,
        };
        let suspected = inner.suspected.as_ref().is_some_and(|(instance, _)| *instance == endpoint.instance);
        (endpoint.tier == tier && !suspected).then_some(Ensured { endpoint, how: How::Reused })
    }

    /// Joins the start that is under way, or begins one.
    pub(crate) fn join(
        &self,
        begin: impl FnOnce() -> BoxFuture<'static, (Tier, Result<Ensured, ProvisionError>)>,
    ) -> Flight {
        let mut inner = self.lock();
        inner.flight.get_or_insert_with(|| begin().shared()).clone()
    }

    /// Notes how a container of this process ended.
    pub(crate) fn ended(&self, instance: &Arc<str>, last: Last, now_ns: u64) {
        let mut inner = self.lock();
        if inner.own.as_ref().is_some_and(|own| own.instance == *instance) {
            inner.own = None;
        }
        if last == Last::Crashed {
            inner.crashes.push_back(Instant::now());
        }
        inner.last = Some((Arc::clone(instance), last));
        inner.since_ns = now_ns;
    }

    /// The crashes that count, measured from `begun`.
    pub(crate) fn crashes(&self, window: Duration, begun: Instant) -> Crashes {
        let mut inner = self.lock();
        while inner.crashes.front().is_some_and(|at| at.elapsed() >= window) {
            inner.crashes.pop_front();
        }
        let since = |at: Option<&Instant>| at.map_or(Duration::ZERO, |at| at.duration_since(begun));
        Crashes {
            count: u32::try_from(inner.crashes.len()).unwrap_or(u32::MAX),
            first: since(inner.crashes.front()),
            last: since(inner.crashes.back()),
        }
    }

    /// Nothing is known that a new slot would not find out.
    pub(crate) fn is_empty(&self) -> bool {
        let inner = self.lock();
        inner.own.is_none() && inner.flight.is_none() && inner.crashes.is_empty()
    }
}

/// How a container ended, judged by its code and its marker.
pub(crate) fn judge(exit: Exit, marker: impl FnOnce() -> bool) -> Last {
    if exit.is_stop() {
        Last::Stopped
    } else if exit.is_sleep() && marker() {
        Last::Asleep
    } else {
        Last::Crashed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_alone_is_no_sleep() {
        for (name, exit, marker, expected) in [
            ("42 with its marker", Exit::Code(42), true, Last::Asleep),
            ("42 without", Exit::Code(42), false, Last::Crashed),
            ("a marker, but another code", Exit::Code(1), true, Last::Crashed),
            ("0", Exit::Code(0), false, Last::Stopped),
            ("told to", Exit::Told, false, Last::Stopped),
            ("killed", Exit::Signal(9), true, Last::Crashed),
        ] {
            assert_eq!(judge(exit, || marker), expected, "{name}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn crashes_count_for_a_while() {
        let slot = Slot::new(UserId::from_bits(1), Volume::new(std::path::Path::new("/nowhere"), UserId::from_bits(1)));
        let (begun, window) = (Instant::now(), Duration::from_secs(100));
        for _ in 0..3 {
            tokio::time::advance(Duration::from_secs(40)).await;
            slot.ended(&Arc::from("i"), Last::Crashed, 1);
        }
        let crashes = slot.crashes(window, begun);
        assert_eq!((crashes.count, crashes.first.as_secs(), crashes.last.as_secs()), (3, 40, 120));
        tokio::time::advance(Duration::from_secs(30)).await;
        assert_eq!(slot.crashes(window, begun).count, 2);
        assert!(!slot.is_empty());
        tokio::time::advance(window).await;
        assert_eq!(slot.crashes(window, begun), Crashes::default());
        assert!(slot.is_empty());
    }
}
