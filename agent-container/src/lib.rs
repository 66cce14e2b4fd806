//! One user's container: files, conversation memory, Python, backtests and events, served over MCP.
//!
//! It holds no broker key and no LLM key, and nothing in it can place an order: what it wants traded it proposes, elsewhere
//! decides. User code runs in workers, other processes that can touch nothing but their scratch directory.
//!
//! Invariants:
//!
//! - a call that answered has its change on the disk, whatever is killed then; the same `command_id` is carried out once;
//! - a critical event whose call returned reaches the gateway, once in effect and in order;
//! - only tokens of the configured issuer, for this server and its owner, are let in;
//! - nothing that user code does ends this process, or reads what is not its own;
//! - exit code 42 means an intended sleep with a marker on disk; it is never used while somebody needs the container.
//!
//! Reading order: [`Config`], [`run()`], [`mcp`] (who may call what), `container` (what the tools do), then the parts:
//! [`workspace`], [`memory`], [`worker`], [`market_data`], [`events`], [`lifecycle`].

pub mod config;
mod container;
pub mod events;
pub mod lifecycle;
pub mod local_issuer;
pub mod market_data;
pub mod mcp;
pub mod memory;
mod run;
pub mod tier;
pub mod worker;
pub mod workspace;

pub use config::{Config, Secrets};
pub use run::{AgentError, Surroundings, mcp_url, run};
