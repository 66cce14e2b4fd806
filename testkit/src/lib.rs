//! What tests of the whole platform need: the real binary as child processes, recordings with known content, a
//! brute-force recomputation, and a venue server that can misbehave. Never linked by a product binary.

pub mod brute_force;
pub mod mcp;
pub mod peers;
pub mod process;
pub mod recording;
pub mod venue_server;
