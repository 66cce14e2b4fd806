//! The ingestor against venues on this machine that speak each dialect and misbehave on command.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod history;
mod instruments;
mod live;
mod log_failure;
mod repairs;
mod rig;
mod sim;
mod two_ingestors;
