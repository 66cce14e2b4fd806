//! Who is told that a resource has changed.

use crate::container::resources;
use rmcp::model::ResourceUpdatedNotificationParam;
use rmcp::{Peer, RoleServer};
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;

/// Changes that a slow follower may be behind before it is told of all resources instead.
const BEHIND: usize = 64;

/// Tells all followers.
#[derive(Debug, Clone)]
pub(crate) struct Updates(broadcast::Sender<&'static str>);

impl Default for Updates {
    fn default() -> Self {
        Self(broadcast::Sender::new(BEHIND))
    }
}

impl Updates {
    /// A resource has changed.
    pub(crate) fn changed(&self, uri: &'static str) {
        // Nobody may be listening.
        let _followers = self.0.send(uri);
    }

    pub(crate) fn follow(&self) -> Following {
        Following(self.0.subscribe())
    }
}

/// What changed since.
#[derive(Debug)]
pub(crate) struct Following(broadcast::Receiver<&'static str>);

impl Following {
    /// Resources that changed; all of them after this follower was too slow; `None` at the end.
    ///
    /// # Cancel safety
    /// Nothing is lost.
    pub(crate) async fn next(&mut self) -> Option<Vec<&'static str>> {
        match self.0.recv().await {
            Ok(uri) => Some(vec![uri]),
            Err(RecvError::Lagged(_)) => Some(resources::ALL.iter().map(|(uri, ..)| *uri).collect()),
            Err(RecvError::Closed) => None,
        }
    }
}

/// What one session of the older revision follows.
#[derive(Debug, Clone, Default)]
pub(crate) struct Followed(Arc<Mutex<(BTreeSet<&'static str>, bool)>>);

impl Followed {
    /// True if this is the first one, and somebody must forward.
    pub(crate) fn add(&self, uri: &'static str) -> bool {
        let mut followed = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        followed.0.insert(uri);
        !std::mem::replace(&mut followed.1, true)
    }

    pub(crate) fn remove(&self, uri: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).0.remove(uri);
    }

    fn has(&self, uri: &str) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).0.contains(uri)
    }

    /// Forwards until the session or the container ends.
    pub(crate) async fn forward(self, mut updates: Following, peer: Peer<RoleServer>) {
        while let Some(changed) = updates.next().await {
            for uri in changed.into_iter().filter(|uri| self.has(uri)) {
                if peer.notify_resource_updated(ResourceUpdatedNotificationParam::new(uri)).await.is_err() {
                    return;
                }
            }
            if peer.is_transport_closed() {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_follower_that_was_too_slow_is_told_of_everything() {
        let updates = Updates::default();
        updates.changed(resources::USER_PROFILE);
        let mut following = updates.follow();
        updates.changed(resources::SYSTEM_PROMPT);
        assert_eq!(following.next().await.unwrap(), [resources::SYSTEM_PROMPT]);
        for _ in 0..=BEHIND {
            updates.changed(resources::USER_PROFILE);
        }
        assert_eq!(following.next().await.unwrap().len(), resources::ALL.len());
        drop(updates);
    }
}
