//! Logs: JSON lines for machines or short lines for people. The filter can be changed while running.

use std::sync::OnceLock;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, Registry, reload};

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Deserialize, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// One JSON object a line.
    Json,
    /// For people.
    #[default]
    Pretty,
}

/// The filter is not valid, or telemetry was set up before.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The filter text.
    #[error("log filter: {0}")]
    Filter(#[from] tracing_subscriber::filter::ParseError),
    /// A second set-up in one process.
    #[error("logs are already set up")]
    Twice(#[from] tracing_subscriber::util::TryInitError),
    /// Not set up.
    #[error("logs are not set up")]
    Missing,
    /// The running filter cannot be replaced.
    #[error("log filter: {0}")]
    Reload(#[from] reload::Error),
}

static FILTER: OnceLock<reload::Handle<EnvFilter, Registry>> = OnceLock::new();

/// Sends logs to standard error.
///
/// # Errors
/// If the filter is not valid or logs are already set up.
pub fn init(format: LogFormat, filter: &str) -> Result<(), TelemetryError> {
    let (filter, handle) = reload::Layer::new(EnvFilter::try_new(filter)?);
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let lines = match format {
        LogFormat::Json => lines.json().flatten_event(true).boxed(),
        LogFormat::Pretty => lines.compact().boxed(),
    };
    tracing_subscriber::registry().with(filter).with(lines).try_init()?;
    // The first handle stays: `try_init` above lets only one set-up through.
    let _first = FILTER.get_or_init(|| handle);
    Ok(())
}

/// Replaces the running filter, e.g. `info,relay=debug`.
///
/// # Errors
/// If the filter is not valid or logs are not set up.
pub fn set_filter(filter: &str) -> Result<(), TelemetryError> {
    let filter = EnvFilter::try_new(filter)?;
    Ok(FILTER.get().ok_or(TelemetryError::Missing)?.reload(filter)?)
}
