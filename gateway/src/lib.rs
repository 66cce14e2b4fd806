//! The gateway: REST, WebSocket and the web page, over what the rest of the platform publishes; and, with a section `people`, accounts, the
//! users' containers and the assistant.
//!
//! It reads feeds and instruments from the event log, live data from the relay (SUB 5558), candles from the lake, and asks
//! for missing history through the relay (DEALER 5559). Invariants:
//!
//! - it writes to no log topic and to no table, and imports no other process;
//! - a live message is decoded once and encoded once, whatever the number of clients;
//! - a slow client costs its own messages, never another's: every queue is bounded and drops are counted and told;
//! - nothing is invented: an answer says whether its range is complete, and health says which feed is silent.
//!
//! Reading order: [`Config`], `http` (routes), `live` (WebSocket), `series` (candles), `history`, `directory`, `people` (who asks, and the
//! assistant), `platform` (the assistant's tools of the platform), [`Gateway`].

pub mod config;
mod directory;
mod error;
mod gateway;
mod history;
mod http;
mod live;
mod metrics;
mod people;
mod platform;
mod rfc3339;
mod series;
mod view;

pub use config::Config;
pub use gateway::{Gateway, GatewayError, Resources, run};
pub use people::{PeopleConfig, PeopleError, PeopleSecrets, login_link};
pub use series::candles::CandleStore;
