//! The channels that live here: webhooks and mail. Telegram's is with the bot, and an open page is no channel that is
//! pushed to: it confirms.

mod address;
mod email;
mod webhook;

pub use address::AddressError;
pub(crate) use address::check_url;
pub use email::{EmailChannel, EmailError};
pub(crate) use webhook::new_secret;
pub use webhook::{WebhookChannel, WebhookError};
