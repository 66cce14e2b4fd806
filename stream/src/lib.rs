//! The stream: removes duplicate ticks, makes candles of seven intervals, writes both to the lake exactly once, and feeds
//! the live topics.
//!
//! Two halves. The pure half has no clock, no I/O and no randomness: [`aggregate`] makes updates of trades,
//! [`candle_book`] makes rows of updates, [`recompute`] makes windows of ticks that are in the lake, [`venue_marks`] remembers
//! what venues' own candles settled. The other half owns the log's readers, the lake's writer and the relay's socket.
//!
//! Invariants:
//!
//! - what is derived from a partition depends on its records and their order alone, so a restart derives the same again
//!   (docs/adr/0009-exactly-once-by-determinism.md);
//! - every row of the lake comes from exactly one record, and the commit that holds the row holds the record's offset;
//! - a candle is never changed silently: a change is a row with a higher revision;
//! - nothing is written to the lake that the log could still lose;
//! - all memory is bounded: ids, windows, keys, rows, queues; what is forgotten is asked of the lake, never guessed;
//! - the live feed never waits, for a subscriber or for the disk.
//!
//! Absent on purpose: wall-clock windows, floating point, transactions over both tables (each has its own offsets).

pub mod aggregate;
pub mod candle_book;
pub mod checkpoint;
pub mod config;
pub mod content;
pub mod dedup;
pub mod recompute;
pub mod record;
pub mod trade;
pub mod update;
pub mod venue_marks;

mod committer;
mod coverage;
mod dead_letter;
mod encoding;
mod engine;
mod error;
mod flush;
mod history;
mod input;
mod key_state;
mod lake_reads;
mod live;
mod main_loop;
mod metrics;
mod recovery;
mod runtime;
mod state_dir;
mod status;
mod upkeep;
mod windows;

pub use committer::GROUP;
pub use error::StreamError;
pub use key_state::{LEVELS, OpenWindow};
pub use runtime::{Environment, StreamHandle, run, start};
pub use state_dir::StateDirError;
pub use status::Status;
