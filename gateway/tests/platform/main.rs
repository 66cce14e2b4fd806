//! The gateway on loopback with a real event log, a real lake and the relay's ends of the ZeroMQ sockets.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod bulk;
mod guard;
mod history;
mod rest;
mod shutdown;
mod websocket;
mod world;
