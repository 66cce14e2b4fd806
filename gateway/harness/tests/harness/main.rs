//! The harness over a real turn log and a real HTTP server that plays language models.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod bounds;
mod carry_on;
mod conversation;
mod killed;
mod models;
mod postgres;
mod rig;
mod script;
mod tools;
