//! How every process starts, reports and stops: config, telemetry, admin port, drain, clock.
