//! The ZeroMQ relay: four endpoints, socket state only.
