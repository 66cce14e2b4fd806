//! The durable event log: one trait with Kafka semantics and an embedded backend.
