//! What the container tells its user: informational events to whoever listens, critical ones until they are acked
//! (docs/protocol/07-user-events.md).
//!
//! - [`Informer`]: binds 5570, sends an event only if somebody subscribed to it, drops freely, counts;
//! - [`Outbox`]: critical events, on disk before the call returns, bounded;
//! - the delivery: one task that sends the outbox to the gateway in order and hears acks. What it does next is decided by a
//!   pure state machine, [`courier`], on a clock that it is handed.
//!
//! Invariants: an event whose call returned `Ok` is sent until it is acked or expires, whatever process dies; the delivery
//! never sends what is not yet on disk; sequences have no holes and never change their event.

mod channel;
mod config;
mod courier;
mod delivery;
mod informer;
mod ledger;
mod metrics;
mod new_event;
mod outbox;
#[cfg(test)]
mod tests;

pub use config::{EventsConfig, OutboxLimits};
pub use informer::{Informed, Informer};
pub use metrics::EventMetrics;
pub use new_event::{NewEvent, NewEventError};
pub use outbox::{Outbox, OutboxError, Published};

use channel::DealerChannel;
use delivery::Delivery;
use proto::UserId;
use service::clock::Clock;
use service::metrics::Metrics;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use user_events::MacKey;
use zmtp::{DealerOptions, DealerSocket, EndpointError, PubOptions, PubSocket, SocketError};

/// Why events cannot start.
#[derive(Debug, thiserror::Error)]
pub enum EventsError {
    /// The outbox cannot be opened.
    #[error("outbox: {0}")]
    Outbox(#[from] OutboxError),
    /// The informational channel cannot be bound.
    #[error("informational channel: {0}")]
    Bind(#[from] SocketError),
    /// The gateway's endpoint is not one.
    #[error("gateway: {0}")]
    Gateway(#[from] EndpointError),
}

/// Both channels of one container.
#[derive(Debug)]
pub struct Events {
    outbox: Arc<Outbox>,
    informer: Informer,
    stop: CancellationToken,
    delivery: Mutex<Option<JoinHandle<()>>>,
}

impl Events {
    /// Opens the outbox, binds the informational channel and starts to deliver what the outbox still has.
    ///
    /// # Errors
    /// [`EventsError`].
    pub async fn start(
        config: &EventsConfig,
        user_id: UserId,
        key: MacKey,
        clock: Clock,
        metrics: &Metrics,
    ) -> Result<Self, EventsError> {
        let metrics = EventMetrics::new(metrics);
        let dealer = DealerSocket::connect(&config.gateway, DealerOptions::default())?;
        let publisher = PubSocket::bind(&config.bind, PubOptions::default()).await?;
        let outbox = Outbox::open(config, user_id, clock.clone(), metrics.clone()).await?;
        let informer = Informer::new(publisher, user_id, clock.clone(), metrics.clone());
        let stop = CancellationToken::new();
        let delivery = Delivery::new(&outbox, DealerChannel::new(dealer), key, clock, metrics);
        let delivery = Mutex::new(Some(tokio::spawn(delivery.run(stop.clone()))));
        Ok(Self { outbox, informer, stop, delivery })
    }

    /// Puts a critical event on disk. When this returns `Ok` it will be delivered, in the order of the returned sequences.
    ///
    /// # Errors
    /// [`OutboxError`]; unless it says so, the event is not in the outbox.
    ///
    /// # Cancel safety
    /// Not cancel-safe: the event of a dropped call may be delivered all the same.
    pub async fn critical(&self, event: NewEvent) -> Result<Published, OutboxError> {
        self.outbox.publish(event).await
    }

    /// Tells whoever listens now. Never waits.
    pub fn inform(&self, event: &NewEvent) -> Informed {
        self.informer.inform(event)
    }

    /// Critical events that the gateway has not acked: while there are any, the container must not sleep.
    #[must_use]
    pub fn unacked(&self) -> u64 {
        self.outbox.unacked()
    }

    /// Where subscribers of informational events connect.
    #[must_use]
    pub const fn informer(&self) -> &Informer {
        &self.informer
    }

    /// The outbox, for those who only publish.
    #[must_use]
    pub fn outbox(&self) -> Arc<Outbox> {
        Arc::clone(&self.outbox)
    }

    /// Takes no more critical events, tries for at most `grace` to have the rest acked, and closes the outbox. Returns how
    /// many stay in it for the next start.
    pub async fn shutdown(&self, grace: Duration) -> u64 {
        self.outbox.refuse_from_now_on().await;
        // What is left stays on disk; running out of time is no error.
        drop(tokio::time::timeout(grace, self.outbox.emptied()).await);
        self.stop.cancel();
        let delivery = self.delivery.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(delivery) = delivery
            && let Err(error) = delivery.await
        {
            tracing::error!(%error, "the delivery of events ended by itself");
        }
        let left = self.outbox.unacked();
        self.outbox.close().await;
        left
    }
}
