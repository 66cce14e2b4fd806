//! The venue `SIM`: a seeded market that needs no network.
//!
//! The market is a pure function of seed and time ([`market`]); nothing is stored, so live trades and history agree by
//! construction, after a restart too. It is wired like any other venue: an exchange that sends JSON frames
//! ([`delivery`], [`frames`]) and answers REST requests ([`exchange`]), and an [`SimAdapter`] that reads both.

mod adapter;
mod calendar;
mod delivery;
mod exchange;
mod frames;
mod level;
mod listing;
mod market;
mod random;
mod shape;

pub use adapter::SimAdapter;
pub(crate) use adapter::venue;
pub(crate) use delivery::SimFeed;
pub(crate) use exchange::SimExchange;
pub(crate) use frames::subscribed;
pub use listing::SimConfig;
