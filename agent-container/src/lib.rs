//! One user's private workspace, served over MCP.

pub mod events;
pub mod lifecycle;
