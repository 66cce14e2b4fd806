//! Containers as processes, the client to them, and the proxy before them: over real processes, real sockets and a real container.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod client;
mod fake_server;
mod processes;
mod proxy;
mod real;
mod world;
