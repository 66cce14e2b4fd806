//! Market data intake: what venues send, into the event log, live and history.
//!
//! Each venue of the [`Config`] is live (WebSocket and REST, or a local server that plays them), simulated ([`sim`]) or
//! replayed ([`replay`]). [`Ingestor::start`] runs all of them; [`run`] also waits. Invariants:
//!
//! - the exact bytes are on `raw.*` before their meaning is on `norm.*`, and the meaning refers to them;
//! - nothing is dropped silently: what cannot be used is a dead letter with a reason and a counter, what was missed is
//!   fetched again and marked repaired, what cannot be had is counted and shown;
//! - a log that refuses records stops the reading, not the remembering;
//! - two ingestors on one feed are safe: both write, the aggregator drops what is there twice.
//!
//! What is absent: candles (the aggregator makes them; history answers pass the venue's on), orders, answers to clients.
//!
//! Reading order: `run`, `venue_task`, then the way of a frame (`session`, `intake`, `normalise`, `store`), of a hole
//! (`gaps`, `continuity`, `repair`) and of a history request (`history`).

mod backoff;
mod board;
pub mod config;
mod continuity;
mod feed;
mod gaps;
mod heartbeat;
mod history;
mod instruments;
mod intake;
mod log_writer;
mod members;
mod metrics;
mod normalise;
mod rate_limit;
mod rendezvous;
mod repair;
pub mod replay;
mod rest_client;
mod run;
mod session;
pub mod sim;
mod sim_feed;
mod status;
mod store;
mod tail;
mod transport;
mod venue_task;

pub use config::Config;
pub use run::{Ingestor, IngestorError, IngestorParts, run};
pub use transport::reachable;

pub(crate) use run::create_topics;

use proto::Venue;
use std::sync::Arc;
use venues::Adapter;

/// The adapter of a venue, the simulated one included.
#[must_use]
pub fn adapter_of(venue: &Venue) -> Option<Arc<dyn Adapter>> {
    if venue == sim::venue() {
        return Some(Arc::new(sim::SimAdapter));
    }
    venues::adapter(venue).map(|adapter| adapter.refined(&[]))
}
