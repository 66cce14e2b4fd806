//! History work: requests from the relay's work port, shared among the ingestors of a venue, answered on the log.
//!
//! One task ([`HistoryDesk`]) reads the work port, the feed statuses (who is there) and the job statuses (what is done)
//! and owns the decisions; [`jobs`] decides, [`fetch`] talks to the venue, [`answer`] writes.

pub(crate) mod answer;
pub(crate) mod compose;
pub(crate) mod desk;
pub(crate) mod fetch;
pub(crate) mod jobs;

pub(crate) use desk::{DeskError, DeskRules, HistoryDesk, VenueDesk};
