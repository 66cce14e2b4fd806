//! A start, from the wish to a container that answers.

use super::slot::{Last, Own, Slot, judge};
use super::supervise::{Care, Running, supervise};
use super::volume::Record;
use super::{LOOK_EVERY, Shared, blocking};
use crate::decision::{Decision, decide};
use crate::provisioner::{Endpoint, Ensured, How, ProvisionError};
use crate::tier::Tier;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;
use tokio::process::Command;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;

/// Ends a start that was given up.
struct UnlessReady(Option<Running>);

impl Drop for UnlessReady {
    fn drop(&mut self) {
        if let Some(running) = &self.0 {
            running.kill();
        }
    }
}

impl Shared {
    /// Makes a user's container run, for all who wait.
    pub(super) async fn fly(self: &Arc<Self>, slot: &Arc<Slot>, tier: Tier) -> Result<Ensured, ProvisionError> {
        let (begun, after) = (Instant::now(), self.config.ready_within);
        self.recount();
        let result = tokio::select! {
            result = tokio::time::timeout(after, self.bring_up(slot, tier)) => {
                result.unwrap_or(Err(ProvisionError::NotReady { after }))
            }
            () = self.stop.cancelled() => Err(ProvisionError::Stopping),
        };
        {
            let mut inner = slot.lock();
            inner.flight = None;
            inner.failure = result.as_ref().err().cloned();
        }
        match &result {
            Ok(ensured) => self.metrics.started(ensured.how, begun.elapsed()),
            Err(error) => tracing::warn!(owner = %slot.owner, %error, "no container"),
        }
        self.recount();
        result
    }

    async fn bring_up(self: &Arc<Self>, slot: &Arc<Slot>, tier: Tier) -> Result<Ensured, ProvisionError> {
        let _turn = slot.turn.lock().await;
        let _locked = self.lock_files(&slot.volume).await?;
        // What made it necessary in the first place, however often it then has to be tried.
        let mut first = None;
        loop {
            let seen = self.look(slot, tier).await?;
            let start = match decide(&seen.facts, &self.rules) {
                Decision::Reuse => {
                    let endpoint = seen.endpoint.ok_or(ProvisionError::Stopping)?;
                    return Ok(Ensured { endpoint, how: first.unwrap_or(How::Reused) });
                }
                Decision::Wait { until } => {
                    let left = until.saturating_sub(self.begun.elapsed());
                    tokio::time::sleep(left.min(LOOK_EVERY)).await;
                    continue;
                }
                Decision::Full => return Err(ProvisionError::Full { most: self.config.most }),
                Decision::GiveUp { until } => return Err(self.give_up(slot, until, seen.facts.crashes.count)),
                Decision::Replace(how) => {
                    self.end(slot).await?;
                    how
                }
                Decision::Start(how) => how,
            };
            let how = *first.get_or_insert(start);
            if let Some(endpoint) = self.start(slot, tier).await? {
                tracing::info!(owner = %slot.owner, instance = %endpoint.instance, ?how, "a container is ready");
                return Ok(Ensured { endpoint, how });
            }
        }
    }

    fn give_up(&self, slot: &Slot, until: Duration, crashes: u32) -> ProvisionError {
        ProvisionError::CrashLoop {
            crashes,
            window: self.rules.window,
            retry_after: until.saturating_sub(self.begun.elapsed()),
            log: slot.volume.log(),
        }
    }

    /// Starts a container and waits until it answers; `None` if it ended before.
    async fn start(self: &Arc<Self>, slot: &Arc<Slot>, tier: Tier) -> Result<Option<Endpoint>, ProvisionError> {
        let full = |_| ProvisionError::Full { most: self.config.most };
        let place = Arc::clone(&self.places).try_acquire_owned().map_err(full)?;
        let instance: Arc<str> =
            ulid::Ulid::from_parts(self.clock.now_ns() / 1_000_000, rand::random()).to_string().into();
        let mut file = self.template.file(slot.owner, tier, &instance, &slot.volume);
        let volume = slot.volume.clone();
        blocking(move || volume.prepare(&mut file)).await?;
        let running = self.spawn(slot, tier, &instance, place).await?;
        let mut given_up = UnlessReady(Some(running.clone()));
        let own = Own {
            running: running.clone(),
            instance: Arc::clone(&instance),
            template: Arc::clone(&self.template.digest),
            started: Instant::now(),
            endpoint: None,
        };
        {
            let mut inner = slot.lock();
            // It may have ended already; then the word of its end came first.
            if inner.last.as_ref().is_none_or(|(ended, _)| *ended != instance) {
                inner.own = Some(own);
            }
        }
        self.recount();
        let Some(endpoint) = self.until_ready(slot, tier, &running, &instance).await else { return Ok(None) };
        let record = Record {
            instance: instance.to_string(),
            process: running.identity.clone(),
            mcp_url: endpoint.mcp_url.to_string(),
            events: endpoint.events.clone(),
            admin: endpoint.admin.clone(),
            audience: endpoint.audience.to_string(),
            tier,
            template: self.template.digest.to_string(),
            at_ns: self.clock.now_ns(),
        };
        let (volume, at_ns) = (slot.volume.clone(), record.at_ns);
        blocking(move || volume.keep(&record)).await?;
        given_up.0 = None;
        let mut inner = slot.lock();
        let Some(own) = inner.own.as_mut().filter(|own| own.instance == instance) else { return Ok(None) };
        own.endpoint = Some(endpoint.clone());
        (inner.since_ns, inner.suspected) = (at_ns, None);
        Ok(Some(endpoint))
    }

    async fn spawn(
        self: &Arc<Self>,
        slot: &Arc<Slot>,
        tier: Tier,
        instance: &Arc<str>,
        place: OwnedSemaphorePermit,
    ) -> Result<Running, ProvisionError> {
        let program = &self.config.program;
        let failed = |source| ProvisionError::Spawn { program: program.clone(), source: Arc::new(source) };
        let mut command = Command::new(program);
        command
            .arg("agent")
            .arg("--config")
            .arg(slot.volume.config())
            .arg("--secrets")
            .arg(slot.volume.secrets())
            .current_dir(slot.volume.data())
            .env_clear()
            .envs(&self.config.environment)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let child = self.spawner.spawn(command, tier.memory_bytes()).await.map_err(failed)?;
        let care = Care { log: slot.volume.log(), stop_within: self.config.stop_within, tasks: self.tasks.clone() };
        let (shared, slot, instance) = (Arc::downgrade(self), Arc::clone(slot), Arc::clone(instance));
        supervise(child, care, move |exit| async move {
            let volume = slot.volume.clone();
            let named = Arc::clone(&instance);
            let judged = tokio::task::spawn_blocking(move || judge(exit, || volume.is_asleep(&named))).await;
            let last = judged.unwrap_or(Last::Crashed);
            drop(place);
            let Some(shared) = shared.upgrade() else { return };
            shared.note_end(&slot, &instance, (tier, last), exit).await;
        })
        .map_err(failed)
    }

    async fn note_end(
        &self,
        slot: &Slot,
        instance: &Arc<str>,
        (tier, last): (Tier, Last),
        exit: super::supervise::Exit,
    ) {
        if last == Last::Crashed {
            self.metrics.crashes.inc();
            tracing::warn!(owner = %slot.owner, %instance, ?exit, log = %slot.volume.log().display(), "a container crashed");
        } else {
            tracing::info!(owner = %slot.owner, %instance, ?last, "a container ended");
        }
        let forget = tier == Tier::Anonymous && last == Last::Asleep;
        slot.ended(instance, last, self.clock.now_ns());
        if forget && let Err(error) = self.forget(slot).await {
            tracing::warn!(owner = %slot.owner, %error, "what an anonymous user left stays");
        }
        self.recount();
    }

    /// What an anonymous user has goes with the container, unless somebody is about to start it again.
    async fn forget(&self, slot: &Slot) -> Result<(), ProvisionError> {
        let Ok(_turn) = slot.turn.try_lock() else { return Ok(()) };
        let volume = slot.volume.clone();
        blocking(move || {
            let Some(locked) = volume.try_lock()? else { return Ok(()) };
            volume.remove()?;
            volume.forget_lock(&locked)
        })
        .await?;
        let mut inner = slot.lock();
        (inner.last, inner.since_ns) = (None, 0);
        Ok(())
    }

    /// Waits until it says that it is ready and answers; `None` if it ends before.
    async fn until_ready(&self, slot: &Slot, tier: Tier, running: &Running, instance: &Arc<str>) -> Option<Endpoint> {
        let mut announced = running.announced.clone();
        let said = async {
            // The sender goes with the container.
            let said = announced.wait_for(|said| said.ready && said.mcp_url.is_some()).await.ok()?.clone();
            let endpoint = Endpoint {
                mcp_url: said.mcp_url?,
                events: said.events,
                admin: said.admin,
                instance: Arc::clone(instance),
                audience: self.template.audience(slot.owner),
                tier,
            };
            while !self.answers(&endpoint).await {
                tokio::time::sleep(LOOK_EVERY).await;
            }
            Some(endpoint)
        };
        tokio::select! {
            endpoint = said => endpoint,
            _exit = running.ended() => None,
        }
    }
}
