//! The gateway on loopback with a real event log, a real lake and the relay's ends of the ZeroMQ sockets.

mod guard;
mod history;
mod rest;
mod shutdown;
mod websocket;
mod world;
