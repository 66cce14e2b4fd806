//! One user's private workspace, served over MCP.
