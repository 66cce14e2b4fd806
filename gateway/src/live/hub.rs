//! Who follows which topic, and what must be subscribed upstream for it.
//!
//! A topic is followed while a client or a cached series wants it, and `linger` longer, so that a page that switches back
//! and forth causes no traffic upstream. The hub never waits: it fills outboxes and notes changes, which the upstream task
//! takes with [`Hub::take_changes`].

use crate::live::outbox::{Class, Outbox, Pushed, TopicId};
use crate::metrics::LiveMetrics;
use ahash::AHashMap;
use axum::extract::ws::Utf8Bytes;
use proto::Topic;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::Instant;

/// Limits of the hub.
#[derive(Debug, Clone, Copy)]
pub(crate) struct HubLimits {
    pub(crate) clients: usize,
    pub(crate) topics: usize,
    pub(crate) client_topics: usize,
    pub(crate) client_events: usize,
    pub(crate) linger: Duration,
}

/// What the upstream task shall do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Change {
    Subscribe(Arc<str>),
    Unsubscribe(Arc<str>),
}

/// Why a client or a topic was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum HubFull {
    #[error("too many sockets")]
    Clients,
    #[error("too many topics of one client")]
    ClientTopics,
    #[error("too many topics")]
    Topics,
}

/// A message for all clients of a topic.
#[derive(Debug, Clone)]
pub(crate) struct Outgoing {
    pub(crate) class: Class,
    /// Only the last value with the highest order is repeated to late clients: the open time of a candle, else 0.
    pub(crate) order: u64,
    pub(crate) text: Utf8Bytes,
}

/// A client's place in the hub. Leave with [`Hub::leave`].
#[derive(Debug, Clone)]
pub(crate) struct Client {
    id: u64,
    pub(crate) outbox: Arc<Outbox>,
}

#[derive(Debug)]
struct Entry {
    id: TopicId,
    followers: Vec<Client>,
    /// Cached series that need the topic.
    holds: usize,
    last: Option<(u64, Utf8Bytes)>,
    /// When the last follower left.
    unwanted_since: Option<Instant>,
}

#[derive(Debug, Default)]
struct Table {
    topics: AHashMap<Arc<str>, Entry>,
    names: AHashMap<TopicId, Arc<str>>,
    clients: AHashMap<u64, Arc<Outbox>>,
    changes: Vec<Change>,
    health: Option<Utf8Bytes>,
    next_client: u64,
    next_topic: TopicId,
    closing: Option<u16>,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Hub {
    limits: HubLimits,
    metrics: LiveMetrics,
    table: Mutex<Table>,
    changed: Notify,
}

impl Hub {
    pub(crate) fn new(limits: HubLimits, metrics: LiveMetrics) -> Self {
        Self { limits, metrics, table: Mutex::default(), changed: Notify::new() }
    }

    /// Locks in the order table → outbox; no lock is held across an await.
    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes in a client and queues the last health for it.
    pub(crate) fn join(&self) -> Result<Client, HubFull> {
        let mut table = self.table();
        if table.clients.len() >= self.limits.clients {
            return Err(HubFull::Clients);
        }
        let outbox = Arc::new(Outbox::new(self.limits.client_events));
        if let Some(health) = &table.health {
            outbox.push_health(health.clone());
        }
        if let Some(code) = table.closing {
            outbox.close(code);
        }
        table.next_client += 1;
        let id = table.next_client;
        table.clients.insert(id, outbox.clone());
        self.metrics.sockets.set(count(table.clients.len()));
        Ok(Client { id, outbox })
    }

    /// Lets a client go.
    pub(crate) fn leave(&self, client: &Client) {
        let mut table = self.table();
        table.clients.remove(&client.id);
        self.metrics.sockets.set(count(table.clients.len()));
        let topics = client.outbox.lanes().topics();
        for topic in topics {
            if let Some(name) = table.names.get(&topic).cloned() {
                table.drop_follower(&name, client.id);
            }
        }
    }

    /// Follows topics, all or none, and queues the last value of each new one.
    pub(crate) fn subscribe(&self, client: &Client, topics: &[Topic]) -> Result<(), HubFull> {
        let names: Vec<Arc<str>> = topics.iter().map(|topic| topic.to_string().into()).collect();
        let mut table = self.table();
        let mut lanes = client.outbox.lanes();
        let (mut fresh, mut unknown) = (Vec::with_capacity(names.len()), 0);
        for name in names {
            let entry = table.topics.get(&name);
            if !entry.is_some_and(|entry| lanes.follows(entry.id)) && !fresh.contains(&name) {
                unknown += usize::from(entry.is_none());
                fresh.push(name);
            }
        }
        if lanes.followed() + fresh.len() > self.limits.client_topics {
            return Err(HubFull::ClientTopics);
        }
        if table.topics.len() + unknown > self.limits.topics {
            return Err(HubFull::Topics);
        }
        let mut queued = false;
        for name in fresh {
            let entry = table.want(&name);
            entry.followers.push(client.clone());
            lanes.follow(entry.id, name);
            if let Some((order, text)) = &entry.last {
                lanes.push(entry.id, Class::Latest { version: *order }, text.clone());
                queued = true;
            }
        }
        drop(lanes);
        self.metrics.topics.set(count(table.topics.len()));
        drop(table);
        if queued {
            client.outbox.notify();
        }
        self.changed.notify_one();
        Ok(())
    }

    /// Follows topics no longer.
    pub(crate) fn unsubscribe(&self, client: &Client, topics: &[Topic]) {
        let mut table = self.table();
        for topic in topics {
            let name = topic.to_string();
            if let Some(entry) = table.topics.get(name.as_str())
                && client.outbox.lanes().forget(entry.id)
            {
                table.drop_follower(&name, client.id);
            }
        }
    }

    /// Keeps a topic subscribed for a cached series. False if there are too many topics.
    pub(crate) fn hold(&self, topic: &Topic) -> bool {
        let name: Arc<str> = topic.to_string().into();
        let mut table = self.table();
        if !table.topics.contains_key(&name) && table.topics.len() >= self.limits.topics {
            return false;
        }
        table.want(&name).holds += 1;
        self.metrics.topics.set(count(table.topics.len()));
        drop(table);
        self.changed.notify_one();
        true
    }

    /// Ends a [`Hub::hold`].
    pub(crate) fn release(&self, topic: &Topic) {
        let mut table = self.table();
        if let Some(entry) = table.topics.get_mut(topic.to_string().as_str()) {
            entry.holds = entry.holds.saturating_sub(1);
            entry.note_unwanted();
        }
    }

    /// The number of a topic that is followed; another one each time that it is subscribed anew.
    pub(crate) fn followed(&self, topic: &str) -> Option<TopicId> {
        self.table().topics.get(topic).map(|entry| entry.id)
    }

    /// Hands a message to every client of the topic.
    pub(crate) fn publish(&self, topic: &str, message: &Outgoing) {
        let mut table = self.table();
        let Some(entry) = table.topics.get_mut(topic) else { return };
        if entry.last.as_ref().is_none_or(|(order, _)| *order <= message.order) {
            entry.last = Some((message.order, message.text.clone()));
        }
        for client in &entry.followers {
            match client.outbox.push(entry.id, message.class, message.text.clone()) {
                Pushed::Queued | Pushed::NotSubscribed => {}
                Pushed::Conflated => _ = self.metrics.conflated.inc(),
                Pushed::DroppedOldest => _ = self.metrics.dropped.inc(),
            }
        }
    }

    /// Tells the clients of a topic that `lost` messages never came here.
    pub(crate) fn missed(&self, topic: &str, lost: u64) {
        let table = self.table();
        if let Some(entry) = table.topics.get(topic) {
            for client in &entry.followers {
                client.outbox.lanes().missed(entry.id, lost);
            }
        }
    }

    /// Hands feed health to every client.
    pub(crate) fn publish_health(&self, text: &Utf8Bytes) {
        let mut table = self.table();
        for outbox in table.clients.values() {
            outbox.push_health(text.clone());
        }
        table.health = Some(text.clone());
    }

    /// Closes all clients, those to come included.
    pub(crate) fn close_all(&self, code: u16) {
        let mut table = self.table();
        table.closing = Some(code);
        for outbox in table.clients.values() {
            outbox.close(code);
        }
    }

    /// Waits for changes to take.
    ///
    /// # Cancel safety
    /// Cancel-safe.
    pub(crate) async fn changed(&self) {
        self.changed.notified().await;
    }

    /// What must be subscribed and unsubscribed upstream since the last call.
    pub(crate) fn take_changes(&self) -> Vec<Change> {
        std::mem::take(&mut self.table().changes)
    }

    /// Gives up topics that nobody has wanted for `linger`.
    pub(crate) fn sweep(&self, now: Instant) {
        let linger = self.limits.linger;
        let mut table = self.table();
        let expired = |entry: &Entry| entry.unwanted_since.is_some_and(|since| now.duration_since(since) >= linger);
        let names: Vec<Arc<str>> =
            table.topics.iter().filter(|(_, entry)| expired(entry)).map(|(name, _)| name.clone()).collect();
        if names.is_empty() {
            return;
        }
        for name in names {
            if let Some(entry) = table.topics.remove(&name) {
                table.names.remove(&entry.id);
            }
            table.changes.push(Change::Unsubscribe(name));
        }
        self.metrics.topics.set(count(table.topics.len()));
        drop(table);
        self.changed.notify_one();
    }
}

impl Table {
    /// The entry of a topic that somebody is about to want.
    fn want(&mut self, name: &Arc<str>) -> &mut Entry {
        let Self { topics, names, changes, next_topic, .. } = self;
        let entry = topics.entry(name.clone()).or_insert_with(|| {
            *next_topic = next_topic.wrapping_add(1);
            names.insert(*next_topic, name.clone());
            changes.push(Change::Subscribe(name.clone()));
            Entry { id: *next_topic, followers: Vec::new(), holds: 0, last: None, unwanted_since: None }
        });
        entry.unwanted_since = None;
        entry
    }

    fn drop_follower(&mut self, name: &str, client: u64) {
        if let Some(entry) = self.topics.get_mut(name) {
            entry.followers.retain(|other| other.id != client);
            entry.note_unwanted();
        }
    }
}

impl Entry {
    fn note_unwanted(&mut self) {
        if self.followers.is_empty() && self.holds == 0 {
            self.unwanted_since = Some(Instant::now());
        }
    }
}

/// A number of things as a gauge wants it.
pub(crate) fn count(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
