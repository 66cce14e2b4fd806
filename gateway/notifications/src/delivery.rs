//! Delivery: what is recorded is pushed by the user's preference until a channel takes it.
//!
//! [`plan`] decides, [`dispatcher`] does. A user's deliveries are a lane that one replica holds at a time, so that
//! notifications go out in the order of their numbers; one that failed is tried again later and lets the others pass.

pub(crate) mod dispatcher;
mod plan;

use crate::notification::Notification;
use crate::preferences::ChannelKind;
use async_trait::async_trait;
use proto::UserId;
use std::time::Duration;

/// What a channel did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivery {
    /// The other side has taken it.
    Delivered,
    /// It has not, or nobody knows; it may later.
    TryLater {
        /// Not before, if the other side said so.
        after: Option<Duration>,
    },
    /// It cannot reach this user: nothing is set up, or the other side refuses for good.
    Gone,
}

/// A way to push notifications to users. It is given one notification of a user at a time, and again after a crash or a lost
/// answer: it passes the event id on where the other side can tell repetitions by it.
#[async_trait]
pub trait Channel: Send + Sync + std::fmt::Debug {
    /// Which it is; one channel of each kind is registered.
    fn kind(&self) -> ChannelKind;

    /// Pushes a notification. It is dropped when `delivery.attempt_timeout` is over.
    async fn deliver(&self, user_id: UserId, notification: &Notification) -> Delivery;
}
