//! Events of the users' containers, and of the platform for its users: received once, recorded, delivered as the user
//! prefers (docs/protocol/07-user-events.md).
//!
//! - `receiver`: a ROUTER; finds the key of each message and verifies its seal;
//! - `ledger`, `writer`: what `user-events` decides, written with the records in one transaction of many messages, then acked;
//! - `delivery`: a durable queue in the same store: channels in the user's order, back-off, dead letters;
//! - `sessions`, `watch`: open pages, at whichever replica, and the informational events of their containers;
//! - [`Notifications`]: all of it, and what pages and other parts of the gateway ask for.
//!
//! Invariants: nothing is acked before it is durable together with the duty to deliver it; what one user asks never finds
//! another one's; no channel, peer or session can stop the others. What is absent: who may ask (the gateway), who has
//! which key ([`EventKeys`]), and Telegram (a [`Channel`] of its own).

mod channels;
mod config;
mod delivery;
mod error;
mod ledger;
mod metrics;
mod notification;
mod preferences;
mod receiver;
mod service_api;
mod sessions;
mod store;
mod watch;
mod writer;

pub use channels::{AddressError, EmailChannel, EmailError, WebhookChannel, WebhookError};
pub use config::{
    DatabaseConfig, DeliveryConfig, EmailConfig, InvalidConfig, NotificationsConfig, NotificationsSecrets,
    ReceiverConfig, SessionConfig, SmtpSecurity, WebhookConfig, WebhookTargets,
};
pub use delivery::{Channel, Delivery};
pub use error::StoreError;
pub use metrics::{AttemptOutcome, DeathReason, RefusalReason};
pub use notification::{Listed, NewNotification, Notification, State, title};
pub use preferences::{ChannelKind, PreferenceError, Preferences, QuietHours};
pub use receiver::{EventKeys, KeyLookupError};
pub use service_api::{Notifications, Parts, PublishError, SetPreferencesError, StartError};
pub use sessions::{SessionEvent, SubscribeError, Subscription};
pub use store::{Counts, Erased, Export};
pub use watch::WatchError;
