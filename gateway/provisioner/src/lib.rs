//! Containers on demand, and the way to them over MCP.
//!
//! A user's container exists, and is reused; is missing, and is created from its tier's template; sleeps, and is woken. Who needs it says
//! [`Provisioner::ensure`] and gets an [`Endpoint`]; nobody else starts or ends one. [`ProcessProvisioner`] makes containers of child
//! processes of this machine; another implementation makes them of pods.
//!
//! What it does not do: it never looks into a container's volume, holds no key of an issuer, and decides nothing about idleness: a container
//! sleeps by its own rules.
//!
//! **Invariants.** Of one user's container at most one runs, however many ask at a time and however many replicas there are. A token of a
//! caller never reaches a container: what does is made for this owner and this container ([`ContainerTokens`]). A call is repeated only if it
//! changes nothing, carries a command id, or never arrived.
//!
//! Reading order: [`Provisioner`], [`decision`] (pure), [`ProcessProvisioner`]; [`ContainerClient`] and [`ContainerTools`]; [`McpProxy`].

mod as_tools;
mod client;
mod config;
pub mod decision;
mod metrics;
mod process;
mod provisioner;
mod proxy;
mod tier;
mod tokens;

pub use as_tools::ContainerTools;
pub use client::{
    Called, ClientError, ContainerClient, ContextResources, Erased as ErasedMemory, FileKind, Picture, Repeat, Tiers,
    TiersError, ToolCall,
};
pub use config::{ClientConfig, ProcessConfig, ProxyConfig};
pub use metrics::ContainerMetrics;
pub use process::ProcessProvisioner;
pub use provisioner::{ContainerState, Endpoint, Ensured, Erased, EventKey, How, Phase, ProvisionError, Provisioner};
pub use proxy::{McpProxy, metadata, metadata_path, unauthorized};
pub use tier::Tier;
pub use tokens::{ContainerToken, ContainerTokens, TokenError, Trust};
