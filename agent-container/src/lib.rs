//! One user's private workspace, served over MCP.

pub mod memory;
pub mod workspace;
