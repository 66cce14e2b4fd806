//! The assistant's loop.
//!
//! A turn is one message of a user and everything until its answer has ended. The harness keeps no conversation of its own: what
//! was said is in the user's container, how far a turn is stands in a turn log that every replica can read.
//!
//! Pure core: [`progress`] (what is done → what is next), [`router`], `breaker`, `prompt`, `citation`, `arguments`, `openai::sse`.
//! Shell: [`store`] (the turn log), `turn` (runs one), [`Harness`] (accepts, watches, stops, carries on).
//!
//! **Invariants.** A model decides nothing that costs money or changes data by itself: each call of a tool goes through
//! [`tool::Tools`], under a command id made of the turn and the call, so that carrying a turn on elsewhere repeats nothing. Tool output is data.
//! An event is recorded before anybody sees it. A replica that lost its lease writes nothing any more.

pub mod config;
pub mod event;
pub mod id;
pub mod model;
pub mod parts;
pub mod tool;

pub mod progress;
pub mod router;

mod arguments;
mod breaker;
mod citation;
mod prompt;

pub mod budget;
pub mod metrics;
pub mod openai;
pub mod store;

mod asking;
mod calling;
mod harness;
mod live;
mod recorder;
mod saving;
mod turn;
mod upkeep;

pub use budget::StoredBudget;
pub use config::HarnessConfig;
pub use harness::{Harness, LookupError, NewMessage, SubmitError, Submitted, TEXT_BYTES};
pub use id::{ConversationId, MessageId, TurnId};
pub use live::Watched;
pub use parts::HarnessParts;
pub use router::Tier;
