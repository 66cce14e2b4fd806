//! Containers as child processes of this machine.
//!
//! Each user has a directory; the container runs as `dexorder agent --config F --secrets F` with nothing of this process's environment, in
//! a group of its own, and ends with the process that started it, however that ends. Several replicas on one machine share a user's
//! container: whoever starts it writes `endpoint.json`, the others use it while it runs; a lock on the user's files keeps them from
//! starting two. What is done when is decided in [`crate::decision`].

mod identity;
mod launch;
mod lines;
mod log_file;
mod look;
mod slot;
mod spawn;
mod supervise;
mod template;
mod volume;

use crate::config::ProcessConfig;
use crate::decision::Rules;
use crate::metrics::ContainerMetrics;
use crate::provisioner::{ContainerState, Ensured, Erased, EventKey, Phase, ProvisionError, Provisioner};
use crate::tier::Tier;
use crate::tokens::ContainerTokens;
use async_trait::async_trait;
use futures_util::FutureExt;
use proto::UserId;
use service::clock::Clock;
use slot::{Last, Slot};
use spawn::Spawner;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use template::Template;
use tokio::sync::Semaphore;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use volume::{Locked, Volume, make_dir};

/// A container of another replica that answered so long ago is asked again before it is given out.
const FRESH: Duration = Duration::from_secs(5);
/// How often somebody who waits looks again.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// The longest pause between two starts of a container that crashes.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// Two replicas with different templates replace each other's containers at most this often.
const TEMPLATE_EVERY: Duration = Duration::from_secs(60);
/// Users that are remembered for each container that may run.
const SLOTS_PER_CONTAINER: usize = 4;

/// Runs containers as child processes. Clones share everything; dropping the last one kills what runs.
#[derive(Debug, Clone)]
pub struct ProcessProvisioner {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    config: ProcessConfig,
    template: Template,
    rules: Rules,
    clock: Clock,
    metrics: ContainerMetrics,
    spawner: Spawner,
    places: Arc<Semaphore>,
    slots: Mutex<HashMap<UserId, Arc<Slot>>>,
    tasks: TaskTracker,
    stop: CancellationToken,
    http: reqwest::Client,
    begun: Instant,
}

impl ProcessProvisioner {
    /// Makes the directory and everything that starts containers; starts none. Call it within the runtime. The TLS provider of the
    /// process must have been chosen.
    ///
    /// # Errors
    /// If the directory cannot be used.
    pub fn new(
        config: ProcessConfig,
        tokens: &dyn ContainerTokens,
        clock: Clock,
        metrics: ContainerMetrics,
    ) -> Result<Self, ProvisionError> {
        make_dir(&config.dir)?;
        let path = |source| ProvisionError::Volume { path: config.dir.clone(), source: Arc::new(source) };
        // Containers are told of it, and their own directory is another one.
        let dir = config.dir.canonicalize().map_err(path)?;
        let spawner = Spawner::new().map_err(path)?;
        let http = client().map_err(|error| path(std::io::Error::other(error)))?;
        // It is started in another directory than this process's. A name without a path is looked for as ever.
        let program = config.program.canonicalize().unwrap_or_else(|_| config.program.clone());
        let config = ProcessConfig { dir, program, ..config };
        let rules = Rules {
            silence: config.silence,
            template_every: TEMPLATE_EVERY,
            first_pause: config.first_pause,
            longest_pause: LONGEST_PAUSE,
            crashes: config.crashes,
            window: config.crash_window,
        };
        let shared = Shared {
            template: Template::new(config.clone(), tokens.trust()),
            rules,
            clock,
            metrics,
            spawner,
            places: Arc::new(Semaphore::new(config.most)),
            slots: Mutex::default(),
            tasks: TaskTracker::new(),
            stop: CancellationToken::new(),
            http,
            begun: Instant::now(),
            config,
        };
        Ok(Self { shared: Arc::new(shared) })
    }
}

/// Asks containers of this machine: no proxy, no redirect.
fn client() -> Result<reqwest::Client, reqwest::Error> {
    let builder = reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none());
    builder.connect_timeout(Duration::from_secs(2)).timeout(Duration::from_secs(2)).build()
}

impl Shared {
    fn slot(&self, owner: UserId) -> Arc<Slot> {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        if slots.len() >= self.config.most.saturating_mul(SLOTS_PER_CONTAINER).max(64) {
            slots.retain(|_, slot| Arc::strong_count(slot) > 1 || !slot.is_empty());
        }
        let slot = slots.entry(owner).or_insert_with(|| {
            let volume = Volume::new(&self.config.dir, owner);
            Arc::new(Slot::new(owner, volume))
        });
        Arc::clone(slot)
    }

    fn all_slots(&self) -> Vec<Arc<Slot>> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    /// Shows how many containers there are of each kind.
    fn recount(&self) {
        let phases: Vec<Phase> = self.all_slots().iter().map(|slot| self.known(slot)).collect();
        for phase in [Phase::Starting, Phase::Ready, Phase::Asleep, Phase::Failed] {
            self.metrics.count(phase, phases.iter().filter(|it| **it == phase).count());
        }
    }

    /// How a container is, without looking at the disk.
    fn known(&self, slot: &Slot) -> Phase {
        let crashes = slot.crashes(self.rules.window, self.begun).count;
        let inner = slot.lock();
        match (&inner.own, &inner.last) {
            (Some(own), _) if own.endpoint.is_some() => Phase::Ready,
            (Some(_), _) => Phase::Starting,
            _ if inner.flight.is_some() => Phase::Starting,
            _ if inner.foreign.as_ref().is_some_and(|foreign| foreign.process.runs()) => Phase::Ready,
            (None, Some((_, Last::Crashed))) if crashes >= self.rules.crashes => Phase::Failed,
            (None, Some(_)) => Phase::Asleep,
            (None, None) => Phase::Absent,
        }
    }

    /// Waits for the lock of a user's files. Who waits too long is ended from outside.
    async fn lock_files(&self, volume: &Volume) -> Result<Locked, ProvisionError> {
        loop {
            let volume = volume.clone();
            if let Some(locked) = blocking(move || volume.try_lock()).await? {
                return Ok(locked);
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Ends whatever runs of a user; the turn and the lock must be held.
    async fn end(&self, slot: &Slot) -> Result<(), ProvisionError> {
        let own = slot.lock().own.clone();
        if let Some(own) = own {
            own.running.stop();
            own.running.ended().await;
        }
        let volume = slot.volume.clone();
        let record = blocking(move || volume.record()).await?;
        slot.lock().foreign = None;
        match record {
            Some(record) if !record.process.end(self.config.stop_within).await => {
                Err(ProvisionError::Undying { pid: record.process.pid })
            }
            _ => Ok(()),
        }
    }
}

/// Works on files on a thread that may block.
async fn blocking<T, F>(work: F) -> Result<T, ProvisionError>
where
    T: Send + 'static,
    F: FnOnce() -> Result<T, ProvisionError> + Send + 'static,
{
    // It panics or is cancelled only with the process.
    tokio::task::spawn_blocking(work).await.unwrap_or(Err(ProvisionError::Stopping))
}

#[async_trait]
impl Provisioner for ProcessProvisioner {
    async fn ensure(&self, owner: UserId, tier: Tier) -> Result<Ensured, ProvisionError> {
        let shared = &self.shared;
        // Another tier may be on its way: then it is waited for, and replaced.
        loop {
            if shared.stop.is_cancelled() {
                return Err(ProvisionError::Stopping);
            }
            let slot = shared.slot(owner);
            if let Some(ensured) = slot.ready(tier, &shared.template.digest, FRESH) {
                return Ok(ensured);
            }
            let flight = slot.join(|| {
                let (shared, slot) = (Arc::clone(shared), Arc::clone(&slot));
                let task = self.shared.tasks.spawn(async move { (tier, shared.fly(&slot, tier).await) });
                task.map(move |done| done.unwrap_or((tier, Err(ProvisionError::Stopping)))).boxed()
            });
            let (flown, result) = flight.await;
            if flown == tier || result.is_err() {
                return result.inspect_err(|error| shared.metrics.refused(error));
            }
        }
    }

    async fn state(&self, owner: UserId) -> ContainerState {
        self.shared.describe(&self.shared.slot(owner)).await
    }

    fn suspect(&self, owner: UserId, instance: &str) {
        let slot = self.shared.slot(owner);
        let mut inner = slot.lock();
        if inner.suspected.as_ref().is_none_or(|(known, _)| known.as_ref() != instance) {
            inner.suspected = Some((Arc::from(instance), None));
        }
    }

    async fn stop(&self, owner: UserId) -> Result<(), ProvisionError> {
        let slot = self.shared.slot(owner);
        let _turn = slot.turn.lock().await;
        let _locked = self.shared.lock_files(&slot.volume).await?;
        self.shared.end(&slot).await
    }

    async fn erase(&self, owner: UserId) -> Result<Erased, ProvisionError> {
        let slot = self.shared.slot(owner);
        let _turn = slot.turn.lock().await;
        let locked = self.shared.lock_files(&slot.volume).await?;
        self.shared.end(&slot).await?;
        let volume = slot.volume.clone();
        let erased = blocking(move || {
            let (files_before, bytes_before) = volume.count()?;
            volume.remove()?;
            let (files_after, _) = volume.count()?;
            volume.forget_lock(&locked)?;
            Ok(Erased { files_before, bytes_before, files_after })
        });
        let erased = erased.await?;
        *slot.lock() = slot::Inner::default();
        self.shared.recount();
        Ok(erased)
    }

    async fn list(&self) -> Result<Vec<ContainerState>, ProvisionError> {
        let dir = self.shared.config.dir.clone();
        let owners = blocking(move || {
            let failed = |source| ProvisionError::Volume { path: dir.clone(), source: Arc::new(source) };
            let mut owners: Vec<UserId> = Vec::new();
            for entry in std::fs::read_dir(&dir).map_err(failed)? {
                let name = entry.map_err(failed)?.file_name();
                owners.extend(name.to_str().and_then(|name| name.parse::<UserId>().ok()));
            }
            owners.sort_unstable();
            Ok(owners)
        });
        let mut states = Vec::new();
        for owner in owners.await? {
            states.push(self.state(owner).await);
        }
        Ok(states)
    }

    async fn event_key(&self, owner: UserId) -> Result<Option<EventKey>, ProvisionError> {
        let volume = self.shared.slot(owner).volume.clone();
        blocking(move || volume.event_key()).await
    }

    async fn shutdown(&self) {
        self.shared.stop.cancel();
        for slot in self.shared.all_slots() {
            if let Some(own) = &slot.lock().own {
                own.running.stop();
            }
        }
        self.shared.tasks.close();
        self.shared.tasks.wait().await;
    }
}
