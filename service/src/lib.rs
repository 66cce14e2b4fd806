//! How every process of the platform starts, reports and stops. No domain words here.
//!
//! - [`config`]: `config.yaml` and `secrets.yaml`, refused as a whole when anything in them is unknown or wrong;
//! - [`telemetry`]: logs, JSON or for people;
//! - [`metrics`]: one registry, a prefix handed down per module;
//! - [`admin`]: `/livez`, `/readyz`, `/metrics`, `/status`;
//! - [`http`]: a server whose connections are bounded;
//! - [`lifecycle`]: one shutdown token, tracked tasks, a drain with a deadline;
//! - [`clock`]: the only place that reads the wall clock.

pub mod admin;
pub mod clock;
pub mod config;
pub mod http;
pub mod lifecycle;
pub mod metrics;
pub mod telemetry;
