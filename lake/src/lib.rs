//! The lake: all trades and candles in two Iceberg tables that any engine reads (docs/protocol/05-lake.md).
//!
//! [`Lake`] appends rows, answers queries and keeps the tables in order. Nobody else links `iceberg`. It knows offsets
//! of the event log only as numbers that a commit carries, and makes no candle itself.
//!
//! Invariants:
//!
//! - a snapshot's summary says what of the log is in the table, and nothing else does ([`Lake::committed`]);
//! - after any outcome of a commit, success included, the table is read before anything else happens, and files are
//!   never deleted by the commit that wrote them (docs/adr/0008-lake-commit.md);
//! - what the catalog points to is on the disk before the catalog changes;
//! - an offset range that overlaps what is committed, or an epoch below the table's, is refused, never ignored;
//! - no file, however damaged, panics a caller.
//!
//! Reading order: [`schema`], [`fanout`] and [`columns`] (rows to columns, pure), [`encode`] (columns to Parquet, pure),
//! [`disk`] and [`catalog`] (what owns files and the database), [`write`](mod@write) (commit, housekeeping, rewriting), [`read`]
//! (plan, decode, scan), [`bulk`] (whole series in pieces), [`lake`] (the handle).

mod bulk;
mod catalog;
mod columns;
mod config;
mod disk;
mod encode;
mod error;
mod fanout;
mod lake;
mod offsets;
mod query;
mod read;
mod schema;
mod stats;
mod write;

pub use bulk::coverage::{Coverage, Hole};
pub use bulk::{Batches, Bulk, BulkQuery};
pub use config::LakeConfig;
pub use error::{LakeError, Result};
pub use lake::{CommitInfo, Lake};
pub use offsets::{OffsetRange, SourceOffsets, SourcePartition};
pub use query::{CandleQuery, Limit, TickQuery};
pub use schema::{NAMESPACE, Table};
pub use stats::LakeStats;
pub use write::orphans::Sweep;
pub use write::rewrite::Rewrite;
