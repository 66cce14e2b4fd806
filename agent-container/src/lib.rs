//! One user's private workspace, served over MCP.

pub mod market_data;
