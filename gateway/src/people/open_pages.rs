//! Open pages: while a user has one, the informational events of the user's container are listened to.

use notifications::Notifications;
use proto::UserId;
use provisioner::{ContainerClient, Phase};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// How many pages each user has open at this replica.
#[derive(Debug)]
pub(crate) struct OpenPages {
    notifications: Notifications,
    containers: ContainerClient,
    open: Mutex<HashMap<UserId, usize>>,
}

/// A page that is open; it counts until it is dropped.
#[derive(Debug)]
pub(crate) struct OpenPage {
    pages: Arc<OpenPages>,
    user: UserId,
}

impl OpenPages {
    pub(super) fn new(notifications: Notifications, containers: ContainerClient) -> Self {
        Self { notifications, containers, open: Mutex::default() }
    }

    /// Counts a page.
    pub(crate) fn enter(self: &Arc<Self>, user: UserId) -> OpenPage {
        *self.open.lock().unwrap_or_else(PoisonError::into_inner).entry(user).or_default() += 1;
        OpenPage { pages: self.clone(), user }
    }
}

impl OpenPage {
    /// Listens to the user's container if it runs. A container that sleeps is not woken for this, and what it says while nobody listens is
    /// lost, as informational events may be.
    pub(crate) async fn listen(&self) {
        let (containers, user) = (&self.pages.containers, self.user);
        if containers.provisioner().state(user).await.state != Phase::Ready {
            return;
        }
        let events = match containers.ensure(user).await {
            Ok(ensured) => ensured.endpoint.events,
            Err(error) => {
                tracing::debug!(%user, %error, "the container of an open page cannot be listened to");
                return;
            }
        };
        let Some(events) = events else { return };
        let watched = self.pages.notifications.watch(user, &events);
        if let Err(error) = watched {
            tracing::warn!(%user, %error, "the container of an open page cannot be listened to");
        }
    }
}

impl Drop for OpenPage {
    fn drop(&mut self) {
        let mut open = self.pages.open.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(count) = open.get_mut(&self.user) else { return };
        *count -= 1;
        if *count == 0 {
            open.remove(&self.user);
            self.pages.notifications.unwatch(self.user);
        }
    }
}
