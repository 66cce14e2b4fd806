//! Live data: one subscription upstream per topic, one encoding per message, shared by all clients.
//!
//! `upstream` owns the socket to the relay; `inbound` checks what arrives; `hub` knows who wants what; `outbox` is the
//! bounded queue of one client with its drop policy; `session` is one WebSocket. Nothing here waits for a client except
//! that client's own session.

pub(crate) mod hub;
pub(crate) mod inbound;
pub(crate) mod outbound;
pub(crate) mod outbox;
pub(crate) mod request;
pub(crate) mod session;
pub(crate) mod upstream;
