//! Iceberg tables of the platform: schema, partitioned writer, reader (docs/protocol/05-lake.md).

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
mod write;

pub use config::LakeConfig;
pub use error::{LakeError, Result};
pub use lake::{CommitInfo, Lake};
pub use offsets::{OffsetRange, SourceOffsets, SourcePartition};
pub use query::{CandleQuery, LakeStats, Limit, TickQuery};
pub use schema::{NAMESPACE, Table};
pub use write::orphans::Sweep;
pub use write::rewrite::Rewrite;
