//! What is there of a user's container: facts for the decision, and a description for people.

use super::slot::{Foreign, Last, Own, Slot};
use super::volume::Record;
use super::{Shared, blocking};
use crate::decision::{Facts, Fit, Found, Room};
use crate::provisioner::{ContainerState, Endpoint, Phase, ProvisionError};
use crate::tier::Tier;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// What a look found, and how to reach it.
#[derive(Debug)]
pub(crate) struct Seen {
    pub(crate) facts: Facts,
    pub(crate) endpoint: Option<Endpoint>,
}

impl Shared {
    /// Looks at everything that the decision needs. The turn and the lock must be held.
    pub(crate) async fn look(&self, slot: &Slot, tier: Tier) -> Result<Seen, ProvisionError> {
        let own = slot.lock().own.clone();
        let (found, running) = match own {
            Some(own) => (self.look_at_own(slot, &own).await, Some((own.endpoint, own.template, own.started))),
            None => self.look_at_disk(slot).await?,
        };
        let (endpoint, fit, started) = match running {
            None => (None, Fit::Same, Duration::ZERO),
            Some((endpoint, template, started)) => {
                let fit = match &endpoint {
                    Some(endpoint) if endpoint.tier != tier => Fit::OtherTier,
                    Some(_) if template == self.template.digest => Fit::Same,
                    _ => Fit::OtherTemplate,
                };
                (endpoint, fit, started.saturating_duration_since(self.begun))
            }
        };
        let crashes = slot.crashes(self.rules.window, self.begun);
        let room = if self.places.available_permits() > 0 { Room::Free } else { Room::Taken };
        let facts = Facts { found, fit, started, crashes, room, now: self.begun.elapsed() };
        Ok(Seen { facts, endpoint })
    }

    async fn look_at_own(&self, slot: &Slot, own: &Own) -> Found {
        let Some(endpoint) = &own.endpoint else {
            // A start that nobody carries on: it was given up at its deadline and is on its way out.
            return Found::Silent { since: self.begun.elapsed() };
        };
        let suspected = slot.lock().suspected.as_ref().is_some_and(|(instance, _)| *instance == own.instance);
        if !suspected || self.answers(endpoint).await {
            self.trust_again(slot);
            return Found::Ready;
        }
        self.silent(slot, &own.instance)
    }

    fn trust_again(&self, slot: &Slot) {
        slot.lock().suspected = None;
    }

    fn silent(&self, slot: &Slot, instance: &Arc<str>) -> Found {
        let mut inner = slot.lock();
        let since = inner.suspected.as_ref().and_then(|(_, since)| *since).unwrap_or_else(Instant::now);
        inner.suspected = Some((Arc::clone(instance), Some(since)));
        Found::Silent { since: since.saturating_duration_since(self.begun) }
    }

    async fn look_at_disk(
        &self,
        slot: &Slot,
    ) -> Result<(Found, Option<(Option<Endpoint>, Arc<str>, Instant)>), ProvisionError> {
        let volume = slot.volume.clone();
        let (exists, record) = blocking(move || Ok((volume.exists(), volume.record()?))).await?;
        let Some(record) = record else {
            let found = match (&slot.lock().last, exists) {
                (Some((_, Last::Crashed)), _) => Found::Crashed,
                (_, true) => Found::Stopped,
                (_, false) => Found::Nothing,
            };
            return Ok((found, None));
        };
        if record.process.runs() {
            let endpoint = endpoint(&record);
            let template: Arc<str> = record.template.as_str().into();
            let found = if self.answers(&endpoint).await {
                self.trust_again(slot);
                let process = record.process.clone();
                let foreign = Foreign {
                    process,
                    endpoint: endpoint.clone(),
                    template: Arc::clone(&template),
                    answered: Instant::now(),
                };
                slot.lock().foreign = Some(foreign);
                Found::Ready
            } else {
                self.silent(slot, &endpoint.instance)
            };
            let age = Duration::from_nanos(self.clock.now_ns().saturating_sub(record.at_ns));
            let started = Instant::now().checked_sub(age).unwrap_or(self.begun);
            return Ok((found, Some((Some(endpoint), template, started))));
        }
        slot.lock().foreign = None;
        Ok((self.how_it_ended(slot, record).await?, None))
    }

    async fn how_it_ended(&self, slot: &Slot, record: Record) -> Result<Found, ProvisionError> {
        // Names of instances grow with time: one of this process may have ended before it came to be recorded.
        if let Some((_, last)) = slot.lock().last.as_ref().filter(|(ended, _)| **ended >= *record.instance) {
            return Ok(match last {
                Last::Asleep => Found::Asleep,
                Last::Stopped => Found::Stopped,
                Last::Crashed => Found::Crashed,
            });
        }
        let volume = slot.volume.clone();
        let asleep = blocking(move || Ok(volume.is_asleep(&record.instance))).await?;
        // Without a marker it went with the platform, or with the replica, that had started it: no fault of its own.
        Ok(if asleep { Found::Asleep } else { Found::Stopped })
    }

    /// Whether a container answers.
    pub(crate) async fn answers(&self, endpoint: &Endpoint) -> bool {
        let Some(base) = endpoint.mcp_url.strip_suffix("/mcp") else { return false };
        let answer = self.http.get(format!("{base}/healthz")).send().await;
        answer.is_ok_and(|answer| answer.status().is_success())
    }

    /// How a container is, for people.
    pub(crate) async fn describe(&self, slot: &Slot) -> ContainerState {
        let phase = self.known(slot);
        let volume = slot.volume.clone();
        let read = blocking(move || {
            let record = volume.record()?;
            let asleep = record.as_ref().is_some_and(|record| volume.is_asleep(&record.instance));
            Ok((volume.exists(), asleep, record))
        });
        let (owner, read) = (slot.owner, read.await);
        let (exists, asleep, record) = match read {
            Ok(read) => read,
            Err(error) => {
                let message = error.for_user().to_owned();
                return ContainerState { owner, state: Phase::Failed, tier: None, since_ns: 0, message };
            }
        };
        let runs = record.as_ref().is_some_and(|record| record.process.runs());
        let state = match phase {
            Phase::Starting | Phase::Ready | Phase::Failed => phase,
            _ if runs => Phase::Ready,
            _ if exists => Phase::Asleep,
            _ => Phase::Absent,
        };
        let inner = slot.lock();
        let message = match (state, &inner.failure) {
            (Phase::Failed, Some(error)) => error.for_user(),
            (Phase::Failed, None) => "your workspace fails to start",
            (Phase::Absent, _) => "no workspace yet; it is made when it is first needed",
            (Phase::Starting, _) => "your workspace is starting",
            (Phase::Ready, _) => "your workspace is running",
            (Phase::Asleep, _) if asleep => "your workspace sleeps; it wakes when it is needed",
            (Phase::Asleep, _) => "your workspace is stopped; it starts when it is needed",
        };
        let started = record.as_ref().map_or(0, |record| record.at_ns);
        let since_ns = inner.since_ns.max(started);
        let tier = record.map(|record| record.tier);
        ContainerState { owner, state, tier, since_ns, message: message.to_owned() }
    }
}

fn endpoint(record: &Record) -> Endpoint {
    Endpoint {
        mcp_url: record.mcp_url.as_str().into(),
        events: record.events.clone(),
        admin: record.admin.clone(),
        instance: record.instance.as_str().into(),
        audience: record.audience.as_str().into(),
        tier: record.tier,
    }
}
